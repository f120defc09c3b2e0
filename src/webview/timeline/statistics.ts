// The numbers of a selection: by vector and CPU, how many, how often, how late and how long.
import { TimelineColumn } from "../../adapter/timelineProtocol";
import { stageOffset, type Axis, type TimelineStore } from "./store";
import { handlerTimeOf, latencyOf, shortName, sourceOf, sourceText } from "./words";

/** Spread of a set of lengths; undefined where the set is empty. */
export interface Spread {
  readonly median: number;
  readonly p99: number;
  readonly maximum: number;
  readonly total: number;
}

export interface StatisticsRow {
  readonly name: string;
  readonly vector: number;
  readonly cpu: number;
  readonly sources: string;
  readonly handler: string;
  readonly count: number;
  readonly dropped: number;
  /** A second of virtual time. */
  readonly rate: number;
  readonly latency: Spread | undefined;
  readonly handlerTime: Spread | undefined;
}

/** The value that a part of an ascending list does not exceed: the smallest that at least `part` of the entries are at most. */
export function percentile(ascending: Float64Array, part: number): number {
  return ascending[Math.max(0, Math.ceil(part * ascending.length) - 1)];
}

export function spread(values: number[]): Spread | undefined {
  if (values.length === 0) return undefined;
  const ascending = Float64Array.from(values).sort();
  return {
    median: percentile(ascending, 0.5),
    p99: percentile(ascending, 0.99),
    maximum: ascending[ascending.length - 1],
    total: ascending.reduce((sum, value) => sum + value, 0),
  };
}

/** Statistics of rows sent within [first, last] of the axis, by vector (or mode) and target CPU, by name and CPU. */
export function statistics(store: TimelineStore, rows: Int32Array, axis: Axis, first: number, last: number): StatisticsRow[] {
  const send = stageOffset("send", axis);
  const sendTime = stageOffset("send", "time");
  const groups = new Map<number, number[]>();
  let from = Infinity;
  let to = -Infinity;
  for (const row of rows) {
    const sent = store.value(row, send);
    if (sent < first || sent > last) continue;
    const mode = store.value(row, TimelineColumn.mode);
    const key = ((mode > 1 ? 256 + mode : store.value(row, TimelineColumn.vector)) << 8) | (store.value(row, TimelineColumn.target) + 1);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [row]);
    else group.push(row);
    from = Math.min(from, store.value(row, sendTime));
    to = Math.max(to, store.value(row, sendTime));
  }
  const seconds = (to - from) / 1e9;
  return [...groups.entries()].sort(([a], [b]) => a - b).map(([, group]) => groupRow(store, group, axis, seconds));
}

function groupRow(store: TimelineStore, group: readonly number[], axis: Axis, seconds: number): StatisticsRow {
  const one = group[group.length - 1];
  const handler = store.place(one, "handler");
  return {
    name: shortName(store, one),
    vector: store.value(one, TimelineColumn.vector),
    cpu: store.value(one, TimelineColumn.target),
    sources: [...new Set(group.map((row) => sourceText(sourceOf(store, row))))].sort().join(", "),
    handler: handler === undefined ? "" : (handler.symbol ?? handler.address),
    count: group.length,
    dropped: group.filter((row) => store.stage(row, "drop", "instruction") >= 0).length,
    rate: seconds > 0 ? group.length / seconds : 0,
    latency: spread(group.map((row) => latencyOf(store, row, axis)).filter((value) => value >= 0)),
    handlerTime: spread(group.map((row) => handlerTimeOf(store, row, axis)).filter((value) => value >= 0)),
  };
}
