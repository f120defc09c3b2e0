/** The stack: PUSH, POP, PUSHA, POPA, PUSHF, POPF, ENTER, LEAVE. */
import { SLOT_RFLAGS, SLOT_ZERO, slotOfGpr } from "../../tcg/layout";
import { type Emission, RBP, RSP } from "./emission";
import { selectorOf } from "./system";

export function push(e: Emission): void {
  const { insn } = e;
  if (insn.row.operands[0].letter === "I") {
    const width = insn.operandSize;
    e.push(e.constant(insn.immediate), width);
    return;
  }
  // PUSH rSP pushes the old value: the store comes before the change.
  e.push(e.read(0), e.width(0));
}

export function pop(e: Emission): void {
  const { insn } = e;
  const width = e.width(0);
  const bytes = width / 8;
  if (e.isMemory(0)) {
    const value = e.temp();
    e.peek(value, width);
    // The address is formed with the stack pointer after the pop.
    if (insn.base === 4 && insn.addressSize !== 16) insn.displacement = (insn.displacement + bytes) | 0;
    e.addressMemory(bytes, true);
    e.load("st", value, width);
    e.adjustStack(bytes);
    return;
  }
  const index = e.registerNumber(0);
  if (index === 4) {
    // The popped value is written over the incremented stack pointer.
    const value = e.temp();
    e.peek(value, width);
    e.adjustStack(bytes);
    e.setRegister(index, width, value);
    return;
  }
  if (width === 16) {
    const value = e.temp();
    e.peek(value, width);
    e.setRegister(index, width, value);
  } else e.peek(slotOfGpr(index), width);
  e.adjustStack(bytes);
}

/** PUSH of a segment register, zero-extended to the operand size. */
export function pushSegment(segment: number) {
  return (e: Emission): void => {
    e.push(selectorOf(e, segment), e.insn.operandSize);
  };
}

/** PUSHA: the first store that can fault is tried before anything is written. */
export function pushAll(e: Emission): void {
  const width = e.insn.operandSize;
  const bytes = width / 8;
  const probe = e.temp();
  const mark = e.mark();
  e.addressStack(RSP, -8 * bytes, bytes, true);
  e.accessStack("ldw", probe, width);
  for (let index = 0; index < 8; index++) {
    e.release(mark);
    e.addressStack(RSP, -(index + 1) * bytes, bytes, true);
    e.accessStack("st", slotOfGpr(index), width);
  }
  e.release(mark);
  e.adjustStack(-8 * bytes);
}

/** POPA: all loads come before the first register changes; the saved stack pointer is skipped. */
export function popAll(e: Emission): void {
  const width = e.insn.operandSize;
  const bytes = width / 8;
  const values = Array.from({ length: 8 }, () => e.temp());
  const mark = e.mark();
  for (let index = 7; index >= 0; index--) {
    if (index === 4) continue;
    e.release(mark);
    e.addressStack(RSP, (7 - index) * bytes, bytes, false);
    e.accessStack("ld", values[index], width);
  }
  values.forEach((value, index) => {
    if (index !== 4) e.setRegister(index, width, value);
  });
  e.release(mark);
  e.adjustStack(8 * bytes);
}

const VM_AND_RF = 0x3_0000;

/** PUSHF: outside virtual-8086 mode never refused. */
export function pushFlags(e: Emission): void {
  const width = e.insn.operandSize;
  const value = e.temp();
  if (e.vm86) e.helper("pushfImage", value, SLOT_ZERO, width / 8);
  else {
    e.emit("getFlags", value);
    e.emit("or", value, value, SLOT_RFLAGS);
    e.emit("and", value, value, SLOT_ZERO, ~VM_AND_RF);
  }
  e.push(value, width);
}

export function popFlags(e: Emission): void {
  const width = e.insn.operandSize;
  const value = e.temp();
  e.peek(value, width);
  e.setRipToNext();
  e.helper("popf", value, SLOT_ZERO, width / 8);
  e.adjustStack(width / 8);
  e.exit();
}

/** ENTER: without nesting in ops; the last write that the frame will see is tried first, as the manual has it. */
export function enter(e: Emission): void {
  const width = e.insn.operandSize;
  const bytes = width / 8;
  const size = e.insn.immediate;
  const level = e.insn.immediate2 & 31;
  if (level > 0) {
    e.helper("enter", SLOT_ZERO, SLOT_ZERO, size | (bytes << 16), level);
    return;
  }
  if (size > 0) {
    const probe = e.temp();
    e.addressStack(RSP, -bytes - size, bytes, true);
    e.accessStack("ldw", probe, width);
  }
  e.addressStack(RSP, -bytes, bytes, true);
  e.accessStack("st", RBP, width);
  // The frame pointer is all of rSP after the push: a 16-bit stack keeps the upper bits.
  const frame = e.temp();
  if (e.stackWidth === 16) {
    const pointer = e.temp();
    e.moveStackPointer(pointer, RSP, -bytes);
    e.emit("mov", frame, RSP);
    e.emit("dep16", frame, pointer);
  } else e.moveStackPointer(frame, RSP, -bytes);
  e.setRegister(5, width, frame, false);
  e.setStackPointer(frame, -size);
}

export function leave(e: Emission): void {
  const width = e.insn.operandSize;
  const value = e.temp();
  e.addressStack(RBP, 0, width / 8, false);
  e.accessStack("ld", value, width);
  e.setStackPointer(RBP, width / 8);
  e.setRegister(5, width, value);
}
