import {
  CPU_FRAMES,
  CPU_STRIDE,
  FRAME_BYTES,
  FRAME_COUNT,
  FRAME_CS,
  FRAME_HANDLER,
  FRAME_HANDLER_RSP,
  FRAME_INSTRUCTION,
  FRAME_KIND,
  FRAME_RECORD,
  FRAME_RETIRED,
  FRAME_RIP,
  FRAME_RSP,
  FRAME_VECTOR,
  LARGEST_PUSH,
  LOG_ADDRESS,
  LOG_CS,
  LOG_ERROR_CODE,
  LOG_KEPT,
  LOG_KIND,
  LOG_RIP,
  LOG_ROWS,
  LOG_ROW_BYTES,
  LOG_VECTOR,
  OBSERVED_MASK,
  ONE_STACK,
  SLOT_IDTR_BASE,
  SLOT_INSTRUCTION_END,
  SLOT_RETIRED_END,
  SLOT_RFLAGS,
  SLOT_RIP,
  SLOT_SEG_BASE,
  SLOT_TR_BASE,
  TLB_READ,
  TLB_WRITE,
  WORD_ACCESS,
  WORD_CALL_TLB,
  WORD_CPL,
  WORD_CPUS,
  WORD_CPU_INDEX,
  WORD_FRAME_DEPTH,
  WORD_IDTR_LIMIT,
  WORD_LIMITS,
  WORD_LOG_COUNT,
  WORD_NMI_BLOCKED,
  WORD_OBSERVED,
  WORD_REQUEST,
  WORD_SELECTORS,
  WORD_TLB,
  slotOfGpr,
} from "../layout";
import type { CodeBuilder, Local } from "../wasm/code";
import { CS, IF, noteMask, ORDINARY, SS, STATUS, Transfer, UNUSABLE } from "./flatTransfer";

const FS = 4;
const TR = 7;
const RSP = slotOfGpr(4);
/** RFLAGS bits: NT, with which IRET leaves a task; what a 64-bit frame holds. */
const NT = 0x4000;
const FRAME_FLAGS = 0x3f7fd7;
/** Access rights (CpuState.access): of flat 64-bit code, and of flat data that grows upwards, with the bits that tell them. */
const CODE_RIGHTS = 0x10 | 8 | 4 | 0x80 | 1 | 0x2000 | 0x4000;
const FLAT_CODE = 0x10 | 8 | 0x80 | 1 | 0x2000;
const DATA_RIGHTS = 0x10 | 8 | 4 | 2 | 0x80 | 1;
const FLAT_DATA = 0x10 | 2 | 0x80 | 1;
const CONFORMING_CODE = 8 | 4;
/** Bytes of a stack frame in 64-bit mode without an error code. */
const STACK_FRAME = 40;
/** Numbers of interrupts and of INT n among the kinds of deliveries (cpu/system/context.ts). */
export const KIND_EXTERNAL = 1;
export const KIND_SOFTWARE = 3;

/** Pushes where the frame with index `index` of the CPU whose state is at `owner` is, less CPU_FRAMES. */
const frameAt = (code: CodeBuilder, owner: Local, index: Local): CodeBuilder =>
  code.get(owner).get(index).i32(FRAME_BYTES).op("i32.mul", "i32.add");

/**
 * Function (cpu, vector, budget, kind, flags, record, its upper half): the delivery of `vector` in 64-bit code through an interrupt or trap gate to 64-bit code. KIND_SOFTWARE: INT, RIP being the
 * next instruction's; the instruction is the last of its block, which is paid from the budget. KIND_EXTERNAL: an interrupt at an instruction boundary, where the budget is 0 and the ends of the
 * slice are one beyond what has retired. `flags`: set in the frame beside RFLAGS. What FlatTransfer does (cpu/system/flatTransfer.ts), with the handler's frame (machine/handlerFrames.ts). Returns
 * 1; or 0, with nothing done.
 */
