import { type CpuFeatures, type CpuidRegister, definedCr4, featureWord } from "../features";
import type { CpuSelection, Vendor } from "../models";
import { CR4_OSXSAVE, CR4_PKE, EFER_LMA, EFER_LME, EFER_NXE, EFER_SCE } from "../registerBits";
import type { CpuState } from "../state";
import { compactedLayout, standardEnd, type StateComponent, stateComponents } from "./stateComponents";
import { type Topology, idBits } from "../topology";

/** Frequency of the TSC, of the core crystal and of the local APIC timer's input, in Hz: one tick a nanosecond of virtual time. */
export const TSC_HZ = 1_000_000_000;

export interface CpuidResult {
  readonly eax: number;
  readonly ebx: number;
  readonly ecx: number;
  readonly edx: number;
}

/** What CPUID says of who made the processor: leaf 0, and leaf 1 EAX (family, model, stepping). */
const identities: Readonly<Record<Vendor, { readonly name: string; readonly signature: number }>> = {
  intel: { name: "GenuineIntel", signature: 0x000306a9 },
  amd: { name: "AuthenticAMD", signature: 0x00830f10 },
};
const BRAND = "APICScope Virtual CPU".padEnd(48, "\0");
const none: CpuidResult = { eax: 0, ebx: 0, ecx: 0, edx: 0 };
/** Highest leaves, basic and extended. */
const highest: Readonly<Record<Vendor, { readonly basic: number; readonly extended: number }>> = {
  intel: { basic: 0x1f, extended: 0x8000_0008 },
  amd: { basic: 0x10, extended: 0x8000_001e },
};
/** Leaf 7 ECX: CR4.PKE is set. */
const OSPKE = 1 << 4;
/** First of the leaves that processors leave to hypervisors. */
const HYPERVISOR_LEAVES = 0x4000_0000;
/** Feature bits of leaf 1 EDX that AMD processors repeat in 0x80000001 EDX. */
const REPEATED = 0x0183_f3ff;

/** The CPU that the guest sees (SDM vol. 2, "CPUID"; AMD64 APM vol. 3, appendix E). */
export class CpuModel {
  readonly features: CpuFeatures;
  readonly vendor: Vendor;
  /** Linear-address width (CPUID 0x80000008 EAX bits 8 to 15): 57 with LA57. */
  readonly linearBits: 48 | 57;
  /** Physical-address width (the same, bits 0 to 7). */
  readonly physicalBits: number;
  /** Bits of CR4 and EFER that exist; others fault when set. */
  readonly definedCr4: number;
  readonly definedEfer: number;
  /** Value of EDX after reset: leaf 1 EAX. */
  readonly signature: number;
  /** Bits of an APIC id for the thread in its core, and for the thread in its socket. */
  private readonly threadBits: number;
  private readonly socketBits: number;
  private readonly components: readonly StateComponent[];
  private readonly words = new Map<string, number>();

  /** `seed`: of RDRAND and RDSEED. */
  constructor(
    selection: CpuSelection,
    private readonly topology: Topology,
    readonly seed = 0,
  ) {
    this.features = selection.features;
    this.components = stateComponents(selection.features);
    this.vendor = selection.vendor;
    this.signature = identities[this.vendor].signature;
    this.definedCr4 = definedCr4(this.features);
    this.definedEfer = EFER_SCE | EFER_LME | EFER_LMA | (this.features.nx ? EFER_NXE : 0);
    this.physicalBits = selection.physicalBits;
    this.linearBits = this.features.la57 ? 57 : 48;
    this.threadBits = idBits(topology.threads);
    this.socketBits = this.threadBits + idBits(topology.cores);
  }

