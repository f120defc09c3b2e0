import { CodeBuilder, type Local } from "../wasm/code";
import { OP_A, OP_B, OP_D, OP_IMM, SLOT_CC_AUX, SLOT_CC_RES, SLOT_RIP, WORD_BLOCK, WORD_BUDGET, WORD_OP } from "../layout";

/** Indexes of the functions that the interpreter's code calls. */
export interface Callees {
  /** env.helper(id, a, b, lo, hi): status */
  readonly helper: number;
  /** env.load / env.store(kind, lo, hi): status; the value passes through SLOT_MEM_VALUE. */
  readonly load: number;
  readonly store: number;
  /** env.segment(op address): status; the linear address passes through SLOT_MEM_VALUE. */
  readonly segment: number;
  /** env.fault(code): records the exception. */
  readonly fault: number;
  /** env.divide(op address): 64-bit division with a 128-bit dividend; status. */
  readonly divide: number;
  /** (cpu): the six status flags at their EFLAGS positions. */
  getFlags: number;
  /** (cpu, flags) */
  setFlags: number;
  /** (a, b): high 64 bits of the unsigned product. */
  multiplyHigh: number;
  /** Type of generated functions: (cpu, entry, budget): exit reason. */
  generated: number;
  /** (cpu, address, rip, operation): 1 when the x87 instruction is done. */
  x87: number;
  /** (cpu, address, kind): TLB entry filled for an access, or 0. */
  walk: number;
  /** (cpu, operation): bulk iterations of a string instruction; 1 when it is complete. */
  bulkString: number;
  /** (cpu, FAST_CALL or another FAST_, operand, budget): 1 when the transfer is done. */
  fastCall: number;
  /** (cpu, address, value): a store of 32 bits to the local APIC, STORE_ (localApic.ts). */
  apicStore: number;
  /** (cpu, jump-cache entry): first op of the block at SLOT_RIP that the entry is not, or 0. */
  findJump: number;
}

export type Width = 8 | 16 | 32 | 64;
export const allWidths: readonly Width[] = [8, 16, 32, 64];

/** Bits above the result's two top bits as CC_AUX keeps them, and the AF bit. */
const AUX_TOP = 0xc000_0000_0000_0000n;

/**
 * The code of the interpreter loop under construction, with its locals and the idioms that all its cases share.
 * Parameters of the function: CPU state address, op address, block header address, instructions to charge.
 */
export class InterpreterEmitter {
  readonly code = new CodeBuilder(["i32", "i32", "i32", "i32"], ["i32"]);
  readonly cpu = this.code.parameter(0);
  readonly op = this.code.parameter(1);
  readonly block = this.code.parameter(2);
  readonly charge = this.code.parameter(3);
  readonly budget = this.code.local("i32");
  readonly exitCode = this.code.local("i32");
  readonly t = this.code.local("i32");
  readonly entry = this.code.local("i32");
  readonly A = this.code.local("i64");
  readonly B = this.code.local("i64");
  readonly R = this.code.local("i64");
  readonly X = this.code.local("i64");
  readonly Y = this.code.local("i64");
  readonly address = this.code.local("i64");

  /** Locals of vector ops: vectors, doubles and singles. */
  readonly vectors = {
    x: this.code.local("v128"),
    y: this.code.local("v128"),
    r: this.code.local("v128"),
    u: this.code.local("v128"),
    dx: this.code.local("f64"),
    dy: this.code.local("f64"),
    dr: this.code.local("f64"),
    sx: this.code.local("f32"),
    sy: this.code.local("f32"),
    sr: this.code.local("f32"),
  } as const;

  constructor(readonly callees: Callees) {}

  /** Pushes the address of the slot that operand `field` names. */
  slotAddress(field: number): void {
    this.code.get(this.cpu).get(this.op).mem("i32.load16_u", field).op("i32.add");
  }

