import { highHalf, lowHalf } from "../../common/halves";
import type { Mmu } from "../mmu";
import { AR_ACCESSED, AR_CODE, AR_G, AR_S, LDTR } from "../segmentRegisters";
import type { CpuState } from "../state";

/** A segment or system descriptor as read from its table (SDM vol. 3, "Segment Descriptors"). */
export interface Descriptor {
  readonly selector: number;
  readonly low: number;
  readonly high: number;
  readonly base: bigint;
  /** Inclusive, in bytes. */
  readonly limit: number;
  /** As CpuState.access. */
  readonly access: number;
  /** Linear address of the descriptor. */
  readonly address: bigint;
}

export const dplOf = (access: number): number => (access >> 5) & 3;
export const typeOf = (access: number): number => access & 0xf;
export const isSystem = (access: number): boolean => (access & AR_S) === 0;
export const isCode = (access: number): boolean => (access & (AR_S | AR_CODE)) === (AR_S | AR_CODE);

/** Base of a descriptor's low 8 bytes. */
export function baseOf(low: number, high: number): number {
  return ((low >>> 16) | ((high & 0xff) << 16) | (high & 0xff000000)) >>> 0;
}

export function limitOf(low: number, high: number): number {
  const limit = (low & 0xffff) | (high & 0xf0000);
  return (high & (1 << 23)) !== 0 ? ((limit << 12) | 0xfff) >>> 0 : limit;
}

export function accessOf(high: number): number {
  return ((high >> 8) & 0xff) | ((high >> 8) & 0xf000);
}

/** Access to the GDT, the LDT and the IDT through linear memory. */
export class DescriptorTables {
  constructor(
    private readonly state: CpuState,
    private readonly mmu: Mmu,
  ) {}

  /**
   * Reads the descriptor that `selector` names. "outside": the selector is null or past its table's limit (the caller raises what its instruction prescribes).
   * undefined: reading faulted and the exception is recorded.
   */
  read(selector: number): Descriptor | "outside" | undefined {
    const { state } = this;
    const local = (selector & 4) !== 0;
    const limit = local ? state.limit[LDTR] : state.gdtrLimit;
    const offset = selector & ~7;
    if (local && (state.selector[LDTR] & ~3) === 0) return "outside";
    if (offset + 7 > limit || (!local && offset === 0)) return "outside";
    const address = this.linear((local ? state.ldtrBase : state.gdtrBase) + BigInt(offset));
    const value = this.mmu.read(address, 8);
    if (value === undefined) return undefined;
    const low = lowHalf(value);
    const high = highHalf(value);
    return { selector, low, high, base: BigInt(baseOf(low, high)), limit: limitOf(low, high), access: accessOf(high), address };
  }

  /** The upper half of a 16-byte system descriptor in long mode: bits 63:32 of the base. undefined: fault recorded; "outside": past the limit. */
  readUpperBase(descriptor: Descriptor): bigint | "outside" | undefined {
    const { state } = this;
    const local = (descriptor.selector & 4) !== 0;
    const limit = local ? state.limit[LDTR] : state.gdtrLimit;
    if ((descriptor.selector & ~7) + 15 > limit) return "outside";
    const value = this.mmu.read(this.linear(descriptor.address + 8n), 8);
    if (value === undefined) return undefined;
    // The type field of the upper half must be zero.
    if (((value >> 40n) & 0x1fn) !== 0n) return "outside";
    return (value & 0xffff_ffffn) << 32n;
  }

  /** Sets the accessed bit in memory. false: fault recorded. */
  markAccessed(descriptor: Descriptor): boolean {
    if ((descriptor.access & AR_ACCESSED) !== 0) return true;
    return this.mmu.write(this.linear(descriptor.address + 5n), 1, BigInt((descriptor.access | AR_ACCESSED) & 0xff));
  }

  /** Sets or clears the busy bit of a TSS descriptor in memory. */
  markBusy(address: bigint, access: number, busy: boolean): boolean {
    const value = busy ? access | 2 : access & ~2;
    return this.mmu.write(this.linear(address + 5n), 1, BigInt(value & 0xff));
  }

  linear(address: bigint): bigint {
    return this.state.longMode ? BigInt.asUintN(64, address) : address & 0xffff_ffffn;
  }
}

/**
 * Access rights of every segment, CS as well, in real and virtual-8086 mode: present, writable data, accessed (SDM vol. 3, table "IA-32 and Intel 64 Processor States
 * Following Power-up, Reset, or INIT"): programs write through CS. DPL 3 in V86.
 */
export const REAL_ACCESS = 0x93;
export const V86_ACCESS = 0xf3;
export const granular = (access: number): boolean => (access & AR_G) !== 0;

/**
 * True when a 64-bit linear address has `bits` significant bits, sign-extended (SDM vol. 1, "Canonical Addressing"): those of the current mode
 * (`CpuState.linearBits`) where the address is used, those that the processor supports (`CpuModel.linearBits`) where it is only loaded: into MSRs and the bases
 * of segments and descriptor tables.
 */
export const canonical = (address: bigint, bits: 48 | 57): boolean => BigInt.asIntN(bits, address) === BigInt.asIntN(64, address);
