import assert from "node:assert/strict";
import { test } from "node:test";
import { walkPrd } from "../../../src/devices/ata/prd";

test("a region table in the upper half of the address space, that wraps within its 64 KiB", () => {
  const reads: number[] = [];
  const memory = {
    read: (address: number) => {
      reads.push(address);
      return Uint8Array.of(0, 0x10, 0, 0, 0, 2, 0, reads.length === 2 ? 0x80 : 0);
    },
    write: () => undefined,
    write32: () => undefined,
  };
  const moves: number[][] = [];
  const walked = walkPrd(memory, 0xfffffff8, 4096, (...move) => void moves.push(move));
  assert.deepEqual(reads, [0xfffffff8, 0xffff0000]);
  assert.deepEqual(moves, [
    [0x1000, 0, 512],
    [0x1000, 512, 512],
  ]);
  assert.deepEqual(walked, { moved: 1024, ended: true });
});
