import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { X86Translator } from "../../../src/cpu/frontend/translator";
import { helperNames } from "../../../src/cpu/helperIds";
import {
  MODE_16,
  MODE_32,
  MODE_64,
  MODE_ALIGN,
  MODE_CPL_SHIFT,
  MODE_CS_LIMIT,
  MODE_FLAT,
  MODE_FPU_EM,
  MODE_FPU_MP,
  MODE_FPU_TS,
  MODE_GUEST_BREAKPOINTS,
  MODE_IOPL_SHIFT,
  MODE_LA57,
  MODE_LONG,
  MODE_OSFXSR,
  MODE_PROTECTED,
  MODE_STACK32,
  MODE_UMIP,
  MODE_VM86,
} from "../../../src/cpu/mode";
import type { TranslatedBlock } from "../../../src/cpu/translation";
import { OpBuilder } from "../../../src/tcg/builder";
import { OP_A, OP_BYTES, OP_D, OP_IMM, slotOfXmm } from "../../../src/tcg/layout";
import { opNames } from "../../../src/tcg/ops";
import { allFeatures } from "../decode/icedCompare";
import { FlatMachine, userMode } from "./flatMachine";

const kernel64 = MODE_64 | MODE_FLAT | MODE_LONG | MODE_PROTECTED;
const kernel32 = MODE_32 | MODE_FLAT | MODE_STACK32 | MODE_PROTECTED;
const real = MODE_16 | MODE_CS_LIMIT;
const cpl3 = 3 << MODE_CPL_SHIFT;
const vm86 = MODE_16 | MODE_CS_LIMIT | MODE_PROTECTED | MODE_VM86 | cpl3;

const translator = new X86Translator(allFeatures);
const builder = new OpBuilder();

interface Options {
  rip?: bigint;
  maxInstructions?: number;
  pageBytes?: number;
  breakpoint?: bigint;
}

function translate(mode: number, bytes: readonly number[], options: Options = {}): TranslatedBlock {
  builder.clear();
  return translator.translate(
    { byte: (offset) => bytes[offset] ?? -1 },
    options.rip ?? 0x1000n,
    mode,
    {
      maxInstructions: options.maxInstructions ?? 1,
      pageBytes: options.pageBytes ?? 0x1000,
      breakpointAt: (rip) => rip === options.breakpoint,
    },
    builder,
  );
}

/** Names of the block's ops; helpers with their own name and the low half of imm. */
function ops(): string[] {
  const bytes = builder.bytes();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: builder.count }, (_, index) => {
    const at = index * OP_BYTES;
    const name = opNames[view.getUint16(at, true)];
    const imm = view.getBigUint64(at + OP_IMM, true);
    if (name === "helper") return `${helperNames[view.getUint16(at + OP_D, true)]} ${imm & 0xffff_ffffn}`;
    if (name === "goto") assert.equal(view.getUint32(at + OP_A, true), 0, "a goto starts out unchained");
    return name === "goto" || name === "gotoFar" ? `${name} ${imm.toString(16)}` : name;
  });
}

/** The immediate of op number `index`. */
function immediateOf(index: number): bigint {
  const bytes = builder.bytes();
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getBigUint64(index * OP_BYTES + OP_IMM, true);
}

/** Ops of one instruction without the jump behind it. */
function opsOf(mode: number, ...bytes: number[]): string[] {
  const block = translate(mode, bytes);
  const all = ops();
  const through = all.at(-1) === `goto ${(0x1000 + block.bytes).toString(16)}` && !all.some((name) => name.startsWith("br"));
  return through ? all.slice(0, -1) : all;
}

