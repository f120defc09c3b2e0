/**
 * Transcendental instructions (SDM vol. 1, "Transcendental Instruction Accuracy"): evaluated to more than 150 bits beyond the result's precision and rounded once,
 * so that results are the correctly rounded ones but for the astronomically improbable. Processors are only within one unit of the last place. Trigonometric arguments are reduced
 * by the 66-bit value of pi that the manual gives ("Approximation of Pi"), as Intel's processors do.
 */
import { type FpuContext, PE, ZE } from "./context";
import { integerSquareRoot, noteDenormals, propagateNaN, propagateOne } from "./arithmetic";
import {
  bitLength,
  CLASS_INFINITY,
  CLASS_ZERO,
  classify,
  EXPONENT_MASK,
  type Float80,
  infinity,
  INTEGER_BIT,
  isNegative,
  one,
  unitExponent,
  zero,
} from "./format";

/** Fraction bits of the constants. */
const CONSTANT_BITS = 640;
/** Bits of working precision beyond the leading bit of the result. */
const WORKING = 230;
/** Below 2^-TINY the first term of a series decides, and the second only which way to round. */
const TINY = 150;

const shifted = (value: bigint, left: number): bigint => (left >= 0 ? value << BigInt(left) : value >> BigInt(-left));
/** Exponent of the leading bit of a finite value other than zero. */
const leading = (value: Float80): number => unitExponent(value) + bitLength(value.m) - 1;

/** 2 * atanh(1 / 3). */
const LN2 = 2n * inverseHyperbolic((1n << BigInt(CONSTANT_BITS)) / 3n, CONSTANT_BITS);
/** By Machin's formula. */
const PI =
  4n *
  (4n * arctangentSeries((1n << BigInt(CONSTANT_BITS)) / 5n, CONSTANT_BITS) -
    arctangentSeries((1n << BigInt(CONSTANT_BITS)) / 239n, CONSTANT_BITS));

/** The processor's pi / 2: 66 bits of pi, as a multiple of 2^-67. */
const HALF_PI_66 = 0xc90fdaa22168c234cn;
const HALF_PI_UNIT = -67;

const ln2 = (bits: number): bigint => LN2 >> BigInt(CONSTANT_BITS - bits);
const pi = (bits: number): bigint => PI >> BigInt(CONSTANT_BITS - bits);

/** z + z^3/3 + z^5/5 + ... of a fixed-point number below 1/2 in magnitude. */
function inverseHyperbolic(z: bigint, bits: number): bigint {
  const width = BigInt(bits);
  const square = (z * z) >> width;
  let sum = z;
  let power = z;
  for (let n = 3n; power !== 0n && power !== -1n; n += 2n) {
    power = (power * square) >> width;
    sum += power / n;
  }
  return sum;
}

/** z - z^3/3 + z^5/5 - ... of a non-negative fixed-point number below 1/2. */
function arctangentSeries(z: bigint, bits: number): bigint {
  const width = BigInt(bits);
  const square = (z * z) >> width;
  let sum = z;
  let power = z;
  for (let n = 3n; power !== 0n; n += 2n) {
    power = (power * square) >> width;
    sum += (n & 2n) !== 0n ? -(power / n) : power / n;
  }
  return sum;
}

/** arctan of a fixed-point number in 0..1. */
function arctangent(t: bigint, bits: number): bigint {
  const width = BigInt(bits);
  const unit = 1n << width;
  let reduced = t;
  let halvings = 0;
  while (reduced > unit >> 3n) {
    reduced = (reduced << width) / (unit + integerSquareRoot((unit << width) + reduced * reduced));
    halvings++;
  }
  return arctangentSeries(reduced, bits) << BigInt(halvings);
}

/** e^y - 1 of a fixed-point number below 1 in magnitude. */
function exponentialMinusOne(y: bigint, bits: number): bigint {
  const width = BigInt(bits);
  let sum = y;
  let term = y;
  for (let n = 2n; term !== 0n && term !== -1n; n++) {
    term = ((term * y) >> width) / n;
    sum += term;
  }
  return sum;
}

