/** ADD..CMP, TEST, INC/DEC, NEG/NOT, MUL/IMUL/DIV/IDIV, XADD, CMPXCHG, sign extension of the accumulator. */
import { Flag, type Mode } from "../../expand.js";
import { type CaseEditor, type FormSpec, STATUS } from "../cases.js";
import type { Operand, Width } from "../gen.js";
import { allWidths, immediate, immWidth, MODES, plainForm, rmForms, wideWidths } from "./common.js";

const GROUP = "arithmetic";
const ALU = ["ADD", "OR", "ADC", "SBB", "AND", "SUB", "XOR", "CMP"] as const;
const ACCUMULATOR: Record<Width, string> = { 8: "AL", 16: "AX", 32: "EAX", 64: "RAX" };
const LOGIC_UNDEFINED: Partial<Record<string, number>> = { OR: Flag.AF, AND: Flag.AF, XOR: Flag.AF, TEST: Flag.AF };
const MULTIPLY_UNDEFINED = Flag.SF | Flag.ZF | Flag.AF | Flag.PF;

/** Opcode of a pair whose low bit says "not 8 bits". */
const wide = (opcode: number, width: Width): number => (width === 8 ? opcode : opcode + 1);

function alu(mode: Mode): FormSpec[] {
  return ALU.flatMap((name, number) =>
    allWidths(mode).flatMap((width) => {
      const common = { group: GROUP, mode, name, width, undefinedFlags: LOGIC_UNDEFINED[name] ?? 0 };
      const lockable = name === "CMP" ? (["reg", "mem"] as const) : (["reg", "mem", "lock"] as const);
      const imm = immWidth(width);
      const forms = [
        ...rmForms({ ...common, operands: `r/m${width}, r${width}`, opcode: [wide(number * 8, width)], regWidth: width, kinds: lockable }),
        ...rmForms({ ...common, operands: `r${width}, r/m${width}`, opcode: [wide(number * 8 + 2, width)], regWidth: width }),
        ...rmForms({ ...common, operands: `r/m${width}, imm${imm}`, opcode: [wide(0x80, width)], ext: number, imm, kinds: lockable, groupSize: 4 }),
        plainForm(
          GROUP,
          mode,
          `${name} ${ACCUMULATOR[width]}, imm${imm}`,
          (gen) => ({ spec: { opcode: [wide(number * 8 + 4, width)], ...(width !== 8 && { width }), imm: immediate(gen, imm) } }),
          { undefinedFlags: common.undefinedFlags, groupSize: 4 },
        ),
      ];
      if (width !== 8) {
        forms.push(...rmForms({ ...common, operands: `r/m${width}, imm8`, opcode: [0x83], ext: number, imm: 8, kinds: lockable, groupSize: 4 }));
      } else if (mode !== 64) {
        forms.push(...rmForms({ ...common, operands: "r/m8, imm8 (82)", opcode: [0x82], ext: number, imm: 8, share: 0.25 }));
      }
      return forms;
    }),
  );
}

function unary(mode: Mode): FormSpec[] {
  return allWidths(mode).flatMap((width) => {
    const common = { group: GROUP, mode, width };
    const rm = `r/m${width}`;
    const r = `r${width}`;
    const lockable = ["reg", "mem", "lock"] as const;
    const imm = immWidth(width);
    const f6 = [wide(0xf6, width)];
    const logic = Flag.AF;
    const forms = [
      ...rmForms({ ...common, name: "TEST", operands: `${rm}, ${r}`, opcode: [wide(0x84, width)], regWidth: width, undefinedFlags: logic }),
      ...rmForms({ ...common, name: "TEST", operands: `${rm}, imm${imm}`, opcode: f6, ext: 0, imm, undefinedFlags: logic, groupSize: 4 }),
      ...rmForms({ ...common, name: "TEST", operands: `${rm}, imm${imm} (/1)`, opcode: f6, ext: 1, imm, undefinedFlags: logic, share: 0.25 }),
      ...rmForms({ ...common, name: "INC", operands: rm, opcode: [wide(0xfe, width)], ext: 0, kinds: lockable }),
      ...rmForms({ ...common, name: "DEC", operands: rm, opcode: [wide(0xfe, width)], ext: 1, kinds: lockable }),
      ...rmForms({ ...common, name: "NOT", operands: rm, opcode: f6, ext: 2, kinds: lockable }),
      ...rmForms({ ...common, name: "NEG", operands: rm, opcode: f6, ext: 3, kinds: lockable }),
      ...rmForms({ ...common, name: "XADD", operands: `${rm}, ${r}`, opcode: [0x0f, wide(0xc0, width)], regWidth: width, kinds: lockable }),
      ...rmForms({
        ...common,
        name: "CMPXCHG",
        operands: `${rm}, ${r}`,
        opcode: [0x0f, wide(0xb0, width)],
        regWidth: width,
        kinds: lockable,
        mem: { avoid: [0] },
        vary(item, operands) {
          const { rm: target } = operands;
          // Whether a failed 32-bit compare clears the upper half of a register operand differs between makers.
          if (mode === 64 && width === 32 && target.kind === "reg") item.set(target.index, item.read(target, 32));
          // Otherwise the comparison would hardly ever succeed.
          if (item.random.chance(1, 2)) item.setLow(0, width, item.read(operands.rm, width));
        },
      }),
      plainForm(
        GROUP,
        mode,
        `TEST ${ACCUMULATOR[width]}, imm${imm}`,
        (gen) => ({ spec: { opcode: [wide(0xa8, width)], ...(width !== 8 && { width }), imm: immediate(gen, imm) } }),
        { undefinedFlags: logic, groupSize: 4 },
      ),
    ];
    if (mode !== 64 && width !== 8) {
      for (const [name, opcode] of [["INC", 0x40], ["DEC", 0x48]] as const) {
        forms.push(plainForm(GROUP, mode, `${name} ${r} (${opcode.toString(16)}+r)`, (gen) => ({ spec: { opcode: [opcode], width, plus: gen.reg(width) } })));
      }
    }
    return forms;
  });
}

