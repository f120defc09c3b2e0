import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SymbolStore } from "../../../src/debugger/symbols/table";
import { CallFrameTable } from "../../../src/debugger/unwind/cfi";
import type { UnwindStart, UnwoundFrame } from "../../../src/debugger/unwind/unwinder";
import { Unwinder } from "../../../src/debugger/unwind/unwinder";
import type { Snapshot } from "../../fixtures/dwarf/fixture";
import { fixtureBytes, fixtureElf, fixtureNames, golden, inflate, snapshotMemory } from "../../fixtures/dwarf/fixture";

const hex = (value: bigint): string => `0x${value.toString(16)}`;
/** A 32-bit register by the name that 64-bit code has for it. */
const wide = (name: string): string => name.replace(/^e/, "r");

function startOf(name: string, snapshot: Snapshot): UnwindStart {
  return {
    mode: name.includes("m32") ? "protected" : "long",
    registers: new Map(Object.entries(snapshot.registers).map(([register, value]) => [wide(register), BigInt(value)])),
    readMemory: snapshotMemory(snapshot, fixtureElf(name)),
  };
}

const flat = (
  frames: readonly UnwoundFrame[],
): { name: string; pc: string; line: number | undefined; inlined: boolean; frame: UnwoundFrame }[] =>
  frames.flatMap((frame) => frame.frames.map(({ name, line, inlined }) => ({ name, pc: hex(frame.pc), line, inlined, frame })));

/** The file without its call frame information: section names that nothing asks for. */
function withoutTables(bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  const text = Buffer.from(copy.buffer);
  for (const name of [".debug_frame", ".eh_frame"])
    for (let at = text.indexOf(`${name}\0`); at >= 0; at = text.indexOf(`${name}\0`, at + 1)) copy[at + 1] = 0x58;
  return copy;
}

