import { At, Encoding, Tag } from "./constants";
import type { DwarfInfo } from "./info";
import { qualifiedName } from "./functions";
import { evaluateLocation } from "./location";
import type { Entry } from "./unit";

export type TypeKind = "void" | "base" | "pointer" | "reference" | "struct" | "array" | "enum" | "function" | "memberPointer" | "unknown";

/** A member of a structure, union or class; a base class is a member without own name. */
export interface Member {
  readonly name: string;
  readonly type: TypeInfo;
  readonly byteOffset: number;
  /** For bit fields: width, and distance of the lowest bit from the start of the structure. */
  readonly bits: { readonly size: number; readonly offset: number } | undefined;
  readonly isBase: boolean;
  readonly isArtificial: boolean;
}

/** The part of a structure that depends on a tag (Rust enumerations). */
export interface VariantPart {
  readonly discriminant: Member | undefined;
  /** `value` is undefined for the variant that holds for all other tags. */
  readonly variants: readonly { readonly value: bigint | undefined; readonly members: readonly Member[] }[];
}

/** Types refer to types: more steps than this are damage. */
const maximumSteps = 64;
const maximumNameDepth = 12;

const kinds: ReadonlyMap<number, TypeKind> = new Map([
  [Tag.base_type, "base"],
  [Tag.pointer_type, "pointer"],
  [Tag.reference_type, "reference"],
  [Tag.rvalue_reference_type, "reference"],
  [Tag.structure_type, "struct"],
  [Tag.class_type, "struct"],
  [Tag.interface_type, "struct"],
  [Tag.union_type, "struct"],
  [Tag.array_type, "array"],
  [Tag.enumeration_type, "enum"],
  [Tag.subroutine_type, "function"],
  [Tag.subprogram, "function"],
  [Tag.ptr_to_member_type, "memberPointer"],
  [Tag.unspecified_type, "void"],
]);

const qualifiers: ReadonlyMap<number, string> = new Map([
  [Tag.const_type, "const"],
  [Tag.volatile_type, "volatile"],
  [Tag.restrict_type, "restrict"],
  [Tag.atomic_type, "_Atomic"],
  [Tag.immutable_type, ""],
  [Tag.shared_type, ""],
]);

/** A type of the program. Instances are handles: everything is read from the debug information when asked. */
export class TypeInfo {
  constructor(
    readonly info: DwarfInfo,
    /** Undefined for void. */
    readonly entry: Entry | undefined,
    /** For arrays of arrays, the dimension that this one is. */
    private readonly dimension = 0,
  ) {}

  private of(entry: Entry | undefined): TypeInfo {
    return new TypeInfo(this.info, entry);
  }

  /** The type without typedefs and qualifiers, and its definition where this is a declaration. */
  strip(): TypeInfo {
    let { entry } = this;
    for (let steps = 0; entry !== undefined && steps < maximumSteps; steps++) {
      if (entry.tag === Tag.typedef || qualifiers.has(entry.tag)) entry = entry.type;
      else if (entry.has(At.signature)) entry = entry.reference(At.signature);
      else if (entry.flag(At.declaration)) return this.definition(entry);
      else return entry === this.entry ? this : this.of(entry);
    }
    return this.of(entry);
  }

  private definition(entry: Entry): TypeInfo {
    const name = entry.string(At.name);
    return this.of((name === undefined ? undefined : this.info.findType(name)) ?? entry);
  }

  get kind(): TypeKind {
    const { entry } = this.strip();
    return entry === undefined ? "void" : (kinds.get(entry.tag) ?? "unknown");
  }

  get isUnion(): boolean {
    return this.strip().entry?.tag === Tag.union_type;
  }

  /** DW_ATE encoding of a base type, or of what an enumeration is stored as; 0 for others. */
  get encoding(): number {
    return this.strip().entry?.number(At.encoding) ?? 0;
  }

  /** Whether values are signed integers. */
  get isSigned(): boolean {
    const type = this.strip();
    if (type.kind === "enum") return type.isSignedEnumeration();
    return type.encoding === Encoding.signed || type.encoding === Encoding.signedChar;
  }

  private isSignedEnumeration(): boolean {
    const under = this.entry?.type;
    if (under !== undefined) return this.of(under).isSigned;
    return this.enumerators().some(({ value }) => value < 0n);
  }

  get isCharacter(): boolean {
    const { encoding } = this;
    return encoding === Encoding.signedChar || encoding === Encoding.unsignedChar || encoding === Encoding.utf;
  }

