const SECOND = 1_000_000_000;

/**
 * A crystal of `hz` pulses a second, in step with virtual time: pulse n comes at the first nanosecond at or after n / hz.
 * Exact in integers for hz up to 9,007,199 and any safe time.
 */
export class Oscillator {
  constructor(readonly hz: number) {}

  /** Pulses up to and including `time` nanoseconds. */
  ticksAt(time: number): number {
    const seconds = Math.floor(time / SECOND);
    return seconds * this.hz + Math.floor(((time - seconds * SECOND) * this.hz) / SECOND);
  }

  /** The first nanosecond at which `ticksAt` reaches `tick`. */
  timeOf(tick: number): number {
    const seconds = Math.floor(tick / this.hz);
    return seconds * SECOND + Math.ceil(((tick - seconds * this.hz) * SECOND) / this.hz);
  }
}
