import { highHalf, joinHalves, lowHalf } from "../common/halves";
import type { CodeCache } from "../tcg/codeCache";
import { KIND_PROBE_WRITE, KIND_WRAP32 } from "../tcg/interpreter/memory";
import {
  MEM_STACK,
  MMU_SUPERVISOR,
  MMU_SUPERVISOR_SMAP,
  SLOT_MEM_VALUE,
  TLB_ADDEND,
  TLB_ENTRIES,
  TLB_ENTRY_BYTES,
  TLB_PHYSICAL_PAGE,
  TLB_READ,
  TLB_WRITE,
  WORD_TLB,
} from "../tcg/layout";
import { STATUS_FAULT, STATUS_OK } from "../tcg/ops";
import type { PhysicalBus } from "./bus";
import { EXC_GP, EXC_SS } from "./exceptions";
import { JumpCache } from "./jumpCache";
import { PageWalker } from "./pageWalk";
import { CR0_PG, CR4_SMAP } from "./registerBits";
import type { CpuState } from "./state";
import { ACCESS_READ, ACCESS_WRITE, Tlb } from "./tlb";

type Size = 1 | 2 | 4 | 8;

/**
 * Memory accesses by linear address: carried out here where the fast path of translated code cannot (page-crossing accesses, MMIO, self-modifying code, watched pages), located
 * for it and for bulk work where it can. Linear addresses travel as (lo, hi) 32-bit halves, physical ones as numbers. SDM vol. 3, "Paging".
 */
