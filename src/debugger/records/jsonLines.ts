import type { InterruptEvent, InterruptRecord } from "../../apic/events";
import { describeEvent } from "../../apic/text";

/** A stage of an interrupt as one line of JSON: the trace format of `--trace`. 64-bit numbers are text with 0x. */
export function eventLine(event: InterruptEvent): string {
  const { record } = event;
  const stamp = record.stages.find((candidate) => candidate.stage === event.stage) ?? record.stages[record.stages.length - 1];
  return `${JSON.stringify({
    id: record.id,
    stage: event.stage,
    cpu: event.cpu,
    source: record.source,
    mode: record.mode,
    vector: record.vector,
    trigger: record.trigger,
    src: record.src,
    dst: record.dst,
    instruction: stamp.instruction,
    time: stamp.time,
    rip: `0x${stamp.rip.toString(16)}`,
    text: describeEvent(event),
  })}\n`;
}

/** A whole record as one line of JSON, with all its stages and the stack of its sender, innermost function first. */
export function recordLine(record: InterruptRecord, senderStack: readonly string[] = []): string {
  const stages = record.stages.map((stamp) => ({ ...stamp, rip: `0x${stamp.rip.toString(16)}` }));
  return `${JSON.stringify({ ...record, stages, ...(senderStack.length === 0 ? {} : { senderStack }) })}\n`;
}
