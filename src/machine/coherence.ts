import type { WriteMonitor } from "../cpu/writeMonitor";
import type { CodeCache } from "../tcg/codeCache";
import type { EngineMemory } from "../tcg/memory";
import type { PhysicalMemory } from "./physicalMemory";
import type { Scheduler } from "./scheduler";
import type { Vcpu } from "./vcpu";

/** Where SMRAM and shadow RAM are. */
const LEGACY_AREA = 0xa0000;
const LEGACY_AREA_END = 0x100000;

/** Who remembers something of memory. */
export interface Rememberers {
  readonly memory: PhysicalMemory;
  readonly code: CodeCache;
  readonly monitor: WriteMonitor;
  readonly scheduler: Scheduler;
  readonly cpus: readonly Vcpu[];
}

/**
 * Keeps true what CPUs and engine remember of memory: translated code, addresses in TLBs, entries of jump caches, pages that stores may go to without a look. Guest state
 * depends on none of it.
 */
export class Coherence {
  private attached: Rememberers | undefined;

  constructor(private readonly engineMemory: EngineMemory) {}

  /** Completes construction: before it nothing has been remembered. */
  attach(rememberers: Rememberers): void {
    this.attached = rememberers;
  }

  private get cpus(): readonly Vcpu[] {
    return this.attached?.cpus ?? [];
  }

  /** Stores to physical page `page`, or to any, must be looked at again. */
  distrustWrites(page = -1): void {
    this.engineMemory.distrustStores(page);
    for (const vcpu of this.cpus) vcpu.mmu.tlb.distrustWrites(page);
  }

  /** Blocks were dropped. */
  forgetBlocks(): void {
    for (const vcpu of this.cpus) {
      vcpu.processor.invalidateResume();
      vcpu.mmu.jumps.empty();
    }
  }

  /** Physical addresses lead elsewhere than before. */
  mapChanged(): void {
    this.attached?.memory.mapChanged();
    this.engineMemory.forgetMarks();
    for (const vcpu of this.cpus) vcpu.mmu.tlb.flush();
  }

  /** RAM and ROM changed places: code may be other code now. */
  memoryRouted(): void {
    this.outsideWrite(LEGACY_AREA, LEGACY_AREA_END - LEGACY_AREA);
    this.mapChanged();
  }

  /** Physical memory was written, or exchanged, by something that is no CPU. */
  outsideWrite(address: number, length: number): void {
    if (this.attached === undefined) return;
    const { code, monitor, scheduler } = this.attached;
    for (let at = address; at < address + length; at = at - (at % 4096) + 4096) {
      const chunk = Math.min(address + length, at - (at % 4096) + 4096) - at;
      if (code.hasCode(Math.floor(at / 4096)) && code.written(at, chunk)) scheduler.current?.processor.request();
      monitor.written(at, chunk);
    }
  }
}
