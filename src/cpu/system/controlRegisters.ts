import { EXC_GP, EXC_UD } from "../exceptions";
import {
  CR0_AM,
  CR0_CD,
  CR0_EM,
  CR0_ET,
  CR0_MP,
  CR0_NE,
  CR0_NW,
  CR0_PE,
  CR0_PG,
  CR0_TS,
  CR0_WP,
  CR4_LA57,
  CR4_PAE,
  CR4_PCIDE,
  CR4_PGE,
  CR4_PKE,
  CR4_PKS,
  CR4_PSE,
  CR4_SMAP,
  CR4_SMEP,
  EFER_LMA,
  EFER_LME,
} from "../registerBits";
import { fail, type SystemContext } from "./context";

/** Bits of CR3 that hold the PCID. */
const PCID_MASK = 0xfff;
const CR0_DEFINED = (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG) >>> 0;

/** Control registers and the mode switches they make (SDM vol. 3, "Control Registers", "Initializing IA-32e Mode"). */
export class ControlRegisters {
  constructor(private readonly c: SystemContext) {}

  /** MOV from CRn. undefined: #UD recorded. */
  read(register: number): bigint | undefined {
    const { state } = this.c;
    switch (register) {
      case 0:
        return BigInt(state.cr0 >>> 0);
      case 2:
        return state.cr2;
      case 3:
        return BigInt(state.cr3);
      case 4:
        return BigInt(state.cr4 >>> 0);
      case 8:
        return BigInt(this.c.controller.cr8);
      default:
        state.raise(EXC_UD);
        return undefined;
    }
  }

  /** MOV to CRn: `value` has 64 bits in 64-bit mode, else 32. */
  write(register: number, value: bigint): boolean {
    const { state } = this.c;
    switch (register) {
      case 0:
        return value > 0xffff_ffffn ? fail(state, EXC_GP, 0) : this.writeCr0(Number(value));
      case 2:
        state.cr2 = value;
        return true;
      case 3:
        return this.writeCr3(value);
      case 4:
        return value > 0xffff_ffffn ? fail(state, EXC_GP, 0) : this.writeCr4(Number(value));
      case 8:
        if (value > 15n) return fail(state, EXC_GP, 0);
        this.c.controller.cr8 = Number(value);
        return true;
      default:
        return fail(state, EXC_UD);
    }
  }

  writeCr0(requested: number): boolean {
    const { state } = this.c;
    const value = ((requested & CR0_DEFINED) | CR0_ET) >>> 0;
    const old = state.cr0;
    const paging = (value & CR0_PG) !== 0;
    const wasPaging = (old & CR0_PG) !== 0;
    if (paging && (value & CR0_PE) === 0) return fail(state, EXC_GP, 0);
    if ((value & CR0_NW) !== 0 && (value & CR0_CD) === 0) return fail(state, EXC_GP, 0);
    if (wasPaging && !paging && (state.code64 || (state.cr4 & CR4_PCIDE) !== 0)) return fail(state, EXC_GP, 0);
    if (paging && !wasPaging && (state.efer & EFER_LME) !== 0) {
      if ((state.cr4 & CR4_PAE) === 0 || (state.access[1] & (1 << 13)) !== 0) return fail(state, EXC_GP, 0);
      state.efer |= EFER_LMA;
    } else if (paging && (state.cr4 & CR4_PAE) !== 0 && (state.efer & EFER_LMA) === 0) {
      const relevant = CR0_CD | CR0_NW | CR0_PG;
      if (((value ^ old) & relevant) !== 0 && !this.loadPdptes(state.cr3)) return false;
    }
    if (!paging && wasPaging) state.efer &= ~EFER_LMA;
    state.cr0 = value;
    if (((value ^ old) & (CR0_PG | CR0_PE)) !== 0) this.c.flushAll();
    else if (((value ^ old) & CR0_WP) !== 0) this.c.mmu.tlb.writeProtectChanged();
    return true;
  }

  /**
   * MOV to CR3. Bit 63 with CR4.PCIDE asks to keep the PCID's translations and is not stored (SDM vol. 3, "Operations that Invalidate TLBs and Paging-Structure
   * Caches"); the soft TLB keeps those of one PCID at a time, so that every load empties it, as a processor may.
   */
  private writeCr3(value: bigint): boolean {
    const { state } = this.c;
    const address = (state.cr4 & CR4_PCIDE) !== 0 ? BigInt.asUintN(63, value) : value;
    if (state.longMode && address >> BigInt(state.physicalBits) !== 0n) return fail(state, EXC_GP, 0);
    return this.loadCr3(Number(address));
  }

  /** Loads CR3 (also for task switches): PDPTEs in PAE mode, TLB flush. */
  loadCr3(value: number): boolean {
    const { state } = this.c;
    const pae = (state.cr0 & CR0_PG) !== 0 && (state.cr4 & CR4_PAE) !== 0 && !state.longMode;
    if (pae && !this.loadPdptes(value)) return false;
    state.cr3 = value;
    this.c.mmu.tlb.flush();
    return true;
  }

  private writeCr4(value: number): boolean {
    const { state } = this.c;
    if ((value & ~this.c.model.definedCr4) !== 0) return fail(state, EXC_GP, 0);
    const old = state.cr4;
    if (state.longMode && ((value & CR4_PAE) === 0 || ((value ^ old) & CR4_LA57) !== 0)) return fail(state, EXC_GP, 0);
    if ((value & ~old & CR4_PCIDE) !== 0 && (!state.longMode || (state.cr3 & PCID_MASK) !== 0)) return fail(state, EXC_GP, 0);
    const changed = ((value ^ old) & (CR4_PSE | CR4_PAE | CR4_PGE | CR4_SMEP)) !== 0;
    if (changed && (state.cr0 & CR0_PG) !== 0 && (value & CR4_PAE) !== 0 && !state.longMode) {
      state.cr4 = value;
      if (!this.loadPdptes(state.cr3)) {
        state.cr4 = old;
        return false;
      }
    }
    state.cr4 = value;
    if (changed || ((value ^ old) & (CR4_SMAP | CR4_PCIDE | CR4_PKE | CR4_PKS | CR4_LA57)) !== 0) this.c.flushAll();
    return true;
  }

  /** The PDPTEs of PAE paging, with their reserved bits (SDM vol. 3, "PDPTE Registers"). */
  private loadPdptes(cr3: number): boolean {
    const { state, bus } = this.c;
    const table = (cr3 & ~0x1f) >>> 0;
    const loaded: bigint[] = [];
    for (let i = 0; i < 4; i++) {
      const address = table + i * 8;
      const host = bus.hostPage(Math.floor(address / 4096), false, state.index);
      const entry = host >= 0 ? state.memory.view.getBigUint64(host + (address % 4096), true) : bus.read(address, 8, state.index);
      const reserved = 0x1e6n | (0xffff_ffff_ffff_ffffn & ~((1n << BigInt(state.physicalBits)) - 1n));
      if ((entry & 1n) !== 0n && (entry & reserved) !== 0n) return fail(state, EXC_GP, 0);
      loaded.push(entry);
    }
    for (let i = 0; i < 4; i++) state.pdptes[i] = loaded[i];
    return true;
  }

  /** LMSW: only PE (to set), MP, EM, TS. */
  lmsw(value: number): boolean {
    const { state } = this.c;
    return this.writeCr0(((state.cr0 & ~0xe) | (value & 0xf) | (state.cr0 & CR0_PE)) >>> 0);
  }
}
