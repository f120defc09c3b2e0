import { UserError } from "../../../machine/errors";
import { ByteReader, hex } from "../bytes";
import { MemorySource, type ByteSource } from "../source";
import type { Abbreviation } from "./abbrev";
import { findAbbreviation, readAbbreviations, skipAttributes, type AbbreviationTable } from "./abbrev";
import { At, Form, Tag, UnitType } from "./constants";
import type { FormSizes, RawValue } from "./forms";
import { readForm, skipForm } from "./forms";

/** Names of the sections that DWARF 2 to 5 spread over, without their leading dot. */
export const dwarfSectionNames = [
  "debug_info",
  "debug_types",
  "debug_abbrev",
  "debug_line",
  "debug_str",
  "debug_line_str",
  "debug_str_offsets",
  "debug_addr",
  "debug_ranges",
  "debug_rnglists",
  "debug_loc",
  "debug_loclists",
] as const;

export type DwarfSectionName = (typeof dwarfSectionNames)[number];

/** What all units of one file share: sections, abbreviation tables, and a bounded cache of entry tables. */
export class DwarfContext {
  private readonly abbreviations = new Map<number, AbbreviationTable>();
  private readonly tables = new Map<Unit, EntryTable>();
  private cachedEntries = 0;
  /** All units, in file order within each section; filled by the owner. */
  units: readonly Unit[] = [];
  private signatures: ReadonlyMap<bigint, Unit> | undefined;

  constructor(
    readonly file: string,
    private readonly load: (name: DwarfSectionName) => ByteSource | undefined,
  ) {}

  private readonly loaded = new Map<DwarfSectionName, ByteSource>();

  /** The content of a section; empty when the file has none. */
  bytes(name: DwarfSectionName): ByteSource {
    let data = this.loaded.get(name);
    if (data === undefined) {
      data = this.load(name) ?? new MemorySource(new Uint8Array(0));
      this.loaded.set(name, data);
    }
    return data;
  }

  /** A cursor over a section, from `pos`. */
  reader(name: DwarfSectionName, pos = 0): ByteReader {
    return new ByteReader(this.bytes(name), this.file, `.${name}`, pos);
  }

  abbreviationsAt(offset: number): AbbreviationTable {
    let table = this.abbreviations.get(offset);
    if (table === undefined) {
      table = readAbbreviations(this.reader("debug_abbrev", offset));
      this.abbreviations.set(offset, table);
      for (const oldest of this.abbreviations.keys()) {
        if (this.abbreviations.size <= maximumCachedAbbreviations) break;
        this.abbreviations.delete(oldest);
      }
    }
    return table;
  }

  /** The entry table of `unit`, read on first use; those unused for longest are dropped beyond some millions of entries. */
  entries(unit: Unit): EntryTable {
    let table = this.tables.get(unit);
    if (table === undefined) {
      table = unit.readEntries();
      this.cachedEntries += table.offsets.length;
    } else this.tables.delete(unit);
    this.tables.set(unit, table);
    for (const [oldest, entries] of this.tables) {
      if (this.cachedEntries <= maximumCachedEntries || oldest === unit) break;
      this.tables.delete(oldest);
      this.cachedEntries -= entries.offsets.length;
    }
    return table;
  }

  /** The unit of `.debug_info` that contains `offset`. */
  unitAt(offset: number): Unit | undefined {
    let low = 0;
    let high = this.units.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const unit = this.units[middle];
      if (unit.section === "debug_info" && unit.offset <= offset) low = middle + 1;
      else high = middle;
    }
    const unit = low > 0 ? this.units[low - 1] : undefined;
    return unit !== undefined && offset < unit.end ? unit : undefined;
  }

  typeUnit(signature: bigint): Unit | undefined {
    this.signatures ??= new Map(this.units.filter((unit) => unit.typeOffset > 0).map((unit) => [unit.signature, unit]));
    return this.signatures.get(signature);
  }
}

