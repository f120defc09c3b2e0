import { joinHalves } from "../common/halves";
import type { State } from "../common/state";
import type { CpuState } from "../cpu/state";
import type { EnteredEvent, EventKind } from "../cpu/system/context";
import { SLOT_RIP, slotOfGpr } from "../tcg/layout";

/** Indexes of the lower halves. */
const RIP = SLOT_RIP / 4;
const RSP = slotOfGpr(4) / 4;

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

/** Handlers that may be open on one CPU; more lose the outermost. */
const maximumDepth = 64;
/** A delivery that stays on its stack pushes at most six words, aligned to 16 bytes. */
const largestPush = 64;
/** What lies further above a frame may be another stack. */
const oneStack = 16_384;

/** A frame as it is kept: flat, addresses in halves, used for one handler after the other. What is told of it is made when somebody asks. */
class OpenFrame {
  vector = 0;
  kind: EventKind = "external";
  record = 0;
  cs = 0;
  ripLow = 0;
  ripHigh = 0;
  rspLow = 0;
  rspHigh = 0;
  handlerLow = 0;
  handlerHigh = 0;
  handlerRspLow = 0;
  handlerRspHigh = 0;
  instruction = 0;
  retired = 0;
  private told: HandlerFrame | undefined;

  /** Another handler's frame takes this one's place. */
  begin(): void {
    this.told = undefined;
  }

  /** The frame as the outside sees it: one object for as long as its handler runs. */
  get view(): HandlerFrame {
    const { vector, kind, record, cs, instruction, retired } = this;
    this.told ??= {
      vector,
      kind,
      record,
      cs,
      rip: joinHalves(this.ripHigh, this.ripLow),
      rsp: joinHalves(this.rspHigh, this.rspLow),
      handlerRsp: joinHalves(this.handlerRspHigh, this.handlerRspLow),
      handler: joinHalves(this.handlerHigh, this.handlerLow),
      instruction,
      retired,
    };
    return this.told;
  }

  set view(frame: HandlerFrame) {
    this.vector = frame.vector;
    this.kind = frame.kind;
    this.record = frame.record;
    this.cs = frame.cs;
    [this.ripLow, this.ripHigh] = halves(frame.rip);
    [this.rspLow, this.rspHigh] = halves(frame.rsp);
    [this.handlerRspLow, this.handlerRspHigh] = halves(frame.handlerRsp);
    [this.handlerLow, this.handlerHigh] = halves(frame.handler);
    this.instruction = frame.instruction;
    this.retired = frame.retired;
  }
}

/** How far one address, in halves, lies above another; exact for what is near. */
const distance = (low: number, high: number, fromLow: number, fromHigh: number): number =>
  (high - fromHigh) * 2 ** 32 + ((low >>> 0) - (fromLow >>> 0));

const halves = (value: bigint): [number, number] => [Number(value & 0xffff_ffffn) | 0, Number((value >> 32n) & 0xffff_ffffn) | 0];

/** The open frames of one CPU, outermost first: as many of `list` as `depth` says. */
class FrameStack {
  readonly list: OpenFrame[] = [];
  depth = 0;

  /** A frame on top; at the maximum the outermost is lost. */
  push(): OpenFrame {
    if (this.depth === maximumDepth) {
      const first = this.list.shift();
      if (first !== undefined) this.list.push(first);
      this.depth--;
    }
    if (this.depth === this.list.length) this.list.push(new OpenFrame());
    const frame = this.list[this.depth++];
    frame.begin();
    return frame;
  }
}

/**
 * The handlers that each CPU is in, outermost first. The processor knows which frame each delivery pushed and which stack pointer an IRET goes back to, so that
 * nesting, the time in a handler and the stack below it need no debug information. A handler that never returns by IRET (a context switch that ends elsewhere) is
 * found when another CPU returns to its frame, or stays until INIT.
 */
export class HandlerFrames {
  private readonly open: readonly FrameStack[];

  constructor(cpus: number) {
    this.open = Array.from({ length: cpus }, () => new FrameStack());
  }

  /** A delivery to CPU `cpu` has succeeded, and `state` is at the handler's first instruction. */
  entered(cpu: number, event: EnteredEvent, { words }: CpuState, record: number, instruction: number, retired: number): void {
    const frame = this.open[cpu].push();
    frame.vector = event.vector;
    frame.kind = event.kind;
    frame.record = record;
    frame.cs = event.cs;
    frame.ripLow = event.ripLow;
    frame.ripHigh = event.ripHigh;
    frame.rspLow = event.rspLow;
    frame.rspHigh = event.rspHigh;
    frame.handlerLow = words[RIP];
    frame.handlerHigh = words[RIP + 1];
    frame.handlerRspLow = words[RSP];
    frame.handlerRspHigh = words[RSP + 1];
    frame.instruction = instruction;
    frame.retired = retired;
  }

  /** The innermost handler of a CPU. */
  top(cpu: number): HandlerFrame | undefined {
    const { list, depth } = this.open[cpu];
    return depth === 0 ? undefined : list[depth - 1].view;
  }

  /**
   * An IRET on CPU `cpu` has gone back to where `state` is: the handler whose frame that was, which ends with all those inside it; undefined when it was none. To be looked at before the next
   * one is entered.
   */
  returned(cpu: number, { words }: CpuState): { readonly record: number; readonly view: HandlerFrame } | undefined {
    const own = this.take(cpu, words[RSP], words[RSP + 1]) ?? this.takePassed(cpu, words[RSP], words[RSP + 1]);
    if (own !== undefined) return own;
    // The interrupted task may have moved to this CPU meanwhile.
    for (let other = 0; other < this.open.length; other++) {
      if (other === cpu) continue;
      const found = this.take(other, words[RSP], words[RSP + 1]);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  private take(cpu: number, rspLow: number, rspHigh: number): OpenFrame | undefined {
    const stack = this.open[cpu];
    for (let index = stack.depth - 1; index >= 0; index--) {
      const frame = stack.list[index];
      if (frame.rspLow !== rspLow || frame.rspHigh !== rspHigh) continue;
      stack.depth = index;
      return frame;
    }
    return undefined;
  }

  /**
   * A handler may return elsewhere than it was told to (Linux has calls emulated by #BP, which move the frame and push a word below it): those whose frames on the same stack lie below
   * the stack pointer now are over.
   */
  private takePassed(cpu: number, rspLow: number, rspHigh: number): OpenFrame | undefined {
    const stack = this.open[cpu];
    for (let index = 0; index < stack.depth; index++) {
      const frame = stack.list[index];
      if (distance(frame.rspLow, frame.rspHigh, frame.handlerRspLow, frame.handlerRspHigh) > largestPush) continue;
      const above = distance(rspLow, rspHigh, frame.handlerRspLow, frame.handlerRspHigh);
      if (above <= 0 || above > oneStack) continue;
      stack.depth = index;
      return frame;
    }
    return undefined;
  }

  /** Outermost first. */
  of(cpu: number): readonly HandlerFrame[] {
    const { list, depth } = this.open[cpu];
    return list.slice(0, depth).map((frame) => frame.view);
  }

  /** The CPU was reset. */
  clear(cpu: number): void {
    this.open[cpu].depth = 0;
  }

  save(): State {
    return this.open.map((_, cpu) => this.of(cpu).map((frame): State => ({ ...frame })));
  }

  restore(state: State): void {
    for (const [cpu, list] of (state as readonly State[]).entries()) {
      this.clear(cpu);
      for (const frame of list as readonly State[]) this.open[cpu].push().view = frame as unknown as HandlerFrame;
    }
  }
}
