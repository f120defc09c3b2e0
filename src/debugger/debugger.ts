import type { InterruptRecord } from "../apic/events";
import { UserError } from "../machine/errors";
import type { RunEnd } from "../machine/types";
import type { CodeBreakpoints } from "./codeBreakpoints";
import { CodeStops } from "./codeStops";
import { CpuScope, type Fields } from "./cpuScope";
import type { DataBreakpoints } from "./dataBreakpoints";
import type { EventFilters } from "./eventFilters";
import { EventStops } from "./eventStops";
import type { StageStates } from "./explain/stageStates";
import type { ExceptionLog } from "./exceptionLog";
import type { HandlerCounts } from "./handlerCounts";
import { handlerLabels } from "./handlerLabels";
import { Injections } from "./injections";
import { currentInstruction, type Disassembler } from "./instructions";
import type { LintList } from "./lints/lint";
import { Rewind, type RewindHost, type RewindRequest } from "./rewind";
import { RunControl } from "./runControl";
import { RunEnds } from "./runEnds";
import { senderLines, type SenderStacks } from "./senderStacks";
import type { DebuggerSink } from "./sink";
import { StackWalker, type StackEntry } from "./stack";
import { Stepper, type StepHost, type StepRequest } from "./stepper";
import { causeLines, reasonsOf, together, type EventCause, type GuestEnd, type Outcome, type Stop } from "./stops";
import type { TypedValue } from "./expr";
import { programOf } from "./symbols/program";
import type { SymbolStore } from "./symbols/table";
import type { DebugCpu, DebugMachine } from "./target";
import { MOMENT_INTERVAL, TimeTravel, type Deadlock, type Known } from "./timeTravel";
import type { CpuNames } from "./words";

/** How far a run has come that goes somewhere, in instructions; `total` 0 where nobody knows. */
export interface Course {
  readonly title: string;
  readonly done: number;
  readonly total: number;
  /** The CPU to look at when it is ended early, and what is to be said then. */
  readonly cpu: number;
  readonly cancelled: string;
  /** CPUs that move, where whoever asked for it does not know: a step of one CPU lets others run, and all go back together. */
  readonly moving?: readonly number[];
}

export interface DebuggerOptions {
  readonly machine: DebugMachine;
  readonly symbols: SymbolStore;
  readonly disassembler: Disassembler;
  readonly sink: DebuggerSink;
  /** Instructions between two moments to go back to; for tests. */
  readonly momentInterval?: number;
  /** The host's clock in milliseconds: bounds what the moments to go back to cost. Nothing but when they are taken depends on it. */
  readonly clock?: () => number;
}

/**
 * A debugger over a machine: runs it forward, in steps and back, and stops it. Synchronous: {@link advance} runs a portion, and between portions the owner may ask
 * or change anything. Stops come from code ({@link CodeStops}), from events ({@link EventStops}) and from how runs end ({@link RunEnds}).
 */
export class Debugger implements StepHost, RewindHost {
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
  readonly runControl: RunControl;
  readonly handlerCounts: HandlerCounts;
  readonly senderStacks: SenderStacks;
  readonly stageStates: StageStates;
  /** The stop that the machine stands at; undefined while it runs. */
  stop: Stop | undefined;
  /** Counts the stops. */
  stopSequence = 0;
  /** Set once the guest has ended. */
  end: GuestEnd | undefined;

  private readonly sink: DebuggerSink;
  private readonly code: CodeStops;
  private readonly events: EventStops;
  private readonly ends: RunEnds;
  private readonly travel: TimeTravel;
  private running = false;
  private pauseWanted: Stop | undefined;
  private stepper: Stepper | undefined;
  private rewind: Rewind | undefined;
  private only: number | undefined;
  /** How the last run ended, while stops of its last instruction are told first. */
  private unsettled: RunEnd | undefined;

