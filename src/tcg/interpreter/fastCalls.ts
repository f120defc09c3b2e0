import {
  CPU_STATE_BYTES,
  MMU_USER,
  SLOT_LSTAR,
  SLOT_RFLAGS,
  SLOT_RIP,
  SLOT_SEG_LIMIT_R,
  SLOT_SEG_LIMIT_W,
  SLOT_SFMASK,
  SLOT_STAR,
  TLB_ENTRIES,
  TLB_ENTRY_BYTES,
  WORD_ACCESS,
  WORD_CALL_MODE,
  WORD_CALL_TLB,
  WORD_CPL,
  WORD_FETCH,
  WORD_LIMITS,
  WORD_MODE,
  WORD_REQUEST,
  WORD_RETURN_MODE,
  WORD_TLB,
  slotOfGpr,
} from "../layout";
import { FAST_CALL, FAST_CLEAR_INTERRUPTS, FAST_INTERRUPT, FAST_INTERRUPT_RETURN, FAST_PAUSE, FAST_RETURN, FAST_TSC } from "../ops";
import { CodeBuilder } from "../wasm/code";
import { beginSegment, CS, IF, isNotCanonical, noteMask, ORDINARY, SPECIAL, SS, STATUS } from "./flatTransfer";
import { KIND_SOFTWARE } from "./transfers";

const RCX = slotOfGpr(1);
const R11 = slotOfGpr(11);
/** RFLAGS bits that SYSRET loads. */
const LOADED = 0x3c7fd7;
/** Access rights of the flat segments that SYSCALL loads; SYSRET's have DPL 3. */
const CODE = 0x809b | 0x2000;
const DATA = 0xc093;
const DPL3 = 3 << 5;
/** Functions of the module that `fastCall` is made of. */
export interface FastCallees {
  readonly getFlags: number;
  readonly setFlags: number;
  /** INT n and IRETQ (transfers.ts). */
  readonly interrupt: number;
  readonly interruptReturn: number;
  /** RDTSC and PAUSE (time.ts). */
  readonly readTsc: number;
  readonly pause: number;
}

/**
 * Function (cpu, what, operand, budget), with WORD_BUDGET, WORD_OP and WORD_BLOCK current: what `what` says; of a transfer by SYSCALL or SYSRET, of 64-bit code to 64-bit code, RIP is the next instruction's. The budget may be cut. Returns 1; or 0, with nothing done, where the
 * helper has to: the host has not said where they lead (WORD_CALL_MODE, WORD_RETURN_MODE), an event waits, flags are of the rarer kind, SYSRET would fault.
 */
