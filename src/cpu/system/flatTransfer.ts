import {
  CPU_STATE_BYTES,
  SLOT_GDTR_BASE,
  SLOT_IDTR_BASE,
  SLOT_RIP,
  SLOT_TR_BASE,
  slotOfGpr,
  TLB_ADDEND,
  TLB_ENTRIES,
  TLB_ENTRY_BYTES,
  TLB_READ,
  TLB_WRITE,
  MMU_SUPERVISOR,
  MMU_SUPERVISOR_SMAP,
  MMU_USER,
} from "../../tcg/layout";
import type { Mmu } from "../mmu";
import { CR4_SMAP, FLAG_AC, FLAG_IF, FLAG_NT, FLAG_RF, FLAG_TF, FLAG_VM, FRAME_FLAGS_64 } from "../registerBits";
import {
  AR_ACCESSED,
  AR_CODE,
  AR_CONFORMING,
  AR_DB,
  AR_L,
  AR_PRESENT,
  AR_S,
  AR_UNUSABLE,
  AR_WRITABLE,
  CS,
  SS,
  TR,
} from "../segmentRegisters";
import type { CpuState } from "../state";
import type { EventKind } from "./context";
import { accessOf, baseOf, dplOf, limitOf } from "./descriptors";

const RSP = slotOfGpr(4) / 4;
const RIP = SLOT_RIP / 4;
const FRAME_BYTES = 40;
const CODE_RIGHTS = AR_S | AR_CODE | AR_CONFORMING | AR_PRESENT | AR_ACCESSED | AR_L | AR_DB;
const FLAT_CODE = AR_S | AR_CODE | AR_PRESENT | AR_ACCESSED | AR_L;
const DATA_RIGHTS = AR_S | AR_CODE | AR_WRITABLE | AR_PRESENT | AR_ACCESSED;
const FLAT_DATA = AR_S | AR_WRITABLE | AR_PRESENT | AR_ACCESSED;

/**
 * The ordinary case of a delivery and of IRET in long mode, on halves of 32 bits and without an allocation: a handler of 64-bit code in the GDT, segments with base 0 whose accessed bits are set, and
 * tables and a stack frame that the TLB has, each on one page and with nothing special about it. Whatever differs is left, untouched, to {@link Delivery} and
 * {@link FarTransfer}, which define what happens: they raise the faults, set the bits, fill the TLB.
 */
export class FlatTransfer {
  private readonly i32: Int32Array;
  private readonly words: Int32Array;
  private readonly tlbs: number;
  /** What {@link frame} found, as indexes of words: the frame, its code and stack descriptors, -1 for a null selector. */
  private frameAt = -1;
  private codeAt = -1;
  private dataAt = -1;

  constructor(
    private readonly state: CpuState,
    private readonly mmu: Mmu,
  ) {
    this.i32 = state.memory.i32;
    this.words = state.words;
    this.tlbs = state.base + CPU_STATE_BYTES;
  }

