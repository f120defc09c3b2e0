/** x87, vector and extended control registers in the scope Registers. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CR4_OSXSAVE } from "../../src/cpu/registerBits";
import type { VariableNode } from "../../src/debugger/inspect/node";
import { registerNodes } from "../../src/debugger/inspect/registersScope";
import { UserError } from "../../src/machine/errors";
import { slotOfXmm, VECTOR_UPPER } from "../../src/tcg/layout";
import { testGuest } from "../machine/testGuest";

function scope(avx = true) {
  const { machine } = testGuest((a) => a.label("cpu0").exit());
  const [cpu] = machine.cpus;
  if (avx) {
    cpu.state.cr4 |= CR4_OSXSAVE;
    cpu.state.xcr0 = 7;
  }
  const find = (path: string): VariableNode => {
    let nodes: readonly VariableNode[] = registerNodes(cpu, () => undefined);
    let found: VariableNode | undefined;
    for (const name of path.split("/")) {
      found = nodes.find((node) => node.name === name);
      assert.ok(found !== undefined, `${path}: there is no ${name}`);
      nodes = found.children?.() ?? [];
    }
    assert.ok(found !== undefined);
    return found;
  };
  const set = (path: string, text: string): void => {
    const node = find(path);
    assert.ok(node.set !== undefined, `${path} is read-only`);
    node.set({ text, asGuest: false, number: () => BigInt(text) });
  };
  return { cpu, find, set, value: (path: string) => find(path).value };
}

describe("vector registers of a stopped CPU", () => {
  test("whole and by lanes, read and set", () => {
    const { cpu, set, value, find } = scope();
    assert.equal(value("ymm"), "16 registers of 256 bits, all zero");
    cpu.state.slots.set([0x3ff0000000000000n, 0x4000000000000000n], slotOfXmm(3) / 8);
    cpu.state.slots.set([0xffffffff00000001n, 5n], (slotOfXmm(3) + VECTOR_UPPER) / 8);
    assert.equal(value("ymm"), "16 registers of 256 bits, 1 in use");
    assert.equal(value("ymm/ymm3"), "0x0000000000000005ffffffff0000000140000000000000003ff0000000000000");
    assert.equal(find("ymm/ymm3/v8_int32").children?.().length, 8);
    assert.match(value("ymm/ymm3/v4_double"), /^\{1, 2, NaN, /);
    assert.equal(value("ymm/ymm3/v8_int32/[5]"), "0xffffffff");
    assert.equal(value("ymm/ymm3/v16_int16/[8]"), "0x0001");
    set("ymm/ymm3/v4_double/[0]", "-2.5");
    set("ymm/ymm3/v32_int8/[31]", "-1");
    assert.equal(value("ymm/ymm3"), "0xff00000000000005ffffffff000000014000000000000000c004000000000000");
    set("ymm/ymm3", "0x1112131415161718191a1b1c1d1e1f20");
    assert.equal(value("ymm/ymm3/v4_int64"), "{0x191a1b1c1d1e1f20, 0x1112131415161718, 0x0000000000000000, 0x0000000000000000}");
    assert.throws(() => {
      set("ymm/ymm3/v32_int8/[0]", "0x100");
    }, UserError);
    assert.throws(() => {
      set("ymm/ymm3", `0x1${"0".repeat(64)}`);
    }, UserError);
  });

  test("XMM where the system has not enabled AVX", () => {
    const { value, set, cpu } = scope(false);
    assert.equal(value("xmm"), "16 registers of 128 bits, all zero");
    set("xmm/xmm15/v4_float/[1]", "1.5");
    assert.equal(cpu.state.slots[slotOfXmm(15) / 8], 0x3fc0000000000000n);
    assert.equal(value("xcr0"), "0x00000001 [x87]");
  });

  test("MXCSR by its bits", () => {
    const { value, set, cpu } = scope();
    assert.equal(value("mxcsr"), "0x00001f80 [IM DM ZM OM UM PM]");
    set("mxcsr/RC", "3");
    set("mxcsr/IM", "0");
    assert.equal(cpu.state.mxcsr, 0x7f00);
    assert.throws(() => {
      set("mxcsr", "0x10000");
    }, UserError);
  });

  test("the x87 unit", () => {
    const { value, set, cpu } = scope();
    cpu.state.fpu.initialize();
    assert.equal(value("x87"), "empty, fctrl 0x037f, fstat 0x0000");
    cpu.state.fpu.push({ se: 0xbfff, m: 0xc000000000000000n });
    assert.equal(value("x87/st0"), "-1.5 (0xbfffc000000000000000)");
    assert.match(value("x87/st1"), /empty$/);
    set("x87/st0", "0x40008000000000000000");
    assert.equal(value("x87"), "1 in use, st0 = 2, fctrl 0x037f, fstat 0x3800");
    set("x87/fctrl", "0x27f");
    assert.equal(cpu.state.fpu.control, 0x27f | 0x40);
    assert.throws(() => {
      set("x87/st0", "1.5");
    }, UserError);
  });
});
