import { CS, SS } from "../cpu/segmentRegisters";
import type { HandlerFrame } from "../machine/handlerFrames";
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
  /** Not a function but a remark between two: the interrupt that came between handler and interrupted code, or who sent it. */
  readonly label: boolean;
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

/** What a walk may know beside the CPU's registers and memory. */
export interface StackKnowledge {
  /** The handlers that the CPU is in, outermost first. */
  readonly handlers: readonly HandlerFrame[];
  /** Lines that describe the interrupt of a handler, uppermost first: "sent by CPU 0 at send_ipi+0x1c", "vector 0xf0, IPI". */
  describe(handler: HandlerFrame): readonly string[];
}

const nothingKnown: StackKnowledge = { handlers: [], describe: () => [] };

/** Walks the stacks of stopped CPUs. */
export class StackWalker {
  private readonly unwinder: Unwinder;

  constructor(symbols: SymbolStore) {
    this.unwinder = new Unwinder(symbols);
  }

  /** All entries, innermost first; at least one. */
  walk(cpu: DebugCpu, maximumFrames = 200, known = nothingKnown): StackEntry[] {
    const entries: StackEntry[] = [];
    const handlers = [...known.handlers];
    for (const [index, frame] of this.through(cpu, maximumFrames, known).entries()) {
      const common = { pc: frame.pc, frame, innermost: index === 0, label: false };
      const handler = index === 0 ? undefined : takeInterrupted(handlers, frame, cpu);
      if (handler !== undefined)
        for (const name of known.describe(handler))
          entries.push({ ...common, name, file: undefined, line: undefined, column: undefined, inlined: false, depth: 0, label: true });
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

  /**
   * The machine frames, also across deliveries that call frame information and frame pointers do not lead over: the processor knows what each delivery pushed, so
   * that the walk goes on at the interrupted instruction.
   */
  private through(cpu: DebugCpu, maximumFrames: number, { handlers }: StackKnowledge): UnwoundFrame[] {
    let start = unwindStart(cpu, maximumFrames);
    let frames: UnwoundFrame[] = this.unwinder.unwind(start);
    for (const handler of [...handlers].reverse()) {
      if (frames.length >= maximumFrames) break;
      if (
        frames.some((frame, index) => index > 0 && frame.registers.get("rip") === handler.rip && frame.registers.get("rsp") === handler.rsp)
      )
        continue;
      // Frames that lie above what the delivery pushed are guesses.
      const inside = frames.findIndex(
        (frame, index) => index > 0 && (frame.registers.get("rsp") ?? 0n) > handler.handlerRsp && sameStack(frame, handler),
      );
      const kept = inside < 0 ? frames : frames.slice(0, inside);
      const registers = new Map([
        ["rip", handler.rip],
        ["rsp", handler.rsp],
        ["cs", BigInt(handler.cs)],
      ]);
      const base = kept.at(-1)?.registers.get("rbp");
      if (base !== undefined) registers.set("rbp", base);
      start = { ...start, registers, maximumFrames: maximumFrames - kept.length };
      const [first, ...rest] = this.unwinder.unwind(start);
      frames = [...kept, { ...first, found: "interrupt" }, ...rest];
    }
    return frames;
  }

  /** Where the innermost frame returns to, and the stack pointer then. */
  caller(cpu: DebugCpu): { pc: bigint; sp: bigint } | undefined {
    const frames = this.unwinder.unwind(unwindStart(cpu, 2));
    if (frames.length < 2) return undefined;
    const sp = frames[1].registers.get("rsp") ?? frames[0].cfa;
    return { pc: frames[1].pc, sp: sp ?? cpu.state.gpr(4) + 1n };
  }
}

/** Within one page of each other above the frame: the same stack. */
function sameStack(frame: UnwoundFrame, handler: HandlerFrame): boolean {
  return (frame.registers.get("rsp") ?? 0n) - handler.handlerRsp < 0x10000n;
}

/** Takes the innermost handler that interrupted `frame` off the list. */
function takeInterrupted(handlers: HandlerFrame[], frame: UnwoundFrame, cpu: DebugCpu): HandlerFrame | undefined {
  for (let index = handlers.length - 1; index >= 0; index--) {
    const { rip, rsp } = handlers[index];
    const same = frame.registers.get("rip") === rip || (cpu.codeBits() !== 64 && frame.pc === rip);
    if (!same || (frame.registers.get("rsp") ?? rsp) !== rsp) continue;
    const handler = handlers[index];
    handlers.length = index;
    return handler;
  }
  return undefined;
}

function unknownName(pc: bigint): string {
  return `0x${pc.toString(16)}`;
}

/** Whether a frame other than the innermost can know this register. */
export function isFrameRegister(name: string): boolean {
  return !extraRegisters.includes(name) || name === "fs_base" || name === "gs_base";
}
