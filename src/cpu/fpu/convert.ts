/** Conversions between registers and the integer, decimal and floating-point formats of memory. */
import { DE, type FpuContext, IE } from "./context";
import {
  CLASS_INFINITY,
  CLASS_QUIET,
  CLASS_SIGNALING,
  CLASS_UNSUPPORTED,
  classify,
  DOUBLE,
  EXPONENT_MASK,
  expand,
  type Float80,
  fromInteger,
  isDenormal,
  isNegative,
  narrow,
  negate,
  quiet,
  SINGLE,
} from "./format";

/** FLD of a single or double precision number: a signaling NaN becomes quiet. */
export function loadFloat(c: FpuContext, bits: bigint, width: 32 | 64): Float80 {
  const value = expand(bits, width);
  if (classify(value) === CLASS_SIGNALING) {
    c.flags |= IE;
    return quiet(value);
  }
  if (isDenormal(bits, width)) c.flags |= DE;
  return value;
}

/** FST to single or double precision. Of an unmasked overflow or underflow the caller stores nothing. */
export function storeFloat(c: FpuContext, value: Float80, width: 32 | 64): bigint {
  switch (classify(value)) {
    case CLASS_UNSUPPORTED:
      return narrow(c.invalid(), width);
    case CLASS_SIGNALING:
      c.flags |= IE;
      return narrow(quiet(value), width);
    case CLASS_QUIET:
    case CLASS_INFINITY:
      return narrow(value, width);
    default:
      break;
  }
  if (value.m === 0n) return narrow(value, width);
  const unit = Math.max(value.se & EXPONENT_MASK, 1) - 16383 - 63;
  return narrow(c.roundTo(width === 32 ? SINGLE : DOUBLE, isNegative(value), value.m, unit, false, 0), width);
}

/** FIST: two's complement of `width` bits; out of range, and for NaN and infinity, the integer indefinite with an invalid operation. */
export function storeInteger(c: FpuContext, value: Float80, width: 16 | 32 | 64, mode = c.rounding): bigint {
  const limit = 1n << BigInt(width - 1);
  if (classify(value) >= CLASS_INFINITY || (value.se & EXPONENT_MASK) > 0x3fff + 64) {
    c.invalid();
    return limit;
  }
  const magnitude = c.integer(value, mode);
  if (magnitude > limit || (magnitude === limit && !isNegative(value))) {
    c.flags = 0;
    c.up = false;
    c.invalid();
    return limit;
  }
  return BigInt.asUintN(width, isNegative(value) ? -magnitude : magnitude);
}

/** The packed decimal indefinite: what FBSTP stores in response to an invalid operation. */
export const DECIMAL_INDEFINITE = 0xffff_c000_0000_0000_0000n;
const DECIMAL_LIMIT = 10n ** 18n;

/** FBSTP: 18 digits and a sign, 80 bits. */
export function storeDecimal(c: FpuContext, value: Float80): bigint {
  if (classify(value) >= CLASS_INFINITY || (value.se & EXPONENT_MASK) > 0x3fff + 64) {
    c.invalid();
    return DECIMAL_INDEFINITE;
  }
  const magnitude = c.integer(value);
  if (magnitude >= DECIMAL_LIMIT) {
    c.flags = 0;
    c.up = false;
    c.invalid();
    return DECIMAL_INDEFINITE;
  }
  return BigInt(`0x${magnitude.toString()}`) | (isNegative(value) ? 1n << 79n : 0n);
}

/** FBLD. Digits above 9 are undefined by the manual: they count with their value, as processors do. */
export function loadDecimal(bits: bigint): Float80 {
  let magnitude = 0n;
  for (let digit = 17n; digit >= 0n; digit--) magnitude = magnitude * 10n + ((bits >> (digit * 4n)) & 15n);
  const value = fromInteger(magnitude);
  return ((bits >> 79n) & 1n) !== 0n ? negate(value) : value;
}
