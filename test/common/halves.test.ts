import assert from "node:assert/strict";
import { test } from "node:test";
import { highHalf, joinHalves, lowHalf } from "../../src/common/halves";

test("values of 64 bits are split into signed halves, and joined from signed or unsigned ones", () => {
  for (const [value, high, low] of [
    [0n, 0, 0],
    [0xffff_ffff_8100_0000n, -1, 0x8100_0000 | 0],
    [0x7fff_ffff_ffff_ffffn, 0x7fff_ffff, -1],
    [0x1234_5678_9abc_def0n, 0x1234_5678, 0x9abc_def0 | 0],
  ] as const) {
    assert.deepEqual([highHalf(value), lowHalf(value)], [high, low]);
    assert.equal(joinHalves(high, low), value);
    assert.equal(joinHalves(high >>> 0, low >>> 0), value);
  }
  // Addresses beyond the end wrap around.
  assert.deepEqual([highHalf(1n << 64n), lowHalf((1n << 64n) + 5n), highHalf(-1n)], [0, 5, -1]);
});
