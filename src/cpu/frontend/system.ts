/** System instructions: privilege that the mode decides is checked here, the rest by the helpers. */
import { SLOT_KERNEL_GS_BASE, SLOT_RFLAGS, SLOT_ZERO, slotOfGpr, slotOfSegBase, WORD_SELECTORS } from "../../tcg/layout";
import { FAST_CALL, FAST_CLEAR_INTERRUPTS, FAST_PAUSE, FAST_RETURN, FAST_TSC } from "../../tcg/ops";
import { MODE_UMIP } from "../mode";
import type { Vendor } from "../models";
import { type Emission, RDX, SEGMENT_SS } from "./emission";

type Emitter = (e: Emission) => void;
const INTERRUPT_FLAG = 0x200;
const FS = 4;
const GS = 5;

/** Calls a helper that ends the block: RIP is the next instruction's first. */
function terminal(e: Emission, call: () => void, end: "exit" | "lookup" = "exit"): void {
  e.setRipToNext();
  call();
  e[end]();
}

// Interrupt flag, halting, ports.

export function clearInterrupts(e: Emission): void {
  if (!e.mayChangeInterruptFlag) e.helper("cli");
  else if (e.interruptFlag === "unseen") e.emit("and", SLOT_RFLAGS, SLOT_RFLAGS, SLOT_ZERO, ~INTERRUPT_FLAG);
  else {
    // The last of its block, so that the count of instructions is known without a look at the block.
    e.setRipToNext();
    e.fastCall("cli", FAST_CLEAR_INTERRUPTS, e.insn.length);
    e.gotoNext();
  }
}

/** STI: interrupts stay blocked for one instruction if they were before. */
export function setInterrupts(e: Emission): void {
  const before = e.temp();
  e.emit("and", before, SLOT_RFLAGS, SLOT_ZERO, INTERRUPT_FLAG);
  e.setRipToNext();
  if (e.mayChangeInterruptFlag) e.emit("or", SLOT_RFLAGS, SLOT_RFLAGS, SLOT_ZERO, INTERRUPT_FLAG);
  else e.helper("sti");
  const enabled = e.builder.branch("brnz", before);
  e.emit("shadow");
  e.builder.bind(enabled);
  e.lookupUnlessRequest();
}

export function halt(e: Emission): void {
  if (e.requireCpl0()) terminal(e, () => e.helper("hlt"));
}

/** PAUSE may cut the slice short, and RDTSC counts instructions: each is the last one of its block, so that the count is known without a look at the block. */
export function pause(e: Emission): void {
  e.fastCall("pause", FAST_PAUSE);
  e.gotoNext();
}

export function readTsc(withAux: boolean): Emitter {
  return (e) => {
    e.fastCall(withAux ? "rdtscp" : "rdtsc", FAST_TSC, withAux ? 1 : 0);
    e.gotoNext();
  };
}

/** MONITOR: the linear address is DS:rAX, checked as a one-byte read. */
export function monitor(e: Emission): void {
  if (e.cpl !== 0) {
    e.undefined();
    return;
  }
  e.addressRegister(0, e.insn.segment, 1, false);
  e.helper("monitor", e.linearAddress());
}

export function monitorWait(e: Emission): void {
  if (e.cpl !== 0) e.undefined();
  else terminal(e, () => e.helper("mwait"));
}

function port(e: Emission, operand: number): number {
  const slot = e.temp();
  if (e.insn.row.operands[operand].letter === "I") e.emit("movi", slot, SLOT_ZERO, SLOT_ZERO, e.insn.immediate);
  else e.emit("zx16", slot, RDX);
  return slot;
}

/** Ports have at most 32 bits. */
function portWidth(e: Emission, operand: number): 8 | 16 | 32 {
  const width = e.width(operand);
  return width === 64 ? 32 : width;
}

export function input(e: Emission): void {
  const width = portWidth(e, 0);
  const value = e.temp();
  e.helper("in", value, port(e, 1), width / 8);
  e.setRegister(0, width, value);
}

