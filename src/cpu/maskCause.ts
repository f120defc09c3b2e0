import { countAt, putCount } from "../common/counts";
import { joinHalves } from "../common/halves";
import type { Cause } from "../common/lastWrites";
import { Moment, type MomentSource } from "../common/moment";
import { SLOT_MASK_INSTRUCTION, SLOT_MASK_RETIRED, SLOT_MASK_RIP } from "../tcg/layout";

/** Who hears of changes of IF: nobody; what clears it is noted ({@link MaskCause}); each is told as well. */
export type FollowedFlag = "unseen" | "noted" | "told";

const RIP = SLOT_MASK_RIP / 4;
const INSTRUCTION = SLOT_MASK_INSTRUCTION / 4;
const RETIRED = SLOT_MASK_RETIRED / 4;

/**
 * What cleared IF of a CPU last: the instruction, or the first one of the handler that a delivery led to. In the engine's memory, where the engine notes it by itself. Flat, mutable, allocation-free.
 */
export class MaskCause {
  private readonly moment = new Moment();

  /**
   * @param words the CPU's state
   * @param retired instructions that the CPU has retired
   */
  constructor(
    private readonly words: Int32Array,
    private readonly cpu: number,
    private readonly source: MomentSource,
    private readonly retired: () => number,
  ) {
    this.clear();
  }

  /** IF is being cleared by whatever executes now. */
  note(): void {
    const { words, moment } = this;
    this.source.moment(moment);
    words[RIP] = moment.ripLow;
    words[RIP + 1] = moment.ripHigh;
    putCount(words, INSTRUCTION, moment.instruction);
    putCount(words, RETIRED, this.retired());
  }

  /** Undefined where nothing has cleared IF since power-on or since it is noted. */
  get cause(): Cause | undefined {
    const { words } = this;
    if (words[RETIRED + 1] < 0) return undefined;
    return { instruction: countAt(words, INSTRUCTION), cpu: this.cpu, rip: joinHalves(words[RIP + 1], words[RIP]) };
  }

  /** Instructions that the CPU had retired then; -1 where there is no cause. */
  get since(): number {
    return this.words[RETIRED + 1] < 0 ? -1 : countAt(this.words, RETIRED);
  }

  clear(): void {
    this.words[RETIRED] = this.words[RETIRED + 1] = -1;
  }

  /** Takes down what is known. Returns what brings it back. */
  save(): () => void {
    const { words } = this;
    const saved = words.slice(RIP, RETIRED + 2);
    return () => words.set(saved, RIP);
  }
}
