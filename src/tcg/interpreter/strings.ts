import {
  SLOT_CC_AUX,
  SLOT_CC_RES,
  SLOT_INSTRUCTION_END,
  SLOT_RETIRED_END,
  SLOT_RFLAGS,
  slotOfGpr,
  TLB_ADDEND,
  TLB_ENTRIES,
  TLB_READ,
  TLB_WRITE,
  WORD_BUDGET,
  WORD_STRING_RESERVE,
  WORD_TLB,
} from "../layout";
import { simd } from "../vector/wasm";
import { CodeBuilder, type Local, type MemoryInstruction } from "../wasm/code";
import { KIND_PROBE_WRITE } from "./memory";
import { toTlbOffset } from "./tlbEntry";

/** Operation of a string instruction as the helper `string` numbers them (cpu/helperIds.ts). */
const MOVS = 0;
const CMPS = 1;
const STOS = 2;
const SCAS = 4;
/** Bit of an operation: addresses of 64 bits; repeats while elements are equal. */
const ADDRESS_64 = 0x800;
const WHILE_EQUAL = 0x1000;

const RAX = slotOfGpr(0);
const RCX = slotOfGpr(1);
const RSI = slotOfGpr(6);
const RDI = slotOfGpr(7);
/** Bit of RFLAGS. */
const DIRECTION = 10;
const PAGE = 4096;
/** Most elements at a time: their bytes can be counted. */
const MOST = 1 << 24;
const I32_CTZ = [0x68];
/** i8x16.splat and so on. */
const SPLAT = [0x0f, 0x10, 0x11, 0x12] as const;
const loads: readonly MemoryInstruction[] = ["i64.load8_u", "i64.load16_u", "i64.load32_u", "i64.load"];

/** Indexes of the functions of stringLoops.ts, and of walk.ts. */
export interface StringCallees {
  readonly walk: number;
  readonly run: number;
  readonly fill: number;
  readonly repeat: number;
  /** alikeFunction of CMPS and of SCAS: while equal; while unequal, by size. */
  readonly alike: Readonly<Record<"compare" | "scan", { readonly equal: number; readonly unequal: readonly number[] }>>;
}

/**
 * Function (cpu, operation): iterations of a REP MOVS or STOS, or of a forward REP CMPS or SCAS, on plain memory, as many as WORD_STRING_RESERVE and WORD_BUDGET pay, each one instruction. `operation` is that of
 * the helper `string`, which does what is left. Returns 1 when the instruction is complete, with one iteration paid for with the instruction itself. Never faults: it stops where neither the
 * TLB nor `walk` (interpreter/walk.ts) helps.
 *
 * It goes over as many pages at once as follow each other in memory and have their entries in the TLB. What the TLB holds in the end does not depend on how many iterations were done at once: entries are
 * filled in the order in which single iterations fill them, and a run over several pages is one of accesses that find theirs.
 */
