import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { statistics } from "../../src/cli/statistics";
import type { MachineConfiguration } from "../../src/machine/types";
import { DATA, testGuest } from "../machine/testGuest";

const TURNS = 50_000;
/** Instructions of a turn of the loop. */
const TURN = 3;
const CALLS = 20;

/** A loop that counts, then a few of CPUID. */
function runLoop(engine: NonNullable<MachineConfiguration["engine"]>) {
  const guest = testGuest(
    (a) => {
      // loop: inc dword [DATA]; dec ecx; jnz
      a.label("cpu0").mov("rcx", TURNS).label("loop").inc(DATA).bytes(0xff, 0xc9).jcc("nz", "loop");
      for (let i = 0; i < CALLS; i++) a.bytes(0x0f, 0xa2);
      a.exit();
    },
    { engine },
  );
  guest.finish();
  return guest.machine;
}

describe("--stats", () => {
  test("tells what each tier did", () => {
    const interpreted = runLoop("interpreter").stats();
    const generated = runLoop("jit").stats();
    assert.equal(interpreted.instructions, generated.instructions);
    const short = interpreted.instructions - interpreted.interpreted;
    assert.ok(short >= 0 && short < interpreted.instructions / 100, `${short} instructions not counted`);
    assert.ok(generated.interpreted < TURNS, `${generated.interpreted} interpreted`);
    assert.ok(generated.instructions >= TURNS * TURN);
    assert.equal(interpreted.jit, undefined);
    assert.ok((generated.jit?.modulesLive ?? 0) > 0);
    // What has run counts still when its code is gone.
    const machine = runLoop("interpreter");
    machine.discardCode("all");
    assert.equal(machine.stats().interpreted, interpreted.interpreted);
  });

  test("counts calls of the host", () => {
    for (const engine of ["interpreter", "jit", "reference"] as const) {
      const { calls, tlbMisses } = runLoop(engine).stats();
      assert.deepEqual(calls.frequent(1), [{ name: "cpuid", calls: CALLS }], engine);
      assert.ok(calls.accesses > 0 && tlbMisses > 0, engine);
    }
  });

  test("prints it all", () => {
    const lines = statistics(runLoop("jit"), 100);
    for (const [pattern, what] of [
      [/^instructions \d+ in 0\.10 s: [\d.]+ million a second$/, "rate"],
      [/^ {2}interpreted \d+ \([\d.]+ %, .*in generated code \d+ \([\d.]+ %/, "tiers"],
      [/^blocks translated \d+, in use \d+ \(\d+ bytes\), code cache emptied \d+ times$/, "blocks and cache"],
      [
        /^translator: \d+ regions of \d+ blocks \(\d+ grown\) in \d+ modules .* packed \d+ times, \d+ jumps linked; .* ms to generate, \d+ ms to compile$/,
        "translator",
      ],
      [/^TLB misses \d+ \([\d.]+ in a thousand instructions\), slow-path accesses \d+ \([\d.]+\)/, "memory"],
      [/^helpers called \d+: cpuid 20/, "helpers"],
      [/^state hash [0-9a-f]+$/, "hash"],
    ] as const) {
      assert.equal(lines.filter((line) => pattern.test(line)).length, 1, `${what}: ${lines.join("\n")}`);
    }
  });
});
