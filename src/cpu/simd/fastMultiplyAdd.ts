/**
 * Multiply-add with the host's arithmetic where the result is provably the one with a single rounding (to nearest) and nothing but PE comes about. Both functions store the
 * result and return true, or leave everything alone.
 */

/** Factors and addends within these bounds keep products, errors of rounding and results among the normal numbers. */
const SMALL = 2 ** -300;
const LARGE = 2 ** 300;
const SPLIT = 2 ** 27 + 1;

const within = (x: number): boolean => {
  const magnitude = Math.abs(x);
  return magnitude >= SMALL && magnitude <= LARGE;
};

const bits = new DataView(new ArrayBuffer(8));

/**
 * The double next to `value` towards the sign of `error` if that has the odd significand: value + error rounded to odd, where value is the sum rounded to nearest and error
 * the rest.
 */
function roundToOdd(value: number, error: number): number {
  if (error === 0) return value;
  bits.setFloat64(0, value);
  const low = bits.getUint32(4);
  if ((low & 1) !== 0) return value;
  // The rest has the value's sign: the magnitude grows by one unit, to an odd one; else it shrinks.
  const grows = error > 0 === value > 0;
  const next = bits.getBigUint64(0) + (grows ? 1n : -1n);
  bits.setBigUint64(0, next);
  return bits.getFloat64(0);
}

/** Boldo and Melquiond, "Emulation of FMA and correctly rounded sums: proved algorithms using rounding to odd". */
export function fastMultiplyAdd64(
  x: number,
  y: number,
  z: number,
  negateProduct: boolean,
  negateAddend: boolean,
  result: Float64Array,
  index: number,
): boolean {
  if (!within(x) || !within(y)) return false;
  const factor = negateProduct ? -x : x;
  if (z === 0) {
    result[index] = factor * y;
    return true;
  }
  if (!within(z)) return false;
  const addend = negateAddend ? -z : z;
  // The product and its error (Dekker).
  const product = factor * y;
  const scaledX = SPLIT * factor;
  const highX = scaledX - (scaledX - factor);
  const lowX = factor - highX;
  const scaledY = SPLIT * y;
  const highY = scaledY - (scaledY - y);
  const lowY = y - highY;
  const error = lowX * lowY - (product - highX * highY - lowX * highY - highX * lowY);
  // addend + error exactly, then product + that exactly (Knuth).
  const upper = addend + error;
  const upperShadow = upper - addend;
  const lower = addend - (upper - upperShadow) + (error - upperShadow);
  const sum = product + upper;
  const sumShadow = sum - product;
  const rest = product - (sum - sumShadow) + (upper - sumShadow);
  const tail = rest + lower;
  const tailShadow = tail - rest;
  const tailError = rest - (tail - tailShadow) + (lower - tailShadow);
  const value = sum + roundToOdd(tail, tailError);
  if (Math.abs(value) < SMALL) return false;
  result[index] = value;
  return true;
}

/** Bounds of single precision: results are normal numbers, far enough from the ends of the range. */
const SAFE32 = 2 ** -120;
const MIN32 = 2 ** -126;
const MAX32 = (2 - 2 ** -23) * 2 ** 127;
const plain32 = (x: number): boolean => {
  const magnitude = Math.abs(x);
  return magnitude === 0 || (magnitude >= MIN32 && magnitude <= MAX32);
};

/** The product is exact in double precision; the sum is rounded to odd there, which has more than two bits to spare. */
export function fastMultiplyAdd32(
  x: number,
  y: number,
  z: number,
  negateProduct: boolean,
  negateAddend: boolean,
  result: Float32Array,
  index: number,
): boolean {
  if (!plain32(x) || !plain32(y) || !plain32(z)) return false;
  const product = (negateProduct ? -x : x) * y;
  const addend = negateAddend ? -z : z;
  const sum = product + addend;
  const shadow = sum - product;
  const error = product - (sum - shadow) + (addend - shadow);
  const value = Math.fround(roundToOdd(sum, error));
  const magnitude = Math.abs(value);
  if (magnitude < SAFE32 || magnitude > MAX32) return false;
  result[index] = value;
  return true;
}
