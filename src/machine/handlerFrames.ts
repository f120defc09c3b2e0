import { countAt, putCount } from "../common/counts";
import { joinHalves } from "../common/halves";
import type { State } from "../common/state";
import type { CpuState } from "../cpu/state";
import { type EnteredEvent, type EventKind, eventKinds } from "../cpu/system/context";
import {
  CPU_FRAMES,
  FRAME_BYTES,
  FRAME_COUNT,
  FRAME_CS,
  FRAME_HANDLER,
  FRAME_HANDLER_RSP,
  FRAME_INSTRUCTION,
  FRAME_KIND,
  FRAME_RECORD,
  FRAME_RETIRED,
  FRAME_RIP,
  FRAME_RSP,
  FRAME_VECTOR,
  LARGEST_PUSH,
  ONE_STACK,
  SLOT_RIP,
  slotOfGpr,
  WORD_FRAME_DEPTH,
} from "../tcg/layout";
import type { EngineMemory } from "../tcg/memory";

/** Indexes of the lower halves. */
const RIP = SLOT_RIP / 4;
const RSP = slotOfGpr(4) / 4;

/** Words of an entry. */
export const FRAME_WORDS = FRAME_BYTES / 4;
const KIND_EXTERNAL = eventKinds.indexOf("external");

/** What a delivery left on a stack, for as long as its handler runs. */
export interface HandlerFrame {
  readonly vector: number;
  readonly kind: EventKind;
  /** Id of the interrupt's record; 0 for exceptions, INT instructions and the spurious vector. */
  readonly record: number;
  /** Where the handler returns to. */
  readonly cs: number;
  readonly rip: bigint;
  readonly rsp: bigint;
  /** Stack pointer at the handler's first instruction: the frame's lowest word. */
  readonly handlerRsp: bigint;
  /** Instructions that the machine and the CPU had retired. */
  readonly instruction: number;
  readonly retired: number;
  /** Instruction pointer of the handler's first instruction. */
  readonly handler: bigint;
}

/** Whether a frame is that of an interrupt rather than of an exception or an INT instruction. */
export function isInterruptFrame({ kind }: HandlerFrame): boolean {
  return kind === "external" || kind === "nmi";
}

/**
 * The handlers that each CPU is in, outermost first. The processor knows which frame each delivery pushed and which stack pointer an IRET goes back to, so that
 * nesting, the time in a handler and the stack below it need no debug information. A handler that never returns by IRET (a context switch that ends elsewhere) is
 * found when another CPU returns to its frame, or stays until INIT. Entries are flat, in the engine's memory, where the engine's own deliveries and IRET reach them
 * (interpreter/transfers.ts); the objects that are told of are made when somebody asks.
 */
export class HandlerFrames {
  /** What was told of each entry: the same object for as long as its handler runs. */
  private readonly told: (HandlerFrame | undefined)[][];

  constructor(
    private readonly memory: EngineMemory,
    private readonly cpus: number,
  ) {
    this.told = Array.from({ length: cpus }, () => []);
  }

  private depth(cpu: number): number {
    return this.memory.i32[(this.memory.stateOf(cpu) + WORD_FRAME_DEPTH) >> 2];
  }

  private setDepth(cpu: number, depth: number): void {
    this.memory.i32[(this.memory.stateOf(cpu) + WORD_FRAME_DEPTH) >> 2] = depth;
  }

  /** Address of entry `index` of a CPU. */
  private entry(cpu: number, index: number): number {
    return this.memory.stateOf(cpu) + CPU_FRAMES + index * FRAME_BYTES;
  }

  /** Address of an entry on top; at the maximum the outermost is lost. */
  private push(cpu: number): number {
    let depth = this.depth(cpu);
    if (depth === FRAME_COUNT) {
      const first = this.entry(cpu, 0);
      this.memory.u8.copyWithin(first, first + FRAME_BYTES, first + FRAME_COUNT * FRAME_BYTES);
      this.told[cpu].shift();
      depth--;
    }
    this.setDepth(cpu, depth + 1);
    return this.entry(cpu, depth);
  }

