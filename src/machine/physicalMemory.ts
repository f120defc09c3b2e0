import type { PhysicalBus } from "../cpu/bus";
import { PCI_HOLE_BASE } from "../devices/board";
import type { DmaMemory } from "../devices/device";
import type { SmramMode } from "../devices/pci";
import type { MmioSpace } from "../devices/mmio";
import type { VideoMemory } from "../devices/vga/displayAdapter";
import type { PortSpace } from "../devices/ports";
import type { BootMemory } from "../firmware/boot";
import type { EngineMemory } from "../tcg/memory";
import type { PageTracker } from "./pageTracker";

const HIGH_BASE = 0x1_0000_0000;
/** Past all physical addresses. */
const NOWHERE = 2 ** 52;
/** The shadow RAM area, in pages: 0xc0000 to 0xfffff. */
const SHADOW_FIRST = 0xc0;
const SHADOW_END = 0x100;
const SHADOW_READ = 1;
const SHADOW_WRITE = 2;
/** SMRAM and legacy video memory, in pages: 0xa0000 to 0xbffff. */
const SMRAM_FIRST = 0xa0;
const SMRAM_END = 0xc0;
/** SMRAM itself, of which firmware uses no more. */
const SMRAM_HIDDEN_END = 0xb0;
/** As much of the firmware ROM's end shows below 1 MiB as well. */
const LOW_ROM_LIMIT = 0x20000;

/** Hears of accesses by devices and from outside: of reads, and before and after writes. */
export interface DeviceWatch {
  reading(address: number, length: number): void;
  writing(address: number, length: number): void;
  wrote(): void;
}

/**
 * The physical address space: RAM from 0 to the PCI hole and on from 4 GiB, overlaid by device regions; the firmware ROM up to 4 GiB, whose end shows below
 * 1 MiB where shadow RAM is not enabled. Serves CPUs, devices (DMA) and the boot code.
 */
export class PhysicalMemory implements PhysicalBus, DmaMemory, BootMemory {
  private readonly lowPages: number;
  private readonly highPages: number;
  private readonly lowBytes: number;
  /** Some device region overlaps RAM: pages must be looked up. */
  private overlay = false;
  /** Bits SHADOW_READ and SHADOW_WRITE of each page of the shadow area: whether RAM answers, or else ROM. */
  private readonly shadow = new Uint8Array(SHADOW_END - SHADOW_FIRST).fill(SHADOW_READ | SHADOW_WRITE);
  private readonly romFirst: number;
  private readonly lowRomFirst: number;
  private smramMode: SmramMode = "off";
  /** Undefined while nobody wants to know. */
  deviceWatch: DeviceWatch | undefined;

  /** `written` is called after every write that does not come from a CPU, so that translated code is dropped; `polled` before a CPU reads a port or a device that guests wait by. */
  constructor(
    private readonly memory: EngineMemory,
    private readonly ports: PortSpace,
    private readonly mmio: MmioSpace,
    private readonly written: (address: number, length: number) => void,
    private readonly polled: () => void,
    private readonly tracker: PageTracker,
    private readonly inSmm: (cpu: number) => boolean = () => false,
    /** The last so many bytes of the engine's RAM are video memory, which a device region gives an address. */
    private readonly videoBytes = 0,
  ) {
    this.lowBytes = Math.min(this.size, PCI_HOLE_BASE);
    this.lowPages = this.lowBytes / 4096;
    this.highPages = (this.size - this.lowBytes) / 4096;
    this.romFirst = (HIGH_BASE - memory.romBytes) / 4096;
    this.lowRomFirst = SHADOW_END - Math.min(memory.romBytes, LOW_ROM_LIMIT) / 4096;
  }

  /** Puts the firmware image into ROM; it fills it. */
  loadRom(image: Uint8Array): void {
    this.memory.u8.set(image, this.memory.romBase);
  }

  /**
   * Sets what the host bridge's PAM registers say: for each 4 KiB page from 0xc0000, bit 0 sends reads to RAM, bit 1 writes.
   * @returns true if anything changed; the caller then drops what CPUs cached.
   */
  setShadow(attributes: Uint8Array): boolean {
    if (attributes.every((value, page) => value === this.shadow[page])) return false;
    this.shadow.set(attributes);
    return true;
  }

  /** Who sees SMRAM, as the host bridge says. @returns true if that is new. */
  setSmram(mode: SmramMode): boolean {
    if (mode === this.smramMode) return false;
    this.smramMode = mode;
    return true;
  }

  /** Bytes of RAM. */
  get size(): number {
    return this.memory.ramBytes - this.videoBytes;
  }

