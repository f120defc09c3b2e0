/** Scalar arithmetic of SSE on encodings of single and double precision, exact: SDM vol. 1, "Programming with SSE", appendix E of the same volume. */
import { ALL_EXCEPTIONS, DE, FpuContext, IE, PE, ROUND_DOWN, ROUND_ZERO, roundToQuantum, UE, ZE } from "../fpu/context";
import { bitLength, DOUBLE, HALF, narrow, SINGLE } from "../fpu/format";

export type Bits = 32 | 64;
export type Binary = "add" | "sub" | "mul" | "div";

const DAZ = 1 << 6;
const FTZ = 1 << 15;
/** MXCSR with every exception masked and round to nearest, as far as it matters. */
const FAST_BITS = 0x7f80;
const FAST_VALUE = 0x1f80;

interface Layout {
  readonly sign: bigint;
  readonly exponent: bigint;
  readonly fraction: bigint;
  readonly quiet: bigint;
  readonly shift: bigint;
  /** Exponent of the unit in the last place of numbers with biased exponent 1. */
  readonly unit: number;
  readonly indefinite: bigint;
  readonly format: typeof SINGLE;
}
const layout32: Layout = {
  sign: 1n << 31n,
  exponent: 0xffn << 23n,
  fraction: (1n << 23n) - 1n,
  quiet: 1n << 22n,
  shift: 23n,
  unit: -149,
  indefinite: 0xffc0_0000n,
  format: SINGLE,
};
const layout64: Layout = {
  sign: 1n << 63n,
  exponent: 0x7ffn << 52n,
  fraction: (1n << 52n) - 1n,
  quiet: 1n << 51n,
  shift: 52n,
  unit: -1074,
  indefinite: 0xfff8n << 48n,
  format: DOUBLE,
};
const layoutOf = (bits: Bits): Layout => (bits === 32 ? layout32 : layout64);

const isNaN = (l: Layout, x: bigint): boolean => (x & ~l.sign) > l.exponent;
const isSignaling = (l: Layout, x: bigint): boolean => isNaN(l, x) && (x & l.quiet) === 0n;
const isInfinite = (l: Layout, x: bigint): boolean => (x & ~l.sign) === l.exponent;
const isZero = (l: Layout, x: bigint): boolean => (x & ~l.sign) === 0n;
const isDenormal = (l: Layout, x: bigint): boolean => (x & l.exponent) === 0n && (x & l.fraction) !== 0n;
const negative = (l: Layout, x: bigint): boolean => (x & l.sign) !== 0n;
const magnitude = (l: Layout, x: bigint): bigint => ((x & l.exponent) === 0n ? x & l.fraction : (x & l.fraction) | (l.fraction + 1n));
const unitOf = (l: Layout, x: bigint): number => l.unit + Math.max(Number((x & l.exponent) >> l.shift) - 1, 0);

/** Which way two numbers compare. */
export const LESS = -1;
export const EQUAL = 0;
export const GREATER = 1;
export const UNORDERED = 2;

/** One instruction's arithmetic under an MXCSR, and the exceptions that it brought about. */
export class SseArithmetic {
  /** Results of the default rounding may come from the host where they are normal numbers. */
  fast = false;
  private readonly context = new FpuContext();
  private denormalsAreZero = false;
  private flushToZero = false;
  private mxcsr = 0;
  /** Exceptions of stages that are over. */
  earlier = 0;

  begin(mxcsr: number): void {
    this.mxcsr = mxcsr;
    this.fast = (mxcsr & FAST_BITS) === FAST_VALUE && (mxcsr & PE) !== 0;
    this.context.flags = 0;
    this.earlier = 0;
    this.context.masks = (mxcsr >> 7) & ALL_EXCEPTIONS;
    this.context.rounding = (mxcsr >> 13) & 3;
    this.denormalsAreZero = (mxcsr & DAZ) !== 0;
    this.flushToZero = (mxcsr & FTZ) !== 0;
  }

  get flags(): number {
    return this.context.flags;
  }

  set flags(value: number) {
    this.context.flags = value;
  }

  /** Exceptions that are not masked among `exceptions`. */
  unmasked(exceptions: number): number {
    return exceptions & ~(this.mxcsr >> 7) & ALL_EXCEPTIONS;
  }

  get rounding(): number {
    return this.context.rounding;
  }

  private raise(flags: number): void {
    this.context.flags |= flags;
  }

  private operand(l: Layout, x: bigint): bigint {
    return this.denormalsAreZero && isDenormal(l, x) ? x & l.sign : x;
  }

  private noteDenormals(l: Layout, x: bigint, y: bigint): void {
    if (isDenormal(l, x) || isDenormal(l, y)) this.raise(DE);
  }

