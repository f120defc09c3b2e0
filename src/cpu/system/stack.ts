import type { Mmu } from "../mmu";
import { EXC_SS } from "../exceptions";
import { AR_DB, SS } from "../segmentRegisters";
import type { CpuState } from "../state";
import { canonical } from "./descriptors";
import type { Segments } from "./segments";

/** Width of a stack pointer: mask for 16 and 32 bits; 64-bit stacks wrap at 2^64. */
export type StackWidth = 16 | 32 | 64;

/**
 * A stack being pushed to or popped from during a transfer of control. The pointer is committed by the caller at the end, so that a fault leaves RSP alone.
 */
export class StackCursor {
  constructor(
    private readonly state: CpuState,
    private readonly mmu: Mmu,
    private readonly segments: Segments,
    public base: bigint,
    public pointer: bigint,
    readonly width: StackWidth,
    /** Limit checks against the SS in force; false for a stack whose limit was checked beforehand, or 64-bit. */
    private readonly checked: boolean,
    /** Accesses with the rights of CPL (true) or as the processor itself. */
    private readonly asUser: boolean,
    /** Error code of a limit violation. */
    private readonly errorCode = 0,
  ) {}

  /** The stack that SS:RSP names now, with the rights of the current CPL. */
  static current(state: CpuState, mmu: Mmu, segments: Segments, errorCode = 0): StackCursor {
    if (state.code64) return new StackCursor(state, mmu, segments, 0n, state.gpr(4), 64, false, true, errorCode);
    const width = (state.access[SS] & AR_DB) !== 0 ? 32 : 16;
    return new StackCursor(state, mmu, segments, state.segBase(SS), state.gpr(4) & mask(width), width, true, true, errorCode);
  }

  push(size: 2 | 4 | 8, value: bigint): boolean {
    const pointer = (this.pointer - BigInt(size)) & mask(this.width);
    if (!this.check(pointer, size, true)) return false;
    if (!this.mmu.write(this.linear(pointer), size, BigInt.asUintN(size * 8, value), this.asUser)) return false;
    this.pointer = pointer;
    return true;
  }

  pop(size: 2 | 4 | 8): bigint | undefined {
    const value = this.peek(0, size);
    if (value !== undefined) this.pointer = (this.pointer + BigInt(size)) & mask(this.width);
    return value;
  }

  /** The value `offset` bytes above the pointer. */
  peek(offset: number, size: 2 | 4 | 8): bigint | undefined {
    const pointer = (this.pointer + BigInt(offset)) & mask(this.width);
    if (!this.check(pointer, size, false)) return undefined;
    return this.mmu.read(this.linear(pointer), size, this.asUser);
  }

  /** RSP with this pointer in its low bits. */
  commit(): void {
    const { state } = this;
    const low = mask(this.width);
    if (this.width === 32) state.setGpr(4, this.pointer);
    else state.setGpr(4, (state.gpr(4) & ~low & 0xffff_ffff_ffff_ffffn) | this.pointer);
  }

  private linear(pointer: bigint): bigint {
    return this.width === 64 ? pointer : (this.base + pointer) & 0xffff_ffffn;
  }

  private check(pointer: bigint, size: number, write: boolean): boolean {
    if (this.width === 64) {
      if (canonical(pointer, this.state.linearBits)) return true;
      this.state.raise(EXC_SS, this.errorCode);
      return false;
    }
    if (!this.checked) return true;
    if (this.segments.checkOffset(SS, Number(pointer), size, write)) return true;
    this.state.raise(EXC_SS, this.errorCode);
    return false;
  }
}

const masks = { 16: 0xffffn, 32: 0xffff_ffffn, 64: 0xffff_ffff_ffff_ffffn } as const;
const mask = (width: StackWidth): bigint => masks[width];
