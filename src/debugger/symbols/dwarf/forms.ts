import type { ByteReader } from "../bytes";
import { hex } from "../bytes";
import { Form } from "./constants";

/** The value of an attribute as it stands in .debug_info; indices and offsets into other sections are resolved by the unit. */
export type RawValue =
  | { readonly kind: "address"; readonly value: bigint }
  | { readonly kind: "addressIndex"; readonly index: number }
  | { readonly kind: "constant"; readonly value: bigint }
  | { readonly kind: "flag"; readonly value: boolean }
  | { readonly kind: "string"; readonly value: string }
  | { readonly kind: "stringOffset"; readonly section: "debug_str" | "debug_line_str"; readonly offset: number }
  | { readonly kind: "stringIndex"; readonly index: number }
  | { readonly kind: "block"; readonly value: Uint8Array }
  /** `offset` is relative to the unit, or to the section when `global`. */
  | { readonly kind: "reference"; readonly offset: number; readonly global: boolean }
  | { readonly kind: "signature"; readonly value: bigint }
  | { readonly kind: "sectionOffset"; readonly offset: number }
  | { readonly kind: "listIndex"; readonly index: number }
  /** Refers to a supplementary file, which is not read. */
  | { readonly kind: "elsewhere" };

/** Sizes that forms depend on. */
export interface FormSizes {
  readonly version: number;
  readonly addressSize: number;
  readonly offsetSize: number;
}

/** Reads one attribute value of `form` at the reader's position (DWARF 5, 7.5.6). */
export function readForm(reader: ByteReader, form: number, implicit: bigint, sizes: FormSizes): RawValue {
  switch (form) {
    case Form.addr:
      return { kind: "address", value: reader.unsigned(sizes.addressSize) };
    case Form.addrx:
      return { kind: "addressIndex", index: reader.uleb() };
    case Form.addrx1:
      return { kind: "addressIndex", index: reader.u8() };
    case Form.addrx2:
      return { kind: "addressIndex", index: reader.u16() };
    case Form.addrx3:
      return { kind: "addressIndex", index: reader.u24() };
    case Form.addrx4:
      return { kind: "addressIndex", index: reader.u32() };
    case Form.data1:
      return { kind: "constant", value: BigInt(reader.u8()) };
    case Form.data2:
      return { kind: "constant", value: BigInt(reader.u16()) };
    case Form.data4:
      return { kind: "constant", value: BigInt(reader.u32()) };
    case Form.data8:
      return { kind: "constant", value: reader.u64() };
    case Form.data16:
      return { kind: "block", value: reader.block(16) };
    case Form.udata:
      return { kind: "constant", value: reader.ulebBig() };
    case Form.sdata:
      return { kind: "constant", value: reader.slebBig() };
    case Form.implicit_const:
      return { kind: "constant", value: implicit };
    case Form.flag:
      return { kind: "flag", value: reader.u8() !== 0 };
    case Form.flag_present:
      return { kind: "flag", value: true };
    case Form.string:
      return { kind: "string", value: reader.cstring() };
    case Form.strp:
      return { kind: "stringOffset", section: "debug_str", offset: reader.offset(sizes.offsetSize) };
    case Form.line_strp:
      return { kind: "stringOffset", section: "debug_line_str", offset: reader.offset(sizes.offsetSize) };
    case Form.strx:
      return { kind: "stringIndex", index: reader.uleb() };
    case Form.strx1:
      return { kind: "stringIndex", index: reader.u8() };
    case Form.strx2:
      return { kind: "stringIndex", index: reader.u16() };
    case Form.strx3:
      return { kind: "stringIndex", index: reader.u24() };
    case Form.strx4:
      return { kind: "stringIndex", index: reader.u32() };
    case Form.block1:
      return { kind: "block", value: reader.block(reader.u8()) };
    case Form.block2:
      return { kind: "block", value: reader.block(reader.u16()) };
    case Form.block4:
      return { kind: "block", value: reader.block(reader.u32()) };
    case Form.block:
    case Form.exprloc:
      return { kind: "block", value: reader.block(reader.uleb()) };
    case Form.ref1:
      return { kind: "reference", offset: reader.u8(), global: false };
    case Form.ref2:
      return { kind: "reference", offset: reader.u16(), global: false };
    case Form.ref4:
      return { kind: "reference", offset: reader.u32(), global: false };
    case Form.ref8:
      return { kind: "reference", offset: reader.offset(8), global: false };
    case Form.ref_udata:
      return { kind: "reference", offset: reader.uleb(), global: false };
    case Form.ref_addr:
      // DWARF 2 gave these the size of an address.
      return { kind: "reference", offset: reader.offset(sizes.version <= 2 ? sizes.addressSize : sizes.offsetSize), global: true };
    case Form.ref_sig8:
      return { kind: "signature", value: reader.u64() };
    case Form.sec_offset:
      return { kind: "sectionOffset", offset: reader.offset(sizes.offsetSize) };
    case Form.loclistx:
    case Form.rnglistx:
      return { kind: "listIndex", index: reader.uleb() };
    case Form.indirect: {
      const actual = reader.uleb();
      if (actual === Form.indirect || actual === Form.implicit_const) return reader.damaged(`an indirect form ${hex(actual)}`);
      return readForm(reader, actual, 0n, sizes);
    }
    case Form.ref_sup4:
      reader.skip(4);
      return { kind: "elsewhere" };
    case Form.ref_sup8:
      reader.skip(8);
      return { kind: "elsewhere" };
    case Form.strp_sup:
    case Form.gnu_ref_alt:
    case Form.gnu_strp_alt:
      reader.skip(sizes.offsetSize);
      return { kind: "elsewhere" };
    default:
      return reader.damaged(`unknown attribute form ${hex(form)} at ${hex(reader.pos)}`);
  }
}

/** Moves the reader past one attribute value, without allocating. */
export function skipForm(reader: ByteReader, form: number, sizes: FormSizes): void {
  const fixed = fixedSize(form);
  if (fixed === "address") return reader.skip(sizes.addressSize);
  if (fixed === "offset") return reader.skip(sizes.offsetSize);
  if (fixed !== undefined) return reader.skip(fixed);
  switch (form) {
    case Form.udata:
    case Form.sdata:
    case Form.ref_udata:
    case Form.strx:
    case Form.addrx:
    case Form.loclistx:
    case Form.rnglistx:
      return reader.skipLeb();
    case Form.string:
      return reader.skipCstring();
    case Form.exprloc:
    case Form.block:
      return reader.skip(reader.uleb());
    case Form.block1:
      return reader.skip(reader.u8());
    default:
      readForm(reader, form, 0n, sizes);
  }
}

/** What a value of `form` takes: so many bytes, an address or an offset; undefined where that depends on the value or on the version. */
export function fixedSize(form: number): number | "address" | "offset" | undefined {
  switch (form) {
    case Form.flag_present:
    case Form.implicit_const:
      return 0;
    case Form.data1:
    case Form.flag:
    case Form.ref1:
    case Form.strx1:
    case Form.addrx1:
      return 1;
    case Form.data2:
    case Form.ref2:
    case Form.strx2:
    case Form.addrx2:
      return 2;
    case Form.strx3:
    case Form.addrx3:
      return 3;
    case Form.data4:
    case Form.ref4:
    case Form.strx4:
    case Form.addrx4:
      return 4;
    case Form.data8:
    case Form.ref8:
    case Form.ref_sig8:
      return 8;
    case Form.addr:
      return "address";
    case Form.strp:
    case Form.line_strp:
    case Form.sec_offset:
      return "offset";
    default:
      return undefined;
  }
}
