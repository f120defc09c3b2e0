import { CR4_PKS, EFER_LMA, EFER_LME, EFER_NXE, CR0_PG } from "../registerBits";
import { FS, GS } from "../segmentRegisters";
import type { SystemContext } from "./context";
import { canonical } from "./descriptors";

/** Variable and fixed MTRRs: storage only, as memory types have no effect here (SDM vol. 3, "Memory Type Range Registers"). */
const MTRR_VARIABLE = 8;
const isMtrr = (index: number): boolean =>
  (index >= 0x200 && index < 0x200 + 2 * MTRR_VARIABLE) ||
  index === 0x250 ||
  index === 0x258 ||
  index === 0x259 ||
  (index >= 0x268 && index <= 0x26f);
/** AMD's four performance event selects and counters, which all its processors have (APM vol. 2, "Performance Monitoring Counters"). No event is counted here. */
const isPerformanceMsr = (index: number): boolean => index >= 0xc001_0000 && index <= 0xc001_0007;
const PERFORMANCE_SELECT_BITS = 0x0000_030f_ffff_ffffn;
const PERFORMANCE_COUNTER_BITS = 0xffff_ffff_ffffn;
const validMemoryType = (type: number): boolean => type === 0 || type === 1 || type === 4 || type === 5 || type === 6;

/** Model-specific registers (SDM vol. 4). An index that is not here is #GP(0). */
export class Msrs {
  constructor(private readonly c: SystemContext) {}

  /** The value, or undefined for #GP(0) (not recorded). */
  read(index: number): bigint | undefined {
    const { state, controller } = this.c;
    const { features } = this.c.model;
    if (index === 0x1b || index === 0x6e0 || (index >= 0x800 && index <= 0x8ff)) return controller.readMsr(index);
    switch (index) {
      case 0x10:
        return this.tsc();
      case 0xda0: // IA32_XSS: no supervisor state is managed
        return features.xsaves ? 0n : undefined;
      case 0x3b:
        return features["tsc-adjust"] ? state.tscAdjust : undefined;
      case 0x17: // platform id
      case 0x8b: // microcode revision
      case 0x179: // MCG_CAP: no banks
      case 0x17a:
      case 0x1d9: // DEBUGCTL
        return state.plainMsrs.get(index) ?? 0n;
      case 0x3a: // feature control: locked, no VMX
        return 1n;
      case 0xfe: // MTRRCAP: 8 variable, fixed, write-combining
        return BigInt(MTRR_VARIABLE | (1 << 8) | (1 << 10));
      case 0x174:
        return state.sysenterCs;
      case 0x175:
        return state.sysenterEsp;
      case 0x176:
        return state.sysenterEip;
      case 0x1a0:
        return state.miscEnable;
      case 0x277:
        return state.pat;
      case 0x2ff:
        return state.mtrrDefType;
      case 0x6e1:
        return (this.c.model.definedCr4 & CR4_PKS) === 0 ? undefined : BigInt(state.pkrs);
      case 0xc000_0080:
        return BigInt(state.efer);
      case 0xc000_0081:
        return state.star;
      case 0xc000_0082:
        return state.lstar;
      case 0xc000_0083:
        return state.cstar;
      case 0xc000_0084:
        return state.sfmask;
      case 0xc000_0100:
        return state.segBase(FS);
      case 0xc000_0101:
        return state.segBase(GS);
      case 0xc000_0102:
        return state.kernelGsBase;
      case 0xc000_0103:
        return features.rdtscp || features.rdpid ? state.tscAux : undefined;
      default:
        return isMtrr(index) || this.performance(index) ? (state.plainMsrs.get(index) ?? 0n) : undefined;
    }
  }

