import { countAt, putCount } from "../common/counts";
import { JOURNAL_IDLE } from "../tcg/layout";
import type { EngineMemory } from "../tcg/memory";
import type { RunEnd } from "./types";

/** Where a machine stands in its run, beside what CPUs and devices hold. Mutable, flat: the scheduler changes it at every slice. */
export class Course {
  /** Instructions retired by all CPUs in slices that are over. */
  retired = 0;
  /** Virtual time since which all CPUs have idled, or -1. */
  idleSince = -1;
  /** The timers due at this point of time have run. */
  dueRun = false;
  /** The only CPU that runs, or -1. */
  only = -1;
  /** What ended the machine; only a reset brings it back. */
  end: RunEnd | undefined;
  resetRequested = false;
  stopRequested = false;
  /** In ACPI S3. */
  sleeping = false;

  private readonly words: Int32Array;
  private readonly idle: number;

  constructor(memory: EngineMemory) {
    this.words = memory.i32;
    this.idle = (memory.journalBase + JOURNAL_IDLE) / 4;
  }

  /** Virtual time that went by beside instructions, in nanoseconds: while nobody could run, and inside instructions that wait. The engine reads it and adds to it (interpreter/time.ts). */
  get idleNanoseconds(): number {
    return countAt(this.words, this.idle);
  }

  set idleNanoseconds(value: number) {
    putCount(this.words, this.idle, value);
  }

  /** What ends a run now, taken notice of; undefined to go on. */
  takeEnd(): RunEnd | undefined {
    if (this.end !== undefined) {
      this.stopRequested = false;
      return this.end;
    }
    if (this.resetRequested) {
      this.resetRequested = false;
      this.stopRequested = false;
      return { kind: "reset" };
    }
    if (!this.stopRequested) return undefined;
    this.stopRequested = false;
    return { kind: "stop" };
  }
}
