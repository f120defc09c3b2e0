import { UserError } from "../../machine/errors";
import { ByteReader, hex } from "./bytes";
import type { AddressRange } from "./intervals";
import { placeSections, Relocations, type SectionAddresses } from "./relocations";
import { bytesOf, MemorySource, PartSource, toSource, type ByteSource } from "./source";

/** How sections are compressed (ELFCOMPRESS_ZLIB, ELFCOMPRESS_ZSTD). */
export type Compression = "zlib" | "zstd";

/**
 * Unpacks data to exactly `size` bytes; the host provides it (Node: zlib.inflateSync; browsers: a library). Undefined: it has nothing for this kind of
 * compression. Throws for damaged data.
 */
export type Inflate = (data: Uint8Array, size: number, kind: Compression) => Uint8Array | undefined;

export interface ElfSection {
  readonly index: number;
  readonly name: string;
  readonly type: number;
  readonly flags: bigint;
  readonly address: bigint;
  readonly offset: number;
  readonly size: number;
  readonly link: number;
  readonly info: number;
  readonly align: bigint;
  readonly entrySize: number;
}

export interface ElfSegment {
  readonly type: number;
  readonly flags: number;
  readonly offset: number;
  readonly virtualAddress: bigint;
  readonly physicalAddress: bigint;
  readonly fileSize: number;
  readonly memorySize: bigint;
}

export interface ElfSymbol {
  readonly name: string;
  readonly address: bigint;
  readonly size: bigint;
  readonly kind: "function" | "object" | "none";
  readonly binding: "local" | "global" | "weak";
  /** Section header index, or SHN_ABS (0xfff1). */
  readonly section: number;
}

export interface ElfNote {
  readonly name: string;
  readonly type: number;
  readonly data: Uint8Array;
}

export const SectionType = { Symtab: 2, Nobits: 8, Note: 7, Dynsym: 11 } as const;
export const SectionFlag = { Write: 1n, Alloc: 2n, Exec: 4n, Compressed: 0x800n } as const;
export const SegmentType = { Load: 1, Note: 4 } as const;
export const ElfType = { Relocatable: 1, Executable: 2, Shared: 3 } as const;

const machine386 = 3;
const machineX8664 = 62;
const noteBuildId = 3;
const symbolAbsolute = 0xfff1;
/** Expansion beyond these factors is damage (or an attempt to exhaust memory): zlib cannot do more, and debug information is not that empty. */
const maximumExpansion = 1100;
/** What a section may unpack to. */
const maximumUnpacked = 2 ** 31 - 1;

/** Whether `content` begins with the ELF magic number. */
export function isElf(content: Uint8Array | ByteSource): boolean {
  const bytes = content instanceof Uint8Array ? content : bytesOf(content, 0, 4);
  return bytes.length >= 4 && bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46;
}

/**
 * A little-endian ELF32 or ELF64 file for x86. Headers are checked once on construction: any section or segment that does not lie in
 * the file is a {@link UserError} naming the file. Section data are views of the file's bytes, except when compressed.
 */
export class ElfFile {
  readonly bits: 32 | 64;
  /** True for x86-64 code (an ELF32 file may hold it: x32, some boot loaders). */
  readonly isX8664: boolean;
  readonly type: number;
  readonly entry: bigint;
  readonly sections: readonly ElfSection[];
  readonly segments: readonly ElfSegment[];
  private codeCache: readonly AddressRange[] | undefined;
  private symbolCache: readonly ElfSymbol[] | undefined;
  private readonly source: ByteSource;

  private readonly relocations: Relocations | undefined;
  private readonly patchedCache = new Map<ElfSection, Uint8Array>();

