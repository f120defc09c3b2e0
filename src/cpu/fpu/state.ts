import type { State } from "../../common/state";
import {
  C0,
  C1,
  C2,
  C3,
  CPU_STATE_BYTES,
  X87_CONTROL,
  X87_EXPONENTS,
  X87_FLAGS,
  X87_INSTRUCTION,
  X87_INSTRUCTION_SELECTOR,
  X87_OCCUPIED,
  X87_OPERAND,
  X87_OPERAND_SELECTOR,
  X87_SIGNIFICANDS,
  X87_TOP,
} from "../../tcg/layout";
import { ALL_EXCEPTIONS, IE, SF } from "./context";
import { CLASS_INFINITY, CLASS_ZERO, classify, EXPONENT_MASK, type Float80, INTEGER_BIT } from "./format";

const TOP_SHIFT = 11;
const ES = 1 << 7;
const BUSY = 1 << 15;
/** Bits of the control word that exist; bit 6 reads as one. */
const CONTROL_BITS = 0x1f3f;
const CONTROL_ONE = 0x40;

/**
 * The x87 state of one CPU (SDM vol. 1, "x87 FPU Execution Environment"). The exception summary is derived from flags and masks, tags from the registers'
 * content and one bit a register that tells whether it is empty.
 */
export class FpuState {
  /** By physical number R0 to R7. */
  readonly exponents: Uint16Array;
  readonly significands: BigUint64Array;
  /** Eleven bits. */
  opcode = 0;
  private readonly words: Int32Array;
  private readonly offsets: BigUint64Array;

  /** Lives in the state block at `base`, where the engine's own x87 code (tcg/x87) reaches it. */
  constructor(buffer: ArrayBufferLike = new ArrayBuffer(CPU_STATE_BYTES), base = 0) {
    this.exponents = new Uint16Array(buffer, base + X87_EXPONENTS, 8);
    this.significands = new BigUint64Array(buffer, base + X87_SIGNIFICANDS, 8);
    this.words = new Int32Array(buffer, base, CPU_STATE_BYTES / 4);
    this.offsets = new BigUint64Array(buffer, base, CPU_STATE_BYTES / 8);
    this.powerOn();
  }

  /** Bit n: Rn is not empty. */
  get occupied(): number {
    return this.words[X87_OCCUPIED / 4];
  }

  set occupied(value: number) {
    this.words[X87_OCCUPIED / 4] = value;
  }

  get top(): number {
    return this.words[X87_TOP / 4];
  }

  set top(value: number) {
    this.words[X87_TOP / 4] = value;
  }

  /** Exception flags, SF and condition codes; TOP, ES and B are apart. */
  get flags(): number {
    return this.words[X87_FLAGS / 4];
  }

  set flags(value: number) {
    this.words[X87_FLAGS / 4] = value;
  }

  private get controlWord(): number {
    return this.words[X87_CONTROL / 4];
  }

  /** Pointers to the last non-control instruction and its operand: offsets and selectors. */
  get instructionOffset(): bigint {
    return this.offsets[X87_INSTRUCTION / 8];
  }

  set instructionOffset(value: bigint) {
    this.offsets[X87_INSTRUCTION / 8] = value;
  }

  get instructionSelector(): number {
    return this.words[X87_INSTRUCTION_SELECTOR / 4];
  }

  set instructionSelector(value: number) {
    this.words[X87_INSTRUCTION_SELECTOR / 4] = value;
  }

  get operandOffset(): bigint {
    return this.offsets[X87_OPERAND / 8];
  }

  set operandOffset(value: bigint) {
    this.offsets[X87_OPERAND / 8] = value;
  }

  get operandSelector(): number {
    return this.words[X87_OPERAND_SELECTOR / 4];
  }

  set operandSelector(value: number) {
    this.words[X87_OPERAND_SELECTOR / 4] = value;
  }

  /** Power-on and RESET# (SDM vol. 3, "Processor State After Reset"). INIT leaves the unit alone. */
  powerOn(): void {
    this.initialize();
    this.control = 0x40;
    this.exponents.fill(0);
    this.significands.fill(0n);
    this.occupied = 0xff;
  }

