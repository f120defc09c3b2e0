/** A bounded queue of small numbers in a ring; no allocation after construction. */
export class RingQueue {
  private readonly items: Uint16Array;
  private head = 0;
  private count = 0;

  constructor(readonly capacity: number) {
    this.items = new Uint16Array(capacity);
  }

  get length(): number {
    return this.count;
  }

  /** Appends; false when full, and nothing is stored. */
  push(value: number): boolean {
    if (this.count === this.capacity) return false;
    this.items[(this.head + this.count) % this.capacity] = value;
    this.count++;
    return true;
  }

  /** Takes the oldest; undefined when empty. */
  shift(): number | undefined {
    if (this.count === 0) return undefined;
    const value = this.items[this.head];
    this.head = (this.head + 1) % this.capacity;
    this.count--;
    return value;
  }

  /** The item `index` places behind the oldest; undefined past the end. */
  peek(index = 0): number | undefined {
    return index < this.count ? this.items[(this.head + index) % this.capacity] : undefined;
  }

  /** Replaces the newest item; nothing when empty. */
  replaceLast(value: number): void {
    if (this.count > 0) this.items[(this.head + this.count - 1) % this.capacity] = value;
  }

  /** Replaces the oldest item; nothing when empty. */
  replaceFirst(value: number): void {
    if (this.count > 0) this.items[this.head] = value;
  }

  clear(): void {
    this.head = 0;
    this.count = 0;
  }

  toArray(): number[] {
    return Array.from({ length: this.count }, (_, index) => this.items[(this.head + index) % this.capacity]);
  }

  load(values: readonly number[]): void {
    this.clear();
    for (const value of values) this.push(value);
  }
}
