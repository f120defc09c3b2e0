import { unreachable } from "../common/errors";
import {
  BLOCK_COUNT,
  BLOCK_HEADER_BYTES,
  BLOCK_HEAT,
  JUMP_ENTRY_BYTES,
  JUMP_GENERATION,
  JUMP_MODE,
  JUMP_OP,
  JUMP_RIP,
  jumpIndex,
  OP_A,
  OP_B,
  OP_BYTES,
  OP_CHAIN,
  OP_D,
  OP_IMM,
  OP_MEM_FLAGS,
  OP_SCALE,
  SLOT_CC_AUX,
  SLOT_CC_RES,
  SLOT_MEM_VALUE,
  SLOT_RIP,
  SLOT_SEG_BASE,
  SLOT_SEG_LIMIT_R,
  SLOT_SEG_LIMIT_W,
  TLB_ADDEND,
  TLB_ENTRIES,
  TLB_ENTRY_BYTES,
  TLB_READ,
  TLB_WRITE,
  WORD_BLOCK,
  WORD_BUDGET,
  WORD_JUMP_CACHE,
  WORD_JUMP_GENERATION,
  WORD_MODE,
  WORD_OP,
  WORD_REQUEST,
  WORD_SHADOW,
  WORD_TLB,
} from "./layout";
import { type Condition, EXIT_BREAK, EXIT_BUDGET, EXIT_CHAIN, EXIT_FAULT, EXIT_LEAVE, EXIT_LOOKUP, type OpName, opNames } from "./ops";
import { ENTER_BLOCK, type EngineHost, FAULT_ALIGNMENT, FAULT_DIVIDE, FAULT_PROTECTION, type RunFunction } from "./interpreter/interpreter";
import { KIND_PROBE_WRITE, KIND_WRAP32 } from "./interpreter/memory";
import { type Flags, packFlags, unpackFlags } from "./flags";

const u64 = (value: bigint): bigint => BigInt.asUintN(64, value);
const parity = (value: bigint): boolean => {
  let bits = Number(value & 0xffn);
  bits ^= bits >> 4;
  bits ^= bits >> 2;
  bits ^= bits >> 1;
  return (bits & 1) === 0;
};

/**
 * The plain reference interpreter of the ops: bigint arithmetic, each op as its one-line meaning, flags computed from the definitions of the SDM (vol. 1, "Status Flags").
 * Slow; for tests only. It shares the memory layout and the host interface with the emitted interpreter and must agree with it bit for bit.
 */
export class ReferenceInterpreter {
  private readonly view: DataView;
  private cpu = 0;
  private op = 0;
  private block = 0;
  private budget = 0;

  constructor(
    memory: { readonly view: DataView },
    private readonly host: EngineHost,
  ) {
    this.view = memory.view;
  }

  readonly run: RunFunction = (cpu, op, block, charge) => {
    this.cpu = cpu;
    this.op = op;
    this.block = block;
    this.budget = this.word(WORD_BUDGET);
    let reason: number | undefined;
    if (charge === ENTER_BLOCK) reason = this.enter(op);
    else if (charge > this.budget) reason = EXIT_BUDGET;
    else this.budget -= charge;
    while (reason === undefined) reason = this.step();
    this.publish();
    return reason;
  };

  private word(offset: number): number {
    return this.view.getInt32(this.cpu + offset, true);
  }

  private setWord(offset: number, value: number): void {
    this.view.setInt32(this.cpu + offset, value, true);
  }

  private slot(offset: number): bigint {
    return this.view.getBigUint64(this.cpu + offset, true);
  }

  private setSlot(offset: number, value: bigint): void {
    this.view.setBigUint64(this.cpu + offset, u64(value), true);
  }

  private operand(field: number): number {
    return this.view.getUint16(this.op + field, true);
  }

  private imm(): bigint {
    return this.view.getBigUint64(this.op + OP_IMM, true);
  }

  private publish(): void {
    this.setWord(WORD_BUDGET, this.budget);
    this.setWord(WORD_OP, this.op);
    this.setWord(WORD_BLOCK, this.block);
  }

