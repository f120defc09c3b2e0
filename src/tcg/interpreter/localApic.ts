// What the engine does of a CPU's local APIC (apic/localApic.ts and interruptHandling.ts, which define it): interrupts to oneself and their ends.
import { DEAD_COUNT } from "../codeCache";
import {
  APIC_HOST,
  APIC_ICR_LOW,
  APIC_ID,
  APIC_INTR,
  APIC_IRR,
  APIC_ISR,
  APIC_REGISTERS,
  APIC_SEND_NOT_LOOKED_AT,
  APIC_TMR,
  APIC_TPR,
  BLOCK_COUNT,
  BLOCK_HEADER_BYTES,
  BLOCK_RIP,
  BLOCK_TABLES,
  JOURNAL_ACCEPTED,
  JOURNAL_COMPLETE,
  JOURNAL_COUNT,
  JOURNAL_DELIVERED,
  JOURNAL_ENDED,
  JOURNAL_KEPT,
  JOURNAL_NEXT_ID,
  JOURNAL_REQUESTED,
  JOURNAL_RETURNED,
  JOURNAL_ROW_BYTES,
  JOURNAL_ROWS,
  JOURNAL_SERVED,
  OP_BYTES,
  ROW_APIC_ID,
  ROW_CPU,
  ROW_END_INSTRUCTION,
  ROW_END_RIP,
  ROW_INSTRUCTION,
  ROW_KIND,
  ROW_RECORD,
  ROW_RETIRED,
  ROW_RETURN,
  ROW_RETURN_INSTRUCTION,
  ROW_RETURN_RIP,
  ROW_RIP,
  ROW_VECTOR,
  SLOT_FRESH,
  SLOT_INSTRUCTION_END,
  SLOT_RETIRED_END,
  SLOT_RFLAGS,
  SLOT_RIP,
  TLB_PHYSICAL_PAGE,
  TLB_SLOW,
  TLB_WRITE,
  WORD_APIC_PAGE,
  WORD_BLOCK,
  WORD_BUDGET,
  WORD_CPU_INDEX,
  WORD_INTR,
  WORD_JOURNAL,
  WORD_OBSERVED,
  WORD_OP,
  WORD_REQUEST,
  WORD_SHADOW,
  WORD_SUPERVISOR_MODE,
  WORD_TAKEN,
  WORD_TLB,
} from "../layout";
import { CodeBuilder, type Local, type ValueType } from "../wasm/code";
import { IF } from "./flatTransfer";
import { KIND_EXTERNAL } from "./transfers";
import { toTlbOffset } from "./tlbEntry";

/** Results of the store. */
export const STORE_OTHER = 0;
export const STORE_DONE = 1;
/** The CPU is at the first instruction of a handler: WORD_BUDGET and SLOT_RIP are current. */
export const STORE_DELIVERED = 2;

const EOI = 0xb0;
const ICR = 0x300;
/** Bits of ICR's low half that are kept, and those that say who is meant and how: fixed, to oneself. */
const ICR_WRITABLE = 0xccfff;
const ICR_KIND = 0xc0700;
const ICR_SELF = 0x40000;
/** Vectors below are errors. */
const FIRST_VECTOR = 16;

/** Address of a register, less that of the CPU's state. */
const register = (index: number): number => APIC_REGISTERS + 4 * index;

/** Function (first word of a 256-bit register): its highest bit, -1 if it is empty. */
export function highestVectorFunction(): CodeBuilder {
  const code = new CodeBuilder(["i32"], ["i32"]);
  const bits = code.parameter(0);
  const half = code.local("i64");
  for (const quarter of [3, 2, 1, 0]) {
    code
      .get(bits)
      .mem("i64.load", 8 * quarter)
      .tee(half)
      .op("i64.eqz", "i32.eqz")
      .if();
    code
      .i32(64 * quarter + 63)
      .get(half)
      .op("i64.clz", "i32.wrap", "i32.sub", "return")
      .end();
  }
  return code.i32(-1);
}

/** A function under construction that writes to the journal: the row after the last one. */
class Journaling {
  readonly code: CodeBuilder;
  readonly cpu: Local;
  readonly journal: Local;
  readonly row: Local;

