import type { CodeBuilder, Local } from "../wasm/code";

/** Locals of the function that executes x87 instructions (function.ts): operands a and b, and a result that is to be rounded. */
export interface X87Locals {
  /** Sign in bit 15 and exponent; significand. Ordinary values only: zero, or a normal number. */
  readonly aSe: Local;
  readonly aM: Local;
  readonly bSe: Local;
  readonly bM: Local;
  /** (-1)^sign * (m + rest / 2^64) * 2^(exponent - 16383 - 63), the top bit of m set; `rest`: its lowest bit stands for everything below. */
  readonly sign: Local;
  readonly exponent: Local;
  readonly m: Local;
  readonly rest: Local;
  readonly control: Local;
  readonly i: Local;
  readonly t: Local;
  readonly u: Local;
  readonly v: Local;
  readonly x: Local;
  readonly y: Local;
}

const HALF = -(1n << 63n);
const BIAS = 16383;

/**
 * Generator of the arithmetic on 64-bit significands: exactly what cpu/fpu/arithmetic.ts computes with large integers, for ordinary operands. Each operation ends with a
 * branch to "round", or to "exact" with its result in aSe and aM; what is not ordinary goes to "no".
 */
export class X87Arithmetic {
  constructor(
    private readonly code: CodeBuilder,
    private readonly l: X87Locals,
    /** Function (i64, i64): high half of the product. */
    private readonly multiplyHigh: number,
  ) {}

  private exponentOf(se: Local): CodeBuilder {
    return this.code.get(se).i32(0x7fff).op("i32.and");
  }

  private signOf(se: Local): CodeBuilder {
    return this.code.get(se).i32(15).op("i32.shr_u");
  }

  /** Goes to "no" unless the operand is zero or normal. */
  requireOrdinary(se: Local, m: Local): void {
    const { code } = this;
    code.get(m).i64(0n).op("i64.lt_s");
    this.exponentOf(se).i32(1).op("i32.sub").i32(0x7ffe).op("i32.lt_u", "i32.and");
    this.exponentOf(se).op("i32.eqz").get(m).op("i64.eqz", "i32.and", "i32.or", "i32.eqz").brIf("no");
  }

  private swap(a: Local, b: Local, through: Local): void {
    this.code.get(a).set(through).get(b).set(a).get(through).set(b);
  }

  swapOperands(): void {
    const { l } = this;
    this.swap(l.aSe, l.bSe, l.i);
    this.swap(l.aM, l.bM, l.t);
  }

