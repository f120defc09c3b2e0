import { assert } from "../common/errors";
import type { State } from "../common/state";
import type { Device, DeviceContext, MessageView, MmioHandler, MmioRegion, PortHandler, PortRegion, RegisterView } from "./device";
import { MSIX_BAR_BYTES, MSIX_MAX_VECTORS, MSIX_PBA_OFFSET, MsixTable } from "./msix";
import { StateReader } from "./stateReader";

export const PCI_COMMAND = 0x04;
const PCI_STATUS = 0x06;
const PCI_BAR0 = 0x10;
const PCI_CAPABILITIES = 0x34;
const PCI_INTERRUPT_LINE = 0x3c;
const PCI_INTERRUPT_PIN = 0x3d;

const COMMAND_IO = 0x001;
const COMMAND_MEMORY = 0x002;
const COMMAND_MASTER = 0x004;
const COMMAND_INTX_DISABLE = 0x400;
/** Writable bits of the command register: I/O, memory, master, parity, SERR, INTx disable. */
const COMMAND_WRITABLE = 0x0547;
const STATUS_INTERRUPT = 0x0008;
const STATUS_CAPABILITIES = 0x0010;

const MSI_ENABLE = 0x0001;
const MSI_64_BIT = 0x0080;
const MSI_MASKING = 0x0100;

/** Message control of MSI-X: enable, and mask of all vectors. */
const MSIX_ENABLE = 0x8000;
const MSIX_MASK_ALL = 0x4000;

/** Physical addresses are 52 bits wide at most. */
const ADDRESS_LIMIT = 2 ** 52;

export interface PciIdentity {
  readonly vendor: number;
  readonly device: number;
  /** Base class, subclass and programming interface: 0x060000 is a host bridge. */
  readonly classCode: number;
  readonly revision?: number;
  readonly subsystemVendor?: number;
  readonly subsystem?: number;
  /** Bit 7 marks a device of several functions. */
  readonly headerType?: number;
}

/** A base address register: its size, kind and what it maps. */
export interface Bar {
  readonly index: number;
  readonly size: number;
  readonly kind: "io" | "memory" | "memory64";
  readonly region: PortRegion | MmioRegion;
}

interface MsiCapability {
  readonly offset: number;
  readonly vectors: number;
  readonly masking: boolean;
}

/**
 * A PCI function with a type 0 header (PCI Local Bus Specification 3.0, chapter 6): configuration space with write masks, base
 * address registers that size and move, INTx, 64-bit MSI and MSI-X. Subclasses add their registers by BAR handlers.
 */
export class PciDevice implements Device {
  protected readonly config = new Uint8Array(256);
  /** Bits the guest may write. */
  protected readonly writable = new Uint8Array(256);
  private readonly bars: Bar[] = [];
  private msi: MsiCapability | undefined;
  private msix: { readonly offset: number; readonly table: MsixTable } | undefined;
  private lastCapability = 0;
  private powerOn: Uint8Array | undefined;
  private intxRequest = false;
  private intxLevel = false;
  /** Drives the bus's INTx wire of this device's pin; set when the device is plugged in. */
  private intx: (level: boolean) => void = () => undefined;

  constructor(
    protected readonly context: DeviceContext,
    readonly name: string,
    identity: PciIdentity,
  ) {
    this.put16(0x00, identity.vendor);
    this.put16(0x02, identity.device);
    this.config[0x08] = identity.revision ?? 0;
    this.config[0x09] = identity.classCode & 0xff;
    this.config[0x0a] = (identity.classCode >> 8) & 0xff;
    this.config[0x0b] = (identity.classCode >> 16) & 0xff;
    this.config[0x0e] = identity.headerType ?? 0;
    this.put16(0x2c, identity.subsystemVendor ?? 0);
    this.put16(0x2e, identity.subsystem ?? 0);
    this.writable[PCI_COMMAND] = COMMAND_WRITABLE & 0xff;
    this.writable[PCI_COMMAND + 1] = COMMAND_WRITABLE >> 8;
    this.writable[0x0c] = 0xff;
    this.writable[PCI_INTERRUPT_LINE] = 0xff;
  }

  protected get16(offset: number): number {
    return this.config[offset] | (this.config[offset + 1] << 8);
  }

  protected get32(offset: number): number {
    return (this.get16(offset) | (this.get16(offset + 2) << 16)) >>> 0;
  }

  protected put16(offset: number, value: number): void {
    this.config[offset] = value & 0xff;
    this.config[offset + 1] = (value >> 8) & 0xff;
  }

  protected put32(offset: number, value: number): void {
    this.put16(offset, value & 0xffff);
    this.put16(offset + 2, value >>> 16);
  }

