import { SLOT_RIP, WORD_BUDGET } from "../../tcg/layout";
import { STATUS_FAULT, STATUS_LEAVE, STATUS_OK } from "../../tcg/ops";
import { MODE_FLAT } from "../mode";
import { FLAG_DF } from "../registerBits";
import { ES, FS } from "../segmentRegisters";
import type { CpuState } from "../state";
import type { SystemContext } from "./context";
import type { Ports } from "./ports";
import type { Segments } from "./segments";

const MOVS = 0;
const CMPS = 1;
const STOS = 2;
const LODS = 3;
const SCAS = 4;
const INS = 5;
const OUTS = 6;

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RSI = 6;
const RDI = 7;

type Size = 1 | 2 | 4 | 8;

/**
 * The string instructions (SDM vol. 2, "REP/REPE/REPZ/REPNE/REPNZ"). Each iteration counts as one retired instruction and is an instruction boundary: interrupts are
 * taken between iterations with RIP at the instruction.
 */
export class Strings {
  private readonly state: CpuState;

  constructor(
    private readonly c: SystemContext,
    private readonly segments: Segments,
    private readonly ports: Ports,
  ) {
    this.state = c.state;
  }

  /** The `string` helper: `selfSlot` holds the instruction's own RIP; `lo` is the operation (helperIds.ts). */
  run(selfSlot: number, lo: number): number {
    const { state } = this;
    const words = state.words;
    const kind = lo & 7;
    const size = ((lo >> 4) & 0xf) as Size;
    const addressBits = ((lo >> 8) & 0xf) * 8;
    const repeat = (lo >> 12) & 3;
    const segment = (lo >> 16) & 7;
    const addressMask = (1n << BigInt(addressBits)) - 1n;
    const compares = kind === CMPS || kind === SCAS;
    const port = Number(state.gpr(RDX) & 0xffffn);
    if ((kind === INS || kind === OUTS) && !(repeat !== 0 && (state.gpr(RCX) & addressMask) === 0n) && !this.ports.allowed(port, size))
      return STATUS_FAULT;
    if (repeat === 0) return this.once(kind, size, addressMask, segment, port) ? STATUS_OK : STATUS_FAULT;
    // One iteration is paid for by the instruction itself; each further one takes from the budget.
    for (let paid = true; ; paid = false) {
      const count = state.gpr(RCX) & addressMask;
      if (count === 0n) {
        // A loop that ran out on its own condition retires with its last iteration.
        return STATUS_OK;
      }
      if (!paid) {
        if (words[WORD_BUDGET / 4] <= 0) {
          words[SLOT_RIP / 4] = words[selfSlot / 4];
          words[SLOT_RIP / 4 + 1] = words[selfSlot / 4 + 1];
          state.midString = true;
          return STATUS_LEAVE;
        }
        words[WORD_BUDGET / 4]--;
      }
      const bulk =
        kind === MOVS || kind === STOS
          ? this.bulk(kind, size, addressMask, segment, count)
          : (kind === INS || kind === OUTS) && (size === 2 || size === 4)
            ? this.portBulk(kind, size, addressMask, segment, count, port)
            : 0;
      if (bulk === 0) {
        if (!this.once(kind, size, addressMask, segment, port)) return STATUS_FAULT;
        this.addTo(RCX, -1n, addressMask);
      }
      if (compares && state.flags.zf !== (repeat === 1)) return STATUS_OK;
    }
  }

