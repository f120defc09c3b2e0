import { unreachable } from "../../common/errors";
import { type BinaryOperation, extract, remainder, roundToInteger, scale, squareRoot } from "./arithmetic";
import { arithmetic } from "./core";
import {
  absolute,
  CLASS_INFINITY,
  CLASS_NORMAL,
  CLASS_UNSUPPORTED,
  CLASS_ZERO,
  classify,
  type Float80,
  INDEFINITE,
  isNegative,
  negate,
  one,
  zero,
} from "./format";
import { X87Memory } from "./memoryForms";
import { C0, C1, C2, C3 } from "../../tcg/layout";
import { arctangent2, logarithmProduct, logarithmProductPlusOne, powerMinusOne, trigonometric } from "./transcendental";

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
/** Executes x87 instructions on one CPU's state: exactly as SDM vol. 2 has them, one at a time. The register forms are here. */
export class X87Unit extends X87Memory {
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
