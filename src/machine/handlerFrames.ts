import type { State } from "../common/state";
import type { EnteredEvent, EventKind } from "../cpu/system/context";

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

/**
 * The handlers that each CPU is in, outermost first. The processor knows which frame each delivery pushed and which stack pointer an IRET goes back to, so that
 * nesting, the time in a handler and the stack below it need no debug information. A handler that never returns by IRET (a context switch that ends elsewhere) is
 * found when another CPU returns to its frame, or stays until INIT.
 */
export class HandlerFrames {
  private readonly open: HandlerFrame[][];

  constructor(cpus: number) {
    this.open = Array.from({ length: cpus }, () => []);
  }

  /** A delivery has succeeded. */
  entered(cpu: number, event: EnteredEvent, record: number, instruction: number, retired: number): HandlerFrame {
    const { vector, kind, cs, rip, rsp, handlerRsp, handler } = event;
    const frame = { vector, kind, record, cs, rip, rsp, handlerRsp, handler, instruction, retired };
    const list = this.open[cpu];
    if (list.length === maximumDepth) list.shift();
    list.push(frame);
    return frame;
  }

  /** An IRET has gone back to `rsp`: the handler whose frame that was, which ends with all those inside it; undefined when it was none. */
  returned(cpu: number, rsp: bigint): HandlerFrame | undefined {
    const own = this.take(cpu, rsp);
    if (own !== undefined) return own;
    // The interrupted task may have moved to this CPU meanwhile.
    for (let other = 0; other < this.open.length; other++) {
      if (other === cpu) continue;
      const found = this.take(other, rsp);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  private take(cpu: number, rsp: bigint): HandlerFrame | undefined {
    const list = this.open[cpu];
    for (let index = list.length - 1; index >= 0; index--) {
      if (list[index].rsp !== rsp) continue;
      const frame = list[index];
      list.length = index;
      return frame;
    }
    return undefined;
  }

  /** Outermost first. */
  of(cpu: number): readonly HandlerFrame[] {
    return this.open[cpu];
  }

  /** The CPU was reset. */
  clear(cpu: number): void {
    this.open[cpu].length = 0;
  }

  save(): State {
    return this.open.map((list) => list.map((frame): State => ({ ...frame })));
  }

  restore(state: State): void {
    for (const [cpu, list] of (state as readonly State[]).entries())
      this.open[cpu] = (list as readonly State[]).map((frame) => ({ ...(frame as unknown as HandlerFrame) }));
  }
}
