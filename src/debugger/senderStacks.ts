import type { InterruptEvent, InterruptRecord } from "../apic/events";
import { CS, SS } from "../cpu/state";
import { generalRegisters } from "./registerAccess";
import type { SymbolStore } from "./symbols/table";
import type { DebugCpu } from "./target";
import { linear, type CodeMode } from "./unwind/frame";
import { Unwinder, type UnwindStart } from "./unwind/unwinder";

/** A function on the stack of whoever sent an interrupt. */
export interface SenderFrame {
  /** Linear address of its next instruction. */
  readonly pc: bigint;
  readonly name: string;
  readonly file: string | undefined;
  readonly line: number | undefined;
}

interface Capture {
  readonly sendId: number;
  readonly instruction: number;
  readonly mode: CodeMode;
  readonly rip: bigint;
  readonly registers: BigUint64Array;
  readonly codeBase: bigint;
  readonly stackBase: bigint;
  /** Linear address of `stack`. */
  readonly at: bigint;
  readonly stack: Uint8Array;
}

/** Sends that are remembered, the newest, and how much of the stack of each: eight megabytes in all. */
const capacity = 4096;
const stackBytes = 2048;
const maximumFrames = 32;

/**
 * The stacks of those who send interrupts by an instruction. What is kept as it happens are the registers and the top of the stack, a copy of two
 * kilobytes; functions are found in it when somebody asks.
 */
export class SenderStacks {
  private readonly captures: (Capture | undefined)[] = new Array<Capture | undefined>(capacity);
  private readonly unwinder: Unwinder;

  constructor(
    private readonly symbols: SymbolStore,
    private readonly cpus: readonly DebugCpu[],
  ) {
    this.unwinder = new Unwinder(symbols);
  }

  /** Hears of every stage of every interrupt; keeps the stack at each send by a CPU, once for a broadcast. */
  interrupt({ stage, record }: InterruptEvent): void {
    if (stage !== "send" || record.source !== "ipi") return;
    const { cpu: index, rip, instruction } = record.stages[0];
    const { sendId } = record;
    if (index < 0) return;
    const slot = sendId % capacity;
    const known = this.captures[slot];
    // The targets of one send come one after the other.
    if (known?.sendId === sendId && known.instruction === instruction) return;
    const cpu = this.cpus[index];
    const { state } = cpu;
    const bits = cpu.codeBits();
    const mode = bits === 64 ? "long" : bits === 32 ? "protected" : "real";
    const registers = new BigUint64Array(generalRegisters.length);
    for (let i = 0; i < registers.length; i++) registers[i] = state.gpr(generalRegisters[i][1]);
    const stackBase = bits === 64 ? 0n : state.segBase(SS);
    const at = linear(mode, stackBase, state.gpr(4));
    this.captures[slot] = {
      sendId,
      instruction,
      mode,
      rip,
      registers,
      codeBase: bits === 64 ? 0n : state.segBase(CS),
      stackBase,
      at,
      stack: cpu.readMemory(at, stackBytes) ?? new Uint8Array(0),
    };
  }

  /** The functions that led to the sending of `record`, innermost first; empty for what no instruction sent, and once it was forgotten. */
  of(record: InterruptRecord): readonly SenderFrame[] {
    const capture = this.captures[record.sendId % capacity];
    const send = record.stages.find((stamp) => stamp.stage === "send");
    if (capture?.sendId !== record.sendId || send === undefined || send.rip !== capture.rip) return [];
    return this.unwinder
      .unwind(this.start(capture, this.cpus[send.cpu]))
      .flatMap(({ pc, frames }) =>
        frames.length === 0
          ? [{ pc, name: `0x${pc.toString(16)}`, file: undefined, line: undefined }]
          : frames.map(({ name, file, line }) => ({ pc, name, file, line })),
      );
  }

  private start(capture: Capture, cpu: DebugCpu): UnwindStart {
    const registers = new Map(generalRegisters.map(([name], index) => [name, capture.registers[index]]));
    registers.set("rip", capture.rip);
    return {
      mode: capture.mode,
      registers,
      codeBase: capture.codeBase,
      stackBase: capture.stackBase,
      maximumFrames,
      readMemory: (address, size) => {
        const offset = address - capture.at;
        if (offset >= 0n && offset + BigInt(size) <= BigInt(capture.stack.length))
          return capture.stack.subarray(Number(offset), Number(offset) + size);
        // Beyond what was kept only code is still what it was.
        if (this.symbols.moduleAt(address) === undefined) return undefined;
        const bytes = cpu.readMemory(address, size);
        return bytes !== undefined && bytes.length === size ? bytes : undefined;
      },
    };
  }
}

/** "send_ipi+0x1c (smp.c:40)" for each function, innermost first. */
export function senderLines(frames: readonly SenderFrame[], symbols: SymbolStore): string[] {
  return frames.map(({ pc, name, file, line }) => {
    const place = file === undefined || line === undefined ? "" : ` (${file.slice(file.lastIndexOf("/") + 1)}:${line})`;
    const described = symbols.describe(pc);
    // An inlined call has no address of its own.
    return `${described?.replace(/\+0x[0-9a-f]+$/, "") === name ? described : name}${place}`;
  });
}