const maximumCachedEntries = 2_000_000;
/** Tables of abbreviations, of which each unit of a kernel has one with some hundreds. */
const maximumCachedAbbreviations = 64;
/** Entries nest only so deep in any sane program (C++ and Rust namespaces, blocks): more is damage. */
const maximumDepth = 1024;

/** The entries (DIEs) of a unit in preorder; index 0 is the unit's own. */
export interface EntryTable {
  /** Section offset of each entry. */
  readonly offsets: readonly number[];
  /** Section offset of each entry's first attribute. */
  readonly starts: readonly number[];
  readonly abbreviations: readonly Abbreviation[];
  /** Index of the parent; -1 for the unit's own entry. */
  readonly parents: readonly number[];
  /** Index after the entry's last descendant. */
  readonly ends: readonly number[];
}

/** One compilation, partial or type unit. */
export class Unit implements FormSizes {
  private rootCache: UnitRoot | undefined;

  constructor(
    readonly context: DwarfContext,
    readonly section: "debug_info" | "debug_types",
    /** Offset of the unit's header in its section. */
    readonly offset: number,
    readonly end: number,
    readonly version: number,
    readonly offsetSize: number,
    readonly addressSize: number,
    readonly unitType: number,
    private readonly abbreviationOffset: number,
    /** Offset of the first entry in the section. */
    readonly firstEntry: number,
    readonly signature: bigint,
    /** For type units, the offset of the type's entry relative to the unit; else 0. */
    readonly typeOffset: number,
  ) {}

  reader(pos: number): ByteReader {
    return new ByteReader(this.context.bytes(this.section), this.context.file, `.${this.section}`, pos, this.end);
  }

  /** Attributes of the unit itself, read without parsing the rest. */
  get root(): UnitRoot {
    this.rootCache ??= new UnitRoot(this);
    return this.rootCache;
  }

  get entries(): EntryTable {
    return this.context.entries(this);
  }

  /** The abbreviation and attribute position of the entry at section offset `offset`. */
  abbreviationAt(reader: ByteReader): Abbreviation | undefined {
    const at = reader.pos;
    const code = reader.uleb();
    if (code === 0) return undefined;
    const abbreviation = this.context.abbreviationsAt(this.abbreviationOffset).get(code);
    return abbreviation ?? reader.damaged(`the entry at ${hex(at)} has the unknown abbreviation ${code}`);
  }

  /** The abbreviation of the unit's own entry, without a table of the others. */
  rootAbbreviation(reader: ByteReader): Abbreviation | undefined {
    const code = reader.uleb();
    return code === 0 ? undefined : findAbbreviation(this.context.reader("debug_abbrev", this.abbreviationOffset), code);
  }

  /** Parses the positions of all entries. Use {@link entries}, which caches. */
  readEntries(): EntryTable {
    const reader = this.reader(this.firstEntry);
    const offsets: number[] = [];
    const starts: number[] = [];
    const abbreviations: Abbreviation[] = [];
    const parents: number[] = [];
    const ends: number[] = [];
    const open: number[] = [];
    while (!reader.atEnd) {
      const at = reader.pos;
      const abbreviation = this.abbreviationAt(reader);
      if (abbreviation === undefined) {
        const closed = open.pop();
        if (closed !== undefined) ends[closed] = offsets.length;
        if (open.length === 0) break;
        continue;
      }
      const index = offsets.length;
      offsets.push(at);
      starts.push(reader.pos);
      abbreviations.push(abbreviation);
      parents.push(open.length === 0 ? -1 : open[open.length - 1]);
      ends.push(index + 1);
      skipAttributes(reader, abbreviation, this);
      if (abbreviation.hasChildren) open.push(index);
      else if (open.length === 0) break;
      if (open.length > maximumDepth) reader.damaged("entries nest without end");
    }
    for (const index of open) ends[index] = offsets.length;
    if (offsets.length === 0) reader.damaged(`the unit at ${hex(this.offset)} is empty`);
    return { offsets, starts, abbreviations, parents, ends };
  }

  entry(index: number): Entry {
    return new Entry(this, index);
  }

