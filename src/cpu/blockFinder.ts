import { joinHalves, lowHalf } from "../common/halves";
import { OpBuilder } from "../tcg/builder";
import type { Block, CodeCache } from "../tcg/codeCache";
import { SLOT_RIP, slotOfSegBase, WORD_MODE } from "../tcg/layout";
import type { PhysicalBus } from "./bus";
import { EXC_GP } from "./exceptions";
import type { JumpCache } from "./jumpCache";
import { MODE_64, MODE_SIZE_MASK } from "./mode";
import { CS } from "./segmentRegisters";
import type { CpuState } from "./state";
import type { Tlb } from "./tlb";
import type { BlockLimits, CodeSource, Translator } from "./translation";

const MAX_BLOCK_INSTRUCTIONS = 64;
const MAX_INSTRUCTION_BYTES = 15;

/** The debugger's breakpoints in the code of one CPU. */
export interface CodeBreakpoints {
  /** True when a debugger breakpoint stands at RIP (in the current CPU's code). */
  breakpointAt(rip: bigint): boolean;
  /** True when any breakpoint exists: translations then ask for each instruction. */
  readonly hasBreakpoints: boolean;
}

/**
 * From RIP to the block to run: fetches where RIP points to, finds the block that was made from what is there or has it translated, and lets the jump cache lead to it.
 */
export class BlockFinder {
  private readonly words: Int32Array;
  private readonly builder = new OpBuilder();
  /** The code found last is not plain memory: its block must not be found again. */
  volatile = false;

  constructor(
    private readonly state: CpuState,
    private readonly tlb: Tlb,
    private readonly jumps: JumpCache,
    private readonly code: CodeCache,
    private readonly bus: PhysicalBus,
    private readonly translator: Translator,
    private readonly breakpoints: CodeBreakpoints,
  ) {
    this.words = state.words;
  }

  /** The block at the current RIP, translated if need be. undefined: the fetch faulted and the exception is recorded. */
  findBlock(): Block | undefined {
    const { state, words, tlb } = this;
    const mode = words[WORD_MODE / 4];
    const size = mode & MODE_SIZE_MASK;
    if (size === MODE_64) {
      const known = this.findAgain(mode);
      if (known !== undefined) return known;
    }
    const low = words[SLOT_RIP / 4];
    const high = words[SLOT_RIP / 4 + 1];
    const limit = state.limit[CS];
    const is64 = size === MODE_64;
    if (!is64 && (high !== 0 || low >>> 0 > limit)) {
      state.raise(EXC_GP, 0);
      return undefined;
    }
    const linearLow = is64 ? low : (words[slotOfSegBase(CS) / 4] + low) | 0;
    const linearHigh = is64 ? high : 0;
    const physical = tlb.fetchAt(linearLow, linearHigh);
    if (physical < 0) return undefined;
    const codeLimit = is64 ? -1 : limit;
    // Code outside plain memory may change without a write: it is translated anew each time.
    this.volatile = this.bus.hostPage(Math.floor(physical / 4096), false, state.index) < 0;
    if (this.volatile) this.code.dropPage(Math.floor(physical / 4096));
    let block = this.code.find(physical, low, high, mode, codeLimit, -1);
    if (block === undefined) {
      const linear = joinHalves(linearHigh, linearLow);
      const offset = linearLow & 0xfff;
      if (offset > 4096 - MAX_INSTRUCTION_BYTES) {
        const next = linear - BigInt(offset) + 4096n;
        const second = this.peekFetch(is64 ? BigInt.asUintN(64, next) : next & 0xffff_ffffn);
        if (second >= 0) {
          const crossing = this.code.find(physical, low, high, mode, codeLimit, Math.floor(second / 4096));
          if (crossing !== undefined) {
            if (this.isCacheable(crossing)) this.jumps.fill(crossing);
            return crossing;
          }
        }
      }
      block = this.translate(physical, linear, state.rip, mode, codeLimit);
      if (block === undefined) return undefined;
    }
    if (this.isCacheable(block)) this.jumps.fill(block);
    return block;
  }

  /** The jump cache may lead to the block that was found: all of its code is in plain memory. */
  private isCacheable(block: Block): boolean {
    return !this.volatile && (block.secondPage < 0 || this.bus.hostPage(block.secondPage, false, this.state.index) >= 0);
  }

