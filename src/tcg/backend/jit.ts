import type { Block, CodeCache, GeneratedCode, Region } from "../codeCache";
import type { EngineHost, RunFunction } from "../interpreter/interpreter";
import { BLOCK_TARGET, FUNCTION_ENTRY_BITS, WORD_JUMP_FROM } from "../layout";
import type { EngineMemory } from "../memory";
import { bridge } from "./bridge";
import { type CompiledModule, type CompileThread, Compiler } from "./compilation";
import { FunctionTable } from "./functionTable";
import { JumpCaches } from "./jumpCaches";
import { Linker, type LinkSite, type Renewal, sitesOf } from "./links";
import type { FunctionBody } from "../wasm/writer";
import { type ChosenRegion, RegionPlanner, type RegionPlan } from "./region";
import { JumpTargets } from "./targets";
import { type X87Part, x87PartNames } from "../x87/operation";

/** (cpu, address, rip, operation): 1 when the x87 instruction is done (x87/function.ts). */
type X87Imports = { readonly [part in X87Part]: (cpu: number, address: bigint, rip: bigint, operation: number) => number };

/** Those that the interpreter's module exports. */
export const x87Imports = (exports: WebAssembly.Instance["exports"]): X87Imports =>
  Object.fromEntries(x87PartNames.map((part) => [part, exports[part]])) as unknown as X87Imports;

/** What generated code calls besides its own: the interpreter's functions, and the host. */
export interface GeneratedImports extends Pick<EngineHost, "helper">, X87Imports {
  readonly run: RunFunction;
  /** (cpu, address, kind): the TLB entry filled for an access that missed, or 0 (interpreter/walk.ts). */
  readonly walk: (cpu: number, address: bigint, kind: number) => number;
  /** (cpu, operation): iterations of a string instruction (interpreter/strings.ts). */
  readonly bulkString: (cpu: number, operation: number) => number;
  /** (cpu, jump-cache entry): first op of the block at SLOT_RIP that the entry is not (interpreter/jumps.ts), or 0. */
  readonly findJump: (cpu: number, entry: number) => number;
  /** (cpu, FAST_CALL or another FAST_, operand, budget): 1 when the transfer is done (interpreter/fastCalls.ts). */
  readonly fastCall: (cpu: number, what: number, operand: number, budget: number) => number;
  readonly getFlags: (cpu: number) => bigint;
  readonly setFlags: (cpu: number, flags: bigint) => void;
  /** Address of a plain access that missed the TLB, or 0. */
  hostAddress(kind: number, lo: number, hi: number): number;
}

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

/** Figures of the translator. */
export interface JitStats {
  regions: number;
  regionsLive: number;
  modules: number;
  modulesLive: number;
  discarded: number;
  /** Regions that replaced one because a block they jump to had become hot. */
  grown: number;
  /** Times modules were packed. */
  packs: number;
  /** Jumps from one function to another that packing has linked. */
  links: number;
  bytes: number;
  bytesLive: number;
  blocks: number;
  /** Of the CPUs' thread. */
  generateMilliseconds: number;
  compileMilliseconds: number;
  /** Of the thread that compiles, and how many modules it made. */
  threadMilliseconds: number;
  threadModules: number;
}

/** Instructions that `patience` is counted in, and as how many a short slice counts. */
const POLL_INSTRUCTIONS = 10_000;
const MINIMUM_POLL = 2_000;
/** So many live modules double `patience`, twice as many treble it. */
const PATIENT_MODULES = 8;
/** Wide code never comes to rest: now and then another of its blocks has become hot. */
const RESTLESS = 20;
/** Functions of one module at most. */
const MODULE_FUNCTIONS = 1_000;
/** Modules that another thread is to make, at most: what becomes hot meanwhile waits. */
const MAX_ORDERED = 4;
/** Times a region is made anew because a block that it jumps to has become hot: what it costs at most, in times its first generation. */
const MAX_GROWTH = 3;
/** Larger regions do not grow. */
const MAX_GROWING_BLOCKS = 48;

/** Functions that V8 has compiled together: they are let go together. */
interface GeneratedModule {
  live: number;
  /** It was made of others. */
  readonly packed: boolean;
}

interface GeneratedRegion extends Region {
  readonly slot: number;
  readonly entries: readonly Block[];
  /** Where it jumps to outside itself: a RIP that becomes hot makes it grow. */
  readonly outside: readonly bigint[];
  /** Times it has grown. */
  readonly growth: number;
  /** Its function as the code section has it, the same in whatever module; until it is there, what it is generated from. */
  code: FunctionBody | RegionPlan;
  /** Where it may be linked to others, once it is there. */
  sites: readonly LinkSite[];
  module: GeneratedModule;
  alive: boolean;
}

