import { lowHalf } from "../../common/halves";
import type { Block, CodeCache } from "../codeCache";
import {
  BLOCK_FUNCTION,
  BLOCK_HEADER_BYTES,
  JUMP_FUNCTION,
  JUMP_GENERATION,
  JUMP_MODE,
  JUMP_OP,
  JUMP_RIP,
  jumpPair,
  WORD_JUMP_CACHE,
  WORD_JUMP_GENERATION,
} from "../layout";
import type { EngineMemory } from "../memory";

/** The CPUs' jump caches as the translator uses them: they tell where other pages' code is, and have copies of what generated function a block is entered in. */
export class JumpCaches {
  constructor(
    private readonly memory: EngineMemory,
    private readonly code: CodeCache,
  ) {}

  /** The block that the jump cache of the CPU whose state is at `cpu` has for `rip`. */
  blockAt(cpu: number, rip: bigint, mode: number): Block | undefined {
    const { view } = this.memory;
    for (const entry of jumpPair(view.getUint32(cpu + WORD_JUMP_CACHE, true), lowHalf(rip))) {
      if (view.getBigUint64(entry + JUMP_RIP, true) !== rip || view.getInt32(entry + JUMP_MODE, true) !== mode) continue;
      if (view.getInt32(entry + JUMP_GENERATION, true) !== view.getInt32(cpu + WORD_JUMP_GENERATION, true)) continue;
      return this.code.at(view.getUint32(entry + JUMP_OP, true) - BLOCK_HEADER_BYTES);
    }
    return undefined;
  }

  /** A block of this mode that some CPU's jump cache has, or had before mappings changed, for a RIP with this lower half. */
  anyBlock(mode: number, ripLow: number): Block | undefined {
    const { i32, u32 } = this.memory;
    for (const entry of this.entriesOf(ripLow)) {
      if (i32[entry + JUMP_MODE / 4] !== mode) continue;
      const block = this.code.lookUp(u32[entry + JUMP_OP / 4] - BLOCK_HEADER_BYTES);
      if (block?.alive === true && block.ripLow === ripLow && block.mode === mode) return block;
    }
    return undefined;
  }

  /** BLOCK_FUNCTION of a block. */
  functionOf(block: Block): number {
    return this.memory.u32[(block.header + BLOCK_FUNCTION) >>> 2];
  }

  /** Sets BLOCK_FUNCTION of a block, and clears its copies: those for the block's RIP, on every CPU. */
  setFunction(block: Block, word: number): void {
    const { u32, i32 } = this.memory;
    u32[(block.header + BLOCK_FUNCTION) >>> 2] = word;
    for (const entry of this.entriesOf(block.ripLow)) {
      if (i32[entry + JUMP_RIP / 4 + 1] === block.ripHigh) u32[entry + JUMP_FUNCTION / 4] = 0;
    }
  }

  /** The entries for RIPs with this lower half, of all CPUs, as indexes of words. */
  private *entriesOf(ripLow: number): Generator<number> {
    const { i32, u32, cpus } = this.memory;
    for (let cpu = 0; cpu < cpus; cpu++) {
      for (const address of jumpPair(u32[(this.memory.stateOf(cpu) + WORD_JUMP_CACHE) >>> 2], ripLow)) {
        const entry = address >>> 2;
        if (i32[entry + JUMP_RIP / 4] === ripLow) yield entry;
      }
    }
  }
}
