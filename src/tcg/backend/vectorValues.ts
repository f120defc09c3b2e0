import { SLOT_XMM } from "../layout";
import { F32, F64, type FunctionWriter, I64, type Type, V128 } from "../wasm/writer";

const REGISTERS = 16;

/**
 * Locals that hold what XMM registers have in memory as well, inside a piece of straight-line code: as a vector, its lower double or single, or halves of 64 bits. A vector read
 * right after its halves were stored one by one would wait for both stores to reach the cache.
 */
export class VectorValues {
  private readonly locals = new Map<string, number>();
  private vectors = 0;
  private doubles = 0;
  private singles = 0;
  /** Two bits a register. */
  private halves = 0;
  /** Registers whose lower half's local is out of date in its lower 32 bits, which the single has. */
  private outdated = 0;
  /** Registers whose lower single, double is known to be fit as an operand (vector/scalarChecks.ts). */
  private fitSingles = 0;
  private fitDoubles = 0;

  constructor(private readonly w: FunctionWriter) {}

  /** Number of the XMM register at `slot`, or of whose half it is; -1 for anything else. */
  static register(slot: number): number {
    const index = (slot - SLOT_XMM) >> 4;
    return slot >= SLOT_XMM && index < REGISTERS ? index : -1;
  }

  /** Nothing is known any more. */
  forget(): void {
    this.vectors = this.doubles = this.singles = this.halves = this.outdated = 0;
    this.forgetFit();
  }

  /** MXCSR may have changed: what was fit need not be. */
  forgetFit(): void {
    this.fitSingles = this.fitDoubles = 0;
  }

  /** What is known here, for `restore`. */
  snapshot(): readonly number[] {
    return [this.vectors, this.doubles, this.singles, this.halves, this.outdated, this.fitSingles, this.fitDoubles];
  }

  restore(known: readonly number[]): void {
    [this.vectors, this.doubles, this.singles, this.halves, this.outdated, this.fitSingles, this.fitDoubles] = known;
  }

  isFit(r: number, bits: 32 | 64): boolean {
    return (((bits === 32 ? this.fitSingles : this.fitDoubles) >> r) & 1) !== 0;
  }
  noteFit(r: number, bits: 32 | 64): void {
    if (bits === 32) this.fitSingles |= 1 << r;
    else this.fitDoubles |= 1 << r;
  }

  private local(name: string, type: Type): number {
    let local = this.locals.get(name);
    if (local === undefined) this.locals.set(name, (local = this.w.local(type)));
    return local;
  }

  /** The local with the vector, or -1. */
  vector(r: number): number {
    return (this.vectors >> r) & 1 ? this.local(`v${r}`, V128) : -1;
  }
  double(r: number): number {
    return (this.doubles >> r) & 1 ? this.local(`d${r}`, F64) : -1;
  }
  single(r: number): number {
    return (this.singles >> r) & 1 ? this.local(`s${r}`, F32) : -1;
  }
  /** `upper`: 0 or 1. */
  half(r: number, upper: number): number {
    return (this.halves >>> (2 * r + upper)) & 1 ? this.local(`h${r}.${upper}`, I64) : -1;
  }

  /** The local of the lower half where only its upper 32 bits are right, beside what `single` tells; or -1. */
  outdatedHalf(r: number): number {
    return (this.outdated >> r) & 1 && (this.singles >> r) & 1 ? this.local(`h${r}.0`, I64) : -1;
  }

  /** The register's lower half has been put together: the local to keep it in. */
  keepLowerHalf(r: number): number {
    this.outdated &= ~(1 << r);
    this.halves |= 1 << (2 * r);
    return this.local(`h${r}.0`, I64);
  }

  /** The register has been read as a vector: the local to keep it in, beside what is known already. */
  keepVector(r: number): number {
    this.vectors |= 1 << r;
    return this.local(`v${r}`, V128);
  }
  keepDouble(r: number): number {
    this.doubles |= 1 << r;
    return this.local(`d${r}`, F64);
  }
  keepSingle(r: number): number {
    this.singles |= 1 << r;
    return this.local(`s${r}`, F32);
  }

  /** The register is being written: what else is known of that part is void. Returns the local to set. */
  setVector(r: number): number {
    this.dropLower(r);
    this.outdated &= ~(1 << r);
    this.halves &= ~(2 << (2 * r));
    return this.keepVector(r);
  }
  setDouble(r: number): number {
    this.dropLower(r);
    this.outdated &= ~(1 << r);
    return this.keepDouble(r);
  }
  setSingle(r: number): number {
    if (this.half(r, 0) >= 0) this.outdated |= 1 << r;
    this.dropLower(r);
    return this.keepSingle(r);
  }
  setHalf(r: number, upper: number): number {
    if (upper === 0) {
      this.dropLower(r);
      this.outdated &= ~(1 << r);
    } else this.vectors &= ~(1 << r);
    this.halves |= 1 << (2 * r + upper);
    return this.local(`h${r}.${upper}`, I64);
  }

  private dropLower(r: number): void {
    this.vectors &= ~(1 << r);
    this.doubles &= ~(1 << r);
    this.singles &= ~(1 << r);
    this.halves &= ~(1 << (2 * r));
    this.fitSingles &= ~(1 << r);
    this.fitDoubles &= ~(1 << r);
  }

  /** Register `to` has been given `from`'s lower half: pairs of locals to copy, so that it is known as a number too. */
  copyNumbers(from: number, to: number): (readonly [number, number])[] {
    const copies: (readonly [number, number])[] = [];
    const single = this.single(from);
    const double = this.double(from);
    if (single >= 0) copies.push([single, this.keepSingle(to)]);
    if (double >= 0) copies.push([double, this.keepDouble(to)]);
    if (this.isFit(from, 32)) this.noteFit(to, 32);
    if (this.isFit(from, 64)) this.noteFit(to, 64);
    return copies;
  }
}
