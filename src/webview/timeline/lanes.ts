// The timeline's geometry without pixels: a lane a CPU, in it rows of bars that do not overlap (one a depth of nesting), single
// marks, and the arrows between lanes. All lists ascend, so that what is in view is found by halving.
import { TimelineColumn, timelineModes } from "../../adapter/timelineProtocol";
import { firstAtLeast } from "./search";
import { stageOffset, type Axis, type TimelineStore } from "./store";

/** Handlers of one depth of nesting in one lane: they do not overlap, so starts and ends both ascend. */
export interface BarRow {
  readonly starts: Float64Array;
  readonly ends: Float64Array;
  /** Row of the store behind each bar. */
  readonly rows: Int32Array;
}

/** Moments: interrupts that were lost, wait, or have no handler that ends. */
export interface MarkRow {
  readonly times: Float64Array;
  readonly rows: Int32Array;
}

export interface Lane {
  readonly cpu: number;
  readonly apicId: number;
  /** The outermost handlers first; at least one row, which may be empty. */
  readonly bars: readonly BarRow[];
  readonly marks: MarkRow;
}

/** From a sender to the CPU that takes it. */
export interface Arrows {
  readonly sends: Float64Array;
  readonly arrivals: Float64Array;
  /** Latest arrival of this and all earlier arrows. */
  readonly reach: Float64Array;
  /** Positions in the list of lanes. */
  readonly from: Uint8Array;
  readonly to: Uint8Array;
  readonly rows: Int32Array;
}

export interface Geometry {
  readonly lanes: readonly Lane[];
  readonly arrows: Arrows;
  /** First and last moment. */
  readonly first: number;
  readonly last: number;
}

class BarList {
  private readonly starts: number[] = [];
  private readonly ends: number[] = [];
  private readonly rows: number[] = [];
  lastEnd = -1;

  add(start: number, end: number, row: number): void {
    this.starts.push(start);
    this.ends.push(end);
    this.rows.push(row);
    this.lastEnd = end;
  }

  finish(): BarRow {
    return { starts: Float64Array.from(this.starts), ends: Float64Array.from(this.ends), rows: Int32Array.from(this.rows) };
  }
}

/** When a handler ended: at its return or, where none was seen, at its EOI; now while it has neither. */
export function handlerEnd(store: TimelineStore, row: number, axis: Axis, now: number): number {
  const returned = store.value(row, stageOffset("return", axis));
  if (returned >= 0) return returned;
  const ended = store.value(row, stageOffset("eoi", axis));
  if (ended >= 0) return ended;
  return Math.max(now, store.value(row, stageOffset("deliver", axis)));
}

/** INIT and SIPI take a CPU and enter no handler. */
function entersHandler(mode: number): boolean {
  const name = timelineModes[mode];
  return name !== "init" && name !== "sipi";
}

/** Builds the geometry of some rows of the store. */
export function buildGeometry(store: TimelineStore, rows: Int32Array, axis: Axis, hiddenCpus: ReadonlySet<number>): Geometry {
  const now = store.now[axis];
  const cpus = store.cpus.filter(({ index }) => !hiddenCpus.has(index));
  const laneOf = new Map(cpus.map(({ index }, lane) => [index, lane]));
  const handlers: number[][] = cpus.map(() => []);
  const marks: number[][] = cpus.map(() => []);
  const crossing: number[] = [];
  const send = stageOffset("send", axis);
  const accept = stageOffset("accept", axis);
  const deliver = stageOffset("deliver", axis);
  let first = Infinity;
  let last = 0;
  for (const row of rows) {
    const sent = store.value(row, send);
    if (sent < first) first = sent;
    const target = laneOf.get(store.value(row, TimelineColumn.target));
    const sender = laneOf.get(store.value(row, TimelineColumn.sender));
    const delivered = store.value(row, deliver);
    if (target !== undefined && delivered >= 0 && entersHandler(store.value(row, TimelineColumn.mode))) handlers[target].push(row);
    else (marks[target ?? sender ?? -1] as number[] | undefined)?.push(row);
    const arrival = delivered >= 0 ? delivered : store.value(row, accept);
    if (sender !== undefined && target !== undefined && arrival >= 0) crossing.push(row);
    last = Math.max(last, sent, delivered >= 0 ? handlerEnd(store, row, axis, now) : 0);
  }
  const by = (offset: number) => (a: number, b: number) => store.value(a, offset) - store.value(b, offset);
  const lanes = cpus.map(({ index, apicId }, lane): Lane => {
    const depths = [new BarList()];
    for (const row of handlers[lane].sort(by(deliver))) {
      const start = store.value(row, deliver);
      let depth = depths.findIndex((list) => list.lastEnd <= start);
      if (depth < 0) depth = depths.push(new BarList()) - 1;
      depths[depth].add(start, handlerEnd(store, row, axis, now), row);
    }
    const moments = marks[lane].map((row) => ({ row, time: momentOf(store, row, axis) })).sort((a, b) => a.time - b.time);
    return {
      cpu: index,
      apicId,
      bars: depths.map((list) => list.finish()),
      marks: { times: Float64Array.from(moments, ({ time }) => time), rows: Int32Array.from(moments, ({ row }) => row) },
    };
  });
  return { lanes, arrows: buildArrows(store, crossing.sort(by(send)), axis, laneOf), first: Math.min(first, last), last };
}

/** The moment of an interrupt without a handler: when it was taken, lost or, so far, accepted or sent. */
function momentOf(store: TimelineStore, row: number, axis: Axis): number {
  for (const stage of ["deliver", "drop", "accept", "send"] as const) {
    const value = store.value(row, stageOffset(stage, axis));
    if (value >= 0) return value;
  }
  return 0;
}

function buildArrows(store: TimelineStore, rows: readonly number[], axis: Axis, laneOf: ReadonlyMap<number, number>): Arrows {
  const count = rows.length;
  const arrows = {
    sends: new Float64Array(count),
    arrivals: new Float64Array(count),
    reach: new Float64Array(count),
    from: new Uint8Array(count),
    to: new Uint8Array(count),
    rows: Int32Array.from(rows),
  };
  let reach = 0;
  for (const [at, row] of rows.entries()) {
    const delivered = store.value(row, stageOffset("deliver", axis));
    arrows.sends[at] = store.value(row, stageOffset("send", axis));
    arrows.arrivals[at] = delivered >= 0 ? delivered : store.value(row, stageOffset("accept", axis));
    reach = Math.max(reach, arrows.arrivals[at]);
    arrows.reach[at] = reach;
    arrows.from[at] = laneOf.get(store.value(row, TimelineColumn.sender)) ?? 0;
    arrows.to[at] = laneOf.get(store.value(row, TimelineColumn.target)) ?? 0;
  }
  return arrows;
}

/** The bar of a row that covers `time`, or ends or begins within `slack` of it, nearest first; -1 for none. */
export function barAt({ starts, ends }: BarRow, time: number, slack: number): number {
  const next = firstAtLeast(ends, time);
  let best = -1;
  let distance = slack;
  for (const bar of [next - 1, next]) {
    if (bar < 0 || bar >= starts.length) continue;
    const away = time < starts[bar] ? starts[bar] - time : time > ends[bar] ? time - ends[bar] : 0;
    if (away <= distance) {
      best = bar;
      distance = away;
    }
  }
  return best;
}
