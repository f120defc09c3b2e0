import { UserError } from "../machine/errors";
import { findSections, moduleName, ModuleState, readModules, type LoadedModule } from "./symbols/loadedModule";
import type { SymbolModule } from "./symbols/module";
import type { SectionAddresses } from "./symbols/relocations";
import type { SymbolStore } from "./symbols/table";
import type { DebugCpu, DebugMachine } from "./target";

/**
 * What Linux calls when a module's sections are in place, before it runs any of its code, and with one whose memory it gives back; the first that there is of each. Compilers may put the former of
 * each into their callers, but not the latter: one runs the initialisation of everything, the other is weak.
 */
const placed = ["do_init_module", "do_one_initcall"];
const freed = ["free_module", "module_arch_cleanup"];
const listHead = "modules";

/** An unlinked file of the session. */
interface Follower {
  readonly module: SymbolModule;
  /** The name that the kernel knows the module by. */
  readonly name: string;
  /** What the person said of where its sections lie. */
  readonly given: SectionAddresses;
  /** Loaded modules of that name that are another build, which was told. */
  readonly refused: Set<bigint>;
  /** Where the owner was last told that they lie. */
  told: SectionAddresses;
}

/**
 * Follows Linux's modules to where the kernel loads them: files of theirs that are symbol files get the addresses of their sections from the guest's memory. The kernel must have the symbols
 * `modules`, and one of {@link placed} for breakpoints in what a module does first.
 */
export class KernelModules {
  private followers: readonly Follower[] | undefined;

  constructor(
    private readonly machine: DebugMachine,
    private readonly symbols: SymbolStore,
    private readonly output: (text: string) => void,
    private readonly moved: (module: SymbolModule) => void,
  ) {}

  private get all(): readonly Follower[] {
    this.followers ??= this.symbols.modules
      .filter(({ isUnlinked }) => isUnlinked)
      .flatMap((module) =>
        module.elf === undefined
          ? []
          : [{ module, name: moduleName(module.elf), given: module.sections, refused: new Set<bigint>(), told: module.sections }],
      );
    return this.followers;
  }

  private addressOf(name: string): bigint | undefined {
    // Only symbol tables: a name that none has must not cost a walk through a kernel's debug information.
    for (const module of this.symbols.modules) {
      const symbol = module.isUnlinked ? undefined : module.symbols.named(name).at(0);
      if (symbol !== undefined) return module.toLoaded(symbol.address);
    }
    return undefined;
  }

  private first(names: readonly string[]): bigint | undefined {
    for (const name of names) {
      const address = this.addressOf(name);
      if (address !== undefined) return address;
    }
    return undefined;
  }

  /** Where a CPU is to be looked at when it comes there: {@link arrive}. */
  get places(): readonly bigint[] {
    if (this.all.length === 0) return [];
    return [this.first(placed), this.first(freed)].filter((address) => address !== undefined);
  }

  /** A CPU stands at one of the {@link places}. Returns whether symbols were moved. */
  arrive(cpu: DebugCpu): boolean {
    const isFreed = cpu.linearRip() === this.first(freed);
    // The first argument: RDI, or EAX in 32-bit kernels.
    return this.look(isFreed ? cpu.state.gpr(cpu.codeBits() === 64 ? 7 : 0) : undefined);
  }

  /** Looks at what the guest has loaded; a `struct module` at `leaving` is on its way out. Returns whether symbols were moved. */
  look(leaving?: bigint): boolean {
    if (this.all.length === 0) return false;
    const head = this.addressOf(listHead);
    let changed = false;
    for (const follower of this.all) {
      const read = head === undefined ? undefined : this.reader(head, follower.module);
      const loaded = read?.modules.find(
        ({ name, address, state }) => name === follower.name && address !== leaving && state !== ModuleState.unformed,
      );
      if (this.place(follower, loaded, read?.cpu)) changed = true;
    }
    return changed;
  }

  /** A CPU that sees the kernel's list of modules, and the list. */
  private reader(head: bigint, { elf }: SymbolModule): { readonly cpu: DebugCpu; readonly modules: readonly LoadedModule[] } | undefined {
    for (const cpu of this.machine.cpus) {
      const modules = readModules(head, elf?.bits ?? 64, (address, size) => cpu.readMemory(address, size));
      if (modules !== undefined) return { cpu, modules };
    }
    return undefined;
  }

  private place({ module, name, given, refused }: Follower, loaded: LoadedModule | undefined, cpu: DebugCpu | undefined): boolean {
    const { elf } = module;
    if (elf === undefined) return false;
    let found: SectionAddresses = new Map();
    if (loaded !== undefined && cpu !== undefined) {
      const sections = findSections(elf, loaded, (address, size) => cpu.readMemory(address, size));
      if (sections !== "mismatch") found = sections;
      else if (!refused.has(loaded.address)) {
        refused.add(loaded.address);
        this.output(`${module.name} is not the file of the module ${name} that the guest has loaded: their symbols lie differently.`);
      }
    }
    try {
      return module.moveSections(new Map([...found, ...given]));
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      this.output(error.message);
      return false;
    }
  }

  /** Tells the owner where modules lie that it was last told otherwise of. */
  tell(): void {
    for (const follower of this.all) {
      const { module, told } = follower;
      if (module.sections === told) continue;
      follower.told = module.sections;
      const text = module.sections.get(".text");
      if (text !== told.get(".text"))
        this.output(
          text === undefined ? `${module.name} is not loaded any more.` : `${module.name} is loaded, its code at 0x${text.toString(16)}.`,
        );
      this.moved(module);
    }
  }
}
