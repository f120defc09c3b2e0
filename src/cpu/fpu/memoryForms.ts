import { compute } from "./arithmetic";
import { IE, OE, ROUND_ZERO, UE } from "./context";
import { DECIMAL_INDEFINITE, loadDecimal, loadFloat, storeDecimal, storeFloat, storeInteger } from "./convert";
import { arithmetic, X87Core } from "./core";
import { loadEnvironment, loadRegisters, storeEnvironment, storeRegisters } from "./environment";
import { expand, type Float80, fromInteger, INDEFINITE, isDenormal, narrow, zero } from "./format";

/** Instructions with a memory operand. False: a fault is recorded and nothing has changed. */
export class X87Memory extends X87Core {
  protected memory(opcode: number, reg: number, address: bigint, operand16: boolean): boolean {
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
}
