import { SLOT_LSTAR, SLOT_RIP, SLOT_SFMASK, SLOT_STAR, slotOfGpr } from "../../tcg/layout";
import { EXC_GP, EXC_UD } from "../exceptions";
import { EFER_SCE, FLAG_IF, FLAG_RF, FLAG_VM } from "../registerBits";
import { AR_DB, CS, SS } from "../segmentRegisters";
import { fail, type SystemContext } from "./context";
import { canonical } from "./descriptors";

/** Flat code and data segments that SYSCALL, SYSENTER and their returns load without reading a descriptor. */
const CODE = 0x809b;
const DATA = 0xc093;
const LONG = 0x2000;
/** Indexes of the lower halves: these run too often for big integers. */
const RIP = SLOT_RIP / 4;
const RCX = slotOfGpr(1) / 4;
const R11 = slotOfGpr(11) / 4;

/**
 * SYSCALL, SYSRET, SYSENTER, SYSEXIT (SDM vol. 2; vol. 3, "Fast System Calls in 64-Bit Mode"; AMD64 APM vol. 3). SLOT_RIP holds the next instruction's RIP on entry.
 * Makers differ: Intel's SYSCALL and SYSRET are for 64-bit code only and SYSRET checks RCX; AMD's work in every mode, with CSTAR for compatibility mode and
 * the low half of STAR in legacy mode, and SYSRET leaves all of SS but its selector, while SYSENTER and SYSEXIT do not exist in long mode.
 */
export class FastCalls {
  constructor(private readonly c: SystemContext) {}

  private get amd(): boolean {
    return this.c.model.vendor === "amd";
  }

  syscall(): boolean {
    const { state } = this.c;
    if ((state.efer & EFER_SCE) === 0 || !(state.code64 || this.amd)) return fail(state, EXC_UD);
    const { longMode, code64, words } = state;
    const selector = words[SLOT_STAR / 4 + 1] & 0xfffc;
    if (longMode) {
      words[RCX] = words[RIP];
      words[RCX + 1] = words[RIP + 1];
      const { rflags } = state;
      words[R11] = rflags & ~FLAG_RF;
      words[R11 + 1] = 0;
      if (code64) {
        words[RIP] = words[SLOT_LSTAR / 4];
        words[RIP + 1] = words[SLOT_LSTAR / 4 + 1];
      } else state.rip = state.cstar;
      state.rflags = rflags & ~words[SLOT_SFMASK / 4] & ~FLAG_RF;
    } else {
      state.setGpr32(1, words[RIP]);
      words[RIP] = words[SLOT_STAR / 4];
      words[RIP + 1] = 0;
      state.systemFlags &= ~(FLAG_VM | FLAG_IF | FLAG_RF);
    }
    this.loadCode(selector, longMode, 0);
    this.loadStack((selector + 8) & 0xffff, 0);
    return true;
  }

  sysret(size: number): boolean {
    const { state } = this.c;
    const { code64 } = state;
    if ((state.efer & EFER_SCE) === 0 || !(code64 || this.amd)) return fail(state, EXC_UD);
    if (state.cpl !== 0 || !state.protectedMode) return fail(state, EXC_GP, 0);
    const to64 = size === 8;
    const { words } = state;
    if (to64 && !this.amd && !state.isCanonical(words[RCX + 1])) return fail(state, EXC_GP, 0);
    const base = words[SLOT_STAR / 4 + 1] >>> 16;
    words[RIP] = words[RCX];
    words[RIP + 1] = to64 ? words[RCX + 1] : 0;
    if (code64) state.rflags = (words[R11] & 0x3c7fd7) | 2;
    else state.systemFlags |= FLAG_IF;
    this.loadCode(((base + (to64 ? 16 : 0)) & 0xffff) | 3, to64, 3);
    if (this.amd) state.selector[SS] = (base + 8) & 0xffff;
    else this.loadStack(((base + 8) & 0xffff) | 3, 3);
    return true;
  }

  sysenter(): boolean {
    const { state } = this.c;
    const { longMode } = state;
    if (longMode && this.amd) return fail(state, EXC_UD);
    if (!state.protectedMode || (state.sysenterCs & 0xfffcn) === 0n) return fail(state, EXC_GP, 0);
    state.systemFlags &= ~(FLAG_VM | FLAG_IF | FLAG_RF);
    const selector = Number(state.sysenterCs & 0xfffcn);
    this.loadCode(selector, longMode, 0);
    this.loadStack((selector + 8) & 0xffff, 0);
    state.setGpr(4, longMode ? state.sysenterEsp : state.sysenterEsp & 0xffff_ffffn);
    state.rip = longMode ? state.sysenterEip : state.sysenterEip & 0xffff_ffffn;
    return true;
  }

  sysexit(size: number): boolean {
    const { state } = this.c;
    if (state.longMode && this.amd) return fail(state, EXC_UD);
    if (!state.protectedMode || state.cpl !== 0 || (state.sysenterCs & 0xfffcn) === 0n) return fail(state, EXC_GP, 0);
    const to64 = size === 8;
    const rip = state.gpr(2);
    const rsp = state.gpr(1);
    if (to64 && (!canonical(rip, state.linearBits) || !canonical(rsp, state.linearBits))) return fail(state, EXC_GP, 0);
    const base = Number(state.sysenterCs & 0xffffn);
    this.loadCode(((base + (to64 ? 32 : 16)) & 0xffff) | 3, to64, 3);
    this.loadStack(((base + (to64 ? 40 : 24)) & 0xffff) | 3, 3);
    state.setGpr(4, to64 ? rsp : rsp & 0xffff_ffffn);
    state.rip = to64 ? rip : rip & 0xffff_ffffn;
    return true;
  }

  private loadCode(selector: number, long: boolean, cpl: number): void {
    const { state, mmu } = this.c;
    state.setFlatSegment(CS, selector, 0xffffffff, CODE | (long ? LONG : AR_DB) | (cpl << 5));
    state.cpl = cpl;
    mmu.tlb.selectIndex();
  }

  private loadStack(selector: number, cpl: number): void {
    this.c.state.setFlatSegment(SS, selector, 0xffffffff, DATA | (cpl << 5));
  }
}
