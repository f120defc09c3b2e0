import type { DeliveryMode, Shorthand, TriggerMode } from "./events";

/** What a three-bit delivery mode field holds: a mode, or an encoding that the register at hand reserves. */
export type ModeField = DeliveryMode | "reserved";
export type DestinationMode = "physical" | "logical";
export type TimerMode = "one-shot" | "periodic" | "tsc-deadline" | "reserved";

/** Registers that hold a delivery mode; each reserves other encodings (SDM vol. 3, APIC chapter; 82093AA data sheet). */
export type ModeContext = "icr" | "lint" | "lvt" | "rte" | "msi";

const modeNames: readonly ModeField[] = ["fixed", "lowpri", "smi", "reserved", "nmi", "init", "sipi", "extint"];
const modeCodes: Readonly<Record<DeliveryMode, number>> = { fixed: 0, lowpri: 1, smi: 2, nmi: 4, init: 5, sipi: 6, extint: 7 };

/** Bit n is set where delivery mode code n is valid: ICR has no ExtINT; the LVT no lowest priority and SIPI; INIT and ExtINT only LINT pins. */
const validModes: Readonly<Record<ModeContext, number>> = { icr: 0x77, lint: 0xb5, lvt: 0x15, rte: 0xb7, msi: 0xb7 };

const shorthands: readonly Shorthand[] = ["none", "self", "all", "others"];
const timerModes: readonly TimerMode[] = ["one-shot", "periodic", "tsc-deadline", "reserved"];

/** Decodes bits 10:8 of a register (already shifted down). */
export function decodeMode(code: number, context: ModeContext): ModeField {
  return (validModes[context] >> (code & 7)) & 1 ? modeNames[code & 7] : "reserved";
}

export function encodeMode(mode: DeliveryMode): number {
  return modeCodes[mode];
}

/** Bits of an LVT entry, a redirection entry and the ICR that sit at the same place. */
export const LvtBit = { status: 1 << 12, polarity: 1 << 13, remoteIrr: 1 << 14, level: 1 << 15, mask: 1 << 16 } as const;

/** Interrupt Command Register (SDM vol. 3, "Interrupt Command Register (ICR)" and "x2APIC Mode: ICR Operation"). */
export interface IcrFields {
  readonly vector: number;
  readonly mode: ModeField;
  /** The mode field as it stands, 0 to 7. */
  readonly modeCode: number;
  readonly destinationMode: DestinationMode;
  /** Delivery status: true while a send is pending. */
  readonly pending: boolean;
  /** The level flag: true asserts. */
  readonly assert: boolean;
  readonly trigger: TriggerMode;
  readonly shorthand: Shorthand;
  /** 8 bits in xAPIC mode, 32 in x2APIC mode. */
  readonly destination: number;
}

/** Decodes the ICR given its two halves, unsigned. */
export function decodeIcr(low: number, high: number, x2apic: boolean): IcrFields {
  const modeCode = (low >>> 8) & 7;
  return {
    vector: low & 0xff,
    mode: decodeMode(modeCode, "icr"),
    modeCode,
    destinationMode: low & 0x800 ? "logical" : "physical",
    pending: (low & LvtBit.status) !== 0,
    assert: (low & 0x4000) !== 0,
    trigger: low & LvtBit.level ? "level" : "edge",
    shorthand: shorthands[(low >>> 18) & 3],
    destination: x2apic ? high >>> 0 : high >>> 24,
  };
}

/** The 64-bit ICR that holds `fields`. A reserved mode is taken from `modeCode`. */
export function encodeIcr(fields: IcrFields, x2apic: boolean): bigint {
  const mode = fields.mode === "reserved" ? fields.modeCode & 7 : encodeMode(fields.mode);
  let low = (fields.vector & 0xff) | (mode << 8) | (shorthands.indexOf(fields.shorthand) << 18);
  if (fields.destinationMode === "logical") low |= 0x800;
  if (fields.pending && !x2apic) low |= LvtBit.status;
  if (fields.assert) low |= 0x4000;
  if (fields.trigger === "level") low |= LvtBit.level;
  const high = x2apic ? fields.destination >>> 0 : (fields.destination & 0xff) * 0x1000000;
  return (BigInt(high) << 32n) | BigInt(low >>> 0);
}