  /**
   * Enters the handler of `vector` with `flags` as RFLAGS' image and an error code, -1 for none. False: not the ordinary case, nothing is done.
   */
  enter(vector: number, kind: EventKind, flags: number, errorCode: number): boolean {
    const { state, i32, words } = this;
    const { cpl } = state;
    if (!state.longMode || vector * 16 + 15 > state.idtrLimit) return false;
    const system = this.tlbOf(this.dataIndex(0, 0));
    const gate = this.find(system, SLOT_IDTR_BASE, vector * 16, 16, TLB_READ);
    if (gate < 0) return false;
    const low = i32[gate];
    const high = i32[gate + 1];
    const type = (high >>> 8) & 0x1f;
    if ((type !== 14 && type !== 15) || (high & 0x8000) === 0) return false;
    if (kind === "software" && ((high >>> 13) & 3) < cpl) return false;
    const targetHigh = i32[gate + 2];
    if (!this.state.isCanonical(targetHigh)) return false;
    const selector = low >>> 16;
    const code = this.descriptor(system, selector);
    if (code < 0) return false;
    const codeHigh = i32[code + 1];
    const access = accessOf(codeHigh);
    const newCpl = dplOf(access);
    if ((access & CODE_RIGHTS) !== FLAT_CODE || newCpl > cpl || baseOf(i32[code], codeHigh) !== 0) return false;
    let rspLow = words[RSP];
    let rspHigh = words[RSP + 1];
    const ist = high & 7;
    if (ist !== 0 || newCpl < cpl) {
      const at = ist !== 0 ? 28 + ist * 8 : 4 + newCpl * 8;
      if ((state.access[TR] & AR_UNUSABLE) !== 0 || at + 7 > state.limit[TR]) return false;
      const found = this.find(system, SLOT_TR_BASE, at, 8, TLB_READ);
      if (found < 0) return false;
      rspLow = i32[found];
      rspHigh = i32[found + 1];
    }
    const bytes = errorCode < 0 ? FRAME_BYTES : FRAME_BYTES + 8;
    rspLow &= ~0xf;
    // The frame is on the page of the stack's top, which is therefore as canonical as the page that the TLB has.
    if ((rspLow & 0xfff) < bytes) return false;
    rspLow -= bytes;
    let at = this.findAt(this.tlbOf(this.dataIndex(newCpl, state.systemFlags & FLAG_AC)), rspLow, rspHigh, bytes, TLB_WRITE);
    if (at < 0) return false;

    if (errorCode >= 0) {
      i32[at++] = errorCode;
      i32[at++] = 0;
    }
    i32[at] = words[RIP];
    i32[at + 1] = words[RIP + 1];
    i32[at + 2] = state.selector[CS];
    i32[at + 3] = 0;
    i32[at + 4] = flags & FRAME_FLAGS_64;
    i32[at + 5] = 0;
    i32[at + 6] = words[RSP];
    i32[at + 7] = words[RSP + 1];
    i32[at + 8] = state.selector[SS];
    i32[at + 9] = 0;
    words[RSP] = rspLow;
    words[RSP + 1] = rspHigh;
    if (newCpl < cpl) state.setFlatSegment(SS, newCpl, 0, 0x93 | (newCpl << 5) | AR_DB | AR_UNUSABLE);
    state.setFlatSegment(CS, (selector & ~3) | newCpl, limitOf(i32[code], codeHigh), access);
    state.cpl = newCpl;
    words[RIP] = (low & 0xffff) | (high & 0xffff0000);
    words[RIP + 1] = targetHigh;
    state.systemFlags &= ~(FLAG_TF | FLAG_NT | FLAG_RF | FLAG_VM | (type === 14 ? FLAG_IF : 0));
    this.mmu.tlb.selectIndex();
    return true;
  }

  /**
   * Looks at the frame that IRETQ in 64-bit code is to take. False: not the ordinary case. Else the caller loads the flags that {@link frameFlags} gives and then calls {@link leave}.
   */
  frame(): boolean {
    const { state, i32 } = this;
    const { cpl } = state;
    if (!state.code64 || (state.systemFlags & FLAG_NT) !== 0) return false;
    const at = this.find(this.tlbOf(this.dataIndex(cpl, state.systemFlags & FLAG_AC)), RSP * 4, 0, FRAME_BYTES, TLB_READ);
    if (at < 0 || !this.state.isCanonical(i32[at + 1])) return false;
    const system = this.tlbOf(this.dataIndex(0, 0));
    const selector = i32[at + 2] & 0xffff;
    const rpl = selector & 3;
    const code = this.descriptor(system, selector);
    if (code < 0 || rpl < cpl) return false;
    const codeHigh = i32[code + 1];
    const access = accessOf(codeHigh);
    if ((access & CODE_RIGHTS) !== FLAT_CODE || dplOf(access) !== rpl || baseOf(i32[code], codeHigh) !== 0) return false;
    const ss = i32[at + 8] & 0xffff;
    if ((ss & 3) !== rpl) return false;
    let data = -1;
    if ((ss & 0xfffc) === 0) {
      if (rpl === 3) return false;
    } else {
      data = this.descriptor(system, ss);
      if (data < 0) return false;
      const rights = accessOf(i32[data + 1]);
      if ((rights & DATA_RIGHTS) !== FLAT_DATA || dplOf(rights) !== rpl || baseOf(i32[data], i32[data + 1]) !== 0) return false;
    }
    this.frameAt = at;
    this.codeAt = code;
    this.dataAt = data;
    return true;
  }

