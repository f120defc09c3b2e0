import {
  SLOT_CC_AUX,
  SLOT_CC_RES,
  SLOT_RFLAGS,
  slotOfGpr,
  TLB_ADDEND,
  TLB_ENTRIES,
  TLB_READ,
  TLB_WRITE,
  WORD_BUDGET,
  WORD_TLB,
} from "../layout";
import { S, simd, vectorAccess } from "../vector/wasm";
import { CodeBuilder, type Local, type MemoryInstruction } from "../wasm/code";

import { KIND_PROBE_WRITE } from "./memory";

/** Operation of a string instruction as the helper `string` numbers them (cpu/helperIds.ts). */
const MOVS = 0;
const CMPS = 1;
const STOS = 2;
const SCAS = 4;

const RAX = slotOfGpr(0);
const RCX = slotOfGpr(1);
const RSI = slotOfGpr(6);
const RDI = slotOfGpr(7);
/** Bit of RFLAGS. */
const DIRECTION = 10;
const PAGE = 4096;
const I32_CTZ = [0x68];
const ANY_TRUE = 0x53;
const ALL_TRUE_BYTES = 0x63;
/** i8x16.eq, i16x8.eq, i32x4.eq, i64x2.eq. */
const EQUAL = [0x23, 0x2d, 0x37, 0xd6] as const;
/** i8x16.splat and so on. */
const SPLAT = [0x0f, 0x10, 0x11, 0x12] as const;
const loads: readonly MemoryInstruction[] = ["i64.load8_u", "i64.load16_u", "i64.load32_u", "i64.load"];
const stores: readonly MemoryInstruction[] = ["i64.store8", "i64.store16", "i64.store32", "i64.store"];

/**
 * Function (cpu, operation): iterations of a REP MOVS or STOS, or of a forward REP CMPS or SCAS, on plain memory, as many as WORD_BUDGET pays, each one instruction. `operation` is that of
 * the helper `string`. Of CMPS and SCAS it does those that go on, with the flags of the last one done, and leaves the last one of all, and what ends the loop, to the helper. Returns 1 when RCX is
 * zero: the instruction is complete, and one iteration was paid for with the instruction itself. Never faults: it stops where neither the TLB nor `walk`
 * (interpreter/walk.ts) helps.
 */
