import { SLOT_MXCSR, SLOT_XMM } from "../layout";
import type { OpName } from "../ops";
import { vectorNames } from "../vector/names";
import { vectorPrograms } from "../vector/programs";
import type { VectorField, VectorLocals, VectorSite } from "../vector/site";
import { operationIndex, pushComparison, pushNormal, pushSafe, type ScalarChecks, type ScalarOperation } from "../vector/scalarChecks";
import {
  access,
  f32,
  f64,
  F32X4_EXTRACT,
  F64X2_EXTRACT,
  get,
  i32,
  I64X2_EXTRACT,
  S,
  set,
  simd,
  simdLane,
  tee,
  vectorAccess,
} from "../vector/wasm";
import { VectorValues } from "./vectorValues";
import { M, W } from "../wasm/writer";
import { KIND_COMPARE, KIND_RAW } from "./flags";
import { Callee } from "./callees";
import type { OpEmitter, RegionFunction } from "./function";

const F32_GT = 0x5e;
const F64_GT = 0x64;
const F32_LOAD = 0x2a;
const F64_LOAD = 0x2b;
const F32_STORE = 0x38;
const F64_STORE = 0x39;
const F32_REINTERPRET_I32 = 0xbe;
const F64_REINTERPRET_I64 = 0xbf;
const I32_REINTERPRET_F32 = 0xbc;
const I64_REINTERPRET_F64 = 0xbd;

/** A vector op in generated code. Vector registers are in memory; temporaries are pairs of locals. What is not ordinary is left to the interpreter. */
class GeneratedSite implements VectorSite, ScalarChecks {
  readonly locals: VectorLocals;
  readonly immediate: number;

  constructor(
    private readonly f: RegionFunction,
    private readonly i: number,
  ) {
    this.locals = f.vectorLocals();
    this.immediate = f.ops.hi[i] & 0xff;
  }

  private slot(field: VectorField): number {
    return field === "a" ? this.f.ops.a[this.i] : this.f.ops.b[this.i];
  }

  code(...bytes: number[]): void {
    this.f.w.raw(bytes);
  }

  pushVector(field: VectorField): void {
    const { f } = this;
    const slot = this.slot(field);
    const r = VectorValues.register(slot);
    if (r >= 0) this.pushRegister(r, slot);
    else if (f.isMemorySlot(slot)) this.code(...get(f.cpu), ...vectorAccess(S.load, slot));
    else {
      f.push(slot);
      this.code(...simd(S.i64x2Splat));
      f.push(slot + 8);
      this.code(...simdLane(S.i64x2Replace, 1));
    }
  }

  private pushRegister(r: number, slot: number): void {
    const { xmm, cpu } = this.f;
    const known = xmm.vector(r);
    if (known >= 0) {
      this.code(...get(known));
      return;
    }
    const lower = Math.max(xmm.half(r, 0), xmm.outdatedHalf(r));
    const upper = xmm.half(r, 1);
    if (lower >= 0 && upper >= 0) {
      this.f.push(SLOT_XMM + r * 16);
      this.code(...simd(S.i64x2Splat), ...get(upper), ...simdLane(S.i64x2Replace, 1));
    } else this.code(...get(cpu), ...vectorAccess(S.load, slot));
    this.code(...tee(xmm.keepVector(r)));
  }

  pushDouble(field: VectorField): void {
    const { f } = this;
    const slot = this.slot(field);
    const r = VectorValues.register(slot);
    if (r >= 0) {
      const { xmm } = f;
      const known = xmm.double(r);
      const vector = xmm.vector(r);
      const half = xmm.half(r, 0);
      if (known >= 0) this.code(...get(known));
      else if (vector >= 0) this.code(...get(vector), ...simdLane(F64X2_EXTRACT, 0));
      else if (half >= 0) this.code(...get(half), F64_REINTERPRET_I64);
      else this.code(...get(f.cpu), ...access(F64_LOAD, 3, slot), ...tee(xmm.keepDouble(r)));
    } else if (f.isMemorySlot(slot)) this.code(...get(f.cpu), ...access(F64_LOAD, 3, slot));
    else {
      f.push(slot);
      this.code(F64_REINTERPRET_I64);
    }
  }

  pushSingle(field: VectorField): void {
    const { f } = this;
    const slot = this.slot(field);
    const r = VectorValues.register(slot);
    if (r >= 0) {
      const { xmm } = f;
      const known = xmm.single(r);
      const vector = xmm.vector(r);
      const half = xmm.half(r, 0);
      if (known >= 0) this.code(...get(known));
      else if (vector >= 0) this.code(...get(vector), ...simdLane(F32X4_EXTRACT, 0));
      else if (half >= 0) this.code(...get(half), W.i32Wrap, F32_REINTERPRET_I32);
      else this.code(...get(f.cpu), ...access(F32_LOAD, 2, slot), ...tee(xmm.keepSingle(r)));
    } else if (f.isMemorySlot(slot)) this.code(...get(f.cpu), ...access(F32_LOAD, 2, slot));
    else {
      f.push(slot);
      this.code(W.i32Wrap, F32_REINTERPRET_I32);
    }
  }

  pushWord(field: VectorField): void {
    this.f.push(this.slot(field));
  }

  pushImmediate(): void {
    this.code(...i32(this.immediate));
  }

  pushWide(): void {
    this.code(...i32((this.f.ops.hi[this.i] >> 8) & 1));
  }

