import type { InterruptEvent, InterruptRecord, InterruptStorm } from "../apic/events";
import { CS, FLAG_IF } from "../cpu/state";
import type { DeliveredEvent } from "../cpu/system/context";
import { UserError } from "../machine/errors";
import type { MachineHooks, RunEnd } from "../machine/types";
import type { WatchHit } from "../machine/watches";
import { BudgetMeter, budgetText } from "./budgets";
import { CodeBreakpoints, type BreakpointKind, type CodeBreakpointStatus, type CodePresence } from "./codeBreakpoints";
import { CpuScope, type Fields } from "./cpuScope";
import { DataBreakpoints, type DataHit } from "./dataBreakpoints";
import { EventFilters, exceptionFields, filtersOf, interruptFields, lintFields, measureFields, type BudgetMeasure } from "./eventFilters";
import { EventCounts } from "./eventCounts";
import { ExceptionLog, describeException, isException } from "./exceptionLog";
import { guestReport, spinsForEver } from "./guestReport";
import { HandlerCounts } from "./handlerCounts";
import { handlerLabels } from "./handlerLabels";
import { Injections } from "./injections";
import { LintList, lintText, type Lint } from "./lints/lint";
import { LintWatch } from "./lints/lintWatch";
import { currentInstruction, type Disassembler } from "./instructions";
import { SenderStacks, senderLines } from "./senderStacks";
import { Rewind, type RewindHost, type RewindRequest } from "./rewind";
import { RunControl, type RunControlState } from "./runControl";
import { Slides } from "./slides";
import { StackWalker, type StackEntry } from "./stack";
import { Stepper, type Outcome, type StepHost, type StepRequest } from "./stepper";
import { causeLines, type EventCause, type GuestEnd, type Stop } from "./stops";
import { ProgramValues } from "./symbols/program";
import type { SymbolStore } from "./symbols/table";
import type { DebugCpu, DebugMachine } from "./target";
import { TimeTravel } from "./timeTravel";
import { CpuNames } from "./words";

/** What a debugger tells its owner while the machine runs. */
export interface DebuggerSink {
  /** Words for the person: log messages, warnings, how the guest ended. */
  output(text: string, kind: "console" | "important"): void;
  serial(bytes: Uint8Array): void;
  cpuStarted(cpu: number): void;
  /** A CPU was put back to wait-for-SIPI. */
  cpuReset(cpu: number): void;
  /** A breakpoint's code was loaded, or its place has become known. */
  breakpointChanged?(status: CodeBreakpointStatus): void;
  /** Which CPUs run, or how, was changed. */
  runControlChanged?(state: RunControlState): void;
}

export interface DebuggerOptions {
  readonly machine: DebugMachine;
  readonly symbols: SymbolStore;
  readonly disassembler: Disassembler;
  readonly sink: DebuggerSink;
}

/** Instructions between two resets of the guest that are both told. */
const RESETS_TOLD_EVERY = 1_000_000;
/** Stops that wait to be told: events of one instruction are told one after the other. */
const maximumPending = 64;
/** As much code is compared with its file to tell whether it is loaded. */
const comparedBytes = 32;

/**
 * A debugger over a machine: breakpoints on code and on events, steps, stops. Synchronous: {@link advance} runs a portion, and between
 * portions the owner may ask or change anything.
 */
export class Debugger implements StepHost, RewindHost, CodePresence {
  readonly machine: DebugMachine;
  readonly symbols: SymbolStore;
  readonly disassembler: Disassembler;
  readonly names: CpuNames;
  readonly breakpoints: CodeBreakpoints;
  readonly data: DataBreakpoints;
  readonly filters: EventFilters;
  readonly stack: StackWalker;
  readonly exceptions: ExceptionLog;
  readonly injections: Injections;
  readonly lints: LintList;
  readonly senderStacks: SenderStacks;
  readonly runControl: RunControl;
  readonly handlerCounts: HandlerCounts;
  /** The stop that the machine stands at; undefined while it runs. */
  stop: Stop | undefined;
  /** Counts the stops. */
  stopSequence = 0;
  /** Set once the guest has ended. */
  end: GuestEnd | undefined;