const isBody = (code: FunctionBody | RegionPlan): code is FunctionBody => "bytes" in code;

/** A module that another thread is making. */
interface Ordered {
  readonly regions: readonly GeneratedRegion[];
  readonly module: GeneratedModule;
  /** All functions that there were when it was ordered go into it, and the modules ordered with it. */
  readonly renews: boolean;
  /** What links have to do with that; whether it is the last one of these. */
  readonly renewal: Renewal | undefined;
  readonly completes: boolean;
}

/**
 * The translator: turns regions around hot blocks into WebAssembly functions. Blocks become hot in the interpreter (EXIT_HOT); they wait until a batch is worth a module.
 * When functions are made changes nothing in what the guest does.
 */
export class Jit implements GeneratedCode {
  private readonly jumpCaches: JumpCaches;
  /** What indirect jumps are known to go to. */
  readonly targets = new JumpTargets();
  private readonly planner: RegionPlanner;
  /** What modules import; made with the first one, as what follows. */
  private bridged: WebAssembly.ModuleImports | undefined;
  private queue: { block: Block; cpu: number }[] = [];
  /** Instructions since the first and since the last of the queue came. */
  private waited = 0;
  private undisturbed = 0;
  /** Instructions since something was generated, and since there have been modules to pack. */
  private quiet = 0;
  private unpacked = 0;
  /** Live modules that are packed. */
  private packed = 0;
  private readonly table: FunctionTable;
  private readonly compiler: Compiler;
  private readonly linker: Linker;
  /** In the order in which they come. */
  private readonly ordered: Ordered[] = [];
  /** Slots of functions that died while modules were being made, maybe with a function for them. */
  private slotsToRelease: number[] = [];
  private readonly live = new Set<GeneratedRegion>();
  /** Live regions by the RIPs that they jump to outside themselves. */
  private readonly leavers = new Map<bigint, Set<GeneratedRegion>>();
  /** Blocks inside a region that became hot although: once more, and they get one of their own. */
  private readonly deferred = new WeakSet<Block>();
  /** Times code of a physical page was dropped after it had been generated: such pages are generated again more and more reluctantly. */
  private readonly drops = new Map<number, number>();
  readonly stats: JitStats = {
    regions: 0,
    regionsLive: 0,
    modules: 0,
    modulesLive: 0,
    discarded: 0,
    grown: 0,
    packs: 0,
    links: 0,
    bytes: 0,
    bytesLive: 0,
    blocks: 0,
    generateMilliseconds: 0,
    compileMilliseconds: 0,
    threadMilliseconds: 0,
    threadModules: 0,
  };

  constructor(
    private readonly memory: EngineMemory,
    private readonly code: CodeCache,
    /** The interpreter's table of functions. */
    private readonly entered: WebAssembly.Table,
    private readonly imports: GeneratedImports,
    private readonly options: JitOptions = defaultJitOptions,
    /** Milliseconds of some clock, for the figures only. */
    private readonly clock: () => number = () => 0,
    private readonly thread?: CompileThread,
  ) {
    this.jumpCaches = new JumpCaches(memory, code);
    this.planner = new RegionPlanner(memory, code, this.jumpCaches, this.targets);
    this.table = new FunctionTable(entered);
    this.compiler = new Compiler(clock);
    this.linker = new Linker(memory, this.planner, this.jumpCaches);
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
    if (this.queue.length >= this.options.batch && this.ordered.length < MAX_ORDERED) this.compile();
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
    if (this.ordered.length > 0) this.takeOrdered();
    // However little a slice does, it takes some of the host's time.
    const spent = Math.max(MINIMUM_POLL, instructions);
    if (this.queue.length > 0 && this.ordered.length < MAX_ORDERED) {
      this.waited += spent;
      this.undisturbed += spent;
      const worth = patience * (1 + this.stats.modulesLive / PATIENT_MODULES);
      if (this.undisturbed >= worth * POLL_INSTRUCTIONS || this.waited >= longest * POLL_INSTRUCTIONS) this.compile();
    }
    if (this.stats.modulesLive - this.packed < packModules) return;
    const wait = packPatience * POLL_INSTRUCTIONS;
    // Jumps are looked at before everything is packed: not long before, and often enough where it does not come to rest.
    const looks = this.quiet < wait / 2 && this.quiet + spent >= wait / 2;
    if (looks || Math.floor(this.unpacked / wait) !== Math.floor((this.unpacked + spent) / wait)) this.linker.observe(this.live);
    this.quiet += spent;
    this.unpacked += spent;
    if ((this.quiet >= wait || this.unpacked >= wait * RESTLESS) && this.ordered.length === 0) this.packAll();
  }