export class Mmu {
  private readonly u8: Uint8Array;
  private readonly i32: Int32Array;
  private readonly view: DataView;
  private readonly valueAddress: number;
  private readonly walker: PageWalker;
  readonly tlb: Tlb;
  /** What RIPs led to by the present mappings. */
  readonly jumps: JumpCache;
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
    this.valueAddress = cpu.base + SLOT_MEM_VALUE;
    this.walker = new PageWalker(cpu, bus, code);
    this.jumps = new JumpCache(cpu);
    this.tlb = new Tlb(cpu, bus, code, this.walker, this.jumps);
  }

  /** Slow path of a load (EngineHost.load). */
  load(kind: number, lo: number, hi: number): number {
    const size = (kind & 0xff) as Size;
    return this.access(size, kind, lo, hi, false, this.tlb.dataIndex());
  }

  /** Slow path of a store (EngineHost.store). */
  store(kind: number, lo: number, hi: number): number {
    const size = (kind & 0xff) as Size;
    return this.access(size, kind, lo, hi, true, this.tlb.dataIndex());
  }

  private access(size: Size, kind: number, lo: number, hi: number, write: boolean, index: number): number {
    const mode = write || (kind & KIND_PROBE_WRITE) !== 0 ? ACCESS_WRITE : ACCESS_READ;
    if (!this.cpu.isCanonical(hi)) return this.notCanonical(kind);
    const first = this.tlb.translate(lo, hi, mode, index);
    const room = 4096 - (lo & 0xfff);
    const { watch } = this.tlb;
    const linear = watch === undefined ? 0n : joinHalves(hi, lo);
    if (size <= room) {
      if (first < 0) return STATUS_FAULT;
      watch?.accessing(linear, size, write, first, -1);
      if (write) this.writePhysicalFromSlot(first, size);
      else this.readPhysicalToSlot(first, size);
      this.tlb.trust(lo, hi, write, index);
    } else {
      if (first < 0) return STATUS_FAULT;
      const nextLo = (lo + room) | 0;
      const carry = nextLo === 0 && (kind & KIND_WRAP32) === 0 ? 1 : 0;
      const nextHi = (hi + carry) | 0;
      if (!this.cpu.isCanonical(nextHi)) return this.notCanonical(kind);
      const second = this.tlb.translate(nextLo, nextHi, mode, index);
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
    const { tlb, i32 } = this;
    const size = kind & 0xff;
    if (!this.cpu.isCanonical(hi) || size > 4096 - (lo & 0xfff)) return 0;
    const write = (kind & KIND_PROBE_WRITE) !== 0;
    const index = tlb.dataIndex();
    const physical = tlb.translate(lo, hi, write ? ACCESS_WRITE : ACCESS_READ, index);
    if (physical < 0) {
      this.cpu.pending = undefined;
      return 0;
    }
    const entry = tlb.entryOf(lo, index);
    const tag = (entry + (write ? TLB_WRITE : TLB_READ)) >> 2;
    if ((i32[tag] & 1) !== 0) {
      tlb.trust(lo, hi, write, index);
      if ((i32[tag] & 1) !== 0 && !(write && this.besideCode(physical, size))) return 0;
    }
    return (lo + i32[(entry + TLB_ADDEND) >> 2]) >>> 0;
  }

  /** A page with code may be written in place where no code was made from, if nothing else is special about it. */
  private besideCode(physical: number, size: number): boolean {
    return this.tlb.isPlainBesideCode(Math.floor(physical / 4096)) && !this.code.mayHold(physical, size);
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
    const index = user ? this.tlb.dataIndex() : this.systemIndex();
    if (this.access(size, size | (this.wraps() ? KIND_WRAP32 : 0), lo, hi, false, index) !== STATUS_OK) return undefined;
    return this.cpu.slots[SLOT_MEM_VALUE / 8];
  }

  /** The same for writes. Returns false with the fault recorded. */
  write(linear: bigint, size: Size, value: bigint, user = false): boolean {
    const lo = lowHalf(linear);
    const hi = highHalf(linear);
    this.cpu.slots[SLOT_MEM_VALUE / 8] = value;
    const index = user ? this.tlb.dataIndex() : this.systemIndex();
    return this.access(size, size | (this.wraps() ? KIND_WRAP32 : 0), lo, hi, true, index) === STATUS_OK;
  }

  /** Checks that `size` bytes at `linear` could be written, without writing. Returns false with the fault recorded. */
  probeWrite(linear: bigint, size: number, user = false): boolean {
    const index = user ? this.tlb.dataIndex() : this.systemIndex();
    const last = linear + BigInt(size - 1);
    for (const address of linear >> 12n === last >> 12n ? [linear] : [linear, last]) {
      const lo = lowHalf(address);
      const hi = highHalf(address);
      if (!this.cpu.isCanonical(hi)) return this.notCanonical(0) === STATUS_OK;
      if (this.tlb.translate(lo, hi, ACCESS_WRITE, index) < 0) return false;
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
    const { tlb, i32 } = this;
    const lo = lowHalf(linear);
    const hi = highHalf(linear);
    if (!this.cpu.isCanonical(hi)) return -1;
    const index = tlb.dataIndex();
    if (tlb.translate(lo, hi, write ? ACCESS_WRITE : ACCESS_READ, index) < 0) {
      this.cpu.pending = undefined;
      return -1;
    }
    const entry = tlb.entryOf(lo, index);
    const tag = (entry + (write ? TLB_WRITE : TLB_READ)) >> 2;
    if ((i32[tag] & 1) !== 0) {
      const page = i32[(entry + TLB_PHYSICAL_PAGE) >> 2] >>> 0;
      if (this.bus.hostPage(page, write, this.cpu.index) < 0) return -1;
      tlb.trust(lo, hi, write, index);
      if ((i32[tag] & 1) !== 0 && !(overCode && tlb.isPlainBesideCode(page))) return -1;
    }
    return (lo + i32[(entry + TLB_ADDEND) >> 2]) >>> 0;
  }

  /** `bytes` at linear address `linear`, inside a page that the TLB has, were written at the place that {@link plainHost} gave: drops the code that was made from them. */
  overwritten(linear: bigint, bytes: number): void {
    const { tlb, i32 } = this;
    const lo = lowHalf(linear);
    const index = tlb.dataIndex();
    const entry = tlb.entryOf(lo, index);
    const page = i32[(entry + TLB_PHYSICAL_PAGE) >> 2] >>> 0;
    if (!this.code.hasCode(page)) return;
    const dropped = this.code.written(page * 4096 + (lo & 0xfff), bytes);
    tlb.trust(lo, highHalf(linear), true, index);
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
    this.tlb.monitor?.written(physical, 1);
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
    this.tlb.monitor?.written(physical, size);
  }
}
