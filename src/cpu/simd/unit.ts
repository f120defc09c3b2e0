import { unreachable } from "../../common/errors";
import { type Flags, packFlags } from "../../tcg/flags";
import { SLOT_CC_AUX, SLOT_CC_RES, SLOT_MXCSR, SLOT_XMM, slotOfXmm, VECTOR_UPPER } from "../../tcg/layout";
import { STATUS_FAULT, STATUS_OK } from "../../tcg/ops";
import { DE, IE, ZE } from "../fpu/context";
import type { FpuState } from "../fpu/state";
import { EQUAL, LESS, SseArithmetic, UNORDERED } from "./float";
import type { UpperHalf } from "./halves";
import { LongVector, type Vectors } from "./lanes";
import { type Operation, operations, upperHalves } from "./operations";
import { compareStrings, stringIndex, stringMask } from "./sse4";

/** What the unit needs of its CPU. */
export interface SimdHost {
  /** The CPU's state block. */
  readonly slots: BigUint64Array;
  /** The x87 registers, for MMX. */
  readonly fpu: FpuState;
  /** An exception of SSE arithmetic came about that is not masked: #XM, or #UD without CR4.OSXMMEXCPT. */
  arithmeticFault(): void;
}

const noFlags: Flags = { cf: false, pf: false, af: false, zf: false, sf: false, of: false };

/** Flags of the `simd` helper beside the immediate's eight bits: REX.W or VEX.W; MMX registers; VEX-coded; 256 bits. */
export const SIMD_WIDE = 0x100;
export const SIMD_MMX = 0x200;
export const SIMD_VEX = 0x400;
export const SIMD_LONG = 0x800;
/** With SIMD_VEX: numbers of the first and the third source register. */
export const SIMD_FIRST_SHIFT = 12;
export const SIMD_THIRD_SHIFT = 16;

type Half = { -readonly [key in keyof Vectors]: Vectors[key] };

/**
 * The vector unit of one CPU: executes the `simd` helper. Nothing at the destination changes when an operation faults. An operation is defined on 128 bits; on 256 it is
 * carried out on each half (halves.ts).
 */
export class SimdUnit {
  private readonly a = new LongVector();
  private readonly b = new LongVector();
  private readonly r = new LongVector();
  private readonly c = new LongVector();
  private readonly lower: Half = {
    a: this.a.lower,
    b: this.b.lower,
    r: this.r.lower,
    c: this.c.lower,
    immediate: 0,
    mmx: false,
  };
  private readonly upper: Half = {
    a: this.a.upper,
    b: this.b.upper,
    r: this.r.upper,
    c: this.c.upper,
    immediate: 0,
    mmx: false,
  };
  private readonly arithmetic = new SseArithmetic();
  private readonly words: Int32Array;
  /** Of the operation at hand: VEX-coded (what lies above the result becomes zero), on 256 bits, and how its upper half works. */
  private vex = false;
  private long = false;
  private halves: UpperHalf = upperHalves[0];

  constructor(private readonly host: SimdHost) {
    const { slots } = host;
    this.words = new Int32Array(slots.buffer, slots.byteOffset, slots.length * 2);
  }

  /** `to` and `from` are slot offsets; see helperIds.ts for `flags`. */
  run(to: number, from: number, number: number, flags: number): number {
    const { lower } = this;
    lower.immediate = flags & 0xff;
    lower.mmx = (flags & SIMD_MMX) !== 0;
    this.vex = (flags & SIMD_VEX) !== 0;
    this.long = (flags & SIMD_LONG) !== 0;
    this.halves = upperHalves[number];
    const operation = operations[number];
    const first = this.vex ? slotOfXmm((flags >> SIMD_FIRST_SHIFT) & 15) : to;
    this.load(this.a, first);
    this.load(this.b, from);
    this.load(this.r, first);
    if ("third" in operation) this.load(this.c, this.vex ? slotOfXmm((flags >> SIMD_THIRD_SHIFT) & 15) : SLOT_XMM);
    if (this.long) {
      const { source, immediateBits } = this.halves;
      if (source !== undefined) this.b.bytes.copyWithin(16, source, 16);
      this.upper.immediate = lower.immediate >> (immediateBits ?? 0);
    }
    return this.execute(operation, to, flags);
  }

  private execute(operation: Operation, to: number, flags: number): number {
    const { lower, upper, arithmetic } = this;
    switch (operation.kind) {
      case "integer":
        operation.run(lower);
        if (this.long) operation.run(upper);
        this.store(to, operation.gives);
        return STATUS_OK;
      case "long":
        operation.run(this.a, this.b, this.r);
        this.store(to, operation.gives);
        return STATUS_OK;
      case "float":
        arithmetic.begin(this.words[SLOT_MXCSR / 4]);
        operation.run(lower, arithmetic, (flags & SIMD_WIDE) !== 0);
        if (this.long) operation.run(upper, arithmetic, false);
        if (!this.accept()) return STATUS_FAULT;
        this.store(to, operation.gives);
        return STATUS_OK;
      case "staged":
        arithmetic.begin(this.words[SLOT_MXCSR / 4]);
        for (const stage of operation.stages) {
          arithmetic.endStage();
          stage(lower, arithmetic, false);
          if (this.long) stage(upper, arithmetic, false);
          if (arithmetic.stopped) break;
        }
        if (!this.accept()) return STATUS_FAULT;
        this.store(to, operation.gives);
        return STATUS_OK;
      case "compare":
        return this.compare(operation.bits, operation.signaling);
      case "test":
        this.test(operation.lane);
        return STATUS_OK;
      case "string":
        this.strings(operation.explicit, operation.index, (flags & SIMD_WIDE) !== 0);
        return STATUS_OK;
      case "mmxRead":
      case "mmxWrite":
        this.touchMmx();
        if (operation.kind === "mmxRead") this.host.slots[to >> 3] = this.host.fpu.physical(flags & 7).m;
        else this.host.fpu.setPhysical(flags & 7, { se: 0xffff, m: this.host.slots[to >> 3] });
        return STATUS_OK;
      case "emms":
        this.host.fpu.top = 0;
        this.host.fpu.occupied = 0;
        return STATUS_OK;
      default:
        return unreachable(operation);
    }
  }