export function interruptFunction(getFlags: number): CodeBuilder {
  const t = new Transfer(7);
  const { code, cpu } = t;
  const [vector, budget, kind, more, record, recordHigh] = [1, 2, 3, 4, 5, 6].map((index) => code.parameter(index));
  const flags = code.local("i32");
  const cpl = code.local("i32");
  const level = code.local("i32");
  const tlb = code.local("i32");
  const address = code.local("i64");
  const gate = code.local("i32");
  const high = code.local("i32");
  const type = code.local("i32");
  const target = code.local("i64");
  const selector = code.local("i32");
  const at = code.local("i32");
  const access = code.local("i32");
  const limit = code.local("i32");
  const rsp = code.local("i64");

  code.block("no");
  t.begin(flags, 0);
  // INT is told to whoever hears of handlers.
  t.word(WORD_REQUEST);
  t.word(WORD_OBSERVED).op("i32.or").i32(0).op("i32.ne").get(kind).i32(KIND_SOFTWARE).op("i32.eq", "i32.and").brIfRare("no");
  t.word(WORD_CPL).set(cpl);
  code.get(vector).i32(4).op("i32.shl").i32(15).op("i32.add");
  t.word(WORD_IDTR_LIMIT).op("i32.gt_u").brIfRare("no");
  t.word(WORD_CALL_TLB).set(tlb);
  t.slot(SLOT_IDTR_BASE).get(vector).i32(4).op("i32.shl", "i64.extend_u", "i64.add").set(address);
  t.find(address, tlb, 16, TLB_READ, gate);
  // The gate: present, an interrupt or trap gate, to be used from here.
  code.get(gate).mem("i32.load", 4).tee(high).i32(0x8e00).op("i32.and").i32(0x8e00).op("i32.ne");
  code.get(high).i32(0x1000).op("i32.and", "i32.or").brIfRare("no");
  code.get(high).i32(8).op("i32.shr_u").i32(1).op("i32.and").set(type);
  code.get(high).i32(13).op("i32.shr_u").i32(3).op("i32.and").get(cpl).op("i32.lt_u");
  code.get(kind).i32(KIND_SOFTWARE).op("i32.eq", "i32.and").brIfRare("no");
  code.get(gate).mem("i32.load", 8).tee(at).op("i64.extend_u").i64(32n).op("i64.shl");
  code.get(high).i32(0xffff0000).op("i32.and").get(gate).mem("i32.load16_u").op("i32.or", "i64.extend_u", "i64.or").set(target);
  t.canonical(at);
  code.get(gate).mem("i32.load16_u", 2).set(selector);
  t.descriptor(selector, tlb, address, at);
  t.rights(at, access);
  code.get(access).i32(CODE_RIGHTS).op("i32.and").i32(FLAT_CODE).op("i32.ne").brIfRare("no");
  // To level 0, or at level 3 to level 3.
  code.get(access).i32(5).op("i32.shr_u").i32(3).op("i32.and").tee(level).if();
  code.get(level).i32(3).op("i32.ne").get(cpl).i32(3).op("i32.ne", "i32.or").brIfRare("no").end();
  t.slot(RSP).set(rsp);
  // The stack: of the task state segment for another level or by IST.
  code.get(high).i32(7).op("i32.and").get(level).get(cpl).op("i32.lt_u", "i32.or").if();
  code.get(high).i32(7).op("i32.and").tee(limit).i32(3).op("i32.shl").i32(28).op("i32.add").i32(4).get(limit).op("select").set(limit);
  t.word(WORD_ACCESS + 4 * TR)
    .i32(UNUSABLE)
    .op("i32.and");
  code.get(limit).i32(7).op("i32.add");
  t.word(WORD_LIMITS + 4 * TR)
    .op("i32.gt_u", "i32.or")
    .brIfRare("no");
  t.slot(SLOT_TR_BASE).get(limit).op("i64.extend_u", "i64.add").set(address);
  t.find(address, tlb, 8, TLB_READ, limit);
  code.get(limit).mem("i64.load").set(rsp).end();
  code.get(rsp).i64(-16n).op("i64.and").i64(BigInt(STACK_FRAME)).op("i64.sub").set(rsp);
  t.userTlb();
  code.get(tlb).get(level).op("select").set(tlb);
  t.find(rsp, tlb, STACK_FRAME, TLB_WRITE, gate);

  // Nothing fails from here on.
  code.get(gate);
  t.slot(SLOT_RIP).mem("i64.store");
  code.get(gate);
  code
    .get(cpu)
    .mem("i64.load16_u", WORD_SELECTORS + 2 * CS)
    .mem("i64.store", 8);
  code
    .get(gate)
    .get(flags)
    .get(more)
    .op("i32.or")
    .get(cpu)
    .call(getFlags)
    .op("i32.wrap", "i32.or")
    .i32(FRAME_FLAGS)
    .op("i32.and", "i64.extend_u")
    .mem("i64.store", 16);
  code.get(gate);
  t.slot(RSP).mem("i64.store", 24);
  code
    .get(gate)
    .get(cpu)
    .mem("i64.load16_u", WORD_SELECTORS + 2 * SS)
    .mem("i64.store", 32);

  noteDelivery(t, vector, kind, gate);
  beginFrame(t, { vector, budget, kind, record, recordHigh, target, rsp, entry: gate });

  code.get(cpu).get(rsp).mem("i64.store", RSP);
  code.get(cpu).get(target).mem("i64.store", SLOT_RIP);
  code.get(level).get(cpl).op("i32.lt_u").if();
  t.nullStack(level, level);
  code.end();
  code.get(selector).i32(0xfffc).op("i32.and").get(level).op("i32.or").set(selector);
  t.segment(CS, selector, at, access, limit);
  code
    .get(cpu)
    .get(flags)
    .i32(~NT)
    .i32(~(NT | IF))
    .get(type)
    .op("select", "i32.and")
    .mem("i32.store", SLOT_RFLAGS);
  code.get(flags).i32(IF).op("i32.and", "i32.eqz").get(type).op("i32.or", "i32.eqz").if();
  noteMask(code, cpu, budget, () => code.get(target));
  code.end();
  t.level(level);
  code.i32(1).op("return").end();
  return code.i32(0);
}

