// Unlinked object files (ELF ET_REL), as kernel modules are: where their sections lie, and what a linker would have written into them.
import type { ElfSection } from "./elf";
import { ByteReader, hex } from "./bytes";
import { bytesOf, MemorySource, type ByteSource } from "./source";

/** Where sections of an unlinked file lie in memory, by name. */
export type SectionAddresses = ReadonlyMap<string, bigint>;

/** No processor has addresses from here to twice as far: here lies what is not in memory, or not known to be. */
export const nowhere = 1n << 62n;
/** Room for one file there. */
const roomOfFile = 1n << 34n;

/** Whether an address is one of those that {@link placeSections} makes up. */
export function isNowhere(address: bigint): boolean {
  return address >= nowhere && address < 2n * nowhere;
}

/** Where file number `index` lies while nobody knows where it is. */
export function placeNowhere(index: number): bigint {
  return nowhere + BigInt(index + 1) * roomOfFile;
}

const allocated = 2n;
/** Alignments beyond a page are not kept: the place is made up anyway. */
const largestAlignment = 4096n;

/**
 * The sections of an unlinked file with the addresses that are known of them. Where none is, all are laid out one behind the other from 0; else those without an
 * address are {@link nowhere}. Of several sections of one name the first has the address.
 */
export function placeSections(sections: readonly ElfSection[], known: SectionAddresses): readonly ElfSection[] {
  let next = known.size === 0 ? 0n : nowhere;
  const taken = new Set<string>();
  return sections.map((section) => {
    if ((section.flags & allocated) === 0n) return section;
    const given = taken.has(section.name) ? undefined : known.get(section.name);
    taken.add(section.name);
    if (given !== undefined) return { ...section, address: given };
    const { align } = section;
    const step = align > largestAlignment ? largestAlignment : align > 0n ? align : 1n;
    const address = ((next + step - 1n) / step) * step;
    next = address + BigInt(section.size);
    return { ...section, address };
  });
}

/** What relocations need of the file. */
export interface RelocatedFile {
  readonly name: string;
  readonly bits: 32 | 64;
  readonly isX8664: boolean;
  readonly sections: readonly ElfSection[];
  /** A section's content as it stands in the file. */
  content(section: ElfSection): ByteSource;
}

const sectionRela = 4;
const sectionRel = 9;

/** How a value is computed and stored. */
interface Kind {
  readonly bytes: 1 | 2 | 4 | 8;
  readonly relative: boolean;
}

const absolute = (bytes: Kind["bytes"]): Kind => ({ bytes, relative: false });
const relative = (bytes: Kind["bytes"]): Kind => ({ bytes, relative: true });

/** System V ABI, AMD64 supplement, 4.4.1: those that stand in debug information and call frames. DTPOFF is where a thread's variable lies in its block. */
const kindsX8664: ReadonlyMap<number, Kind> = new Map([
  [1, absolute(8)],
  [2, relative(4)],
  [4, relative(4)],
  [10, absolute(4)],
  [11, absolute(4)],
  [12, absolute(2)],
  [13, relative(2)],
  [14, absolute(1)],
  [15, relative(1)],
  [17, absolute(8)],
  [21, absolute(4)],
  [24, relative(8)],
]);
/** System V ABI, i386 supplement. */
const kindsI386: ReadonlyMap<number, Kind> = new Map([
  [1, absolute(4)],
  [2, relative(4)],
  [4, relative(4)],
  [20, absolute(2)],
  [21, relative(2)],
  [22, absolute(1)],
  [23, relative(1)],
  [32, absolute(4)],
]);

/** One entry of a relocation table. The addend is undefined where it stands in the section itself (REL). */
interface Relocation {
  readonly offset: number;
  readonly type: number;
  readonly symbol: number;
  readonly addend: bigint | undefined;
}

/** The relocations of an unlinked file's sections. */
export class Relocations {
  private symbolTable: { readonly reader: ByteReader; readonly entrySize: number } | undefined;

  constructor(private readonly file: RelocatedFile) {}

  private tableOf(section: ElfSection): ElfSection | undefined {
    return this.file.sections.find(({ type, info }) => (type === sectionRela || type === sectionRel) && info === section.index);
  }

