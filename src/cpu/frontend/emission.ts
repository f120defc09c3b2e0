import { assert } from "../../common/errors";
import type { Address, OpBuilder } from "../../tcg/builder";
import { MEM_STACK, SLOT_RIP, SLOT_SINK, SLOT_ZERO, slotOfGpr, slotOfSegBase, slotOfTemp, TEMP_COUNT } from "../../tcg/layout";
import type { Condition, OpName } from "../../tcg/ops";
import { conditions } from "../../tcg/ops";
import { BASE_RIP, type Decoder, type Width } from "../decode/decoder";
import { Helper, type HelperName } from "../helperIds";
import {
  MODE_16,
  MODE_64,
  MODE_ALIGN,
  MODE_CS_LIMIT,
  MODE_FLAT,
  MODE_PROTECTED,
  MODE_SIZE_MASK,
  MODE_STACK32,
  MODE_VM86,
  modeCpl,
  modeIopl,
} from "../mode";
import type { BlockLimits } from "../translation";

export const RAX = slotOfGpr(0);
export const RCX = slotOfGpr(1);
export const RDX = slotOfGpr(2);
export const RBX = slotOfGpr(3);
export const RSP = slotOfGpr(4);
export const RBP = slotOfGpr(5);
export const SEGMENT_SS = 2;

export const VECTOR_DE = 0;
export const VECTOR_UD = 6;
export const VECTOR_NM = 7;
export const VECTOR_GP = 13;

const u64 = (value: bigint): bigint => BigInt.asUintN(64, value);
const fits32 = (value: bigint): boolean => BigInt.asIntN(32, value) === value;

/**
 * What emitters of single instructions work with: the decoded instruction, its operands as slots, guest memory by the mode's rules of segmentation, the stack,
 * and the ways a block ends. One object, reused; `beginBlock` and `beginInstruction` set it.
 *
 * Slots that hold operands have garbage above the operand's width: ops with a width truncate their operands.
 */
export class Emission {
  builder: OpBuilder;
  mode = 0;
  /** Offset in CS of this instruction, and of the one after it. */
  rip = 0n;
  next = 0n;
  /** The block has its last op. */
  ended = false;
  /** Immediate part of the operand that `source` returned. */
  sourceImmediate = 0;

