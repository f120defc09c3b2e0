import type { Block, Region } from "../codeCache";
import { FUNCTION_ENTRY_BITS } from "../layout";
import type { FunctionBody } from "../wasm/writer";
import type { JitStats } from "./jitStats";
import type { JumpCaches } from "./jumpCaches";
import { type LinkSite, sitesOf } from "./links";
import type { GeneratedModule, ModuleFunction } from "./liveModules";
import type { ChosenRegion, RegionPlan } from "./region";

/** A region that is a function, or will be one when its module is there. */
export interface GeneratedRegion extends Region, ModuleFunction {
  readonly entries: readonly Block[];
  /** Where it jumps to outside itself: a RIP that becomes hot makes it grow. */
  readonly outside: readonly bigint[];
  /** Times it has grown. */
  readonly growth: number;
  /** Its function as the code section has it, the same in whatever module; until it is there, what it is generated from. */
  code: FunctionBody | RegionPlan;
  /** Where it may be linked to others, once it is there. */
  sites: readonly LinkSite[];
  alive: boolean;
}

const isBody = (code: FunctionBody | RegionPlan): code is FunctionBody => "bytes" in code;

/** The regions that there are, with the blocks that they are made of and entered at: a block knows its regions, and its BLOCK_FUNCTION names the one that it is entered in. */
export class LiveRegions {
  private readonly live = new Set<GeneratedRegion>();
  /** By the RIPs that they jump to outside themselves. */
  private readonly leavers = new Map<bigint, Set<GeneratedRegion>>();

  constructor(
    private readonly jumpCaches: JumpCaches,
    private readonly stats: JitStats,
  ) {}

  get all(): ReadonlySet<GeneratedRegion> {
    return this.live;
  }

  /** Those that jump to `rip` outside themselves. */
  leavingTo(rip: bigint): Iterable<GeneratedRegion> {
    return this.leavers.get(rip) ?? [];
  }

  /** Those that the block is part of. */
  of(block: Block): readonly GeneratedRegion[] {
    return block.regions as readonly GeneratedRegion[];
  }

  /** The block is entered in a function, or will be in one that is being made. */
  isEntry(block: Block): boolean {
    return this.jumpCaches.functionOf(block) !== 0 || this.of(block).some(({ code, entries }) => !isBody(code) && entries.includes(block));
  }

  /** A region was chosen, and will have its function in `slot`. */
  register({ plan, blocks, outside }: ChosenRegion, module: GeneratedModule, slot: number, growth: number): GeneratedRegion {
    const region: GeneratedRegion = {
      blocks,
      entries: plan.entries.map((member) => blocks[member]),
      outside,
      growth,
      slot,
      code: plan,
      sites: [],
      module,
      alive: true,
    };
    for (const member of blocks) member.regions = [...member.regions, region];
    for (const rip of outside) {
      const leavers = this.leavers.get(rip);
      if (leavers === undefined) this.leavers.set(rip, new Set([region]));
      else leavers.add(region);
    }
    this.live.add(region);
    this.stats.regions++;
    this.stats.regionsLive++;
    this.stats.blocks += blocks.length;
    return region;
  }

  /** The region's function is in the table, not for the first time if it was packed: its blocks are entered there from now on. */
  enter(region: GeneratedRegion, body: FunctionBody): void {
    if (isBody(region.code)) return;
    region.code = body;
    region.sites = sitesOf(body, region.blocks);
    region.entries.forEach((entry, index) => {
      if (index === 0 || this.jumpCaches.functionOf(entry) === 0)
        this.jumpCaches.setFunction(entry, (region.slot << FUNCTION_ENTRY_BITS) | index);
    });
    this.stats.bytes += body.bytes.length;
    this.stats.bytesLive += body.bytes.length;
  }

  /** The region is no more. Returns the blocks that were, or would have been, entered in it. */
  retire(region: GeneratedRegion): readonly Block[] {
    region.alive = false;
    this.live.delete(region);
    this.stats.regionsLive--;
    if (isBody(region.code)) this.stats.bytesLive -= region.code.bytes.length;
    const entered: Block[] = [];
    for (const block of region.blocks) {
      block.regions = block.regions.filter((other) => other !== region);
      const word = this.jumpCaches.functionOf(block);
      if (word === 0 ? isBody(region.code) || !region.entries.includes(block) : word >>> FUNCTION_ENTRY_BITS !== region.slot) continue;
      this.jumpCaches.setFunction(block, 0);
      entered.push(block);
    }
    for (const rip of region.outside) {
      const leavers = this.leavers.get(rip);
      leavers?.delete(region);
      if (leavers?.size === 0) this.leavers.delete(rip);
    }
    return entered;
  }
}
