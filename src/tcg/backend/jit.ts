import type { Block, CodeCache, GeneratedCode, Region } from "../codeCache";
import type { EngineHost, RunFunction } from "../interpreter/interpreter";
import { BLOCK_FUNCTION, FUNCTION_ENTRY_BITS } from "../layout";
import type { EngineMemory } from "../memory";
import { opNames } from "../ops";
import { arithmeticEmitters } from "./arithmetic";
import { controlEmitters } from "./control";
import { type OpEmitter, RegionFunction } from "./function";
import { memoryEmitters } from "./memory";
import { assembleModule } from "./module";
import { moveEmitters } from "./moves";
import { RegionPlanner } from "./region";
import { shiftEmitters } from "./shifts";
import { vectorEmitters } from "./vectors";

/** What generated code calls besides its own: the interpreter's functions, and the host. */
export interface GeneratedImports extends Pick<EngineHost, "helper"> {
  readonly run: RunFunction;
  /** (cpu, address, kind): the TLB entry filled for an access that missed, or 0 (interpreter/walk.ts). */
  readonly walk: (cpu: number, address: bigint, kind: number) => number;
  /** (cpu, operation): iterations of a string instruction (interpreter/strings.ts). */
  readonly bulkString: (cpu: number, operation: number) => number;
  /** (cpu, jump-cache entry): first op of the block at SLOT_RIP that the entry is not (interpreter/jumps.ts), or 0. */
  readonly findJump: (cpu: number, entry: number) => number;
  /** (cpu, address, rip, operation): 1 when the x87 instruction is done (x87/function.ts). */
  readonly x87: (cpu: number, address: bigint, rip: bigint, operation: number) => number;
  /** (cpu, FAST_CALL or FAST_RETURN): 1 when the system call or return is done (interpreter/fastCalls.ts). */
  readonly fastCall: (cpu: number, what: number) => number;
  readonly getFlags: (cpu: number) => bigint;
  readonly setFlags: (cpu: number, flags: bigint) => void;
  /** Address of a plain access that missed the TLB, or 0. */
  hostAddress(kind: number, lo: number, hi: number): number;
}

export interface JitOptions {
  /** Entries after which a block is hot. */
  readonly threshold: number;
  /** Regions that are compiled together at once; fewer wait for `patience` times POLL_INSTRUCTIONS. */
  readonly batch: number;
  readonly patience: number;
  /** Live modules after which everything generated is dropped. */
  readonly maximumModules: number;
  /** Bytes of live functions after which everything generated is dropped. */
  readonly maximumBytes: number;
  /** Modules made one by one that are packed into few, once nothing has been generated for `packPatience` times POLL_INSTRUCTIONS. */
  readonly packModules: number;
  readonly packPatience: number;
}

/**
 * What a block costs to generate, and V8's optimiser to compile in its own threads, pays after some ten thousands of entries (docs/performance.md); a loop gets there in a
 * millisecond.
 */
export const defaultJitOptions: JitOptions = {
  threshold: 30_000,
  batch: 64,
  patience: 100,
  maximumModules: 800,
  maximumBytes: 32 << 20,
  packModules: 16,
  packPatience: 5_000,
};
/** Translates what runs a few times. */
export const eagerJitOptions: JitOptions = { ...defaultJitOptions, threshold: 16, patience: 2 };

/** Figures of the translator. */
export interface JitStats {
  regions: number;
  regionsLive: number;
  modules: number;
  modulesLive: number;
  discarded: number;
  /** Times modules were packed. */
  packs: number;
  bytes: number;
  bytesLive: number;
  blocks: number;
  generateMilliseconds: number;
  compileMilliseconds: number;
}

/** Instructions that `patience` is counted in, and as how many a short slice counts. */
const POLL_INSTRUCTIONS = 10_000;
const MINIMUM_POLL = 2_000;
/** Functions of one module at most. */
const MODULE_FUNCTIONS = 1_000;

/** Functions that V8 has compiled together: they are let go together. */
interface GeneratedModule {
  live: number;
  /** It was made of others. */
  readonly packed: boolean;
}

