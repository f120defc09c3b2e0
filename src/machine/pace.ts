/** Virtual nanoseconds that a machine may be ahead of the wall clock, so that it is not woken for every timer. */
const AHEAD = 2_000_000;

/**
 * Holds virtual time back to the wall clock: for a person at a guest's console. It tells how far a run may go and how long to wait before it goes on, and so
 * changes when things run, never what they do. Time that a busy guest has fallen behind is not made up for later.
 */
export class Pace {
  private wallStart: number;
  private virtualStart: number;

  /** @param wall the wall clock, in milliseconds; @param virtual virtual time now, in nanoseconds */
  constructor(
    private readonly wall: () => number,
    virtual: number,
  ) {
    this.wallStart = wall();
    this.virtualStart = virtual;
  }

  /** Virtual time that has come by the wall clock. */
  private get due(): number {
    return this.virtualStart + (this.wall() - this.wallStart) * 1e6;
  }

  /** Virtual time until which the machine, standing at `virtual`, may run now; not later than `virtual` when it must wait. */
  until(virtual: number): number {
    if (virtual < this.due) {
      this.wallStart = this.wall();
      this.virtualStart = virtual;
    }
    return Math.floor(this.due) + AHEAD;
  }

  /** Milliseconds for a machine that stands at `virtual` to wait. */
  wait(virtual: number): number {
    return Math.max(1, Math.ceil((virtual - this.due) / 1e6));
  }
}