  // What subclasses build themselves from.

  private barMask(index: number, size: number, flags: number): void {
    assert(size >= 16 && (size & (size - 1)) === 0, `size ${size} of BAR ${index} of ${this.name} is no power of two`);
    const offset = PCI_BAR0 + index * 4;
    const mask = ~(size - 1) >>> 0;
    for (let byte = 0; byte < 4; byte++) this.writable[offset + byte] = (mask >>> (byte * 8)) & 0xff;
    this.config[offset] = flags;
  }

  protected addMemoryBar(
    index: number,
    size: number,
    handler: MmioHandler,
    options: { wide?: boolean; prefetchable?: boolean; video?: boolean } = {},
  ): void {
    this.barMask(index, size, (options.wide ? 0x04 : 0) | (options.prefetchable ? 0x08 : 0));
    if (options.wide) this.writable.fill(0xff, PCI_BAR0 + index * 4 + 4, PCI_BAR0 + index * 4 + 8);
    // Below the local APIC and other fixed regions, wherever the guest moves it.
    const region = this.context.mapMmio(`${this.name}.bar${index}`, 0, size, handler, -1, options.video ?? false);
    region.setEnabled(false);
    this.bars.push({ index, size, kind: options.wide ? "memory64" : "memory", region });
  }

  protected addIoBar(index: number, size: number, handler: PortHandler): void {
    this.barMask(index, size, 0x01);
    const region = this.context.mapPorts(`${this.name}.bar${index}`, 0, size, handler);
    region.setEnabled(false);
    this.bars.push({ index, size, kind: "io", region });
  }

  /** Reserves `length` bytes at `offset` for capability `id` and links it. */
  protected addCapability(id: number, offset: number): void {
    this.config[offset] = id;
    this.config[offset + 1] = 0;
    this.config[this.lastCapability === 0 ? PCI_CAPABILITIES : this.lastCapability + 1] = offset;
    this.lastCapability = offset;
    this.config[PCI_STATUS] |= STATUS_CAPABILITIES;
  }

  /** An MSI capability with 64-bit address; `vectors` is a power of two up to 32. */
  protected addMsi(offset: number, vectors: number, masking: boolean): void {
    this.addCapability(0x05, offset);
    this.put16(offset + 2, MSI_64_BIT | (masking ? MSI_MASKING : 0) | (Math.log2(vectors) << 1));
    this.writable[offset + 2] = 0x71;
    this.writable.fill(0xff, offset + 4, offset + 14);
    this.writable[offset + 4] = 0xfc;
    if (masking) {
      const mask = vectors === 32 ? 0xffffffff : (1 << vectors) - 1;
      for (let byte = 0; byte < 4; byte++) this.writable[offset + 16 + byte] = (mask >>> (byte * 8)) & 0xff;
    }
    this.msi = { offset, vectors, masking };
  }

  /** An MSI-X capability of 1 to 128 vectors, whose table and pending bits fill memory BAR `bar`, 4 KiB. */
  protected addMsix(offset: number, vectors: number, bar: number, wide = false): void {
    assert(vectors >= 1 && vectors <= MSIX_MAX_VECTORS, `${vectors} MSI-X vectors`);
    this.addCapability(0x11, offset);
    this.put16(offset + 2, vectors - 1);
    this.writable[offset + 3] = (MSIX_ENABLE | MSIX_MASK_ALL) >> 8;
    this.put32(offset + 4, bar);
    this.put32(offset + 8, MSIX_PBA_OFFSET | bar);
    const table = new MsixTable(
      vectors,
      (address, data) => this.sendMessage(address, data),
      () => (this.get16(offset + 2) & (MSIX_ENABLE | MSIX_MASK_ALL)) !== MSIX_ENABLE,
    );
    this.addMemoryBar(
      bar,
      MSIX_BAR_BYTES,
      {
        read: (at, size) => table.read(at, size),
        write: (at, size, value) => table.write(at, size, value),
      },
      { wide },
    );
    this.msix = { offset, table };
  }

  /** INTA# to INTD# is 1 to 4; 0 for a device without. */
  protected setInterruptPin(pin: number): void {
    this.config[PCI_INTERRUPT_PIN] = pin;
  }

  get interruptPin(): number {
    return this.config[PCI_INTERRUPT_PIN];
  }

  /** For the bus: connects the INTx wire. */
  connectIntx(line: (level: boolean) => void): void {
    this.intx = line;
  }

  get barList(): readonly Bar[] {
    return this.bars;
  }

  /** Called after the guest wrote configuration bytes [offset, offset + size), for registers of a subclass. */
  protected configWritten(_offset: number, _size: number): void {}

  // The guest's side.