  /** A call out: publishes, calls, takes the budget back. */
  private call(out: () => number): number {
    this.publish();
    const status = out();
    this.budget = this.word(WORD_BUDGET);
    return status;
  }

  private flags(): Flags {
    return unpackFlags(this.slot(SLOT_CC_RES), this.slot(SLOT_CC_AUX));
  }

  private setFlags(flags: Flags): void {
    const { result, auxiliary } = packFlags(flags);
    this.setSlot(SLOT_CC_RES, result);
    this.setSlot(SLOT_CC_AUX, auxiliary);
  }

  private condition(condition: Condition, inverted: boolean): boolean {
    const f = this.flags();
    const holds = ((): boolean => {
      switch (condition) {
        case "o":
          return f.of;
        case "c":
          return f.cf;
        case "z":
          return f.zf;
        case "be":
          return f.cf || f.zf;
        case "s":
          return f.sf;
        case "p":
          return f.pf;
        case "l":
          return f.sf !== f.of;
        case "le":
          return f.zf || f.sf !== f.of;
        default:
          return unreachable(condition);
      }
    })();
    return holds !== inverted;
  }

  /** Executes one op; an exit reason, or undefined to go on. */
  private step(): number | undefined {
    const name: OpName = opNames[this.view.getUint16(this.op, true)];
    // Vector ops are what the helper makes of them.
    if (name.startsWith("v_")) return this.helperOp();
    const conditional = /^(br|get|movc)_(\w+)$/.exec(name);
    if (conditional !== null) return this.conditionalOp(conditional[1], conditional[2] as Condition);
    const memory = /^(ld|ldw|st)(8|16|32|64)(_32)?$/.exec(name);
    if (memory !== null) return this.memoryOp(memory[1], Number(memory[2]), memory[3] !== undefined);
    const arithmetic =
      /^(addf|adcf|subf|sbbf|andf|orf|xorf|shlf|shrf|sarf|rolf|rorf|rclf|rcrf|imulf|incf|decf|negf|shldf|shrdf|mulHiLof|imulHiLof|div|idiv)(8|16|32|64)$/.exec(
        name,
      );
    if (arithmetic !== null) return this.arithmeticOp(arithmetic[1], Number(arithmetic[2]));
    return this.plainOp(name);
  }

  private next(): undefined {
    this.op += OP_BYTES;
    return undefined;
  }

  private skip(): undefined {
    this.op += this.view.getInt32(this.op + OP_IMM, true);
    return undefined;
  }

  private enter(op: number): number | undefined {
    this.op = op;
    this.block = op - BLOCK_HEADER_BYTES;
    const count = this.view.getUint32(this.block + BLOCK_COUNT, true);
    this.view.setInt32(this.block + BLOCK_HEAT, this.view.getInt32(this.block + BLOCK_HEAT, true) - 1, true);
    if (count > this.budget) return EXIT_BUDGET;
    this.budget -= count;
    return undefined;
  }

  private lookUp(): number | undefined {
    const rip = this.slot(SLOT_RIP);
    const entry = this.word(WORD_JUMP_CACHE) + jumpIndex(Number(rip & 0xffff_ffffn) | 0) * JUMP_ENTRY_BYTES;
    if (
      this.view.getBigUint64(entry + JUMP_RIP, true) !== rip ||
      this.view.getInt32(entry + JUMP_MODE, true) !== this.word(WORD_MODE) ||
      this.view.getInt32(entry + JUMP_GENERATION, true) !== this.word(WORD_JUMP_GENERATION)
    )
      return EXIT_LOOKUP;
    return this.enter(this.view.getInt32(entry + JUMP_OP, true));
  }

  private helperOp(): number | undefined {
    const imm = this.imm();
    const lo = Number(imm & 0xffff_ffffn) | 0;
    const hi = Number(imm >> 32n) | 0;
    const status = this.call(() => this.host.helper(this.operand(OP_D), this.operand(OP_A), this.operand(OP_B), lo, hi));
    return status === 0 ? this.next() : status === 1 ? EXIT_FAULT : EXIT_LEAVE;
  }