  /** false: #GP(0) (not recorded). */
  write(index: number, value: bigint): boolean {
    const { state, controller } = this.c;
    const { features } = this.c.model;
    if (index === 0x1b || index === 0x6e0 || (index >= 0x800 && index <= 0x8ff)) return controller.writeMsr(index, value);
    switch (index) {
      case 0x10:
        this.moveTsc(value - this.tsc());
        return true;
      case 0xda0:
        return features.xsaves && value === 0n;
      case 0x3b:
        if (!features["tsc-adjust"]) return false;
        this.moveTsc(value - state.tscAdjust);
        return true;
      case 0x8b:
        state.plainMsrs.set(index, 0n);
        return true;
      case 0x17a:
        state.plainMsrs.set(index, value);
        return true;
      case 0x1d9:
        // LBR, BTF and the trace bits are accepted and kept; none of them is implemented.
        if (value >> 16n !== 0n) return false;
        state.plainMsrs.set(index, value);
        return true;
      case 0x174:
        state.sysenterCs = value & 0xffff_ffffn;
        return true;
      case 0x175:
        if (!canonical(value, this.c.model.linearBits)) return false;
        state.sysenterEsp = value;
        return true;
      case 0x176:
        if (!canonical(value, this.c.model.linearBits)) return false;
        state.sysenterEip = value;
        return true;
      case 0x1a0:
        state.miscEnable = value;
        return true;
      case 0x277:
        for (let i = 0n; i < 8n; i++) {
          const type = Number((value >> (8n * i)) & 0xffn);
          if (!validMemoryType(type) && type !== 7) return false;
        }
        state.pat = value;
        return true;
      case 0x2ff:
        if ((value & ~0xcffn) !== 0n || !validMemoryType(Number(value & 0xffn))) return false;
        state.mtrrDefType = value;
        return true;
      case 0x6e1: // IA32_PKRS
        if ((this.c.model.definedCr4 & CR4_PKS) === 0 || value > 0xffff_ffffn) return false;
        if (state.pkrs !== Number(value) && (state.cr4 & CR4_PKS) !== 0) this.c.mmu.tlb.flush();
        state.pkrs = Number(value);
        return true;
      case 0xc000_0080:
        return this.writeEfer(value);
      case 0xc000_0081:
        state.star = value;
        return true;
      case 0xc000_0082:
        if (!canonical(value, this.c.model.linearBits)) return false;
        state.lstar = value;
        return true;
      case 0xc000_0083:
        if (!canonical(value, this.c.model.linearBits)) return false;
        state.cstar = value;
        return true;
      case 0xc000_0084:
        if (value > 0xffff_ffffn) return false;
        state.sfmask = value;
        return true;
      case 0xc000_0100:
      case 0xc000_0101: {
        if (!canonical(value, this.c.model.linearBits)) return false;
        const segment = index === 0xc000_0100 ? FS : GS;
        state.setSegment(segment, state.selector[segment], value, state.limit[segment], state.access[segment]);
        return true;
      }
      case 0xc000_0102:
        if (!canonical(value, this.c.model.linearBits)) return false;
        state.kernelGsBase = value;
        return true;
      case 0xc000_0103:
        if (value > 0xffff_ffffn || !(features.rdtscp || features.rdpid)) return false;
        state.tscAux = value;
        return true;
      default:
        if (this.performance(index)) {
          state.plainMsrs.set(index, value & ((index & 4) === 0 ? PERFORMANCE_SELECT_BITS : PERFORMANCE_COUNTER_BITS));
          return true;
        }
        return isMtrr(index) && this.writeMtrr(index, value);
    }
  }

  /** The TSC: nanoseconds of virtual time plus the guest's offset. */
  tsc(): bigint {
    return BigInt.asUintN(64, BigInt(this.c.now()) + this.c.state.tscOffset);
  }

  /** Moves the TSC; IA32_TSC_ADJUST tells by how much in all (SDM vol. 3, "IA32_TSC_ADJUST"). */
  private moveTsc(distance: bigint): void {
    const { state, controller } = this.c;
    state.tscOffset = BigInt.asUintN(64, state.tscOffset + distance);
    state.tscAdjust = BigInt.asUintN(64, state.tscAdjust + distance);
    controller.tscChanged();
  }

  private writeEfer(value: bigint): boolean {
    const { state } = this.c;
    if ((value & ~BigInt(this.c.model.definedEfer)) !== 0n) return false;
    const requested = Number(value);
    if ((state.cr0 & CR0_PG) !== 0 && ((requested ^ state.efer) & EFER_LME) !== 0) return false;
    const old = state.efer;
    state.efer = (requested & ~EFER_LMA) | (old & EFER_LMA);
    if (((old ^ state.efer) & EFER_NXE) !== 0) this.c.flushAll();
    return true;
  }

  private performance(index: number): boolean {
    return isPerformanceMsr(index) && this.c.model.vendor === "amd";
  }

  private writeMtrr(index: number, value: bigint): boolean {
    const physicalMask = ((1n << BigInt(this.c.model.physicalBits)) - 1n) & ~0xfffn;
    if (index < 0x250) {
      const mask = (index & 1) === 0 ? physicalMask | 0xffn : physicalMask | 0x800n;
      if ((value & ~mask) !== 0n) return false;
      if ((index & 1) === 0 && !validMemoryType(Number(value & 0xffn))) return false;
    } else for (let i = 0n; i < 8n; i++) if (!validMemoryType(Number((value >> (8n * i)) & 0xffn))) return false;
    this.c.state.plainMsrs.set(index, value);
    return true;
  }
}