export function fastCallFunction({ getFlags, setFlags, interrupt, interruptReturn, readTsc, pause }: FastCallees): CodeBuilder {
  const code = new CodeBuilder(["i32", "i32", "i32", "i32"], ["i32"]);
  const cpu = code.parameter(0);
  const what = code.parameter(1);
  const flags = code.local("i32");
  const selector = code.local("i32");
  const state32 = (offset: number): CodeBuilder => code.get(cpu).mem("i32.load", offset);
  const set32 = (offset: number, value: number): CodeBuilder => code.get(cpu).i32(value).mem("i32.store", offset);
  /** Puts a flat segment with the selector in `selector` into CS or SS. */
  const segment = (number: number, access: number): void => {
    beginSegment(code, cpu, number, selector);
    set32(WORD_LIMITS + 4 * number, -1);
    set32(WORD_ACCESS + 4 * number, access);
    code
      .get(cpu)
      .i64(1n << 32n)
      .mem("i64.store", SLOT_SEG_LIMIT_R + 8 * number);
    code
      .get(cpu)
      .i64(number === SS ? 1n << 32n : 0n)
      .mem("i64.store", SLOT_SEG_LIMIT_W + 8 * number);
  };
  /** RFLAGS = `flags`. */
  const loadFlags = (): void => {
    code.get(cpu).get(flags).op("i64.extend_u").call(setFlags);
    code.get(cpu).get(flags).i32(~STATUS).op("i32.and").i32(2).op("i32.or").mem("i32.store", SLOT_RFLAGS);
  };
  const copy64 = (to: number, from: number): CodeBuilder => code.get(cpu).get(cpu).mem("i64.load", from).mem("i64.store", to);
  const copy32 = (to: number, from: number): CodeBuilder => code.get(cpu).get(cpu).mem("i32.load", from).mem("i32.store", to);

  code.get(what).i32(FAST_TSC).op("i32.eq").if().get(cpu).get(code.parameter(2)).get(code.parameter(3)).returnCall(readTsc).end();
  code.get(what).i32(FAST_PAUSE).op("i32.eq").if().get(cpu).get(code.parameter(3)).returnCall(pause).end();
  code.get(what).i32(FAST_INTERRUPT_RETURN).op("i32.eq").if().get(cpu).call(interruptReturn).op("return").end();
  code.get(what).i32(FAST_INTERRUPT).op("i32.eq").if();
  code.get(cpu).get(code.parameter(2)).get(code.parameter(3));
  code.i32(KIND_SOFTWARE).i32(0).i32(0).i32(0).call(interrupt).op("return").end();
  /** IF has been cleared by the instruction before `next`: the budget is what is left behind it. */
  const masked = (pushNext: () => void): void =>
    noteMask(code, cpu, code.parameter(3), () => {
      pushNext();
      code.get(code.parameter(2)).op("i64.extend_u", "i64.sub");
    });
  code.get(what).i32(FAST_CLEAR_INTERRUPTS).op("i32.eq").if();
  state32(SLOT_RFLAGS).tee(flags).i32(IF).op("i32.and").if();
  code.get(cpu).get(flags).i32(~IF).op("i32.and").mem("i32.store", SLOT_RFLAGS);
  masked(() => code.get(cpu).mem("i64.load", SLOT_RIP));
  code.end().i32(1).op("return").end();
  code.block("no");
  state32(WORD_REQUEST).brIfRare("no");
  state32(SLOT_RFLAGS).tee(flags).i32(SPECIAL).op("i32.and").brIfRare("no");
  code.get(what).i32(FAST_CALL).op("i32.eq").if();

  state32(WORD_CALL_MODE).op("i32.eqz").brIfRare("no");
  code.get(flags).get(cpu).call(getFlags).op("i32.wrap", "i32.or").i32(2).op("i32.or").set(flags);
  copy64(RCX, SLOT_RIP);
  code.get(cpu).get(flags).op("i64.extend_u").mem("i64.store", R11);
  code.get(flags);
  state32(SLOT_SFMASK).op("i32.and").i32(IF).op("i32.and").if();
  masked(() => code.get(cpu).mem("i64.load", SLOT_RIP));
  code.end();
  copy64(SLOT_RIP, SLOT_LSTAR);
  code.get(flags);
  state32(SLOT_SFMASK).i32(-1).op("i32.xor", "i32.and").set(flags);
  loadFlags();
  state32(SLOT_STAR + 4)
    .i32(0xfffc)
    .op("i32.and")
    .set(selector);
  segment(CS, CODE);
  code.get(selector).i32(8).op("i32.add").set(selector);
  segment(SS, DATA);
  set32(WORD_CPL, 0);
  set32(WORD_FETCH, 0);
  copy32(WORD_MODE, WORD_CALL_MODE);
  copy32(WORD_TLB, WORD_CALL_TLB);
  code.i32(1).op("return").end();

  // FAST_RETURN
  code.get(what).i32(FAST_RETURN).op("i32.ne").brIfRare("no");
  state32(WORD_RETURN_MODE).op("i32.eqz").brIfRare("no");
  state32(WORD_CPL).brIfRare("no");
  state32(R11).i32(LOADED).op("i32.and").i32(2).op("i32.or").tee(flags).i32(~ORDINARY).op("i32.and").brIfRare("no");
  isNotCanonical(state32(RCX + 4), cpu).brIfRare("no");
  copy64(SLOT_RIP, RCX);
  loadFlags();
  state32(SLOT_STAR + 4)
    .i32(16)
    .op("i32.shr_u")
    .i32(16)
    .op("i32.add")
    .i32(3)
    .op("i32.or")
    .set(selector);
  segment(CS, CODE | DPL3);
  state32(SLOT_STAR + 4)
    .i32(16)
    .op("i32.shr_u")
    .i32(8)
    .op("i32.add")
    .i32(3)
    .op("i32.or")
    .set(selector);
  segment(SS, DATA | DPL3);
  set32(WORD_CPL, 3);
  set32(WORD_FETCH, 1);
  copy32(WORD_MODE, WORD_RETURN_MODE);
  code
    .get(cpu)
    .get(cpu)
    .i32(CPU_STATE_BYTES + MMU_USER * TLB_ENTRIES * TLB_ENTRY_BYTES)
    .op("i32.add")
    .mem("i32.store", WORD_TLB);
  code.i32(1).op("return").end();
  return code.i32(0);
}