interface GeneratedRegion extends Region {
  readonly slot: number;
  readonly entries: readonly Block[];
  /** Its function as the code section has it: the same in whatever module. */
  readonly body: Uint8Array;
  module: GeneratedModule;
  alive: boolean;
}

/** Each op's emitter, by opcode. A new op without one is found by the unit tests. */
export function opEmitters(): readonly (OpEmitter | undefined)[] {
  const byName = new Map([
    ...controlEmitters(),
    ...moveEmitters(),
    ...arithmeticEmitters(),
    ...shiftEmitters(),
    ...memoryEmitters(),
    ...vectorEmitters(),
  ]);
  return opNames.map((name) => byName.get(name));
}

/**
 * The translator: turns regions around hot blocks into WebAssembly functions. Blocks become hot in the interpreter (EXIT_HOT); they wait until a batch is worth a module.
 * When functions are made changes nothing in what the guest does.
 */
export class Jit implements GeneratedCode {
  private readonly planner: RegionPlanner;
  private readonly emitters = opEmitters();
  private queue: { block: Block; cpu: number }[] = [];
  private waited = 0;
  /** Instructions since something was generated, while there are modules to pack. */
  private quiet = 0;
  /** Live modules that are packed. */
  private packed = 0;
  private readonly freeSlots: number[] = [];
  private nextSlot = 1;
  private readonly live = new Set<GeneratedRegion>();
  /** Times code of a physical page was dropped after it had been generated: such pages are generated again more and more reluctantly. */
  private readonly drops = new Map<number, number>();
  readonly stats: JitStats = {
    regions: 0,
    regionsLive: 0,
    modules: 0,
    modulesLive: 0,
    discarded: 0,
    packs: 0,
    bytes: 0,
    bytesLive: 0,
    blocks: 0,
    generateMilliseconds: 0,
    compileMilliseconds: 0,
  };

  constructor(
    private readonly memory: EngineMemory,
    private readonly code: CodeCache,
    private readonly table: WebAssembly.Table,
    private readonly imports: GeneratedImports,
    private readonly options: JitOptions = defaultJitOptions,
    /** Milliseconds of some clock, for the figures only. */
    private readonly clock: () => number = () => 0,
  ) {
    this.planner = new RegionPlanner(memory, code);
  }

  heat(page: number): number {
    return this.options.threshold << Math.min(this.drops.get(page) ?? 0, 12);
  }

  /** A block has become hot on the CPU whose state is at `cpu`. */
  hot(block: Block, cpu: number): void {
    if (!block.alive || block.secondPage >= 0) return;
    this.queue.push({ block, cpu });
    if (this.queue.length >= this.options.batch) this.compile();
  }

  /** Called between slices of `instructions` each: compiles what has waited long enough, and packs modules when nothing new has come for long. */
  poll(instructions: number): void {
    const { patience, packModules, packPatience } = this.options;
    // However little a slice does, it takes some of the host's time.
    const spent = Math.max(MINIMUM_POLL, instructions);
    if (this.queue.length > 0) {
      this.waited += spent;
      if (this.waited >= patience * POLL_INSTRUCTIONS) this.compile();
    } else if (this.stats.modulesLive - this.packed >= packModules) {
      this.quiet += spent;
      if (this.quiet >= packPatience * POLL_INSTRUCTIONS) this.pack();
    }
  }

  /**
   * Puts all live functions into as few modules as possible: calls between modules miss the host's caches. V8 compiles all of them anew, so what has been packed before
   * is packed again only with half as many others. No CPU executes meanwhile.
   */
  private pack(): void {
    this.quiet = 0;
    const loose = [...this.live].filter(({ module }) => !module.packed).length;
    if (loose * 2 < this.live.size - loose) return;
    const begun = this.clock();
    const regions = [...this.live];
    for (let first = 0; first < regions.length; first += MODULE_FUNCTIONS) {
      const together = regions.slice(first, first + MODULE_FUNCTIONS);
      const module = { live: together.length, packed: true };
      this.instantiate(together);
      this.stats.modulesLive++;
      this.packed++;
      for (const region of together) {
        this.leaveModule(region);
        region.module = module;
      }
    }
    this.stats.packs++;
    this.stats.compileMilliseconds += this.clock() - begun;
  }