/** sin and cos of a fixed-point number below 1 in magnitude. */
function sineAndCosine(r: bigint, bits: number): { sine: bigint; cosine: bigint } {
  const width = BigInt(bits);
  let sine = 0n;
  let cosine = 0n;
  let term = 1n << width;
  for (let n = 0n; term !== 0n && term !== -1n; n++) {
    const signed = (n & 2n) !== 0n ? -term : term;
    if ((n & 1n) === 0n) cosine += signed;
    else sine += signed;
    term = ((term * r) >> width) / (n + 1n);
  }
  return { sine, cosine };
}

/** Rounds a fixed-point number that is not the exact result. */
function inexact(c: FpuContext, value: bigint, bits: number): Float80 {
  return c.round(value < 0n, value < 0n ? -value : value, -bits, true);
}

/** F2XM1. Outside -1..1, where the result is undefined, the operand stays. */
export function powerMinusOne(c: FpuContext, x: Float80): Float80 {
  const nan = propagateOne(c, x);
  if (nan !== undefined) return nan;
  noteDenormals(c, x);
  if (classify(x) === CLASS_INFINITY) return isNegative(x) ? one(true) : x;
  if (x.m === 0n) return x;
  const negative = isNegative(x);
  const top = leading(x);
  if (top >= 0) return top === 0 && x.m === INTEGER_BIT && negative ? { se: 0xbffe, m: INTEGER_BIT } : x;
  if (top < -TINY) {
    // x ln 2 (1 + x ln 2 / 2 ...).
    const m = x.m * ln2(WORKING * 2);
    return c.round(negative, negative ? m - (m >> BigInt(TINY)) : m, unitExponent(x) - WORKING * 2, true);
  }
  const bits = WORKING - top;
  const magnitude = shifted(x.m * ln2(bits), unitExponent(x));
  return inexact(c, exponentialMinusOne(negative ? -magnitude : magnitude, bits), bits);
}

/** log2 of a positive finite number other than a power of two, or of one plus a number: fixed-point, in `bits`. */
function logarithm(numerator: bigint, denominator: bigint, bits: number): bigint {
  const z = (numerator << BigInt(bits)) / denominator;
  return ((2n * inverseHyperbolic(z, bits)) << BigInt(bits)) / ln2(bits);
}

/** FYL2X: y * log2(x). */
export function logarithmProduct(c: FpuContext, y: Float80, x: Float80): Float80 {
  const nan = propagateNaN(c, x, y);
  if (nan !== undefined) return nan;
  const classX = classify(x);
  const classY = classify(y);
  if (isNegative(x) && classX !== CLASS_ZERO) return c.invalid();
  if (classX === CLASS_INFINITY || classX === CLASS_ZERO) {
    if (classY === CLASS_ZERO) return c.invalid();
    if (classX === CLASS_ZERO && classY !== CLASS_INFINITY) c.flags |= ZE;
    noteDenormals(c, x, y);
    return infinity(isNegative(y) === (classX === CLASS_INFINITY));
  }
  const top = leading(x);
  const power = (x.m & (x.m - 1n)) === 0n;
  const isOne = power && top === 0;
  if (classY === CLASS_INFINITY && isOne) return c.invalid();
  noteDenormals(c, x, y);
  const negative = isNegative(y) !== top < 0;
  if (classY === CLASS_INFINITY) return infinity(negative);
  if (isOne || classY === CLASS_ZERO) return zero(negative);
  if (power) {
    // Processors report even these products as inexact.
    c.flags |= PE;
    return c.round(negative, y.m * BigInt(Math.abs(top)), unitExponent(y));
  }
  // x = 2^k * f with f about 1, and ln f = 2 atanh((f - 1) / (f + 1)).
  const bits = WORKING + 64;
  const length = bitLength(x.m);
  const f = x.m << BigInt(64 - length);
  const upper = f > 0xb504_f333_f9de_6484n;
  const k = upper ? top + 1 : top;
  const unit = upper ? 1n << 64n : 1n << 63n;
  const value = (BigInt(k) << BigInt(bits)) + logarithm(f - unit, f + unit, bits);
  return c.round(isNegative(y) !== value < 0n, y.m * (value < 0n ? -value : value), unitExponent(y) - bits, true);
}