  constructor(parameters: readonly ValueType[], results: readonly ValueType[]) {
    this.code = new CodeBuilder(parameters, results);
    this.cpu = this.code.parameter(0);
    this.journal = this.code.local("i32");
    this.row = this.code.local("i32");
  }

  word(offset: number): CodeBuilder {
    return this.code.get(this.cpu).mem("i32.load", offset);
  }

  setWord(offset: number, value: number): void {
    this.code.get(this.cpu).i32(value).mem("i32.store", offset);
  }

  /** Goes to `full` where the journal has no room, else makes `row` the next one's address. */
  next(full: string): void {
    const { code, journal, row } = this;
    this.word(WORD_JOURNAL).tee(journal).mem("i32.load", JOURNAL_COUNT).tee(row).i32(JOURNAL_KEPT).op("i32.ge_u").brIfRare(full);
    code.get(row).i32(JOURNAL_ROW_BYTES).op("i32.mul").get(journal).op("i32.add").set(row);
  }

  /** Writes how many instructions were retired, by what their counts are at the end of the slice, `left` being left of it with the present one. */
  private stamp(field: number, end: number, left: Local): void {
    const { code, cpu, row } = this;
    code
      .get(row)
      .get(cpu)
      .mem("i64.load", end)
      .get(left)
      .op("i64.extend_u", "i64.sub", "f64.convert_u")
      .mem("f64.store", JOURNAL_ROWS + field);
  }

  private ripAt(field: number, rip: Local): void {
    const { code, row } = this;
    code
      .get(row)
      .get(rip)
      .mem("i64.store", JOURNAL_ROWS + field);
  }

  /** The row is complete but for these: `left` instructions of the slice, with the present one, are left. */
  enter(rip: Local, left: Local): void {
    const { code, row, journal } = this;
    this.ripAt(ROW_RIP, rip);
    this.stamp(ROW_INSTRUCTION, SLOT_INSTRUCTION_END, left);
    this.stamp(ROW_RETIRED, SLOT_RETIRED_END, left);
    code.get(row);
    this.word(WORD_CPU_INDEX).mem("i32.store", JOURNAL_ROWS + ROW_CPU);
    code.get(journal).get(journal).mem("i32.load", JOURNAL_COUNT).i32(1).op("i32.add").mem("i32.store", JOURNAL_COUNT);
  }

  /** Whether the last row is of this kind, and `same` says that it is of the present interrupt: it becomes one of kind `becomes`, and `row` its address. Begins an `if`. */
  ifLast(kind: number, becomes: number, same: () => void): void {
    const { code, row } = this;
    // In front of the first row there are zeros, which no kind is.
    code
      .get(row)
      .mem("i32.load", JOURNAL_ROWS + ROW_KIND - JOURNAL_ROW_BYTES)
      .i32(kind)
      .op("i32.eq");
    same();
    code.op("i32.and").if();
    code.get(row).i32(JOURNAL_ROW_BYTES).op("i32.sub").set(row);
    this.kind(becomes);
  }

  /** Completes the row that {@link ifLast} has found. */
  complete(instruction: number, ripField: number, rip: Local, left: Local): void {
    this.ripAt(ripField, rip);
    this.stamp(instruction, SLOT_INSTRUCTION_END, left);
  }

  kind(kind: number): void {
    this.code
      .get(this.row)
      .i32(kind)
      .mem("i32.store", JOURNAL_ROWS + ROW_KIND);
  }
}

/**
 * Function (cpu, record, its upper half): an IRET has ended the handler of the interrupt with this record, WORD_BUDGET and WORD_BLOCK being current, whose last instruction it is. Enters it into
 * the journal; calls env.returned where the host wants to know at once.
 */
