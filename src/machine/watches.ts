import type { DataWatch } from "../cpu/tlb";
import type { RegisterWatch } from "../cpu/system/context";
import { SLOT_MEM_VALUE } from "../tcg/layout";
import type { DeviceWatch, PhysicalMemory } from "./physicalMemory";
import type { Vcpu } from "./vcpu";

/** What a debugger watches. CPU -1 stands for any. */
export type WatchPlace =
  | { readonly kind: "linear"; readonly address: bigint; readonly size: number }
  | { readonly kind: "physical"; readonly address: number; readonly size: number }
  | { readonly kind: "port"; readonly address: number; readonly size: number }
  /** Registers `first` to `last` of a local APIC, by their numbers (MMIO offset divided by 16). */
  | { readonly kind: "apic"; readonly cpu: number; readonly first: number; readonly last: number }
  | { readonly kind: "msr"; readonly cpu: number; readonly index: number }
  | { readonly kind: "control"; readonly cpu: number; readonly register: number };

export type Watch = WatchPlace & {
  /** Of the debugger's choosing. */
  readonly id: number;
  readonly read: boolean;
  readonly write: boolean;
};

/** An access to a place that is watched; it has been made. */
export interface WatchHit {
  readonly id: number;
  /** Index of the CPU that made it; -1: a device. */
  readonly cpu: number;
  readonly write: boolean;
  /** First byte of what was accessed of the watched range: a linear or physical address, or a port; else 0. */
  readonly address: bigint;
  /** Bytes of the watched range that were accessed, at most 8 at a time; 0 where there are none. */
  readonly size: number;
  /** Those bytes before, where they are known, and now. */
  readonly old: bigint | undefined;
  readonly value: bigint | undefined;
}

type Hook = (hit: WatchHit) => void;
type MemoryWatch = Extract<Watch, { kind: "linear" | "physical" }>;

/** A part of an access that concerns a watch, between the moments before and after it. */
interface Candidate {
  readonly watch: MemoryWatch;
  readonly address: bigint;
  readonly size: number;
  /** Physical address of each byte's page part: `first` bytes at `physical`, the rest at `next`. */
  readonly physical: number;
  readonly first: number;
  readonly next: number;
  /** Offset in the access. */
  readonly offset: number;
  readonly old: bigint | undefined;
}

/** Bytes told at once. */
const mostBytes = 8;

const littleEndian = (bytes: Uint8Array): bigint => bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);

/**
 * The debugger's watches as the machine sees them: pages whose TLB entries are slow, and observers of registers and ports. Without watches there is neither. Page-table
 * walks and instruction fetches are no accesses; writes by devices (DMA) to physical ranges are, their reads are not.
 */
export class Watches {
  private memory: readonly MemoryWatch[] = [];
  private others: readonly Watch[] = [];
  private linearPages: ReadonlySet<bigint> = new Set();
  private physicalPages: ReadonlySet<number> = new Set();
  /** What the device write under way is about to change. */
  private deviceWrite: Candidate[] = [];

  /** @param hook told of every hit */
  constructor(
    private readonly bus: PhysicalMemory,
    private readonly hook: Hook,
  ) {}

  /** What devices' accesses to memory are to be told to; undefined when nobody wants to know. */
  get forDevices(): DeviceWatch | undefined {
    if (this.physicalPages.size === 0) return undefined;
    return {
      reading: (address, length) => this.deviceReads(address, length),
      writing: (address, length) => void (this.deviceWrite = this.ofDevice(address, length, true)),
      wrote: () => this.deviceWrote(),
    };
  }

  set(watches: readonly Watch[]): void {
    const isMemory = (watch: Watch): watch is MemoryWatch => watch.kind === "linear" || watch.kind === "physical";
    this.memory = watches.filter(isMemory);
    this.others = watches.filter((watch) => !isMemory(watch));
    const linear = new Set<bigint>();
    const physical = new Set<number>();
    for (const watch of this.memory) {
      if (watch.kind === "linear") {
        const last = (watch.address + BigInt(watch.size - 1)) >> 12n;
        for (let page = watch.address >> 12n; page <= last; page++) linear.add(page);
      } else {
        const last = Math.floor((watch.address + watch.size - 1) / 4096);
        for (let page = Math.floor(watch.address / 4096); page <= last; page++) physical.add(page);
      }
    }
    this.linearPages = linear;
    this.physicalPages = physical;
  }

  /** What the MMU of `vcpu` reports to: the guest's own debug registers and the debugger's ranges; undefined when neither watches anything. */
  dataFor(vcpu: Vcpu): DataWatch | undefined {
    const guest = vcpu.system.debug;
    if (!guest.watching && this.memory.length === 0) return undefined;
    let candidates: Candidate[] = [];
    return {
      watchesPage: (linear, page) => this.linearPages.has(linear >> 12n) || this.physicalPages.has(page) || guest.watchesPage(linear),
      accessing: (linear, size, write, first, second) => {
        candidates = this.memory.length === 0 ? [] : this.candidates(vcpu, linear, size, write, first, second);
      },
      accessed: (linear, size, write) => {
        if (guest.watching) guest.accessed(linear, size, write);
        for (const candidate of candidates) {
          const raw = vcpu.state.slots[SLOT_MEM_VALUE / 8] >> BigInt(8 * candidate.offset);
          const value = this.peek(candidate, vcpu.index) ?? BigInt.asUintN(8 * candidate.size, raw);
          this.tell(candidate, vcpu.index, write, value);
        }
      },
    };
  }