describe("hot instructions take few ops", () => {
  const cases: readonly [string, number, number[], string[]][] = [
    ["mov rax, rbx", kernel64, [0x48, 0x89, 0xd8], ["mov"]],
    ["mov eax, ebx", kernel64, [0x89, 0xd8], ["zx32"]],
    ["mov eax, 1", kernel64, [0xb8, 1, 0, 0, 0], ["movi"]],
    ["mov rax, [rbx+rcx*4+8]", kernel64, [0x48, 0x8b, 0x44, 0x8b, 8], ["ld64"]],
    ["mov eax, [rip+8]", kernel64, [0x8b, 0x05, 8, 0, 0, 0], ["ld32"]],
    ["mov rax, gs:[0x28]", kernel64, [0x65, 0x48, 0x8b, 0x04, 0x25, 0x28, 0, 0, 0], ["ld64"]],
    ["mov rax, gs:[rbx]", kernel64, [0x65, 0x48, 0x8b, 0x03], ["ld64"]],
    ["mov [ebx], eax", kernel32, [0x89, 0x03], ["st32_32"]],
    ["add rax, rbx", kernel64, [0x48, 0x01, 0xd8], ["addf64"]],
    ["add [rbx], eax", kernel64, [0x01, 0x03], ["ldw32", "addf32", "st32"]],
    ["cmp al, 1", kernel64, [0x3c, 1], ["subf8"]],
    ["test eax, eax", kernel64, [0x85, 0xc0], ["andf32"]],
    ["lea eax, [rbx+rcx]", kernel64, [0x8d, 0x04, 0x0b], ["lea32"]],
    ["push rbx", kernel64, [0x53], ["st64", "add"]],
    ["pop rbx", kernel64, [0x5b], ["ld64", "add"]],
    ["push ebx", kernel32, [0x53], ["st32_32", "lea32"]],
    ["movzx eax, byte [rbx]", kernel64, [0x0f, 0xb6, 0x03], ["ld8"]],
    ["cmovz rax, rbx", kernel64, [0x48, 0x0f, 0x44, 0xc3], ["movc_z"]],
    ["call", kernel64, [0xe8, 0, 1, 0, 0], ["movi", "st64", "add", "goto 1105"]],
    ["ret", kernel64, [0xc3], ["ld64", "canon", "add", "jump"]],
    ["ret, 32-bit", kernel32, [0xc3], ["ld32_32", "lea32", "jump"]],
    ["jz", kernel64, [0x74, 0x10], ["br_z", "goto 1002", "goto 1012"]],
    ["jmp, another page", kernel64, [0xe9, 0, 0x10, 0, 0], ["gotoFar 2005"]],
    ["cli", kernel64, [0xfa], ["and"]],
  ];
  for (const [name, mode, bytes, expected] of cases) test(name, () => assert.deepEqual(opsOf(mode, ...bytes), expected));
});

