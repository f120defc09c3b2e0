import type { FollowedFlag } from "../maskCause";
import { assert } from "../../common/errors";
import { highHalf, joinHalves, lowHalf } from "../../common/halves";
import type { OpBuilder } from "../../tcg/builder";
import { SLOT_RIP, SLOT_SINK, SLOT_ZERO, slotOfGpr, slotOfTemp, TEMP_COUNT } from "../../tcg/layout";
import type { Condition, OpName } from "../../tcg/ops";
import { conditions } from "../../tcg/ops";
import type { Decoder, Width } from "../decode/decoder";
import { Helper, type HelperName } from "../helperIds";
import { MODE_64, MODE_CS_LIMIT, MODE_PROTECTED, MODE_SIZE_MASK, MODE_VM86, modeCpl, modeIopl, modeLinearBits } from "../mode";
import type { BlockLimits } from "../translation";

export const RAX = slotOfGpr(0);
export const RCX = slotOfGpr(1);
export const RDX = slotOfGpr(2);
export const RBX = slotOfGpr(3);
export const RSP = slotOfGpr(4);
export const RBP = slotOfGpr(5);
export const SEGMENT_CS = 1;
export const SEGMENT_SS = 2;

export const VECTOR_DE = 0;
export const VECTOR_UD = 6;
export const VECTOR_NM = 7;
export const VECTOR_GP = 13;

/** Names of an op of each width. Made once: a name put together for each op that is emitted was a good part of a translation's time. */
export type Sized<T extends string> = { readonly [W in Width]: `${T}${W}` };
export const sized = <T extends string>(name: T): Sized<T> => ({ 8: `${name}8`, 16: `${name}16`, 32: `${name}32`, 64: `${name}64` });

/** The base of Emission: mode, temporaries, ops, the ways a block ends, registers. */
export class EmissionCore {
  builder: OpBuilder;
  mode = 0;
  /** The block has its last op. */
  ended = false;
  /** For results that nobody reads. */
  readonly sink = SLOT_SINK;

  private blockRip = 0n;
  /** Its halves, the lower one unsigned. */
  private blockRipLow = 0;
  private blockRipHigh = 0;
  /** Bytes from the block's first byte to this instruction, and to the one after it: most instructions do without big integers. */
  private here = 0;
  private end = 0;
  private pageBytes = 0;
  private temps = 0;

  constructor(
    readonly insn: Decoder,
    builder: OpBuilder,
  ) {
    this.builder = builder;
  }

  beginBlock(builder: OpBuilder, rip: bigint, mode: number, limits: BlockLimits): void {
    this.builder = builder;
    this.mode = mode;
    this.blockRip = rip;
    this.blockRipLow = lowHalf(rip) >>> 0;
    this.blockRipHigh = highHalf(rip);
    this.pageBytes = limits.pageBytes;
    this.here = 0;
    this.end = 0;
    this.ended = false;
  }

  /** Starts the instruction that the decoder holds, `offset` bytes from the block's first byte. */
  beginInstruction(offset: number): void {
    this.here = offset;
    this.end = offset + this.insn.length;
    this.temps = 0;
  }

  /** Offset in CS of this instruction. */
  get rip(): bigint {
    return this.wrapRip(this.blockRip + BigInt(this.here));
  }

  // Mode.

  get is64(): boolean {
    return (this.mode & MODE_SIZE_MASK) === MODE_64;
  }

  get vm86(): boolean {
    return (this.mode & MODE_VM86) !== 0;
  }

  /** Protected mode proper: segments have descriptors. */
  get protectedMode(): boolean {
    return (this.mode & MODE_PROTECTED) !== 0 && !this.vm86;
  }

  get cpl(): number {
    return this.vm86 ? 3 : modeCpl(this.mode);
  }

  /** Who hears of changes of IF: nobody; what clears it is noted; each is told, by helpers. */
  interruptFlag: FollowedFlag = "unseen";

  /** CLI and STI may change IF here, without a helper: CPL <= IOPL outside virtual-8086 mode. */
  get mayChangeInterruptFlag(): boolean {
    if (this.interruptFlag === "told") return false;
    return !this.vm86 && this.cpl <= modeIopl(this.mode);
  }

  /** An instruction pointer as the code segment's width keeps it. */
  wrapRip(value: bigint): bigint {
    return BigInt.asUintN(this.is64 ? 64 : 32, value);
  }

  // Ops.

