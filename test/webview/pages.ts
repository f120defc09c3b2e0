// Made-up pages of the book of interrupts.
import {
  TimelineColumn,
  timelineModes,
  timelineRowLength,
  timelineSources,
  timelineStages,
  type TimelinePage,
  type TimelineStage,
} from "../../src/adapter/timelineProtocol";

export interface Row {
  readonly id: number;
  readonly vector?: number;
  readonly source?: (typeof timelineSources)[number];
  readonly mode?: (typeof timelineModes)[number];
  readonly sender?: number;
  readonly target?: number;
  readonly sentAt?: number;
  readonly handler?: number;
  readonly dropReason?: number;
  /** Instruction of each stage; virtual time is ten times that. */
  readonly stages: Partial<Record<TimelineStage, number>>;
}

export function numbers(row: Row): number[] {
  const list = new Array<number>(timelineRowLength).fill(0);
  list[TimelineColumn.id] = row.id;
  list[TimelineColumn.sendId] = row.id;
  list[TimelineColumn.source] = timelineSources.indexOf(row.source ?? "ipi");
  list[TimelineColumn.mode] = timelineModes.indexOf(row.mode ?? "fixed");
  list[TimelineColumn.vector] = row.vector ?? 0xf0;
  list[TimelineColumn.sender] = row.sender ?? -1;
  list[TimelineColumn.target] = row.target ?? 0;
  list[TimelineColumn.sentAt] = row.sentAt ?? 0;
  list[TimelineColumn.handler] = row.handler ?? 0;
  list[TimelineColumn.dropReason] = row.dropReason ?? 0;
  for (const [index, stage] of timelineStages.entries()) {
    const instruction = row.stages[stage];
    list[TimelineColumn.stages + 2 * index] = instruction ?? -1;
    list[TimelineColumn.stages + 2 * index + 1] = instruction === undefined ? -1 : instruction * 10;
  }
  return list;
}

export function pageOf(rows: readonly Row[], more: Partial<TimelinePage> = {}): TimelinePage {
  return {
    point: { sequence: rows.length, digest: 1 },
    restarted: false,
    more: false,
    rows: rows.flatMap(numbers),
    places: [],
    reasons: [],
    cpus: [0, 1, 2, 3].map((index) => ({ index, apicId: index })),
    now: { instruction: 1_000_000, time: 10_000_000 },
    running: false,
    ...more,
  };
}

/** A busy machine: `count` interrupts on four CPUs, IPIs and timers, some nested, one in a hundred dropped. */
export function busyRows(count: number): Row[] {
  const rows: Row[] = [];
  for (let id = 1; id <= count; id++) {
    const target = id % 4;
    const sent = id * 50 + ((id * 7919) % 37);
    const ipi = id % 3 === 0;
    const common = {
      id,
      target,
      ...(ipi ? { sender: (id + 1) % 4 } : {}),
      source: ipi ? ("ipi" as const) : ("timer" as const),
      vector: 0x20 + (id % 64),
    };
    if (id % 100 === 99) rows.push({ ...common, dropReason: 1, stages: { send: sent, drop: sent } });
    else
      rows.push({
        ...common,
        stages: {
          send: sent,
          accept: sent + 1,
          request: sent + 1,
          deliver: sent + 3 + (id % 11),
          eoi: sent + 60,
          return: sent + 65 + (id % 150),
        },
      });
  }
  return rows;
}