/** FYL2XP1: y * log2(x + 1). The manual leaves x outside -(1 - sqrt(1/2))..sqrt(2) - 1 undefined; here the same function goes on. */
export function logarithmProductPlusOne(c: FpuContext, y: Float80, x: Float80): Float80 {
  const nan = propagateNaN(c, x, y);
  if (nan !== undefined) return nan;
  const classX = classify(x);
  const classY = classify(y);
  const negative = isNegative(y) !== isNegative(x);
  const aboveMinusOne = !isNegative(x) || classX === CLASS_ZERO || (classX !== CLASS_INFINITY && leading(x) < 0);
  if (!aboveMinusOne) return c.invalid();
  if (classX === CLASS_INFINITY && classY === CLASS_ZERO) return c.invalid();
  if (classY === CLASS_INFINITY && classX === CLASS_ZERO) return c.invalid();
  noteDenormals(c, x, y);
  if (classX === CLASS_INFINITY || classY === CLASS_INFINITY) return infinity(negative);
  if (classX === CLASS_ZERO || classY === CLASS_ZERO) return zero(negative);
  const top = leading(x);
  if (top < -TINY) {
    // x / ln 2 (1 - x / 2 ...).
    const quotient = (y.m * x.m * (1n << BigInt(2 * WORKING))) / ln2(WORKING);
    const m = isNegative(x) ? quotient : quotient - (quotient >> BigInt(TINY));
    return c.round(negative, m, unitExponent(x) + unitExponent(y) - WORKING, true);
  }
  if (top >= 64) return logarithmProduct(c, y, x);
  // ln(1 + x) = 2 atanh(x / (2 + x)) for x below 1; above, 1 + x is exact in few bits.
  const unit = unitExponent(x);
  const scaledX = isNegative(x) ? -shifted(x.m, Math.max(unit, 0)) : shifted(x.m, Math.max(unit, 0));
  const scaledOne = 1n << BigInt(Math.max(-unit, 0));
  const whole = scaledX + scaledOne;
  const power = (whole & (whole - 1n)) === 0n;
  const k = bitLength(whole) - bitLength(scaledOne);
  if (power) {
    c.flags |= PE;
    return c.round(negative, y.m * BigInt(Math.abs(k)), unitExponent(y));
  }
  const bits = WORKING + 64 + Math.max(-top, 0);
  const near = k === 0 || (k === -1 && top < -1);
  const reference = near ? scaledOne : shifted(scaledOne, Math.max(k, 0));
  const argument = near || k >= 0 ? whole : whole << BigInt(-k);
  const base = near ? 0n : BigInt(k) << BigInt(bits);
  const value = base + logarithm(argument - reference, argument + reference, bits);
  return c.round(isNegative(y) !== value < 0n, y.m * (value < 0n ? -value : value), unitExponent(y) - bits, true);
}

/** FPATAN: arctan(y / x) in the quadrant of the point (x, y). */
export function arctangent2(c: FpuContext, y: Float80, x: Float80): Float80 {
  const nan = propagateNaN(c, x, y);
  if (nan !== undefined) return nan;
  noteDenormals(c, x, y);
  const classX = classify(x);
  const classY = classify(y);
  const negative = isNegative(y);
  const left = isNegative(x);
  /** Eighths of a full turn. */
  const turn = (eighths: number): Float80 => c.round(negative, PI * BigInt(eighths), -CONSTANT_BITS - 2, true);
  if (classY === CLASS_INFINITY) return turn(classX !== CLASS_INFINITY ? 2 : left ? 3 : 1);
  if (classX === CLASS_INFINITY || classY === CLASS_ZERO) return left ? turn(4) : zero(negative);
  if (classX === CLASS_ZERO) return turn(2);
  const distance = leading(y) - leading(x);
  const limit = 200;
  const half = pi(WORKING) >> 1n;
  if (distance > limit) return c.round(negative, left ? half : half - 1n, -WORKING, true);
  if (distance < -limit) {
    if (left) return c.round(negative, pi(WORKING) - 1n, -WORKING, true);
    const quotient = (y.m << 330n) / x.m;
    return c.round(negative, quotient - 1n, unitExponent(y) - unitExponent(x) - 330, true);
  }
  const bits = WORKING + Math.abs(distance);
  const unit = unitExponent(y) - unitExponent(x);
  const numerator = y.m << BigInt(Math.max(unit, 0));
  const denominator = x.m << BigInt(Math.max(-unit, 0));
  const steep = numerator > denominator;
  const ratio = steep ? (denominator << BigInt(bits)) / numerator : (numerator << BigInt(bits)) / denominator;
  let angle = arctangent(ratio, bits);
  if (steep) angle = (pi(bits) >> 1n) - angle;
  if (left) angle = pi(bits) - angle;
  return c.round(negative, angle, -bits, true);
}

