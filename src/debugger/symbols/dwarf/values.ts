import { UserError } from "../../../machine/errors";
import { fitting } from "../../numbers";
import type { TypedValue } from "../../expr/scope";
import { Encoding, Tag } from "./constants";
import type { Storage } from "./storage";
import { partOf, readStorage } from "./storage";
import type { Member } from "./types";
import { TypeInfo } from "./types";

/** What showing values needs of the machine. */
export interface ValueContext {
  readMemory(address: bigint, size: number): Uint8Array | undefined;
  /** The symbol at an address, for pointers: `leaf+0x4`. */
  describe?(address: bigint): string | undefined;
}

/** What to write to change a value: bytes at an address, or a register (by DWARF number). */
export type Assignment =
  | { readonly kind: "memory"; readonly address: bigint; readonly bytes: Uint8Array }
  | { readonly kind: "register"; readonly number: number; readonly bits: number; readonly value: bigint };

/** How many elements and members a one-line summary shows, how deep, and how long texts may be. */
const summaryItems = 8;
const summaryDepth = 2;
const maximumText = 200;
/** How many children are given at once when the caller does not say. */
const defaultChildren = 1000;
/** Anonymous members are looked through this deep. */
const maximumNesting = 16;

interface BitField {
  readonly size: number;
  readonly offset: number;
}

/** A value of the program: a node of the tree that a debugger shows. Children and memory are read when asked for. */
export class Value implements TypedValue {
  constructor(
    readonly name: string,
    readonly typeInfo: TypeInfo,
    private readonly storage: Storage,
    private readonly context: ValueContext,
    private readonly bits?: BitField,
  ) {}

  get type(): string {
    return orReason(
      () => this.typeInfo.name,
      () => "?",
    );
  }

  /** Where the value lies in memory; undefined for registers, constants and bit fields. */
  get address(): bigint | undefined {
    return this.storage.kind === "memory" && this.bits === undefined ? this.storage.address : undefined;
  }

  get size(): number | undefined {
    return this.typeInfo.byteSize;
  }

  /** Why the value is not there: "optimised out", "cannot read memory at 0x0". Undefined when its bytes are readable. */
  get missing(): string | undefined {
    const size = this.typeInfo.byteSize ?? 1;
    const bytes = readStorage(this.storage, 0, Math.min(size, 1), this.context);
    return typeof bytes === "string" ? bytes : undefined;
  }

  private read(size: number): Uint8Array | string {
    return readStorage(this.storage, 0, size, this.context);
  }

  /** The bits of an integer-like value, unsigned, with their count; a text says why not; undefined when it is none. */
  private raw(): { value: bigint; bits: number } | string | undefined {
    const { kind } = this.typeInfo;
    if (kind !== "base" && kind !== "pointer" && kind !== "enum" && kind !== "reference" && kind !== "memberPointer") return undefined;
    if (this.bits !== undefined) {
      const first = Math.floor(this.bits.offset / 8);
      const last = Math.floor((this.bits.offset + this.bits.size - 1) / 8);
      const bytes = readStorage(this.storage, first, last - first + 1, this.context);
      if (typeof bytes === "string") return bytes;
      return { value: BigInt.asUintN(this.bits.size, littleEndian(bytes) >> BigInt(this.bits.offset - first * 8)), bits: this.bits.size };
    }
    const size = this.typeInfo.byteSize;
    if (size === undefined || size < 1 || size > 16) return undefined;
    const bytes = this.read(size);
    return typeof bytes === "string" ? bytes : { value: littleEndian(bytes), bits: size * 8 };
  }

  integer(): { value: bigint; bits: number; signed: boolean } | undefined {
    const { encoding, kind } = this.typeInfo;
    if (kind === "reference") return this.target()?.integer();
    if (encoding === Encoding.float || encoding === Encoding.complexFloat) return undefined;
    const raw = this.raw();
    if (raw === undefined) return undefined;
    if (typeof raw === "string") throw new UserError(`${this.name} is not available: ${raw}`);
    const signed = this.typeInfo.isSigned;
    return { value: signed ? BigInt.asIntN(raw.bits, raw.value) : raw.value, bits: raw.bits, signed };
  }

  /** The address that a pointer holds; undefined for any other value, and where its bytes are not there. */
  get pointsTo(): bigint | undefined {
    const raw = this.typeInfo.kind === "pointer" ? this.raw() : undefined;
    return typeof raw === "object" ? raw.value : undefined;
  }