  cpuid(leaf: number, subleaf: number, state: CpuState, apic: { x2apic: boolean; enabled: boolean }): CpuidResult {
    const id = this.topology.apicIds[state.index];
    const amd = this.vendor === "amd";
    const { basic, extended } = highest[this.vendor];
    // Intel processors answer for a leaf past the highest as for the highest basic one, AMD's with zeros.
    if (leaf > (leaf < HYPERVISOR_LEAVES ? basic : leaf < 0x8000_0000 ? HYPERVISOR_LEAVES : extended)) {
      return amd ? none : this.cpuid(basic, subleaf, state, apic);
    }
    switch (leaf) {
      case 0: {
        const { name } = identities[this.vendor];
        return { eax: basic, ebx: word(name, 0), edx: word(name, 4), ecx: word(name, 8) };
      }
      case 1:
        return this.featureLeaf(state, id, apic.enabled);
      case 2:
        return amd ? none : { eax: 0x00feff01, ebx: 0xf0, ecx: 0, edx: 0 };
      case 4:
        return amd ? none : this.cacheLeaf(subleaf);
      case 5:
        return this.features.monitor ? { eax: 64, ebx: 64, ecx: 3, edx: 0 } : none;
      case 6:
        return { ...none, eax: this.bits(6, 0, "eax") };
      case 7:
        return {
          eax: 0,
          ebx: this.bits(7, subleaf, "ebx"),
          ecx: (this.bits(7, subleaf, "ecx") | (subleaf === 0 && (state.cr4 & CR4_PKE) !== 0 ? OSPKE : 0)) >>> 0,
          edx: this.bits(7, subleaf, "edx"),
        };
      case 0xd:
        return this.features.xsave ? this.extendedStateLeaf(subleaf, state.xcr0) : none;
      case 0xb:
      case 0x1f:
        return this.topologyLeaf(subleaf, id);
      case 0x15:
        return amd ? none : { eax: 1, ebx: 1, ecx: TSC_HZ, edx: 0 };
      case 0x16:
        return amd ? none : { eax: TSC_HZ / 1e6, ebx: TSC_HZ / 1e6, ecx: 100, edx: 0 };
      case 0x8000_0000: {
        const { name } = identities[this.vendor];
        return amd ? { eax: extended, ebx: word(name, 0), edx: word(name, 4), ecx: word(name, 8) } : { ...none, eax: extended };
      }
      case 0x8000_0001:
        return this.extendedFeatureLeaf(state, apic.enabled);
      case 0x8000_0002:
      case 0x8000_0003:
      case 0x8000_0004: {
        const at = ((leaf & 0xf) - 2) * 16;
        return { eax: word(BRAND, at), ebx: word(BRAND, at + 4), ecx: word(BRAND, at + 8), edx: word(BRAND, at + 12) };
      }
      case 0x8000_0005:
        return amd ? { eax: 0xff20ff20, ebx: 0xff20ff20, ecx: 0x20080140, edx: 0x20080140 } : none;
      case 0x8000_0006:
        return { eax: 0, ebx: 0, ecx: (1024 << 16) | (6 << 12) | 64, edx: 0 };
      case 0x8000_0007:
        return { ...none, edx: this.bits(leaf, 0, "edx") };
      case 0x8000_0008:
        // AMD: threads of the socket, and how many bits of the APIC id number them.
        return {
          eax: (this.linearBits << 8) | this.physicalBits,
          ebx: this.bits(leaf, 0, "ebx"),
          ecx: amd ? (this.socketBits << 12) | (this.threadsOfSocket - 1) : 0,
          edx: 0,
        };
      case 0x8000_001d:
        return this.cacheLeaf(subleaf);
      case 0x8000_001e:
        // AMD: APIC id, core in the socket and threads of each, node.
        return {
          eax: id,
          ebx: ((id & ((1 << this.socketBits) - 1)) >>> this.threadBits) | ((this.topology.threads - 1) << 8),
          ecx: id >>> this.socketBits,
          edx: 0,
        };
      default:
        return none;
    }
  }

  private get threadsOfSocket(): number {
    return this.topology.cores * this.topology.threads;
  }

  /** Feature bits of a register, by the table. */
  private bits(leaf: number, subleaf: number, register: CpuidRegister): number {
    const key = `${leaf}.${subleaf}.${register}`;
    let value = this.words.get(key);
    if (value === undefined) {
      value = featureWord(this.features, leaf, subleaf, register);
      if (subleaf < 2) this.words.set(key, value);
    }
    return value;
  }

