/** Runs all cases natively and writes what changed: native results XOR the state before, compressed. Arguments: the runner, the data file. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { simdCases, STATE_BYTES } from "../cases";

const NATIVE_STATE_BYTES = 96;
const NATIVE_INPUT_BYTES = 112;

const [runner, target] = process.argv.slice(2);
const cases = [...simdCases()];
const input = new Uint8Array(cases.length * NATIVE_INPUT_BYTES);
cases.forEach(({ code, state }, index) => {
  input.set(state, index * NATIVE_INPUT_BYTES);
  input.set(code, index * NATIVE_INPUT_BYTES + NATIVE_STATE_BYTES);
});
const { stdout, status } = spawnSync(runner, { input, maxBuffer: 1 << 30 });
if (status !== 0 || stdout.length !== cases.length * NATIVE_STATE_BYTES)
  throw new Error(`the runner failed: ${String(status)}, ${stdout.length} bytes`);
// Grouped by byte of the state: most columns are zeros.
const changes = new Uint8Array(cases.length * STATE_BYTES);
cases.forEach(({ state }, index) => {
  for (let i = 0; i < STATE_BYTES; i++) changes[i * cases.length + index] = state[i] ^ stdout[index * NATIVE_STATE_BYTES + i];
});
writeFileSync(target, gzipSync(changes, { level: 9 }));
console.log(`${cases.length} cases`);
