/** The benchmark guests compute the same on every engine: each with its smallest amount of work. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { benchmarks, guestImage, GUEST_MEMORY } from "../../bench/benchmarks";
import { MIB, runGuest } from "../machine/runGuest";

/** isa-debug-exit value 0. */
const DONE = 1;

for (const bits of [32, 64] as const) {
  describe(`benchmark guests, ${bits} bits`, () => {
    for (const { name, cpus, checksum } of benchmarks) {
      test(name, () => {
        const { end, output } = runGuest(guestImage(bits), { cpus, memory: GUEST_MEMORY * MIB }, `bench=${name} work=1`, 20e6);
        assert.equal(output.replaceAll("\r", ""), `begin\nend ${checksum}\n`);
        assert.deepEqual(end, { kind: "exit", status: DONE });
      });
    }
    test("a name that there is not", () => {
      const { end, output } = runGuest(guestImage(bits), { memory: GUEST_MEMORY * MIB }, "bench=nothing work=1", 20e6);
      assert.match(output, /^FAIL: no such benchmark/m);
      assert.deepEqual(end, { kind: "exit", status: 3 });
    });
  });
}
