import type { BootSegment, BootState, GprName, SegmentName } from "./types";

/** CR0.PE and CR0.ET; ET reads as 1 on all processors since the P6. */
export const CR0_PE = 1n;
export const CR0_ET = 1n << 4n;
export const CR0_NW = 1n << 29n;
export const CR0_CD = 1n << 30n;
export const CR0_PG = 1n << 31n;
export const CR4_PAE = 1n << 5n;
export const EFER_LME = 1n << 8n;
export const EFER_LMA = 1n << 10n;
/** RFLAGS with only the bit that is always 1. */
export const RFLAGS_RESET = 2n;

/** The sixteen general registers in the order in which x86 numbers them. */
export const GPR_NAMES: readonly GprName[] = [
  "rax",
  "rcx",
  "rdx",
  "rbx",
  "rsp",
  "rbp",
  "rsi",
  "rdi",
  "r8",
  "r9",
  "r10",
  "r11",
  "r12",
  "r13",
  "r14",
  "r15",
];

/** All sixteen registers: those given, 0 in the others. */
export function gprs(values: Partial<Record<GprName, bigint>> = {}): Record<GprName, bigint> {
  const all = {} as Record<GprName, bigint>;
  for (const name of GPR_NAMES) all[name] = values[name] ?? 0n;
  return all;
}

const NULL_SEGMENT: BootSegment = { selector: 0, base: 0n, limit: 0, access: 0 };

/** Selectors of the GDT that the boot code leaves in the firmware area, as the Linux boot protocol asks for them (__BOOT_CS, __BOOT_DS). */
export const BOOT_CS = 0x10;
export const BOOT_DS = 0x18;
export const BOOT_CS64 = 0x20;
export const BOOT_TSS = 0x28;

/** That GDT: null, 16-bit data and code unused; flat 32-bit code, flat data, 64-bit code, a busy 32-bit TSS of 0x68 bytes at 0 that is never used. */
export const BOOT_GDT: readonly bigint[] = [0n, 0n, 0x00cf9b000000ffffn, 0x00cf93000000ffffn, 0x00af9b000000ffffn, 0x00008b0000000067n, 0n];

/**
 * Selectors of Multiboot's GDT. The specification leaves them open; kernels that load a GDT of their own without loading CS find their code where loaders have it since the first.
 */
const MULTIBOOT_CS = 0x08;
const MULTIBOOT_DS = 0x10;
export const MULTIBOOT_GDT: readonly bigint[] = [0n, 0x00cf9b000000ffffn, 0x00cf93000000ffffn, 0n, 0n, 0x00008b0000000067n, 0n];

function flatSegments(code: BootSegment, dataSelector = BOOT_DS): Record<SegmentName, BootSegment> {
  const data: BootSegment = { selector: dataSelector, base: 0n, limit: 0xffffffff, access: 0xc093 };
  return {
    es: data,
    cs: code,
    ss: data,
    ds: data,
    fs: data,
    gs: data,
    ldtr: { ...NULL_SEGMENT, access: 0x82 },
    tr: { selector: BOOT_TSS, base: 0n, limit: 0x67, access: 0x8b },
  };
}

type Machine = Pick<BootState, "mode" | "rflags" | "segments" | "cr0" | "cr3" | "cr4" | "efer" | "gdt" | "idt">;

/** Flat 32-bit protected mode without paging, as PVH and Linux's 32-bit protocol start. `gdt` is the address of {@link BOOT_GDT}. */
export function protectedMode(gdt: number): Machine {
  return {
    mode: "protected32",
    rflags: RFLAGS_RESET,
    segments: flatSegments({ selector: BOOT_CS, base: 0n, limit: 0xffffffff, access: 0xc09b }),
    cr0: CR0_PE | CR0_ET,
    cr3: 0n,
    cr4: 0n,
    efer: 0n,
    gdt: { base: BigInt(gdt), limit: BOOT_GDT.length * 8 - 1 },
    idt: { base: 0n, limit: 0 },
  };
}

/** The same as Multiboot starts. `gdt` is the address of {@link MULTIBOOT_GDT}. */
export function multibootMode(gdt: number): Machine {
  const code: BootSegment = { selector: MULTIBOOT_CS, base: 0n, limit: 0xffffffff, access: 0xc09b };
  return { ...protectedMode(gdt), segments: flatSegments(code, MULTIBOOT_DS) };
}

/** 64-bit mode with the page tables at `cr3`. */
export function longMode(gdt: number, cr3: number): Machine {
  return {
    ...protectedMode(gdt),
    mode: "long64",
    segments: flatSegments({ selector: BOOT_CS64, base: 0n, limit: 0xffffffff, access: 0xa09b }),
    cr0: CR0_PE | CR0_ET | CR0_PG,
    cr3: BigInt(cr3),
    cr4: CR4_PAE,
    efer: EFER_LME | EFER_LMA,
  };
}

/**
 * The processor after power-on, about to fetch the reset vector at 0xfffffff0 (SDM volume 3, 'Processor state after reset'): how a firmware
 * image starts. `signature` is CPUID leaf 1's EAX, which EDX holds.
 */
export function biosState(signature = 0x600): BootState {
  const data: BootSegment = { selector: 0, base: 0n, limit: 0xffff, access: 0x93 };
  return {
    kind: "bios",
    entryName: "reset vector",
    mode: "real",
    rip: 0xfff0n,
    rflags: RFLAGS_RESET,
    gprs: gprs({ rdx: BigInt(signature >>> 0) }),
    segments: {
      es: data,
      cs: { selector: 0xf000, base: 0xffff0000n, limit: 0xffff, access: 0x93 },
      ss: data,
      ds: data,
      fs: data,
      gs: data,
      ldtr: { selector: 0, base: 0n, limit: 0xffff, access: 0x82 },
      tr: { selector: 0, base: 0n, limit: 0xffff, access: 0x8b },
    },
    cr0: CR0_CD | CR0_NW | CR0_ET,
    cr3: 0n,
    cr4: 0n,
    efer: 0n,
    gdt: { base: 0n, limit: 0xffff },
    idt: { base: 0n, limit: 0xffff },
    localApic: undefined,
    loaded: [],
    reserved: [],
    memoryMap: [],
    rsdp: 0,
    loadOffset: 0n,
  };
}
