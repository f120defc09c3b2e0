import { unreachable } from "../../common/errors";
import { type BinaryOperation, compare, compute, extract, Order, remainder, roundToInteger, scale, squareRoot } from "./arithmetic";
import { DE, FpuContext, IE, OE, PE, ROUND_ZERO, UE, ZE } from "./context";
import { DECIMAL_INDEFINITE, loadDecimal, loadFloat, storeDecimal, storeFloat, storeInteger } from "./convert";
import { type EnvironmentFormat, loadEnvironment, loadRegisters, storeEnvironment, storeRegisters } from "./environment";
import {
  absolute,
  CLASS_INFINITY,
  CLASS_NORMAL,
  CLASS_UNSUPPORTED,
  CLASS_ZERO,
  classify,
  expand,
  type Float80,
  fromInteger,
  INDEFINITE,
  isDenormal,
  isNegative,
  narrow,
  negate,
  one,
  zero,
} from "./format";
import { C0, C1, C2, C3, type FpuState } from "./state";
import { arctangent2, logarithmProduct, logarithmProductPlusOne, powerMinusOne, trigonometric } from "./transcendental";

/** Where the unit's instructions reach memory and the rest of the CPU. Addresses are linear; offsets from an operand's start wrap as the mode has it. */
export interface X87Host {
  /** undefined: the fault is recorded. */
  read(address: bigint, offset: number, size: 2 | 4 | 8): bigint | undefined;
  write(address: bigint, offset: number, size: 2 | 4 | 8, value: bigint): boolean;
  /** Whether that many bytes can be written; false: the fault is recorded. */
  probeWrite(address: bigint, size: number): boolean;
  /** Records #MF. */
  floatingPointError(): void;
  /** CR0.NE. */
  readonly numericErrors: boolean;
  readonly carry: boolean;
  readonly zero: boolean;
  readonly parity: boolean;
  setFlags(zero: boolean, parity: boolean, carry: boolean): void;
  setAx(value: number): void;
  /** How the environment is laid out in memory for this operand size. */
  environment(operand16: boolean): EnvironmentFormat;
}

const arithmetic: readonly (BinaryOperation | "com" | "comp")[] = ["add", "mul", "com", "comp", "sub", "subr", "div", "divr"];

/** Constants of D9 E8 to EE: the significand cut short, how the rest rounds to nearest, and the exponent. */
const constants: readonly { readonly m: bigint; readonly nearestUp: boolean; readonly exponent: number }[] = [
  { m: 0x8000_0000_0000_0000n, nearestUp: false, exponent: 0x3fff },
  { m: 0xd49a_784b_cd1b_8afen, nearestUp: false, exponent: 0x4000 },
  { m: 0xb8aa_3b29_5c17_f0bbn, nearestUp: true, exponent: 0x3fff },
  { m: 0xc90f_daa2_2168_c234n, nearestUp: true, exponent: 0x4000 },
  { m: 0x9a20_9a84_fbcf_f798n, nearestUp: true, exponent: 0x3ffd },
  { m: 0xb172_17f7_d1cf_79abn, nearestUp: true, exponent: 0x3ffe },
  { m: 0n, nearestUp: false, exponent: 0 },
];

const conditionsOf = (order: Order): number => {
  switch (order) {
    case Order.greater:
      return 0;
    case Order.less:
      return C0;
    case Order.equal:
      return C3;
    case Order.unordered:
      return C0 | C2 | C3;
  }
};

/** Executes x87 instructions on one CPU's state: exactly as SDM vol. 2 has them, one at a time. */
export class X87Unit {
  private readonly c = new FpuContext();

  constructor(
    private readonly fpu: FpuState,
    private readonly host: X87Host,
  ) {}

  /** Reports a waiting exception. True: #MF is recorded. With CR0.NE clear the error goes to a pin that this machine leaves unconnected, as if IGNNE# were asserted. */
  waits(): boolean {
    if (!this.fpu.pending || !this.host.numericErrors) return false;
    this.host.floatingPointError();
    return true;
  }

  /**
   * Executes `opcode` (0-7 for D8-DF) with this ModRM byte; `address` is that of the memory operand. False: a fault is recorded and nothing has changed.
   */
  execute(opcode: number, modrm: number, address: bigint, operand16: boolean): boolean {
    if (!nonWaiting(opcode, modrm) && this.waits()) return false;
    this.c.begin(this.fpu.control);
    const reg = (modrm >> 3) & 7;
    return modrm < 0xc0 ? this.memory(opcode, reg, address, operand16) : this.register(opcode, reg, modrm & 7);
  }

