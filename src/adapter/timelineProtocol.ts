// Request `apicscope/timeline`: the book of interrupts in pages, for clients that keep a copy of it. Types and names only, shared by
// the adapter and its clients.

export const timelineRequest = "apicscope/timeline";

/** Rows of one answer at most. */
export const timelinePageLimit = 5_000;

/** A point in the course of the session's interrupts: opaque to clients, who give back what the last page brought. */
export interface TimelinePoint {
  sequence: number;
  digest: number;
}

export interface TimelineArguments {
  /** What the client has; left out: nothing. */
  since?: TimelinePoint;
  /** Rows wanted at most; {@link timelinePageLimit} if left out. */
  limit?: number;
}

/** Stages of a row, in this order. */
export const timelineStages = ["send", "accept", "request", "deliver", "eoi", "drop", "return"] as const;
export type TimelineStage = (typeof timelineStages)[number];

/** Names behind the numbers of a row. */
export const timelineSources = [
  ...["ipi", "ioapic", "msi", "timer", "lint0", "lint1", "error", "thermal", "pmc", "cmci", "pic", "debugger"],
] as const;
export const timelineModes = ["fixed", "lowpri", "smi", "nmi", "init", "sipi", "extint"] as const;

/** Columns of a row. Stage `s` has its count of instructions at `stages + 2 * s` and its virtual time behind it; -1: did not happen. */
export const TimelineColumn = {
  /** Id of the interrupt's record. */
  id: 0,
  /** Rows of one broadcast share it. */
  sendId: 1,
  /** Index into {@link timelineSources}. */
  source: 2,
  /** Index into {@link timelineModes}. */
  mode: 3,
  vector: 4,
  /** 1: level-triggered. */
  level: 5,
  /** CPU indices; -1 for a source that is no CPU, and for a target that does not exist. */
  sender: 6,
  target: 7,
  /** Id of the row whose delivery it shared; 0: none. */
  coalescedInto: 8,
  /** Indices into the page's places, from 1; 0: none. Where it was sent, its handler by the IDT of now, and where EOI was written. */
  sentAt: 9,
  handler: 10,
  endedAt: 11,
  /** Index into the page's reasons, from 1; 0: none. */
  dropReason: 12,
  stages: 13,
} as const;
/** Numbers of a row. */
export const timelineRowLength = 13 + 2 * 7;

/** A place in the guest's code. */
export interface TimelinePlace {
  /** Hexadecimal with 0x. */
  address: string;
  /** Symbol and offset. */
  symbol?: string;
  file?: string;
  line?: number;
}

export interface TimelinePage {
  point: TimelinePoint;
  /** The machine was reset or taken back: what the client has is of another course. */
  restarted: boolean;
  /** There are more rows: ask again. */
  more: boolean;
  /** Rows that are new or have changed, {@link timelineRowLength} numbers each, one after the other. */
  rows: number[];
  places: TimelinePlace[];
  reasons: string[];
  cpus: { index: number; apicId: number }[];
  /** Instructions retired by the machine, and virtual time in nanoseconds. */
  now: { instruction: number; time: number };
  running: boolean;
}