export interface Angle {
  readonly sine: Float80;
  readonly cosine: Float80;
  readonly tangent: Float80;
}

/** FSIN, FCOS, FSINCOS, FPTAN: the parts wanted, rounded; undefined for arguments of 2^63 and more in magnitude, which only set C2. */
export function trigonometric<K extends keyof Angle>(c: FpuContext, a: Float80, ...wanted: readonly K[]): Pick<Angle, K> | undefined {
  const all = (value: Float80): Angle => ({ sine: value, cosine: value, tangent: value });
  const nan = propagateOne(c, a);
  if (nan !== undefined) return all(nan);
  if (classify(a) === CLASS_INFINITY) return all(c.invalid());
  if ((a.se & EXPONENT_MASK) >= 0x3fff + 63) return undefined;
  noteDenormals(c, a);
  if (a.m === 0n) return { sine: a, cosine: one(), tangent: a } as Pick<Angle, K>;
  const negative = isNegative(a);
  let unit = unitExponent(a);
  let rest = a.m;
  let quadrant = 0n;
  if (unit >= HALF_PI_UNIT) {
    rest = a.m << BigInt(unit - HALF_PI_UNIT);
    unit = HALF_PI_UNIT;
    quadrant = (2n * rest + HALF_PI_66) / (2n * HALF_PI_66);
    rest -= quadrant * HALF_PI_66;
  }
  const top = unit + bitLength(rest < 0n ? -rest : rest) - 1;
  const results: { -readonly [name in keyof Angle]?: Float80 } = {};
  // Rounding knows the sign of the final result.
  const rounded = (value: bigint, bits: number, swap: boolean): Float80 => inexact(c, swap ? -value : value, bits);
  const turned = quadrant & 3n;
  if (top < -TINY) {
    const magnitude = rest << BigInt(WORKING);
    const sign = negative ? -1n : 1n;
    const bits = WORKING - unit;
    for (const name of wanted) {
      // sin r = r - r^3 / 6 ..., cos r = 1 - r^2 / 2 ..., tan r = r + r^3 / 3 ...; r is positive here, as it was not reduced.
      if (name === "cosine") results.cosine = inexact(c, (1n << BigInt(WORKING)) - 1n, WORKING);
      else results[name] = inexact(c, sign * (name === "sine" ? magnitude - 1n : magnitude), bits);
    }
    return results as Pick<Angle, K>;
  }
  const bits = WORKING + Math.max(-top, 0);
  const { sine, cosine } = sineAndCosine(shifted(rest, unit + bits), bits);
  const even = (turned & 1n) === 0n;
  for (const name of wanted) {
    switch (name) {
      case "sine":
        results.sine = rounded(even ? sine : cosine, bits, negative !== turned >= 2n);
        break;
      case "cosine":
        results.cosine = rounded(even ? cosine : sine, bits, turned === 1n || turned === 2n);
        break;
      default: {
        const [numerator, denominator] = even ? [sine, cosine] : [-cosine, sine];
        results.tangent = rounded((numerator << BigInt(bits)) / denominator, bits, negative);
      }
    }
  }
  return results as Pick<Angle, K>;
}