describe("unwinding", () => {
  for (const name of fixtureNames) {
    test(`${name}: frames and their registers are those of gdb`, () => {
      const store = new SymbolStore({ inflate });
      store.add(name, fixtureBytes(name));
      const unwinder = new Unwinder(store);
      const { snapshots } = golden(name);
      assert.ok(snapshots.length > 0);
      for (const snapshot of snapshots) {
        const physical = unwinder.unwind(startOf(name, snapshot));
        const found = flat(physical);
        // Zig's functions have their file before their name for the linker only, which gdb shows.
        const own = (symbol: string): string => symbol.replace(/^lights\./, "");
        const expected = snapshot.frames.map(({ name: symbol, pc, line, inlined }) => ({ name: own(symbol), pc, line, inlined }));
        assert.ok(expected.length > 1);
        // gdb stops at main; what called it is found here.
        assert.deepEqual(
          found.slice(0, expected.length).map(({ name: symbol, pc, line, inlined }) => ({ name: symbol, pc, line, inlined })),
          expected,
          snapshot.at,
        );
        // Where main has gone to its last function by a jump, gdb does not see it.
        if (expected.at(-1)?.name !== "_start")
          assert.deepEqual(
            found.slice(expected.length).map((frame) => frame.name),
            ["_start"],
          );
        for (const [i, frame] of snapshot.frames.entries())
          for (const [register, value] of Object.entries(frame.registers)) {
            if (value !== null)
              assert.equal(hex(found[i].frame.registers.get(wide(register)) ?? -1n), value, `${snapshot.at} frame ${i} ${register}`);
          }
        assert.equal(physical[1].found, "tables");
      }
      assert.deepEqual(store.warnings, []);
    });
  }

  for (const name of ["c-O0-dwarf5", "c-m32-O0", "rust-O0"])
    test(`${name}: frame pointers find the same frames without tables`, () => {
      const store = new SymbolStore({ inflate });
      store.add(name, withoutTables(fixtureBytes(name)));
      assert.equal(new CallFrameTable(store.modules[0].elf ?? assert.fail()).size, 0);
      for (const snapshot of golden(name).snapshots) {
        const physical = new Unwinder(store).unwind(startOf(name, snapshot));
        const expected = snapshot.frames.map(({ name: symbol, pc }) => [symbol, pc]);
        assert.deepEqual(
          flat(physical)
            .slice(0, expected.length)
            .map((frame) => [frame.name, frame.pc]),
          expected,
          snapshot.at,
        );
        assert.equal(physical[1].found, "frame pointer");
      }
    });

  test("64-bit code in an ELF32 file is unwound as 64-bit code", () => {
    const store = new SymbolStore();
    store.add("elf32", fixtureBytes("c-O2-elf32"));
    const [snapshot] = golden("c-O2-dwarf5").snapshots;
    const frames = new Unwinder(store).unwind(startOf("c-O2-dwarf5", snapshot));
    assert.deepEqual(
      flat(frames).map((frame) => frame.name),
      [...snapshot.frames.map((frame) => frame.name), "_start"],
    );
    assert.equal(frames[1].found, "tables");
  });

  test("without tables, prologues and returns are seen from the instruction", () => {
    const name = "c-O0-dwarf5";
    const store = new SymbolStore();
    store.add(name, withoutTables(fixtureBytes(name)));
    const [snapshot] = golden(name).snapshots;
    const start = startOf(name, snapshot);
    const [leaf] = store.addressesOf("leaf");
    const rbp = start.registers.get("rbp") ?? 0n;
    const saved = Buffer.from(start.readMemory(rbp, 8) ?? []).readBigUInt64LE();
    const callers = new Unwinder(store)
      .unwind(start)
      .slice(1)
      .map((frame) => hex(frame.pc));
    const from = (rip: bigint, rsp: bigint, framePointer: bigint): string[] =>
      new Unwinder(store)
        .unwind({ ...start, registers: new Map([...start.registers, ["rip", rip], ["rsp", rsp], ["rbp", framePointer]]) })
        .slice(1)
        .map((frame) => hex(frame.pc));
    assert.deepEqual(from(leaf, rbp + 8n, saved), callers, "at push %rbp");
    assert.deepEqual(from(leaf + 1n, rbp, saved), callers, "at mov %rsp,%rbp");
    const size = 0x4001e0n; // far enough: the function's last byte is its return
    let ret = leaf;
    while (start.readMemory(ret, 1)?.[0] !== 0xc3 && ret < size) ret++;
    assert.deepEqual(from(ret, rbp + 8n, saved), callers, "at ret");
  });

  test("an interrupt frame that an assembly stub left leads to the interrupted code", () => {
    const name = "c-O0-dwarf5";
    const store = new SymbolStore();
    store.add(name, fixtureBytes(name));
    const [snapshot] = golden(name).snapshots;
    const start = startOf(name, snapshot);
    const [stub] = store.addressesOf("asm_label");
    const rsp = start.registers.get("rsp") ?? 0n;
    const interrupted = start.registers.get("rip") ?? 0n;
    // Nine saved registers, an error code, then RIP, CS, RFLAGS, RSP, SS.
    const stack = new BigUint64Array(15);
    stack.set([1n, 2n, 0x4001_0000_0000n, 4n, 5n, 6n, 7n, 8n, 9n, 0n, interrupted, 0x10n, 0x246n, rsp, 0x18n]);
    const bytes = new Uint8Array(stack.buffer);
    const base = 0x9000n;
    const frames = new Unwinder(store).unwind({
      ...start,
      registers: new Map([...start.registers, ["rip", stub], ["rsp", base], ["cs", 0x10n]]),
      readMemory: (address, size) =>
        address >= base && address + BigInt(size) <= base + 120n
          ? bytes.subarray(Number(address - base), Number(address - base) + size)
          : start.readMemory(address, size),
    });
    assert.equal(frames[1].found, "interrupt");
    assert.equal(frames[1].pc, interrupted);
    assert.deepEqual(
      flat(frames)
        .slice(1)
        .map((frame) => frame.name),
      ["leaf", "walk", "walk", "walk", "many", "main", "_start"],
    );
  });

  test("16-bit code is walked by BP, and by far returns", () => {
    const memory = new Uint8Array(0x20000);
    const view = new DataView(memory.buffer);
    const map = "00010100 T outer\n00010200 T middle\n00010300 T inner\n00010400 T end\n";
    const store = new SymbolStore();
    store.add("boot.map", new TextEncoder().encode(map));
    // SS base 0x8000: inner's frame at 0x100, middle's at 0x110, then the end of the chain.
    view.setUint16(0x8100, 0x110, true);
    view.setUint16(0x8102, 0x0210, true);
    view.setUint16(0x8110, 0, true);
    view.setUint16(0x8112, 0x0120, true);
    const start: UnwindStart = {
      mode: "real",
      codeBase: 0x10000n,
      stackBase: 0x8000n,
      registers: new Map([
        ["rip", 0x0305n],
        ["rsp", 0xf0n],
        ["rbp", 0x100n],
        ["cs", 0x1000n],
      ]),
      readMemory: (address, size) =>
        address + BigInt(size) <= 0x20000n ? memory.subarray(Number(address), Number(address) + size) : undefined,
    };
    const names = (frames: readonly UnwoundFrame[]): string[] => flat(frames).map((frame) => frame.name);
    assert.deepEqual(names(new Unwinder(store).unwind(start)), ["inner", "middle", "outer"]);
    memory[0x10305] = 0xcb; // retf
    view.setUint16(0x80f0, 0x0210, true);
    view.setUint16(0x80f2, 0x1000, true);
    const far = new Unwinder(store).unwind({ ...start, registers: new Map([...start.registers, ["rbp", 0n]]) });
    assert.deepEqual(names(far), ["inner", "middle"]);
    assert.equal(far[1].pc, 0x10210n);
  });

  test("damaged and endless stacks end", () => {
    const name = "c-O0-dwarf5";
    const store = new SymbolStore();
    store.add(name, fixtureBytes(name));
    const [snapshot] = golden(name).snapshots;
    const start = startOf(name, snapshot);
    const unwinder = new Unwinder(store);
    assert.equal(unwinder.unwind({ ...start, maximumFrames: 3 }).length, 3);
    assert.equal(unwinder.unwind({ ...start, readMemory: () => undefined }).length, 1);
    assert.equal(unwinder.unwind({ ...start, registers: new Map() }).length, 0);
    const [walk] = store.addressesOf("walk");
    // All memory holds the same pointer into walk: each frame is found again and again, or not at all.
    const word = new Uint8Array(new BigUint64Array([walk + 0x40n]).buffer);
    assert.ok(unwinder.unwind({ ...start, readMemory: (_address, size) => word.subarray(0, size) }).length < 300);
    assert.ok(unwinder.unwind({ ...start, registers: new Map([...start.registers, ["rip", 0x12345678n]]) }).length >= 1);
  });
});
