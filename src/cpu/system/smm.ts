import { CR0_EM, CR0_PE, CR0_PG, CR0_TS } from "../registerBits";
import { AR_G, AR_UNUSABLE, CS, DS, ES, FS, GS, LDTR, SS, TR } from "../segmentRegisters";
import type { SystemContext } from "./context";
import { REAL_ACCESS } from "./descriptors";

/** Offset of the state save area from SMBASE. */
const SAVE = 0x8000;
/** 64-bit map, with SMBASE relocation and without I/O restart. */
const REVISION = 0x20064;

/** Where each segment's selector (2 bytes), attributes (2), limit (4) and base (8) are. */
const SEGMENT_RECORDS: readonly (readonly [segment: number, offset: number])[] = [
  [ES, 0x7e00],
  [CS, 0x7e10],
  [SS, 0x7e20],
  [DS, 0x7e30],
  [FS, 0x7e40],
  [GS, 0x7e50],
  [LDTR, 0x7e70],
  [TR, 0x7e90],
];
/** Attributes: access byte, flags in bits 15 to 12, and in a reserved bit that the segment cannot be used. */
const ATTRIBUTES = 0xf0ff;
const ATTRIBUTE_UNUSABLE = 0x0100;
/** RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15, as registers are numbered. */
const GPR_OFFSETS = [
  0x7ff8, 0x7ff0, 0x7fe8, 0x7fe0, 0x7fd8, 0x7fd0, 0x7fc8, 0x7fc0, 0x7fb8, 0x7fb0, 0x7fa8, 0x7fa0, 0x7f98, 0x7f90, 0x7f88, 0x7f80,
];

/**
 * System-management mode (SDM vol. 3, "System Management Mode"). The state save map is the one of the AMD64 manual (vol. 2, "SMRAM State-Save Area"), which
 * places hidden parts of segments too, where Intel's leaves them undocumented, and which PC firmware for virtual machines reads and changes.
 */
export class Smm {
  /** `debugLoaded` is called after the debug registers changed. */
  constructor(
    private readonly c: SystemContext,
    private readonly debugLoaded: () => void,
  ) {}

  enter(): void {
    const { state } = this.c;
    // The map lies in SMRAM, which from now on this CPU sees.
    state.inSmm = true;
    for (const [segment, offset] of SEGMENT_RECORDS) {
      const access = state.access[segment];
      this.put(offset, 2, BigInt(state.selector[segment]));
      this.put(offset + 2, 2, BigInt((access & ATTRIBUTES) | ((access & AR_UNUSABLE) !== 0 ? ATTRIBUTE_UNUSABLE : 0)));
      this.put(offset + 4, 4, BigInt(state.limit[segment] >>> 0));
      this.put(offset + 8, 8, state.segBase(segment));
    }
    this.put(0x7e64, 4, BigInt(state.gdtrLimit));
    this.put(0x7e68, 8, state.gdtrBase);
    this.put(0x7e84, 4, BigInt(state.idtrLimit));
    this.put(0x7e88, 8, state.idtrBase);
    // No I/O restart; auto-halt restart, NMI mask, CPL.
    this.put(0x7ec8, 1, 0n);
    this.put(0x7ec9, 1, state.activity === "halted" ? 1n : 0n);
    this.put(0x7eca, 1, state.nmiBlocked ? 1n : 0n);
    this.put(0x7ecb, 1, BigInt(state.cpl));
    this.put(0x7ed0, 8, BigInt(state.efer));
    this.put(0x7efc, 4, BigInt(REVISION));
    this.put(0x7f00, 4, BigInt(state.smbase >>> 0));
    this.put(0x7f48, 8, BigInt(state.cr4));
    this.put(0x7f50, 8, BigInt(state.cr3));
    this.put(0x7f58, 8, BigInt(state.cr0 >>> 0));
    this.put(0x7f60, 8, BigInt(state.dr7));
    this.put(0x7f68, 8, BigInt(state.dr6));
    this.put(0x7f70, 8, BigInt(state.rflags));
    this.put(0x7f78, 8, state.rip);
    GPR_OFFSETS.forEach((offset, register) => this.put(offset, 8, state.gpr(register)));

    state.nmiBlocked = true;
    state.activity = "running";
    state.cr0 = (state.cr0 & ~(CR0_PE | CR0_EM | CR0_TS | CR0_PG)) >>> 0;
    state.cr4 = 0;
    state.efer = 0;
    state.dr7 = 0x400;
    state.rflags = 2;
    state.rip = 0x8000n;
    state.cpl = 0;
    for (const segment of [ES, SS, DS, FS, GS]) state.setSegment(segment, 0, 0n, 0xffffffff, REAL_ACCESS | AR_G);
    state.setSegment(CS, (state.smbase >>> 4) & 0xffff, BigInt(state.smbase >>> 0), 0xffffffff, REAL_ACCESS | AR_G);
    this.debugLoaded();
    this.c.flushAll();
  }