  /** Whether new lints are written to the output as they are found. */
  lintOutput = false;

  private readonly sink: DebuggerSink;
  private readonly counts: EventCounts;
  private readonly lintWatch: LintWatch;
  private readonly slides: Slides;
  private readonly budgets: BudgetMeter;
  private readonly pending: Stop[] = [];
  /** What the CPU had retired when the last access was told. */
  private dataHitAt = -1;
  /** CPUs that have left wait-for-SIPI. */
  private readonly live = new Set([0]);
  /** Where each CPU stood when a breakpoint there was told: it is passed when the CPU goes on. */
  private readonly told = new Map<number, { readonly rip: bigint; readonly retired: number }>();
  private running = false;
  private isWaiting = false;
  private pauseWanted: number | undefined;
  private stepper: Stepper | undefined;
  private readonly hooks: MachineHooks;
  private readonly travel: TimeTravel;
  private rewind: Rewind | undefined;
  private only: number | undefined;
  private temporary: bigint | undefined;
  /** Instruction count at which the person was told that no CPU can run, and whether that was of empty loops. */
  private deadAt = -1;
  /** Instruction count at which a reset was last told. */
  private resetToldAt = -1;
  private spinTold = false;

  constructor(options: DebuggerOptions) {
    const { machine, symbols, disassembler, sink } = options;
    this.machine = machine;
    this.symbols = symbols;
    this.disassembler = disassembler;
    this.sink = sink;
    this.names = new CpuNames(machine.cpus);
    const warn = (message: string): void => sink.output(`${message}\n`, "important");
    this.breakpoints = new CodeBreakpoints(
      symbols,
      codeFields,
      () => this.applyBreakpoints(),
      warn,
      this,
      (status) => sink.breakpointChanged?.(status),
    );
    this.slides = new Slides(machine, symbols, (text) => sink.output(`${text}\n`, "console"));
    this.data = new DataBreakpoints({
      machine,
      takeId: () => this.breakpoints.takeId(),
      scope: (index, fields) => this.scope(this.cpu(this.focus(index)), fields),
      symbolOf: this.symbolOf,
      warn,
    });
    this.filters = new EventFilters(symbols, machine.cpus, warn);
    this.stack = new StackWalker(symbols);
    this.exceptions = new ExceptionLog(machine.cpus.length);
    this.injections = new Injections(machine);
    this.senderStacks = new SenderStacks(symbols, machine.cpus);
    this.runControl = new RunControl(machine, () => sink.runControlChanged?.(this.runControl.state));
    this.counts = new EventCounts(machine.cpus.length);
    this.handlerCounts = new HandlerCounts(machine.cpus.length);
    this.lints = new LintList(machine, (lint, isNew) => this.lint(lint, isNew));
    this.lintWatch = new LintWatch(machine, this.lints);
    this.budgets = new BudgetMeter(machine, {
      wants: (budget) => this.filters.has(budget),
      measured: (measure) => this.measured(measure),
    });
    this.travel = new TimeTravel(machine, () => this.remember());
    machine.followInterruptFlag(true);
    this.hooks = {
      interrupt: (event) => {
        this.senderStacks.interrupt(event);
        this.interrupt(event);
        this.lintWatch.interrupt(event);
        this.budgets.interrupt(event);
        this.registersMoved(event);
      },
      watch: (hit) => this.watched(hit),
      misuse: (misuse) => this.lintWatch.misuse(misuse),
      handlerEntered: (cpu, frame) => {
        this.handlerCounts.entered(cpu, frame.vector);
        this.lintWatch.handlerEntered(cpu, frame);
        this.budgets.entered(cpu, frame);
      },
      handlerReturned: (cpu, frame) => {
        this.lintWatch.handlerReturned(cpu, frame);
        this.budgets.returned(cpu, frame);
      },
      idtLoaded: () => {
        if (this.slides.idtLoaded()) machine.requestStop();
      },
      interruptFlag: (cpu, enabled) => this.budgets.interruptFlag(cpu, enabled),
      storm: (storm) => this.storm(storm),
      exception: (cpu, event) => {
        this.lintWatch.delivering(cpu, event);
        this.exception(cpu, event);
      },
      tripleFault: (cpu) => this.tripleFault(cpu),
      serial: (bytes) => sink.serial(bytes),
      cpuStarted: (cpu) => {
        this.live.add(cpu);
        sink.cpuStarted(cpu);
        if (this.stepper?.request.cpu === cpu) this.stepper.cpuStarted();
      },
    };
    machine.hooks = this.hooks;
  }

