/** Hears that a page of RAM is about to be written for the first time since the tracker was last armed. Must not write RAM. */
export interface PageListener {
  touched(page: number): void;
}

/**
 * Which pages of RAM have been written since the last `arm`. Pages are numbered from 0 through RAM, wherever it lies in the physical address space. CPUs learn of
 * it through their TLBs: stores to a closed page take the slow path, which opens it; stores to an open one cost nothing. Flat, mutable, allocation-free.
 */
export class PageTracker {
  /** 1: open, written since the last `arm`. */
  private readonly open: Uint8Array;
  private readonly opened: Uint32Array;
  private count = 0;
  private readonly listeners: PageListener[] = [];

  /** @param armed called when open pages are closed: CPUs must send their stores to the slow path again */
  constructor(
    readonly pages: number,
    private readonly armed: () => void,
  ) {
    this.open = new Uint8Array(pages);
    this.opened = new Uint32Array(pages);
  }

  listen(listener: PageListener): void {
    this.listeners.push(listener);
  }

  isOpen(page: number): boolean {
    return this.open[page] !== 0;
  }

  /** Page `page` is about to be written. */
  touch(page: number): void {
    if (this.open[page] !== 0) return;
    this.open[page] = 1;
    this.opened[this.count++] = page;
    for (const listener of this.listeners) listener.touched(page);
  }

  /** Closes every page: the next write to each is told again. */
  arm(): void {
    for (let i = 0; i < this.count; i++) this.open[this.opened[i]] = 0;
    this.count = 0;
    this.armed();
  }
}