  private conditionalOp(kind: string, condition: Condition): undefined {
    const holds = this.condition(condition, (this.operand(OP_B) & 1) !== 0);
    if (kind === "br") return holds ? this.skip() : this.next();
    if (kind === "get") this.setSlot(this.operand(OP_D), holds ? 1n : 0n);
    else if (holds) this.setSlot(this.operand(OP_D), this.slot(this.operand(OP_A)));
    return this.next();
  }

  private address(): bigint {
    const scale = BigInt(this.view.getUint8(this.op + OP_SCALE));
    const displacement = BigInt(this.view.getInt32(this.op + OP_IMM, true));
    return u64(this.slot(this.operand(OP_A)) + (this.slot(this.operand(OP_B)) << scale) + displacement);
  }

  private memoryOp(kind: string, width: number, wrap32: boolean): number | undefined {
    const bytes = width / 8;
    const address = wrap32 ? this.address() & 0xffff_ffffn : this.address();
    const low = Number(address & 0xffff_ffffn);
    const entry = this.word(WORD_TLB) + ((low >>> 12) & (TLB_ENTRIES - 1)) * TLB_ENTRY_BYTES;
    const tag = this.view.getBigUint64(entry + (kind === "ld" ? TLB_READ : TLB_WRITE), true);
    const fast = tag === (u64(address + BigInt(bytes - 1)) & ~0xfffn & 0xffff_ffff_ffff_ffffn);
    const host = (low + this.view.getInt32(entry + TLB_ADDEND, true)) >>> 0;
    const callKind =
      bytes | (this.view.getUint8(this.op + OP_MEM_FLAGS) << 8) | (wrap32 ? KIND_WRAP32 : 0) | (kind === "ldw" ? KIND_PROBE_WRITE : 0);
    const high = Number(address >> 32n);
    if (kind === "st") {
      const value = this.slot(this.operand(OP_D));
      if (fast) {
        for (let i = 0; i < bytes; i++) this.view.setUint8(host + i, Number((value >> BigInt(8 * i)) & 0xffn));
        return this.next();
      }
      this.setSlot(SLOT_MEM_VALUE, value);
      return this.call(() => this.host.store(callKind, low | 0, high | 0)) === 0 ? this.next() : EXIT_FAULT;
    }
    let value = 0n;
    if (fast) for (let i = 0; i < bytes; i++) value |= BigInt(this.view.getUint8(host + i)) << BigInt(8 * i);
    else {
      if (this.call(() => this.host.load(callKind, low | 0, high | 0)) !== 0) return EXIT_FAULT;
      value = this.slot(SLOT_MEM_VALUE);
    }
    this.setSlot(this.operand(OP_D), value);
    return this.next();
  }

  private segmentOp(): number | undefined {
    const imm = Number(this.imm() & 0xffffn);
    const segment = (imm & 7) * 8;
    const offset = this.slot(this.operand(OP_A));
    const limit = this.slot((imm & 8 ? SLOT_SEG_LIMIT_W : SLOT_SEG_LIMIT_R) + segment);
    if (u64(offset + BigInt(imm >> 8)) <= limit) {
      this.setSlot(this.operand(OP_D), (this.slot(SLOT_SEG_BASE + segment) + offset) & 0xffff_ffffn);
      return this.next();
    }
    if (this.call(() => this.host.segment(this.op)) !== 0) return EXIT_FAULT;
    this.setSlot(this.operand(OP_D), this.slot(SLOT_MEM_VALUE));
    return this.next();
  }

  private fault(code: number): number {
    this.call(() => this.host.fault(code));
    return EXIT_FAULT;
  }

