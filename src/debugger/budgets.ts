import type { InterruptEvent } from "../apic/events";
import { FLAG_IF } from "../cpu/registerBits";
import { isInterruptFrame, type HandlerFrame } from "../machine/handlerFrames";
import type { BudgetMeasure, BudgetName } from "./eventFilters";
import type { DebugMachine } from "./target";

/** What the meter asks of its owner. */
export interface BudgetHost {
  /** Whether somebody set a budget of this kind: nothing is measured else. */
  wants(budget: BudgetName): boolean;
  /** A measure that was taken; the owner decides whether it is too much. */
  measured(measure: BudgetMeasure): void;
}

/**
 * Measures what budgets are about: the latency from acceptance to delivery, the time in handlers and with interrupts off (instructions that the CPU retired, handlers nested
 * inside included), and how deep handlers nest. What goes on is measured at each {@link poll} too, so that a handler that never ends is told.
 */
export class BudgetMeter {
  /** By CPU: instructions it had retired when IF was cleared, -1 while it is set. */
  private readonly maskedSince: number[];
  /** What was told already while it goes on: by CPU, the start of the masked stretch, and records of handlers. */
  private readonly toldMasked = new Map<number, number>();
  private readonly toldHandlers = new Set<string>();

  constructor(
    private readonly machine: DebugMachine,
    private readonly host: BudgetHost,
  ) {
    this.maskedSince = machine.cpus.map(() => -1);
  }

  /** Whether each handler and each change of IF is needed. */
  get needsHandlers(): boolean {
    return this.needsPolls || this.host.wants("budget.nesting");
  }

  get needsFlag(): boolean {
    return this.host.wants("budget.masked");
  }

  get needsDeliveries(): boolean {
    return this.host.wants("budget.latency");
  }

  /** Begins to measure anew what is measured: as things stand, interrupts may be off since long. */
  begin(): void {
    for (const { index, state } of this.machine.cpus) {
      const off = (state.systemFlags & FLAG_IF) === 0;
      this.maskedSince[index] = off ? (state.interruptsMaskedBy?.since ?? -1) : -1;
    }
  }

  /** Whether what goes on is to be measured by {@link poll}. */
  get needsPolls(): boolean {
    return this.host.wants("budget.handler") || this.host.wants("budget.masked");
  }

  /** Takes down what goes on and what was told of it. Returns what brings it back. */
  save(): () => void {
    const since = [...this.maskedSince];
    const masked = [...this.toldMasked];
    const handlers = [...this.toldHandlers];
    return () => {
      since.forEach((start, cpu) => (this.maskedSince[cpu] = start));
      this.toldMasked.clear();
      for (const [cpu, start] of masked) this.toldMasked.set(cpu, start);
      this.toldHandlers.clear();
      for (const key of handlers) this.toldHandlers.add(key);
    };
  }

  interrupt({ stage, record, cpu }: InterruptEvent): void {
    if (stage !== "deliver" || !this.host.wants("budget.latency")) return;
    const accepted = record.stages.find((stamp) => stamp.stage === "accept");
    const delivered = record.stages.find((stamp) => stamp.stage === "deliver");
    if (accepted === undefined || delivered === undefined) return;
    const value = delivered.instruction - accepted.instruction;
    this.host.measured({ budget: "budget.latency", cpu, value, vector: record.vector, source: record.source });
  }

  entered(cpu: number, frame: HandlerFrame): void {
    if (!this.host.wants("budget.nesting") || !isInterruptFrame(frame)) return;
    const value = this.machine.frames.of(cpu).filter(isInterruptFrame).length;
    this.host.measured({ budget: "budget.nesting", cpu, value, ...this.about(frame) });
  }

  returned(cpu: number, frame: HandlerFrame): void {
    this.toldHandlers.delete(keyOf(cpu, frame));
    if (this.host.wants("budget.handler") && isInterruptFrame(frame)) this.handler(cpu, frame);
  }

  interruptFlag(cpu: number, enabled: boolean): void {
    if (!enabled) {
      this.maskedSince[cpu] = this.machine.cpus[cpu].retired;
      return;
    }
    const since = this.maskedSince[cpu];
    this.maskedSince[cpu] = -1;
    this.toldMasked.delete(cpu);
    if (since >= 0 && this.host.wants("budget.masked")) this.masked(cpu, since);
  }

  /** Measures what goes on. */
  poll(): void {
    for (const { index } of this.machine.cpus) {
      if (this.host.wants("budget.masked") && this.maskedSince[index] >= 0) this.masked(index, this.maskedSince[index]);
      if (this.host.wants("budget.handler"))
        for (const frame of this.machine.frames.of(index)) if (isInterruptFrame(frame)) this.handler(index, frame);
    }
  }

  /** Says that a stretch or a handler that goes on was found to be too long, so that it is told once. */
  told(measure: BudgetMeasure): void {
    if (measure.budget === "budget.masked") this.toldMasked.set(measure.cpu, this.maskedSince[measure.cpu]);
    if (measure.budget === "budget.handler")
      for (const frame of this.machine.frames.of(measure.cpu))
        if (frame.vector === measure.vector) this.toldHandlers.add(keyOf(measure.cpu, frame));
  }

  private masked(cpu: number, since: number): void {
    if (this.toldMasked.get(cpu) === since) return;
    const value = this.machine.cpus[cpu].retired - since;
    const frame = this.machine.frames.of(cpu).at(-1);
    const about = frame === undefined ? { vector: -1, source: "" } : this.about(frame);
    this.host.measured({ budget: "budget.masked", cpu, value, ...about });
  }

  private handler(cpu: number, frame: HandlerFrame): void {
    if (this.toldHandlers.has(keyOf(cpu, frame))) return;
    const value = this.machine.cpus[cpu].retired - frame.retired;
    this.host.measured({ budget: "budget.handler", cpu, value, ...this.about(frame) });
  }

  private about(frame: HandlerFrame): { vector: number; source: string } {
    return { vector: frame.vector, source: this.machine.ledger.record(frame.record)?.source ?? "" };
  }
}

/** A handler's frame, whatever object stands for it: its CPU, when it was entered and for what. */
function keyOf(cpu: number, { retired, vector, handlerRsp }: HandlerFrame): string {
  return `${cpu} ${retired} ${vector} ${handlerRsp}`;
}

/** A measure in words. */
export function budgetText({ budget, cpu, value, vector, source }: BudgetMeasure): string {
  const what = vector < 0 ? "" : ` of vector 0x${vector.toString(16).padStart(2, "0")}${source === "" ? "" : ` (${source})`}`;
  switch (budget) {
    case "budget.latency":
      return `Delivery${what} to CPU ${cpu} took ${value} instructions from its acceptance`;
    case "budget.handler":
      return `The handler${what} has run for ${value} instructions on CPU ${cpu}`;
    case "budget.masked":
      return `Interrupts have been off for ${value} instructions on CPU ${cpu}${vector < 0 ? "" : `, in the handler${what}`}`;
    case "budget.nesting":
      return `Handlers nest ${value} deep on CPU ${cpu}, the innermost${what}`;
  }
}
