import { assert } from "../../common/errors";
import { type FeatureName, featureNames } from "../features";
import { type Mnemonic, mnemonics } from "./mnemonics";

/**
 * The notation of the opcode tables (SDM volume 2, appendix A): one row of text an encoding,
 *
 *     SELECTOR MNEMONIC OPERANDS ATTRIBUTES...
 *
 * SELECTOR is the opcode byte (`80`), or the first of eight that hold a register (`50+`), then what ModRM must be: `/3` its reg field, `:mem` or `:reg` its
 * mod field, `:r5` its rm field. OPERANDS are in the manual's letters, `-` for none:
 * - E register or memory by ModRM, G register of the reg field, M memory only, R register only, B register of VEX.vvvv, Z register in the opcode, S segment
 *   register of the reg field, C and D control and debug register, I immediate (Ibs: a byte, sign-extended), J branch displacement, A far pointer in the code,
 *   O offset in the code, X and Y the implied operands of string instructions;
 * - b w d q: 8, 16, 32, 64 bits; v: operand size; z: operand size, 32 for 64; y: 64 with REX.W, else 32; p: far pointer; s: pseudo-descriptor; a: bounds;
 * - V, W, P, Q, x: vector registers (simdRows.ts); H, L, dq, h, f, e: those of VEX (vexRows.ts);
 * - AL rAX CL DX 1 ES CS SS DS FS GS: themselves.
 * ATTRIBUTES: `np` `66` `f3` `f2` mandatory prefix classes that the row takes (all without any; `nf` = np and 66); `i64` invalid in 64-bit mode; `o64` valid
 * only there; `d64` operand size 64 by default in 64-bit mode; `f64` always 64 there; `w0` `w1` REX.W or VEX.W must be so; `l0` `l1` VEX.L must be so; `lock`
 * takes LOCK with a memory destination; `modrm` has a ModRM byte that no operand names; `modreg` ModRM.mod is taken for 3; `vsib` the index of the memory operand
 * is a vector register; any other: a CPU feature it needs.
 *
 * Of an opcode's rows the first whose conditions hold is meant; none: #UD.
 */
export type OperandLetter =
  | "E"
  | "G"
  | "M"
  | "R"
  | "B"
  | "Z"
  | "S"
  | "C"
  | "D"
  | "I"
  | "J"
  | "A"
  | "O"
  | "V"
  | "W"
  | "P"
  | "Q"
  | "H"
  | "L"
  | "X"
  | "Y"
  | "AL"
  | "rAX"
  | "CL"
  | "DX"
  | "1"
  | "ES"
  | "CS"
  | "SS"
  | "DS"
  | "FS"
  | "GS";
export type WidthLetter = "b" | "bs" | "w" | "d" | "q" | "v" | "z" | "y" | "p" | "s" | "a" | "x" | "dq" | "h" | "f" | "e" | "";

export interface OperandKind {
  readonly letter: OperandLetter;
  readonly width: WidthLetter;
}

/** Classes of mandatory prefix, as a mask. */
export const PREFIX_NONE = 1;
export const PREFIX_66 = 2;
export const PREFIX_F3 = 4;
export const PREFIX_F2 = 8;

/** Default operand size in 64-bit mode. */
export const enum Size64 {
  normal = 0,
  default64 = 1,
  force64 = 2,
}

/** One row, parsed. */
export interface OpcodeRow {
  readonly mnemonic: Mnemonic;
  /** Index of the mnemonic in `mnemonics`. */
  readonly id: number;
  readonly operands: readonly OperandKind[];
  /** First opcode byte, and 8 for a row of eight opcodes, else 1. */
  readonly opcode: number;
  readonly span: 1 | 8;
  /** Conditions on ModRM; -1: any. `mod` 0 memory, 1 register. */
  readonly reg: number;
  readonly mod: number;
  readonly rm: number;
  readonly prefixes: number;
  /** Whether it is valid outside 64-bit mode, and in it. */
  readonly valid32: boolean;
  readonly valid64: boolean;
  /** -1, or what REX.W or VEX.W must be; VEX.L likewise. */
  readonly w: number;
  readonly l: number;
  readonly size64: Size64;
  readonly lockable: boolean;
  readonly modrm: boolean;
  readonly modIsRegister: boolean;
  readonly vsib: boolean;
  /** An operand is VEX.vvvv; else that field must be all ones. */
  readonly usesVvvv: boolean;
  /** All that the CPU must have. */
  readonly features: readonly FeatureName[];
}

const fixedOperands: readonly OperandLetter[] = ["AL", "rAX", "CL", "DX", "1", "ES", "CS", "SS", "DS", "FS", "GS"];
const letters: readonly OperandLetter[] = [
  "E",
  "G",
  "M",
  "R",
  "B",
  "Z",
  "S",
  "C",
  "D",
  "I",
  "J",
  "A",
  "O",
  "X",
  "Y",
  "V",
  "W",
  "P",
  "Q",
  "H",
  "L",
];
const widthLetters: readonly WidthLetter[] = ["b", "bs", "w", "d", "q", "v", "z", "y", "p", "s", "a", "x", "dq", "h", "f", "e", ""];
const byText = new Map<string, OperandKind>([
  ...fixedOperands.map((letter) => [letter, { letter, width: "" }] as const),
  ...letters.flatMap((letter) => widthLetters.map((width) => [`${letter}${width}`, { letter, width }] as const)),
]);
const mnemonicIds = new Map<string, number>(mnemonics.map((name, id) => [name, id]));
const featuresByName = new Map<string, FeatureName>(featureNames.map((name) => [name, name]));
/** Operands that a ModRM byte encodes. */
const modrmLetters: ReadonlySet<OperandLetter> = new Set(["E", "G", "M", "R", "S", "C", "D", "V", "W", "P", "Q"]);

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function parseOperand(text: string): OperandKind {
  const operand = byText.get(text);
  assert(operand !== undefined, `no operand is called ${text}`);
  return operand;
}

