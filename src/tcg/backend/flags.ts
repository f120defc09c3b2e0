import { SLOT_CC_AUX, SLOT_CC_RES } from "../layout";
import type { Condition } from "../ops";
import { FunctionWriter, I64, M, W } from "../wasm/writer";

/**
 * Status flags inside generated code are lazier than in memory: locals hold what they can be computed from, and a kind says how. CF always holds
 * that (cx < cy, unsigned), so that INC and DEC keep it for nothing. The result, sign-extended, is SLOT_CC_RES: FR has it, or cx and cy tell it. What nobody looks at is
 * never computed: the engine's optimiser moves it into the exits.
 */
export interface FlagLocals {
  /** i32: the kind at run time, for exits where it is not known. */
  readonly kind: number;
  readonly fr: number;
  readonly cx: number;
  readonly cy: number;
  /** Kind RAW: SLOT_CC_AUX. */
  readonly fx: number;
}

/** The flags are in memory; cx and cy tell CF if the function asks for it. */
export const KIND_MEMORY = 0;
export const KIND_RAW = 1;
export const KIND_SHL = 2;
export const KIND_SAR = 3;
/** LOGIC8 to LOGIC64: CF = OF = AF = 0; cx is the result, truncated, cy 0. */
export const KIND_LOGIC = 4;
/** ADD8 to ADD64: cx is the sum, cy the first operand, truncated. */
export const KIND_ADD = 8;
/** SUB8 to SUB64: cx - cy, truncated. */
export const KIND_SUB = 12;
export const KIND_INC = 16;
export const KIND_DEC = 20;
export const KIND_SHR = 24;
/** CF = OF, AF = 0. */
export const KIND_MUL = 28;
/** Comparisons of numbers that are not unordered: cx is 1 for greater, cy 1 for less; OF, SF, AF and PF are clear. */
export const KIND_COMPARE = 29;
const KINDS = 30;
/** Not known when the code is generated. */
export const KIND_DYNAMIC = -1;

export type Width = 8 | 16 | 32 | 64;
const widths: readonly Width[] = [8, 16, 32, 64];
/** Offset of a width in the kinds that have one. */
export const widthIndex = (width: Width): number => (width === 8 ? 0 : width === 16 ? 1 : width === 32 ? 2 : 3);

const inGroup = (kind: number, group: number): boolean => kind >= group && kind < group + 4;

/** Pushes CF as an i64, 0 or 1. */
export function pushCarry(w: FunctionWriter, f: FlagLocals): void {
  w.get(f.cx).get(f.cy).op2(W.i64LtU, W.i64ExtendU);
}

/** Sign-extends the value on the stack. */
export function signExtend(w: FunctionWriter, width: Width): void {
  if (width === 8) w.op(W.i64Extend8S);
  else if (width === 16) w.op(W.i64Extend16S);
  else if (width === 32) w.op(W.i64Extend32S);
}

/** Masks the value on the stack. */
export function truncate(w: FunctionWriter, width: Width): void {
  if (width === 64) return;
  w.i64Halves(width === 32 ? -1 : (1 << width) - 1, 0).op(W.i64And);
}

/** From the vector of carries (or borrows) on the stack: SLOT_CC_AUX. `scratch` is an i64 local. */
export function auxFromCarries(w: FunctionWriter, width: Width, scratch: number): void {
  w.tee(scratch);
  if (width < 64) w.i64(64 - width).op(W.i64Shl);
  w.i64Halves(0, 0xc000_0000 | 0).op(W.i64And);
  w.get(scratch).i64(8).op2(W.i64And, W.i64Or);
}

/** Pushes the carries of a + b = r; the locals may have anything above the width. */
export function pushCarries(w: FunctionWriter, a: number, b: number, r: number): void {
  w.get(a).get(b).op(W.i64And);
  w.get(a).get(b).op(W.i64Or).get(r).i64(-1).op3(W.i64Xor, W.i64And, W.i64Or);
}

/** Pushes the borrows of a - b = r. */
export function pushBorrows(w: FunctionWriter, a: number, b: number, r: number): void {
  w.get(a).i64(-1).op(W.i64Xor).get(b).op(W.i64And);
  w.get(a).get(b).op(W.i64Xor).i64(-1).op(W.i64Xor).get(r).op2(W.i64And, W.i64Or);
}

/** Pushes SLOT_CC_RES for a kind other than MEMORY. */
export function pushResult(w: FunctionWriter, kind: number, f: FlagLocals): void {
  if (kind === KIND_COMPARE) {
    w.get(f.cx).get(f.cy).op2(W.i64Ne, W.i64ExtendU);
    return;
  }
  if (inGroup(kind, KIND_SUB)) w.get(f.cx).get(f.cy).op(W.i64Sub);
  else if (inGroup(kind, KIND_ADD) || inGroup(kind, KIND_LOGIC)) w.get(f.cx);
  else {
    w.get(f.fr);
    return;
  }
  signExtend(w, widths[kind & 3]);
}

