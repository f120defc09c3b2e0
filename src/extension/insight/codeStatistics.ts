// Statistics of interrupts by the line of code that sent, handled or ended them. Knows nothing of VS Code.
import { TimelineColumn, type TimelinePlace } from "../../adapter/timelineProtocol";
import { spread, type Spread } from "../../webview/timeline/statistics";
import type { TimelineStore } from "../../webview/timeline/store";
import { handlerTimeOf, latencyOf, lengthText, shortName, sourceOf, sourceText } from "../../webview/timeline/words";

export type PlaceRole = "sender" | "handler" | "end";

export interface LineStatistics {
  /** From 1. */
  readonly line: number;
  readonly role: PlaceRole;
  /** "0xf0", "NMI", in order. */
  readonly names: readonly string[];
  readonly vectors: readonly number[];
  readonly sources: readonly string[];
  /** CPUs: those that it was sent to, or on which it was handled or ended. */
  readonly cpus: readonly number[];
  readonly count: number;
  readonly dropped: number;
  /** In instructions of the machine. */
  readonly latency: Spread | undefined;
  readonly handlerTime: Spread | undefined;
}

const roles = { sender: "sentAt", handler: "handler", end: "endedAt" } as const;

/** Makes what is compared of a path: separators and, on Windows, drive letters may differ. */
export function pathKey(path: string): string {
  const plain = path.replaceAll("\\", "/");
  return /^[a-z]:/i.test(plain) ? plain.toLowerCase() : plain;
}

/** Statistics of all lines that interrupts touched, by file. One pass over the store. */
export function statisticsByFile(store: TimelineStore): ReadonlyMap<string, readonly LineStatistics[]> {
  const groups = new Map<string, { readonly place: TimelinePlace; readonly role: PlaceRole; readonly rows: number[] }>();
  for (let row = 0; row < store.rows; row++) {
    for (const role of ["sender", "handler", "end"] as const) {
      const number = store.value(row, TimelineColumn[roles[role]]);
      if (number === 0) continue;
      // An ICR write is worth a note, and so is a write to a pin or an MSI; that an LVT timer ran out is nobody's line.
      const place = store.places[number - 1];
      if (place.file === undefined || place.line === undefined) continue;
      // What has not been delivered has not been handled.
      if (role === "handler" && store.stage(row, "deliver", "instruction") < 0) continue;
      const key = `${role} ${place.line} ${place.file}`;
      const group = groups.get(key);
      if (group === undefined) groups.set(key, { place, role, rows: [row] });
      else group.rows.push(row);
    }
  }
  const files = new Map<string, LineStatistics[]>();
  for (const { place, role, rows } of groups.values()) {
    const key = pathKey(place.file ?? "");
    const list = files.get(key) ?? [];
    list.push(lineOf(store, place, role, rows));
    files.set(key, list);
  }
  for (const list of files.values()) list.sort((a, b) => a.line - b.line);
  return files;
}

function lineOf(store: TimelineStore, place: TimelinePlace, role: PlaceRole, rows: readonly number[]): LineStatistics {
  const unique = <T>(of: (row: number) => T): T[] => [...new Set(rows.map(of))];
  return {
    line: place.line ?? 0,
    role,
    names: unique((row) => shortName(store, row)).sort(),
    vectors: unique((row) => store.value(row, TimelineColumn.vector)).sort((a, b) => a - b),
    sources: unique((row) => sourceText(sourceOf(store, row))).sort(),
    cpus: unique((row) => store.value(row, TimelineColumn.target))
      .filter((cpu) => cpu >= 0)
      .sort((a, b) => a - b),
    count: rows.length,
    dropped: rows.filter((row) => store.stage(row, "drop", "instruction") >= 0).length,
    latency: spread(rows.map((row) => latencyOf(store, row, "instruction")).filter((value) => value >= 0)),
    handlerTime: spread(rows.map((row) => handlerTimeOf(store, row, "instruction")).filter((value) => value >= 0)),
  };
}

/** A few of a list, and how many more: "0x20, 0x21, 0x22 and 5 more". */
function few(list: readonly (string | number)[], most = 3): string {
  const shown = list.slice(0, most).join(", ");
  return list.length > most ? `${shown} and ${list.length - most} more` : shown;
}

const times = (count: number): string => (count === 1 ? "once" : `${count} times`);

/** A line's statistics in words, as a CodeLens has them. */
export function statisticsText(line: LineStatistics): string {
  const { role, names, sources, cpus, count, dropped, latency, handlerTime } = line;
  const parts: string[] = [];
  const on = cpus.length === 0 ? "nobody" : `CPU ${few(cpus)}`;
  switch (role) {
    case "sender":
      parts.push(`Sent ${few(names)} to ${on} ${times(count)}`);
      break;
    case "handler":
      parts.push(`${few(sources)} ${few(names)}: handled ${times(count)} on ${on}`);
      break;
    case "end":
      parts.push(`EOI of ${few(names)}: ${times(count)} on ${on}`);
      break;
  }
  if (dropped > 0) parts.push(`${dropped} dropped`);
  const spreadText = ({ median, p99 }: Spread): string =>
    median === p99
      ? lengthText(median, "instruction")
      : `median ${lengthText(median, "instruction")}, p99 ${lengthText(p99, "instruction")}`;
  if (role !== "end" && latency !== undefined) parts.push(`latency ${spreadText(latency)}`);
  if (role === "handler" && handlerTime !== undefined) parts.push(`handler ${spreadText(handlerTime)}`);
  return parts.join(" \u00b7 ");
}
