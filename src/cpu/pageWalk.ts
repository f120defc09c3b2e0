import { highHalf, joinHalves, lowHalf } from "../common/halves";
import type { CodeCache } from "../tcg/codeCache";
import { MARK_PLAIN, MMU_SUPERVISOR_SMAP, MMU_USER } from "../tcg/layout";
import type { PhysicalBus } from "./bus";
import { EXC_PF } from "./exceptions";
import { CR0_WP, CR4_LA57, CR4_PAE, CR4_PKE, CR4_PKS, CR4_PSE, CR4_SMEP, EFER_LMA, EFER_NXE } from "./registerBits";
import type { CpuState } from "./state";

/** Pages of the area that video memory, option ROMs and SMRAM share. */
const LEGACY_FIRST = 0xa0;
const LEGACY_END = 0x100;
const P = 1 << 0;
const RW = 1 << 1;
const US = 1 << 2;
const A = 1 << 5;
const D = 1 << 6;
const PS = 1 << 7;

/** Page-fault error code bits (SDM vol. 3, "Page-Fault Exceptions"). */
const PF_PRESENT = 1;
const PF_WRITE = 2;
const PF_USER = 4;
const PF_RESERVED = 8;
const PF_FETCH = 16;
const PF_KEY = 32;

/**
 * The page walker: 32-bit, PAE, 4-level and 5-level paging (SDM vol. 3, "Paging"), with accessed and dirty bits, NX, WP, SMEP, SMAP, protection keys and reserved bits. Its result is left in
 * its fields, so that a walk allocates nothing.
 */
export class PageWalker {
  /** Result of the last walk: physical page number, and what the MMU index it was made for may do with it. */
  page = 0;
  readable = false;
  writable = false;
  executable = false;
  /** `writable` holds only as long as CR0.WP is clear. */
  writableByWp = false;
  /** A large page has been walked since the start: INVLPG must drop more than one entry. */
  sawLargePage = false;

  private readonly view: DataView;
  /** Entries visited by this walk: physical address and low word, for the accessed bits. */
  private readonly visited = [0, 0, 0, 0, 0];
  private readonly visitedLow = [0, 0, 0, 0, 0];
  private depth = 0;
  private low = 0;
  private high = 0;

  constructor(
    private readonly cpu: CpuState,
    private readonly bus: PhysicalBus,
    private readonly code: CodeCache,
  ) {
    this.view = cpu.memory.view;
  }

  /** Paging is off: linear is physical. */
  identity(lo: number): void {
    this.page = lo >>> 12;
    this.readable = this.writable = this.executable = true;
    this.writableByWp = false;
  }

  /** Walks for an access (0 read, 1 write, 2 fetch) through MMU index `index`. false: #PF is recorded. */
  walk(lo: number, hi: number, access: number, index: number): boolean {
    const user = index === MMU_USER;
    const code = this.look(lo, hi);
    const { cpu } = this;
    const nx = (cpu.efer & EFER_NXE) !== 0;
    const smep = (cpu.cr4 & CR4_SMEP) !== 0;
    const kind = (access === 1 ? PF_WRITE : 0) | (user ? PF_USER : 0) | (access === 2 && (nx || smep) ? PF_FETCH : 0);
    if (code >= 0) return this.fault(lo, hi, code | kind);
    const userPage = this.userPage;
    const smapBlocks = index === MMU_SUPERVISOR_SMAP && userPage;
    const ignoresReadOnly = !user && (cpu.cr0 & CR0_WP) === 0;
    const keyBlocks = this.keyRights();
    const keyBlocksReads = (keyBlocks & 1) !== 0;
    const keyBlocksWrites = keyBlocksReads || ((keyBlocks & 2) !== 0 && !ignoresReadOnly);
    this.readable = (user ? userPage : !smapBlocks) && !keyBlocksReads;
    const mayWrite = this.readable && !keyBlocksWrites && (this.writePage || ignoresReadOnly);
    this.executable = (user ? userPage : !(smep && userPage)) && !this.noExecute;
    const allowed = access === 0 ? this.readable : access === 1 ? mayWrite : this.executable;
    if (!allowed) {
      const byKey = access === 0 ? keyBlocksReads : access === 1 && keyBlocksWrites;
      return this.fault(lo, hi, PF_PRESENT | kind | (byKey ? PF_KEY : 0));
    }
    this.markAccessed(access === 1);
    this.writable = mayWrite && (this.visitedLow[this.depth - 1] & D) !== 0;
    this.writableByWp = this.writable && ignoresReadOnly && (!this.writePage || (keyBlocks & 2) !== 0);
    return true;
  }

