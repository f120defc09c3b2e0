import { CS, DS, ES, FS, GS, LDTR, SS, TR } from "../cpu/segmentRegisters";
import { SLOT_XMM } from "../tcg/layout";
import { UserError } from "../machine/errors";
import { registerPart } from "./expr";
import { fitting, inRange } from "./numbers";
import type { DebugCpu } from "./target";

/** The sixteen general registers in the order that people read them, and their numbers in instructions. */
export const generalRegisters: readonly (readonly [name: string, number: number])[] = [
  ["rax", 0],
  ["rbx", 3],
  ["rcx", 1],
  ["rdx", 2],
  ["rsi", 6],
  ["rdi", 7],
  ["rbp", 5],
  ["rsp", 4],
  ["r8", 8],
  ["r9", 9],
  ["r10", 10],
  ["r11", 11],
  ["r12", 12],
  ["r13", 13],
  ["r14", 14],
  ["r15", 15],
];
const generalNumbers = new Map(generalRegisters);

/** Segment registers and their numbers in the CPU's state. */
export const segmentRegisters: readonly (readonly [name: string, number: number])[] = [
  ["cs", CS],
  ["ss", SS],
  ["ds", DS],
  ["es", ES],
  ["fs", FS],
  ["gs", GS],
];
const segmentNumbers = new Map(segmentRegisters);

/** XMM registers by name. */
const vectorNumbers = new Map(Array.from({ length: 16 }, (_, number) => [`xmm${number}`, number]));
/** Where the two halves of an XMM register lie in the CPU's state. */
const vectorSlots = (number: number): readonly number[] => [0, 8].map((half) => (SLOT_XMM + number * 16 + half) / 8);

/** The value of whole register `name` (lower case, 64-bit names); undefined for names that are no registers. */
export function readRegister(cpu: DebugCpu, name: string): bigint | undefined {
  const { state } = cpu;
  const general = generalNumbers.get(name);
  if (general !== undefined) return state.gpr(general);
  const segment = segmentNumbers.get(name);
  if (segment !== undefined) return BigInt(state.selector[segment]);
  const vector = vectorNumbers.get(name);
  if (vector !== undefined) return vectorSlots(vector).reduceRight((value, slot) => (value << 64n) | state.slots[slot], 0n);
  switch (name) {
    case "mxcsr":
      return BigInt(state.mxcsr >>> 0);
    case "rip":
      return state.rip;
    case "rflags":
      return BigInt(state.rflags);
    case "fs_base":
      return state.segBase(FS);
    case "gs_base":
      return state.segBase(GS);
    case "kernel_gs_base":
      return state.kernelGsBase;
    case "ldtr":
      return BigInt(state.selector[LDTR]);
    case "tr":
      return BigInt(state.selector[TR]);
    case "tr_base":
      return state.segBase(TR);
    case "gdtr_base":
      return state.gdtrBase;
    case "idtr_base":
      return state.idtrBase;
    case "cr0":
      return BigInt(state.cr0 >>> 0);
    case "cr2":
      return state.cr2;
    case "cr3":
      return BigInt(state.cr3);
    case "cr4":
      return BigInt(state.cr4 >>> 0);
    case "cr8":
      return BigInt(cpu.apic.cr8);
    case "efer":
      return BigInt(state.efer >>> 0);
    case "dr0":
    case "dr1":
    case "dr2":
    case "dr3":
      return state.dr[Number(name[2])];
    case "dr6":
      return BigInt(state.dr6 >>> 0);
    case "dr7":
      return BigInt(state.dr7 >>> 0);
    case "cpl":
      return BigInt(state.cpl);
    default:
      return undefined;
  }
}

/** Registers beside those of the expression language that {@link readRegister} knows. */
export const extraRegisters: readonly string[] = [
  "fs_base",
  "gs_base",
  "kernel_gs_base",
  "ldtr",
  "tr",
  "tr_base",
  "gdtr_base",
  "idtr_base",
  "efer",
  "cpl",
];

