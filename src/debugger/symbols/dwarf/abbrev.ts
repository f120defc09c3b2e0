import type { ByteReader } from "../bytes";
import { Form } from "./constants";
import { fixedSize, skipForm, type FormSizes } from "./forms";

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
  /** What the attributes take, where that is the same in all entries: so many bytes, addresses and offsets. */
  readonly extent: { readonly bytes: number; readonly addresses: number; readonly offsets: number } | undefined;
}

/** Moves the reader past all attributes of an entry. */
export function skipAttributes(reader: ByteReader, { attributes, extent }: Abbreviation, sizes: FormSizes): void {
  if (extent !== undefined) reader.skip(extent.bytes + extent.addresses * sizes.addressSize + extent.offsets * sizes.offsetSize);
  else for (const spec of attributes) skipForm(reader, spec.form, sizes);
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
    if (name === 0 && form === 0) return { tag, hasChildren, attributes, extent: extentOf(attributes) };
    attributes.push({ name, form, implicit });
  }
}

function extentOf(attributes: readonly AttributeSpec[]): Abbreviation["extent"] {
  const extent = { bytes: 0, addresses: 0, offsets: 0 };
  for (const { form } of attributes) {
    const size = fixedSize(form);
    if (size === undefined) return undefined;
    if (size === "address") extent.addresses++;
    else if (size === "offset") extent.offsets++;
    else extent.bytes += size;
  }
  return extent;
}
