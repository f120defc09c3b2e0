/** The long version of determinism.test.ts: whole runs of every guest. */
import { readdirSync } from "node:fs";
import { describe, test } from "node:test";
import { lockstep, randomSlices } from "./determinism";

const WHOLE = 20_000_000;

describe("whole runs", () => {
  for (const file of readdirSync("guests/checks").filter((name) => name.endsWith(".elf"))) {
    const image = `guests/checks/${file}`;
    test(`${file}: both engines agree every 1,000 instructions`, () =>
      lockstep(image, { cpus: 2 }, { skip: 0, length: WHOLE, slice: 1_000 }));
    test(`${file}: both engines agree every 7 instructions`, () => lockstep(image, { cpus: 2 }, { skip: 0, length: 7_000, slice: 7 }));
    test(`${file}: in slices of up to 50 instructions`, () => randomSlices(image, { cpus: 2 }, WHOLE, 50, 4));
  }
  test("the bundled guest: both engines agree every 1,000 instructions", () =>
    lockstep("guests/smp/smp.elf", { cpus: 4 }, { skip: 0, length: 1_000_000, slice: 1_000 }));
  for (const quantum of [1, 37, 1_000]) {
    test(`the bundled guest with a quantum of ${quantum}, in random slices`, () =>
      randomSlices("guests/smp/smp.elf", { cpus: 4, quantum }, WHOLE, 200, quantum));
  }
});
