import { assert } from "../../common/errors";
import {
  bitLength,
  EXPONENT_OFFSET,
  EXTENDED,
  type Float80,
  type Format,
  INDEFINITE,
  infinity,
  INTEGER_BIT,
  isNegative,
  SIGN_BIT,
  unitExponent,
  zero,
} from "./format";

/** Exception flags of the status word and masks of the control word (SDM vol. 1, "x87 FPU Status Register"). */
export const IE = 1 << 0;
export const DE = 1 << 1;
export const ZE = 1 << 2;
export const OE = 1 << 3;
export const UE = 1 << 4;
export const PE = 1 << 5;
export const SF = 1 << 6;
export const ALL_EXCEPTIONS = 0x3f;

export const ROUND_NEAREST = 0;
export const ROUND_DOWN = 1;
export const ROUND_UP = 2;
export const ROUND_ZERO = 3;

/** What unmasked overflow and underflow add to or take from the exponent of the result in a register. */
const BIAS_ADJUSTMENT = 24576;

/** A rounded value: r * 2^exponent. */
export interface Rounded {
  readonly r: bigint;
  readonly exponent: number;
  readonly inexact: boolean;
  /** The magnitude grew. */
  readonly up: boolean;
}

/** Rounds m * 2^exponent to a multiple of 2^quantum. */
export function roundToQuantum(m: bigint, exponent: number, quantum: number, mode: number, negative: boolean): Rounded {
  const shift = quantum - exponent;
  if (shift <= 0) return { r: m << BigInt(-shift), exponent: quantum, inexact: false, up: false };
  const width = BigInt(shift);
  // Nothing of the value reaches the half of one quantum: any such remainder rounds alike.
  if (shift > 8192) return roundToQuantum(m === 0n ? 0n : 1n, quantum - 2, quantum, mode, negative);
  const r = m >> width;
  const rest = m - (r << width);
  if (rest === 0n) return { r, exponent: quantum, inexact: false, up: false };
  let up: boolean;
  if (mode === ROUND_NEAREST) {
    const half = 1n << (width - 1n);
    up = rest > half || (rest === half && (r & 1n) !== 0n);
  } else up = mode === (negative ? ROUND_DOWN : ROUND_UP);
  return { r: up ? r + 1n : r, exponent: quantum, inexact: true, up };
}

/**
 * One instruction's arithmetic: rounding and precision control and masks as the control word gives them, and the exceptions and the C1 that it brought about.
 */
export class FpuContext {
  rounding = ROUND_NEAREST;
  /** Significant bits by precision control: 24, 53 or 64. */
  precision = 64;
  masks = ALL_EXCEPTIONS;
  flags = 0;
  /** The last rounding made the magnitude grow: C1. */
  up = false;
  /** The memory operand was a denormal number of its own format. */
  denormalSource = false;

  /** Starts an instruction under a control word. */
  begin(control: number): void {
    this.rounding = (control >> 10) & 3;
    this.precision = [24, 53, 53, 64][(control >> 8) & 3];
    this.masks = control & ALL_EXCEPTIONS;
    this.flags = 0;
    this.up = false;
    this.denormalSource = false;
  }

  invalid(): Float80 {
    this.flags |= IE;
    return INDEFINITE;
  }

  /** Whether any of these exceptions came about without being masked. */
  unmasked(exceptions: number): boolean {
    return (this.flags & ~this.masks & exceptions) !== 0;
  }

  /**
   * Rounds the finite value (-1)^negative * m * 2^exponent (m > 0; `sticky`: and something more, below the lowest bit of m, which has 66 bits or more then)
   * to `precision` bits in the extended format (SDM vol. 1, "Numeric Overflow Exception", "Numeric Underflow Exception").
   */
  round(negative: boolean, m: bigint, exponent: number, sticky = false, precision = 64): Float80 {
    return this.roundTo({ ...EXTENDED, precision }, negative, m, exponent, sticky, BIAS_ADJUSTMENT);
  }

  /** As `round`, by the precision control: for addition, subtraction, multiplication, division and the square root. */
  roundControlled(negative: boolean, m: bigint, exponent: number, sticky = false): Float80 {
    return this.round(negative, m, exponent, sticky, this.precision);
  }

  /** As `round`, to any format; the result is exact in it. `adjustment` 0: the caller does not store the result of an unmasked overflow or underflow. */
  roundTo(format: Format, negative: boolean, value: bigint, unit: number, sticky: boolean, adjustment: number): Float80 {
    const m = sticky ? (value << 2n) | 1n : value;
    const exponent = sticky ? unit - 2 : unit;
    assert(m > 0n, "only values other than zero are rounded");
    const { precision, minimum, maximum } = format;
    const quantum = exponent + bitLength(m) - precision;
    let rounded = roundToQuantum(m, exponent, quantum, this.rounding, negative);
    let top = quantum + bitLength(rounded.r) - 1;
    let adjust = 0;
    if (top < minimum) {
      if ((this.masks & UE) === 0) {
        this.flags |= UE;
        adjust = adjustment;
      } else {
        rounded = roundToQuantum(m, exponent, minimum - precision + 1, this.rounding, negative);
        if (rounded.inexact) this.flags |= UE;
      }
    } else if (top > maximum) {
      this.flags |= OE;
      if ((this.masks & OE) !== 0) return this.overflow(format, negative);
      adjust = -adjustment;
    }
    if (rounded.inexact) this.flags |= PE;
    this.up = rounded.up;
    if (rounded.r === 0n) return zero(negative);
    top = rounded.exponent + bitLength(rounded.r) - 1 + adjust;
    // Only FSCALE leaves the range even so.
    if (top > EXTENDED.maximum) return this.overflow(format, negative);
    if (top < EXTENDED.minimum - 63) {
      this.flags |= PE;
      this.up = false;
      return zero(negative);
    }
    const sign = negative ? SIGN_BIT : 0;
    if (top < EXTENDED.minimum) return { se: sign, m: shift(rounded.r, rounded.exponent + adjust - (1 - EXPONENT_OFFSET)) };
    return { se: sign | (top + 16383), m: shift(rounded.r, rounded.exponent + adjust - (top - 63)) };
  }

  /** Magnitude of a finite value rounded to an integer, by the rounding control or as `mode` says. */
  integer(value: Float80, mode = this.rounding): bigint {
    const rounded = roundToQuantum(value.m, unitExponent(value), 0, mode, isNegative(value));
    if (rounded.inexact) this.flags |= PE;
    this.up = rounded.up;
    return rounded.r;
  }

  /** The masked response to overflow: infinity, or the largest number where rounding keeps below it. */
  private overflow(format: Format, negative: boolean): Float80 {
    this.flags |= PE;
    const { rounding } = this;
    const toInfinity = rounding === ROUND_NEAREST || rounding === (negative ? ROUND_DOWN : ROUND_UP);
    this.up = toInfinity;
    if (toInfinity) return infinity(negative);
    const m = (INTEGER_BIT << 1n) - (1n << BigInt(64 - format.precision));
    return { se: (negative ? SIGN_BIT : 0) | (format.maximum + 16383), m };
  }
}

const shift = (value: bigint, left: number): bigint => (left >= 0 ? value << BigInt(left) : value >> BigInt(-left));
