import { CR0_EM, CR0_PE, CR0_PG, CR0_TS, CS, DS, ES, FS, GS, LDTR, SS, TR } from "../state";
import type { SystemContext } from "./context";

/** Offset of the state save area from SMBASE. */
const SAVE = 0x8000;
const REVISION = 0x30064;

/**
 * System-management mode: entry and RSM with the 64-bit state save map (SDM vol. 3, "System Management Mode"). The hidden parts of segments live in the map's
 * reserved range, as the manual leaves open where.
 */
export class Smm {
  /** `debugLoaded` is called after the debug registers changed. */
  constructor(
    private readonly c: SystemContext,
    private readonly debugLoaded: () => void,
  ) {}

  enter(): void {
    const { state } = this.c;
    this.put(0x7ff8, 8, BigInt(state.cr0 >>> 0));
    this.put(0x7ff0, 8, BigInt(state.cr3));
    this.put(0x7fe8, 8, BigInt(state.rflags));
    this.put(0x7fe0, 8, BigInt(state.efer));
    this.put(0x7fd8, 8, state.rip);
    this.put(0x7fd0, 8, BigInt(state.dr6));
    this.put(0x7fc8, 8, BigInt(state.dr7));
    const selectors = [TR, LDTR, GS, FS, DS, SS, CS, ES];
    selectors.forEach((segment, i) => this.put(0x7fc4 - 4 * i, 4, BigInt(state.selector[segment])));
    // RDI RSI RBP RSP RBX RDX RCX RAX R8..R15, downwards.
    registerOrder.forEach((register, i) => this.put(0x7f94 - 8 * i, 8, state.gpr(register)));
    this.put(0x7f02, 2, state.activity === "halted" ? 1n : 0n);
    this.put(0x7efc, 4, BigInt(REVISION));
    this.put(0x7ef8, 4, BigInt(state.smbase >>> 0));
    for (let segment = 0; segment < 8; segment++) {
      const at = 0x7c00 + segment * 16;
      this.put(at, 8, state.segBase(segment));
      this.put(at + 8, 4, BigInt(state.limit[segment]));
      this.put(at + 12, 4, BigInt(state.access[segment]));
    }
    const tables = [state.gdtrBase, BigInt(state.gdtrLimit), state.idtrBase, BigInt(state.idtrLimit)];
    const rest = [BigInt(state.cr4), ...tables, BigInt(state.cpl), state.nmiBlocked ? 1n : 0n];
    rest.forEach((value, i) => this.put(0x7c80 + 8 * i, 8, value));

    state.inSmm = true;
    state.nmiBlocked = true;
    state.activity = "running";
    state.cr0 = (state.cr0 & ~(CR0_PE | CR0_EM | CR0_TS | CR0_PG)) >>> 0;
    state.cr4 = 0;
    state.efer = 0;
    state.dr7 = 0x400;
    state.rflags = 2;
    state.rip = 0x8000n;
    state.cpl = 0;
    for (const segment of [ES, SS, DS, FS, GS]) state.setSegment(segment, 0, 0n, 0xffffffff, 0x8093);
    state.setSegment(CS, (state.smbase >>> 4) & 0xffff, BigInt(state.smbase >>> 0), 0xffffffff, 0x809b);
    this.debugLoaded();
    this.c.flushAll();
  }

  /** RSM. false: the saved state is not valid, which shuts the CPU down. */
  leave(): boolean {
    const { state } = this.c;
    const cr0 = Number(this.take(0x7ff8, 8));
    if ((cr0 & CR0_PG) !== 0 && (cr0 & CR0_PE) === 0) return false;
    state.cr0 = cr0 >>> 0;
    state.cr3 = Number(this.take(0x7ff0, 8));
    state.efer = Number(this.take(0x7fe0, 8));
    state.dr6 = Number(this.take(0x7fd0, 8));
    state.dr7 = Number(this.take(0x7fc8, 8));
    const selectors = [TR, LDTR, GS, FS, DS, SS, CS, ES];
    selectors.forEach((segment, i) => {
      const at = 0x7c00 + segment * 16;
      const selector = Number(this.take(0x7fc4 - 4 * i, 4)) & 0xffff;
      state.setSegment(segment, selector, this.take(at, 8), Number(this.take(at + 8, 4)), Number(this.take(at + 12, 4)));
    });
    registerOrder.forEach((register, i) => state.setGpr(register, this.take(0x7f94 - 8 * i, 8)));
    state.rflags = Number(this.take(0x7fe8, 8) & 0xffff_ffffn);
    state.rip = this.take(0x7fd8, 8);
    const rest = [0, 1, 2, 3, 4, 5, 6].map((i) => this.take(0x7c80 + 8 * i, 8));
    state.cr4 = Number(rest[0]);
    state.gdtrBase = rest[1];
    state.gdtrLimit = Number(rest[2]);
    state.idtrBase = rest[3];
    state.idtrLimit = Number(rest[4]);
    state.cpl = Number(rest[5]);
    state.smbase = Number(this.take(0x7ef8, 4));
    if ((this.take(0x7f02, 2) & 1n) !== 0n) state.activity = "halted";
    state.inSmm = false;
    // An NMI handler that was interrupted goes on with NMIs blocked.
    state.nmiBlocked = (rest[6] & 1n) !== 0n;
    this.debugLoaded();
    this.c.flushAll();
    return true;
  }

  private put(offset: number, size: 2 | 4 | 8, value: bigint): void {
    const { bus, state } = this.c;
    const address = (state.smbase >>> 0) + SAVE + offset;
    const host = bus.hostPage(Math.floor(address / 4096), true, state.index);
    if (host < 0) return bus.write(address, size, BigInt.asUintN(8 * size, value), state.index);
    const { view } = state.memory;
    const at = host + (address % 4096);
    if (size === 8) view.setBigUint64(at, BigInt.asUintN(64, value), true);
    else if (size === 4) view.setUint32(at, Number(value & 0xffff_ffffn), true);
    else view.setUint16(at, Number(value & 0xffffn), true);
  }

  private take(offset: number, size: 2 | 4 | 8): bigint {
    const { bus, state } = this.c;
    const address = (state.smbase >>> 0) + SAVE + offset;
    const host = bus.hostPage(Math.floor(address / 4096), false, state.index);
    if (host < 0) return bus.read(address, size, state.index);
    const { view } = state.memory;
    const at = host + (address % 4096);
    if (size === 8) return view.getBigUint64(at, true);
    return BigInt(size === 4 ? view.getUint32(at, true) : view.getUint16(at, true));
  }
}

const registerOrder = [7, 6, 5, 4, 3, 2, 1, 0, 8, 9, 10, 11, 12, 13, 14, 15];