  /** The entry at section offset `offset`, if one begins there. */
  entryAt(offset: number): Entry | undefined {
    const { offsets } = this.entries;
    let low = 0;
    let high = offsets.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (offsets[middle] < offset) low = middle + 1;
      else high = middle;
    }
    return low < offsets.length && offsets[low] === offset ? new Entry(this, low) : undefined;
  }

  /** The string that a string attribute stands for. */
  string(raw: RawValue): string | undefined {
    switch (raw.kind) {
      case "string":
        return raw.value;
      case "stringOffset":
        return this.context.reader(raw.section, raw.offset).cstring();
      case "stringIndex": {
        const offset = this.context
          .reader("debug_str_offsets", this.root.stringOffsetsBase + raw.index * this.offsetSize)
          .offset(this.offsetSize);
        return this.context.reader("debug_str", offset).cstring();
      }
      default:
        return undefined;
    }
  }

  /** Entry `index` of this unit's part of .debug_addr. */
  indexedAddress(index: number): bigint {
    return this.context.reader("debug_addr", this.root.addressBase + index * this.addressSize).unsigned(this.addressSize);
  }

  address(raw: RawValue): bigint | undefined {
    if (raw.kind === "address") return raw.value;
    return raw.kind === "addressIndex" ? this.indexedAddress(raw.index) : undefined;
  }

  /** The unit and section offset that a reference attribute points at. */
  placeOf(raw: RawValue): { readonly unit: Unit; readonly offset: number } | undefined {
    switch (raw.kind) {
      case "reference": {
        if (!raw.global) return { unit: this, offset: this.offset + raw.offset };
        const unit = this.context.unitAt(raw.offset);
        return unit === undefined ? undefined : { unit, offset: raw.offset };
      }
      case "signature": {
        const unit = this.context.typeUnit(raw.value);
        return unit === undefined ? undefined : { unit, offset: unit.offset + unit.typeOffset };
      }
      default:
        return undefined;
    }
  }

  /** The entry that a reference attribute points at. */
  resolve(raw: RawValue): Entry | undefined {
    const place = this.placeOf(raw);
    return place?.unit.entryAt(place.offset);
  }
}

/** The attributes of a unit's own entry. */
export class UnitRoot {
  readonly tag: number;
  readonly name: string;
  readonly directory: string;
  readonly language: number;
  /** Offset of the line program in .debug_line, if the unit has one. */
  readonly lineOffset: number | undefined;
  readonly low: bigint | undefined;
  readonly high: bigint | undefined;
  readonly ranges: RawValue | undefined;
  readonly stringOffsetsBase: number;
  readonly addressBase: number;
  readonly rangeListsBase: number;
  readonly locationListsBase: number;
  /** Whether the unit's entries stand in a separate .dwo file. */
  readonly isSplit: boolean;

  constructor(unit: Unit) {
    const reader = unit.reader(unit.firstEntry);
    const abbreviation = unit.rootAbbreviation(reader) ?? reader.damaged(`the unit at ${hex(unit.offset)} is empty`);
    const values = new Map<number, RawValue>();
    for (const spec of abbreviation.attributes) values.set(spec.name, readForm(reader, spec.form, spec.implicit, unit));
    const offset = (name: number, otherwise: number): number => sectionOffset(values.get(name)) ?? otherwise;
    const headerSize = unit.offsetSize === 8 ? 16 : 8;
    this.tag = abbreviation.tag;
    this.stringOffsetsBase = offset(At.str_offsets_base, headerSize);
    this.addressBase = offset(At.addr_base, headerSize);
    this.rangeListsBase = offset(At.rnglists_base, headerSize + 4);
    this.locationListsBase = offset(At.loclists_base, headerSize + 4);
    this.lineOffset = sectionOffset(values.get(At.stmt_list));
    const language = values.get(At.language);
    this.language = language?.kind === "constant" ? Number(language.value) : 0;
    this.isSplit =
      unit.unitType >= UnitType.skeleton ||
      values.has(At.dwo_name) ||
      values.has(At.gnu_dwo_name) ||
      abbreviation.tag === Tag.skeleton_unit;
    // Names and addresses may need the bases, which are attributes of the same entry: only now can they be resolved.
    const bases = { version: unit.version, stringBase: this.stringOffsetsBase, addressBase: this.addressBase };
    this.name = this.text(unit, values.get(At.name), bases.stringBase);
    this.directory = this.text(unit, values.get(At.comp_dir), bases.stringBase);
    this.ranges = values.get(At.ranges);
    this.low = this.code(unit, values.get(At.low_pc), bases.addressBase);
    const high = values.get(At.high_pc);
    this.high = high?.kind === "constant" && this.low !== undefined ? this.low + high.value : this.code(unit, high, bases.addressBase);
  }

