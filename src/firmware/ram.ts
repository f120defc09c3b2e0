import { PCI_HOLE_BASE, CONVENTIONAL_MEMORY_END } from "../devices/board";
import { UserError } from "../common/errors";
import { alignDown, alignUp } from "./bytes";
import { MemoryType, type BootMemory, type MemoryMapEntry, type NamedRange } from "./types";

export const PAGE = 0x1000;
export const MIB = 0x100000;
const HIGH_BASE = 0x100000000;

/** The extended BIOS data area: the last KiB of conventional memory. */
export const EBDA_BASE = CONVENTIONAL_MEMORY_END - 0x400;
/** The system BIOS' segment: RSDP, MP tables, boot GDT and the interrupt stub live here. */
export const BIOS_BASE = 0xf0000;
export const BIOS_END = MIB;
/** Less than this and there is no room for the firmware's tables beside anything else. */
export const MINIMUM_MEMORY = 2 * MIB;

/** Where low RAM ends: all of RAM, or the PCI hole. Whole pages only. */
export const lowRamEnd = (size: number): number => alignDown(Math.min(size, PCI_HOLE_BASE), PAGE);
/** Where RAM above 4 GiB ends; 4 GiB if there is none. */
export const highRamEnd = (size: number): number => HIGH_BASE + alignDown(Math.max(size - PCI_HOLE_BASE, 0), PAGE);

/**
 * The address map of a machine with `size` bytes of RAM, sorted: conventional memory, EBDA, BIOS, RAM up to the firmware's `tables` (which
 * are given in ascending order and end at the end of low RAM), the interrupt controllers' and firmware's addresses below 4 GiB, high RAM.
 */
export function memoryMap(size: number, tables: readonly MemoryMapEntry[]): MemoryMapEntry[] {
  const map: MemoryMapEntry[] = [
    { start: 0, end: EBDA_BASE, type: MemoryType.usable },
    { start: EBDA_BASE, end: CONVENTIONAL_MEMORY_END, type: MemoryType.reserved },
    { start: BIOS_BASE, end: BIOS_END, type: MemoryType.reserved },
    { start: MIB, end: tables[0]?.start ?? lowRamEnd(size), type: MemoryType.usable },
    ...tables,
    { start: 0xfec00000, end: HIGH_BASE, type: MemoryType.reserved },
  ];
  const high = highRamEnd(size);
  if (high > HIGH_BASE) map.push({ start: HIGH_BASE, end: high, type: MemoryType.usable });
  return map;
}

/** Bytes of RAM, rounded up to MiB, that a machine needs so that RAM reaches `end` and the firmware's tables fit above it. */
function mibFor(end: number, tables: number): number {
  return Math.ceil((end >= HIGH_BASE ? end - HIGH_BASE + PCI_HOLE_BASE : end + tables) / MIB);
}

const hex = (value: number): string => `0x${value.toString(16)}`;

/**
 * Hands out RAM for what is loaded, and refuses what cannot be had. Everything that is placed is remembered, so that nothing lands on
 * anything else.
 */
export class RamPlan {
  private readonly taken: NamedRange[] = [];
  /** What was loaded for the guest, in the order of placement. */
  readonly loaded: NamedRange[] = [];

  /** `tablesStart`: where the firmware's tables at the end of low RAM begin. */
  constructor(
    readonly memory: BootMemory,
    readonly tablesStart: number,
    readonly imageName: string,
  ) {}

  /** Bytes of RAM in MiB, rounded down, for messages. */
  get mib(): number {
    return Math.floor(this.memory.size / MIB);
  }

  /**
   * Claims the range that an image insists on.
   * @param what such as "segment 2", for the message.
   * @throws UserError if it is not all in usable RAM.
   */
  claim(start: number, length: number, what: string): void {
    const end = start + length;
    const place = `${this.imageName}: ${what} at ${hex(start)} (${length} bytes)`;
    if (length === 0) return;
    if (start < BIOS_END && end > EBDA_BASE) {
      throw new UserError(
        `${place} overlaps the firmware's area and tables from ${hex(EBDA_BASE)} to ${hex(BIOS_END)}: link it elsewhere.`,
        "program",
      );
    }
    if (start < HIGH_BASE && end > PCI_HOLE_BASE) {
      throw new UserError(`${place} lies in the PCI hole from ${hex(PCI_HOLE_BASE)} to 4 GiB, where there never is RAM.`, "program");
    }
    if (end > (start >= HIGH_BASE ? highRamEnd(this.memory.size) : this.tablesStart)) {
      const tables = lowRamEnd(this.memory.size) - this.tablesStart;
      if (start < HIGH_BASE && end + tables > PCI_HOLE_BASE) {
        throw new UserError(`${place} overlaps the firmware's tables at the end of RAM below the PCI hole.`, "program");
      }
      throw new UserError(`${place} needs ${mibFor(end, tables)} MiB of memory, the machine has ${this.mib}: raise \`memory\`.`, "memory");
    }
    this.keep(start, end, what);
  }

  /**
   * Finds `length` free bytes in [`from`, `to`), which need not be RAM throughout.
   * @param topDown take the highest place, otherwise the lowest.
   * @returns its address, or undefined if there is none.
   */
  find(length: number, alignment: number, from: number, to: number, topDown: boolean): number | undefined {
    const limit = Math.min(to, this.tablesStart);
    const obstacles = [...this.taken, { start: EBDA_BASE, end: BIOS_END }].filter((range) => range.end > from && range.start < limit);
    obstacles.sort((a, b) => a.start - b.start);
    if (topDown) {
      let end = limit;
      for (const range of [...obstacles, { start: from, end: from }].sort((a, b) => b.end - a.end)) {
        const start = alignDown(end - length, alignment);
        if (start >= range.end && start >= from) return start;
        end = Math.min(end, range.start);
      }
      return undefined;
    }
    let start = alignUp(from, alignment);
    for (const range of obstacles) {
      if (start + length <= range.start) return start;
      start = Math.max(start, alignUp(range.end, alignment));
    }
    return start + length <= limit ? start : undefined;
  }

  /** Remembers a range as taken. */
  keep(start: number, end: number, what: string): void {
    const range = { start, end, what };
    this.taken.push(range);
    this.loaded.push(range);
  }

  /** Puts a structure for the guest into free memory: conventional memory if possible, else the highest place below the tables. */
  place(bytes: Uint8Array, alignment: number, what: string): number {
    const length = Math.max(bytes.length, 1);
    const at = this.find(length, alignment, PAGE, EBDA_BASE, true) ?? this.find(length, alignment, MIB, this.tablesStart, true);
    if (at === undefined) throw this.full(what, length);
    this.keep(at, at + length, what);
    this.memory.write(at, bytes);
    return at;
  }

  /** The error for something of `length` bytes that finds no place. */
  full(what: string, length: number, subject = "memory"): UserError {
    return new UserError(
      `${this.imageName}: there is no room in memory for ${what} (${length} bytes) in ${this.mib} MiB: raise \`memory\`.`,
      subject,
    );
  }

  /** Sets `length` bytes at `address` to zero. */
  clear(address: number, length: number): void {
    const zeros = new Uint8Array(Math.min(length, 1 << 20));
    for (let done = 0; done < length; done += zeros.length) {
      this.memory.write(address + done, zeros.subarray(0, Math.min(zeros.length, length - done)));
    }
  }
}