  /** A delivery to CPU `cpu` has succeeded, and `state` is at the handler's first instruction. */
  entered(cpu: number, event: EnteredEvent, { words }: CpuState, record: number, instruction: number, retired: number): void {
    const { i32, u16 } = this.memory;
    const entry = this.push(cpu);
    const at = entry >> 2;
    u16[(entry + FRAME_VECTOR) >> 1] = event.vector;
    u16[(entry + FRAME_KIND) >> 1] = eventKinds.indexOf(event.kind);
    i32[at + FRAME_CS / 4] = event.cs;
    i32[at + FRAME_RIP / 4] = event.ripLow;
    i32[at + FRAME_RIP / 4 + 1] = event.ripHigh;
    i32[at + FRAME_RSP / 4] = event.rspLow;
    i32[at + FRAME_RSP / 4 + 1] = event.rspHigh;
    i32[at + FRAME_HANDLER / 4] = words[RIP];
    i32[at + FRAME_HANDLER / 4 + 1] = words[RIP + 1];
    i32[at + FRAME_HANDLER_RSP / 4] = words[RSP];
    i32[at + FRAME_HANDLER_RSP / 4 + 1] = words[RSP + 1];
    putCount(i32, at + FRAME_INSTRUCTION / 4, instruction);
    putCount(i32, at + FRAME_RETIRED / 4, retired);
    putCount(i32, at + FRAME_RECORD / 4, record);
  }

  /** Whether the innermost handler of a CPU is that of an interrupt without a record: of the spurious vector. */
  isTopUnrecorded(cpu: number): boolean {
    const depth = this.depth(cpu);
    if (depth === 0) return false;
    const entry = this.entry(cpu, depth - 1);
    const { i32, u16 } = this.memory;
    return u16[(entry + FRAME_KIND) >> 1] === KIND_EXTERNAL && countAt(i32, (entry + FRAME_RECORD) >> 2) === 0;
  }

  /** Copies the entry of the innermost handler of a CPU, {@link FRAME_WORDS}, into `words` from `at` on: {@link frameAt} makes of it what others see. */
  copyTop(cpu: number, words: Int32Array, at: number): void {
    const first = this.entry(cpu, this.depth(cpu) - 1) >> 2;
    const { i32 } = this.memory;
    for (let word = 0; word < FRAME_WORDS; word++) words[at + word] = i32[first + word];
  }

  /** The innermost handler of a CPU. */
  top(cpu: number): HandlerFrame | undefined {
    const depth = this.depth(cpu);
    return depth === 0 ? undefined : this.view(cpu, depth - 1);
  }

  /** Entry `index` as the outside sees it. */
  private view(cpu: number, index: number): HandlerFrame {
    const frame = frameAt(this.memory.i32, this.entry(cpu, index) >> 2);
    const told = this.told[cpu].at(index);
    if (told !== undefined && same(told, frame)) return told;
    this.told[cpu][index] = frame;
    return frame;
  }

  /**
   * An IRET on CPU `cpu` has gone back to where `state` is: takes the handler whose frame that was, which ends with all those inside it, off its CPU. Its record, 0 for one without, -1 when it
   * was none; `tell` hears of it.
   */
  returned(cpu: number, { words }: CpuState, tell: ((frame: HandlerFrame) => void) | undefined): number {
    const own = this.take(cpu, words[RSP], words[RSP + 1], tell);
    if (own >= 0) return own;
    const passed = this.takePassed(cpu, words[RSP], words[RSP + 1], tell);
    if (passed >= 0) return passed;
    // The interrupted task may have moved to this CPU meanwhile.
    for (let other = 0; other < this.cpus; other++) {
      if (other === cpu) continue;
      const found = this.take(other, words[RSP], words[RSP + 1], tell);
      if (found >= 0) return found;
    }
    return -1;
  }

  private take(cpu: number, rspLow: number, rspHigh: number, tell: ((frame: HandlerFrame) => void) | undefined): number {
    const { i32 } = this.memory;
    for (let index = this.depth(cpu) - 1; index >= 0; index--) {
      const at = this.entry(cpu, index) >> 2;
      if (i32[at + FRAME_RSP / 4] !== rspLow || i32[at + FRAME_RSP / 4 + 1] !== rspHigh) continue;
      return this.end(cpu, index, tell);
    }
    return -1;
  }

