import type { StateHash } from "../common/hash";
import type { PageListener } from "./pageTracker";

const PAGE_WORDS = 1024;

/**
 * A hash of RAM that is brought up to date by the pages written since it was last asked for. It depends on the content alone, never on how it came about: the sum of
 * one 64-bit value a page, made of content and page number; zero for a page of zeros. Flat, mutable, allocation-free.
 */
export class PageHashes implements PageListener {
  private readonly stale: Uint8Array;
  private readonly list: Uint32Array;
  private count = 0;
  private readonly low: Int32Array;
  private readonly high: Int32Array;
  private readonly total = new Int32Array(2);

  /** @param words RAM, all zeros so far */
  constructor(private readonly words: Int32Array) {
    const pages = words.length / PAGE_WORDS;
    this.stale = new Uint8Array(pages);
    this.list = new Uint32Array(pages);
    this.low = new Int32Array(pages);
    this.high = new Int32Array(pages);
  }

  touched(page: number): void {
    if (this.stale[page] !== 0) return;
    this.stale[page] = 1;
    this.list[this.count++] = page;
  }

  /** Mixes the hash of RAM into `hash`. The tracker must be armed afterwards. */
  update(hash: StateHash): void {
    for (let i = 0; i < this.count; i++) {
      const page = this.list[i];
      this.stale[page] = 0;
      this.rehash(page);
    }
    this.count = 0;
    hash.update(new Uint8Array(this.total.buffer));
  }

  private rehash(page: number): void {
    const { words } = this;
    const first = page * PAGE_WORDS;
    let a = page ^ 0x9e3779b9;
    let b = Math.imul(page + 1, 0x85ebca6b);
    let any = 0;
    for (let i = first; i < first + PAGE_WORDS; i++) {
      const word = words[i];
      any |= word;
      a = Math.imul(a ^ word, 0x01000193);
      a ^= a >>> 15;
      b = Math.imul(b + word, 0x27d4eb2f) ^ (b >>> 13);
    }
    a = any === 0 ? 0 : finish(a);
    b = any === 0 ? 0 : finish(b);
    this.total[0] += a - this.low[page];
    this.total[1] += b - this.high[page];
    this.low[page] = a;
    this.high[page] = b;
  }
}

/** Spreads every bit of `value` over the word, as a sum of such values needs. */
function finish(value: number): number {
  let mixed = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) | 0;
}