  /** Video memory, as the display adapter has it; undefined without one. */
  get video(): VideoMemory | undefined {
    if (this.videoBytes === 0) return undefined;
    const { u8, ramBase, ramBytes } = this.memory;
    const start = ramBytes - this.videoBytes;
    return {
      bytes: u8.subarray(ramBase + start, ramBase + ramBytes),
      touch: (offset, length) => {
        for (let page = offset >>> 12; page * 4096 < offset + length; page++) this.tracker.touch(start / 4096 + page);
      },
    };
  }

  /** The map of device regions changed. */
  mapChanged(): void {
    this.overlay = this.mmio.overlaps(0, this.lowBytes) || (this.highPages > 0 && this.mmio.overlaps(HIGH_BASE, this.highPages * 4096));
  }

  hostPage(page: number, write: boolean, cpu: number): number {
    const host = this.plainPage(page, write, cpu);
    if (write && host >= 0) this.touch(host);
    return host;
  }

  /** Whether RAM or ROM, and no device, answers CPU `cpu` (a device: -1) at an address. */
  isPlain(address: number, cpu: number): boolean {
    return this.plainPage(Math.floor(address / 4096), false, cpu) >= 0;
  }

  writesFreely(page: number, cpu: number): boolean {
    const host = this.plainPage(page, true, cpu);
    const plain = host >= 0 && (host === this.memoryPage(page, false) || host === this.videoPage(page));
    return plain && this.tracker.isOpen(this.ramNumber(host));
  }

  private plainPage(page: number, write: boolean, cpu: number): number {
    const host = this.hidden(page, cpu) ? -1 : this.memoryPage(page, write);
    if (host >= 0 && (!this.overlay || !this.mmio.overlaps(page * 4096, 4096))) return host;
    return host >= 0 && page >= SMRAM_FIRST && page < SMRAM_END && this.smram(cpu) ? host : this.videoPage(page);
  }

  /** Address in the engine's memory of a page of video memory that a device region puts at physical page `page`; -1 where there is none. */
  private videoPage(page: number): number {
    if (this.videoBytes === 0) return -1;
    const offset = this.mmio.videoPage(page * 4096);
    return offset < 0 ? -1 : this.memory.ramBase + this.size + offset;
  }

  /** Number in RAM of the page at `host` in the engine's memory. */
  private ramNumber(host: number): number {
    return Math.floor((host - this.memory.ramBase) / 4096);
  }

  /** RAM at `host` is about to be written. */
  private touch(host: number): void {
    this.tracker.touch(this.ramNumber(host));
  }

  /** Physical page number of page `number` of RAM. */
  physicalPage(number: number): number {
    const video = number - this.size / 4096;
    // Video memory that is mapped nowhere has no page: one past all that exist stands for it.
    if (video >= 0) return Math.floor((this.mmio.videoBase ?? NOWHERE) / 4096) + video;
    return number < this.lowPages ? number : number - this.lowPages + HIGH_BASE / 4096;
  }

  /** Whether the page is SMRAM that CPU `cpu` (a device: -1) does not see. Text cells above it stay plain RAM. */
  private hidden(page: number, cpu: number): boolean {
    return this.smramMode === "closed" && page >= SMRAM_FIRST && page < SMRAM_HIDDEN_END && !this.smram(cpu);
  }

  /** Whether CPU `cpu` sees RAM where others see legacy video memory. */
  private smram(cpu: number): boolean {
    return this.smramMode === "open" || (cpu >= 0 && this.inSmm(cpu));
  }

  /** Address in the engine's memory of the page of RAM or ROM that answers, whatever device overlays it; -1 where there is none. */
  private memoryPage(page: number, write: boolean): number {
    const { memory } = this;
    if (page < this.lowPages) {
      if (page >= SHADOW_FIRST && page < SHADOW_END && !(this.shadow[page - SHADOW_FIRST] & (write ? SHADOW_WRITE : SHADOW_READ))) {
        return write || page < this.lowRomFirst ? -1 : memory.romBase + memory.romBytes - (SHADOW_END - page) * 4096;
      }
      return memory.ramBase + page * 4096;
    }
    const high = page - HIGH_BASE / 4096;
    if (high >= 0) return high < this.highPages ? memory.ramBase + this.lowBytes + high * 4096 : -1;
    return page >= this.romFirst && !write ? memory.romBase + (page - this.romFirst) * 4096 : -1;
  }

  /** Address in the engine's memory of byte `address` of RAM or ROM; -1 where there is none, or ROM is written. */
  private memoryByte(address: number, write: boolean, cpu = -1): number {
    const number = Math.floor(address / 4096);
    const ram = this.hidden(number, cpu) ? -1 : this.memoryPage(number, write);
    const page = ram < 0 ? this.videoPage(number) : ram;
    return page < 0 ? -1 : page + (address % 4096);
  }