  /**
   * Puts all live functions into as few modules as possible: calls between modules miss the host's caches. V8 compiles all of them anew, so what has been packed before
   * is packed again only with half as many others. No CPU executes meanwhile.
   */
  private packAll(): void {
    this.quiet = 0;
    this.unpacked = 0;
    const loose = [...this.live].filter(({ module }) => !module.packed).length;
    if (loose * 2 >= this.live.size - loose) this.pack([...this.live]);
  }

  /** Keeps within the bounds: what is in modules of their own is packed, then what is in packed ones of which little may be left, and what is too much even so is dropped. */
  private makeRoom(): void {
    const { maximumModules, maximumBytes, maximumMade } = this.options;
    // What another thread makes counts when it is there: nothing can be packed before.
    if (this.ordered.length === 0) {
      if (this.stats.modulesLive >= maximumModules) {
        this.pack([...this.live].filter(({ module }) => !module.packed));
        if (this.stats.modulesLive * 2 >= maximumModules) this.pack([...this.live]);
      }
      if (this.table.importers >= maximumMade) this.pack([...this.live]);
    }
    if (this.stats.modulesLive >= maximumModules + MAX_ORDERED || this.stats.bytesLive >= maximumBytes) this.discardAll();
  }

  /** Puts functions that are there into new modules, and links them with each other. */
  private pack(regions: readonly GeneratedRegion[]): void {
    if (regions.length === 0) return;
    let renews = regions.length === this.live.size;
    // What the other thread is still making may have links of its own: slots stay held until another time.
    const renewal = renews && this.ordered.length === 0 ? this.linker.renew() : undefined;
    const functions = this.linker.order(regions);
    for (let first = 0; first < functions.length; first += MODULE_FUNCTIONS) {
      const together = functions.slice(first, first + MODULE_FUNCTIONS);
      const module = { live: together.length, packed: true };
      this.stats.modulesLive++;
      this.packed++;
      for (const region of together) {
        this.leaveModule(region);
        region.module = module;
      }
      // Several modules that share a new table have to be there at once: a jump between two functions would find its place empty until then.
      const completes = first + MODULE_FUNCTIONS >= functions.length;
      this.make({ regions: together, module, renews, renewal, completes }, regions.length > MODULE_FUNCTIONS);
      renews = false;
    }
    this.stats.packs++;
  }

  private leaveModule({ module }: GeneratedRegion): void {
    if (--module.live > 0) return;
    this.stats.modulesLive--;
    if (module.packed) this.packed--;
  }

  /** Has a module made of regions, by the other thread if there is one. */
  private make(ordered: Ordered, here = false): void {
    const { regions, module, renewal } = ordered;
    const order = {
      functions: module.packed ? this.linker.link(regions, renewal) : regions.map(({ code }) => code),
      slots: regions.map(({ slot }) => slot),
      pages: this.memory.pages,
    };
    this.stats.links = this.linker.made;
    if (!here && this.thread?.send(order) === true) {
      this.ordered.push(ordered);
      return;
    }
    // Modules come in the order in which they were ordered.
    while (!here && this.ordered.length > 0) this.takeOrdered();
    const compiled = this.compiler.compile(order);
    this.stats.generateMilliseconds += compiled.generateMilliseconds;
    this.stats.compileMilliseconds += compiled.compileMilliseconds;
    this.install(ordered, compiled);
  }

  /** Installs what the other thread has made. */
  private takeOrdered(): void {
    for (let [first] = this.ordered; first !== undefined; [first] = this.ordered) {
      const compiled = this.thread?.take();
      if (compiled === undefined) return;
      this.ordered.shift();
      if (typeof compiled !== "string") {
        this.stats.threadMilliseconds += compiled.generateMilliseconds + compiled.compileMilliseconds;
        this.stats.threadModules++;
        this.install(first, compiled);
      } else {
        // It has run out of memory or is gone; or it is a mistake of ours, which shows here.
        const regions = first.regions.filter(({ alive }) => alive);
        this.make({ ...first, regions }, true);
      }
    }
    for (const slot of this.slotsToRelease.splice(0)) this.table.release(slot);
  }

