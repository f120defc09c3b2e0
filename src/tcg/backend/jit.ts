import type { Block, CodeCache, GeneratedCode, Region } from "../codeCache";
import { BLOCK_TARGET, WORD_JUMP_FROM } from "../layout";
import type { EngineMemory } from "../memory";
import type { CompileThread } from "./compilation";
import type { GeneratedImports } from "./imports";
import { type JitStats, noJitStats } from "./jitStats";
import { JumpCaches } from "./jumpCaches";
import { Linker } from "./links";
import { type GeneratedModule, LiveModules } from "./liveModules";
import { type GeneratedRegion, LiveRegions } from "./liveRegions";
import { type ChosenRegion, RegionPlanner } from "./region";
import { JumpTargets } from "./targets";

export interface JitOptions {
  /** Entries after which a block is hot. */
  readonly threshold: number;
  /**
   * Regions that are compiled together at once. Fewer wait until no other has come for `patience` times POLL_INSTRUCTIONS, and for longer the more modules there are, but not for more than
   * `longest` times: a module costs a millisecond or two, whatever is in it.
   */
  readonly batch: number;
  readonly patience: number;
  readonly longest: number;
  /** Live modules after which those made one by one are packed into few; where that does not help, everything generated is dropped. */
  readonly maximumModules: number;
  /** Bytes of live functions after which everything generated is dropped. */
  readonly maximumBytes: number;
  /** Modules made since everything was packed last, live or not, after which that is done again: V8, up to version 11, keeps a module as long as the table that it imports. */
  readonly maximumMade: number;
  /** Modules made one by one that are packed into few, once nothing has been generated for `packPatience` times POLL_INSTRUCTIONS, or RESTLESS times that have passed. */
  readonly packModules: number;
  readonly packPatience: number;
}

/**
 * What a block costs to generate, and V8's optimiser to compile in its own threads, pays after some ten thousands of entries (docs/performance.md); a loop gets there in a
 * millisecond.
 */
export const defaultJitOptions: JitOptions = {
  threshold: 20_000,
  batch: 64,
  patience: 100,
  longest: 100,
  maximumModules: 800,
  maximumBytes: 32 << 20,
  maximumMade: 400,
  packModules: 16,
  packPatience: 5_000,
};
/** Translates what runs a few times. */
export const eagerJitOptions: JitOptions = { ...defaultJitOptions, threshold: 16, patience: 2, longest: 200, packPatience: 500 };

/** Instructions that `patience` is counted in, and as how many a short slice counts. */
const POLL_INSTRUCTIONS = 10_000;
const MINIMUM_POLL = 2_000;
/** So many live modules double `patience`, twice as many treble it. */
const PATIENT_MODULES = 8;
/** Wide code never comes to rest: now and then another of its blocks has become hot. */
const RESTLESS = 20;
/** Modules that another thread is to make, at most: what becomes hot meanwhile waits. */
const MAX_ORDERED = 4;
/** Times a region is made anew because a block that it jumps to has become hot: what it costs at most, in times its first generation. */
const MAX_GROWTH = 3;
/** Larger regions do not grow. */
const MAX_GROWING_BLOCKS = 48;

/** It is in a module that was not packed yet. */
const isLoose = ({ module }: GeneratedRegion): boolean => !module.packed;

/**
 * The translator: turns regions around hot blocks into WebAssembly functions. Blocks become hot in the interpreter (EXIT_HOT); they wait until a batch is worth a module.
 * Here is when that happens, and when functions are packed or dropped (adr "when to generate and when to pack"); it changes nothing in what the guest does.
 */
export class Jit implements GeneratedCode {
  readonly stats: JitStats = noJitStats();
  /** What indirect jumps are known to go to. */
  readonly targets = new JumpTargets();
  private readonly planner: RegionPlanner;
  private readonly linker: Linker;
  private readonly regions: LiveRegions;
  private readonly modules: LiveModules<GeneratedRegion>;
  private queue: { block: Block; cpu: number }[] = [];
  /** Instructions since the first and since the last of the queue came. */
  private waited = 0;
  private undisturbed = 0;
  /** Instructions since something was generated, and since there have been modules to pack. */
  private quiet = 0;
  private unpacked = 0;
  /** Blocks inside a region that became hot although: once more, and they get one of their own. */
  private readonly deferred = new WeakSet<Block>();
  /** Times code of a physical page was dropped after it had been generated: such pages are generated again more and more reluctantly. */
  private readonly drops = new Map<number, number>();

