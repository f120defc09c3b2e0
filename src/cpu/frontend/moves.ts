/** Moves: MOV, LEA, XCHG, extensions, conditional moves and sets, XLAT, flags in AH. */
import { SLOT_RFLAGS, SLOT_ZERO } from "../../tcg/layout";
import { type Emission, RAX } from "./emission";

export function move(e: Emission): void {
  const width = e.width(0);
  const { letter } = e.insn.row.operands[1];
  if (!e.isMemory(0) && width >= 32) {
    // Straight into the register.
    const index = e.registerNumber(0);
    const target = e.target(index, width);
    if (letter === "I") {
      const value = e.immediate(1);
      e.emit("movi", target, SLOT_ZERO, SLOT_ZERO, width === 32 ? Number(value) >>> 0 : value);
      return;
    }
    if (e.isMemory(1)) {
      e.addressMemory(width / 8, false);
      e.load("ld", target, width);
      return;
    }
  }
  e.write(0, e.read(1), false);
}

/** MOVNTI: the hint is not taken. */
export function moveNonTemporal(e: Emission): void {
  e.write(0, e.read(1), false);
}

export function loadAddress(e: Emission): void {
  const { operandSize } = e.insn;
  const index = e.registerNumber(0);
  const target = e.target(index, operandSize);
  e.offset(target, operandSize === 32);
  if (operandSize === 16) e.setRegister(index, 16, target);
}

/** XCHG: with memory always locked. 90 is NOP: it does not cut RAX. */
export function exchange(e: Emission): void {
  const width = e.width(0);
  const other = e.registerNumber(1);
  const old = e.temp();
  if (e.isMemory(0)) {
    e.addressMemory(width / 8, true);
    e.load("ldw", old, width);
    e.load("st", e.register(other, width), width);
    e.setRegister(other, width, old);
    return;
  }
  if (e.insn.row.operands[0].letter === "Z" && e.registerNumber(0) === 0) {
    noOperation(e);
    return;
  }
  e.emit("mov", old, e.read(0));
  e.write(0, e.register(other, width), false);
  e.setRegister(other, width, old, false);
}

/** Every instruction has at least one op. */
export function noOperation(e: Emission): void {
  e.emit("mov", e.sink);
}

/** MOVZX, MOVSX, MOVSXD. */
export function moveExtended(signed: boolean) {
  return (e: Emission): void => {
    const width = e.width(0);
    const from = e.width(1);
    const index = e.registerNumber(0);
    if (!signed) {
      if (e.isMemory(1) && width >= 32) {
        e.addressMemory(from / 8, false);
        e.load("ld", e.target(index, width), from);
        return;
      }
      const value = e.read(1);
      const target = e.target(index, width);
      e.emit(from === 8 ? "zx8" : "zx16", target, value);
      e.setRegister(index, width, target);
      return;
    }
    const value = e.read(1);
    if (from === width) {
      // MOVSXD without REX.W: a plain move.
      e.setRegister(index, width, value, false);
      return;
    }
    const target = e.target(index, width);
    e.emit(from === 8 ? "sx8" : from === 16 ? "sx16" : "sx32", target, value);
    e.setRegister(index, width, target, false);
  };
}

/** CMOVcc: the source is read in any case, and a 32-bit destination cut in any case. */
export function conditionalMove(e: Emission): void {
  const width = e.width(0);
  const index = e.registerNumber(0);
  const value = e.read(1);
  const name = `movc_${e.condition(e.insn.opcode)}` as const;
  const inverted = e.insn.opcode & 1;
  if (width >= 32) {
    const target = e.target(index, width);
    e.emit(name, target, value, inverted);
    e.setRegister(index, width, target, false);
    return;
  }
  const result = e.temp();
  e.emit("mov", result, e.register(index, width));
  e.emit(name, result, value, inverted);
  e.setRegister(index, width, result);
}

export function setOnCondition(e: Emission): void {
  const result = e.temp();
  e.emit(`get_${e.condition(e.insn.opcode)}`, result, SLOT_ZERO, e.insn.opcode & 1);
  e.write(0, result);
}

/** XLAT: AL from the table at rBX. */
export function translateByte(e: Emission): void {
  const distance = e.temp();
  const value = e.temp();
  e.emit("zx8", distance, RAX);
  e.addressRegisterAt(3, distance, 1, false);
  e.load("ld", value, 8);
  e.setRegister(0, 8, value);
}

const OVERFLOW = 0x800;
const AH_FLAGS = 0xd5;

export function loadFlagsIntoAh(e: Emission): void {
  const flags = e.temp();
  e.emit("getFlags", flags);
  e.emit("or", flags, flags, SLOT_ZERO, 2);
  e.emit("dep8h", RAX, flags);
}

/** SAHF: all status flags but OF. */
export function storeAhIntoFlags(e: Emission): void {
  const flags = e.temp();
  const value = e.temp();
  e.emit("getFlags", flags);
  e.emit("and", flags, flags, SLOT_ZERO, OVERFLOW);
  e.emit("zx8h", value, RAX);
  e.emit("and", value, value, SLOT_ZERO, AH_FLAGS);
  e.emit("or", flags, flags, value);
  e.emit("setFlags", SLOT_ZERO, flags);
}

/** CLC, STC, CMC. */
export function changeCarry(operation: "clear" | "set" | "complement") {
  return (e: Emission): void => {
    if (operation === "clear") {
      e.emit("setCf", SLOT_ZERO, SLOT_ZERO);
      return;
    }
    const carry = e.temp();
    if (operation === "set") e.emit("movi", carry, SLOT_ZERO, SLOT_ZERO, 1);
    else {
      e.emit("getCf", carry);
      e.emit("xor", carry, carry, SLOT_ZERO, 1);
    }
    e.emit("setCf", SLOT_ZERO, carry);
  };
}

/** SALC: AL = CF ? 0xff : 0. */
export function setAlFromCarry(e: Emission): void {
  const carry = e.temp();
  const value = e.temp();
  e.emit("getCf", carry);
  e.emit("sub", value, SLOT_ZERO, carry);
  e.emit("dep8", RAX, value);
}

const DIRECTION = 0x400;

/** CLD, STD. */
export function changeDirection(set: boolean) {
  return (e: Emission): void => {
    if (set) e.emit("or", SLOT_RFLAGS, SLOT_RFLAGS, SLOT_ZERO, DIRECTION);
    else e.emit("and", SLOT_RFLAGS, SLOT_RFLAGS, SLOT_ZERO, ~DIRECTION);
  };
}