/** The seven entries of the local vector table, in the order this project keeps them. */
export const lvtNames = ["CMCI", "Timer", "Thermal", "PMC", "LINT0", "LINT1", "Error"] as const;
export type LvtName = (typeof lvtNames)[number];

/** Index of each entry in {@link lvtNames}. */
export const Lvt = { cmci: 0, timer: 1, thermal: 2, pmc: 3, lint0: 4, lint1: 5, error: 6 } as const;

/**
 * Registers of a local APIC whose last writer is remembered: the LVT entries by their index, then these.
 */
export const WrittenRegister = { tpr: 7, svr: 8, base: 9, ldr: 10, dfr: 11, id: 12, initialCount: 13, icr: 14 } as const;
export const writtenRegisters = 15;

/** Bits of each LVT entry that a guest may write; status and remote IRR are read-only, all others reserved. */
export const lvtWritable: readonly number[] = [0x107ff, 0x700ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff];
/** Read-only bits of each entry: a write with them set is no fault in x2APIC mode either. */
export const lvtReadOnly: readonly number[] = [0x1000, 0x1000, 0x1000, 0x1000, 0x5000, 0x5000, 0x1000];

/** A local vector table entry (SDM vol. 3, "Local Vector Table"). Fields that an entry does not have read as their neutral value. */
export interface LvtFields {
  readonly vector: number;
  readonly mode: ModeField;
  readonly pending: boolean;
  readonly activeLow: boolean;
  readonly remoteIrr: boolean;
  readonly trigger: TriggerMode;
  readonly masked: boolean;
  readonly timerMode?: TimerMode;
}

export function decodeLvt(index: number, value: number): LvtFields {
  const lint = index === Lvt.lint0 || index === Lvt.lint1;
  const hasMode = index !== Lvt.timer && index !== Lvt.error;
  return {
    vector: value & 0xff,
    mode: hasMode ? decodeMode(value >>> 8, lint ? "lint" : "lvt") : "fixed",
    pending: (value & LvtBit.status) !== 0,
    activeLow: lint && (value & LvtBit.polarity) !== 0,
    remoteIrr: lint && (value & LvtBit.remoteIrr) !== 0,
    trigger: lint && (value & LvtBit.level) !== 0 ? "level" : "edge",
    masked: (value & LvtBit.mask) !== 0,
    ...(index === Lvt.timer ? { timerMode: timerModes[(value >>> 17) & 3] } : {}),
  };
}

/** The raw entry that holds `fields`; fields that entry `index` does not have are left out. */
export function encodeLvt(index: number, fields: LvtFields): number {
  let value = fields.vector & 0xff;
  if (fields.mode !== "reserved") value |= encodeMode(fields.mode) << 8;
  if (fields.pending) value |= LvtBit.status;
  if (fields.activeLow) value |= LvtBit.polarity;
  if (fields.remoteIrr) value |= LvtBit.remoteIrr;
  if (fields.trigger === "level") value |= LvtBit.level;
  if (fields.masked) value |= LvtBit.mask;
  if (fields.timerMode !== undefined) value |= timerModes.indexOf(fields.timerMode) << 17;
  return value & (lvtWritable[index] | lvtReadOnly[index]);
}

/** Spurious-interrupt vector register. Bit 9, focus checking, is kept but has no effect (as on processors since the Pentium 4). */
export interface SvrFields {
  readonly vector: number;
  readonly enabled: boolean;
  readonly focusCheckingDisabled: boolean;
  readonly eoiBroadcastSuppressed: boolean;
}

export const svrWritable = 0x13ff;
export const Svr = { enable: 0x100, suppressEoi: 0x1000 } as const;

export function decodeSvr(value: number): SvrFields {
  return {
    vector: value & 0xff,
    enabled: (value & Svr.enable) !== 0,
    focusCheckingDisabled: (value & 0x200) !== 0,
    eoiBroadcastSuppressed: (value & Svr.suppressEoi) !== 0,
  };
}

/** Bits of the error status register (SDM vol. 3, "Error Handling"). Bits 3:0 belong to processors with an APIC bus and never set here. */
export const EsrBit = { redirectableIpi: 0x10, sendIllegalVector: 0x20, receiveIllegalVector: 0x40, illegalRegister: 0x80 } as const;

