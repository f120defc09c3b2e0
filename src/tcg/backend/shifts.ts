import { SLOT_ZERO } from "../layout";
import type { OpName } from "../ops";
import { W } from "../wasm/writer";
import { assignLocal, setResult } from "./arithmetic";
import { KIND_DYNAMIC, KIND_RAW, KIND_SAR, KIND_SHL, KIND_SHR, pushCarry, signExtend, truncate, type Width, widthIndex } from "./flags";
import type { OpEmitter, RegionFunction } from "./function";
import { constantCount } from "./pieces";

const allWidths: readonly Width[] = [8, 16, 32, 64];

/** Pushes the count of op `i`: a constant, or what `t` holds. */
function count(f: RegionFunction, i: number): void {
  const constant = constantCount(f.ops, i);
  if (constant >= 0) f.w.i64(constant);
  else f.w.get(f.t);
}

/** t := the count, if it is not a constant. */
function prepareCount(f: RegionFunction, i: number, width: Width): void {
  if (f.ops.b[i] === SLOT_ZERO) return;
  f.rhs(i);
  f.w
    .i64(width === 64 ? 63 : 31)
    .op(W.i64And)
    .set(f.t);
}

/** Emits `inner`, which changes flags, unless the count is 0. Counts that are not constant leave the kind of flags open. */
function unlessZero(f: RegionFunction, i: number, inner: () => void): void {
  if (constantCount(f.ops, i) > 0) {
    inner();
    return;
  }
  f.w.get(f.t).i64(0).op(W.i64Ne).if();
  inner();
  f.w.end();
  f.forgetKind();
}

type ShiftKind = "left" | "logical" | "arithmetic";

/** SHL, SHR, SAR. */
function shift(width: Width, how: ShiftKind): OpEmitter {
  return (f, i) => {
    const { w, ops, s, u } = f;
    const { cx, cy } = f.flagLocals;
    prepareCount(f, i, width);
    if (how === "arithmetic") {
      f.push(ops.a[i]);
      signExtend(w, width);
    } else f.pushTruncated(ops.a[i], width);
    w.set(s);
    const instruction = how === "left" ? W.i64Shl : how === "logical" ? W.i64ShrU : W.i64ShrS;
    w.get(s);
    count(f, i);
    w.op(instruction).set(u);
    if (f.needsFlags(i) && constantCount(ops, i) !== 0) {
      unlessZero(f, i, () => {
        if (how !== "left") {
          w.get(s);
          count(f, i);
          w.i64(1).op2(W.i64Sub, instruction);
        } else if (width === 64) {
          w.get(s).i64(64);
          count(f, i);
          w.op2(W.i64Sub, W.i64ShrU);
        } else w.get(u).i64(width).op(W.i64ShrU);
        w.i64(1).op(W.i64And).set(cy).i64(0).set(cx);
        setResult(f, width, u);
        f.setKind(how === "left" ? KIND_SHL : how === "arithmetic" ? KIND_SAR : KIND_SHR + widthIndex(width));
      });
    }
    if (how !== "logical") {
      w.get(u);
      truncate(w, width);
      w.set(u);
    }
    assignLocal(f, ops.d[i], u);
  };
}

/**
 * After a rotate: CF is bit 0 of `address`; the i64 that `pushDifference` pushes has CF xor OF in bit 0. The other flags are kept: a kind is known.
 */
function rotateFlags(f: RegionFunction, pushDifference: () => void): void {
  const { w, address } = f;
  const { fr, fx, cx, cy } = f.flagLocals;
  f.pushAux();
  w.i64Halves(-1, 0x3fff_ffff).op(W.i64And);
  pushDifference();
  w.i64(1).op(W.i64And).i64(62).op2(W.i64Shl, W.i64Or);
  w.get(address).i64(63).op2(W.i64Shl, W.i64Or);
  f.pushResult();
  w.set(fr).set(fx).get(address).i64(1).op(W.i64And).set(cy).i64(0).set(cx);
  f.setKind(KIND_RAW);
}

