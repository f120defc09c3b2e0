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

  constructor(private readonly w: FunctionWriter) {}

  /** Number of the XMM register at `slot`, or of whose half it is; -1 for anything else. */
  static register(slot: number): number {
    const index = (slot - SLOT_XMM) >> 4;
    return slot >= SLOT_XMM && index < REGISTERS ? index : -1;
  }

  /** Nothing is known any more. */
  forget(): void {
    this.vectors = this.doubles = this.singles = this.halves = 0;
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
    this.halves &= ~(2 << (2 * r));
    return this.keepVector(r);
  }
  setDouble(r: number): number {
    this.dropLower(r);
    return this.keepDouble(r);
  }
  setSingle(r: number): number {
    this.dropLower(r);
    return this.keepSingle(r);
  }
  setHalf(r: number, upper: number): number {
    if (upper === 0) this.dropLower(r);
    else this.vectors &= ~(1 << r);
    this.halves |= 1 << (2 * r + upper);
    return this.local(`h${r}.${upper}`, I64);
  }

  private dropLower(r: number): void {
    this.vectors &= ~(1 << r);
    this.doubles &= ~(1 << r);
    this.singles &= ~(1 << r);
    this.halves &= ~(1 << (2 * r));
  }
}