  constructor({ machine, symbols, disassembler, sink, momentInterval, clock }: DebuggerOptions) {
    this.machine = machine;
    this.symbols = symbols;
    this.disassembler = disassembler;
    this.sink = sink;
    this.stack = new StackWalker(symbols);
    const code = new CodeStops(machine, symbols, this.stack, sink);
    this.code = code;
    this.breakpoints = code.breakpoints;
    this.runControl = new RunControl(machine, () => sink.runControlChanged?.(this.runControl.state));
    const events = new EventStops({
      machine,
      symbols,
      sink,
      symbolOf: this.symbolOf,
      takeId: () => code.breakpoints.takeId(),
      scope: (cpu, fields, rip) => this.scope(cpu, fields, rip),
      entering: (cpu, kind, address) => this.stepper?.request.cpu === cpu && this.stepper.entering(kind, address),
      cpuStarted: (cpu) => {
        if (this.stepper?.request.cpu === cpu) this.stepper.cpuStarted();
      },
      idtLoaded: () => code.idtLoaded(),
    });
    this.events = events;
    this.names = events.names;
    this.filters = events.filters;
    this.data = events.data;
    this.exceptions = events.exceptions;
    this.handlerCounts = events.handlerCounts;
    this.lints = events.lints;
    this.senderStacks = events.senderStacks;
    this.stageStates = events.stageStates;
    this.ends = new RunEnds({
      ...{ machine, sink, events, runControl: this.runControl },
      resetGuest: () => this.resetGuest(),
      stuckHere: (told) => this.travel.noteStuck(told),
    });
    this.injections = new Injections(machine);
    this.travel = new TimeTravel(machine, () => this.remember(), momentInterval ?? MOMENT_INTERVAL, clock);
    machine.followInterruptFlag("noted");
    machine.hooks = events.hooks;
  }

  get isRunning(): boolean {
    return this.running;
  }

  /** True while a pause, or a stop that has happened already, waits to be told. */
  get pausing(): boolean {
    return this.pauseWanted !== undefined || this.events.hasPending;
  }

  /** True while the guest can only go on with input from outside: there is no hurry to run the next portion. */
  get waiting(): boolean {
    return this.ends.isWaiting;
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
    this.code.passTold();
  }

  /** Begins a step. Throws a {@link UserError} when a step out has nowhere to go. */
  step(request: StepRequest): void {
    const cpu = this.cpu(request.cpu);
    if (request.kind === "out" && this.caller(cpu) === undefined)
      throw new UserError(`CPU ${cpu.index} has no caller to step out to: its stack cannot be followed further.`);
    this.start();
    this.runControl.lend(request.cpu);
    this.code.passTold();
    this.stepper = new Stepper(this, request);
    this.events.stepping = true;
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
    this.pauseWanted = { kind: "pause", cpu, text: "Paused" };
  }

  /** Ends a run that goes somewhere ({@link course}) before it is there; without effect on others. */
  cancelCourse(): void {
    const { course } = this;
    if (course !== undefined) this.pauseWanted = { kind: "pause", cpu: course.cpu, text: course.cancelled };
  }