  /** a + b. */
  add(): void {
    const { code, l } = this;
    const take = (se: Local, m: Local): void => {
      this.signOf(se).set(l.sign);
      this.exponentOf(se).set(l.exponent);
      code.get(m).set(l.m).i64(0n).set(l.rest).br("round");
    };
    code.get(l.bM).op("i64.eqz").if();
    code.get(l.aM).op("i64.eqz").if();
    code.get(l.aSe).get(l.bSe).op("i32.ne").brIf("no");
    code.br("exact").end();
    take(l.aSe, l.aM);
    code.end();
    code.get(l.aM).op("i64.eqz").if();
    take(l.bSe, l.bM);
    code.end();
    // a gets the larger magnitude.
    this.exponentOf(l.aSe);
    this.exponentOf(l.bSe).op("i32.lt_u");
    this.exponentOf(l.aSe);
    this.exponentOf(l.bSe).op("i32.eq").get(l.aM).get(l.bM).op("i64.lt_u", "i32.and", "i32.or").if();
    this.swapOperands();
    code.end();
    this.exponentOf(l.aSe).tee(l.exponent);
    this.exponentOf(l.bSe).op("i32.sub").tee(l.i).op("i64.extend_u").set(l.t);
    this.signOf(l.aSe).set(l.sign);
    // b shifted to a's exponent: u and, below it, rest.
    code.get(l.i).op("i32.eqz").if();
    code.get(l.bM).set(l.u).i64(0n).set(l.rest);
    code.else();
    code.get(l.i).i32(64).op("i32.lt_u").if();
    code.get(l.bM).get(l.t).op("i64.shr_u").set(l.u);
    code.get(l.bM).i64(64n).get(l.t).op("i64.sub", "i64.shl").set(l.rest);
    code.else().i64(0n).set(l.u);
    code.get(l.i).i32(128).op("i32.lt_u").if();
    code.get(l.bM).get(l.t).i64(64n).op("i64.sub", "i64.shr_u");
    // What is shifted out below; a shift by 64 loses nothing.
    code.get(l.bM).i64(0n).get(l.i).i32(64).op("i32.ne", "select");
    code.i64(128n).get(l.t).op("i64.sub", "i64.shl").i64(0n).op("i64.ne", "i64.extend_u", "i64.or").set(l.rest);
    code.else().i64(1n).set(l.rest).end().end().end();

    code.get(l.aSe).get(l.bSe).op("i32.xor").i32(0x8000).op("i32.and", "i32.eqz").if();
    code.get(l.aM).get(l.u).op("i64.add").tee(l.m).get(l.aM).op("i64.lt_u").if();
    code
      .get(l.rest)
      .i64(1n)
      .op("i64.shr_u")
      .get(l.rest)
      .i64(1n)
      .op("i64.and", "i64.or")
      .get(l.m)
      .i64(63n)
      .op("i64.shl", "i64.or")
      .set(l.rest);
    code.get(l.m).i64(1n).op("i64.shr_u").i64(HALF).op("i64.or").set(l.m);
    code.get(l.exponent).i32(1).op("i32.add").set(l.exponent).end();
    code.br("round").end();
    code.get(l.aM).get(l.u).op("i64.sub").get(l.rest).i64(0n).op("i64.ne", "i64.extend_u", "i64.sub").set(l.m);
    code.i64(0n).get(l.rest).op("i64.sub").set(l.rest);
    code.get(l.m).op("i64.eqz").if();
    code.get(l.rest).op("i64.eqz").if();
    // Exactly zero: negative when rounding down.
    code.i32(0x8000).i32(0);
    this.rounding().i32(1).op("i32.eq", "select").set(l.aSe).i64(0n).set(l.aM).br("exact").end();
    code.get(l.rest).set(l.m).i64(0n).set(l.rest).get(l.exponent).i32(64).op("i32.sub").set(l.exponent).end();
    code.get(l.m).op("i64.clz").tee(l.t).i64(0n).op("i64.ne").if();
    code.get(l.m).get(l.t).op("i64.shl").get(l.rest).i64(64n).get(l.t).op("i64.sub", "i64.shr_u", "i64.or").set(l.m);
    code.get(l.rest).get(l.t).op("i64.shl").set(l.rest);
    code.get(l.exponent).get(l.t).op("i32.wrap", "i32.sub").set(l.exponent).end();
    code.br("round");
  }

  /** A zero with the sign of product and quotient. */
  private signedZero(): void {
    const { code, l } = this;
    code.get(l.aSe).get(l.bSe).op("i32.xor").i32(0x8000).op("i32.and").set(l.aSe).i64(0n).set(l.aM).br("exact");
  }

  private productSign(): void {
    const { code, l } = this;
    code.get(l.aSe).get(l.bSe).op("i32.xor").i32(15).op("i32.shr_u").set(l.sign);
  }

  /** m:rest = aM * bM, by halves: in place, as a call has everything saved around it. */
  private product(): void {
    const { code, l } = this;
    const lower = (value: Local): CodeBuilder => code.get(value).i64(0xffff_ffffn).op("i64.and");
    const upper = (value: Local): CodeBuilder => code.get(value).i64(32n).op("i64.shr_u");
    lower(l.aM).set(l.t);
    upper(l.aM).set(l.u);
    lower(l.bM).set(l.x);
    upper(l.bM).set(l.y);
    code.get(l.t).get(l.x).op("i64.mul").i64(32n).op("i64.shr_u").get(l.u).get(l.x).op("i64.mul", "i64.add").set(l.x);
    code.get(l.t).get(l.y).op("i64.mul");
    lower(l.x).op("i64.add").i64(32n).op("i64.shr_u").get(l.u).get(l.y).op("i64.mul", "i64.add");
    upper(l.x).op("i64.add").set(l.m);
    code.get(l.aM).get(l.bM).op("i64.mul").set(l.rest);
  }

