import { assert } from "../../common/errors";
import { RARE, shiftHints, USUAL } from "./branchHints";

/** Value types as the binary format encodes them. */
export const I32 = 0x7f;
export const I64 = 0x7e;
export const F32 = 0x7d;
export const F64 = 0x7c;
export const V128 = 0x7b;
export type Type = typeof I32 | typeof I64 | typeof F32 | typeof F64 | typeof V128;

/** Opcodes without immediates, by their text-format names. */
export const W = {
  unreachable: 0x00,
  return: 0x0f,
  drop: 0x1a,
  select: 0x1b,
  i32Eqz: 0x45,
  i32Eq: 0x46,
  i32Ne: 0x47,
  i32LtS: 0x48,
  i32LtU: 0x49,
  i32GtS: 0x4a,
  i32GtU: 0x4b,
  i32LeS: 0x4c,
  i32LeU: 0x4d,
  i32GeS: 0x4e,
  i32GeU: 0x4f,
  i64Eqz: 0x50,
  i64Eq: 0x51,
  i64Ne: 0x52,
  i64LtS: 0x53,
  i64LtU: 0x54,
  i64GtS: 0x55,
  i64GtU: 0x56,
  i64LeS: 0x57,
  i64LeU: 0x58,
  i64GeS: 0x59,
  i64GeU: 0x5a,
  i32Popcnt: 0x69,
  i32Add: 0x6a,
  i32Sub: 0x6b,
  i32And: 0x71,
  i32Or: 0x72,
  i32Xor: 0x73,
  i32Shl: 0x74,
  i32ShrS: 0x75,
  i32ShrU: 0x76,
  i64Clz: 0x79,
  i64Ctz: 0x7a,
  i64Popcnt: 0x7b,
  i64Add: 0x7c,
  i64Sub: 0x7d,
  i64Mul: 0x7e,
  i64DivS: 0x7f,
  i64DivU: 0x80,
  i64RemS: 0x81,
  i64RemU: 0x82,
  i64And: 0x83,
  i64Or: 0x84,
  i64Xor: 0x85,
  i64Shl: 0x86,
  i64ShrS: 0x87,
  i64ShrU: 0x88,
  i64Rotl: 0x89,
  i64Rotr: 0x8a,
  i32Wrap: 0xa7,
  i64ExtendS: 0xac,
  i64ExtendU: 0xad,
  i32ReinterpretF32: 0xbc,
  i64ReinterpretF64: 0xbd,
  i64Extend8S: 0xc2,
  i64Extend16S: 0xc3,
  i64Extend32S: 0xc4,
} as const;

/** Loads and stores: opcode and natural alignment (power of two) in one number. */
export const M = {
  i32Load: 0x282,
  i64Load: 0x293,
  i64Load8U: 0x310,
  i64Load16U: 0x331,
  i64Load32U: 0x352,
  i32Store: 0x362,
  i64Store: 0x373,
  i64Store8: 0x3c0,
  i64Store16: 0x3d1,
  i64Store32: 0x3e2,
} as const;

const VOID = 0x40;
/** V8 keeps arrays of so many bytes on its heap. */
const FEW_BYTES = 64;

/** A function for the code section. */
export interface FunctionBody {
  /** Its length, locals and code. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Branches whose direction is foretold: offset from the locals' first byte, then 0 (not taken) or 1; in order. */
  readonly hints: readonly number[];
  /** Places where code may be put in later (`insert`), in order: offsets are from the locals' first byte. */
  readonly marks: readonly Mark[];
}

/** A place in a region's function where control leaves it. */
export interface Mark {
  readonly at: number;
  /** Member of the region that ends there. */
  readonly member: number;
  /** Where it goes to; undefined: to whatever SLOT_RIP names. */
  readonly rip: bigint | undefined;
}

/**
 * Writes the body of one WebAssembly function straight into bytes; the fast sibling of CodeBuilder, for code that is generated while the guest runs. Branch targets are
 * nesting depths: `label()` gives one, `br` takes it.
 */
export class FunctionWriter {
  private bytes: Uint8Array<ArrayBuffer>;
  private length = 0;
  private nesting = 0;
  private readonly locals: Type[] = [];
  private readonly hinted: number[] = [];
  private readonly marked: Mark[] = [];

  /**
   * @param parameters number of parameters: the first local's index
   * @param expected bytes that there is room for at first. Room for more than is written costs: a thousand functions with 8 KB for each writer were 50 MB and their collection.
   */
  constructor(
    private readonly parameters: number,
    expected = 1024,
  ) {
    this.bytes = new Uint8Array(expected);
  }