  binary(op: Binary, bits: Bits, first: bigint, second: bigint): bigint {
    const l = layoutOf(bits);
    const nan = this.propagate(l, first, second);
    if (nan !== undefined) return nan;
    const x = this.operand(l, first);
    const y = op === "sub" ? this.operand(l, second) ^ l.sign : this.operand(l, second);
    switch (op) {
      case "add":
      case "sub":
        return this.add(l, bits, x, y);
      case "mul":
        return this.multiply(l, bits, x, y);
      case "div":
        return this.divide(l, bits, x, y);
    }
  }

  /** The first operand that is a NaN, made quiet (SDM vol. 1, "Operating on SNaNs and QNaNs"). */
  private propagate(l: Layout, x: bigint, y: bigint, z = 0n): bigint | undefined {
    const nanX = isNaN(l, x);
    const nanY = isNaN(l, y);
    if (!nanX && !nanY && !isNaN(l, z)) return undefined;
    if (isSignaling(l, x) || isSignaling(l, y) || isSignaling(l, z)) this.raise(IE);
    return (nanX ? x : nanY ? y : z) | l.quiet;
  }

  private invalid(l: Layout): bigint {
    this.raise(IE);
    return l.indefinite;
  }

  private add(l: Layout, bits: Bits, x: bigint, y: bigint): bigint {
    if (isInfinite(l, x) && isInfinite(l, y) && x !== y) return this.invalid(l);
    this.noteDenormals(l, x, y);
    if (isInfinite(l, x)) return x;
    if (isInfinite(l, y)) return y;
    if (isZero(l, x) && isZero(l, y)) return x === y ? x : this.context.rounding === ROUND_DOWN ? l.sign : 0n;
    const unitX = unitOf(l, x);
    const unitY = unitOf(l, y);
    const unit = Math.min(unitX, unitY);
    const signed = (value: bigint, at: number): bigint => {
      const m = magnitude(l, value) << BigInt(at - unit);
      return negative(l, value) ? -m : m;
    };
    const sum = signed(x, unitX) + signed(y, unitY);
    if (sum === 0n) return this.context.rounding === ROUND_DOWN ? l.sign : 0n;
    return this.round(l, bits, sum < 0n, sum < 0n ? -sum : sum, unit, false);
  }

  private multiply(l: Layout, bits: Bits, x: bigint, y: bigint): bigint {
    const sign = (x ^ y) & l.sign;
    if ((isInfinite(l, x) && isZero(l, y)) || (isZero(l, x) && isInfinite(l, y))) return this.invalid(l);
    this.noteDenormals(l, x, y);
    if (isInfinite(l, x) || isInfinite(l, y)) return sign | l.exponent;
    if (isZero(l, x) || isZero(l, y)) return sign;
    return this.round(l, bits, sign !== 0n, magnitude(l, x) * magnitude(l, y), unitOf(l, x) + unitOf(l, y), false);
  }

  private divide(l: Layout, bits: Bits, x: bigint, y: bigint): bigint {
    const sign = (x ^ y) & l.sign;
    if ((isInfinite(l, x) && isInfinite(l, y)) || (isZero(l, x) && isZero(l, y))) return this.invalid(l);
    if (isInfinite(l, x)) {
      this.noteDenormals(l, x, y);
      return sign | l.exponent;
    }
    if (isZero(l, y)) {
      this.raise(ZE);
      return sign | l.exponent;
    }
    this.noteDenormals(l, x, y);
    if (isInfinite(l, y) || isZero(l, x)) return sign;
    const scale = 130;
    const dividend = magnitude(l, x) << BigInt(scale);
    const divisor = magnitude(l, y);
    const quotient = dividend / divisor;
    return this.round(l, bits, sign !== 0n, quotient, unitOf(l, x) - unitOf(l, y) - scale, quotient * divisor !== dividend);
  }