  private arithmeticOp(name: string, width: number): number | undefined {
    const wide = BigInt(width);
    const mask = (1n << wide) - 1n;
    const top = 1n << (wide - 1n);
    const signed = (value: bigint): bigint => BigInt.asIntN(width, value);
    const d = this.operand(OP_D);
    const a = this.slot(this.operand(OP_A)) & mask;
    const rhs = u64(this.slot(this.operand(OP_B)) + this.imm());
    const b = rhs & mask;
    const old = this.flags();
    const cf = old.cf ? 1n : 0n;
    const finish = (result: bigint, flags: Partial<Flags>): undefined => {
      const r = result & mask;
      this.setSlot(d, r);
      this.setFlags({ cf: false, af: false, of: false, zf: r === 0n, sf: (r & top) !== 0n, pf: parity(r), ...flags });
      return this.next();
    };
    const sum = (x: bigint, y: bigint, carry: bigint): Partial<Flags> => {
      const exact = signed(x) + signed(y) + carry;
      return { cf: x + y + carry > mask, of: exact !== signed(exact & mask), af: (x & 15n) + (y & 15n) + carry > 15n };
    };
    const difference = (x: bigint, y: bigint, borrow: bigint): Partial<Flags> => {
      const exact = signed(x) - signed(y) - borrow;
      return { cf: x < y + borrow, of: exact !== signed(exact & mask), af: (x & 15n) < (y & 15n) + borrow };
    };
    const count = Number(rhs & (width === 64 ? 63n : 31n));
    switch (name) {
      case "addf":
        return finish(a + b, sum(a, b, 0n));
      case "adcf":
        return finish(a + b + cf, sum(a, b, cf));
      case "subf":
        return finish(a - b, difference(a, b, 0n));
      case "sbbf":
        return finish(a - b - cf, difference(a, b, cf));
      case "andf":
        return finish(a & b, {});
      case "orf":
        return finish(a | b, {});
      case "xorf":
        return finish(a ^ b, {});
      case "incf":
        return finish(a + 1n, { ...sum(a, 1n, 0n), cf: old.cf });
      case "decf":
        return finish(a - 1n, { ...difference(a, 1n, 0n), cf: old.cf });
      case "negf":
        return finish(-a, difference(0n, a, 0n));
      case "imulf": {
        const product = signed(a) * signed(b);
        const overflow = signed(product) !== product;
        return finish(product, { cf: overflow, of: overflow });
      }
      case "mulHiLof":
      case "imulHiLof": {
        const factor = this.slot(d) & mask;
        const product = name === "imulHiLof" ? signed(factor) * signed(a) : factor * a;
        const high = (product >> wide) & mask;
        const overflow = name === "imulHiLof" ? signed(product) !== product : high !== 0n;
        this.setSlot(this.operand(OP_B), high);
        return finish(product, { cf: overflow, of: overflow });
      }
      case "div":
      case "idiv":
        return this.divide(width, name === "idiv");
      case "shldf":
      case "shrdf":
        return this.doubleShift(name === "shldf", width, count, a);
      default:
        return this.shift(name, width, count, a, old);
    }
  }

  private divide(width: number, isSigned: boolean): number | undefined {
    const wide = BigInt(width);
    const mask = (1n << wide) - 1n;
    const d = this.operand(OP_D);
    const b = this.operand(OP_B);
    const joined = ((this.slot(b) & mask) << wide) | (this.slot(d) & mask);
    const dividend = isSigned ? BigInt.asIntN(2 * width, joined) : joined;
    const raw = this.slot(this.operand(OP_A)) & mask;
    const divisor = isSigned ? BigInt.asIntN(width, raw) : raw;
    if (divisor === 0n) return this.fault(FAULT_DIVIDE);
    const quotient = dividend / divisor;
    if (quotient !== (isSigned ? BigInt.asIntN(width, quotient) : quotient & mask)) return this.fault(FAULT_DIVIDE);
    this.setSlot(d, quotient & mask);
    this.setSlot(b, (dividend % divisor) & mask);
    return this.next();
  }

  private doubleShift(left: boolean, width: number, count: number, source: bigint): undefined {
    const d = this.operand(OP_D);
    const wide = BigInt(width);
    const mask = (1n << wide) - 1n;
    const before = this.slot(d) & mask;
    if (count === 0) {
      this.setSlot(d, before);
      return this.next();
    }
    // One bit at a time, through destination and source in turn; past 16 bits of a 16-bit shift the destination's own bits follow.
    let result = before;
    let feed = left ? (source << wide) | before : (before << wide) | source;
    let cf = false;
    for (let i = 0; i < count; i++) {
      if (left) {
        cf = ((result >> (wide - 1n)) & 1n) !== 0n;
        result = ((result << 1n) | ((feed >> (2n * wide - 1n)) & 1n)) & mask;
        feed = (feed << 1n) & ((1n << (2n * wide)) - 1n);
      } else {
        cf = (result & 1n) !== 0n;
        result = (result >> 1n) | ((feed & 1n) << (wide - 1n));
        feed >>= 1n;
      }
    }
    this.setSlot(d, result);
    const sf = result >> (wide - 1n) !== 0n;
    this.setFlags({ cf, of: sf !== (before >> (wide - 1n) !== 0n), af: false, zf: result === 0n, sf, pf: parity(result) });
    return this.next();
  }

