import { highHalf, lowHalf } from "../../common/halves";
import { type Block, type CodeCache, instructionAddress, instructionOps, type Region } from "../codeCache";
import { BLOCK_HEAT, MEM_STACK, OP_BYTES, OP_MEM_FLAGS } from "../layout";
import type { EngineMemory } from "../memory";
import { Op } from "../ops";
import type { JumpCaches } from "./jumpCaches";
import { isForwardBranch, isLoad, isStore } from "./operands";
import type { JumpTargets } from "./targets";

/** A structured function has at most so many blocks: compilers of WebAssembly take time and memory by the square for more (docs/performance.md). */
export const MAX_REGION_BLOCKS = 64;
/** Ops of a region: bounds what one compilation takes. */
const MAX_REGION_OPS = 3000;
/** Linear pages of a region: a bit each. */
const MAX_REGION_PAGES = 30;
/** Return sites that a RET compares its target with. */
const MAX_RETURN_SITES = 6;

/** What a function is generated from, of a block. */
export type RegionBlock = Pick<Block, "header" | "entry" | "rip" | "mode" | "count">;

/** A block as a member of a region. */
export interface Member {
  readonly block: RegionBlock;
  /** A copy of its ops, 4 words each: while another thread reads them, the code arena may be emptied or a breakpoint set. */
  readonly ops: Int32Array;
  /** Indexes of the first op of each instruction. */
  readonly starts: Uint16Array;
  /** Where its direct jumps lead that are in its page and no members: the blocks' headers. */
  readonly near: readonly { readonly rip: bigint; readonly header: number }[];
  /** Index of its linear page among the region's. */
  readonly page: number;
}

/** What becomes one function: blocks connected by jumps, with the places where it is entered. Plain data, which another thread may be given. */
export interface RegionPlan {
  readonly members: readonly Member[];
  /** Indexes of the members that may be entered from outside; the first is the seed. */
  readonly entries: readonly number[];
  /** By member that ends in an indirect jump: members it may go to, for RET the return sites of calls in the region, for others what they have been seen to go to. */
  readonly jumps: ReadonlyMap<number, readonly number[]>;
  readonly pages: number;
}

/** A region as it was chosen. */
export interface ChosenRegion {
  readonly plan: RegionPlan;
  /** Its members. */
  readonly blocks: readonly Block[];
  /** Targets of direct jumps that are not members. */
  readonly outside: readonly bigint[];
}

/** Regions that a block is part of at most, beside one that it is the seed of: a kernel's small functions were generated for each of dozens of callers. */
const MAX_COPIES = 2;

/** How a block ends, as far as choosing a region goes. */
interface Ending {
  readonly targets: readonly { readonly rip: bigint; readonly far: boolean }[];
  /** The block ends in a near CALL: it comes back to the instruction after it. */
  readonly call: boolean;
  readonly ret: boolean;
  /** The block ends in an indirect jump or call. */
  readonly indirect: boolean;
}

/** A call in a region: members, -1 for callees that are none. */
interface Call {
  readonly from: number;
  readonly callees: readonly number[];
  readonly site: number;
}

/** Chooses regions: from a hot block along direct jumps and calls to blocks that run often as well. */
export class RegionPlanner {
  constructor(
    private readonly memory: EngineMemory,
    private readonly code: CodeCache,
    private readonly jumpCaches: JumpCaches,
    private readonly targets: JumpTargets,
  ) {}

  /**
   * @param cpu address of the state of the CPU whose jump cache tells where other pages' code is
   * @param warm heat left above which a block is too cold to join
   * @param replaced region that the new one replaces
   */
  plan(seed: Block, cpu: number, warm: (block: Block) => number, replaced?: Region): ChosenRegion {
    const blocks: Block[] = [seed];
    const endings: Ending[] = [];
    const byRip = new Map<bigint, number>([[seed.rip, 0]]);
    const pages = new Map<bigint, { index: number; physical: number }>();
    const pageOf = (block: Block): { index: number; physical: number } => {
      const key = block.rip >> 12n;
      let page = pages.get(key);
      if (page === undefined) {
        page = { index: pages.size, physical: Math.floor(block.physical / 4096) };
        pages.set(key, page);
      }
      return page;
    };
    pageOf(seed);
    let ops = seed.ops;
    const join = (block: Block | undefined): number => {
      if (block?.alive !== true || block.mode !== seed.mode || block.codeLimit !== seed.codeLimit || block.secondPage >= 0) return -1;
      const known = byRip.get(block.rip);
      if (known !== undefined) return blocks[known] === block ? known : -1;
      if (this.memory.i32[(block.header + BLOCK_HEAT) >> 2] > warm(block)) return -1;
      if (block.regions.length >= MAX_COPIES && block.regions.filter((region) => region !== replaced).length >= MAX_COPIES) return -1;
      const size = block.ops;
      if (blocks.length >= MAX_REGION_BLOCKS || ops + size > MAX_REGION_OPS) return -1;
      const page = pages.get(block.rip >> 12n);
      if (page === undefined ? pages.size >= MAX_REGION_PAGES : page.physical !== Math.floor(block.physical / 4096)) return -1;
      pageOf(block);
      ops += size;
      byRip.set(block.rip, blocks.length);
      blocks.push(block);
      return blocks.length - 1;
    };
    const calls: Call[] = [];
    const jumps = new Map<number, number[]>();
    const next: number[][] = [];
    const outside = new Set<bigint>();
    const near: Member["near"][] = [];
    for (let i = 0; i < blocks.length; i++) {
      const block = blocks[i];
      const ending = this.endingOf(block);
      endings.push(ending);
      const found = ending.targets.map(({ rip, far }) =>
        far ? this.jumpCaches.blockAt(cpu, rip, block.mode) : this.nearBlock(block, rip),
      );
      const reached = found.map(join);
      near.push(
        ending.targets.flatMap(({ rip, far }, target) => {
          const header = found[target]?.header;
          return far || header === undefined || reached[target] >= 0 ? [] : [{ rip, header }];
        }),
      );
      next.push(reached.filter((member) => member >= 0));
      reached.forEach((member, target) => void (member < 0 && outside.add(ending.targets[target].rip)));
      if (ending.indirect) {
        for (const target of this.targets.targetsOf(block)) reached.push(join(this.isMapped(cpu, block, target) ? target : undefined));
        next[i] = reached.filter((member) => member >= 0);
        jumps.set(i, next[i]);
      }
      if (!ending.call) continue;
      const site = join(this.nearBlock(block, block.rip + BigInt(block.bytes)));
      if (site >= 0) calls.push({ from: i, callees: reached.length > 0 ? reached : [-1], site });
    }
    const { returns, open } = matchReturns(blocks.length, endings, next, calls);
    for (const [member, sites] of returns) jumps.set(member, sites);
    const members = blocks.map((block, i): Member => {
      const { header, entry, rip, mode, count } = block;
      return {
        block: { header, entry, rip, mode, count },
        ops: this.memory.i32.slice(entry >> 2, (entry + block.ops * OP_BYTES) >> 2),
        starts: instructionOps(this.memory, block).slice(),
        near: near[i],
        page: pageOf(block).index,
      };
    });
    return {
      plan: { members, entries: [0, ...[...open].filter((site) => site !== 0)], jumps, pages: pages.size },
      blocks,
      outside: [...outside],
    };
  }