  get size(): number {
    return this.length;
  }

  local(type: Type): number {
    this.locals.push(type);
    return this.parameters + this.locals.length - 1;
  }

  byte(value: number): this {
    if (this.length === this.bytes.length) this.grow();
    this.bytes[this.length++] = value;
    return this;
  }

  op(opcode: number): this {
    return this.byte(opcode);
  }

  op2(first: number, second: number): this {
    return this.byte(first).byte(second);
  }

  op3(first: number, second: number, third: number): this {
    return this.byte(first).byte(second).byte(third);
  }

  /** Instructions as bytes. */
  raw(bytes: readonly number[]): this {
    for (const byte of bytes) this.byte(byte);
    return this;
  }

  unsigned(value: number): this {
    let rest = value;
    while (rest >= 0x80) {
      this.byte((rest & 0x7f) | 0x80);
      rest = Math.floor(rest / 128);
    }
    return this.byte(rest);
  }

  private signed32(value: number): this {
    let rest = value | 0;
    for (;;) {
      const low = rest & 0x7f;
      rest >>= 7;
      if ((rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0)) return this.byte(low);
      this.byte(low | 0x80);
    }
  }

  i32(value: number): this {
    return this.byte(0x41).signed32(value);
  }

  /** A 64-bit constant that a safe 32-bit signed integer holds. */
  i64(value: number): this {
    return this.byte(0x42).signed32(value);
  }

  /** A 64-bit constant by its halves. */
  i64Halves(lo: number, hi: number): this {
    this.byte(0x42);
    if (hi === lo >> 31) return this.signed32(lo);
    let low = lo | 0;
    let high = hi | 0;
    for (;;) {
      const part = low & 0x7f;
      low = (low >>> 7) | (high << 25);
      high >>= 7;
      const last = (part & 0x40) === 0 ? low === 0 && high === 0 : low === -1 && high === -1;
      if (last) return this.byte(part);
      this.byte(part | 0x80);
    }
  }

  get(local: number): this {
    return this.byte(0x20).unsigned(local);
  }

  set(local: number): this {
    return this.byte(0x21).unsigned(local);
  }

  tee(local: number): this {
    return this.byte(0x22).unsigned(local);
  }

  /** A load or store (M) at the address on the stack plus `offset` bytes. */
  mem(instruction: number, offset = 0): this {
    return this.byte(instruction >> 4)
      .byte(instruction & 15)
      .unsigned(offset);
  }

  call(index: number): this {
    return this.byte(0x10).unsigned(index);
  }

  returnCall(index: number): this {
    return this.byte(0x12).unsigned(index);
  }

  /** Tail call through table 0. */
  returnCallIndirect(type: number): this {
    return this.byte(0x13).unsigned(type).byte(0);
  }

  /** Depth that `br` takes to leave (block, if) or repeat (loop) the structure opened last. */
  label(): number {
    return this.nesting;
  }

  block(): this {
    this.nesting++;
    return this.byte(0x02).byte(VOID);
  }

  loop(): this {
    this.nesting++;
    return this.byte(0x03).byte(VOID);
  }

  if(): this {
    this.nesting++;
    return this.byte(0x04).byte(VOID);
  }

  /** An if that is hardly ever taken: the optimiser keeps its code, and what that needs of registers, out of the way. */
  ifRare(): this {
    return this.hint(RARE).if();
  }

  /** An if that is nearly always taken. */
  ifUsual(): this {
    return this.hint(USUAL).if();
  }

  /** An if whose arms leave a value, the second one hardly ever taken. */
  ifMostly(type: Type): this {
    return this.hint(USUAL).ifTyped(type);
  }

  private hint(taken: number): this {
    this.hinted.push(this.length, taken);
    return this;
  }

  /** An if whose arms leave a value. */
  ifTyped(type: Type): this {
    this.nesting++;
    return this.byte(0x04).byte(type);
  }

  else(): this {
    return this.byte(0x05);
  }

  end(): this {
    assert(this.nesting > 0, "end without a block");
    this.nesting--;
    return this.byte(0x0b);
  }

  br(label: number): this {
    return this.byte(0x0c).unsigned(this.nesting - label);
  }

  brIf(label: number): this {
    return this.byte(0x0d).unsigned(this.nesting - label);
  }

