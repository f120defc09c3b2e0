// The webview's copy of the book of interrupts: one flat table, a row an interrupt, as TimelineColumn says. Flat and mutable, since
// a hundred thousand rows are gone through at each change of the filter.
import {
  TimelineColumn,
  timelineRowLength,
  timelineStages,
  type TimelinePage,
  type TimelinePlace,
  type TimelineStage,
} from "../../adapter/timelineProtocol";

/** Rows kept; when there are more, the oldest quarter goes. */
const maximumRows = 200_000;

/** What the time axis counts. */
export type Axis = "time" | "instruction";

/** Offset of a stage's value in a row. */
export function stageOffset(stage: TimelineStage, axis: Axis): number {
  return TimelineColumn.stages + 2 * timelineStages.indexOf(stage) + (axis === "time" ? 1 : 0);
}

const length = timelineRowLength;
const ids = TimelineColumn.id;

export class TimelineStore {
  private table = new Float64Array(1024 * length);
  private count = 0;
  private readonly indexOfId = new Map<number, number>();
  private readonly placeNumbers = new Map<string, number>();
  private readonly reasonNumbers = new Map<string, number>();
  readonly places: TimelinePlace[] = [];
  readonly reasons: string[] = [];
  cpus: TimelinePage["cpus"] = [];
  now = { instruction: 0, time: 0 };
  running = false;
  /** Rows that no longer fitted. */
  forgotten = 0;
  /** Grows with each page that brought rows. */
  revision = 0;

  constructor(private readonly limit = maximumRows) {}

  get rows(): number {
    return this.count;
  }

  /** A value of a row; `column` as in TimelineColumn, or what {@link stageOffset} gives. */
  value(row: number, column: number): number {
    return this.table[row * length + column];
  }

  /** Value of a stage; -1 where it did not happen. */
  stage(row: number, stage: TimelineStage, axis: Axis): number {
    return this.table[row * length + stageOffset(stage, axis)];
  }

  /** Row of the record with this id; -1 if there is none. */
  find(id: number): number {
    return this.indexOfId.get(id) ?? -1;
  }

  place(row: number, column: "sentAt" | "handler" | "endedAt"): TimelinePlace | undefined {
    const number = this.value(row, TimelineColumn[column]);
    return number === 0 ? undefined : this.places[number - 1];
  }

  reason(row: number): string | undefined {
    const number = this.value(row, TimelineColumn.dropReason);
    return number === 0 ? undefined : this.reasons[number - 1];
  }

  clear(): void {
    this.count = 0;
    this.forgotten = 0;
    this.indexOfId.clear();
    this.placeNumbers.clear();
    this.reasonNumbers.clear();
    this.places.length = 0;
    this.reasons.length = 0;
  }

  /** Takes in a page: new rows are added, known ones replaced. */
  take(page: TimelinePage): void {
    if (page.restarted) this.clear();
    if (page.restarted || page.rows.length > 0) this.revision++;
    this.cpus = page.cpus;
    this.now = page.now;
    this.running = page.running;
    const places = page.places.map((place) => this.number(this.placeNumbers, this.places, place.address, place));
    const reasons = page.reasons.map((reason) => this.number(this.reasonNumbers, this.reasons, reason, reason));
    const { rows } = page;
    for (let from = 0; from + length <= rows.length; from += length) {
      const row = this.rowFor(rows[from + ids]);
      const at = row * length;
      for (let column = 0; column < length; column++) this.table[at + column] = rows[from + column];
      for (const column of [TimelineColumn.sentAt, TimelineColumn.handler, TimelineColumn.endedAt])
        if (rows[from + column] > 0) this.table[at + column] = places[rows[from + column] - 1];
      const reason = rows[from + TimelineColumn.dropReason];
      if (reason > 0) this.table[at + TimelineColumn.dropReason] = reasons[reason - 1];
    }
  }

  /** Everything as one page, which {@link take} reads again: for keeping it in a file. `point` leads nowhere. */
  toPage(): TimelinePage {
    const { cpus, now, places, reasons } = this;
    const rows = Array.from(this.table.subarray(0, this.count * length));
    return { point: { sequence: 0, digest: 0 }, restarted: true, more: false, rows, places, reasons, cpus, now, running: false };
  }

  private number<Entry>(numbers: Map<string, number>, list: Entry[], key: string, entry: Entry): number {
    let number = numbers.get(key);
    if (number === undefined) {
      number = list.push(entry);
      numbers.set(key, number);
    } else {
      list[number - 1] = entry;
    }
    return number;
  }

  private rowFor(id: number): number {
    const known = this.indexOfId.get(id);
    if (known !== undefined) return known;
    if (this.count >= this.limit) this.forgetOldest();
    if ((this.count + 1) * length > this.table.length) {
      const larger = new Float64Array(this.table.length * 2);
      larger.set(this.table);
      this.table = larger;
    }
    this.indexOfId.set(id, this.count);
    return this.count++;
  }

  private forgetOldest(): void {
    const byId = [...this.indexOfId.keys()].sort((a, b) => a - b);
    const threshold = byId[byId.length >> 2];
    let kept = 0;
    this.indexOfId.clear();
    for (let row = 0; row < this.count; row++) {
      const id = this.table[row * length + ids];
      if (id < threshold) continue;
      this.table.copyWithin(kept * length, row * length, (row + 1) * length);
      this.indexOfId.set(id, kept++);
    }
    this.forgotten += this.count - kept;
    this.count = kept;
  }
}