  /** a * b. */
  multiply(): void {
    const { code, l } = this;
    code.get(l.aM).op("i64.eqz").get(l.bM).op("i64.eqz", "i32.or").if();
    this.signedZero();
    code.end();
    this.productSign();
    this.exponentOf(l.aSe);
    this.exponentOf(l.bSe)
      .op("i32.add")
      .i32(BIAS - 1)
      .op("i32.sub")
      .set(l.exponent);
    this.product();
    code.get(l.m).i64(0n).op("i64.ge_s").if();
    code.get(l.m).i64(1n).op("i64.shl").get(l.rest).i64(63n).op("i64.shr_u", "i64.or").set(l.m);
    code.get(l.rest).i64(1n).op("i64.shl").set(l.rest);
    code.get(l.exponent).i32(1).op("i32.sub").set(l.exponent).end();
    code.br("round");
  }

  /**
   * One 32-bit digit of a quotient (D. Knuth, "The Art of Computer Programming", vol. 2, algorithm D): x:digit / bM, the quotient digit into `q`, the remainder into x. x is
   * smaller than bM, whose top bit is set.
   */
  private digit(q: Local, pushDigit: () => CodeBuilder): void {
    const { code, l } = this;
    const b1 = (): CodeBuilder => code.get(l.bM).i64(32n).op("i64.shr_u");
    code.get(l.x);
    b1().op("i64.div_u").set(q);
    code.get(l.x).get(q);
    b1().op("i64.mul", "i64.sub").set(l.u);
    code.block("found").loop("again");
    code.get(q).i64(32n).op("i64.shr_u").i64(0n).op("i64.ne");
    code.get(q).get(l.bM).i64(0xffff_ffffn).op("i64.and", "i64.mul").get(l.u).i64(32n).op("i64.shl");
    pushDigit().op("i64.or", "i64.gt_u", "i32.or", "i32.eqz").brIf("found");
    code.get(q).i64(1n).op("i64.sub").set(q).get(l.u);
    b1().op("i64.add").tee(l.u).i64(32n).op("i64.shr_u", "i64.eqz").brIf("again");
    code.end().end();
    code.get(l.x).i64(32n).op("i64.shl");
    pushDigit().op("i64.or").get(q).get(l.bM).op("i64.mul", "i64.sub").set(l.x);
  }

  /** a / b. */
  divide(): void {
    const { code, l } = this;
    code.get(l.bM).op("i64.eqz").brIf("no");
    code.get(l.aM).op("i64.eqz").if();
    this.signedZero();
    code.end();
    this.productSign();
    this.exponentOf(l.aSe);
    this.exponentOf(l.bSe)
      .op("i32.sub")
      .i32(BIAS - 1)
      .op("i32.add")
      .set(l.exponent);
    // x:y, the dividend: x below the divisor.
    code.get(l.aM).set(l.x).i64(0n).set(l.y);
    code.get(l.aM).get(l.bM).op("i64.ge_u").if();
    code.get(l.aM).i64(1n).op("i64.shr_u").set(l.x).get(l.aM).i64(63n).op("i64.shl").set(l.y);
    code.get(l.exponent).i32(1).op("i32.add").set(l.exponent).end();
    this.digit(l.m, () => code.get(l.y).i64(32n).op("i64.shr_u"));
    this.digit(l.t, () => code.get(l.y).i64(0xffff_ffffn).op("i64.and"));
    code.get(l.m).i64(32n).op("i64.shl").get(l.t).op("i64.or").set(l.m);
    // The remainder against half the divisor.
    code.get(l.bM).get(l.x).op("i64.sub").set(l.t);
    code.i64(HALF).i64(0n).get(l.x).get(l.t).op("i64.ge_u", "select");
    code.get(l.x).i64(0n).op("i64.ne").get(l.x).get(l.t).op("i64.ne", "i32.and", "i64.extend_u", "i64.or").set(l.rest);
    code.br("round");
  }

  /** x:y := the radicand less u squared. */
  private residue(): void {
    const { code, l } = this;
    code.get(l.u).get(l.u).op("i64.mul").set(l.t);
    // v is the radicand's upper half, rest its lower one.
    code.get(l.v).get(l.u).get(l.u).call(this.multiplyHigh).op("i64.sub");
    code.get(l.rest).get(l.t).op("i64.lt_u", "i64.extend_u", "i64.sub").set(l.x);
    code.get(l.rest).get(l.t).op("i64.sub").set(l.y);
  }

