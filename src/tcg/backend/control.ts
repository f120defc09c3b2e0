import { SLOT_RIP, WORD_REQUEST, WORD_SHADOW } from "../layout";
import { conditions, EXIT_LEAVE, type OpName } from "../ops";
import { x87PartOf } from "../x87/operation";
import { M, W } from "../wasm/writer";
import { Callee } from "./callees";
import type { OpEmitter, RegionFunction } from "./function";

/** Targets up to which they are compared one after the other: more are told apart by a table. */
const MAX_COMPARISONS = 3;

/** Bits of RIP that tell some targets apart: the least table, with -1 where none is. */
export interface JumpTable {
  readonly shift: number;
  /** Position in the list of targets, or -1; a power of two of them. */
  readonly slots: readonly number[];
}

/** @param rips at least two different ones; undefined where no table of 64 tells all apart */
export function jumpTable(rips: readonly bigint[]): JumpTable | undefined {
  for (let size = 4; size <= 64; size *= 2) {
    if (size < rips.length) continue;
    for (let shift = 0; shift < 24; shift++) {
      const slots = new Array<number>(size).fill(-1);
      rips.forEach((rip, index) => (slots[Number((rip >> BigInt(shift)) & BigInt(size - 1))] = index));
      if (slots.filter((index) => index >= 0).length === rips.length) return { shift, slots };
    }
  }
  return undefined;
}

/** Jumps to a target inside the region if RIP and where its page is mapped say so; what follows is reached when not. */
function jumpInside(f: RegionFunction, i: number, index: number): void {
  const { w } = f;
  const target = f.targets[index];
  f.push(f.ops.a[i]);
  f.pushConstant(f.ripOf(target));
  w.op(W.i64Eq);
  if (!f.samePage(target)) {
    f.pushVerified(target);
    w.op(W.i32And);
  }
  w.if();
  f.preserve(() => f.follow(index));
  w.end();
}

/** The op `jump`: stays in the region where the target is one of those known. */
const indirectJump: OpEmitter = (f, i) => {
  const { w, ops } = f;
  const table = f.targets.length > MAX_COMPARISONS ? jumpTable(f.targets.map((target) => f.ripOf(target))) : undefined;
  if (table === undefined) f.targets.forEach((_, index) => jumpInside(f, i, index));
  else {
    w.block();
    const outside = w.label();
    const labels = f.targets.map(() => {
      w.block();
      return w.label();
    });
    f.push(ops.a[i]);
    w.op(W.i32Wrap)
      .i32(table.shift)
      .op(W.i32ShrU)
      .i32(table.slots.length - 1)
      .op(W.i32And)
      .brTable([...table.slots.map((index) => (index < 0 ? outside : labels[index])), outside]);
    // The label opened last is the innermost.
    for (let index = labels.length - 1; index >= 0; index--) {
      w.end();
      jumpInside(f, i, index);
      w.br(outside);
    }
    w.end();
  }
  w.get(f.cpu);
  f.push(ops.a[i]);
  w.mem(M.i64Store, SLOT_RIP);
  f.writeBack();
  f.jumpIndirectly();
};

/** Emitters of the control ops. */
export function controlEmitters(): Map<OpName, OpEmitter> {
  const emitters = new Map<OpName, OpEmitter>([
    // Only ever patched into the interpreter's ops.
    [
      "brk",
      (f, i) => {
        f.leaveAt(i);
      },
    ],
    [
      "exit",
      (f) => {
        f.writeBack();
        f.exit(EXIT_LEAVE);
      },
    ],
    [
      "goto",
      (f, i) => {
        if (f.targets.length > 0) f.follow(0);
        else f.goOutside(f.immediate(i));
      },
    ],
    [
      "gotoFar",
      (f, i) => {
        if (f.targets.length > 0) {
          f.follow(0);
          return;
        }
        f.goFar(f.immediate(i));
      },
    ],
    ["jump", indirectJump],
    [
      "lookup",
      (f) => {
        f.writeBack();
        f.jump();
      },
    ],
    [
      "lookupUnlessRequest",
      (f) => {
        f.writeBack();
        f.w.get(f.cpu).mem(M.i32Load, WORD_REQUEST).ifRare();
        f.exit(EXIT_LEAVE);
        f.w.end();
        f.jump();
      },
    ],
    ["br", (f) => f.follow(0)],
    [
      "brz",
      (f, i) => {
        f.push(f.ops.a[i]);
        f.w.op(W.i64Eqz);
        f.fork();
      },
    ],
    [
      "brnz",
      (f, i) => {
        f.push(f.ops.a[i]);
        f.w.i64(0).op(W.i64Ne);
        f.fork();
      },
    ],
    ["helper", (f, i) => f.helper(i)],
    [
      "x87",
      (f, i) => {
        const { w, ops } = f;
        w.get(f.cpu);
        f.push(ops.a[i]);
        f.push(ops.b[i]);
        w.i32(ops.hi[i]).call(Callee[x87PartOf(ops.hi[i])]).op(W.i32Eqz).ifRare();
        f.leaveAt(i);
        w.end();
      },
    ],
    ["fastCall", (f, i) => f.fastCall(i)],
    ["bulk", (f, i) => f.bulk(i)],
    [
      "canon",
      (f, i) => {
        const { w } = f;
        const shift = f.ops.lo[i] & 0xff;
        f.push(f.ops.a[i]);
        w.tee(f.s).get(f.s).i64(shift).op(W.i64Shl).i64(shift).op2(W.i64ShrS, W.i64Ne).ifRare();
        f.leaveAt(i);
        w.end();
      },
    ],
    ["shadow", (f) => void f.w.get(f.cpu).get(f.budget).mem(M.i32Store, WORD_SHADOW)],
  ]);
  for (const condition of conditions) {
    emitters.set(`br_${condition}`, (f, i) => {
      f.pushCondition(condition);
      if ((f.ops.b[i] & 1) !== 0) f.w.op(W.i32Eqz);
      f.fork();
    });
  }
  return emitters;
}
