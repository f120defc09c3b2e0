import { countAt, putCount } from "../common/counts";
import { JOURNAL_BYTES, JOURNAL_COUNT, JOURNAL_NEXT_ID, JOURNAL_ROW_BYTES, JOURNAL_ROWS } from "../tcg/layout";

/** Where a journal is: at byte `base`, a multiple of 8, of a buffer. */
export interface JournalPlace {
  readonly buffer: ArrayBufferLike;
  readonly base: number;
}

/**
 * The journal of interrupts (tcg/layout.ts): stages that the engine brought about by itself, which the ledger enters before anything else happens to it or is asked of it. With it is what they
 * both need: the id of the next record.
 */
export class InterruptJournal {
  /** All of it as words, and as the doubles that counts and ids in rows are. */
  readonly i32: Int32Array;
  readonly f64: Float64Array;

  /** `place`: in the engine's memory; where left out, there is no engine. */
  constructor({ buffer, base }: JournalPlace = { buffer: new ArrayBuffer(JOURNAL_BYTES), base: 0 }) {
    this.i32 = new Int32Array(buffer, base, JOURNAL_BYTES / 4);
    this.f64 = new Float64Array(buffer, base, JOURNAL_BYTES / 8);
  }

  /** Rows that have not been taken. */
  get count(): number {
    return this.i32[JOURNAL_COUNT / 4];
  }

  /** Takes all rows: they stay as they are until the engine goes on. Returns how many. */
  take(): number {
    const { count } = this;
    this.i32[JOURNAL_COUNT / 4] = 0;
    return count;
  }

  get nextId(): number {
    return countAt(this.i32, JOURNAL_NEXT_ID / 4);
  }

  set nextId(id: number) {
    putCount(this.i32, JOURNAL_NEXT_ID / 4, id);
  }

  /** Index of the first word of row `index`. */
  row(index: number): number {
    return (JOURNAL_ROWS + index * JOURNAL_ROW_BYTES) >> 2;
  }
}
