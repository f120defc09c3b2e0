import { skipAttributes } from "./abbrev";
import { At, Tag } from "./constants";
import type { RawValue } from "./forms";
import { readForm, skipForm } from "./forms";
import type { AddressRange } from "../intervals";
import { rangesOf } from "./lists";
import type { Unit } from "./unit";

/** What inlined calls may stand in. */
const codeTags = new Set<number>([Tag.subprogram, Tag.lexical_block, Tag.inlined_subroutine, Tag.namespace, Tag.module]);

/** Where an inlined call's code begins: its entry point, if that lies in its code, else the lowest place of the first range. */
export function startOfCall(ranges: readonly AddressRange[], entryPoint: bigint | undefined): bigint {
  const isInside = (at: bigint): boolean => ranges.some(({ low, high }) => low <= at && at < high);
  return entryPoint !== undefined && isInside(entryPoint) ? entryPoint : ranges[0].low;
}

/**
 * Where copies of the functions whose abstract entries stand at the section offsets `origins` begin that were inlined into code of `unit`: one walk through it,
 * without a table of its entries, as all units of a kernel may have to be asked.
 */
export function inlinedCopiesOf(unit: Unit, origins: ReadonlySet<number>, isCode: (address: bigint) => boolean): bigint[] {
  const found: bigint[] = [];
  const reader = unit.reader(unit.firstEntry);
  const targetOf = (raw: RawValue | undefined): number =>
    raw?.kind === "reference" ? (raw.global ? raw.offset : unit.offset + raw.offset) : -1;
  let depth = 0;
  while (!reader.atEnd) {
    const abbreviation = unit.abbreviationAt(reader);
    if (abbreviation === undefined) {
      if (--depth <= 0) break;
      continue;
    }
    const { tag, attributes, hasChildren } = abbreviation;
    const holdsCode = depth === 0 || codeTags.has(tag);
    if (tag === Tag.inlined_subroutine || (hasChildren && !holdsCode)) {
      let sibling: RawValue | undefined;
      let origin: RawValue | undefined;
      let low: RawValue | undefined;
      let high: RawValue | undefined;
      let ranges: RawValue | undefined;
      let entryPoint: RawValue | undefined;
      for (const { name, form, implicit } of attributes) {
        if (name === At.sibling) sibling = readForm(reader, form, implicit, unit);
        else if (name === At.abstract_origin) origin = readForm(reader, form, implicit, unit);
        else if (name === At.low_pc) low = readForm(reader, form, implicit, unit);
        else if (name === At.high_pc) high = readForm(reader, form, implicit, unit);
        else if (name === At.ranges) ranges = readForm(reader, form, implicit, unit);
        else if (name === At.entry_pc) entryPoint = readForm(reader, form, implicit, unit);
        else skipForm(reader, form, unit);
      }
      if (tag === Tag.inlined_subroutine && origins.has(targetOf(origin))) {
        const code = rangesOf(unit, ranges, low, high).filter((range) => isCode(range.low));
        if (code.length > 0) found.push(startOfCall(code, entryPoint === undefined ? undefined : unit.address(entryPoint)));
      }
      const next = targetOf(sibling);
      if (!holdsCode && next > reader.pos && next <= unit.end) {
        reader.pos = next;
        continue;
      }
    } else skipAttributes(reader, abbreviation, unit);
    if (hasChildren) depth++;
    else if (depth === 0) break;
  }
  return found;
}