/** Pushes SLOT_CC_AUX for a kind other than MEMORY. `s` and `t` are i64 scratch locals. */
export function pushAux(w: FunctionWriter, kind: number, f: FlagLocals, s: number, t: number): void {
  if (kind === KIND_RAW) {
    w.get(f.fx);
    return;
  }
  if (inGroup(kind, KIND_LOGIC)) {
    w.i64(0);
    return;
  }
  if (kind === KIND_COMPARE) {
    // CF, with the carry below it so that OF is clear; for equal a bit that makes the parity of 0 odd.
    w.i64(0);
    pushCarry(w, f);
    w.op(W.i64Sub).i64(62).op(W.i64Shl);
    w.get(f.cx).get(f.cy).op2(W.i64Eq, W.i64ExtendU).i64(8).op2(W.i64Shl, W.i64Or);
    return;
  }
  const width = widths[kind & 3];
  if (inGroup(kind, KIND_ADD)) {
    w.get(f.cx).get(f.cy).op(W.i64Sub).set(s);
    pushCarries(w, f.cy, s, f.cx);
    auxFromCarries(w, width, t);
    return;
  }
  if (inGroup(kind, KIND_SUB)) {
    w.get(f.cx).get(f.cy).op(W.i64Sub).set(s);
    pushBorrows(w, f.cx, f.cy, s);
    auxFromCarries(w, width, t);
    return;
  }
  pushCarry(w, f);
  w.tee(s).i64(63).op(W.i64Shl);
  if (inGroup(kind, KIND_INC) || inGroup(kind, KIND_DEC)) {
    const up = inGroup(kind, KIND_INC);
    // OF: the result is the most negative number (the most positive one).
    w.get(f.fr);
    if (width === 64) w.i64Halves(up ? 0 : -1, up ? 0x8000_0000 | 0 : 0x7fff_ffff);
    else if (width === 32) w.i64Halves(up ? 0x8000_0000 | 0 : 0x7fff_ffff, up ? -1 : 0);
    else w.i64(up ? -(1 << (width - 1)) : (1 << (width - 1)) - 1);
    w.op2(W.i64Eq, W.i64ExtendU).get(s).op(W.i64Xor).i64(62).op2(W.i64Shl, W.i64Or);
    w.get(f.fr)
      .i64(15)
      .op(W.i64And)
      .i64(up ? 0 : 15)
      .op2(W.i64Eq, W.i64ExtendU)
      .i64(3)
      .op2(W.i64Shl, W.i64Or);
    return;
  }
  if (kind === KIND_MUL) return;
  // Bit 62: CF xor OF.
  if (kind === KIND_SHL) w.get(f.fr).i64(63).op(W.i64ShrU);
  else if (kind === KIND_SAR) w.get(s);
  else
    w.get(f.fr)
      .i64(width - 2)
      .op(W.i64ShrU)
      .get(s)
      .op(W.i64Xor)
      .i64(1)
      .op(W.i64And);
  w.i64(62).op2(W.i64Shl, W.i64Or);
}

/** Pushes whether OF is set, as the sign of an i64, from SLOT_CC_AUX on the stack. */
function overflowSign(w: FunctionWriter, s: number): void {
  w.tee(s).get(s).i64(1).op2(W.i64Shl, W.i64Xor);
}

/** Pushes an x86 condition as an i32 from flags in RES and AUX locals: the meaning of layout.ts in full. */
function conditionOf(w: FunctionWriter, condition: Condition, res: number, aux: number, s: number): void {
  const negative = (): void => void w.i64(0).op(W.i64LtS);
  const sign = (): void => void w.get(res).get(aux).i64(47).op2(W.i64Shl, W.i64Xor);
  const overflow = (): void => {
    w.get(aux);
    overflowSign(w, s);
  };
  switch (condition) {
    case "o":
      overflow();
      return negative();
    case "c":
      w.get(aux);
      return negative();
    case "z":
      w.get(res).op(W.i64Eqz);
      return;
    case "be":
      w.get(res).op(W.i64Eqz).get(aux);
      negative();
      w.op(W.i32Or);
      return;
    case "s":
      sign();
      return negative();
    case "p":
      w.get(res).get(aux).i64(8).op3(W.i64ShrU, W.i64Xor, W.i32Wrap);
      w.i32(0xff).op2(W.i32And, W.i32Popcnt).i32(1).op2(W.i32And, W.i32Eqz);
      return;
    case "l":
    case "le":
      sign();
      overflow();
      w.op(W.i64Xor);
      negative();
      if (condition === "le") w.get(res).op2(W.i64Eqz, W.i32Or);
      return;
  }
}

