// Which handlers a CPU is in, told by the frames that deliveries push and the stack pointers that IRETs go back to.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { CpuState } from "../../src/cpu/state";
import { HandlerFrames } from "../../src/machine/handlerFrames";
import { EngineMemory } from "../../src/tcg/memory";
import { SLOT_RIP, slotOfGpr } from "../../src/tcg/layout";

/** A CPU at this stack pointer, as far as frames look at it. */
function at(rsp: bigint): CpuState {
  const words = new Int32Array(2 * Math.max(SLOT_RIP, slotOfGpr(4)) + 2);
  words[slotOfGpr(4) / 4] = Number(BigInt.asIntN(32, rsp));
  words[slotOfGpr(4) / 4 + 1] = Number(BigInt.asIntN(32, rsp >> 32n));
  return { words } as unknown as CpuState;
}

function enter(frames: HandlerFrames, vector: number, rsp: bigint, handlerRsp: bigint, record = 0): void {
  const [rspLow, rspHigh] = [Number(BigInt.asIntN(32, rsp)), Number(BigInt.asIntN(32, rsp >> 32n))];
  const event = { vector, kind: "exception", cs: 0x10, ripLow: 0x1000, ripHigh: 0, rspLow, rspHigh } as const;
  frames.entered(0, event, at(handlerRsp), record, 0, 0);
}

/** The vector of the handler that an IRET to this stack pointer ends. */
function returned(frames: HandlerFrames, rsp: bigint): number | undefined {
  const ended: number[] = [];
  const record = frames.returned(0, at(rsp), ({ vector }) => ended.push(vector));
  assert.equal(record, ended.length === 0 ? -1 : 0);
  return ended.at(0);
}

const vectors = (frames: HandlerFrames): number[] => frames.of(0).map(({ vector }) => vector);
const stack = 0xffffffff82a03e00n;

describe("handlers that a CPU is in", () => {
  test("an IRET ends the handler whose frame it goes back over, and those inside it", () => {
    const frames = new HandlerFrames(new EngineMemory({ cpus: 1, ram: 4096, codeArena: 4096 }), 1);
    enter(frames, 32, stack, stack - 40n);
    enter(frames, 14, stack - 0x100n, stack - 0x130n);
    assert.equal(returned(frames, stack), 32);
    assert.deepEqual(vectors(frames), []);
  });

  test("so does one that returns with a word pushed below what was interrupted, as a call that #BP emulates", () => {
    const frames = new HandlerFrames(new EngineMemory({ cpus: 1, ram: 4096, codeArena: 4096 }), 1);
    enter(frames, 32, stack + 0x200n, stack + 0x200n - 40n);
    enter(frames, 3, stack, stack - 40n);
    assert.equal(returned(frames, stack - 8n), 3);
    assert.deepEqual(vectors(frames), [32]);
  });

  test("one that returns to another stack, or below a frame, ends none", () => {
    const frames = new HandlerFrames(new EngineMemory({ cpus: 1, ram: 4096, codeArena: 4096 }), 1);
    enter(frames, 3, stack, stack - 40n);
    // It came from user code and stands on a stack of its own.
    enter(frames, 14, 0x7fff0000n, 0xfffffe0000010fd8n);
    for (const rsp of [0x7ffe0000n, 0xffff888000000000n, stack - 0x200n, stack + 0x1_0000_0000n, stack + 0x8000n])
      assert.equal(returned(frames, rsp), undefined);
    assert.deepEqual(vectors(frames), [3, 14]);
  });
});
