import type { State } from "../common/state";

/** The window is judged in this many steps. */
const buckets = 16;

export interface StormLimits {
  /** So many deliveries... */
  readonly deliveries: number;
  /** ...within so many retired instructions make a storm. */
  readonly instructions: number;
}

/**
 * Watches the deliveries of one CPU over a sliding window of instructions, kept as counts in sixteen steps, and remembers which
 * kind of interrupt makes up most of them (by majority vote). Tells once as a storm starts; it ends when the rate has halved.
 */
export class StormWatch {
  private readonly counts = new Float64Array(buckets);
  private total = 0;
  private bucket = 0;
  private candidate = -1;
  private votes = 0;
  private storming = false;

  constructor(private readonly limits: StormLimits) {}

  /** Notes a delivery of `kind` at `instruction`. True when a storm starts with it. */
  note(instruction: number, kind: number): boolean {
    const bucket = Math.floor((instruction * buckets) / this.limits.instructions);
    if (bucket !== this.bucket) this.advance(bucket);
    this.counts[bucket % buckets]++;
    this.total++;
    if (this.votes === 0) this.candidate = kind;
    this.votes += this.candidate === kind ? 1 : -1;
    if (this.storming || this.total < this.limits.deliveries) return false;
    this.storming = true;
    return true;
  }

  /** The kind that most deliveries are of. */
  get majority(): number {
    return this.candidate;
  }

  /** Deliveries within the window. */
  get deliveries(): number {
    return this.total;
  }

  /** True between the start of a storm and the halving of its rate. */
  get active(): boolean {
    return this.storming;
  }

  save(): State {
    return {
      counts: Array.from(this.counts),
      total: this.total,
      bucket: this.bucket,
      candidate: this.candidate,
      votes: this.votes,
      storming: this.storming,
    };
  }

  restore(state: State): void {
    const saved = state as { [key: string]: State };
    this.counts.set(saved["counts"] as number[]);
    this.total = saved["total"] as number;
    this.bucket = saved["bucket"] as number;
    this.candidate = saved["candidate"] as number;
    this.votes = saved["votes"] as number;
    this.storming = saved["storming"] as boolean;
  }

  private advance(bucket: number): void {
    const steps = Math.min(bucket - this.bucket, buckets);
    for (let step = 0; step < steps; step++) {
      const slot = (bucket - step) % buckets;
      this.total -= this.counts[slot];
      this.counts[slot] = 0;
    }
    this.bucket = bucket;
    if (this.total === 0) this.votes = 0;
    if (this.total * 2 < this.limits.deliveries) this.storming = false;
  }
}