/** Pushes a signed comparison of cx and cy. */
function compareSigned(w: FunctionWriter, f: FlagLocals, width: Width, narrow: number, wide: number): void {
  if (width === 32) w.get(f.cx).op(W.i32Wrap).get(f.cy).op2(W.i32Wrap, narrow);
  else {
    w.get(f.cx);
    signExtend(w, width);
    w.get(f.cy);
    signExtend(w, width);
    w.op(wide);
  }
}

/** Pushes a condition as an i32, 0 or 1, for a kind that is known. `cpu`, `s`, `t`, `u`: the CPU's address and i64 scratch locals. */
export function pushCondition(
  w: FunctionWriter,
  kind: number,
  condition: Condition,
  f: FlagLocals,
  cpu: number,
  [s, t, u]: readonly [number, number, number],
): void {
  if (kind === KIND_MEMORY || kind === KIND_RAW) {
    if (kind === KIND_MEMORY) {
      w.get(cpu).mem(M.i64Load, SLOT_CC_RES).set(t).get(cpu).mem(M.i64Load, SLOT_CC_AUX).set(u);
      conditionOf(w, condition, t, u, s);
    } else conditionOf(w, condition, f.fr, f.fx, s);
    return;
  }
  if (kind === KIND_COMPARE) {
    const comparisons: Partial<Record<Condition, number>> = { z: W.i64Eq, le: W.i64Eq, c: W.i64LtU, be: W.i64LeU };
    const comparison = comparisons[condition];
    if (comparison === undefined) w.i32(0);
    else w.get(f.cx).get(f.cy).op(comparison);
    return;
  }
  const sub = inGroup(kind, KIND_SUB);
  const logic = inGroup(kind, KIND_LOGIC);
  const width = widths[kind & 3];
  const zero = (): void => {
    if (sub) w.get(f.cx).get(f.cy).op(W.i64Eq);
    else w.get(inGroup(kind, KIND_ADD) || logic ? f.cx : f.fr).op(W.i64Eqz);
  };
  const withOverflow = (): void => {
    pushAux(w, kind, f, s, t);
    overflowSign(w, s);
  };
  switch (condition) {
    case "z":
      return zero();
    case "s":
      pushResult(w, kind, f);
      w.i64(0).op(W.i64LtS);
      return;
    case "p":
      pushResult(w, kind, f);
      w.op(W.i32Wrap).i32(0xff).op2(W.i32And, W.i32Popcnt).i32(1).op2(W.i32And, W.i32Eqz);
      return;
    case "c":
      if (logic) w.i32(0);
      else w.get(f.cx).get(f.cy).op(W.i64LtU);
      return;
    case "be":
      if (sub) w.get(f.cx).get(f.cy).op(W.i64LeU);
      else {
        zero();
        if (!logic) w.get(f.cx).get(f.cy).op2(W.i64LtU, W.i32Or);
      }
      return;
    case "o":
      if (logic) w.i32(0);
      else {
        withOverflow();
        w.i64(0).op(W.i64LtS);
      }
      return;
    case "l":
      if (sub) compareSigned(w, f, width, W.i32LtS, W.i64LtS);
      else {
        if (!logic) withOverflow();
        pushResult(w, kind, f);
        if (!logic) w.op(W.i64Xor);
        w.i64(0).op(W.i64LtS);
      }
      return;
    case "le":
      if (sub) compareSigned(w, f, width, W.i32LeS, W.i64LeS);
      else if (logic) {
        pushResult(w, kind, f);
        w.i64(0).op(W.i64LeS);
      } else {
        withOverflow();
        pushResult(w, kind, f);
        w.op(W.i64Xor).i64(0).op(W.i64LtS);
        zero();
        w.op(W.i32Or);
      }
      return;
  }
}

/** Function (cpu, kind: i32, fr, cx, cy, fx: i64): writes the flags of any kind to memory. */
export function storeFlagsFunction(): FunctionWriter {
  const w = new FunctionWriter(6);
  const f: FlagLocals = { kind: 1, fr: 2, cx: 3, cy: 4, fx: 5 };
  const s = w.local(I64);
  const t = w.local(I64);
  w.block();
  const memory = w.label();
  const labels: number[] = [memory];
  for (let kind = KINDS - 1; kind >= 1; kind--) {
    w.block();
    labels[kind] = w.label();
  }
  w.get(f.kind).brTable(labels);
  for (let kind = 1; kind < KINDS; kind++) {
    w.end();
    w.get(0);
    pushResult(w, kind, f);
    w.mem(M.i64Store, SLOT_CC_RES).get(0);
    pushAux(w, kind, f, s, t);
    w.mem(M.i64Store, SLOT_CC_AUX).op(W.return);
  }
  return w.end();
}