export function output(e: Emission): void {
  const width = portWidth(e, 1);
  const value = e.temp();
  e.emit(width === 8 ? "zx8" : width === 16 ? "zx16" : "zx32", value, slotOfGpr(0));
  const number = port(e, 0);
  e.setRipToNext();
  e.helper("out", value, number, width / 8);
  e.lookupUnlessRequest();
}

// Fast system calls.

/** SYSCALL, SYSENTER: the helper knows when they are allowed. */
export function enterSystem(name: "syscall" | "sysenter"): Emitter {
  return (e) => terminal(e, () => (name === "syscall" ? e.fastCall(name, FAST_CALL, e.insn.length) : e.helper(name)), "lookup");
}

export function resumeFromManagement(e: Emission): void {
  terminal(e, () => e.helper("rsm"));
}

/** SYSRET and SYSEXIT: the helpers know which of their conditions comes first. */
export function leaveSystem(name: "sysret" | "sysexit"): Emitter {
  return (e) => {
    const wide = e.insn.operandSize === 64;
    terminal(
      e,
      () => (name === "sysret" && wide ? e.fastCall(name, FAST_RETURN, 8) : e.helper(name, SLOT_ZERO, SLOT_ZERO, wide ? 8 : 4)),
      "lookup",
    );
  };
}

/** SWAPGS: IA32_GS_BASE and IA32_KERNEL_GS_BASE change places. */
export function swapGs(e: Emission): void {
  if (!e.requireCpl0()) return;
  const base = e.temp();
  const own = slotOfSegBase(GS);
  e.emit("mov", base, own);
  e.emit("mov", own, SLOT_KERNEL_GS_BASE);
  e.emit("mov", SLOT_KERNEL_GS_BASE, base);
}

/** RDFSBASE .. WRGSBASE: #UD unless CR4.FSGSBASE, which the helper checks. */
export function segmentBase(operation: 0 | 1 | 2 | 3): Emitter {
  return (e) => {
    const width = e.width(0);
    const index = e.registerNumber(0);
    const value = e.temp();
    if (operation >= 2) e.emit(width === 64 ? "mov" : "zx32", value, slotOfGpr(index));
    e.helper("fsgsbase", value, SLOT_ZERO, operation);
    if (operation < 2) e.setRegister(index, width, value, false);
  };
}

// Segment registers.

/**
 * After a segment register has been loaded. FS and GS, and ES and DS in 64-bit code, do not change how code is translated; the others may. Loads of SS by MOV
 * and POP hold off interrupts for one instruction.
 */
function endAfterLoad(e: Emission, segment: number, shadow: boolean): void {
  if (segment === SEGMENT_SS) {
    if (shadow) e.emit("shadow");
    e.exit();
  } else if (segment < FS && !e.is64) e.exit();
}

export function moveSegment(e: Emission): void {
  const { insn } = e;
  if (insn.row.operands[0].letter === "S") {
    const selector = e.temp();
    e.emit("zx16", selector, e.read(1));
    e.setRipToNext();
    e.helper("loadSegment", selector, SLOT_ZERO, insn.reg);
    endAfterLoad(e, insn.reg, true);
    return;
  }
  storeWord(e, selectorOf(e, insn.reg));
}

/** The selector of a segment register, ES to TR: there are four in a slot. */
export function selectorOf(e: Emission, segment: number): number {
  const selector = e.temp();
  const slot = WORD_SELECTORS + 8 * (segment >> 2);
  if ((segment & 3) === 0) e.emit("zx16", selector, slot);
  else {
    e.emit("shr", selector, slot, SLOT_ZERO, 16 * (segment & 3));
    e.emit("zx16", selector, selector);
  }
  return selector;
}

/** A 16-bit value to a register of the operand size, zero-extended, or to 16 bits of memory: MOV r/m, Sreg; SLDT; STR; SMSW to memory. */
function storeWord(e: Emission, value: number): void {
  if (e.insn.memory) {
    e.addressMemory(2, true);
    e.load("st", value, 16);
  } else e.setRegister(e.insn.rm, e.insn.operandSize, value);
}

