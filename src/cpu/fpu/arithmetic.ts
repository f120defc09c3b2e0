/** Basic arithmetic of the x87 unit, exact: SDM vol. 1, "Operation of x87 FPU Instructions", and the tables of each instruction in vol. 2. */
import { DE, type FpuContext, IE, ROUND_DOWN, ZE } from "./context";
import {
  bitLength,
  CLASS_DENORMAL,
  CLASS_INFINITY,
  CLASS_QUIET,
  CLASS_SIGNALING,
  CLASS_UNSUPPORTED,
  CLASS_ZERO,
  classify,
  EXPONENT_MASK,
  type Float80,
  fromInteger,
  infinity,
  isNegative,
  negate,
  quiet,
  SIGN_BIT,
  unitExponent,
  zero,
} from "./format";

export type BinaryOperation = "add" | "sub" | "subr" | "mul" | "div" | "divr";

/**
 * The response to NaNs and unsupported encodings among two operands (SDM vol. 1, "NaNs", table of rules for handling NaNs), or undefined if there is none.
 */
export function propagateNaN(c: FpuContext, a: Float80, b: Float80): Float80 | undefined {
  const classA = classify(a);
  const classB = classify(b);
  if (classA < CLASS_QUIET && classB < CLASS_QUIET) return undefined;
  if (classA === CLASS_UNSUPPORTED || classB === CLASS_UNSUPPORTED) return c.invalid();
  if (classA === CLASS_SIGNALING || classB === CLASS_SIGNALING) c.flags |= IE;
  if (classA < CLASS_QUIET) return quiet(b);
  if (classB < CLASS_QUIET) return quiet(a);
  // A quiet NaN prevails over a signaling one; of two alike the larger significand, then the positive one.
  if (classA !== classB) return classA === CLASS_QUIET ? a : b;
  const x = quiet(a);
  const y = quiet(b);
  if (x.m !== y.m) return x.m > y.m ? x : y;
  return isNegative(x) ? y : x;
}

/** The same for one operand. */
export function propagateOne(c: FpuContext, a: Float80): Float80 | undefined {
  const kind = classify(a);
  if (kind < CLASS_QUIET) return undefined;
  if (kind === CLASS_UNSUPPORTED) return c.invalid();
  if (kind === CLASS_SIGNALING) c.flags |= IE;
  return quiet(a);
}

/** Records the denormal-operand exception. */
export function noteDenormals(c: FpuContext, a: Float80, b: Float80 = a): void {
  if (c.denormalSource || classify(a) === CLASS_DENORMAL || classify(b) === CLASS_DENORMAL) c.flags |= DE;
}

export function compute(c: FpuContext, operation: BinaryOperation, a: Float80, b: Float80): Float80 {
  const nan = propagateNaN(c, a, b);
  if (nan !== undefined) return nan;
  switch (operation) {
    case "add":
      return add(c, a, b);
    case "sub":
      return add(c, a, negate(b));
    case "subr":
      return add(c, b, negate(a));
    case "mul":
      return multiply(c, a, b);
    case "div":
      return divide(c, a, b);
    case "divr":
      return divide(c, b, a);
  }
}

/** Beyond this distance of exponents the smaller operand only tells which way to round. */
const FAR = 200;
const GUARD = 130;

function add(c: FpuContext, a: Float80, b: Float80): Float80 {
  const classA = classify(a);
  const classB = classify(b);
  if (classA === CLASS_INFINITY && classB === CLASS_INFINITY && isNegative(a) !== isNegative(b)) return c.invalid();
  noteDenormals(c, a, b);
  if (classA === CLASS_INFINITY) return a;
  if (classB === CLASS_INFINITY) return b;
  if (classA === CLASS_ZERO && classB === CLASS_ZERO) {
    return isNegative(a) === isNegative(b) ? a : zero(c.rounding === ROUND_DOWN);
  }
  let sum: bigint;
  let exponent: number;
  const signedA = isNegative(a) ? -a.m : a.m;
  const signedB = isNegative(b) ? -b.m : b.m;
  const unitA = unitExponent(a);
  const unitB = unitExponent(b);
  if (a.m !== 0n && b.m !== 0n && Math.abs(unitA - unitB) > FAR) {
    const [large, small, unit] = unitA > unitB ? [signedA, signedB, unitA] : [signedB, signedA, unitB];
    sum = (large << BigInt(GUARD)) + (small < 0n ? -1n : 1n);
    exponent = unit - GUARD;
  } else if (a.m === 0n || b.m === 0n) {
    [sum, exponent] = a.m === 0n ? [signedB, unitB] : [signedA, unitA];
  } else {
    exponent = Math.min(unitA, unitB);
    sum = (signedA << BigInt(unitA - exponent)) + (signedB << BigInt(unitB - exponent));
  }
  if (sum === 0n) return zero(c.rounding === ROUND_DOWN);
  return c.roundControlled(sum < 0n, sum < 0n ? -sum : sum, exponent);
}