  private shift(name: string, width: number, count: number, a: bigint, old: Flags): undefined {
    const d = this.operand(OP_D);
    const wide = BigInt(width);
    const mask = (1n << wide) - 1n;
    let result = a;
    let cf = old.cf;
    let rounds = count;
    if (name === "rclf" || name === "rcrf") rounds = width <= 16 ? count % (width + 1) : count;
    if (rounds === 0) {
      this.setSlot(d, a);
      return this.next();
    }
    const topOf = (value: bigint): boolean => value >> (wide - 1n) !== 0n;
    const secondOf = (value: bigint): boolean => ((value >> (wide - 2n)) & 1n) !== 0n;
    const signBit = topOf(a);
    for (let i = 0; i < rounds; i++) {
      const low = (result & 1n) !== 0n;
      const high = topOf(result);
      const carry = cf ? 1n : 0n;
      switch (name) {
        case "shlf":
          cf = high;
          result = (result << 1n) & mask;
          break;
        case "shrf":
          cf = low;
          result >>= 1n;
          break;
        case "sarf":
          cf = low;
          result = (result >> 1n) | (signBit ? 1n << (wide - 1n) : 0n);
          break;
        case "rolf":
          cf = high;
          result = ((result << 1n) & mask) | (high ? 1n : 0n);
          break;
        case "rorf":
          cf = low;
          result = (result >> 1n) | (low ? 1n << (wide - 1n) : 0n);
          break;
        case "rclf":
          cf = high;
          result = ((result << 1n) & mask) | carry;
          break;
        case "rcrf":
          cf = low;
          result = (result >> 1n) | (carry << (wide - 1n));
          break;
      }
    }
    this.setSlot(d, result);
    if (name === "shlf" || name === "shrf" || name === "sarf") {
      const of = name === "shlf" ? topOf(result) !== cf : name === "shrf" ? secondOf(result) : false;
      this.setFlags({ cf, of, af: false, zf: result === 0n, sf: topOf(result), pf: parity(result) });
    } else {
      const left = name === "rolf" || name === "rclf";
      this.setFlags({ ...old, cf, of: left ? topOf(result) !== cf : topOf(result) !== secondOf(result) });
    }
    return this.next();
  }