  // Outcomes.

  /** Takes over the exceptions of the arithmetic done. False: one is unmasked that keeps the destination and the stack as they were. */
  private settle(stopping = IE | ZE | DE): boolean {
    const { c, fpu } = this;
    const stopped = c.unmasked(stopping);
    if (stopped) {
      c.flags &= ~PE;
      // Before an operation that does not take place there is nothing to overflow.
      if (c.unmasked(IE | ZE | DE)) c.flags &= IE | ZE | DE;
      c.up = false;
    }
    fpu.flags |= c.flags;
    fpu.setConditions(C1, c.up ? C1 : 0);
    return !stopped;
  }

  private store(i: number, value: Float80, pops = 0): void {
    if (!this.settle()) return;
    this.fpu.setSt(i, value);
    for (let n = 0; n < pops; n++) this.fpu.pop();
  }

  /** True if a register is empty: the underflow has been dealt with, with the indefinite in ST(i) unless `i` is -1. */
  private underflow(operands: readonly number[], i: number, pops = 0): boolean {
    const { fpu } = this;
    if (!operands.some((operand) => fpu.isEmpty(operand))) return false;
    if (!fpu.stackFault(false)) return true;
    if (i >= 0) fpu.setSt(i, INDEFINITE);
    for (let n = 0; n < pops; n++) fpu.pop();
    return true;
  }

  /** Loads: an unmasked denormal-operand exception does not keep the value away. */
  private push(value: Float80): void {
    const { fpu } = this;
    if (!fpu.isEmpty(7)) {
      if (fpu.stackFault(true)) fpu.push(INDEFINITE);
    } else if (this.settle(IE)) fpu.push(value);
  }

  private get st0(): Float80 {
    return this.fpu.st(0);
  }

  /** One-operand operations on ST(0). */
  private unary(operation: (c: FpuContext, a: Float80) => Float80): void {
    if (!this.underflow([0], 0)) this.store(0, operation(this.c, this.st0));
  }

  private binary(operation: BinaryOperation, target: number, source: number, pops: number): void {
    if (this.underflow([target, source], target, pops)) return;
    this.store(target, compute(this.c, operation, this.fpu.st(target), this.fpu.st(source)), pops);
  }

  /** FCOM and its kin: the condition codes, then pops. */
  private compareWith(other: Float80 | undefined, quietly: boolean, pops: number): void {
    const { fpu, c } = this;
    const codes = C0 | C2 | C3;
    if (fpu.isEmpty(0) || other === undefined) {
      // Unmasked exceptions keep the stack from being popped, but the codes are set, as processors do.
      const masked = fpu.stackFault(false);
      fpu.setConditions(codes, codes);
      if (!masked) return;
    } else {
      fpu.setConditions(codes, conditionsOf(compare(c, this.st0, other, quietly)));
      if (!this.settle()) return;
    }
    for (let n = 0; n < pops; n++) fpu.pop();
  }

  private compareRegister(i: number, quietly: boolean, pops: number): void {
    this.compareWith(this.fpu.isEmpty(i) ? undefined : this.fpu.st(i), quietly, pops);
  }

  /** FCOMI and its kin: EFLAGS. */
  private compareFlags(i: number, quietly: boolean, pops: number): void {
    const { fpu } = this;
    const empty = fpu.isEmpty(0) || fpu.isEmpty(i);
    const order = empty ? Order.unordered : compare(this.c, this.st0, fpu.st(i), quietly);
    const unordered = order === Order.unordered;
    this.host.setFlags(unordered || order === Order.equal, unordered, unordered || order === Order.less);
    if (!(empty ? fpu.stackFault(false) : this.settle())) return;
    for (let n = 0; n < pops; n++) fpu.pop();
  }

  // Memory forms.

  private memory(opcode: number, reg: number, address: bigint, operand16: boolean): boolean {
    switch (opcode) {
      case 0:
        return this.arithmeticWith(reg, this.operandFloat(address, 32));
      case 2:
        return this.arithmeticWith(reg, this.operandInteger(address, 4));
      case 4:
        return this.arithmeticWith(reg, this.operandFloat(address, 64));
      case 6:
        return this.arithmeticWith(reg, this.operandInteger(address, 2));
      case 1:
        return reg < 4 ? this.moveFloat(reg, address, 32) : this.control(reg, address, operand16);
      case 3:
        return reg >= 4 ? this.moveExtended(reg, address) : this.moveInteger(reg, address, 4);
      case 5:
        if (reg === 1) return this.storeIntegerAt(address, 8, ROUND_ZERO, true);
        return reg < 4 ? this.moveFloat(reg, address, 64) : this.saveState(reg, address, operand16);
      default:
        return reg < 4 ? this.moveInteger(reg, address, 2) : this.moveWide(reg, address);
    }
  }

