import { assert } from "../common/errors";
import type { PageListener, PageTracker } from "./pageTracker";
import { type MemoryProvider, SLAB_PAGES, UndoMemory } from "./undoMemory";

const PAGE = 4096;
const PAGE_WORDS = PAGE / 4;
/** Of so many copies one is timed: a clock may take longer to read than a page to copy. */
const TIMED = 16;

const zeros = new Uint8Array(PAGE);

/** Content that pages had at one moment, kept for those that were written since. */
export class UndoMark {
  /** Numbers of the pages kept, in the order of their first writes. */
  readonly pages: number[] = [];
  /** Where in the slabs each one's content is, in pages; -1: it was all zeros. */
  private readonly places: number[] = [];
  private readonly slabs: Uint8Array[] = [];
  private used = 0;

  /** @param stamp unique among the marks of a log; changes when the log returns to the mark */
  constructor(
    public stamp: number,
    private readonly pool: UndoMemory,
  ) {}

  /** Bytes of page content kept. */
  get bytes(): number {
    return this.used * PAGE;
  }

  /** Keeps what page `page` holds; undefined: zeros. */
  keep(page: number, content: Uint8Array | undefined): void {
    this.pages.push(page);
    this.places.push(content === undefined ? -1 : this.used);
    if (content === undefined) return;
    if (this.used % SLAB_PAGES === 0) this.slabs.push(this.pool.take());
    else this.pool.using(this.used % SLAB_PAGES);
    this.slabs[this.slabs.length - 1].set(content, (this.used % SLAB_PAGES) * PAGE);
    this.used++;
  }

  /** Content of the page kept as number `index`; undefined: zeros. */
  content(index: number): Uint8Array | undefined {
    const place = this.places[index];
    if (place < 0) return undefined;
    const at = (place % SLAB_PAGES) * PAGE;
    return this.slabs[Math.floor(place / SLAB_PAGES)].subarray(at, at + PAGE);
  }

  clear(): void {
    this.pages.length = 0;
    this.places.length = 0;
    this.used = 0;
    this.pool.giveBack(this.slabs);
  }
}

/**
 * A chain of moments that RAM can be taken back to. Setting a mark copies nothing; a page's content is copied when it is first written after the newest mark. The
 * oldest mark can be dropped at no cost; a mark in between gives what it kept to the one before.
 */
export class UndoLog implements PageListener {
  private readonly marks: UndoMark[] = [];
  /** Stamp of the newest mark that has kept a page. */
  private readonly keptBy: Float64Array;
  private readonly written: Float64Array;
  /** 1: the page has been written since RAM was made, all zeros. */
  private readonly everWritten: Uint8Array;
  private readonly pool: UndoMemory;
  private readonly words: Int32Array;
  private stamps = 0;
  private passes = 0;
  private copies = 0;
  /** The host's clock in milliseconds, where what copying takes is to be known. */
  clock: (() => number) | undefined;
  /** Milliseconds that copying pages for the newest mark has taken, told by every sixteenth of them. */
  copying = 0;

  constructor(
    private readonly ram: Uint8Array,
    private readonly tracker: PageTracker,
    provider?: MemoryProvider,
  ) {
    this.pool = new UndoMemory(provider);
    this.words = new Int32Array(ram.buffer, ram.byteOffset, ram.length / 4);
    this.keptBy = new Float64Array(tracker.pages);
    this.written = new Float64Array(tracker.pages);
    this.everWritten = new Uint8Array(tracker.pages);
    tracker.listen(this);
  }

  touched(page: number): void {
    const { marks } = this;
    const fresh = this.everWritten[page] === 0;
    this.everWritten[page] = 1;
    if (marks.length === 0) return;
    const newest = marks[marks.length - 1];
    if (this.keptBy[page] === newest.stamp) return;
    this.keptBy[page] = newest.stamp;
    if (fresh || this.isZero(page)) return newest.keep(page, undefined);
    const clock = this.copies++ % TIMED === 0 ? this.clock : undefined;
    const begun = clock?.() ?? 0;
    newest.keep(page, this.ram.subarray(page * PAGE, (page + 1) * PAGE));
    if (clock !== undefined) this.copying += TIMED * (clock() - begun);
  }

  /** Of the pages that a kernel's boot writes again, a sixth hold zeros: others show that they do not within a few words. */
  private isZero(page: number): boolean {
    const { words } = this;
    const end = (page + 1) * PAGE_WORDS;
    for (let at = page * PAGE_WORDS; at < end; at++) if (words[at] !== 0) return false;
    return true;
  }

  /** Sets a mark at the present content. */
  mark(): UndoMark {
    const mark = new UndoMark(++this.stamps, this.pool);
    this.marks.push(mark);
    this.copying = 0;
    this.tracker.arm();
    return mark;
  }

  /** Takes RAM back to `mark`; later marks are gone. `restored` is called with each page whose content was put back. */
  returnTo(mark: UndoMark, restored: (page: number) => void): void {
    const first = this.marks.indexOf(mark);
    assert(first >= 0, "returning to a mark that was dropped");
    const pass = ++this.passes;
    // What the oldest of these marks kept of a page is what it was at the moment wanted.
    for (let at = first; at < this.marks.length; at++) {
      const { pages } = this.marks[at];
      for (let i = 0; i < pages.length; i++) {
        const page = pages[i];
        if (this.written[page] === pass) continue;
        this.written[page] = pass;
        this.ram.set(this.marks[at].content(i) ?? zeros, page * PAGE);
        restored(page);
      }
    }
    for (const later of this.marks.splice(first + 1)) later.clear();
    mark.clear();
    mark.stamp = ++this.stamps;
    this.copying = 0;
    this.tracker.arm();
  }

  /** Forgets `mark`; the others stay. */
  drop(mark: UndoMark): void {
    const at = this.marks.indexOf(mark);
    if (at < 0) return;
    if (at > 0) this.giveTo(this.marks[at - 1], mark);
    const newest = at === this.marks.length - 1;
    this.marks.splice(at, 1);
    // Pages that the one before has kept need not be kept again for it.
    if (newest && at > 0) {
      const before = this.marks[at - 1];
      for (const page of before.pages) this.keptBy[page] = before.stamp;
      this.tracker.arm();
    }
    mark.clear();
  }

  private giveTo(before: UndoMark, mark: UndoMark): void {
    const has = new Set(before.pages);
    for (let i = 0; i < mark.pages.length; i++) if (!has.has(mark.pages[i])) before.keep(mark.pages[i], mark.content(i));
  }

  has(mark: UndoMark): boolean {
    return this.marks.includes(mark);
  }

  /** Pages that the newest mark has kept. */
  get newestPages(): number {
    return this.marks.at(-1)?.pages.length ?? 0;
  }

  /** Bytes of page content kept by all marks. */
  get bytes(): number {
    return this.marks.reduce((sum, mark) => sum + mark.bytes, 0);
  }
}
