/**
 * What V8 is told before it compiles anything of ours (scripts/build.mjs makes main.cache under the same).
 *
 * Its optimiser takes functions apart that run once in a boot: with a third of the usual bound on what it copies into one, a Linux boot costs a tenth less processor time. And it heeds what modules
 * say of branches that are hardly ever taken: without, a loop keeps its registers in memory because of a call that it never makes (docs/performance.md).
 *
 * A guest that runs leaves no idle time: collecting the young generation as a task between two portions, before it is full, is only done more often. It
 * grows eightfold when it does, not to the double: a start has one collection less, and what runs for a hundredth of a second none.
 */
export const v8Flags: readonly string[] = [
  "--max-inlined-bytecode-size-cumulative=300",
  "--experimental-wasm-branch-hinting",
  "--no-minor-gc-task",
  "--semi-space-growth-factor=8",
];

/** Versions of V8 that are known to have the flags; others would complain on standard error. */
export const hasV8Flags = (version: string): boolean => /^1[123]\./.test(version);
