import type { InterruptRecord } from "../apic/events";
import { sources, StageCode } from "../apic/recordStore";
import { joinHalves } from "../common/halves";
import { CS, SS } from "../cpu/segmentRegisters";
import { slotOfGpr } from "../tcg/layout";
import { generalRegisters } from "./registerAccess";
import type { SymbolStore } from "./symbols/table";
import type { DebugCpu, DebugMachine } from "./target";
import type { CodeMode } from "./unwind/frame";
import { Unwinder, type UnwindStart } from "./unwind/unwinder";

/** A function on the stack of whoever sent an interrupt. */
export interface SenderFrame {
  /** Linear address of its next instruction. */
  readonly pc: bigint;
  readonly name: string;
  readonly file: string | undefined;
  readonly line: number | undefined;
}

/** Sends that are remembered, the newest, and how much of the stack of each: eight megabytes in all. */
const capacity = 4096;
const stackBytes = 2048;
const maximumFrames = 32;

/** Words of a send: the general registers by their numbers, then these. */
const Word = { rip: 32, at: 34, mode: 36, codeBase: 37, stackBase: 38, length: 39 } as const;
const captureWords = 40;
const modes: readonly CodeMode[] = ["long", "protected", "real"];
const IPI = sources.indexOf("ipi");
const RSP = slotOfGpr(4) / 4;

/**
 * The stacks of those who send interrupts by an instruction. What is kept as it happens are the registers and the top of the stack, a copy of two
 * kilobytes; functions are found in it when somebody asks.
 */
export class SenderStacks {
  /** By slot: the send, and the machine's instructions then. */
  private readonly sends = new Float64Array(capacity);
  private readonly instructions = new Float64Array(capacity);
  private readonly words = new Int32Array(capacity * captureWords);
  private readonly stacks = new Uint8Array(capacity * stackBytes);
  private readonly unwinder: Unwinder;

  constructor(
    private readonly symbols: SymbolStore,
    private readonly machine: Pick<DebugMachine, "cpus" | "ledger">,
  ) {
    this.unwinder = new Unwinder(symbols);
  }

  /** An interrupt has been sent, with its record at `at` of the store: keeps the stack of a CPU that did it, once for a broadcast. */
  sent(at: number): void {
    const { store } = this.machine.ledger;
    const index = store.cpuAt(at, StageCode.send);
    if (store.sourceAt(at) !== IPI || index < 0) return;
    const sendId = store.sendIdAt(at);
    const instruction = store.instructionAt(at, StageCode.send);
    const slot = sendId % capacity;
    // The targets of one send come one after the other.
    if (this.sends[slot] === sendId && this.instructions[slot] === instruction) return;
    this.sends[slot] = sendId;
    this.instructions[slot] = instruction;
    const cpu = this.machine.cpus[index];
    const { state } = cpu;
    const { words } = this;
    const first = slot * captureWords;
    for (let word = 0; word < 32; word++) words[first + word] = state.words[word];
    store.copyRip(at, StageCode.send, words, first + Word.rip);
    const bits = state.code64 ? 64 : cpu.codeBits();
    words[first + Word.mode] = bits === 64 ? 0 : bits === 32 ? 1 : 2;
    const codeBase = bits === 64 ? 0 : Number(state.segBase(CS));
    const stackBase = bits === 64 ? 0 : Number(state.segBase(SS));
    words[first + Word.codeBase] = codeBase;
    words[first + Word.stackBase] = stackBase;
    let low = state.words[RSP];
    let high = state.words[RSP + 1];
    if (bits !== 64) {
      const top = stackBase + (low >>> 0);
      low = top | 0;
      high = bits === 16 && top > 0xffff_ffff ? 1 : 0;
    }
    words[first + Word.at] = low;
    words[first + Word.at + 1] = high;
    words[first + Word.length] = cpu.copyMemory(low, high, this.stacks, slot * stackBytes, stackBytes);
  }

  /** The functions that led to the sending of `record`, innermost first; empty for what no instruction sent, and once it was forgotten. */
  of(record: InterruptRecord): readonly SenderFrame[] {
    const slot = record.sendId % capacity;
    const send = record.stages.find((stamp) => stamp.stage === "send");
    if (this.sends[slot] !== record.sendId || send === undefined || send.rip !== this.long(slot, Word.rip)) return [];
    return this.unwinder
      .unwind(this.start(slot, this.machine.cpus[send.cpu]))
      .flatMap(({ pc, frames }) =>
        frames.length === 0
          ? [{ pc, name: `0x${pc.toString(16)}`, file: undefined, line: undefined }]
          : frames.map(({ name, file, line }) => ({ pc, name, file, line })),
      );
  }

  private long(slot: number, word: number): bigint {
    const at = slot * captureWords + word;
    return joinHalves(this.words[at + 1], this.words[at]);
  }

  private start(slot: number, cpu: DebugCpu): UnwindStart {
    const registers = new Map(generalRegisters.map(([name, number]) => [name, this.long(slot, 2 * number)]));
    registers.set("rip", this.long(slot, Word.rip));
    const { words } = this;
    const first = slot * captureWords;
    const top = this.long(slot, Word.at);
    const length = words[first + Word.length];
    return {
      mode: modes[words[first + Word.mode]],
      registers,
      codeBase: BigInt(words[first + Word.codeBase] >>> 0),
      stackBase: BigInt(words[first + Word.stackBase] >>> 0),
      maximumFrames,
      readMemory: (address, size) => {
        const offset = address - top;
        if (offset >= 0n && offset + BigInt(size) <= BigInt(length)) {
          const at = slot * stackBytes + Number(offset);
          return this.stacks.subarray(at, at + size);
        }
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
