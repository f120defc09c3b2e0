import type { DataWatch } from "../tlb";
import { EXC_DB, EXC_UD } from "../exceptions";
import { CR4_DE, FLAG_RF } from "../registerBits";
import { CS } from "../segmentRegisters";
import type { CpuState } from "../state";
import { fail, type SystemContext } from "./context";

const DR6_FIXED = 0xffff0ff0;
const DR7_FIXED = 0x400;
const DR7_GD = 1 << 13;
const DR6_BD = 1 << 13;

/** Kinds of breakpoint in DR7's R/W fields. */
const EXECUTE = 0;
const WRITE = 1;
const IO = 2;

/** The guest's debug registers DR0-DR7 (SDM vol. 3, "Debug Registers"). Data breakpoints are seen through the MMU's slow path. */
export class DebugRegisters implements Pick<DataWatch, "accessed"> {
  private readonly dataPages = new Set<bigint>();
  /** Instruction breakpoints do not match: SS was loaded just before. */
  masked = false;

  constructor(
    private readonly c: SystemContext,
    /** Raises the #DB trap with these DR6 bits after the current instruction. */
    private readonly trap: (bits: number) => void,
    /** The set of watched pages changed. */
    private readonly watchChanged: () => void,
  ) {}

  /** MOV from DRn. undefined: fault recorded. */
  read(register: number): bigint | undefined {
    const { state } = this.c;
    const number = this.resolve(register);
    if (number === undefined) return undefined;
    if (number < 4) return state.dr[number];
    return BigInt(number === 6 ? state.dr6 >>> 0 : state.dr7 >>> 0);
  }

  /** MOV to DRn. */
  write(register: number, value: bigint): boolean {
    const { state } = this.c;
    const number = this.resolve(register);
    if (number === undefined) return false;
    if (number < 4) state.dr[number] = value;
    else {
      if (value > 0xffff_ffffn) return fail(state, 13, 0);
      if (number === 6) state.dr6 = (Number(value & 0xe00fn) | DR6_FIXED) >>> 0;
      else state.dr7 = (Number(value & 0xffff2bffn) | DR7_FIXED) >>> 0;
    }
    this.update();
    return true;
  }

  /** DR4 and DR5 alias DR6 and DR7 unless CR4.DE; general detect faults any access. */
  private resolve(register: number): number | undefined {
    const { state } = this.c;
    if ((register === 4 || register === 5) && (state.cr4 & CR4_DE) !== 0) {
      state.raise(EXC_UD);
      return undefined;
    }
    if ((state.dr7 & DR7_GD) !== 0) {
      state.dr7 = (state.dr7 & ~DR7_GD) >>> 0;
      state.raise(EXC_DB, -1, 0n, DR6_BD);
      return undefined;
    }
    return register === 4 || register === 5 ? register + 2 : register;
  }

  /** Recomputes the watched pages after DR0-3 or DR7 changed. */
  update(): void {
    this.dataPages.clear();
    for (let i = 0; i < 4; i++) {
      if (!enabled(this.c.state, i)) continue;
      const kind = kindOf(this.c.state, i);
      if (kind === EXECUTE || kind === IO) continue;
      this.dataPages.add(this.c.state.dr[i] >> 12n);
    }
    this.watchChanged();
  }

  get watching(): boolean {
    return this.dataPages.size > 0;
  }

  /** An enabled instruction breakpoint exists: part of the mode word. */
  get hasInstructionBreakpoints(): boolean {
    const { state } = this.c;
    if ((state.dr7 & 0xff) === 0) return false;
    return [0, 1, 2, 3].some((i) => enabled(state, i) && kindOf(state, i) === EXECUTE);
  }

  watchesPage(linearPage: bigint): boolean {
    return this.dataPages.has(linearPage >> 12n);
  }

  accessed(linear: bigint, size: number, write: boolean): void {
    const { state } = this.c;
    let bits = 0;
    for (let i = 0; i < 4; i++) {
      const kind = kindOf(state, i);
      if (kind === EXECUTE || kind === IO || (kind === WRITE && !write)) continue;
      const length = lengthOf(state, i);
      const start = state.dr[i] & ~BigInt(length - 1);
      if (linear < start + BigInt(length) && start < linear + BigInt(size)) bits |= 1 << i;
    }
    if (bits !== 0 && [0, 1, 2, 3].some((i) => (bits & (1 << i)) !== 0 && enabled(state, i))) this.trap(bits);
  }

  /** Whether breakpoints of the I/O kind may be armed. */
  get watchesPorts(): boolean {
    return (this.c.state.cr4 & CR4_DE) !== 0 && (this.c.state.dr7 & 0xff) !== 0;
  }

  /** An I/O port access under CR4.DE. */
  port(port: number, size: number): void {
    const { state } = this.c;
    if (!this.watchesPorts) return;
    let bits = 0;
    for (let i = 0; i < 4; i++) {
      if (!enabled(state, i) || kindOf(state, i) !== IO) continue;
      const length = lengthOf(state, i);
      const start = Number(state.dr[i] & 0xffffn) & ~(length - 1);
      if (port < start + length && start < port + size) bits |= 1 << i;
    }
    if (bits !== 0) this.trap(bits);
  }

  /** Instruction breakpoint check at RIP `rip`: true when #DB was recorded. */
  checkInstruction(rip: bigint): boolean {
    const { state } = this.c;
    if ((state.systemFlags & FLAG_RF) !== 0 || this.masked) return false;
    const linear = state.code64 ? rip : (state.segBase(CS) + rip) & 0xffff_ffffn;
    let bits = 0;
    let hit = false;
    for (let i = 0; i < 4; i++) {
      if (kindOf(state, i) !== EXECUTE || state.dr[i] !== linear) continue;
      bits |= 1 << i;
      hit ||= enabled(state, i);
    }
    if (!hit) return false;
    state.raise(EXC_DB, -1, 0n, bits);
    return true;
  }
}

const enabled = (state: CpuState, index: number): boolean => (state.dr7 & (3 << (2 * index))) !== 0;
const kindOf = (state: CpuState, index: number): number => (state.dr7 >>> (16 + 4 * index)) & 3;
const lengthOf = (state: CpuState, index: number): number => [1, 2, 8, 4][(state.dr7 >>> (18 + 4 * index)) & 3];
