import { assert } from "../../common/errors";
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

/** Ops by name, or by what names of several widths or conditions begin with (`familyOf`). */
const uses: readonly (readonly [names: string, use: number])[] = [
  ["brk exit goto gotoFar lookup lookupUnlessRequest br", IS_CONTROL],
  ["jump brz brnz", IS_CONTROL | READS_A],
  ["br_", IS_CONTROL | READS_FLAGS],
  ["helper fastCall bulk", IS_HELPER | READS_FLAGS],
  ["x87", READS_A | READS_B | MAY_LEAVE],
  ["canon", READS_A | MAY_LEAVE],
  ["shadow", 0],
  ["movi", WRITES_D],
  ["mov zx8 zx8h zx16 zx32 sx8 sx8h sx16 sx32 bswap32 bswap64 ctz clz popcnt", unary],
  ["lea lea32 lea16 add sub and or xor shl shr sar mul eq ltu", binary],
  ["dep8 dep8h dep16", READS_D | unary],
  ["get_", WRITES_D | READS_FLAGS],
  ["movc_", READS_D | unary | READS_FLAGS],
  ["getFlags getCf", WRITES_D | READS_FLAGS],
  ["setFlags", READS_A | SETS_FLAGS],
  ["setCf setZf", READS_A | READS_FLAGS],
  ["addf subf andf orf xorf imulf", binary | SETS_FLAGS],
  ["adcf sbbf", binary | SETS_FLAGS | READS_FLAGS],
  ["shlf shrf sarf rolf rorf rclf rcrf", binary | READS_FLAGS],
  ["incf decf", unary | READS_FLAGS],
  ["negf", unary | SETS_FLAGS],
  ["shldf shrdf", READS_D | binary | READS_FLAGS],
  ["mulHiLof imulHiLof", READS_D | READS_A | WRITES_D | WRITES_B | SETS_FLAGS],
  ["div idiv", READS_D | READS_A | READS_B | WRITES_D | WRITES_B | MAY_LEAVE],
  ["ld ldw", binary | MAY_LEAVE],
  ["st", READS_D | READS_A | READS_B | MAY_LEAVE],
  ["segment", unary | MAY_LEAVE],
  ["v_comiss v_comisd v_ucomiss v_ucomisd", IS_VECTOR | READS_A | READS_B | MAY_LEAVE | SETS_FLAGS],
  ["v_", IS_VECTOR | READS_A | READS_B | MAY_LEAVE],
  ["aligned", READS_A | READS_B | MAY_LEAVE],
];

/** "ld" of "ld8_32", "br_" of "br_be". */
const familyOf = (name: OpName): string => /^[a-zA-Z]+_?/.exec(name)?.[0] ?? name;
const families: readonly string[] = opNames.map(familyOf);

// One look-up an op: a pattern for each row, tried on each op, took a tenth of a start.
const useByName: ReadonlyMap<string, number> = new Map(
  uses.flatMap(([names, use]) => names.split(" ").map((name) => [name, use] as const)),
);

function useOf(name: OpName, opcode: number): number {
  if (vectorHelpers.has(name)) return IS_HELPER | READS_FLAGS;
  const use = useByName.get(name) ?? useByName.get(families[opcode]);
  assert(use !== undefined, `the back end does not know what op ${name} uses`);
  return use;
}

const inFamilies = (...names: readonly string[]): readonly boolean[] => families.map((family) => names.includes(family));

/** By opcode. */
export const operandUse: readonly number[] = opNames.map(useOf);

/** Shifts by a constant: their flags are known not to stay as they were. */
export const isShift: readonly boolean[] = inFamilies("shlf", "shrf", "sarf", "shldf", "shrdf");
/** Width that the shift's count is masked for. */
export const countMask: readonly number[] = opNames.map((name) => (name.endsWith("64") ? 63 : 31));
export const isForwardBranch: readonly boolean[] = inFamilies("br", "brz", "brnz", "br_");
export const isConditionalBranch: readonly boolean[] = inFamilies("brz", "brnz", "br_");
export const isStore: readonly boolean[] = inFamilies("st");
export const isLoad: readonly boolean[] = inFamilies("ld", "ldw");
export const OP_GOTO = Op.goto;
export const OP_GOTO_FAR = Op.gotoFar;
