import type { CodeMode, FrameState, MemoryReader, Step } from "./frame";
import { linear, littleEndian } from "./frame";
import { callClobbered, callClobbered32 } from "../symbols/dwarf/registers";

/** What is known besides registers when no table covers the code. */
export interface StepContext {
  readonly mode: CodeMode;
  readonly readMemory: MemoryReader;
  /** The pc is a function's first instruction: nothing was pushed yet. */
  readonly atFunctionStart: boolean;
  /** The frame was stopped or interrupted at its pc, so the instruction there tells what is on the stack. */
  readonly exact: boolean;
  /** The code was written in assembly: it keeps no frame pointer of its own, and may be the entry of an interrupt handler. */
  readonly isAssembly: boolean;
  /** Whether an address may hold code. */
  isCode(address: bigint): boolean;
}

/** How far above the stack pointer a return address or interrupt frame is looked for, in slots: all registers, an error code, locals. */
const scannedSlots = 40;

/**
 * The caller of code without unwind tables: from the instruction at the pc where that tells (prologues, returns), in assembly from the
 * nearest return address or interrupt frame on the stack, else from the frame pointer.
 */
export function stepWithoutTables(context: StepContext, state: FrameState, pc: bigint): Step | undefined {
  const walker = new Walker(context, state);
  const byInstruction = context.exact ? walker.byInstruction(pc) : undefined;
  if (byInstruction !== undefined) return byInstruction;
  return context.isAssembly ? (walker.byScan() ?? walker.byFramePointer()) : (walker.byFramePointer() ?? walker.byScan());
}

class Walker {
  private readonly slot: number;
  private readonly stackPointer: bigint | undefined;
  private readonly framePointer: bigint | undefined;

  constructor(
    private readonly context: StepContext,
    private readonly state: FrameState,
  ) {
    this.slot = context.mode === "long" ? 8 : context.mode === "protected" ? 4 : 2;
    this.stackPointer = this.mask(state.registers.get("rsp"));
    this.framePointer = this.mask(state.registers.get("rbp"));
  }

  private mask(value: bigint | undefined): bigint | undefined {
    return value === undefined ? undefined : BigInt.asUintN(this.slot * 8, value);
  }

  /** The stack slot at `offset` bytes above `base`. */
  private slotAt(base: bigint, offset: number): bigint | undefined {
    const address = BigInt.asUintN(this.slot * 8, base + BigInt(offset));
    const bytes = this.context.readMemory(linear(this.context.mode, this.state.stackBase, address), this.slot);
    return bytes === undefined || bytes.length < this.slot ? undefined : littleEndian(bytes);
  }

  private codeAt(pc: bigint): Uint8Array {
    for (const size of [4, 3, 2, 1]) {
      const bytes = this.context.readMemory(pc, size);
      if (bytes !== undefined) return bytes;
    }
    return new Uint8Array(0);
  }

  /** The caller whose return address lies `offset` bytes above the stack pointer; the frame pointer is saved at `saved`, if it is. */
  private returning(offset: number, saved: number | undefined, found: Step["found"]): Step | undefined {
    const { stackPointer } = this;
    if (stackPointer === undefined) return undefined;
    const rip = this.slotAt(stackPointer, offset);
    if (rip === undefined || rip === 0n || !this.context.isCode(linear(this.context.mode, this.state.codeBase, rip) - 1n)) return undefined;
    const cfa = BigInt.asUintN(this.slot * 8, stackPointer + BigInt(offset + this.slot));
    return this.caller(rip, cfa, saved === undefined ? this.framePointer : this.slotAt(stackPointer, saved), found);
  }

  private caller(rip: bigint, cfa: bigint, framePointer: bigint | undefined, found: Step["found"]): Step {
    const clobbered = this.context.mode === "long" ? callClobbered : callClobbered32;
    const registers = new Map([...this.state.registers].filter(([name]) => !clobbered.has(name)));
    registers.set("rip", rip);
    registers.set("rsp", cfa);
    if (framePointer === undefined) registers.delete("rbp");
    else registers.set("rbp", framePointer);
    return { state: { ...this.state, registers }, cfa, found, exact: false };
  }

  /** Prologues, epilogues and returns, seen from the next instruction. */
  byInstruction(pc: bigint): Step | undefined {
    const code = this.codeAt(pc);
    const [first, second, third] = code;
    const { slot } = this;
    switch (first) {
      case 0x55: // push %rbp
      case 0xc3: // ret
      case 0xc2: // ret n
        return this.returning(0, undefined, "code");
      case 0x5d: // pop %rbp
        return this.returning(slot, 0, "code");
      case 0xcf: // iret
        return this.interruptFrame(0);
      case 0x48:
        // REX.W iret; mov %rsp,%rbp
        if (second === 0xcf) return this.interruptFrame(0);
        return (second === 0x89 && third === 0xe5) || (second === 0x8b && third === 0xec) ? this.returning(slot, 0, "code") : undefined;
      case 0x89: // mov %esp,%ebp
        return second === 0xe5 ? this.returning(slot, 0, "code") : undefined;
      case 0x8b:
        return second === 0xec ? this.returning(slot, 0, "code") : undefined;
      case 0xcb: // retf
        return this.context.mode === "real" ? this.farReturn() : undefined;
      default:
        return this.context.atFunctionStart ? this.returning(0, undefined, "code") : undefined;
    }
  }