/** Flags of unknown kind go to memory before code that is not always executed looks at them. */
function knowKind(f: RegionFunction, i: number): void {
  if (f.kind === KIND_DYNAMIC && f.needsFlags(i)) f.flagsToMemory();
}

function bitOf(f: RegionFunction, bit: number): void {
  f.w.get(f.u).i64(bit).op(W.i64ShrU);
}

/** ROL, ROR. The shift amount is the count modulo the width; flags change unless the masked count is 0. */
function rotate(width: Width, left: boolean): OpEmitter {
  return (f, i) => {
    const { w, ops, s, u, address } = f;
    knowKind(f, i);
    prepareCount(f, i, width);
    f.pushTruncated(ops.a[i], width);
    w.set(s);
    const amount = (): void => {
      count(f, i);
      w.i64(width - 1).op(W.i64And);
    };
    w.get(s);
    amount();
    if (width === 64) w.op(left ? W.i64Rotl : W.i64Rotr);
    else {
      w.op(left ? W.i64Shl : W.i64ShrU)
        .get(s)
        .i64(width);
      amount();
      w.op3(W.i64Sub, left ? W.i64ShrU : W.i64Shl, W.i64Or);
    }
    w.set(u);
    if (f.needsFlags(i) && constantCount(ops, i) !== 0) {
      unlessZero(f, i, () => {
        if (left) w.get(u);
        else bitOf(f, width - 1);
        w.set(address);
        rotateFlags(f, () => bitOf(f, left ? width - 1 : width - 2));
      });
    }
    w.get(u);
    truncate(w, width);
    w.set(u);
    assignLocal(f, ops.d[i], u);
  };
}

/** RCL, RCR: through the carry, width + 1 bits. */
function rotateThroughCarry(width: Width, left: boolean): OpEmitter {
  return (f, i) => {
    const { w, ops, s, t, u, address } = f;
    f.flagsToMemory();
    // The count always goes through t here: it is reduced modulo the bits that rotate.
    f.rhs(i);
    w.i64(width === 64 ? 63 : 31).op(W.i64And);
    if (width <= 16) w.i64(width + 1).op(W.i64RemU);
    w.set(t);
    f.push(ops.a[i]);
    truncate(w, width);
    w.tee(s).set(u);
    w.get(t).i64(0).op(W.i64Ne).if();
    w.get(s)
      .get(t)
      .op(left ? W.i64Shl : W.i64ShrU);
    pushCarry(w, f.flagLocals);
    if (left) {
      w.get(t).i64(1).op3(W.i64Sub, W.i64Shl, W.i64Or);
      w.get(s).i64(1).op(W.i64ShrU).i64(width).get(t).op3(W.i64Sub, W.i64ShrU, W.i64Or).set(u);
      w.get(s).i64(width).get(t).op2(W.i64Sub, W.i64ShrU).i64(1).op(W.i64And).set(address);
    } else {
      w.i64(width).get(t).op3(W.i64Sub, W.i64Shl, W.i64Or);
      w.get(s).i64(1).op(W.i64Shl).i64(width).get(t).op3(W.i64Sub, W.i64Shl, W.i64Or).set(u);
      w.get(s).get(t).i64(1).op2(W.i64Sub, W.i64ShrU).i64(1).op(W.i64And).set(address);
    }
    rotateFlags(f, () => {
      bitOf(f, width - 1);
      if (left) return;
      bitOf(f, width - 2);
      w.op(W.i64Xor).get(address).op(W.i64Xor);
    });
    w.end();
    f.forgetKind();
    w.get(u);
    truncate(w, width);
    w.set(u);
    assignLocal(f, ops.d[i], u);
  };
}

