/** The benchmark guests compute the same on every engine, to the instruction: each with its smallest amount of work. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { benchmarks, guestImage, GUEST_MEMORY } from "../../bench/benchmarks";
import type { MachineConfiguration } from "../../src/machine/types";
import { MIB, runGuest } from "../machine/runGuest";

/** isa-debug-exit value 0. */
const DONE = 1;
/** Translates early, as little work leaves little time. */
const early = { threshold: 8, batch: 4, patience: 1 };

for (const bits of [32, 64] as const) {
  describe(`benchmark guests, ${bits} bits`, () => {
    const run = (configuration: Partial<MachineConfiguration>, name: string) =>
      runGuest(guestImage(bits), { memory: GUEST_MEMORY * MIB, ...configuration }, `bench=${name} work=1`, 20e6);
    for (const { name, cpus, checksum } of benchmarks) {
      test(name, () => {
        const engines: Partial<MachineConfiguration>[] = [
          { cpus, engine: "interpreter" },
          { cpus, engine: "jit", jit: early },
        ];
        // Bulk string operations are the interpreter's own: the reference interpreter knows none.
        if (name.startsWith("string")) engines.push({ cpus, engine: "reference" });
        const states = engines.map((configuration) => {
          const { end, output, machine } = run(configuration, name);
          assert.equal(output.replaceAll("\r", ""), `begin\nend ${checksum}\n`);
          assert.deepEqual(end, { kind: "exit", status: DONE });
          return { instructions: machine.instructions(), hash: machine.stateHash() };
        });
        for (const state of states) assert.deepEqual(state, states[0]);
      });
    }
    test("a name that there is not", () => {
      const { end, output } = run({}, "nothing");
      assert.match(output, /^FAIL: no such benchmark/m);
      assert.deepEqual(end, { kind: "exit", status: 3 });
    });
  });
}