  get isRunning(): boolean {
    return this.running;
  }

  /** True while a pause, or a stop that has happened already, waits to be told. */
  get pausing(): boolean {
    return this.pauseWanted !== undefined || this.pending.length > 0;
  }

  /** True while the guest can only go on with input from outside: there is no hurry to run the next portion. */
  get waiting(): boolean {
    return this.isWaiting;
  }

  /** The CPU with this index. Throws a {@link UserError} if there is none. */
  cpu(index: number): DebugCpu {
    const cpu = this.machine.cpus[index] as DebugCpu | undefined;
    if (cpu === undefined) throw new UserError(`There is no CPU ${index}; the machine has ${this.machine.cpus.length}.`);
    return cpu;
  }

  readonly symbolOf = (address: bigint): string | undefined => this.symbols.describe(address);

  // Running

  /** Lets all CPUs run, or only one of them. */
  resume(only?: number): void {
    if (only === undefined && !this.runControl.anyFree) throw new UserError('All CPUs are frozen; let one run again first ("unfreeze").');
    this.start();
    this.only = only;
    this.passTold();
  }

  /** CPUs that still stand where a breakpoint was told go on from there without telling it again. */
  private passTold(): void {
    for (const [cpu, at] of this.told) {
      const { state, retired } = this.cpu(cpu);
      if (state.rip === at.rip && retired === at.retired) this.machine.resumeFrom(cpu);
      else this.told.delete(cpu);
    }
  }

  /** Begins a step. Throws a {@link UserError} when a step out has nowhere to go. */
  step(request: StepRequest): void {
    const cpu = this.cpu(request.cpu);
    if (request.kind === "out" && this.caller(cpu) === undefined)
      throw new UserError(`CPU ${cpu.index} has no caller to step out to: its stack cannot be followed further.`);
    this.start();
    this.runControl.lend(request.cpu);
    this.passTold();
    this.stepper = new Stepper(this, request);
  }

  /**
   * Begins a way back: to before the CPU's last instruction, to the line before, or to the last stop before this one. Throws a {@link UserError} when there is nothing to go
   * back to.
   */
  goBack(request: RewindRequest): void {
    this.cpu(request.cpu);
    if (this.machine.inputs.recorder !== undefined)
      throw new UserError('A session that is being recorded only goes forward: leave out the launch attribute "record" to go back.');
    const here = this.stop;
    this.start();
    this.machine.hooks = this.hooksBackwards();
    const rewind = Rewind.begin(this, this.travel, request);
    if (rewind === undefined) {
      this.machine.hooks = this.hooks;
      this.running = false;
      this.stop = here;
      throw new UserError(`There is nothing to go back to: CPU ${request.cpu} has not run, or it was too long ago.`);
    }
    this.rewind = rewind;
  }

  /** What is counted and asked on the way back: nothing is told, and lints, budgets and storms are left out. */
  private hooksBackwards(): MachineHooks {
    return {
      interrupt: (event) => {
        this.interrupt(event);
        this.registersMoved(event);
      },
      watch: (hit) => this.watched(hit),
      handlerEntered: (cpu, frame) => this.handlerCounts.entered(cpu, frame.vector),
      exception: (cpu, event) => this.exception(cpu, event),
      cpuStarted: (cpu) => this.live.add(cpu),
    };
  }

  /** Takes down what the session has counted. Returns what brings it back. */
  private remember(): () => void {
    const parts = [
      this.counts.save(),
      this.handlerCounts.save(),
      this.exceptions.save(),
      this.filters.saveHits(),
      this.breakpoints.saveHits(),
      this.data.saveHits(),
    ];
    const live = [...this.live];
    return () => {
      for (const bringBack of parts) bringBack();
      this.live.clear();
      for (const cpu of live) this.live.add(cpu);
      this.data.remember();
      this.pending.length = 0;
    };
  }

