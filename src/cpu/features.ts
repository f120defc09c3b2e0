import {
  CR4_DE,
  CR4_FSGSBASE,
  CR4_LA57,
  CR4_MCE,
  CR4_OSFXSR,
  CR4_OSXMMEXCPT,
  CR4_OSXSAVE,
  CR4_PAE,
  CR4_PCE,
  CR4_PCIDE,
  CR4_PGE,
  CR4_PKE,
  CR4_PKS,
  CR4_PSE,
  CR4_SMAP,
  CR4_SMEP,
  CR4_TSD,
  CR4_UMIP,
} from "./registerBits";

/** CPUID leaves that hold feature bits, as [leaf, subleaf, register]. */
const LEAF_1_EDX = [1, 0, "edx"] as const;
const LEAF_1_ECX = [1, 0, "ecx"] as const;
const LEAF_6_EAX = [6, 0, "eax"] as const;
const LEAF_7_EBX = [7, 0, "ebx"] as const;
const LEAF_7_ECX = [7, 0, "ecx"] as const;
const LEAF_7_EDX = [7, 0, "edx"] as const;
const LEAF_D1_EAX = [0xd, 1, "eax"] as const;
const EXTENDED_1_ECX = [0x8000_0001, 0, "ecx"] as const;
const EXTENDED_1_EDX = [0x8000_0001, 0, "edx"] as const;
const EXTENDED_7_EDX = [0x8000_0007, 0, "edx"] as const;

export type CpuidRegister = "eax" | "ebx" | "ecx" | "edx";
export type CpuidPlace = readonly [leaf: number, subleaf: number, register: CpuidRegister];

interface FeatureRow {
  readonly name: string;
  readonly at: CpuidPlace;
  readonly bit: number;
  /** Every 64-bit processor has it: it cannot be taken away. */
  readonly base?: true;
  /** Features without which it cannot be. */
  readonly needs?: readonly string[];
  /** Bits of CR4 that exist with it. */
  readonly cr4?: number;
}

/**
 * Every feature of the CPU that the emulator has and CPUID tells of: the one place that says where its bit is, what it needs and which bits of CR4 come with it
 * (SDM vol. 2, "CPUID"; AMD64 APM vol. 3, appendix E). Names are those of the manuals in lower case. Opcode tables name them as attributes; `models.ts`
 * lists those of each CPU model.
 */
