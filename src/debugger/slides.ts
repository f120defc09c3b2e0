import { findSlide } from "./symbols/slide";
import type { SymbolModule } from "./symbols/module";
import type { SymbolStore } from "./symbols/table";
import type { DebugMachine } from "./target";

/** Moves the symbols of kernels that chose their place at random to where they lie. */
export class Slides {
  /** Modules whose place is known. */
  private readonly settled = new Set<SymbolModule>();
  private due = false;

  constructor(
    private readonly machine: DebugMachine,
    private readonly symbols: SymbolStore,
    private readonly told: (text: string) => void,
    private readonly moved: (module: SymbolModule) => void,
  ) {}

  private get open(): SymbolModule[] {
    return this.symbols.modules.filter((module) => module.canSlide && !this.settled.has(module));
  }

  /** A CPU loads another IDT: places may be known now. Returns whether {@link look} has something to do. */
  idtLoaded(): boolean {
    this.due ||= this.open.length > 0;
    return this.due;
  }

  /** Looks at the CPUs after they loaded an IDT, or when `always`. Returns whether symbols were moved. */
  look(always = false): boolean {
    if (!this.due && !always) return false;
    this.due = false;
    let moved = false;
    for (const module of this.open)
      for (const cpu of this.machine.cpus) {
        const slide = findSlide(module, cpu);
        if (slide === undefined) continue;
        this.settled.add(module);
        if (slide === module.offset) break;
        module.offset = slide;
        moved = true;
        this.moved(module);
        this.told(
          `${module.name} lies ${slide < 0n ? "-" : ""}0x${(slide < 0n ? -slide : slide).toString(16)} from where it was linked (KASLR).`,
        );
        break;
      }
    return moved;
  }

  /** The machine starts anew: kernels choose again. */
  reset(): void {
    this.settled.clear();
  }
}
