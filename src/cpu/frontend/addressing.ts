import type { Address } from "../../tcg/builder";
import { MEM_STACK, SLOT_ZERO, slotOfGpr, slotOfSegBase } from "../../tcg/layout";
import { BASE_RIP, type Width } from "../decode/decoder";
import { MODE_ALIGN, MODE_FLAT, MODE_STACK32 } from "../mode";
import { EmissionCore, RSP, SEGMENT_CS, SEGMENT_SS, sized } from "./core";

type MemoryKind = "ld" | "ldw" | "st";
type MemoryOps = { readonly [W in Width]: `${MemoryKind}${W}` | `${MemoryKind}${W}_32` };
const accesses: { readonly [K in MemoryKind]: MemoryOps } = { ld: sized("ld"), ldw: sized("ldw"), st: sized("st") };
const wrap = <K extends MemoryKind>(kind: K): MemoryOps => ({
  8: `${kind}8_32`,
  16: `${kind}16_32`,
  32: `${kind}32_32`,
  64: `${kind}64_32`,
});
/** The same with addresses cut to 32 bits. */
const wrappedAccesses: { readonly [K in MemoryKind]: MemoryOps } = { ld: wrap("ld"), ldw: wrap("ldw"), st: wrap("st") };

/** The greatest displacement that an op holds. */
const MAX_DISPLACEMENT = 0x7fff_ffff;
const fits32 = (value: bigint): boolean => BigInt.asIntN(32, value) === value;
const noAddress = (): Address => ({ base: SLOT_ZERO, index: SLOT_ZERO, scale: 0, displacement: 0, flags: 0 });

/**
 * Guest memory as instructions address it: the memory operand and the stack, by the mode's rules of segmentation. In flat code an address folds into the
 * access; elsewhere the offset is formed first and goes through the `segment` op.
 */
export class Addressing extends EmissionCore {
  /** The memory operand has been prepared for accesses. */
  protected hasOperand = false;
  private readonly operand = noAddress();
  private operandWraps = false;
  private readonly stack: Address = { ...noAddress(), flags: MEM_STACK };
  private stackWraps = false;
  private readonly scratch = noAddress();

  override beginInstruction(offset: number): void {
    super.beginInstruction(offset);
    this.hasOperand = false;
  }

  // Memory operands.

  private lea(): "lea" | "lea32" | "lea16" {
    const { addressSize } = this.insn;
    return addressSize === 64 ? "lea" : addressSize === 32 ? "lea32" : "lea16";
  }

  /** The offset of the memory operand in its segment, truncated to the address size, or to 32 bits at most if `narrow`; into `slot` if given. */
  offset(slot?: number, narrow = false): number {
    const { insn } = this;
    if (insn.base === BASE_RIP && slot !== undefined && insn.addressSize === 64 && !narrow) {
      const low = this.relativeLow(insn.displacement);
      this.builder.emitHalves("movi", slot, SLOT_ZERO, SLOT_ZERO, low, this.relativeHigh(insn.displacement));
      return slot;
    }
    if (insn.base === BASE_RIP || (insn.base < 0 && insn.index < 0)) {
      const value = narrow ? BigInt.asUintN(32, this.constantOffset()) : this.constantOffset();
      if (slot === undefined) return this.constant(value);
      this.emit("movi", slot, SLOT_ZERO, SLOT_ZERO, value);
      return slot;
    }
    const result = slot ?? this.temp();
    const name = this.lea();
    this.setRegisters(this.scratch);
    this.builder.memory(narrow && name === "lea" ? "lea32" : name, result, this.scratch);
    return result;
  }

  /** Base, index and displacement of the operand as they are encoded. */
  private setRegisters(address: Address): void {
    const { insn } = this;
    address.base = insn.base < 0 ? SLOT_ZERO : slotOfGpr(insn.base);
    address.index = insn.index < 0 ? SLOT_ZERO : slotOfGpr(insn.index);
    address.scale = insn.scale;
    address.displacement = insn.displacement;
    address.flags = 0;
  }

