import type { InterruptRecord, Stage, StageStamp } from "../../apic/events";
import { modes, sources, stages } from "../../apic/recordStore";
import type { CoursePoint } from "../../apic/recordQueries";
import { fileName } from "../diagnosis/causes";
import { readGate } from "../inspect/gates";
import { hex64 } from "../numbers";
import type { SymbolStore } from "../symbols/table";
import type { DebugMachine } from "../target";

/** A place in code with what is known of it. */
export interface CodePlace {
  readonly address: string;
  readonly symbol?: string;
  readonly file?: string;
  readonly line?: number;
}

/** A page of the book of interrupts, as tables of plain numbers: `rows` holds {@link rowLength} numbers a record. */
export interface RecordPage {
  readonly point: CoursePoint;
  readonly restarted: boolean;
  readonly more: boolean;
  readonly rows: number[];
  readonly places: CodePlace[];
  readonly reasons: string[];
}

/** Numbers of a row: id, sendId, source, mode, vector, level, sender, target, coalescedInto, three places, reason; then two a stage. */
export const rowLength = 13 + 2 * stages.length;

/** What is known of the code at `address`. */
export function codePlace(symbols: SymbolStore, address: bigint): CodePlace {
  const symbol = symbols.describe(address);
  const line = symbols.lineAt(address);
  return {
    address: hex64(address),
    ...(symbol === undefined ? {} : { symbol }),
    ...(line === undefined ? {} : { file: line.file, line: line.line }),
  };
}

/** A place in few words: "apic_write+0x25, apic.c:120". */
export function placeWords({ address, symbol, file, line }: CodePlace): string {
  const at = file === undefined ? "" : `, ${fileName(file)}:${line}`;
  return `${symbol ?? address}${at}`;
}

/** Numbers things by a key, from 1. */
class Table<Key, Entry> {
  readonly entries: Entry[] = [];
  private readonly numbers = new Map<Key, number>();

  constructor(private readonly make: (key: Key) => Entry) {}

  number(key: Key): number {
    let number = this.numbers.get(key);
    if (number === undefined) {
      number = this.entries.push(this.make(key));
      this.numbers.set(key, number);
    }
    return number;
  }
}

/** Turns records into rows. One instance holds for one page: gates of the IDT are read once. */
class RowWriter {
  readonly rows: number[] = [];
  readonly places: Table<bigint, CodePlace>;
  readonly reasons = new Table<string, string>((text) => text);
  private readonly cpuByApicId: ReadonlyMap<number, number>;
  private readonly handlers = new Map<number, number>();

  constructor(
    private readonly machine: Pick<DebugMachine, "cpus">,
    symbols: SymbolStore,
  ) {
    this.places = new Table((address) => codePlace(symbols, address));
    this.cpuByApicId = new Map(machine.cpus.map((cpu) => [cpu.apicId, cpu.index]));
  }

  add(record: InterruptRecord): void {
    const at = (stage: Stage): StageStamp | undefined => record.stages.find((stamp) => stamp.stage === stage);
    const place = (stamp: StageStamp | undefined): number => (stamp === undefined || stamp.cpu < 0 ? 0 : this.places.number(stamp.rip));
    const target = this.cpuByApicId.get(record.dst) ?? -1;
    const hasVector = record.mode === "fixed" || record.mode === "lowpri" || record.mode === "extint" || record.mode === "nmi";
    this.rows.push(
      record.id,
      record.sendId,
      sources.indexOf(record.source),
      modes.indexOf(record.mode),
      record.vector,
      record.trigger === "level" ? 1 : 0,
      this.cpuByApicId.get(record.src) ?? -1,
      target,
      record.coalescedInto ?? 0,
      place(at("send")),
      target < 0 || !hasVector ? 0 : this.handler(target, record.mode === "nmi" ? 2 : record.vector),
      place(at("eoi")),
      record.dropReason === undefined ? 0 : this.reasons.number(record.dropReason),
    );
    for (const stage of stages) {
      const stamp = at(stage);
      this.rows.push(stamp?.instruction ?? -1, stamp?.time ?? -1);
    }
  }

  /** The handler that the CPU's IDT names now. */
  private handler(cpu: number, vector: number): number {
    const key = cpu * 256 + vector;
    let number = this.handlers.get(key);
    if (number === undefined) {
      const gate = readGate(this.machine.cpus[cpu], vector);
      const known = typeof gate === "object" && gate.present && gate.raw !== 0n;
      number = known ? this.places.number(gate.offset) : 0;
      this.handlers.set(key, number);
    }
    return number;
  }
}

/** What has changed in the book of interrupts since a point, at most `limit` records. */
export function recordPage(
  machine: Pick<DebugMachine, "cpus" | "ledger">,
  symbols: SymbolStore,
  since: CoursePoint,
  limit: number,
): RecordPage {
  const { point, restarted, more, records } = machine.ledger.changes(since, limit);
  const writer = new RowWriter(machine, symbols);
  for (const record of records) writer.add(record);
  return { point, restarted, more, rows: writer.rows, places: writer.places.entries, reasons: writer.reasons.entries };
}