  target(): Value | undefined {
    const { kind } = this.typeInfo;
    if (kind === "array") return this.element(0n);
    const type = this.typeInfo.target();
    const raw = type === undefined ? undefined : this.raw();
    if (type === undefined || raw === undefined || typeof raw === "string") return undefined;
    if (type.kind === "void" || type.kind === "function") return undefined;
    return new Value(kind === "reference" ? this.name : `*${this.name}`, type, { kind: "memory", address: raw.value }, this.context);
  }

  element(index: bigint): Value | undefined {
    const { typeInfo } = this;
    const name = `[${index}]`;
    if (typeInfo.kind === "reference") return this.target()?.element(index);
    const type = typeInfo.kind === "array" ? typeInfo.element() : typeInfo.target();
    const size = type?.byteSize;
    if (type === undefined || size === undefined || index > 1n << 48n || index < -(1n << 48n)) return undefined;
    const offset = Number(index) * size;
    if (typeInfo.kind === "array") return new Value(name, type, partOf(this.storage, offset), this.context);
    const raw = this.raw();
    if (raw === undefined || typeof raw === "string") return undefined;
    return new Value(name, type, { kind: "memory", address: BigInt.asUintN(64, raw.value + BigInt(offset)) }, this.context);
  }

  member(name: string): Value | undefined {
    return this.findMember(name, 0);
  }