describe("blocks", () => {
  const nops = (count: number): number[] => Array.from({ length: count }, () => 0x90);

  test("end at the limit of instructions, with a jump to the next one", () => {
    assert.deepEqual(translate(kernel64, nops(10), { maxInstructions: 3 }), { instructions: 3, bytes: 3 });
    assert.deepEqual(ops(), ["mov", "mov", "mov", "goto 1003"]);
    assert.deepEqual(builder.instructionOffsets, [0, 1, 2]);
    assert.deepEqual(builder.instructionOps, [0, 1, 2]);
  });

  test("end at the page's end", () => {
    assert.deepEqual(translate(kernel64, nops(10), { rip: 0x1ffcn, pageBytes: 4, maxInstructions: 9 }), { instructions: 4, bytes: 4 });
    assert.equal(ops().at(-1), "gotoFar 2000");
  });

  test("leave an instruction across the page's end to a block of its own", () => {
    const bytes = [0x90, 0xb8, 1, 2, 3, 4, 0x90];
    assert.deepEqual(translate(kernel64, bytes, { rip: 0x1ffen, pageBytes: 2, maxInstructions: 9 }), { instructions: 1, bytes: 1 });
    assert.equal(ops().at(-1), "gotoFar 1fff");
    assert.deepEqual(translate(kernel64, bytes.slice(1), { rip: 0x1fffn, pageBytes: 1, maxInstructions: 9 }), {
      instructions: 1,
      bytes: 5,
    });
    assert.equal(ops().at(-1), "gotoFar 2004");
  });

  test("stop before an instruction that cannot be fetched", () => {
    assert.deepEqual(translate(kernel64, [0x90, 0xb8, 1], { maxInstructions: 9 }), { instructions: 1, bytes: 1 });
    assert.deepEqual(translate(kernel64, [0xb8, 1], { maxInstructions: 9 }), { instructions: 0, bytes: 0 });
    assert.equal(builder.count, 0);
  });

  test("never outgrow the builder", () => {
    const pushes = Array.from({ length: 4096 }, () => 0x60);
    const block = translate(MODE_16 | MODE_ALIGN, pushes, { rip: 0n, maxInstructions: 1000 });
    assert.ok(block.instructions > 50 && builder.count <= OpBuilder.MAX_OPS);
    assert.equal(ops().at(-1), `goto ${block.bytes.toString(16)}`);
  });

  test("keep RIP within the width of the code segment", () => {
    translate(kernel32, [0x90], { rip: 0xffff_ffffn, pageBytes: 1 });
    assert.equal(ops().at(-1), "gotoFar 0");
    assert.deepEqual(opsOf(real, 0xeb, 0x80), ["movi", "checkCsLimit 0", "gotoFar f82"]);
    translate(real, [0xe9, 0xf0, 0xff], { rip: 0n });
    assert.equal(ops().at(-1), "gotoFar fff3");
  });

  test("begin instructions with the breakpoint helpers where asked", () => {
    translate(kernel64 | MODE_GUEST_BREAKPOINTS, nops(2), { maxInstructions: 2, breakpoint: 0x1001n });
    assert.deepEqual(ops(), [
      `checkBreakpoint ${0x1000}`,
      "mov",
      `debuggerBreakpoint ${0x1001}`,
      `checkBreakpoint ${0x1001}`,
      "mov",
      "goto 1002",
    ]);
    assert.deepEqual(builder.instructionOps, [0, 2]);
  });
});