  /** FNINIT: registers keep their content, but are empty. */
  initialize(): void {
    this.control = 0x37f;
    this.flags = 0;
    this.top = 0;
    this.occupied = 0;
    this.instructionOffset = 0n;
    this.instructionSelector = 0;
    this.operandOffset = 0n;
    this.operandSelector = 0;
    this.opcode = 0;
  }

  get control(): number {
    return this.controlWord;
  }

  set control(value: number) {
    this.words[X87_CONTROL / 4] = (value & CONTROL_BITS) | CONTROL_ONE;
  }

  /** An exception waits to be reported by the next waiting instruction. */
  get pending(): boolean {
    return (this.flags & ~this.controlWord & ALL_EXCEPTIONS) !== 0;
  }

  get status(): number {
    return this.flags | (this.top << TOP_SHIFT) | (this.pending ? ES | BUSY : 0);
  }

  set status(value: number) {
    this.flags = value & (ALL_EXCEPTIONS | SF | C0 | C1 | C2 | C3);
    this.top = (value >> TOP_SHIFT) & 7;
  }

  /** Sets the condition codes in `mask` to those in `value`. */
  setConditions(mask: number, value: number): void {
    this.flags = (this.flags & ~mask) | value;
  }

  /** Two bits a register: 0 valid, 1 zero, 2 special, 3 empty. */
  get tags(): number {
    let tags = 0;
    for (let i = 0; i < 8; i++) tags |= this.tag(i) << (2 * i);
    return tags;
  }

  private tag(physical: number): number {
    if ((this.occupied & (1 << physical)) === 0) return 3;
    const kind = classify(this.physical(physical));
    if (kind === CLASS_ZERO) return 1;
    return kind < CLASS_INFINITY && (this.exponents[physical] & EXPONENT_MASK) !== 0 && this.significands[physical] >= INTEGER_BIT ? 0 : 2;
  }

  /** Only whether a register is empty counts: what else it is shows in its content. */
  set tags(value: number) {
    this.occupied = 0;
    for (let i = 0; i < 8; i++) if (((value >> (2 * i)) & 3) !== 3) this.occupied |= 1 << i;
  }

  physical(index: number): Float80 {
    return { se: this.exponents[index], m: this.significands[index] };
  }

  setPhysical(index: number, value: Float80): void {
    this.exponents[index] = value.se;
    this.significands[index] = value.m;
  }

  isEmpty(i: number): boolean {
    return (this.occupied & (1 << ((this.top + i) & 7))) === 0;
  }

  /** ST(i). */
  st(i: number): Float80 {
    return this.physical((this.top + i) & 7);
  }

  setSt(i: number, value: Float80): void {
    const index = (this.top + i) & 7;
    this.setPhysical(index, value);
    this.occupied |= 1 << index;
  }

  free(i: number): void {
    this.occupied &= ~(1 << ((this.top + i) & 7));
  }

  push(value: Float80): void {
    this.top = (this.top - 1) & 7;
    this.setSt(0, value);
  }

  pop(): void {
    this.free(0);
    this.top = (this.top + 1) & 7;
  }

  /** Stack fault: overflow sets C1, underflow clears it. True when the invalid operation is masked. */
  stackFault(overflow: boolean): boolean {
    this.flags |= IE | SF;
    this.setConditions(C1, overflow ? C1 : 0);
    return (this.controlWord & IE) !== 0;
  }

  save(): State {
    return {
      registers: [...this.exponents].map((exponent, i) => [exponent, this.significands[i]]),
      words: [this.controlWord, this.status, this.occupied, this.opcode],
      instruction: [this.instructionOffset, this.instructionSelector],
      operand: [this.operandOffset, this.operandSelector],
    };
  }

  restore(state: State): void {
    const saved = state as unknown as {
      registers: [number, bigint][];
      words: [number, number, number, number];
      instruction: [bigint, number];
      operand: [bigint, number];
    };
    saved.registers.forEach(([se, m], i) => this.setPhysical(i, { se, m }));
    let status;
    [this.control, status, this.occupied, this.opcode] = saved.words;
    this.status = status;
    [this.instructionOffset, this.instructionSelector] = saved.instruction;
    [this.operandOffset, this.operandSelector] = saved.operand;
  }
}