  /** Marks the machine as stopped without having run: at its first instruction, or after RIP was set. */
  stopHere(kind: "entry" | "goto", cpu: number, text: string): Stop {
    const stop: Stop = { kind, cpu, text };
    return this.stopAt(kind === "entry" ? this.withBreakpointHere(stop) : stop);
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

  /** A stop with the breakpoint that its CPU has come to stand at, which it does not meet again when it goes on. */
  withBreakpointHere(stop: Stop): Stop {
    const here = this.code.arriveHere(this.cpu(stop.cpu));
    return here === undefined ? stop : together([stop, here]);
  }

  private portion(wanted: number, until: number): Outcome {
    this.ends.isWaiting = false;
    if (this.rewind !== undefined) return this.portionBack(this.rewind, wanted);
    const outcome = this.portionForward(wanted, until);
    return outcome?.kind === "stop" ? { kind: "stop", stop: this.withBreakpointHere(outcome.stop) } : outcome;
  }

  private portionForward(wanted: number, until: number): Outcome {
    this.lookForCode();
    const early = this.takePending() ?? this.settleLast() ?? this.ends.pastEnd ?? this.takePause();
    if (early !== undefined) return early;
    this.events.poll();
    const waiting = this.takePending();
    if (waiting !== undefined) return waiting;
    for (const line of this.injections.sendDue()) this.sink.output(`${line}\n`, "console");
    this.travel.note();
    const { stepper } = this;
    const budget = Math.min(wanted, this.injections.toNext, this.events.toPoll);
    if (stepper === undefined) {
      const end = this.only === undefined ? this.machine.run(budget, until) : this.machine.runCpu(this.only, budget);
      return end.kind === "breakpoint" ? this.arrive(end.cpu) : this.settle(end);
    }
    const result = stepper.advance(budget);
    if (result !== "done") return result;
    const { cpu } = stepper.request;
    return stepper.runOthers() ?? { kind: "stop", stop: { kind: "step", cpu, text: `CPU ${cpu} stepped` } };
  }

  /** Binds what waits for its code to be loaded, and follows a kernel to where it chose to lie; between runs. */
  lookForCode(): void {
    this.code.lookForCode();
  }

  /** The next stop that an event of the machine asked for, if any. */
  takePending(): Outcome {
    return this.events.takePending();
  }

  private takePause(): Outcome {
    return this.pauseWanted === undefined ? undefined : { kind: "stop", stop: this.pauseWanted };
  }

  private stopAt(stop: Stop): Stop {
    this.idle();
    this.code.lookForModules();
    this.stop = stop;
    this.stopSequence++;
    this.code.noteTold(this.cpu(stop.cpu));
    return stop;
  }

  private ended(end: GuestEnd): GuestEnd {
    this.idle();
    this.end = end;
    return end;
  }

  private idle(): void {
    this.running = false;
    this.travel.stopped();
    this.stepper?.dispose();
    this.stepper = undefined;
    this.events.stepping = false;
    this.runControl.giveBack();
    this.pauseWanted = undefined;
  }

  private resetGuest(): void {
    this.machine.reset();
    this.events.reset();
    this.code.reset();
  }

  // Going back

  /**
   * Begins a way back: to before the CPU's last instruction, to the line before, or to the last stop before this one. Throws a {@link UserError} when there is nothing to go
   * back to.
   */
  goBack(request: RewindRequest): void {
    this.cpu(request.cpu);
    const here = this.stop;
    this.start();
    this.silence(true);
    const { unsettled } = this;
    this.unsettled = undefined;
    const rewind = Rewind.begin(this, this.travel, request);
    if (rewind === undefined) {
      this.silence(false);
      this.unsettled = unsettled;
      this.running = false;
      this.stop = here;
      throw new UserError(`There is nothing to go back to: CPU ${request.cpu} has not run, or it was too long ago.`);
    }
    this.rewind = rewind;
  }

  private silence(silent: boolean): void {
    this.events.backwards = silent;
    this.breakpoints.silent = silent;
  }

  /** Where the run goes: back, through a step, or to the instruction that an injection waits for; undefined when to no known place. */
  get course(): Course | undefined {
    const { rewind, stepper } = this;
    if (!this.running) return undefined;
    if (rewind !== undefined) {
      const cancelled = "Going back was cancelled: the machine stands on the way";
      return {
        title: "Going back",
        ...rewind.progress,
        cpu: rewind.cpu.index,
        cancelled,
        moving: this.machine.cpus.map(({ index }) => index),
      };
    }
    if (stepper !== undefined) {
      const { cpu, others } = stepper.request;
      const moving = this.machine.cpus
        .map(({ index }) => index)
        .filter((index) => index === cpu || (others && !this.runControl.isFrozen(index)));
      const cancelled = `The step of CPU ${cpu} was cancelled before its end`;
      return { title: `Stepping CPU ${cpu}`, done: 0, total: 0, cpu, cancelled, moving };
    }
    const { next } = this.injections;
    if (next === undefined) return undefined;
    const { at, since } = next;
    return {
      ...{ title: `Running to instruction ${at}`, done: this.machine.instructions() - since, total: at - since, cpu: 0 },
      cancelled: `Cancelled before instruction ${at}; what is to be injected there still waits`,
    };
  }

  /** Runs a portion of a way back. */
  private portionBack(rewind: Rewind, budget: number): Outcome {
    const pause = this.takePause();
    const stop = rewind.advance(budget);
    if (stop === undefined && pause === undefined) return undefined;
    if (stop === undefined) rewind.abandon();
    this.rewind = undefined;
    if (stop === undefined) this.unsettled = undefined;
    this.silence(false);
    this.events.dropPending();
    this.ends.moved();
    this.breakpoints.tellBindings();
    this.runControl.apply();
    return stop === undefined ? pause : { kind: "stop", stop };
  }

  /** Takes down what the session knows of where the machine stands. */
  private remember(): Known {
    const parts = [this.events.remember(), this.breakpoints.saveHits()];
    const { passing } = this.code;
    const bringBack = (): void => {
      for (const part of parts) part();
      this.code.lookForModules();
      this.breakpoints.bindAnew();
      this.code.forgetTold();
      for (const cpu of passing) this.pass(cpu);
    };
    return { bringBack, passing };
  }

  pass(cpu: number): void {
    this.code.pass(this.cpu(cpu));
  }

  get toPoll(): number {
    return this.events.toPoll;
  }

  met(end: RunEnd, deadlock?: Deadlock): Stop | undefined {
    if (end.kind === "reset") this.events.reset();
    const stops = this.events.dropPending();
    const meet = (cpu: number): void => {
      const reached = this.code.met(this.cpu(cpu));
      if (reached !== undefined) stops.push(reached);
      this.pass(cpu);
    };
    if (end.kind === "breakpoint") meet(end.cpu);
    this.events.poll();
    stops.push(...this.events.dropPending());
    const stuck = deadlock === undefined ? undefined : (deadlock.told ?? this.ends.stuckStop());
    if (stuck !== undefined) stops.push(stuck);
    // As on the way there: where an event stopped a CPU, a breakpoint that it stands at counts as met.
    for (const { cpu } of [...stops]) meet(cpu);
    return stops.length === 0 ? undefined : together(stops);
  }

  // What steps need

  arrive(index: number): Outcome {
    return this.code.arrive(this.cpu(index));
  }

  settle(end: RunEnd): Outcome {
    const pending = this.takePending();
    if (pending !== undefined) this.unsettled = end;
    return pending ?? this.ends.settle(end, { only: this.only, stepping: this.stepper !== undefined });
  }

  private settleLast(): Outcome {
    const end = this.unsettled;
    this.unsettled = undefined;
    return end === undefined || end.kind === "dead" || end.kind === "limit" ? undefined : this.settle(end);
  }

  standsAt(end: RunEnd): void {
    this.unsettled = end;
  }

  instruction(cpu: DebugCpu): ReturnType<StepHost["instruction"]> {
    return currentInstruction(cpu, this.disassembler);
  }

  caller(cpu: DebugCpu): { pc: bigint; sp: bigint } | undefined {
    return this.stack.caller(cpu);
  }

  setTemporary(address: bigint | undefined): void {
    this.code.setTemporary(address);
  }

  hasBreakpoint(address: bigint): boolean {
    return this.breakpoints.has(address);
  }

  isHeld(cpu: number): boolean {
    return this.runControl.isFrozen(cpu);
  }

  // Questions

  /** What state each CPU is in, and its last exceptions. */
  report(): string {
    return this.events.report();
  }

  /** What the events of a stop are about, as of now: an interrupt may have come further since. */
  describeStop(stop: Stop): string[] {
    return reasonsOf(stop).flatMap((reason) => {
      if (reason.kind !== "event") return [];
      const record = this.recordOf(reason.cause);
      const cause: EventCause = record === undefined ? reason.cause : { kind: "interrupt", record };
      return causeLines(cause, this.symbolOf, record === undefined ? [] : this.senderLines(record));
    });
  }

  /** The interrupt that an event is about, as of now. */
  recordOf(cause: EventCause): InterruptRecord | undefined {
    return cause.kind === "interrupt" ? (this.machine.ledger.record(cause.record.id) ?? cause.record) : undefined;
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

  /** What an expression sees from a CPU: its registers, and globals of the program. */
  scope(cpu: DebugCpu, fields?: Fields, rip?: bigint): CpuScope {
    const variable = (name: string, of: DebugCpu): TypedValue | undefined =>
      fields !== undefined && Object.hasOwn(fields, name) ? undefined : programOf(this.symbols, of).variable(name);
    return new CpuScope(cpu, { cpus: this.machine.cpus, symbols: this.symbols, fields, rip, variable });
  }
}
