import { hex } from "../bytes";
import type { Abbreviation } from "./abbrev";
import { At, Tag } from "./constants";
import type { RawValue } from "./forms";
import { readForm, skipForm } from "./forms";
import { isMeant, qualifiedName, unqualified } from "./functions";
import { withoutTemplates } from "../names";
import type { Entry, Unit } from "./unit";

interface EntryPlace {
  readonly unit: Unit;
  readonly offset: number;
}

const typeTags = new Set<number>([Tag.base_type, Tag.structure_type, Tag.class_type, Tag.union_type, Tag.enumeration_type, Tag.typedef]);
/** DW_LANG of C (89 to 17): its structures hold no functions, and their nested types are not found by name. */
const languagesOfC = new Set([0x01, 0x02, 0x0c, 0x1d, 0x2c]);
const namespaceTags = new Set<number>([Tag.namespace, Tag.module]);
const scopeTags = new Set<number>([Tag.namespace, Tag.module, Tag.structure_type, Tag.class_type, Tag.union_type]);

/** The name of the entry at a section offset, or of the one that it completes, without a table of its unit's entries. */
function nameAt(unit: Unit, offset: number): string | undefined {
  let at: { readonly unit: Unit; readonly offset: number } | undefined = { unit, offset };
  for (let steps = 0; at !== undefined && steps < 8; steps++) {
    const { unit: own, offset: position }: { readonly unit: Unit; readonly offset: number } = at;
    const reader = own.reader(position);
    const abbreviation = own.abbreviationAt(reader);
    let origin: RawValue | undefined;
    for (const spec of abbreviation?.attributes ?? []) {
      if (spec.name === At.name) return own.string(readForm(reader, spec.form, spec.implicit, own));
      if (spec.name === At.abstract_origin || spec.name === At.specification) origin = readForm(reader, spec.form, spec.implicit, own);
      else skipForm(reader, spec.form, own);
    }
    at = origin === undefined ? undefined : own.placeOf(origin);
  }
  return undefined;
}

/**
 * Functions, variables and types at file, namespace and class level by their unqualified names. Made by one walk that skips the
 * insides of functions, without keeping tables of entries: it must do for the debug information of a whole kernel.
 */
export class NameIndex {
  private readonly functionPlaces = new Map<string, EntryPlace[]>();
  /** Functions without code of their own: where they are called their code is inlined. */
  private readonly inlinePlaces = new Map<string, EntryPlace[]>();
  private readonly variablePlaces = new Map<string, EntryPlace[]>();
  private readonly typePlaces = new Map<string, EntryPlace>();
  /** Offsets in .debug_str of types that are known already: most units repeat the types of a few headers. */
  private readonly knownTypes = new Set<number>();

  /** `step` is told now and then how many units are done. */
  constructor(units: readonly Unit[], step: (done: number) => void = () => undefined) {
    for (const [done, unit] of units.entries()) {
      if (done % 16 === 0) step(done);
      this.addUnit(unit);
    }
  }

  private addUnit(unit: Unit): void {
    const reader = unit.reader(unit.firstEntry);
    const scopes = languagesOfC.has(unit.root.language) ? namespaceTags : scopeTags;
    // Depth 0 is the unit's own entry; `skipping` is the depth below which nothing counts.
    let depth = 0;
    let skipping = Infinity;
    while (!reader.atEnd) {
      const offset = reader.pos;
      const abbreviation = unit.abbreviationAt(reader);
      if (abbreviation === undefined) {
        if (--depth <= 0) return;
        if (depth <= skipping) skipping = Infinity;
        continue;
      }
      let name: RawValue | undefined;
      let sibling: RawValue | undefined;
      for (const spec of abbreviation.attributes) {
        if (spec.name === At.name && depth <= skipping) name = readForm(reader, spec.form, spec.implicit, unit);
        else if (spec.name === At.sibling) sibling = readForm(reader, spec.form, spec.implicit, unit);
        else skipForm(reader, spec.form, unit);
      }
      if (depth > 0 && depth <= skipping) this.addEntry(unit, offset, abbreviation, name);
      if (!abbreviation.hasChildren) {
        if (depth === 0) return;
        continue;
      }
      const isScope = depth === 0 || scopes.has(abbreviation.tag);
      if (!isScope && sibling?.kind === "reference") {
        const next = sibling.global ? sibling.offset : unit.offset + sibling.offset;
        if (next <= reader.pos || next > unit.end) reader.damaged(`the entry at ${hex(offset)} has a sibling outside its unit`);
        reader.pos = next;
        continue;
      }
      if (!isScope && skipping === Infinity) skipping = depth;
      depth++;
    }
  }

