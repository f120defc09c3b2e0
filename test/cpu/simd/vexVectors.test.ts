import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { MODE_AVX, MODE_OSFXSR } from "../../../src/cpu/mode";
import { FlatMachine, userMode } from "../frontend/flatMachine";
import { VEX_STATE_BYTES, vexCases } from "./vexCases";
import { executeVex, vexDifference } from "./vexExecute";

const data = join(import.meta.dirname, "data", "vex.bin.gz");

for (const engine of ["emitted", "reference"] as const) {
  describe(`AVX, AVX2, F16C and FMA as the processor executed them, on the ${engine} interpreter`, () => {
    test("recorded instructions", () => {
      const changes = gunzipSync(readFileSync(data));
      const machine = new FlatMachine({ engine });
      machine.mode = userMode(64) | MODE_OSFXSR | MODE_AVX;
      const cases = [...vexCases()];
      assert.equal(changes.length, cases.length * VEX_STATE_BYTES, "the recorded data belong to other cases: record them anew");
      const failures = new Map<string, { count: number; first: string }>();
      cases.forEach(({ name, code, state }, index) => {
        const expected = state.map((byte, i) => byte ^ changes[i * cases.length + index]);
        const actual = executeVex(machine, code, state);
        if (Buffer.compare(actual, expected) === 0) return;
        const entry = failures.get(name) ?? {
          count: 0,
          first: `${Buffer.from(code).toString("hex")}\n${vexDifference(state, expected, actual)}`,
        };
        entry.count++;
        failures.set(name, entry);
      });
      assert.equal([...failures].map(([name, { count, first }]) => `${name}: ${count} differ, first ${first}`).join("\n"), "");
    });
  });
}
