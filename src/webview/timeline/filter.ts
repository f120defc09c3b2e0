// Which interrupts are shown: by vector and by CPU.
import { TimelineColumn } from "../../adapter/timelineProtocol";
import type { TimelineStore } from "./store";

export interface TimelineFilter {
  /** Vectors shown; undefined: all. */
  readonly vectors: ReadonlySet<number> | undefined;
  /** CPUs hidden. */
  readonly hiddenCpus: ReadonlySet<number>;
}

export const showAll: TimelineFilter = { vectors: undefined, hiddenCpus: new Set() };

/** Reads "0xf0, 32-47": the vectors; undefined for all when it is empty; an error in words when it cannot be read. */
export function parseVectors(text: string): ReadonlySet<number> | undefined | { readonly problem: string } {
  if (text.trim() === "") return undefined;
  const vectors = new Set<number>();
  for (const part of text.split(/[,\s]+/).filter((word) => word !== "")) {
    const match = /^(0x[0-9a-f]+|\d+)(?:-(0x[0-9a-f]+|\d+))?$/i.exec(part);
    const first = match === null ? NaN : Number(match[1]);
    const last = match?.[2] === undefined ? first : Number(match[2]);
    if (!(first >= 0 && last <= 255 && first <= last))
      return { problem: `"${part}" is no vector or range of vectors from 0 to 255 (0xff), such as 0xf0 or 0x20-0x2f.` };
    for (let vector = first; vector <= last; vector++) vectors.add(vector);
  }
  return vectors;
}

/** Rows that the filter lets through. An interrupt is of the CPU that it is for or, where that does not exist, of its sender. */
export function shownRows(store: TimelineStore, { vectors, hiddenCpus }: TimelineFilter): Int32Array {
  const shown = new Int32Array(store.rows);
  let count = 0;
  for (let row = 0; row < store.rows; row++) {
    if (vectors !== undefined && !vectors.has(store.value(row, TimelineColumn.vector))) continue;
    const target = store.value(row, TimelineColumn.target);
    const cpu = target >= 0 ? target : store.value(row, TimelineColumn.sender);
    if (hiddenCpus.has(cpu)) continue;
    shown[count++] = row;
  }
  return shown.subarray(0, count);
}
