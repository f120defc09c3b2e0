import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { MODE_OSFXSR } from "../../../src/cpu/mode";
import { FlatMachine, userMode } from "../frontend/flatMachine";
import { simdCases, STATE_BYTES } from "./cases";
import { execute, hex } from "./execute";

for (const engine of ["emitted", "reference"] as const) {
  describe(`SSE and MMX as the processor executed them, on the ${engine} interpreter`, () => {
    test("every recorded case", () => {
      const cases = [...simdCases()];
      const changes = gunzipSync(readFileSync(join(import.meta.dirname, "data/simd.bin.gz")));
      assert.equal(changes.length, cases.length * STATE_BYTES);
      const machine = new FlatMachine({ engine });
      machine.mode = userMode(64) | MODE_OSFXSR;
      const failures = new Map<string, { count: number; first: string }>();
      cases.forEach(({ name, code, instructions, state }, index) => {
        const expected = state.map((byte, i) => byte ^ changes[i * cases.length + index]);
        const actual = execute(machine, code, state, instructions);
        if (Buffer.compare(actual, expected) === 0) return;
        const entry = failures.get(name) ?? {
          count: 0,
          first: `${Buffer.from(code).toString("hex")}\n  before   ${hex(state)}\n  expected ${hex(expected)}\n  actual   ${hex(actual)}`,
        };
        entry.count++;
        failures.set(name, entry);
      });
      assert.equal([...failures].map(([name, { count, first }]) => `${name}: ${count} differ, first ${first}`).join("\n"), "");
    });
  });
}
