import { highHalf, lowHalf } from "../../common/halves";
import { SLOT_CC_AUX, SLOT_CC_RES, SLOT_MXCSR, SLOT_RIP, SLOT_SINK, SLOT_TEMP, SLOT_ZERO, TEMP_COUNT, WORD_TLB } from "../layout";
import { type Condition } from "../ops";
import { F32, F64, FunctionWriter, I32, I64, M, V128, W } from "../wasm/writer";
import { Callee } from "./callees";
import { SharedAccesses } from "./accesses";
import { type FlagLocals, KIND_DYNAMIC, KIND_MEMORY, pushAux, pushCondition, pushResult, truncate, type Width } from "./flags";
import { type Piece, type RegionOps } from "./pieces";
import { slotBits, TRACKED } from "./widths";
import type { VectorLocals } from "../vector/site";
import { I64X2_EXTRACT, simdLane } from "../vector/wasm";
import { VectorValues } from "./vectorValues";

/** Parameters of a region's function: CPU state address, entry, instructions left; it returns an exit reason. */
export const CPU = 0;
export const ENTRY = 1;
export const BUDGET = 2;

const zero: readonly [number, number] = [0, 0];
const isTemp = (slot: number): boolean => slot >= SLOT_TEMP && slot < SLOT_TEMP + TEMP_COUNT * 8;
export const halves = (value: bigint): [number, number] => [lowHalf(value), highHalf(value)];

/**
 * Where values are in a region's function under construction. General registers, temporaries and flags are locals; memory has them at calls of helpers and outside the function. Vector registers
 * are in memory always, and in locals as far as they are known.
 */
export class RegionValues {
  readonly w = new FunctionWriter(3);
  readonly cpu = CPU;
  readonly budget = BUDGET;
  /** What is known of the flags here: a kind, or KIND_DYNAMIC. */
  kind: number = KIND_MEMORY;
  /** i64 scratch locals, free at the start of each op. */
  readonly s: number;
  readonly t: number;
  readonly u: number;
  readonly address: number;
  /** i32 scratch locals. */
  readonly entry: number;
  readonly host: number;
  readonly tlb: number;
  readonly flagLocals: FlagLocals;

  protected readonly registers = new Int16Array(16).fill(-1);
  private readonly temps = new Int16Array(TEMP_COUNT).fill(-1);
  /** Significant bits that registers and temporaries have at most here: 8, 16, 32 or 64, indexed as in widths.ts. */
  protected readonly bits = new Uint8Array(TRACKED).fill(64);
  /** Constants that temporaries hold in the piece under construction. */
  protected readonly constants = new Map<number, readonly [number, number]>();
  protected flagsNeeded: Uint8Array = new Uint8Array(0);

  /** @param current the piece under construction */
  constructor(
    readonly ops: RegionOps,
    protected current: Piece,
  ) {
    const { w } = this;
    this.accesses = new SharedAccesses(ops, () => w.local(I32));
    this.tlb = w.local(I32);
    this.entry = w.local(I32);
    this.host = w.local(I32);
    const kind = w.local(I32);
    this.s = w.local(I64);
    this.t = w.local(I64);
    this.u = w.local(I64);
    this.address = w.local(I64);
    this.flagLocals = { kind, fr: w.local(I64), cx: w.local(I64), cy: w.local(I64), fx: w.local(I64) };
  }

  protected registerLocal(r: number): number {
    if (this.registers[r] < 0) this.registers[r] = this.w.local(I64);
    return this.registers[r];
  }

  protected tempLocal(index: number): number {
    if (this.temps[index] < 0) this.temps[index] = this.w.local(I64);
    return this.temps[index];
  }

  protected loadRegister(r: number): void {
    this.w
      .get(CPU)
      .mem(M.i64Load, r * 8)
      .set(this.registerLocal(r));
  }

  protected loadTlb(): void {
    this.w.get(CPU).mem(M.i32Load, WORD_TLB).set(this.tlb);
  }

  /** CF from memory into cx and cy. */
  loadCarry(): void {
    this.w.i64(0).set(this.flagLocals.cx).get(CPU).mem(M.i64Load, SLOT_CC_AUX).i64(63).op(W.i64ShrU).set(this.flagLocals.cy);
  }

