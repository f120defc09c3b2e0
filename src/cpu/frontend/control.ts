/** Transfers of control: near ones in ops, far ones and software interrupts through helpers. */
import { SLOT_ZERO } from "../../tcg/layout";
import { FAST_INTERRUPT, FAST_INTERRUPT_RETURN } from "../../tcg/ops";
import type { Label } from "../../tcg/builder";
import { type Emission, RCX, RSP } from "./emission";

/** Jcc: the branch not taken goes first. */
export function jumpOnCondition(e: Emission): void {
  const taken = e.builder.branch(`br_${e.condition(e.insn.opcode)}`, SLOT_ZERO, e.insn.opcode & 1);
  e.gotoNext();
  e.builder.bind(taken);
  e.checkBranch(e.insn.immediate);
  e.gotoBranch(e.insn.immediate);
}

/** rCX - 1, in the width of the address size, zeros above. */
function decrementedCount(e: Emission): number {
  const slot = e.temp();
  const { addressSize } = e.insn;
  e.emit("sub", slot, RCX, SLOT_ZERO, 1);
  if (addressSize !== 64) e.emit(addressSize === 32 ? "zx32" : "zx16", slot, slot);
  return slot;
}

/** LOOP, LOOPE, LOOPNE. */
export function loop(condition: "always" | "equal" | "notEqual") {
  return (e: Emission): void => {
    const { addressSize } = e.insn;
    const count = decrementedCount(e);
    const exits: Label[] = [e.builder.branch("brz", count)];
    if (condition !== "always") exits.push(e.builder.branch("br_z", SLOT_ZERO, condition === "equal" ? 1 : 0));
    e.checkBranch(e.insn.immediate);
    e.setRegister(1, addressSize, count);
    e.gotoBranch(e.insn.immediate);
    for (const label of exits) e.builder.bind(label);
    e.setRegister(1, addressSize, count);
    e.gotoNext();
  };
}

/** JCXZ, JECXZ, JRCXZ: by address size. */
export function jumpOnZeroCount(e: Emission): void {
  const { addressSize } = e.insn;
  let count = RCX;
  if (addressSize !== 64) {
    count = e.temp();
    e.emit(addressSize === 32 ? "zx32" : "zx16", count, RCX);
  }
  const taken = e.builder.branch("brz", count);
  e.gotoNext();
  e.builder.bind(taken);
  e.checkBranch(e.insn.immediate);
  e.gotoBranch(e.insn.immediate);
}

export function jump(e: Emission): void {
  if (e.insn.row.operands[0].letter === "J") {
    e.checkBranch(e.insn.immediate);
    e.gotoBranch(e.insn.immediate);
    return;
  }
  e.jump(e.checkTargetSlot(e.read(0), e.isMemory(0)));
}

export function call(e: Emission): void {
  const width = e.insn.operandSize;
  if (e.insn.row.operands[0].letter === "J") {
    e.checkBranch(e.insn.immediate);
    e.push(e.nextRip(), width);
    e.gotoBranch(e.insn.immediate);
    return;
  }
  let target = e.read(0);
  if (target === RSP) {
    // The push changes it before the jump.
    target = e.temp();
    e.emit("mov", target, RSP);
  }
  target = e.checkTargetSlot(target, e.isMemory(0));
  e.push(e.nextRip(), width);
  e.jump(target);
}

/** RET, with the bytes of parameters to release. */
export function ret(e: Emission): void {
  const width = e.insn.operandSize;
  const value = e.temp();
  e.peek(value, width);
  const target = e.checkTargetSlot(value, true);
  e.adjustStack(width / 8 + (e.insn.row.operands.length > 0 ? e.insn.immediate : 0));
  e.jump(target);
}

/** JMP and CALL far: pointer in the code or in memory. */
export function farTransfer(helper: "farJump" | "farCall") {
  return (e: Emission): void => {
    const { insn } = e;
    const width = insn.operandSize;
    const selector = e.temp();
    const offset = e.temp();
    if (insn.row.operands[0].letter === "A") {
      e.emit("movi", selector, SLOT_ZERO, SLOT_ZERO, insn.immediate2);
      e.emit("movi", offset, SLOT_ZERO, SLOT_ZERO, insn.immediate >>> 0);
    } else {
      e.addressMemory(width / 8 + 2, false, 0);
      e.load("ld", offset, width);
      e.load("ld", selector, 16, width / 8);
    }
    e.setRipToNext();
    e.helper(helper, selector, offset, width / 8);
    e.exit();
  };
}

export function farReturn(e: Emission): void {
  e.setRipToNext();
  e.helper("farReturn", SLOT_ZERO, SLOT_ZERO, e.insn.operandSize / 8, e.insn.row.operands.length > 0 ? e.insn.immediate : 0);
  e.exit();
}

export function interruptReturn(e: Emission): void {
  e.setRipToNext();
  if (e.insn.operandSize === 64) e.fastCall("iret", FAST_INTERRUPT_RETURN, 8);
  else e.helper("iret", SLOT_ZERO, SLOT_ZERO, e.insn.operandSize / 8);
  e.lookup();
}

/** INT n (0), INT3 (1), INTO (2), INT1 (3). */
export function softwareInterrupt(kind: "int" | "int3" | "into" | "int1") {
  return (e: Emission): void => {
    if (kind === "into") {
      const overflow = e.builder.branch("br_o");
      e.gotoNext();
      e.builder.bind(overflow);
    }
    e.setRipToNext();
    const kinds = { int: 0, int3: 1, into: 2, int1: 3 };
    const vectors = { int: e.insn.immediate, int3: 3, into: 4, int1: 1 };
    if (kind === "int") e.fastCall("interrupt", FAST_INTERRUPT, vectors.int);
    else e.helper("interrupt", SLOT_ZERO, SLOT_ZERO, vectors[kind], kinds[kind]);
    e.lookup();
  };
}

/** BOUND: #BR unless the index lies within the two bounds in memory. */
export function bound(e: Emission): void {
  const width = e.insn.operandSize;
  e.addressMemory(width / 4, false, 0);
  e.helper("bound", e.register(e.registerNumber(0), width), e.linearAddress(), width / 8);
}