  /** A memory operand of arithmetic, NaNs as they are; undefined: fault. */
  private operandFloat(address: bigint, width: 32 | 64): Float80 | undefined {
    const bits = this.host.read(address, 0, width === 32 ? 4 : 8);
    if (bits === undefined) return undefined;
    this.c.denormalSource = isDenormal(bits, width);
    return expand(bits, width);
  }

  private operandInteger(address: bigint, size: 2 | 4 | 8): Float80 | undefined {
    const bits = this.host.read(address, 0, size);
    return bits === undefined ? undefined : fromInteger(BigInt.asIntN(size * 8, bits));
  }

  private arithmeticWith(reg: number, operand: Float80 | undefined): boolean {
    if (operand === undefined) return false;
    const operation = arithmetic[reg];
    if (operation === "com" || operation === "comp") this.compareWith(operand, false, operation === "comp" ? 1 : 0);
    else if (!this.underflow([0], 0)) this.store(0, compute(this.c, operation, this.st0, operand));
    return true;
  }

  /** FLD, FST, FSTP of single and double precision. */
  private moveFloat(reg: number, address: bigint, width: 32 | 64): boolean {
    const size = width === 32 ? 4 : 8;
    if (reg === 0) {
      const bits = this.host.read(address, 0, size);
      if (bits === undefined) return false;
      this.push(this.fpu.isEmpty(7) ? loadFloat(this.c, bits, width) : zero(false));
      return true;
    }
    return this.storeMemory(address, size, narrow(INDEFINITE, width), reg === 3, (value) => storeFloat(this.c, value, width));
  }

  /** FILD, FISTTP, FIST, FISTP of 16 and 32 bits. */
  private moveInteger(reg: number, address: bigint, size: 2 | 4): boolean {
    if (reg === 0) return this.loadInteger(address, size);
    return this.storeIntegerAt(address, size, reg === 1 ? ROUND_ZERO : this.c.rounding, reg !== 2);
  }

  private loadInteger(address: bigint, size: 2 | 4 | 8): boolean {
    const value = this.operandInteger(address, size);
    if (value === undefined) return false;
    this.push(value);
    return true;
  }

  private storeIntegerAt(address: bigint, size: 2 | 4 | 8, mode: number, pops: boolean): boolean {
    const width = (size * 8) as 16 | 32 | 64;
    return this.storeMemory(address, size, 1n << BigInt(width - 1), pops, (value) => storeInteger(this.c, value, width, mode));
  }

  /** FLD and FSTP of extended precision, which convert nothing. */
  private moveExtended(reg: number, address: bigint): boolean {
    const { host, fpu } = this;
    if (reg === 5) {
      const m = host.read(address, 0, 8);
      if (m === undefined) return false;
      const se = host.read(address, 8, 2);
      if (se === undefined) return false;
      this.push({ se: Number(se), m });
      return true;
    }
    if (!host.probeWrite(address, 10)) return false;
    let value = INDEFINITE;
    if (fpu.isEmpty(0)) {
      if (!fpu.stackFault(false)) return true;
    } else {
      value = this.st0;
      this.settle();
    }
    fpu.pop();
    return host.write(address, 0, 8, value.m) && host.write(address, 8, 2, BigInt(value.se));
  }

  /** FBLD, FILD and FISTP of 64 bits, FBSTP. */
  private moveWide(reg: number, address: bigint): boolean {
    const { host } = this;
    switch (reg) {
      case 5:
        return this.loadInteger(address, 8);
      case 7:
        return this.storeIntegerAt(address, 8, this.c.rounding, true);
      case 4: {
        const low = host.read(address, 0, 8);
        if (low === undefined) return false;
        const high = host.read(address, 8, 2);
        if (high === undefined) return false;
        this.push(loadDecimal((high << 64n) | low));
        return true;
      }
      default:
        return this.storeMemory(address, 10, DECIMAL_INDEFINITE, true, (value) => storeDecimal(this.c, value));
    }
  }