  /** The block at `rip` in the same page as `block`. */
  nearBlock(block: Block, rip: bigint): Block | undefined {
    const distance = Number(BigInt.asIntN(64, rip - block.rip));
    const physical = block.physical + distance;
    if (!Number.isSafeInteger(distance) || Math.floor(physical / 4096) !== Math.floor(block.physical / 4096)) return undefined;
    return this.code.find(physical, lowHalf(rip), highHalf(rip), block.mode, block.codeLimit, -1);
  }

  /** The target of a jump at the end of `from` is where the CPU would find it now. */
  private isMapped(cpu: number, from: Block, target: Block): boolean {
    if (target.rip >> 12n === from.rip >> 12n) return this.nearBlock(from, target.rip) === target;
    return this.jumpCaches.blockAt(cpu, target.rip, from.mode) === target;
  }

  /** The block ends in an indirect jump or call, for which targets are worth learning. */
  jumpsIndirectly(block: Block): boolean {
    return this.endingOf(block).indirect;
  }

  /** The block ends in a CALL. */
  calls(block: Block): boolean {
    return this.endingOf(block).call;
  }

  private endingOf(block: Block): Ending {
    const { u16, u8, view } = this.memory;
    const targets: { rip: bigint; far: boolean }[] = [];
    const last = (instructionAddress(this.memory, block, block.count - 1) - block.entry) / OP_BYTES;
    let stores = false;
    let branches = false;
    let loadsStack = false;
    let jumps = false;
    const count = block.ops;
    for (let i = 0; i < count; i++) {
      const op = block.entry + i * OP_BYTES;
      const opcode = u16[op >> 1];
      if (opcode === Op.goto || opcode === Op.gotoFar) targets.push({ rip: view.getBigUint64(op + 8, true), far: opcode === Op.gotoFar });
      if (i < last) continue;
      if (isForwardBranch[opcode]) branches = true;
      else if (isStore[opcode]) stores = true;
      else if (isLoad[opcode] && (u8[op + OP_MEM_FLAGS] & MEM_STACK) !== 0) loadsStack = true;
      else if (opcode === Op.jump) jumps = true;
    }
    const call = stores && !branches && (jumps || targets.length === 1);
    const ret = jumps && loadsStack && !stores;
    return { targets, call, ret, indirect: jumps && !ret };
  }
}

/**
 * Which RET comes back to which return site: those that can be reached from the callee without leaving it. Sites that nothing in the region returns to are
 * `open`: they are entered from outside.
 */
function matchReturns(
  members: number,
  endings: readonly Ending[],
  next: readonly (readonly number[])[],
  calls: readonly Call[],
): { returns: Map<number, number[]>; open: Set<number> } {
  const siteOf = new Map(calls.map(({ from, site }) => [from, site]));
  const returns = new Map<number, number[]>();
  const open = new Set<number>();
  const seen = new Uint8Array(members);
  for (const { callee, site } of calls.flatMap(({ callees, site }) => callees.map((callee) => ({ callee, site })))) {
    let found = false;
    if (callee >= 0) {
      seen.fill(0);
      const work = [callee];
      seen[callee] = 1;
      for (let member = work.pop(); member !== undefined; member = work.pop()) {
        if (endings[member].ret) {
          const list = returns.get(member) ?? [];
          returns.set(member, list);
          if (list.includes(site)) found = true;
          else if (list.length < MAX_RETURN_SITES) {
            list.push(site);
            found = true;
          }
          continue;
        }
        const inner = siteOf.get(member);
        const follow = endings[member].call ? (inner === undefined ? [] : [inner]) : next[member];
        for (const to of follow) {
          if (seen[to] !== 0) continue;
          seen[to] = 1;
          work.push(to);
        }
      }
    }
    if (!found) open.add(site);
  }
  return { returns, open };
}