/** An I/O APIC redirection entry (82093AA data sheet, "I/O Redirection Table Registers"). */
export interface RedirectionFields {
  readonly vector: number;
  readonly mode: ModeField;
  readonly destinationMode: DestinationMode;
  /** Delivery status: true while a send waits for a local APIC that takes it. */
  readonly pending: boolean;
  readonly activeLow: boolean;
  readonly remoteIrr: boolean;
  readonly trigger: TriggerMode;
  readonly masked: boolean;
  readonly destination: number;
}

/** Decodes a redirection entry given its two halves. */
export function decodeRedirection(low: number, high: number): RedirectionFields {
  return {
    vector: low & 0xff,
    mode: decodeMode(low >>> 8, "rte"),
    destinationMode: low & 0x800 ? "logical" : "physical",
    pending: (low & LvtBit.status) !== 0,
    activeLow: (low & LvtBit.polarity) !== 0,
    remoteIrr: (low & LvtBit.remoteIrr) !== 0,
    trigger: low & LvtBit.level ? "level" : "edge",
    masked: (low & LvtBit.mask) !== 0,
    destination: high >>> 24,
  };
}

/** The 64-bit entry that holds `fields`. */
export function encodeRedirection(fields: RedirectionFields): bigint {
  let low = fields.vector & 0xff;
  if (fields.mode !== "reserved") low |= encodeMode(fields.mode) << 8;
  if (fields.destinationMode === "logical") low |= 0x800;
  if (fields.pending) low |= LvtBit.status;
  if (fields.activeLow) low |= LvtBit.polarity;
  if (fields.remoteIrr) low |= LvtBit.remoteIrr;
  if (fields.trigger === "level") low |= LvtBit.level;
  if (fields.masked) low |= LvtBit.mask;
  return (BigInt(fields.destination & 0xff) << 56n) | BigInt(low);
}

/** A message-signalled interrupt (SDM vol. 3, "Message Signalled Interrupts"). */
export interface MsiFields {
  readonly destination: number;
  /** Redirection hint. */
  readonly redirect: boolean;
  readonly destinationMode: DestinationMode;
  readonly vector: number;
  readonly mode: ModeField;
  readonly assert: boolean;
  readonly trigger: TriggerMode;
}

/** True for addresses whose stores from the bus are MSIs: 0xfee00000 to 0xfeefffff. */
export function isMsiAddress(address: number): boolean {
  return address >= 0xfee00000 && address <= 0xfeefffff;
}

export function decodeMsi(address: number, data: number): MsiFields {
  return {
    destination: (address >>> 12) & 0xff,
    redirect: (address & 8) !== 0,
    destinationMode: address & 4 ? "logical" : "physical",
    vector: data & 0xff,
    mode: decodeMode(data >>> 8, "msi"),
    assert: (data & 0x4000) !== 0,
    trigger: data & 0x8000 ? "level" : "edge",
  };
}

/** The address and data that a device stores to send `fields`. */
export function encodeMsi(fields: MsiFields): { readonly address: number; readonly data: number } {
  let address = (0xfee00000 | ((fields.destination & 0xff) << 12)) >>> 0;
  if (fields.redirect) address += 8;
  if (fields.destinationMode === "logical") address += 4;
  let data = fields.vector & 0xff;
  if (fields.mode !== "reserved") data |= encodeMode(fields.mode) << 8;
  if (fields.assert) data |= 0x4000;
  if (fields.trigger === "level") data |= 0x8000;
  return { address, data };
}

/** Divisor of the timer's input clock for a divide configuration register: bits 3, 1 and 0. */
export function timerDivisor(tdcr: number): number {
  const code = ((tdcr & 8) >> 1) | (tdcr & 3);
  return code === 7 ? 1 : 2 << code;
}

export function timerMode(lvtTimer: number): TimerMode {
  return timerModes[(lvtTimer >>> 17) & 3];
}

/** IA32_APIC_BASE. */
export const ApicBase = { bootstrap: 0x100n, x2apic: 0x400n, enable: 0x800n } as const;

/** Logical id of an x2APIC: cluster in bits 31:16, one bit of 15:0 (SDM vol. 3, "Deriving Logical x2APIC ID from the Local x2APIC ID"). */
export function x2apicLogicalId(id: number): number {
  return (((id >>> 4) << 16) | (1 << (id & 15))) >>> 0;
}