export function bulkStringFunction(callees: StringCallees): CodeBuilder {
  const code = new CodeBuilder(["i32", "i32"], ["i32"]);
  const cpu = code.parameter(0);
  const operation = code.parameter(1);
  const reserve = code.local("i32");
  const budget = code.local("i32");
  /** What reserve and budget paid. */
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
  const until = code.local("i32");
  const complete = code.local("i32");
  const apart = code.local("i32");
  const mask = code.local("i64");
  const count = code.local("i64");
  const linear = code.local("i64");
  const value = code.local("i64");
  const other = code.local("i64");
  const pattern = code.local("v128");

  const register = (slot: number): CodeBuilder => code.get(cpu).mem("i64.load", slot);
  const kindIs = (wanted: number): CodeBuilder => code.get(kind).i32(wanted).op("i32.eq");
  const compares = (): void => void kindIs(CMPS).get(kind).i32(SCAS).op("i32.eq", "i32.or");
  const hasSource = (): CodeBuilder => code.get(kind).i32(CMPS).op("i32.le_u");
  /** Runs `emit(i)` where elements have 1 << i bytes. */
  const bySize = (emit: (i: number) => void): void => {
    for (let i = 0; i < 4; i++) {
      code.get(shift).i32(i).op("i32.eq").if();
      emit(i);
      code.end();
    }
  };
  const least = (local: Local, other: () => void): void => {
    code.get(local);
    other();
    code.get(local);
    other();
    code.op("i32.lt_u", "select").set(local);
  };
  /** Host address, in `host`, of the element that the register at `slot` names. Leaves where the tag does not match. */
  const place = (slot: number, tag: number, host: Local): void => {
    register(slot).get(mask).op("i64.and").set(linear);
    toTlbOffset(code.get(linear).op("i32.wrap"));
    code.get(cpu).mem("i32.load", WORD_TLB).op("i32.add").tee(entry).mem("i64.load", tag);
    code.get(linear).i64(-4096n).op("i64.and", "i64.ne").if();
    code
      .get(cpu)
      .get(linear)
      .i32(1 | (tag === TLB_WRITE ? KIND_PROBE_WRITE : 0));
    code.call(callees.walk).tee(entry).op("i32.eqz").brIf("stop").end();
    code.get(linear).op("i32.wrap").get(entry).mem("i32.load", TLB_ADDEND).op("i32.add").set(host);
  };
  /** n = the smaller of n and the elements from `host`, the place of what the register at `slot` names, to the end of what follows it in memory. */
  const limit = (slot: number, pushTag: () => void, host: Local): void => {
    code
      .get(host)
      .i32(PAGE - 1)
      .op("i32.and")
      .set(room);
    // Bytes in the page: downwards, those of the first element and below it.
    code.get(room).i32(1).get(shift).op("i32.shl", "i32.add").i32(PAGE).get(room).op("i32.sub").get(down).op("select").set(room);
    code.get(n).get(shift).op("i32.shl").tee(bytes).get(room).op("i32.gt_u").get(apart).op("i32.and").if();
    code.get(room).get(cpu);
    register(slot).get(mask).op("i64.and");
    pushTag();
    code.i32(-PAGE).i32(PAGE).get(down).op("select").get(bytes).get(room).op("i32.sub").get(mask);
    code.call(callees.run).op("i32.add").set(room).end();
    // Downwards, an element that goes on into the next page is done by itself.
    code.get(down).get(host);
    code
      .i32(PAGE - 1)
      .op("i32.and")
      .i32(1)
      .get(shift)
      .op("i32.shl", "i32.add")
      .i32(PAGE)
      .op("i32.gt_u", "i32.and")
      .brIf("stop");
    least(n, () => void code.get(room).get(shift).op("i32.shr_u"));
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
  code.get(cpu).mem("i32.load", WORD_STRING_RESERVE).set(reserve);
  code.get(operation).i32(7).op("i32.and").set(kind);
  code.get(operation).i32(4).op("i32.shr_u").i32(15).op("i32.and").raw(I32_CTZ).set(shift);
  code.i64(-1n).i64(0xffff_ffffn).get(operation).i32(ADDRESS_64).op("i32.and", "select").set(mask);
  code.block("stop");
  register(SLOT_RFLAGS).op("i32.wrap").i32(DIRECTION).op("i32.shr_u").i32(1).op("i32.and").tee(down);
  compares();
  code.op("i32.and").brIf("stop");
  code.loop("more");
  register(RCX).get(mask).op("i64.and").tee(count).op("i64.eqz").tee(complete).brIf("stop");
  code.get(reserve).get(budget).op("i32.add").get(done).op("i32.sub").tee(n).i32(0).op("i32.le_s").brIf("stop");
  least(n, () => void code.i32(MOST));
  code.get(n).get(count).op("i32.wrap").get(count).get(n).op("i64.extend_u", "i64.gt_u", "select").set(n);
  // The source first, as single iterations do.
  hasSource().if();
  place(RSI, TLB_READ, from);
  code.end();
  compares();
  code.if();
  place(RDI, TLB_READ, to);
  code.else();
  place(RDI, TLB_WRITE, to);
  code.end();
  // Pages that share a place in the TLB put each other out of it, iteration by iteration: what is there in the end is what was there first while both stay in theirs.
  code.i32(1).set(apart);
  hasSource().if();
  register(RSI);
  register(RDI)
    .op("i64.xor", "i32.wrap")
    .i32((TLB_ENTRIES - 1) << 12)
    .op("i32.and")
    .set(apart);
  code.end();
  code.get(apart).i32(0).op("i32.ne").set(apart);
  hasSource().if();
  limit(RSI, () => void code.i32(TLB_READ), from);
  code.end();
  limit(
    RDI,
    () => {
      code.i32(TLB_READ).i32(TLB_WRITE);
      compares();
      code.op("select");
    },
    to,
  );
  code.get(n).op("i32.eqz").brIf("stop");

  kindIs(MOVS).if();
  move();
  code.end();

  kindIs(STOS).if();
  code.get(n).get(shift).op("i32.shl").set(bytes);
  toLowest(to);
  code.get(to).get(bytes);
  register(RAX).get(shift).call(callees.fill).end();

  compares();
  code.if();
  compare();
  code.end();

  advance(RDI);
  hasSource().if();
  advance(RSI);
  code.end();
  code.get(cpu);
  register(RCX).get(n).op("i64.extend_u", "i64.sub").get(mask).op("i64.and").mem("i64.store", RCX);
  code.get(done).get(n).op("i32.add").set(done);
  code.get(complete).op("i32.eqz").brIf("more");
  code.end().end();
  charge();
  code.get(complete);
  return code;

  /** Takes what was done off the reserve first. Of a complete instruction, one iteration was paid for with the instruction itself. */
  function charge(): void {
    const drawn = room;
    code.get(done).op("i32.eqz").if().get(complete).op("return").end();
    code.get(done).get(complete).op("i32.sub").set(done);
    code.get(done).get(reserve).get(done).get(reserve).op("i32.lt_u", "select").set(drawn);
    code.get(cpu).get(reserve).get(drawn).op("i32.sub").mem("i32.store", WORD_STRING_RESERVE);
    code.get(cpu).get(budget).get(done).op("i32.sub").get(drawn).op("i32.add").mem("i32.store", WORD_BUDGET);
    for (const slot of [SLOT_RETIRED_END, SLOT_INSTRUCTION_END]) {
      code.get(cpu).get(cpu).mem("i64.load", slot).get(drawn).op("i64.extend_u", "i64.add").mem("i64.store", slot);
    }
  }

  function move(): void {
    const distance = room;
    code.get(to).get(from).op("i32.sub").get(from).get(to).op("i32.sub").get(down).op("i32.eqz", "select").set(distance);
    code.get(n).get(shift).op("i32.shl").set(bytes);
    // A destination inside the source's range ahead of it (in the direction of the move) repeats what was just written.
    code.get(distance).op("i32.eqz").get(distance).get(bytes).op("i32.ge_u", "i32.or").if();
    toLowest(to);
    toLowest(from);
    code.get(to).get(from).get(bytes).memoryCopy();
    code.else();
    code.get(distance).get(shift).op("i32.shr_u", "i32.eqz").brIf("stop");
    code.get(down).if();
    code.get(distance).get(shift).op("i32.shr_u").tee(n).get(shift).op("i32.shl").set(bytes);
    toLowest(to);
    toLowest(from);
    code.get(to).get(from).get(bytes).memoryCopy();
    code.else();
    code.get(to).get(from).get(bytes).call(callees.repeat).end().end();
  }

  /** n = how many of the n iterations there are before the comparison ends the loop, with the one that does; `complete` when there is one. */
  function compare(): void {
    const start = bytes;
    const alike = (which: keyof StringCallees["alike"]): void => {
      const { equal, unequal } = callees.alike[which];
      const call = (index: number): void => void code.get(to).get(from).get(until).get(to).op("i32.sub").get(pattern).call(index).set(room);
      code.get(operation).i32(WHILE_EQUAL).op("i32.and").if();
      call(equal);
      code.else();
      bySize((i) => call(unequal[i]));
      code.end();
    };
    code.get(to).tee(start).get(n).get(shift).op("i32.shl", "i32.add").set(until);
    kindIs(SCAS).if();
    bySize((i) => {
      register(RAX);
      if (i < 3) code.op("i32.wrap");
      code.raw(simd(SPLAT[i])).set(pattern);
    });
    alike("scan");
    code.else();
    alike("compare");
    code.end();
    code.get(to).get(room).op("i32.add").set(to);
    code.get(from).get(room).op("i32.add").set(from);
    code.loop("element").block("ended");
    code.get(to).get(until).op("i32.ge_u").brIf("ended");
    bySize((i) => {
      code.get(to).mem(loads[i]).set(value);
      operand(i);
    });
    code.get(to).i32(1).get(shift).op("i32.shl", "i32.add").set(to);
    code.get(from).i32(1).get(shift).op("i32.shl", "i32.add").set(from);
    code.get(value).get(other).op("i64.eq").get(operation).i32(WHILE_EQUAL).op("i32.and").i32(0).op("i32.ne", "i32.ne").tee(complete);
    code.op("i32.eqz").brIf("element").end().end();
    code.get(to).get(start).op("i32.sub").tee(bytes).get(shift).op("i32.shr_u").set(n);
    flagsOfLast();
  }

  /** other = the first operand of a comparison, at `from` minus `back` bytes or in RAX. */
  function operand(size: number, back = 0): void {
    kindIs(CMPS).if();
    code.get(from).i32(back).op("i32.sub").mem(loads[size]).set(other);
    code.else();
    register(RAX);
    if (size < 3) code.i64((1n << BigInt(8 << size)) - 1n).op("i64.and");
    code.set(other).end();
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
      operand(i, size);
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
