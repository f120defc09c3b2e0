import type { InterruptEvent, InterruptStorm } from "../apic/events";
import { modes, StageCode } from "../apic/recordStore";
import { CS } from "../cpu/segmentRegisters";
import type { DeliveredEvent, EventKind } from "../cpu/system/context";
import type { MachineHooks } from "../machine/types";
import type { WatchHit } from "../machine/watches";
import { BudgetMeter, budgetText } from "./budgets";
import type { CpuScope, Fields } from "./cpuScope";
import { DataBreakpoints, type DataHit } from "./dataBreakpoints";
import { EventCounts } from "./eventCounts";
import { EventFilters, exceptionFields, filtersOf, interruptFields, lintFields, measureFields, type BudgetMeasure } from "./eventFilters";
import { ExceptionLog, describeException, isException } from "./exceptionLog";
import { guestReport } from "./guestReport";
import { StageStates } from "./explain/stageStates";
import { HandlerCounts } from "./handlerCounts";
import { LintList, type Lint } from "./lints/lint";
import { LintWatch } from "./lints/lintWatch";
import { SenderStacks } from "./senderStacks";
import type { DebuggerSink } from "./sink";
import { together, type EventCause, type Outcome, type Stop } from "./stops";
import type { SymbolStore } from "./symbols/table";
import type { DebugCpu, DebugMachine } from "./target";
import { CpuNames } from "./words";

/** Index of the last mode whose interrupts have a bit in the IRR: lowest priority. */
const LAST_VECTORED = modes.indexOf("lowpri");

/** Stops that wait to be told: those of one instruction are one for each CPU, told one after the other. */
const maximumPending = 64;

/** What event stops ask of the session. */
export interface EventHost {
  readonly machine: DebugMachine;
  readonly symbols: SymbolStore;
  readonly sink: DebuggerSink;
  symbolOf(address: bigint): string | undefined;
  /** A number for a new data breakpoint. */
  takeId(): number;
  scope(cpu: DebugCpu, fields?: Fields, rip?: bigint): CpuScope;
  /** A CPU is about to deliver something, to return to linear `address`. True for a step that ends there. */
  entering(cpu: number, kind: EventKind, address: bigint): boolean;
  cpuStarted(cpu: number): void;
  idtLoaded(): void;
}

/**
 * Listens to the machine's events: keeps the session's books on them, finds lints, measures budgets, and makes stops of those that the person asked for, which wait in a
 * queue until they are told.
 */
export class EventStops {
  readonly names: CpuNames;
  readonly filters: EventFilters;
  readonly data: DataBreakpoints;
  readonly exceptions: ExceptionLog;
  readonly handlerCounts: HandlerCounts;
  readonly lints: LintList;
  readonly senderStacks: SenderStacks;
  readonly stageStates: StageStates;
  readonly hooks: MachineHooks;
  /** The machine goes over known ground, to come to a place in its past: everything is counted and asked as it was before, and nothing is told. */
  backwards = false;

  private readonly machine: DebugMachine;
  private readonly sink: DebuggerSink;
  private readonly counts: EventCounts;
  private readonly lintWatch: LintWatch;
  private readonly budgets: BudgetMeter;
  private readonly pending: Stop[] = [];
  /** Instructions that the machine had retired at the last {@link poll}. */
  private polledAt = 0;
  private isStepping = false;
  /** Each change of IF is told. */
  private followsFlag = false;
  /** CPUs that have left wait-for-SIPI. */
  private readonly live = new Set([0]);

