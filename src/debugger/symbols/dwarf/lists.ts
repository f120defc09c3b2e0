import { unreachable } from "../../../common/errors";
import type { ByteReader } from "../bytes";
import type { AddressRange } from "../intervals";
import { At } from "./constants";
import type { RawValue } from "./forms";
import type { Entry, Unit } from "./unit";
import { sectionOffset } from "./unit";

/** More ranges or locations than this for one entry are damage: the largest real ones have some thousands. */
const maximumListLength = 65_536;

/** A location expression and the addresses it holds for; no addresses: everywhere else (DW_LLE_default_location). */
export interface LocationRange {
  readonly range: AddressRange | undefined;
  readonly expression: Uint8Array;
}

const wrap = (unit: Unit, address: bigint): bigint => BigInt.asUintN(unit.addressSize * 8, address);

/** The code addresses of an entry (low_pc/high_pc or ranges), as linked. Empty for declarations and abstract instances. */
export function entryRanges(entry: Entry): AddressRange[] {
  return rangesOf(entry.unit, entry.raw(At.ranges), entry.raw(At.low_pc), entry.raw(At.high_pc));
}

/** The same from the values of an entry's attributes. */
export function rangesOf(
  unit: Unit,
  ranges: RawValue | undefined,
  lowPc: RawValue | undefined,
  highPc: RawValue | undefined,
): AddressRange[] {
  if (ranges !== undefined) return readRanges(unit, ranges);
  const low = lowPc === undefined ? undefined : unit.address(lowPc);
  if (low === undefined || highPc === undefined) return [];
  const end = highPc.kind === "constant" ? low + highPc.value : unit.address(highPc);
  return end !== undefined && end > low ? [{ low, high: end }] : [];
}

/** The code addresses of a whole unit. */
export function unitRanges(unit: Unit): AddressRange[] {
  const { root } = unit;
  if (root.ranges !== undefined) return readRanges(unit, root.ranges);
  return root.low !== undefined && root.high !== undefined && root.high > root.low ? [{ low: root.low, high: root.high }] : [];
}

/** The range list that `raw` (of DW_AT_ranges) stands for. */
export function readRanges(unit: Unit, raw: RawValue): AddressRange[] {
  if (unit.version >= 5) return readRangeList5(unit, raw);
  const offset = sectionOffset(raw);
  return offset === undefined ? [] : readRangeList4(unit, offset);
}

/**
 * The addresses of each entry of a DWARF 4 list. What else an entry holds follows them, and is the caller's to read before it asks for the next one. Entries may be empty.
 */
function* bounds4(unit: Unit, reader: ByteReader): Generator<AddressRange> {
  const select = wrap(unit, -1n);
  let base = unit.root.low ?? 0n;
  for (let entries = 0; entries < maximumListLength; entries++) {
    const first = reader.unsigned(unit.addressSize);
    const second = reader.unsigned(unit.addressSize);
    if (first === 0n && second === 0n) return;
    if (first === select) base = second;
    else yield { low: wrap(unit, base + first), high: wrap(unit, base + second) };
  }
}

/** What an entry of a DWARF 5 list says of addresses, by its number: DW_RLE_* (7.25) and DW_LLE_* (7.29). */
const RANGE_ENTRIES = [
  "end_of_list",
  "base_addressx",
  "startx_endx",
  "startx_length",
  "offset_pair",
  "base_address",
  "start_end",
  "start_length",
] as const;
const LOCATION_ENTRIES = [
  "end_of_list",
  "base_addressx",
  "startx_endx",
  "startx_length",
  "offset_pair",
  "default_location",
  "base_address",
  "start_end",
  "start_length",
  "GNU_view_pair",
] as const;
type ListEntry = (typeof RANGE_ENTRIES | typeof LOCATION_ENTRIES)[number];