  /**
   * Rights that the protection key of the leaf just found takes away from data accesses: bit 0 all of them, bit 1 writes. Keys exist in long mode, in bits 62:59 of the
   * leaf; PKRU is for user-mode addresses, IA32_PKRS for the others (SDM vol. 3, "Protection Keys").
   */
  private keyRights(): number {
    const { cpu } = this;
    if ((cpu.cr4 & (this.userPage ? CR4_PKE : CR4_PKS)) === 0 || !cpu.longMode) return 0;
    const key = (this.high >>> 27) & 0xf;
    return ((this.userPage ? cpu.pkru : cpu.pkrs) >>> (2 * key)) & 3;
  }

  /** Keys that take rights away (`keyRights`): bit k for key k of user-mode addresses, bit 16 + k for that of the others. */
  restrictingKeys(): number {
    const { cpu } = this;
    if (!cpu.longMode) return 0;
    return ((cpu.cr4 & CR4_PKE) !== 0 ? anyRight(cpu.pkru) : 0) | ((cpu.cr4 & CR4_PKS) !== 0 ? anyRight(cpu.pkrs) << 16 : 0);
  }

  /** Physical address for a debugger, or -1; changes nothing. */
  inspect(lo: number, hi: number): number {
    const large = this.sawLargePage;
    const found = this.look(lo, hi) < 0;
    this.sawLargePage = large;
    return found ? this.page * 4096 + (lo & 0xfff) : -1;
  }

  private userPage = false;
  private writePage = false;
  private noExecute = false;

  /** Finds the leaf. -1, or the error code's P and RSVD bits of the failure. */
  private look(lo: number, hi: number): number {
    const { cpu } = this;
    this.depth = 0;
    this.userPage = this.writePage = true;
    this.noExecute = false;
    if ((cpu.efer & EFER_LMA) !== 0) return this.lookLong(lo, hi);
    return (cpu.cr4 & CR4_PAE) !== 0 ? this.lookPae(lo) : this.look32(lo);
  }

  private look32(lo: number): number {
    const { cpu } = this;
    this.read32((cpu.cr3 & 0xfffff000) >>> 0, lo >>> 22);
    if ((this.low & P) === 0) return 0;
    this.combine32();
    if ((this.low & PS) !== 0 && (cpu.cr4 & CR4_PSE) !== 0) {
      // PSE-36: bits 20:13 are address bits 39:32; bit 21 is reserved, and so are those beyond the physical address.
      if ((this.low & 0x3f_e000) >>> (cpu.physicalBits - 32 + 13) !== 0) return PF_PRESENT | PF_RESERVED;
      this.sawLargePage = true;
      this.page = ((this.low >>> 13) & 0xff) * 0x100000 + (this.low >>> 22) * 1024 + ((lo >>> 12) & 0x3ff);
      return -1;
    }
    this.read32((this.low & 0xfffff000) >>> 0, (lo >>> 12) & 0x3ff);
    if ((this.low & P) === 0) return 0;
    this.combine32();
    this.page = this.low >>> 12;
    return -1;
  }

  private lookPae(lo: number): number {
    const pdpte = this.cpu.pdptes[lo >>> 30];
    if ((pdpte & 1n) === 0n) return 0;
    return this.lookDirectory(Number(pdpte & 0xff_ffff_f000n), lo, 0x7ff00000);
  }

  private lookLong(lo: number, hi: number): number {
    const { cpu } = this;
    const indexPml5 = (hi >>> 16) & 0x1ff;
    const indexPml4 = (hi >>> 7) & 0x1ff;
    const indexPdpt = ((hi & 0x7f) << 2) | (lo >>> 30);
    const root = cpu.cr3 - (cpu.cr3 % 4096);
    let failure: number;
    if ((cpu.cr4 & CR4_LA57) !== 0) {
      this.read64(root, indexPml5);
      failure = this.combineUpper();
      if (failure >= 0) return failure;
      this.read64(this.tableAddress(), indexPml4);
    } else this.read64(root, indexPml4);
    failure = this.combineUpper();
    if (failure >= 0) return failure;
    this.read64(this.tableAddress(), indexPdpt);
    failure = this.combine64(0);
    if (failure >= 0) return failure;
    if ((this.low & PS) !== 0) {
      if (!cpu.gigabytePages || (this.low & 0x3fffe000) !== 0) return PF_PRESENT | PF_RESERVED;
      this.sawLargePage = true;
      this.page = this.pageOf(0xc0000000) + ((lo >>> 12) & 0x3ffff);
      return -1;
    }
    return this.lookDirectory(this.tableAddress(), lo, 0);
  }

