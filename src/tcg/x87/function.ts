import { KIND_PROBE_WRITE } from "../interpreter/memory";
import {
  C0,
  C1,
  C2,
  C3,
  SLOT_SEG_BASE,
  TLB_ADDEND,
  TLB_READ,
  TLB_WRITE,
  WORD_SELECTORS,
  WORD_TLB,
  X87_CONTROL,
  X87_EVERY_OPCODE,
  X87_EXPONENTS,
  X87_FLAGS,
  X87_INSTRUCTION,
  X87_INSTRUCTION_SELECTOR,
  X87_OCCUPIED,
  X87_OPERAND,
  X87_OPERAND_SELECTOR,
  X87_SIGNIFICANDS,
  X87_TOP,
} from "../layout";
import { CodeBuilder, type Local } from "../wasm/code";
import { X87Arithmetic, type X87Locals } from "./arithmetic";
import {
  CODE_64,
  Format,
  FORMAT_SHIFT,
  Kind,
  OPERAND_BYTES,
  OPERATION_SHIFT,
  POPS_SHIFT,
  SEGMENT_SHIFT,
  SOURCE_SHIFT,
  TARGET_SHIFT,
  TRUNCATE,
  type X87Part,
  x87PartNames,
  x87PartOf,
  x87Parts,
} from "./operation";
import { toTlbOffset } from "../interpreter/tlbEntry";

const EXCEPTIONS = 0x3f;
const PRECISION = 0x20;
const PRECISION_SHIFT = 5;
const C1_SHIFT = 9;
const INTEGER_BIT = -(1n << 63n);
const BIAS = 16383;
const CS = 1;

/**
 * Function (cpu, address, rip, operation) for the kinds of a part: executes an x87 instruction (operation.ts) as the helper `x87` does and returns 1; or returns 0 with nothing changed wherever
 * something is out of the ordinary: an exception waits or would be raised that is not masked, operands other than zeros and normal numbers, results that are tiny or too large,
 * stack faults, operands that are not in plain memory. What it does raise is the precision exception, masked.
 * @param walk function that fills the TLB (interpreter/walk.ts); `multiplyHigh`: (i64, i64) upper half of the product
 */