  private leaveModule({ module }: GeneratedRegion): void {
    if (--module.live > 0) return;
    this.stats.modulesLive--;
    if (module.packed) this.packed--;
  }

  /** Makes a module of regions; its functions take their slots in the table, whatever was there. */
  private instantiate(regions: readonly GeneratedRegion[]): void {
    const bytes = assembleModule(
      regions.map(({ body }) => body),
      regions.map(({ slot }) => slot),
      this.memory.pages,
    );
    new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory: this.memory.memory, table: this.table, ...this.imports } });
    this.stats.modules++;
  }

  /** Generates and installs functions for all blocks that wait. */
  private compile(): void {
    this.waited = 0;
    this.quiet = 0;
    const waiting = this.queue;
    this.queue = [];
    const begun = this.clock();
    if (this.stats.modulesLive >= this.options.maximumModules || this.stats.bytesLive >= this.options.maximumBytes) this.discardAll();
    const regions: GeneratedRegion[] = [];
    const module: GeneratedModule = { live: 0, packed: false };
    for (const { block, cpu } of waiting) {
      if (!block.alive || this.memory.u32[(block.header + BLOCK_FUNCTION) >>> 2] !== 0) continue;
      const plan = this.planner.plan(block, cpu, (member) => this.warmth(member));
      const body = new RegionFunction(
        plan,
        this.memory,
        this.emitters,
        (from, rip) => this.planner.nearBlock(from, rip)?.header ?? 0,
      ).build();
      const region: GeneratedRegion = {
        blocks: plan.members.map((member) => member.block),
        entries: plan.entries.map((member) => plan.members[member].block),
        slot: this.takeSlot(),
        body,
        module,
        alive: true,
      };
      regions.push(region);
      region.entries.forEach((entry, index) => {
        const word = (entry.header + BLOCK_FUNCTION) >>> 2;
        if (index === 0 || this.memory.u32[word] === 0) this.memory.u32[word] = (region.slot << FUNCTION_ENTRY_BITS) | index;
      });
      for (const member of region.blocks) member.regions = [...member.regions, region];
      this.stats.bytes += body.length;
      this.stats.bytesLive += body.length;
      this.stats.blocks += region.blocks.length;
    }
    const generated = this.clock();
    this.stats.generateMilliseconds += generated - begun;
    if (regions.length === 0) return;
    module.live = regions.length;
    this.instantiate(regions);
    for (const region of regions) this.live.add(region);
    this.stats.regions += regions.length;
    this.stats.regionsLive += regions.length;
    this.stats.modulesLive++;
    this.stats.compileMilliseconds += this.clock() - generated;
  }

  /** Heat left below which a block runs often enough to join the region of a hot one. */
  private warmth(block: Block): number {
    const heat = this.heat(Math.floor(block.physical / 4096));
    return heat - (heat >> 1);
  }

  private takeSlot(): number {
    const free = this.freeSlots.pop();
    if (free !== undefined) return free;
    if (this.nextSlot >= this.table.length) this.table.grow(this.table.length);
    return this.nextSlot++;
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
    this.stats.bytesLive -= region.body.length;
    this.leaveModule(region);
    this.table.set(region.slot, null);
    this.freeSlots.push(region.slot);
    const { u32 } = this.memory;
    for (const block of region.blocks) {
      block.regions = block.regions.filter((other) => other !== region);
      const word = (block.header + BLOCK_FUNCTION) >>> 2;
      if (u32[word] >>> FUNCTION_ENTRY_BITS !== region.slot) continue;
      u32[word] = 0;
      this.code.settle(block);
      this.code.giveHeat(block, this.heat(Math.floor(block.physical / 4096)));
    }
  }

  discardAll(): void {
    for (const region of [...this.live]) this.retire(region);
    this.queue = this.queue.filter(({ block }) => block.alive);
  }
}