  /** How far a way back has come; undefined while none is under way. */
  get goingBack(): { readonly done: number; readonly total: number } | undefined {
    return this.rewind?.progress;
  }

  met(end: RunEnd): Stop | undefined {
    const told = this.pending.splice(0).at(-1);
    if (end.kind !== "breakpoint") return told;
    const cpu = this.cpu(end.cpu);
    const reached = this.breakpoints.reach(cpu.linearRip(), this.codeScope(cpu));
    return reached.kind === undefined ? told : this.breakpointStop(end.cpu, reached.ids, reached.kind);
  }

  private breakpointStop(cpu: number, breakpoints: readonly number[], by: BreakpointKind): Stop {
    return { kind: "breakpoint", cpu, text: `CPU ${cpu} reached a ${by} breakpoint`, breakpoints, by };
  }

  /** Runs a portion of a way back. */
  private portionBack(rewind: Rewind, budget: number): Outcome {
    const pause = this.takePause();
    const stop = rewind.advance(budget);
    if (stop === undefined && pause === undefined) return undefined;
    if (stop === undefined) rewind.abandon();
    this.rewind = undefined;
    this.machine.hooks = this.hooks;
    this.pending.length = 0;
    this.told.clear();
    this.deadAt = -1;
    this.spinTold = false;
    this.lints.forgetAfter(this.machine.instructions());
    this.runControl.apply();
    return stop === undefined ? pause : { kind: "stop", stop };
  }

  private start(): void {
    if (this.end !== undefined) throw new UserError("The guest has ended.");
    if (this.running) throw new UserError("The machine is running already.");
    this.running = true;
    this.stop = undefined;
    this.pauseWanted = undefined;
    this.only = undefined;
    this.data.remember();
  }

  /** Asks for a stop as soon as possible, at this CPU. */
  pause(cpu: number): void {
    this.cpu(cpu);
    this.pauseWanted = cpu;
  }

  /** Marks the machine as stopped without having run: at its first instruction, or after RIP was set. */
  stopHere(kind: "entry" | "goto", cpu: number, text: string): Stop {
    return this.stopAt({ kind, cpu, text });
  }

  /**
   * Runs up to `budget` instructions, and no further than virtual time `until` unless it steps. Returns a stop or the guest's end; undefined when there is more to
   * run.
   */
  advance(budget: number, until = Infinity): Stop | GuestEnd | undefined {
    if (!this.running) return undefined;
    const outcome = this.portion(budget, until);
    if (outcome === undefined) return undefined;
    return outcome.kind === "stop" ? this.stopAt(outcome.stop) : this.ended(outcome.end);
  }

  /** Binds what waits for its code to be loaded, and follows a kernel to where it chose to lie; between runs. */
  lookForCode(): void {
    if (this.slides.look()) this.breakpoints.symbolsMoved();
    this.breakpoints.bindLoaded();
  }

  private portion(wanted: number, until: number): Outcome {
    this.isWaiting = false;
    if (this.rewind !== undefined) return this.portionBack(this.rewind, wanted);
    this.travel.note();
    for (const line of this.injections.sendDue()) this.sink.output(`${line}\n`, "console");
    this.lookForCode();
    const early = this.takePending() ?? this.takePause();
    if (early !== undefined) return early;
    this.lintWatch.poll();
    this.budgets.poll();
    const waiting = this.takePending();
    if (waiting !== undefined) return waiting;
    const { stepper } = this;
    const budget = Math.min(wanted, this.injections.toNext, this.budgets.pollEvery);
    if (stepper === undefined) {
      const end = this.only === undefined ? this.machine.run(budget, until) : this.machine.runCpu(this.only, budget);
      return end.kind === "breakpoint" ? this.arrive(end.cpu) : this.settle(end);
    }
    const result = stepper.advance(budget);
    if (result !== "done") return result;
    const { cpu } = stepper.request;
    return stepper.runOthers() ?? { kind: "stop", stop: { kind: "step", cpu, text: `CPU ${cpu} stepped` } };
  }

