import { UserError } from "../common/errors";
import { ImageReader, alignUp } from "./bytes";
import type { RamPlan } from "./ram";

/** What the boot code needs of an ELF executable; everything it says of itself has been checked against the file's size. */
export interface Elf {
  readonly bits: 32 | 64;
  readonly entry: bigint;
  readonly segments: readonly ElfSegment[];
  /** PT_NOTE segments' contents. */
  readonly notes: readonly Uint8Array[];
  readonly sections: ElfSections | undefined;
}

export interface ElfSegment {
  readonly index: number;
  readonly offset: number;
  readonly fileSize: number;
  readonly virtual: bigint;
  readonly physical: number;
  readonly memorySize: number;
}

/** The section header table, for the boot protocols that pass it on. */
export interface ElfSections {
  readonly offset: number;
  readonly count: number;
  readonly entrySize: number;
  readonly names: number;
}

const ELF_MAGIC = 0x464c457f;
const CLASS_64 = 2;
const DATA_LSB = 1;
const ET_EXEC = 2;
const ET_DYN = 3;
const EM_386 = 3;
const EM_X86_64 = 62;
const PT_LOAD = 1;
const PT_NOTE = 4;
/** More program headers than any image has; what a damaged one may claim. */
const MAX_SEGMENTS = 4096;
/** Segment addresses from here on (256 TiB) are no addresses of RAM, and would not survive arithmetic on numbers. */
const ADDRESS_LIMIT = 1n << 48n;

const MACHINES: ReadonlyMap<number, string> = new Map([
  [2, "SPARC"],
  [4, "Motorola 68000"],
  [8, "MIPS"],
  [20, "PowerPC"],
  [21, "64-bit PowerPC"],
  [22, "S/390"],
  [40, "ARM"],
  [42, "SuperH"],
  [50, "Itanium"],
  [183, "AArch64"],
  [243, "RISC-V"],
  [258, "LoongArch"],
]);

export const isElf = (image: ImageReader): boolean => image.u32(0) === ELF_MAGIC;

/**
 * Reads the headers of an ELF executable for x86.
 * @throws UserError naming what is wrong with it.
 */
export function parseElf(image: ImageReader, imageName: string): Elf {
  const bad = (problem: string): UserError => new UserError(`${imageName}: ${problem}`, "program");
  const fileClass = image.u8(4);
  if (!image.has(0, 52) || (fileClass === CLASS_64 && !image.has(0, 64))) {
    throw bad(`the ELF file is truncated: its header does not fit its ${image.length} bytes.`);
  }
  if (fileClass !== 1 && fileClass !== CLASS_64) throw bad(`the ELF file's class ${fileClass} is neither 32 nor 64-bit.`);
  const machine = image.u8(5) === DATA_LSB ? image.u16(18) : (image.u8(18) << 8) | image.u8(19);
  if (machine !== EM_386 && machine !== EM_X86_64) {
    throw bad(`the ELF file is for ${MACHINES.get(machine) ?? `machine type ${machine}`}, not for x86.`);
  }
  if (image.u8(5) !== DATA_LSB) throw bad("the ELF file is big-endian, which x86 is not.");
  const type = image.u16(16);
  if (type === 1) throw bad("this is an object file that has not been linked: link it to an executable.");
  if (type !== ET_EXEC && type !== ET_DYN) throw bad(`the ELF file is of type ${type}, not an executable.`);

  const wide = fileClass === CLASS_64;
  const address = (offset: number): bigint => (wide ? image.u64(offset) : BigInt(image.u32(offset)));
  const entry = address(24);
  const headers = address(wide ? 32 : 28);
  const headerSize = image.u16(wide ? 54 : 42);
  const count = image.u16(wide ? 56 : 44);
  if (count === 0) throw bad("the ELF file has no program headers: there is nothing to load.");
  if (count > MAX_SEGMENTS) throw bad(`the ELF file claims ${count} program headers: it is damaged.`);
  if (headerSize !== (wide ? 56 : 32)) throw bad(`the ELF file's program headers are ${headerSize} bytes each: it is damaged.`);
  if (headers + BigInt(headerSize * count) > BigInt(image.length)) {
    throw bad(`the ELF file is truncated: its program headers end after its ${image.length} bytes.`);
  }

  const segments: ElfSegment[] = [];
  const notes: Uint8Array[] = [];
  for (let index = 0; index < count; index++) {
    const at = Number(headers) + index * headerSize;
    const kind = image.u32(at);
    if (kind !== PT_LOAD && kind !== PT_NOTE) continue;
    const offset = address(at + (wide ? 8 : 4));
    const virtual = address(at + (wide ? 16 : 8));
    const physical = address(at + (wide ? 24 : 12));
    const fileSize = address(at + (wide ? 32 : 16));
    const memorySize = address(at + (wide ? 40 : 20));
    if (offset + fileSize > BigInt(image.length)) {
      throw bad(
        `the ELF file is truncated: segment ${index} takes ${fileSize} bytes at offset ${offset}, the file has ${image.length} bytes.`,
      );
    }
    if (kind === PT_NOTE) {
      notes.push(image.slice(Number(offset), Number(fileSize)));
      continue;
    }
    if (memorySize === 0n) continue;
    if (fileSize > memorySize) throw bad(`segment ${index} of the ELF file is larger in the file than in memory: it is damaged.`);
    if (physical + memorySize > ADDRESS_LIMIT) {
      throw bad(
        `segment ${index} is to be loaded at 0x${physical.toString(16)}, where there is no RAM: give it a physical address (AT in the linker script).`,
      );
    }
    segments.push({
      index,
      offset: Number(offset),
      fileSize: Number(fileSize),
      virtual,
      physical: Number(physical),
      memorySize: Number(memorySize),
    });
  }
  if (segments.length === 0) throw bad("the ELF file has no segment to load.");
  if (type === ET_DYN && Math.min(...segments.map((segment) => segment.physical)) < 0x1000) {
    throw bad("the ELF file is position-independent and names no address to be loaded at: link it without -pie at a fixed address.");
  }
  return { bits: wide ? 64 : 32, entry, segments, notes, sections: parseSections(image, wide) };
}

