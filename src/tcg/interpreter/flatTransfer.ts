// Pieces of transfers of control between flat 64-bit code: SYSCALL and SYSRET (fastCalls.ts), deliveries and IRET (transfers.ts).
import {
  CPU_STATE_BYTES,
  MMU_USER,
  OBSERVED_ALL,
  OBSERVED_MASK,
  SLOT_GDTR_BASE,
  SLOT_INSTRUCTION_END,
  SLOT_MASK_INSTRUCTION,
  SLOT_MASK_RETIRED,
  SLOT_MASK_RIP,
  SLOT_RETIRED_END,
  SLOT_RFLAGS,
  SLOT_SEG_BASE,
  SLOT_SEG_LIMIT_R,
  SLOT_SEG_LIMIT_W,
  TLB_ADDEND,
  TLB_ENTRIES,
  TLB_ENTRY_BYTES,
  TLB_READ,
  WORD_ACCESS,
  WORD_CALL_TLB,
  WORD_CPL,
  WORD_FETCH,
  WORD_GDTR_LIMIT,
  WORD_LIMITS,
  WORD_MODE,
  WORD_OBSERVED,
  WORD_SELECTORS,
  WORD_SUPERVISOR_MODE,
  WORD_TLB,
  WORD_USER_MODE,
} from "../layout";
import { CodeBuilder, type Local } from "../wasm/code";
import { toTlbOffset } from "./tlbEntry";

/** Numbers of segment registers. */
export const CS = 1;
export const SS = 2;
/** RFLAGS bits: the six status flags, IF, and those that make a transfer anything but ordinary: TF, IOPL, RF, VM, AC. */
export const STATUS = 0x8d5;
export const IF = 0x200;
export const SPECIAL = 0x100 | 0x3000 | 0x10000 | 0x20000 | 0x40000;
/** What a return may load here: the status flags, IF, DF, ID. */
export const ORDINARY = STATUS | IF | 0x400 | 0x200000 | 2;
/** Access rights (CpuState.access) of a register that has no segment. */
export const UNUSABLE = 0x10000;
const NULL_STACK = 0x93 | 0x4000 | UNUSABLE;
/** Bit of the mode for linear addresses of 57 bits. */
const LA57_SHIFT = 20;

/**
 * Pushes whether an address, whose upper half is on the stack, is not canonical: the bits from the highest significant one on are all equal, so that their sum with 1 is 0 or 1.
 */
export function isNotCanonical(code: CodeBuilder, cpu: Local): CodeBuilder {
  return code
    .i32(15)
    .i32(24)
    .get(cpu)
    .mem("i32.load", WORD_MODE)
    .i32(1 << LA57_SHIFT)
    .op("i32.and", "i32.eqz", "select", "i32.shr_s")
    .i32(1)
    .op("i32.add")
    .i32(1)
    .op("i32.gt_u");
}

/** Puts a selector into segment register `number`, with base 0; limit and rights are to follow. */
export function beginSegment(code: CodeBuilder, cpu: Local, number: number, selector: Local): void {
  code
    .get(cpu)
    .get(selector)
    .mem("i32.store16", WORD_SELECTORS + 2 * number);
  code
    .get(cpu)
    .i64(0n)
    .mem("i64.store", SLOT_SEG_BASE + 8 * number);
}

/**
 * IF has just been cleared, by the instruction (or at the one) at the RIP that `pushRip` pushes: notes it where that is wanted (cpu/maskCause.ts). `budget`: after the instruction, which is the last of its
 * block and does not count itself.
 */
export function noteMask(code: CodeBuilder, cpu: Local, budget: Local, pushRip: () => void): void {
  code.get(cpu).mem("i32.load", WORD_OBSERVED).i32(OBSERVED_MASK).op("i32.and").ifRare();
  code.get(cpu);
  pushRip();
  code.mem("i64.store", SLOT_MASK_RIP);
  for (const [slot, end] of [
    [SLOT_MASK_INSTRUCTION, SLOT_INSTRUCTION_END],
    [SLOT_MASK_RETIRED, SLOT_RETIRED_END],
  ])
    code.get(cpu).get(cpu).mem("i64.load", end).get(budget).op("i64.extend_s").i64(1n).op("i64.add", "i64.sub").mem("i64.store", slot);
  code.end();
}

/** What a delivery and IRET are made of. Label "no": not the ordinary case. */
export class Transfer {
  readonly code: CodeBuilder;
  readonly cpu: Local;
  private readonly entry: Local;
  private readonly low: Local;

  constructor(parameters: number) {
    this.code = new CodeBuilder(new Array<"i32">(parameters).fill("i32"), ["i32"]);
    this.cpu = this.code.parameter(0);
    this.entry = this.code.local("i32");
    this.low = this.code.local("i32");
  }

  word(offset: number): CodeBuilder {
    return this.code.get(this.cpu).mem("i32.load", offset);
  }

  slot(offset: number): CodeBuilder {
    return this.code.get(this.cpu).mem("i64.load", offset);
  }

  setWord(offset: number, value: Local | number): void {
    this.code.get(this.cpu);
    if (typeof value === "number") this.code.i32(value);
    else this.code.get(value);
    this.code.mem("i32.store", offset);
  }

  /** What is the case for all transfers: nobody hears of each, 64-bit code, flags of the common kind. Leaves RFLAGS without the status flags in `flags`. */
  begin(flags: Local, more: number): void {
    const { code } = this;
    this.word(WORD_OBSERVED).i32(OBSERVED_ALL).op("i32.and");
    this.word(WORD_SUPERVISOR_MODE).op("i32.eqz", "i32.or");
    this.word(SLOT_RFLAGS)
      .tee(flags)
      .i32(SPECIAL | more)
      .op("i32.and", "i32.or");
    code.brIfRare("no");
  }

