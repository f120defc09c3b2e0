import { highHalf, joinHalves, lowHalf } from "../common/halves";
import type { BulkMemory } from "../tcg/bulkMemory";
import type { CodeCache } from "../tcg/codeCache";
import {
  CPU_STATE_BYTES,
  MARK_FREE,
  FETCH_ENTRIES,
  FETCH_ENTRY_BYTES,
  FETCH_HIGH,
  FETCH_PAGE,
  FETCH_TLB,
  MMU_INDEXES,
  MMU_SUPERVISOR,
  MMU_SUPERVISOR_SMAP,
  MMU_USER,
  TLB_ADDEND,
  TLB_ENTRIES,
  TLB_ENTRY_BYTES,
  TLB_GROUP,
  TLB_PHYSICAL_PAGE,
  TLB_READ,
  TLB_WRITE,
  WORD_JUMP_CACHE,
  WALK_32,
  WALK_GIGABYTE,
  WALK_LA57,
  WALK_LARGE,
  WALK_LONG,
  WALK_NX,
  WALK_PSE,
  WALK_WP,
  WORD_TLB,
  WORD_TLB_USED,
  WORD_WALK,
  WORD_WALK_KEYS,
  WORD_WALK_ROOT,
  WORD_WALKS,
} from "../tcg/layout";
import type { PhysicalBus } from "./bus";
import { EXC_GP } from "./exceptions";
import type { JumpCache } from "./jumpCache";
import type { PageWalker } from "./pageWalk";
import { CR0_PG, CR0_WP, CR4_LA57, CR4_PAE, CR4_PSE, CR4_SMAP, EFER_LMA, EFER_NXE, FLAG_AC } from "./registerBits";
import type { CpuState } from "./state";
import type { WriteMonitor } from "./writeMonitor";

export const ACCESS_READ = 0;
export const ACCESS_WRITE = 1;
export const ACCESS_FETCH = 2;
export type Access = typeof ACCESS_READ | typeof ACCESS_WRITE | typeof ACCESS_FETCH;

/** Bytes of the entries that a bit of WORD_TLB_USED stands for. */
const GROUP_BYTES = TLB_GROUP * TLB_ENTRY_BYTES;
/** Numbers of a saved entry: where it is, and its words. */
const SAVED_ENTRY = 1 + TLB_ENTRY_BYTES / 4;
/** Bits of the first number of saved translations: what the TLB knows of all its entries. */
const SAVED_LARGE = 1;
const SAVED_IGNORING = 2;

/** Hears of data accesses to watched pages: guest debug registers and the debugger's watchpoints. */
export interface DataWatch {
  /** True when accesses to any byte of the page, by its linear address and its physical page number, need to be reported. */
  watchesPage(linearPage: bigint, physicalPage: number): boolean;
  /**
   * An access that does not fault is about to be made: `first` is the physical address of its first byte, `second` that of its first byte on the next page, -1 where it
   * stays on one. What a store writes is in SLOT_MEM_VALUE. Accesses to pages that are not watched may be told too.
   */
  accessing(linear: bigint, size: number, write: boolean, first: number, second: number): void;
  /** The access has been made; what a load read is in SLOT_MEM_VALUE. */
  accessed(linear: bigint, size: number, write: boolean): void;
}

/**
 * What a CPU has cached of the page tables (SDM vol. 3, "Caching Translation Information"): the data TLBs, one for each kind of rights (MMU index), in the engine's memory where the fast
 * path of loads and stores looks, and the fetch TLB. A mark in an entry sends accesses to the slow path: to pages that are no plain memory, that hold code, that somebody watches.
 * Linear addresses travel as (lo, hi) 32-bit halves, physical ones as numbers.
 */
export class Tlb {
  private readonly i32: Int32Array;
  private readonly bulk: BulkMemory;
  private readonly base: number;
  /** The fetch TLB: what the data TLB holds depends on the guest's data accesses alone, not on which code an engine has found translated already. */
  private readonly fetchBase: number;
  /** Since the TLB was last empty, an entry has let the supervisor store where CR0.WP would forbid it. */
  private ignoringReadOnly = false;
  private walks = 0;
  watch: DataWatch | undefined;
  /** Lines armed by MONITOR, machine-wide. */
  monitor: WriteMonitor | undefined;

  constructor(
    private readonly cpu: CpuState,
    private readonly bus: PhysicalBus,
    private readonly code: CodeCache,
    private readonly walker: PageWalker,
    private readonly jumps: JumpCache,
  ) {
    this.i32 = cpu.memory.i32;
    this.bulk = cpu.memory.bulk;
    this.base = cpu.base + CPU_STATE_BYTES;
    this.fetchBase = cpu.words[WORD_JUMP_CACHE / 4] + FETCH_TLB;
    cpu.words[WORD_TLB_USED / 4] = -1;
    this.flush();
  }

