import type { Block } from "../tcg/codeCache";
import {
  BLOCK_HEADER_BYTES,
  JUMP_ENTRIES,
  JUMP_ENTRY_BYTES,
  JUMP_FUNCTION,
  JUMP_GENERATION,
  JUMP_MODE,
  JUMP_OP,
  JUMP_PAGE,
  JUMP_RIP,
  jumpIndex,
  SLOT_RIP,
  slotOfSegBase,
  WORD_FETCH,
  WORD_JUMP_CACHE,
  WORD_JUMP_GENERATION,
} from "../tcg/layout";
import { CS } from "./segmentRegisters";
import type { CpuState } from "./state";

/**
 * The jump cache of a CPU: which block RIP leads to in which mode. It lies in the engine's memory, where translated code looks before it asks the host. An entry holds as
 * long as mappings stay: each has the generation of mappings it was made in. Entries are used in pairs, so that two blocks with one place do not drive each other out.
 */
export class JumpCache {
  private readonly words: Int32Array;
  /** Base (signed) and limit of CS that code outside 64-bit mode was found under. */
  private codeBase = 0;
  private codeLimit = 0;
  /** Something has been put in since it was last empty. */
  private filled = false;

  constructor(private readonly cpu: CpuState) {
    this.words = cpu.words;
  }

  /** Linear code addresses may mean other code now: no entry holds before it was looked at again. */
  forget(): void {
    this.words[WORD_JUMP_GENERATION / 4]++;
  }

  /** Drops all entries: blocks that they name are no more. */
  empty(): void {
    this.forget();
    if (!this.filled) return;
    this.filled = false;
    this.cpu.memory.bulk.fill(this.words[WORD_JUMP_CACHE / 4], 0xff, JUMP_ENTRIES * JUMP_ENTRY_BYTES);
  }

  /**
   * The CPU is about to run code of the mode it is in. Outside 64-bit code RIP is an offset: with another base or limit of CS, what jumps were found to lead to is
   * forgotten.
   */
  selectCode(): void {
    const { cpu, words } = this;
    words[WORD_FETCH / 4] = !cpu.code64 ? -1 : cpu.cpl === 3 ? 1 : 0;
    if (cpu.code64) return;
    const base = words[slotOfSegBase(CS) / 4];
    const limit = cpu.limit[CS];
    if (base === this.codeBase && limit === this.codeLimit) return;
    this.codeBase = base;
    this.codeLimit = limit;
    this.forget();
  }

  /** Address of the entry for a RIP, in signed halves, and a mode, of whatever generation; 0: there is none. */
  entryOf(low: number, high: number, mode: number): number {
    const entry = this.words[WORD_JUMP_CACHE / 4] + jumpIndex(low) * JUMP_ENTRY_BYTES;
    if (this.isFor(entry, low, high, mode)) return entry;
    const other = entry ^ JUMP_ENTRY_BYTES;
    return this.isFor(other, low, high, mode) ? other : 0;
  }

  private isFor(entry: number, low: number, high: number, mode: number): boolean {
    const { i32 } = this.cpu.memory;
    return i32[(entry + JUMP_RIP) >> 2] === low && i32[(entry + JUMP_RIP + 4) >> 2] === high && i32[(entry + JUMP_MODE) >> 2] === mode;
  }

  /** Address of the header of the block that the entry at `entry` leads to; the block may be no more. */
  headerAt(entry: number): number {
    return this.cpu.memory.u32[(entry + JUMP_OP) >> 2] - BLOCK_HEADER_BYTES;
  }

  /** The entry at `entry` holds by the present mappings too. */
  renew(entry: number): void {
    this.cpu.memory.i32[(entry + JUMP_GENERATION) >> 2] = this.words[WORD_JUMP_GENERATION / 4];
  }

  /** Makes RIP lead to `block`, which was found there. */
  fill(block: Block): void {
    const { words } = this;
    const { i32 } = this.cpu.memory;
    this.filled = true;
    const index = jumpIndex(words[SLOT_RIP / 4]);
    const entry = (words[WORD_JUMP_CACHE / 4] + index * JUMP_ENTRY_BYTES) >> 2;
    // What was there moves to the other entry of the pair, if this is its own place. What is here as a guest already gives way: moved to and fro by two blocks, one of each place, it would drive them out in turn.
    const isSame = i32[entry] === block.ripLow && i32[entry + 1] === block.ripHigh && i32[entry + JUMP_MODE / 4] === block.mode;
    if (!isSame && jumpIndex(i32[entry]) === index) {
      const other = entry ^ (JUMP_ENTRY_BYTES >> 2);
      for (let word = 0; word < JUMP_ENTRY_BYTES >> 2; word++) i32[other + word] = i32[entry + word];
    }
    i32[entry + JUMP_RIP / 4] = block.ripLow;
    i32[entry + JUMP_RIP / 4 + 1] = block.ripHigh;
    i32[entry + JUMP_MODE / 4] = block.mode;
    i32[entry + JUMP_GENERATION / 4] = words[WORD_JUMP_GENERATION / 4];
    i32[entry + JUMP_OP / 4] = block.entry;
    // No page is known to be where it was for code that lies in two: once mappings have changed, it is looked up anew.
    i32[entry + JUMP_PAGE / 4] = block.secondPage < 0 ? Math.floor(block.physical / 4096) : -1;
    i32[entry + JUMP_FUNCTION / 4] = 0;
  }
}
