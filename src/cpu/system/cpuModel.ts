import type { CpuFeatures } from "../translation";
import { PHYSICAL_BITS } from "../pageWalk";
import { CR4_OSXSAVE, type CpuState } from "../state";

/** Frequency of the TSC, of the core crystal and of the local APIC timer's input, in Hz: one tick a nanosecond of virtual time. */
export const TSC_HZ = 1_000_000_000;

export interface CpuidResult {
  readonly eax: number;
  readonly ebx: number;
  readonly ecx: number;
  readonly edx: number;
}

/** Number of CPUs and how they are arranged; each CPU is a package of one core. */
export interface Topology {
  readonly cpus: number;
  readonly apicIds: readonly number[];
}

const VENDOR = "GenuineIntel";
const BRAND = "APICScope Virtual CPU".padEnd(48, "\0");

/** The CPU that the guest sees: a 64-bit processor with an x87 unit and no vector instructions (SDM vol. 2, "CPUID"). */
export class CpuModel {
  readonly features: CpuFeatures = {
    longMode: true,
    popcnt: true,
    lzcnt: false,
    bmi1: false,
    bmi2: false,
    movbe: true,
    adx: false,
    crc32: true,
    rdrand: false,
    cmpxchg16b: true,
    monitor: true,
    rdtscp: true,
    fsgsbase: true,
    // Processors have it together with PCIDs.
    invpcid: false,
    syscallIn32: false,
    xsave: false,
    xsaveopt: false,
    xsavec: false,
    xsaves: false,
    avx: false,
    avx2: false,
    f16c: false,
    fma: false,
  };

  /** Linear-address width (CPUID 0x80000008 EAX bits 8 to 15): 57 with LA57. */
  readonly linearBits: 48 | 57 = 48;

  constructor(private readonly topology: Topology) {}

  cpuid(leaf: number, subleaf: number, state: CpuState, apic: { x2apic: boolean; enabled: boolean }): CpuidResult {
    const id = this.topology.apicIds[state.index];
    const basic = 0x16;
    const none: CpuidResult = { eax: 0, ebx: 0, ecx: 0, edx: 0 };
    switch (leaf >= 0x8000_0000 ? (leaf > 0x8000_0008 ? basic : leaf) : leaf > basic ? basic : leaf) {
      case 0:
        return { eax: basic, ebx: word(VENDOR, 0), edx: word(VENDOR, 4), ecx: word(VENDOR, 8) };
      case 1:
        return this.featureLeaf(state, id, apic.enabled);
      case 2:
        return { eax: 0x00feff01, ebx: 0xf0, ecx: 0, edx: 0 };
      case 4:
        return this.cacheLeaf(subleaf);
      case 5:
        return { eax: 64, ebx: 64, ecx: 3, edx: 0 };
      case 6:
        return { eax: 1 << 2, ebx: 0, ecx: 0, edx: 0 };
      case 7:
        // FSGSBASE, SMEP, ERMS, SMAP; UMIP in ECX.
        return subleaf === 0 ? { eax: 0, ebx: (1 << 0) | (1 << 7) | (1 << 9) | (1 << 20), ecx: 1 << 2, edx: 0 } : none;
      case 0xb:
        return this.topologyLeaf(subleaf, id);
      case 0x15:
        return { eax: 1, ebx: 1, ecx: TSC_HZ, edx: 0 };
      case 0x16:
        return { eax: TSC_HZ / 1e6, ebx: TSC_HZ / 1e6, ecx: 100, edx: 0 };
      case 0x8000_0000:
        return { eax: 0x8000_0008, ebx: 0, ecx: 0, edx: 0 };
      case 0x8000_0001:
        // LAHF in 64-bit mode; SYSCALL (64-bit mode only), NX, 1 GiB pages, RDTSCP, long mode.
        return { eax: 0, ebx: 0, ecx: 1, edx: (state.code64 ? 1 << 11 : 0) | (1 << 20) | (1 << 26) | (1 << 27) | (1 << 29) };
      case 0x8000_0002:
      case 0x8000_0003:
      case 0x8000_0004: {
        const at = ((leaf & 0xf) - 2) * 16;
        return { eax: word(BRAND, at), ebx: word(BRAND, at + 4), ecx: word(BRAND, at + 8), edx: word(BRAND, at + 12) };
      }
      case 0x8000_0006:
        return { eax: 0, ebx: 0, ecx: (1024 << 16) | (6 << 12) | 64, edx: 0 };
      case 0x8000_0007:
        return { eax: 0, ebx: 0, ecx: 0, edx: 1 << 8 };
      case 0x8000_0008:
        return { eax: (this.linearBits << 8) | PHYSICAL_BITS, ebx: 0, ecx: 0, edx: 0 };
      default:
        return none;
    }
  }

  private featureLeaf(state: CpuState, id: number, apicEnabled: boolean): CpuidResult {
    const bits = (...positions: number[]): number => positions.reduce((sum, position) => sum | (1 << position), 0) >>> 0;
    // VME is absent; FPU DE PSE TSC MSR PAE MCE CX8 APIC SEP MTRR PGE MCA CMOV PAT PSE36 CLFSH MMX FXSR SSE SSE2.
    const edx = bits(0, 2, 3, 4, 5, 6, 7, 8, ...(apicEnabled ? [9] : []), 11, 12, 13, 14, 15, 16, 17, 19, 23, 24, 25, 26);
    // SSE3, MONITOR, SSSE3, SSE4.1, SSE4.2, CX16, PCID absent, x2APIC, MOVBE, POPCNT, TSC-deadline, hypervisor.
    const ecx = bits(0, 3, 9, 13, 19, 20, 21, 22, 23, 24, 31) | ((state.cr4 & CR4_OSXSAVE) !== 0 ? 1 << 27 : 0);
    return { eax: 0x000306a9, ebx: ((id & 0xff) << 24) | (1 << 16) | (8 << 8), ecx: ecx >>> 0, edx };
  }

  private cacheLeaf(subleaf: number): CpuidResult {
    const level = (type: number, depth: number, sets: number): CpuidResult => ({
      eax: type | (depth << 5) | (1 << 8),
      ebx: 63 | (7 << 22),
      ecx: sets - 1,
      edx: 0,
    });
    if (subleaf === 0) return level(1, 1, 64);
    if (subleaf === 1) return level(2, 1, 64);
    if (subleaf === 2) return level(3, 2, 2048);
    return { eax: 0, ebx: 0, ecx: 0, edx: 0 };
  }

  private topologyLeaf(subleaf: number, id: number): CpuidResult {
    if (subleaf === 0) return { eax: 0, ebx: 1, ecx: 1 << 8, edx: id };
    if (subleaf === 1) return { eax: 0, ebx: 1, ecx: (2 << 8) | 1, edx: id };
    return { eax: 0, ebx: 0, ecx: subleaf & 0xff, edx: id };
  }
}

const word = (text: string, at: number): number =>
  (text.charCodeAt(at) | (text.charCodeAt(at + 1) << 8) | (text.charCodeAt(at + 2) << 16) | (text.charCodeAt(at + 3) << 24)) >>> 0;
