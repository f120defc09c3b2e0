import { OP_A, OP_D, SLOT_CC_AUX } from "../layout";
import type { OpName } from "../ops";
import { allWidths, type InterpreterEmitter, type Width } from "./emitter";

type Case = (e: InterpreterEmitter) => void;

const CF_BIT = 63n;
const TOP = -0x8000_0000_0000_0000n;
const NOT_TOP_TWO = 0x3fff_ffff_ffff_ffffn;

/** B := the count, masked as x86 does; when it is 0, d := a (zero-extended) and the op is done. Leaves A := a (zero- or sign-extended). */
function countAndOperand(e: InterpreterEmitter, width: Width, operand: number, signed = false): void {
  const { code } = e;
  e.slot(operand);
  if (signed) e.signExtend(width);
  else e.truncate(width);
  code.set(e.A);
  e.rhs();
  code
    .i64(width === 64 ? 63n : 31n)
    .op("i64.and")
    .tee(e.B)
    .op("i64.eqz")
    .if();
  code.get(e.A);
  e.truncate(width);
  code.set(e.A);
  e.setSlot(OP_D, e.A);
  e.next();
  code.end();
}

/** d := R truncated; CC_RES from it; CC_AUX from Y (bit 0: CF) and the i64 on the stack (bit 0: CF xor OF). */
function finishShift(e: InterpreterEmitter, width: Width): void {
  const { code } = e;
  code.i64(1n).op("i64.and").i64(62n).op("i64.shl").get(e.Y).i64(CF_BIT).op("i64.shl", "i64.or").set(e.X);
  e.setState64(SLOT_CC_AUX, e.X);
  code.get(e.R);
  e.truncate(width);
  code.set(e.R);
  e.setSlot(OP_D, e.R);
  e.setResult(width, e.R);
}

/** Pushes bit `bit` of R in bit 0 (upper bits are whatever). */
function bitOfR(e: InterpreterEmitter, bit: number): void {
  e.code.get(e.R).i64(BigInt(bit)).op("i64.shr_u");
}

function shiftLeft(width: Width): Case {
  return (e) => {
    countAndOperand(e, width, OP_A);
    const { code } = e;
    code.get(e.A).get(e.B).op("i64.shl").set(e.R);
    if (width === 64) code.get(e.A).i64(64n).get(e.B).op("i64.sub", "i64.shr_u");
    else bitOfR(e, width);
    code.i64(1n).op("i64.and").set(e.Y);
    // OF = CF xor the new top bit, so CF xor OF is the top bit.
    bitOfR(e, width - 1);
    finishShift(e, width);
  };
}

function shiftRight(width: Width, arithmetic: boolean): Case {
  return (e) => {
    countAndOperand(e, width, OP_A, arithmetic);
    const { code } = e;
    const shift = arithmetic ? "i64.shr_s" : "i64.shr_u";
    code.get(e.A).get(e.B).op(shift).set(e.R);
    code.get(e.A).get(e.B).i64(1n).op("i64.sub", shift).i64(1n).op("i64.and").set(e.Y);
    code.get(e.Y);
    if (!arithmetic) {
      // OF for a shift by one is the old top bit, now one below it; SAR clears OF.
      bitOfR(e, width - 2);
      code.op("i64.xor");
    }
    finishShift(e, width);
  };
}

/** Rotates change CF and OF only. Y bit 0: CF; the i64 on the stack, bit 0: CF xor OF. */
function finishRotate(e: InterpreterEmitter, width: Width): void {
  const { code } = e;
  code.i64(1n).op("i64.and").i64(62n).op("i64.shl").get(e.Y).i64(CF_BIT).op("i64.shl", "i64.or");
  e.state64(SLOT_CC_AUX);
  code.i64(NOT_TOP_TWO).op("i64.and", "i64.or").set(e.X);
  e.setState64(SLOT_CC_AUX, e.X);
  code.get(e.R);
  e.truncate(width);
  code.set(e.R);
  e.setSlot(OP_D, e.R);
}