  /** The next stop that an event of the machine asked for, if any. */
  takePending(): Outcome {
    const stop = this.pending.shift();
    return stop === undefined ? undefined : { kind: "stop", stop };
  }

  private takePause(): Outcome {
    const cpu = this.pauseWanted;
    return cpu === undefined ? undefined : { kind: "stop", stop: { kind: "pause", cpu, text: "Paused" } };
  }

  private stopAt(stop: Stop): Stop {
    this.idle();
    this.stop = stop;
    this.stopSequence++;
    const cpu = this.cpu(stop.cpu);
    this.told.set(stop.cpu, { rip: cpu.state.rip, retired: cpu.retired });
    return stop;
  }

  private ended(end: GuestEnd): GuestEnd {
    this.idle();
    this.end = end;
    return end;
  }

  private idle(): void {
    this.running = false;
    this.stepper?.dispose();
    this.stepper = undefined;
    this.runControl.giveBack();
    this.pauseWanted = undefined;
  }

  arrive(index: number): Outcome {
    const cpu = this.cpu(index);
    const reached = this.breakpoints.reach(cpu.linearRip(), this.codeScope(cpu), index);
    for (const line of reached.logs) this.sink.output(`${line}\n`, "console");
    if (reached.kind === undefined) {
      this.machine.resumeFrom(index);
      return undefined;
    }
    return { kind: "stop", stop: this.breakpointStop(index, reached.ids, reached.kind) };
  }

  settle(end: RunEnd): Outcome {
    const pending = this.takePending();
    if (pending !== undefined) return pending;
    switch (end.kind) {
      case "limit":
        if (this.machine.cpus.every(spinsForEver)) return this.stuck(this.spinTold);
        this.spinTold = false;
        return undefined;
      case "stop":
      case "breakpoint":
        return undefined;
      case "power-off":
        return { kind: "end", end: { exitCode: 0, text: "The guest powered the machine off." } };
      case "exit":
        return { kind: "end", end: { exitCode: end.status, text: `The guest ended with exit status ${end.status}.` } };
      case "reset":
        return this.guestReset();
      case "triple-fault": {
        const text = `CPU ${end.cpu} shut down by a triple fault.`;
        // With the filter set, the stop was told by the hook; going on from there ends the session.
        return { kind: "end", end: { exitCode: 3, text: `${text}\n${this.report()}` } };
      }
      case "dead":
        if (this.only === undefined && this.waitsForInput()) {
          this.isWaiting = true;
          return undefined;
        }
        if (this.only === undefined && this.runControl.anyFrozen) return this.waitsForFrozen();
        return this.only === undefined ? this.stuck(this.deadAt === this.machine.instructions()) : this.aloneAndIdle(this.only);
    }
  }

  /** The guest reset the machine: it starts anew, and so goes on, unless a step was under way, which has nowhere to end but at the first instruction. */
  private guestReset(): Outcome {
    const text = "The guest reset the machine";
    const stepping = this.stepper !== undefined || this.only !== undefined;
    this.machine.reset();
    for (const cpu of [...this.live]) {
      if (cpu === 0) continue;
      this.live.delete(cpu);
      this.sink.cpuReset(cpu);
    }
    this.told.clear();
    this.slides.reset();
    // A guest that resets for ever must not flood the console.
    const now = this.machine.instructions();
    if (this.resetToldAt < 0 || now - this.resetToldAt > RESETS_TOLD_EVERY) {
      this.resetToldAt = now;
      this.sink.output(`${text}.\n`, "console");
    }
    return stepping ? { kind: "stop", stop: { kind: "entry", cpu: 0, text: `${text}; CPU 0 stands at its first instruction` } } : undefined;
  }

  /** A CPU sleeps that input through the first serial port would wake: only the person can say that nothing will come. */
  private waitsForInput(): boolean {
    const { cpus, devices } = this.machine;
    const interrupts = devices
      .find((device) => device.name === "uart0")
      ?.registers()
      .find((view) => view.name === "IER");
    if (interrupts === undefined || (interrupts.value & 1n) === 0n) return false;
    return cpus.some((cpu) => (cpu.activity === "halted" || cpu.activity === "mwait") && (cpu.state.systemFlags & FLAG_IF) !== 0);
  }