export function handlerReturnedFunction(returned: number): CodeBuilder {
  const j = new Journaling(["i32", "i32", "i32"], []);
  const { code } = j;
  const [record, recordHigh] = [1, 2].map((index) => code.parameter(index));
  const block = code.local("i32");
  const count = code.local("i32");
  const left = code.local("i32");
  const rip = code.local("i64");
  const id = code.local("f64");
  code.block("host");
  j.word(register(APIC_HOST)).brIfRare("host");
  j.word(WORD_BLOCK).tee(block).mem("i32.load", BLOCK_COUNT).tee(count).i32(DEAD_COUNT).op("i32.eq").brIfRare("host");
  j.next("host");
  // The offset of the last of `count` instructions.
  code.get(block).mem("i32.load", BLOCK_TABLES).get(count).i32(2).op("i32.shl", "i32.add").i32(2).op("i32.sub");
  code.mem("i64.load16_u").get(block).mem("i64.load", BLOCK_RIP).op("i64.add").set(rip);
  j.word(WORD_BUDGET).i32(1).op("i32.add").set(left);
  code.get(recordHigh).op("i64.extend_u").i64(32n).op("i64.shl").get(record).op("i64.extend_u", "i64.or", "f64.convert_u").set(id);
  j.ifLast(JOURNAL_SERVED, JOURNAL_COMPLETE, () =>
    code
      .get(j.row)
      .mem("f64.load", JOURNAL_ROWS + ROW_RECORD - JOURNAL_ROW_BYTES)
      .get(id)
      .op("f64.eq"),
  );
  j.complete(ROW_RETURN_INSTRUCTION, ROW_RETURN_RIP, rip, left);
  code.else();
  j.kind(JOURNAL_RETURNED);
  code
    .get(j.row)
    .get(id)
    .mem("f64.store", JOURNAL_ROWS + ROW_RECORD);
  j.enter(rip, left);
  code.end();
  code.op("return").end();
  return code.get(record).get(recordHigh).call(returned).op("drop");
}

/** Functions of the module that the store is made of. */
export interface ApicCallees {
  /** (address): highest bit of a 256-bit register. */
  readonly highestVector: number;
  /** The delivery of an interrupt (transfers.ts). */
  readonly interrupt: number;
}

/**
 * Function (cpu, address, value), with WORD_BUDGET, WORD_OP and WORD_BLOCK current: a store of 32 bits by 64-bit code that misses the fast path. Done are, on the CPU's own page of registers: EOI of
 * an edge-triggered vector after which nothing else is to be taken, and ICR for a fixed interrupt to oneself, which is delivered at once where it can be. STORE_OTHER: nothing is done, and the host has to.
 */
