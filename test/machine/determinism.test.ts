/** The same configuration and image give the same run to the instruction, on each engine and wherever a host stops to look. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { lockstep, randomSlices, sameTwice } from "./determinism";

describe("the bundled guest runs the same", () => {
  test("twice", () => {
    sameTwice("guests/smp/smp.elf", { cpus: 2 }, 2_000_000);
  });
  test("in one go and in slices of random lengths", () => randomSlices("guests/smp/smp.elf", { cpus: 4 }, 1_500_000, 5_000, 1));
  test("in one go and in short slices", () => randomSlices("guests/smp/smp.elf", { cpus: 2, quantum: 300 }, 300_000, 40, 2));
  test("with checks of exceptions, in short slices", () => randomSlices("guests/checks/exceptions.elf", { cpus: 1 }, 150_000, 40, 3));
  test("while a debugger steps over nothing: breakpoints that are never hit change nothing", () => {
    const plain = sameTwice("guests/smp/smp.elf", { cpus: 2 }, 400_000);
    const watched = sameTwice("guests/smp/smp.elf", { cpus: 2 }, 400_000, (machine) => {
      machine.setBreakpoints(new Set([0x1234n]));
      machine.setWatches([{ id: 1, kind: "linear", address: 0x3000n, size: 4, read: true, write: true }]);
    });
    assert.equal(plain, watched);
  });
});

describe("the emitted interpreter and the reference engine agree", () => {
  test("after every instruction", () => lockstep("guests/smp/smp.elf", { cpus: 2 }, { skip: 30_000, length: 400, slice: 1 }));
  test("every 7 instructions", () => lockstep("guests/smp/smp.elf", { cpus: 2 }, { skip: 0, length: 2_800, slice: 7 }));
  test("every 1,000 instructions", () => lockstep("guests/smp/smp.elf", { cpus: 2 }, { skip: 0, length: 150_000, slice: 1_000 }));
  test("on exceptions, every 1,000 instructions", () =>
    lockstep("guests/checks/exceptions.elf", { cpus: 1 }, { skip: 0, length: 120_000, slice: 1_000 }));
});