function parseSections(image: ImageReader, wide: boolean): ElfSections | undefined {
  const offset = wide ? image.u64(40) : BigInt(image.u32(32));
  const entrySize = image.u16(wide ? 58 : 46);
  const count = image.u16(wide ? 60 : 48);
  const names = image.u16(wide ? 62 : 50);
  // Sections are an extra that loading does without: a file whose table is damaged or stripped boots all the same.
  if (count === 0 || entrySize !== (wide ? 64 : 40) || offset + BigInt(count * entrySize) > BigInt(image.length)) return undefined;
  return { offset: Number(offset), count, entrySize, names };
}

/** Physical bounds [start, end) of what is loaded. */
export function elfExtent(elf: Elf): { start: number; end: number } {
  return {
    start: Math.min(...elf.segments.map((segment) => segment.physical)),
    end: Math.max(...elf.segments.map((segment) => segment.physical + segment.memorySize)),
  };
}

/** Loads the segments at their physical addresses moved by `offset`, with the rest of each zeroed. */
export function loadElf(elf: Elf, image: ImageReader, plan: RamPlan, offset = 0): void {
  for (const segment of elf.segments) plan.claim(segment.physical + offset, segment.memorySize, `segment ${segment.index}`);
  const total = elf.segments.reduce((sum, segment) => sum + segment.memorySize, 0);
  // Segments that overlap are odd but allowed; ones that overlap so much that zeroing them takes for ever are an attack.
  if (total > plan.memory.size) {
    throw new UserError(`${plan.imageName}: the segments of the ELF file overlap each other: it is damaged.`, "program");
  }
  for (const segment of elf.segments) {
    const at = segment.physical + offset;
    plan.memory.write(at, image.slice(segment.offset, segment.fileSize));
    plan.clear(at + segment.fileSize, segment.memorySize - segment.fileSize);
  }
}

/**
 * The physical address of the entry point, for protocols that start without paging: kernels linked high name a virtual address that lies in
 * one of their segments.
 */
export function physicalEntry(elf: Elf, imageName: string): number {
  for (const segment of elf.segments) {
    const delta = elf.entry - segment.virtual;
    if (delta >= 0n && delta < BigInt(segment.memorySize)) return segment.physical + Number(delta);
  }
  for (const segment of elf.segments) {
    const delta = elf.entry - BigInt(segment.physical);
    if (delta >= 0n && delta < BigInt(segment.memorySize)) return Number(elf.entry);
  }
  throw new UserError(`${imageName}: the entry point 0x${elf.entry.toString(16)} of the ELF file lies in none of its segments.`, "program");
}

const SHT_SYMTAB = 2;
const SHT_STRTAB = 3;
const SHF_ALLOC = 2;
/** Symbol and string tables that are copied: a linked file has three. */
const MAX_COPIED_SECTIONS = 16;

/**
 * Copies the section header table into guest memory, and the symbol and string tables with it, whose headers then say where they are. Other
 * sections that are not loaded, debugging information mostly, keep address 0.
 * @returns the table's bytes and entry counts, headers already moved by `offset`.
 */
export function placeSections(
  elf: Elf,
  sections: ElfSections,
  image: ImageReader,
  plan: RamPlan,
  offset: number,
): { table: Uint8Array; count: number; entrySize: number; names: number } {
  const wide = elf.bits === 64;
  const table = image.slice(sections.offset, sections.count * sections.entrySize).slice();
  const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
  let copied = 0;
  for (let index = 0; index < sections.count; index++) {
    const at = index * sections.entrySize;
    const type = view.getUint32(at + 4, true);
    const flags = view.getUint32(at + 8, true);
    const addressAt = at + (wide ? 16 : 12);
    const put = (address: bigint): void =>
      wide ? view.setBigUint64(addressAt, address, true) : view.setUint32(addressAt, Number(BigInt.asUintN(32, address)), true);
    const current = wide ? view.getBigUint64(addressAt, true) : BigInt(view.getUint32(addressAt, true));
    if ((flags & SHF_ALLOC) !== 0) {
      if (offset !== 0) put(current + BigInt(offset));
      continue;
    }
    if (current !== 0n || (type !== SHT_SYMTAB && type !== SHT_STRTAB)) continue;
    const from = Number(wide ? view.getBigUint64(at + 24, true) : BigInt(view.getUint32(at + 16, true)));
    const size = Number(wide ? view.getBigUint64(at + 32, true) : BigInt(view.getUint32(at + 20, true)));
    if (size === 0 || !image.has(from, size) || copied++ >= MAX_COPIED_SECTIONS) continue;
    const { end } = elfExtent(elf);
    const place = plan.find(size, 16, alignUp(end + offset, 16), plan.tablesStart, false);
    // Symbols are a courtesy: a machine with little memory boots without them.
    if (place === undefined) continue;
    plan.keep(place, place + size, "ELF section");
    plan.memory.write(place, image.slice(from, size));
    put(BigInt(place));
  }
  return { table, count: sections.count, entrySize: sections.entrySize, names: sections.names };
}