  emit(name: OpName, d = SLOT_ZERO, a = SLOT_ZERO, b = SLOT_ZERO, imm: number | bigint = 0): void {
    this.builder.emit(name, d, a, b, imm);
  }

  temp(): number {
    assert(this.temps < TEMP_COUNT, "an instruction needs too many temporaries");
    return slotOfTemp(this.temps++);
  }

  /** For instructions of many steps: temporaries taken after `mark` may be used again after `release`. */
  mark(): number {
    return this.temps;
  }

  release(mark: number): void {
    this.temps = mark;
  }

  /** A temporary that holds a constant. */
  constant(value: number | bigint): number {
    if (value === 0 || value === 0n) return SLOT_ZERO;
    const slot = this.temp();
    this.emit("movi", slot, SLOT_ZERO, SLOT_ZERO, value);
    return slot;
  }

  /** The same, by its halves. */
  constantHalves(low: number, high: number): number {
    if (low === 0 && high === 0) return SLOT_ZERO;
    const slot = this.temp();
    this.builder.emitHalves("movi", slot, SLOT_ZERO, SLOT_ZERO, low, high);
    return slot;
  }

  /** What an engine may carry out by itself: a transfer in 64-bit code, or CLI, where changes of IF are not told; and what neither transfers control nor changes IF. */
  fastCall(name: "syscall" | "sysret" | "interrupt" | "iret" | "cli" | "pause" | "rdtsc" | "rdtscp", what: number, operand = 0): void {
    const anywhere = name === "pause" || name === "rdtsc" || name === "rdtscp";
    const op = anywhere || ((this.is64 || name === "cli") && this.interruptFlag !== "told") ? "fastCall" : "helper";
    this.emit(op, Helper[name], SLOT_ZERO, SLOT_ZERO, what * 0x1_0000_0000 + operand);
  }

  /** Calls a helper; `hi` may be -1. */
  helper(name: HelperName, a = SLOT_ZERO, b = SLOT_ZERO, lo = 0, hi = 0): void {
    this.emit("helper", Helper[name], a, b, hi * 0x1_0000_0000 + lo);
  }

  /** The helper `x87`, which an engine may do without. */
  x87(a: number, b: number, lo: number, operation: number): void {
    // More bits than a number holds exactly.
    this.emit("x87", Helper.x87, a, b, (BigInt(operation) << 32n) | BigInt(lo));
  }

  /** `get_` or `br_` or `movc_` op of an x86 condition code; its inversion goes into operand b. */
  condition(code: number): Condition {
    return conditions[(code >> 1) & 7];
  }

  // Ends of a block.

  /** Raises an exception (error code -1: none); nothing follows. */
  raise(vector: number, error = -1): void {
    this.helper("raise", SLOT_ZERO, SLOT_ZERO, vector, error);
    this.exit();
  }

  undefined(): void {
    this.raise(VECTOR_UD);
  }

  protectionFault(): void {
    this.raise(VECTOR_GP, 0);
  }

  /** #GP(0) above CPL 0. True when the instruction may go on. */
  requireCpl0(): boolean {
    if (this.cpl === 0) return true;
    this.protectionFault();
    return false;
  }

  /** #UD in real and virtual-8086 mode. True when the instruction may go on. */
  requireProtectedMode(): boolean {
    if (this.protectedMode) return true;
    this.undefined();
    return false;
  }

  /** Goes to the next instruction. Emits an end of block; more than one may be emitted. */
  gotoNext(): void {
    this.goto(this.end, 32);
  }

  /** The same where that one may lie across the end of the page: it has no place among what this page's code is chained to. */
  gotoNextFar(): void {
    this.builder.emitHalves("gotoFar", SLOT_ZERO, 0, 0, this.lowOf(this.end, 32), this.highOf(this.end));
    this.ended = true;
  }

  /** The same to the target of a near branch, by its displacement from the next instruction; it has been checked. */
  gotoBranch(displacement: number): void {
    this.goto(this.end + displacement, this.insn.operandSize === 16 ? 16 : 32);
  }

  /** `offset` from the block's RIP; outside 64-bit code the target is truncated to `bits`. */
  private goto(offset: number, bits: 16 | 32): void {
    const low = this.lowOf(offset, bits);
    const from = this.is64 ? offset : low - this.blockRipLow;
    const samePage = from < this.pageBytes && from >= this.pageBytes - 4096;
    // Operands a and b of goto hold the address of the chained block: none yet.
    this.builder.emitHalves(samePage ? "goto" : "gotoFar", SLOT_ZERO, 0, 0, low, this.highOf(offset));
    this.ended = true;
  }

