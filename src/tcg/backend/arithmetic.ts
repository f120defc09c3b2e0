import { SLOT_SINK, SLOT_ZERO } from "../layout";
import type { OpName } from "../ops";
import { W } from "../wasm/writer";
import {
  KIND_ADD,
  KIND_DEC,
  KIND_INC,
  KIND_LOGIC,
  KIND_MUL,
  KIND_RAW,
  KIND_SUB,
  auxFromCarries,
  pushBorrows,
  pushCarries,
  pushCarry,
  signExtend,
  truncate,
  type Width,
  widthIndex,
} from "./flags";
import { Callee } from "./callees";
import type { OpEmitter, RegionFunction } from "./function";

const allWidths: readonly Width[] = [8, 16, 32, 64];

/** d := local. */
export function assignLocal(f: RegionFunction, slot: number, local: number): void {
  if (slot === SLOT_SINK) return;
  f.begin(slot);
  f.w.get(local);
  f.assign(slot);
}

/** FR := local, sign-extended. */
export function setResult(f: RegionFunction, width: Width, local: number): void {
  f.w.get(local);
  signExtend(f.w, width);
  f.w.set(f.flagLocals.fr);
}

function addition(width: Width): OpEmitter {
  return (f, i) => {
    const { w, ops } = f;
    const { cx, cy } = f.flagLocals;
    if (!f.needsFlags(i)) {
      f.begin(ops.d[i]);
      f.push(ops.a[i]);
      f.rhs(i);
      w.op(W.i64Add);
      truncate(w, width);
      f.assign(ops.d[i]);
      return;
    }
    f.pushTruncated(ops.a[i], width);
    w.tee(cy);
    f.rhs(i);
    w.op(W.i64Add);
    truncate(w, width);
    w.set(cx);
    assignLocal(f, ops.d[i], cx);
    f.setKind(KIND_ADD + widthIndex(width));
  };
}

function subtraction(width: Width): OpEmitter {
  return (f, i) => {
    const { w, ops } = f;
    const { cx, cy } = f.flagLocals;
    if (!f.needsFlags(i)) {
      f.begin(ops.d[i]);
      f.push(ops.a[i]);
      f.rhs(i);
      w.op(W.i64Sub);
      truncate(w, width);
      f.assign(ops.d[i]);
      return;
    }
    f.pushTruncated(ops.a[i], width);
    w.set(cx);
    f.rhsTruncated(i, width);
    w.set(cy);
    finishSubtraction(f, i, width);
  };
}

/** The rest of cx - cy. */
function finishSubtraction(f: RegionFunction, i: number, width: Width): void {
  const { cx, cy } = f.flagLocals;
  if (f.ops.d[i] !== SLOT_SINK) {
    f.begin(f.ops.d[i]);
    f.w.get(cx).get(cy).op(W.i64Sub);
    truncate(f.w, width);
    f.assign(f.ops.d[i]);
  }
  f.setKind(KIND_SUB + widthIndex(width));
}

function negation(width: Width): OpEmitter {
  return (f, i) => {
    f.pushTruncated(f.ops.a[i], width);
    f.w.set(f.flagLocals.cy).i64(0).set(f.flagLocals.cx);
    finishSubtraction(f, i, width);
  };
}

/** ADC and SBB: the vector of carries is formed at once; nobody computes it unless somebody looks. */
function withCarry(width: Width, add: boolean): OpEmitter {
  return (f, i) => {
    const { w, ops, s, t, u } = f;
    const { fx, cx, cy } = f.flagLocals;
    const instruction = add ? W.i64Add : W.i64Sub;
    f.pushTruncated(ops.a[i], width);
    w.set(s);
    f.rhsTruncated(i, width);
    w.set(t);
    w.get(s).get(t).op(instruction);
    pushCarry(w, f.flagLocals);
    w.op(instruction).set(u);
    if (add) pushCarries(w, s, t, u);
    else pushBorrows(w, s, t, u);
    auxFromCarries(w, width, f.address);
    w.set(fx).i64(0).set(cx).get(fx).i64(63).op(W.i64ShrU).set(cy);
    w.get(u);
    truncate(w, width);
    w.set(u);
    assignLocal(f, ops.d[i], u);
    setResult(f, width, u);
    f.setKind(KIND_RAW);
  };
}

