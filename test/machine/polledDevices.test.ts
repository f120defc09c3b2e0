/** Devices that guests read again and again to let time go by. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { testGuest } from "./testGuest";

const HPET = 0xfed0_0000n;
const MILLISECOND = 1_000_000;

test("a guest that waits by the HPET's counter is through after a few thousand reads, on every engine alike", () => {
  const ends = (["reference", "interpreter", "jit"] as const).map((engine) => {
    const guest = testGuest(
      (c) => {
        c.label("cpu0");
        c.mov("rsi", HPET);
        // The counter runs: ENABLE_CNF.
        c.bytes(0x48, 0xc7, 0x46, 0x10, 1, 0, 0, 0);
        c.bytes(0x4c, 0x8b, 0x86, 0xf0, 0, 0, 0); // mov r8, [rsi+0xf0]
        c.label("again");
        c.bytes(0x48, 0x8b, 0x86, 0xf0, 0, 0, 0); // mov rax, [rsi+0xf0]
        c.bytes(0x4c, 0x29, 0xc0); // sub rax, r8
        c.bytes(0x48, 0x3d, 0xa0, 0x86, 0x01, 0x00); // cmp rax, 100000
        c.jcc("c", "again");
        c.exit(0);
      },
      { engine },
    );
    guest.finish();
    return { instructions: guest.machine.instructions(), time: guest.machine.now(), hash: guest.machine.stateHash() };
  });
  assert.deepEqual(ends[1], ends[0]);
  assert.deepEqual(ends[2], ends[0]);
  assert.ok(ends[0].time >= MILLISECOND && ends[0].instructions < 20_000, JSON.stringify(ends[0]));
});