function multiply(c: FpuContext, a: Float80, b: Float80): Float80 {
  const classA = classify(a);
  const classB = classify(b);
  const negative = isNegative(a) !== isNegative(b);
  if (classA === CLASS_INFINITY || classB === CLASS_INFINITY) {
    if (classA === CLASS_ZERO || classB === CLASS_ZERO) return c.invalid();
    noteDenormals(c, a, b);
    return infinity(negative);
  }
  noteDenormals(c, a, b);
  if (a.m === 0n || b.m === 0n) return zero(negative);
  return c.roundControlled(negative, a.m * b.m, unitExponent(a) + unitExponent(b));
}

function divide(c: FpuContext, a: Float80, b: Float80): Float80 {
  const classA = classify(a);
  const classB = classify(b);
  const negative = isNegative(a) !== isNegative(b);
  if (classA === CLASS_INFINITY) {
    if (classB === CLASS_INFINITY) return c.invalid();
    noteDenormals(c, a, b);
    return infinity(negative);
  }
  if (classB === CLASS_INFINITY) {
    noteDenormals(c, a, b);
    return zero(negative);
  }
  if (classB === CLASS_ZERO) {
    if (classA === CLASS_ZERO) return c.invalid();
    // A denormal dividend counts for nothing then: division by zero has the higher priority.
    c.flags |= ZE;
    return infinity(negative);
  }
  noteDenormals(c, a, b);
  if (a.m === 0n) return zero(negative);
  const dividend = a.m << 131n;
  const quotient = dividend / b.m;
  return c.roundControlled(negative, quotient, unitExponent(a) - 131 - unitExponent(b), quotient * b.m !== dividend);
}