/** Notes the delivery for who asks what the last ones were. */
function noteDelivery(t: Transfer, vector: Local, kind: Local, row: Local): void {
  const { code, cpu } = t;
  t.word(WORD_LOG_COUNT)
    .i32(LOG_KEPT - 1)
    .op("i32.and")
    .i32(LOG_ROW_BYTES)
    .op("i32.mul")
    .get(cpu)
    .op("i32.add")
    .set(row);
  code.get(cpu);
  t.word(WORD_LOG_COUNT).i32(1).op("i32.add").mem("i32.store", WORD_LOG_COUNT);
  code
    .get(row)
    .get(vector)
    .mem("i32.store", LOG_ROWS + LOG_VECTOR);
  code
    .get(row)
    .i32(-1)
    .mem("i32.store", LOG_ROWS + LOG_ERROR_CODE);
  code
    .get(row)
    .get(cpu)
    .mem("i32.load16_u", WORD_SELECTORS + 2 * CS)
    .mem("i32.store", LOG_ROWS + LOG_CS);
  code
    .get(row)
    .get(kind)
    .mem("i32.store", LOG_ROWS + LOG_KIND);
  code.get(row);
  t.slot(SLOT_RIP).mem("i64.store", LOG_ROWS + LOG_RIP);
  code
    .get(row)
    .i64(0n)
    .mem("i64.store", LOG_ROWS + LOG_ADDRESS);
}