  /**
   * A handler may return elsewhere than it was told to (Linux has calls emulated by #BP, which move the frame and push a word below it): those whose frames on the same stack lie below
   * the stack pointer now are over.
   */
  private takePassed(cpu: number, rspLow: number, rspHigh: number, tell: ((frame: HandlerFrame) => void) | undefined): number {
    const { i32 } = this.memory;
    for (let index = 0; index < this.depth(cpu); index++) {
      const at = this.entry(cpu, index) >> 2;
      const handlerLow = i32[at + FRAME_HANDLER_RSP / 4];
      const handlerHigh = i32[at + FRAME_HANDLER_RSP / 4 + 1];
      if (distance(i32[at + FRAME_RSP / 4], i32[at + FRAME_RSP / 4 + 1], handlerLow, handlerHigh) > LARGEST_PUSH) continue;
      const above = distance(rspLow, rspHigh, handlerLow, handlerHigh);
      if (above > 0 && above <= ONE_STACK) return this.end(cpu, index, tell);
    }
    return -1;
  }

  private end(cpu: number, index: number, tell: ((frame: HandlerFrame) => void) | undefined): number {
    this.setDepth(cpu, index);
    tell?.(this.view(cpu, index));
    return countAt(this.memory.i32, (this.entry(cpu, index) + FRAME_RECORD) >> 2);
  }

  /** Outermost first. */
  of(cpu: number): readonly HandlerFrame[] {
    return Array.from({ length: this.depth(cpu) }, (_, index) => this.view(cpu, index));
  }

  /** The CPU was reset. */
  clear(cpu: number): void {
    this.setDepth(cpu, 0);
  }

  save(): State {
    return this.told.map((_, cpu) => this.of(cpu).map((frame): State => ({ ...frame })));
  }

  restore(state: State): void {
    const { i32, u16 } = this.memory;
    for (const [cpu, list] of (state as readonly State[]).entries()) {
      this.clear(cpu);
      for (const item of list as readonly State[]) {
        const frame = item as unknown as HandlerFrame;
        const entry = this.push(cpu);
        const address = (field: number, value: bigint): void => {
          i32[(entry + field) >> 2] = Number(value & 0xffff_ffffn);
          i32[((entry + field) >> 2) + 1] = Number((value >> 32n) & 0xffff_ffffn);
        };
        u16[(entry + FRAME_VECTOR) >> 1] = frame.vector;
        u16[(entry + FRAME_KIND) >> 1] = eventKinds.indexOf(frame.kind);
        i32[(entry + FRAME_CS) >> 2] = frame.cs;
        address(FRAME_RIP, frame.rip);
        address(FRAME_RSP, frame.rsp);
        address(FRAME_HANDLER, frame.handler);
        address(FRAME_HANDLER_RSP, frame.handlerRsp);
        putCount(i32, (entry + FRAME_INSTRUCTION) >> 2, frame.instruction);
        putCount(i32, (entry + FRAME_RETIRED) >> 2, frame.retired);
        putCount(i32, (entry + FRAME_RECORD) >> 2, frame.record);
      }
    }
  }
}

/** The entry at words `at` as the outside sees it. */
export function frameAt(i32: Int32Array, at: number): HandlerFrame {
  const address = (field: number): bigint => joinHalves(i32[at + field / 4 + 1], i32[at + field / 4]);
  const event = i32[at + FRAME_VECTOR / 4];
  return {
    vector: event & 0xffff,
    kind: eventKinds[event >>> 16],
    record: countAt(i32, at + FRAME_RECORD / 4),
    cs: i32[at + FRAME_CS / 4],
    rip: address(FRAME_RIP),
    rsp: address(FRAME_RSP),
    handlerRsp: address(FRAME_HANDLER_RSP),
    handler: address(FRAME_HANDLER),
    instruction: countAt(i32, at + FRAME_INSTRUCTION / 4),
    retired: countAt(i32, at + FRAME_RETIRED / 4),
  };
}

/** How far one address, in halves, lies above another; exact for what is near. */
const distance = (low: number, high: number, fromLow: number, fromHigh: number): number =>
  (high - fromHigh) * 2 ** 32 + ((low >>> 0) - (fromLow >>> 0));

function same(a: HandlerFrame, b: HandlerFrame): boolean {
  return (
    a.vector === b.vector &&
    a.kind === b.kind &&
    a.record === b.record &&
    a.cs === b.cs &&
    a.rip === b.rip &&
    a.rsp === b.rsp &&
    a.handler === b.handler &&
    a.handlerRsp === b.handlerRsp &&
    a.instruction === b.instruction &&
    a.retired === b.retired
  );
}