  /** One iteration. false: fault recorded, nothing changed. */
  private once(kind: number, size: Size, mask: bigint, segment: number, port: number): boolean {
    const { state } = this;
    const step = (state.systemFlags & FLAG_DF) !== 0 ? BigInt(-size) : BigInt(size);
    const source = (): bigint | undefined => this.load(segment, state.gpr(RSI) & mask, size);
    const destination = (): bigint | undefined => this.load(ES, state.gpr(RDI) & mask, size);
    switch (kind) {
      case MOVS: {
        const value = source();
        if (value === undefined || !this.store(state.gpr(RDI) & mask, size, value)) return false;
        this.addTo(RSI, step, mask);
        this.addTo(RDI, step, mask);
        return true;
      }
      case CMPS: {
        const first = source();
        if (first === undefined) return false;
        const second = destination();
        if (second === undefined) return false;
        this.compare(first, second, size);
        this.addTo(RSI, step, mask);
        this.addTo(RDI, step, mask);
        return true;
      }
      case STOS:
        if (!this.store(state.gpr(RDI) & mask, size, state.gpr(RAX))) return false;
        this.addTo(RDI, step, mask);
        return true;
      case LODS: {
        const value = source();
        if (value === undefined) return false;
        this.setAccumulator(value, size);
        this.addTo(RSI, step, mask);
        return true;
      }
      case SCAS: {
        const value = destination();
        if (value === undefined) return false;
        this.compare(BigInt.asUintN(size * 8, state.gpr(RAX)), value, size);
        this.addTo(RDI, step, mask);
        return true;
      }
      case INS: {
        // The write is checked before the port is read: reading may have side effects.
        const linear = this.linear(ES, state.gpr(RDI) & mask, size, true);
        if (linear === undefined || !this.c.mmu.probeWrite(linear, size, true)) return false;
        const value = BigInt(this.ports.inString(port, size as 1 | 2 | 4));
        if (!this.c.mmu.write(linear, size, value, true)) return false;
        this.addTo(RDI, step, mask);
        return true;
      }
      default: {
        const value = source();
        if (value === undefined) return false;
        // The pointer moves first: the write may end the machine's run after this instruction.
        this.addTo(RSI, step, mask);
        this.ports.out(port, size as 1 | 2 | 4, Number(value & 0xffff_ffffn));
        return true;
      }
    }
  }

  /**
   * As many further iterations of a MOVS or STOS as lie in one page of plain memory on both sides, at most what the budget pays; the current
   * iteration is paid. Returns how many were done (0: none, do one by one).
   */
  private bulk(kind: number, size: Size, mask: bigint, segment: number, count: bigint): number {
    const { state, c } = this;
    if ((state.mode & MODE_FLAT) === 0 || segment >= FS) return 0;
    const down = (state.systemFlags & FLAG_DF) !== 0;
    const { mmu } = c;
    // The source first, as single iterations do: the last one that was looked up is what a place in the TLB holds that both share.
    const from = state.gpr(RSI) & mask;
    const fromHost = kind === MOVS ? mmu.plainHost(from, false) : 0;
    if (fromHost < 0) return 0;
    const to = state.gpr(RDI) & mask;
    const toHost = mmu.plainHost(to, true, true);
    if (toHost < 0) return 0;
    const room = (at: bigint): number => {
      const offset = Number(at & 0xfffn);
      if (!down) return Math.floor((4096 - offset) / size);
      return offset + size > 4096 ? 0 : Math.floor(offset / size) + 1;
    };
    let n = Math.min(room(to), count > 4096n ? 4096 : Number(count), 1 + state.words[WORD_BUDGET / 4]);
    const { u8, bulk } = state.memory;
    if (kind === MOVS) {
      n = Math.min(n, room(from));
      // A destination inside the source's range ahead of it (in the direction of the move) repeats what was just written: not a memmove.
      const ahead = down ? fromHost - toHost : toHost - fromHost;
      if (n <= 0 || (ahead > 0 && ahead < n * size)) return 0;
      const below = down ? (n - 1) * size : 0;
      bulk.copy(toHost - below, fromHost - below, n * size);
      this.addTo(RSI, BigInt(down ? -n * size : n * size), mask);
    } else {
      if (n <= 0) return 0;
      const value = state.gpr(RAX);
      const start = down ? toHost - (n - 1) * size : toHost;
      for (let i = 0; i < size; i++) u8[start + i] = Number((value >> BigInt(8 * i)) & 0xffn);
      for (let done = size; done < n * size; done *= 2) bulk.copy(start + done, start, Math.min(done, n * size - done));
    }
    this.addTo(RDI, BigInt(down ? -n * size : n * size), mask);
    this.addTo(RCX, BigInt(-n), mask);
    state.words[WORD_BUDGET / 4] -= n - 1;
    // Last: it may end the slice here.
    mmu.overwritten(down ? to - BigInt((n - 1) * size) : to, n * size);
    return n;
  }

