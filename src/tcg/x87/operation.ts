import { assert } from "../../common/errors";

/** How an op `x87` says in one word what its instruction does, for the engine's own x87 code. The opcode table is not read again. */

/** Bits 0-3. */
export const Kind = {
  load: 0,
  store: 1,
  arithmeticMemory: 2,
  compareMemory: 3,
  arithmetic: 4,
  compare: 5,
  loadRegister: 6,
  exchange: 7,
  copy: 8,
  negate: 9,
  absolute: 10,
  one: 11,
  zero: 12,
  squareRoot: 13,
} as const;

/**
 * The functions that the engine's x87 code consists of, with the kinds that each executes: a function that does one thing keeps it in registers, one for everything saved and restored a dozen of them around
 * what it did not call.
 */
export const x87Parts = {
  x87Load: ["load"],
  x87Store: ["store"],
  x87Memory: ["arithmeticMemory", "compareMemory"],
  x87Register: ["arithmetic", "compare", "loadRegister", "exchange", "copy", "negate", "absolute", "one", "zero"],
  x87Root: ["squareRoot"],
} as const satisfies { readonly [part: string]: readonly (keyof typeof Kind)[] };
export type X87Part = keyof typeof x87Parts;
export const x87PartNames = Object.keys(x87Parts) as readonly X87Part[];

/** By kind: the part that executes it. */
const partOfKind: readonly (X87Part | undefined)[] = Object.keys(Kind).map((kind) =>
  x87PartNames.find((part) => x87Parts[part].some((name) => name === kind)),
);
/** The part that executes an operation. */
export function x87PartOf(operation: number): X87Part {
  const part = partOfKind[operation & 15];
  assert(part !== undefined, `no part executes the x87 operation ${operation}`);
  return part;
}

/** Bits 4-7: the operand in memory; its bytes in the nibbles of OPERAND_BYTES. */
export const Format = { single: 0, double: 1, int16: 2, int32: 3, int64: 4, extended: 5 } as const;
export const OPERAND_BYTES = 0xa8_4284;
export const FORMAT_SHIFT = 4;
/** Bits 8-10: ModRM.reg of arithmetic: add, mul, -, -, sub, subr, div, divr; target op source. */
export const OPERATION_SHIFT = 8;
/** Bits 11-13, 14-16: stack registers. */
export const TARGET_SHIFT = 11;
export const SOURCE_SHIFT = 14;
/** Bits 17-18: pops. */
export const POPS_SHIFT = 17;
/** FISTTP. */
export const TRUNCATE = 1 << 19;
/** Bits 20-22: segment of the operand in memory. */
export const SEGMENT_SHIFT = 20;
export const CODE_64 = 1 << 23;

const kind = (value: number, pops = 0): number => value | (pops << POPS_SHIFT);
const formatted = (value: number, format: number, pops = 0): number => kind(value, pops) | (format << FORMAT_SHIFT);

function memoryOperation(opcode: number, reg: number): number {
  if ((opcode & 1) === 0) {
    const format = [Format.single, Format.int32, Format.double, Format.int16][opcode >> 1];
    if (reg === 2 || reg === 3) return formatted(Kind.compareMemory, format, reg - 2);
    return formatted(Kind.arithmeticMemory, format) | (reg << OPERATION_SHIFT);
  }
  const floating = opcode === 1 || opcode === 5;
  if (reg < 4) {
    const format = [Format.single, Format.int32, Format.double, Format.int16][opcode >> 1];
    if (reg === 0) return formatted(Kind.load, format);
    if (reg !== 1) return formatted(Kind.store, format, reg - 2);
    if (opcode === 1) return -1;
    return formatted(Kind.store, floating ? Format.int64 : format, 1) | TRUNCATE;
  }
  if (opcode === 3 && reg === 5) return formatted(Kind.load, Format.extended);
  if (opcode === 3 && reg === 7) return formatted(Kind.store, Format.extended, 1);
  if (opcode === 7 && reg === 5) return formatted(Kind.load, Format.int64);
  if (opcode === 7 && reg === 7) return formatted(Kind.store, Format.int64, 1);
  return -1;
}

function registerOperation(opcode: number, reg: number, i: number): number {
  const target = i << TARGET_SHIFT;
  const source = i << SOURCE_SHIFT;
  switch (opcode) {
    case 0:
      if (reg === 2 || reg === 3) return kind(Kind.compare, reg - 2) | source;
      return kind(Kind.arithmetic) | source | (reg << OPERATION_SHIFT);
    case 1:
      if (reg === 0) return kind(Kind.loadRegister) | source;
      if (reg === 1) return kind(Kind.exchange) | source;
      if (reg === 4 && i < 2) return kind(i === 0 ? Kind.negate : Kind.absolute);
      if (reg === 5 && (i === 0 || i === 6)) return kind(i === 0 ? Kind.one : Kind.zero);
      return reg === 7 && i === 2 ? kind(Kind.squareRoot) : -1;
    case 2:
      return reg === 5 && i === 1 ? kind(Kind.compare, 2) | source : -1;
    case 4:
    case 6: {
      const pops = opcode === 6 ? 1 : 0;
      if (reg === 3 && opcode === 6) return i === 1 ? kind(Kind.compare, 2) | source : -1;
      if (reg === 2 || reg === 3) return -1;
      return kind(Kind.arithmetic, pops) | target | ((reg < 4 ? reg : reg ^ 1) << OPERATION_SHIFT);
    }
    case 5:
      if (reg === 2 || reg === 3) return kind(Kind.copy, reg - 2) | target;
      return reg === 4 || reg === 5 ? kind(Kind.compare, reg - 4) | source : -1;
    default:
      return -1;
  }
}

/** The word for an instruction with opcode D8 + `opcode` and this ModRM byte, or -1: left to the helper. */
export function x87Operation(opcode: number, modrm: number): number {
  const reg = (modrm >> 3) & 7;
  return modrm < 0xc0 ? memoryOperation(opcode, reg) : registerOperation(opcode, reg, modrm & 7);
}