  /**
   * Parses the headers of `content`, which is read in parts as they are needed; `name` is the file's name for errors. `inflate` is needed for compressed debug sections
   * only, `places` for unlinked files: where their sections lie, as far as that is known ({@link placeSections}).
   */
  constructor(
    content: Uint8Array | ByteSource,
    readonly name: string,
    private readonly inflate?: Inflate,
    places: SectionAddresses = new Map(),
  ) {
    this.source = toSource(content);
    const bytes = this.source;
    if (!isElf(bytes)) throw new UserError(`${name} is not an ELF file.`, name);
    const reader = new ByteReader(bytes, name, "the ELF header", 4);
    const elfClass = reader.u8();
    const encoding = reader.u8();
    if (elfClass !== 1 && elfClass !== 2) throw new UserError(`${name} is damaged: ELF class ${elfClass} does not exist.`, name);
    if (encoding !== 1) throw new UserError(`${name} is a big-endian ELF file, not one for x86.`, name);
    this.bits = elfClass === 2 ? 64 : 32;
    const word = this.bits / 8;
    reader.pos = 16;
    this.type = reader.u16();
    const machine = reader.u16();
    if (machine !== machine386 && machine !== machineX8664)
      throw new UserError(`${name} is an ELF file for machine type ${machine}, not for x86.`, name);
    this.isX8664 = machine === machineX8664;
    reader.skip(4);
    this.entry = reader.unsigned(word);
    const segmentOffset = reader.offset(word);
    const sectionOffset = reader.offset(word);
    reader.skip(6);
    const segmentSize = reader.u16();
    const segmentCount = reader.u16();
    const sectionSize = reader.u16();
    const sectionCount = reader.u16();
    const nameSection = reader.u16();
    const sections = this.readSections(sectionOffset, sectionSize, sectionCount, nameSection);
    this.sections = this.isUnlinked ? placeSections(sections, places) : sections;
    if (this.isUnlinked)
      this.relocations = new Relocations({
        ...{ name, bits: this.bits, isX8664: this.isX8664, sections: this.sections },
        content: (section) => this.sectionSource(section),
      });
    this.segments = this.readSegments(segmentOffset, segmentSize, segmentCount);
  }

  /** An object file that no linker has given addresses, such as a kernel module. */
  get isUnlinked(): boolean {
    return this.type === ElfType.Relocatable;
  }

  private table(what: string, offset: number, entrySize: number, minimum: number, count: number): void {
    if (entrySize < minimum) throw new UserError(`${this.name} is damaged: entries of ${what} have ${entrySize} bytes.`, this.name);
    this.inFile(what, offset, entrySize * count);
  }

  private inFile(what: string, offset: number, size: number): void {
    if (size > 0 && offset + size > this.source.size)
      throw new UserError(
        `${this.name} is cut short or damaged: ${what} should end at byte ${hex(offset + size)}, but the file has only ${hex(this.source.size)} bytes.`,
        this.name,
      );
  }

  private readSections(offset: number, entrySize: number, count: number, nameIndex: number): ElfSection[] {
    if (offset === 0) return [];
    const minimum = this.bits === 64 ? 64 : 40;
    this.table("the section table", offset, entrySize, minimum, Math.max(count, 1));
    const first = this.readSection(offset, 0);
    // More sections than 16 bits can count: the true numbers are in section 0 (System V ABI, "extended section numbering").
    const total = count === 0 ? first.size : count;
    const names = nameIndex === 0xffff ? first.link : nameIndex;
    this.table("the section table", offset, entrySize, minimum, total);
    const raw = Array.from({ length: total }, (_, index) => this.readSection(offset + index * entrySize, index));
    for (const section of raw)
      if (section.type !== SectionType.Nobits && section.type !== 0) this.inFile(`section ${section.index}`, section.offset, section.size);
    if (names === 0) return raw.map((section) => ({ ...section, name: "" }));
    if (names >= raw.length || raw[names].type === SectionType.Nobits)
      throw new UserError(`${this.name} is damaged: section ${names}, which should hold the section names, does not exist.`, this.name);
    const strings = new ByteReader(bytesOf(this.source, raw[names].offset, raw[names].size), this.name, "the section name table");
    return raw.map((section) => ({ ...section, name: section.type === 0 ? "" : stringAt(strings, section.nameOffset) }));
  }

  private readSection(offset: number, index: number): ElfSection & { nameOffset: number } {
    const reader = new ByteReader(this.source, this.name, "the section table", offset);
    const word = this.bits / 8;
    const nameOffset = reader.u32();
    const type = reader.u32();
    const flags = reader.unsigned(word);
    const address = reader.unsigned(word);
    // A section without data in the file may claim any offset and size: nothing is ever read there.
    const dataOffset = reader.unsigned(word);
    const size = reader.unsigned(word);
    const link = reader.u32();
    const info = reader.u32();
    const align = reader.unsigned(word);
    const entrySize = Number(reader.unsigned(word));
    return {
      index,
      name: "",
      nameOffset,
      type,
      flags,
      address,
      offset: Number(dataOffset),
      size: Number(size),
      link,
      info,
      align,
      entrySize,
    };
  }

