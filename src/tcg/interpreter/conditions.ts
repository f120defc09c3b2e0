import { SLOT_CC_AUX, SLOT_CC_RES } from "../layout";
import { CodeBuilder } from "../wasm/code";
import type { Condition } from "../ops";
import type { InterpreterEmitter } from "./emitter";

/** Pushes, as an i32 0 or 1, whether the condition holds for the lazy flags. */
export function emitCondition(e: InterpreterEmitter, condition: Condition): void {
  const { code } = e;
  const negative = (): void => {
    code.i64(0n).op("i64.lt_s");
  };
  const signBit = (): void => {
    e.state64(SLOT_CC_RES);
    e.state64(SLOT_CC_AUX);
    code.i64(47n).op("i64.shl", "i64.xor");
  };
  const overflowBit = (): void => {
    e.state64(SLOT_CC_AUX);
    code.tee(e.X).get(e.X).i64(1n).op("i64.shl", "i64.xor");
  };
  switch (condition) {
    case "o":
      overflowBit();
      return negative();
    case "c":
      e.state64(SLOT_CC_AUX);
      return negative();
    case "z":
      e.state64(SLOT_CC_RES);
      code.op("i64.eqz");
      return;
    case "be":
      e.state64(SLOT_CC_RES);
      code.op("i64.eqz");
      e.state64(SLOT_CC_AUX);
      negative();
      code.op("i32.or");
      return;
    case "s":
      signBit();
      return negative();
    case "p":
      e.state64(SLOT_CC_RES);
      e.state64(SLOT_CC_AUX);
      code.i64(8n).op("i64.shr_u", "i64.xor", "i32.wrap").i32(0xff).op("i32.and", "i32.popcnt").i32(1).op("i32.and", "i32.eqz");
      return;
    case "l":
      signBit();
      overflowBit();
      code.op("i64.xor");
      return negative();
    case "le":
      signBit();
      overflowBit();
      code.op("i64.xor");
      negative();
      e.state64(SLOT_CC_RES);
      code.op("i64.eqz", "i32.or");
      return;
  }
}

/** Function (cpu: i32) -> i64: the six status flags at their EFLAGS positions. */
export function getFlagsFunction(): CodeBuilder {
  const code = new CodeBuilder(["i32"], ["i64"]);
  const cpu = code.parameter(0);
  const res = code.local("i64");
  const aux = code.local("i64");
  code.get(cpu).mem("i64.load", SLOT_CC_RES).set(res).get(cpu).mem("i64.load", SLOT_CC_AUX).set(aux);
  // CF
  code.get(aux).i64(63n).op("i64.shr_u");
  // PF
  code.get(res).get(aux).i64(8n).op("i64.shr_u", "i64.xor").i64(0xffn).op("i64.and", "i64.popcnt").i64(1n).op("i64.and");
  code.i64(1n).op("i64.xor").i64(2n).op("i64.shl", "i64.or");
  // AF
  code.get(aux).i64(8n).op("i64.and").i64(1n).op("i64.shl", "i64.or");
  // ZF
  code.get(res).op("i64.eqz", "i64.extend_u").i64(6n).op("i64.shl", "i64.or");
  // SF
  code.get(res).i64(63n).op("i64.shr_u").get(aux).i64(16n).op("i64.shr_u").i64(1n).op("i64.and", "i64.xor").i64(7n).op("i64.shl", "i64.or");
  // OF
  code
    .get(aux)
    .i64(63n)
    .op("i64.shr_u")
    .get(aux)
    .i64(62n)
    .op("i64.shr_u")
    .i64(1n)
    .op("i64.and", "i64.xor")
    .i64(11n)
    .op("i64.shl", "i64.or");
  return code;
}

/** Function (cpu: i32, flags: i64): sets the lazy flags from EFLAGS positions. With ZF, CC_RES is 0, else 1; SD and PDB make up SF and PF. */
export function setFlagsFunction(): CodeBuilder {
  const code = new CodeBuilder(["i32", "i64"], []);
  const cpu = code.parameter(0);
  const flags = code.parameter(1);
  const bit = (index: bigint): CodeBuilder => code.get(flags).i64(index).op("i64.shr_u").i64(1n).op("i64.and");
  code.get(cpu);
  bit(6n).i64(1n).op("i64.xor").mem("i64.store", SLOT_CC_RES);
  code.get(cpu);
  bit(0n).i64(63n).op("i64.shl");
  bit(0n);
  bit(11n).op("i64.xor").i64(62n).op("i64.shl", "i64.or");
  bit(4n).i64(3n).op("i64.shl", "i64.or");
  bit(7n).i64(16n).op("i64.shl", "i64.or");
  bit(2n);
  bit(6n).op("i64.xor").i64(8n).op("i64.shl", "i64.or");
  code.mem("i64.store", SLOT_CC_AUX);
  return code;
}

/** Function (a, b: i64) -> i64: high half of the unsigned 128-bit product. */
export function multiplyHighFunction(): CodeBuilder {
  const code = new CodeBuilder(["i64", "i64"], ["i64"]);
  const a = code.parameter(0);
  const b = code.parameter(1);
  const middle = code.local("i64");
  const low = 0xffff_ffffn;
  const half = (value: typeof a, high: boolean): void => {
    if (high) code.get(value).i64(32n).op("i64.shr_u");
    else code.get(value).i64(low).op("i64.and");
  };
  // middle = ah * bl + (al * bl >> 32), cannot overflow
  half(a, true);
  half(b, false);
  code.op("i64.mul");
  half(a, false);
  half(b, false);
  code.op("i64.mul").i64(32n).op("i64.shr_u", "i64.add").set(middle);
  // ah * bh + (middle >> 32) + ((al * bh + (middle & low)) >> 32)
  half(a, true);
  half(b, true);
  code.op("i64.mul");
  half(middle, true);
  code.op("i64.add");
  half(a, false);
  half(b, true);
  code.op("i64.mul");
  half(middle, false);
  code.op("i64.add").i64(32n).op("i64.shr_u", "i64.add");
  return code;
}
