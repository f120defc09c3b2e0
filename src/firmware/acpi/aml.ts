/**
 * A small assembler of AML (ACPI 6, chapter 20): functions that return the encoding of a term. Enough for a name space of devices with
 * constant resources and routing tables.
 */
import { assert } from "../../common/errors";

/** Bytes. Not as a typed array: two thousand small ones took longer than all else about the tables. */
export type Aml = readonly number[];

/** Terms one after the other. By the engine's own loop: in ours, which is never optimised, it took a start 10 ms. */
export const join = (...parts: readonly Aml[]): Aml => ([] as number[]).concat(...parts);

const ascii = (text: string): number[] => [...text].map((character) => character.charCodeAt(0));

/** A name string: segments of up to four characters separated by dots, after an optional backslash. */
export function nameString(path: string): Aml {
  const rooted = path.startsWith("\\");
  const segments = (rooted ? path.slice(1) : path).split(".").filter((segment) => segment !== "");
  const encoded = segments.flatMap((segment) => {
    assert(/^[A-Z_][A-Z0-9_]{0,3}$/.test(segment), `AML name segment ${segment}`);
    return ascii(segment.padEnd(4, "_"));
  });
  const prefix = segments.length === 0 ? [0] : segments.length === 1 ? [] : segments.length === 2 ? [0x2e] : [0x2f, segments.length];
  return join(rooted ? [0x5c] : [], prefix, encoded);
}

/** `body` with its PkgLength (20.2.4) in front; the length counts its own bytes. */
function packaged(body: Aml): Aml {
  if (body.length + 1 < 0x40) return join([body.length + 1], body);
  for (const extra of [1, 2, 3]) {
    const length = body.length + 1 + extra;
    if (length >= 1 << (4 + 8 * extra)) continue;
    const bytes = [(extra << 6) | (length & 0xf)];
    for (let i = 0; i < extra; i++) bytes.push((length >> (4 + 8 * i)) & 0xff);
    return join(bytes, body);
  }
  throw new RangeError(`AML package of ${body.length} bytes`);
}

/** An unsigned integer constant below 2^32 in its shortest form. */
export function integer(value: number): Aml {
  assert(Number.isInteger(value) && value >= 0 && value <= 0xffffffff, `AML integer ${value}`);
  if (value === 0) return [0x00];
  if (value === 1) return [0x01];
  if (value < 0x100) return [0x0a, value];
  if (value < 0x10000) return [0x0b, value & 0xff, value >> 8];
  return [0x0c, value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
}

/** A string constant. */
export const text = (value: string): Aml => join([0x0d], ascii(value), [0]);

/** A compressed EISA id such as PNP0A03 (ACPI 6, 19.6.37). */
export function eisaId(id: string): Aml {
  assert(/^[A-Z]{3}[0-9A-F]{4}$/.test(id), `EISA id ${id}`);
  const letters = ascii(id.slice(0, 3)).map((code) => code - 0x40);
  const vendor = (letters[0] << 10) | (letters[1] << 5) | letters[2];
  const product = Number(`0x${id.slice(3)}`);
  return [0x0c, vendor >> 8, vendor & 0xff, product >> 8, product & 0xff];
}

export const name = (path: string, value: Aml): Aml => join([0x08], nameString(path), value);
export const scope = (path: string, ...terms: Aml[]): Aml => join([0x10], packaged(join(nameString(path), ...terms)));
export const device = (path: string, ...terms: Aml[]): Aml => join([0x5b, 0x82], packaged(join(nameString(path), ...terms)));

/** A method that is not serialized. */
export const method = (path: string, argumentCount: number, ...terms: Aml[]): Aml =>
  join([0x14], packaged(join(nameString(path), [argumentCount], ...terms)));

/** A package of at most 255 elements. */
export function pack(...elements: Aml[]): Aml {
  assert(elements.length < 256, "AML package with more than 255 elements");
  return join([0x12], packaged(join([elements.length], ...elements)));
}

export const buffer = (bytes: Aml): Aml => join([0x11], packaged(join(integer(bytes.length), bytes)));

/** A reference to argument `index` of the method. */
export const arg = (index: number): Aml => [0x68 + index];
export const store = (value: Aml, target: Aml): Aml => join([0x70], value, target);
export const returns = (value: Aml): Aml => join([0xa4], value);
export const ifNonZero = (predicate: Aml, ...terms: Aml[]): Aml => join([0xa0], packaged(join(predicate, ...terms)));
