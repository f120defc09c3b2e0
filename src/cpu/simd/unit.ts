import { unreachable } from "../../common/errors";
import { type Flags, packFlags } from "../../tcg/flags";
import { SLOT_CC_AUX, SLOT_CC_RES, SLOT_MXCSR, SLOT_XMM } from "../../tcg/layout";
import { STATUS_FAULT, STATUS_OK } from "../../tcg/ops";
import { DE, IE, ZE } from "../fpu/context";
import type { FpuState } from "../fpu/state";
import { EQUAL, LESS, SseArithmetic, UNORDERED } from "./float";
import { Lanes, type Vectors } from "./lanes";
import { compareStrings, stringIndex, stringMask } from "./sse4";
import { type Operation, operations } from "./operations";

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
const WIDE = 0x100;
const MMX = 0x200;

/** The vector unit of one CPU: executes the `simd` helper. Nothing at the destination changes when an operation faults. */
export class SimdUnit {
  private readonly vectors: { -readonly [key in keyof Vectors]: Vectors[key] } = {
    a: new Lanes(),
    b: new Lanes(),
    r: new Lanes(),
    c: new Lanes(),
    immediate: 0,
    mmx: false,
  };
  private readonly arithmetic = new SseArithmetic();
  private readonly words: Int32Array;

  constructor(private readonly host: SimdHost) {
    const { slots } = host;
    this.words = new Int32Array(slots.buffer, slots.byteOffset, slots.length * 2);
  }

  /** `to` and `from` are slot offsets; see helperIds.ts for `flags`. */
  run(to: number, from: number, number: number, flags: number): number {
    const operation = operations[number];
    const { vectors } = this;
    this.load(vectors.a, to);
    this.load(vectors.b, from);
    this.load(vectors.r, to);
    vectors.immediate = flags & 0xff;
    vectors.mmx = (flags & MMX) !== 0;
    return this.execute(operation, to, flags);
  }

  private execute(operation: Operation, to: number, flags: number): number {
    const { vectors, arithmetic } = this;
    switch (operation.kind) {
      case "integer":
        if (operation.third === true) this.load(vectors.c, SLOT_XMM);
        operation.run(vectors);
        this.store(to, operation.gives);
        return STATUS_OK;
      case "float":
        arithmetic.begin(this.words[SLOT_MXCSR / 4]);
        operation.run(vectors, arithmetic, (flags & WIDE) !== 0);
        if (!this.accept()) return STATUS_FAULT;
        this.store(to, operation.gives);
        return STATUS_OK;
      case "compare":
        return this.compare(operation.bits, operation.signaling);
      case "test": {
        const { a, b } = vectors;
        const zf = (a.u64[0] & b.u64[0]) === 0n && (a.u64[1] & b.u64[1]) === 0n;
        const cf = (~a.u64[0] & b.u64[0]) === 0n && (~a.u64[1] & b.u64[1]) === 0n;
        this.setFlags({ ...noFlags, zf, cf });
        return STATUS_OK;
      }
      case "string":
        this.strings(operation.explicit, operation.index, (flags & WIDE) !== 0);
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

  /** COMISS and its kin: ZF, PF and CF; the others are cleared. */
  private compare(bits: 32 | 64, signaling: boolean): number {
    const { vectors, arithmetic } = this;
    arithmetic.begin(this.words[SLOT_MXCSR / 4]);
    const [x, y] = bits === 64 ? [vectors.a.u64[0], vectors.b.u64[0]] : [BigInt(vectors.a.u32[0]), BigInt(vectors.b.u32[0])];
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
    const { vectors } = this;
    const { slots } = this.host;
    const length = (register: number): number => {
      const value = BigInt.asIntN(wide ? 64 : 32, slots[register]);
      const size = value < 0n ? -value : value;
      return size > 16n ? 16 : Number(size);
    };
    const result = explicit ? compareStrings(vectors, length(0), length(2)) : compareStrings(vectors);
    if (index) slots[1] = BigInt(stringIndex(result, vectors.immediate));
    else {
      stringMask(result, vectors.immediate, vectors.r);
      this.store(SLOT_XMM, 16);
    }
    this.setFlags({ ...noFlags, cf: result.mask !== 0, zf: result.shortB, sf: result.shortA, of: (result.mask & 1) !== 0 });
  }

  /** Records the exceptions of the operation in MXCSR. Those that come before computation hide the others when one of them is not masked. */
  private accept(): boolean {
    const { arithmetic } = this;
    const { flags } = arithmetic;
    if (flags === 0) return true;
    const before = flags & (IE | DE | ZE);
    const hidden = arithmetic.unmasked(before) !== 0;
    this.words[SLOT_MXCSR / 4] |= hidden ? before : flags;
    if (arithmetic.unmasked(flags) === 0) return true;
    this.host.arithmeticFault();
    return false;
  }

  private touchMmx(): void {
    this.host.fpu.top = 0;
    this.host.fpu.occupied = 0xff;
  }

  private load(vector: Lanes, slot: number): void {
    const at = slot >> 2;
    for (let i = 0; i < 4; i++) vector.i32[i] = this.words[at + i];
  }

  private store(slot: number, bytes: 8 | 16): void {
    const at = slot >> 2;
    for (let i = 0; i < bytes / 4; i++) this.words[at + i] = this.vectors.r.i32[i];
  }
}