  private text(unit: Unit, raw: RawValue | undefined, base: number): string {
    if (raw === undefined || this.isSplit) return "";
    if (raw.kind !== "stringIndex") return unit.string(raw) ?? "";
    const offset = unit.context.reader("debug_str_offsets", base + raw.index * unit.offsetSize).offset(unit.offsetSize);
    return unit.context.reader("debug_str", offset).cstring();
  }

  private code(unit: Unit, raw: RawValue | undefined, base: number): bigint | undefined {
    if (raw === undefined || this.isSplit) return undefined;
    if (raw.kind !== "addressIndex") return unit.address(raw);
    return unit.context.reader("debug_addr", base + raw.index * unit.addressSize).unsigned(unit.addressSize);
  }
}

/** An offset into another section; DWARF 2 and 3 wrote those as plain constants. */
export function sectionOffset(raw: RawValue | undefined): number | undefined {
  if (raw?.kind === "sectionOffset") return raw.offset;
  return raw?.kind === "constant" && raw.value >= 0n && raw.value <= 0xffff_ffffn ? Number(raw.value) : undefined;
}

/** A handle on one debugging information entry. */
export class Entry {
  constructor(
    readonly unit: Unit,
    readonly index: number,
  ) {}

  private get table(): EntryTable {
    return this.unit.entries;
  }

  get tag(): number {
    return this.table.abbreviations[this.index].tag;
  }

  /** Section offset: identifies the entry within its section. */
  get offset(): number {
    return this.table.offsets[this.index];
  }

  get parent(): Entry | undefined {
    const parent = this.table.parents[this.index];
    return parent < 0 ? undefined : new Entry(this.unit, parent);
  }

  *children(): Generator<Entry> {
    const { ends } = this.table;
    const end = ends[this.index];
    for (let child = this.index + 1; child < end; child = ends[child]) yield new Entry(this.unit, child);
  }

  /** The raw value of attribute `name`, if the entry has it. */
  raw(name: number): RawValue | undefined {
    const table = this.table;
    const { attributes } = table.abbreviations[this.index];
    const position = attributes.findIndex((spec) => spec.name === name);
    if (position < 0) return undefined;
    const reader = this.unit.reader(table.starts[this.index]);
    for (let i = 0; i < position; i++) skipForm(reader, attributes[i].form, this.unit);
    return readForm(reader, attributes[position].form, attributes[position].implicit, this.unit);
  }

  has(name: number): boolean {
    return this.table.abbreviations[this.index].attributes.some((spec) => spec.name === name);
  }

  /** The form in which attribute `name` stands. */
  form(name: number): number | undefined {
    return this.table.abbreviations[this.index].attributes.find((spec) => spec.name === name)?.form;
  }

  string(name: number): string | undefined {
    const raw = this.raw(name);
    return raw === undefined ? undefined : this.unit.string(raw);
  }

  /** A constant, sign as its form says: data forms are unsigned. */
  constant(name: number): bigint | undefined {
    const raw = this.raw(name);
    return raw?.kind === "constant" ? raw.value : undefined;
  }

  /** A constant that must be a sane number; others count as absent. */
  number(name: number): number | undefined {
    const value = this.constant(name);
    return value !== undefined && value >= -0x1f_ffff_ffff_ffffn && value <= 0x1f_ffff_ffff_ffffn ? Number(value) : undefined;
  }

