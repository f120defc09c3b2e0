/**
 * The 80-bit double extended-precision format and its neighbours in memory (SDM vol. 1, "Floating-Point Data Types"), as exact integers.
 */

/** A register's content, in any of its 2^80 encodings. */
export interface Float80 {
  /** Sign in bit 15, biased exponent in bits 0-14. */
  readonly se: number;
  /** Significand with its explicit integer bit, 64 bits. */
  readonly m: bigint;
}

export const SIGN_BIT = 0x8000;
export const EXPONENT_MASK = 0x7fff;
export const INTEGER_BIT = 1n << 63n;
export const QUIET_BIT = 1n << 62n;
const FRACTION = INTEGER_BIT - 1n;
/** Value of a finite number: m * 2^(max(exponent, 1) - EXPONENT_OFFSET). */
export const EXPONENT_OFFSET = 16383 + 63;

/** Classes of encodings; pseudo-denormals count as denormal, and every encoding without its integer bit that should have one is unsupported. */
export const CLASS_ZERO = 0;
export const CLASS_DENORMAL = 1;
export const CLASS_NORMAL = 2;
export const CLASS_INFINITY = 3;
export const CLASS_QUIET = 4;
export const CLASS_SIGNALING = 5;
export const CLASS_UNSUPPORTED = 6;

export function classify({ se, m }: Float80): number {
  const exponent = se & EXPONENT_MASK;
  if (exponent === 0) return m === 0n ? CLASS_ZERO : CLASS_DENORMAL;
  if (m < INTEGER_BIT) return CLASS_UNSUPPORTED;
  if (exponent < EXPONENT_MASK) return CLASS_NORMAL;
  if (m === INTEGER_BIT) return CLASS_INFINITY;
  return (m & QUIET_BIT) !== 0n ? CLASS_QUIET : CLASS_SIGNALING;
}

export const isNegative = (value: Float80): boolean => (value.se & SIGN_BIT) !== 0;
/** Exponent of the significand's lowest bit. */
export const unitExponent = (value: Float80): number => Math.max(value.se & EXPONENT_MASK, 1) - EXPONENT_OFFSET;

const signOf = (negative: boolean): number => (negative ? SIGN_BIT : 0);
export const zero = (negative: boolean): Float80 => ({ se: signOf(negative), m: 0n });
export const infinity = (negative: boolean): Float80 => ({ se: signOf(negative) | EXPONENT_MASK, m: INTEGER_BIT });
export const one = (negative = false): Float80 => ({ se: signOf(negative) | 0x3fff, m: INTEGER_BIT });
/** The default NaN of masked invalid operations. */
export const INDEFINITE: Float80 = { se: 0xffff, m: INTEGER_BIT | QUIET_BIT };
export const quiet = (value: Float80): Float80 => ({ se: value.se, m: value.m | QUIET_BIT });
export const negate = (value: Float80): Float80 => ({ se: value.se ^ SIGN_BIT, m: value.m });
export const absolute = (value: Float80): Float80 => ({ se: value.se & EXPONENT_MASK, m: value.m });

/** Number of bits of a non-negative integer; 0 for 0. */
export function bitLength(value: bigint): number {
  if (value === 0n) return 0;
  const digits = value.toString(16);
  return digits.length * 4 - Math.clz32(parseInt(digits[0], 16)) + 28;
}

/** A finite number of at most 64 significant bits: m * 2^exponent, m not 0, within the range of normal numbers. */
export function normalized(negative: boolean, m: bigint, exponent: number): Float80 {
  const length = bitLength(m);
  return { se: signOf(negative) | (exponent + length - 64 + EXPONENT_OFFSET), m: m << BigInt(64 - length) };
}

/** An integer of at most 64 bits and a sign. */
export function fromInteger(value: bigint): Float80 {
  return value === 0n ? zero(false) : normalized(value < 0n, value < 0n ? -value : value, 0);
}

/** The formats that results are rounded to. */
export interface Format {
  /** Significant bits. */
  readonly precision: number;
  /** Exponents of the smallest normal and the largest finite number. */
  readonly minimum: number;
  readonly maximum: number;
}

export const HALF: Format = { precision: 11, minimum: -14, maximum: 15 };
export const SINGLE: Format = { precision: 24, minimum: -126, maximum: 127 };
export const DOUBLE: Format = { precision: 53, minimum: -1022, maximum: 1023 };
export const EXTENDED: Format = { precision: 64, minimum: -16382, maximum: 16383 };

interface Interchange extends Format {
  readonly fractionBits: bigint;
  readonly exponentMask: number;
  readonly bias: number;
}
const interchange16: Interchange = { ...HALF, fractionBits: 10n, exponentMask: 0x1f, bias: 15 };
const interchange32: Interchange = { ...SINGLE, fractionBits: 23n, exponentMask: 0xff, bias: 127 };
const interchange64: Interchange = { ...DOUBLE, fractionBits: 52n, exponentMask: 0x7ff, bias: 1023 };
const layout = (bits: 16 | 32 | 64): Interchange => (bits === 16 ? interchange16 : bits === 32 ? interchange32 : interchange64);

/** Single or double precision to extended: exact. NaNs keep their kind. */
export function expand(value: bigint, bits: 32 | 64): Float80 {
  const { fractionBits, exponentMask, bias, minimum } = layout(bits);
  const negative = value >> BigInt(bits - 1) !== 0n;
  const exponent = Number(value >> fractionBits) & exponentMask;
  const fraction = value & ((1n << fractionBits) - 1n);
  if (exponent === exponentMask) return { se: signOf(negative) | EXPONENT_MASK, m: INTEGER_BIT | (fraction << (63n - fractionBits)) };
  if (exponent === 0) {
    return fraction === 0n ? zero(negative) : normalized(negative, fraction, minimum - Number(fractionBits));
  }
  return { se: signOf(negative) | (exponent - bias + 16383), m: INTEGER_BIT | (fraction << (63n - fractionBits)) };
}

/** Whether a single or double precision encoding is a denormal number. */
export function isDenormal(value: bigint, bits: 32 | 64): boolean {
  const { fractionBits, exponentMask } = layout(bits);
  return (Number(value >> fractionBits) & exponentMask) === 0 && (value & ((1n << fractionBits) - 1n)) !== 0n;
}

/** Encodes a value that the narrower format holds exactly; of NaNs the upper bits of the fraction are kept. */
export function narrow(value: Float80, bits: 16 | 32 | 64): bigint {
  const { fractionBits, exponentMask, bias, minimum } = layout(bits);
  const sign = isNegative(value) ? 1n << BigInt(bits - 1) : 0n;
  const exponent = value.se & EXPONENT_MASK;
  const fraction = (value.m & FRACTION) >> (63n - fractionBits);
  if (exponent === EXPONENT_MASK) return sign | (BigInt(exponentMask) << fractionBits) | fraction;
  if (value.m === 0n) return sign;
  const top = exponent - 16383;
  if (top < minimum) return sign | (value.m >> BigInt(63 - Number(fractionBits) + minimum - top));
  return sign | (BigInt(top + bias) << fractionBits) | fraction;
}
