import { CS, SS } from "../cpu/state";
import { extraRegisters, generalRegisters, readRegister, segmentRegisters } from "./registerAccess";
import type { SymbolStore } from "./symbols/table";
import type { DebugCpu } from "./target";
import { Unwinder, type UnwindStart, type UnwoundFrame } from "./unwind/unwinder";

/** One line of a stack as a person sees it: a function, or a call inlined into one. */
export interface StackEntry {
  readonly name: string;
  /** Linear address of the frame's next instruction. */
  readonly pc: bigint;
  readonly file: string | undefined;
  readonly line: number | undefined;
  readonly column: number | undefined;
  readonly inlined: boolean;
  /** The machine frame, and how many calls are inlined above this entry in it. */
  readonly frame: UnwoundFrame;
  readonly depth: number;
  /** True for the entries of the innermost machine frame: their registers are the CPU's own. */
  readonly innermost: boolean;
}

const unwound = [
  ...generalRegisters.map(([name]) => name),
  "rip",
  "rflags",
  ...segmentRegisters.map(([name]) => name),
  "fs_base",
  "gs_base",
];

function unwindStart(cpu: DebugCpu, maximumFrames: number): UnwindStart {
  const { state } = cpu;
  const bits = cpu.codeBits();
  const registers = new Map<string, bigint>();
  for (const name of unwound) {
    const value = readRegister(cpu, name);
    if (value !== undefined) registers.set(name, value);
  }
  return {
    mode: bits === 64 ? "long" : bits === 32 ? "protected" : "real",
    registers,
    readMemory: (address, size) => {
      const bytes = cpu.readMemory(address, size);
      return bytes !== undefined && bytes.length === size ? bytes : undefined;
    },
    codeBase: bits === 64 ? 0n : state.segBase(CS),
    stackBase: bits === 64 ? 0n : state.segBase(SS),
    maximumFrames,
  };
}

/** Walks the stacks of stopped CPUs. */
export class StackWalker {
  private readonly unwinder: Unwinder;

  constructor(symbols: SymbolStore) {
    this.unwinder = new Unwinder(symbols);
  }

  /** All entries, innermost first; at least one. */
  walk(cpu: DebugCpu, maximumFrames = 200): StackEntry[] {
    const entries: StackEntry[] = [];
    for (const [index, frame] of this.unwinder.unwind(unwindStart(cpu, maximumFrames)).entries()) {
      const common = { pc: frame.pc, frame, innermost: index === 0 };
      if (frame.frames.length === 0)
        entries.push({
          ...common,
          name: unknownName(frame.pc),
          file: undefined,
          line: undefined,
          column: undefined,
          inlined: false,
          depth: 0,
        });
      for (const [depth, { name, file, line, column, inlined }] of frame.frames.entries())
        entries.push({ ...common, name, file, line, column, inlined, depth });
    }
    return entries;
  }

  /** Where the innermost frame returns to, and the stack pointer then. */
  caller(cpu: DebugCpu): { pc: bigint; sp: bigint } | undefined {
    const frames = this.unwinder.unwind(unwindStart(cpu, 2));
    if (frames.length < 2) return undefined;
    const sp = frames[1].registers.get("rsp") ?? frames[0].cfa;
    return { pc: frames[1].pc, sp: sp ?? cpu.state.gpr(4) + 1n };
  }
}

function unknownName(pc: bigint): string {
  return `0x${pc.toString(16)}`;
}

/** Whether a frame other than the innermost can know this register. */
export function isFrameRegister(name: string): boolean {
  return !extraRegisters.includes(name) || name === "fs_base" || name === "gs_base";
}
