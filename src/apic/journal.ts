import { countAt, putCount } from "../common/counts";
import {
  JOURNAL_BYTES,
  JOURNAL_COMPLETE,
  JOURNAL_COUNT,
  JOURNAL_DELIVERED,
  JOURNAL_ENDED,
  JOURNAL_NEXT_ID,
  JOURNAL_REQUESTED,
  JOURNAL_RETURNED,
  JOURNAL_ROW_BYTES,
  JOURNAL_ROWS,
  JOURNAL_SERVED,
  ROW_APIC_ID,
  ROW_CPU,
  ROW_END_INSTRUCTION,
  ROW_END_RIP,
  ROW_INSTRUCTION,
  ROW_KIND,
  ROW_RECORD,
  ROW_RETIRED,
  ROW_RETURN,
  ROW_RETURN_INSTRUCTION,
  ROW_RETURN_RIP,
  ROW_RIP,
  ROW_VECTOR,
} from "../tcg/layout";

/** Indexes of words. */
const COUNT = JOURNAL_COUNT / 4;
const NEXT_ID = JOURNAL_NEXT_ID / 4;
const ROWS = JOURNAL_ROWS / 4;
const ROW_WORDS = JOURNAL_ROW_BYTES / 4;

/** Words of a row, its doubles, and its kinds: for a loop that reads them once (see recordLayout). */
export const rowLayout = {
  WORDS: ROW_WORDS,
  KIND: ROW_KIND / 4,
  CPU: ROW_CPU / 4,
  VECTOR: ROW_VECTOR / 4,
  APIC_ID: ROW_APIC_ID / 4,
  RIP: ROW_RIP / 4,
  RETURN: ROW_RETURN / 4,
  END_RIP: ROW_END_RIP / 4,
  RETURN_RIP: ROW_RETURN_RIP / 4,
  RECORD: ROW_RECORD / 8,
  INSTRUCTION: ROW_INSTRUCTION / 8,
  RETIRED: ROW_RETIRED / 8,
  END_INSTRUCTION: ROW_END_INSTRUCTION / 8,
  RETURN_INSTRUCTION: ROW_RETURN_INSTRUCTION / 8,
  REQUESTED: JOURNAL_REQUESTED,
  DELIVERED: JOURNAL_DELIVERED,
  ENDED: JOURNAL_ENDED,
  RETURNED: JOURNAL_RETURNED,
  SERVED: JOURNAL_SERVED,
  COMPLETE: JOURNAL_COMPLETE,
} as const;

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
    return this.i32[COUNT];
  }

  /** Takes all rows: they stay as they are until the engine goes on. Returns how many. */
  take(): number {
    const { count } = this;
    this.i32[COUNT] = 0;
    return count;
  }

  get nextId(): number {
    return countAt(this.i32, NEXT_ID);
  }

  set nextId(id: number) {
    putCount(this.i32, NEXT_ID, id);
  }

  /** Index of the first word of row `index`. */
  row(index: number): number {
    return ROWS + index * ROW_WORDS;
  }
}
