import type { OpBuilder } from "../tcg/builder";

/** Gives the translator the guest's code bytes, at offsets from the block's first byte. */
export interface CodeSource {
  /** The byte at `offset`, or -1 when it cannot be fetched (page fault, CS limit): the translator ends the block before the instruction that needs it. */
  byte(offset: number): number;
}

/** Bounds of a block. */
export interface BlockLimits {
  /** At least 1. */
  readonly maxInstructions: number;
  /** Bytes from the block's first byte to the end of its page; an instruction that begins past it is not translated. */
  readonly pageBytes: number;
  /** True when a debugger breakpoint stands at this RIP: emits `debuggerBreakpoint` before it (which ends nothing). undefined: there are none. */
  readonly breakpointAt: ((rip: bigint) => boolean) | undefined;
}

/** Result: what was emitted into the builder. */
export interface TranslatedBlock {
  /** Guest instructions; 0 when not even the first could be fetched. */
  readonly instructions: number;
  /** Guest bytes covered. */
  readonly bytes: number;
}

/** The front end: guest code to ops. */
export interface Translator {
  translate(code: CodeSource, rip: bigint, mode: number, limits: BlockLimits, builder: OpBuilder): TranslatedBlock;
}
