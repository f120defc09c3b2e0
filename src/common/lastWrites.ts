import { joinHalves } from "./halves";
import { Moment, type MomentSource } from "./moment";
import type { State } from "./state";

/** When and where a piece of state was last changed. */
export interface Cause {
  /** Instructions that the whole machine had retired. */
  readonly instruction: number;
  /** Index of the CPU whose instruction did it, or -1 for a device, a timer or the host. */
  readonly cpu: number;
  /** RIP of that instruction, 0n when `cpu` is -1. */
  readonly rip: bigint;
}

/**
 * Remembers for each of `size` pieces of state which instruction changed it last. Flat arrays: noting allocates nothing, so that it can always be on.
 */
export class LastWrites {
  /** -1: never written. */
  private readonly instructions: Float64Array;
  private readonly cpus: Int16Array;
  /** Halves, low first. */
  private readonly rips: Int32Array;
  private readonly moment = new Moment();

  constructor(
    size: number,
    private readonly source: MomentSource,
  ) {
    this.instructions = new Float64Array(size).fill(-1);
    this.cpus = new Int16Array(size);
    this.rips = new Int32Array(size * 2);
  }

  /** Piece `index` is being changed by whatever executes now. */
  note(index: number): void {
    this.source.moment(this.moment);
    this.noteAt(index, this.moment);
  }

  /** Piece `index` was changed at `moment`. */
  noteAt(index: number, moment: Moment): void {
    this.instructions[index] = moment.instruction;
    this.cpus[index] = moment.cpu;
    this.rips[index * 2] = moment.ripLow;
    this.rips[index * 2 + 1] = moment.ripHigh;
  }

  /** Who changed piece `index` last; undefined since power-on. */
  of(index: number): Cause | undefined {
    const instruction = this.instructions[index];
    return instruction < 0 ? undefined : { instruction, cpu: this.cpus[index], rip: this.ripOf(index) };
  }

  private ripOf(index: number): bigint {
    return joinHalves(this.rips[index * 2 + 1], this.rips[index * 2]);
  }

  clear(): void {
    this.instructions.fill(-1);
  }

  save(): State {
    return Array.from(this.instructions, (instruction, index): State =>
      instruction < 0 ? null : [instruction, this.cpus[index], this.ripOf(index)],
    );
  }

  restore(state: State): void {
    for (const [index, entry] of (state as readonly State[]).entries()) {
      const [instruction, cpu, rip] = (entry ?? [-1, 0, 0n]) as [number, number, bigint];
      this.instructions[index] = instruction;
      this.cpus[index] = cpu;
      this.rips[index * 2] = Number(rip & 0xffff_ffffn);
      this.rips[index * 2 + 1] = Number((rip >> 32n) & 0xffff_ffffn);
    }
  }
}
