/**
 * Branches whose direction is foretold (WebAssembly, proposal "branch hinting"): a list of offsets of `if` and `br_if`, each followed by RARE or USUAL, in order. Engines that do not know the section
 * pass over it.
 */
export const BRANCH_HINTS = "metadata.code.branch_hint";

/** The branch is hardly ever taken. */
export const RARE = 0;
/** It nearly always is. */
export const USUAL = 1;

/** The hints of code that stands `bytes` further on. */
export const shiftHints = (hints: readonly number[], bytes: number): number[] =>
  hints.map((value, i) => (i % 2 === 0 ? value + bytes : value));
