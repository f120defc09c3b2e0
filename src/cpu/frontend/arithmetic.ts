/** Arithmetic and logic with flags: ADD..CMP, INC..NEG, multiplication, division, exchange-and-add, compare-and-exchange. */
import type { Address } from "../../tcg/builder";
import { MEM_STACK, SLOT_ZERO, slotOfGpr } from "../../tcg/layout";
import type { Width } from "../decode/decoder";
import { type Emission, RAX, RBX, RCX, RDX, SEGMENT_SS, sized, VECTOR_DE } from "./emission";

/** ADD, ADC, AND, OR, SBB, SUB, XOR. */
export function binary(name: "addf" | "adcf" | "subf" | "sbbf" | "andf" | "orf" | "xorf") {
  const ops = sized(name);
  return (e: Emission): void => {
    const source = e.source(1);
    const immediate = e.sourceImmediate;
    e.update((d, old, width) => e.emit(ops[width], d, old, source, immediate));
  };
}

/** CMP and TEST: flags only. */
export function compare(name: "subf" | "andf") {
  const ops = sized(name);
  return (e: Emission): void => {
    const left = e.read(0);
    const right = e.source(1);
    e.emit(ops[e.width(0)], e.sink, left, right, e.sourceImmediate);
  };
}

/** INC, DEC, NEG. */
export function unary(name: "incf" | "decf" | "negf") {
  const ops = sized(name);
  return (e: Emission): void => e.update((d, old, width) => e.emit(ops[width], d, old));
}

export function not(e: Emission): void {
  e.update((d, old) => e.emit("xor", d, old, SLOT_ZERO, -1), false);
}

/** MUL, and IMUL with one operand: the double-width product in rDX:rAX (AX for bytes). */
export function multiply(name: "mulHiLof" | "imulHiLof") {
  return (e: Emission): void => {
    const width = e.width(0);
    const factor = e.read(0);
    if (width >= 32) {
      e.emit(`${name}${width}`, RAX, factor, RDX);
      return;
    }
    const low = e.temp();
    const high = e.temp();
    e.emit("mov", low, RAX);
    e.emit(`${name}${width}`, low, factor, high);
    e.emit(width === 8 ? "dep8" : "dep16", RAX, low);
    if (width === 8) e.emit("dep8h", RAX, high);
    else e.emit("dep16", RDX, high);
  };
}

/** IMUL with one, two or three operands. */
export function signedMultiply(e: Emission): void {
  const count = e.insn.row.operands.length;
  if (count === 1) {
    multiply("imulHiLof")(e);
    return;
  }
  const width = e.width(0);
  const index = e.registerNumber(0);
  const left = count === 2 ? e.register(index, width) : e.read(1);
  const right = e.source(count - 1);
  const target = e.target(index, width);
  e.emit(`imulf${width}`, target, left, right, e.sourceImmediate);
  e.setRegister(index, width, target);
}

/** DIV and IDIV: #DE leaves everything as it was; flags are kept. */
export function divide(name: "div" | "idiv") {
  return (e: Emission): void => {
    const width = e.width(0);
    const divisor = e.read(0);
    if (width >= 32) {
      e.emit(`${name}${width}`, RAX, divisor, RDX);
      return;
    }
    const quotient = e.temp();
    const remainder = e.temp();
    e.emit("mov", quotient, RAX);
    if (width === 8) e.emit("zx8h", remainder, RAX);
    else e.emit("mov", remainder, RDX);
    e.emit(`${name}${width}`, quotient, divisor, remainder);
    e.emit(width === 8 ? "dep8" : "dep16", RAX, quotient);
    if (width === 8) e.emit("dep8h", RAX, remainder);
    else e.emit("dep16", RDX, remainder);
  };
}

/** XADD. With both operands the same register the sum stays. */
export function exchangeAdd(e: Emission): void {
  const width = e.width(0);
  const source = e.registerNumber(1);
  if (e.isMemory(0)) {
    const old = e.temp();
    const sum = e.temp();
    e.addressMemory(width / 8, true);
    e.load("ldw", old, width);
    e.emit(`addf${width}`, sum, old, e.register(source, width));
    e.load("st", sum, width);
    e.setRegister(source, width, old);
    return;
  }
  const old = e.temp();
  const sum = e.temp();
  e.emit("mov", old, e.read(0));
  e.emit(`addf${width}`, sum, old, e.register(source, width));
  e.setRegister(source, width, old, false);
  e.write(0, sum);
}

/** CMPXCHG: the destination is written in any case, with its old value when the comparison fails; the accumulator only then. */
export function compareExchange(e: Emission): void {
  const width = e.width(0);
  const source = e.register(e.registerNumber(1), width);
  const old = e.temp();
  const value = e.temp();
  if (e.isMemory(0)) {
    e.addressMemory(width / 8, true);
    e.load("ldw", old, width);
  } else {
    const destination = e.read(0);
    e.emit(width === 32 ? "zx32" : "mov", old, destination);
  }
  e.emit(`subf${width}`, e.sink, RAX, old);
  e.emit("mov", value, old);
  e.emit("movc_z", value, source);
  // The accumulator takes the old value unless they are equal; narrow, it has it already then. The destination is written last: it may be the accumulator.
  if (width < 32) e.setRegister(0, width, old);
  e.write(0, value, false);
  if (width >= 32) e.emit("movc_z", RAX, old, 1);
}