  /** The relocations of a section, in file order. A section has no more of them than bytes: more is damage. */
  *of(section: ElfSection): Generator<Relocation> {
    const table = this.tableOf(section);
    if (table === undefined) return;
    const { bits, name } = this.file;
    const wide = bits === 64;
    const hasAddend = table.type === sectionRela;
    const size = (wide ? 16 : 8) + (hasAddend ? bits / 8 : 0);
    const reader = new ByteReader(this.file.content(table), name, table.name);
    if (reader.end / size > section.size + 1) reader.damaged(`it has more entries than ${section.name} has bytes`);
    while (reader.end - reader.pos >= size) {
      const offset = reader.offset(bits / 8);
      const info = wide ? reader.u64() : BigInt(reader.u32());
      const addend = hasAddend ? BigInt.asIntN(bits, reader.unsigned(bits / 8)) : undefined;
      const [symbol, type] = wide ? [info >> 32n, info & 0xffff_ffffn] : [info >> 8n, info & 0xffn];
      yield { offset, type: Number(type), symbol: Number(symbol), addend };
    }
  }

  /** The address that symbol `index` stands for; undefined when it is not of this file. */
  symbolAddress(index: number): bigint | undefined {
    const { file } = this;
    const wide = file.bits === 64;
    if (this.symbolTable === undefined) {
      const table = file.sections.find(({ type }) => type === 2);
      const bytes = table === undefined ? new Uint8Array(0) : bytesOf(file.content(table));
      this.symbolTable = { reader: new ByteReader(bytes, file.name, "the symbol table"), entrySize: wide ? 24 : 16 };
    }
    const { reader, entrySize } = this.symbolTable;
    if (index < 0 || (index + 1) * entrySize > reader.end) return reader.damaged(`it has no symbol ${index}`);
    reader.pos = index * entrySize + (wide ? 6 : 14);
    const section = reader.u16();
    reader.pos = index * entrySize + (wide ? 8 : 4);
    const value = reader.unsigned(wide ? 8 : 4);
    if (section === 0xfff1) return value;
    return section === 0 || section >= file.sections.length ? undefined : file.sections[section].address + value;
  }

  /** `data`, the content of `section`, with what a linker would write into it. What refers to other files' symbols stays 0. */
  apply(section: ElfSection, data: ByteSource): ByteSource {
    if (this.tableOf(section) === undefined) return data;
    const { file } = this;
    const kinds = file.isX8664 ? kindsX8664 : kindsI386;
    const bytes = bytesOf(data).slice();
    const view = new DataView(bytes.buffer);
    for (const { offset, type, symbol, addend } of this.of({ ...section, size: bytes.length })) {
      if (type === 0) continue;
      const kind = kinds.get(type);
      const damaged = (why: string): never =>
        new ByteReader(bytes, file.name, `the relocations of ${section.name}`).damaged(`${why} at ${hex(offset)}`);
      if (kind === undefined) {
        damaged(`one is of the unknown type ${type}`);
        continue;
      }
      if (offset + kind.bytes > bytes.length) damaged("one lies outside the section");
      const base = this.symbolAddress(symbol);
      if (base === undefined) continue;
      const value = base + (addend ?? readSigned(view, offset, kind.bytes)) - (kind.relative ? section.address + BigInt(offset) : 0n);
      write(view, offset, kind.bytes, value);
    }
    return new MemorySource(bytes);
  }

  /** The bytes of a section that relocations write to: they differ from the file's in memory. */
  patched(section: ElfSection): Uint8Array {
    const marks = new Uint8Array(section.size);
    const kinds = this.file.isX8664 ? kindsX8664 : kindsI386;
    for (const { offset, type } of this.of(section)) marks.fill(1, offset, offset + (kinds.get(type)?.bytes ?? 4));
    return marks;
  }
}

function readSigned(view: DataView, offset: number, bytes: Kind["bytes"]): bigint {
  switch (bytes) {
    case 1:
      return BigInt(view.getInt8(offset));
    case 2:
      return BigInt(view.getInt16(offset, true));
    case 4:
      return BigInt(view.getInt32(offset, true));
    case 8:
      return view.getBigInt64(offset, true);
  }
}

function write(view: DataView, offset: number, bytes: Kind["bytes"], value: bigint): void {
  switch (bytes) {
    case 1:
      return view.setUint8(offset, Number(BigInt.asUintN(8, value)));
    case 2:
      return view.setUint16(offset, Number(BigInt.asUintN(16, value)), true);
    case 4:
      return view.setUint32(offset, Number(BigInt.asUintN(32, value)), true);
    case 8:
      return view.setBigUint64(offset, BigInt.asUintN(64, value), true);
  }
}