/** What a handler's frame is made of, and a local for its address. */
type Entered = Record<"vector" | "budget" | "kind" | "record" | "recordHigh" | "target" | "rsp" | "entry", Local>;

/** The handler's frame, before registers change. */
function beginFrame(t: Transfer, { vector, budget, kind, record, recordHigh, target, rsp, entry }: Entered): void {
  const { code, cpu } = t;
  // At the maximum the outermost is lost.
  t.word(WORD_FRAME_DEPTH).i32(FRAME_COUNT).op("i32.eq").ifRare();
  code.get(cpu).i32(CPU_FRAMES).op("i32.add").get(cpu);
  code
    .i32(CPU_FRAMES + FRAME_BYTES)
    .op("i32.add")
    .i32((FRAME_COUNT - 1) * FRAME_BYTES)
    .memoryCopy();
  t.setWord(WORD_FRAME_DEPTH, FRAME_COUNT - 1);
  code.end();
  t.word(WORD_FRAME_DEPTH).i32(FRAME_BYTES).op("i32.mul").get(cpu).op("i32.add").set(entry);
  code.get(cpu);
  t.word(WORD_FRAME_DEPTH).i32(1).op("i32.add").mem("i32.store", WORD_FRAME_DEPTH);
  const field = (offset: number): number => CPU_FRAMES + offset;
  const store64 = (offset: number, push: () => void): void => {
    code.get(entry);
    push();
    code.mem("i64.store", field(offset));
  };
  store64(FRAME_RIP, () => t.slot(SLOT_RIP));
  store64(FRAME_RSP, () => t.slot(RSP));
  store64(FRAME_HANDLER, () => code.get(target));
  store64(FRAME_HANDLER_RSP, () => code.get(rsp));
  // The instruction itself does not count yet.
  for (const [offset, end] of [
    [FRAME_INSTRUCTION, SLOT_INSTRUCTION_END],
    [FRAME_RETIRED, SLOT_RETIRED_END],
  ])
    store64(offset, () => t.slot(end).get(budget).op("i64.extend_s").i64(1n).op("i64.add", "i64.sub"));
  store64(FRAME_RECORD, () => code.get(recordHigh).op("i64.extend_u").i64(32n).op("i64.shl").get(record).op("i64.extend_u", "i64.or"));
  code.get(entry).get(vector).mem("i32.store16", field(FRAME_VECTOR));
  code.get(entry).get(kind).mem("i32.store16", field(FRAME_KIND));
  code
    .get(entry)
    .get(cpu)
    .mem("i32.load16_u", WORD_SELECTORS + 2 * CS)
    .mem("i32.store", field(FRAME_CS));
}

/**
 * Function (cpu): IRETQ of 64-bit code to 64-bit code, at the same or from level 0 to level 3. What FlatTransfer does, with the end of the handler's frame, whose record goes to `handlerReturned` (localApic.ts):
 * WORD_BUDGET, WORD_OP and WORD_BLOCK are current. Returns 1; or 0, with nothing done.
 */
