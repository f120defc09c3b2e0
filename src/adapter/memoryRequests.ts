/** What the thread that touches memory ahead of its use is told, in memory that both sides share. */

/** Word of the number of ranges asked for; ENDED once the thread takes no more. */
export const ASKED = 0;
/** Words of a range: its first page and how many, of 4096 bytes. */
export const RANGE_WORDS = 2;
const FIRST_RANGE = 1;
export const ENDED = -1;

/** Word where range `index` stands. */
export const rangeWord = (index: number): number => FIRST_RANGE + index * RANGE_WORDS;

/** What the thread is given. */
export interface MemoryThreadData {
  readonly memory: WebAssembly.Memory;
  readonly requests: Int32Array;
}