  /** Where in memory the `size` bytes at linear address `address` are, which the TLB at `tlb` has for the fast path on one page, as words. */
  find(address: Local, tlb: Local, size: number, tag: number, into: Local): void {
    const { code, entry, low } = this;
    code.get(address).op("i32.wrap").tee(low).i32(3).op("i32.and").brIfRare("no");
    code
      .get(low)
      .i32(0xfff)
      .op("i32.and")
      .i32(4096 - size)
      .op("i32.gt_u")
      .brIfRare("no");
    toTlbOffset(code.get(low)).get(tlb).op("i32.add").tee(entry).mem("i64.load", tag);
    code.get(address).i64(-4096n).op("i64.and", "i64.ne").brIfRare("no");
    code.get(low).get(entry).mem("i32.load", TLB_ADDEND).op("i32.add").set(into);
  }

  /** Leaves the access rights of the descriptor at `at` in `access`: its base is 0. */
  rights(at: Local, access: Local): void {
    const { code } = this;
    code.get(at).mem("i32.load").i32(16).op("i32.shr_u");
    code.get(at).mem("i32.load", 4).i32(0xff0000ff).op("i32.and", "i32.or").brIfRare("no");
    code.get(at).mem("i32.load", 4).i32(8).op("i32.shr_u").i32(0xf0ff).op("i32.and").set(access);
  }

  /** Goes to "no" unless the DPL of `access` is `level`. */
  sameLevel(access: Local, level: Local): void {
    this.code.get(access).i32(5).op("i32.shr_u").i32(3).op("i32.and").get(level).op("i32.ne").brIfRare("no");
  }

  /** Leaves where the descriptor that `selector` names in the GDT is in `at`. */
  descriptor(selector: Local, tlb: Local, address: Local, at: Local): void {
    const { code, low } = this;
    code.get(selector).i32(0xfff8).op("i32.and").tee(low).op("i32.eqz");
    code.get(selector).i32(4).op("i32.and", "i32.or").brIfRare("no");
    code.get(low).i32(7).op("i32.add");
    this.word(WORD_GDTR_LIMIT).op("i32.gt_u").brIfRare("no");
    this.slot(SLOT_GDTR_BASE).get(low).op("i64.extend_u", "i64.add").set(address);
    this.find(address, tlb, 8, TLB_READ, at);
  }

  /** Goes to "no" unless an address with upper half `high` is canonical. */
  canonical(high: Local): void {
    isNotCanonical(this.code.get(high), this.cpu).brIfRare("no");
  }

  /** Loads segment register `number` with a flat segment that the descriptor at `at` describes. */
  segment(number: number, selector: Local, at: Local, access: Local, limit: Local): void {
    const { code, cpu } = this;
    // The limit in bytes, inclusive.
    code.get(at).mem("i32.load").i32(0xffff).op("i32.and").get(at).mem("i32.load", 4).i32(0xf0000).op("i32.and", "i32.or").set(limit);
    code.get(limit).i32(12).op("i32.shl").i32(0xfff).op("i32.or").get(limit);
    code
      .get(at)
      .mem("i32.load", 4)
      .i32(1 << 23)
      .op("i32.and", "select")
      .set(limit);
    beginSegment(code, cpu, number, selector);
    this.setWord(WORD_LIMITS + 4 * number, limit);
    this.setWord(WORD_ACCESS + 4 * number, access);
    // Readable code, or data; writable data.
    code.get(cpu).get(limit).op("i64.extend_u").i64(1n).op("i64.add").i64(0n).get(access).i32(2).op("i32.and", "select");
    code.mem("i64.store", SLOT_SEG_LIMIT_R + 8 * number);
    code.get(cpu);
    if (number === SS) code.get(limit).op("i64.extend_u").i64(1n).op("i64.add");
    else code.i64(0n);
    code.mem("i64.store", SLOT_SEG_LIMIT_W + 8 * number);
  }

  /** Loads SS with a null selector whose RPL is the level. */
  nullStack(level: Local, selector: Local): void {
    const { code, cpu } = this;
    code
      .get(cpu)
      .get(selector)
      .mem("i32.store16", WORD_SELECTORS + 2 * SS);
    for (const slot of [SLOT_SEG_BASE, SLOT_SEG_LIMIT_R, SLOT_SEG_LIMIT_W])
      code
        .get(cpu)
        .i64(0n)
        .mem("i64.store", slot + 8 * SS);
    this.setWord(WORD_LIMITS + 4 * SS, 0);
    code
      .get(cpu)
      .get(level)
      .i32(5)
      .op("i32.shl")
      .i32(NULL_STACK)
      .op("i32.or")
      .mem("i32.store", WORD_ACCESS + 4 * SS);
  }

  /** What follows from the level: 0 or 3. */
  level(level: Local): void {
    const { code, cpu } = this;
    this.setWord(WORD_CPL, level);
    code.get(cpu).get(level).i32(0).op("i32.ne").mem("i32.store", WORD_FETCH);
    code.get(cpu);
    this.word(WORD_USER_MODE);
    this.word(WORD_SUPERVISOR_MODE).get(level).op("select").mem("i32.store", WORD_MODE);
    code.get(cpu);
    this.userTlb();
    this.word(WORD_CALL_TLB).get(level).op("select").mem("i32.store", WORD_TLB);
  }

  /** Pushes the address of the TLB of user accesses. */
  userTlb(): void {
    this.code
      .get(this.cpu)
      .i32(CPU_STATE_BYTES + MMU_USER * TLB_ENTRIES * TLB_ENTRY_BYTES)
      .op("i32.add");
  }
}
