/** A half-open range of addresses [low, high). */
export interface AddressRange {
  readonly low: bigint;
  readonly high: bigint;
}

export interface Interval<T> extends AddressRange {
  readonly value: T;
}

/** Finds the ranges that contain an address. Ranges may nest or overlap; lookups take the time of a binary search plus the overlap. */
export class IntervalIndex<T> {
  private readonly sorted: Interval<T>[];
  /** The highest `high` among entries 0..i: where the scan to the left may stop. */
  private readonly reach: bigint[] = [];

  /** Empty and reversed ranges are dropped. */
  constructor(intervals: Iterable<Interval<T>>) {
    this.sorted = [...intervals].filter((entry) => entry.low < entry.high);
    this.sorted.sort((a, b) => (a.low < b.low ? -1 : a.low > b.low ? 1 : 0));
    let reach = 0n;
    for (const entry of this.sorted) {
      if (entry.high > reach) reach = entry.high;
      this.reach.push(reach);
    }
  }

  get size(): number {
    return this.sorted.length;
  }

  /** The smallest range that contains `address`. */
  find(address: bigint): Interval<T> | undefined {
    let low = 0;
    let high = this.sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.sorted[middle].low <= address) low = middle + 1;
      else high = middle;
    }
    let best: Interval<T> | undefined;
    for (let i = low - 1; i >= 0 && this.reach[i] > address; i--) {
      const entry = this.sorted[i];
      if (entry.high > address && (best === undefined || entry.high - entry.low < best.high - best.low)) best = entry;
    }
    return best;
  }

  [Symbol.iterator](): Iterator<Interval<T>> {
    return this.sorted[Symbol.iterator]();
  }
}
