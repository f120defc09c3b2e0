import type { EngineMemory } from "../memory";
import type { FunctionBody } from "../wasm/writer";
import { type CompiledModule, type CompileThread, Compiler } from "./compilation";
import { FunctionTable } from "./functionTable";
import { type GeneratedImports, moduleImports } from "./imports";
import type { JitStats } from "./jitStats";
import type { Linkable, Linker, Renewal } from "./links";

/** Functions of one module at most. */
const MODULE_FUNCTIONS = 1_000;

/** Functions that V8 has compiled together: they are let go together. */
export interface GeneratedModule {
  live: number;
  /** It was made of others. */
  readonly packed: boolean;
}

/** A function as modules know it. */
export interface ModuleFunction extends Linkable {
  module: GeneratedModule;
  /** It may die while its module is being made. */
  readonly alive: boolean;
}

/** What goes into a module that is to be made. */
interface Ordered<F> {
  readonly functions: readonly F[];
  readonly module: GeneratedModule;
  /** All functions that there were when it was ordered go into it, and the modules ordered with it. */
  readonly renews: boolean;
  /** What links have to do with that; whether it is the last one of these. */
  readonly renewal: Renewal | undefined;
  readonly completes: boolean;
}

/**
 * The modules that generated functions are in: ordered from another thread, where there is one, installed when they are there, packed, and let go with their last function. A function has its slot in the
 * table from the time it is ordered; the slot is not given to another one as long as some module may have a function for it, or a link to it.
 */
export class LiveModules<F extends ModuleFunction> {
  private readonly table: FunctionTable;
  private readonly compiler: Compiler;
  /** What modules import; made with the first one. */
  private imported: WebAssembly.ModuleImports | undefined;
  /** Those that another thread is making, in the order in which they come. */
  private readonly ordered: Ordered<F>[] = [];
  /** Slots of functions that died while modules were being made, maybe with a function for them. */
  private slotsToRelease: number[] = [];
  /** Live modules that are packed. */
  private packed = 0;

  constructor(
    private readonly memory: EngineMemory,
    /** The interpreter's table of functions. */
    private readonly entered: WebAssembly.Table,
    private readonly imports: GeneratedImports,
    private readonly linker: Linker,
    private readonly stats: JitStats,
    /** Milliseconds of some clock, for the figures only. */
    private readonly clock: () => number,
    private readonly thread: CompileThread | undefined,
    /** A function is in the table, with this body. */
    private readonly installed: (installed: F, body: FunctionBody) => void,
  ) {
    this.table = new FunctionTable(entered);
    this.compiler = new Compiler(clock);
  }

  /** Modules that another thread is making. */
  get awaited(): number {
    return this.ordered.length;
  }

  /** Live modules that were made one by one. */
  get loose(): number {
    return this.stats.modulesLive - this.packed;
  }

  /** Modules made since everything was packed last, live or not. */
  get sincePacked(): number {
    return this.table.importers;
  }

  /** A module that functions gather for, until it is ordered. */
  gather(): GeneratedModule {
    // One more than its functions, so that it stays until all are chosen.
    return { live: 1, packed: false };
  }

  /** A slot for one more function of `module`. */
  join(module: GeneratedModule): number {
    module.live++;
    return this.table.takeSlot();
  }

  /** Has a module made of what has gathered for it. */
  order(module: GeneratedModule, functions: readonly F[]): void {
    module.live--;
    if (functions.length === 0) return;
    this.stats.modulesLive++;
    this.make({ functions, module, renews: false, renewal: undefined, completes: false });
  }

  /** Puts functions that are there, `all` that there are or some, into new modules, and links them with each other. */
  pack(functions: readonly F[], all: boolean): void {
    if (functions.length === 0) return;
    let renews = all;
    // What the other thread is still making may have links of its own: slots stay held until another time.
    const renewal = renews && this.ordered.length === 0 ? this.linker.renew() : undefined;
    const inOrder = this.linker.order(functions);
    for (let first = 0; first < inOrder.length; first += MODULE_FUNCTIONS) {
      const together = inOrder.slice(first, first + MODULE_FUNCTIONS);
      const module = { live: together.length, packed: true };
      this.stats.modulesLive++;
      this.packed++;
      for (const moved of together) {
        this.leave(moved.module);
        moved.module = module;
      }
      // Several modules that share a new table have to be there at once: a jump between two functions would find its place empty until then.
      const completes = first + MODULE_FUNCTIONS >= inOrder.length;
      this.make({ functions: together, module, renews, renewal, completes }, functions.length > MODULE_FUNCTIONS);
      renews = false;
    }
    this.stats.packs++;
  }

  /** The function has died: nothing enters it any more. */
  remove({ module, slot }: F): void {
    this.leave(module);
    this.table.clear(slot);
    if (!this.linker.hold(slot)) this.release(slot);
  }

  private leave(module: GeneratedModule): void {
    if (--module.live > 0) return;
    this.stats.modulesLive--;
    if (module.packed) this.packed--;
  }

  private release(slot: number): void {
    if (this.ordered.length === 0) this.table.release(slot);
    else this.slotsToRelease.push(slot);
  }

  /** All functions have died. */
  emptied(): void {
    // Nothing is left that has links.
    for (const slot of this.linker.renewed(this.linker.renew())) this.release(slot);
    this.table.renew();
  }

  /** Has a module made, by the other thread if there is one. */
  private make(ordered: Ordered<F>, here = false): void {
    const { functions, module, renewal } = ordered;
    const order = {
      functions: module.packed ? this.linker.link(functions, renewal) : functions.map(({ code }) => code),
      slots: functions.map(({ slot }) => slot),
      pages: this.memory.pages,
    };
    this.stats.links = this.linker.made;
    if (!here && this.thread?.send(order) === true) {
      this.ordered.push(ordered);
      return;
    }
    // Modules come in the order in which they were ordered.
    while (!here && this.ordered.length > 0) this.takeMade();
    const compiled = this.compiler.compile(order);
    this.stats.generateMilliseconds += compiled.generateMilliseconds;
    this.stats.compileMilliseconds += compiled.compileMilliseconds;
    this.install(ordered, compiled);
  }

  /** Installs what the other thread has made. */
  takeMade(): void {
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
        const functions = first.functions.filter(({ alive }) => alive);
        this.make({ ...first, functions }, true);
      }
    }
    for (const slot of this.slotsToRelease.splice(0)) this.table.release(slot);
  }

  /** Functions take their places. Those that have died since their module was ordered are left out. */
  private install({ functions, renews, renewal, completes }: Ordered<F>, { module, bodies }: CompiledModule): void {
    const begun = this.clock();
    if (renews) this.table.renew();
    if (functions.some(({ alive }) => alive)) {
      this.imported ??= moduleImports(this.memory.memory, this.entered, this.imports);
      new WebAssembly.Instance(module, { env: { ...this.imported, table: this.table.imported } });
      this.table.importers++;
      this.stats.modules++;
    }
    functions.forEach((made, i) => {
      if (!made.alive) return this.table.clear(made.slot);
      this.table.publish(made.slot);
      this.installed(made, bodies[i]);
    });
    if (renewal !== undefined && completes) for (const slot of this.linker.renewed(renewal)) this.table.release(slot);
    this.stats.compileMilliseconds += this.clock() - begun;
  }
}