  private blockRip = 0n;
  private pageBytes = 0;
  private temps = 0;
  private readonly operand: Address = { base: SLOT_ZERO, index: SLOT_ZERO, scale: 0, displacement: 0, flags: 0 };
  private operandWraps = false;
  private hasOperand = false;
  private readonly stack: Address = { base: SLOT_ZERO, index: SLOT_ZERO, scale: 0, displacement: 0, flags: MEM_STACK };
  private stackWraps = false;
  private readonly scratch: Address = { base: SLOT_ZERO, index: SLOT_ZERO, scale: 0, displacement: 0, flags: 0 };

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
    this.pageBytes = limits.pageBytes;
    this.rip = rip;
    this.next = rip;
    this.ended = false;
  }

  /** Starts the instruction that the decoder holds, at `rip`. */
  beginInstruction(rip: bigint): void {
    this.rip = rip;
    this.next = this.wrapRip(rip + BigInt(this.insn.length));
    this.temps = 0;
    this.hasOperand = false;
  }

  // Mode.

  get is64(): boolean {
    return (this.mode & MODE_SIZE_MASK) === MODE_64;
  }

  get is16(): boolean {
    return (this.mode & MODE_SIZE_MASK) === MODE_16;
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

  /** CLI, STI and POPF may change IF: CPL <= IOPL outside virtual-8086 mode. */
  get mayChangeInterruptFlag(): boolean {
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

  /** Calls a helper; `hi` may be -1. */
  helper(name: HelperName, a = SLOT_ZERO, b = SLOT_ZERO, lo = 0, hi = 0): void {
    this.emit("helper", Helper[name], a, b, hi * 0x1_0000_0000 + lo);
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

  /** Goes to an instruction that has been checked. Emits an end of block; more than one may be emitted. */
  goto(target: bigint): void {
    const offset = target - this.blockRip;
    const samePage = offset < BigInt(this.pageBytes) && offset >= BigInt(this.pageBytes - 4096);
    // Operands a and b of goto hold the address of the chained block: none yet.
    this.emit(samePage ? "goto" : "gotoFar", SLOT_ZERO, 0, 0, target);
    this.ended = true;
  }

  /** RIP = the next instruction's: what terminal helpers start from. */
  setRipToNext(): void {
    this.emit("movi", SLOT_RIP, SLOT_ZERO, SLOT_ZERO, this.next);
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

  /** Target of a near branch by a displacement from the next instruction. */
  branchTarget(displacement: number): bigint {
    const target = this.next + BigInt(displacement);
    if (this.is64) return u64(target);
    return BigInt.asUintN(this.insn.operandSize === 16 ? 16 : 32, target);
  }

  /** Emits the check of a constant near target: #GP(0) outside the CS limit, or when not canonical. Nothing may have changed before. */
  checkTarget(target: bigint): void {
    if ((this.mode & MODE_CS_LIMIT) !== 0 && !this.is64) this.helper("checkCsLimit", this.constant(target));
    else if (this.is64 && BigInt.asUintN(64, BigInt.asIntN(48, target)) !== target) this.emit("canon", SLOT_ZERO, this.constant(target));
  }

  /** The same for a target in a slot, which is truncated to the operand size first unless it is `clean`; returns the slot of the result. */
  checkTargetSlot(slot: number, clean: boolean): number {
    const { operandSize } = this.insn;
    if (this.is64) {
      this.emit("canon", SLOT_ZERO, slot);
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

  // Operands by their place in the opcode table's row.

  /** Width of operand `index` in bits. */
  width(index: number): Width {
    const { insn } = this;
    const operand = insn.row.operands[index];
    switch (operand.letter) {
      case "AL":
      case "CL":
      case "1":
        return 8;
      case "DX":
      case "ES":
      case "CS":
      case "SS":
      case "DS":
      case "FS":
      case "GS":
        return 16;
      case "rAX":
        return insn.operandSize;
      default:
        break;
    }
    switch (operand.width) {
      case "b":
        return 8;
      case "w":
        return 16;
      case "d":
        return 32;
      case "q":
        return 64;
      case "z":
        return insn.operandSize === 16 ? 16 : 32;
      case "y":
        return this.is64 && insn.rexW ? 64 : 32;
      default:
        return insn.operandSize;
    }
  }

  isMemory(index: number): boolean {
    const { letter } = this.insn.row.operands[index];
    return letter === "O" || ((letter === "E" || letter === "M") && this.insn.memory);
  }

  /** Number of the general register that operand `index` is. */
  registerNumber(index: number): number {
    const { insn } = this;
    const { letter } = insn.row.operands[index];
    switch (letter) {
      case "E":
      case "R":
        return insn.rm;
      case "G":
        return insn.reg;
      case "B":
        return insn.vvvv;
      case "Z":
        return insn.opcodeRegister;
      case "AL":
      case "rAX":
        return 0;
      case "CL":
        return 1;
      case "DX":
        return 2;
      default:
        throw new Error(`operand ${letter} is no register`);
    }
  }

  /** Slot with the value of operand `index`: a register, a load from memory, or a constant. */
  read(index: number): number {
    const { letter } = this.insn.row.operands[index];
    if (letter === "I") return this.constant(this.immediate(index));
    const width = this.width(index);
    if (this.isMemory(index)) {
      const slot = this.temp();
      this.addressMemory(width / 8, false);
      this.load("ld", slot, width);
      return slot;
    }
    if (letter === "AL" || letter === "CL") return letter === "AL" ? RAX : RCX;
    return this.register(this.registerNumber(index), width);
  }

  /** As `read`, for the second operand (b and imm) of an op: constants go into `sourceImmediate`. */
  source(index: number): number {
    const { letter } = this.insn.row.operands[index];
    this.sourceImmediate = 0;
    if (letter === "I") {
      this.sourceImmediate = Number(this.immediate(index));
      return SLOT_ZERO;
    }
    if (letter === "1") {
      this.sourceImmediate = 1;
      return SLOT_ZERO;
    }
    return this.read(index);
  }

  /** The immediate operand, sign-extended; a bigint if it has 64 bits. */
  immediate(index: number): number | bigint {
    const { insn } = this;
    const { width } = insn.row.operands[index];
    if (width === "v" && insn.operandSize === 64) return (BigInt(insn.immediateHigh) << 32n) | BigInt(insn.immediate >>> 0);
    return insn.immediate;
  }

  /** Writes operand `index`. Memory that has been read for update is written where it was read. */
  write(index: number, value: number, clean = true): void {
    const width = this.width(index);
    if (this.isMemory(index)) {
      if (!this.hasOperand) this.addressMemory(width / 8, true);
      this.load("st", value, width);
    } else this.setRegister(this.registerNumber(index), width, value, clean);
  }

  /**
   * Emits `d = op(old value of operand 0, ...)` and writes it back: `compute(destination, old)` emits the ops. Memory is read with the right to write, so that
   * `compute` may change flags: the store cannot fault any more.
   */
  update(compute: (destination: number, old: number, width: Width) => void, clean = true): void {
    const width = this.width(0);
    if (this.isMemory(0)) {
      const old = this.temp();
      this.addressMemory(width / 8, true);
      this.load("ldw", old, width);
      const result = this.temp();
      compute(result, old, width);
      this.load("st", result, width);
      return;
    }
    const index = this.registerNumber(0);
    const old = this.register(index, width);
    const destination = this.target(index, width);
    compute(destination, old, width);
    this.setRegister(index, width, destination, clean);
  }

  // Memory operands.

  private lea(): "lea" | "lea32" | "lea16" {
    const { addressSize } = this.insn;
    return addressSize === 64 ? "lea" : addressSize === 32 ? "lea32" : "lea16";
  }

  /** The offset of the memory operand in its segment, truncated to the address size, or to 32 bits at most if `narrow`; into `slot` if given. */
  offset(slot?: number, narrow = false): number {
    const { insn } = this;
    if (insn.base === BASE_RIP || (insn.base < 0 && insn.index < 0)) {
      const value = narrow ? BigInt.asUintN(32, this.constantOffset()) : this.constantOffset();
      if (slot === undefined) return this.constant(value);
      this.emit("movi", slot, SLOT_ZERO, SLOT_ZERO, value);
      return slot;
    }
    const result = slot ?? this.temp();
    const name = this.lea();
    this.setScratch();
    this.builder.memory(narrow && name === "lea" ? "lea32" : name, result, this.scratch);
    return result;
  }

  /** Base, index and displacement of the operand as they are encoded. */
  private setScratch(): void {
    const { insn, scratch } = this;
    scratch.base = insn.base < 0 ? SLOT_ZERO : slotOfGpr(insn.base);
    scratch.index = insn.index < 0 ? SLOT_ZERO : slotOfGpr(insn.index);
    scratch.scale = insn.scale;
    scratch.displacement = insn.displacement;
    scratch.flags = 0;
  }

  /** Offset of an operand without registers. */
  private constantOffset(): bigint {
    const { insn } = this;
    let value = BigInt(insn.displacement);
    if (insn.base === BASE_RIP) value += this.next;
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
    const { insn, operand, mode } = this;
    const segmentFree = (mode & MODE_FLAT) !== 0 && insn.segment < 4;
    const constantAddress = insn.base === BASE_RIP || (insn.base < 0 && insn.index < 0);
    if (constantAddress && (this.is64 || segmentFree)) {
      const offset = this.constantOffset();
      const value = this.is64 ? offset : BigInt.asIntN(32, offset);
      const fits = fits32(value);
      operand.base = fits ? SLOT_ZERO : this.constant(value);
      operand.displacement = fits ? Number(value) : 0;
      this.finishAddress(insn.segment < 4 ? SLOT_ZERO : slotOfSegBase(insn.segment));
    } else if (insn.addressSize === 64 && segmentFree) {
      this.setScratch();
      Object.assign(operand, this.scratch);
      operand.flags = insn.segment === SEGMENT_SS ? MEM_STACK : 0;
      this.operandWraps = false;
    } else if (insn.addressSize === 64 && (insn.index < 0 || insn.base < 0)) {
      // FS and GS: the segment's base takes the place that is free.
      this.setScratch();
      Object.assign(operand, this.scratch);
      if (insn.base < 0) operand.base = slotOfSegBase(insn.segment);
      else {
        operand.index = slotOfSegBase(insn.segment);
        operand.scale = 0;
      }
      this.operandWraps = false;
    } else if (insn.addressSize === 32 && segmentFree) {
      this.setScratch();
      Object.assign(operand, this.scratch);
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

  /** Prepares the access at an offset in the operand's segment. */
  private addressOffset(offset: number, bytes: number, write: boolean, alignment: number): void {
    const { insn, operand, mode } = this;
    operand.displacement = 0;
    if (this.is64) {
      operand.base = offset;
      this.finishAddress(insn.segment < 4 ? SLOT_ZERO : slotOfSegBase(insn.segment));
    } else if ((mode & MODE_FLAT) !== 0 && insn.segment < 4) {
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

  /** Accesses the prepared operand, `displacement` bytes on: ld and ldw into `slot`, st from it. */
  load(kind: "ld" | "ldw" | "st", slot: number, width: Width, displacement = 0): void {
    const { operand } = this;
    operand.displacement += displacement;
    this.builder.memory(this.operandWraps ? `${kind}${width}_32` : `${kind}${width}`, slot, operand);
    operand.displacement -= displacement;
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

  accessStack(kind: "ld" | "ldw" | "st", slot: number, width: Width, displacement = 0): void {
    const { stack } = this;
    stack.displacement += displacement;
    this.builder.memory(this.stackWraps ? `${kind}${width}_32` : `${kind}${width}`, slot, stack);
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
      const slot = this.temp();
      this.moveStackPointer(slot, base, displacement);
      this.emit("dep16", RSP, slot);
      this.temps--;
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

  /** For results that nobody reads. */
  readonly sink = SLOT_SINK;
}
