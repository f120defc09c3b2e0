// The shown interrupts as a file for Perfetto ("Trace Event Format", the JSON object form; times in microseconds): made from what
// the panel has, so that it works after the session's end and holds what the filter shows.
import { TimelineColumn } from "../../adapter/timelineProtocol";
import { handlerEnd } from "./lanes";
import type { TimelineStore } from "./store";
import { describeRow, latencyOf, placeText, shortName, sourceOf, stateText } from "./words";

const process = 1;
/** Length of a slice that an arrow begins at, in microseconds. */
const mark = 0.001;

export function perfettoText(store: TimelineStore, rows: Int32Array): string {
  const lines: string[] = [];
  const add = (event: object): void => void lines.push(JSON.stringify(event));
  const name = (tid: number, text: string): void => add({ name: "thread_name", ph: "M", pid: process, tid, args: { name: text } });
  add({ name: "process_name", ph: "M", pid: process, tid: 0, args: { name: "guest" } });
  for (const { index, apicId } of store.cpus) name(index + 1, `CPU ${index} (APIC ${apicId})`);
  for (const row of rows) {
    const id = store.value(row, TimelineColumn.id);
    const target = store.value(row, TimelineColumn.target);
    const sender = store.value(row, TimelineColumn.sender);
    const sent = store.stage(row, "send", "time") / 1000;
    const delivered = store.stage(row, "deliver", "time");
    const place = store.place(row, "sentAt");
    const args = {
      record: id,
      text: describeRow(store, row),
      state: stateText(store, row),
      latencyInstructions: latencyOf(store, row, "instruction"),
      ...(place === undefined ? {} : { sender: placeText(place) }),
    };
    const at = { pid: process, cat: sourceOf(store, row) };
    if (delivered < 0) {
      add({
        ...at,
        name: `${stateText(store, row)}: ${shortName(store, row)}`,
        ph: "i",
        s: "t",
        tid: Math.max(target, sender, 0) + 1,
        ts: sent,
        args,
      });
      continue;
    }
    const start = delivered / 1000;
    const end = handlerEnd(store, row, "time", store.now.time) / 1000;
    add({ ...at, name: shortName(store, row), ph: "X", tid: target + 1, ts: start, dur: Math.max(mark, end - start), args });
    if (sender < 0) continue;
    add({ ...at, name: `send ${shortName(store, row)}`, ph: "X", tid: sender + 1, ts: sent, dur: mark, args });
    add({ ...at, name: "interrupt", ph: "s", id, tid: sender + 1, ts: sent });
    add({ ...at, name: "interrupt", ph: "f", bp: "e", id, tid: target + 1, ts: start });
  }
  return `{"displayTimeUnit":"ns","traceEvents":[\n${lines.join(",\n")}\n]}\n`;
}