function rotateLeft(width: Width): Case {
  return (e) => {
    countAndOperand(e, width, OP_A);
    const { code } = e;
    if (width === 64) code.get(e.A).get(e.B).op("i64.rotl").set(e.R);
    else {
      code
        .get(e.B)
        .i64(BigInt(width - 1))
        .op("i64.and")
        .set(e.B);
      code.get(e.A).get(e.B).op("i64.shl");
      code.get(e.A).i64(BigInt(width)).get(e.B).op("i64.sub", "i64.shr_u", "i64.or").set(e.R);
    }
    code.get(e.R).i64(1n).op("i64.and").set(e.Y);
    bitOfR(e, width - 1);
    finishRotate(e, width);
  };
}

function rotateRight(width: Width): Case {
  return (e) => {
    countAndOperand(e, width, OP_A);
    const { code } = e;
    if (width === 64) code.get(e.A).get(e.B).op("i64.rotr").set(e.R);
    else {
      code
        .get(e.B)
        .i64(BigInt(width - 1))
        .op("i64.and")
        .set(e.B);
      code.get(e.A).get(e.B).op("i64.shr_u");
      code.get(e.A).i64(BigInt(width)).get(e.B).op("i64.sub", "i64.shl", "i64.or").set(e.R);
    }
    bitOfR(e, width - 1);
    code.i64(1n).op("i64.and").set(e.Y);
    // OF = xor of the two top bits; CF is the top bit, so CF xor OF is the one below.
    bitOfR(e, width - 2);
    finishRotate(e, width);
  };
}

/** For RCL and RCR of 8 and 16 bits: B := B mod (width + 1); when that is 0 the rotate changes nothing but truncates d. */
function countThroughCarry(e: InterpreterEmitter, width: Width): void {
  if (width > 16) return;
  const { code } = e;
  code
    .get(e.B)
    .i64(BigInt(width + 1))
    .op("i64.rem_u")
    .tee(e.B)
    .op("i64.eqz")
    .if();
  e.setSlot(OP_D, e.A);
  e.next();
  code.end();
}

function rotateCarryLeft(width: Width): Case {
  return (e) => {
    countAndOperand(e, width, OP_A);
    countThroughCarry(e, width);
    const { code } = e;
    const wide = BigInt(width);
    code.get(e.A).get(e.B).op("i64.shl");
    e.carry();
    code.get(e.B).i64(1n).op("i64.sub", "i64.shl", "i64.or");
    code.get(e.A).i64(1n).op("i64.shr_u").i64(wide).get(e.B).op("i64.sub", "i64.shr_u", "i64.or").set(e.R);
    code.get(e.A).i64(wide).get(e.B).op("i64.sub", "i64.shr_u").i64(1n).op("i64.and").set(e.Y);
    bitOfR(e, width - 1);
    finishRotate(e, width);
  };
}

function rotateCarryRight(width: Width): Case {
  return (e) => {
    countAndOperand(e, width, OP_A);
    countThroughCarry(e, width);
    const { code } = e;
    const wide = BigInt(width);
    code.get(e.A).get(e.B).op("i64.shr_u");
    e.carry();
    code.i64(wide).get(e.B).op("i64.sub", "i64.shl", "i64.or");
    code.get(e.A).i64(1n).op("i64.shl").i64(wide).get(e.B).op("i64.sub", "i64.shl", "i64.or").set(e.R);
    code.get(e.A).get(e.B).i64(1n).op("i64.sub", "i64.shr_u").i64(1n).op("i64.and").set(e.Y);
    code.get(e.Y);
    bitOfR(e, width - 1);
    bitOfR(e, width - 2);
    code.op("i64.xor", "i64.xor");
    finishRotate(e, width);
  };
}