export function interruptReturnFunction(setFlags: number, handlerReturned: number): CodeBuilder {
  const t = new Transfer(1);
  const { code, cpu } = t;
  const flags = code.local("i32");
  const cpl = code.local("i32");
  const level = code.local("i32");
  const tlb = code.local("i32");
  const address = code.local("i64");
  const frame = code.local("i32");
  const selector = code.local("i32");
  const stackSelector = code.local("i32");
  const codeAt = code.local("i32");
  const dataAt = code.local("i32");
  const codeAccess = code.local("i32");
  const dataAccess = code.local("i32");
  const limit = code.local("i32");
  const owner = code.local("i32");
  const record = code.local("i64");
  const index = code.local("i32");

  code.block("no");
  t.begin(flags, NT);
  t.word(WORD_REQUEST).brIfRare("no");
  t.word(WORD_NMI_BLOCKED).brIfRare("no");
  t.word(WORD_CPL).set(cpl);
  t.slot(RSP).set(address);
  t.word(WORD_TLB).set(tlb);
  t.find(address, tlb, STACK_FRAME, TLB_READ, frame);
  code.get(frame).mem("i32.load", 4).set(limit);
  t.canonical(limit);
  t.word(WORD_CALL_TLB).set(tlb);
  code.get(frame).mem("i32.load16_u", 8).tee(selector).i32(3).op("i32.and").tee(level).get(cpl).op("i32.lt_u").brIfRare("no");
  code.get(level).i32(3).op("i32.ne").get(level).i32(0).op("i32.ne", "i32.and").brIfRare("no");
  t.descriptor(selector, tlb, address, codeAt);
  t.rights(codeAt, codeAccess);
  code.get(codeAccess).i32(CODE_RIGHTS).op("i32.and").i32(FLAT_CODE).op("i32.ne").brIfRare("no");
  t.sameLevel(codeAccess, level);
  code.get(frame).mem("i32.load16_u", 32).tee(stackSelector).i32(3).op("i32.and").get(level).op("i32.ne").brIfRare("no");
  code.i32(0).set(dataAt);
  code.get(stackSelector).i32(0xfffc).op("i32.and").if();
  t.descriptor(stackSelector, tlb, address, dataAt);
  t.rights(dataAt, dataAccess);
  code.get(dataAccess).i32(DATA_RIGHTS).op("i32.and").i32(FLAT_DATA).op("i32.ne").brIfRare("no");
  t.sameLevel(dataAccess, level);
  code.else().get(level).brIfRare("no").end();
  code
    .get(frame)
    .mem("i32.load", 16)
    .i32(FRAME_FLAGS)
    .op("i32.and")
    .i32(2)
    .op("i32.or")
    .tee(limit)
    .i32(~ORDINARY)
    .op("i32.and")
    .brIfRare("no");
  // Only level 0 changes IF: IOPL is 0.
  code.get(limit).i32(~IF).op("i32.and").get(flags).i32(IF).op("i32.and", "i32.or").get(limit).get(cpl).op("select").set(flags);
  // What clears IF is noted by the host.
  t.word(SLOT_RFLAGS).get(flags).i32(-1).op("i32.xor", "i32.and").i32(IF).op("i32.and", "i32.eqz", "i32.eqz");
  t.word(WORD_OBSERVED).i32(OBSERVED_MASK).op("i32.and", "i32.eqz", "i32.eqz", "i32.and").brIfRare("no");
  // What the outer level may not keep is lost on the way there: it must be lost already.
  code.get(level).get(cpl).op("i32.ne").if();
  for (const segment of [0, 3, FS, FS + 1]) keepsSegment(t, segment, limit);
  code.end();

  findFrame(t, frame, owner, index);
  code.get(index).i32(0).op("i32.ge_s").if();
  frameAt(code, owner, index)
    .mem("i64.load", CPU_FRAMES + FRAME_RECORD)
    .set(record);
  code.get(owner).get(index).mem("i32.store", WORD_FRAME_DEPTH).end();

  code.get(cpu).get(frame).mem("i64.load").mem("i64.store", SLOT_RIP);
  code.get(cpu).get(frame).mem("i64.load", 24).mem("i64.store", RSP);
  t.segment(CS, selector, codeAt, codeAccess, limit);
  code.get(dataAt).if();
  t.segment(SS, stackSelector, dataAt, dataAccess, limit);
  code.else();
  t.nullStack(level, stackSelector);
  code.end();
  code.get(cpu).get(flags).op("i64.extend_u").call(setFlags);
  code.get(cpu).get(flags).i32(~STATUS).op("i32.and").mem("i32.store", SLOT_RFLAGS);
  t.level(level);
  code.get(record).op("i64.eqz", "i32.eqz").if();
  code.get(cpu).get(record).op("i32.wrap").get(record).i64(32n).op("i64.shr_u", "i32.wrap").call(handlerReturned).end();
  code.i32(1).op("return").end();
  return code.i32(0);
}