  readConfig(offset: number, size: 1 | 2 | 4): number {
    let value = 0;
    for (let byte = 0; byte < size; byte++) value |= (offset + byte < 256 ? this.config[offset + byte] : 0xff) << (byte * 8);
    return value >>> 0;
  }

  writeConfig(offset: number, size: 1 | 2 | 4, value: number): void {
    for (let byte = 0; byte < size && offset + byte < 256; byte++) {
      const mask = this.writable[offset + byte];
      const bits = (value >>> (byte * 8)) & 0xff;
      this.config[offset + byte] = (this.config[offset + byte] & ~mask) | (bits & mask);
    }
    const touches = (first: number, count: number): boolean => offset < first + count && offset + size > first;
    if (touches(PCI_COMMAND, 2)) this.updateIntx();
    if (touches(PCI_COMMAND, 2) || touches(PCI_BAR0, 24)) this.updateBars();
    if (this.msi !== undefined && touches(this.msi.offset, 24)) {
      this.msiChanged();
      this.updateIntx();
    }
    if (this.msix !== undefined && touches(this.msix.offset, 4)) {
      if (this.msixEnabled) this.msix.table.changed();
      this.updateIntx();
    }
    this.configWritten(offset, size);
  }

  /** Where BAR `bar` decodes now, or undefined: disabled, unset, or in the middle of sizing. */
  barAddress(bar: Bar): number | undefined {
    const command = this.get16(PCI_COMMAND);
    const low = this.get32(PCI_BAR0 + bar.index * 4);
    if (bar.kind === "io") {
      const base = (low & ~3) >>> 0;
      return command & COMMAND_IO && base !== 0 && base + bar.size <= 0x10000 ? base : undefined;
    }
    if (!(command & COMMAND_MEMORY)) return undefined;
    const high = bar.kind === "memory64" ? this.get32(PCI_BAR0 + bar.index * 4 + 4) : 0;
    const base = high * 2 ** 32 + ((low & ~15) >>> 0);
    const limit = high === 0 ? 2 ** 32 - 1 : ADDRESS_LIMIT;
    return base !== 0 && base + bar.size <= limit ? base : undefined;
  }

  private updateBars(): void {
    for (const bar of this.bars) {
      const address = this.barAddress(bar);
      if (address !== undefined) bar.region.move(address);
      bar.region.setEnabled(address !== undefined);
    }
  }

  /** True while the device may write to memory: DMA and MSI. */
  get busMaster(): boolean {
    return (this.get16(PCI_COMMAND) & COMMAND_MASTER) !== 0;
  }

  get msiEnabled(): boolean {
    return this.msi !== undefined && (this.get16(this.msi.offset + 2) & MSI_ENABLE) !== 0;
  }

  /**
   * Sends message `vector` (0 to vectors - 1), folded into what the guest allocated. Held as pending while masked. An MSI is a
   * write by the device: without bus mastering nothing is sent.
   * @returns true if the message was written.
   */
  raiseMsi(vector = 0): boolean {
    const msi = this.msi;
    if (msi === undefined || !this.msiEnabled) return false;
    const allocated = Math.min(msi.vectors, 1 << ((this.config[msi.offset + 2] >> 4) & 7));
    const index = vector & (allocated - 1);
    if (msi.masking && this.get32(msi.offset + 16) & (1 << index)) {
      this.put32(msi.offset + 20, (this.get32(msi.offset + 20) | (1 << index)) >>> 0);
      return false;
    }
    const address = this.get32(msi.offset + 8) * 2 ** 32 + this.get32(msi.offset + 4);
    return this.sendMessage(address, (this.get16(msi.offset + 12) & ~(allocated - 1)) | index);
  }

  get msixEnabled(): boolean {
    return this.msix !== undefined && (this.get16(this.msix.offset + 2) & MSIX_ENABLE) !== 0;
  }

  /**
   * Sends MSI-X message `vector`, or holds it as pending while it or the function is masked. Vectors that do not exist are ignored, as a guest may have
   * asked for them.
   * @returns true if the message was written.
   */
  raiseMsix(vector: number): boolean {
    const { msix } = this;
    if (msix === undefined || !this.msixEnabled || vector >= msix.table.vectors) return false;
    return msix.table.raise(vector);
  }

  /** A message is a write by the device: without bus mastering it is lost. */
  private sendMessage(address: number, data: number): boolean {
    if (!this.busMaster || address >= ADDRESS_LIMIT) return false;
    this.context.memory.write32(address, data);
    return true;
  }