  /** Offset of an operand without registers. */
  private constantOffset(): bigint {
    const { insn } = this;
    let value = BigInt(insn.displacement);
    if (insn.base === BASE_RIP) value += this.rip + BigInt(insn.length);
    else if (insn.addressSize === 64 && insn.row.operands.some(({ letter }) => letter === "O")) {
      value = (BigInt(insn.displacementHigh) << 32n) | BigInt(insn.displacement >>> 0);
    }
    return insn.addressSize === 64 ? BigInt.asIntN(64, value) : BigInt.asUintN(insn.addressSize, value);
  }

  /**
   * Prepares the instruction's memory operand for accesses of `bytes` (`load`). Emits what is needed to form its linear address, the segment's checks, and the
   * alignment check unless `alignment` is 0.
   */
  addressMemory(bytes: number, write: boolean, alignment = bytes): void {
    const { insn, operand } = this;
    const segmentFree = this.unsegmented(write);
    const constantAddress = insn.base === BASE_RIP || (insn.base < 0 && insn.index < 0);
    if (insn.base === BASE_RIP && insn.addressSize === 64) {
      // As below, without big integers.
      const low = this.relativeLow(insn.displacement);
      const high = this.relativeHigh(insn.displacement);
      const fits = high === low >> 31;
      operand.base = fits ? SLOT_ZERO : this.constantHalves(low, high);
      operand.displacement = fits ? low : 0;
      this.finishAddress(insn.segment < 4 ? SLOT_ZERO : slotOfSegBase(insn.segment));
    } else if (constantAddress && (this.is64 || segmentFree)) {
      const offset = this.constantOffset();
      const value = this.is64 ? offset : BigInt.asIntN(32, offset);
      const fits = fits32(value);
      operand.base = fits ? SLOT_ZERO : this.constant(value);
      operand.displacement = fits ? Number(value) : 0;
      this.finishAddress(insn.segment < 4 ? SLOT_ZERO : slotOfSegBase(insn.segment));
    } else if (insn.addressSize === 64 && segmentFree) {
      this.setRegisters(operand);
      operand.flags = insn.segment === SEGMENT_SS ? MEM_STACK : 0;
      this.operandWraps = false;
    } else if (insn.addressSize === 64 && (insn.index < 0 || insn.base < 0)) {
      // FS and GS: the segment's base takes the place that is free.
      this.setRegisters(operand);
      if (insn.base < 0) operand.base = slotOfSegBase(insn.segment);
      else {
        operand.index = slotOfSegBase(insn.segment);
        operand.scale = 0;
      }
      this.operandWraps = false;
    } else if (insn.addressSize === 32 && segmentFree) {
      this.setRegisters(operand);
      operand.flags = insn.segment === SEGMENT_SS ? MEM_STACK : 0;
      this.operandWraps = true;
    } else {
      this.addressOffset(this.offset(), bytes, write, alignment);
      return;
    }
    this.checkAlignment(operand, bytes, alignment);
    this.hasOperand = true;
  }

  /** As `addressRegister`, for the byte at a distance (a slot) from the register: XLAT. */
  addressRegisterAt(register: number, distance: number, bytes: number, write: boolean): void {
    this.overrideOperand(register, this.insn.segment);
    this.addressMemoryAt(distance, bytes, write);
  }

  /** As `addressMemory`, for the byte at a given distance (a slot) from the operand: bit strings. */
  addressMemoryAt(distance: number, bytes: number, write: boolean): void {
    const offset = this.temp();
    this.scratch.base = this.offset();
    this.scratch.index = distance;
    this.scratch.scale = 0;
    this.scratch.displacement = 0;
    this.scratch.flags = 0;
    this.builder.memory(this.lea(), offset, this.scratch);
    this.addressOffset(offset, bytes, write, bytes);
  }

  /** As `addressMemory`, for an element of a gather: the index is in a slot, sign-extended. */
  addressIndexed(index: number, bytes: number): void {
    this.setRegisters(this.scratch);
    this.scratch.index = index;
    const offset = this.temp();
    this.builder.memory(this.lea(), offset, this.scratch);
    this.addressOffset(offset, bytes, false, bytes);
  }

  /** The operand's segment is checked against its limit: parts that are not accessed must not be addressed. */
  checksSegment(write: boolean): boolean {
    return !this.is64 && !this.unsegmented(write);
  }

