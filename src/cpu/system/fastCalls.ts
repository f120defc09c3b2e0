import { AR_DB, CS, EFER_SCE, EXC_GP, EXC_UD, FLAG_IF, FLAG_RF, FLAG_VM, SS } from "../state";
import { fail, type SystemContext } from "./context";
import { canonical } from "./descriptors";

/** Flat code and data segments that SYSCALL, SYSENTER and their returns load without reading a descriptor. */
const CODE = 0x809b;
const DATA = 0xc093;
const LONG = 0x2000;

/** SYSCALL, SYSRET, SYSENTER, SYSEXIT (SDM vol. 2; vol. 3, "Fast System Calls in 64-Bit Mode"). SLOT_RIP holds the next instruction's RIP on entry. */
export class FastCalls {
  constructor(private readonly c: SystemContext) {}

  syscall(): boolean {
    const { state } = this.c;
    // Outside 64-bit code Intel processors do not have it.
    if ((state.efer & EFER_SCE) === 0 || !state.code64) return fail(state, EXC_UD);
    state.setGpr(1, state.rip);
    state.setGpr(11, BigInt(state.rflags & ~FLAG_RF));
    state.rip = state.lstar;
    state.rflags = state.rflags & ~Number(state.sfmask) & ~FLAG_RF;
    const selector = Number((state.star >> 32n) & 0xfffcn);
    this.load(selector, (selector + 8) & 0xffff, true, 0);
    return true;
  }

  sysret(size: number): boolean {
    const { state } = this.c;
    if ((state.efer & EFER_SCE) === 0 || !state.code64) return fail(state, EXC_UD);
    if (state.cpl !== 0) return fail(state, EXC_GP, 0);
    const to64 = size === 8;
    const target = state.gpr(1);
    if (to64 && !canonical(target, state.linearBits)) return fail(state, EXC_GP, 0);
    const base = Number((state.star >> 48n) & 0xffffn);
    state.rip = to64 ? target : target & 0xffff_ffffn;
    state.rflags = Number(state.gpr(11) & 0x3c7fd7n) | 2;
    this.load(((base + (to64 ? 16 : 0)) & 0xffff) | 3, ((base + 8) & 0xffff) | 3, to64, 3);
    return true;
  }

  sysenter(): boolean {
    const { state } = this.c;
    if (!state.protectedMode || (state.sysenterCs & 0xfffcn) === 0n) return fail(state, EXC_GP, 0);
    const { longMode } = state;
    state.systemFlags &= ~(FLAG_VM | FLAG_IF | FLAG_RF);
    const selector = Number(state.sysenterCs & 0xfffcn);
    this.load(selector, (selector + 8) & 0xffff, longMode, 0);
    state.setGpr(4, longMode ? state.sysenterEsp : state.sysenterEsp & 0xffff_ffffn);
    state.rip = longMode ? state.sysenterEip : state.sysenterEip & 0xffff_ffffn;
    return true;
  }

  sysexit(size: number): boolean {
    const { state } = this.c;
    if (!state.protectedMode || state.cpl !== 0 || (state.sysenterCs & 0xfffcn) === 0n) return fail(state, EXC_GP, 0);
    const to64 = size === 8;
    const rip = state.gpr(2);
    const rsp = state.gpr(1);
    if (to64 && (!canonical(rip, state.linearBits) || !canonical(rsp, state.linearBits))) return fail(state, EXC_GP, 0);
    const base = Number(state.sysenterCs & 0xffffn);
    this.load(((base + (to64 ? 32 : 16)) & 0xffff) | 3, ((base + (to64 ? 40 : 24)) & 0xffff) | 3, to64, 3);
    state.setGpr(4, to64 ? rsp : rsp & 0xffff_ffffn);
    state.rip = to64 ? rip : rip & 0xffff_ffffn;
    return true;
  }

  private load(codeSelector: number, stackSelector: number, long: boolean, cpl: number): void {
    const { state, mmu } = this.c;
    state.setSegment(CS, codeSelector, 0n, 0xffffffff, CODE | (long ? LONG : AR_DB) | (cpl << 5));
    state.setSegment(SS, stackSelector, 0n, 0xffffffff, DATA | (cpl << 5));
    state.cpl = cpl;
    mmu.selectIndex();
    mmu.flushJumps();
  }
}
