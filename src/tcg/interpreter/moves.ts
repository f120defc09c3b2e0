import { OP_A, OP_B, OP_D, OP_IMM } from "../layout";
import { conditions, type OpName } from "../ops";
import type { PlainInstruction } from "../wasm/code";
import { emitCondition } from "./conditions";
import type { InterpreterEmitter } from "./emitter";
import { emitAddress } from "./memory";

type Case = (e: InterpreterEmitter) => void;

/** d := what `push` pushes. */
function assign(push: (e: InterpreterEmitter) => void): Case {
  return (e) => {
    e.slotAddress(OP_D);
    push(e);
    e.code.mem("i64.store");
  };
}

function ofA(push: (e: InterpreterEmitter) => void): Case {
  return assign((e) => {
    e.slot(OP_A);
    push(e);
  });
}

function mask(bits: bigint): (e: InterpreterEmitter) => void {
  return (e) => void e.code.i64(bits).op("i64.and");
}

function deposit(shift: bigint, bits: bigint): Case {
  return assign((e) => {
    e.slot(OP_D);
    e.code.i64(~(bits << shift)).op("i64.and");
    e.slot(OP_A);
    e.code.i64(bits).op("i64.and").i64(shift).op("i64.shl", "i64.or");
  });
}

function binary(...instructions: PlainInstruction[]): Case {
  return assign((e) => {
    e.slot(OP_A);
    e.rhs();
    e.code.op(...instructions);
  });
}

function swapBytes(width: 32 | 64): Case {
  return (e) => {
    const { code } = e;
    e.slot(OP_A);
    code.set(e.A);
    const exchange = (shift: bigint, low: bigint): void => {
      code.get(e.A).i64(shift).op("i64.shr_u").i64(low).op("i64.and");
      code.get(e.A).i64(low).op("i64.and").i64(shift).op("i64.shl", "i64.or").set(e.A);
    };
    exchange(8n, 0x00ff_00ff_00ff_00ffn);
    exchange(16n, 0x0000_ffff_0000_ffffn);
    code.get(e.A).i64(32n).op("i64.rotl").set(e.A);
    if (width === 32) code.get(e.A).i64(32n).op("i64.shr_u").set(e.A);
    e.setSlot(OP_D, e.A);
  };
}

/** Cases of data movement and arithmetic without flags. */
export function moveCases(): Map<OpName, Case> {
  const cases = new Map<OpName, Case>([
    ["movi", assign((e) => void e.code.get(e.op).mem("i64.load", OP_IMM))],
    ["mov", ofA(() => undefined)],
    ["lea", assign(emitAddress)],
    [
      "lea32",
      assign((e) => {
        emitAddress(e);
        mask(0xffff_ffffn)(e);
      }),
    ],
    [
      "lea16",
      assign((e) => {
        emitAddress(e);
        mask(0xffffn)(e);
      }),
    ],
    ["zx8", ofA(mask(0xffn))],
    [
      "zx8h",
      ofA((e) => {
        e.code.i64(8n).op("i64.shr_u");
        mask(0xffn)(e);
      }),
    ],
    ["zx16", ofA(mask(0xffffn))],
    ["zx32", ofA(mask(0xffff_ffffn))],
    ["sx8", ofA((e) => void e.code.op("i64.extend8_s"))],
    ["sx8h", ofA((e) => void e.code.i64(8n).op("i64.shr_u", "i64.extend8_s"))],
    ["sx16", ofA((e) => void e.code.op("i64.extend16_s"))],
    ["sx32", ofA((e) => void e.code.op("i64.extend32_s"))],
    ["dep8", deposit(0n, 0xffn)],
    ["dep8h", deposit(8n, 0xffn)],
    ["dep16", deposit(0n, 0xffffn)],
    ["bswap32", swapBytes(32)],
    ["bswap64", swapBytes(64)],
    ["add", binary("i64.add")],
    ["sub", binary("i64.sub")],
    ["and", binary("i64.and")],
    ["or", binary("i64.or")],
    ["xor", binary("i64.xor")],
    ["shl", binary("i64.shl")],
    ["shr", binary("i64.shr_u")],
    ["sar", binary("i64.shr_s")],
    ["mul", binary("i64.mul")],
    ["eq", binary("i64.eq", "i64.extend_u")],
    ["ltu", binary("i64.lt_u", "i64.extend_u")],
    ["ctz", ofA((e) => void e.code.op("i64.ctz"))],
    ["clz", ofA((e) => void e.code.op("i64.clz"))],
    ["popcnt", ofA((e) => void e.code.op("i64.popcnt"))],
    ["getFlags", assign((e) => void e.code.get(e.cpu).call(e.callees.getFlags))],
    [
      "setFlags",
      (e) => {
        e.code.get(e.cpu);
        e.slot(OP_A);
        e.code.call(e.callees.setFlags);
      },
    ],
    [
      "setZf",
      (e) => {
        e.code.get(e.cpu).get(e.cpu).call(e.callees.getFlags).i64(~0x40n).op("i64.and");
        e.slot(OP_A);
        e.code.i64(1n).op("i64.and").i64(6n).op("i64.shl", "i64.or").call(e.callees.setFlags);
      },
    ],
  ]);
  for (const condition of conditions) {
    const holds = (e: InterpreterEmitter): void => {
      emitCondition(e, condition);
      e.code.get(e.op).mem("i32.load16_u", OP_B).op("i32.xor");
    };
    cases.set(
      `get_${condition}`,
      assign((e) => {
        holds(e);
        e.code.i32(1).op("i32.and", "i64.extend_u");
      }),
    );
    cases.set(`movc_${condition}`, (e) => {
      holds(e);
      e.code.i32(1).op("i32.and").if();
      e.slotAddress(OP_D);
      e.slot(OP_A);
      e.code.mem("i64.store").end();
    });
  }
  return cases;
}
