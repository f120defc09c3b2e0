// Numbers and interrupts in words.
import { TimelineColumn, timelineModes, timelineSources, type TimelinePlace, type TimelineStage } from "../../adapter/timelineProtocol";
import { sourceTexts } from "../../apic/words";
import { stageOffset, type Axis, type TimelineStore } from "./store";

export function hexVector(vector: number): string {
  return `0x${vector.toString(16).padStart(2, "0")}`;
}

/** 1234567 as "1 234 567", with thin spaces. */
export function grouped(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, "\u2009");
}

const timeUnits = [
  { above: 1e9, unit: "s" },
  { above: 1e6, unit: "ms" },
  { above: 1e3, unit: "\u00b5s" },
] as const;

/** A length on the axis: "12.3 µs", or "12 300 instr.". */
export function lengthText(value: number, axis: Axis): string {
  if (axis === "instruction") return `${grouped(value)} instr.`;
  const unit = timeUnits.find(({ above }) => value >= above);
  if (unit === undefined) return `${grouped(value)} ns`;
  const scaled = value / unit.above;
  return `${scaled >= 100 ? scaled.toFixed(0) : scaled >= 10 ? scaled.toFixed(1) : scaled.toFixed(2)} ${unit.unit}`;
}

/** A moment on the axis with as many digits as ticks `step` apart need. */
export function momentText(value: number, axis: Axis, step: number): string {
  if (axis === "instruction") return grouped(value);
  const { above, unit } = timeUnits.find((candidate) => step >= candidate.above / 10) ?? { above: 1, unit: "ns" };
  const digits = above === 1 ? 0 : Math.max(0, Math.ceil(-Math.log10(step / above)));
  const text = (value / above).toFixed(digits);
  const [whole, fraction] = text.split(".");
  return `${grouped(Number(whole))}${fraction === undefined ? "" : `.${fraction}`} ${unit}`;
}

export function sourceOf(store: TimelineStore, row: number): (typeof timelineSources)[number] {
  return timelineSources[store.value(row, TimelineColumn.source)];
}

export function sourceText(source: (typeof timelineSources)[number]): string {
  return sourceTexts[source];
}

/** "0xf0" or, for what has no vector, "NMI". */
export function shortName(store: TimelineStore, row: number): string {
  const mode = timelineModes[store.value(row, TimelineColumn.mode)];
  const vector = store.value(row, TimelineColumn.vector);
  return mode === "fixed" || mode === "lowpri" || (mode === "extint" && vector !== 0) ? hexVector(vector) : mode.toUpperCase();
}

/** "IPI vector 0xf0, CPU 0 → CPU 1". */
export function describeRow(store: TimelineStore, row: number): string {
  const mode = timelineModes[store.value(row, TimelineColumn.mode)];
  const name = shortName(store, row);
  const what = mode === "fixed" ? `vector ${name}` : mode === "lowpri" ? `lowest priority, vector ${name}` : name;
  const sender = store.value(row, TimelineColumn.sender);
  const target = store.value(row, TimelineColumn.target);
  const to = target < 0 ? "nobody" : `CPU ${target}`;
  return `${sourceText(sourceOf(store, row))} ${what}, ${sender < 0 ? `to ${to}` : `CPU ${sender} \u2192 ${to}`}`;
}

/** From acceptance to the handler's start; -1 where there is none. */
export function latencyOf(store: TimelineStore, row: number, axis: Axis): number {
  const accepted = store.value(row, stageOffset("accept", axis));
  const delivered = store.value(row, stageOffset("deliver", axis));
  return accepted < 0 || delivered < 0 ? -1 : delivered - accepted;
}

/** From the handler's start to its return or, where none was seen, its EOI; -1 while it has neither. */
export function handlerTimeOf(store: TimelineStore, row: number, axis: Axis): number {
  const delivered = store.value(row, stageOffset("deliver", axis));
  const returned = store.value(row, stageOffset("return", axis));
  const end = returned >= 0 ? returned : store.value(row, stageOffset("eoi", axis));
  return delivered < 0 || end < 0 ? -1 : end - delivered;
}

/** Where it stands: "ended", "in service", "pending", "dropped: why". */
export function stateText(store: TimelineStore, row: number): string {
  const has = (stage: TimelineStage): boolean => store.stage(row, stage, "instruction") >= 0;
  if (has("drop")) return `dropped${store.reason(row) === undefined ? "" : `: ${store.reason(row)}`}`;
  const into = store.value(row, TimelineColumn.coalescedInto);
  if (into > 0) return `coalesced with #${into}`;
  if (has("return")) return "returned";
  if (has("eoi")) return "ended";
  if (has("deliver")) return "delivered";
  return has("accept") ? "pending" : "sent";
}

/** "apic_write+0x25, apic.c:120". */
export function placeText({ address, symbol, file, line }: TimelinePlace): string {
  const name = file === undefined ? undefined : file.slice(Math.max(file.lastIndexOf("/"), file.lastIndexOf("\\")) + 1);
  return `${symbol ?? address}${name === undefined ? "" : `, ${name}:${line}`}`;
}