  constructor(private readonly host: EventHost) {
    const { machine, symbols, sink } = host;
    const { cpus } = machine;
    this.machine = machine;
    this.sink = sink;
    const warn = (message: string): void => this.say(message);
    this.names = new CpuNames(cpus);
    this.data = new DataBreakpoints({
      machine,
      takeId: () => host.takeId(),
      scope: (index, fields) => host.scope(cpus[this.focus(index)], fields),
      symbolOf: (address) => host.symbolOf(address),
      warn,
    });
    this.filters = new EventFilters(symbols, cpus, warn, () => this.listen());
    this.exceptions = new ExceptionLog(cpus.length);
    this.senderStacks = new SenderStacks(symbols, machine);
    this.stageStates = new StageStates(machine);
    this.counts = new EventCounts(cpus.length);
    this.handlerCounts = new HandlerCounts(cpus.length);
    this.lints = new LintList(machine, (lint) => this.lint(lint));
    this.lintWatch = new LintWatch(machine, this.lints);
    this.budgets = new BudgetMeter(machine, {
      wants: (budget) => this.filters.has(budget),
      measured: (measure) => this.measured(measure),
    });
    const { budgets } = this;
    this.hooks = {
      stage: (slot, stage, cpu) => this.stage(slot, stage, cpu),
      interrupt: (event) => {
        this.interrupt(event);
        this.lintWatch.interrupt(event);
        budgets.interrupt(event);
        this.registersMoved(event);
      },
      watch: (hit) => this.watched(hit),
      misuse: (misuse) => this.lintWatch.misuse(misuse),
      handlerStarts: (cpu, vector, kind, record) => {
        this.handlerCounts.entered(cpu, vector);
        this.stageStates.handlerStarts(cpu, record);
        return kind === "nmi" || budgets.needsHandlers;
      },
      handlerEntered: (cpu, frame) => {
        this.lintWatch.handlerEntered(cpu, frame);
        budgets.entered(cpu, frame);
      },
      handlerReturned: (cpu, frame) => budgets.returned(cpu, frame),
      idtLoaded: () => {
        if (!this.backwards) host.idtLoaded();
      },
      interruptFlag: (cpu, enabled) => budgets.interruptFlag(cpu, enabled),
      storm: (storm) => this.storm(storm),
      exception: (cpu, event) => {
        this.lintWatch.delivering(cpu, event);
        this.exception(cpu, event);
      },
      tripleFault: (cpu) => this.tripleFault(cpu),
      serial: (bytes) => {
        if (!this.backwards) sink.serial(bytes);
      },
      cpuStarted: (cpu) => {
        this.live.add(cpu);
        if (this.backwards) return;
        sink.cpuStarted(cpu);
        host.cpuStarted(cpu);
      },
    };
    // Read by the machine whenever it is told that they have changed.
    Object.defineProperty(this.hooks, "handlersOnly", { get: () => !this.listensToAll, enumerable: true });
  }

  // What is to be told

  /** A step goes on that every delivery may end. */
  set stepping(stepping: boolean) {
    if (stepping === this.isStepping) return;
    this.isStepping = stepping;
    this.machine.hooksChanged();
  }

  private get listensToAll(): boolean {
    return this.isStepping || this.budgets.needsHandlers;
  }

  /** Breakpoints have been replaced. */
  private listen(): void {
    const { budgets, machine } = this;
    machine.followInterruptFlag(budgets.needsFlag ? "told" : "noted");
    if (budgets.needsFlag && !this.followsFlag) budgets.begin();
    this.followsFlag = budgets.needsFlag;
    machine.hooksChanged();
  }

  // The queue

  /** True while a stop that has happened waits to be told. */
  get hasPending(): boolean {
    return this.pending.length > 0;
  }

  /** The next stop that waits to be told, if any. */
  takePending(): Outcome {
    const stop = this.pending.shift();
    return stop === undefined ? undefined : { kind: "stop", stop };
  }

  /** Empties the queue. Returns what was in it. */
  dropPending(): Stop[] {
    return this.pending.splice(0);
  }

  /** Stops the run after this instruction. What waits to be told is of the same instruction: the run goes no further. */
  private request(stop: Stop): void {
    const same = this.pending.findIndex(({ cpu }) => cpu === stop.cpu);
    if (same >= 0) this.pending[same] = together([this.pending[same], stop]);
    else if (this.pending.length < maximumPending) this.pending.push(stop);
    this.machine.requestStop();
  }

  // Looking between runs

  /** Instructions from one look at what no event tells to the next. At round counts, so that a way back looks where the way there did. */
  private get pollEvery(): number {
    return this.budgets.needsPolls ? 5_000 : 1_000_000;
  }