/** SHLD and SHRD: d is the destination, a supplies the bits. 16-bit counts above 16 rotate on through the pair, as Intel processors do. */
function doubleShift(width: 16 | 32 | 64, left: boolean): OpEmitter {
  return (f, i) => {
    const { w, ops, s, u, address } = f;
    const { fr, fx, cx, cy } = f.flagLocals;
    prepareCount(f, i, width);
    f.push(ops.d[i]);
    truncate(w, width);
    w.tee(s).set(u);
    if (constantCount(ops, i) !== 0) {
      unlessZero(f, i, () => {
        f.push(ops.a[i]);
        truncate(w, width);
        w.set(address);
        // cy := CF, u := the result
        if (width === 16) {
          if (left) {
            w.get(s).i64(32).op(W.i64Shl).get(address).i64(16).op2(W.i64Shl, W.i64Or).get(s).op(W.i64Or);
            count(f, i);
            w.op(W.i64Shl).tee(address).i64(32).op(W.i64ShrU).set(u);
            w.get(address).i64(48).op(W.i64ShrU);
          } else {
            w.get(s).get(address).i64(16).op2(W.i64Shl, W.i64Or).get(s).i64(32).op2(W.i64Shl, W.i64Or).tee(address);
            count(f, i);
            w.op(W.i64ShrU).set(u);
            w.get(address);
            count(f, i);
            w.i64(1).op2(W.i64Sub, W.i64ShrU);
          }
        } else {
          w.get(s);
          count(f, i);
          w.op(left ? W.i64Shl : W.i64ShrU)
            .get(address)
            .i64(width);
          count(f, i);
          w.op3(W.i64Sub, left ? W.i64ShrU : W.i64Shl, W.i64Or).set(u);
          w.get(s);
          if (left) {
            w.i64(width);
            count(f, i);
            w.op2(W.i64Sub, W.i64ShrU);
          } else {
            count(f, i);
            w.i64(1).op2(W.i64Sub, W.i64ShrU);
          }
        }
        w.i64(1).op(W.i64And).set(cy).i64(0).set(cx);
        // OF: the sign changed.
        w.get(u).get(s).op(W.i64Xor);
        w.i64(width - 1)
          .op(W.i64ShrU)
          .get(cy)
          .op(W.i64Xor)
          .i64(1)
          .op(W.i64And)
          .i64(62)
          .op(W.i64Shl);
        w.get(cy).i64(63).op2(W.i64Shl, W.i64Or).set(fx);
        w.get(u);
        signExtend(w, width);
        w.set(fr);
        f.setKind(KIND_RAW);
      });
    }
    w.get(u);
    truncate(w, width);
    w.set(u);
    assignLocal(f, ops.d[i], u);
  };
}

/** SETCF keeps OF, which CC_AUX derives from CF: both top bits flip together. */
function setCarry(f: RegionFunction, i: number): void {
  const { w, u, s } = f;
  const { fr, fx, cx, cy } = f.flagLocals;
  f.pushAux();
  w.set(u);
  f.pushResult();
  w.set(fr);
  f.push(f.ops.a[i]);
  w.i64(63)
    .op(W.i64Shl)
    .get(u)
    .op(W.i64Xor)
    .i64Halves(0, 0x8000_0000 | 0)
    .op(W.i64And)
    .tee(s);
  w.get(s).i64(1).op2(W.i64ShrU, W.i64Or).get(u).op(W.i64Xor).set(fx);
  f.push(f.ops.a[i]);
  w.i64(1).op(W.i64And).set(cy).i64(0).set(cx);
  f.setKind(KIND_RAW);
}

/** Emitters of shifts and rotates, and of the carry flag. */
export function shiftEmitters(): Map<OpName, OpEmitter> {
  const emitters = new Map<OpName, OpEmitter>();
  for (const width of allWidths) {
    emitters.set(`shlf${width}`, shift(width, "left"));
    emitters.set(`shrf${width}`, shift(width, "logical"));
    emitters.set(`sarf${width}`, shift(width, "arithmetic"));
    emitters.set(`rolf${width}`, rotate(width, true));
    emitters.set(`rorf${width}`, rotate(width, false));
    emitters.set(`rclf${width}`, rotateThroughCarry(width, true));
    emitters.set(`rcrf${width}`, rotateThroughCarry(width, false));
  }
  for (const width of [16, 32, 64] as const) {
    emitters.set(`shldf${width}`, doubleShift(width, true));
    emitters.set(`shrdf${width}`, doubleShift(width, false));
  }
  emitters.set("setCf", setCarry);
  return emitters;
}