  /** Lower half of the address `offset` from the block's RIP, unsigned; outside 64-bit code truncated to `bits`. */
  private lowOf(offset: number, bits: 16 | 32): number {
    const sum = this.blockRipLow + offset;
    return bits === 16 && !this.is64 ? sum & 0xffff : sum >>> 0;
  }

  /** Its upper half, signed. */
  private highOf(offset: number): number {
    return this.is64 ? (this.blockRipHigh + Math.floor((this.blockRipLow + offset) / 0x1_0000_0000)) | 0 : 0;
  }

  /** A slot that holds the next instruction's RIP: a temporary, but for 0. */
  nextRip(): number {
    return this.constantHalves(this.lowOf(this.end, 32), this.highOf(this.end));
  }

  /** Halves, signed, of an address relative to the next instruction, in 64-bit code. */
  relativeLow(displacement: number): number {
    return this.lowOf(this.end + displacement, 32) | 0;
  }

  relativeHigh(displacement: number): number {
    return this.highOf(this.end + displacement);
  }

  /** RIP = the next instruction's: what terminal helpers start from. */
  setRipToNext(): void {
    this.builder.emitHalves("movi", SLOT_RIP, SLOT_ZERO, SLOT_ZERO, this.lowOf(this.end, 32), this.highOf(this.end));
  }

  exit(): void {
    this.emit("exit");
    this.ended = true;
  }

  lookup(): void {
    this.emit("lookup");
    this.ended = true;
  }

  lookupUnlessRequest(): void {
    this.emit("lookupUnlessRequest");
    this.ended = true;
  }

  /** Emits the check of a near branch's target by its displacement: #GP(0) outside the CS limit, or when not canonical. Nothing may have changed before. */
  checkBranch(displacement: number): void {
    const offset = this.end + displacement;
    const low = this.lowOf(offset, this.insn.operandSize === 16 ? 16 : 32);
    if (!this.is64) {
      if ((this.mode & MODE_CS_LIMIT) !== 0) this.helper("checkCsLimit", this.constant(low));
      return;
    }
    const high = this.highOf(offset);
    const unused = 64 - modeLinearBits(this.mode);
    if ((high << unused) >> unused !== high) this.canonical(this.constant(joinHalves(high, low)));
  }

  /** The same for a target in a slot, which is truncated to the operand size first unless it is `clean`; returns the slot of the result. */
  checkTargetSlot(slot: number, clean: boolean): number {
    const { operandSize } = this.insn;
    if (this.is64) {
      this.canonical(slot);
      return slot;
    }
    let target = slot;
    if (!clean) {
      target = this.temp();
      this.emit(operandSize === 16 ? "zx16" : "zx32", target, slot);
    }
    if ((this.mode & MODE_CS_LIMIT) !== 0) this.helper("checkCsLimit", target);
    return target;
  }

  /** #GP(0) unless the slot holds a canonical address. */
  private canonical(slot: number): void {
    this.emit("canon", SLOT_ZERO, slot, SLOT_ZERO, 64 - modeLinearBits(this.mode));
  }

  jump(slot: number): void {
    this.emit("jump", SLOT_ZERO, slot);
    this.ended = true;
  }

  // Registers.

  /** Slot whose low bits are the register's value. */
  register(index: number, width: Width): number {
    if (width === 8 && !this.insn.rex && index >= 4 && index < 8) {
      const slot = this.temp();
      this.emit("zx8h", slot, slotOfGpr(index - 4));
      return slot;
    }
    return slotOfGpr(index);
  }

  /** Where to compute a new value of a register: the register itself, or a temporary to be given to `setRegister` (8 and 16 bits merge). */
  target(index: number, width: Width): number {
    return width >= 32 ? slotOfGpr(index) : this.temp();
  }

  /** Writes a register from a slot. `clean`: a 32-bit value has zeros above. */
  setRegister(index: number, width: Width, value: number, clean = true): void {
    const slot = slotOfGpr(index);
    switch (width) {
      case 8:
        if (!this.insn.rex && index >= 4 && index < 8) this.emit("dep8h", slotOfGpr(index - 4), value);
        else this.emit("dep8", slot, value);
        return;
      case 16:
        this.emit("dep16", slot, value);
        return;
      case 32:
        if (!clean) this.emit("zx32", slot, value);
        else if (value !== slot) this.emit("mov", slot, value);
        return;
      case 64:
        if (value !== slot) this.emit("mov", slot, value);
        return;
    }
  }
}
