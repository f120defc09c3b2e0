/**
 * How translated code sees that a scalar operation raises nothing. Numbers whose exponents are neither all zeros nor all ones pass by an integer comparison each; zeros and everything else are looked at by
 * a function of its own. An operand that has passed once need not be looked at again: it is fit, as long as nobody writes MXCSR.
 */
import { FunctionWriter, F32, F64, I32, type Type, W } from "../wasm/writer";

/** What a scalar operation asks of its operands, and of its result where it has one. */
export const scalarOperations = ["add", "mul", "div", "sqrt", "compare"] as const;
export type ScalarOperation = (typeof scalarOperations)[number];
export const operationIndex = (operation: ScalarOperation): number => scalarOperations.indexOf(operation);

/** How a site checks scalars by itself. Locals are those of VectorLocals: x and y are the operands, r is the result. */
export interface ScalarChecks {
  /** Goes on if operands and result are fit; else the helper does it. Nothing has been stored before. */
  check(bits: 32 | 64, operation: ScalarOperation): void;
  /** What has been stored in the destination has been found fit. */
  noteResult(bits: 32 | 64): void;
  /** Sets the status flags from a comparison of x and y that is not unordered. */
  setComparison(bits: 32 | 64): void;
}

/** Exponents of results that are normal by a margin: WebAssembly cannot tell whether one that is about the smallest normal number was rounded up to it. */
const SAFE_SINGLE = 8;
const SAFE_DOUBLE = 64;

/** Pushes whether the number in a local has an exponent from `least` on that is not all ones. */
function pushExponentFrom(w: FunctionWriter, bits: 32 | 64, local: number, least: number): void {
  w.get(local);
  if (bits === 32) {
    // The exponent stays in the upper byte: an instruction less.
    w.op(W.i32ReinterpretF32).i32(1).op(W.i32Shl);
    w.i32(least << 24).op(W.i32Sub);
    w.i32((0xff - least) << 24).op(W.i32LtU);
    return;
  }
  w.op(W.i64ReinterpretF64).i64(1).op(W.i64Shl).i64(53).op2(W.i64ShrU, W.i32Wrap);
  w.i32(least)
    .op(W.i32Sub)
    .i32(0x7ff - least)
    .op(W.i32LtU);
}

/** Pushes whether a number is a normal one, not zero. */
export function pushNormal(w: FunctionWriter, bits: 32 | 64, local: number): void {
  pushExponentFrom(w, bits, local, 1);
}

/** The same for a result that may have been rounded. */
export function pushSafe(w: FunctionWriter, bits: 32 | 64, local: number): void {
  pushExponentFrom(w, bits, local, bits === 32 ? SAFE_SINGLE : SAFE_DOUBLE);
}

/** What decides in full, by operation: code that leaves an i32, for operands and results in locals, as floating.ts has it. */
export interface FullCheck {
  readonly strict: readonly number[];
  /** Where denormal numbers raise nothing new. */
  readonly lenient: readonly number[];
}

/** Type of `scalarCheckFunction`. */
export const scalarCheckType = (bits: 32 | 64): readonly [readonly Type[], readonly Type[]] => {
  const number = bits === 32 ? F32 : F64;
  return [[I32, number, number, number, I32], [I32]];
};

/** Function (cpu, x, y, r, operation): whether the operation is to be done in line. `pushLenient` pushes whether MXCSR says that denormal numbers raise nothing new. */
export function scalarCheckFunction(
  full: (operation: ScalarOperation, locals: { x: number; y: number; r: number }) => FullCheck,
  pushLenient: (w: FunctionWriter) => void,
): FunctionWriter {
  const w = new FunctionWriter(5);
  const locals = { x: 1, y: 2, r: 3 };
  const labels: number[] = [];
  for (const _ of scalarOperations) {
    w.block();
    labels.unshift(w.label());
  }
  w.get(4).brTable(labels);
  for (const operation of scalarOperations) {
    w.end();
    const { strict, lenient } = full(operation, locals);
    w.raw(strict).ifTyped(I32).i32(1).else();
    pushLenient(w);
    w.raw(lenient).op(W.i32And).end().op(W.return);
  }
  return w.op(W.unreachable);
}

/** Pushes the halves of a comparison that KIND_COMPARE takes: cx for greater, cy for less. */
export function pushComparison(w: FunctionWriter, bits: 32 | 64, x: number, y: number, greater: boolean): void {
  w.get(greater ? y : x)
    .get(greater ? x : y)
    .op(bits === 32 ? F32_LT : F64_LT)
    .op(W.i64ExtendU);
}
const F32_LT = 0x5d;
const F64_LT = 0x63;
