/** MOV, MOVZX/MOVSX/MOVSXD, LEA, XCHG, CMOVcc, SETcc, XLAT, MOVNTI. */
import type { Mode } from "../../expand.js";
import { AREA } from "../../format.js";
import type { FormSpec } from "../cases.js";
import { bytesOf, type Width } from "../gen.js";
import { allWidths, immediate, immWidth, MODES, plainForm, rmForms, wideWidths } from "./common.js";

const GROUP = "moves";
export const CONDITIONS = ["O", "NO", "B", "NB", "Z", "NZ", "BE", "NBE", "S", "NS", "P", "NP", "L", "NL", "LE", "NLE"] as const;

/** MOV between the accumulator and an absolute address of the mode's address width. */
function absoluteMoves(mode: Mode, width: Width): FormSpec[] {
  return [false, true].map((store): FormSpec => ({
    group: GROUP,
    mode,
    id: store ? `MOV moffs${width}, rAX` : `MOV rAX, moffs${width}`,
    share: 0.5,
    build(gen) {
      const pointer = gen.pointer(width / 8, gen.random.chance(1, 4));
      gen.window(pointer.linear, width / 8);
      const imm = bytesOf(BigInt(pointer.offset), pointer.addressWidth / 8);
      const opcode = [(store ? 0xa2 : 0xa0) + (width === 8 ? 0 : 1)];
      return { code: gen.encode({ opcode, ...(width !== 8 && { width }), prefixes: pointer.prefixes, imm }) };
    },
  }));
}

function moves(mode: Mode): FormSpec[] {
  return allWidths(mode).flatMap((width) => {
    const low = width === 8 ? 0 : 1;
    const common = { group: GROUP, mode, width, share: 0.5 };
    const imm = immWidth(width);
    const fullImm = width === 64 ? 64 : imm;
    const xchg = ["reg", "mem", "lock"] as const;
    const forms = [
      ...rmForms({ ...common, name: "MOV", operands: `r/m${width}, r${width}`, opcode: [0x88 + low], regWidth: width }),
      ...rmForms({ ...common, name: "MOV", operands: `r${width}, r/m${width}`, opcode: [0x8a + low], regWidth: width }),
      ...rmForms({ ...common, name: "MOV", operands: `r/m${width}, imm${imm}`, opcode: [0xc6 + low], ext: 0, imm, groupSize: 2 }),
      ...rmForms({ ...common, name: "XCHG", operands: `r/m${width}, r${width}`, opcode: [0x86 + low], regWidth: width, kinds: xchg }),
      plainForm(
        GROUP,
        mode,
        `MOV r${width}, imm${fullImm}`,
        (gen) => ({ spec: { opcode: [width === 8 ? 0xb0 : 0xb8], ...(width !== 8 && { width }), plus: gen.reg(width), imm: immediate(gen, fullImm) } }),
        { share: 0.5, groupSize: 2 },
      ),
      ...absoluteMoves(mode, width),
    ];
    if (width !== 8) {
      forms.push(
        plainForm(GROUP, mode, `XCHG rAX, r${width} (90+r)`, (gen) => ({ spec: { opcode: [0x90], width, plus: gen.reg(width) } }), { groupSize: 4 }),
        ...rmForms({
          group: GROUP,
          mode,
          name: "LEA",
          width,
          operands: `r${width}, m`,
          opcode: [0x8d],
          regWidth: width,
          kinds: ["mem"],
          mem: { free: true },
          groupSize: 2,
          share: 3,
        }),
      );
    }
    return forms;
  });
}

function extendingMoves(mode: Mode): FormSpec[] {
  const rows: readonly (readonly [string, number, Width])[] = [
    ["MOVZX", 0xb6, 8],
    ["MOVZX", 0xb7, 16],
    ["MOVSX", 0xbe, 8],
    ["MOVSX", 0xbf, 16],
  ];
  const forms = rows.flatMap(([name, opcode, source]) =>
    wideWidths(mode).flatMap((width) => {
      // Choosing the destination as narrow as the source keeps AH..BH reachable; the encoding is the same.
      const regWidth = width === 64 ? 64 : 16;
      const operands = `r${width}, r/m${source}`;
      return rmForms({ group: GROUP, mode, name, width, rmWidth: source, regWidth, operands, opcode: [0x0f, opcode], share: 0.5 });
    }),
  );
  if (mode !== 64) return forms;
  const movsxd = ([32, 64] as const).flatMap((width) =>
    rmForms({ group: GROUP, mode, name: "MOVSXD", width, rmWidth: 32, regWidth: width, operands: `r${width}, r/m32`, opcode: [0x63], share: 0.5 }),
  );
  return [...forms, ...movsxd];
}

function conditionalMoves(mode: Mode): FormSpec[] {
  return CONDITIONS.flatMap((condition, number) => [
    ...wideWidths(mode).flatMap((width) =>
      rmForms({
        group: GROUP,
        mode,
        name: `CMOV${condition}`,
        width,
        regWidth: width,
        operands: `r${width}, r/m${width}`,
        opcode: [0x0f, 0x40 + number],
        share: 0.25,
      }),
    ),
    ...rmForms({ group: GROUP, mode, name: `SET${condition}`, width: 8, operands: "r/m8", opcode: [0x0f, 0x90 + number], ext: 0, share: 0.25 }),
  ]);
}