  /** As `addressMemory`, for a register by itself in a given segment: string instructions, XLAT, MONITOR. Overwrites the decoded memory operand. */
  addressRegister(register: number, segment: number, bytes: number, write: boolean): void {
    this.overrideOperand(register, segment);
    this.addressMemory(bytes, write);
  }

  private overrideOperand(register: number, segment: number): void {
    const { insn } = this;
    insn.base = register;
    insn.index = -1;
    insn.scale = 0;
    insn.displacement = 0;
    insn.segment = segment;
  }

  /** register += slot, in the address size. */
  advanceRegister(register: number, step: number): void {
    const { scratch } = this;
    const { addressSize } = this.insn;
    scratch.base = slotOfGpr(register);
    scratch.index = step;
    scratch.scale = 0;
    scratch.displacement = 0;
    scratch.flags = 0;
    const result = this.target(register, addressSize);
    this.builder.memory(this.lea(), result, scratch);
    this.setRegister(register, addressSize, result);
  }

  /** The operand's segment starts at zero and allows the access anywhere. Flat code segments may be read, but outside 64-bit code not written. */
  private unsegmented(write: boolean): boolean {
    const { segment } = this.insn;
    return (this.mode & MODE_FLAT) !== 0 && segment < 4 && (this.is64 || !write || segment !== SEGMENT_CS);
  }

  /** Prepares the access at an offset in the operand's segment. */
  private addressOffset(offset: number, bytes: number, write: boolean, alignment: number): void {
    const { insn, operand } = this;
    operand.displacement = 0;
    if (this.is64) {
      operand.base = offset;
      this.finishAddress(insn.segment < 4 ? SLOT_ZERO : slotOfSegBase(insn.segment));
    } else if (this.unsegmented(write)) {
      operand.base = offset;
      this.finishAddress(SLOT_ZERO);
    } else {
      const linear = this.temp();
      this.emit("segment", linear, offset, SLOT_ZERO, insn.segment | (write ? 8 : 0) | (bytes << 8));
      operand.base = linear;
      this.finishAddress(SLOT_ZERO);
    }
    this.checkAlignment(operand, bytes, alignment);
    this.hasOperand = true;
  }

  private finishAddress(index: number): void {
    const { operand, insn } = this;
    operand.index = index;
    operand.scale = 0;
    operand.flags = insn.segment === SEGMENT_SS ? MEM_STACK : 0;
    // A displaced part of the operand, or an absolute one that was sign-extended, must stay below 4 GiB.
    this.operandWraps = !this.is64;
  }

  private checkAlignment(address: Address, bytes: number, alignment: number): void {
    if ((this.mode & MODE_ALIGN) === 0 || alignment === 0) return;
    if (bytes === 2 || bytes === 4 || bytes === 8) this.builder.memory("aligned", SLOT_ZERO, address, bytes);
  }

  /** The alignment check of an operand that is accessed otherwise, at a linear address. */
  checkLinearAlignment(slot: number, alignment: number): void {
    if ((this.mode & MODE_ALIGN) === 0) return;
    this.scratch.base = slot;
    this.scratch.index = SLOT_ZERO;
    this.scratch.scale = 0;
    this.scratch.displacement = 0;
    this.scratch.flags = 0;
    this.builder.memory("aligned", SLOT_ZERO, this.scratch, alignment);
  }

  /** Accesses the prepared operand, `displacement` bytes on: ld and ldw into `slot`, st from it. */
  load(kind: MemoryKind, slot: number, width: Width, displacement = 0): void {
    const { operand } = this;
    if (!this.operandWraps && operand.displacement + displacement > MAX_DISPLACEMENT) {
      this.loadBeyond(kind, slot, width, displacement);
      return;
    }
    operand.displacement += displacement;
    this.builder.memory((this.operandWraps ? wrappedAccesses : accesses)[kind][width], slot, operand);
    operand.displacement -= displacement;
  }

  /** The same where the sum of displacements is more than an op holds. */
  private loadBeyond(kind: MemoryKind, slot: number, width: Width, displacement: number): void {
    const mark = this.mark();
    const { scratch } = this;
    scratch.base = this.linearAddress();
    scratch.index = SLOT_ZERO;
    scratch.scale = 0;
    scratch.displacement = displacement;
    scratch.flags = this.operand.flags;
    this.builder.memory(accesses[kind][width], slot, scratch);
    this.release(mark);
  }

