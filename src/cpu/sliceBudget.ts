import { countAt, putCount } from "../common/counts";
import { type Block, instructionAddress } from "../tcg/codeCache";
import { SLOT_INSTRUCTION_END, SLOT_RETIRED_END, WORD_BUDGET, WORD_SHADOW, WORD_STRING_RESERVE } from "../tcg/layout";
import { Op } from "../tcg/ops";
import type { CodePosition } from "./codePosition";
import type { CpuState } from "./state";

/**
 * How many instructions a CPU may still run, and how it is made to stop at exactly that one. Translated code takes a whole block off WORD_BUDGET as it enters it, so what has
 * retired is known from where in the block it stands; to end inside a block, the first op of the instruction to stop before is patched to `brk`.
 */
export class SliceBudget {
  private readonly words: Int32Array;
  /** What the whole machine had retired beside this CPU's own instructions as the slice began. */
  othersRetired = 0;
  /** What the run that ended last drew from its reserve. */
  drawn = 0;
  /** Between `begin` and `end`, also while a fault is delivered: WORD_BUDGET then tells what is left. */
  private running = false;
  /** What the run began with: budget, and reserve for string instructions, which extends the budget by what was drawn from it. */
  private budget = 0;
  private reserve = 0;
  /** What runs before this one were shortened by. */
  private shortenedBefore = 0;
  /** Instructions retired by this CPU before the run. */
  private retiredBefore = 0;
  /** Index in the current block at which a patched `brk` stands, or -1. */
  private patchIndex = -1;
  private patchAddress = 0;
  private patchOpcode = 0;
  /** Set when the current instruction asked to leave after it: budget left at that point; else -1. */
  private leaveBudget = -1;

  constructor(
    private readonly state: CpuState,
    private readonly position: CodePosition,
  ) {
    this.words = state.words;
  }

  /** A run of up to `budget` instructions begins, and of up to `reserve` more that are iterations of string instructions done in bulk. */
  begin(budget: number, reserve: number): void {
    const { words } = this;
    this.budget = budget;
    this.reserve = reserve;
    words[WORD_BUDGET / 4] = budget;
    words[WORD_STRING_RESERVE / 4] = reserve;
    this.setEnds(budget);
    this.running = true;
  }

  end(): void {
    const { words } = this;
    this.drawn = this.reserve - words[WORD_STRING_RESERVE / 4];
    this.shortenedBefore += this.cut;
    this.retiredBefore += this.paid - words[WORD_BUDGET / 4];
    this.running = false;
  }

  /** Says up to which counts of instructions of this CPU and of the machine a budget reaches. */
  setEnds(budget: number): void {
    const end = this.retiredBefore + budget;
    putCount(this.words, SLOT_RETIRED_END / 4, end);
    putCount(this.words, SLOT_INSTRUCTION_END / 4, this.othersRetired + end);
  }

  /** Instructions this CPU has retired since power-on; exact inside an instruction (which does not count itself). */
  get retired(): number {
    if (this.position.executing) {
      const block = this.position.block();
      return this.retiredAt(block, this.position.indexIn(block));
    }
    return this.running ? this.retiredBefore + this.paid - this.words[WORD_BUDGET / 4] : this.retiredBefore;
  }

  /** The same while translated code is at instruction `index` of `block`. */
  retiredAt(block: Block, index: number): number {
    const remaining =
      this.leaveBudget >= 0
        ? this.leaveBudget + 1
        : this.words[WORD_BUDGET / 4] + (this.patchIndex >= 0 ? this.patchIndex : block.count) - index;
    return this.retiredBefore + this.paid - remaining;
  }

  /** Takes over the count of a saved state. */
  restoreRetired(retired: number): void {
    this.retiredBefore = retired;
  }

  /** The run's budget, with what string instructions have drawn from the reserve, less what it was shortened by. */
  private get paid(): number {
    return countAt(this.words, SLOT_RETIRED_END / 4) - this.retiredBefore;
  }

  /** Instructions by which slices were made shorter, since the CPU was made. */
  get shortened(): number {
    return this.shortenedBefore + (this.running ? this.cut : 0);
  }

  /** The same of what runs now. */
  private get cut(): number {
    return this.budget + this.reserve - this.words[WORD_STRING_RESERVE / 4] - this.paid;
  }

  /** Takes `instructions` off the budget while translated code runs; false where too little of it is left. */
  shorten(instructions: number): boolean {
    const { words } = this;
    if (!this.position.executing || this.leaveBudget >= 0 || words[WORD_BUDGET / 4] <= instructions) return false;
    words[WORD_BUDGET / 4] -= instructions;
    for (const end of [SLOT_RETIRED_END / 4, SLOT_INSTRUCTION_END / 4]) putCount(words, end, countAt(words, end) - instructions);
    return true;
  }

  /** Makes translated code, which runs, stop after the current instruction. */
  leaveAfterInstruction(): void {
    if (this.leaveBudget >= 0) return;
    const block = this.position.locate();
    const { index } = this.position;
    const end = this.patchIndex >= 0 ? this.patchIndex : block.count;
    this.leaveBudget = this.words[WORD_BUDGET / 4] + end - index - 1;
    this.words[WORD_BUDGET / 4] = 0;
    if (index + 1 < end) {
      this.unpatch();
      this.stopBefore(block, index + 1);
    }
  }

  /** Translated code is to stop before instruction `index` of `block`, which is about to run. */
  stopBefore(block: Block, index: number): void {
    const { u16 } = this.state.memory;
    this.patchIndex = index;
    this.patchAddress = instructionAddress(this.state.memory, block, index);
    this.patchOpcode = u16[this.patchAddress >> 1];
    u16[this.patchAddress >> 1] = Op.brk;
  }

  /** Restores the patched op; returns its instruction's index, or -1 when nothing was patched. */
  unpatch(): number {
    const index = this.patchIndex;
    if (index >= 0) this.state.memory.u16[this.patchAddress >> 1] = this.patchOpcode;
    this.patchIndex = -1;
    return index;
  }

  /** Translated code has been left: the budget is again what it was before {@link leaveAfterInstruction}. Returns that, or -1 when nothing asked to leave. */
  settleLeave(): number {
    const left = this.leaveBudget;
    if (left < 0) return -1;
    const { words } = this;
    // The instruction that was left after saw a budget of zero, and so did its shadow.
    if (words[WORD_SHADOW / 4] === words[WORD_BUDGET / 4]) words[WORD_SHADOW / 4] = left;
    words[WORD_BUDGET / 4] = left;
    this.leaveBudget = -1;
    return left;
  }
}