  /** x * y + z with one rounding; the flags say whether the product and the addend change their signs first (those of NaNs never do). */
  multiplyAdd(bits: Bits, x: bigint, y: bigint, z: bigint, negateProduct: boolean, negateAddend: boolean): bigint {
    const l = layoutOf(bits);
    const nan = this.propagate(l, x, y, z);
    if (nan !== undefined) return nan;
    const a = this.operand(l, x);
    const b = this.operand(l, y);
    const c = this.operand(l, z) ^ (negateAddend ? l.sign : 0n);
    const sign = (a ^ b ^ (negateProduct ? l.sign : 0n)) & l.sign;
    if ((isInfinite(l, a) && isZero(l, b)) || (isZero(l, a) && isInfinite(l, b))) return this.invalid(l);
    const infinite = isInfinite(l, a) || isInfinite(l, b);
    if (infinite && isInfinite(l, c) && sign !== (c & l.sign)) return this.invalid(l);
    this.noteDenormals(l, a, b);
    this.noteDenormals(l, c, c);
    if (infinite) return sign | l.exponent;
    if (isInfinite(l, c)) return c;
    const unitProduct = unitOf(l, a) + unitOf(l, b);
    const product = magnitude(l, a) * magnitude(l, b);
    const unitAddend = unitOf(l, c);
    const unit = Math.min(unitProduct, unitAddend);
    const first = product << BigInt(unitProduct - unit);
    const second = magnitude(l, c) << BigInt(unitAddend - unit);
    const sum = (sign !== 0n ? -first : first) + (negative(l, c) ? -second : second);
    if (sum !== 0n) return this.round(l, bits, sum < 0n, sum < 0n ? -sum : sum, unit, false);
    // Zeros of one sign keep it; otherwise the rounding decides.
    if (first === 0n && second === 0n && sign === (c & l.sign)) return sign;
    return this.context.rounding === ROUND_DOWN ? l.sign : 0n;
  }

  /** Half to single precision: exact. Denormals of half precision are numbers as others, whatever MXCSR says. */
  halfToSingle(value: number): number {
    const sign = (value & 0x8000) << 16;
    const exponent = (value >> 10) & 0x1f;
    const fraction = value & 0x3ff;
    if (exponent === 0x1f) {
      if (fraction !== 0 && (fraction & 0x200) === 0) this.raise(IE);
      return (sign | 0x7f80_0000 | (fraction << 13) | (fraction !== 0 ? 0x40_0000 : 0)) >>> 0;
    }
    if (exponent !== 0) return (sign | ((exponent + 112) << 23) | (fraction << 13)) >>> 0;
    if (fraction === 0) return sign >>> 0;
    const top = 31 - Math.clz32(fraction);
    return (sign | ((top + 103) << 23) | ((fraction << (23 - top)) & 0x7f_ffff)) >>> 0;
  }

  /** Single to half precision; `immediate` has the rounding (bits 0-1; bit 2: that of MXCSR). FTZ has no say. */
  singleToHalf(value: number, immediate: number): number {
    const bits = BigInt(value);
    const sign = (value >>> 16) & 0x8000;
    if (isNaN(layout32, bits)) {
      if (isSignaling(layout32, bits)) this.raise(IE);
      return sign | 0x7e00 | ((value >>> 13) & 0x3ff);
    }
    const x = this.operand(layout32, bits);
    if (isInfinite(layout32, x)) return sign | 0x7c00;
    if (isZero(layout32, x)) return sign;
    this.noteDenormals(layout32, x, x);
    const { context } = this;
    const { rounding } = context;
    if ((immediate & 4) === 0) context.rounding = immediate & 3;
    const result = context.roundTo(HALF, sign !== 0, magnitude(layout32, x), unitOf(layout32, x), false, 0);
    context.rounding = rounding;
    return Number(narrow(result, 16));
  }

  sqrt(bits: Bits, value: bigint): bigint {
    const l = layoutOf(bits);
    const nan = this.propagate(l, value, value);
    if (nan !== undefined) return nan;
    const x = this.operand(l, value);
    if (isZero(l, x)) return x;
    if (negative(l, x)) return this.invalid(l);
    this.noteDenormals(l, x, x);
    if (isInfinite(l, x)) return x;
    let unit = unitOf(l, x) - 140;
    let m = magnitude(l, x) << 140n;
    if ((unit & 1) !== 0) {
      unit--;
      m <<= 1n;
    }
    const root = squareRoot(m);
    return this.round(l, bits, false, root, unit / 2, root * root !== m);
  }

  /** MIN, MAX: the second operand unless the first is strictly beyond it. */
  extreme(bits: Bits, first: bigint, second: bigint, wanted: typeof LESS | typeof GREATER): bigint {
    const l = layoutOf(bits);
    const order = this.compare(bits, first, second, true);
    return this.operand(l, order === wanted ? first : second);
  }

  /** Compares. `signaling`: a quiet NaN is an invalid operation too. */
  compare(bits: Bits, first: bigint, second: bigint, signaling: boolean): number {
    const l = layoutOf(bits);
    if (isNaN(l, first) || isNaN(l, second)) {
      if (signaling || isSignaling(l, first) || isSignaling(l, second)) this.raise(IE);
      return UNORDERED;
    }
    const x = this.operand(l, first);
    const y = this.operand(l, second);
    this.noteDenormals(l, x, y);
    const signed = (value: bigint): bigint => (negative(l, value) ? -(value & ~l.sign) : value);
    const a = signed(x);
    const b = signed(y);
    return a < b ? LESS : a > b ? GREATER : EQUAL;
  }

