import { AR_UNUSABLE, CS, DS, ES, FS, GS, LDTR, SS, TR } from "../cpu/segmentRegisters";
import { type BootState, GPR_NAMES, type SegmentName } from "../firmware/boot";
import type { Vcpu } from "./vcpu";

const segments: Readonly<Record<SegmentName, number>> = { es: ES, cs: CS, ss: SS, ds: DS, fs: FS, gs: GS, ldtr: LDTR, tr: TR };

/** Puts the bootstrap processor at an image's entry. */
export function applyBootState(vcpu: Vcpu, boot: BootState): void {
  const { state } = vcpu;
  GPR_NAMES.forEach((name, index) => state.setGpr(index, boot.gprs[name]));
  for (const [name, number] of Object.entries(segments) as [SegmentName, number][]) {
    const segment = boot.segments[name];
    state.setSegment(number, segment.selector, segment.base, segment.limit, segment.access === 0 ? AR_UNUSABLE : segment.access);
  }
  state.cr0 = Number(boot.cr0);
  state.cr3 = Number(boot.cr3);
  state.cr4 = Number(boot.cr4);
  state.efer = Number(boot.efer);
  state.gdtrBase = boot.gdt.base;
  state.gdtrLimit = boot.gdt.limit;
  state.idtrBase = boot.idt.base;
  state.idtrLimit = boot.idt.limit;
  state.rflags = Number(boot.rflags);
  state.rip = boot.rip;
  state.cpl = state.selector[CS] & 3;
  state.activity = "running";
  if (boot.localApic !== undefined) vcpu.apic.setVirtualWire();
  vcpu.mmu.flush();
  vcpu.changed();
}