  /** Instructions to the next {@link poll}. */
  get toPoll(): number {
    return this.pollEvery - (this.machine.instructions() % this.pollEvery);
  }

  /** Looks at what no event tells, if it is time to; between runs. */
  poll(): void {
    const now = this.machine.instructions();
    if (Math.floor(now / this.pollEvery) <= Math.floor(this.polledAt / this.pollEvery)) return;
    this.polledAt = now;
    this.lintWatch.poll();
    this.budgets.poll();
  }

  /** Takes down what the session has counted. Returns what brings it back. */
  remember(): () => void {
    const parts = [
      this.counts.save(),
      this.handlerCounts.save(),
      this.exceptions.save(),
      this.filters.saveHits(),
      this.data.saveHits(),
      this.lints.save(),
      this.lintWatch.save(),
      this.budgets.save(),
      ...this.machine.cpus.flatMap(({ state }) => state.interruptsMaskedBy?.save() ?? []),
    ];
    const { polledAt } = this;
    const live = [...this.live];
    return () => {
      for (const bringBack of parts) bringBack();
      this.live.clear();
      for (const cpu of live) this.live.add(cpu);
      // Budgets that were set later have not seen what goes on.
      if (this.followsFlag) this.budgets.begin();
      this.data.remember();
      this.polledAt = polledAt;
      this.pending.length = 0;
    };
  }

  /** The machine starts anew. */
  reset(): void {
    for (const cpu of [...this.live]) {
      if (cpu === 0) continue;
      this.live.delete(cpu);
      if (!this.backwards) this.sink.cpuReset(cpu);
    }
  }

  private say(text: string): void {
    if (!this.backwards) this.sink.output(`${text}\n`, "important");
  }

  // The machine's events

  /** An interrupt has come to a stage: keeps what is to be kept, by numbers alone. True where somebody wants to see the event. */
  private stage(slot: number, stage: number, cpu: number): boolean {
    const { store } = this.machine.ledger;
    const vector = store.vectorAt(slot);
    this.counts.count(stage, cpu, vector);
    if (stage === StageCode.send) this.senderStacks.sent(slot);
    this.stageStates.stage(slot, stage, cpu);
    return (
      this.filters.mayMeet(stage, vector) ||
      // NMI, SMI, INIT, SIPI and ExtINT have filters of their own, and are rare.
      (stage === StageCode.deliver && (store.modeAt(slot) > LAST_VECTORED || this.budgets.needsDeliveries)) ||
      this.data.watchesApics ||
      this.lintWatch.wants(slot, stage, cpu)
    );
  }

  private interrupt(event: InterruptEvent): void {
    const { record, stage } = event;
    const count = this.counts.interrupt(event);
    const stamp = record.stages.at(-1);
    if (stage === "deliver" && record.mode === "init" && this.live.delete(event.cpu) && !this.backwards) this.sink.cpuReset(event.cpu);
    for (const filter of filtersOf(event)) {
      if (!this.filters.has(filter)) continue;
      const cpu = event.cpu >= 0 ? event.cpu : (stamp?.cpu ?? -1);
      const focus = this.machine.cpus[Math.max(cpu, 0)];
      const rip = stamp?.cpu === focus.index ? stamp.rip : undefined;
      const breakpoints = this.filters.meet(filter, () => this.host.scope(focus, interruptFields(event, count, this.machine.now()), rip));
      if (breakpoints.length === 0) continue;
      const cause: EventCause = { kind: "interrupt", record };
      this.request({ kind: "event", filter, cpu: focus.index, text: this.names.event(event), cause, breakpoints });
    }
  }

  private storm(storm: InterruptStorm): void {
    const { record, cpu } = storm;
    const count = this.counts.guest("interrupt.storm");
    const event: InterruptEvent = { stage: "deliver", record, cpu };
    const focus = this.machine.cpus[cpu];
    const text = this.names.storm(storm);
    this.say(text);
    const breakpoints = this.filters.meet("interrupt.storm", () =>
      this.host.scope(focus, interruptFields(event, count, this.machine.now())),
    );
    if (breakpoints.length > 0)
      this.request({ kind: "event", filter: "interrupt.storm", cpu, text, cause: { kind: "interrupt", record }, breakpoints });
  }

