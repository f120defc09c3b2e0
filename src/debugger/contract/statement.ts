import type { InterruptEvent, InterruptRecord, InterruptStorm } from "../../apic/events";
import type { DeliveredEvent } from "../../cpu/system/context";
import type { HandlerFrame } from "../../machine/handlerFrames";
import type { Lint } from "../lints/lint";

/** One way in which a statement did not hold. */
export interface Violation {
  /** What happened, one sentence. */
  readonly text: string;
  readonly record?: InterruptRecord | undefined;
}

/** What a statement may ask the machine. */
export interface StatementContext {
  readonly cpus: number;
  instructions(): number;
  /** Nanoseconds of virtual time. */
  now(): number;
  /** Instructions retired by one CPU. */
  retired(cpu: number): number;
  record(id: number): InterruptRecord | undefined;
}

/** A statement of a contract while the guest runs: it hears of events and reports what breaks it. */
export interface Statement {
  interrupt?(event: InterruptEvent): void;
  storm?(storm: InterruptStorm): void;
  lint?(lint: Lint): void;
  exception?(cpu: number, event: DeliveredEvent): void;
  handlerEntered?(cpu: number, frame: HandlerFrame, depth: number): void;
  handlerReturned?(cpu: number, frame: HandlerFrame): void;
  interruptFlag?(cpu: number, enabled: boolean): void;
  cpuStarted?(cpu: number): void;
  serial?(text: string): void;
  /** The run is over. `exitStatus` is what `apicscope run` would exit with. */
  finish?(end: { readonly kind: string }, exitStatus: number): void;
}

/** Makes the running form of a statement, which calls `broken` for each violation. */
export type StatementFactory = (context: StatementContext, broken: (violation: Violation) => void) => Statement;

/** A statement as it was written. */
export interface ParsedStatement {
  readonly text: string;
  readonly line: number;
  readonly start: StatementFactory;
}