  /** The two lower levels that PAE, 4-level and 5-level paging share. `reservedHigh`: more reserved bits of the upper half. */
  private lookDirectory(table: number, lo: number, reservedHigh: number): number {
    this.read64(table, (lo >>> 21) & 0x1ff);
    let failure = this.combine64(reservedHigh);
    if (failure >= 0) return failure;
    if ((this.low & PS) !== 0) {
      if ((this.low & 0x1fe000) !== 0) return PF_PRESENT | PF_RESERVED;
      this.sawLargePage = true;
      this.page = this.pageOf(0xffe00000) + ((lo >>> 12) & 0x1ff);
      return -1;
    }
    this.read64(this.tableAddress(), (lo >>> 12) & 0x1ff);
    failure = this.combine64(reservedHigh);
    if (failure >= 0) return failure;
    this.page = this.pageOf(0xfffff000);
    return -1;
  }

  private tableAddress(): number {
    return this.pageOf(0xfffff000) * 4096;
  }

  private pageOf(lowMask: number): number {
    return (this.high & 0xfffff) * 0x100000 + ((this.low & lowMask) >>> 12);
  }

  /** A PML5 or PML4 entry: it cannot map a page. */
  private combineUpper(): number {
    const failure = this.combine64(0);
    return failure < 0 && (this.low & PS) !== 0 ? PF_PRESENT | PF_RESERVED : failure;
  }

  private combine32(): void {
    if ((this.low & US) === 0) this.userPage = false;
    if ((this.low & RW) === 0) this.writePage = false;
  }

  private combine64(reservedHigh: number): number {
    if ((this.low & P) === 0) return 0;
    const nxe = (this.cpu.efer & EFER_NXE) !== 0;
    // Up to bit 51, what lies above the physical address must be zero.
    const beyond = 0xfffff & (-1 << (this.cpu.physicalBits - 32));
    if ((this.high & (beyond | reservedHigh)) !== 0 || (!nxe && this.high < 0)) return PF_PRESENT | PF_RESERVED;
    if (this.high < 0) this.noExecute = true;
    this.combine32();
    return -1;
  }

  /**
   * Tells the walk in the engine that page `page`, at `host` in the engine's memory, is plain RAM at its own place, with MARK_FREE also that stores to it need no notice. Not
   * in the legacy area, where what a CPU sees depends on more.
   */
  mark(page: number, host: number, marks: number): void {
    const { ramBase, ramBytes, marksBase, u8 } = this.cpu.memory;
    if (host !== ramBase + page * 4096 || page >= ramBytes / 4096 || (page >= LEGACY_FIRST && page < LEGACY_END)) return;
    u8[marksBase + page] |= MARK_PLAIN | marks;
  }

  private read32(table: number, index: number): void {
    const address = table + index * 4;
    this.visited[this.depth] = address;
    const host = this.bus.hostPage(Math.floor(address / 4096), false, this.cpu.index);
    this.mark(Math.floor(address / 4096), host, 0);
    this.low = host >= 0 ? this.view.getInt32(host + (address % 4096), true) : Number(this.bus.read(address, 4, this.cpu.index)) | 0;
    this.high = 0;
    this.visitedLow[this.depth++] = this.low;
  }

  private read64(table: number, index: number): void {
    const address = table + index * 8;
    this.visited[this.depth] = address;
    const host = this.bus.hostPage(Math.floor(address / 4096), false, this.cpu.index);
    if (host >= 0) {
      this.mark(Math.floor(address / 4096), host, 0);
      this.low = this.view.getInt32(host + (address % 4096), true);
      this.high = this.view.getInt32(host + (address % 4096) + 4, true);
    } else {
      const value = this.bus.read(address, 8, this.cpu.index);
      this.low = lowHalf(value);
      this.high = highHalf(value);
    }
    this.visitedLow[this.depth++] = this.low;
  }

  /** Sets A in every entry used, and D in the leaf for a write. */
  private markAccessed(write: boolean): void {
    for (let level = 0; level < this.depth; level++) {
      const wanted = A | (write && level === this.depth - 1 ? D : 0);
      if ((this.visitedLow[level] & wanted) === wanted) continue;
      const value = this.visitedLow[level] | wanted;
      this.visitedLow[level] = value;
      const address = this.visited[level];
      const host = this.bus.hostPage(Math.floor(address / 4096), true, this.cpu.index);
      if (host < 0) continue;
      this.view.setInt32(host + (address % 4096), value, true);
      if (this.code.hasCode(Math.floor(address / 4096))) this.code.written(address, 4);
    }
  }

  private fault(lo: number, hi: number, errorCode: number): false {
    this.cpu.raise(EXC_PF, errorCode, joinHalves(hi, lo));
    return false;
  }
}

/** Bit k: one of the two bits of key k in `rights` is set. */
function anyRight(rights: number): number {
  let keys = 0;
  for (let key = 0; key < 16; key++) if (((rights >>> (2 * key)) & 3) !== 0) keys |= 1 << key;
  return keys;
}
