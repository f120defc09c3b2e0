import type { PhysicalBus } from "../cpu/bus";
import { PCI_HOLE_BASE } from "../devices/board";
import type { DmaMemory } from "../devices/device";
import type { MmioSpace } from "../devices/mmio";
import type { PortSpace } from "../devices/ports";
import type { BootMemory } from "../firmware/boot";
import type { EngineMemory } from "../tcg/memory";
import type { PageTracker } from "./pageTracker";

const HIGH_BASE = 0x1_0000_0000;

/**
 * The physical address space: RAM from 0 to the PCI hole and on from 4 GiB, overlaid by device regions. Serves CPUs, devices (DMA) and the boot code.
 */
export class PhysicalMemory implements PhysicalBus, DmaMemory, BootMemory {
  private readonly lowPages: number;
  private readonly highPages: number;
  private readonly lowBytes: number;
  /** Some device region overlaps RAM: pages must be looked up. */
  private overlay = false;

  /** `written` is called after every write that does not come from a CPU, so that translated code is dropped; `portRead` before a CPU reads a port. */
  constructor(
    private readonly memory: EngineMemory,
    private readonly ports: PortSpace,
    private readonly mmio: MmioSpace,
    private readonly written: (address: number, length: number) => void,
    private readonly portRead: () => void,
    private readonly tracker: PageTracker,
  ) {
    this.lowBytes = Math.min(memory.ramBytes, PCI_HOLE_BASE);
    this.lowPages = this.lowBytes / 4096;
    this.highPages = (memory.ramBytes - this.lowBytes) / 4096;
  }

  get size(): number {
    return this.memory.ramBytes;
  }

  /** The map of device regions changed. */
  mapChanged(): void {
    this.overlay = this.mmio.overlaps(0, this.lowBytes) || (this.highPages > 0 && this.mmio.overlaps(HIGH_BASE, this.highPages * 4096));
  }

  hostPage(page: number, write: boolean, _cpu: number): number {
    const number = this.ramPage(page);
    if (number < 0 || (this.overlay && this.mmio.overlaps(page * 4096, 4096))) return -1;
    if (write) this.tracker.touch(number);
    return this.memory.ramBase + number * 4096;
  }

  writesFreely(page: number, _cpu: number): boolean {
    const number = this.ramPage(page);
    return number >= 0 && this.tracker.isOpen(number) && !(this.overlay && this.mmio.overlaps(page * 4096, 4096));
  }

  /** Number in RAM of physical page `page`, whatever overlays it; -1 outside RAM. */
  private ramPage(page: number): number {
    if (page < this.lowPages) return page;
    const high = page - HIGH_BASE / 4096;
    return high >= 0 && high < this.highPages ? this.lowPages + high : -1;
  }

  /** Physical page number of page `number` of RAM. */
  physicalPage(number: number): number {
    return number < this.lowPages ? number : number - this.lowPages + HIGH_BASE / 4096;
  }

  /** Address in the engine's memory of RAM byte `address`, whatever overlays it; -1 outside RAM. */
  private ram(address: number): number {
    if (address < this.lowBytes) return this.memory.ramBase + address;
    const high = address - HIGH_BASE;
    return high >= 0 && high < this.highPages * 4096 ? this.memory.ramBase + this.lowBytes + high : -1;
  }

  read(address: number, length: number): Uint8Array;
  read(address: number, size: 1 | 2 | 4 | 8, cpu: number): bigint;
  read(address: number, length: number, cpu?: number): Uint8Array | bigint {
    if (cpu !== undefined) return this.readBus(address, length as 1 | 2 | 4 | 8, cpu);
    const bytes = new Uint8Array(length).fill(0xff);
    for (let done = 0; done < length;) {
      const chunk = Math.min(length - done, 4096 - ((address + done) % 4096));
      const host = this.ram(address + done);
      if (host >= 0) bytes.set(this.memory.u8.subarray(host, host + chunk), done);
      done += chunk;
    }
    return bytes;
  }

  write(address: number, bytes: Uint8Array): void;
  write(address: number, size: 1 | 2 | 4 | 8, value: bigint, cpu: number): void;
  write(address: number, what: Uint8Array | number, value?: bigint, cpu?: number): void {
    if (typeof what === "number") return this.writeBus(address, what as 1 | 2 | 4 | 8, value ?? 0n, cpu ?? -1);
    for (let done = 0; done < what.length;) {
      const chunk = Math.min(what.length - done, 4096 - ((address + done) % 4096));
      const host = this.ram(address + done);
      if (host >= 0) {
        this.tracker.touch((host - this.memory.ramBase) >>> 12);
        this.memory.u8.set(what.subarray(done, done + chunk), host);
      }
      done += chunk;
    }
    this.written(address, what.length);
  }

  write32(address: number, value: number): void {
    if (this.mmio.find(address) !== undefined) return this.mmio.write(address, 4, BigInt(value >>> 0), -1);
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value, true);
    this.write(address, bytes);
  }

  in(port: number, size: 1 | 2 | 4): number {
    this.portRead();
    return this.ports.read(port, size);
  }

  out(port: number, size: 1 | 2 | 4, value: number): void {
    this.ports.write(port, size, value);
  }

  private readBus(address: number, size: 1 | 2 | 4 | 8, cpu: number): bigint {
    if (this.mmio.find(address) !== undefined) return this.mmio.read(address, size, cpu);
    let value = 0n;
    for (let i = size - 1; i >= 0; i--) {
      const host = this.ram(address + i);
      value = (value << 8n) | BigInt(host < 0 ? 0xff : this.memory.u8[host]);
    }
    return value;
  }

  private writeBus(address: number, size: 1 | 2 | 4 | 8, value: bigint, cpu: number): void {
    if (this.mmio.find(address) !== undefined) return this.mmio.write(address, size, value, cpu);
    for (let i = 0; i < size; i++) {
      const host = this.ram(address + i);
      if (host < 0) continue;
      this.tracker.touch((host - this.memory.ramBase) >>> 12);
      this.memory.u8[host] = Number((value >> BigInt(8 * i)) & 0xffn);
    }
    this.written(address, size);
  }
}
