import type { ByteReader } from "../bytes";
import { Form } from "./constants";

/** One attribute of an abbreviation: its name, form, and value when the form is implicit_const. */
export interface AttributeSpec {
  readonly name: number;
  readonly form: number;
  readonly implicit: number;
}

/** The shape shared by all entries with one abbreviation code. */
export interface Abbreviation {
  readonly tag: number;
  readonly hasChildren: boolean;
  readonly attributes: readonly AttributeSpec[];
}

export type AbbreviationTable = ReadonlyMap<number, Abbreviation>;

/** Reads the abbreviation table that starts at the reader's position (DWARF 5, 7.5.3). */
export function readAbbreviations(reader: ByteReader): AbbreviationTable {
  const table = new Map<number, Abbreviation>();
  for (;;) {
    const code = reader.uleb();
    if (code === 0) return table;
    const tag = reader.uleb();
    const hasChildren = reader.u8() !== 0;
    const attributes: AttributeSpec[] = [];
    for (;;) {
      const name = reader.uleb();
      const form = reader.uleb();
      const implicit = form === Form.implicit_const ? reader.sleb() : 0;
      if (name === 0 && form === 0) break;
      attributes.push({ name, form, implicit });
    }
    table.set(code, { tag, hasChildren, attributes });
  }
}