  /** Locals of vector ops, declared when the first one needs them. */
  vectorLocals(): VectorLocals {
    const { w } = this;
    const vector = (): number => w.local(V128);
    const double = (): number => w.local(F64);
    const single = (): number => w.local(F32);
    this.vectors ??= {
      x: vector(),
      y: vector(),
      r: vector(),
      u: vector(),
      dx: double(),
      dy: double(),
      dr: double(),
      sx: single(),
      sy: single(),
      sr: single(),
      n: this.u,
      i: this.host,
    };
    return this.vectors;
  }

  private vectors: VectorLocals | undefined;
  /** Addresses that have been looked up already. */
  readonly accesses: SharedAccesses;
  /** What is known of XMM registers in the piece under construction. */
  readonly xmm = new VectorValues(this.w);
  /** MXCSR has been seen to be as fast results need it. */
  defaultMxcsr = false;

  protected forgetVectors(): void {
    this.xmm.forget();
    this.defaultMxcsr = false;
  }

  /** The slot is in memory, not in a local. */
  isMemorySlot(slot: number): boolean {
    return slot >= 128 && !isTemp(slot);
  }

  /** The constant in a slot, if it is known to hold one: halves. */
  constantOf(slot: number): readonly [number, number] | undefined {
    return slot === SLOT_ZERO ? zero : this.constants.get(slot);
  }

  push(slot: number): void {
    const { w } = this;
    const constant = this.constantOf(slot);
    if (constant !== undefined) w.i64Halves(constant[0], constant[1]);
    else if (slot < 128) w.get(this.registerLocal(slot >> 3));
    else if (isTemp(slot)) w.get(this.tempLocal((slot - SLOT_TEMP) >> 3));
    else if (!this.pushVectorHalf(slot)) w.get(CPU).mem(M.i64Load, slot);
  }

  /** Pushes half an XMM register if a local has it. */
  private pushVectorHalf(slot: number): boolean {
    const r = VectorValues.register(slot);
    if (r < 0 || (slot & 7) !== 0) return false;
    const upper = (slot >> 3) & 1;
    const half = this.xmm.half(r, upper);
    const vector = this.xmm.vector(r);
    const outdated = upper === 0 ? this.xmm.outdatedHalf(r) : -1;
    if (half >= 0) this.w.get(half);
    else if (vector >= 0) this.w.get(vector).raw(simdLane(I64X2_EXTRACT, upper));
    else if (outdated >= 0) {
      // From memory it would wait for the stores of both parts to reach the cache.
      this.w.get(outdated).i64Halves(0, -1).op(W.i64And);
      this.w.get(this.xmm.single(r)).op3(W.i32ReinterpretF32, W.i64ExtendU, W.i64Or).tee(this.xmm.keepLowerHalf(r));
    } else return false;
    return true;
  }

  /** Pushes the slot's value of which only the lower 32 bits matter. */
  pushLower(slot: number): void {
    const r = VectorValues.register(slot);
    const single = r >= 0 && (slot & 15) === 0 ? this.xmm.single(r) : -1;
    if (single >= 0) this.w.get(single).op2(W.i32ReinterpretF32, W.i64ExtendU);
    else this.push(slot);
  }

  /** After a move between slots: where they are lower halves of XMM registers, one is the same number as the other. */
  copyNumbers(from: number, to: number): void {
    const a = VectorValues.register(from);
    const d = VectorValues.register(to);
    if (a < 0 || d < 0 || a === d || (from & 15) !== 0 || (to & 15) !== 0) return;
    for (const [source, copy] of this.xmm.copyNumbers(a, d)) this.w.get(source).set(copy);
  }

  /** Significant bits of a slot's value at most: 8, 16, 32 or 64. */
  bitsOf(slot: number): number {
    return slotBits(this.bits, slot);
  }

  /** Pushes the slot's value, truncated to a width. */
  pushTruncated(slot: number, width: Width): void {
    this.push(slot);
    if (this.bitsOf(slot) > width) truncate(this.w, width);
  }

  /** Pushes slot[b] + imm of op `i`, truncated to a width. */
  rhsTruncated(i: number, width: Width): void {
    const { ops } = this;
    const lo = ops.lo[i];
    if (ops.b[i] === SLOT_ZERO) {
      if (width === 64) this.rhs(i);
      else this.w.i64Halves(width === 32 ? lo : lo & ((1 << width) - 1), 0);
    } else if (lo === 0 && ops.hi[i] === 0) this.pushTruncated(ops.b[i], width);
    else {
      this.rhs(i);
      truncate(this.w, width);
    }
  }