/** The same of a DWARF 5 list; undefined for an entry that holds everywhere else. */
function* bounds5(unit: Unit, reader: ByteReader, entries: readonly ListEntry[]): Generator<AddressRange | undefined> {
  let base = unit.root.low ?? 0n;
  const indexed = (): bigint => unit.indexedAddress(reader.uleb());
  const address = (): bigint => reader.unsigned(unit.addressSize);
  const between = (low: bigint, high: bigint): AddressRange => ({ low: wrap(unit, low), high: wrap(unit, high) });
  const along = (low: bigint): AddressRange => between(low, low + reader.ulebBig());
  for (let count = 0; count < maximumListLength; count++) {
    const kind = reader.u8();
    const entry = entries.at(kind) ?? reader.damaged(`unknown list entry ${kind}`);
    switch (entry) {
      case "end_of_list":
        return;
      case "base_addressx":
        base = indexed();
        break;
      case "startx_endx":
        yield between(indexed(), indexed());
        break;
      case "startx_length":
        yield along(indexed());
        break;
      case "offset_pair":
        yield between(base + reader.ulebBig(), base + reader.ulebBig());
        break;
      case "default_location":
        yield undefined;
        break;
      case "base_address":
        base = address();
        break;
      case "start_end":
        yield between(address(), address());
        break;
      case "start_length":
        yield along(address());
        break;
      // They split instants within one address only.
      case "GNU_view_pair":
        reader.skipLeb();
        reader.skipLeb();
        break;
      default:
        unreachable(entry);
    }
  }
}

const holds = (range: AddressRange | undefined): range is AddressRange => range !== undefined && range.high > range.low;

/** .debug_ranges (DWARF 4, 2.17.3). */
function readRangeList4(unit: Unit, offset: number): AddressRange[] {
  return [...bounds4(unit, unit.context.reader("debug_ranges", offset))].filter(holds);
}

/** .debug_rnglists (DWARF 5, 7.25). */
function readRangeList5(unit: Unit, raw: RawValue): AddressRange[] {
  const offset = listOffset(unit, raw, "debug_rnglists", unit.root.rangeListsBase);
  if (offset === undefined) return [];
  return [...bounds5(unit, unit.context.reader("debug_rnglists", offset), RANGE_ENTRIES)].filter(holds);
}

function listOffset(unit: Unit, raw: RawValue, section: "debug_rnglists" | "debug_loclists", base: number): number | undefined {
  if (raw.kind !== "listIndex") return sectionOffset(raw);
  return base + unit.context.reader(section, base + raw.index * unit.offsetSize).offset(unit.offsetSize);
}

/**
 * The expressions of a location attribute: one for everywhere, or those of a location list. Empty when the attribute is absent
 * or of a class that is not a location.
 */
export function readLocations(entry: Entry, name: number): LocationRange[] {
  const raw = entry.raw(name);
  if (raw === undefined) return [];
  if (raw.kind === "block") return [{ range: undefined, expression: raw.value }];
  const { unit } = entry;
  if (unit.version >= 5) return readLocationList5(unit, raw);
  const offset = sectionOffset(raw);
  return offset === undefined ? [] : readLocationList4(unit, offset);
}

/** .debug_loc (DWARF 4, 2.6.2). */
function readLocationList4(unit: Unit, offset: number): LocationRange[] {
  const reader = unit.context.reader("debug_loc", offset);
  const found: LocationRange[] = [];
  for (const range of bounds4(unit, reader)) {
    const expression = reader.block(reader.u16());
    if (holds(range)) found.push({ range, expression });
  }
  return found;
}

/** .debug_loclists (DWARF 5, 7.29). */
function readLocationList5(unit: Unit, raw: RawValue): LocationRange[] {
  const offset = listOffset(unit, raw, "debug_loclists", unit.root.locationListsBase);
  if (offset === undefined) return [];
  const reader = unit.context.reader("debug_loclists", offset);
  const found: LocationRange[] = [];
  for (const range of bounds5(unit, reader, LOCATION_ENTRIES)) {
    const expression = reader.block(reader.uleb());
    if (range === undefined || holds(range)) found.push({ range, expression });
  }
  return found;
}
