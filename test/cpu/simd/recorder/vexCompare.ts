/** Runs cases natively and on the emulator and reports where they differ. Arguments: the runner, cases for each form, a seed, a pattern of mnemonics. */
import { MODE_AVX, MODE_OSFXSR } from "../../../../src/cpu/mode";
import { FlatMachine, userMode } from "../../frontend/flatMachine";
import { VEX_STATE_BYTES, type VexCase, vexCases } from "../vexCases";
import { executeVex, vexDifference } from "../vexExecute";
import { runNatively } from "./vexNative";

const [runner, perForm = "100", seed = "12345", pattern = ""] = process.argv.slice(2);
const CHUNK = 50_000;
const machine = new FlatMachine();
machine.mode = userMode(64) | MODE_OSFXSR | MODE_AVX;
const failures = new Map<string, number>();
let total = 0;

function compare(cases: readonly VexCase[]): void {
  const results = runNatively(runner, cases);
  cases.forEach(({ name, code, state }, index) => {
    const expected = results.subarray(index * VEX_STATE_BYTES, (index + 1) * VEX_STATE_BYTES);
    const actual = executeVex(machine, code, state);
    if (Buffer.compare(actual, expected) === 0) return;
    const count = (failures.get(name) ?? 0) + 1;
    failures.set(name, count);
    if (count === 1) console.log(`${name} ${Buffer.from(code).toString("hex")}\n${vexDifference(state, expected, actual)}`);
  });
  total += cases.length;
}

let chunk: VexCase[] = [];
for (const one of vexCases(Number(perForm), Number(seed), new RegExp(pattern))) {
  chunk.push(one);
  if (chunk.length < CHUNK) continue;
  compare(chunk);
  chunk = [];
}
compare(chunk);
const differ = [...failures.values()].reduce((sum, count) => sum + count, 0);
console.log(
  `${total} cases, ${differ} differ${differ === 0 ? "" : `: ${[...failures].map(([name, count]) => `${name} ${count}`).join(", ")}`}`,
);
if (differ > 0) process.exitCode = 1;
