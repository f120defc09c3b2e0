import type { InterruptEvent, InterruptRecord, InterruptSource, InterruptStorm } from "./events";
import { hex, modeText } from "./registerViews";
import { sourceTexts, stageTexts } from "./words";

/** A source in words: "APIC timer". */
export const sourceText = (source: InterruptSource): string => sourceTexts[source];

const apicName = (apicId: number): string => `APIC ${apicId}`;

/** What was sent, from where to where: "IPI vector 0xf0, APIC 0 -> APIC 1". `name` says how to call an APIC id. */
export function describeRecord(record: InterruptRecord, name: (apicId: number) => string = apicName): string {
  const { source, mode, vector } = record;
  const what =
    mode === "fixed"
      ? `vector ${hex(vector)}`
      : mode === "lowpri"
        ? `lowest priority, vector ${hex(vector)}`
        : mode === "sipi"
          ? `${modeText(mode)} at ${hex(vector * 4096, 5)}`
          : mode === "extint" && vector !== 0
            ? `${modeText(mode)}, vector ${hex(vector)}`
            : modeText(mode);
  const to = record.dst < 0 ? "nobody" : name(record.dst);
  const route = record.src < 0 ? `to ${to}` : `${name(record.src)} -> ${to}`;
  return `${sourceTexts[source]} ${what}, ${route}`;
}

/** An event in words: "IPI vector 0xf0, APIC 0 -> APIC 1, delivered". */
export function describeEvent(event: Pick<InterruptEvent, "stage" | "record">, name: (apicId: number) => string = apicName): string {
  const { stage, record } = event;
  const shared = stage === "accept" && record.coalescedInto !== undefined ? `, coalesced with interrupt ${record.coalescedInto}` : "";
  const why = stage === "drop" && record.dropReason !== undefined ? `: ${record.dropReason}` : "";
  return `${describeRecord(record, name)}, ${stageTexts[stage]}${shared}${why}`;
}

/** A storm in words. */
export function describeStorm(storm: InterruptStorm): string {
  const from = storm.src < 0 ? "" : ` from APIC ${storm.src}`;
  return (
    `Interrupt storm at CPU ${storm.cpu}: ${storm.deliveries} deliveries within ${storm.instructions} instructions, ` +
    `most of them ${sourceTexts[storm.source]} ${modeText(storm.mode)} vector ${hex(storm.vector)}${from}`
  );
}