  /** RFLAGS in the frame. */
  get frameFlags(): number {
    return this.i32[this.frameAt + 4];
  }

  /** Returns by the frame: everything but the flags. True when to an outer privilege level. */
  leave(): boolean {
    const { state, i32, words, frameAt: at, codeAt: code, dataAt: data } = this;
    const selector = i32[at + 2] & 0xffff;
    const ss = i32[at + 8] & 0xffff;
    const rpl = selector & 3;
    const outer = rpl > state.cpl;
    words[RIP] = i32[at];
    words[RIP + 1] = i32[at + 1];
    words[RSP] = i32[at + 6];
    words[RSP + 1] = i32[at + 7];
    const codeHigh = i32[code + 1];
    state.setFlatSegment(CS, selector, limitOf(i32[code], codeHigh), accessOf(codeHigh));
    if (data >= 0) state.setFlatSegment(SS, ss, limitOf(i32[data], i32[data + 1]), accessOf(i32[data + 1]));
    else state.setFlatSegment(SS, ss, 0, 0x93 | (rpl << 5) | AR_DB | AR_UNUSABLE);
    state.cpl = rpl;
    return outer;
  }

  /** MMU index of data accesses at a privilege level; `ac` 0 for the processor's own. */
  private dataIndex(cpl: number, ac: number): number {
    if (cpl === 3) return MMU_USER;
    return (this.state.cr4 & CR4_SMAP) !== 0 && ac === 0 ? MMU_SUPERVISOR_SMAP : MMU_SUPERVISOR;
  }

  private tlbOf(index: number): number {
    return this.tlbs + index * (TLB_ENTRIES * TLB_ENTRY_BYTES);
  }

  /** Index of the first word of the descriptor that `selector` names in the GDT; negative when it is none there, or not to be read at once. */
  private descriptor(tlb: number, selector: number): number {
    const offset = selector & ~7;
    if (offset === 0 || (selector & 4) !== 0 || offset + 7 > this.state.gdtrLimit) return -1;
    return this.find(tlb, SLOT_GDTR_BASE, offset, 8, TLB_READ);
  }

  /** {@link findAt} `offset` bytes behind the address in slot `slot`; a carry into its upper half is not the ordinary case. */
  private find(tlb: number, slot: number, offset: number, size: number, tag: typeof TLB_READ | typeof TLB_WRITE): number {
    const base = this.words[slot >> 2];
    const low = (base + offset) | 0;
    return base < 0 && low >= 0 ? -1 : this.findAt(tlb, low, this.words[(slot >> 2) + 1], size, tag);
  }

  /** Index in the engine's memory of the first word of `size` bytes at linear (high:low), where they are words and the TLB has them on one page for the fast path; else -1. */
  private findAt(tlb: number, low: number, high: number, size: number, tag: typeof TLB_READ | typeof TLB_WRITE): number {
    const { i32 } = this;
    const entry = tlb + ((low >>> 12) & (TLB_ENTRIES - 1)) * TLB_ENTRY_BYTES;
    const at = (entry + tag) >>> 2;
    if ((low & 3) !== 0 || (low & 0xfff) + size > 4096 || i32[at] !== (low & ~0xfff) || i32[at + 1] !== high) return -1;
    return (low + i32[(entry + TLB_ADDEND) >>> 2]) >>> 2;
  }
}