  /** The bits that follow the processor's state: OSXSAVE of CR4, APIC of IA32_APIC_BASE, Intel's SYSCALL of 64-bit mode. */
  private featureLeaf(state: CpuState, id: number, apicEnabled: boolean): CpuidResult {
    const count = this.threadsOfSocket;
    const edx = (this.bits(1, 0, "edx") & (apicEnabled ? -1 : ~(1 << 9))) | (count > 1 ? 1 << 28 : 0);
    const ecx = this.bits(1, 0, "ecx") | ((state.cr4 & CR4_OSXSAVE) !== 0 ? 1 << 27 : 0);
    const logical = Math.min(255, 1 << this.socketBits);
    return {
      eax: this.signature,
      ebx: (((id & 0xff) << 24) | (logical << 16) | (8 << 8)) >>> 0,
      ecx: ecx >>> 0,
      edx: edx >>> 0,
    };
  }

  private extendedFeatureLeaf(state: CpuState, apicEnabled: boolean): CpuidResult {
    const own = this.bits(0x8000_0001, 0, "edx");
    const ecx = this.bits(0x8000_0001, 0, "ecx");
    if (this.vendor === "intel") return { eax: 0, ebx: 0, ecx, edx: state.code64 ? own : own & ~(1 << 11) };
    const repeated = this.bits(1, 0, "edx") & REPEATED & (apicEnabled ? -1 : ~(1 << 9));
    // CmpLegacy where the threads that leaf 1 counts are cores; TopologyExtensions: leaves 0x8000001D and 0x8000001E.
    const legacy = this.topology.cores > 1 && this.topology.threads === 1 ? 1 << 1 : 0;
    return { eax: this.signature, ebx: 0, ecx: (ecx | legacy | (1 << 22)) >>> 0, edx: (own | repeated) >>> 0 };
  }

  /** Deterministic cache parameters: 32 KiB of data and of code for each core, 1 MiB beside them. AMD's 0x8000001D has the same layout. */
  private cacheLeaf(subleaf: number): CpuidResult {
    const level = (type: number, depth: number, sets: number): CpuidResult => ({
      // Threads that share it, less one; Intel: ids of cores in the socket, less one.
      eax:
        (type | (depth << 5) | (1 << 8) | (((1 << this.threadBits) - 1) << 14) | (this.vendor === "amd" ? 0 : (coreIds - 1) << 26)) >>> 0,
      ebx: 63 | (7 << 22),
      ecx: sets - 1,
      edx: 0,
    });
    const coreIds = Math.min(64, 1 << (this.socketBits - this.threadBits));
    if (subleaf === 0) return level(1, 1, 64);
    if (subleaf === 1) return level(2, 1, 64);
    if (subleaf === 2) return level(3, 2, 2048);
    return none;
  }

  /** Leaf 0xD: the XSAVE area (SDM vol. 1, "Enumeration of CPU Support for XSAVE Features"): sizes, and where each component lies. */
  private extendedStateLeaf(subleaf: number, xcr0: number): CpuidResult {
    const { components } = this;
    const supported = components.reduce((mask, { bit }) => mask | (1 << bit), 0);
    if (subleaf === 0) {
      return { eax: supported, ebx: standardEnd(components, BigInt(xcr0)), ecx: standardEnd(components, BigInt(supported)), edx: 0 };
    }
    if (subleaf === 1) {
      const { end } = compactedLayout(components, BigInt(xcr0));
      return { ...none, eax: this.bits(0xd, 1, "eax"), ebx: this.features.xsavec ? end : 0 };
    }
    const component = components.find(({ bit }) => bit >= 2 && bit === subleaf);
    return component === undefined ? none : { eax: component.size, ebx: component.offset, ecx: component.aligned ? 2 : 0, edx: 0 };
  }

  /** Leaves 0xB and 0x1F: the levels thread and core. */
  private topologyLeaf(subleaf: number, id: number): CpuidResult {
    if (subleaf === 0) return { eax: this.threadBits, ebx: this.topology.threads, ecx: 1 << 8, edx: id };
    if (subleaf === 1) return { eax: this.socketBits, ebx: this.threadsOfSocket, ecx: (2 << 8) | 1, edx: id };
    return { eax: 0, ebx: 0, ecx: subleaf & 0xff, edx: id };
  }
}

const word = (text: string, at: number): number =>
  (text.charCodeAt(at) | (text.charCodeAt(at + 1) << 8) | (text.charCodeAt(at + 2) << 16) | (text.charCodeAt(at + 3) << 24)) >>> 0;