  /** Stores ST(0), converted; of an empty register the indefinite. Unmasked invalid operations, overflows and underflows store nothing and do not pop. */
  private storeMemory(
    address: bigint,
    size: 2 | 4 | 8 | 10,
    indefinite: bigint,
    pops: boolean,
    convert: (value: Float80) => bigint,
  ): boolean {
    const { fpu, host } = this;
    if (!host.probeWrite(address, size)) return false;
    let bits = indefinite;
    if (fpu.isEmpty(0)) {
      if (!fpu.stackFault(false)) return true;
    } else {
      bits = convert(this.st0);
      if (!this.settle(IE | OE | UE)) return true;
    }
    if (pops) fpu.pop();
    if (size !== 10) return host.write(address, 0, size, bits);
    return host.write(address, 0, 8, bits & 0xffff_ffff_ffff_ffffn) && host.write(address, 8, 2, bits >> 64n);
  }

  /** FLDENV, FLDCW, FNSTENV, FNSTCW. */
  private control(reg: number, address: bigint, operand16: boolean): boolean {
    const { fpu, host } = this;
    switch (reg) {
      case 4:
        return loadEnvironment(fpu, host, address, host.environment(operand16));
      case 5: {
        const word = host.read(address, 0, 2);
        if (word === undefined) return false;
        fpu.control = Number(word);
        return true;
      }
      case 6:
        if (!storeEnvironment(fpu, host, address, host.environment(operand16))) return false;
        fpu.control |= 0x3f;
        return true;
      default:
        return host.write(address, 0, 2, BigInt(fpu.control));
    }
  }

  /** FRSTOR, FNSAVE, FNSTSW. */
  private saveState(reg: number, address: bigint, operand16: boolean): boolean {
    const { fpu, host } = this;
    const format = host.environment(operand16);
    switch (reg) {
      case 4:
        return loadRegisters(fpu, host, address, format);
      case 6:
        if (!storeRegisters(fpu, host, address, format)) return false;
        fpu.initialize();
        return true;
      default:
        return host.write(address, 0, 2, BigInt(fpu.status));
    }
  }

  // Register forms.

  private register(opcode: number, reg: number, i: number): boolean {
    switch (opcode) {
      case 0:
        this.arithmeticRegisters(reg, 0, i, 0);
        break;
      case 1:
        this.registerD9(reg, i);
        break;
      case 2:
        if (reg === 5) this.compareRegister(1, true, 2);
        else this.conditionalMove(reg, i, true);
        break;
      case 3:
        if (reg < 4) this.conditionalMove(reg, i, false);
        else if (reg === 4) this.registerDB(i);
        else this.compareFlags(i, reg === 5, 0);
        break;
      case 4:
      case 6:
        this.registerDCDE(reg, i, opcode === 6);
        break;
      case 5:
        this.registerDD(reg, i);
        break;
      default:
        this.registerDF(reg, i);
    }
    return true;
  }

  private arithmeticRegisters(reg: number, target: number, source: number, pops: number): void {
    const operation = arithmetic[reg];
    if (operation === "com" || operation === "comp") this.compareRegister(source, false, operation === "comp" ? 1 : 0);
    else this.binary(operation, target, source, pops);
  }

  /** To ST(i): the reverse forms change places with the others. FCOM and FCOMP have aliases here. */
  private registerDCDE(reg: number, i: number, pop: boolean): void {
    if (pop && reg === 3) this.compareRegister(1, false, 2);
    else if (reg === 2 || reg === 3) this.compareRegister(i, false, pop || reg === 3 ? 1 : 0);
    else this.binary(arithmetic[reg < 4 ? reg : reg ^ 1] as BinaryOperation, i, 0, pop ? 1 : 0);
  }

  private registerD9(reg: number, i: number): void {
    switch (reg) {
      case 0:
        this.loadRegister(i);
        break;
      case 1:
        this.exchange(i);
        break;
      case 2:
        break;
      case 3:
        this.copyTo(i, true);
        break;
      case 4:
        this.signAndTest(i);
        break;
      case 5:
        this.loadConstant(i);
        break;
      case 6:
        this.functionsD9F0(i);
        break;
      default:
        this.functionsD9F8(i);
    }
  }

  private loadRegister(i: number): void {
    const { fpu } = this;
    if (fpu.isEmpty(i)) {
      if (fpu.stackFault(false)) fpu.push(INDEFINITE);
    } else this.push(fpu.st(i));
  }