  /**
   * @param entered the interpreter's table of functions
   * @param clock milliseconds, for the figures only
   */
  constructor(
    private readonly memory: EngineMemory,
    private readonly code: CodeCache,
    entered: WebAssembly.Table,
    imports: GeneratedImports,
    private readonly options: JitOptions = defaultJitOptions,
    private readonly clock: () => number = () => 0,
    thread?: CompileThread,
  ) {
    const jumpCaches = new JumpCaches(memory, code);
    this.planner = new RegionPlanner(memory, code, jumpCaches, this.targets);
    this.linker = new Linker(memory, this.planner, jumpCaches);
    this.regions = new LiveRegions(jumpCaches, this.stats);
    this.modules = new LiveModules(memory, entered, imports, this.linker, this.stats, clock, thread, (region, body) =>
      this.regions.enter(region, body),
    );
  }

  heat(page: number): number {
    return this.options.threshold << Math.min(this.drops.get(page) ?? 0, 12);
  }

  /** A block has become hot on the CPU whose state is at `cpu`. */
  hot(block: Block, cpu: number): void {
    if (!block.alive || block.secondPage >= 0) return;
    this.learnJump(block, cpu);
    this.queue.push({ block, cpu });
    this.undisturbed = 0;
    if (this.queue.length >= this.options.batch && this.modules.awaited < MAX_ORDERED) this.compile();
  }

  /** The block became hot when it was entered: maybe by the indirect jump that left generated code last. */
  private learnJump(block: Block, cpu: number): void {
    const { u32, i32 } = this.memory;
    const word = (cpu + WORD_JUMP_FROM) >>> 2;
    const from = u32[word] === 0 ? undefined : this.code.lookUp(u32[word]);
    u32[word] = 0;
    if (from?.alive !== true || i32[(from.header + BLOCK_TARGET) >>> 2] !== block.ripLow || from.mode !== block.mode) return;
    if (this.planner.jumpsIndirectly(from)) this.targets.learn(from, block);
  }

  /** Called between slices of `instructions` each: compiles what has waited long enough, and packs modules when nothing new has come for long. */
  poll(instructions: number): void {
    const { patience, longest, packModules, packPatience } = this.options;
    if (this.modules.awaited > 0) this.modules.takeMade();
    // However little a slice does, it takes some of the host's time.
    const spent = Math.max(MINIMUM_POLL, instructions);
    if (this.queue.length > 0 && this.modules.awaited < MAX_ORDERED) {
      this.waited += spent;
      this.undisturbed += spent;
      const worth = patience * (1 + this.stats.modulesLive / PATIENT_MODULES);
      if (this.undisturbed >= worth * POLL_INSTRUCTIONS || this.waited >= longest * POLL_INSTRUCTIONS) this.compile();
    }
    if (this.modules.loose < packModules) return;
    const wait = packPatience * POLL_INSTRUCTIONS;
    // Jumps are looked at before everything is packed: not long before, and often enough where it does not come to rest.
    const looks = this.quiet < wait / 2 && this.quiet + spent >= wait / 2;
    if (looks || Math.floor(this.unpacked / wait) !== Math.floor((this.unpacked + spent) / wait)) this.linker.observe(this.regions.all);
    this.quiet += spent;
    this.unpacked += spent;
    if ((this.quiet >= wait || this.unpacked >= wait * RESTLESS) && this.modules.awaited === 0) this.packAll();
  }

  /**
   * Puts all live functions into as few modules as possible: calls between modules miss the host's caches. V8 compiles all of them anew, so what has been packed before
   * is packed again only with half as many others. No CPU executes meanwhile.
   */
  private packAll(): void {
    this.quiet = 0;
    this.unpacked = 0;
    const all = [...this.regions.all];
    const loose = all.filter(isLoose).length;
    if (loose * 2 >= all.length - loose) this.pack(all);
  }

  private pack(regions: readonly GeneratedRegion[]): void {
    this.modules.pack(regions, regions.length === this.regions.all.size);
  }