export function x87Function(part: X87Part, walk: number, multiplyHigh: number): CodeBuilder {
  const included: readonly (keyof typeof Kind)[] = x87Parts[part];
  const isStoring = part === "x87Store";
  const hasOperand = included.every((name) => Kind[name] <= Kind.compareMemory);
  const code = new CodeBuilder(["i32", "i64", "i64", "i32"], ["i32"]);
  const cpu = code.parameter(0);
  const address = code.parameter(1);
  const rip = code.parameter(2);
  const operation = code.parameter(3);
  const i32 = (): Local => code.local("i32");
  const i64 = (): Local => code.local("i64");
  const l: X87Locals = {
    aSe: i32(),
    aM: i64(),
    bSe: i32(),
    bM: i64(),
    sign: i32(),
    exponent: i32(),
    m: i64(),
    rest: i64(),
    control: i32(),
    i: i32(),
    t: i64(),
    u: i64(),
    v: i64(),
    x: i64(),
    y: i64(),
  };
  const flags = i32();
  const top = i32();
  const occupied = i32();
  const host = i32();
  const entry = i32();
  const format = i32();
  /** Physical numbers. */
  const target = i32();
  const source = i32();
  /** Bits that rounding drops. */
  const dropped = i64();
  const up = i32();
  const inexact = i32();
  const arithmetic = new X87Arithmetic(code, l, multiplyHigh);

  const field = (shift: number, mask: number): CodeBuilder => code.get(operation).i32(shift).op("i32.shr_u").i32(mask).op("i32.and");
  /** Physical number of the stack register that a field names. */
  const physical = (shift: number, to: Local): void => {
    field(shift, 7).get(top).op("i32.add").i32(7).op("i32.and").set(to);
  };
  const requireFull = (register: Local): void => {
    code.get(occupied).get(register).op("i32.shr_u").i32(1).op("i32.and", "i32.eqz").brIfRare("no");
  };
  const loadOperand = (register: Local, se: Local, m: Local): void => {
    code.get(cpu).get(register).i32(1).op("i32.shl", "i32.add").mem("i32.load16_u", X87_EXPONENTS).set(se);
    code.get(cpu).get(register).i32(3).op("i32.shl", "i32.add").mem("i64.load", X87_SIGNIFICANDS).set(m);
  };
  const storeOperand = (register: Local, se: Local, m: Local): void => {
    code.get(cpu).get(register).i32(1).op("i32.shl", "i32.add").get(se).mem("i32.store16", X87_EXPONENTS);
    code.get(cpu).get(register).i32(3).op("i32.shl", "i32.add").get(m).mem("i64.store", X87_SIGNIFICANDS);
  };
  const clearC1 = (): void => void code.get(flags).i32(~C1).op("i32.and").set(flags);
  const pop = (): void => {
    code.get(occupied).i32(1).get(top).op("i32.shl").i32(-1).op("i32.xor", "i32.and").set(occupied);
    code.get(top).i32(1).op("i32.add").i32(7).op("i32.and").set(top);
  };
  const popFields = (): void => {
    field(POPS_SHIFT, 3).i32(0).op("i32.ne").if();
    pop();
    code.end();
    field(POPS_SHIFT, 3).i32(2).op("i32.eq").if();
    pop();
    code.end();
  };
  /** A result that is no more than rounded: inexact only with the exception masked. Sets flags and C1. */
  const settleRounding = (): void => {
    code.get(inexact).get(l.control).i32(PRECISION).op("i32.and", "i32.eqz", "i32.and").brIfRare("no");
    clearC1();
    code.get(flags).get(inexact).i32(PRECISION_SHIFT).op("i32.shl", "i32.or").get(up).i32(C1_SHIFT).op("i32.shl", "i32.or").set(flags);
  };

  code.block("no");
  code.get(cpu).mem("i32.load", X87_EVERY_OPCODE).brIfRare("no");
  code.get(cpu).mem("i32.load", X87_CONTROL).set(l.control);
  code.get(cpu).mem("i32.load", X87_FLAGS).tee(flags);
  code.get(l.control).i32(-1).op("i32.xor", "i32.and").i32(EXCEPTIONS).op("i32.and").brIfRare("no");
  code.get(cpu).mem("i32.load", X87_TOP).set(top);
  code.get(cpu).mem("i32.load", X87_OCCUPIED).set(occupied);
  if (hasOperand) {
    field(FORMAT_SHIFT, 15).set(format);
    findOperand();
    if (!isStoring) readOperand();
  }

  // The result in aSe and aM goes to register `target` from "exact", the one to be rounded from "round"; "push" takes what is in bSe and bM.
  code.block("finish").block("push").block("exact").block("round");
  for (let index = included.length - 1; index >= 0; index--) code.block(included[index]);
  if (included.length > 1) {
    const labels = Object.keys(Kind).map((name) => included.find((other) => other === name) ?? "no");
    field(0, 15).brTable(labels, "no");
  }
  const cases: { readonly [name in keyof typeof Kind]: () => void } = {
    load: () => void code.br("push"),
    store,
    arithmeticMemory: () => {
      code.get(top).set(target);
      requireFull(target);
      loadOperand(target, l.aSe, l.aM);
      arithmetic.requireOrdinary(l.aSe, l.aM);
      compute();
    },
    compareMemory: () => {
      requireFull(top);
      loadOperand(top, l.aSe, l.aM);
      compare();
    },
    arithmetic: () => {
      physical(TARGET_SHIFT, target);
      physical(SOURCE_SHIFT, source);
      requireFull(target);
      requireFull(source);
      loadOperand(target, l.aSe, l.aM);
      loadOperand(source, l.bSe, l.bM);
      arithmetic.requireOrdinary(l.aSe, l.aM);
      arithmetic.requireOrdinary(l.bSe, l.bM);
      compute();
    },
    compare: () => {
      physical(SOURCE_SHIFT, source);
      requireFull(top);
      requireFull(source);
      loadOperand(top, l.aSe, l.aM);
      loadOperand(source, l.bSe, l.bM);
      arithmetic.requireOrdinary(l.bSe, l.bM);
      compare();
    },
    loadRegister: () => {
      physical(SOURCE_SHIFT, source);
      requireFull(source);
      loadOperand(source, l.bSe, l.bM);
      code.br("push");
    },
    exchange: () => {
      physical(SOURCE_SHIFT, source);
      requireFull(top);
      requireFull(source);
      loadOperand(top, l.aSe, l.aM);
      loadOperand(source, l.bSe, l.bM);
      storeOperand(top, l.bSe, l.bM);
      storeOperand(source, l.aSe, l.aM);
      clearC1();
      code.br("finish");
    },
    copy: () => {
      physical(TARGET_SHIFT, target);
      requireFull(top);
      loadOperand(top, l.aSe, l.aM);
      code.br("exact");
    },
    negate: () => {
      changeSign(0x8000, "i32.xor");
    },
    absolute: () => {
      changeSign(0x7fff, "i32.and");
    },
    one: () => void code.i32(BIAS).set(l.bSe).i64(INTEGER_BIT).set(l.bM).br("push"),
    zero: () => void code.i32(0).set(l.bSe).i64(0n).set(l.bM).br("push"),
    squareRoot: () => {
      code.get(top).set(target);
      requireFull(target);
      loadOperand(target, l.aSe, l.aM);
      arithmetic.requireOrdinary(l.aSe, l.aM);
      arithmetic.squareRoot();
    },
  };
  for (const name of included) {
    code.end();
    cases[name]();
  }
  code.end(); // round
  if (part !== "x87Load" && !isStoring) round();
  code.end(); // exact: into the target
  clearC1();
  storeTarget();
  code.br("finish");
  code.end(); // push
  code.get(top).i32(7).op("i32.add").i32(7).op("i32.and").set(target);
  code.get(occupied).get(target).op("i32.shr_u").i32(1).op("i32.and").brIfRare("no");
  clearC1();
  code.get(target).set(top);
  storeOperand(top, l.bSe, l.bM);
  code.get(occupied).i32(1).get(top).op("i32.shl", "i32.or").set(occupied);
  code.end(); // finish
  code.get(cpu).get(top).mem("i32.store", X87_TOP);
  code.get(cpu).get(occupied).mem("i32.store", X87_OCCUPIED);
  code.get(cpu).get(flags).mem("i32.store", X87_FLAGS);
  code.get(cpu).get(rip).mem("i64.store", X87_INSTRUCTION);
  code
    .get(cpu)
    .get(cpu)
    .mem("i32.load16_u", WORD_SELECTORS + 2 * CS)
    .mem("i32.store", X87_INSTRUCTION_SELECTOR);
  if (hasOperand) {
    code.get(cpu).get(address).get(cpu);
    field(SEGMENT_SHIFT, 7).i32(3).op("i32.shl", "i32.add").mem("i64.load", SLOT_SEG_BASE).op("i64.sub");
    code.i64(-1n).i64(0xffff_ffffn).get(operation).i32(CODE_64).op("i32.and", "select", "i64.and").mem("i64.store", X87_OPERAND);
    code.get(cpu).get(cpu);
    field(SEGMENT_SHIFT, 7).i32(1).op("i32.shl", "i32.add").mem("i32.load16_u", WORD_SELECTORS).mem("i32.store", X87_OPERAND_SELECTOR);
  }
  code.i32(1).op("return").end();
  return code.i32(0);

  function storeTarget(): void {
    storeOperand(target, l.aSe, l.aM);
    code.get(occupied).i32(1).get(target).op("i32.shl", "i32.or").set(occupied);
    popFields();
  }

  /** host = where the operand is in the engine's memory. */
  function findOperand(): void {
    const bytes = entry;
    code.i32(OPERAND_BYTES).get(format).i32(2).op("i32.shl", "i32.shr_u").i32(15).op("i32.and").set(bytes);
    toTlbOffset(code.get(address).op("i32.wrap"));
    code
      .get(cpu)
      .mem("i32.load", WORD_TLB)
      .op("i32.add")
      .tee(host)
      .mem("i64.load", isStoring ? TLB_WRITE : TLB_READ);
    code.get(address).get(bytes).op("i64.extend_u", "i64.add").i64(1n).op("i64.sub").i64(-4096n).op("i64.and", "i64.ne").if();
    code.get(cpu).get(address).get(bytes);
    if (isStoring) code.i32(KIND_PROBE_WRITE).op("i32.or");
    code.call(walk).tee(host).op("i32.eqz").brIfRare("no").end();
    code.get(address).op("i32.wrap").get(host).mem("i32.load", TLB_ADDEND).op("i32.add").set(host);
  }

  /** bSe, bM = the operand in memory, converted. Of extended numbers any encoding; others are ordinary. */
  function readOperand(): void {
    const labels = ["single", "double", "int16", "int32", "int64", "extended"];
    code.block("read");
    for (let index = labels.length - 1; index >= 0; index--) code.block(labels[index]);
    code.get(format).brTable(labels, "no");
    const floating = (load: "i64.load32_u" | "i64.load", bits: number, fraction: number): void => {
      const exponentMask = (1n << BigInt(bits - 1 - fraction)) - 1n;
      code.get(host).mem(load).set(l.t);
      code
        .get(l.t)
        .i64(BigInt(bits - 1))
        .op("i64.shr_u", "i32.wrap")
        .i32(15)
        .op("i32.shl")
        .set(l.bSe);
      code.get(l.t).i64(BigInt(fraction)).op("i64.shr_u").i64(exponentMask).op("i64.and", "i32.wrap").set(l.i);
      code
        .get(l.t)
        .i64((1n << BigInt(fraction)) - 1n)
        .op("i64.and")
        .set(l.t);
      code.get(l.i).op("i32.eqz").if();
      code.get(l.t).i64(0n).op("i64.ne").brIfRare("no");
      code.i64(0n).set(l.bM).br("read").end();
      code.get(l.i).i32(Number(exponentMask)).op("i32.eq").brIfRare("no");
      code
        .get(l.bSe)
        .get(l.i)
        .i32(BIAS - Number(exponentMask >> 1n))
        .op("i32.add", "i32.or")
        .set(l.bSe);
      code
        .get(l.t)
        .i64(BigInt(63 - fraction))
        .op("i64.shl")
        .i64(INTEGER_BIT)
        .op("i64.or")
        .set(l.bM)
        .br("read");
    };
    const integer = (): void => {
      code.get(l.t).op("i64.eqz").if().i32(0).set(l.bSe).i64(0n).set(l.bM).br("read").end();
      code.get(l.t).i64(0n).op("i64.lt_s").i32(15).op("i32.shl").set(l.bSe);
      code.i64(0n).get(l.t).op("i64.sub").get(l.t).get(l.t).i64(0n).op("i64.lt_s", "select").tee(l.t).op("i64.clz").set(l.u);
      code.get(l.t).get(l.u).op("i64.shl").set(l.bM);
      code
        .get(l.bSe)
        .i32(BIAS + 63)
        .get(l.u)
        .op("i32.wrap", "i32.sub", "i32.or")
        .set(l.bSe)
        .br("read");
    };
    code.end();
    floating("i64.load32_u", 32, 23);
    code.end();
    floating("i64.load", 64, 52);
    code.end();
    code.get(host).mem("i64.load16_u").op("i64.extend16_s").set(l.t);
    integer();
    code.end();
    code.get(host).mem("i64.load32_s").set(l.t);
    integer();
    code.end();
    code.get(host).mem("i64.load").set(l.t);
    integer();
    code.end();
    code.get(host).mem("i64.load").set(l.bM).get(host).mem("i32.load16_u", 8).set(l.bSe);
    code.end();
  }

  /** target op source, by ModRM.reg: add, mul, -, -, sub, subr, div, divr. */
  function compute(): void {
    field(OPERATION_SHIFT, 5).i32(5).op("i32.eq").if();
    arithmetic.swapOperands();
    code.end();
    code.block("divide").block("multiply");
    field(OPERATION_SHIFT, 7).i32(6).op("i32.ge_u").brIf("divide");
    field(OPERATION_SHIFT, 7).i32(1).op("i32.eq").brIf("multiply");
    field(OPERATION_SHIFT, 4).if();
    code.get(l.bSe).i32(0x8000).op("i32.xor").set(l.bSe).end();
    arithmetic.add();
    code.end();
    arithmetic.multiply();
    code.end();
    arithmetic.divide();
  }

  function changeSign(value: number, how: "i32.xor" | "i32.and"): void {
    code.get(top).set(target);
    requireFull(target);
    loadOperand(target, l.aSe, l.aM);
    code.get(l.aSe).i32(value).op(how).set(l.aSe).br("exact");
  }

  /** Compares a, the stack top, with the ordinary b. */
  function compare(): void {
    arithmetic.requireOrdinary(l.aSe, l.aM);
    const exponent = (se: Local): CodeBuilder => code.get(se).i32(0x7fff).op("i32.and");
    const less = up;
    code
      .get(flags)
      .i32(~(C0 | C1 | C2 | C3))
      .op("i32.and")
      .set(flags);
    code.block("ordered");
    // Zeros are equal whatever their signs.
    code
      .get(l.aM)
      .get(l.bM)
      .op("i64.or", "i64.eqz")
      .get(l.aM)
      .get(l.bM)
      .op("i64.eq")
      .get(l.aSe)
      .get(l.bSe)
      .op("i32.eq", "i32.and", "i32.or")
      .if();
    code.get(flags).i32(C3).op("i32.or").set(flags).br("ordered").end();
    // Less in magnitude; a zero's exponent is the smallest.
    exponent(l.aSe);
    exponent(l.bSe).op("i32.lt_u");
    exponent(l.aSe);
    exponent(l.bSe).op("i32.eq").get(l.aM).get(l.bM).op("i64.lt_u", "i32.and", "i32.or").set(less);
    // The sign of a decides, except of a zero: then that of b does.
    code.get(l.aM).op("i64.eqz").if();
    code.get(l.bSe).i32(0x8000).op("i32.and", "i32.eqz").set(less);
    code.else();
    code.get(l.aSe).get(l.bSe).op("i32.xor").i32(0x8000).op("i32.and").get(l.bM).op("i64.eqz", "i32.or").if();
    code.get(l.aSe).i32(15).op("i32.shr_u").set(less);
    code.else();
    code.get(less).get(l.aSe).i32(15).op("i32.shr_u", "i32.xor").set(less);
    code.end().end();
    code.get(flags).i32(C0).get(less).op("i32.mul", "i32.or").set(flags);
    code.end();
    popFields();
    code.br("finish");
  }

  /** Rounds the significand in m and rest, whose lowest `dropped` bits go as well; counts of a carry out of the top go to `exponent`. */
  function roundSignificand(pushMode: () => void): void {
    code.get(dropped).i64(0n).op("i64.ne").if();
    code.get(l.m).i64(64n).get(dropped).op("i64.sub", "i64.shl").get(l.rest).i64(0n).op("i64.ne", "i64.extend_u", "i64.or").set(l.rest);
    code.get(l.m).get(dropped).op("i64.shr_u").get(dropped).op("i64.shl").set(l.m).end();
    code.i32(0).set(up);
    code.get(l.rest).i64(0n).op("i64.ne").tee(inexact).if();
    arithmetic.pushUp(pushMode, () => code.get(l.m).get(dropped).op("i64.shr_u", "i32.wrap").i32(1).op("i32.and"));
    code.tee(up).if();
    code.get(l.m).i64(1n).get(dropped).op("i64.shl", "i64.add").tee(l.m).op("i64.eqz").if();
    code.i64(INTEGER_BIT).set(l.m).get(l.exponent).i32(1).op("i32.add").set(l.exponent).end().end().end();
  }

  function round(): void {
    // By the precision control: 24, 53, 53 or 64 bits.
    code.get(l.control).i32(8).op("i32.shr_u").i32(3).op("i32.and").set(l.i);
    code.i64(40n).i64(11n).i64(0n).get(l.i).i32(3).op("i32.ne", "select").get(l.i).op("i32.eqz", "select").set(dropped);
    roundSignificand(() => arithmetic.rounding());
    code.get(l.exponent).i32(1).op("i32.sub").i32(0x7ffe).op("i32.ge_u").brIfRare("no");
    settleRounding();
    code.get(l.sign).i32(15).op("i32.shl").get(l.exponent).op("i32.or").set(l.aSe).get(l.m).set(l.aM);
    storeTarget();
    code.br("finish");
  }

  function store(): void {
    requireFull(top);
    loadOperand(top, l.aSe, l.aM);
    code.get(format).i32(Format.extended).op("i32.eq").if();
    code.get(host).get(l.aM).mem("i64.store").get(host).get(l.aSe).mem("i32.store16", 8);
    clearC1();
    popFields();
    code.br("finish").end();
    arithmetic.requireOrdinary(l.aSe, l.aM);
    code.get(l.aSe).i32(15).op("i32.shr_u").set(l.sign);
    code.get(l.aSe).i32(0x7fff).op("i32.and").set(l.exponent);
    code.get(l.aM).set(l.m).i64(0n).set(l.rest);
    code.i32(0).set(up).i32(0).set(inexact);
    code.get(format).i32(Format.double).op("i32.le_u").if();
    storeFloat();
    code.else();
    storeInteger();
    code.end();
    popFields();
    code.br("finish");
  }

  function storeFloat(): void {
    const isDouble = (): CodeBuilder => code.get(format).i32(Format.double).op("i32.eq");
    code.get(l.m).op("i64.eqz").if();
    clearC1();
    code.i64(0n).set(l.u);
    code.else();
    code.i64(11n).i64(40n);
    isDouble().op("select").set(dropped);
    roundSignificand(() => arithmetic.rounding());
    code.get(l.exponent).i32(BIAS).op("i32.sub").i32(1023).i32(127);
    isDouble().op("select", "i32.add").tee(l.exponent).i32(1).op("i32.sub").i32(2046).i32(254);
    isDouble().op("select", "i32.ge_u").brIfRare("no");
    settleRounding();
    // Without its integer bit.
    code.get(l.m).i64(1n).op("i64.shl").get(dropped).i64(1n).op("i64.add", "i64.shr_u");
    code.get(l.exponent).op("i64.extend_u").i64(52n).i64(23n);
    isDouble().op("select", "i64.shl", "i64.or").set(l.u);
    code.end();
    isDouble().if();
    code.get(host).get(l.u).get(l.sign).op("i64.extend_u").i64(63n).op("i64.shl", "i64.or").mem("i64.store");
    code.else();
    code.get(host).get(l.u).get(l.sign).op("i64.extend_u").i64(31n).op("i64.shl", "i64.or").mem("i64.store32");
    code.end();
  }

  function storeInteger(): void {
    const width = (): CodeBuilder => code.i64(4n).get(format).op("i64.extend_u", "i64.shl");
    code.i64(0n).set(l.u);
    code.get(l.m).op("i64.eqz").if();
    clearC1();
    code.else();
    code
      .get(l.exponent)
      .i32(BIAS + 62)
      .op("i32.gt_u")
      .brIfRare("no");
    // u: the integer part; rest: what is below it.
    code
      .i32(BIAS + 63)
      .get(l.exponent)
      .op("i32.sub")
      .tee(l.i)
      .op("i64.extend_u")
      .set(l.t);
    code.get(l.i).i32(64).op("i32.lt_u").if();
    code.get(l.m).get(l.t).op("i64.shr_u").set(l.u).get(l.m).i64(64n).get(l.t).op("i64.sub", "i64.shl").set(l.rest);
    code.else();
    // Below one half there is only something.
    code.get(l.m).i64(1n).get(l.i).i32(64).op("i32.eq", "select").set(l.rest).end();
    code.get(l.rest).i64(0n).op("i64.ne").tee(inexact).if();
    arithmetic.pushUp(
      () => {
        code.i32(3);
        arithmetic.rounding();
        code.get(operation).i32(TRUNCATE).op("i32.and", "select");
      },
      () => code.get(l.u).op("i32.wrap").i32(1).op("i32.and"),
    );
    code.tee(up).op("i64.extend_u").get(l.u).op("i64.add").set(l.u).end();
    // At most 2^(width - 1), less one where positive.
    code.get(l.u).i64(1n);
    width().i64(1n).op("i64.sub", "i64.shl").get(l.sign).i32(1).op("i32.xor", "i64.extend_u", "i64.sub", "i64.gt_u").brIfRare("no");
    settleRounding();
    code.i64(0n).get(l.u).op("i64.sub").get(l.u).get(l.sign).op("select").set(l.u);
    code.end();
    code.get(format).i32(Format.int16).op("i32.eq").if();
    code.get(host).get(l.u).mem("i64.store16");
    code.else();
    code.get(format).i32(Format.int32).op("i32.eq").if();
    code.get(host).get(l.u).mem("i64.store32");
    code.else();
    code.get(host).get(l.u).mem("i64.store");
    code.end().end();
  }
}

/** The same for every kind, by way of the parts: indexes of their functions. */
export function anyX87Function(parts: { readonly [part in X87Part]: number }): CodeBuilder {
  const code = new CodeBuilder(["i32", "i64", "i64", "i32"], ["i32"]);
  for (const part of x87PartNames) code.block(part);
  code.block("none").get(code.parameter(3)).i32(15).op("i32.and");
  code
    .brTable(
      Object.values(Kind).map((kind) => x87PartOf(kind)),
      "none",
    )
    .end()
    .i32(0)
    .op("return");
  for (const part of [...x87PartNames].reverse()) {
    code.end();
    for (let index = 0; index < 4; index++) code.get(code.parameter(index));
    code.call(parts[part]).op("return");
  }
  return code.i32(0);
}
