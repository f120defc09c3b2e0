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
  const ranges = entry.raw(At.ranges);
  if (ranges !== undefined) return readRanges(entry.unit, ranges);
  const low = entry.address(At.low_pc);
  if (low === undefined) return [];
  const high = entry.raw(At.high_pc);
  if (high === undefined) return [];
  const end = high.kind === "constant" ? low + high.value : entry.unit.address(high);
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

/** .debug_ranges (DWARF 4, 2.17.3). */
function readRangeList4(unit: Unit, offset: number): AddressRange[] {
  const reader = unit.context.reader("debug_ranges", offset);
  const select = wrap(unit, -1n);
  const ranges: AddressRange[] = [];
  let base = unit.root.low ?? 0n;
  while (ranges.length < maximumListLength) {
    const first = reader.unsigned(unit.addressSize);
    const second = reader.unsigned(unit.addressSize);
    if (first === 0n && second === 0n) break;
    if (first === select) base = second;
    else if (second > first) ranges.push({ low: wrap(unit, base + first), high: wrap(unit, base + second) });
  }
  return ranges;
}

/** .debug_rnglists (DWARF 5, 7.25). */
function readRangeList5(unit: Unit, raw: RawValue): AddressRange[] {
  const offset = listOffset(unit, raw, "debug_rnglists", unit.root.rangeListsBase);
  if (offset === undefined) return [];
  const reader = unit.context.reader("debug_rnglists", offset);
  const ranges: AddressRange[] = [];
  let base = unit.root.low ?? 0n;
  const address = (): bigint => reader.unsigned(unit.addressSize);
  const add = (low: bigint, high: bigint): void => {
    if (high > low) ranges.push({ low: wrap(unit, low), high: wrap(unit, high) });
  };
  while (ranges.length < maximumListLength) {
    const kind = reader.u8();
    switch (kind) {
      case 0: // end_of_list
        return ranges;
      case 1: // base_addressx
        base = unit.indexedAddress(reader.uleb());
        break;
      case 2: // startx_endx
        add(unit.indexedAddress(reader.uleb()), unit.indexedAddress(reader.uleb()));
        break;
      case 3: {
        // startx_length
        const low = unit.indexedAddress(reader.uleb());
        add(low, low + reader.ulebBig());
        break;
      }
      case 4: // offset_pair
        add(base + reader.ulebBig(), base + reader.ulebBig());
        break;
      case 5: // base_address
        base = address();
        break;
      case 6: // start_end
        add(address(), address());
        break;
      case 7: {
        // start_length
        const low = address();
        add(low, low + reader.ulebBig());
        break;
      }
      default:
        reader.damaged(`unknown range list entry ${kind}`);
    }
  }
  return ranges;
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
  const select = wrap(unit, -1n);
  const found: LocationRange[] = [];
  let base = unit.root.low ?? 0n;
  while (found.length < maximumListLength) {
    const first = reader.unsigned(unit.addressSize);
    const second = reader.unsigned(unit.addressSize);
    if (first === 0n && second === 0n) break;
    if (first === select) {
      base = second;
      continue;
    }
    const expression = reader.block(reader.u16());
    if (second > first) found.push({ range: { low: wrap(unit, base + first), high: wrap(unit, base + second) }, expression });
  }
  return found;
}

/** .debug_loclists (DWARF 5, 7.29), with GCC's view pairs, which only split instants within one address. */
function readLocationList5(unit: Unit, raw: RawValue): LocationRange[] {
  const offset = listOffset(unit, raw, "debug_loclists", unit.root.locationListsBase);
  if (offset === undefined) return [];
  const reader = unit.context.reader("debug_loclists", offset);
  const found: LocationRange[] = [];
  let base = unit.root.low ?? 0n;
  const address = (): bigint => reader.unsigned(unit.addressSize);
  const add = (low: bigint, high: bigint): void => {
    const expression = reader.block(reader.uleb());
    if (high > low) found.push({ range: { low: wrap(unit, low), high: wrap(unit, high) }, expression });
  };
  while (found.length < maximumListLength) {
    const kind = reader.u8();
    switch (kind) {
      case 0: // end_of_list
        return found;
      case 1: // base_addressx
        base = unit.indexedAddress(reader.uleb());
        break;
      case 2: // startx_endx
        add(unit.indexedAddress(reader.uleb()), unit.indexedAddress(reader.uleb()));
        break;
      case 3: {
        // startx_length
        const low = unit.indexedAddress(reader.uleb());
        add(low, low + reader.ulebBig());
        break;
      }
      case 4: // offset_pair
        add(base + reader.ulebBig(), base + reader.ulebBig());
        break;
      case 5: // default_location
        found.push({ range: undefined, expression: reader.block(reader.uleb()) });
        break;
      case 6: // base_address
        base = address();
        break;
      case 7: // start_end
        add(address(), address());
        break;
      case 8: {
        // start_length
        const low = address();
        add(low, low + reader.ulebBig());
        break;
      }
      case 9: // GNU_view_pair
        reader.skipLeb();
        reader.skipLeb();
        break;
      default:
        reader.damaged(`unknown location list entry ${kind}`);
    }
  }
  return found;
}