function logic(width: Width, instruction: number): OpEmitter {
  return (f, i) => {
    const { w, ops } = f;
    const { cx, cy } = f.flagLocals;
    const needed = f.needsFlags(i);
    if (!needed) f.begin(ops.d[i]);
    if (instruction === W.i64And) {
      // One operand without bits above the width is enough.
      const single = f.bitsOf(ops.a[i]) <= width || ops.b[i] === SLOT_ZERO;
      f.push(ops.a[i]);
      if (single && ops.b[i] !== SLOT_ZERO) f.rhs(i);
      else f.rhsTruncated(i, width);
    } else {
      f.pushTruncated(ops.a[i], width);
      f.rhsTruncated(i, width);
    }
    w.op(instruction);
    if (!needed) {
      f.assign(ops.d[i]);
      return;
    }
    w.set(cx).i64(0).set(cy);
    assignLocal(f, ops.d[i], cx);
    f.setKind(KIND_LOGIC + widthIndex(width));
  };
}

/** INC and DEC keep CF: cx and cy stay. */
function step(width: Width, up: boolean): OpEmitter {
  return (f, i) => {
    const { w, ops } = f;
    f.push(ops.a[i]);
    w.i64(1).op(up ? W.i64Add : W.i64Sub);
    truncate(w, width);
    w.set(f.t);
    assignLocal(f, ops.d[i], f.t);
    if (!f.needsFlags(i)) return;
    setResult(f, width, f.t);
    f.setKind((up ? KIND_INC : KIND_DEC) + widthIndex(width));
  };
}

/** Pushes the high half of the unsigned product of two locals: plain arithmetic, so that it is dropped when nobody needs it. */
function pushHighProduct(f: RegionFunction, a: number, b: number, middle: number): void {
  const { w } = f;
  const half = (value: number, high: boolean): void => {
    w.get(value);
    if (high) w.i64(32).op(W.i64ShrU);
    else w.i64Halves(-1, 0).op(W.i64And);
  };
  half(a, true);
  half(b, false);
  w.op(W.i64Mul);
  half(a, false);
  half(b, false);
  w.op(W.i64Mul).i64(32).op2(W.i64ShrU, W.i64Add).set(middle);
  half(a, true);
  half(b, true);
  w.op(W.i64Mul);
  half(middle, true);
  w.op(W.i64Add);
  half(a, false);
  half(b, true);
  w.op(W.i64Mul);
  half(middle, false);
  w.op(W.i64Add).i64(32).op2(W.i64ShrU, W.i64Add);
}

/** The unsigned high product on the stack becomes the signed one of locals a and b. */
function correctSign(f: RegionFunction, a: number, b: number): void {
  const { w } = f;
  w.get(a).i64(63).op(W.i64ShrS).get(b).op2(W.i64And, W.i64Sub);
  w.get(b).i64(63).op(W.i64ShrS).get(a).op2(W.i64And, W.i64Sub);
}

/** CF = OF = the i32 on the stack. */
function overflow(f: RegionFunction): void {
  f.w.op(W.i64ExtendU).set(f.flagLocals.cy).i64(0).set(f.flagLocals.cx);
}

function signedProduct(width: Width): OpEmitter {
  return (f, i) => {
    const { w, ops, s, t, u } = f;
    f.push(ops.a[i]);
    signExtend(w, width);
    w.set(s);
    f.rhs(i);
    signExtend(w, width);
    w.set(t).get(s).get(t).op(W.i64Mul).set(u);
    if (f.needsFlags(i)) {
      if (width === 64) {
        pushHighProduct(f, s, t, f.address);
        correctSign(f, s, t);
        w.get(u).i64(63).op(W.i64ShrS);
      } else {
        w.get(u).get(u);
        signExtend(w, width);
      }
      w.op(W.i64Ne);
      overflow(f);
      setResult(f, width, u);
      f.setKind(KIND_MUL);
    }
    w.get(u);
    truncate(w, width);
    w.set(u);
    assignLocal(f, ops.d[i], u);
  };
}