/** Keeps most quotients in range, some of them at its very edge; the rest raise #DE. */
function varyDivision(item: CaseEditor, divisor: Operand, width: Width, signed: boolean): void {
  const draw = item.random.below(8);
  if (draw === 0) return;
  const setHigh = (value: bigint): void => {
    if (width === 8) item.setLow(0, 16, ((value & 0xffn) << 8n) | (item.state[0] & 0xffn));
    else item.setLow(2, width, value);
  };
  const low = BigInt.asIntN(width, item.state[0]);
  if (draw <= 3) setHigh(signed && low < 0n ? -1n : 0n);
  else if (draw <= 5) setHigh(BigInt(item.random.below(256)) - (signed ? 128n : 0n));
  else {
    const value = item.read(divisor, width);
    const half = signed ? BigInt.asIntN(width, value) / 2n : value;
    setHigh(half - BigInt(item.random.below(signed ? 3 : 2)));
  }
}

function multiplyDivide(mode: Mode): FormSpec[] {
  return allWidths(mode).flatMap((width) => {
    const common = { group: GROUP, mode, width, opcode: [wide(0xf6, width)], operands: `r/m${width}` };
    const forms = [
      ...rmForms({ ...common, name: "MUL", ext: 4, undefinedFlags: MULTIPLY_UNDEFINED }),
      ...rmForms({ ...common, name: "IMUL", ext: 5, undefinedFlags: MULTIPLY_UNDEFINED }),
      ...(["DIV", "IDIV"] as const).flatMap((name, signed) =>
        rmForms({
          ...common,
          name,
          ext: 6 + signed,
          undefinedFlags: STATUS,
          traps: [0],
          mem: { avoid: [0, 2] },
          vary: (item, { rm }) => varyDivision(item, rm, width, signed === 1),
        }),
      ),
    ];
    if (width !== 8) {
      const imul = { group: GROUP, mode, width, name: "IMUL", regWidth: width, undefinedFlags: MULTIPLY_UNDEFINED };
      const imm = immWidth(width);
      forms.push(
        ...rmForms({ ...imul, operands: `r${width}, r/m${width}`, opcode: [0x0f, 0xaf] }),
        ...rmForms({ ...imul, operands: `r${width}, r/m${width}, imm${imm}`, opcode: [0x69], imm, groupSize: 4 }),
        ...rmForms({ ...imul, operands: `r${width}, r/m${width}, imm8`, opcode: [0x6b], imm: 8, groupSize: 4 }),
      );
    }
    return forms;
  });
}

function wideCompareExchange(mode: Mode): FormSpec[] {
  const sizes = mode === 64 ? ([8, 16] as const) : ([8] as const);
  return sizes.flatMap((size) =>
    ([false, true] as const).map((lock): FormSpec => ({
      group: GROUP,
      id: `${lock ? "LOCK " : ""}CMPXCHG${size}B m${size * 8}`,
      mode,
      feature: size === 16 ? "cx16" : "base",
      build(gen) {
        // CMPXCHG16B faults unless its operand is aligned.
        const aligned = size === 8 || gen.random.chance(7, 8);
        const rm = gen.mem(size, { avoid: [0, 1, 2, 3], ...(size === 16 && aligned && { align: 16 }) });
        const half = size === 16 ? 64 : 32;
        return {
          code: gen.encode({ opcode: [0x0f, 0xc7], reg: 1, rm, lock, ...(size === 16 && { width: 64 as const }) }),
          vary(item) {
            if (!aligned || item.random.chance(1, 2)) return;
            const at = (offset: number): bigint => item.read({ ...rm, offset: rm.offset + offset }, half);
            item.setLow(0, half, at(0));
            item.setLow(2, half, at(half / 8));
          },
        };
      },
      traps: size === 16 ? [13] : [],
    })),
  );
}

const EXTENSIONS: readonly (readonly [string, number, Width])[] = [
  ["CBW", 0x98, 16],
  ["CWDE", 0x98, 32],
  ["CDQE", 0x98, 64],
  ["CWD", 0x99, 16],
  ["CDQ", 0x99, 32],
  ["CQO", 0x99, 64],
];

function extensions(mode: Mode): FormSpec[] {
  return EXTENSIONS.filter(([, , width]) => wideWidths(mode).includes(width)).map(([name, opcode, width]) =>
    plainForm(GROUP, mode, name, () => ({ spec: { opcode: [opcode], width } })),
  );
}

export const arithmeticForms: readonly FormSpec[] = MODES.flatMap((mode) => [
  ...alu(mode),
  ...unary(mode),
  ...multiplyDivide(mode),
  ...wideCompareExchange(mode),
  ...extensions(mode),
]);
