import { S } from "../vector/wasm";

/** Names of the instructions without immediates, 0x45 to 0xc4, in the order of their opcodes (core specification, "Numeric Instructions"). */
const integerComparisons = ["eqz", "eq", "ne", "lt_s", "lt_u", "gt_s", "gt_u", "le_s", "le_u", "ge_s", "ge_u"];
const floatComparisons = ["eq", "ne", "lt", "gt", "le", "ge"];
const integerOperations = "clz ctz popcnt add sub mul div_s div_u rem_s rem_u and or xor shl shr_s shr_u rotl rotr".split(" ");
const floatOperations = "abs neg ceil floor trunc nearest sqrt add sub mul div min max copysign".split(" ");
const conversions =
  "i32.wrap_i64 i32.trunc_f32_s i32.trunc_f32_u i32.trunc_f64_s i32.trunc_f64_u i64.extend_i32_s i64.extend_i32_u i64.trunc_f32_s i64.trunc_f32_u i64.trunc_f64_s i64.trunc_f64_u f32.convert_i32_s f32.convert_i32_u f32.convert_i64_s f32.convert_i64_u f32.demote_f64 f64.convert_i32_s f64.convert_i32_u f64.convert_i64_s f64.convert_i64_u f64.promote_f32 i32.reinterpret_f32 i64.reinterpret_f64 f32.reinterpret_i32 f64.reinterpret_i64 i32.extend8_s i32.extend16_s i64.extend8_s i64.extend16_s i64.extend32_s".split(
    " ",
  );
const of = (type: string, names: readonly string[]): string[] => names.map((name) => `${type}.${name}`);
const numeric = [
  ...of("i32", integerComparisons),
  ...of("i64", integerComparisons),
  ...of("f32", floatComparisons),
  ...of("f64", floatComparisons),
  ...of("i32", integerOperations),
  ...of("i64", integerOperations),
  ...of("f32", floatOperations),
  ...of("f64", floatOperations),
  ...conversions,
];
const firstNumeric = 0x45;
const memory =
  "i32.load i64.load f32.load f64.load i32.load8_s i32.load8_u i32.load16_s i32.load16_u i64.load8_s i64.load8_u i64.load16_s i64.load16_u i64.load32_s i64.load32_u i32.store i64.store f32.store f64.store i32.store8 i32.store16 i64.store8 i64.store16 i64.store32".split(
    " ",
  );
const firstMemory = 0x28;
const types: Readonly<Record<number, string>> = { 0x7f: "i32", 0x7e: "i64", 0x7d: "f32", 0x7c: "f64", 0x7b: "v128" };
const vectorNames: ReadonlyMap<number, string> = new Map(Object.entries(S).map(([name, opcode]) => [opcode, name]));

/** Reads LEB128 numbers and bytes of code. */
class Reader {
  at = 0;
  constructor(private readonly bytes: Uint8Array) {}

  get atEnd(): boolean {
    return this.at >= this.bytes.length;
  }

  byte(): number {
    if (this.atEnd) throw new RangeError("the code ends in the middle of an instruction");
    return this.bytes[this.at++];
  }

  unsigned(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.byte();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  }

  signed(bits: 32 | 64): bigint {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asIntN(bits, (byte & 0x40) === 0 ? value : value | (-1n << (shift + 7n)));
    }
  }

  hex(count: number): string {
    let text = "";
    for (let i = 0; i < count; i++) text += this.byte().toString(16).padStart(2, "0");
    return text;
  }
}

/** What numbers in the code are called. */
export interface CodeNames {
  /** The function with this index: "$helper". */
  readonly function?: (index: number) => string | undefined;
  /** A local: "$cpu". */
  readonly local?: (index: number) => string | undefined;
}

/**
 * The body of a function, as it stands in the code section with its length in front, as lines of the text format; nested structures are indented. Vector instructions have the
 * names of `vector/wasm.ts`. @throws RangeError for what is no whole body
 */