/** SHLD and SHRD: d is the destination, a supplies the bits. 16-bit counts above 16 rotate on through the pair, as Intel processors do. */
function doubleShift(width: 16 | 32 | 64, left: boolean): Case {
  return (e) => {
    countAndOperand(e, width, OP_D);
    const { code } = e;
    const wide = BigInt(width);
    e.slot(OP_A);
    e.truncate(width);
    code.set(e.X);
    if (width === 16) {
      // 48-bit concatenation: destination : source : destination (left), or its mirror (right).
      if (left) {
        code.get(e.A).i64(32n).op("i64.shl").get(e.X).i64(16n).op("i64.shl", "i64.or").get(e.A).op("i64.or").set(e.X);
        code.get(e.X).get(e.B).op("i64.shl").tee(e.X).i64(32n).op("i64.shr_u").set(e.R);
        code.get(e.X).i64(48n).op("i64.shr_u").i64(1n).op("i64.and").set(e.Y);
      } else {
        code.get(e.A).get(e.X).i64(16n).op("i64.shl", "i64.or").get(e.A).i64(32n).op("i64.shl", "i64.or").set(e.X);
        code.get(e.X).get(e.B).op("i64.shr_u").set(e.R);
        code.get(e.X).get(e.B).i64(1n).op("i64.sub", "i64.shr_u").i64(1n).op("i64.and").set(e.Y);
      }
    } else if (left) {
      code.get(e.A).get(e.B).op("i64.shl").get(e.X).i64(wide).get(e.B).op("i64.sub", "i64.shr_u", "i64.or").set(e.R);
      code.get(e.A).i64(wide).get(e.B).op("i64.sub", "i64.shr_u").i64(1n).op("i64.and").set(e.Y);
    } else {
      code.get(e.A).get(e.B).op("i64.shr_u").get(e.X).i64(wide).get(e.B).op("i64.sub", "i64.shl", "i64.or").set(e.R);
      code.get(e.A).get(e.B).i64(1n).op("i64.sub", "i64.shr_u").i64(1n).op("i64.and").set(e.Y);
    }
    // OF: the sign changed.
    bitOfR(e, width - 1);
    code
      .get(e.A)
      .i64(BigInt(width - 1))
      .op("i64.shr_u", "i64.xor")
      .get(e.Y)
      .op("i64.xor");
    finishShift(e, width);
  };
}

/** SETCF keeps OF, which CC_AUX derives from CF: both top bits flip together. */
function setCarry(e: InterpreterEmitter): void {
  const { code } = e;
  e.state64(SLOT_CC_AUX);
  code.tee(e.X);
  e.slot(OP_A);
  code.i64(CF_BIT).op("i64.shl").get(e.X).op("i64.xor").i64(TOP).op("i64.and").tee(e.Y);
  code.get(e.Y).i64(1n).op("i64.shr_u", "i64.or", "i64.xor").set(e.X);
  e.setState64(SLOT_CC_AUX, e.X);
}

/** Cases of shifts and rotates, and of the carry flag. */
export function shiftCases(): Map<OpName, Case> {
  const cases = new Map<OpName, Case>();
  for (const width of allWidths) {
    cases.set(`shlf${width}`, shiftLeft(width));
    cases.set(`shrf${width}`, shiftRight(width, false));
    cases.set(`sarf${width}`, shiftRight(width, true));
    cases.set(`rolf${width}`, rotateLeft(width));
    cases.set(`rorf${width}`, rotateRight(width));
    cases.set(`rclf${width}`, rotateCarryLeft(width));
    cases.set(`rcrf${width}`, rotateCarryRight(width));
  }
  for (const width of [16, 32, 64] as const) {
    cases.set(`shldf${width}`, doubleShift(width, true));
    cases.set(`shrdf${width}`, doubleShift(width, false));
  }
  cases.set("setCf", setCarry);
  cases.set("getCf", (e) => {
    e.carry();
    e.code.set(e.R);
    e.setSlot(OP_D, e.R);
  });
  return cases;
}
