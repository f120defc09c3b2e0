import { assert } from "../common/errors";
import { AR_UNUSABLE, CS, DS, ES, FS, GS, LDTR, SS, TR } from "../cpu/segmentRegisters";
import { startTimerTicks } from "../devices/firmwareInit";
import { biosState, bootImage, type BootRequest, type BootState, GPR_NAMES, type SegmentName } from "../firmware/boot";
import type { EngineMemory } from "../tcg/memory";
import type { PageTracker } from "./pageTracker";
import { type Powered, powerOn } from "./power";
import type { MachineConfiguration } from "./types";
import type { Vcpu } from "./vcpu";

/** What the guest is booted from. */
export type BootInput = Pick<BootRequest, "image" | "imageName" | "cmdline" | "initrd">;

/** What is booted. */
export interface Bootable extends Powered {
  readonly engineMemory: EngineMemory;
  readonly tracker: PageTracker;
}

/** How a machine begins, and begins anew: with an image that is put into memory for it, or with its firmware. */
export class Boot {
  private input: BootInput | undefined;

  constructor(
    private readonly machine: Bootable,
    private readonly firmware: MachineConfiguration["firmware"],
  ) {}

  /** The image that was loaded, once it was. */
  get booted(): BootInput | undefined {
    return this.input;
  }

  /** Loads an image and sets the bootstrap processor to its entry. @throws UserError when the image or memory does not fit. */
  load(input: BootInput): BootState {
    const { cpus, memory, ports } = this.machine;
    this.input = input;
    const state = bootImage(
      { ...input, cpus: cpus.length, apicIds: cpus.map((cpu) => cpu.apicId), memory: memory.size, hpet: true },
      memory,
    );
    applyBootState(cpus[0], state);
    if (state.kind === "multiboot1" || state.kind === "multiboot2") startTimerTicks(ports);
    return state;
  }

  /** Starts the firmware at the reset vector, as power-on does. */
  loadFirmware(): BootState {
    assert(this.firmware !== undefined, "a machine without firmware has nothing at its reset vector");
    return { ...biosState(), entryName: `${this.firmware.name} at the reset vector` };
  }

  /** A system reset: everything as at power-on, memory cleared, the image loaded anew. Time and instruction counts go on. */
  reset(): void {
    const { tracker, engineMemory } = this.machine;
    for (let page = 0; page < tracker.pages; page++) tracker.touch(page);
    engineMemory.ram.fill(0);
    powerOn(this.machine);
    if (this.input !== undefined) this.load(this.input);
  }
}

const segments: Readonly<Record<SegmentName, number>> = { es: ES, cs: CS, ss: SS, ds: DS, fs: FS, gs: GS, ldtr: LDTR, tr: TR };

/** Puts the bootstrap processor at an image's entry. */
function applyBootState(vcpu: Vcpu, boot: BootState): void {
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
  vcpu.mmu.tlb.flush();
  vcpu.changed();
}