  private findMember(name: string, depth: number): Value | undefined {
    if (depth > maximumNesting) return undefined;
    if (this.typeInfo.kind === "reference") return this.target()?.findMember(name, depth + 1);
    if (this.typeInfo.kind !== "struct") return undefined;
    const members = this.members();
    const direct = members.find((member) => member.name === name);
    if (direct !== undefined) return direct.value;
    for (const { name: own, isBase, value } of members) {
      const found = own === "" || isBase ? value.findMember(name, depth + 1) : undefined;
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** Names of the members, also of anonymous ones; of what a pointer points at where the value is one. */
  memberNames(): string[] {
    return orReason(
      () => this.collectNames(0),
      () => [],
    );
  }

  private collectNames(depth: number): string[] {
    if (depth > maximumNesting) return [];
    if (this.typeInfo.kind !== "struct") return this.target()?.collectNames(depth + 1) ?? [];
    return this.members().flatMap(({ name, isBase, value }) => (name === "" || isBase ? value.collectNames(depth + 1) : [name]));
  }

  private part(member: Member): Value {
    const { bits } = member;
    return bits === undefined
      ? new Value(member.name, member.type, partOf(this.storage, member.byteOffset), this.context)
      : new Value(member.name, member.type, this.storage, this.context, bits);
  }

  private members(): { name: string; isBase: boolean; value: Value }[] {
    const plain = this.typeInfo.members();
    const chosen = this.variant();
    return [...plain, ...(chosen ?? [])].map((member) => ({ name: member.name, isBase: member.isBase, value: this.part(member) }));
  }

  /** The members of the variant that the tag selects; undefined when the type has no variants or the tag cannot be read. */
  private variant(): readonly Member[] | undefined {
    const part = this.typeInfo.variantPart();
    if (part === undefined) return undefined;
    const raw = part.discriminant === undefined ? undefined : this.part(part.discriminant).raw();
    if (typeof raw === "string") return undefined;
    const wanted = raw?.value;
    const bits = raw?.bits ?? 64;
    const matches = (value: bigint | undefined): boolean =>
      value !== undefined && wanted !== undefined && BigInt.asUintN(bits, value) === wanted;
    return (part.variants.find(({ value }) => matches(value)) ?? part.variants.find(({ value }) => value === undefined))?.members;
  }

  /** How many children {@link children} can give. */
  get childCount(): number {
    return orReason(
      () => this.countChildren(),
      () => 0,
    );
  }

  private countChildren(): number {
    const { typeInfo } = this;
    switch (typeInfo.kind) {
      case "struct":
        return this.members().length;
      case "array":
        return typeInfo.elementCount ?? 0;
      case "reference":
        return this.target()?.childCount ?? 0;
      case "pointer": {
        const target = this.target();
        // Null and wild pointers open to nothing.
        if (target === undefined || target.missing !== undefined) return 0;
        return target.typeInfo.kind === "struct" ? target.childCount : 1;
      }
      default:
        return 0;
    }
  }

  /** Children `start` to `start + count`: members, elements, or what a pointer points at (for structures their members at once). */
  children(start = 0, count = defaultChildren): Value[] {
    const { typeInfo } = this;
    switch (typeInfo.kind) {
      case "struct":
        return this.members()
          .slice(start, start + count)
          .map(({ value }) => value);
      case "array": {
        const end = Math.min(typeInfo.elementCount ?? 0, start + count);
        const found: Value[] = [];
        for (let i = start; i < end; i++) {
          const element = this.element(BigInt(i));
          if (element !== undefined) found.push(element);
        }
        return found;
      }
      case "reference":
        return this.target()?.children(start, count) ?? [];
      case "pointer": {
        const target = this.target();
        if (target === undefined || target.missing !== undefined) return [];
        return target.typeInfo.kind === "struct" ? target.children(start, count) : [target].slice(start, start + count);
      }
      default:
        return [];
    }
  }

  /** The value in one line, in C's manner: `{x = 1, y = 2}`, `0x401480 <tail>`, `97 'a'`; `<...>` says why there is none. */
  show(): string {
    return orReason(
      () => this.summary(0),
      (reason) => `<${reason}>`,
    );
  }

  private summary(depth: number): string {
    const { typeInfo } = this;
    switch (typeInfo.kind) {
      case "base":
      case "enum":
      case "pointer":
      case "memberPointer": {
        const raw = this.raw();
        if (raw === undefined) return "<of unknown size>";
        return typeof raw === "string" ? `<${raw}>` : this.scalar(raw.value, raw.bits);
      }
      case "reference": {
        const target = this.target();
        return target === undefined ? "<unknown>" : target.summary(depth);
      }
      case "struct":
        return this.structure(depth);
      case "array":
        return this.array(depth);
      case "function": {
        const { address } = this;
        return address === undefined ? "<function>" : this.pointer(address);
      }
      case "void":
        return typeInfo.entry === undefined ? "<void>" : "()";
      case "unknown":
        return "<of unknown type>";
    }
  }

  private scalar(value: bigint, bits: number): string {
    const { typeInfo } = this;
    if (typeInfo.kind === "pointer") return this.pointer(value);
    if (typeInfo.kind === "enum") return this.enumeration(typeInfo.isSigned ? BigInt.asIntN(bits, value) : value, bits);
    const { encoding } = typeInfo;
    if (encoding === Encoding.boolean && value <= 1n) return value === 1n ? "true" : "false";
    if (encoding === Encoding.float) return showFloat(value, bits);
    const number = typeInfo.isSigned ? BigInt.asIntN(bits, value) : value;
    if (typeInfo.isCharacter) return encoding === Encoding.utf ? quoteCharacter(value) : `${number} ${quoteCharacter(value)}`;
    return number.toString();
  }

  private enumeration(value: bigint, bits: number): string {
    const enumerators = this.typeInfo.enumerators();
    const exact = enumerators.find((entry) => BigInt.asUintN(bits, entry.value) === BigInt.asUintN(bits, value));
    if (exact !== undefined) return exact.name;
    // Constants that are single bits are meant to be combined.
    const parts: string[] = [];
    let rest = value;
    for (const { name, value: bit } of enumerators) {
      if (bit <= 0n || (bit & (bit - 1n)) !== 0n || (rest & bit) === 0n) continue;
      parts.push(name);
      rest &= ~bit;
    }
    if (parts.length === 0) return value.toString();
    return [...parts, ...(rest === 0n ? [] : [`0x${BigInt.asUintN(bits, rest).toString(16)}`])].join(" | ");
  }

  private pointer(value: bigint): string {
    const shown = `0x${value.toString(16)}`;
    const target = this.typeInfo.target();
    if (target?.isCharacter === true && target.byteSize === 1 && value !== 0n) {
      const text = this.text(value, maximumText);
      return text === undefined ? shown : `${shown} ${text}`;
    }
    const symbol = value === 0n ? undefined : this.context.describe?.(value);
    return symbol === undefined ? shown : `${shown} <${symbol}>`;
  }

  /** The C string at `address`, quoted; undefined when its first byte cannot be read. */
  private text(address: bigint, limit: number): string | undefined {
    const bytes: number[] = [];
    for (let i = 0; i < limit; i++) {
      const byte = this.context.readMemory(BigInt.asUintN(64, address + BigInt(i)), 1);
      if (byte === undefined || byte.length === 0) return i === 0 ? undefined : `${quoteText(bytes)}...`;
      if (byte[0] === 0) return quoteText(bytes);
      bytes.push(byte[0]);
    }
    return `${quoteText(bytes)}...`;
  }

  private structure(depth: number): string {
    if (this.typeInfo.byteSize === undefined) return "<of incomplete type>";
    const rust = this.rust(depth);
    if (rust !== undefined) return rust;
    if (depth >= summaryDepth) return "{...}";
    const members = this.members();
    const parts = members.slice(0, summaryItems).map(({ name, isBase, value }) => {
      const text = value.summary(depth + 1);
      return name === "" ? text : isBase ? `<${name}> = ${text}` : `${name} = ${text}`;
    });
    if (members.length > summaryItems) parts.push("...");
    return `{${parts.join(", ")}}`;
  }

  /** Rust's string slices and enumerations, as Rust writes them. */
  private rust(depth: number): string | undefined {
    const { typeInfo } = this;
    const name = typeInfo.strip().entry?.name;
    if (name === "&str") {
      const data = this.member("data_ptr")?.integer();
      const length = this.member("length")?.integer();
      if (data === undefined || length === undefined) return undefined;
      const size = Number(length.value > maximumText ? BigInt(maximumText) : length.value);
      const bytes = this.context.readMemory(data.value, size);
      return bytes === undefined ? undefined : quoteText([...bytes]) + (length.value > maximumText ? "..." : "");
    }
    if (typeInfo.strip().entry?.tag !== Tag.structure_type || typeInfo.variantPart() === undefined) return undefined;
    const [chosen] = this.variant() ?? [];
    if (chosen === undefined) return undefined;
    const inside = this.part(chosen);
    return inside.childCount === 0 ? chosen.name : `${chosen.name} ${inside.summary(depth)}`;
  }

  private array(depth: number): string {
    const element = this.typeInfo.element();
    const count = this.typeInfo.elementCount;
    if (element === undefined || count === undefined)
      return this.address === undefined ? "<of unknown length>" : `0x${this.address.toString(16)}`;
    if (element.isCharacter && element.byteSize === 1) {
      const bytes = this.read(Math.min(count, maximumText));
      if (typeof bytes === "string") return `<${bytes}>`;
      const end = bytes.indexOf(0);
      return quoteText([...(end < 0 ? bytes : bytes.subarray(0, end))]) + (end < 0 && count > maximumText ? "..." : "");
    }
    if (count > 0) {
      const { missing } = this;
      if (missing !== undefined) return `<${missing}>`;
    }
    if (depth >= summaryDepth) return "{...}";
    const parts = this.children(0, summaryItems).map((value) => value.summary(depth + 1));
    if (count > summaryItems) parts.push("...");
    return `{${parts.join(", ")}}`;
  }

  /**
   * What to write so that the value becomes `value`; bit fields keep their neighbours. Throws a UserError for values that are no integers, or
   * have no place that could be written, and where `value` does not fit.
   */
  assign(value: bigint): Assignment {
    const { typeInfo, storage, bits } = this;
    const size = typeInfo.byteSize;
    if (typeInfo.kind === "reference") {
      const target = this.target();
      if (target !== undefined) return target.assign(value);
    }
    const isNumber =
      typeInfo.kind === "pointer" || typeInfo.kind === "enum" || (typeInfo.kind === "base" && typeInfo.encoding !== Encoding.float);
    if (!isNumber || size === undefined || size > 8) throw new UserError(`${this.name} of type ${this.type} cannot be changed`);
    const fits = (): bigint => fitting(this.name, value, bits?.size ?? size * 8);
    if (storage.kind === "bytes" && storage.register !== undefined && bits === undefined)
      return { kind: "register", number: storage.register, bits: size * 8, value: fits() };
    if (storage.kind !== "memory")
      throw new UserError(`${this.name} cannot be changed: it is ${storage.kind === "missing" ? storage.reason : "a constant"}`);
    if (bits === undefined) return { kind: "memory", address: storage.address, bytes: bytesOf(fits(), size) };
    const first = Math.floor(bits.offset / 8);
    const length = Math.floor((bits.offset + bits.size - 1) / 8) - first + 1;
    const old = readStorage(storage, first, length, this.context);
    if (typeof old === "string") throw new UserError(`${this.name} cannot be changed: ${old}`);
    const shift = BigInt(bits.offset - first * 8);
    const mask = ((1n << BigInt(bits.size)) - 1n) << shift;
    const changed = (littleEndian(old) & ~mask) | ((fits() << shift) & mask);
    return { kind: "memory", address: BigInt.asUintN(64, storage.address + BigInt(first)), bytes: bytesOf(changed, length) };
  }
}

/** Runs `find`; damage in the symbol file gives `otherwise` in its place, so that one bad value does not hide its neighbours. */
function orReason<T>(find: () => T, otherwise: (reason: string) => T): T {
  try {
    return find();
  } catch (error) {
    if (error instanceof UserError) return otherwise(error.message);
    throw error;
  }
}

/** A pointer value that stands in no memory: the result of a cast. */
export function pointerValue(target: TypeInfo, stars: number, address: bigint, context: ValueContext): TypedValue {
  return new CastPointer(target, stars, address, context);
}

class CastPointer implements TypedValue {
  readonly address = undefined;

  constructor(
    private readonly pointee: TypeInfo,
    private readonly stars: number,
    private readonly value: bigint,
    private readonly context: ValueContext,
  ) {}

  get type(): string {
    return `${this.pointee.name} ${"*".repeat(this.stars)}`;
  }

  integer(): { value: bigint; bits: number; signed: boolean } {
    return { value: this.value, bits: 64, signed: false };
  }

  member(name: string): TypedValue | undefined {
    return this.stars === 1 ? this.target().member(name) : undefined;
  }

  target(): TypedValue {
    return this.at(this.value);
  }

  element(index: bigint): TypedValue | undefined {
    const size = this.stars === 1 ? this.pointee.byteSize : (this.pointee.entry?.unit.addressSize ?? 8);
    return size === undefined ? undefined : this.at(BigInt.asUintN(64, this.value + index * BigInt(size)));
  }

  private at(address: bigint): TypedValue {
    if (this.stars === 1) return new Value(`*0x${this.value.toString(16)}`, this.pointee, { kind: "memory", address }, this.context);
    const size = this.pointee.entry?.unit.addressSize ?? 8;
    const bytes = this.context.readMemory(address, size);
    if (bytes === undefined) throw new UserError(`cannot read ${size} bytes of memory at 0x${address.toString(16)}`);
    return new CastPointer(this.pointee, this.stars - 1, littleEndian(bytes), this.context);
  }

  show(): string {
    return `(${this.type}) 0x${this.value.toString(16)}`;
  }
}

function littleEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]);
  return value;
}

