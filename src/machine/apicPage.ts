import type { LocalApic } from "../apic/localApic";
import type { Mmu } from "../cpu/mmu";
import type { CpuState } from "../cpu/state";
import { KIND_PROBE_WRITE } from "../tcg/interpreter/memory";
import {
  SLOT_MEM_VALUE,
  TLB_ENTRIES,
  TLB_ENTRY_BYTES,
  TLB_PHYSICAL_PAGE,
  TLB_READ,
  TLB_SLOW,
  TLB_WRITE,
  WORD_APIC_PAGE,
  WORD_TLB,
} from "../tcg/layout";

/** Pages below are RAM to some CPUs and devices to others. */
const FIRST_PAGE = 0x100;
const SLOW = Number(TLB_SLOW);

/**
 * A CPU's way to its own page of local APIC registers. Interrupts are sent and ended there: what the TLB shows to be such an access goes to the register at once, as it
 * would by the memory bus, whose region for the page is over all others (ApicRegion).
 */
export class ApicPage {
  private readonly i32: Int32Array;
  private readonly words: Int32Array;

  constructor(
    state: CpuState,
    private readonly mmu: Mmu,
    private readonly apic: LocalApic,
  ) {
    this.i32 = state.memory.i32;
    this.words = state.words;
    this.follow();
  }

  /** The page is, or may be, elsewhere now. */
  follow(): void {
    const page = this.apic.registerPage;
    this.words[WORD_APIC_PAGE / 4] = page >= FIRST_PAGE ? page : 0;
  }

  /** Whether an access at linear (hi:lo) is to the page, as far as the TLB knows. `tag`: TLB_READ or TLB_WRITE. */
  private holds(lo: number, hi: number, tag: number): boolean {
    const { i32, words } = this;
    const entry = words[WORD_TLB / 4] + ((lo >>> 12) & (TLB_ENTRIES - 1)) * TLB_ENTRY_BYTES;
    const at = (entry + tag) >> 2;
    const page = i32[(entry + TLB_PHYSICAL_PAGE) >> 2];
    return page === words[WORD_APIC_PAGE / 4] && page !== 0 && i32[at] === ((lo & ~0xfff) | SLOW) && i32[at + 1] === hi;
  }

  /** Carries out a store whose value is in SLOT_MEM_VALUE. False: it is another's, and nothing is done. */
  store(kind: number, lo: number, hi: number): boolean {
    if ((kind & 0xff) !== 4 || (lo & 15) !== 0 || this.mmu.tlb.watch !== undefined || !this.holds(lo, hi, TLB_WRITE)) return false;
    this.apic.storeRegister((lo >>> 4) & 0xff, this.words[SLOT_MEM_VALUE / 4] >>> 0);
    return true;
  }

  /** Carries out a load into SLOT_MEM_VALUE. False: it is another's, and nothing is done. */
  load(kind: number, lo: number, hi: number): boolean {
    const probes = (kind & KIND_PROBE_WRITE) !== 0;
    if (probes || (kind & 0xff) !== 4 || (lo & 15) !== 0 || this.mmu.tlb.watch !== undefined || !this.holds(lo, hi, TLB_READ)) return false;
    const value = this.apic.loadRegister((lo >>> 4) & 0xff);
    this.words[SLOT_MEM_VALUE / 4] = value;
    this.words[SLOT_MEM_VALUE / 4 + 1] = 0;
    return true;
  }
}