  private addEntry(unit: Unit, offset: number, { tag, attributes }: Abbreviation, name: RawValue | undefined): void {
    const has = (attribute: number): boolean => attributes.some((spec) => spec.name === attribute);
    if (tag === Tag.subprogram) {
      if (has(At.low_pc) || has(At.ranges)) this.add(this.functionPlaces, unit, offset, name);
      else if (has(At.inline)) this.add(this.inlinePlaces, unit, offset, name);
    } else if (tag === Tag.variable) {
      if (has(At.location) || has(At.const_value)) this.add(this.variablePlaces, unit, offset, name);
    } else if (typeTags.has(tag) && name !== undefined && !has(At.declaration)) {
      if (name.kind === "stringOffset") {
        if (this.knownTypes.has(name.offset)) return;
        this.knownTypes.add(name.offset);
      }
      const text = unit.string(name);
      if (text !== undefined && !this.typePlaces.has(text)) this.typePlaces.set(text, { unit, offset });
    }
  }

  /** Definitions that complete a declaration take their name from it. */
  private add(places: Map<string, EntryPlace[]>, unit: Unit, offset: number, raw: RawValue | undefined): void {
    const name = raw === undefined ? nameAt(unit, offset) : unit.string(raw);
    if (name === undefined) return;
    this.addAs(places, name, { unit, offset });
    // Instances of a template are found by the template's name, too.
    const plain = places === this.variablePlaces ? name : withoutTemplates(name);
    if (plain !== name) this.addAs(places, plain, { unit, offset });
  }

  private addAs(places: Map<string, EntryPlace[]>, name: string, place: EntryPlace): void {
    const known = places.get(name);
    if (known === undefined) places.set(name, [place]);
    else known.push(place);
  }

  private find(places: Map<string, EntryPlace[]>, name: string): Entry[] {
    const plain = unqualified(name);
    const found: Entry[] = [];
    for (const { unit, offset } of places.get(plain) ?? []) {
      const entry = unit.entryAt(offset);
      if (entry !== undefined && (plain === name || isMeant(qualifiedName(entry), name))) found.push(entry);
    }
    return found;
  }

  functions(name: string): Entry[] {
    return this.find(this.functionPlaces, name);
  }

  /** The abstract entries of functions `name`, qualified or not, that were inlined: their section offsets, by unit. */
  inlinedFunctions(name: string): ReadonlyMap<Unit, ReadonlySet<number>> {
    const found = new Map<Unit, Set<number>>();
    const plain = unqualified(name);
    for (const { unit, offset } of this.inlinePlaces.get(plain) ?? []) {
      if (plain !== name) {
        const entry = unit.entryAt(offset);
        if (entry === undefined || !isMeant(qualifiedName(entry), name)) continue;
      }
      const known = found.get(unit);
      if (known === undefined) found.set(unit, new Set([offset]));
      else known.add(offset);
    }
    return found;
  }

  variables(name: string): Entry[] {
    return this.find(this.variablePlaces, name);
  }

  type(name: string): Entry | undefined {
    const place = this.typePlaces.get(name);
    return place?.unit.entryAt(place.offset);
  }

  *allVariables(): Generator<Entry> {
    for (const places of this.variablePlaces.values())
      for (const { unit, offset } of places) {
        const entry = unit.entryAt(offset);
        if (entry !== undefined) yield entry;
      }
  }
}