  /** PTEST: ZF and CF tell whether b, and b without a, are zero within a; of lanes `i32` and `i64` the signs alone count. */
  private test(lane: "u64" | "i64" | "i32"): void {
    let zf = true;
    let cf = true;
    for (const { a, b } of this.long ? [this.lower, this.upper] : [this.lower]) {
      for (let i = 0; i < a[lane].length; i++) {
        if (lane === "u64") {
          zf &&= (a.u64[i] & b.u64[i]) === 0n;
          cf &&= (~a.u64[i] & b.u64[i]) === 0n;
        } else if (b[lane][i] < 0) {
          if (a[lane][i] < 0) zf = false;
          else cf = false;
        }
      }
    }
    this.setFlags({ ...noFlags, zf, cf });
  }

  /** COMISS and its kin: ZF, PF and CF; the others are cleared. */
  private compare(bits: 32 | 64, signaling: boolean): number {
    const { arithmetic } = this;
    const { a, b } = this.lower;
    arithmetic.begin(this.words[SLOT_MXCSR / 4]);
    const [x, y] = bits === 64 ? [a.u64[0], b.u64[0]] : [BigInt(a.u32[0]), BigInt(b.u32[0])];
    const order = arithmetic.compare(bits, x, y, signaling);
    if (!this.accept()) return STATUS_FAULT;
    const unordered = order === UNORDERED;
    this.setFlags({ ...noFlags, zf: unordered || order === EQUAL, pf: unordered, cf: unordered || order === LESS });
    return STATUS_OK;
  }

  private setFlags(flags: Flags): void {
    const packed = packFlags(flags);
    this.host.slots[SLOT_CC_RES / 8] = packed.result;
    this.host.slots[SLOT_CC_AUX / 8] = packed.auxiliary;
  }

  /** PCMPxSTRx: lengths in RAX and RDX if `explicit`; the result is RCX or XMM0. */
  private strings(explicit: boolean, index: boolean, wide: boolean): void {
    const { lower } = this;
    const { slots } = this.host;
    const length = (register: number): number => {
      const value = BigInt.asIntN(wide ? 64 : 32, slots[register]);
      const size = value < 0n ? -value : value;
      return size > 16n ? 16 : Number(size);
    };
    const result = explicit ? compareStrings(lower, length(0), length(2)) : compareStrings(lower);
    if (index) slots[1] = BigInt(stringIndex(result, lower.immediate));
    else {
      stringMask(result, lower.immediate, lower.r);
      this.store(SLOT_XMM, 16);
    }
    this.setFlags({ ...noFlags, cf: result.mask !== 0, zf: result.shortB, sf: result.shortA, of: (result.mask & 1) !== 0 });
  }

  /** Records the exceptions of the operation in MXCSR. Those that come before computation hide the others when one of them is not masked. */
  private accept(): boolean {
    const { arithmetic } = this;
    const { flags, earlier } = arithmetic;
    if ((flags | earlier) === 0) return true;
    const before = flags & (IE | DE | ZE);
    const hidden = arithmetic.unmasked(before) !== 0;
    this.words[SLOT_MXCSR / 4] |= earlier | (hidden ? before : flags);
    if (arithmetic.unmasked(flags) === 0) return true;
    this.host.arithmeticFault();
    return false;
  }

  private touchMmx(): void {
    this.host.fpu.top = 0;
    this.host.fpu.occupied = 0xff;
  }

  private load(vector: LongVector, slot: number): void {
    const { words } = this;
    const at = slot >> 2;
    for (let i = 0; i < 4; i++) vector.words[i] = words[at + i];
    if (this.long) for (let i = 0; i < 4; i++) vector.words[4 + i] = words[at + VECTOR_UPPER / 4 + i];
  }

  private store(slot: number, gives: 8 | 16): void {
    const { words, r, halves, long } = this;
    const at = slot >> 2;
    if (long) {
      if (halves.maskBits !== undefined) r.words[0] |= r.words[4] << halves.maskBits;
      if (halves.gives !== undefined) r.words.copyWithin(2, 4, 6);
    }
    for (let i = 0; i < gives / 4; i++) words[at + i] = r.words[i];
    if (!this.vex || gives === 8) return;
    const keeps = long && halves.gives === undefined;
    for (let i = 0; i < 4; i++) words[at + VECTOR_UPPER / 4 + i] = keeps ? r.words[4 + i] : 0;
  }
}
