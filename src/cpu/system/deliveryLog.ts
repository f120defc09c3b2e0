import { joinHalves } from "../../common/halves";
import {
  LOG_ADDRESS,
  LOG_CS,
  LOG_ERROR_CODE,
  LOG_KEPT,
  LOG_KIND,
  LOG_RIP,
  LOG_ROW_BYTES,
  LOG_ROWS,
  LOG_VECTOR,
  WORD_LOG_COUNT,
} from "../../tcg/layout";
import type { CpuState } from "../state";
import { type DeliveredEvent, type EnteredEvent, eventKinds } from "./context";

/**
 * The last exceptions and interrupts that a CPU was about to enter the handlers of: what is told when a guest dies. Always on, so it allocates nothing; a help for reading, no part of the machine's
 * state. In the engine's memory, as the engine delivers too.
 */
export class DeliveryLog {
  constructor(private readonly state: CpuState) {}

  /** `from`: where the CPU is as the event comes. `address`: CR2 of a page fault. */
  note(from: EnteredEvent, errorCode: number, address: bigint): void {
    const { words, slots } = this.state;
    const row = LOG_ROWS + (words[WORD_LOG_COUNT / 4]++ & (LOG_KEPT - 1)) * LOG_ROW_BYTES;
    words[(row + LOG_VECTOR) / 4] = from.vector;
    words[(row + LOG_ERROR_CODE) / 4] = errorCode;
    words[(row + LOG_CS) / 4] = from.cs;
    words[(row + LOG_KIND) / 4] = eventKinds.indexOf(from.kind);
    words[(row + LOG_RIP) / 4] = from.ripLow;
    words[(row + LOG_RIP) / 4 + 1] = from.ripHigh;
    slots[(row + LOG_ADDRESS) / 8] = address;
  }

  /** Oldest first. */
  get last(): readonly DeliveredEvent[] {
    const { words, slots } = this.state;
    const count = words[WORD_LOG_COUNT / 4] >>> 0;
    const length = Math.min(count, LOG_KEPT);
    return Array.from({ length }, (_, number) => {
      const row = LOG_ROWS + ((count - length + number) & (LOG_KEPT - 1)) * LOG_ROW_BYTES;
      const word = (field: number): number => words[(row + field) / 4];
      return {
        vector: word(LOG_VECTOR),
        kind: eventKinds[word(LOG_KIND)],
        errorCode: word(LOG_ERROR_CODE),
        rip: joinHalves(word(LOG_RIP + 4), word(LOG_RIP)),
        cs: word(LOG_CS),
        address: slots[(row + LOG_ADDRESS) / 8],
      };
    });
  }
}