  /** Sends what was pending and is no longer masked. */
  private msiChanged(): void {
    const msi = this.msi;
    if (msi === undefined || !msi.masking || !this.msiEnabled) return;
    const ready = this.get32(msi.offset + 20) & ~this.get32(msi.offset + 16);
    for (let vector = 0; vector < msi.vectors; vector++) {
      if (!(ready & (1 << vector))) continue;
      this.put32(msi.offset + 20, (this.get32(msi.offset + 20) & ~(1 << vector)) >>> 0);
      this.raiseMsi(vector);
    }
  }

  /** Level of the device's interrupt request on INTx; held back by the command register's disable bit and by MSI. */
  setIntx(level: boolean): void {
    this.intxRequest = level;
    this.config[PCI_STATUS] = (this.config[PCI_STATUS] & ~STATUS_INTERRUPT) | (level ? STATUS_INTERRUPT : 0);
    this.updateIntx();
  }

  private updateIntx(): void {
    const level = this.intxRequest && !(this.get16(PCI_COMMAND) & COMMAND_INTX_DISABLE) && !this.msiEnabled && !this.msixEnabled;
    if (level === this.intxLevel) return;
    this.intxLevel = level;
    this.intx(level);
  }

  /** Bus reset: configuration as built, BARs unset and disabled. */
  reset(): void {
    if (this.powerOn === undefined) this.powerOn = this.config.slice();
    this.config.set(this.powerOn);
    this.msix?.table.reset();
    this.intxRequest = false;
    this.updateIntx();
    this.updateBars();
  }

  /** State of the subclass, saved along. */
  protected saveMore(): State {
    return null;
  }

  protected restoreMore(_state: State): void {}

  save(): State {
    return {
      config: this.config.slice(),
      request: this.intxRequest,
      level: this.intxLevel,
      msix: this.msix?.table.save() ?? null,
      more: this.saveMore(),
    };
  }

  restore(state: State): void {
    const reader = new StateReader(state, this.name);
    if (this.powerOn === undefined) this.powerOn = this.config.slice();
    this.config.set(reader.bytes("config", 256));
    this.intxRequest = reader.boolean("request");
    this.intxLevel = reader.boolean("level");
    this.msix?.table.restore(reader.raw("msix"), this.name);
    this.restoreMore(reader.raw("more"));
    this.updateBars();
  }

  messages(): readonly MessageView[] {
    const views: MessageView[] = [];
    const { msi, msix } = this;
    if (msi !== undefined && this.msiEnabled) {
      const allocated = Math.min(msi.vectors, 1 << ((this.config[msi.offset + 2] >> 4) & 7));
      const address = this.get32(msi.offset + 8) * 2 ** 32 + this.get32(msi.offset + 4);
      const data = this.get16(msi.offset + 12) & ~(allocated - 1);
      const [mask, pending] = msi.masking ? [this.get32(msi.offset + 16), this.get32(msi.offset + 20)] : [0, 0];
      for (let index = 0; index < allocated; index++) {
        const bit = 1 << index;
        views.push({ name: `MSI ${index}`, address, data: data | index, masked: (mask & bit) !== 0, pending: (pending & bit) !== 0 });
      }
    }
    if (msix !== undefined && this.msixEnabled) views.push(...msix.table.messages());
    return views;
  }

  registers(): readonly RegisterView[] {
    const word = (name: string, offset: number): RegisterView => ({ name, value: BigInt(this.get16(offset)), bits: 16 });
    const views: RegisterView[] = [word("vendor", 0), word("device", 2), word("command", PCI_COMMAND), word("status", PCI_STATUS)];
    for (const bar of this.bars) {
      const address = this.barAddress(bar);
      views.push({
        name: `BAR${bar.index}`,
        value: BigInt(this.get32(PCI_BAR0 + bar.index * 4)),
        bits: 32,
        text: address === undefined ? "not decoded" : `${bar.kind} at 0x${address.toString(16)}, ${bar.size} bytes`,
      });
    }
    if (this.msi !== undefined) {
      const { offset, masking } = this.msi;
      views.push({ ...word("MSI control", offset + 2), text: this.msiEnabled ? "enabled" : "disabled" });
      const address = (BigInt(this.get32(offset + 8)) << 32n) | BigInt(this.get32(offset + 4));
      views.push({ name: "MSI address", value: address, bits: 64 }, word("MSI data", offset + 12));
      if (masking) {
        views.push({ name: "MSI mask", value: BigInt(this.get32(offset + 16)), bits: 32 });
        views.push({ name: "MSI pending", value: BigInt(this.get32(offset + 20)), bits: 32 });
      }
    }
    if (this.msix !== undefined) {
      views.push({ ...word("MSI-X control", this.msix.offset + 2), text: this.msixEnabled ? "enabled" : "disabled" });
      views.push(...this.msix.table.registers());
    }
    return views;
  }
}