  /** Size in bytes; undefined when not known (declarations, arrays without bound). */
  get byteSize(): number | undefined {
    const type = this.strip();
    const { entry } = type;
    if (entry === undefined) return undefined;
    const size = this.dimension === 0 ? entry.number(At.byte_size) : undefined;
    if (size !== undefined && size >= 0) return size;
    switch (type.kind) {
      case "pointer":
      case "reference":
        return entry.unit.addressSize;
      case "array": {
        const element = this.element()?.byteSize;
        const count = this.elementCount;
        return element === undefined || count === undefined ? undefined : element * count;
      }
      case "enum":
        return entry.type === undefined ? undefined : this.of(entry.type).byteSize;
      default:
        return undefined;
    }
  }

  /** What a pointer or reference points at. */
  target(): TypeInfo | undefined {
    const type = this.strip();
    return type.kind === "pointer" || type.kind === "reference" ? this.of(type.entry?.type) : undefined;
  }

  private dimensions(): (number | undefined)[] {
    const { entry } = this.strip();
    const found: (number | undefined)[] = [];
    for (const child of entry?.children() ?? []) {
      if (child.tag !== Tag.subrange_type) continue;
      const count = child.number(At.count);
      const upper = child.signed(At.upper_bound);
      const lower = child.signed(At.lower_bound) ?? 0n;
      const total = count ?? (upper === undefined ? undefined : Number(upper - lower) + 1);
      found.push(total !== undefined && total >= 0 && total <= Number.MAX_SAFE_INTEGER ? total : undefined);
      if (found.length >= maximumSteps) break;
    }
    return found;
  }

  /** Number of elements of an array; undefined when it has no bound. */
  get elementCount(): number | undefined {
    return this.dimensions()[this.dimension];
  }

  /** The type of an array's elements; of an array with several dimensions that of its rows. */
  element(): TypeInfo | undefined {
    const type = this.strip();
    if (type.kind !== "array") return undefined;
    if (this.dimension + 1 < this.dimensions().length) return new TypeInfo(this.info, type.entry, this.dimension + 1);
    return this.of(type.entry?.type);
  }

  enumerators(): { readonly name: string; readonly value: bigint }[] {
    const { entry } = this.strip();
    const found: { name: string; value: bigint }[] = [];
    for (const child of entry?.children() ?? []) {
      if (child.tag !== Tag.enumerator) continue;
      const value = child.constant(At.const_value);
      if (value !== undefined) found.push({ name: child.string(At.name) ?? "?", value });
    }
    return found;
  }

  /** Members of a structure, union or class in order, bases included, static members left out. */
  members(): Member[] {
    return membersOf(this.strip());
  }

  /** The part of a structure that a tag selects, when it has one. */
  variantPart(): VariantPart | undefined {
    const type = this.strip();
    for (const child of type.entry?.children() ?? []) {
      if (child.tag !== Tag.variant_part) continue;
      const tag = child.reference(At.discr);
      const variants = [];
      for (const variant of child.children())
        if (variant.tag === Tag.variant)
          variants.push({ value: variant.constant(At.discr_value), members: membersOf(new TypeInfo(this.info, variant)) });
      return { discriminant: tag === undefined ? undefined : describeMember(type, tag), variants };
    }
    return undefined;
  }

  /** The type as C writes it: `struct node *`, `int (*)(int, int)`, `u16 [2][3]`; other languages' own names where they give some. */
  get name(): string {
    return this.write("", 0);
  }

  /** The name around a declarator: `inner` is what stands where a variable's name would. */
  private write(inner: string, depth: number): string {
    const { entry } = this;
    const beside = (name: string): string => (inner === "" ? name : `${name} ${inner}`);
    if (entry === undefined) return beside("void");
    if (depth > maximumNameDepth) return beside("...");
    const own = entry.string(At.name);
    const qualifier = qualifiers.get(entry.tag);
    if (qualifier !== undefined) return this.writeQualified(entry, qualifier, inner, depth);
    switch (entry.tag) {
      case Tag.pointer_type:
      case Tag.reference_type:
      case Tag.rvalue_reference_type: {
        if (own !== undefined) return beside(own);
        const sign = entry.tag === Tag.pointer_type ? "*" : entry.tag === Tag.reference_type ? "&" : "&&";
        const target = this.of(entry.type);
        const tag = target.entry?.tag;
        const binds = tag === Tag.array_type || tag === Tag.subroutine_type;
        return target.write(binds ? `(${sign}${inner})` : sign + inner, depth + 1);
      }
      case Tag.array_type: {
        if (own !== undefined) return beside(own);
        const bounds = this.dimensions()
          .slice(this.dimension)
          .map((count) => `[${count ?? ""}]`)
          .join("");
        return this.of(entry.type).write(inner === "" ? bounds : `${inner}${bounds}`, depth + 1);
      }
      case Tag.subroutine_type:
      case Tag.subprogram: {
        const parameters = [];
        for (const child of entry.children())
          if (child.tag === Tag.formal_parameter && parameters.length < maximumSteps)
            parameters.push(this.of(child.type).write("", depth + 2));
        return this.of(entry.type).write(`${inner}(${parameters.length === 0 ? "void" : parameters.join(", ")})`, depth + 1);
      }
      default:
        return beside(this.plainName(entry, own));
    }
  }