  /** In 64-bit code: the block that the jump cache had for RIP before mappings changed, if it is what RIP means still. */
  private findAgain(mode: number): Block | undefined {
    const { words, state, jumps } = this;
    const low = words[SLOT_RIP / 4];
    const high = words[SLOT_RIP / 4 + 1];
    const entry = jumps.entryOf(low, high, mode);
    if (entry === 0) return undefined;
    const block = this.code.lookUp(jumps.headerAt(entry));
    if (block?.alive !== true || block.ripLow !== low || block.ripHigh !== high || block.mode !== mode || block.secondPage >= 0)
      return undefined;
    const physical = this.tlb.fetchAt(low, high);
    if (physical < 0) state.pending = undefined;
    if (physical !== block.physical || this.bus.hostPage(Math.floor(physical / 4096), false, state.index) < 0) return undefined;
    this.volatile = false;
    jumps.renew(entry);
    return block;
  }

  /** Physical address of a fetch at `linear` if it does not fault; leaves no exception behind. */
  private peekFetch(linear: bigint): number {
    const physical = this.tlb.fetch(linear);
    if (physical < 0) this.state.pending = undefined;
    return physical;
  }

  private translate(physical: number, linear: bigint, rip: bigint, mode: number, codeLimit: number): Block | undefined {
    const { state, builder } = this;
    const source = new PageSource(this.tlb, this.bus, state, physical, linear, rip, mode, codeLimit);
    const limits: BlockLimits = {
      maxInstructions: MAX_BLOCK_INSTRUCTIONS,
      pageBytes: 4096 - (lowHalf(linear) & 0xfff),
      breakpointAt: this.breakpoints.hasBreakpoints ? (at) => this.breakpoints.breakpointAt(at) : undefined,
    };
    builder.clear();
    state.pending = undefined;
    const { instructions, bytes } = this.translator.translate(source, rip, mode, limits, builder);
    if (instructions === 0) {
      if (state.pending === undefined) state.raise(EXC_GP, 0);
      return undefined;
    }
    // A fault on a later instruction's bytes is raised when that instruction is reached.
    state.pending = undefined;
    this.volatile ||= source.volatile;
    const secondPage = bytes > limits.pageBytes ? Math.floor(source.second / 4096) : -1;
    return this.code.add({ physical, rip, mode, codeLimit, secondPage }, builder, bytes);
  }
}

/** Code bytes for the translator: the block's page and, on demand, the next one. */
class PageSource implements CodeSource {
  private readonly firstHost: number;
  private readonly offset: number;
  /** Offset in CS of the first byte, where that has a limit. */
  private readonly first: number;
  private secondHost = -1;
  private secondTried = false;
  /** Physical address of the second page, once asked for and mapped. */
  second = -1;
  volatile = false;

  constructor(
    private readonly tlb: Tlb,
    private readonly bus: PhysicalBus,
    private readonly state: CpuState,
    private readonly physical: number,
    private readonly linear: bigint,
    rip: bigint,
    private readonly mode: number,
    private readonly codeLimit: number,
  ) {
    this.first = codeLimit >= 0 ? Number(rip) : 0;
    this.offset = physical % 4096;
    this.firstHost = bus.hostPage(Math.floor(physical / 4096), false, state.index);
    this.volatile = this.firstHost < 0;
  }

  byte(offset: number): number {
    if (this.codeLimit >= 0 && this.first + offset > this.codeLimit) {
      this.state.raise(EXC_GP, 0);
      return -1;
    }
    const at = this.offset + offset;
    if (at < 4096) {
      if (this.firstHost < 0) return Number(this.bus.read(this.physical + offset, 1, this.state.index));
      return this.state.memory.u8[this.firstHost + at];
    }
    if (!this.secondTried) {
      this.secondTried = true;
      const page = this.linear - BigInt(this.offset) + 4096n;
      this.second = this.tlb.fetch((this.mode & MODE_SIZE_MASK) === MODE_64 ? BigInt.asUintN(64, page) : page & 0xffff_ffffn);
      if (this.second >= 0) this.secondHost = this.bus.hostPage(Math.floor(this.second / 4096), false, this.state.index);
    }
    if (this.second < 0) return -1;
    if (this.secondHost < 0) {
      this.volatile = true;
      return Number(this.bus.read(this.second + at - 4096, 1, this.state.index));
    }
    return this.state.memory.u8[this.secondHost + at - 4096];
  }
}
