import { conditions, type OpName } from "../ops";
import { W } from "../wasm/writer";
import { pushCarry } from "./flags";
import { Callee } from "./callees";
import type { OpEmitter, RegionFunction } from "./function";
import { pushAddress } from "./memory";

/** d := what `push` pushes. */
function assign(push: (f: RegionFunction, i: number) => void): OpEmitter {
  return (f, i) => {
    const d = f.ops.d[i];
    f.begin(d);
    push(f, i);
    f.assign(d);
  };
}

function ofA(push: (f: RegionFunction) => void): OpEmitter {
  return assign((f, i) => {
    f.push(f.ops.a[i]);
    push(f);
  });
}

function mask(lo: number): (f: RegionFunction) => void {
  return (f) => void f.w.i64Halves(lo, 0).op(W.i64And);
}

function zeroExtend(width: 8 | 16 | 32): OpEmitter {
  return assign((f, i) => f.pushTruncated(f.ops.a[i], width));
}

function deposit(shift: number, bits: number): OpEmitter {
  return assign((f, i) => {
    const { w, ops } = f;
    f.push(ops.d[i]);
    w.i64(~(bits << shift)).op(W.i64And);
    f.push(ops.a[i]);
    w.i64(bits).op(W.i64And);
    if (shift > 0) w.i64(shift).op(W.i64Shl);
    w.op(W.i64Or);
  });
}

function binary(first: number, second?: number): OpEmitter {
  return assign((f, i) => {
    f.push(f.ops.a[i]);
    f.rhs(i);
    f.w.op(first);
    if (second !== undefined) f.w.op(second);
  });
}

function swapBytes(width: 32 | 64): OpEmitter {
  return assign((f, i) => {
    const { w, s } = f;
    f.push(f.ops.a[i]);
    w.set(s);
    const exchange = (shift: number, lo: number, hi: number): void => {
      w.get(s).i64(shift).op(W.i64ShrU).i64Halves(lo, hi).op(W.i64And);
      w.get(s).i64Halves(lo, hi).op(W.i64And).i64(shift).op2(W.i64Shl, W.i64Or).set(s);
    };
    exchange(8, 0x00ff_00ff, 0x00ff_00ff);
    exchange(16, 0x0000_ffff, 0x0000_ffff);
    w.get(s).i64(32).op(W.i64Rotl);
    if (width === 32) w.i64(32).op(W.i64ShrU);
  });
}

/** Emitters of data movement, of arithmetic without flags, and of ops that move flags. */
export function moveEmitters(): Map<OpName, OpEmitter> {
  const emitters = new Map<OpName, OpEmitter>([
    ["movi", (f, i) => f.assignConstant(f.ops.d[i], f.ops.lo[i], f.ops.hi[i])],
    [
      "mov",
      (f, i) => {
        const constant = f.constantOf(f.ops.a[i]);
        if (constant !== undefined) f.assignConstant(f.ops.d[i], constant[0], constant[1]);
        else {
          ofA(() => undefined)(f, i);
          f.copyNumbers(f.ops.a[i], f.ops.d[i]);
        }
      },
    ],
    ["lea", assign(pushAddress)],
    [
      "lea32",
      assign((f, i) => {
        pushAddress(f, i);
        mask(-1)(f);
      }),
    ],
    [
      "lea16",
      assign((f, i) => {
        pushAddress(f, i);
        mask(0xffff)(f);
      }),
    ],
    ["zx8", zeroExtend(8)],
    [
      "zx8h",
      ofA((f) => {
        f.w.i64(8).op(W.i64ShrU);
        mask(0xff)(f);
      }),
    ],
    ["zx16", zeroExtend(16)],
    ["zx32", zeroExtend(32)],
    ["sx8", ofA((f) => void f.w.op(W.i64Extend8S))],
    ["sx8h", ofA((f) => void f.w.i64(8).op2(W.i64ShrU, W.i64Extend8S))],
    ["sx16", ofA((f) => void f.w.op(W.i64Extend16S))],
    ["sx32", ofA((f) => void f.w.op(W.i64Extend32S))],
    ["dep8", deposit(0, 0xff)],
    ["dep8h", deposit(8, 0xff)],
    ["dep16", deposit(0, 0xffff)],
    ["bswap32", swapBytes(32)],
    ["bswap64", swapBytes(64)],
    ["add", binary(W.i64Add)],
    ["sub", binary(W.i64Sub)],
    ["and", binary(W.i64And)],
    ["or", binary(W.i64Or)],
    ["xor", binary(W.i64Xor)],
    ["shl", binary(W.i64Shl)],
    ["shr", binary(W.i64ShrU)],
    ["sar", binary(W.i64ShrS)],
    ["mul", binary(W.i64Mul)],
    ["eq", binary(W.i64Eq, W.i64ExtendU)],
    ["ltu", binary(W.i64LtU, W.i64ExtendU)],
    ["ctz", ofA((f) => void f.w.op(W.i64Ctz))],
    ["clz", ofA((f) => void f.w.op(W.i64Clz))],
    ["popcnt", ofA((f) => void f.w.op(W.i64Popcnt))],
    [
      "getFlags",
      (f, i) => {
        f.flagsToMemory();
        assign(() => void f.w.get(f.cpu).call(Callee.getFlags))(f, i);
      },
    ],
    [
      "setFlags",
      (f, i) => {
        f.w.get(f.cpu);
        f.push(f.ops.a[i]);
        f.w.call(Callee.setFlags);
        f.flagsChangedInMemory();
      },
    ],
    [
      "setZf",
      (f, i) => {
        const { w } = f;
        f.flagsToMemory();
        w.get(f.cpu).get(f.cpu).call(Callee.getFlags).i64(~0x40).op(W.i64And);
        f.push(f.ops.a[i]);
        w.i64(1).op(W.i64And).i64(6).op2(W.i64Shl, W.i64Or).call(Callee.setFlags);
        f.flagsChangedInMemory();
      },
    ],
    ["getCf", assign((f) => pushCarry(f.w, f.flagLocals))],
  ]);
  for (const condition of conditions) {
    emitters.set(`get_${condition}`, (f, i) => {
      const d = f.ops.d[i];
      f.pushCondition(condition);
      if ((f.ops.b[i] & 1) !== 0) f.w.op(W.i32Eqz);
      f.w.op(W.i64ExtendU).set(f.s);
      f.begin(d);
      f.w.get(f.s);
      f.assign(d);
    });
    emitters.set(`movc_${condition}`, (f, i) => {
      const { w, ops } = f;
      const d = ops.d[i];
      // Conditions may write flags to memory first: nothing may wait on the stack.
      f.pushCondition(condition);
      w.set(f.host);
      f.begin(d);
      const inverted = (ops.b[i] & 1) !== 0;
      f.push(inverted ? d : ops.a[i]);
      f.push(inverted ? ops.a[i] : d);
      w.get(f.host).op(W.select);
      f.assign(d);
    });
  }
  return emitters;
}