describe("privilege and mode", () => {
  const undefinedOps = ["raise 6", "exit"];
  const protection = ["raise 13", "exit"];
  const cases: readonly [string, number, number[], string[]][] = [
    ["hlt at CPL 0", kernel64, [0xf4], ["movi", "hlt 0", "exit"]],
    ["hlt at CPL 3", kernel64 | cpl3, [0xf4], protection],
    ["hlt in real mode", real, [0xf4], ["movi", "hlt 0", "exit"]],
    ["hlt in virtual-8086 mode", vm86, [0xf4], protection],
    ["cli at CPL 3, IOPL 0", kernel64 | cpl3, [0xfa], ["cli 0"]],
    ["cli at CPL 3, IOPL 3", kernel64 | cpl3 | (3 << MODE_IOPL_SHIFT), [0xfa], ["and"]],
    ["cli in virtual-8086 mode", vm86 | (3 << MODE_IOPL_SHIFT), [0xfa], ["cli 0"]],
    ["sti", kernel64, [0xfb], ["and", "movi", "or", "brnz", "shadow", "lookupUnlessRequest"]],
    ["mov ss, ax", kernel32, [0x8e, 0xd0], ["zx16", "movi", "loadSegment 2", "shadow", "exit"]],
    ["mov ds, ax in 64-bit code", kernel64, [0x8e, 0xd8], ["zx16", "movi", "loadSegment 3"]],
    ["mov ds, ax in 32-bit code", kernel32, [0x8e, 0xd8], ["zx16", "movi", "loadSegment 3", "exit"]],
    ["mov cr3, rax", kernel64, [0x0f, 0x22, 0xd8], ["mov", "movi", "writeCr 3", "exit"]],
    ["mov cr3, rax at CPL 3", kernel64 | cpl3, [0x0f, 0x22, 0xd8], protection],
    ["sgdt under UMIP", kernel64 | cpl3 | MODE_UMIP, [0x0f, 0x01, 0x00], protection],
    ["str under UMIP in virtual-8086 mode", vm86 | MODE_UMIP, [0x0f, 0x00, 0xc8], undefinedOps],
    ["lldt in real mode", real, [0x0f, 0x00, 0xd0], undefinedOps],
    ["lldt at CPL 3", kernel32 | cpl3, [0x0f, 0x00, 0xd0], protection],
    ["sysret at CPL 3", kernel64 | cpl3, [0x0f, 0x07], ["movi", "sysret 4", "lookup"]],
    ["clac at CPL 3", kernel64 | cpl3, [0x0f, 0x01, 0xca], undefinedOps],
    ["mwait at CPL 3", kernel64 | cpl3, [0x0f, 0x01, 0xc9], undefinedOps],
    ["ud2", kernel64, [0x0f, 0x0b], undefinedOps],
    ["lock on a register", kernel64, [0xf0, 0x01, 0xc0], undefinedOps],
    ["16 bytes", kernel64, [...Array.from({ length: 15 }, () => 0x66), 0x90], protection],
    ["push es in 64-bit code", kernel64, [0x06], undefinedOps],
    ["aam 0", kernel32, [0xd4, 0], ["raise 0", "exit"]],
    ["fninit", kernel64, [0xdb, 0xe3], ["movi", "x87 7139"]],
    ["fninit with EM", kernel64 | MODE_FPU_EM, [0xdb, 0xe3], ["raise 7", "exit"]],
    ["fninit with TS", kernel64 | MODE_FPU_TS, [0xdb, 0xe3], ["raise 7", "exit"]],
    ["fwait with TS", kernel64 | MODE_FPU_TS, [0x9b], ["x87Wait 0"]],
    ["fwait with TS and MP", kernel64 | MODE_FPU_TS | MODE_FPU_MP, [0x9b], ["raise 7", "exit"]],
    ["addps", kernel64 | MODE_FPU_TS, [0x0f, 0x58, 0xc0], undefinedOps],
    ["vaddps", kernel64, [0xc5, 0xf8, 0x58, 0xc0], undefinedOps],
    ["endbr64", kernel64, [0xf3, 0x0f, 0x1e, 0xfa], ["mov"]],
    ["jump to a non-canonical address", kernel64, [0xe9, 0xff, 0xff, 0xff, 0x7f], ["gotoFar 80001004"]],
    ["aligned access", kernel64 | cpl3 | MODE_ALIGN, [0x8b, 0x03], ["aligned", "ld32"]],
    [
      "rep movsb",
      kernel64,
      [0xf3, 0xa4],
      ["movi", "movi", "bulk", `string ${(1 << 4) | (8 << 8) | (1 << 12) | (3 << 16)}`, "lookupUnlessRequest"],
    ],
    ["out dx, al", kernel64, [0xee], ["zx8", "zx16", "movi", "out 1", "lookupUnlessRequest"]],
    ["in eax, 0x60", kernel64, [0xe5, 0x60], ["movi", "in 4", "mov"]],
    ["sysretq", kernel64, [0x48, 0x0f, 0x07], ["movi", "fastCall", "lookup"]],
    ["syscall", kernel64 | cpl3, [0x0f, 0x05], ["movi", "fastCall", "lookup"]],
    ["syscall outside 64-bit code", kernel32, [0x0f, 0x05], ["movi", "syscall 2", "lookup"]],
    ["swapgs", kernel64, [0x0f, 0x01, 0xf8], ["mov", "mov", "mov"]],
    ["iretq", kernel64, [0x48, 0xcf], ["movi", "fastCall", "lookup"]],
    ["int 0x80", kernel64, [0xcd, 0x80], ["movi", "fastCall", "lookup"]],
  ];
  for (const [name, mode, bytes, expected] of cases) test(name, () => assert.deepEqual(opsOf(mode, ...bytes), expected));

  test("relative targets outside the canonical range are refused", () => {
    translate(kernel64, [0xe9, 0, 1, 0, 0], { rip: 0x7fff_ffff_fff0n, pageBytes: 0x10 });
    assert.deepEqual(ops(), ["movi", "canon", "gotoFar 8000000000f5"]);
    assert.equal(immediateOf(1), 16n);
  });

  test("under 5-level paging the range is that of 57 bits", () => {
    translate(kernel64 | MODE_LA57, [0xe9, 0, 1, 0, 0], { rip: 0x7fff_ffff_fff0n, pageBytes: 0x10 });
    assert.deepEqual(ops(), ["gotoFar 8000000000f5"]);
    translate(kernel64 | MODE_LA57, [0xe9, 0, 1, 0, 0], { rip: 0xff_ffff_ffff_fff0n, pageBytes: 0x10 });
    assert.deepEqual(ops(), ["movi", "canon", "gotoFar 1000000000000f5"]);
    assert.equal(immediateOf(1), 7n);
  });

  test("a near jump past the CS limit faults before anything changes", () => {
    const machine = new FlatMachine();
    machine.mode = userMode(16) & ~MODE_64;
    [0, 1, 2, 3, 4, 5].forEach((segment) => machine.setSegment(segment, 0x20000, 0x10000n));
    machine.rip = 0xfff0n;
    machine.rflags = 2n;
    machine.slots[4] = 0x100n;
    // call +0x10000 with operand size 32
    machine.ram.set([0x66, 0xe8, 0, 0, 1, 0], 0x2fff0);
    machine.execute();
    assert.deepEqual(machine.trap, { vector: 13, error: 0 });
    assert.equal(machine.slots[4], 0x100n);
    assert.equal(machine.rip, 0xfff0n);
  });
});

