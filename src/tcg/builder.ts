import { assert } from "../common/errors";
import { OP_A, OP_B, OP_BYTES, OP_D, OP_IMM, OP_MEM_FLAGS, OP_SCALE, SLOT_ZERO } from "./layout";
import type { EngineMemory } from "./memory";
import { Op, type OpName } from "./ops";

/** A forward branch waiting for its target. */
export type Label = { op: number };

/** Memory operand of ld, st, lea: linear address base + (index << scale) + displacement. */
export interface Address {
  base: number;
  index: number;
  scale: number;
  displacement: number;
  /** MEM_STACK or 0. */
  flags: number;
}

/**
 * Collects the ops of one block. Reused from block to block: its buffer is allocated once. The engine copies the bytes into the code arena.
 */
export class OpBuilder {
  static readonly MAX_OPS = 4096;
  private readonly view = new DataView(new ArrayBuffer(OpBuilder.MAX_OPS * OP_BYTES));
  private readonly u16 = new Uint16Array(this.view.buffer);
  private readonly i32 = new Int32Array(this.view.buffer);
  private ops = 0;
  /** First op of each guest instruction, and offset of the instruction's first byte from the block's start. Arrays would be made anew for each block. */
  private readonly starts = new Uint16Array(OpBuilder.MAX_OPS);
  private readonly offsets = new Uint16Array(OpBuilder.MAX_OPS);
  private begun = 0;

  clear(): void {
    this.ops = 0;
    this.begun = 0;
  }

  /** Guest instructions begun. */
  get instructions(): number {
    return this.begun;
  }

  /** First op of each guest instruction. */
  get instructionOps(): readonly number[] {
    return [...this.starts.subarray(0, this.begun)];
  }

  /** Offset of each guest instruction's first byte from the block's start. */
  get instructionOffsets(): readonly number[] {
    return [...this.offsets.subarray(0, this.begun)];
  }

  get count(): number {
    return this.ops;
  }

  /** Copies the ops to address `entry` of the engine's memory, and behind `table` what {@link instructionOps} and {@link instructionOffsets} say, 16 bits each. */
  copy({ i32, u16 }: EngineMemory, entry: number, table: number): void {
    const { starts, offsets, begun } = this;
    const ops = this.i32;
    const words = this.ops * (OP_BYTES / 4);
    const first = entry >>> 2;
    // Typed arrays copy to shared memory byte by byte.
    for (let word = 0; word < words; word++) i32[first + word] = ops[word];
    for (let index = 0, at = table >>> 1; index < begun; index++, at++) {
      u16[at] = starts[index];
      u16[at + begun] = offsets[index];
    }
  }

  bytes(): Uint8Array {
    return new Uint8Array(this.view.buffer, 0, this.ops * OP_BYTES);
  }

  /** Marks the start of the guest instruction at `offset` bytes from the block's start. Every instruction emits at least one op. */
  instruction(offset: number): void {
    this.starts[this.begun] = this.ops;
    this.offsets[this.begun++] = offset;
  }

  /** Appends an op. `imm` is taken modulo 2^64. */
  emit(name: OpName, d = SLOT_ZERO, a = SLOT_ZERO, b = SLOT_ZERO, imm: number | bigint = 0): number {
    assert(this.ops < OpBuilder.MAX_OPS, "block has too many ops");
    const at = this.ops * OP_BYTES;
    const { u16, i32 } = this;
    u16[at >> 1] = Op[name];
    u16[(at + OP_D) >> 1] = d;
    u16[(at + OP_A) >> 1] = a;
    u16[(at + OP_B) >> 1] = b;
    if (typeof imm === "number") {
      i32[(at + OP_IMM) >> 2] = imm;
      i32[(at + OP_IMM + 4) >> 2] = imm < 0 ? -1 : imm / 0x1_0000_0000;
    } else this.view.setBigUint64(at + OP_IMM, imm, true);
    return this.ops++;
  }

  /** Appends an op whose immediate is given in halves. */
  emitHalves(name: OpName, d: number, a: number, b: number, lo: number, hi: number): number {
    const op = this.emit(name, d, a, b);
    const at = (op * OP_BYTES + OP_IMM) >> 2;
    this.i32[at] = lo;
    this.i32[at + 1] = hi;
    return op;
  }

  /** Appends ld, ldw, st, lea or aligned with its address. `d` is destination, or the stored value. `alignment` is for `aligned` only. */
  memory(name: OpName, d: number, address: Address, alignment = 0): void {
    const op = this.emit(name, d, address.base, address.index);
    const at = op * OP_BYTES;
    this.view.setInt32(at + OP_IMM, address.displacement, true);
    this.view.setUint8(at + OP_SCALE, address.scale);
    this.view.setUint8(at + OP_MEM_FLAGS, address.flags);
    this.view.setUint8(at + OP_MEM_FLAGS + 1, alignment);
  }

  /** Appends a branch forward (br, brz, brnz, br_cc); give its label to {@link bind} where it lands. `a` is tested; `invert` 1 inverts a condition. */
  branch(name: OpName, a = SLOT_ZERO, invert = 0): Label {
    return { op: this.emit(name, SLOT_ZERO, a, invert) };
  }

  /** Lands `label` at the next op. */
  bind(label: Label): void {
    assert(label.op < this.ops, "a branch cannot land on itself");
    this.view.setInt32(label.op * OP_BYTES + OP_IMM, (this.ops - label.op) * OP_BYTES, true);
    this.view.setInt32(label.op * OP_BYTES + OP_IMM + 4, 0, true);
  }
}
