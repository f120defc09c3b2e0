// Kernels that chose their place at random: found by what their IDT and MSRs say.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SymbolModule } from "../../../src/debugger/symbols/module";
import { findSlide } from "../../../src/debugger/symbols/slide";
import type { DebugCpu } from "../../../src/debugger/target";

const map = `ffffffff81000000 T _stext
ffffffff81c00080 T entry_SYSCALL_64
ffffffff81c00a60 T asm_exc_page_fault
ffffffff81c00880 T asm_exc_divide_error
ffffffff81c00a30 T asm_exc_general_protection
ffffffff83079110 T early_idt_handler_array
ffffffff82e3d000 B idt_table
`;
const idt = 0xffffffffae83d000n;
const slide = 0xffffffffae83d000n - 0xffffffff82e3d000n;

/** A CPU in long mode whose IDT has these handlers. */
function cpu(handlers: Readonly<Record<number, bigint>>, lstar = 0n, base = idt): DebugCpu {
  return {
    index: 0,
    state: { longMode: true, protectedMode: true, idtrBase: base, idtrLimit: 0xfff, lstar },
    readMemory: (address: bigint, size: number): Uint8Array => {
      const handler = handlers[Number((address - base) / 16n)] ?? 0n;
      const entry = new DataView(new ArrayBuffer(16));
      entry.setUint16(0, Number(handler & 0xffffn), true);
      entry.setUint16(2, 0x10, true);
      entry.setUint8(5, handler === 0n ? 0 : 0x8e);
      entry.setUint16(6, Number((handler >> 16n) & 0xffffn), true);
      entry.setUint32(8, Number(handler >> 32n), true);
      return new Uint8Array(entry.buffer).subarray(0, size);
    },
  } as unknown as DebugCpu;
}

describe("kernels that lie elsewhere than linked", () => {
  const module = new SymbolModule("System.map", new TextEncoder().encode(map), 0n);
  const at = (linked: bigint): bigint => linked + slide;

  test("the IDT and its early handlers agree", () => {
    const early = Object.fromEntries([0, 1, 3, 8, 13, 14].map((vector) => [vector, at(0xffffffff83079110n + BigInt(vector) * 9n)]));
    assert.equal(findSlide(module, cpu(early)), BigInt.asIntN(64, slide));
    assert.notEqual(slide, 0n);
  });

  test("handlers and the entry of SYSCALL agree, wherever the IDT lies", () => {
    const handlers = { 0: at(0xffffffff81c00880n), 14: at(0xffffffff81c00a60n) };
    assert.equal(findSlide(module, cpu(handlers, at(0xffffffff81c00080n), 0xfffffe0000000000n)), slide);
  });

  test("a kernel at its place has a slide of zero", () => {
    const handlers = { 0: 0xffffffff81c00880n, 14: 0xffffffff81c00a60n };
    assert.equal(findSlide(module, cpu(handlers, 0n, 0xfffffe0000000000n)), 0n);
  });

  test("one that agrees with nothing, and another kernel, have none", () => {
    assert.equal(findSlide(module, cpu({}, at(0xffffffff81c00080n), 0xfffffe0000000000n)), undefined);
    const other = Object.fromEntries(Array.from({ length: 20 }, (_, vector) => [vector, 0xffffffff90000123n + BigInt(vector) * 77n]));
    assert.equal(findSlide(module, cpu(other, 0xffffffff90001111n, 0xfffffe0000000000n)), undefined);
  });
});