export function apicStoreFunction({ highestVector, interrupt }: ApicCallees): CodeBuilder {
  const j = new Journaling(["i32", "i64", "i32"], ["i32"]);
  const { code, cpu, journal, row } = j;
  const address = code.parameter(1);
  const value = code.parameter(2);
  const low = code.local("i32");
  const entry = code.local("i32");
  const block = code.local("i32");
  const count = code.local("i32");
  const tables = code.local("i32");
  const index = code.local("i32");
  const end = code.local("i32");
  const middle = code.local("i32");
  const op = code.local("i32");
  const left = code.local("i32");
  const rip = code.local("i64");
  const vector = code.local("i32");
  const bit = code.local("i32");
  /** Address of the word of a 256-bit register that has the vector's bit, less that of the register. */
  const word = code.local("i32");
  const pending = code.local("i32");
  const top = code.local("i32");
  const deliverable = code.local("i32");
  const result = code.local("i32");

  /** Leaves the highest bit of a 256-bit register in `into`, -1 where it is empty, as most are. */
  const highest = (first: number, into: Local): void => {
    code.i32(-1).set(into);
    for (const quarter of [0, 1, 2, 3]) code.get(cpu).mem("i64.load", register(first) + 8 * quarter);
    code.op("i64.or", "i64.or", "i64.or", "i64.eqz", "i32.eqz").if();
    code.get(cpu).i32(register(first)).op("i32.add").call(highestVector).set(into).end();
  };
  const load = (first: number): CodeBuilder => code.get(word).mem("i32.load", register(first));
  /** Sets or clears the vector's bit. */
  const change = (first: number, set: boolean): void => {
    code.get(word);
    load(first).get(bit);
    if (!set) code.i32(-1).op("i32.xor");
    code.op(set ? "i32.or" : "i32.and").mem("i32.store", register(first));
  };
  const setVector = (): void => {
    code.get(vector).i32(5).op("i32.shr_u").i32(2).op("i32.shl").get(cpu).op("i32.add").set(word);
    code.i32(1).get(vector).op("i32.shl").set(bit);
  };
  /** Leaves in `deliverable` whether the class of the vector in `of`, if it is one, is above the processor's priority. */
  const compare = (of: Local): void => {
    highest(APIC_ISR, top);
    code.get(of).i32(4).op("i32.shr_s").tee(deliverable);
    j.word(register(APIC_TPR)).i32(4).op("i32.shr_u", "i32.gt_s").get(deliverable);
    code.get(top).i32(4).op("i32.shr_s", "i32.gt_s", "i32.and").set(deliverable);
  };
  /** Address of instruction `at`'s entry in the table of first ops. */
  const tableEntry = (at: Local): CodeBuilder => code.get(at).i32(1).op("i32.shl").get(tables).op("i32.add");
  /** Pushes RIP of the instruction whose entry in the table of first ops is on the stack, `more` instructions on. */
  const ripOf = (more: number): CodeBuilder =>
    code
      .get(count)
      .i32(1)
      .op("i32.shl", "i32.add")
      .mem("i64.load16_u", 2 * more)
      .get(block)
      .mem("i64.load", BLOCK_RIP)
      .op("i64.add");

  code.block("no");
  j.word(register(APIC_HOST));
  j.word(WORD_OBSERVED).op("i32.or");
  j.word(WORD_SUPERVISOR_MODE).op("i32.eqz", "i32.or");
  // Nothing is left where the slice ends, or was made to end, in this block.
  j.word(WORD_BUDGET).op("i32.eqz", "i32.or").brIf("no");
  code.get(address).op("i32.wrap").tee(low).i32(15).op("i32.and").brIfRare("no");
  toTlbOffset(code.get(low));
  j.word(WORD_TLB).op("i32.add").tee(entry).mem("i32.load", TLB_PHYSICAL_PAGE);
  j.word(WORD_APIC_PAGE).tee(end).op("i32.ne").get(end).op("i32.eqz", "i32.or").brIf("no");
  code.get(entry).mem("i64.load", TLB_WRITE).get(address).i64(-4096n).op("i64.and").i64(TLB_SLOW).op("i64.or", "i64.ne").brIfRare("no");
  code.get(low).i32(0xff0).op("i32.and").tee(low).i32(EOI).op("i32.ne");
  code.get(low).i32(ICR).op("i32.ne", "i32.and").brIfRare("no");
  j.next("no");

  // The instruction: the last one whose first op is not behind this one.
  j.word(WORD_BLOCK).tee(block).mem("i32.load", BLOCK_COUNT).tee(count).i32(DEAD_COUNT).op("i32.eq").brIfRare("no");
  code.get(block).mem("i32.load", BLOCK_TABLES).set(tables);
  j.word(WORD_OP).get(block).op("i32.sub").i32(BLOCK_HEADER_BYTES).op("i32.sub").i32(Math.log2(OP_BYTES)).op("i32.shr_u").set(op);
  code.get(count).i32(1).op("i32.sub").set(end);
  code.i32(0).set(index).loop("search");
  code.get(index).get(end).op("i32.lt_u").if();
  code.get(index).get(end).op("i32.add").i32(1).op("i32.add").i32(1).op("i32.shr_u").set(middle);
  tableEntry(middle).mem("i32.load16_u").get(op).op("i32.le_u").if();
  code.get(middle).set(index).else();
  code.get(middle).i32(1).op("i32.sub").set(end).end();
  code.br("search").end().end();
  tableEntry(index);
  ripOf(0).set(rip);
  j.word(WORD_BUDGET).get(count).op("i32.add").get(index).op("i32.sub").set(left);
  code.i32(STORE_DONE).set(result);

  code.get(low).i32(EOI).op("i32.eq").if();
  highest(APIC_ISR, vector);
  code.get(vector).i32(0).op("i32.lt_s").brIfRare("no");
  setVector();
  // The I/O APICs hear of the end of what is level-triggered.
  load(APIC_TMR).get(bit).op("i32.and").brIfRare("no");
  change(APIC_ISR, false);
  highest(APIC_IRR, pending);
  code.get(pending).i32(0).op("i32.ge_s").if();
  compare(pending);
  code.get(deliverable).if();
  change(APIC_ISR, true);
  code.br("no").end().end();
  j.ifLast(JOURNAL_DELIVERED, JOURNAL_SERVED, () =>
    code
      .get(row)
      .mem("i32.load", JOURNAL_ROWS + ROW_VECTOR - JOURNAL_ROW_BYTES)
      .get(vector)
      .op("i32.eq"),
  );
  j.complete(ROW_END_INSTRUCTION, ROW_END_RIP, rip, left);
  code.get(result).op("return").end();
  j.kind(JOURNAL_ENDED);

  code.else();
  code.get(value).i32(ICR_WRITABLE).op("i32.and").tee(value).i32(ICR_KIND).op("i32.and").i32(ICR_SELF).op("i32.ne").brIfRare("no");
  code.get(value).i32(0xff).op("i32.and").tee(vector).i32(FIRST_VECTOR).op("i32.lt_u").brIfRare("no");
  setVector();
  load(APIC_IRR).get(bit).op("i32.and").brIfRare("no");
  compare(vector);
  highest(APIC_IRR, pending);
  code.get(vector).get(pending).op("i32.gt_s").get(deliverable).op("i32.and").set(deliverable);
  code.get(deliverable);
  j.word(SLOT_RFLAGS).i32(IF).op("i32.and").i32(0).op("i32.ne", "i32.and").if();
  // Taken after this instruction, of which nothing may be left to do.
  j.word(WORD_REQUEST).brIfRare("no");
  code.get(index).i32(1).op("i32.add").get(count).op("i32.ge_u").brIfRare("no");
  tableEntry(index).mem("i32.load16_u", 2).get(op).i32(1).op("i32.add", "i32.ne").brIfRare("no");
  code.get(cpu);
  tableEntry(index);
  ripOf(1).mem("i64.store", SLOT_RIP);
  code.get(row);
  code
    .get(cpu)
    .mem("i64.load", SLOT_RIP)
    .mem("i64.store", JOURNAL_ROWS + ROW_RETURN);
  // The delivery takes an instruction off that is none here.
  code.get(cpu).get(vector).get(left).i32(2).op("i32.sub").i32(KIND_EXTERNAL).i32(0);
  code
    .get(journal)
    .mem("i32.load", JOURNAL_NEXT_ID)
    .get(journal)
    .mem("i32.load", JOURNAL_NEXT_ID + 4);
  code.call(interrupt).op("i32.eqz").brIfRare("no");
  change(APIC_ISR, true);
  code.get(cpu).get(left).i32(1).op("i32.sub").mem("i32.store", WORD_BUDGET);
  code.get(cpu).get(cpu).mem("i64.load", SLOT_RETIRED_END);
  j.word(WORD_BUDGET).op("i64.extend_u", "i64.sub").mem("i64.store", SLOT_FRESH);
  j.setWord(WORD_SHADOW, -1);
  code.get(cpu);
  j.word(WORD_TAKEN).i32(1).op("i32.add").mem("i32.store", WORD_TAKEN);
  j.kind(JOURNAL_DELIVERED);
  code.i32(STORE_DELIVERED).set(result);
  code.else();
  change(APIC_IRR, true);
  j.kind(JOURNAL_ACCEPTED);
  code.get(deliverable).if();
  j.kind(JOURNAL_REQUESTED);
  for (const at of [register(APIC_INTR), WORD_INTR, WORD_REQUEST]) j.setWord(at, 1);
  code.end().end();
  change(APIC_TMR, false);
  code.get(cpu).get(value).mem("i32.store", register(APIC_ICR_LOW));
  j.setWord(register(APIC_SEND_NOT_LOOKED_AT), 1);
  code.get(row);
  j.word(register(APIC_ID))
    .i32(24)
    .op("i32.shr_u")
    .mem("i32.store", JOURNAL_ROWS + ROW_APIC_ID);
  code
    .get(row)
    .get(journal)
    .mem("i64.load", JOURNAL_NEXT_ID)
    .op("f64.convert_u")
    .mem("f64.store", JOURNAL_ROWS + ROW_RECORD);
  code.get(journal).get(journal).mem("i64.load", JOURNAL_NEXT_ID).i64(1n).op("i64.add").mem("i64.store", JOURNAL_NEXT_ID);
  code.end();

  code
    .get(row)
    .get(vector)
    .mem("i32.store", JOURNAL_ROWS + ROW_VECTOR);
  j.enter(rip, left);
  code.get(result).op("return").end();
  return code.i32(STORE_OTHER);
}
