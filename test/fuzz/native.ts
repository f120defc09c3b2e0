/** The native runner: built when it is older than its source. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { features, type FeatureName } from "../../src/cpu/features";
import { AT, BLOCK_BYTES, END_OF_BLOCK, type Block, encodeBlock, STATE_BYTES } from "./block";

const source = join(import.meta.dirname, "native.c");
/** Where runners are kept. */
export const folder = join(import.meta.dirname, "../../out");
const runner = join(folder, "fuzz-runner");

/** Builds the runner. Returns why it cannot run here, or undefined. */
export function prepareNative(): string | undefined {
  return buildRunner(runner);
}

/** Builds the runner as `file`. Returns why that cannot be, or undefined. */
export function buildRunner(file: string, ...more: readonly string[]): string | undefined {
  if (process.platform !== "linux" || process.arch !== "x64") return "needs Linux on x86-64";
  if (existsSync(file) && statSync(file).mtimeMs > statSync(source).mtimeMs) return undefined;
  mkdirSync(dirname(file), { recursive: true });
  const { status, stderr, error } = spawnSync(
    "gcc",
    ["-O1", "-Wall", "-Wextra", "-Werror", "-fno-stack-protector", "-fcf-protection=none", ...more, "-o", file, source],
    { encoding: "utf8" },
  );
  return status === 0 ? undefined : `gcc cannot build the runner: ${error?.message ?? stderr}`;
}

/** What the runner reads. */
export function encodeBlocks(blocks: readonly Block[]): Uint8Array {
  const input = new Uint8Array(blocks.length * BLOCK_BYTES);
  blocks.forEach((block, index) => input.set(encodeBlock(block), index * BLOCK_BYTES));
  return input;
}

/** What the runner wrote for each of `count` blocks. */
export function statesOf(written: Uint8Array, count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, index) => Uint8Array.from(written.subarray(index * STATE_BYTES, (index + 1) * STATE_BYTES)));
}

/** The states after blocks, as the host's CPU leaves them. */
export function runNatively(blocks: readonly Block[]): Uint8Array[] {
  const { status, stdout, stderr } = spawnSync(runner, { input: encodeBlocks(blocks), maxBuffer: 1 << 30 });
  if (status !== 0 || stdout.length !== blocks.length * STATE_BYTES)
    throw new Error(`the native runner failed (${String(status)}): ${stderr.toString()}`);
  return statesOf(stdout, blocks.length);
}

/** Whether the host's kernel lets code of 32 bits run. */
export function runs32(): boolean {
  const state = new Uint8Array(STATE_BYTES);
  new DataView(state.buffer).setUint32(AT.mxcsr, 0x1f80, true);
  return (
    runNatively([{ bits: 32, instructions: [{ text: "nop", bytes: [0x90], volatileFlags: false }], state }])[0][AT.trap] === END_OF_BLOCK
  );
}

/** Names that /proc/cpuinfo has for features, where they differ from ours. */
const aliases: Partial<Record<FeatureName, string>> = {
  sse3: "pni",
  lzcnt: "abm",
  lahf: "lahf_lm",
  "sse4.1": "sse4_1",
  "sse4.2": "sse4_2",
  sha: "sha_ni",
};

/** Features that the host's CPU has. */
export function hostFeatures(): ReadonlySet<FeatureName> {
  const flags = new Set(/^flags\s*:(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1].trim().split(" "));
  return new Set(features.map(({ name }) => name).filter((name) => flags.has(aliases[name] ?? name)));
}