  /** Slot with the linear address of the prepared operand. */
  linearAddress(): number {
    const slot = this.temp();
    this.builder.memory(this.operandWraps ? "lea32" : "lea", slot, this.operand);
    return slot;
  }

  /** Slot with the linear address of the memory operand without limit checks (INVLPG). */
  uncheckedLinearAddress(): number {
    const { insn, scratch } = this;
    scratch.base = this.offset();
    const unsegmented = this.is64 ? insn.segment < 4 : (this.mode & MODE_FLAT) !== 0 && insn.segment < 4;
    scratch.index = unsegmented ? SLOT_ZERO : slotOfSegBase(insn.segment);
    scratch.scale = 0;
    scratch.displacement = 0;
    scratch.flags = 0;
    const slot = this.temp();
    this.builder.memory(this.is64 ? "lea" : "lea32", slot, scratch);
    return slot;
  }

  // The stack.

  /** Width of the stack pointer. */
  get stackWidth(): 16 | 32 | 64 {
    if (this.is64) return 64;
    return (this.mode & MODE_STACK32) !== 0 ? 32 : 16;
  }

  /** Prepares accesses of `bytes` at `displacement` from the register in `base` (RSP, RBP or a copy), which is cut to the stack's width. */
  addressStack(base: number, displacement: number, bytes: number, write: boolean): void {
    const { stack } = this;
    const width = this.stackWidth;
    stack.index = SLOT_ZERO;
    stack.displacement = 0;
    this.stackWraps = false;
    if (width === 64 || (width === 32 && (this.mode & MODE_FLAT) !== 0)) {
      stack.base = base;
      stack.displacement = displacement;
      this.stackWraps = width === 32;
    } else {
      const slot = this.temp();
      stack.base = slot;
      this.moveStackPointer(slot, base, displacement);
      if ((this.mode & MODE_FLAT) === 0) this.emit("segment", slot, slot, SLOT_ZERO, SEGMENT_SS | (write ? 8 : 0) | (bytes << 8));
    }
    this.checkAlignment(stack, bytes, bytes);
  }

  /** slot = base + displacement, truncated to the stack's width (zeros above). */
  moveStackPointer(slot: number, base: number, displacement: number): void {
    const { scratch } = this;
    scratch.base = base;
    scratch.index = SLOT_ZERO;
    scratch.scale = 0;
    scratch.displacement = displacement;
    scratch.flags = 0;
    const width = this.stackWidth;
    this.builder.memory(width === 64 ? "lea" : width === 32 ? "lea32" : "lea16", slot, scratch);
  }

  accessStack(kind: MemoryKind, slot: number, width: Width, displacement = 0): void {
    const { stack } = this;
    stack.displacement += displacement;
    this.builder.memory((this.stackWraps ? wrappedAccesses : accesses)[kind][width], slot, stack);
    stack.displacement -= displacement;
  }

  /** RSP += bytes, in the stack's width. Cannot fault. */
  adjustStack(bytes: number): void {
    if (this.stackWidth === 64) this.emit("add", RSP, RSP, SLOT_ZERO, bytes);
    else this.setStackPointer(RSP, bytes);
  }

  /** RSP = base + displacement, in the stack's width. */
  setStackPointer(base: number, displacement: number): void {
    if (this.stackWidth === 16) {
      const mark = this.mark();
      const slot = this.temp();
      this.moveStackPointer(slot, base, displacement);
      this.emit("dep16", RSP, slot);
      this.release(mark);
    } else this.moveStackPointer(RSP, base, displacement);
  }

  /** Stores, then moves the stack pointer: PUSH. */
  push(slot: number, width: Width): void {
    this.addressStack(RSP, -(width / 8), width / 8, true);
    this.accessStack("st", slot, width);
    this.adjustStack(-(width / 8));
  }

  /** Loads from the top of the stack, `displacement` bytes up; the stack pointer stays. */
  peek(slot: number, width: Width, displacement = 0): void {
    this.addressStack(RSP, displacement, width / 8, false);
    this.accessStack("ld", slot, width);
  }
}