  /** TLB misses that walked the page tables, since the start. */
  get misses(): number {
    return this.walks + (this.cpu.words[WORD_WALKS / 4] >>> 0);
  }

  /** Chooses the TLB that data accesses use: by CPL, SMAP and AC. Called when any of them changed. */
  selectIndex(): void {
    this.cpu.words[WORD_TLB / 4] = this.indexBase(this.dataIndex());
  }

  /** The MMU index of data accesses with the current rights. */
  dataIndex(): number {
    const { cpu } = this;
    if (cpu.cpl === 3) return MMU_USER;
    return (cpu.cr4 & CR4_SMAP) !== 0 && (cpu.systemFlags & FLAG_AC) === 0 ? MMU_SUPERVISOR_SMAP : MMU_SUPERVISOR;
  }

  private indexBase(index: number): number {
    return this.base + index * (TLB_ENTRIES * TLB_ENTRY_BYTES);
  }

  /** Address in the engine's memory of the entry that a linear address with lower half `lo` has in MMU index `index`, whatever it holds. */
  entryOf(lo: number, index: number): number {
    return this.indexBase(index) + ((lo >>> 12) & (TLB_ENTRIES - 1)) * TLB_ENTRY_BYTES;
  }

  /** Drops every translation (CR3, CR0, CR4, EFER writes) and what was jumped to by them. */
  flush(): void {
    const { words } = this.cpu;
    // Guests that switch address spaces use a few entries only.
    for (let used = words[WORD_TLB_USED / 4]; used !== 0; used &= used - 1) {
      const group = this.base + (31 - Math.clz32(used & -used)) * GROUP_BYTES;
      for (let index = 0; index < MMU_INDEXES; index++) {
        const first = group + index * (TLB_ENTRIES * TLB_ENTRY_BYTES);
        this.bulk.fill(first, 0xff, GROUP_BYTES);
      }
    }
    words[WORD_TLB_USED / 4] = 0;
    words[WORD_WALK / 4] = 0;
    this.ignoringReadOnly = false;
    this.flushFetches();
    this.jumps.forget();
  }

  /**
   * CR0.WP was changed, and nothing else. Translations stay, as on processors, unless it is set and one of them lets the supervisor store to a read-only page: guests
   * that write to their own code clear and set it for each place.
   */
  writeProtectChanged(): void {
    const { words, cr0 } = this.cpu;
    const protects = (cr0 & CR0_WP) !== 0;
    if (protects && this.ignoringReadOnly) return this.flush();
    // 0: nobody has said yet what the walk in the engine may do.
    if (words[WORD_WALK / 4] !== 0) words[WORD_WALK / 4] = (words[WORD_WALK / 4] & ~WALK_WP) | (protects ? WALK_WP : 0);
  }

  private flushFetches(): void {
    this.bulk.fill(this.fetchBase, 0xff, FETCH_ENTRIES * FETCH_ENTRY_BYTES);
  }

  /** INVLPG. A large page may be cached as many small ones, so everything goes where large pages are in use. */
  flushPage(linear: bigint): void {
    if (this.walker.sawLargePage) return this.flush();
    const slot = Number((linear >> 12n) & BigInt(TLB_ENTRIES - 1));
    for (let index = 0; index < MMU_INDEXES; index++) {
      const entry = this.indexBase(index) + slot * TLB_ENTRY_BYTES;
      this.bulk.fill(entry, 0xff, TLB_ENTRY_BYTES);
    }
    this.flushFetches();
    this.jumps.forget();
  }

  /**
   * Sends the next store to physical page `page` (all pages: -1) through each entry to the slow path, which sends on what is special and lets the rest take the fast
   * path again. Translations stay: what is cached of the page tables depends on the guest alone. The marks for the walk in the engine are all CPUs': EngineMemory.distrustStores.
   */
  distrustWrites(page: number): void {
    const { i32 } = this;
    const wanted = page | 0;
    for (let used = this.cpu.words[WORD_TLB_USED / 4]; used !== 0; used &= used - 1) {
      const group = this.base + (31 - Math.clz32(used & -used)) * GROUP_BYTES;
      for (let index = 0; index < MMU_INDEXES; index++) {
        const first = (group + index * (TLB_ENTRIES * TLB_ENTRY_BYTES)) >> 2;
        const end = first + (GROUP_BYTES >> 2);
        for (let entry = first; entry < end; entry += TLB_ENTRY_BYTES >> 2) {
          if (page < 0 || i32[entry + (TLB_PHYSICAL_PAGE >> 2)] === wanted) i32[entry + (TLB_WRITE >> 2)] |= 1;
        }
      }
    }
  }

