import { OP_A, OP_B, OP_D, SLOT_CC_AUX } from "../layout";
import type { OpName } from "../ops";
import { allWidths, type InterpreterEmitter, type Width } from "./emitter";

type Case = (e: InterpreterEmitter) => void;

/** A and B := operands, truncated to `width`. */
function operands(e: InterpreterEmitter, width: Width): void {
  e.slot(OP_A);
  e.truncate(width);
  e.code.set(e.A);
  e.rhs();
  e.truncate(width);
  e.code.set(e.B);
}

/** d := R truncated to `width`, and CC_RES from it. */
function result(e: InterpreterEmitter, width: Width): void {
  if (width < 64) {
    e.code.get(e.R);
    e.truncate(width);
    e.code.set(e.R);
  }
  e.setSlot(OP_D, e.R);
  e.setResult(width, e.R);
}

function addition(width: Width, withCarry: boolean): Case {
  return (e) => {
    operands(e, width);
    e.code.get(e.A).get(e.B).op("i64.add");
    if (withCarry) {
      e.carry();
      e.code.op("i64.add");
    }
    e.code.set(e.R);
    e.addCarries();
    e.setCarries(width, e.X);
    result(e, width);
  };
}

function subtraction(width: Width, withBorrow: boolean): Case {
  return (e) => {
    operands(e, width);
    e.code.get(e.A).get(e.B).op("i64.sub");
    if (withBorrow) {
      e.carry();
      e.code.op("i64.sub");
    }
    e.code.set(e.R);
    e.subtractBorrows();
    e.setCarries(width, e.X);
    result(e, width);
  };
}

function logic(width: Width, instruction: "i64.and" | "i64.or" | "i64.xor"): Case {
  return (e) => {
    e.slot(OP_A);
    e.rhs();
    e.code.op(instruction).set(e.R);
    e.code.get(e.cpu).i64(0n).mem("i64.store", SLOT_CC_AUX);
    result(e, width);
  };
}

function negation(width: Width): Case {
  return (e) => {
    e.code.i64(0n).set(e.A);
    e.slot(OP_A);
    e.truncate(width);
    e.code.set(e.B);
    e.code.i64(0n).get(e.B).op("i64.sub").set(e.R);
    e.subtractBorrows();
    e.setCarries(width, e.X);
    result(e, width);
  };
}

/** INC and DEC: every flag but CF. */
function step(width: Width, up: boolean): Case {
  return (e) => {
    const { code } = e;
    e.slot(OP_A);
    e.truncate(width);
    code.set(e.A);
    code.i64(1n).set(e.B);
    code
      .get(e.A)
      .i64(1n)
      .op(up ? "i64.add" : "i64.sub")
      .set(e.R);
    if (up) e.addCarries();
    else e.subtractBorrows();
    // X = carries. OF = carry out of the top bit xor carry into it; bit 63 keeps the old CF, bit 62 becomes OF xor CF.
    code.get(e.X);
    if (width < 64) code.i64(BigInt(64 - width)).op("i64.shl");
    code.tee(e.Y).get(e.Y).i64(1n).op("i64.shl", "i64.xor");
    e.state64(SLOT_CC_AUX);
    code.tee(e.Y).op("i64.xor").i64(1n).op("i64.shr_u").i64(0x4000_0000_0000_0000n).op("i64.and");
    code.get(e.Y).i64(-0x8000_0000_0000_0000n).op("i64.and", "i64.or");
    code.get(e.X).i64(8n).op("i64.and", "i64.or").set(e.Y);
    e.setState64(SLOT_CC_AUX, e.Y);
    result(e, width);
  };
}

/** Pushes -1 or 0: sign of `value`. */
function sign(e: InterpreterEmitter, value: InterpreterEmitter["A"]): void {
  e.code.get(value).i64(63n).op("i64.shr_s");
}

/** Pushes the high half of the signed 64-bit product of A and B. */
function signedHigh(e: InterpreterEmitter): void {
  e.code.get(e.A).get(e.B).call(e.callees.multiplyHigh);
  sign(e, e.A);
  e.code.get(e.B).op("i64.and", "i64.sub");
  sign(e, e.B);
  e.code.get(e.A).op("i64.and", "i64.sub");
}

/** CC_AUX with CF = OF = (the i32 on the stack), the other flags from CC_RES. */
function overflowFlag(e: InterpreterEmitter): void {
  e.code.op("i64.extend_u").i64(63n).op("i64.shl").set(e.X);
  e.setState64(SLOT_CC_AUX, e.X);
}

function signedProduct(width: Width): Case {
  return (e) => {
    e.slot(OP_A);
    e.signExtend(width);
    e.code.set(e.A);
    e.rhs();
    e.signExtend(width);
    e.code.set(e.B).get(e.A).get(e.B).op("i64.mul").set(e.R);
    if (width === 64) {
      signedHigh(e);
      sign(e, e.R);
    } else {
      e.code.get(e.R).get(e.R);
      e.signExtend(width);
    }
    e.code.op("i64.ne");
    overflowFlag(e);
    result(e, width);
  };
}

