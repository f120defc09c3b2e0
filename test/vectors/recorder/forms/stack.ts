/** PUSH, POP, PUSHA, POPA, PUSHF, POPF, ENTER, LEAVE. */
import { Flag, type Mode } from "../../expand.js";
import type { CaseEditor, FormSpec } from "../cases.js";
import { bytesOf, type EncodeSpec, type Gen, type Width } from "../gen.js";
import { immediate, immWidth, MODES } from "./common.js";

const GROUP = "stack";
const RSP = 4;
const RBP = 5;
const NT = 0x4000;
const AC = 0x40000;
const ID = 0x200000;

function stackWidths(mode: Mode): readonly Width[] {
  return mode === 64 ? [16, 64] : [16, 32];
}

/** A form that pushes (`direction` -1) or pops (1) `slots` operands of a width. */
function stackForm(
  mode: Mode,
  width: Width,
  id: string,
  direction: 1 | -1,
  slots: number,
  make: (gen: Gen) => EncodeSpec,
  options: Partial<FormSpec> = {},
  vary?: (item: CaseEditor) => void,
): FormSpec {
  return {
    group: GROUP,
    mode,
    id,
    ...options,
    build(gen) {
      const size = (slots * width) / 8;
      const pointer = gen.stack();
      gen.window(direction < 0 ? pointer - size : pointer, size);
      return { code: gen.encode({ width, default64: true, ...make(gen) }), ...(vary && { vary }) };
    },
  };
}

/** Turns PUSHF's and POPF's flags over: DF, NT and AC and ID besides the arithmetic ones, IF set and IOPL 0 as on entry. */
function varyPopped(width: Width): (item: CaseEditor) => void {
  return (item) => {
    const low = (item.random.next() & (0xcd5 | NT)) | Flag.IF;
    const high = item.random.next() & (AC | ID);
    item.patch(0, 8, bytesOf(BigInt(width === 16 ? low : low | high), width / 8));
  };
}

function pushPop(mode: Mode): FormSpec[] {
  return stackWidths(mode).flatMap((width) => {
    const imm = immWidth(width);
    return [
      stackForm(mode, width, `PUSH r${width} (50+r)`, -1, 1, (gen) => ({ opcode: [0x50], plus: gen.reg(16) })),
      stackForm(mode, width, `POP r${width} (58+r)`, 1, 1, (gen) => ({ opcode: [0x58], plus: gen.reg(16) })),
      stackForm(mode, width, `PUSH r/m${width} [reg]`, -1, 1, (gen) => ({ opcode: [0xff], reg: 6, rm: gen.reg(16) })),
      stackForm(mode, width, `POP r/m${width} [reg]`, 1, 1, (gen) => ({ opcode: [0x8f], reg: 0, rm: gen.reg(16) })),
      stackForm(mode, width, `PUSH r/m${width} [mem]`, -1, 1, (gen) => ({ opcode: [0xff], reg: 6, rm: gen.mem(width / 8, { avoid: [RSP] }) })),
      stackForm(mode, width, `POP r/m${width} [mem]`, 1, 1, (gen) => ({ opcode: [0x8f], reg: 0, rm: gen.mem(width / 8, { avoid: [RSP] }) })),
      stackForm(mode, width, `PUSH imm8 (${width})`, -1, 1, (gen) => ({ opcode: [0x6a], imm: immediate(gen, 8) }), { groupSize: 2 }),
      stackForm(mode, width, `PUSH imm${imm} (${width})`, -1, 1, (gen) => ({ opcode: [0x68], imm: immediate(gen, imm) }), { groupSize: 2 }),
      stackForm(mode, width, `PUSHF (${width})`, -1, 1, () => ({ opcode: [0x9c] }), {}, (item) => {
        if (item.random.chance(1, 2)) item.setFlags(Flag.DF, 0);
      }),
      stackForm(mode, width, `POPF (${width})`, 1, 1, () => ({ opcode: [0x9d] }), {}, varyPopped(width)),
      ...throughStackPointer(mode, width),
    ];
  });
}

/** PUSH and POP of memory addressed by the stack pointer: POP forms its address after adding to it. */
function throughStackPointer(mode: Mode, width: Width): FormSpec[] {
  if (mode === 16) return [];
  return ([["PUSH", 0xff, 6], ["POP", 0x8f, 0]] as const).map(([name, opcode, ext]): FormSpec => ({
    group: GROUP,
    mode,
    id: `${name} r/m${width} [mem, rSP base]`,
    groupSize: 4,
    build(gen) {
      const pointer = gen.stack();
      gen.window(pointer - 160, 320);
      const disp = BigInt(gen.random.below(256) - 128);
      const sib = { scale: gen.random.below(4), index: 4, base: RSP };
      const rm = { kind: "mem", mod: 1, rm: 4, sib, disp, dispSize: 1, ripTarget: undefined } as const;
      const place = { segmentPrefix: undefined, addressPrefix: false, window: 0, offset: 0 };
      return { code: gen.encode({ opcode: [opcode], width, default64: true, reg: ext, rm: { ...rm, ...place } }) };
    },
  }));
}

function all(mode: Mode): FormSpec[] {
  if (mode === 64) return [];
  return stackWidths(mode).flatMap((width) => [
    stackForm(mode, width, `PUSHA (${width})`, -1, 8, () => ({ opcode: [0x60] })),
    stackForm(mode, width, `POPA (${width})`, 1, 8, () => ({ opcode: [0x61] })),
  ]);
}

/** Pins the frame pointer to a place in the stack segment, away from the stack pointer, and returns its linear address. */
function frame(gen: Gen): number {
  const offset = 0x8000 + gen.random.below(0x6000);
  if (gen.mode === 16) gen.pinLow(RBP, 16, BigInt(offset));
  else gen.pin(RBP, BigInt(0x50000 + offset));
  return 0x50000 + offset;
}

function frames(mode: Mode): FormSpec[] {
  return stackWidths(mode).flatMap((width): FormSpec[] => [
    {
      group: GROUP,
      mode,
      id: `ENTER imm16, imm8 (${width})`,
      groupSize: 2,
      build(gen) {
        const level = gen.random.chance(1, 3) ? gen.random.below(256) : gen.random.below(4);
        const masked = level & 31;
        const size = width / 8;
        const written = (masked + 1) * size;
        gen.window(gen.stack() - written, written);
        gen.window(frame(gen) - masked * size, masked * size);
        // The stack pointer after must still be in the area, as ENTER touches what it points to.
        const imm = [...bytesOf(BigInt(gen.random.below(0x1800)), 2), level];
        return { code: gen.encode({ opcode: [0xc8], width, default64: true, imm }) };
      },
    },
    {
      group: GROUP,
      mode,
      id: `LEAVE (${width})`,
      build(gen) {
        gen.window(frame(gen), width / 8);
        return { code: gen.encode({ opcode: [0xc9], width, default64: true }) };
      },
    },
  ]);
}

export const stackForms: readonly FormSpec[] = MODES.flatMap((mode) => [...pushPop(mode), ...all(mode), ...frames(mode)]);