export function popSegment(segment: number): Emitter {
  return (e) => {
    const width = e.insn.operandSize;
    const value = e.temp();
    e.peek(value, width);
    e.emit("zx16", value, value);
    e.setRipToNext();
    e.helper("loadSegment", value, SLOT_ZERO, segment);
    e.adjustStack(width / 8);
    endAfterLoad(e, segment, true);
  };
}

/** LDS, LES, LFS, LGS, LSS. */
export function loadFarPointer(segment: number): Emitter {
  return (e) => {
    const width = e.width(0);
    const offset = e.temp();
    const selector = e.temp();
    e.addressMemory(width / 8 + 2, false, 0);
    e.load("ld", offset, width);
    e.load("ld", selector, 16, width / 8);
    e.setRipToNext();
    e.helper("loadSegment", selector, SLOT_ZERO, segment);
    e.setRegister(e.registerNumber(0), width, offset);
    endAfterLoad(e, segment, false);
  };
}

// Descriptor tables.

/** #GP(0) where UMIP forbids CPL > 0 to see system state. */
function umipAllows(e: Emission): boolean {
  if ((e.mode & MODE_UMIP) === 0 || e.cpl === 0) return true;
  e.protectionFault();
  return false;
}

/** Size of a table operand: 2 bytes of limit and a base, of 8 bytes in 64-bit code. */
function tableBytes(e: Emission): number {
  return e.is64 ? 10 : 6;
}

function tableOperandSize(e: Emission): number {
  return e.is64 ? 8 : e.insn.operandSize / 8;
}

export function storeTable(name: "sgdt" | "sidt"): Emitter {
  return (e) => {
    if (!umipAllows(e)) return;
    e.addressMemory(tableBytes(e), true);
    e.helper(name, e.linearAddress(), SLOT_ZERO, tableOperandSize(e));
  };
}

export function loadTable(name: "lgdt" | "lidt"): Emitter {
  return (e) => {
    if (!e.requireCpl0()) return;
    e.addressMemory(tableBytes(e), false);
    e.helper(name, e.linearAddress(), SLOT_ZERO, tableOperandSize(e));
  };
}

const LDTR = 6;
const TR = 7;

/** SLDT, STR. */
export function storeSystemSegment(name: "sldt" | "str"): Emitter {
  return (e) => {
    if (!e.requireProtectedMode() || !umipAllows(e)) return;
    storeWord(e, selectorOf(e, name === "sldt" ? LDTR : TR));
  };
}

function selectorOperand(e: Emission, operand: number): number {
  const slot = e.temp();
  if (e.insn.memory) {
    e.addressMemory(2, false);
    e.load("ld", slot, 16);
  } else e.emit("zx16", slot, e.read(operand));
  return slot;
}

/** LLDT, LTR. */
export function loadSystemSegment(name: "lldt" | "ltr"): Emitter {
  return (e) => {
    if (e.requireProtectedMode() && e.requireCpl0()) e.helper(name, selectorOperand(e, 0));
  };
}

/** LAR, LSL: the destination changes only when ZF was set. */
export function inspectSelector(name: "lar" | "lsl"): Emitter {
  return (e) => {
    if (!e.requireProtectedMode()) return;
    const width = e.insn.operandSize;
    const result = e.temp();
    e.helper(name, selectorOperand(e, 1), result, width / 8);
    const refused = e.builder.branch("br_z", SLOT_ZERO, 1);
    e.setRegister(e.insn.reg, width, result, false);
    e.builder.bind(refused);
  };
}

/** VERR, VERW. */
export function verify(name: "verr" | "verw"): Emitter {
  return (e) => {
    if (e.requireProtectedMode()) e.helper(name, selectorOperand(e, 0));
  };
}

export function adjustPrivilege(e: Emission): void {
  if (!e.requireProtectedMode()) return;
  const source = e.read(1);
  const value = e.temp();
  if (e.isMemory(0)) {
    e.addressMemory(2, true);
    e.load("ldw", value, 16);
  } else e.emit("zx16", value, e.read(0));
  e.helper("arpl", value, source);
  e.write(0, value);
}