  /** RSM. false: the saved state is not valid, which shuts the CPU down. */
  leave(): boolean {
    const { state } = this.c;
    const cr0 = Number(this.take(0x7f58, 8) & 0xffff_ffffn);
    if ((cr0 & CR0_PG) !== 0 && (cr0 & CR0_PE) === 0) return false;
    state.cr0 = cr0 >>> 0;
    state.cr3 = Number(this.take(0x7f50, 8));
    state.cr4 = Number(this.take(0x7f48, 8) & 0xffff_ffffn);
    state.efer = Number(this.take(0x7ed0, 8) & 0xffff_ffffn);
    state.dr6 = Number(this.take(0x7f68, 8) & 0xffff_ffffn);
    state.dr7 = Number(this.take(0x7f60, 8) & 0xffff_ffffn);
    for (const [segment, offset] of SEGMENT_RECORDS) {
      const attributes = Number(this.take(offset + 2, 2));
      const access = (attributes & ATTRIBUTES) | (attributes & ATTRIBUTE_UNUSABLE ? AR_UNUSABLE : 0);
      state.setSegment(segment, Number(this.take(offset, 2)), this.take(offset + 8, 8), Number(this.take(offset + 4, 4)), access);
    }
    GPR_OFFSETS.forEach((offset, register) => state.setGpr(register, this.take(offset, 8)));
    state.rflags = Number(this.take(0x7f70, 8) & 0xffff_ffffn);
    state.rip = this.take(0x7f78, 8);
    state.gdtrBase = this.take(0x7e68, 8);
    state.gdtrLimit = Number(this.take(0x7e64, 4)) & 0xffff;
    state.idtrBase = this.take(0x7e88, 8);
    state.idtrLimit = Number(this.take(0x7e84, 4)) & 0xffff;
    state.cpl = Number(this.take(0x7ecb, 1)) & 3;
    // An NMI handler that was interrupted goes on with NMIs blocked.
    state.nmiBlocked = (this.take(0x7eca, 1) & 1n) !== 0n;
    if ((this.take(0x7ec9, 1) & 1n) !== 0n) state.activity = "halted";
    state.smbase = Number(this.take(0x7f00, 4));
    state.inSmm = false;
    this.debugLoaded();
    this.c.flushAll();
    return true;
  }

  private put(offset: number, size: 1 | 2 | 4 | 8, value: bigint): void {
    const { bus, state } = this.c;
    const address = (state.smbase >>> 0) + SAVE + offset;
    const host = bus.hostPage(Math.floor(address / 4096), true, state.index);
    if (host < 0) return bus.write(address, size, BigInt.asUintN(8 * size, value), state.index);
    const { view } = state.memory;
    const at = host + (address % 4096);
    if (size === 8) view.setBigUint64(at, BigInt.asUintN(64, value), true);
    else if (size === 4) view.setUint32(at, Number(value & 0xffff_ffffn), true);
    else if (size === 2) view.setUint16(at, Number(value & 0xffffn), true);
    else view.setUint8(at, Number(value & 0xffn));
  }

  private take(offset: number, size: 1 | 2 | 4 | 8): bigint {
    const { bus, state } = this.c;
    const address = (state.smbase >>> 0) + SAVE + offset;
    const host = bus.hostPage(Math.floor(address / 4096), false, state.index);
    if (host < 0) return bus.read(address, size, state.index);
    const { view } = state.memory;
    const at = host + (address % 4096);
    if (size === 8) return view.getBigUint64(at, true);
    return BigInt(size === 4 ? view.getUint32(at, true) : size === 2 ? view.getUint16(at, true) : view.getUint8(at));
  }
}
