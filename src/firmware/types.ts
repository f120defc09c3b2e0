/**
 * What direct boot takes and gives: the contract between the firmware folder and the machine.
 * Architectural 64-bit values are bigints; guest-physical addresses of RAM are numbers (RAM ends far below 2^53).
 */

/** Guest RAM as the boot code sees it: contiguous from 0 up to 3 GiB, the rest from 4 GiB up. */
export interface BootMemory {
  /** Bytes of RAM. */
  readonly size: number;
  /** A copy of `length` bytes at guest-physical `address`. */
  read(address: number, length: number): Uint8Array;
  write(address: number, bytes: Uint8Array): void;
  /** A range of RAM that will be written soon, all of it: the host may be told. Nothing changes. */
  expectWrites(address: number, length: number): void;
}

/** A file to put in memory beside the image. */
export interface BootFile {
  readonly bytes: Uint8Array;
  /** As the user named it, for messages and, where the protocol has a module string and no `cmdline` is given, for the guest. */
  readonly name: string;
  /** Command line of the module, where the protocol has one. */
  readonly cmdline?: string;
}

export interface BootRequest {
  readonly image: Uint8Array;
  /** As the user named it, for messages. */
  readonly imageName: string;
  readonly cmdline?: string;
  /** The RAM disk; for Multiboot and PVH the first module. */
  readonly initrd?: BootFile;
  readonly modules?: readonly BootFile[];
  readonly cpus: number;
  /** APIC id of each CPU; the first is the bootstrap processor. */
  readonly apicIds: readonly number[];
  /** Bytes of RAM; the same as the memory's size. */
  readonly memory: number;
  /** Whether the board has an HPET, and so an HPET table. */
  readonly hpet: boolean;
}

export type BootKind = "multiboot1" | "multiboot2" | "linux" | "pvh" | "elf" | "bios";

export type GprName =
  "rax" | "rcx" | "rdx" | "rbx" | "rsp" | "rbp" | "rsi" | "rdi" | "r8" | "r9" | "r10" | "r11" | "r12" | "r13" | "r14" | "r15";

export type SegmentName = "es" | "cs" | "ss" | "ds" | "fs" | "gs" | "ldtr" | "tr";

/** A segment register with its hidden part. */
export interface BootSegment {
  readonly selector: number;
  readonly base: bigint;
  /** In bytes, granularity applied: 0xffffffff for a flat segment. */
  readonly limit: number;
  /**
   * As in the descriptor's second word, shifted right by 8: type, S, DPL and P in bits 0-7, AVL, L, D/B and G in bits 12-15. 0 is a null
   * (unusable) segment.
   */
  readonly access: number;
}

export interface BootTable {
  readonly base: bigint;
  readonly limit: number;
}

/** A guest-physical range [start, end). */
export interface NamedRange {
  readonly start: number;
  readonly end: number;
  readonly what: string;
}

/** Types of the address map, numbered as ACPI and Multiboot do (ACPI 6, table 15.1). */
export const MemoryType = { usable: 1, reserved: 2, acpi: 3, nvs: 4 } as const;
export type MemoryType = (typeof MemoryType)[keyof typeof MemoryType];

export interface MemoryMapEntry {
  readonly start: number;
  readonly end: number;
  readonly type: MemoryType;
}

/** The bootstrap processor's state at the first instruction, and what there is to know about how it came to be. Everything not named is as after reset. */
export interface BootState {
  readonly kind: BootKind;
  /** For people: what the entry point is, such as "Multiboot entry". */
  readonly entryName: string;
  readonly mode: "real" | "protected32" | "long64";
  readonly rip: bigint;
  readonly rflags: bigint;
  /** All sixteen. */
  readonly gprs: Readonly<Record<GprName, bigint>>;
  readonly segments: Readonly<Record<SegmentName, BootSegment>>;
  readonly cr0: bigint;
  readonly cr3: bigint;
  readonly cr4: bigint;
  readonly efer: bigint;
  readonly gdt: BootTable;
  readonly idt: BootTable;
  /**
   * Local APIC of the bootstrap processor as firmware leaves it, in virtual wire mode (MP specification 3.6.2.2): SVR, LVT LINT0 as ExtINT,
   * LVT LINT1 as NMI. Undefined: as after reset.
   */
  readonly localApic: { readonly spurious: number; readonly lint0: number; readonly lint1: number } | undefined;
  /** What was loaded where: segments, modules, boot information. */
  readonly loaded: readonly NamedRange[];
  /** RAM that the guest is told not to use. */
  readonly reserved: readonly NamedRange[];
  /** The address map handed to the guest, sorted, without overlaps. */
  readonly memoryMap: readonly MemoryMapEntry[];
  /** Guest-physical address of the ACPI RSDP; 0 if there is none. */
  readonly rsdp: number;
  /** How far the image was moved from its link address: add to its symbols' addresses. */
  readonly loadOffset: bigint;
}