function parseRow(line: string): OpcodeRow {
  const [selector, name, operandText, ...attributes] = line.split(/\s+/);
  const match = /^([0-9A-F]{2})(\+?)(?:\/([0-7]))?(?::(mem|reg))?(?::r([0-7]))?$/.exec(selector);
  assert(match !== null, `the opcode table has a bad row: ${line}`);
  const id = mnemonicIds.get(name);
  assert(id !== undefined, `no mnemonic is called ${name}`);
  const operands = (operandText === "-" ? [] : operandText.split(",")).map(parseOperand);
  const take = (attribute: string): boolean => {
    const at = attributes.indexOf(attribute);
    if (at >= 0) attributes.splice(at, 1);
    return at >= 0;
  };
  const prefixes =
    (take("np") ? PREFIX_NONE : 0) |
    (take("66") ? PREFIX_66 : 0) |
    (take("f3") ? PREFIX_F3 : 0) |
    (take("f2") ? PREFIX_F2 : 0) |
    (take("nf") ? PREFIX_NONE | PREFIX_66 : 0);
  const needsModrm = take("modrm");
  // All rows have one hidden class: the decoder reads a dozen of their properties for each instruction. Spread into another literal each would have one of its own.
  const row: Mutable<OpcodeRow> = {
    mnemonic: mnemonics[id],
    id,
    operands,
    opcode: parseInt(match[1], 16),
    span: match[2] === "+" ? 8 : 1,
    reg: match[3] === undefined ? -1 : Number(match[3]),
    mod: match[4] === undefined ? -1 : match[4] === "reg" ? 1 : 0,
    rm: match[5] === undefined ? -1 : Number(match[5]),
    prefixes: prefixes || 15,
    valid32: !take("o64"),
    valid64: !take("i64"),
    w: take("w1") ? 1 : take("w0") ? 0 : -1,
    l: take("l1") ? 1 : take("l0") ? 0 : -1,
    size64: take("d64") ? Size64.default64 : take("f64") ? Size64.force64 : Size64.normal,
    lockable: take("lock"),
    modrm: needsModrm || /[/:]/.test(selector) || operands.some(({ letter }) => modrmLetters.has(letter)),
    modIsRegister: take("modreg"),
    vsib: take("vsib"),
    usesVvvv: operands.some(({ letter }) => letter === "B" || letter === "H"),
    features: [],
  };
  // What no one has taken is a feature.
  row.features = attributes.map((attribute) => {
    const feature = featuresByName.get(attribute);
    assert(feature !== undefined, `the opcode table has a bad attribute: ${line}`);
    return feature;
  });
  return row;
}

/** Opcodes that a line of a table is about: `50+` are eight, `80-83` the ones between as well. */
function opcodesOf(line: string): readonly [first: number, last: number] {
  const first = parseInt(line.slice(0, 2), 16);
  if (line[2] === "+") return [first, first + 7];
  return [first, line[2] === "-" ? parseInt(line.slice(3, 5), 16) : first];
}

/** The row that a line has for `opcode`, one of its first opcodes: those of a range have a row each. */
const rowOf = (line: string, opcode: number): OpcodeRow =>
  parseRow(line[2] === "-" ? opcode.toString(16).toUpperCase().padStart(2, "0") + line.slice(5) : line);

const linesOf = (table: string): string[] =>
  table
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");

/** Parses a table: one row a line; empty lines are skipped. `80-83` and the like stand for a row each. */
export function parseRows(text: string): OpcodeRow[] {
  return linesOf(text).flatMap((line) => {
    const [first, last] = opcodesOf(line);
    const rows = line[2] === "-" ? last - first + 1 : 1;
    return Array.from({ length: rows }, (_, index) => rowOf(line, first + index));
  });
}

/** The rows of tables: all, and those of one opcode. */
export interface LazyRows {
  (): readonly OpcodeRow[];
  at(opcode: number): readonly OpcodeRow[];
}

/** The rows of tables that are parsed when they are first asked for, opcode by opcode: most guests use few. */
export function lazyRows(...texts: readonly string[]): LazyRows {
  let rows: readonly OpcodeRow[] | undefined;
  let byOpcode: string[][] | undefined;
  const sorted = (): string[][] => {
    const lines = Array.from({ length: 256 }, (): string[] => []);
    for (const line of texts.flatMap(linesOf)) {
      const [first, last] = opcodesOf(line);
      for (let opcode = first; opcode <= last; opcode++) lines[opcode].push(line);
    }
    return lines;
  };
  return Object.assign(() => (rows ??= texts.flatMap(parseRows)), {
    at: (opcode: number) => (byOpcode ??= sorted())[opcode].map((line) => rowOf(line, opcode)),
  });
}