const rows = [
  { name: "fpu", at: LEAF_1_EDX, bit: 0, base: true },
  { name: "de", at: LEAF_1_EDX, bit: 2, base: true, cr4: CR4_DE },
  { name: "pse", at: LEAF_1_EDX, bit: 3, base: true, cr4: CR4_PSE },
  { name: "tsc", at: LEAF_1_EDX, bit: 4, base: true, cr4: CR4_TSD },
  { name: "msr", at: LEAF_1_EDX, bit: 5, base: true },
  { name: "pae", at: LEAF_1_EDX, bit: 6, base: true, cr4: CR4_PAE },
  { name: "mce", at: LEAF_1_EDX, bit: 7, base: true, cr4: CR4_MCE },
  { name: "cx8", at: LEAF_1_EDX, bit: 8, base: true },
  { name: "apic", at: LEAF_1_EDX, bit: 9, base: true },
  { name: "sep", at: LEAF_1_EDX, bit: 11, base: true },
  { name: "mtrr", at: LEAF_1_EDX, bit: 12, base: true },
  { name: "pge", at: LEAF_1_EDX, bit: 13, base: true, cr4: CR4_PGE },
  { name: "mca", at: LEAF_1_EDX, bit: 14, base: true },
  { name: "cmov", at: LEAF_1_EDX, bit: 15, base: true },
  { name: "pat", at: LEAF_1_EDX, bit: 16, base: true },
  { name: "pse36", at: LEAF_1_EDX, bit: 17, base: true },
  { name: "clflush", at: LEAF_1_EDX, bit: 19, base: true },
  { name: "mmx", at: LEAF_1_EDX, bit: 23, base: true },
  { name: "fxsr", at: LEAF_1_EDX, bit: 24, base: true, cr4: CR4_OSFXSR },
  { name: "sse", at: LEAF_1_EDX, bit: 25, base: true, cr4: CR4_OSXMMEXCPT },
  { name: "sse2", at: LEAF_1_EDX, bit: 26, base: true },
  { name: "sse3", at: LEAF_1_ECX, bit: 0 },
  { name: "pclmulqdq", at: LEAF_1_ECX, bit: 1 },
  { name: "monitor", at: LEAF_1_ECX, bit: 3 },
  { name: "ssse3", at: LEAF_1_ECX, bit: 9, needs: ["sse3"] },
  { name: "fma", at: LEAF_1_ECX, bit: 12, needs: ["avx"] },
  { name: "cx16", at: LEAF_1_ECX, bit: 13 },
  { name: "pcid", at: LEAF_1_ECX, bit: 17, cr4: CR4_PCIDE },
  { name: "sse4.1", at: LEAF_1_ECX, bit: 19, needs: ["ssse3"] },
  { name: "sse4.2", at: LEAF_1_ECX, bit: 20, needs: ["sse4.1"] },
  { name: "x2apic", at: LEAF_1_ECX, bit: 21 },
  { name: "movbe", at: LEAF_1_ECX, bit: 22 },
  { name: "popcnt", at: LEAF_1_ECX, bit: 23 },
  { name: "tsc-deadline", at: LEAF_1_ECX, bit: 24 },
  { name: "aes", at: LEAF_1_ECX, bit: 25 },
  { name: "xsave", at: LEAF_1_ECX, bit: 26, cr4: CR4_OSXSAVE },
  { name: "avx", at: LEAF_1_ECX, bit: 28, needs: ["xsave", "sse4.2"] },
  { name: "f16c", at: LEAF_1_ECX, bit: 29, needs: ["avx"] },
  { name: "rdrand", at: LEAF_1_ECX, bit: 30 },
  { name: "hypervisor", at: LEAF_1_ECX, bit: 31 },
  { name: "arat", at: LEAF_6_EAX, bit: 2 },
  { name: "fsgsbase", at: LEAF_7_EBX, bit: 0, cr4: CR4_FSGSBASE },
  { name: "tsc-adjust", at: LEAF_7_EBX, bit: 1 },
  { name: "bmi1", at: LEAF_7_EBX, bit: 3 },
  { name: "avx2", at: LEAF_7_EBX, bit: 5, needs: ["avx"] },
  { name: "smep", at: LEAF_7_EBX, bit: 7, cr4: CR4_SMEP },
  { name: "bmi2", at: LEAF_7_EBX, bit: 8 },
  { name: "erms", at: LEAF_7_EBX, bit: 9 },
  { name: "invpcid", at: LEAF_7_EBX, bit: 10 },
  { name: "rdseed", at: LEAF_7_EBX, bit: 18 },
  { name: "adx", at: LEAF_7_EBX, bit: 19 },
  { name: "smap", at: LEAF_7_EBX, bit: 20, cr4: CR4_SMAP },
  { name: "clflushopt", at: LEAF_7_EBX, bit: 23 },
  { name: "clwb", at: LEAF_7_EBX, bit: 24 },
  { name: "sha", at: LEAF_7_EBX, bit: 29 },
  { name: "umip", at: LEAF_7_ECX, bit: 2, cr4: CR4_UMIP },
  { name: "pku", at: LEAF_7_ECX, bit: 3, cr4: CR4_PKE },
  { name: "vaes", at: LEAF_7_ECX, bit: 9, needs: ["aes", "avx2"] },
  { name: "vpclmulqdq", at: LEAF_7_ECX, bit: 10, needs: ["pclmulqdq", "avx2"] },
  { name: "la57", at: LEAF_7_ECX, bit: 16, cr4: CR4_LA57 },
  { name: "rdpid", at: LEAF_7_ECX, bit: 22 },
  { name: "pks", at: LEAF_7_ECX, bit: 31, cr4: CR4_PKS },
  { name: "fsrm", at: LEAF_7_EDX, bit: 4 },
  { name: "xsaveopt", at: LEAF_D1_EAX, bit: 0, needs: ["xsave"] },
  { name: "xsavec", at: LEAF_D1_EAX, bit: 1, needs: ["xsave"] },
  { name: "xgetbv1", at: LEAF_D1_EAX, bit: 2, needs: ["xsave"] },
  { name: "xsaves", at: LEAF_D1_EAX, bit: 3, needs: ["xsavec"] },
  { name: "lahf", at: EXTENDED_1_ECX, bit: 0 },
  { name: "lzcnt", at: EXTENDED_1_ECX, bit: 5 },
  { name: "prefetchw", at: EXTENDED_1_ECX, bit: 8 },
  { name: "syscall", at: EXTENDED_1_EDX, bit: 11, base: true },
  { name: "nx", at: EXTENDED_1_EDX, bit: 20 },
  { name: "pdpe1gb", at: EXTENDED_1_EDX, bit: 26 },
  { name: "rdtscp", at: EXTENDED_1_EDX, bit: 27 },
  { name: "lm", at: EXTENDED_1_EDX, bit: 29, base: true },
  { name: "invtsc", at: EXTENDED_7_EDX, bit: 8 },
] as const satisfies readonly FeatureRow[];

export type FeatureName = (typeof rows)[number]["name"];

export interface Feature extends Omit<FeatureRow, "name" | "needs"> {
  readonly name: FeatureName;
  readonly needs: readonly FeatureName[];
}

/** Which features a CPU has. */
export type CpuFeatures = Readonly<Record<FeatureName, boolean>>;

function named(name: string): FeatureName {
  const row = rows.find((candidate) => candidate.name === name);
  if (row === undefined) throw new Error(`the feature table has no ${name}`);
  return row.name;
}

export const features: readonly Feature[] = rows.map((row: FeatureRow) => ({
  ...row,
  name: named(row.name),
  needs: (row.needs ?? []).map(named),
}));

export const featureNames: readonly FeatureName[] = features.map(({ name }) => name);

/** CR4 without any feature: CR4.PCE, as RDPMC exists whatever counters there are. */
const CR4_ALWAYS = CR4_PCE;

/** The features of `names` and those that every processor has. */
export function featureSet(names: Iterable<FeatureName>): CpuFeatures {
  const present = new Set(names);
  return Object.fromEntries(features.map(({ name, base }) => [name, base === true || present.has(name)])) as Record<FeatureName, boolean>;
}

/** The bits of CR4 that a CPU has; the others are reserved. */
export function definedCr4(has: CpuFeatures): number {
  return features.reduce((bits, { name, cr4 }) => (has[name] ? bits | (cr4 ?? 0) : bits), CR4_ALWAYS);
}

/** The feature bits of a CPUID register. */
export function featureWord(has: CpuFeatures, leaf: number, subleaf: number, register: CpuidRegister): number {
  let word = 0;
  for (const { name, at, bit } of features) {
    if (has[name] && at[0] === leaf && at[1] === subleaf && at[2] === register) word |= 1 << bit;
  }
  return word >>> 0;
}