  /** Begins an assignment: what is pushed up to `assign` goes to the slot. */
  begin(slot: number): void {
    if (slot >= 128 && !isTemp(slot) && slot !== SLOT_SINK && slot !== SLOT_ZERO) this.w.get(CPU);
  }

  assign(slot: number): void {
    const { w } = this;
    if (slot < 128) w.set(this.registerLocal(slot >> 3));
    else if (isTemp(slot)) {
      this.constants.delete(slot);
      w.set(this.tempLocal((slot - SLOT_TEMP) >> 3));
    } else if (slot === SLOT_SINK || slot === SLOT_ZERO) w.op(W.drop);
    else {
      const r = VectorValues.register(slot);
      if (r >= 0) w.tee(this.xmm.setHalf(r, (slot >> 3) & 1));
      if (slot === SLOT_MXCSR) {
        this.defaultMxcsr = false;
        this.xmm.forgetFit();
      }
      w.mem(M.i64Store, slot);
    }
  }

  assignConstant(slot: number, lo: number, hi: number): void {
    this.begin(slot);
    this.w.i64Halves(lo, hi);
    this.assign(slot);
    if (isTemp(slot)) this.constants.set(slot, [lo, hi]);
  }

  /** Pushes slot[b] + imm of op `i`. */
  rhs(i: number): void {
    const { ops, w } = this;
    const b = ops.b[i];
    const lo = ops.lo[i];
    const hi = ops.hi[i];
    if (b === SLOT_ZERO) {
      w.i64Halves(lo, hi);
      return;
    }
    this.push(b);
    if (lo !== 0 || hi !== 0) w.i64Halves(lo, hi).op(W.i64Add);
  }

  pushConstant(value: bigint): void {
    const [lo, hi] = halves(value);
    this.w.i64Halves(lo, hi);
  }

  setRip(rip: bigint): void {
    this.w.get(CPU);
    this.pushConstant(rip);
    this.w.mem(M.i64Store, SLOT_RIP);
  }

  // Flags: see flags.ts.

  /** Whether anyone may look at the flags that op `i` sets. */
  needsFlags(i: number): boolean {
    return this.flagsNeeded[i - this.current.first] !== 0;
  }

  /** The flags are of `kind` from here on; the locals have been set. */
  setKind(kind: number): void {
    this.kind = kind;
    if (kind >= 0) this.w.i32(kind).set(this.flagLocals.kind);
  }

  /** The flags set last may have been kept: nothing is known. */
  forgetKind(): void {
    this.kind = KIND_DYNAMIC;
  }

  /** Writes the flags to memory, where helpers look; they stay there. */
  flagsToMemory(): void {
    if (this.kind === KIND_MEMORY) return;
    this.callStoreFlags();
    this.setKind(KIND_MEMORY);
  }

  /** The flags in memory were changed. */
  flagsChangedInMemory(): void {
    this.setKind(KIND_MEMORY);
    this.loadCarry();
  }

  pushCondition(condition: Condition): void {
    if (this.kind === KIND_DYNAMIC) {
      if (condition === "c") {
        this.w.get(this.flagLocals.cx).get(this.flagLocals.cy).op(W.i64LtU);
        return;
      }
      this.flagsToMemory();
    }
    pushCondition(this.w, this.kind, condition, this.flagLocals, CPU, [this.s, this.t, this.u]);
  }

  /** Pushes SLOT_CC_AUX. */
  pushAux(): void {
    if (this.kind === KIND_DYNAMIC) this.flagsToMemory();
    if (this.kind === KIND_MEMORY) this.w.get(CPU).mem(M.i64Load, SLOT_CC_AUX);
    else pushAux(this.w, this.kind, this.flagLocals, this.s, this.t);
  }

  /** Pushes SLOT_CC_RES. */
  pushResult(): void {
    if (this.kind === KIND_DYNAMIC) this.flagsToMemory();
    if (this.kind === KIND_MEMORY) this.w.get(CPU).mem(M.i64Load, SLOT_CC_RES);
    else pushResult(this.w, this.kind, this.flagLocals);
  }

  protected callStoreFlags(): void {
    const { w } = this;
    const { kind, fr, cx, cy, fx } = this.flagLocals;
    w.get(CPU).get(kind).get(fr).get(cx).get(cy).get(fx).call(Callee.storeFlags);
  }
}