function translate(mode: Mode): FormSpec {
  return {
    group: GROUP,
    mode,
    id: "XLAT",
    groupSize: 4,
    build(gen) {
      const pointer = gen.pointer(256, gen.random.chance(1, 4));
      gen.window(pointer.linear, 256);
      gen.pinLow(3, pointer.addressWidth, BigInt(pointer.offset));
      return { code: gen.encode({ opcode: [0xd7], prefixes: pointer.prefixes }) };
    },
  };
}

function nonTemporal(mode: Mode): FormSpec[] {
  const widths: readonly Width[] = mode === 64 ? [32, 64] : [32];
  return widths.flatMap((width) =>
    rmForms({
      group: GROUP,
      mode,
      name: "MOVNTI",
      width,
      regWidth: width,
      operands: `m${width}, r${width}`,
      opcode: [0x0f, 0xc3],
      kinds: ["mem"],
      feature: "sse2",
      // The instruction has no 16-bit form, so 66h is left out in 16-bit code too.
      encode: { width: width === 64 ? 64 : mode === 16 ? 16 : 32 },
      share: 0.5,
    }),
  );
}

/** A load from the code segment by an override; stores through it are not allowed outside 64-bit mode. */
function codeLoads(mode: 16 | 32): FormSpec[] {
  return ([16, 32] as const).map((width): FormSpec => ({
    group: GROUP,
    mode,
    id: `MOV r${width}, CS:m${width}`,
    share: 0.5,
    groupSize: 4,
    build(gen) {
      const offset = 0x4000 + gen.random.below(0x8000);
      gen.window(AREA.codeStart + offset, width / 8);
      const base = gen.random.pick([3, 6, 7]);
      if (mode === 16) gen.pinLow(base, 16, BigInt(offset));
      else gen.pin(base, BigInt(AREA.codeStart + offset));
      const code = mode === 16 ? { 3: 7, 6: 4, 7: 5 }[base] : base;
      const rm = { kind: "mem", mod: 0, rm: code ?? 0, sib: undefined, disp: 0n, dispSize: 0, ripTarget: undefined } as const;
      const place = { segmentPrefix: 0x2e, addressPrefix: false, window: 0, offset: 8 };
      return { code: gen.encode({ opcode: [0x8b], width, reg: gen.reg(width), rm: { ...rm, ...place } }) };
    },
  }));
}

/** 64-bit only: an address that is not canonical raises #GP, or #SS where the base is RSP or RBP. */
function nonCanonical(): FormSpec[] {
  return (["load", "store"] as const).map((direction): FormSpec => ({
    group: GROUP,
    mode: 64,
    id: `MOV ${direction === "load" ? "r64, m64" : "m64, r64"} [not canonical]`,
    traps: [12, 13],
    share: 0.5,
    build(gen) {
      gen.rex = true;
      const base = gen.reg(64, [4, 12, 13]);
      gen.pin(base.index, gen.random.pick([0x0000_8000_0000_0000n, 0xffff_7fff_ffff_fff0n, 0x8000_0000_0000_0000n]) + BigInt(gen.random.below(8)));
      const rm = { kind: "mem", mod: 0, rm: base.code, sib: undefined, disp: 0n, dispSize: 0, ripTarget: undefined } as const;
      // RBP needs a displacement byte.
      const displaced = base.code === 5 ? ({ mod: 1, dispSize: 1 } as const) : {};
      const operand = { ...rm, ...displaced, segmentPrefix: undefined, addressPrefix: false, window: -1, offset: 0 };
      return { code: gen.encode({ opcode: [direction === "load" ? 0x8b : 0x89], width: 64, reg: gen.reg(64), rm: operand }) };
    },
  }));
}

/** 16-bit only: an operand that crosses the limit of its segment raises #GP, or #SS in the stack segment. */
function beyondLimit(): FormSpec[] {
  return (["load", "store"] as const).map((direction): FormSpec => ({
    group: GROUP,
    mode: 16,
    id: `MOV ${direction === "load" ? "r16, m16" : "m16, r16"} [beyond the limit]`,
    traps: [12, 13],
    share: 0.5,
    build(gen) {
      const [rm, register] = gen.random.pick([[4, 6], [5, 7], [6, 5], [7, 3]] as const);
      gen.pinLow(register, 16, 0xffffn);
      const mod = rm === 6 ? 1 : 0;
      const operand = { kind: "mem", mod, rm, sib: undefined, disp: 0n, dispSize: mod, ripTarget: undefined } as const;
      const reg = gen.reg(16);
      const place = { segmentPrefix: undefined, addressPrefix: false, window: -1, offset: 0 };
      return { code: gen.encode({ opcode: [direction === "load" ? 0x8b : 0x89], width: 16, reg, rm: { ...operand, ...place } }) };
    },
  }));
}

export const moveForms: readonly FormSpec[] = [
  ...MODES.flatMap((mode) => [
    ...moves(mode),
    ...extendingMoves(mode),
    ...conditionalMoves(mode),
    translate(mode),
    ...nonTemporal(mode),
  ]),
  ...codeLoads(32),
  ...codeLoads(16),
  ...nonCanonical(),
  ...beyondLimit(),
];
