import type { ByteReader } from "../bytes";
import { Form } from "./constants";

/** One attribute of an abbreviation: its name, form, and value when the form is implicit_const. */
export interface AttributeSpec {
  readonly name: number;
  readonly form: number;
  readonly implicit: bigint;
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
    table.set(code, readAbbreviation(reader));
  }
}

/**
 * The abbreviation `wanted` of the table that starts at the reader's position. Of a unit only its own entry is read at first, and compilers put that one's abbreviation last: the
 * others are passed over without making anything of them.
 */
export function findAbbreviation(reader: ByteReader, wanted: number): Abbreviation | undefined {
  for (;;) {
    const code = reader.uleb();
    if (code === wanted && code !== 0) return readAbbreviation(reader);
    if (code === 0) return undefined;
    reader.skipLeb();
    reader.skip(1);
    for (;;) {
      const name = reader.uleb();
      const form = reader.uleb();
      if (form === Form.implicit_const) reader.skipLeb();
      if (name === 0 && form === 0) break;
    }
  }
}

function readAbbreviation(reader: ByteReader): Abbreviation {
  const tag = reader.uleb();
  const hasChildren = reader.u8() !== 0;
  const attributes: AttributeSpec[] = [];
  for (;;) {
    const name = reader.uleb();
    const form = reader.uleb();
    const implicit = form === Form.implicit_const ? reader.slebBig() : 0n;
    if (name === 0 && form === 0) return { tag, hasChildren, attributes };
    attributes.push({ name, form, implicit });
  }
}
