import { highHalf, joinHalves, lowHalf } from "../common/halves";
import type { BulkMemory } from "../tcg/bulkMemory";
import type { CodeCache } from "../tcg/codeCache";
import { KIND_PROBE_WRITE, KIND_WRAP32 } from "../tcg/interpreter/memory";
import {
  CPU_STATE_BYTES,
  MARK_FREE,
  FETCH_ENTRIES,
  FETCH_ENTRY_BYTES,
  FETCH_HIGH,
  FETCH_PAGE,
  FETCH_TLB,
  MEM_STACK,
  MMU_INDEXES,
  MMU_SUPERVISOR,
  MMU_SUPERVISOR_SMAP,
  MMU_USER,
  SLOT_MEM_VALUE,
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
import { STATUS_FAULT, STATUS_OK } from "../tcg/ops";
import type { PhysicalBus } from "./bus";
import { JumpCache } from "./jumpCache";
import { PageWalker } from "./pageWalk";
import type { WriteMonitor } from "./writeMonitor";
import { EXC_GP, EXC_SS } from "./exceptions";
import { CR0_PG, CR0_WP, CR4_LA57, CR4_PAE, CR4_PSE, CR4_SMAP, EFER_LMA, EFER_NXE, FLAG_AC } from "./registerBits";
import type { CpuState } from "./state";

export const ACCESS_READ = 0;
export const ACCESS_WRITE = 1;
export const ACCESS_FETCH = 2;
export type Access = typeof ACCESS_READ | typeof ACCESS_WRITE | typeof ACCESS_FETCH;

type Size = 1 | 2 | 4 | 8;

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
 * Paging and the slow path of memory accesses: TLB fills, page-crossing accesses, MMIO, self-modifying code, watched pages. Linear addresses travel as (lo, hi)
 * 32-bit halves, physical ones as numbers. SDM vol. 3, "Paging".
 */
export class Mmu {
  private readonly u8: Uint8Array;
  private readonly i32: Int32Array;
  private readonly view: DataView;
  private readonly bulk: BulkMemory;
  private readonly tlbBase: number;
  private readonly valueAddress: number;
  /** The fetch TLB: what the data TLB holds depends on the guest's data accesses alone, not on which code an engine has found translated already. */
  private readonly fetchBase: number;
  readonly walker: PageWalker;
  /** What RIPs led to by the present mappings. */
  readonly jumps: JumpCache;
  /** Since the TLB was last empty, an entry has let the supervisor store where CR0.WP would forbid it. */
  private ignoringReadOnly = false;
  watch: DataWatch | undefined;
  private walks = 0;
  /** TLB misses that walked the page tables, since the start. */
  get misses(): number {
    return this.walks + (this.cpu.words[WORD_WALKS / 4] >>> 0);
  }
  /** Lines armed by MONITOR, machine-wide. */
  monitor: WriteMonitor | undefined;
  /** Set by the owner: code at a physical address was overwritten while this CPU executes. */
  onCodeWritten: () => void = () => undefined;

  constructor(
    private readonly cpu: CpuState,
    private readonly bus: PhysicalBus,
    private readonly code: CodeCache,
  ) {
    const { memory } = cpu;
    this.u8 = memory.u8;
    this.i32 = memory.i32;
    this.view = memory.view;
    this.bulk = memory.bulk;
    this.tlbBase = cpu.base + CPU_STATE_BYTES;
    this.valueAddress = cpu.base + SLOT_MEM_VALUE;
    this.fetchBase = cpu.words[WORD_JUMP_CACHE / 4] + FETCH_TLB;
    this.walker = new PageWalker(cpu, bus, code);
    this.jumps = new JumpCache(cpu);
    cpu.words[WORD_TLB_USED / 4] = -1;
    this.flush();
  }

  /** Chooses the TLB that data accesses use: by CPL, SMAP and AC. Called when any of them changed. */
  selectIndex(): void {
    this.cpu.words[WORD_TLB / 4] = this.tlbOf(this.dataIndex());
  }

  private dataIndex(): number {
    const { cpu } = this;
    if (cpu.cpl === 3) return MMU_USER;
    return (cpu.cr4 & CR4_SMAP) !== 0 && (cpu.systemFlags & FLAG_AC) === 0 ? MMU_SUPERVISOR_SMAP : MMU_SUPERVISOR;
  }

  private tlbOf(index: number): number {
    return this.tlbBase + index * (TLB_ENTRIES * TLB_ENTRY_BYTES);
  }

  /** Drops every translation (CR3, CR0, CR4, EFER writes) and what was jumped to by them. */
  flush(): void {
    const { words } = this.cpu;
    // Guests that switch address spaces use a few entries only.
    for (let used = words[WORD_TLB_USED / 4]; used !== 0; used &= used - 1) {
      const group = this.tlbBase + (31 - Math.clz32(used & -used)) * GROUP_BYTES;
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
      const entry = this.tlbOf(index) + slot * TLB_ENTRY_BYTES;
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
      const group = this.tlbBase + (31 - Math.clz32(used & -used)) * GROUP_BYTES;
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
    const end = (this.tlbBase + MMU_INDEXES * TLB_ENTRIES * TLB_ENTRY_BYTES) >> 2;
    for (let entry = this.tlbBase >> 2; entry < end; entry += TLB_ENTRY_BYTES >> 2) {
      i32[entry + (TLB_READ >> 2)] |= 1;
      i32[entry + (TLB_WRITE >> 2)] |= 1;
    }
  }

  /** The cached translations, for `restoreTlb`: a guest that changes page tables without an invalidation sees them. */
  saveTlb(): Int32Array {
    const { i32 } = this;
    const first = this.tlbBase >> 2;
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

  /** Takes over what `saveTlb` gave; every entry is looked at anew on its first use. */
  restoreTlb(saved: Int32Array): void {
    this.flush();
    this.cpu.words[WORD_TLB_USED / 4] = -1;
    const { i32 } = this;
    this.walker.sawLargePage = (saved[0] & SAVED_LARGE) !== 0;
    this.ignoringReadOnly = (saved[0] & SAVED_IGNORING) !== 0;
    for (let at = 1; at + SAVED_ENTRY <= saved.length; at += SAVED_ENTRY) {
      const index = saved[at];
      if (index < 0 || index >= MMU_INDEXES * TLB_ENTRIES) continue;
      const entry = (this.tlbBase >> 2) + index * (TLB_ENTRY_BYTES >> 2);
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
    const entry = this.tlbOf(index) + ((lo >>> 12) & (TLB_ENTRIES - 1)) * TLB_ENTRY_BYTES;
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

  /** An access through the slow path is done: later ones to linear (hi:lo) take the fast path if nothing about its page is special. */
  private trust(lo: number, hi: number, write: boolean, index: number): void {
    const { i32 } = this;
    const entry = this.tlbOf(index) + ((lo >>> 12) & (TLB_ENTRIES - 1)) * TLB_ENTRY_BYTES;
    const tag = (entry + (write ? TLB_WRITE : TLB_READ)) >> 2;
    const linear = lo & ~0xfff;
    // The access may have changed mappings: the entry may be another's.
    if (i32[tag] !== (linear | 1) || i32[tag + 1] !== hi) return;
    const page = i32[(entry + TLB_PHYSICAL_PAGE) >> 2] >>> 0;
    const slow = write ? this.slowWrites(page) : this.bus.hostPage(page, false, this.cpu.index) < 0;
    if (slow || this.watch?.watchesPage(joinHalves(hi, linear), page) === true) return;
    i32[tag] = linear;
  }

  /** Slow path of a load (EngineHost.load). */
  load(kind: number, lo: number, hi: number): number {
    const size = (kind & 0xff) as Size;
    return this.access(size, kind, lo, hi, false, this.dataIndex());
  }

  /** Slow path of a store (EngineHost.store). */
  store(kind: number, lo: number, hi: number): number {
    const size = (kind & 0xff) as Size;
    return this.access(size, kind, lo, hi, true, this.dataIndex());
  }

  private access(size: Size, kind: number, lo: number, hi: number, write: boolean, index: number): number {
    const mode = write || (kind & KIND_PROBE_WRITE) !== 0 ? ACCESS_WRITE : ACCESS_READ;
    if (!this.cpu.isCanonical(hi)) return this.notCanonical(kind);
    const first = this.translate(lo, hi, mode, index);
    const room = 4096 - (lo & 0xfff);
    const { watch } = this;
    const linear = watch === undefined ? 0n : joinHalves(hi, lo);
    if (size <= room) {
      if (first < 0) return STATUS_FAULT;
      watch?.accessing(linear, size, write, first, -1);
      if (write) this.writePhysicalFromSlot(first, size);
      else this.readPhysicalToSlot(first, size);
      this.trust(lo, hi, write, index);
    } else {
      if (first < 0) return STATUS_FAULT;
      const nextLo = (lo + room) | 0;
      const carry = nextLo === 0 && (kind & KIND_WRAP32) === 0 ? 1 : 0;
      const nextHi = (hi + carry) | 0;
      if (!this.cpu.isCanonical(nextHi)) return this.notCanonical(kind);
      const second = this.translate(nextLo, nextHi, mode, index);
      if (second < 0) return STATUS_FAULT;
      watch?.accessing(linear, size, write, first, second);
      // The second translation may have evicted nothing that matters: both physical addresses are known.
      for (let i = 0; i < size; i++) {
        const at = i < room ? first + i : second + i - room;
        if (write) this.writePhysicalByte(at, this.u8[this.valueAddress + i]);
        else this.u8[this.valueAddress + i] = this.readPhysicalByte(at);
      }
      if (!write) this.u8.fill(0, this.valueAddress + size, this.valueAddress + 8);
    }
    watch?.accessed(linear, size, write);
    return STATUS_OK;
  }

  /**
   * Where generated code finds the data of an access that missed its TLB: the address in the engine's memory, with the TLB filled; 0 when the access is anything but plain
   * (device, fault, watched, across pages, code overwritten, first write since a snapshot), with nothing recorded.
   */
  hostAddress(kind: number, lo: number, hi: number): number {
    const size = kind & 0xff;
    if (!this.cpu.isCanonical(hi) || size > 4096 - (lo & 0xfff)) return 0;
    const write = (kind & KIND_PROBE_WRITE) !== 0;
    const index = this.dataIndex();
    const physical = this.translate(lo, hi, write ? ACCESS_WRITE : ACCESS_READ, index);
    if (physical < 0) {
      this.cpu.pending = undefined;
      return 0;
    }
    const entry = this.tlbOf(index) + ((lo >>> 12) & (TLB_ENTRIES - 1)) * TLB_ENTRY_BYTES;
    const tag = (entry + (write ? TLB_WRITE : TLB_READ)) >> 2;
    if ((this.i32[tag] & 1) !== 0) {
      this.trust(lo, hi, write, index);
      if ((this.i32[tag] & 1) !== 0 && !(write && this.besideCode(physical, size))) return 0;
    }
    return (lo + this.i32[(entry + TLB_ADDEND) >> 2]) >>> 0;
  }

  /** A page with code may be written in place where no code was made from, if nothing else is special about it. */
  private besideCode(physical: number, size: number): boolean {
    return this.isPlainBesideCode(Math.floor(physical / 4096)) && !this.code.mayHold(physical, size);
  }

  /** Nothing but code is special about stores to the page. */
  private isPlainBesideCode(page: number): boolean {
    return this.watch === undefined && this.bus.writesFreely(page, this.cpu.index) && this.monitor?.watches(page) !== true;
  }

  private notCanonical(kind: number): number {
    this.cpu.raise(((kind >> 8) & MEM_STACK) !== 0 ? EXC_SS : EXC_GP, 0);
    return STATUS_FAULT;
  }

  /**
   * Reads `size` bytes at linear address `linear` for the processor itself (descriptor tables, TSS, stacks of deliveries: supervisor accesses whatever
   * the CPL, SDM vol. 3 "implicit supervisor-mode accesses") or, with `user`, with the rights of the current CPL. undefined: the fault is recorded.
   */
  read(linear: bigint, size: Size, user = false): bigint | undefined {
    const lo = lowHalf(linear);
    const hi = highHalf(linear);
    const index = user ? this.dataIndex() : this.systemIndex();
    if (this.access(size, size | (this.wraps() ? KIND_WRAP32 : 0), lo, hi, false, index) !== STATUS_OK) return undefined;
    return this.cpu.slots[SLOT_MEM_VALUE / 8];
  }

  /** The same for writes. Returns false with the fault recorded. */
  write(linear: bigint, size: Size, value: bigint, user = false): boolean {
    const lo = lowHalf(linear);
    const hi = highHalf(linear);
    this.cpu.slots[SLOT_MEM_VALUE / 8] = value;
    const index = user ? this.dataIndex() : this.systemIndex();
    return this.access(size, size | (this.wraps() ? KIND_WRAP32 : 0), lo, hi, true, index) === STATUS_OK;
  }

  /** Checks that `size` bytes at `linear` could be written, without writing. Returns false with the fault recorded. */
  probeWrite(linear: bigint, size: number, user = false): boolean {
    const index = user ? this.dataIndex() : this.systemIndex();
    const last = linear + BigInt(size - 1);
    for (const address of linear >> 12n === last >> 12n ? [linear] : [linear, last]) {
      const lo = lowHalf(address);
      const hi = highHalf(address);
      if (!this.cpu.isCanonical(hi)) return this.notCanonical(0) === STATUS_OK;
      if (this.translate(lo, hi, ACCESS_WRITE, index) < 0) return false;
    }
    return true;
  }

  private systemIndex(): number {
    return (this.cpu.cr4 & CR4_SMAP) !== 0 ? MMU_SUPERVISOR_SMAP : MMU_SUPERVISOR;
  }

  private wraps(): boolean {
    return !this.cpu.longMode;
  }

  /**
   * Address in the engine's memory of linear address `linear` for accesses with the current rights that need no slow path (plain memory, nothing watched, no code when
   * written), filling the TLB if that does not fault; else -1, with nothing recorded. `overCode`: of a page with code too, where that is all that is special; whoever writes there says so by {@link overwritten}.
   */
  plainHost(linear: bigint, write: boolean, overCode = false): number {
    const lo = lowHalf(linear);
    const hi = highHalf(linear);
    if (!this.cpu.isCanonical(hi)) return -1;
    const index = this.dataIndex();
    if (this.translate(lo, hi, write ? ACCESS_WRITE : ACCESS_READ, index) < 0) {
      this.cpu.pending = undefined;
      return -1;
    }
    const entry = this.tlbOf(index) + ((lo >>> 12) & (TLB_ENTRIES - 1)) * TLB_ENTRY_BYTES;
    const tag = (entry + (write ? TLB_WRITE : TLB_READ)) >> 2;
    if ((this.i32[tag] & 1) !== 0) {
      const page = this.i32[(entry + TLB_PHYSICAL_PAGE) >> 2] >>> 0;
      if (this.bus.hostPage(page, write, this.cpu.index) < 0) return -1;
      this.trust(lo, hi, write, index);
      if ((this.i32[tag] & 1) !== 0 && !(overCode && this.isPlainBesideCode(page))) return -1;
    }
    return (lo + this.i32[(entry + TLB_ADDEND) >> 2]) >>> 0;
  }

  /** `bytes` at linear address `linear`, inside a page that the TLB has, were written at the place that {@link plainHost} gave: drops the code that was made from them. */
  overwritten(linear: bigint, bytes: number): void {
    const lo = lowHalf(linear);
    const index = this.dataIndex();
    const entry = this.tlbOf(index) + ((lo >>> 12) & (TLB_ENTRIES - 1)) * TLB_ENTRY_BYTES;
    const page = this.i32[(entry + TLB_PHYSICAL_PAGE) >> 2] >>> 0;
    if (!this.code.hasCode(page)) return;
    const dropped = this.code.written(page * 4096 + (lo & 0xfff), bytes);
    this.trust(lo, highHalf(linear), true, index);
    if (dropped) this.onCodeWritten();
  }

  /**
   * Physical address of a linear one without side effects (no A/D bits, no TLB, no fault): for debuggers. -1 when not mapped.
   */
  inspect(linear: bigint): number {
    const lo = lowHalf(linear);
    const hi = highHalf(linear);
    if ((this.cpu.cr0 & CR0_PG) === 0) return lo >>> 0;
    return this.cpu.isCanonical(hi) ? this.walker.inspect(lo, hi) : -1;
  }

  /** Where in the engine's memory the byte at linear (high:low) is that the CPU may read at once at its present rights; -1 where it would have to look. Changes nothing. */
  readable(low: number, high: number): number {
    const { i32 } = this.cpu.memory;
    const entry = this.cpu.words[WORD_TLB / 4] + ((low >>> 12) & (TLB_ENTRIES - 1)) * TLB_ENTRY_BYTES;
    const tag = (entry + TLB_READ) >> 2;
    return i32[tag] === (low & ~0xfff) && i32[tag + 1] === high ? (low + i32[(entry + TLB_ADDEND) >> 2]) >>> 0 : -1;
  }

  private readPhysicalByte(physical: number): number {
    const host = this.bus.hostPage(Math.floor(physical / 4096), false, this.cpu.index);
    return host >= 0 ? this.u8[host + (physical % 4096)] : Number(this.bus.read(physical, 1, this.cpu.index));
  }

  private writePhysicalByte(physical: number, value: number): void {
    const host = this.bus.hostPage(Math.floor(physical / 4096), true, this.cpu.index);
    if (host < 0) return this.bus.write(physical, 1, BigInt(value), this.cpu.index);
    this.u8[host + (physical % 4096)] = value;
    if (this.code.written(physical, 1)) this.onCodeWritten();
    this.monitor?.written(physical, 1);
  }

  private readPhysicalToSlot(physical: number, size: Size): void {
    const host = this.bus.hostPage(Math.floor(physical / 4096), false, this.cpu.index);
    if (host < 0) {
      this.bus.reading(physical);
      this.cpu.slots[SLOT_MEM_VALUE / 8] = this.bus.read(physical, size, this.cpu.index);
      return;
    }
    const at = host + (physical % 4096);
    const { view, valueAddress } = this;
    view.setUint32(valueAddress + 4, size === 8 ? view.getUint32(at + 4, true) : 0, true);
    if (size === 1) view.setUint32(valueAddress, this.u8[at], true);
    else if (size === 2) view.setUint32(valueAddress, view.getUint16(at, true), true);
    else view.setUint32(valueAddress, view.getUint32(at, true), true);
  }

  private writePhysicalFromSlot(physical: number, size: Size): void {
    const page = Math.floor(physical / 4096);
    const host = this.bus.hostPage(page, true, this.cpu.index);
    const { view, valueAddress } = this;
    if (host < 0) {
      const value = this.cpu.slots[SLOT_MEM_VALUE / 8];
      this.bus.write(physical, size, size === 8 ? value : value & ((1n << BigInt(8 * size)) - 1n), this.cpu.index);
      return;
    }
    const at = host + (physical % 4096);
    if (size === 1) this.u8[at] = this.u8[valueAddress];
    else if (size === 2) view.setUint16(at, view.getUint16(valueAddress, true), true);
    else {
      view.setUint32(at, view.getUint32(valueAddress, true), true);
      if (size === 8) view.setUint32(at + 4, view.getUint32(valueAddress + 4, true), true);
    }
    if (this.code.hasCode(page) && this.code.written(physical, size)) this.onCodeWritten();
    this.monitor?.written(physical, size);
  }
}