/** Largest integer whose square is not above `value`. */
export function integerSquareRoot(value: bigint): bigint {
  if (value === 0n) return 0n;
  let root = 1n << BigInt((bitLength(value) + 1) >> 1);
  for (;;) {
    const next = (root + value / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}

export function squareRoot(c: FpuContext, a: Float80): Float80 {
  const nan = propagateOne(c, a);
  if (nan !== undefined) return nan;
  if (a.m === 0n) return a;
  if (isNegative(a)) return c.invalid();
  noteDenormals(c, a);
  if (classify(a) === CLASS_INFINITY) return a;
  const unit = unitExponent(a);
  const shift = 136 + (unit & 1);
  const value = a.m << BigInt(shift);
  const root = integerSquareRoot(value);
  return c.roundControlled(false, root, (unit - shift) / 2, root * root !== value);
}

export const enum Order {
  greater = 0,
  less = 1,
  equal = 2,
  unordered = 3,
}

/** Compares; `quietly`: quiet NaNs are no invalid operation (FUCOM). */
export function compare(c: FpuContext, a: Float80, b: Float80, quietly: boolean): Order {
  const classA = classify(a);
  const classB = classify(b);
  if (classA >= CLASS_QUIET || classB >= CLASS_QUIET) {
    if (!quietly || classA >= CLASS_SIGNALING || classB >= CLASS_SIGNALING) c.flags |= IE;
    return Order.unordered;
  }
  noteDenormals(c, a, b);
  if (a.m === 0n && b.m === 0n) return Order.equal;
  const negativeA = isNegative(a) && a.m !== 0n;
  const negativeB = isNegative(b) && b.m !== 0n;
  if (negativeA !== negativeB) return negativeA ? Order.less : Order.greater;
  const magnitude = compareMagnitude(a, b);
  if (magnitude === 0) return Order.equal;
  return magnitude < 0 !== negativeA ? Order.less : Order.greater;
}

function compareMagnitude(a: Float80, b: Float80): number {
  if (a.m === 0n || b.m === 0n) return a.m === b.m ? 0 : a.m === 0n ? -1 : 1;
  const unitA = unitExponent(a);
  const unitB = unitExponent(b);
  // Pseudo-denormals and denormals share the exponent of the smallest normal numbers: significands decide among them.
  if (unitA !== unitB) return unitA - unitB;
  return a.m === b.m ? 0 : a.m < b.m ? -1 : 1;
}

/** FRNDINT. */
export function roundToInteger(c: FpuContext, a: Float80): Float80 {
  const nan = propagateOne(c, a);
  if (nan !== undefined) return nan;
  noteDenormals(c, a);
  if (a.m === 0n || (a.se & EXPONENT_MASK) >= 0x3fff + 63) return a;
  const rounded = c.integer(a);
  return rounded === 0n ? zero(isNegative(a)) : { ...fromInteger(rounded), se: fromInteger(rounded).se | (a.se & SIGN_BIT) };
}

/** FSCALE: a * 2^trunc(b). */
export function scale(c: FpuContext, a: Float80, b: Float80): Float80 {
  const nan = propagateNaN(c, a, b);
  if (nan !== undefined) return nan;
  const classA = classify(a);
  if (classify(b) === CLASS_INFINITY) {
    if (isNegative(b)) {
      if (classA === CLASS_INFINITY) return c.invalid();
      noteDenormals(c, a, b);
      return zero(isNegative(a));
    }
    if (classA === CLASS_ZERO) return c.invalid();
    noteDenormals(c, a, b);
    return infinity(isNegative(a));
  }
  noteDenormals(c, a, b);
  if (classA === CLASS_INFINITY || classA === CLASS_ZERO) return a;
  // Whatever is beyond 2^17 is out of range all the same.
  const huge = (b.se & EXPONENT_MASK) > 0x3fff + 17;
  const magnitude = huge ? 0x40000 : b.m === 0n ? 0 : Number(shiftRight(b.m, -unitExponent(b)));
  return c.round(isNegative(a), a.m, unitExponent(a) + (isNegative(b) ? -magnitude : magnitude));
}

const shiftRight = (value: bigint, count: number): bigint =>
  count > 64 ? 0n : count < 0 ? value << BigInt(-count) : value >> BigInt(count);

/** FXTRACT: significand and exponent. */
export function extract(c: FpuContext, a: Float80): { significand: Float80; exponent: Float80 } {
  const nan = propagateOne(c, a);
  if (nan !== undefined) return { significand: nan, exponent: nan };
  noteDenormals(c, a);
  switch (classify(a)) {
    case CLASS_INFINITY:
      return { significand: a, exponent: infinity(false) };
    case CLASS_ZERO:
      c.flags |= ZE;
      return { significand: a, exponent: infinity(true) };
    default: {
      const length = bitLength(a.m);
      const exponent = fromInteger(BigInt(unitExponent(a) + length - 1));
      return { significand: { se: (a.se & SIGN_BIT) | 0x3fff, m: a.m << BigInt(64 - length) }, exponent };
    }
  }
}

/** FPREM and FPREM1: the remainder, the low three bits of the quotient, and whether the reduction is complete. */
export interface Remainder {
  readonly value: Float80;
  readonly quotient: number;
  readonly complete: boolean;
  /** A NaN or an invalid operation: there is no quotient. */
  readonly invalid: boolean;
}

export function remainder(c: FpuContext, a: Float80, b: Float80, nearest: boolean): Remainder {
  const done = (value: Float80, invalid: boolean): Remainder => ({ value, quotient: 0, complete: true, invalid });
  const nan = propagateNaN(c, a, b);
  if (nan !== undefined) return done(nan, true);
  const classA = classify(a);
  const classB = classify(b);
  if (classA === CLASS_INFINITY || classB === CLASS_ZERO) return done(c.invalid(), true);
  noteDenormals(c, a, b);
  if (classA === CLASS_ZERO) return done(a, false);
  const negative = isNegative(a);
  const unitA = unitExponent(a);
  const unitB = unitExponent(b);
  const finish = (m: bigint, unit: number, sign: boolean, quotient: number, complete: boolean): Remainder => ({
    value: m === 0n ? zero(negative) : c.round(sign, m, unit),
    quotient,
    complete,
    invalid: false,
  });
  if (classB === CLASS_INFINITY) return finish(a.m, unitA, negative, 0, true);
  const distance = unitA + bitLength(a.m) - unitB - bitLength(b.m);
  if (distance >= 64) {
    // Partial: the exponent falls by 32 to 63, as the implementation likes.
    const reduction = (distance & 31) | 32;
    const unit = unitB + distance - reduction;
    const [dividend, divisor, exponent] = align(a.m, unitA, b.m, unit);
    return finish(dividend % divisor, exponent, negative, 0, false);
  }
  if (distance < -1) return finish(a.m, unitA, negative, 0, true);
  const [dividend, divisor, exponent] = align(a.m, unitA, b.m, unitB);
  let quotient = dividend / divisor;
  let rest = dividend - quotient * divisor;
  if (nearest && (2n * rest > divisor || (2n * rest === divisor && (quotient & 1n) !== 0n))) {
    quotient += 1n;
    rest -= divisor;
  }
  return finish(rest < 0n ? -rest : rest, exponent, rest < 0n ? !negative : negative, Number(quotient & 7n), true);
}

function align(a: bigint, unitA: number, b: bigint, unitB: number): [bigint, bigint, number] {
  const exponent = Math.min(unitA, unitB);
  return [a << BigInt(unitA - exponent), b << BigInt(unitB - exponent), exponent];
}
