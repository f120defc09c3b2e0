import { UserError } from "../../machine/errors";
import { isAssembly } from "../symbols/dwarf/functions";
import type { LocationContext } from "../symbols/dwarf/location";
import { evaluateLocation } from "../symbols/dwarf/location";
import type { ElfFile } from "../symbols/elf";
import type { SymbolModule } from "../symbols/module";
import { numberingOf } from "../symbols/program";
import type { FrameName, SymbolStore } from "../symbols/table";
import type { RegisterRule, UnwindRow } from "./cfi";
import { CallFrameTable } from "./cfi";
import type { CodeMode, FrameState, MemoryReader, Step } from "./frame";
import { linear, littleEndian } from "./frame";
export type { CodeMode, MemoryReader } from "./frame";
import type { StepContext } from "./heuristics";
import { stepWithoutTables } from "./heuristics";
import type { RegisterNumbering, RegisterValues } from "../symbols/dwarf/registers";
import { callClobbered, callClobbered32 } from "../symbols/dwarf/registers";

/** A stopped CPU. */
export interface UnwindStart {
  readonly mode: CodeMode;
  readonly registers: RegisterValues;
  readonly readMemory: MemoryReader;
  /** Segment bases that turn `rip` and `rsp` into linear addresses; 0 in long mode and flat segments. */
  readonly codeBase?: bigint | undefined;
  readonly stackBase?: bigint | undefined;
  readonly maximumFrames?: number | undefined;
}

/** One machine frame with the calls inlined into it. */
export interface UnwoundFrame {
  /** Linear address of the next instruction of the frame: after the call, in frames that called. */
  readonly pc: bigint;
  /** `pc`, or in frames that called an address inside the call: what lines, scopes and variables are looked up with. */
  readonly lookupPc: bigint;
  /** The stack pointer before the frame's function was called; undefined when nothing told. */
  readonly cfa: bigint | undefined;
  /** Registers whose value in this frame is known. */
  readonly registers: RegisterValues;
  /** Logical frames, innermost first: inlined calls, then the function itself; empty when the code has no symbol. */
  readonly frames: readonly FrameName[];
  /** How the frame was found: `stop` is where the CPU is, `interrupt` was left by an interrupt or exception. */
  readonly found: "stop" | "tables" | "frame pointer" | "interrupt" | "code";
}

const defaultMaximumFrames = 256;

/** Walks stacks by call frame information where the symbol files have some, by frame pointers and code patterns elsewhere. */
export class Unwinder {
  private readonly tables = new Map<SymbolModule, { readonly elf: ElfFile | undefined; readonly table: CallFrameTable | undefined }>();

  constructor(private readonly symbols: SymbolStore) {}

  /** The frames of a stopped CPU, innermost first. Never throws for what it finds in the guest: the walk ends where it cannot go on. */
  unwind(start: UnwindStart): UnwoundFrame[] {
    const limit = start.maximumFrames ?? defaultMaximumFrames;
    const frames: UnwoundFrame[] = [];
    let state: FrameState = { registers: new Map(start.registers), codeBase: start.codeBase ?? 0n, stackBase: start.stackBase ?? 0n };
    let found: UnwoundFrame["found"] = "stop";
    let exact = true;
    const seen = new Set<string>();
    while (frames.length < limit) {
      const rip = state.registers.get("rip");
      if (rip === undefined) break;
      const pc = linear(start.mode, state.codeBase, rip);
      const lookupPc = exact ? pc : pc - 1n;
      const step = this.step(start, state, pc, lookupPc, exact);
      frames.push({ pc, lookupPc, cfa: step?.cfa, registers: state.registers, frames: this.symbols.framesAt(lookupPc), found });
      if (step === undefined) break;
      // A damaged stack must not send the walk in circles.
      const key = `${step.state.registers.get("rip")} ${step.state.registers.get("rsp")}`;
      if (seen.has(key)) break;
      seen.add(key);
      ({ state, found, exact } = step);
    }
    return frames;
  }

  private table(module: SymbolModule): CallFrameTable | undefined {
    const known = this.tables.get(module);
    // The file of an unlinked module is read anew when it is found elsewhere.
    if (known !== undefined && known.elf === module.elf) return known.table;
    let table: CallFrameTable | undefined;
    try {
      table = module.elf === undefined ? undefined : new CallFrameTable(module.elf, module.addressSize);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      module.warnings.push(`Call frame information is not used: ${error.message}`);
    }
    this.tables.set(module, { elf: module.elf, table });
    return table;
  }