describe("any bytes", () => {
  test("give a well-formed block in every mode", () => {
    const ends = new Set(["goto", "gotoFar", "jump", "exit", "lookup", "lookupUnlessRequest"]);
    const modes = [
      kernel64,
      kernel64 | cpl3 | MODE_ALIGN,
      kernel32,
      kernel32 & ~MODE_FLAT,
      (kernel32 & ~(MODE_FLAT | MODE_STACK32)) | cpl3 | MODE_ALIGN | MODE_CS_LIMIT,
      MODE_16 | MODE_PROTECTED | MODE_FLAT,
      real,
      vm86,
    ];
    let seed = 99;
    const random = (): number => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return seed >>> 8;
    };
    const bytes = new Array<number>(64);
    for (let round = 0; round < 6000; round++) {
      for (let at = 0; at < bytes.length; at++) bytes[at] = random() & 0xff;
      if (round % 3 === 0) bytes[0] = 0x0f;
      for (const mode of modes) {
        const block = translate(mode, bytes, { maxInstructions: 8, pageBytes: 48 });
        if (block.instructions === 0) continue;
        const names = ops();
        assert.ok(ends.has(names[names.length - 1].split(" ")[0]), `ends with ${names[names.length - 1]}`);
        assert.equal(builder.instructionOps.length, block.instructions);
        const longest = builder.instructionOps.map((op, index) => (builder.instructionOps[index + 1] ?? builder.count) - op);
        assert.ok(Math.max(...longest) <= 64, `an instruction took ${Math.max(...longest)} ops`);
        assert.ok(Math.min(...longest) >= 1);
      }
    }
  });
});

describe("operands in parts", () => {
  for (const engine of ["emitted", "reference", "generated"] as const)
    test(`the second half of an operand at the greatest displacement lies behind the first, ${engine}`, () => {
      const machine = new FlatMachine({ engine });
      machine.mode = userMode(64) | MODE_OSFXSR;
      machine.rip = 0x1000n;
      machine.rflags = 2n;
      machine.slots[0] = BigInt.asUintN(64, 0x2000n - 0x7fff_fffcn);
      machine.ram.set(
        Array.from({ length: 16 }, (_, index) => index + 1),
        0x2000,
      );
      // movups xmm1, [rax + 0x7ffffffc]
      machine.ram.set([0x0f, 0x10, 0x88, 0xfc, 0xff, 0xff, 0x7f], 0x1000);
      machine.execute(1);
      assert.equal(machine.trap, null);
      assert.equal(machine.slots[slotOfXmm(1) / 8], 0x0807060504030201n);
      assert.equal(machine.slots[slotOfXmm(1) / 8 + 1], 0x100f0e0d0c0b0a09n);
    });
});