  private readSegments(offset: number, entrySize: number, count: number): ElfSegment[] {
    if (offset === 0 || count === 0) return [];
    // 0xffff means that section 0's info holds the count.
    const total = count === 0xffff && this.sections.length > 0 ? this.sections[0].info : count;
    this.table("the program header table", offset, entrySize, this.bits === 64 ? 56 : 32, total);
    return Array.from({ length: total }, (_, index) => {
      const segment = this.readSegment(offset + index * entrySize);
      if (segment.type === SegmentType.Load && !this.keepsDebugOnly()) this.inFile(`segment ${index}`, segment.offset, segment.fileSize);
      return segment;
    });
  }

  /** Files of `objcopy --only-keep-debug` keep the program headers of the stripped code: their extents lie outside the file. */
  private keepsDebugOnly(): boolean {
    return this.sections.some((section) => (section.flags & SectionFlag.Exec) !== 0n && section.type === SectionType.Nobits);
  }

  private readSegment(offset: number): ElfSegment {
    const reader = new ByteReader(this.source, this.name, "the program header table", offset);
    const word = this.bits / 8;
    const type = reader.u32();
    const flags64 = this.bits === 64 ? reader.u32() : 0;
    const dataOffset = Number(reader.unsigned(word));
    const virtualAddress = reader.unsigned(word);
    const physicalAddress = reader.unsigned(word);
    const fileSize = Number(reader.unsigned(word));
    const memorySize = reader.unsigned(word);
    const flags = this.bits === 64 ? flags64 : reader.u32();
    return { type, flags, offset: dataOffset, virtualAddress, physicalAddress, fileSize, memorySize };
  }

  /** The first section called `name`. */
  section(name: string): ElfSection | undefined {
    return this.sections.find((section) => section.name === name);
  }

  /** Whether `address` (as linked) lies in a section or segment that is executed. */
  isCode(address: bigint): boolean {
    this.codeCache ??= this.codeRanges();
    return this.codeCache.some(({ low, high }) => low <= address && address < high);
  }

  private codeRanges(): AddressRange[] {
    const sections = this.sections.filter((section) => (section.flags & SectionFlag.Exec) !== 0n);
    if (this.sections.length > 0) return sections.map(({ address, size }) => ({ low: address, high: address + BigInt(size) }));
    const segments = this.segments.filter((segment) => (segment.flags & 1) !== 0);
    return segments.map(({ virtualAddress, memorySize }) => ({ low: virtualAddress, high: virtualAddress + memorySize }));
  }

  /** The content of a section, unpacked if it is compressed; empty for sections without data in the file. */
  data(section: ElfSection): Uint8Array {
    return bytesOf(this.sectionSource(section));
  }

  /** The content of a section, read from the file as it is needed; compressed ones are unpacked as a whole. */
  sectionSource(section: ElfSection): ByteSource {
    if (section.type === SectionType.Nobits || section.type === 0) return new MemorySource(new Uint8Array(0));
    const raw = new PartSource(this.source, section.offset, section.size);
    if ((section.flags & SectionFlag.Compressed) === 0n) return raw;
    const reader = new ByteReader(raw, this.name, `the compressed section ${section.name}`);
    const kind = reader.u32();
    if (this.bits === 64) reader.skip(4);
    const size = reader.offset(this.bits / 8);
    reader.skip(this.bits / 8);
    if (kind !== 1 && kind !== 2)
      throw new UserError(
        `${this.name} has section ${section.name} compressed by method ${kind}; only zlib (1) and zstd (2) are read. Rebuild with -gz=none.`,
        this.name,
      );
    return new MemorySource(this.decompress(section.name, bytesOf(raw, reader.pos), size, kind === 1 ? "zlib" : "zstd"));
  }