  /** Keeps within the bounds: what is in modules of their own is packed, then what is in packed ones of which little may be left, and what is too much even so is dropped. */
  private makeRoom(): void {
    const { maximumModules, maximumBytes, maximumMade } = this.options;
    // What another thread makes counts when it is there: nothing can be packed before.
    if (this.modules.awaited === 0) {
      if (this.stats.modulesLive >= maximumModules) {
        this.pack([...this.regions.all].filter(isLoose));
        if (this.stats.modulesLive * 2 >= maximumModules) this.pack([...this.regions.all]);
      }
      if (this.modules.sincePacked >= maximumMade) this.pack([...this.regions.all]);
    }
    if (this.stats.modulesLive >= maximumModules + MAX_ORDERED || this.stats.bytesLive >= maximumBytes) this.discardAll();
  }

  /** Has functions made for all blocks that wait. */
  private compile(): void {
    this.waited = 0;
    this.quiet = 0;
    const waiting = this.queue;
    this.queue = [];
    this.makeRoom();
    const begun = this.clock();
    const made: GeneratedRegion[] = [];
    const module = this.modules.gather();
    for (const { block, cpu } of waiting) {
      if (!block.alive || this.regions.isEntry(block)) continue;
      if (block.regions.length > 0 && !this.deferred.has(block)) {
        this.deferred.add(block);
        this.warmUp(block);
        continue;
      }
      made.push(this.grow(block, cpu, module) ?? this.register(this.plan(block, cpu), module, 0));
    }
    this.stats.generateMilliseconds += this.clock() - begun;
    this.modules.order(
      module,
      made.filter(({ alive }) => alive),
    );
  }

  private register(chosen: ChosenRegion, module: GeneratedModule, growth: number): GeneratedRegion {
    return this.regions.register(chosen, module, this.modules.join(module), growth);
  }

  /** A region from `seed` on, of `wanted` and whatever else is warm, or part of a region already. */
  private plan(seed: Block, cpu: number, wanted?: Block, replaced?: Region): ChosenRegion {
    return this.planner.plan(
      seed,
      cpu,
      (member) => (member === wanted || member.regions.length > 0 ? Infinity : this.warmth(member)),
      replaced,
    );
  }

  /** A hot block that a region jumps to and that leads back to it, as what it calls does: the region is made anew with the block in it, so that loops are whole. */
  private grow(block: Block, cpu: number, module: GeneratedModule): GeneratedRegion | undefined {
    const sources = this.targets.sourcesOf(block).filter((source) => source.alive);
    const callers = new Set(sources.filter((source) => this.planner.calls(source)).flatMap((source) => this.regions.of(source)));
    const jumpers = sources.flatMap((source) => this.regions.of(source));
    for (const region of new Set([...callers, ...this.regions.leavingTo(block.rip), ...jumpers])) {
      const [seed] = region.entries;
      if (region.growth >= MAX_GROWTH || !seed.alive || seed.mode !== block.mode || seed.codeLimit !== block.codeLimit) continue;
      if (region.blocks.length > MAX_GROWING_BLOCKS) continue;
      if (!callers.has(region) && !this.plan(block, cpu, undefined, region).blocks.includes(seed)) continue;
      const chosen = this.plan(seed, cpu, block, region);
      if (!chosen.blocks.includes(block)) continue;
      this.retire(region);
      this.stats.grown++;
      return this.register(chosen, module, region.growth + 1);
    }
    return undefined;
  }

  /** The block counts its entries from the start again. */
  private warmUp(block: Block): void {
    this.code.settle(block);
    this.code.giveHeat(block, this.heat(Math.floor(block.physical / 4096)));
  }

  /** Heat left below which a block runs often enough to join the region of a hot one. */
  private warmth(block: Block): number {
    const heat = this.heat(Math.floor(block.physical / 4096));
    return heat - (heat >> 2);
  }

  discard(region: Region): void {
    const generated = region as GeneratedRegion;
    if (!generated.alive) return;
    this.retire(generated);
    for (const block of generated.blocks) {
      const page = Math.floor(block.physical / 4096);
      if (!block.alive) this.drops.set(page, (this.drops.get(page) ?? 0) + 1);
    }
    this.stats.discarded++;
  }

  private retire(region: GeneratedRegion): void {
    for (const block of this.regions.retire(region)) this.warmUp(block);
    this.modules.remove(region);
  }

  discardAll(): void {
    for (const region of [...this.regions.all]) this.retire(region);
    this.modules.emptied();
    this.queue = this.queue.filter(({ block }) => block.alive);
  }
}