  /** Sends the next access through each entry to the slow path, which lets those take the fast path again that nothing watches. Translations stay. */
  distrustAll(): void {
    const { i32 } = this;
    // The engine's own walk knows nothing of watches.
    this.cpu.words[WORD_WALK / 4] = 0;
    const end = (this.base + MMU_INDEXES * TLB_ENTRIES * TLB_ENTRY_BYTES) >> 2;
    for (let entry = this.base >> 2; entry < end; entry += TLB_ENTRY_BYTES >> 2) {
      i32[entry + (TLB_READ >> 2)] |= 1;
      i32[entry + (TLB_WRITE >> 2)] |= 1;
    }
  }

  /** The cached translations, for `restore`: a guest that changes page tables without an invalidation sees them. */
  save(): Int32Array {
    const { i32 } = this;
    const first = this.base >> 2;
    const size = TLB_ENTRY_BYTES >> 2;
    const end = first + MMU_INDEXES * TLB_ENTRIES * size;
    let filled = 0;
    for (let entry = first; entry < end; entry += size) if (i32[entry] !== -1 || i32[entry + (TLB_WRITE >> 2)] !== -1) filled++;
    const words = new Int32Array(1 + filled * SAVED_ENTRY);
    words[0] = (this.walker.sawLargePage ? SAVED_LARGE : 0) | (this.ignoringReadOnly ? SAVED_IGNORING : 0);
    let at = 1;
    for (let entry = first; entry < end; entry += size) {
      if (i32[entry] === -1 && i32[entry + (TLB_WRITE >> 2)] === -1) continue;
      words[at++] = (entry - first) / size;
      for (let word = 0; word < size; word++) words[at++] = i32[entry + word];
    }
    return words;
  }

  /** Takes over what `save` gave; every entry is looked at anew on its first use. */
  restore(saved: Int32Array): void {
    this.flush();
    this.cpu.words[WORD_TLB_USED / 4] = -1;
    const { i32 } = this;
    this.walker.sawLargePage = (saved[0] & SAVED_LARGE) !== 0;
    this.ignoringReadOnly = (saved[0] & SAVED_IGNORING) !== 0;
    for (let at = 1; at + SAVED_ENTRY <= saved.length; at += SAVED_ENTRY) {
      const index = saved[at];
      if (index < 0 || index >= MMU_INDEXES * TLB_ENTRIES) continue;
      const entry = (this.base >> 2) + index * (TLB_ENTRY_BYTES >> 2);
      i32.set(saved.subarray(at + 1, at + SAVED_ENTRY), entry);
      i32[entry + (TLB_READ >> 2)] |= 1;
      i32[entry + (TLB_WRITE >> 2)] |= 1;
      const host = this.bus.hostPage(i32[entry + (TLB_PHYSICAL_PAGE >> 2)] >>> 0, false, this.cpu.index);
      const tag = i32[entry] === -1 ? i32[entry + (TLB_WRITE >> 2)] : i32[entry];
      i32[entry + (TLB_ADDEND >> 2)] = (host - (tag & ~0xfff)) | 0;
    }
  }

  /**
   * Physical address of linear (hi:lo) for an access through MMU index `index`, or -1 with #PF recorded. Fills the TLB.
   */
  translate(lo: number, hi: number, access: Access, index: number): number {
    const entry = this.entryOf(lo, index);
    const tag = (entry + access * 8) >> 2;
    if ((this.i32[tag] & ~1) !== (lo & ~0xfff) || this.i32[tag + 1] !== hi) {
      if (!this.fill(entry, lo, hi, access, index)) return -1;
    }
    return (this.i32[(entry + TLB_PHYSICAL_PAGE) >> 2] >>> 0) * 4096 + (lo & 0xfff);
  }

  private fill(entry: number, lo: number, hi: number, access: Access, index: number): boolean {
    const { i32, walker, cpu } = this;
    this.walks++;
    if ((cpu.cr0 & CR0_PG) === 0) walker.identity(lo);
    else if (!walker.walk(lo, hi, access, index)) return false;
    const page = walker.page;
    const linear = lo & ~0xfff;
    const watched = this.watch?.watchesPage(joinHalves(hi, linear), page) === true ? 1 : 0;
    const readHost = this.bus.hostPage(page, false, cpu.index);
    const setTag = (offset: number, allowed: boolean, slow: number): void => {
      i32[(entry + offset) >> 2] = allowed ? linear | slow : -1;
      i32[(entry + offset + 4) >> 2] = allowed ? hi : -1;
    };
    if (walker.writableByWp) this.ignoringReadOnly = true;
    setTag(TLB_READ, walker.readable, readHost < 0 || watched === 1 ? 1 : 0);
    setTag(TLB_WRITE, walker.writable, watched === 1 || this.slowWrites(page) ? 1 : 0);
    i32[(entry + TLB_ADDEND) >> 2] = (readHost - linear) | 0;
    i32[(entry + TLB_PHYSICAL_PAGE) >> 2] = page;
    cpu.words[WORD_TLB_USED / 4] |= 1 << (((lo >>> 12) & (TLB_ENTRIES - 1)) / TLB_GROUP);
    cpu.words[WORD_WALK / 4] = this.walkMode();
    cpu.words[WORD_WALK_KEYS / 4] = walker.restrictingKeys();
    cpu.words[WORD_WALK_ROOT / 4] = cpu.cr3 - (cpu.cr3 % 4096);
    if (this.watch === undefined) this.walker.mark(page, readHost, this.slowWrites(page) ? 0 : MARK_FREE);
    return true;
  }

