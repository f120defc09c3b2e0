import type { Block } from "../codeCache";

/** Targets of one jump that are remembered: what a jump table of a C switch has, mostly. */
const MAX_TARGETS = 16;

/**
 * Where indirect jumps have been seen to go. A block that becomes hot says which generated jump it was entered by last (WORD_JUMP_FROM): a sample, of targets that run often. What is wrong in it costs a
 * comparison that never holds.
 */
export class JumpTargets {
  private readonly targets = new WeakMap<Block, Block[]>();
  private readonly sources = new WeakMap<Block, Block[]>();

  /** The jump at the end of `from` has gone to `to`. */
  learn(from: Block, to: Block): void {
    const known = this.targetsOf(from);
    if (known.includes(to)) return;
    const targets = known.filter((block) => block.alive);
    if (targets.length >= MAX_TARGETS) return;
    this.targets.set(from, [...targets, to]);
    this.sources.set(to, [...this.sourcesOf(to).filter((block) => block.alive), from].slice(-MAX_TARGETS));
  }

  /** In the order in which they became hot. */
  targetsOf(from: Block): readonly Block[] {
    return this.targets.get(from) ?? [];
  }

  /** Blocks whose jump goes to this one. */
  sourcesOf(to: Block): readonly Block[] {
    return this.sources.get(to) ?? [];
  }
}
