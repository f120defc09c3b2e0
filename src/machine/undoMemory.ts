import type { ProvideMemory } from "../tcg/memory";

const PAGE = 4096;
/** Pages of one slab of saved content. */
export const SLAB_PAGES = 256;
const SLAB_BYTES = SLAB_PAGES * PAGE;
const WASM_PAGE = 65536;
/** Slabs of the memory that the host provides ahead. */
const RESERVED = 64;
/** Further slabs that wait for use. */
const MOST_WAITING = 32;
/** Pages of the first slab after which more are provided: small guests never need them. */
const SMALL = SLAB_PAGES / 2;
/** Slabs that are provided ahead of the one in use, and in how many ranges each. */
const AHEAD = 4;
const RANGES = 2;

/** A way to have the host provide parts of a memory while the caller goes on (adr "memory ahead"). */
export type MemoryProvider = (memory: WebAssembly.Memory) => ProvideMemory;

/**
 * Memory for the content of pages, in slabs that are used again and again: the first touch of fresh memory costs the host twenty times what the copy does. Where the host can provide memory ahead, the first slabs lie in one
 * that it does.
 */
export class UndoMemory {
  private readonly waiting: Uint8Array[] = [];
  private memory: WebAssembly.Memory | undefined;
  private provide: ProvideMemory | undefined;
  /** Slabs of the reserved memory that were given out, and that were asked for. */
  private used = 0;
  private asked = 0;

  /** @param provider undefined: memory comes as it is used */
  constructor(private readonly provider: MemoryProvider | undefined) {}

  take(): Uint8Array {
    const waiting = this.waiting.pop();
    if (waiting !== undefined) return waiting;
    if (this.provider === undefined || this.used === RESERVED) return new Uint8Array(SLAB_BYTES);
    if (this.memory === undefined) {
      const pages = (RESERVED * SLAB_BYTES) / WASM_PAGE;
      this.memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
      this.provide = this.provider(this.memory);
    }
    const slab = new Uint8Array(this.memory.buffer, this.used * SLAB_BYTES, SLAB_BYTES);
    this.used++;
    if (this.used > 1) this.lookAhead();
    return slab;
  }

  /** A page of the newest slab, number `page` in it, is about to be used. */
  using(page: number): void {
    if (page === SMALL && this.asked === 0 && this.used === 1) this.lookAhead();
  }

  private lookAhead(): void {
    this.asked = Math.max(this.asked, this.used);
    while (this.asked < Math.min(this.used + AHEAD, RESERVED)) {
      for (let range = 0; range < RANGES; range++)
        this.provide?.(this.asked * SLAB_BYTES + range * (SLAB_BYTES / RANGES), SLAB_BYTES / RANGES);
      this.asked++;
    }
  }

  giveBack(slabs: Uint8Array[]): void {
    for (const slab of slabs.splice(0))
      if (slab.buffer === this.memory?.buffer || this.waiting.length < MOST_WAITING) this.waiting.push(slab);
  }
}