  /** What the walk in the engine may do: pages of the two usual kinds, while nobody watches data. */
  private walkMode(): number {
    const { cpu, walker } = this;
    if (this.watch !== undefined || (cpu.cr0 & CR0_PG) === 0 || cpu.cr3 >= 2 ** 32) return 0;
    const common = ((cpu.cr0 & CR0_WP) !== 0 ? WALK_WP : 0) | (walker.sawLargePage ? WALK_LARGE : 0);
    if ((cpu.efer & EFER_LMA) !== 0) {
      const levels = (cpu.cr4 & CR4_LA57) !== 0 ? WALK_LONG | WALK_LA57 : WALK_LONG;
      return common | levels | (cpu.gigabytePages ? WALK_GIGABYTE : 0) | ((cpu.efer & EFER_NXE) !== 0 ? WALK_NX : 0);
    }
    return (cpu.cr4 & CR4_PAE) !== 0 ? 0 : common | WALK_32 | ((cpu.cr4 & CR4_PSE) !== 0 ? WALK_PSE : 0);
  }

  /** Where the code at linear address `linear` (page-granular) is: its physical address, or -1 with the fault recorded. */
  fetch(linear: bigint): number {
    return this.fetchAt(lowHalf(linear), highHalf(linear));
  }

  /** The same for a linear address in halves. */
  fetchAt(lo: number, hi: number): number {
    if (!this.cpu.isCanonical(hi)) {
      this.cpu.raise(EXC_GP, 0);
      return -1;
    }
    const user = this.cpu.cpl === 3 ? 1 : 0;
    const tag = (lo & ~0xfff) | user;
    const entry = (this.fetchBase + ((((lo >>> 12) << 1) | user) & (FETCH_ENTRIES - 1)) * FETCH_ENTRY_BYTES) >> 2;
    const { i32, walker } = this;
    if (i32[entry] === tag && i32[entry + FETCH_HIGH / 4] === hi) return (i32[entry + FETCH_PAGE / 4] >>> 0) * 4096 + (lo & 0xfff);

    this.walks++;
    if ((this.cpu.cr0 & CR0_PG) === 0) walker.identity(lo);
    else if (!walker.walk(lo, hi, ACCESS_FETCH, user === 1 ? MMU_USER : MMU_SUPERVISOR)) return -1;
    const { page } = walker;
    if (this.bus.hostPage(page, false, this.cpu.index) >= 0) {
      i32[entry] = tag;
      i32[entry + FETCH_HIGH / 4] = hi;
      i32[entry + FETCH_PAGE / 4] = page;
    }
    return page * 4096 + (lo & 0xfff);
  }

  /** Whether stores to physical page `page` must be seen: no plain memory, not written since the last snapshot, translated code, an armed MONITOR line. */
  private slowWrites(page: number): boolean {
    return !this.bus.writesFreely(page, this.cpu.index) || this.code.hasCode(page) || this.monitor?.watches(page) === true;
  }

  /** Nothing but code is special about stores to the page. */
  isPlainBesideCode(page: number): boolean {
    return this.watch === undefined && this.bus.writesFreely(page, this.cpu.index) && this.monitor?.watches(page) !== true;
  }

  /** An access through the slow path is done: later ones to linear (hi:lo) take the fast path if nothing about its page is special. */
  trust(lo: number, hi: number, write: boolean, index: number): void {
    const { i32 } = this;
    const entry = this.entryOf(lo, index);
    const tag = (entry + (write ? TLB_WRITE : TLB_READ)) >> 2;
    const linear = lo & ~0xfff;
    // The access may have changed mappings: the entry may be another's.
    if (i32[tag] !== (linear | 1) || i32[tag + 1] !== hi) return;
    const page = i32[(entry + TLB_PHYSICAL_PAGE) >> 2] >>> 0;
    const slow = write ? this.slowWrites(page) : this.bus.hostPage(page, false, this.cpu.index) < 0;
    if (slow || this.watch?.watchesPage(joinHalves(hi, linear), page) === true) return;
    i32[tag] = linear;
  }
}
