/** Stores a count, a safe integer that is not negative, as 64 bits at words `at` and `at` + 1. */
export function putCount(words: Int32Array, at: number, count: number): void {
  words[at] = count;
  words[at + 1] = Math.floor(count / 0x1_0000_0000);
}

/** The count at words `at` and `at` + 1. */
export function countAt(words: Int32Array, at: number): number {
  return (words[at + 1] >>> 0) * 0x1_0000_0000 + (words[at] >>> 0);
}