  private writeQualified(entry: Entry, qualifier: string, inner: string, depth: number): string {
    const target = this.of(entry.type);
    const tag = target.entry?.tag;
    if (qualifier === "") return target.write(inner, depth + 1);
    // `char *const p`: what qualifies a pointer stands behind its star.
    if (tag === Tag.pointer_type) return target.write(inner === "" ? ` ${qualifier}` : ` ${qualifier} ${inner}`, depth + 1);
    return `${qualifier} ${target.write(inner, depth + 1)}`;
  }

  private plainName(entry: Entry, own: string | undefined): string {
    const isC = !languagesWithoutTags.has(entry.unit.root.language);
    const word =
      entry.tag === Tag.structure_type
        ? "struct"
        : entry.tag === Tag.union_type
          ? "union"
          : entry.tag === Tag.enumeration_type
            ? "enum"
            : entry.tag === Tag.class_type
              ? "class"
              : undefined;
    if (own === undefined) {
      const signature = entry.has(At.signature) ? entry.reference(At.signature) : undefined;
      if (signature !== undefined) return this.plainName(signature, signature.string(At.name) ?? "?");
      return word === undefined ? "?" : `${word} {...}`;
    }
    if (isC) return word === undefined ? own : `${word} ${own}`;
    return entry.tag === Tag.base_type ? own : (qualifiedName(entry) ?? own);
  }
}

/** DW_LANG of C++ (98 to 20), Rust, D, Swift, Zig and others whose type names need no `struct`. */
const languagesWithoutTags = new Set([0x04, 0x13, 0x1a, 0x1c, 0x1e, 0x21, 0x27, 0x2b, 0x2d]);

function membersOf(type: TypeInfo): Member[] {
  const found: Member[] = [];
  for (const child of type.entry?.children() ?? []) {
    if (child.tag !== Tag.member && child.tag !== Tag.inheritance) continue;
    // Static members of DWARF 4: declarations without a place in the structure.
    if (child.flag(At.external) || child.flag(At.declaration)) continue;
    found.push(describeMember(type, child));
  }
  return found;
}

function describeMember(owner: TypeInfo, entry: Entry): Member {
  const type = new TypeInfo(owner.info, entry.type);
  const byteOffset = memberOffset(entry);
  const size = entry.number(At.bit_size);
  let bits: Member["bits"];
  if (size !== undefined && size > 0 && size <= 64) {
    const direct = entry.number(At.data_bit_offset);
    // DWARF 2 and 3 counted from the highest bit of the storage unit.
    const old = entry.number(At.bit_offset);
    const storage = (entry.number(At.byte_size) ?? type.byteSize ?? 4) * 8;
    bits = { size, offset: direct ?? byteOffset * 8 + (old === undefined ? 0 : storage - old - size) };
  }
  const isBase = entry.tag === Tag.inheritance;
  const name = entry.string(At.name) ?? (isBase ? type.name : "");
  return { name, type, byteOffset, bits, isBase, isArtificial: entry.flag(At.artificial) };
}

/** Offset of a member; expressions are evaluated for a structure at 0 (those of virtual bases need the object, and give 0). */
function memberOffset(entry: Entry): number {
  const raw = entry.raw(At.data_member_location);
  if (raw?.kind === "constant") return Number(BigInt.asIntN(48, raw.value));
  if (raw?.kind !== "block") return 0;
  const context = {
    file: entry.unit.context.file,
    addressSize: 8,
    place: (linked: bigint) => linked,
    register: () => undefined,
    readMemory: () => undefined,
  };
  const location = evaluateLocation(raw.value, context, [0n]);
  return location.kind === "memory" ? Number(BigInt.asIntN(48, location.address)) : 0;
}