/** Goes to "no" unless segment register `segment` stays as it is on the way to level 3: conforming code, DPL 3, or lost before. */
function keepsSegment(t: Transfer, segment: number, access: Local): void {
  const { code, cpu } = t;
  t.word(WORD_ACCESS + 4 * segment)
    .tee(access)
    .i32(UNUSABLE)
    .op("i32.eq")
    .if();
  code.get(cpu).mem("i32.load16_u", WORD_SELECTORS + 2 * segment);
  t.word(WORD_LIMITS + 4 * segment).op("i32.or");
  if (segment < FS)
    t.slot(SLOT_SEG_BASE + 8 * segment)
      .i64(0n)
      .op("i64.ne", "i32.or");
  code.brIfRare("no").else();
  code.get(access).i32(UNUSABLE).op("i32.and").brIfRare("no");
  code.get(access).i32(CONFORMING_CODE).op("i32.and").i32(CONFORMING_CODE).op("i32.ne");
  code.get(access).i32(0x60).op("i32.and").i32(0x60).op("i32.ne", "i32.and").brIfRare("no").end();
}

/**
 * Finds the handler whose frame the stack pointer in `frame` goes back to, as HandlerFrames.returned does: innermost first on this CPU; else what is passed there, outermost first; else, in order,
 * on the others. Leaves the state of its CPU in `owner` and its index in `index`, -1 for none.
 */
function findFrame(t: Transfer, frame: Local, owner: Local, index: Local): void {
  const { code, cpu } = t;
  const other = code.local("i32");
  const bottom = code.local("i64");
  const scan = (found: string): void => {
    const loop = `${found} loop`;
    code.get(owner).mem("i32.load", WORD_FRAME_DEPTH).set(index);
    code.loop(loop);
    code.get(index).i32(1).op("i32.sub").tee(index).i32(0).op("i32.ge_s").if();
    frameAt(code, owner, index).mem("i64.load", CPU_FRAMES + FRAME_RSP);
    code.get(frame).mem("i64.load", 24).op("i64.eq").brIf(found).br(loop).end();
    code.end();
  };
  code.block("found");
  code.get(cpu).set(owner);
  scan("found");
  code.i32(-1).set(index);
  code.loop("passed");
  code.get(index).i32(1).op("i32.add").tee(index);
  t.word(WORD_FRAME_DEPTH).op("i32.lt_s").if();
  frameAt(code, cpu, index).set(other);
  code
    .get(other)
    .mem("i64.load", CPU_FRAMES + FRAME_HANDLER_RSP)
    .set(bottom);
  /** Pushes whether the stack pointer on the stack lies above the frame's bottom, and how far. */
  const above = (push: () => void): void => {
    push();
    code.get(bottom).op("i64.gt_s");
    push();
    code.get(bottom).op("i64.sub");
  };
  above(() => code.get(other).mem("i64.load", CPU_FRAMES + FRAME_RSP));
  code.i64(BigInt(LARGEST_PUSH)).op("i64.gt_u", "i32.and").brIf("passed");
  above(() => code.get(frame).mem("i64.load", 24));
  code.i64(BigInt(ONE_STACK)).op("i64.le_u", "i32.and").brIf("found").br("passed").end();
  code.end();
  code.i32(0).set(other);
  code.loop("others");
  code.get(other);
  t.word(WORD_CPUS).op("i32.lt_s").if();
  // The state blocks of the CPUs lie one after the other.
  code.get(cpu).get(other);
  t.word(WORD_CPU_INDEX).op("i32.sub").i32(CPU_STRIDE).op("i32.mul", "i32.add").tee(owner).get(cpu).op("i32.ne").if();
  scan("found");
  code.end();
  code.get(other).i32(1).op("i32.add").set(other).br("others").end().end();
  code.i32(-1).set(index).end();
}
