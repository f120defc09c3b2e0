import { type BinaryOperation, compare, compute, Order } from "./arithmetic";
import { DE, FpuContext, IE, PE, ZE } from "./context";
import type { EnvironmentFormat } from "./environment";
import { type Float80, INDEFINITE } from "./format";
import { C0, C1, C2, C3 } from "../../tcg/layout";
import type { FpuState } from "./state";

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
/** The operations by ModRM.reg. */
export const arithmetic: readonly (BinaryOperation | "com" | "comp")[] = ["add", "mul", "com", "comp", "sub", "subr", "div", "divr"];

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
/** What x87 instructions have in common: exceptions, the stack, and operations on its registers. */
export class X87Core {
  protected readonly c = new FpuContext();

  constructor(
    protected readonly fpu: FpuState,
    protected readonly host: X87Host,
  ) {}

  /** Takes over the exceptions of the arithmetic done. False: one is unmasked that keeps the destination and the stack as they were. */
  protected settle(stopping = IE | ZE | DE): boolean {
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

  protected store(i: number, value: Float80, pops = 0): void {
    if (!this.settle()) return;
    this.fpu.setSt(i, value);
    for (let n = 0; n < pops; n++) this.fpu.pop();
  }

  /** True if a register is empty: the underflow has been dealt with, with the indefinite in ST(i) unless `i` is -1. */
  protected underflow(operands: readonly number[], i: number, pops = 0): boolean {
    const { fpu } = this;
    if (!operands.some((operand) => fpu.isEmpty(operand))) return false;
    if (!fpu.stackFault(false)) return true;
    if (i >= 0) fpu.setSt(i, INDEFINITE);
    for (let n = 0; n < pops; n++) fpu.pop();
    return true;
  }

  /** Loads: an unmasked denormal-operand exception does not keep the value away. */
  protected push(value: Float80): void {
    const { fpu } = this;
    if (!fpu.isEmpty(7)) {
      if (fpu.stackFault(true)) fpu.push(INDEFINITE);
    } else if (this.settle(IE)) fpu.push(value);
  }

  protected get st0(): Float80 {
    return this.fpu.st(0);
  }

  /** One-operand operations on ST(0). */
  protected unary(operation: (c: FpuContext, a: Float80) => Float80): void {
    if (!this.underflow([0], 0)) this.store(0, operation(this.c, this.st0));
  }

  protected binary(operation: BinaryOperation, target: number, source: number, pops: number): void {
    if (this.underflow([target, source], target, pops)) return;
    this.store(target, compute(this.c, operation, this.fpu.st(target), this.fpu.st(source)), pops);
  }

  /** FCOM and its kin: the condition codes, then pops. */
  protected compareWith(other: Float80 | undefined, quietly: boolean, pops: number): void {
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

  protected compareRegister(i: number, quietly: boolean, pops: number): void {
    this.compareWith(this.fpu.isEmpty(i) ? undefined : this.fpu.st(i), quietly, pops);
  }

  /** FCOMI and its kin: EFLAGS. */
  protected compareFlags(i: number, quietly: boolean, pops: number): void {
    const { fpu } = this;
    const empty = fpu.isEmpty(0) || fpu.isEmpty(i);
    const order = empty ? Order.unordered : compare(this.c, this.st0, fpu.st(i), quietly);
    const unordered = order === Order.unordered;
    this.host.setFlags(unordered || order === Order.equal, unordered, unordered || order === Order.less);
    if (!(empty ? fpu.stackFault(false) : this.settle())) return;
    for (let n = 0; n < pops; n++) fpu.pop();
  }
}