  private lint(lint: Lint): void {
    if (!this.filters.has("interrupt.lint")) return;
    const focus = this.machine.cpus[Math.max(lint.cpu, 0)];
    const breakpoints = this.filters.meet("interrupt.lint", () => this.host.scope(focus, lintFields(lint)));
    if (breakpoints.length > 0)
      this.request({
        kind: "event",
        filter: "interrupt.lint",
        cpu: focus.index,
        text: lint.text,
        cause: { kind: "lint", lint },
        breakpoints,
      });
  }

  private measured(measure: BudgetMeasure): void {
    const { budget, cpu, vector, value } = measure;
    const focus = this.machine.cpus[cpu];
    const count = this.counts.guest(budget);
    const breakpoints = this.filters.meet(budget, () => this.host.scope(focus, measureFields(measure, count, this.machine.now())));
    if (breakpoints.length === 0) return;
    this.budgets.told(measure);
    const text = budgetText(measure);
    const frame = this.machine.frames.of(cpu).find((candidate) => candidate.vector === vector);
    const record =
      frame === undefined
        ? this.machine.ledger.records({ target: cpu, limit: 1, ...(vector < 0 ? {} : { vector }) }).at(-1)
        : this.machine.ledger.record(frame.record);
    const cause: EventCause = record === undefined ? { kind: "guest", report: `${text}: ${value}` } : { kind: "interrupt", record };
    this.request({ kind: "event", filter: budget, cpu, text, cause, breakpoints });
  }

  private exception(index: number, event: DeliveredEvent): void {
    const cpu = this.machine.cpus[index];
    const base = cpu.state.code64 ? 0n : cpu.state.segBase(CS);
    if (!this.backwards && this.host.entering(index, event.kind, BigInt.asUintN(64, base + event.rip))) this.machine.requestStop();
    if (!isException(event)) return;
    this.exceptions.add(index, event, this.machine.instructions());
    const count = this.counts.exception(index, event.vector);
    if (!this.filters.has("cpu.exception")) return;
    const scope = (): CpuScope => this.host.scope(cpu, exceptionFields(index, event, count, this.machine.now()), event.rip);
    const breakpoints = this.filters.meet("cpu.exception", scope);
    if (breakpoints.length === 0) return;
    const text = `CPU ${index}: ${describeException(event, (address) => this.host.symbolOf(address))}`;
    this.request({ kind: "event", filter: "cpu.exception", cpu: index, text, cause: { kind: "exception", event }, breakpoints });
  }

  private tripleFault(index: number): void {
    const stop = this.guestStop("cpu.tripleFault", this.machine.cpus[index], `CPU ${index} shut down by a triple fault.`);
    if (stop !== undefined) this.request(stop);
  }

  /** Something happened to the guest as a whole, told as CPU `cpu`'s. The stop of whoever asked for it; undefined when nobody did. */
  guestStop(filter: "cpu.tripleFault" | "guest.stuck" | "guest.end", cpu: DebugCpu, text: string): Stop | undefined {
    const count = this.counts.guest(filter);
    const fields = (): Fields => ({ cpu: BigInt(cpu.index), count: BigInt(count), time: BigInt(Math.floor(this.machine.now())) });
    const breakpoints = this.filters.meet(filter, () => this.host.scope(cpu, fields()));
    if (breakpoints.length === 0) return undefined;
    const report = this.report();
    if (filter !== "guest.end") this.say(`${text}\n${report}`);
    return { kind: "event", filter, cpu: cpu.index, text, cause: { kind: "guest", report }, breakpoints };
  }

  /** What state each CPU is in, and its last exceptions. */
  report(): string {
    return guestReport(this.machine.cpus, this.exceptions, (address) => this.host.symbolOf(address));
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

  private dataHit({ id, cpu, text }: DataHit): void {
    this.request({ kind: "breakpoint", cpu: this.focus(cpu), text, breakpoints: [id], by: "data" });
  }
}
