import { assert } from "../../common/errors";
import { RARE, shiftHints, USUAL } from "./branchHints";
import { pushSigned32, pushSigned64, pushUnsigned } from "./leb";

export type ValueType = "i32" | "i64" | "f32" | "f64" | "v128";

const typeByte: Record<ValueType, number> = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b };

/** Opcodes without immediates, by their text-format names. */
const plain = {
  unreachable: 0x00,
  return: 0x0f,
  drop: 0x1a,
  select: 0x1b,
  "i32.eqz": 0x45,
  "i32.eq": 0x46,
  "i32.ne": 0x47,
  "i32.lt_s": 0x48,
  "i32.lt_u": 0x49,
  "i32.gt_s": 0x4a,
  "i32.gt_u": 0x4b,
  "i32.le_s": 0x4c,
  "i32.le_u": 0x4d,
  "i32.ge_s": 0x4e,
  "i32.ge_u": 0x4f,
  "i64.eqz": 0x50,
  "i64.eq": 0x51,
  "i64.ne": 0x52,
  "i64.lt_s": 0x53,
  "i64.lt_u": 0x54,
  "i64.gt_s": 0x55,
  "i64.gt_u": 0x56,
  "i64.le_s": 0x57,
  "i64.le_u": 0x58,
  "i64.ge_s": 0x59,
  "i64.ge_u": 0x5a,
  "i32.add": 0x6a,
  "i32.sub": 0x6b,
  "i32.mul": 0x6c,
  "i32.and": 0x71,
  "i32.or": 0x72,
  "i32.xor": 0x73,
  "i32.shl": 0x74,
  "i32.shr_s": 0x75,
  "i32.shr_u": 0x76,
  "i32.popcnt": 0x69,
  "i64.clz": 0x79,
  "i64.ctz": 0x7a,
  "i64.popcnt": 0x7b,
  "i64.add": 0x7c,
  "i64.sub": 0x7d,
  "i64.mul": 0x7e,
  "i64.div_s": 0x7f,
  "i64.div_u": 0x80,
  "i64.rem_s": 0x81,
  "i64.rem_u": 0x82,
  "i64.and": 0x83,
  "i64.or": 0x84,
  "i64.xor": 0x85,
  "i64.shl": 0x86,
  "i64.shr_s": 0x87,
  "i64.shr_u": 0x88,
  "i64.rotl": 0x89,
  "i64.rotr": 0x8a,
  "i32.wrap": 0xa7,
  "i64.extend_s": 0xac,
  "i64.extend_u": 0xad,
  "i64.extend8_s": 0xc2,
  "i64.extend16_s": 0xc3,
  "i64.extend32_s": 0xc4,
  "f64.eq": 0x61,
  "f64.convert_u": 0xba,
} as const;

export type PlainInstruction = keyof typeof plain;

/** Memory instructions: opcode, natural alignment as a power of two. */
const memory = {
  "i32.load": [0x28, 2],
  "i64.load": [0x29, 3],
  "i32.load8_u": [0x2d, 0],
  "i32.load16_u": [0x2f, 1],
  "i64.load8_u": [0x31, 0],
  "i64.load16_u": [0x33, 1],
  "i64.load32_s": [0x34, 2],
  "i64.load32_u": [0x35, 2],
  "i32.store": [0x36, 2],
  "i32.store16": [0x3b, 1],
  "i64.store": [0x37, 3],
  "i64.store8": [0x3c, 0],
  "i64.store16": [0x3d, 1],
  "i64.store32": [0x3e, 2],
  "f64.load": [0x2b, 3],
  "f64.store": [0x39, 3],
} as const;

export type MemoryInstruction = keyof typeof memory;

/** A local variable of a function under construction. */
export interface Local {
  readonly index: number;
  readonly type: ValueType;
}

/**
 * Assembles the body of one WebAssembly function. Control structures are named; branches name their target and the depth is computed.
 */
export class CodeBuilder {
  private readonly out: number[] = [];
  private readonly labels: string[] = [];
  private readonly locals: ValueType[] = [];
  private readonly hinted: number[] = [];

  constructor(
    readonly parameters: readonly ValueType[],
    readonly results: readonly ValueType[],
  ) {}

  parameter(index: number): Local {
    return { index, type: this.parameters[index] };
  }

  local(type: ValueType): Local {
    this.locals.push(type);
    return { index: this.parameters.length + this.locals.length - 1, type };
  }

