import type { RecordQuery } from "../../apic/recordQueries";
import type { Debugger } from "../debugger";
import { senderLines } from "../senderStacks";
import { recordLine } from "./jsonLines";
import { laneEvents, PerfettoWriter } from "./perfetto";

export const exportFormats = ["json", "perfetto"] as const;
/** Lines of JSON, a record each, or a trace that Perfetto and chrome://tracing read. */
export type ExportFormat = (typeof exportFormats)[number];

/** The format that a file's name stands for, as with `run --trace`: Perfetto for .json, else lines of JSON. */
export function formatOf(file: string): ExportFormat {
  return file.endsWith(".json") ? "perfetto" : "json";
}

/** A part of an export. The texts of all pages, one after the other, are the file. */
export interface ExportPage {
  readonly text: string;
  readonly records: number;
  /** Where the next page begins; undefined after the last. */
  readonly next: number | undefined;
}

const recordsPerPage = 1000;

/** Writes records for other programs, oldest first, with symbols and the senders' stacks. */
export class RecordExport {
  private readonly writer: PerfettoWriter;
  private readonly query: RecordQuery;
  /** The record before the first one. */
  private readonly start: number;

  /** Of the records that match `query`, the newest where it has a `limit`. */
  constructor(
    private readonly session: Debugger,
    private readonly format: ExportFormat,
    query: RecordQuery = {},
  ) {
    const { limit, ...all } = query;
    const { ledger } = session.machine;
    this.writer = new PerfettoWriter(session.machine.cpus, session.symbolOf);
    this.query = all;
    this.start = limit === undefined ? 0 : (ledger.records(query).at(0)?.id ?? ledger.lastId + 1) - 1;
  }

  /** The page after record `after` (0: the first). `limit`: records in it, 1 to 1,000. */
  page(after: number, limit = recordsPerPage): ExportPage {
    const { machine, symbols, senderStacks } = this.session;
    const most = Math.min(limit, recordsPerPage);
    const records = machine.ledger.records({ ...this.query, after: Math.max(after, this.start), limit: most });
    const isLast = records.length < most;
    const parts: string[] = [];
    if (this.format === "perfetto" && after === 0) {
      const lanes = laneEvents(machine.cpus).map((event) => JSON.stringify(event));
      parts.push(`{"displayTimeUnit":"ns","traceEvents":[\n${lanes.join(",\n")}`);
    }
    for (const record of records) {
      const stack = senderLines(senderStacks.of(record), symbols);
      if (this.format === "json") parts.push(recordLine(record, stack));
      else for (const event of this.writer.events(record, stack)) parts.push(`,\n${JSON.stringify(event)}`);
    }
    if (this.format === "perfetto" && isLast) parts.push("\n]}\n");
    return { text: parts.join(""), records: records.length, next: isLast ? undefined : records[records.length - 1].id };
  }

  *pages(): Generator<ExportPage> {
    for (let after: number | undefined = 0; after !== undefined;) {
      const page: ExportPage = this.page(after);
      yield page;
      after = page.next;
    }
  }
}
