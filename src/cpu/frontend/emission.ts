import { RAX, RCX } from "./core";
import { SLOT_ZERO } from "../../tcg/layout";
import type { Width } from "../decode/decoder";
import { Addressing } from "./addressing";

export * from "./core";

/**
 * What emitters of single instructions work with: the decoded instruction, its operands as slots, guest memory, the stack, and the ways a block ends. One object,
 * reused; `beginBlock` and `beginInstruction` set it.
 *
 * Slots that hold operands have garbage above the operand's width: ops with a width truncate their operands.
 */
export class Emission extends Addressing {
  /** Immediate part of the operand that `source` returned. */
  sourceImmediate = 0;

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
}