  private step(start: UnwindStart, state: FrameState, pc: bigint, lookupPc: bigint, exact: boolean): Step | undefined {
    const module = this.symbols.moduleAt(lookupPc);
    const byTables = module === undefined ? undefined : this.stepByTables(start, state, module, lookupPc);
    if (byTables !== undefined) return byTables;
    const context: StepContext = {
      mode: start.mode,
      readMemory: start.readMemory,
      atFunctionStart: this.symbols.lookup(pc)?.offset === 0n,
      isAssembly: module !== undefined && this.isAssembly(module, lookupPc),
      exact,
      isCode: (address) =>
        this.symbols.modules.some((candidate) => candidate.elf !== undefined)
          ? this.symbols.moduleAt(address) !== undefined
          : start.readMemory(address, 1) !== undefined,
    };
    return stepWithoutTables(context, state, pc);
  }

  /** Whether code was written in assembly: debug information says so or, where a file has some, says nothing of it. */
  private isAssembly(module: SymbolModule, address: bigint): boolean {
    try {
      const unit = module.dwarf?.unitAt(module.toLinked(address));
      return module.dwarf !== undefined && (unit === undefined || isAssembly(unit));
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      return false;
    }
  }

  private stepByTables(start: UnwindStart, state: FrameState, module: SymbolModule, lookupPc: bigint): Step | undefined {
    try {
      const row = this.table(module)?.rowAt(module.toLinked(lookupPc));
      return row === undefined ? undefined : this.applyRow(start, state, module, row);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      return undefined;
    }
  }

  private applyRow(start: UnwindStart, state: FrameState, module: SymbolModule, row: UnwindRow): Step | undefined {
    const numbering = numberingOf(module);
    const context = locationContext(start, state, module, numbering);
    const cfa = frameAddress(row, context);
    if (cfa === undefined) return undefined;
    const width = module.addressSize;
    const clobbered = width === 4 ? callClobbered32 : callClobbered;
    const registers = new Map([...state.registers].filter(([name]) => !clobbered.has(name) && name !== "rip"));
    registers.set("rsp", cfa);
    for (const [number, rule] of row.registers) {
      const name = number === row.returnAddress ? "rip" : numbering.name(number);
      if (name === undefined) continue;
      const value = ruleValue(rule, number, cfa, context, width);
      if (value === undefined) registers.delete(name);
      else registers.set(name, value);
    }
    // A return address of zero or none is the usual mark of the first frame of a thread; without one the walk ends.
    if (registers.get("rip") === 0n) registers.delete("rip");
    return { state: { ...state, registers }, cfa, found: "tables", exact: row.isSignal };
  }
}

function locationContext(start: UnwindStart, state: FrameState, module: SymbolModule, numbering: RegisterNumbering): LocationContext {
  return {
    file: module.name,
    addressSize: module.addressSize,
    place: (address) => module.toLoaded(address),
    register: (number) => {
      const name = numbering.name(number);
      return name === undefined ? undefined : state.registers.get(name);
    },
    readMemory: (address, size) => start.readMemory(linear(start.mode, state.stackBase, address), size),
  };
}

function frameAddress(row: UnwindRow, context: LocationContext): bigint | undefined {
  if (row.cfa.kind === "register") {
    const base = context.register(row.cfa.register);
    return base === undefined ? undefined : BigInt.asUintN(context.addressSize * 8, base + row.cfa.offset);
  }
  const location = evaluateLocation(row.cfa.expression, context);
  return location.kind === "memory" ? location.address : location.kind === "value" ? location.value : undefined;
}

function ruleValue(rule: RegisterRule, number: number, cfa: bigint, context: LocationContext, width: number): bigint | undefined {
  const load = (address: bigint): bigint | undefined => {
    const bytes = context.readMemory(BigInt.asUintN(width * 8, address), width);
    return bytes === undefined ? undefined : littleEndian(bytes);
  };
  switch (rule.kind) {
    case "undefined":
      return undefined;
    case "same":
      return context.register(number);
    case "register":
      return context.register(rule.register);
    case "offset":
      return load(cfa + rule.offset);
    case "valueOffset":
      return BigInt.asUintN(width * 8, cfa + rule.offset);
    case "expression":
    case "valueExpression": {
      const location = evaluateLocation(rule.expression, context, [cfa]);
      const value = location.kind === "memory" ? location.address : location.kind === "value" ? location.value : undefined;
      return value === undefined || rule.kind === "valueExpression" ? value : load(value);
    }
  }
}
