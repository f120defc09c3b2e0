import { Op, type OpName, opNames } from "../ops";
import { vectorHelpers } from "./vectorHelpers";

/** What an op does with its operands and flags: bits of `operandUse`. */
export const READS_D = 1 << 0;
export const READS_A = 1 << 1;
export const READS_B = 1 << 2;
export const WRITES_D = 1 << 3;
export const WRITES_B = 1 << 4;
/** May hand over to the interpreter before it has any effect (a TLB miss that is no plain memory, a fault). */
export const MAY_LEAVE = 1 << 5;
export const IS_HELPER = 1 << 6;
/** Sets all six status flags whatever they were. */
export const SETS_FLAGS = 1 << 7;
/** Reads status flags, or keeps some of them. */
export const READS_FLAGS = 1 << 8;
/** Ends a piece of straight-line code. */
export const IS_CONTROL = 1 << 9;
/** Works on vectors: operands are pairs of slots; a is the destination. */
export const IS_VECTOR = 1 << 10;

const unary = READS_A | WRITES_D;
const binary = READS_A | READS_B | WRITES_D;

const byName: readonly (readonly [RegExp, number])[] = [
  [/^(brk|exit|goto|gotoFar|lookup|lookupUnlessRequest|br)$/, IS_CONTROL],
  [/^(jump|brz|brnz)$/, IS_CONTROL | READS_A],
  [/^br_/, IS_CONTROL | READS_FLAGS],
  [/^helper$/, IS_HELPER | READS_FLAGS],
  [/^x87$/, READS_A | READS_B | MAY_LEAVE],
  [/^fastCall$/, IS_HELPER | READS_FLAGS],
  [/^bulk$/, IS_HELPER | READS_FLAGS],
  [/^canon$/, READS_A | MAY_LEAVE],
  [/^shadow$/, 0],
  [/^movi$/, WRITES_D],
  [/^(mov|zx8|zx8h|zx16|zx32|sx8|sx8h|sx16|sx32|bswap32|bswap64|ctz|clz|popcnt)$/, unary],
  [/^(lea|lea32|lea16|add|sub|and|or|xor|shl|shr|sar|mul|eq|ltu)$/, binary],
  [/^dep(8|8h|16)$/, READS_D | unary],
  [/^get_/, WRITES_D | READS_FLAGS],
  [/^movc_/, READS_D | unary | READS_FLAGS],
  [/^(getFlags|getCf)$/, WRITES_D | READS_FLAGS],
  [/^setFlags$/, READS_A | SETS_FLAGS],
  [/^(setCf|setZf)$/, READS_A | READS_FLAGS],
  [/^(addf|subf|andf|orf|xorf|imulf)\d/, binary | SETS_FLAGS],
  [/^(adcf|sbbf)\d/, binary | SETS_FLAGS | READS_FLAGS],
  [/^(shlf|shrf|sarf|rolf|rorf|rclf|rcrf)\d/, binary | READS_FLAGS],
  [/^(incf|decf)\d/, unary | READS_FLAGS],
  [/^negf\d/, unary | SETS_FLAGS],
  [/^sh[lr]df\d/, READS_D | binary | READS_FLAGS],
  [/^i?mulHiLof\d/, READS_D | READS_A | WRITES_D | WRITES_B | SETS_FLAGS],
  [/^i?div\d/, READS_D | READS_A | READS_B | WRITES_D | WRITES_B | MAY_LEAVE],
  [/^ldw?\d/, binary | MAY_LEAVE],
  [/^st\d/, READS_D | READS_A | READS_B | MAY_LEAVE],
  [/^segment$/, unary | MAY_LEAVE],
  [/^v_u?comis[sd]$/, IS_VECTOR | READS_A | READS_B | MAY_LEAVE | SETS_FLAGS],
  [/^v_(?!u?comis)/, IS_VECTOR | READS_A | READS_B | MAY_LEAVE],
  [/^aligned$/, READS_A | READS_B | MAY_LEAVE],
];

function useOf(name: OpName): number {
  if (vectorHelpers.has(name)) return IS_HELPER | READS_FLAGS;
  const rows = byName.filter(([pattern]) => pattern.test(name));
  if (rows.length !== 1) throw new Error(`the back end knows ${rows.length} uses of op ${name}`);
  return rows[0][1];
}

/** By opcode. */
export const operandUse: readonly number[] = opNames.map(useOf);

/** Shifts by a constant: their flags are known not to stay as they were. */
export const isShift: readonly boolean[] = opNames.map((name) => /^(shlf|shrf|sarf|shldf|shrdf)\d/.test(name));
/** Width that the shift's count is masked for. */
export const countMask: readonly number[] = opNames.map((name) => (name.endsWith("64") ? 63 : 31));
export const isForwardBranch: readonly boolean[] = opNames.map((name) => /^br(z|nz|_\w+)?$/.test(name));
export const isConditionalBranch: readonly boolean[] = opNames.map((name) => /^br(z|nz|_\w+)$/.test(name));
export const isStore: readonly boolean[] = opNames.map((name) => /^st\d/.test(name));
export const isLoad: readonly boolean[] = opNames.map((name) => /^ldw?\d/.test(name));
export const OP_GOTO = Op.goto;
export const OP_GOTO_FAR = Op.gotoFar;
