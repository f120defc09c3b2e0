import { Lvt, Svr, lvtNames, lvtReadOnly, lvtWritable, svrWritable } from "./fields";

/** Register numbers: MMIO offset divided by 16, and MSR 0x800 plus the same number in x2APIC mode. */
export const Reg = {
  id: 0x02,
  version: 0x03,
  tpr: 0x08,
  apr: 0x09,
  ppr: 0x0a,
  eoi: 0x0b,
  remoteRead: 0x0c,
  ldr: 0x0d,
  dfr: 0x0e,
  svr: 0x0f,
  isr: 0x10,
  tmr: 0x18,
  irr: 0x20,
  esr: 0x28,
  lvtCmci: 0x2f,
  icrLow: 0x30,
  icrHigh: 0x31,
  lvtTimer: 0x32,
  lvtError: 0x37,
  initialCount: 0x38,
  currentCount: 0x39,
  divide: 0x3e,
  selfIpi: 0x3f,
} as const;

/** The registers behind a public name (as `registers()` of a local APIC gives it): first and last number. Undefined for APIC_BASE, which is an MSR, and unknown names. */
export function registerRange(name: string): { readonly first: number; readonly last: number } | undefined {
  const one = (number: number, last = number): { first: number; last: number } => ({ first: number, last });
  switch (name) {
    case "ID":
      return one(Reg.id);
    case "VER":
      return one(Reg.version);
    case "TPR":
      return one(Reg.tpr);
    case "APR":
      return one(Reg.apr);
    case "PPR":
      return one(Reg.ppr);
    case "EOI":
      return one(Reg.eoi);
    case "LDR":
      return one(Reg.ldr);
    case "DFR":
      return one(Reg.dfr);
    case "SVR":
      return one(Reg.svr);
    case "ISR":
      return one(Reg.isr, Reg.isr + 7);
    case "TMR":
      return one(Reg.tmr, Reg.tmr + 7);
    case "IRR":
      return one(Reg.irr, Reg.irr + 7);
    case "ESR":
      return one(Reg.esr);
    case "ICR":
      return one(Reg.icrLow, Reg.icrHigh);
    case "TMICT":
      return one(Reg.initialCount);
    case "TMCCT":
      return one(Reg.currentCount);
    case "TDCR":
      return one(Reg.divide);
    case "SELF IPI":
      return one(Reg.selfIpi);
    case "LVT CMCI":
      return one(Reg.lvtCmci);
    default: {
      const index = lvtNames.findIndex((lvt) => `LVT ${lvt}` === name);
      return index < 0 ? undefined : one(Reg.lvtTimer + index - Lvt.timer);
    }
  }
}

/** What a model of processor offers. All of it, if left out, but for remote read, which the manual reserves since the Pentium 4. */
export interface ApicModel {
  /** MAXPHYADDR: bits of IA32_APIC_BASE from here on are reserved. */
  readonly physicalBits?: number;
  readonly x2apic?: boolean;
  readonly tscDeadline?: boolean;
  /** Whether IPIs of lowest priority can be sent; if not, sending one is a "redirectable IPI" error. */
  readonly lowestPriorityIpi?: boolean;
  readonly eoiSuppression?: boolean;
  /** Delivery mode 3 of the ICR reads a register of another APIC, as on P6 processors. */
  readonly remoteRead?: boolean;
}

/** Bits of LVT entry `index` that a guest may write. */
export function lvtMask(index: number, model: ApicModel): number {
  return index === Lvt.timer && model.tscDeadline === false ? lvtWritable[index] & ~0x40000 : lvtWritable[index];
}

/** Bits of SVR that a guest may write. */
export function svrMask(model: ApicModel): number {
  return model.eoiSuppression === false ? svrWritable & ~Svr.suppressEoi : svrWritable;
}

/**
 * Bits that may be set in a write of an x2APIC register without #GP (SDM vol. 3, "x2APIC Register Address Space"). All ones for
 * registers without reserved bits and for those that cannot be written at all.
 */
export function x2apicMask(register: number, model: ApicModel): number {
  switch (register) {
    case Reg.tpr:
    case Reg.selfIpi:
      return 0xff;
    case Reg.eoi:
    case Reg.esr:
      return 0;
    case Reg.svr:
      return svrMask(model);
    case Reg.divide:
      return 0xb;
    case Reg.lvtCmci:
      return lvtWritable[Lvt.cmci] | lvtReadOnly[Lvt.cmci];
    default: {
      if (register < Reg.lvtTimer || register > Reg.lvtError) return -1;
      const index = register - Reg.lvtTimer + Lvt.timer;
      return lvtMask(index, model) | lvtReadOnly[index];
    }
  }
}