// Control registers, MSRs, caches.

export function moveControl(kind: "Cr" | "Dr"): Emitter {
  return (e) => {
    if (!e.requireCpl0()) return;
    const { insn } = e;
    const width = e.is64 ? 64 : 32;
    const value = e.temp();
    if (insn.row.operands[0].letter === "R") {
      e.helper(`read${kind}`, value, SLOT_ZERO, insn.reg);
      e.setRegister(insn.rm, width, value, false);
      return;
    }
    e.emit(width === 64 ? "mov" : "zx32", value, slotOfGpr(insn.rm));
    terminal(e, () => e.helper(`write${kind}`, value, SLOT_ZERO, insn.reg));
  };
}

export function storeMachineStatus(e: Emission): void {
  if (!umipAllows(e)) return;
  const value = e.temp();
  e.helper("smsw", value);
  if (e.insn.memory) storeWord(e, value);
  else e.setRegister(e.insn.rm, e.insn.operandSize, value, false);
}

export function loadMachineStatus(e: Emission): void {
  if (!e.requireCpl0()) return;
  const value = selectorOperand(e, 0);
  terminal(e, () => e.helper("lmsw", value));
}

export function clearTaskSwitched(e: Emission): void {
  if (e.requireCpl0()) terminal(e, () => e.helper("clts"));
}

export function invalidatePage(e: Emission): void {
  if (!e.requireCpl0()) return;
  const address = e.uncheckedLinearAddress();
  terminal(e, () => e.helper("invlpg", address));
}

export function invalidateContext(e: Emission): void {
  if (!e.requireCpl0()) return;
  const type = e.temp();
  e.emit(e.is64 ? "mov" : "zx32", type, slotOfGpr(e.insn.reg));
  e.addressMemory(16, false);
  const address = e.linearAddress();
  terminal(e, () => e.helper("invpcid", type, address));
}

/** Helpers that need nothing but the registers. */
export function plain(name: "invd" | "wbinvd" | "rdpmc" | "cpuid" | "xgetbv"): Emitter {
  return (e) => e.helper(name);
}

export function readMsr(e: Emission): void {
  if (e.requireCpl0()) e.helper("readMsr");
}

export function writeMsr(e: Emission): void {
  if (e.requireCpl0()) terminal(e, () => e.helper("writeMsr"));
}

export function setExtendedControl(e: Emission): void {
  terminal(e, () => e.helper("xsetbv"));
}

/** CLAC, STAC: #UD above CPL 0. */
export function changeAccessCheck(set: boolean): Emitter {
  return (e) => {
    if (e.cpl !== 0) e.undefined();
    else e.helper("setAc", SLOT_ZERO, SLOT_ZERO, set ? 1 : 0);
  };
}

/** RDPKRU, WRPKRU: the helper knows whether they exist. */
export function protectionKeyRights(write: boolean): Emitter {
  return (e) => e.helper("pkru", SLOT_ZERO, SLOT_ZERO, write ? 1 : 0);
}

/** VMCALL of Intel's and VMMCALL of AMD's processors: #UD on the other's, and unless the machine answers hypercalls. */
export function hypercall(vendor: Vendor): Emitter {
  return (e) => terminal(e, () => e.helper("hypercall", SLOT_ZERO, SLOT_ZERO, vendor === "amd" ? 1 : 0));
}

/** CLFLUSH, CLFLUSHOPT, CLWB: caches are not modelled, but the address must be readable. */
export function flushLine(e: Emission): void {
  e.addressMemory(1, false);
  e.load("ld", e.sink, 8);
}

/** RDPID. */
export function processorId(e: Emission): void {
  const value = e.temp();
  e.helper("rdpid", value);
  e.setRegister(e.registerNumber(0), e.width(0), value);
}

/** RDRAND, RDSEED: there is always a number. */
export function random(e: Emission): void {
  const width = e.width(0);
  const value = e.temp();
  e.helper("rdrand", value);
  e.setRegister(e.registerNumber(0), width, value, false);
}