  private decompress(section: string, packed: Uint8Array, size: number, kind: Compression): Uint8Array {
    if (this.inflate === undefined)
      throw new UserError(`${this.name} has compressed debug sections, which cannot be read here; rebuild with -gz=none.`, this.name);
    const wrong = (): UserError =>
      new UserError(`${this.name} is damaged: the compressed section ${section} cannot be inflated.`, this.name);
    if (size > maximumUnpacked || size > packed.length * maximumExpansion) throw wrong();
    let inflated: Uint8Array | undefined;
    try {
      inflated = this.inflate(packed, size, kind);
    } catch {
      throw wrong();
    }
    if (inflated === undefined)
      throw new UserError(
        `${this.name} has debug sections compressed by ${kind}, which this Node.js (before 22.15) cannot unpack; rebuild with -gz=zlib, or unpack them by objcopy --decompress-debug-sections.`,
        this.name,
      );
    if (inflated.length !== size) throw wrong();
    return inflated;
  }

  /** The content of the debug section `.NAME` (also under its old compressed name `.zNAME`), or undefined when there is none. */
  debugSection(name: string): ByteSource | undefined {
    const section = this.section(`.${name}`);
    if (section !== undefined) {
      if (section.type === SectionType.Nobits) return undefined;
      const data = this.sectionSource(section);
      return this.relocations?.apply(section, data) ?? data;
    }
    const old = this.section(`.z${name}`);
    if (old === undefined) return undefined;
    const raw = this.data(old);
    if (raw.length < 12 || String.fromCharCode(...raw.subarray(0, 4)) !== "ZLIB")
      throw new UserError(`${this.name} is damaged: the compressed section ${old.name} has no header.`, this.name);
    const size = Number(new DataView(raw.buffer, raw.byteOffset, raw.byteLength).getBigUint64(4, false));
    return new MemorySource(this.decompress(old.name, raw.subarray(12), size, "zlib"));
  }

  /** Defined function, object and untyped symbols of the symbol table (the dynamic one when that is all there is), in file order. */
  symbols(): readonly ElfSymbol[] {
    this.symbolCache ??= this.readSymbols();
    return this.symbolCache;
  }

  private readSymbols(): ElfSymbol[] {
    const table =
      this.sections.find((section) => section.type === SectionType.Symtab) ??
      this.sections.find((section) => section.type === SectionType.Dynsym);
    if (table === undefined) return [];
    const minimum = this.bits === 64 ? 24 : 16;
    const entrySize = table.entrySize === 0 ? minimum : table.entrySize;
    if (entrySize < minimum)
      throw new UserError(`${this.name} is damaged: entries of the symbol table have ${entrySize} bytes.`, this.name);
    if (table.link >= this.sections.length)
      throw new UserError(`${this.name} is damaged: the symbol table has no string table.`, this.name);
    const strings = new ByteReader(this.data(this.sections[table.link]), this.name, "the symbol string table");
    const reader = new ByteReader(this.data(table), this.name, "the symbol table");
    const found: ElfSymbol[] = [];
    for (let offset = 0; offset + entrySize <= reader.end; offset += entrySize) {
      reader.pos = offset;
      const symbol = this.readSymbol(reader, strings);
      if (symbol !== undefined) found.push(symbol);
    }
    return found;
  }

  private readSymbol(reader: ByteReader, strings: ByteReader): ElfSymbol | undefined {
    const wide = this.bits === 64;
    const nameOffset = reader.u32();
    const early = wide ? undefined : { address: BigInt(reader.u32()), size: BigInt(reader.u32()) };
    const info = reader.u8();
    reader.skip(1);
    const section = reader.u16();
    const { address, size } = early ?? { address: reader.u64(), size: reader.u64() };
    const type = info & 15;
    // Section, file and thread-local symbols and undefined ones name no address of the guest.
    if (
      nameOffset === 0 ||
      section === 0 ||
      (type > 2 && type !== 10) ||
      (section >= 0xff00 && section !== symbolAbsolute && section !== 0xffff)
    )
      return undefined;
    const place = this.isUnlinked && section < this.sections.length ? this.sections[section] : undefined;
    // What is not loaded has no address.
    if (place !== undefined && (place.flags & SectionFlag.Alloc) === 0n) return undefined;
    const kind = type === 2 || type === 10 ? "function" : type === 1 ? "object" : "none";
    const bind = info >> 4;
    return {
      name: stringAt(strings, nameOffset),
      address: address + (place?.address ?? 0n),
      size,
      kind,
      binding: bind === 0 ? "local" : bind === 2 ? "weak" : "global",
      section,
    };
  }