export function bulkStringFunction(walk: number): CodeBuilder {
  const code = new CodeBuilder(["i32", "i32"], ["i32"]);
  const cpu = code.parameter(0);
  const operation = code.parameter(1);
  const budget = code.local("i32");
  const done = code.local("i32");
  const shift = code.local("i32");
  const kind = code.local("i32");
  const entry = code.local("i32");
  const n = code.local("i32");
  const down = code.local("i32");
  const room = code.local("i32");
  const bytes = code.local("i32");
  const to = code.local("i32");
  const from = code.local("i32");
  const end = code.local("i32");
  const mask = code.local("i64");
  const count = code.local("i64");
  const linear = code.local("i64");
  const value = code.local("i64");
  const other = code.local("i64");
  const pattern = code.local("v128");
  const outcome = code.local("v128");

  const register = (slot: number): CodeBuilder => code.get(cpu).mem("i64.load", slot);
  const kindIs = (wanted: number): CodeBuilder => code.get(kind).i32(wanted).op("i32.eq");
  /** Runs `emit(i)` where elements have 1 << i bytes. */
  const bySize = (emit: (i: number) => void): void => {
    for (let i = 0; i < 4; i++) {
      code.get(shift).i32(i).op("i32.eq").if();
      emit(i);
      code.end();
    }
  };
  /** n = the smaller of n and the whole elements between the address in `linear` and the end of its page; host address in `host`. Leaves where the tag does not match. */
  const place = (slot: number, tag: number, host: Local): void => {
    register(slot).get(mask).op("i64.and").set(linear);
    code
      .get(linear)
      .op("i32.wrap")
      .i32(7)
      .op("i32.shr_u")
      .i32((TLB_ENTRIES - 1) << 5)
      .op("i32.and");
    code.get(cpu).mem("i32.load", WORD_TLB).op("i32.add").tee(entry).mem("i64.load", tag);
    code.get(linear).i64(-4096n).op("i64.and", "i64.ne").if();
    code
      .get(cpu)
      .get(linear)
      .i32(1 | (tag === TLB_WRITE ? KIND_PROBE_WRITE : 0));
    code.call(walk).tee(entry).op("i32.eqz").brIf("stop").end();
    code.get(linear).op("i32.wrap").tee(host).get(entry).mem("i32.load", TLB_ADDEND).op("i32.add");
    code
      .get(host)
      .i32(PAGE - 1)
      .op("i32.and")
      .set(room);
    code.get(down).if();
    // Downwards: none if the first element crosses the page's end.
    code.get(room).get(shift).op("i32.shr_u").i32(1).op("i32.add").i32(0);
    code.get(room).i32(1).get(shift).op("i32.shl", "i32.add").i32(PAGE).op("i32.le_u", "select").set(room);
    code.else();
    code.i32(PAGE).get(room).op("i32.sub").get(shift).op("i32.shr_u").set(room).end();
    code.set(host);
    code.get(n).get(room).get(n).get(room).op("i32.lt_u", "select").set(n);
  };
  const advance = (slot: number): void => {
    code.get(cpu);
    register(slot).i32(0).get(bytes).op("i32.sub").get(bytes).get(down).op("select", "i64.extend_s", "i64.add");
    code.get(mask).op("i64.and").mem("i64.store", slot);
  };
  /** Downwards: from the address of the first element to that of the last one, the lowest. */
  const toLowest = (host: Local): void => {
    code.get(host).get(bytes).i32(1).get(shift).op("i32.shl", "i32.sub").i32(0).get(down).op("select", "i32.sub").set(host);
  };

  code.get(cpu).mem("i32.load", WORD_BUDGET).set(budget);
  code.get(operation).i32(7).op("i32.and").set(kind);
  code.get(operation).i32(4).op("i32.shr_u").i32(15).op("i32.and").raw(I32_CTZ).set(shift);
  code.i64(-1n).i64(0xffff_ffffn).get(operation).i32(0x800).op("i32.and", "select").set(mask);
  code.block("stop");
  register(SLOT_RFLAGS).op("i32.wrap").i32(DIRECTION).op("i32.shr_u").i32(1).op("i32.and").tee(down);
  kindIs(CMPS).get(kind).i32(SCAS).op("i32.eq", "i32.or", "i32.and").brIf("stop");
  code.loop("more");
  register(RCX).get(mask).op("i64.and").set(count);
  // The last comparison is the helper's.
  code.get(count).get(kind).i32(CMPS).op("i32.eq").get(kind).i32(SCAS).op("i32.eq", "i32.or", "i64.extend_u");
  code.op("i64.sub").set(value);
  code.get(count).op("i64.eqz").brIf("stop");
  code.get(budget).i32(0).op("i32.le_s").brIf("stop");
  code.get(value).get(budget).op("i64.extend_u").get(value).get(budget).op("i64.extend_u", "i64.lt_u", "select", "i32.wrap").set(n);
  // The source first, as single iterations do: what the TLB holds in the end must not depend on how many were done at once.
  code.get(kind).i32(CMPS).op("i32.le_u").if();
  place(RSI, TLB_READ, from);
  code.end();
  kindIs(STOS).get(kind).i32(MOVS).op("i32.eq", "i32.or").if();
  place(RDI, TLB_WRITE, to);
  code.else();
  place(RDI, TLB_READ, to);
  code.end();
  code.get(n).op("i32.eqz").brIf("stop");
  code.get(n).get(shift).op("i32.shl").set(bytes);

  kindIs(MOVS).if();
  toLowest(to);
  toLowest(from);
  // A destination inside the source's range ahead of it (in the direction of the move) repeats what was just written: not a move of the whole.
  code.get(to).get(from).op("i32.ne").get(to).get(from).op("i32.sub").get(from).get(to).op("i32.sub").get(down).op("i32.eqz", "select");
  code.get(bytes).op("i32.lt_u", "i32.and").brIf("stop");
  code.get(to).get(from).get(bytes).memoryCopy();
  code.end();

  kindIs(STOS).if();
  toLowest(to);
  register(RAX).set(value);
  code.get(shift).op("i32.eqz").if();
  code.get(to).get(value).op("i32.wrap").get(bytes).memoryFill();
  code.else();
  code.get(to).get(bytes).op("i32.add").set(end);
  code.get(bytes).i32(16).op("i32.lt_u").if();
  code.loop("element");
  bySize((i) => code.get(to).get(value).mem(stores[i]));
  code.get(to).i32(1).get(shift).op("i32.shl", "i32.add").tee(to).get(end).op("i32.lt_u").brIf("element");
  code.end();
  code.else();
  splat();
  code.loop("chunk");
  code.get(to).get(pattern).raw(vectorAccess(S.store, 0));
  code.get(to).i32(16).op("i32.add").tee(to).i32(16).op("i32.add").get(end).op("i32.le_u").brIf("chunk");
  code.end();
  // The pattern fits at the end too: the length is a multiple of its period.
  code.get(end).i32(16).op("i32.sub").get(pattern).raw(vectorAccess(S.store, 0));
  code.end().end().end();

  kindIs(CMPS).get(kind).i32(SCAS).op("i32.eq", "i32.or").if();
  compare();
  code.else().i32(0).set(room).end();

  advance(RDI);
  code.get(kind).i32(CMPS).op("i32.le_u").if();
  advance(RSI);
  code.end();
  code.get(cpu);
  register(RCX).get(n).op("i64.extend_u", "i64.sub").get(mask).op("i64.and").mem("i64.store", RCX);
  code.get(budget).get(n).op("i32.sub").set(budget);
  code.get(done).get(n).op("i32.or").set(done);
  // A comparison that ended before the page or the count did.
  code.get(room).i32(-1).op("i32.eq").brIf("stop");
  code.br("more").end().end();
  code.get(cpu);
  register(RCX).get(mask).op("i64.and", "i64.eqz").get(done).i32(0).op("i32.ne", "i32.and").get(budget).op("i32.add");
  code.mem("i32.store", WORD_BUDGET);
  register(RCX).get(mask).op("i64.and", "i64.eqz");
  return code;

  /** pattern = RAX's element in every place. */
  function splat(): void {
    bySize((i) => {
      register(RAX);
      if (i < 3) code.op("i32.wrap");
      code.raw(simd(SPLAT[i])).set(pattern);
    });
  }

  /** n = how many of the n iterations go on, one after the other; `room` = -1 when not all do. */
  function compare(): void {
    const until = room;
    code.get(to).get(bytes).op("i32.add").set(end);
    code.get(to).set(until);
    kindIs(SCAS).if();
    splat();
    code.end();
    code.block("ended");
    // Sixteen bytes at a time, while all of them go on.
    code.block("few").loop("chunk");
    code.get(to).i32(16).op("i32.add").get(end).op("i32.gt_u").brIf("few");
    kindIs(CMPS).if();
    code.get(from).raw(vectorAccess(S.load, 0)).set(pattern);
    code.end();
    bySize((i) => {
      code.get(to).raw(vectorAccess(S.load, 0)).get(pattern).raw(simd(EQUAL[i]));
      // REPE goes on while all are equal, REPNE while none is.
      code.tee(outcome).raw(simd(ALL_TRUE_BYTES)).get(outcome).raw(simd(ANY_TRUE)).op("i32.eqz");
      code.get(operation).i32(0x1000).op("i32.and", "select", "i32.eqz").brIf("few");
    });
    code.get(to).i32(16).op("i32.add").set(to);
    code.get(from).i32(16).op("i32.add").set(from);
    code.br("chunk").end().end();
    code.loop("element");
    code.get(to).get(end).op("i32.ge_u").brIf("ended");
    bySize((i) => {
      code.get(to).mem(loads[i]).set(value);
      kindIs(CMPS).if();
      code.get(from).mem(loads[i]).set(other);
      code.else();
      register(RAX);
      if (i < 3) code.i64((1n << BigInt(8 << i)) - 1n).op("i64.and");
      code.set(other).end();
    });
    code.get(value).get(other).op("i64.eq").get(operation).i32(0x1000).op("i32.and").i32(0).op("i32.ne", "i32.ne").brIf("ended");
    code.get(to).i32(1).get(shift).op("i32.shl", "i32.add").set(to);
    code.get(from).i32(1).get(shift).op("i32.shl", "i32.add").set(from);
    code.br("element").end().end();
    code.get(to).get(until).op("i32.sub").set(bytes);
    code.i32(0).i32(-1).get(to).get(end).op("i32.eq", "select").set(room);
    code.get(bytes).get(shift).op("i32.shr_u").set(n);
    code.get(n).if();
    flagsOfLast();
    code.end();
  }

  /**
   * The flags of the comparison of the element before `to` (and `from`): the loop may be left after it, by a fault of the next one or for want of budget. Layout of the two
   * words: tcg/layout.ts.
   */
  function flagsOfLast(): void {
    const difference = linear;
    const borrows = count;
    bySize((i) => {
      const size = 1 << i;
      const width = 8 * size;
      code.get(to).i32(size).op("i32.sub").mem(loads[i]).set(value);
      kindIs(CMPS).if();
      code.get(from).i32(size).op("i32.sub").mem(loads[i]).set(other);
      code.else();
      register(RAX);
      if (i < 3) code.i64((1n << BigInt(width)) - 1n).op("i64.and");
      code.set(other).end();
      code.get(other).get(value).op("i64.sub").set(difference);
      // Borrow out of each bit of other - value: (~other & value) | (~(other ^ value) & difference).
      code.get(other).i64(-1n).op("i64.xor").get(value).op("i64.and");
      code.get(other).get(value).op("i64.xor").i64(-1n).op("i64.xor").get(difference).op("i64.and", "i64.or").set(borrows);
      code.get(cpu).get(difference);
      if (i < 3) code.op((["i64.extend8_s", "i64.extend16_s", "i64.extend32_s"] as const)[i]);
      code.mem("i64.store", SLOT_CC_RES);
      code.get(cpu).get(borrows);
      if (i < 3) code.i64(BigInt(64 - width)).op("i64.shl");
      code.i64(-0x4000_0000_0000_0000n).op("i64.and").get(borrows).i64(8n).op("i64.and", "i64.or").mem("i64.store", SLOT_CC_AUX);
    });
  }
}
