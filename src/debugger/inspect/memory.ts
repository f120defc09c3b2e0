import type { DebugCpu } from "../target";

/** What a view of memory shows: the readable bytes at the start, and how many after them cannot be read. */
export interface MemoryPart {
  readonly bytes: Uint8Array;
  readonly unreadable: number;
}

/** Reads guest memory without side effects; the CPU's own APIC registers are shown where it has their page mapped. */
export function readGuest(cpu: DebugCpu, address: bigint, count: number): MemoryPart {
  const view = new Uint8Array(count);
  let done = 0;
  while (done < count) {
    const at = BigInt.asUintN(64, address + BigInt(done));
    const rest = count - done;
    const bytes = cpu.readMemory(at, rest) ?? apicPage(cpu, at, Math.min(rest, 4096 - Number(at & 0xfffn)));
    if (bytes === undefined || bytes.length === 0) break;
    view.set(bytes, done);
    done += bytes.length;
  }
  return { bytes: view.subarray(0, done), unreadable: count - done };
}

function apicPage(cpu: DebugCpu, address: bigint, count: number): Uint8Array | undefined {
  const { apic } = cpu;
  const physical = cpu.mmu.inspect(address);
  if (physical < 0 || !apic.enabled || apic.x2apicMode || physical - (physical % 4096) !== apic.baseAddress) return undefined;
  return Uint8Array.from({ length: count }, (_, i) => Number(apic.peekMmio((physical % 4096) + i, 1)));
}

/** Reads physical memory without side effects; devices are not read. */
export function readPhysical(cpu: DebugCpu, address: number, count: number): MemoryPart {
  const view = new Uint8Array(count);
  let done = 0;
  while (done < count) {
    const bytes = cpu.readPhysical(address + done, Math.min(count - done, 4096 - ((address + done) % 4096)));
    if (bytes === undefined) break;
    view.set(bytes, done);
    done += bytes.length;
  }
  return { bytes: view.subarray(0, done), unreadable: count - done };
}

/** Writes plain guest memory; returns how many bytes were written. */
export function writeGuest(cpu: DebugCpu, address: bigint, bytes: Uint8Array): number {
  return cpu.writeMemory(address, bytes);
}