  /** Branches to `targets[i]` for i on the stack; past the end, to the last. */
  brTable(targets: readonly number[]): this {
    this.byte(0x0e).unsigned(targets.length - 1);
    for (const target of targets) this.unsigned(this.nesting - target);
    return this;
  }

  /** Distance of a branch out of everything that is open, past `beyond` more structures that will enclose this code. */
  brOut(beyond: number): this {
    return this.byte(0x0c).unsigned(this.nesting + beyond);
  }

  /** The code so far, for another writer to enclose. */
  code(): Uint8Array<ArrayBuffer> {
    return this.bytes.subarray(0, this.length);
  }

  /** Code may be put in here later. */
  mark(member: number, rip: bigint | undefined): this {
    this.marked.push({ at: this.length, member, rip });
    return this;
  }

  /** Appends code, with its `hints` and `marks` if there are any. */
  append(code: Uint8Array, hints: readonly number[] = [], marks: readonly Mark[] = []): this {
    this.hinted.push(...shiftHints(hints, this.length));
    this.marked.push(...shiftMarks(marks, this.length));
    while (this.length + code.length > this.bytes.length) this.grow();
    this.bytes.set(code, this.length);
    this.length += code.length;
    return this;
  }

  /** Branches whose direction is foretold: offsets in `code()`, each followed by 0 (not taken) or 1. */
  get hints(): readonly number[] {
    return this.hinted;
  }

  /** Places marked: offsets are in `code()`. */
  get marks(): readonly Mark[] {
    return this.marked;
  }

  /** Locals declared, to be declared again by a writer that encloses this code. */
  get declared(): readonly Type[] {
    return this.locals;
  }

  declare(locals: readonly Type[]): this {
    this.locals.push(...locals);
    return this;
  }

  /** The function body as the code section wants it, with its length in front. */
  body(): Uint8Array<ArrayBuffer> {
    return this.hintedBody().bytes;
  }

  /** The same, with its branch hints. */
  hintedBody(): FunctionBody {
    assert(this.nesting === 0, "a block was left open");
    const head = new FunctionWriter(0, FEW_BYTES);
    const runs: { type: Type; count: number }[] = [];
    for (const type of this.locals) {
      const last = runs.at(-1);
      if (last?.type === type) last.count++;
      else runs.push({ type, count: 1 });
    }
    head.unsigned(runs.length);
    for (const run of runs) head.unsigned(run.count).byte(run.type);
    const size = new FunctionWriter(0, FEW_BYTES).unsigned(head.length + this.length + 1);
    const bytes = new Uint8Array(size.length + head.length + this.length + 1);
    bytes.set(size.code(), 0);
    bytes.set(head.code(), size.length);
    bytes.set(this.code(), size.length + head.length);
    bytes[bytes.length - 1] = 0x0b;
    return { bytes, hints: shiftHints(this.hinted, head.length), marks: shiftMarks(this.marked, head.length) };
  }

  private grow(): void {
    const larger = new Uint8Array(this.bytes.length * 2);
    larger.set(this.bytes);
    this.bytes = larger;
  }
}

const shiftMarks = (marks: readonly Mark[], bytes: number): Mark[] => marks.map((mark) => ({ ...mark, at: mark.at + bytes }));

/** A body with code put in at its marks: `pieces[i]`, if there is any, at mark `i`. Each leaves the stack and the structures around it as they are. */
export function insert(body: FunctionBody, pieces: readonly (FunctionWriter | undefined)[]): FunctionBody {
  const { bytes, hints, marks } = body;
  const added = pieces.reduce((sum, piece) => sum + (piece?.size ?? 0), 0);
  if (added === 0) return body;
  let start = 0;
  while (bytes[start++] >= 0x80);
  const out = new FunctionWriter(0, bytes.length + added + FEW_BYTES).unsigned(bytes.length - start + added);
  const first = out.size;
  const moved: number[] = [];
  let copied = 0;
  let hint = 0;
  const copyTo = (end: number): void => {
    for (; hint < hints.length && hints[hint] < end; hint += 2) moved.push(hints[hint] + out.size - first - copied, hints[hint + 1]);
    out.append(bytes.subarray(start + copied, start + end));
    copied = end;
  };
  const places: Mark[] = [];
  pieces.forEach((piece, i) => {
    copyTo(marks[i].at);
    places.push({ ...marks[i], at: out.size - first });
    if (piece === undefined) return;
    moved.push(...shiftHints(piece.hints, out.size - first));
    out.append(piece.code());
  });
  copyTo(bytes.length - start);
  return { bytes: out.code().slice(), hints: moved, marks: places };
}