  /** The same for port strings, whose device says how many elements it moves without any other effect. */
  private portBulk(kind: number, size: 2 | 4, mask: bigint, segment: number, count: bigint, port: number): number {
    const { state, c } = this;
    if ((state.systemFlags & FLAG_DF) !== 0) return 0;
    const input = kind === INS;
    const register = input ? RDI : RSI;
    const offset = state.gpr(register) & mask;
    const room = Math.floor((4096 - Number(offset & 0xfffn)) / size);
    const n = Math.min(room, count > 4096n ? 4096 : Number(count), 1 + state.words[WORD_BUDGET / 4]);
    if (n <= 1 || offset + BigInt(n * size) > mask + 1n) return 0;
    const linear = this.linear(input ? ES : segment, offset, n * size, input);
    if (linear === undefined) {
      // Some element faults: one by one finds out which.
      state.pending = undefined;
      return 0;
    }
    if ((linear & 0xfffn) + BigInt(n * size) > 4096n) return 0;
    const host = c.mmu.plainHost(linear, input);
    if (host < 0) return 0;
    const bytes = state.memory.u8.subarray(host, host + n * size);
    const moved = (input ? this.ports.inBlock(port, size, bytes) : this.ports.outBlock(port, size, bytes)) / size;
    if (moved === 0) return 0;
    this.addTo(register, BigInt(moved * size), mask);
    this.addTo(RCX, BigInt(-moved), mask);
    state.words[WORD_BUDGET / 4] -= moved - 1;
    return moved;
  }

  private linear(segment: number, offset: bigint, size: number, write: boolean): bigint | undefined {
    const { state } = this;
    if (state.code64) return segment >= FS ? BigInt.asUintN(64, state.segBase(segment) + offset) : offset;
    if (!this.segments.checkOffset(segment, Number(offset), size, write)) return undefined;
    return (state.segBase(segment) + offset) & 0xffff_ffffn;
  }

  private load(segment: number, offset: bigint, size: Size): bigint | undefined {
    const linear = this.linear(segment, offset, size, false);
    return linear === undefined ? undefined : this.c.mmu.read(linear, size, true);
  }

  private store(offset: bigint, size: Size, value: bigint): boolean {
    const linear = this.linear(ES, offset, size, true);
    return linear !== undefined && this.c.mmu.write(linear, size, value, true);
  }

  /** Adds to a register in the address size: 16-bit keeps the rest, 32-bit clears the upper half. */
  private addTo(register: number, delta: bigint, mask: bigint): void {
    const { state } = this;
    const old = state.gpr(register);
    const sum = (old + delta) & mask;
    state.setGpr(register, mask === 0xffffn ? (old & ~0xffffn & 0xffff_ffff_ffff_ffffn) | sum : sum);
  }

  private setAccumulator(value: bigint, size: Size): void {
    const { state } = this;
    if (size >= 4) state.setGpr(RAX, value);
    else {
      const mask = size === 1 ? 0xffn : 0xffffn;
      state.setGpr(RAX, (state.gpr(RAX) & ~mask & 0xffff_ffff_ffff_ffffn) | value);
    }
  }

  /** Status flags of a - b. */
  private compare(a: bigint, b: bigint, size: Size): void {
    const bits = size * 8;
    const result = BigInt.asUintN(bits, a - b);
    const signed = BigInt.asIntN(bits, a) - BigInt.asIntN(bits, b);
    let low = Number(result & 0xffn);
    low ^= low >> 4;
    low ^= low >> 2;
    low ^= low >> 1;
    this.state.flags = {
      cf: a < b,
      zf: result === 0n,
      sf: BigInt.asIntN(bits, result) < 0n,
      of: signed !== BigInt.asIntN(bits, result),
      af: (a & 15n) < (b & 15n),
      pf: (low & 1) === 0,
    };
  }
}