  /** The square root of a. */
  squareRoot(): void {
    const { code, l } = this;
    code.get(l.aM).op("i64.eqz").brIf("exact");
    code.get(l.aSe).i32(0x8000).op("i32.and").brIf("no");
    code.i32(0).set(l.sign);
    // The radicand, with an even exponent: m * 2^63 or m * 2^64.
    code.get(l.aSe).i32(1).op("i32.and").if();
    code.get(l.aM).i64(1n).op("i64.shr_u").set(l.v).get(l.aM).i64(63n).op("i64.shl").set(l.rest);
    code.else().get(l.aM).set(l.v).i64(0n).set(l.rest).end();
    code.get(l.aSe).i32(BIAS).op("i32.sub").i32(1).op("i32.shr_s").i32(BIAS).op("i32.add").set(l.exponent);
    // An estimate with the precision of doubles: sqrt(v * 2^64).
    code.get(l.v).raw([0xba, 0x44, 0, 0, 0, 0, 0, 0, 0xf0, 0x43, 0xa2, 0x9f, 0xfc, 0x07]).set(l.u);
    code.get(l.u).i64(HALF).get(l.u).i64(0n).op("i64.lt_s", "select").set(l.u);
    // One step of Newton's: u += (x:y) / 2u.
    this.residue();
    code.get(l.u).get(l.x).i64(49n).op("i64.shl").get(l.y).i64(15n).op("i64.shr_u", "i64.or");
    code.get(l.u).i64(14n).op("i64.shr_u", "i64.div_s", "i64.add").set(l.u);
    code.get(l.u).i64(-1n).get(l.u).i64(0n).op("i64.lt_s", "select").set(l.u);
    this.residue();
    // The last units one by one.
    code.block("notBelow").loop("below");
    code.get(l.x).i64(0n).op("i64.ge_s").brIf("notBelow");
    code.get(l.u).i64(1n).op("i64.sub").set(l.u);
    code
      .get(l.u)
      .i64(1n)
      .op("i64.shl")
      .i64(1n)
      .op("i64.or")
      .tee(l.t)
      .get(l.y)
      .op("i64.add")
      .tee(l.y)
      .get(l.t)
      .op("i64.lt_u", "i64.extend_u");
    code.get(l.u).i64(63n).op("i64.shr_u", "i64.add").get(l.x).op("i64.add").set(l.x).br("below").end().end();
    code.block("notAbove").loop("above");
    // While the rest is 2u + 1 or more.
    code.get(l.u).i64(1n).op("i64.shl").i64(1n).op("i64.or").set(l.t);
    code.get(l.x).get(l.u).i64(63n).op("i64.shr_u", "i64.lt_s");
    code.get(l.x).get(l.u).i64(63n).op("i64.shr_u", "i64.eq").get(l.y).get(l.t).op("i64.lt_u", "i32.and", "i32.or").brIf("notAbove");
    code.get(l.x).get(l.u).i64(63n).op("i64.shr_u", "i64.sub").get(l.y).get(l.t).op("i64.lt_u", "i64.extend_u", "i64.sub").set(l.x);
    code.get(l.y).get(l.t).op("i64.sub").set(l.y);
    code.get(l.u).i64(1n).op("i64.add").set(l.u).br("above").end().end();
    code.get(l.u).set(l.m);
    // More than half a unit where the rest is above u.
    code.i64(HALF).i64(0n).get(l.x).i64(0n).op("i64.ne").get(l.y).get(l.u).op("i64.gt_u", "i32.or", "select");
    code.get(l.x).get(l.y).op("i64.or").i64(0n).op("i64.ne", "i64.extend_u", "i64.or").set(l.rest);
    code.br("round");
  }

  /** The rounding control: 0 nearest, 1 down, 2 up, 3 to zero. */
  rounding(): CodeBuilder {
    return this.code.get(this.l.control).i32(10).op("i32.shr_u").i32(3).op("i32.and");
  }

  /** Pushes whether a value with significand `unit` odd or even, and `rest` below it, grows when it is rounded; `pushMode`: how. The rest is not 0. */
  pushUp(pushMode: () => void, pushOdd: () => void): void {
    const { code, l } = this;
    pushMode();
    code.tee(l.i).op("i32.eqz").if().i64(0n).set(l.t);
    code.get(l.rest).i64(HALF).op("i64.gt_u").get(l.rest).i64(HALF).op("i64.eq");
    pushOdd();
    code.op("i32.and", "i32.or", "i64.extend_u").set(l.t);
    code.else().get(l.i).i32(2).get(l.sign).op("i32.sub", "i32.eq", "i64.extend_u").set(l.t).end();
    code.get(l.t).op("i32.wrap");
  }
}