  op(...names: PlainInstruction[]): this {
    for (const name of names) this.out.push(plain[name]);
    return this;
  }

  /** memory.copy: destination, source and length are on the stack. */
  memoryCopy(): this {
    return this.raw([0xfc, 0x0a, 0, 0]);
  }

  /** memory.fill: destination, value and length are on the stack. */
  memoryFill(): this {
    return this.raw([0xfc, 0x0b, 0]);
  }

  /** Instructions as bytes. */
  raw(bytes: readonly number[]): this {
    for (const byte of bytes) this.out.push(byte);
    return this;
  }

  i32(value: number): this {
    this.out.push(0x41);
    pushSigned32(this.out, value);
    return this;
  }

  i64(value: bigint): this {
    this.out.push(0x42);
    pushSigned64(this.out, value);
    return this;
  }

  get(local: Local): this {
    return this.indexed(0x20, local.index);
  }

  set(local: Local): this {
    return this.indexed(0x21, local.index);
  }

  tee(local: Local): this {
    return this.indexed(0x22, local.index);
  }

  call(functionIndex: number): this {
    return this.indexed(0x10, functionIndex);
  }

  returnCall(functionIndex: number): this {
    return this.indexed(0x12, functionIndex);
  }

  /** Tail call through table 0 of a function of the module's type `type`; its index is on top of the arguments. */
  returnCallIndirect(type: number): this {
    this.indexed(0x13, type);
    this.out.push(0);
    return this;
  }

  /** A load or store at the address on the stack plus `offset` bytes. */
  mem(name: MemoryInstruction, offset = 0): this {
    const [opcode, align] = memory[name];
    this.out.push(opcode);
    pushUnsigned(this.out, align);
    pushUnsigned(this.out, offset);
    return this;
  }

  block(label: string): this {
    this.out.push(0x02, 0x40);
    this.labels.push(label);
    return this;
  }

  loop(label: string): this {
    this.out.push(0x03, 0x40);
    this.labels.push(label);
    return this;
  }

  if(label = "if"): this {
    this.out.push(0x04, 0x40);
    this.labels.push(label);
    return this;
  }

  /** An if that is hardly ever taken: the optimiser keeps its code, and what that needs of registers, out of the way. */
  ifRare(): this {
    return this.hint(RARE).if();
  }

  /** An if whose other arm is hardly ever taken. */
  ifMostly(): this {
    return this.hint(USUAL).if();
  }

  /** A branch that is hardly ever taken. */
  brIfRare(label: string): this {
    return this.hint(RARE).brIf(label);
  }

  private hint(taken: number): this {
    this.hinted.push(this.out.length, taken);
    return this;
  }

  else(): this {
    this.out.push(0x05);
    return this;
  }

  end(): this {
    assert(this.labels.length > 0, "end without a block");
    this.labels.pop();
    this.out.push(0x0b);
    return this;
  }

  br(label: string): this {
    return this.indexed(0x0c, this.depth(label));
  }

  brIf(label: string): this {
    return this.indexed(0x0d, this.depth(label));
  }

  /** Branches to `targets[i]` for i on the stack, to `fallback` past the end. */
  brTable(targets: readonly string[], fallback: string): this {
    this.out.push(0x0e);
    pushUnsigned(this.out, targets.length);
    for (const target of targets) pushUnsigned(this.out, this.depth(target));
    pushUnsigned(this.out, this.depth(fallback));
    return this;
  }

  /** The function body as the code section wants it, without its length. */
  body(): number[] {
    assert(this.labels.length === 0, `unclosed blocks: ${this.labels.join(", ")}`);
    const out = this.head();
    for (const byte of this.out) out.push(byte);
    out.push(0x0b);
    return out;
  }

  /** Branches of the body whose direction is foretold, as FunctionBody has them. */
  get hints(): readonly number[] {
    return shiftHints(this.hinted, this.head().length);
  }

  private head(): number[] {
    const out: number[] = [];
    pushUnsigned(out, this.locals.length);
    for (const type of this.locals) out.push(1, typeByte[type]);
    return out;
  }

  private indexed(opcode: number, index: number): this {
    this.out.push(opcode);
    pushUnsigned(this.out, index);
    return this;
  }

  private depth(label: string): number {
    const at = this.labels.lastIndexOf(label);
    assert(at >= 0, `no enclosing block ${label}`);
    return this.labels.length - 1 - at;
  }
}

export const encodeType = (type: ValueType): number => typeByte[type];