  private exchange(i: number): void {
    const { fpu } = this;
    if (fpu.isEmpty(0) || fpu.isEmpty(i)) {
      if (!fpu.stackFault(false)) return;
      for (const n of [0, i]) if (fpu.isEmpty(n)) fpu.setSt(n, INDEFINITE);
    } else fpu.setConditions(C1, 0);
    const other = fpu.st(i);
    fpu.setSt(i, fpu.st(0));
    fpu.setSt(0, other);
  }

  /** FST and FSTP to a register. */
  private copyTo(i: number, pops: boolean): void {
    if (!this.underflow([0], i, pops ? 1 : 0)) this.store(i, this.st0, pops ? 1 : 0);
  }

  /** FCMOVcc: 0 B, 1 E, 2 BE, 3 U, or their opposites. */
  private conditionalMove(condition: number, i: number, wanted: boolean): void {
    const { host } = this;
    // C1 stays as it is.
    if (this.underflow([0, i], 0)) return;
    const holds = [host.carry, host.zero, host.carry || host.zero, host.parity][condition];
    if (holds === wanted) this.fpu.setSt(0, this.fpu.st(i));
  }

  /** FCHS, FABS, FTST, FXAM. */
  private signAndTest(i: number): void {
    const { fpu } = this;
    switch (i) {
      case 0:
        this.unary((_c, a) => negate(a));
        break;
      case 1:
        this.unary((_c, a) => absolute(a));
        break;
      case 4:
        this.compareWith(zero(false), false, 0);
        break;
      default:
        fpu.setConditions(C0 | C1 | C2 | C3, this.examine());
    }
  }

  private examine(): number {
    const sign = isNegative(this.st0) ? C1 : 0;
    if (this.fpu.isEmpty(0)) return sign | C3 | C0;
    const kind = classify(this.st0);
    switch (kind) {
      case CLASS_UNSUPPORTED:
        return sign;
      case CLASS_NORMAL:
        return sign | C2;
      case CLASS_INFINITY:
        return sign | C2 | C0;
      case CLASS_ZERO:
        return sign | C3;
      default:
        return sign | (kind < CLASS_INFINITY ? C3 | C2 : C0);
    }
  }

  private loadConstant(i: number): void {
    const { m, nearestUp, exponent } = constants[i];
    // The last two bits of rounding control: up, or nearest where that is up. One and zero are exact.
    const exact = i === 0 || i === 6;
    const up = !exact && (this.c.rounding === 2 || (this.c.rounding === 0 && nearestUp));
    this.push({ se: exponent, m: up ? m + 1n : m });
  }

  private functionsD9F0(i: number): void {
    const { fpu, c } = this;
    switch (i) {
      case 0:
        this.unary(powerMinusOne);
        break;
      case 1:
        if (!this.underflow([0, 1], 1, 1)) this.store(1, logarithmProduct(c, fpu.st(1), this.st0), 1);
        break;
      case 2: {
        const angle = this.angleArgument(true) ? trigonometric(c, this.st0, "tangent") : undefined;
        if (angle !== undefined) this.storePair(angle.tangent, classify(angle.tangent) > CLASS_INFINITY ? angle.tangent : one());
        break;
      }
      case 3:
        if (!this.underflow([0, 1], 1, 1)) this.store(1, arctangent2(c, fpu.st(1), this.st0), 1);
        break;
      case 4:
        if (this.roomForPair()) {
          const { significand, exponent } = extract(c, this.st0);
          this.storePair(exponent, significand);
        }
        break;
      case 5:
        this.partialRemainder(true);
        break;
      case 6:
        fpu.top = (fpu.top - 1) & 7;
        fpu.setConditions(C1, 0);
        break;
      default:
        fpu.top = (fpu.top + 1) & 7;
        fpu.setConditions(C1, 0);
    }
  }

  private functionsD9F8(i: number): void {
    const { fpu, c } = this;
    switch (i) {
      case 0:
        this.partialRemainder(false);
        break;
      case 1:
        if (!this.underflow([0, 1], 1, 1)) this.store(1, logarithmProductPlusOne(c, fpu.st(1), this.st0), 1);
        break;
      case 2:
        this.unary(squareRoot);
        break;
      case 3: {
        const angle = this.angleArgument(true) ? trigonometric(c, this.st0, "cosine", "sine") : undefined;
        if (angle !== undefined) this.storePair(angle.sine, angle.cosine);
        break;
      }
      case 4:
        this.unary(roundToInteger);
        break;
      case 5:
        if (!this.underflow([0, 1], 0)) this.store(0, scale(c, this.st0, fpu.st(1)));
        break;
      default: {
        const name = i === 6 ? "sine" : "cosine";
        const angle = this.angleArgument(false) ? trigonometric(c, this.st0, name) : undefined;
        if (angle !== undefined) this.store(0, i === 6 ? (angle as { sine: Float80 }).sine : (angle as { cosine: Float80 }).cosine);
      }
    }
  }

