/** Runs all cases natively and writes what changed in the area saved to, and the vectors. Arguments: the runner, the data file. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { AREA_BYTES, AT, STATE_BYTES, xsaveCases } from "../cases";

const [runner, target] = process.argv.slice(2);
const cases = [...xsaveCases()];
const input = new Uint8Array(cases.length * STATE_BYTES);
cases.forEach((state, index) => {
  input.set(state, index * STATE_BYTES);
});
const { stdout, status } = spawnSync(runner, { input, maxBuffer: 1 << 30 });
const bytes = AREA_BYTES + 1;
if (status !== 0 || stdout.length !== cases.length * bytes) throw new Error(`the runner failed: ${String(status)}, ${stdout.length} bytes`);
const changes = new Uint8Array(cases.length * bytes);
cases.forEach((state, index) => {
  for (let i = 0; i < bytes; i++) changes[index * bytes + i] = stdout[index * bytes + i] ^ (i < AREA_BYTES ? state[AT.target + i] : 0);
});
writeFileSync(target, gzipSync(changes, { level: 9 }));
console.log(`${cases.length} cases`);
