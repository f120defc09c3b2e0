/** The jump cache keeps what a guest jumps to again and again, and the engine's own code looks where the host has put it. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { guestImage, GUEST_MEMORY } from "../../bench/benchmarks";
import { JUMP_ENTRIES, JUMP_ENTRY_BYTES, jumpIndex, JUMP_LOWEST_SHIFT, JUMP_OFFSET_MASK, JUMP_OFFSET_SHIFT } from "../../src/tcg/layout";
import { bootGuest, MIB } from "./runGuest";

const rips = Array.from({ length: 4096 }, (_, i) => Math.imul(i, 0x9e37_79b1) | 0);

/** Runs a benchmark's guest to its end: how often the host looked a block up, and how many were translated. */
function countLookUps(engine: "interpreter" | "jit", commandLine: string): { lookUps: number; blocks: number } {
  const { machine, output } = bootGuest(guestImage(64), { memory: GUEST_MEMORY * MIB, engine }, commandLine);
  const { code } = machine;
  const find = code.find.bind(code);
  let lookUps = 0;
  code.find = (...args) => {
    lookUps++;
    return find(...args);
  };
  assert.equal(machine.run(200e6).kind, "exit");
  assert.match(output(), /^end /m);
  return { lookUps, blocks: machine.stats().blocksTranslated };
}

describe("the jump cache", () => {
  test("generated code and the host compute the same place", () => {
    for (const rip of rips) {
      const folded = rip ^ (rip >>> 12);
      const offset = ((folded << JUMP_OFFSET_SHIFT) ^ (folded << JUMP_LOWEST_SHIFT)) & JUMP_OFFSET_MASK;
      assert.equal(offset, jumpIndex(rip) * JUMP_ENTRY_BYTES);
      assert.ok(offset >= 0 && offset < JUMP_ENTRIES * JUMP_ENTRY_BYTES);
    }
  });

  test("targets nearer than 8 bytes have pairs of their own", () => {
    for (const rip of rips) {
      const pairs = Array.from({ length: 8 }, (_, byte) => jumpIndex((rip & ~7) + byte) >> 1);
      assert.equal(new Set(pairs).size, 8, `${rip}`);
    }
  });

  test("a loop of string instructions looks no block up again", () => {
    const { lookUps, blocks } = countLookUps("interpreter", "bench=string work=200");
    // Each of the 200 rounds has a dozen jumps.
    assert.ok(lookUps < 2 * blocks, `${lookUps} ${blocks}`);
  });

  for (const engine of ["interpreter", "jit"] as const) {
    test(`wide code is looked up again only where three targets share a pair (${engine})`, () => {
      const { lookUps, blocks } = countLookUps(engine, "bench=wide-1000 work=50");
      // 250,000 calls; two hundred of each 5,000 met one of a pair that drove each other out, or an instruction that lies in two pages.
      assert.ok(lookUps < 3 * blocks, `${lookUps} ${blocks}`);
    });
  }
});
