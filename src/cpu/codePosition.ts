import type { Moment } from "../common/moment";
import { type Block, type CodeCache, instructionIndex, instructionOffset } from "../tcg/codeCache";
import { SLOT_RIP, WORD_BLOCK, WORD_JUMP_GENERATION, WORD_MODE, WORD_OP } from "../tcg/layout";
import { MODE_16, MODE_32, MODE_64, MODE_SIZE_MASK } from "./mode";
import type { CpuState } from "./state";

/**
 * Where in translated code a CPU stands. While that runs, a block and an op say so and SLOT_RIP does not: RIP is worked out of them for whoever asks meanwhile, and when the
 * code has been left. A slice that was cut off inside a block goes on there.
 */
export class CodePosition {
  private readonly words: Int32Array;
  /** Translated code runs. */
  executing = false;
  /** Index in its block of the instruction that {@link locate} found. */
  index = 0;
  /** What {@link locate} found last for which op; undefined when translated code has been entered since. */
  private here: Block | undefined;
  private hereOp = 0;
  /** Index in its block of the instruction that {@link takeResume} says to go on at. */
  resumeIndex = 0;
  /** Valid while RIP, mode and the block are unchanged. */
  private resumeBlock: Block | undefined;
  private resumeMode = 0;
  private resumeGeneration = 0;

  constructor(
    private readonly state: CpuState,
    private readonly code: CodeCache,
  ) {
    this.words = state.words;
  }

  /** Translated code is about to be entered. Its caller says when it has been left. */
  enter(): void {
    this.executing = true;
    this.here = undefined;
  }

  /** The block that runs, or that was left last. */
  block(): Block {
    return this.code.at(this.words[WORD_BLOCK / 4]);
  }

  /** Index in `block`, the one that was left last, of the instruction that left. */
  indexIn(block: Block): number {
    return instructionIndex(this.state.memory, block, this.words[WORD_OP / 4]);
  }

  /** The block of the op that called out; the index of its instruction goes to {@link index}. What is asked several times at one call is looked for once. */
  locate(): Block {
    const op = this.words[WORD_OP / 4];
    if (op !== this.hereOp || this.here === undefined) {
      this.here = this.block();
      this.index = instructionIndex(this.state.memory, this.here, op);
      this.hereOp = op;
    }
    return this.here;
  }

  /** RIP of the current instruction while executing, else of the next one. */
  get rip(): bigint {
    if (!this.executing) return this.state.rip;
    const block = this.block();
    const rip = block.rip + BigInt(instructionOffset(this.state.memory, block, this.indexIn(block)));
    switch (block.mode & MODE_SIZE_MASK) {
      case MODE_16:
      case MODE_32:
        return rip & 0xffff_ffffn;
      default:
        return BigInt.asUintN(64, rip);
    }
  }

  /** Fills in RIP of instruction `index` of `block`. */
  fillRip(into: Moment, block: Block, index: number): void {
    const low = this.lowOf(block, index);
    into.ripLow = low | 0;
    into.ripHigh = highOf(block, low);
  }

  /** The CPU stands before instruction `index` of `block`: RIP is that one's. */
  setRip(block: Block, index: number): void {
    const { words } = this;
    const low = this.lowOf(block, index);
    words[SLOT_RIP / 4] = low;
    words[SLOT_RIP / 4 + 1] = highOf(block, low);
  }

  private isRipOf(block: Block, index: number): boolean {
    const { words } = this;
    const low = this.lowOf(block, index);
    return words[SLOT_RIP / 4] === (low | 0) && words[SLOT_RIP / 4 + 1] === highOf(block, low);
  }

  /** Lower half of the RIP of instruction `index` of `block`, with the carry into the upper half. */
  private lowOf(block: Block, index: number): number {
    return (block.ripLow >>> 0) + (index === 0 ? 0 : instructionOffset(this.state.memory, block, index));
  }

  /** The CPU stands before instruction `index` of `block`, and goes on there unless somebody changes RIP ({@link forgetResume}). */
  stopAt(block: Block, index: number): void {
    this.setRip(block, index);
    this.resumeBlock = block;
    this.resumeIndex = index;
    this.resumeMode = this.words[WORD_MODE / 4];
    this.resumeGeneration = this.words[WORD_JUMP_GENERATION / 4];
  }

  /** The block to go on in, at {@link resumeIndex}. */
  takeResume(): Block | undefined {
    const block = this.resumeBlock;
    if (block === undefined) return undefined;
    this.resumeBlock = undefined;
    const { words } = this;
    const valid =
      block.alive &&
      this.isRipOf(block, this.resumeIndex) &&
      this.resumeMode === words[WORD_MODE / 4] &&
      this.resumeGeneration === words[WORD_JUMP_GENERATION / 4];
    return valid ? block : undefined;
  }

  /** The next instruction is another than the one that the block goes on with. */
  forgetResume(): void {
    this.resumeBlock = undefined;
  }
}

/** Upper half of a RIP in `block` whose lower half came out as `low`. Outside 64-bit code it is 0, and RIP wraps. */
function highOf(block: Block, low: number): number {
  if (low <= 0xffff_ffff) return block.ripHigh;
  return (block.mode & MODE_SIZE_MASK) === MODE_64 ? (block.ripHigh + 1) | 0 : 0;
}
