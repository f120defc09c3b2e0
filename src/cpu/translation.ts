import type { OpBuilder } from "../tcg/builder";

/** Gives the translator the guest's code bytes, at offsets from the block's first byte. */
export interface CodeSource {
  /** The byte at `offset`, or -1 when it cannot be fetched (page fault, CS limit): the translator ends the block before the instruction that needs it. */
  byte(offset: number): number;
}

/** What may be executed and how: part of the CPU model, constant for a machine. */
export interface CpuFeatures {
  readonly longMode: boolean;
  readonly popcnt: boolean;
  readonly lzcnt: boolean;
  readonly bmi1: boolean;
  readonly bmi2: boolean;
  readonly movbe: boolean;
  readonly adx: boolean;
  readonly crc32: boolean;
  readonly rdrand: boolean;
  readonly cmpxchg16b: boolean;
  readonly monitor: boolean;
  readonly rdtscp: boolean;
  readonly fsgsbase: boolean;
  readonly invpcid: boolean;
  readonly syscallIn32: boolean;
  readonly xsave: boolean;
  readonly xsaveopt: boolean;
  readonly xsavec: boolean;
  /** XSAVES, XRSTORS and IA32_XSS. */
  readonly xsaves: boolean;
  readonly avx: boolean;
  readonly avx2: boolean;
  readonly f16c: boolean;
  readonly fma: boolean;
}

/** Bounds of a block. */
export interface BlockLimits {
  /** At least 1. */
  readonly maxInstructions: number;
  /** Bytes from the block's first byte to the end of its page; an instruction that begins past it is not translated. */
  readonly pageBytes: number;
  /** True when a debugger breakpoint stands at this RIP: emits `debuggerBreakpoint` before it (which ends nothing). */
  breakpointAt(rip: bigint): boolean;
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
