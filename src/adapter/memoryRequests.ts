/** What the thread that touches memory ahead of its use is told, in memory that both sides share. */

/** Word of the number of ranges asked for; ENDED once the thread takes no more. */
export const ASKED = 0;
/** Words of a range: which memory it is of, its first page and how many, of 4096 bytes. */
export const RANGE_WORDS = 3;
const FIRST_RANGE = 1;
export const ENDED = -1;

/** Word where range `index` stands. */
export const rangeWord = (index: number): number => FIRST_RANGE + index * RANGE_WORDS;

/** What the thread is given: the memories that there are, to which messages add others, one each, and what is asked for. */
export interface MemoryThreadData {
  readonly memories: readonly WebAssembly.Memory[];
  readonly requests: Int32Array;
  /** Milliseconds without a request after which the thread ends. */
  readonly patience: number;
}