/** CMPXCHG8B. Only ZF changes. */
export function compareExchange8(e: Emission): void {
  const old = e.temp();
  const expected = pair(e, RDX, RAX);
  e.addressMemory(8, true);
  e.load("ldw", old, 64);
  const equal = e.temp();
  e.emit("eq", equal, old, expected);
  const differs = e.builder.branch("brz", equal);
  const value = pair(e, slotOfGpr(1), slotOfGpr(3));
  e.load("st", value, 64);
  const done = e.builder.branch("br");
  e.builder.bind(differs);
  e.load("st", old, 64);
  e.emit("zx32", RAX, old);
  e.emit("shr", RDX, old, SLOT_ZERO, 32);
  e.builder.bind(done);
  e.emit("setZf", SLOT_ZERO, equal);
}

/** high:low, of 32 bits each. */
function pair(e: Emission, high: number, low: number): number {
  const slot = e.temp();
  const lower = e.temp();
  e.emit("shl", slot, high, SLOT_ZERO, 32);
  e.emit("zx32", lower, low);
  e.emit("or", slot, slot, lower);
  return slot;
}

/** CMPXCHG16B. Only ZF changes. The helper, which means the same, raises the exception for an operand that is not aligned. */
export function compareExchange16(e: Emission): void {
  e.addressMemory(16, true, 0);
  const linear = e.linearAddress();
  const part = (displacement: number): Address => ({
    base: linear,
    index: SLOT_ZERO,
    scale: 0,
    displacement,
    flags: e.insn.segment === SEGMENT_SS ? MEM_STACK : 0,
  });
  const low = e.temp();
  const high = e.temp();
  const equal = e.temp();
  const other = e.temp();
  e.emit("and", other, linear, SLOT_ZERO, 15);
  const aligned = e.builder.branch("brz", other);
  e.helper("cmpxchg16b", linear);
  e.builder.bind(aligned);
  e.builder.memory("ldw64", low, part(0));
  e.builder.memory("ldw64", high, part(8));
  e.emit("eq", equal, low, RAX);
  e.emit("eq", other, high, RDX);
  e.emit("and", equal, equal, other);
  const differs = e.builder.branch("brz", equal);
  e.builder.memory("st64", RBX, part(0));
  e.builder.memory("st64", RCX, part(8));
  const stored = e.builder.branch("br");
  e.builder.bind(differs);
  e.builder.memory("st64", low, part(0));
  e.builder.memory("st64", high, part(8));
  e.emit("mov", RAX, low);
  e.emit("mov", RDX, high);
  e.builder.bind(stored);
  e.emit("setZf", SLOT_ZERO, equal);
}

/** ADCX (carry) and ADOX (overflow as a second carry): the other flags are kept. */
export function addWithOneFlag(flag: "carry" | "overflow") {
  return (e: Emission): void => {
    const width = e.width(0);
    const index = e.registerNumber(0);
    const right = e.read(1);
    const left = e.temp();
    const carry = e.temp();
    const flags = e.temp();
    if (flag === "carry") e.emit("getCf", carry);
    else {
      e.emit("getFlags", flags);
      e.emit("shr", carry, flags, SLOT_ZERO, 11);
      e.emit("and", carry, carry, SLOT_ZERO, 1);
    }
    if (width === 32) {
      const sum = e.temp();
      e.emit("zx32", left, slotOfGpr(index));
      e.emit("zx32", sum, right);
      e.emit("add", sum, sum, left);
      e.emit("add", sum, sum, carry);
      e.emit("shr", carry, sum, SLOT_ZERO, 32);
      e.setRegister(index, width, sum, false);
    } else {
      const first = e.temp();
      const sum = e.temp();
      const over = e.temp();
      e.emit("add", first, slotOfGpr(index), right);
      e.emit("ltu", over, first, right);
      e.emit("add", sum, first, carry);
      e.emit("ltu", carry, sum, first);
      e.emit("or", carry, carry, over);
      e.setRegister(index, width, sum);
    }
    if (flag === "carry") e.emit("setCf", SLOT_ZERO, carry);
    else {
      e.emit("and", flags, flags, SLOT_ZERO, ~0x800);
      e.emit("shl", carry, carry, SLOT_ZERO, 11);
      e.emit("or", flags, flags, carry);
      e.emit("setFlags", SLOT_ZERO, flags);
    }
  };
}

/** CBW, CWDE, CDQE. */
export function extendAccumulator(e: Emission): void {
  const width: Width = e.insn.operandSize;
  const slot = width === 64 ? RAX : e.temp();
  e.emit(width === 16 ? "sx8" : width === 32 ? "sx16" : "sx32", slot, RAX);
  e.setRegister(0, width, slot, false);
}

/** CWD, CDQ, CQO. */
export function extendIntoDx(e: Emission): void {
  const width: Width = e.insn.operandSize;
  if (width === 64) {
    e.emit("sar", RDX, RAX, SLOT_ZERO, 63);
    return;
  }
  const slot = e.temp();
  e.emit(width === 16 ? "sx16" : "sx32", slot, RAX);
  e.emit("shr", slot, slot, SLOT_ZERO, 32);
  e.setRegister(2, width, slot);
}

/** DAA, DAS, AAA, AAS. */
export function decimalAdjust(name: "daa" | "das" | "aaa" | "aas") {
  return (e: Emission): void => e.helper(name);
}

/** AAM and AAD with their base. */
export function asciiAdjust(name: "aam" | "aad") {
  return (e: Emission): void => {
    const base = e.insn.immediate;
    if (name === "aam" && base === 0) e.raise(VECTOR_DE);
    else e.helper(name, SLOT_ZERO, SLOT_ZERO, base);
  };
}