function bytesOf(value: bigint, size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => Number((value >> BigInt(i * 8)) & 0xffn));
}

function showFloat(raw: bigint, bits: number): string {
  const view = new DataView(new ArrayBuffer(8));
  if (bits === 32) {
    view.setUint32(0, Number(raw));
    // As few digits as name this value among 32-bit ones.
    const value = view.getFloat32(0);
    for (let digits = 1; digits < 10; digits++) {
      const text = Number(value.toPrecision(digits));
      if (Math.fround(text) === value) return text.toString();
    }
    return value.toString();
  }
  if (bits === 64) {
    view.setBigUint64(0, raw);
    return view.getFloat64(0).toString();
  }
  if (bits === 128 || bits === 80) return showExtended(raw);
  return `0x${raw.toString(16)}`;
}

/** x87 extended precision, to the precision of a double. */
function showExtended(raw: bigint): string {
  const exponent = Number((raw >> 64n) & 0x7fffn);
  const mantissa = BigInt.asUintN(64, raw);
  const sign = ((raw >> 79n) & 1n) === 1n ? -1 : 1;
  if (exponent === 0x7fff) return BigInt.asUintN(63, mantissa) === 0n ? (sign < 0 ? "-Infinity" : "Infinity") : "NaN";
  const value = sign * Number(mantissa) * 2 ** -63 * 2 ** (exponent - 16383);
  return Number.isFinite(value) ? value.toString() : `0x${raw.toString(16)}`;
}

const characterEscapes: Readonly<Record<number, string>> = { 0: "\\0", 9: "\\t", 10: "\\n", 13: "\\r", 92: "\\\\" };

function quoteCharacter(value: bigint): string {
  const code = Number(value & 0x1f_ffffn);
  const escape = characterEscapes[code] as string | undefined;
  if (escape !== undefined) return `'${escape}'`;
  if (code === 39) return "'\\''";
  if (code < 32 || (code >= 127 && code < 256)) return `'\\x${code.toString(16).padStart(2, "0")}'`;
  return code > 0x10_ffff ? "'?'" : `'${String.fromCodePoint(code)}'`;
}

/** Bytes as a quoted string: UTF-8 where it is that, escapes else. */
function quoteText(bytes: readonly number[]): string {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(bytes));
  } catch {
    text = String.fromCharCode(...bytes);
  }
  let quoted = "";
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    const escape = characterEscapes[code] as string | undefined;
    if (escape !== undefined) quoted += escape;
    else if (character === '"') quoted += '\\"';
    else if (code < 32 || (code >= 127 && code < 160)) quoted += `\\x${code.toString(16).padStart(2, "0")}`;
    else quoted += character;
  }
  return `"${quoted}"`;
}
