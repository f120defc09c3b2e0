import { OP_A, OP_B, OP_BYTES, OP_CHAIN, OP_D, OP_IMM, SLOT_RIP, WORD_REQUEST, WORD_SHADOW } from "../layout";
import { conditions, EXIT_BREAK, EXIT_CHAIN, EXIT_FAULT, EXIT_LEAVE, type OpName } from "../ops";
import { emitCondition } from "./conditions";
import type { InterpreterEmitter } from "./emitter";

type Case = (e: InterpreterEmitter) => void;

/** RIP := imm. */
function ripFromImmediate(e: InterpreterEmitter): void {
  e.code.get(e.cpu).get(e.op).mem("i64.load", OP_IMM).mem("i64.store", SLOT_RIP);
}

/** Skips imm bytes forward and goes on there, or falls through, by the i32 on the stack. */
function skipIf(e: InterpreterEmitter): void {
  e.code.if();
  skip(e);
  e.code.end();
}

function skip(e: InterpreterEmitter): void {
  e.code.get(e.op).get(e.op).mem("i32.load", OP_IMM).op("i32.add").set(e.op).br("loop");
}

/** The op at `op` as a call of its helper; falls through where it is to go on with the next op. */
export function emitHelperCall(e: InterpreterEmitter): void {
  const { code } = e;
  e.publish();
  for (const field of [OP_D, OP_A, OP_B]) code.get(e.op).mem("i32.load16_u", field);
  code.get(e.op).mem("i32.load", OP_IMM);
  code.get(e.op).mem("i32.load", OP_IMM + 4);
  code.call(e.callees.helper).set(e.t);
  e.reloadBudget();
  code.get(e.t).ifRare();
  // STATUS_FAULT and STATUS_LEAVE map to EXIT_FAULT and EXIT_LEAVE.
  code.get(e.t).i32(2).op("i32.add").set(e.exitCode).br("exit");
  code.end();
}

/** Cases of the control ops. Labels: "jump" looks SLOT_RIP up in the jump cache, "enter" enters the block whose first op is at `op`. */
export function controlCases(): Map<OpName, Case> {
  const cases = new Map<OpName, Case>([
    ["brk", (e) => e.exit(EXIT_BREAK)],
    ["exit", (e) => e.exit(EXIT_LEAVE)],
    [
      "goto",
      (e) => {
        ripFromImmediate(e);
        e.code.get(e.op).mem("i32.load", OP_CHAIN).tee(e.t).op("i32.eqz").ifRare();
        e.exit(EXIT_CHAIN);
        e.code.end().get(e.t).set(e.op).br("enter");
      },
    ],
    [
      "gotoFar",
      (e) => {
        ripFromImmediate(e);
        e.code.br("jump");
      },
    ],
    [
      "jump",
      (e) => {
        e.slot(OP_A);
        e.code.set(e.R);
        e.setRip(e.R);
        e.code.br("jump");
      },
    ],
    ["lookup", (e) => void e.code.br("jump")],
    [
      "lookupUnlessRequest",
      (e) => {
        e.state32(WORD_REQUEST);
        e.code.op("i32.eqz").brIf("jump");
        e.exit(EXIT_LEAVE);
      },
    ],
    ["br", skip],
    [
      "brz",
      (e) => {
        e.slot(OP_A);
        e.code.op("i64.eqz");
        skipIf(e);
      },
    ],
    [
      "brnz",
      (e) => {
        e.slot(OP_A);
        e.code.i64(0n).op("i64.ne");
        skipIf(e);
      },
    ],
    ["helper", (e) => void e.code.br("callHelper")],
    [
      "x87",
      (e) => {
        const { code } = e;
        code.get(e.cpu);
        e.slot(OP_A);
        e.slot(OP_B);
        code
          .get(e.op)
          .mem("i32.load", OP_IMM + 4)
          .call(e.callees.x87)
          .op("i32.eqz")
          .brIfRare("callHelper");
      },
    ],
    [
      "fastCall",
      (e) => {
        const { code } = e;
        e.publish();
        code
          .get(e.cpu)
          .get(e.op)
          .mem("i32.load", OP_IMM + 4)
          .get(e.op)
          .mem("i32.load", OP_IMM)
          .get(e.budget)
          .call(e.callees.fastCall)
          .op("i32.eqz")
          .brIfRare("callHelper");
        e.reloadBudget();
      },
    ],
    [
      "bulk",
      (e) => {
        const { code } = e;
        e.publish();
        code.get(e.cpu).get(e.op).mem("i32.load", OP_IMM).call(e.callees.bulkString).set(e.t);
        e.reloadBudget();
        // Complete: the helper that follows is passed over.
        code.get(e.op).get(e.t).i32(OP_BYTES).op("i32.mul", "i32.add").set(e.op);
      },
    ],
    [
      "canon",
      (e) => {
        const { code } = e;
        e.slot(OP_A);
        code.tee(e.A).get(e.A);
        for (const shift of ["i64.shl", "i64.shr_s"] as const) code.get(e.op).mem("i64.load8_u", OP_IMM).op(shift);
        code.op("i64.ne").ifRare();
        e.publish();
        code.i32(1).call(e.callees.fault).op("drop");
        e.exit(EXIT_FAULT);
        code.end();
      },
    ],
    ["shadow", (e) => void e.code.get(e.cpu).get(e.budget).mem("i32.store", WORD_SHADOW)],
  ]);
  for (const condition of conditions) {
    cases.set(`br_${condition}`, (e) => {
      emitCondition(e, condition);
      e.code.get(e.op).mem("i32.load16_u", OP_B).op("i32.xor").i32(1).op("i32.and");
      skipIf(e);
    });
  }
  return cases;
}