  pushMxcsr(): void {
    this.f.w.get(this.f.cpu).mem(M.i32Load, SLOT_MXCSR);
  }

  get scalars(): ScalarChecks {
    return this;
  }

  check(bits: 32 | 64, operation: ScalarOperation): void {
    const { f, locals } = this;
    const { w, xmm } = f;
    const [x, y, r] = bits === 32 ? [locals.sx, locals.sy, locals.sr] : [locals.dx, locals.dy, locals.dr];
    const unary = operation === "sqrt";
    const a = VectorValues.register(this.slot("a"));
    const b = VectorValues.register(this.slot("b"));
    const tests: (() => void)[] = [];
    const test = (register: number, local: number): void => {
      if (register < 0 || !xmm.isFit(register, bits)) tests.push(() => pushNormal(w, bits, local));
    };
    if (!unary && this.slot("a") !== this.slot("b")) test(a, x);
    test(b, y);
    if (unary) tests.push(() => void w.get(y).raw([...(bits === 32 ? f32(0) : f64(0)), bits === 32 ? F32_GT : F64_GT]));
    else if (operation === "add") tests.push(() => pushNormal(w, bits, r));
    else if (operation !== "compare") tests.push(() => pushSafe(w, bits, r));
    if (tests.length > 0) {
      w.block();
      const fit = w.label();
      for (const push of tests) {
        push();
        w.ifUsual();
      }
      w.br(fit);
      for (const _ of tests) w.end();
      w.get(f.cpu)
        .get(unary ? y : x)
        .get(y)
        .get(r)
        .i32(operationIndex(operation));
      w.call(bits === 32 ? Callee.checkSingle : Callee.checkDouble);
      this.require();
      w.end();
    }
    if (!unary && a >= 0) xmm.noteFit(a, bits);
    if (b >= 0) xmm.noteFit(b, bits);
  }

  noteResult(bits: 32 | 64): void {
    const r = VectorValues.register(this.slot("a"));
    if (r >= 0) this.f.xmm.noteFit(r, bits);
  }

  setComparison(bits: 32 | 64): void {
    const { f, locals } = this;
    const [x, y] = bits === 32 ? [locals.sx, locals.sy] : [locals.dx, locals.dy];
    pushComparison(f.w, bits, x, y, true);
    f.w.set(f.flagLocals.cx);
    pushComparison(f.w, bits, x, y, false);
    f.w.set(f.flagLocals.cy);
    f.setKind(KIND_COMPARE);
  }

  get knowsDefault(): boolean {
    return this.f.defaultMxcsr;
  }

  noteDefault(): void {
    this.f.defaultMxcsr = true;
  }

  storeVector(local: number): void {
    const { f } = this;
    const slot = this.slot("a");
    const r = VectorValues.register(slot);
    if (r >= 0) this.code(...get(local), ...set(f.xmm.setVector(r)));
    if (f.isMemorySlot(slot)) {
      this.code(...get(f.cpu), ...get(local), ...vectorAccess(S.store, slot));
      return;
    }
    for (const lane of [0, 1]) {
      this.code(...get(local), ...simdLane(I64X2_EXTRACT, lane));
      f.assign(slot + 8 * lane);
    }
  }

  storeDouble(local: number): void {
    const { f } = this;
    const slot = this.slot("a");
    const r = VectorValues.register(slot);
    if (r >= 0) this.code(...get(local), ...set(f.xmm.setDouble(r)));
    if (f.isMemorySlot(slot)) this.code(...get(f.cpu), ...get(local), ...access(F64_STORE, 3, slot));
    else {
      this.code(...get(local), I64_REINTERPRET_F64);
      f.assign(slot);
    }
  }

  storeSingle(local: number): void {
    const { f } = this;
    const slot = this.slot("a");
    const r = VectorValues.register(slot);
    if (r >= 0) this.code(...get(local), ...set(f.xmm.setSingle(r)));
    if (f.isMemorySlot(slot)) {
      this.code(...get(f.cpu), ...get(local), ...access(F32_STORE, 2, slot));
      return;
    }
    f.push(slot);
    f.w.i64Halves(0, -1).op(W.i64And);
    this.code(...get(local), I32_REINTERPRET_F32, W.i64ExtendU, W.i64Or);
    f.assign(slot);
  }

  storeWord(local: number): void {
    const slot = this.slot("a");
    this.f.begin(slot);
    this.f.w.get(local);
    this.f.assign(slot);
  }

  storeFlags(): void {
    const { w, flagLocals } = this.f;
    w.set(flagLocals.fx).get(this.locals.n).set(flagLocals.fr);
    w.i64(0).set(flagLocals.cx).get(flagLocals.fx).i64(63).op(W.i64ShrU).set(flagLocals.cy);
    this.f.setKind(KIND_RAW);
  }

  require(): void {
    const { f } = this;
    f.w.op(W.i32Eqz).ifRare();
    f.leaveAt(this.i);
    f.w.end();
  }
}

/** Emitters of the vector ops. Those without code of their own call the helper. */
export function vectorEmitters(): Map<OpName, OpEmitter> {
  return new Map(
    vectorNames.map((name) => {
      const program = vectorPrograms.get(name);
      return [
        `v_${name}`,
        (f, i) => {
          if (program === undefined) f.helper(i);
          else program(new GeneratedSite(f, i));
        },
      ];
    }),
  );
}