/** MUL and IMUL with a double-width product: low half in d, high half in b. */
function fullProduct(width: Width, signed: boolean): OpEmitter {
  return (f, i) => {
    const { w, ops, s, t, u, address } = f;
    const extend = (): void => (signed ? signExtend(w, width) : truncate(w, width));
    f.push(ops.d[i]);
    extend();
    w.set(s);
    f.push(ops.a[i]);
    extend();
    w.set(t).get(s).get(t).op(W.i64Mul).set(u);
    if (width === 64) {
      w.get(s).get(t).call(Callee.multiplyHigh);
      if (signed) correctSign(f, s, t);
    } else {
      w.get(u)
        .i64(width)
        .op(signed ? W.i64ShrS : W.i64ShrU);
      truncate(w, width);
    }
    w.set(address);
    assignLocal(f, ops.b[i], address);
    w.get(address);
    if (signed) {
      w.get(u);
      signExtend(w, width);
      w.i64(63).op(W.i64ShrS);
      truncate(w, width);
    } else w.i64(0);
    w.op(W.i64Ne);
    overflow(f);
    w.get(u);
    truncate(w, width);
    w.set(u);
    assignLocal(f, ops.d[i], u);
    setResult(f, width, u);
    f.setKind(KIND_MUL);
  };
}

/** DIV and IDIV of b:d by a. Faults, and 64-bit dividends of more than 64 bits, are left to the interpreter. */
function division(width: Width, signed: boolean): OpEmitter {
  return (f, i) => {
    const { w, ops, s, t, u } = f;
    const leaveIf = (): void => {
      w.ifRare();
      f.leaveAt(i);
      w.end();
    };
    if (signed) {
      f.push(ops.a[i]);
      signExtend(w, width);
    } else f.pushTruncated(ops.a[i], width);
    w.tee(t).op(W.i64Eqz);
    leaveIf();
    if (width === 64) {
      f.push(ops.d[i]);
      w.set(s);
      f.push(ops.b[i]);
      if (signed) w.get(s).i64(63).op(W.i64ShrS);
      else w.i64(0);
      w.op(W.i64Ne);
      if (signed) w.get(t).i64(-1).op2(W.i64Eq, W.i32Or);
      leaveIf();
    } else {
      f.push(ops.b[i]);
      if (width < 32) truncate(w, width);
      w.i64(width).op(W.i64Shl);
      f.pushTruncated(ops.d[i], width);
      w.op(W.i64Or);
      if (signed && width < 32) signExtend(w, (width * 2) as Width);
      w.set(s);
      if (signed && width === 32) {
        w.get(s)
          .i64Halves(0, 0x8000_0000 | 0)
          .op(W.i64Eq)
          .get(t)
          .i64(-1)
          .op2(W.i64Eq, W.i32And);
        leaveIf();
      }
    }
    w.get(s)
      .get(t)
      .op(signed ? W.i64DivS : W.i64DivU)
      .set(u);
    if (width < 64) {
      w.get(u).get(u);
      if (signed) signExtend(w, width);
      else truncate(w, width);
      w.op(W.i64Ne);
      leaveIf();
    }
    w.get(s)
      .get(t)
      .op(signed ? W.i64RemS : W.i64RemU);
    truncate(w, width);
    w.set(s);
    w.get(u);
    truncate(w, width);
    w.set(u);
    assignLocal(f, ops.d[i], u);
    assignLocal(f, ops.b[i], s);
  };
}

/** Emitters of the arithmetic ops with flags. */
export function arithmeticEmitters(): Map<OpName, OpEmitter> {
  const emitters = new Map<OpName, OpEmitter>();
  for (const width of allWidths) {
    emitters.set(`addf${width}`, addition(width));
    emitters.set(`adcf${width}`, withCarry(width, true));
    emitters.set(`subf${width}`, subtraction(width));
    emitters.set(`sbbf${width}`, withCarry(width, false));
    emitters.set(`andf${width}`, logic(width, W.i64And));
    emitters.set(`orf${width}`, logic(width, W.i64Or));
    emitters.set(`xorf${width}`, logic(width, W.i64Xor));
    emitters.set(`incf${width}`, step(width, true));
    emitters.set(`decf${width}`, step(width, false));
    emitters.set(`negf${width}`, negation(width));
    emitters.set(`imulf${width}`, signedProduct(width));
    emitters.set(`mulHiLof${width}`, fullProduct(width, false));
    emitters.set(`imulHiLof${width}`, fullProduct(width, true));
    emitters.set(`div${width}`, division(width, false));
    emitters.set(`idiv${width}`, division(width, true));
  }
  return emitters;
}