  /** Functions take their places. Regions that have died since their module was ordered are left out. */
  private install({ regions, renews, renewal, completes }: Ordered, { module, bodies }: CompiledModule): void {
    const begun = this.clock();
    if (renews) this.table.renew();
    if (regions.some(({ alive }) => alive)) {
      const { memory } = this.memory;
      this.bridged ??= { memory, ...this.imports, ...bridge(memory, this.entered, this.imports) };
      new WebAssembly.Instance(module, { env: { ...this.bridged, table: this.table.imported } });
      this.table.importers++;
      this.stats.modules++;
    }
    regions.forEach((region, i) => {
      if (region.alive) this.enter(region, bodies[i]);
      else this.table.clear(region.slot);
    });
    if (renewal !== undefined && completes) for (const slot of this.linker.renewed(renewal)) this.table.release(slot);
    this.stats.compileMilliseconds += this.clock() - begun;
  }

  /** The region's function is in the table: its blocks are entered there from now on. */
  private enter(region: GeneratedRegion, body: FunctionBody): void {
    this.table.publish(region.slot);
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

  /** Has functions made for all blocks that wait. */
  private compile(): void {
    this.waited = 0;
    this.quiet = 0;
    const waiting = this.queue;
    this.queue = [];
    this.makeRoom();
    const begun = this.clock();
    const made: GeneratedRegion[] = [];
    // One more than its regions, so that it stays until all are chosen.
    const module: GeneratedModule = { live: 1, packed: false };
    for (const { block, cpu } of waiting) {
      if (!block.alive || this.isEntry(block)) continue;
      if (block.regions.length > 0 && !this.deferred.has(block)) {
        this.deferred.add(block);
        this.warmUp(block);
        continue;
      }
      made.push(this.grow(block, cpu, module) ?? this.register(this.plan(block, cpu), module, 0));
    }
    this.stats.generateMilliseconds += this.clock() - begun;
    const regions = made.filter(({ alive }) => alive);
    module.live--;
    if (regions.length === 0) return;
    this.stats.modulesLive++;
    this.make({ regions, module, renews: false, renewal: undefined, completes: false });
  }

  /** The block is entered in a function, or will be in one that is being made. */
  private isEntry(block: Block): boolean {
    const regions = block.regions as readonly GeneratedRegion[];
    return this.jumpCaches.functionOf(block) !== 0 || regions.some(({ code, entries }) => !isBody(code) && entries.includes(block));
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
    const callers = new Set(
      sources.filter((source) => this.planner.calls(source)).flatMap((source) => source.regions as GeneratedRegion[]),
    );
    const jumpers = sources.flatMap((source) => source.regions as GeneratedRegion[]);
    for (const region of new Set([...callers, ...(this.leavers.get(block.rip) ?? []), ...jumpers])) {
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

  private register({ plan, blocks, outside }: ChosenRegion, module: GeneratedModule, growth: number): GeneratedRegion {
    const region: GeneratedRegion = {
      blocks,
      entries: plan.entries.map((member) => blocks[member]),
      outside,
      growth,
      slot: this.table.takeSlot(),
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
    module.live++;
    this.live.add(region);
    this.stats.regions++;
    this.stats.regionsLive++;
    this.stats.blocks += blocks.length;
    return region;
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
    region.alive = false;
    this.live.delete(region);
    this.stats.regionsLive--;
    if (isBody(region.code)) this.stats.bytesLive -= region.code.bytes.length;
    this.leaveModule(region);
    this.table.clear(region.slot);
    if (!this.linker.hold(region.slot)) this.release(region.slot);
    for (const block of region.blocks) {
      block.regions = block.regions.filter((other) => other !== region);
      const word = this.jumpCaches.functionOf(block);
      if (word === 0 ? isBody(region.code) || !region.entries.includes(block) : word >>> FUNCTION_ENTRY_BITS !== region.slot) continue;
      this.jumpCaches.setFunction(block, 0);
      this.warmUp(block);
    }
    for (const rip of region.outside) {
      const leavers = this.leavers.get(rip);
      leavers?.delete(region);
      if (leavers?.size === 0) this.leavers.delete(rip);
    }
  }

  private release(slot: number): void {
    if (this.ordered.length === 0) this.table.release(slot);
    else this.slotsToRelease.push(slot);
  }

  discardAll(): void {
    for (const region of [...this.live]) this.retire(region);
    // Nothing is left that has links.
    for (const slot of this.linker.renewed(this.linker.renew())) this.release(slot);
    this.table.renew();
    this.queue = this.queue.filter(({ block }) => block.alive);
  }
}