  private plainOp(name: OpName): number | undefined {
    const d = this.operand(OP_D);
    const a = this.slot(this.operand(OP_A));
    const rhs = (): bigint => u64(this.slot(this.operand(OP_B)) + this.imm());
    const set = (value: bigint): undefined => {
      this.setSlot(d, value);
      return this.next();
    };
    switch (name) {
      case "brk":
        return EXIT_BREAK;
      case "exit":
        return EXIT_LEAVE;
      case "goto": {
        this.setSlot(SLOT_RIP, this.imm());
        const chained = this.view.getUint32(this.op + OP_CHAIN, true);
        return chained === 0 ? EXIT_CHAIN : this.enter(chained);
      }
      case "gotoFar":
        this.setSlot(SLOT_RIP, this.imm());
        return this.lookUp();
      case "jump":
        this.setSlot(SLOT_RIP, a);
        return this.lookUp();
      case "lookup":
        return this.lookUp();
      case "lookupUnlessRequest":
        return this.word(WORD_REQUEST) !== 0 ? EXIT_LEAVE : this.lookUp();
      case "br":
        return this.skip();
      case "brz":
        return a === 0n ? this.skip() : this.next();
      case "brnz":
        return a !== 0n ? this.skip() : this.next();
      case "helper":
      case "x87":
      case "fastCall":
        return this.helperOp();
      case "bulk":
        return this.next();
      case "canon":
        return BigInt.asIntN(64 - Number(this.imm()), a) === BigInt.asIntN(64, a) ? this.next() : this.fault(FAULT_PROTECTION);
      case "shadow":
        this.setWord(WORD_SHADOW, this.budget);
        return this.next();
      case "aligned":
        return this.address() % BigInt(this.view.getUint8(this.op + OP_MEM_FLAGS + 1)) === 0n ? this.next() : this.fault(FAULT_ALIGNMENT);
      case "segment":
        return this.segmentOp();
      case "movi":
        return set(this.imm());
      case "mov":
        return set(a);
      case "lea":
        return set(this.address());
      case "lea32":
        return set(this.address() & 0xffff_ffffn);
      case "lea16":
        return set(this.address() & 0xffffn);
      case "zx8":
        return set(a & 0xffn);
      case "zx8h":
        return set((a >> 8n) & 0xffn);
      case "zx16":
        return set(a & 0xffffn);
      case "zx32":
        return set(a & 0xffff_ffffn);
      case "sx8":
        return set(BigInt.asIntN(8, a));
      case "sx8h":
        return set(BigInt.asIntN(8, a >> 8n));
      case "sx16":
        return set(BigInt.asIntN(16, a));
      case "sx32":
        return set(BigInt.asIntN(32, a));
      case "dep8":
        return set((this.slot(d) & ~0xffn) | (a & 0xffn));
      case "dep8h":
        return set((this.slot(d) & ~0xff00n) | ((a & 0xffn) << 8n));
      case "dep16":
        return set((this.slot(d) & ~0xffffn) | (a & 0xffffn));
      case "bswap32":
      case "bswap64": {
        let swapped = 0n;
        const bytes = name === "bswap32" ? 4 : 8;
        for (let i = 0; i < bytes; i++) swapped = (swapped << 8n) | ((a >> BigInt(8 * i)) & 0xffn);
        return set(swapped);
      }
      case "add":
        return set(a + rhs());
      case "sub":
        return set(a - rhs());
      case "and":
        return set(a & rhs());
      case "or":
        return set(a | rhs());
      case "xor":
        return set(a ^ rhs());
      case "shl":
        return set(a << (rhs() & 63n));
      case "shr":
        return set(a >> (rhs() & 63n));
      case "sar":
        return set(BigInt.asIntN(64, a) >> (rhs() & 63n));
      case "mul":
        return set(a * rhs());
      case "ctz": {
        let zeros = 0n;
        while (zeros < 64n && ((a >> zeros) & 1n) === 0n) zeros++;
        return set(zeros);
      }
      case "clz": {
        let zeros = 0n;
        while (zeros < 64n && ((a >> (63n - zeros)) & 1n) === 0n) zeros++;
        return set(zeros);
      }
      case "popcnt": {
        let ones = 0n;
        for (let rest = a; rest !== 0n; rest >>= 1n) ones += rest & 1n;
        return set(ones);
      }
      case "eq":
        return set(a === rhs() ? 1n : 0n);
      case "ltu":
        return set(a < rhs() ? 1n : 0n);
      case "getFlags": {
        const f = this.flags();
        const bit = (flag: boolean, position: number): number => (flag ? 1 << position : 0);
        return set(BigInt(bit(f.cf, 0) | bit(f.pf, 2) | bit(f.af, 4) | bit(f.zf, 6) | bit(f.sf, 7) | bit(f.of, 11)));
      }
      case "setFlags": {
        const bit = (position: bigint): boolean => ((a >> position) & 1n) !== 0n;
        this.setFlags({ cf: bit(0n), pf: bit(2n), af: bit(4n), zf: bit(6n), sf: bit(7n), of: bit(11n) });
        return this.next();
      }
      case "getCf":
        return set(this.flags().cf ? 1n : 0n);
      case "setCf":
        this.setFlags({ ...this.flags(), cf: (a & 1n) !== 0n });
        return this.next();
      case "setZf":
        this.setFlags({ ...this.flags(), zf: (a & 1n) !== 0n });
        return this.next();
      default:
        throw new Error(`the reference interpreter has no case for op ${name}`);
    }
  }
}
