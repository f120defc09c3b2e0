import { UserError } from "../../machine/errors";
import { registerPart } from "../expr/registers";
import type { TypedValue } from "../expr/scope";
import { extraRegisters } from "../registerAccess";
import { Tag, At } from "./dwarf/constants";
import type { DwarfInfo } from "./dwarf/info";
import type { RegisterNumbering, RegisterValues } from "./dwarf/registers";
import { numberingI386, numberingX8664 } from "./dwarf/registers";
import { TypeInfo } from "./dwarf/types";
import type { Unit } from "./dwarf/unit";
import type { Value, ValueContext } from "./dwarf/values";
import { pointerValue } from "./dwarf/values";
import type { Variable } from "./dwarf/variables";
import { VariableReader } from "./dwarf/variables";
import type { SymbolModule } from "./module";
import { CpuPlacement } from "./perCpu";
import type { SymbolStore } from "./table";
import type { DebugCpu } from "../target";

/** A frame of a stack, as the unwinder gives it. `lookupPc` is a run-time address. */
export interface ProgramFrame {
  readonly lookupPc: bigint;
  readonly registers: RegisterValues;
  readonly cfa: bigint | undefined;
}

/** Variables and types of the program as `cpu` sees them. */
export function programOf(symbols: SymbolStore, cpu: DebugCpu): ProgramValues {
  const readMemory = (address: bigint, size: number): Uint8Array | undefined => {
    const bytes = cpu.readMemory(address, size);
    return bytes !== undefined && bytes.length === size ? bytes : undefined;
  };
  return new ProgramValues(symbols, readMemory, new CpuPlacement(cpu));
}

/** Variables and types of the program, read from guest memory. One instance holds for one state of the machine. */
export class ProgramValues {
  private readonly context: ValueContext;
  private readonly enumerators = new Map<Unit, ReadonlyMap<string, Value>>();

  /** `readMemory` reads guest virtual memory as the stopped CPU sees it, whose own copies of variables `placement` finds. */
  constructor(
    private readonly symbols: SymbolStore,
    readMemory: (address: bigint, size: number) => Uint8Array | undefined,
    private readonly placement?: CpuPlacement,
  ) {
    this.context = { readMemory, describe: (address) => symbols.describe(address) };
  }

  /** Damage in a file makes its variables unknown; it is no failure of the request. */
  private guard<T>(find: () => T): T | undefined {
    try {
      return find();
    } catch (error) {
      if (error instanceof UserError) return undefined;
      throw error;
    }
  }

  private reader(module: SymbolModule, info: DwarfInfo): VariableReader {
    return new VariableReader(
      info,
      numberingOf(module),
      (linked) => (this.placement === undefined ? module.toLoaded(linked) : this.placement.place(module, linked)),
      this.context,
    );
  }

  /**
   * Parameters and locals of a frame; `inlined` counts the logical frames of the machine frame from the innermost, 0. Empty when
   * the code has no debug information.
   */
  locals(frame: ProgramFrame, inlined = 0): Variable[] {
    const module = this.symbols.moduleAt(frame.lookupPc);
    const info = module?.dwarf;
    if (module === undefined || info === undefined) return [];
    const address = module.toLinked(frame.lookupPc);
    const found = this.guard(() => {
      const scope = info.scopesAt(address).at(inlined);
      return scope === undefined
        ? []
        : this.reader(module, info).inScope(scope.entry, { address, registers: frame.registers, cfa: frame.cfa });
    });
    return found ?? [];
  }

  /** The global or static variable `name`, qualified or not; that of the unit around `near` before others. */
  global(name: string, near?: bigint): Value | undefined {
    for (const module of this.symbols.modules) {
      const info = module.dwarf;
      if (info === undefined) continue;
      const entries = this.guard(() => info.findVariables(name)) ?? [];
      const unit = near === undefined ? undefined : this.guard(() => info.unitAt(module.toLinked(near)));
      const entry = entries.find((candidate) => candidate.unit === unit) ?? entries.at(0);
      const value = entry === undefined ? undefined : this.guard(() => this.reader(module, info).global(entry, name));
      if (value !== undefined) return value;
    }
    return undefined;
  }

  /** All global and static variables that have an address, with their qualified names, up to `limit`. */
  globals(limit = 10_000): Value[] {
    const found: Value[] = [];
    for (const module of this.symbols.modules) {
      const info = module.dwarf;
      if (info === undefined) continue;
      this.guard(() => {
        for (const { name, entry } of info.globals()) {
          if (found.length >= limit) return;
          found.push(this.reader(module, info).global(entry, name));
        }
      });
    }
    return found;
  }

  /** What a name in an expression stands for in a frame: a local, a member of C++'s `this`, a global, a constant of an enumeration. */
  variable(name: string, frame?: ProgramFrame, inlined = 0): TypedValue | undefined {
    if (frame !== undefined) {
      const locals = this.locals(frame, inlined).filter((variable) => !variable.isShadowed);
      const local =
        locals.find(({ value }) => value.name === name)?.value ??
        locals
          .find(({ value }) => value.name === "this")
          ?.value.target()
          ?.member(name);
      if (local !== undefined) return local;
    }
    if (this.isOnlyRegister(name)) return undefined;
    return this.global(name, frame?.lookupPc) ?? (frame === undefined ? undefined : this.enumerator(name, frame.lookupPc));
  }

  /** A register's name, or what stands before one, is no global unless a symbol has it: to look for it through all debug information would take seconds in a kernel, at the first `rax` typed. */
  private isOnlyRegister(name: string): boolean {
    const lower = name.toLowerCase();
    if (registerPart(lower) === undefined && !extraRegisters.includes(lower) && !/^(?:lapic|cpu\d+)$/.test(lower)) return false;
    return this.symbols.modules.every((module) => module.symbols.named(name).length === 0);
  }

  /** The enumeration constant `name` of the unit around `near`. */
  private enumerator(name: string, near: bigint): TypedValue | undefined {
    const module = this.symbols.moduleAt(near);
    const info = module?.dwarf;
    if (module === undefined || info === undefined) return undefined;
    return this.guard(() => {
      const unit = info.unitAt(module.toLinked(near));
      if (unit === undefined) return undefined;
      let known = this.enumerators.get(unit);
      if (known === undefined) {
        const found = new Map<string, Value>();
        const reader = this.reader(module, info);
        const { abbreviations } = unit.entries;
        for (let index = 0; index < abbreviations.length; index++) {
          if (abbreviations[index].tag !== Tag.enumerator) continue;
          const entry = unit.entry(index);
          const own = entry.string(At.name);
          if (own !== undefined && entry.parent !== undefined) found.set(own, reader.constant(entry, own, entry.parent));
        }
        known = found;
        this.enumerators.set(unit, known);
      }
      return known.get(name);
    });
  }

  /** `(type *...)address` for a type of the program, named without `struct` and the like. */
  pointerTo(type: string, stars: number, address: bigint): TypedValue | undefined {
    for (const module of this.symbols.modules) {
      const info = module.dwarf;
      const entry = info === undefined ? undefined : this.guard(() => info.findType(type));
      if (info !== undefined && entry !== undefined) return pointerValue(new TypeInfo(info, entry), stars, address, this.context);
    }
    return undefined;
  }
}

/** How the module's debug information numbers registers. */
export function numberingOf(module: SymbolModule): RegisterNumbering {
  return module.addressSize === 8 || module.elf?.isX8664 === true ? numberingX8664 : numberingI386;
}
