import type { InterruptRecord, StageStamp } from "../apic/events";
import type { DeliveredEvent } from "../cpu/system/context";
import type { BreakpointKind } from "./codeBreakpoints";
import type { FilterName } from "./filterNames";
import { describeException } from "./exceptionLog";
import type { Lint } from "./lints/lint";
import { hex, hex64 } from "./numbers";

/** Why the machine stands still, and at which CPU to look. */
export type Stop = {
  /** Index of the CPU it concerns. */
  readonly cpu: number;
  /** In words, for people; all reasons where there are several. */
  readonly text: string;
  /** Where one instruction had several reasons to stop: all of them, as they came about. The stop itself is the most telling. */
  readonly reasons?: readonly Stop[];
} & (
  | { readonly kind: "entry" | "pause" | "step" | "goto" }
  | { readonly kind: "breakpoint"; readonly breakpoints: readonly number[]; readonly by: BreakpointKind }
  /** `breakpoints`: those on events, by their numbers, that it stopped at. */
  | { readonly kind: "event"; readonly filter: FilterName; readonly cause: EventCause; readonly breakpoints: readonly number[] }
);

/** Why the machine stopped, each reason for itself. */
export function reasonsOf(stop: Stop): readonly Stop[] {
  return stop.reasons ?? [stop];
}

/** Several reasons to stop at one place as one stop: at the last event, else the last breakpoint, else the last of them. At least one must be given. */
export function together(stops: readonly Stop[]): Stop {
  const reasons = stops.flatMap(reasonsOf);
  const main =
    reasons.findLast(({ kind }) => kind === "event") ??
    reasons.findLast(({ kind }) => kind === "breakpoint") ??
    reasons[reasons.length - 1];
  if (reasons.length === 1) return main;
  const texts = reasons.map(({ text }) => text).filter((text, index, all) => all.indexOf(text) === index);
  return { ...main, text: texts.join("; "), reasons };
}

/** Numbers of all breakpoints that a stop is due to. */
export function hitBreakpoints(stop: Stop): number[] {
  const all = reasonsOf(stop).flatMap((reason) => (reason.kind === "breakpoint" || reason.kind === "event" ? reason.breakpoints : []));
  return [...new Set(all)];
}

/** What an event stop is about. */
export type EventCause =
  | { readonly kind: "interrupt"; readonly record: InterruptRecord }
  | { readonly kind: "exception"; readonly event: DeliveredEvent }
  | { readonly kind: "lint"; readonly lint: Lint }
  | { readonly kind: "guest"; readonly report: string };

/** How the guest ended. */
export interface GuestEnd {
  /** What a run from the command line would exit with. */
  readonly exitCode: number;
  readonly text: string;
}

/** What came of running for a while; undefined to go on. */
export type Outcome = { readonly kind: "stop"; readonly stop: Stop } | { readonly kind: "end"; readonly end: GuestEnd } | undefined;

type SymbolOf = (address: bigint) => string | undefined;

function milliseconds(nanoseconds: number): string {
  return `${(nanoseconds / 1e6).toFixed(6)} ms`;
}

function stageLine(stamp: StageStamp, symbolOf: SymbolOf): string {
  const symbol = stamp.cpu < 0 ? undefined : symbolOf(stamp.rip);
  const where =
    stamp.cpu < 0 ? "by a device or timer" : `by CPU ${stamp.cpu} at ${hex64(stamp.rip)}${symbol === undefined ? "" : ` <${symbol}>`}`;
  return `${stamp.stage.padEnd(8)} instruction ${String(stamp.instruction).padStart(12)}  ${milliseconds(stamp.time).padStart(16)}  ${where}`;
}

/** The whole record of an interrupt: what it is, then one line for each stage so far, under the first the stack of its sender. */
export function recordLines(record: InterruptRecord, symbolOf: SymbolOf, senderStack: readonly string[] = []): string[] {
  const shorthand = record.shorthand === "none" ? "" : `, shorthand ${record.shorthand}`;
  const lines = [
    `id ${record.id} (send ${record.sendId}), source ${record.source}, mode ${record.mode}, vector ${hex(record.vector, 2)}, ` +
      `src ${record.src}, dst ${record.dst}, trigger ${record.trigger}${shorthand}`,
    ...record.stages.flatMap((stamp) =>
      stamp.stage === "send"
        ? [stageLine(stamp, symbolOf), ...senderStack.slice(1).map((line) => `           called from ${line}`)]
        : [stageLine(stamp, symbolOf)],
    ),
  ];
  if (record.delay !== undefined) lines.push(`held back by the debugger for ${record.delay} instructions after its send`);
  if (record.coalescedInto !== undefined) lines.push(`coalesced with interrupt ${record.coalescedInto}, which was already pending`);
  if (record.dropReason !== undefined) lines.push(`dropped: ${record.dropReason}`);
  return lines;
}

/** A lint with what to do about it. */
export function lintLines(lint: Lint, symbolOf: SymbolOf): string[] {
  const symbol = lint.address === 0n ? undefined : symbolOf(lint.address);
  const where = lint.address === 0n ? "" : ` at ${hex64(lint.address)}${symbol === undefined ? "" : ` <${symbol}>`}`;
  const record = lint.record === 0 ? "" : `, interrupt ${lint.record}`;
  return [`${lint.kind}: ${lint.text}`, `instruction ${lint.instruction}${where}${record}, found ${lint.count} times`, lint.advice];
}

/** Everything known about a stop on an event, for people. */
export function causeLines(cause: EventCause, symbolOf: SymbolOf, senderStack: readonly string[] = []): string[] {
  switch (cause.kind) {
    case "interrupt":
      return recordLines(cause.record, symbolOf, senderStack);
    case "exception":
      return [describeException(cause.event, symbolOf)];
    case "lint":
      return lintLines(cause.lint, symbolOf);
    case "guest":
      return cause.report.split("\n");
  }
}