  /** The only CPU that was let run waits for something that cannot come while the others stand still. */
  private aloneAndIdle(cpu: number): Outcome {
    return { kind: "stop", stop: { kind: "pause", cpu, text: `CPU ${cpu} is halted, and nothing can wake it while the others are held` } };
  }

  /** The CPUs that are not frozen have nothing to do: what they wait for may be up to the frozen ones. */
  private waitsForFrozen(): Outcome {
    const free = this.machine.cpus.find(({ index }) => !this.runControl.isFrozen(index)) ?? this.machine.cpus[0];
    return {
      kind: "stop",
      stop: { kind: "pause", cpu: free.index, text: "No CPU can go on while others are frozen" },
    };
  }

  /** `told`: the person went on from just this state, so that there is nothing left but the end. */
  private stuck(told: boolean): Outcome {
    const text = "The guest is stuck: no CPU can ever run again.";
    const report = this.report();
    const count = this.counts.guest("guest.stuck");
    const cpu = this.machine.cpus.find((candidate) => candidate.activity !== "wait-for-SIPI") ?? this.machine.cpus[0];
    const scope = (): CpuScope => this.scope(cpu, this.guestFields(cpu.index, count));
    if (told || !this.filters.matches("guest.stuck", scope)) return { kind: "end", end: { exitCode: 3, text: `${text}\n${report}` } };
    this.deadAt = this.machine.instructions();
    this.spinTold = true;
    this.sink.output(`${text}\n${report}\n`, "important");
    return { kind: "stop", stop: { kind: "event", filter: "guest.stuck", cpu: cpu.index, text, cause: { kind: "guest", report } } };
  }

  /** What state each CPU is in, and its last exceptions. */
  report(): string {
    return guestReport(this.machine.cpus, this.exceptions, this.symbolOf);
  }

  // Events

  private interrupt(event: InterruptEvent): void {
    const { record, stage } = event;
    const count = this.counts.interrupt(event);
    const stamp = record.stages.at(-1);
    if (stage === "deliver" && record.mode === "init" && this.live.delete(event.cpu)) this.sink.cpuReset(event.cpu);
    for (const filter of filtersOf(event)) {
      if (!this.filters.has(filter)) continue;
      const cpu = event.cpu >= 0 ? event.cpu : (stamp?.cpu ?? -1);
      const focus = this.cpu(Math.max(cpu, 0));
      const rip = stamp?.cpu === focus.index ? stamp.rip : undefined;
      if (!this.filters.matches(filter, () => this.scope(focus, interruptFields(event, count, this.machine.now()), rip))) continue;
      this.request({ kind: "event", filter, cpu: focus.index, text: this.names.event(event), cause: { kind: "interrupt", record } });
      return;
    }
  }

  private storm(storm: InterruptStorm): void {
    const { record, cpu } = storm;
    const count = this.counts.guest("interrupt.storm");
    const event: InterruptEvent = { stage: "deliver", record, cpu };
    const focus = this.cpu(cpu);
    const text = this.names.storm(storm);
    this.sink.output(`${text}\n`, "important");
    if (!this.filters.matches("interrupt.storm", () => this.scope(focus, interruptFields(event, count, this.machine.now())))) return;
    this.request({ kind: "event", filter: "interrupt.storm", cpu, text, cause: { kind: "interrupt", record } });
  }

  private lint(lint: Lint, isNew: boolean): void {
    if (isNew && lint.severity === "warning" && this.lintOutput) this.sink.output(`lint: ${lintText(lint, this.symbols)}\n`, "important");
    if (!this.filters.has("interrupt.lint")) return;
    const focus = this.cpu(Math.max(lint.cpu, 0));
    if (!this.filters.matches("interrupt.lint", () => this.scope(focus, lintFields(lint)))) return;
    this.request({ kind: "event", filter: "interrupt.lint", cpu: focus.index, text: lint.text, cause: { kind: "lint", lint } });
  }