/**
 * Puts `value` into a register or a part of one (`eax`, `al`), as a debugger does: no fault, no descriptor is loaded, nothing is
 * signalled. Throws a {@link UserError} for unknown or read-only registers and values that do not fit.
 */
export function writeRegister(cpu: DebugCpu, given: string, value: bigint): void {
  const name = given.toLowerCase();
  const part = registerPart(name);
  if (part === undefined) return writeWhole(cpu, name, value);
  const vector = vectorNumbers.get(name);
  if (vector !== undefined) {
    const bits = fitting(given, value, 128);
    vectorSlots(vector).forEach((slot, half) => (cpu.state.slots[slot] = BigInt.asUintN(64, bits >> BigInt(64 * half))));
    return cpu.changed();
  }
  const old = readRegister(cpu, part.whole);
  if (old === undefined) throw new UserError(`There is no register '${given}'.`);
  if (part.bits === 64 || name === "mxcsr") return writeWhole(cpu, part.whole, value);
  const changed = fitting(given, value, part.bits);
  if (part.bits === 16 && part.whole === name) return writeWhole(cpu, part.whole, changed);
  // A 32-bit part clears the upper half, as an instruction that writes it would.
  const kept = part.bits === 32 ? 0n : old & ~(((1n << BigInt(part.bits)) - 1n) << part.shift);
  writeWhole(cpu, part.whole, kept | (changed << part.shift));
}

function writeWhole(cpu: DebugCpu, name: string, value: bigint): void {
  const { state } = cpu;
  const wide = (): bigint => fitting(name, value, 64);
  const upTo = (most: bigint): number => Number(inRange(name, value, 0n, most));
  const word = (): number => upTo(0xffff_ffffn) | 0;
  const general = generalNumbers.get(name);
  const segment = segmentNumbers.get(name);
  if (general !== undefined) state.setGpr(general, wide());
  else if (segment !== undefined) writeSelector(cpu, segment, upTo(0xffffn));
  else
    switch (name) {
      case "rip":
        return cpu.setRip(cpu.codeBits() === 64 ? wide() : fitting(name, value, 32));
      case "mxcsr":
        state.mxcsr = upTo(0xffffn);
        break;
      case "rflags":
        state.rflags = word();
        break;
      case "fs_base":
        state.setSegment(FS, state.selector[FS], wide(), state.limit[FS], state.access[FS]);
        break;
      case "gs_base":
        state.setSegment(GS, state.selector[GS], wide(), state.limit[GS], state.access[GS]);
        break;
      case "kernel_gs_base":
        state.kernelGsBase = wide();
        break;
      case "cr0":
        state.cr0 = word();
        break;
      case "cr2":
        state.cr2 = wide();
        break;
      case "cr3":
        state.cr3 = upTo((1n << 52n) - 1n);
        break;
      case "cr4":
        state.cr4 = word();
        break;
      case "cr8":
        cpu.apic.poke("TPR", BigInt(upTo(15n)) << 4n);
        break;
      case "efer":
        state.efer = word();
        break;
      case "dr0":
      case "dr1":
      case "dr2":
      case "dr3":
        state.dr[Number(name[2])] = wide();
        break;
      case "dr6":
        state.dr6 = word();
        break;
      case "dr7":
        state.dr7 = word();
        break;
      case "cpl":
      case "ldtr":
      case "tr":
        throw new UserError(`${name} cannot be set.`);
      default:
        throw new UserError(`There is no register '${name}'.`);
    }
  cpu.changed();
}

/** In real and virtual 8086 mode the base follows the selector; elsewhere only a load by the guest reads a descriptor. */
function writeSelector(cpu: DebugCpu, segment: number, selector: number): void {
  const { state } = cpu;
  const base = !state.protectedMode || state.vm86 ? BigInt(selector) << 4n : state.segBase(segment);
  state.setSegment(segment, selector, base, state.limit[segment], state.access[segment]);
}
