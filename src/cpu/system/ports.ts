import { EXC_GP } from "../exceptions";
import { AR_UNUSABLE, TR } from "../segmentRegisters";
import { fail, type SystemContext } from "./context";
import type { DebugRegisters } from "./debugRegisters";
import { typeOf } from "./descriptors";

/** IN and OUT with the I/O permission bitmap (SDM vol. 1, "Input/Output", "I/O Permission Bit Map"). */
export class Ports {
  constructor(
    private readonly c: SystemContext,
    private readonly debug: DebugRegisters,
  ) {}

  /** false: #GP(0) or a fault of the bitmap's page is recorded. */
  allowed(port: number, size: number): boolean {
    const { state, mmu } = this.c;
    if (!state.protectedMode) return true;
    const iopl = (state.systemFlags >> 12) & 3;
    if (!state.vm86 && state.cpl <= iopl) return true;
    const usable = (state.access[TR] & AR_UNUSABLE) === 0 && (typeOf(state.access[TR]) & 8) !== 0;
    if (!usable || state.limit[TR] < 0x67) return fail(state, EXC_GP, 0);
    const linear = (offset: number): bigint => this.c.tables.linear(state.trBase + BigInt(offset));
    const base = mmu.read(linear(0x66), 2);
    if (base === undefined) return false;
    const at = Number(base) + (port >>> 3);
    // Two bytes are always read, so the byte after must lie inside the limit as well.
    if (at + 1 > state.limit[TR]) return fail(state, EXC_GP, 0);
    const bitmap = mmu.read(linear(at), 2);
    if (bitmap === undefined) return false;
    const mask = ((1 << size) - 1) << (port & 7);
    return (Number(bitmap) & mask) === 0 ? true : fail(state, EXC_GP, 0);
  }

  in(port: number, size: 1 | 2 | 4): number {
    this.debug.port(port, size);
    return this.seen(port, size, this.c.bus.in(port, size) >>> 0);
  }

  private seen(port: number, size: number, value: number): number {
    this.c.registerWatch?.port(port, size, false, value);
    return value;
  }

  /** IN of a string instruction. */
  inString(port: number, size: 1 | 2 | 4): number {
    this.debug.port(port, size);
    return this.seen(port, size, this.c.bus.inString(port, size) >>> 0);
  }

  /** Elements that need nothing done one by one; returns bytes. */
  inBlock(port: number, size: 2 | 4, target: Uint8Array): number {
    return this.watched ? 0 : this.c.bus.inBlock(port, size, target);
  }

  outBlock(port: number, size: 2 | 4, source: Uint8Array): number {
    return this.watched ? 0 : this.c.bus.outBlock(port, size, source);
  }

  out(port: number, size: 1 | 2 | 4, value: number): void {
    this.debug.port(port, size);
    this.c.bus.out(port, size, value >>> 0);
    this.c.registerWatch?.port(port, size, true, value >>> 0);
  }

  /** Accesses are to be told one by one. */
  private get watched(): boolean {
    return this.debug.watchesPorts || this.c.registerWatch !== undefined;
  }
}