export function functionText(body: Uint8Array, names: CodeNames = {}): string[] {
  const reader = new Reader(body);
  const size = reader.unsigned();
  if (size !== body.length - reader.at) throw new RangeError(`the body has ${body.length - reader.at} bytes, not ${size}`);
  const lines: string[] = [];
  const declared: string[] = [];
  for (let runs = reader.unsigned(); runs > 0; runs--) {
    const count = reader.unsigned();
    const type = types[reader.byte()] ?? "?";
    declared.push(count === 1 ? type : `${type} x ${count}`);
  }
  if (declared.length > 0) lines.push(`(local ${declared.join(" ")})`);
  let depth = 0;
  while (!reader.atEnd) {
    const opcode = reader.byte();
    if (opcode === 0x0b || opcode === 0x05) depth--;
    // The body's own end.
    if (depth < 0) break;
    lines.push(`${"  ".repeat(depth)}${instruction(opcode, reader, names)}`);
    if ((opcode >= 0x02 && opcode <= 0x04) || opcode === 0x05) depth++;
  }
  if (depth >= 0 || !reader.atEnd) throw new RangeError("the body's structures do not match");
  return lines;
}

function instruction(opcode: number, reader: Reader, names: CodeNames): string {
  const simple = numeric[opcode - firstNumeric] as string | undefined;
  if (opcode >= firstNumeric && simple !== undefined) return simple;
  const access = memory[opcode - firstMemory] as string | undefined;
  if (opcode >= firstMemory && access !== undefined) return `${access}${address(reader)}`;
  const local = (): string => {
    const index = reader.unsigned();
    return names.local?.(index) ?? String(index);
  };
  const callee = (): string => {
    const index = reader.unsigned();
    return names.function?.(index) ?? String(index);
  };
  const block = (name: string): string => {
    const type = types[reader.byte()];
    return type === undefined ? name : `${name} (result ${type})`;
  };
  switch (opcode) {
    case 0x00:
      return "unreachable";
    case 0x01:
      return "nop";
    case 0x02:
      return block("block");
    case 0x03:
      return block("loop");
    case 0x04:
      return block("if");
    case 0x05:
      return "else";
    case 0x0b:
      return "end";
    case 0x0c:
      return `br ${reader.unsigned()}`;
    case 0x0d:
      return `br_if ${reader.unsigned()}`;
    case 0x0e: {
      const targets = Array.from({ length: reader.unsigned() + 1 }, () => reader.unsigned());
      return `br_table ${targets.join(" ")}`;
    }
    case 0x0f:
      return "return";
    case 0x10:
      return `call ${callee()}`;
    case 0x12:
      return `return_call ${callee()}`;
    case 0x13: {
      const type = reader.unsigned();
      reader.unsigned();
      return `return_call_indirect (type ${type})`;
    }
    case 0x1a:
      return "drop";
    case 0x1b:
      return "select";
    case 0x20:
      return `local.get ${local()}`;
    case 0x21:
      return `local.set ${local()}`;
    case 0x22:
      return `local.tee ${local()}`;
    case 0x41:
      return `i32.const ${reader.signed(32)}`;
    case 0x42: {
      const value = reader.signed(64);
      return `i64.const ${value > 0xffffn ? `0x${value.toString(16)}` : value}`;
    }
    case 0x43:
      return `f32.const 0x${reader.hex(4)}`;
    case 0x44:
      return `f64.const 0x${reader.hex(8)}`;
    case 0xfc:
      return bulk(reader);
    case 0xfd:
      return vector(reader);
    default:
      throw new RangeError(`opcode 0x${opcode.toString(16)} is not known`);
  }
}

function address(reader: Reader): string {
  reader.unsigned(); // alignment
  const offset = reader.unsigned();
  return offset === 0 ? "" : ` offset=${offset}`;
}

function bulk(reader: Reader): string {
  const opcode = reader.unsigned();
  switch (opcode) {
    case 10:
      reader.unsigned();
      reader.unsigned();
      return "memory.copy";
    case 11:
      reader.unsigned();
      return "memory.fill";
    default:
      if (opcode > 7) throw new RangeError(`opcode 0xfc ${opcode} is not known`);
      return `${opcode < 4 ? "i32" : "i64"}.trunc_sat_${opcode & 2 ? "f64" : "f32"}_${opcode & 1 ? "u" : "s"}`;
  }
}

function vector(reader: Reader): string {
  const opcode = reader.unsigned();
  const name = `v128.${vectorNames.get(opcode) ?? `0x${opcode.toString(16)}`}`;
  if (opcode <= 0x0b || opcode === 0x5c || opcode === 0x5d) return `${name}${address(reader)}`;
  if (opcode >= 0x54 && opcode <= 0x5b) return `${name}${address(reader)} ${reader.byte()}`;
  if (opcode === S.constant || opcode === S.shuffle) return `${name} 0x${reader.hex(16)}`;
  if (opcode >= 0x15 && opcode <= 0x22) return `${name} ${reader.byte()}`;
  return name;
}