  /** Whether ST(0) is an operand of a trigonometric instruction; too large ones (2^63 and more) set C2 and are left alone. */
  private angleArgument(pair: boolean): boolean {
    const { fpu } = this;
    fpu.setConditions(C2, 0);
    if (pair ? !this.roomForPair() : this.underflow([0], 0)) return false;
    const exponent = this.st0.se & 0x7fff;
    const large = classify(this.st0) === CLASS_NORMAL && exponent >= 0x3fff + 63;
    if (large) fpu.setConditions(C1 | C2, C2);
    return !large;
  }

  /** For results in ST(0) and a push: deals with an empty ST(0) and a full stack. */
  private roomForPair(): boolean {
    const { fpu } = this;
    const overflow = !fpu.isEmpty(7);
    if (!fpu.isEmpty(0) && !overflow) return true;
    if (fpu.stackFault(!fpu.isEmpty(0))) {
      fpu.setSt(0, INDEFINITE);
      fpu.push(INDEFINITE);
    }
    return false;
  }

  private storePair(first: Float80, pushed: Float80): void {
    if (!this.settle()) return;
    this.fpu.setSt(0, first);
    this.fpu.push(pushed);
  }

  private partialRemainder(nearest: boolean): void {
    const { fpu, c } = this;
    fpu.setConditions(C2, 0);
    if (this.underflow([0, 1], 0)) return;
    const { value, quotient, complete, invalid } = remainder(c, this.st0, fpu.st(1), nearest);
    if (!this.settle()) return;
    fpu.setSt(0, value);
    if (invalid) return;
    const codes = ((quotient & 1) !== 0 ? C1 : 0) | ((quotient & 2) !== 0 ? C3 : 0) | ((quotient & 4) !== 0 ? C0 : 0) | (complete ? 0 : C2);
    fpu.setConditions(C0 | C1 | C2 | C3, codes);
  }

  /** FNCLEX, FNINIT; FENI, FDISI and FSETPM of older units do nothing. */
  private registerDB(i: number): void {
    if (i === 2) this.fpu.flags &= C0 | C1 | C2 | C3;
    else if (i === 3) this.fpu.initialize();
  }

  private registerDD(reg: number, i: number): void {
    const { fpu } = this;
    switch (reg) {
      case 0:
        fpu.free(i);
        fpu.setConditions(C1, 0);
        break;
      case 1:
        this.exchange(i);
        break;
      case 2:
      case 3:
        this.copyTo(i, reg === 3);
        break;
      case 4:
      case 5:
        this.compareRegister(i, true, reg === 5 ? 1 : 0);
        break;
      default:
        unreachable(reg as never);
    }
  }

  private registerDF(reg: number, i: number): void {
    const { fpu } = this;
    switch (reg) {
      case 0:
        // FFREEP, which the manual does not list but every processor has.
        fpu.free(i);
        fpu.pop();
        break;
      case 1:
        this.exchange(i);
        break;
      case 2:
      case 3:
        this.copyTo(i, true);
        break;
      case 4:
        this.host.setAx(fpu.status);
        break;
      case 5:
      case 6:
        this.compareFlags(i, reg === 5, 1);
        break;
      default:
        unreachable(reg as never);
    }
  }
}

/** FNINIT, FNCLEX, FNSTSW, FNSTCW, FNSTENV, FNSAVE execute in spite of a waiting exception. */
function nonWaiting(opcode: number, modrm: number): boolean {
  const reg = (modrm >> 3) & 7;
  if (modrm >= 0xc0) return (opcode === 3 && reg === 4) || (opcode === 7 && reg === 4);
  return (opcode === 1 || opcode === 5) && reg >= 6;
}

/** Instructions that do not count as the last one executed: pointers to it stay. */
export function isControl(opcode: number, modrm: number): boolean {
  const reg = (modrm >> 3) & 7;
  if (modrm >= 0xc0) return nonWaiting(opcode, modrm);
  return (opcode === 1 || opcode === 5) && reg >= 4;
}
