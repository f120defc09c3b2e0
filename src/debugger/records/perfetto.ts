import type { InterruptRecord, StageStamp } from "../../apic/events";
import { hex } from "../numbers";
import { CpuNames } from "../words";

/** An event of the Chrome trace format, which Perfetto reads ("Trace Event Format", the JSON array form). Times are microseconds. */
export interface TraceEvent {
  readonly name: string;
  readonly ph: "X" | "i" | "s" | "f" | "M";
  readonly pid: number;
  readonly tid: number;
  readonly ts?: number;
  readonly dur?: number;
  readonly id?: number;
  readonly bp?: "e";
  readonly s?: "t";
  readonly cat?: string;
  readonly args?: Readonly<Record<string, unknown>>;
}

const pid = 1;
/** The lane of sources that are no CPU. */
const deviceLane = 1000;
/** Length of the slice that an arrow begins or ends at where there is no handler, in microseconds. */
const mark = 0.001;

const lane = (cpu: number): number => (cpu < 0 ? deviceLane : cpu + 1);
const microseconds = (nanoseconds: number): number => nanoseconds / 1000;

/** Names of the lanes: one a CPU, and one for devices and timers. */
export function laneEvents(cpus: readonly { readonly index: number; readonly apicId: number }[]): TraceEvent[] {
  const name = (tid: number, text: string): TraceEvent => ({ name: "thread_name", ph: "M", pid, tid, args: { name: text } });
  return [
    { name: "process_name", ph: "M", pid, tid: 0, args: { name: "guest" } },
    ...cpus.map((cpu) => name(lane(cpu.index), `CPU ${cpu.index} (APIC ${cpu.apicId})`)),
    name(deviceLane, "Devices and timers"),
  ];
}

/** What a record looks like on the timeline. `handlerEnd` is the time of its return or, without one, of its EOI. */
export class PerfettoWriter {
  private readonly names: CpuNames;

  constructor(
    private readonly cpus: readonly { readonly index: number; readonly apicId: number }[],
    private readonly symbolOf: (address: bigint) => string | undefined,
  ) {
    this.names = new CpuNames(cpus);
  }

  /** The record as it stands: a bar for its handler, an arrow from its sender, a mark where it was lost. */
  events(record: InterruptRecord, senderStack: readonly string[] = []): TraceEvent[] {
    const at = (stage: StageStamp["stage"]): StageStamp | undefined => record.stages.find((stamp) => stamp.stage === stage);
    const send = at("send");
    if (send === undefined) return [];
    const target = this.cpus.find((cpu) => cpu.apicId === record.dst)?.index ?? -1;
    const text = this.names.record(record);
    const args = { ...this.details(record), ...(senderStack.length === 0 ? {} : { senderStack }) };
    const sender = lane(send.cpu);
    const drop = at("drop");
    const deliver = at("deliver");
    const events: TraceEvent[] = [];
    if (drop !== undefined)
      events.push({ name: `dropped: ${text}`, ph: "i", s: "t", cat: "drop", pid, tid: sender, ts: microseconds(drop.time), args });
    if (deliver === undefined) {
      if (drop === undefined)
        events.push({
          name: `pending: ${text}`,
          ph: "i",
          s: "t",
          cat: record.source,
          pid,
          tid: lane(target),
          ts: microseconds(send.time),
          args,
        });
      return events;
    }
    const end = at("return") ?? at("eoi");
    const start = microseconds(deliver.time);
    const name =
      record.mode === "fixed" || record.mode === "lowpri" || record.mode === "extint"
        ? `${hex(record.vector, 2)} ${record.source}`
        : record.mode.toUpperCase();
    const dur = end === undefined ? mark : Math.max(mark, microseconds(end.time) - start);
    events.push({ name, ph: "X", cat: record.source, pid, tid: lane(target), ts: start, dur, args });
    if (send.cpu >= 0) {
      const ts = microseconds(send.time);
      events.push({ name: `send ${name}`, ph: "X", cat: "send", pid, tid: sender, ts, dur: mark, args });
      events.push({ name: "interrupt", ph: "s", cat: "interrupt", id: record.id, pid, tid: sender, ts });
      events.push({ name: "interrupt", ph: "f", bp: "e", cat: "interrupt", id: record.id, pid, tid: lane(target), ts: start });
    }
    return events;
  }

  private details(record: InterruptRecord): Readonly<Record<string, unknown>> {
    const instruction = (stage: StageStamp["stage"]): number | undefined =>
      record.stages.find((stamp) => stamp.stage === stage)?.instruction;
    const accept = instruction("accept");
    const deliver = instruction("deliver");
    const { cpu, rip } = record.stages[0];
    return {
      record: record.id,
      text: this.names.record(record),
      stages: Object.fromEntries(record.stages.map((stamp) => [stamp.stage, stamp.instruction])),
      ...(accept === undefined || deliver === undefined ? {} : { latencyInstructions: deliver - accept }),
      ...(cpu < 0 ? {} : { sender: `${hex(rip, 16)}${this.symbolOf(rip) === undefined ? "" : ` <${this.symbolOf(rip)}>`}` }),
      ...(record.dropReason === undefined ? {} : { dropped: record.dropReason }),
    };
  }
}

/** The whole trace of `records` as the text of a JSON file. */
export function perfettoTrace(
  records: readonly InterruptRecord[],
  cpus: readonly { readonly index: number; readonly apicId: number }[],
  symbolOf: (address: bigint) => string | undefined,
): string {
  const writer = new PerfettoWriter(cpus, symbolOf);
  const events = [...laneEvents(cpus), ...records.flatMap((record) => writer.events(record))];
  return `{"displayTimeUnit":"ns","traceEvents":[\n${events.map((event) => JSON.stringify(event)).join(",\n")}\n]}\n`;
}
