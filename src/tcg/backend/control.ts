import { SLOT_RIP, WORD_REQUEST, WORD_SHADOW } from "../layout";
import { conditions, EXIT_LEAVE, type OpName } from "../ops";
import { M, W } from "../wasm/writer";
import { Callee, type OpEmitter } from "./function";

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
        f.setRip(f.immediate(i));
        f.writeBack();
        f.jump();
      },
    ],
    [
      "jump",
      (f, i) => {
        const { w, ops } = f;
        w.get(f.cpu);
        f.push(ops.a[i]);
        w.mem(M.i64Store, SLOT_RIP);
        f.targets.forEach((target, index) => {
          f.push(ops.a[i]);
          f.pushConstant(f.ripOf(target));
          w.op(W.i64Eq);
          if (!f.samePage(target)) {
            f.pushVerified(target);
            w.op(W.i32And);
          }
          w.if();
          f.preserve(() => f.follow(index));
          w.end();
        });
        f.writeBack();
        f.jump();
      },
    ],
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
        w.i32(ops.hi[i]).call(Callee.x87).op(W.i32Eqz).ifRare();
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