  private measured(measure: BudgetMeasure): void {
    const { budget, cpu, vector, value } = measure;
    const focus = this.cpu(cpu);
    const count = this.counts.guest(budget);
    if (!this.filters.matches(budget, () => this.scope(focus, measureFields(measure, count, this.machine.now())))) return;
    this.budgets.told(measure);
    const text = budgetText(measure);
    const frame = this.machine.frames.of(cpu).find((candidate) => candidate.vector === vector);
    const record =
      frame === undefined
        ? this.machine.ledger.records({ target: cpu, limit: 1, ...(vector < 0 ? {} : { vector }) }).at(-1)
        : this.machine.ledger.record(frame.record);
    const cause: EventCause = record === undefined ? { kind: "guest", report: `${text}: ${value}` } : { kind: "interrupt", record };
    this.request({ kind: "event", filter: budget, cpu, text, cause });
  }

  private exception(index: number, event: DeliveredEvent): void {
    const cpu = this.cpu(index);
    if (this.stepper?.request.cpu === index) {
      const base = cpu.state.code64 ? 0n : cpu.state.segBase(CS);
      if (this.stepper.entering(event.kind, BigInt.asUintN(64, base + event.rip))) this.machine.requestStop();
    }
    if (!isException(event)) return;
    this.exceptions.add(index, event, this.machine.instructions());
    const count = this.counts.exception(index, event.vector);
    if (!this.filters.has("cpu.exception")) return;
    const scope = (): CpuScope => this.scope(cpu, exceptionFields(index, event, count, this.machine.now()), event.rip);
    if (!this.filters.matches("cpu.exception", scope)) return;
    const text = `CPU ${index}: ${describeException(event, this.symbolOf)}`;
    this.request({ kind: "event", filter: "cpu.exception", cpu: index, text, cause: { kind: "exception", event } });
  }

  private tripleFault(index: number): void {
    const text = `CPU ${index} shut down by a triple fault.`;
    const report = this.report();
    const count = this.counts.guest("cpu.tripleFault");
    const cpu = this.cpu(index);
    if (!this.filters.matches("cpu.tripleFault", () => this.scope(cpu, this.guestFields(index, count)))) return;
    this.sink.output(`${text}\n${report}\n`, "important");
    this.request({ kind: "event", filter: "cpu.tripleFault", cpu: index, text, cause: { kind: "guest", report } });
  }

  /** The CPU to look at for what CPU `cpu`, or with -1 a device, has done. */
  private focus(cpu: number): number {
    return cpu >= 0
      ? cpu
      : Math.max(
          0,
          this.machine.cpus.findIndex(({ activity }) => activity === "running"),
        );
  }

  /** A watched place was accessed. */
  private watched(hit: WatchHit): void {
    const told = this.data.hit(hit);
    if (told !== undefined) this.dataHit(told);
  }

  /** An interrupt came further, which moves bits in watched registers of the local APIC. */
  private registersMoved({ cpu }: InterruptEvent): void {
    if (cpu >= 0) for (const hit of this.data.interrupt(cpu)) this.dataHit(hit);
  }

  /** Accesses of one instruction are one stop. */
  private dataHit({ id, cpu, text }: DataHit): void {
    const index = this.focus(cpu);
    const last = this.pending.at(-1);
    const { retired } = this.cpu(index);
    if (last?.kind === "breakpoint" && last.by === "data" && last.cpu === index && this.dataHitAt === retired) {
      const merged = last.text.includes(text) ? last.text : `${last.text}; ${text}`;
      this.pending[this.pending.length - 1] = { ...last, breakpoints: [...new Set([...last.breakpoints, id])], text: merged };
      return;
    }
    this.dataHitAt = retired;
    this.request({ kind: "breakpoint", cpu: index, text, breakpoints: [id], by: "data" });
  }

  private request(wanted: Stop): void {
    const stop = wanted.kind === "event" ? { ...wanted, breakpoints: [...this.filters.matched] } : wanted;
    if (this.pending.length < maximumPending) this.pending.push(stop);
    this.machine.requestStop();
  }

  /** What an event stop is about, as of now: an interrupt may have come further since. */
  describeCause(cause: EventCause): string[] {
    const current: EventCause =
      cause.kind === "interrupt" ? { kind: "interrupt", record: this.machine.ledger.record(cause.record.id) ?? cause.record } : cause;
    return causeLines(current, this.symbolOf, current.kind === "interrupt" ? this.senderLines(current.record) : []);
  }

