import { Lvt, LvtBit, lvtNames } from "./fields";
import type { LocalApic } from "./localApic";
import { hex } from "./registerViews";

/** Why `vector` is not being asked for at this local APIC, as far as the APIC knows: one sentence. What the CPU masks by IF comes on top. */
export function explainVector(apic: LocalApic, vector: number): string {
  const name = `Vector ${hex(vector)}`;
  if (!apic.enabled) return `${name} cannot arrive: the local APIC is disabled in IA32_APIC_BASE.`;
  const pending = apic.pendingVectors;
  const served = apic.inServiceVectors;
  if (!pending.includes(vector)) {
    if (served.includes(vector)) return `${name} is in service: its handler has not written EOI.`;
    if (!apic.softwareEnabled) return `${name} is not pending, and none can be accepted: SVR bit 8 is clear.`;
    const masked = lvtNames.find((_, index) => (apic.lvtEntry(index) & (LvtBit.mask | 0xff)) === (LvtBit.mask | vector));
    if (masked !== undefined && vector >= 16) return `${name} is not pending; LVT ${masked}, which has it, is masked.`;
    return `${name} is not pending.`;
  }
  const ppr = apic.ppr;
  if (vector >> 4 <= ppr >> 4) {
    const highest = served.at(-1) ?? 0;
    return highest >> 4 > apic.taskPriority >> 4
      ? `${name} waits for the EOI of vector ${hex(highest)}, in service with priority class ${highest >> 4}.`
      : `${name} waits for TPR, now ${hex(apic.taskPriority)}, to fall below priority class ${vector >> 4}.`;
  }
  const first = pending.at(-1) ?? vector;
  if (first > vector) return `${name} waits behind vector ${hex(first)}, which has the higher priority.`;
  return `${name} is asked for: the CPU takes it at the next boundary at which it allows interrupts.`;
}

/** Whether the 8259 can reach this CPU, in one sentence. */
export function explainExternal(apic: LocalApic): string {
  if (!apic.enabled) return "The 8259 is wired straight to INTR: the local APIC is disabled in IA32_APIC_BASE.";
  const entry = apic.lvtEntry(Lvt.lint0);
  if ((entry & 0x700) !== 0x700) return "LVT LINT0 is not in ExtINT mode: requests of the 8259 do not get through.";
  return entry & LvtBit.mask ? "LVT LINT0 is masked: requests of the 8259 do not get through." : "Requests of the 8259 get through LINT0.";
}