  read(address: number, length: number): Uint8Array;
  read(address: number, size: 1 | 2 | 4 | 8, cpu: number): bigint;
  read(address: number, length: number, cpu?: number): Uint8Array | bigint {
    if (cpu !== undefined) return this.readBus(address, length as 1 | 2 | 4 | 8, cpu);
    this.deviceWatch?.reading(address, length);
    return this.peek(address, length);
  }

  /** Plain memory as it stands, seen by nobody; 0xff where there is none. */
  peek(address: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    this.peekInto(address, bytes, 0, length);
    return bytes;
  }

  /** The same, `length` bytes into `bytes` from `at` on. */
  peekInto(address: number, bytes: Uint8Array, at: number, length: number): void {
    for (let done = 0; done < length;) {
      const chunk = Math.min(length - done, 4096 - ((address + done) % 4096));
      const host = this.memoryByte(address + done, false);
      if (host < 0) bytes.fill(0xff, at + done, at + done + chunk);
      else bytes.set(this.memory.u8.subarray(host, host + chunk), at + done);
      done += chunk;
    }
  }

  write(address: number, bytes: Uint8Array): void;
  write(address: number, size: 1 | 2 | 4 | 8, value: bigint, cpu: number): void;
  write(address: number, what: Uint8Array | number, value?: bigint, cpu?: number): void {
    if (typeof what === "number") return this.writeBus(address, what as 1 | 2 | 4 | 8, value ?? 0n, cpu ?? -1);
    this.deviceWatch?.writing(address, what.length);
    for (let done = 0; done < what.length;) {
      const chunk = Math.min(what.length - done, 4096 - ((address + done) % 4096));
      const host = this.memoryByte(address + done, true);
      if (host >= 0) {
        this.touch(host);
        this.memory.u8.set(what.subarray(done, done + chunk), host);
      }
      done += chunk;
    }
    this.written(address, what.length);
    this.deviceWatch?.wrote();
  }

  expectWrites(address: number, length: number): void {
    const first = this.memoryByte(address, true);
    const last = this.memoryByte(address + length - 1, true);
    // Through the PCI hole it is not one piece of the engine's memory.
    if (first >= 0 && last - first === length - 1) this.memory.expectRange(first, length);
  }

  write32(address: number, value: number): void {
    if (this.mmio.find(address) !== undefined) return this.mmio.write(address, 4, BigInt(value >>> 0), -1);
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value, true);
    this.write(address, bytes);
  }

  reading(address: number): void {
    if (this.mmio.find(address)?.handler.polled === true) this.polled();
  }

  in(port: number, size: 1 | 2 | 4): number {
    this.polled();
    return this.ports.read(port, size);
  }

  out(port: number, size: 1 | 2 | 4, value: number): void {
    this.ports.write(port, size, value);
  }

  inString(port: number, size: 1 | 2 | 4): number {
    return this.ports.read(port, size);
  }

  inBlock(port: number, size: 2 | 4, target: Uint8Array): number {
    return this.ports.readBlock(port, size, target);
  }

  outBlock(port: number, size: 2 | 4, source: Uint8Array): number {
    return this.ports.writeBlock(port, size, source);
  }

  /** Whether a device answers at `address`; where CPU `cpu` sees SMRAM, none does. */
  private isDevice(address: number, cpu: number): boolean {
    const page = Math.floor(address / 4096);
    if (page >= SMRAM_FIRST && page < SMRAM_END && this.smram(cpu)) return false;
    return this.mmio.find(address) !== undefined;
  }

  private readBus(address: number, size: 1 | 2 | 4 | 8, cpu: number): bigint {
    if (this.isDevice(address, cpu)) return this.mmio.read(address, size, cpu);
    let value = 0n;
    for (let i = size - 1; i >= 0; i--) {
      const host = this.memoryByte(address + i, false, cpu);
      value = (value << 8n) | BigInt(host < 0 ? 0xff : this.memory.u8[host]);
    }
    return value;
  }

  private writeBus(address: number, size: 1 | 2 | 4 | 8, value: bigint, cpu: number): void {
    if (this.isDevice(address, cpu)) return this.mmio.write(address, size, value, cpu);
    for (let i = 0; i < size; i++) {
      const host = this.memoryByte(address + i, true, cpu);
      if (host < 0) continue;
      this.touch(host);
      this.memory.u8[host] = Number((value >> BigInt(8 * i)) & 0xffn);
    }
    this.written(address, size);
  }
}