  /** The stack of whoever sent an interrupt, innermost function first; empty for what no instruction sent. */
  senderLines(record: InterruptRecord): string[] {
    return senderLines(this.senderStacks.of(record), this.symbols);
  }

  /** The stack of a CPU, with the interrupts and exceptions that its handlers serve between the functions. */
  stackOf(cpu: DebugCpu): StackEntry[] {
    return this.stack.walk(cpu, 200, {
      handlers: this.machine.frames.of(cpu.index),
      describe: (handler) => handlerLabels(handler, this.machine.ledger.record(handler.record), this.symbols),
    });
  }

  // Expressions

  scope(cpu: DebugCpu, fields?: Fields, rip?: bigint): CpuScope {
    return new CpuScope(cpu, { cpus: this.machine.cpus, symbols: this.symbols, fields, rip });
  }

  private guestFields(cpu: number, count: number): Fields {
    return { cpu: BigInt(cpu), count: BigInt(count), time: BigInt(Math.floor(this.machine.now())) };
  }

  /** What a breakpoint's condition or log message sees: the variables of the frame too, which are looked for only when asked. */
  private codeScope(cpu: DebugCpu): CpuScope {
    const program = new ProgramValues(this.symbols, (address, size) => {
      const bytes = cpu.readMemory(address, size);
      return bytes !== undefined && bytes.length === size ? bytes : undefined;
    });
    let frame: StackEntry | undefined;
    return new CpuScope(cpu, {
      cpus: this.machine.cpus,
      symbols: this.symbols,
      fields: { cpu: BigInt(cpu.index), time: BigInt(Math.floor(this.machine.now())) },
      variable: (name) => {
        if (codeFields.includes(name)) return undefined;
        frame ??= this.stack.walk(cpu, 1)[0];
        return program.variable(name, frame.frame, frame.depth);
      },
      pointerTo: (type, stars, address) => program.pointerTo(type, stars, address),
    });
  }

  /**
   * Whether memory at `address` has what the symbol file has there, also where boot loaders put it before it is mapped. Kernels patch their code, so that a part of it may differ.
   */
  isThere(address: bigint, only?: number): boolean {
    const module = this.symbols.moduleAt(address);
    const expected = module?.codeAt(address, comparedBytes);
    if (module === undefined || expected === undefined) return true;
    const isSame = (found: Uint8Array | undefined): boolean => {
      if (found === undefined || found.length < expected.length) return false;
      const same = expected.reduce((count, byte, index) => count + (byte === found[index] ? 1 : 0), 0);
      return same * 4 >= expected.length * 3;
    };
    if (only !== undefined) return isSame(this.cpu(only).readMemory(address, expected.length));
    if (this.machine.cpus.some((cpu) => isSame(cpu.readMemory(address, expected.length)))) return true;
    const physical = module.elf?.physicalAt(module.toLinked(address));
    return physical !== undefined && physical < 2n ** 52n && isSame(this.machine.cpus[0].readPhysical(Number(physical), expected.length));
  }

  // What steps need

  instruction(cpu: DebugCpu): ReturnType<StepHost["instruction"]> {
    return currentInstruction(cpu, this.disassembler);
  }

  caller(cpu: DebugCpu): { pc: bigint; sp: bigint } | undefined {
    return this.stack.caller(cpu);
  }

  setTemporary(address: bigint | undefined): void {
    if (this.temporary === address) return;
    this.temporary = address;
    this.applyBreakpoints();
  }

  hasBreakpoint(address: bigint): boolean {
    return this.breakpoints.has(address);
  }

  isHeld(cpu: number): boolean {
    return this.runControl.isFrozen(cpu);
  }

  private applyBreakpoints(): void {
    const all = new Set(this.breakpoints.addresses);
    if (this.temporary !== undefined) all.add(this.temporary);
    this.machine.setBreakpoints(all);
  }
}

/** Fields that conditions of code breakpoints may use beside registers, variables and symbols; they go before variables of the same name. */
const codeFields: readonly string[] = ["cpu", "time"];
