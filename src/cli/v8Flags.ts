/**
 * What V8 is told before it compiles anything of ours (scripts/build.mjs makes main.cache under the same).
 *
 * Its optimiser takes functions apart that run once in a boot: with a third of the usual bound on what it copies into one, a Linux boot costs a tenth less processor time. And it heeds what modules
 * say of branches that are hardly ever taken: without, a loop keeps its registers in memory because of a call that it never makes (docs/performance.md).
 *
 * A guest that runs leaves no idle time: collecting the young generation as a task between two portions, before it is full, is only done more often. It
 * grows eightfold when it does, not to the double: a start has one collection less, and what runs for a hundredth of a second none.
 *
 * Nothing of WebAssembly here can run away: each loop of the interpreter and of generated code is paid from the slice's budget and comes back to the host after some milliseconds, and functions that go on to others do it
 * by tail calls. V8's question in each turn of a loop and at each function's start, whether the stack is used up or somebody waits, is left out: the interpreter asked it before every op.
 */
export const v8Flags: readonly string[] = [
  "--max-inlined-bytecode-size-cumulative=300",
  "--experimental-wasm-branch-hinting",
  "--no-minor-gc-task",
  "--semi-space-growth-factor=8",
  "--no-wasm-stack-checks",
];

/** Versions of V8 that are known to have the flags; others would complain on standard error. */
export const hasV8Flags = (version: string): boolean => /^1[123]\./.test(version);
