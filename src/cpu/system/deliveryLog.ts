import { joinHalves } from "../../common/halves";
import type { DeliveredEvent, EnteredEvent, EventKind } from "./context";

/** Deliveries that are remembered: a power of two. */
const KEPT = 4;
/** Words of a row: vector, error code, code segment, halves of RIP. */
const ROW = 5;

/**
 * The last exceptions and interrupts that a CPU was about to enter the handlers of: what is told when a guest dies. Always on, so it allocates nothing; a help for reading, no part of the machine's
 * state.
 */
export class DeliveryLog {
  private readonly rows = new Int32Array(KEPT * ROW);
  private readonly addresses = new BigUint64Array(KEPT);
  private readonly kinds: EventKind[] = new Array<EventKind>(KEPT).fill("exception");
  private count = 0;

  /** `from`: where the CPU is as the event comes. `address`: CR2 of a page fault. */
  note(from: EnteredEvent, errorCode: number, address: bigint): void {
    const { rows } = this;
    const index = this.count++ & (KEPT - 1);
    const at = index * ROW;
    rows[at] = from.vector;
    rows[at + 1] = errorCode;
    rows[at + 2] = from.cs;
    rows[at + 3] = from.ripLow;
    rows[at + 4] = from.ripHigh;
    this.kinds[index] = from.kind;
    this.addresses[index] = address;
  }

  /** Oldest first. */
  get last(): readonly DeliveredEvent[] {
    const { rows, kinds, addresses } = this;
    const length = Math.min(this.count, KEPT);
    return Array.from({ length }, (_, number) => {
      const index = (this.count - length + number) & (KEPT - 1);
      const [vector, errorCode, cs, low, high] = rows.subarray(index * ROW, (index + 1) * ROW);
      return { vector, kind: kinds[index], errorCode, rip: joinHalves(high, low), cs, address: addresses[index] };
    });
  }
}