/** MUL and IMUL with a double-width product: low half in d, high half in b. */
function fullProduct(width: Width, signed: boolean): Case {
  return (e) => {
    const { code } = e;
    const extend = (): void => (signed ? e.signExtend(width) : e.truncate(width));
    e.slot(OP_D);
    extend();
    code.set(e.A);
    e.slot(OP_A);
    extend();
    code.set(e.B).get(e.A).get(e.B).op("i64.mul").set(e.R);
    if (width === 64) {
      if (signed) signedHigh(e);
      else code.get(e.A).get(e.B).call(e.callees.multiplyHigh);
    } else {
      code
        .get(e.R)
        .i64(BigInt(width))
        .op(signed ? "i64.shr_s" : "i64.shr_u");
      e.truncate(width);
    }
    code.set(e.Y);
    e.setSlot(OP_B, e.Y);
    // Overflow: the high half is not the extension of the low one.
    code.get(e.Y);
    if (signed) {
      code.get(e.R);
      e.signExtend(width);
      code.i64(63n).op("i64.shr_s");
      e.truncate(width);
    } else code.i64(0n);
    code.op("i64.ne");
    overflowFlag(e);
    result(e, width);
  };
}

/** DIV and IDIV of b:d by a. */
function division(width: Width, signed: boolean): Case {
  return (e) => {
    const { code } = e;
    const divideError = (): void => {
      e.publish();
      code.i32(0).call(e.callees.fault).op("drop");
      e.exit(3);
    };
    e.slot(OP_A);
    if (signed) e.signExtend(width);
    else e.truncate(width);
    code.tee(e.B).op("i64.eqz").ifRare();
    divideError();
    code.end();
    if (width === 64) {
      // Only a dividend that fits 64 bits is divided here.
      e.slot(OP_D);
      code.set(e.A);
      e.slot(OP_B);
      if (signed) sign(e, e.A);
      else code.i64(0n);
      code.op("i64.ne");
      if (signed) code.get(e.B).i64(-1n).op("i64.eq", "i32.or");
      code.if();
      e.publish();
      code.get(e.op).call(e.callees.divide).ifRare();
      e.exit(3);
      code.end();
      e.next();
      code.end();
    } else {
      e.slot(OP_B);
      e.truncate(width);
      code.i64(BigInt(width)).op("i64.shl");
      e.slot(OP_D);
      e.truncate(width);
      code.op("i64.or");
      if (signed && width < 32) e.signExtend((width * 2) as Width);
      code.set(e.A);
      if (signed && width === 32) {
        // The most negative dividend over -1 would trap.
        code.get(e.A).i64(-0x8000_0000_0000_0000n).op("i64.eq").get(e.B).i64(-1n).op("i64.eq", "i32.and").ifRare();
        divideError();
        code.end();
      }
    }
    code
      .get(e.A)
      .get(e.B)
      .op(signed ? "i64.div_s" : "i64.div_u")
      .set(e.R);
    if (width < 64) {
      code.get(e.R).get(e.R);
      if (signed) e.signExtend(width);
      else e.truncate(width);
      code.op("i64.ne").ifRare();
      divideError();
      code.end();
    }
    code
      .get(e.A)
      .get(e.B)
      .op(signed ? "i64.rem_s" : "i64.rem_u");
    e.truncate(width);
    code.set(e.Y).get(e.R);
    e.truncate(width);
    code.set(e.R);
    e.setSlot(OP_D, e.R);
    e.setSlot(OP_B, e.Y);
  };
}

/** Cases of the arithmetic ops with flags. */
export function arithmeticCases(): Map<OpName, Case> {
  const cases = new Map<OpName, Case>();
  for (const width of allWidths) {
    cases.set(`addf${width}`, addition(width, false));
    cases.set(`adcf${width}`, addition(width, true));
    cases.set(`subf${width}`, subtraction(width, false));
    cases.set(`sbbf${width}`, subtraction(width, true));
    cases.set(`andf${width}`, logic(width, "i64.and"));
    cases.set(`orf${width}`, logic(width, "i64.or"));
    cases.set(`xorf${width}`, logic(width, "i64.xor"));
    cases.set(`incf${width}`, step(width, true));
    cases.set(`decf${width}`, step(width, false));
    cases.set(`negf${width}`, negation(width));
    cases.set(`imulf${width}`, signedProduct(width));
    cases.set(`mulHiLof${width}`, fullProduct(width, false));
    cases.set(`imulHiLof${width}`, fullProduct(width, true));
    cases.set(`div${width}`, division(width, false));
    cases.set(`idiv${width}`, division(width, true));
  }
  return cases;
}