  /** Single to double precision. */
  widen(value: bigint): bigint {
    const sign = (value & layout32.sign) << 32n;
    if (isNaN(layout32, value)) {
      if (isSignaling(layout32, value)) this.raise(IE);
      return sign | layout64.exponent | layout64.quiet | ((value & layout32.fraction) << 29n);
    }
    const x = this.operand(layout32, value);
    if (isInfinite(layout32, x)) return sign | layout64.exponent;
    if (isZero(layout32, x)) return sign;
    this.noteDenormals(layout32, x, x);
    return this.round(layout64, 64, sign !== 0n, magnitude(layout32, x), unitOf(layout32, x), false);
  }

  /** Double to single precision. */
  narrow(value: bigint): bigint {
    const sign = (value & layout64.sign) >> 32n;
    if (isNaN(layout64, value)) {
      if (isSignaling(layout64, value)) this.raise(IE);
      return sign | layout32.exponent | layout32.quiet | ((value & layout64.fraction) >> 29n);
    }
    const x = this.operand(layout64, value);
    if (isInfinite(layout64, x)) return sign | layout32.exponent;
    if (isZero(layout64, x)) return sign;
    this.noteDenormals(layout64, x, x);
    return this.round(layout32, 32, sign !== 0n, magnitude(layout64, x), unitOf(layout64, x), false);
  }

  /** An exception that is not masked has come about: what depends on the results so far is not computed. */
  get stopped(): boolean {
    return this.unmasked(this.context.flags) !== 0;
  }

  /** What follows works on results so far: none of the exceptions so far is unmasked, and none is hidden by those to come. */
  endStage(): void {
    this.earlier |= this.context.flags;
    this.context.flags = 0;
  }

  /** ROUNDSS and its kin: `immediate` has the rounding (bits 0-1; bit 2: that of MXCSR) and bit 3: no precision exception. */
  toIntegral(bits: Bits, value: bigint, immediate: number): bigint {
    const l = layoutOf(bits);
    const nan = this.propagate(l, value, value);
    if (nan !== undefined) return nan;
    const x = this.operand(l, value);
    if (isInfinite(l, x) || isZero(l, x)) return x;
    const mode = (immediate & 4) !== 0 ? this.context.rounding : immediate & 3;
    const rounded = roundToQuantum(magnitude(l, x), unitOf(l, x), 0, mode, negative(l, x));
    if (!rounded.inexact) return x;
    if ((immediate & 8) === 0) this.raise(PE);
    if (rounded.r === 0n) return x & l.sign;
    const length = bitLength(rounded.r);
    const fraction = (rounded.r << (l.shift + 1n - BigInt(length))) & l.fraction;
    return (x & l.sign) | (BigInt(length - 1 + (bits === 32 ? 127 : 1023)) << l.shift) | fraction;
  }

  /** To a signed integer of `width` bits, as its two's complement; out of range and for NaN: the integer indefinite. */
  toInteger(bits: Bits, value: bigint, width: 32 | 64, truncate: boolean): bigint {
    const l = layoutOf(bits);
    const limit = 1n << BigInt(width - 1);
    if (isNaN(l, value) || isInfinite(l, value)) {
      this.raise(IE);
      return limit;
    }
    const x = this.operand(l, value);
    if (isZero(l, x)) return 0n;
    const sign = negative(l, x);
    const rounded = roundToQuantum(magnitude(l, x), unitOf(l, x), 0, truncate ? ROUND_ZERO : this.context.rounding, sign);
    const result = sign ? -rounded.r : rounded.r;
    if (result < -limit || result >= limit) {
      this.raise(IE);
      return limit;
    }
    if (rounded.inexact) this.raise(PE);
    return BigInt.asUintN(width, result);
  }

  fromInteger(bits: Bits, value: bigint): bigint {
    if (value === 0n) return 0n;
    return this.round(layoutOf(bits), bits, value < 0n, value < 0n ? -value : value, 0, false);
  }

  private round(l: Layout, bits: Bits, sign: boolean, m: bigint, unit: number, sticky: boolean): bigint {
    const { context } = this;
    if (this.flushToZero && (context.masks & UE) !== 0) {
      const before = context.flags;
      context.flags = before & ~UE;
      context.masks &= ~UE;
      const result = context.roundTo(l.format, sign, m, unit, sticky, 0);
      context.masks |= UE;
      if ((context.flags & UE) !== 0) {
        context.flags = before | UE | PE;
        return sign ? l.sign : 0n;
      }
      context.flags |= before;
      return narrow(result, bits);
    }
    return narrow(context.roundTo(l.format, sign, m, unit, sticky, 0), bits);
  }
}

/** Integer part of the square root, by Newton's method from above. */
function squareRoot(value: bigint): bigint {
  let root = 1n << BigInt((bitLength(value) + 1) >> 1);
  for (;;) {
    const next = (root + value / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}