  /** A constant read as signed, whatever its form (bounds and enumerators are written in either). */
  signed(name: number): bigint | undefined {
    const value = this.constant(name);
    if (value === undefined) return undefined;
    switch (this.form(name)) {
      case Form.data1:
        return BigInt.asIntN(8, value);
      case Form.data2:
        return BigInt.asIntN(16, value);
      case Form.data4:
        return BigInt.asIntN(32, value);
      case Form.data8:
        return BigInt.asIntN(64, value);
      default:
        return value;
    }
  }

  flag(name: number): boolean {
    const raw = this.raw(name);
    return raw?.kind === "flag" && raw.value;
  }

  address(name: number): bigint | undefined {
    const raw = this.raw(name);
    return raw === undefined ? undefined : this.unit.address(raw);
  }

  reference(name: number): Entry | undefined {
    const raw = this.raw(name);
    return raw === undefined ? undefined : this.unit.resolve(raw);
  }

  /** Follows abstract_origin and specification to the entries that this one completes: itself first. Bounded. */
  *origins(): Generator<Entry> {
    let at: Entry | undefined = this.unit.entry(this.index);
    for (let steps = 0; at !== undefined && steps < 8; steps++) {
      yield at;
      at = at.reference(At.abstract_origin) ?? at.reference(At.specification);
    }
  }

  /** The first entry among {@link origins} that has attribute `name`. */
  owner(name: number): Entry | undefined {
    for (const entry of this.origins()) if (entry.has(name)) return entry;
    return undefined;
  }

  /** The entry's own name or that of what it completes. */
  get name(): string | undefined {
    return this.owner(At.name)?.string(At.name);
  }

  get type(): Entry | undefined {
    return this.owner(At.type)?.reference(At.type);
  }
}

/** Reads the headers of all units of one section (DWARF 5, 7.5.1). */
export function readUnits(context: DwarfContext, section: "debug_info" | "debug_types"): Unit[] {
  const units: Unit[] = [];
  const reader = context.reader(section);
  while (!reader.atEnd) {
    const offset = reader.pos;
    let length = reader.u32();
    let offsetSize = 4;
    if (length === 0xffff_ffff) {
      length = reader.offset(8);
      offsetSize = 8;
    }
    // Linkers may pad the section with zeros.
    if (length === 0) continue;
    const end = reader.pos + length;
    if (end > reader.end) reader.damaged(`the unit at ${hex(offset)} reaches past the section's end`);
    units.push(readUnitHeader(context, section, reader, offset, end, offsetSize));
    reader.pos = end;
  }
  return units;
}

function readUnitHeader(
  context: DwarfContext,
  section: "debug_info" | "debug_types",
  reader: ByteReader,
  offset: number,
  end: number,
  offsetSize: number,
): Unit {
  const version = reader.u16();
  if (version < 2 || version > 5)
    throw new UserError(
      `${context.file} uses DWARF version ${version} in .${section}, which is not read; rebuild with -gdwarf-5 or -gdwarf-4.`,
      context.file,
    );
  let unitType: number = section === "debug_types" ? UnitType.type : UnitType.compile;
  let addressSize = 0;
  if (version >= 5) {
    unitType = reader.u8();
    addressSize = reader.u8();
  }
  const abbreviationOffset = reader.offset(offsetSize);
  if (version < 5) addressSize = reader.u8();
  if (addressSize !== 4 && addressSize !== 8) reader.damaged(`the unit at ${hex(offset)} has addresses of ${addressSize} bytes`);
  let signature = 0n;
  let typeOffset = 0;
  if (unitType === UnitType.type || unitType === UnitType.splitType) {
    signature = reader.u64();
    typeOffset = reader.offset(offsetSize);
  } else if (unitType === UnitType.skeleton || unitType === UnitType.splitCompile) signature = reader.u64();
  return new Unit(
    context,
    section,
    offset,
    end,
    version,
    offsetSize,
    addressSize,
    unitType,
    abbreviationOffset,
    reader.pos,
    signature,
    typeOffset,
  );
}