  /** All notes of note sections, or of note segments when the section table was stripped. */
  notes(): ElfNote[] {
    const sections = this.sections.filter((section) => section.type === SectionType.Note).map((section) => this.data(section));
    const segments = this.segments
      .filter((segment) => segment.type === SegmentType.Note && segment.offset + segment.fileSize <= this.source.size)
      .map((segment) => bytesOf(this.source, segment.offset, segment.fileSize));
    const notes: ElfNote[] = [];
    for (const data of sections.length > 0 ? sections : segments) {
      const reader = new ByteReader(data, this.name, "a note section");
      while (reader.end - reader.pos >= 12) {
        const nameSize = reader.u32();
        const dataSize = reader.u32();
        const type = reader.u32();
        const name = String.fromCharCode(...reader.block(Math.min(nameSize, 256)).subarray(0, Math.max(nameSize - 1, 0)));
        if (nameSize > 256) reader.damaged(`a note's name has ${nameSize} bytes`);
        reader.pos = Math.min((reader.pos + 3) & ~3, reader.end);
        notes.push({ name, type, data: reader.block(dataSize) });
        reader.pos = Math.min((reader.pos + 3) & ~3, reader.end);
      }
    }
    return notes;
  }

  /** The linker's build id in hexadecimal, when the file has one. */
  buildId(): string | undefined {
    const note = this.notes().find((entry) => entry.name === "GNU" && entry.type === noteBuildId);
    return note === undefined ? undefined : Array.from(note.data, (byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  /** Where a linked virtual address is loaded physically, as the program headers have it; undefined where they say nothing. */
  physicalAt(address: bigint): bigint | undefined {
    const segment = this.segments.find(
      ({ type, virtualAddress, fileSize }) => type === SegmentType.Load && contains(virtualAddress, BigInt(fileSize), address),
    );
    return segment === undefined ? undefined : segment.physicalAddress + (address - segment.virtualAddress);
  }

  /** File bytes at a linked virtual address, from the segments; undefined where the file has none. */
  bytesAt(address: bigint, size: number): Uint8Array | undefined {
    if (this.keepsDebugOnly()) return undefined;
    if (this.isUnlinked) {
      const found = this.placeIn(address);
      return found === undefined || found.at + size > found.section.size ? undefined : bytesOf(found.data, found.at, size);
    }
    for (const segment of this.segments) {
      if (segment.type !== SegmentType.Load || !contains(segment.virtualAddress, BigInt(segment.fileSize), address)) continue;
      const offset = segment.offset + Number(address - segment.virtualAddress);
      if (offset + size <= Math.min(segment.offset + segment.fileSize, this.source.size)) return bytesOf(this.source, offset, size);
    }
    return undefined;
  }

  private placeIn(address: bigint): { readonly section: ElfSection; readonly at: number; readonly data: ByteSource } | undefined {
    const section = this.sections.find(
      ({ type, flags, address: start, size }) =>
        (flags & SectionFlag.Alloc) !== 0n && type !== SectionType.Nobits && contains(start, BigInt(size), address),
    );
    return section === undefined ? undefined : { section, at: Number(address - section.address), data: this.sectionSource(section) };
  }

  /** Which of the bytes that {@link bytesAt} gives stand otherwise in memory, as relocations write to them; undefined for none. */
  patchedAt(address: bigint, size: number): Uint8Array | undefined {
    const found = this.relocations === undefined ? undefined : this.placeIn(address);
    if (this.relocations === undefined || found === undefined) return undefined;
    let marks = this.patchedCache.get(found.section);
    if (marks === undefined) this.patchedCache.set(found.section, (marks = this.relocations.patched(found.section)));
    return marks.subarray(found.at, found.at + size);
  }

  /** Addresses that a section's content refers to, by where it does: relocations to symbols of this file. */
  *references(section: ElfSection): Generator<{ readonly offset: number; readonly target: bigint }> {
    for (const { offset, symbol, addend } of this.relocations?.of(section) ?? []) {
      const target = this.relocations?.symbolAddress(symbol);
      if (target !== undefined) yield { offset, target: target + (addend ?? 0n) };
    }
  }
}

function contains(start: bigint, size: bigint, address: bigint): boolean {
  return address >= start && address - start < size;
}

function stringAt(strings: ByteReader, offset: number): string {
  return strings.at(offset).cstring();
}
