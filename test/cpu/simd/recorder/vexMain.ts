/** Runs all VEX cases natively and writes what changed: native results XOR the state before, compressed. Arguments: the runner, the data file. */
import { writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { VEX_STATE_BYTES, vexCases } from "../vexCases";
import { runNatively } from "./vexNative";

const [runner, target] = process.argv.slice(2);
const cases = [...vexCases()];
const results = runNatively(runner, cases);
// Grouped by byte of the state: most columns are zeros.
const changes = new Uint8Array(cases.length * VEX_STATE_BYTES);
cases.forEach(({ state }, index) => {
  for (let i = 0; i < VEX_STATE_BYTES; i++) changes[i * cases.length + index] = state[i] ^ results[index * VEX_STATE_BYTES + i];
});
writeFileSync(target, gzipSync(changes, { level: 9 }));
console.log(`${cases.length} VEX cases`);