  private farReturn(): Step | undefined {
    const { stackPointer } = this;
    if (stackPointer === undefined) return undefined;
    const rip = this.slotAt(stackPointer, 0);
    const cs = this.slotAt(stackPointer, 2);
    if (rip === undefined || cs === undefined) return undefined;
    const step = this.caller(rip, stackPointer + 4n, this.framePointer, "code");
    step.state.registers.set("cs", cs);
    return { ...step, state: { ...step.state, codeBase: cs << 4n } };
  }

  /**
   * The nearest return address (a call stands before what it points at) or interrupt frame among the slots above the stack pointer:
   * what code without frame pointer has pushed lies below it.
   */
  byScan(): Step | undefined {
    const { stackPointer } = this;
    if (stackPointer === undefined) return undefined;
    for (let slot = 0; slot < scannedSlots; slot++) {
      const offset = slot * this.slot;
      const value = this.slotAt(stackPointer, offset);
      if (value === undefined) return undefined;
      if (this.isReturnAddress(value)) return this.returning(offset, undefined, "code");
      if (this.context.mode === "real" || this.state.registers.get("cs") === undefined) continue;
      const step = this.interruptFrame(offset);
      if (step !== undefined) return step;
    }
    return undefined;
  }

  private isReturnAddress(rip: bigint): boolean {
    const at = linear(this.context.mode, this.state.codeBase, rip);
    if (rip === 0n || !this.context.isCode(at - 1n)) return false;
    const before = (distance: bigint): number | undefined => this.context.readMemory(at - distance, 1)?.[0];
    // call rel32 (rel16), call r/m without and with displacement
    return (
      before(this.context.mode === "real" ? 3n : 5n) === 0xe8 ||
      [2n, 3n, 6n].some((distance) => before(distance) === 0xff && ((before(distance - 1n) ?? 0) & 0x38) === 0x10)
    );
  }

  /**
   * An interrupt frame at `offset` above the stack pointer (SDM volume 3, "Stack Frame": RIP, CS, RFLAGS, RSP, SS; the last two are missing
   * in 32-bit code when the privilege level stayed).
   */
  private interruptFrame(offset: number): Step | undefined {
    const { stackPointer, slot, context } = this;
    if (stackPointer === undefined) return undefined;
    const rip = this.slotAt(stackPointer, offset);
    const cs = this.slotAt(stackPointer, offset + slot);
    const flags = this.slotAt(stackPointer, offset + 2 * slot);
    if (rip === undefined || cs === undefined || flags === undefined) return undefined;
    const own = this.state.registers.get("cs") ?? 0n;
    if (context.mode === "real") {
      const step = this.caller(rip, stackPointer + BigInt(offset + 3 * slot), this.framePointer, "interrupt");
      step.state.registers.set("cs", cs);
      step.state.registers.set("rflags", flags);
      return { ...step, exact: true, state: { ...step.state, codeBase: cs << 4n } };
    }
    // Bit 1 of the flags is always set; bits 3, 5, 15 and those from 22 on always clear. CS is a flat selector of its own or a lower privilege.
    const plausibleFlags = (flags & 0x2n) !== 0n && (flags & ~0x3f_7fd7n) === 0n;
    const inner = (cs & 3n) === (own & 3n);
    const plausibleSelector = cs !== 0n && cs < 0x1_0000n && (inner ? cs === own : (cs & 3n) > (own & 3n));
    if (!plausibleFlags || !plausibleSelector || !context.isCode(linear(context.mode, this.state.codeBase, rip))) return undefined;
    const hasStack = context.mode === "long" || !inner;
    const rsp = hasStack ? this.slotAt(stackPointer, offset + 3 * slot) : stackPointer + BigInt(offset + 3 * slot);
    const ss = hasStack ? this.slotAt(stackPointer, offset + 4 * slot) : undefined;
    if (rsp === undefined || rsp === 0n || (hasStack && (ss === undefined || ss > 0xffffn))) return undefined;
    const step = this.caller(rip, rsp, this.framePointer, "interrupt");
    step.state.registers.set("cs", cs);
    step.state.registers.set("rflags", flags);
    if (ss !== undefined) step.state.registers.set("ss", ss);
    return { ...step, cfa: undefined, exact: true };
  }

  /** The chain of saved frame pointers: each points at the caller's, with the return address above it. */
  byFramePointer(): Step | undefined {
    const { framePointer, stackPointer, slot } = this;
    if (framePointer === undefined || framePointer === 0n) return undefined;
    // A frame lies above the stack pointer, and not far: else the register holds something else.
    if (stackPointer !== undefined && (framePointer < stackPointer || framePointer - stackPointer > 0x10_0000n)) return undefined;
    const saved = this.slotAt(framePointer, 0);
    const rip = this.slotAt(framePointer, slot);
    if (saved === undefined || rip === undefined || rip === 0n) return undefined;
    if (!this.context.isCode(linear(this.context.mode, this.state.codeBase, rip) - 1n)) return undefined;
    return this.caller(rip, BigInt.asUintN(slot * 8, framePointer + BigInt(2 * slot)), saved, "frame pointer");
  }
}