  /** Pushes the value of the slot that operand `field` names. */
  slot(field: number): void {
    this.slotAddress(field);
    this.code.mem("i64.load");
  }

  /** Stores `value` into the slot of operand `field`. */
  setSlot(field: number, value: Local): void {
    this.slotAddress(field);
    this.code.get(value).mem("i64.store");
  }

  /** Pushes rhs = slot[b] + imm. */
  rhs(): void {
    this.slot(OP_B);
    this.code.get(this.op).mem("i64.load", OP_IMM).op("i64.add");
  }

  /** Pushes the 64-bit word at `offset` of the CPU's state. */
  state64(offset: number): void {
    this.code.get(this.cpu).mem("i64.load", offset);
  }

  setState64(offset: number, value: Local): void {
    this.code.get(this.cpu).get(value).mem("i64.store", offset);
  }

  state32(offset: number): void {
    this.code.get(this.cpu).mem("i32.load", offset);
  }

  /** Makes budget, block and op visible to the host before a call out. */
  publish(): void {
    const { code, cpu } = this;
    code.get(cpu).get(this.budget).mem("i32.store", WORD_BUDGET);
    code.get(cpu).get(this.op).mem("i32.store", WORD_OP);
    code.get(cpu).get(this.block).mem("i32.store", WORD_BLOCK);
  }

  /** The host may have cut the budget. */
  reloadBudget(): void {
    this.state32(WORD_BUDGET);
    this.code.set(this.budget);
  }

  exit(reason: number): void {
    this.code.i32(reason).set(this.exitCode).br("exit");
  }

  /** Goes on with the next op. */
  next(): void {
    this.code.br("next");
  }

  /** Masks the value on the stack to `width` bits. */
  truncate(width: Width): void {
    if (width < 64) this.code.i64((1n << BigInt(width)) - 1n).op("i64.and");
  }

  /** Sign-extends the value on the stack from `width` bits. */
  signExtend(width: Width): void {
    if (width === 8) this.code.op("i64.extend8_s");
    else if (width === 16) this.code.op("i64.extend16_s");
    else if (width === 32) this.code.op("i64.extend32_s");
  }

  /** CC_RES = the value of `result`, sign-extended from `width`. */
  setResult(width: Width, result: Local): void {
    this.code.get(this.cpu).get(result);
    this.signExtend(width);
    this.code.mem("i64.store", SLOT_CC_RES);
  }

  /** CC_AUX from the carry vector in `carries` (bit i: carry out of bit i). */
  setCarries(width: Width, carries: Local): void {
    const { code } = this;
    code.get(this.cpu).get(carries);
    if (width < 64) code.i64(BigInt(64 - width)).op("i64.shl");
    code.i64(AUX_TOP).op("i64.and");
    code.get(carries).i64(8n).op("i64.and", "i64.or");
    code.mem("i64.store", SLOT_CC_AUX);
  }

  /** Leaves the carry vector of A + B = R in X. */
  addCarries(): void {
    const { A, B, R, X } = this;
    this.code.get(A).get(B).op("i64.and").get(A).get(B).op("i64.or").get(R).i64(-1n).op("i64.xor", "i64.and", "i64.or").set(X);
  }

  /** Leaves the borrow vector of A - B = R in X. */
  subtractBorrows(): void {
    const { A, B, R, X } = this;
    this.code.get(A).i64(-1n).op("i64.xor").get(B).op("i64.and");
    this.code.get(A).get(B).op("i64.xor").i64(-1n).op("i64.xor").get(R).op("i64.and", "i64.or").set(X);
  }

  /** Pushes CF as an i64, 0 or 1. */
  carry(): void {
    this.state64(SLOT_CC_AUX);
    this.code.i64(63n).op("i64.shr_u");
  }

  setRip(value: Local): void {
    this.setState64(SLOT_RIP, value);
  }

  readonly fields = { d: OP_D, a: OP_A, b: OP_B } as const;
}
