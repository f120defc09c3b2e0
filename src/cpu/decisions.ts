import { EXIT_BREAK, EXIT_BUDGET, EXIT_CHAIN, EXIT_FAULT, EXIT_HOT, EXIT_LEAVE, EXIT_LOOKUP, Op, opNames } from "../tcg/ops";
import { helperNames } from "./helperIds";

/** Why a CPU's loop left translated code, beside the EXIT_ reasons: an event was taken, a breakpoint or watch stopped it. */
export const DECISION_EVENT = 7;
export const DECISION_STOP = 8;

/** One decision of a CPU's loop. */
export interface Decision {
  /** RIP where the CPU stood then. */
  readonly rip: bigint;
  /** Instructions that the CPU had retired. */
  readonly retired: number;
  /** In words. */
  readonly text: string;
}

const capacity = 64;

/** The last decisions of one CPU's loop. Kept only while somebody asks; flat, without allocation. */
export class DecisionRing {
  private readonly reasons = new Uint8Array(capacity);
  private readonly opcodes = new Uint16Array(capacity);
  private readonly operands = new Uint16Array(capacity);
  private readonly rips = new BigUint64Array(capacity);
  private readonly counts = new Float64Array(capacity);
  private next = 0;

  /** `opcode` and `operand` are of the op that left, 0 where none did. */
  note(reason: number, rip: bigint, retired: number, opcode: number, operand: number): void {
    const at = this.next++ % capacity;
    this.reasons[at] = reason;
    this.opcodes[at] = opcode;
    this.operands[at] = operand;
    this.rips[at] = rip;
    this.counts[at] = retired;
  }

  /** The decisions kept, oldest first. */
  all(): Decision[] {
    const list: Decision[] = [];
    for (let n = Math.max(0, this.next - capacity); n < this.next; n++) {
      const at = n % capacity;
      list.push({ rip: this.rips[at], retired: this.counts[at], text: this.text(at) });
    }
    return list;
  }

  private text(at: number): string {
    const opcode = this.opcodes[at];
    const what = opcode === Op.helper ? `helper ${helperNames[this.operands[at]] ?? this.operands[at]}` : `op ${opNames[opcode] ?? opcode}`;
    switch (this.reasons[at]) {
      case EXIT_BUDGET:
        return "budget: what is left of the slice does not cover the next block";
      case EXIT_LOOKUP:
        return "lookup: the next block is not in the jump cache";
      case EXIT_CHAIN:
        return "chain: a jump is tied to the block it goes to";
      case EXIT_FAULT:
        return `fault: ${what} raised an exception, which was delivered`;
      case EXIT_LEAVE:
        return `${what}: the instruction wants the machine to be looked at`;
      case EXIT_BREAK:
        return "budget: the slice ends in the middle of the block";
      case EXIT_HOT:
        return "hot: the block has run often enough to become WebAssembly";
      case DECISION_EVENT:
        return "event: an interrupt, NMI, SMI, INIT or trap was delivered";
      case DECISION_STOP:
        return "stop: a breakpoint or a watch";
      default:
        return `reason ${this.reasons[at]}`;
    }
  }
}