  private tell({ watch, address, size, old }: Candidate, cpu: number, write: boolean, value: bigint | undefined): void {
    this.hook({ id: watch.id, cpu, write, address, size, old: write ? old : undefined, value });
  }

  private candidates(vcpu: Vcpu, linear: bigint, size: number, write: boolean, first: number, second: number): Candidate[] {
    const found: Candidate[] = [];
    const room = second < 0 ? size : 4096 - (first % 4096);
    for (const watch of this.memory) {
      if (!(write ? watch.write : watch.read)) continue;
      if (watch.kind === "linear") {
        const from = watch.address > linear ? Number(watch.address - linear) : 0;
        const end = watch.address + BigInt(watch.size);
        const to = end < linear + BigInt(size) ? Number(end - linear) : size;
        if (from < to) found.push(this.part(watch, BigInt.asUintN(64, linear + BigInt(from)), from, to, first, second, room, vcpu.index));
        continue;
      }
      for (const [start, low, high] of [
        [first, 0, room],
        [second, room, size],
      ]) {
        if (start < 0) continue;
        const from = Math.max(low, low + watch.address - start);
        const to = Math.min(high, low + watch.address + watch.size - start);
        if (from < to) found.push(this.part(watch, BigInt(start + from - low), from, to, first, second, room, vcpu.index));
      }
    }
    return found;
  }

  /** Bytes `from` to `to` of an access. */
  private part(
    watch: MemoryWatch,
    address: bigint,
    from: number,
    to: number,
    first: number,
    second: number,
    room: number,
    cpu: number,
  ): Candidate {
    const before = Math.max(0, Math.min(to, room) - from);
    const physical = before > 0 ? first + from : second + from - room;
    const part = { watch, address, size: to - from, offset: from, physical, first: before > 0 ? before : to - from, next: second };
    return { ...part, old: this.peek(part, cpu) };
  }

  /** The bytes as they are now; undefined where they are no plain memory. */
  private peek({ physical, first, next, size }: Omit<Candidate, "old">, cpu: number): bigint | undefined {
    const plain = (address: number): boolean => this.bus.isPlain(address, cpu);
    if (!plain(physical) || (size > first && !plain(next))) return undefined;
    const low = littleEndian(this.bus.peek(physical, first));
    return size > first ? low | (littleEndian(this.bus.peek(next, size - first)) << BigInt(8 * first)) : low;
  }

  /** The watched parts of what a device accesses. */
  private ofDevice(address: number, length: number, write: boolean): Candidate[] {
    const found: Candidate[] = [];
    for (const watch of this.memory) {
      if (watch.kind !== "physical" || !(write ? watch.write : watch.read)) continue;
      const from = Math.max(address, watch.address);
      const to = Math.min(address + length, watch.address + watch.size, from + mostBytes);
      if (from >= to) continue;
      const part = { watch, address: BigInt(from), size: to - from, offset: 0, physical: from, first: to - from, next: -1 };
      found.push({ ...part, old: this.peek(part, -1) });
    }
    return found;
  }

  private deviceReads(address: number, length: number): void {
    for (const candidate of this.ofDevice(address, length, false)) this.tell(candidate, -1, false, candidate.old);
  }

  private deviceWrote(): void {
    for (const candidate of this.deviceWrite.splice(0)) this.tell(candidate, -1, true, this.peek(candidate, -1));
  }

  /** What registers and ports of CPU `cpu` report to; undefined when none is watched. */
  registersFor(cpu: number): RegisterWatch | undefined {
    const own = this.others.filter((watch) => watch.kind === "port" || (watch.kind !== "apic" && this.concerns(watch, cpu)));
    if (own.length === 0) return undefined;
    const tell = (watch: Watch, write: boolean, place: { address: bigint; size: number }, old: bigint | undefined, value: bigint): void => {
      if (write ? watch.write : watch.read) this.hook({ id: watch.id, cpu, write, ...place, old: write ? old : undefined, value });
    };
    const nowhere = { address: 0n, size: 0 };
    return {
      msr: (index, write, old, value) => {
        for (const watch of own) if (watch.kind === "msr" && watch.index === index) tell(watch, write, nowhere, old, value);
      },
      control: (register, write, old, value) => {
        for (const watch of own) if (watch.kind === "control" && watch.register === register) tell(watch, write, nowhere, old, value);
      },
      port: (port, size, write, value) => {
        for (const watch of own)
          if (watch.kind === "port" && port < watch.address + watch.size && watch.address < port + size)
            tell(watch, write, { address: BigInt(port), size }, undefined, BigInt(value));
      },
    };
  }

  /** What the local APIC of CPU `cpu` reports to; undefined when it is not watched. `value` is not told: the watcher knows how to read the register. */
  apicFor(cpu: number): ((register: number, write: boolean) => void) | undefined {
    const own = this.others.filter((watch) => watch.kind === "apic" && this.concerns(watch, cpu));
    if (own.length === 0) return undefined;
    return (register, write) => {
      for (const watch of own)
        if (watch.kind === "apic" && register >= watch.first && register <= watch.last && (write ? watch.write : watch.read))
          this.hook({ id: watch.id, cpu, write, address: 0n, size: 0, old: undefined, value: undefined });
    };
  }

  private concerns(watch: Watch, cpu: number): boolean {
    return "cpu" in watch && (watch.cpu < 0 || watch.cpu === cpu);
  }
}
