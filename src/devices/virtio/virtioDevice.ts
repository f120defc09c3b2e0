import type { State } from "../../common/state";
import type { DeviceContext, RegisterView } from "../device";
import { PciDevice } from "../pciDevice";
import { StateReader } from "../stateReader";
import { BrokenRing, QUEUE_SIZE, Virtqueue } from "./virtqueue";

const VENDOR = 0x1af4;
/** PCI device ids of virtio 1.x devices start here: 0x1040 + type. */
const MODERN_DEVICE = 0x1040;

const STATUS_DRIVER_OK = 4;
const STATUS_FEATURES_OK = 8;
const STATUS_NEEDS_RESET = 64;

export const FEATURE_INDIRECT = 1n << 28n;
export const FEATURE_EVENT_INDEX = 1n << 29n;
export const FEATURE_VERSION_1 = 1n << 32n;
const COMMON_FEATURES = FEATURE_INDIRECT | FEATURE_EVENT_INDEX | FEATURE_VERSION_1;

/** Parts of BAR 4, which hold the structures that the capabilities name (virtio 1.2, 4.1.4). */
const BAR_BYTES = 0x4000;
const COMMON = 0x0000;
const COMMON_BYTES = 0x38;
const ISR = 0x1000;
const DEVICE = 0x2000;
const NOTIFY = 0x3000;
const PART = 0x1000;
/** A queue's notification address is its number times this. */
const NOTIFY_MULTIPLIER = 4;

const CAP_COMMON = 0x40;
const CAP_NOTIFY = 0x50;
const CAP_ISR = 0x64;
const CAP_DEVICE = 0x74;
const CAP_WINDOW = 0x84;
const CAP_MSIX = 0x98;

const ISR_QUEUE = 1;
const ISR_CONFIGURATION = 2;
const NO_VECTOR = 0xffff;

export interface VirtioIdentity {
  /** Device type as virtio numbers them: 2 block, 3 console, 4 entropy. */
  readonly type: number;
  readonly classCode: number;
  readonly queues: number;
  /** Feature bits of the device's type that are offered. */
  readonly features?: bigint;
  /** Bytes of the device-specific configuration. */
  readonly configuration?: number;
}

/**
 * A virtio 1.2 device on PCI, modern only (4.1): common configuration, notification, ISR and device configuration in the 64-bit BAR 4, the configuration access
 * window, MSI-X in BAR 1, else INTA#. Subclasses do what their queues are for. A driver that breaks the rules of a ring gets DEVICE_NEEDS_RESET.
 */
export abstract class VirtioDevice extends PciDevice {
  protected readonly queues: readonly Virtqueue[];
  protected readonly deviceConfiguration: Uint8Array;
  private readonly offered: bigint;
  private accepted = 0n;
  private deviceSelect = 0;
  private driverSelect = 0;
  private status = 0;
  private queueSelect = 0;
  private configurationVector = NO_VECTOR;
  private generation = 0;
  private isr = 0;

  constructor(context: DeviceContext, name: string, identity: VirtioIdentity) {
    super(context, name, {
      vendor: VENDOR,
      device: MODERN_DEVICE + identity.type,
      classCode: identity.classCode,
      revision: 1,
      subsystemVendor: VENDOR,
      subsystem: 0x1100,
    });
    this.queues = Array.from({ length: identity.queues }, () => new Virtqueue(context.memory));
    this.deviceConfiguration = new Uint8Array(identity.configuration ?? 0);
    this.offered = COMMON_FEATURES | (identity.features ?? 0n);
    this.setInterruptPin(1);
    this.addVirtioCapability(CAP_COMMON, 16, 1, COMMON, COMMON_BYTES);
    this.addVirtioCapability(CAP_NOTIFY, 20, 2, NOTIFY, identity.queues * NOTIFY_MULTIPLIER);
    this.put32(CAP_NOTIFY + 16, NOTIFY_MULTIPLIER);
    this.addVirtioCapability(CAP_ISR, 16, 3, ISR, 1);
    this.addVirtioCapability(CAP_DEVICE, 16, 4, DEVICE, Math.max(4, this.deviceConfiguration.length));
    this.addVirtioCapability(CAP_WINDOW, 20, 5, 0, 0);
    // The window: BAR, offset, length and data.
    this.writable[CAP_WINDOW + 4] = 0xff;
    this.writable.fill(0xff, CAP_WINDOW + 8, CAP_WINDOW + 20);
    this.addMsix(CAP_MSIX, identity.queues + 1, 1);
    this.addMemoryBar(
      4,
      BAR_BYTES,
      {
        read: (offset, size) => this.readBar(offset, size),
        write: (offset, size, value) => this.writeBar(offset, size, value),
      },
      { wide: true, prefetchable: true },
    );
  }

  private addVirtioCapability(at: number, length: number, type: number, offset: number, size: number): void {
    this.addCapability(0x09, at);
    this.config[at + 2] = length;
    this.config[at + 3] = type;
    this.config[at + 4] = 4;
    this.put32(at + 8, offset);
    this.put32(at + 12, size);
  }

  /** The driver told of new chains in queue `index`; called only between DRIVER_OK and a reset. May throw a {@link BrokenRing}. */
  protected abstract notified(index: number): void;

  /** The driver wrote the device-specific configuration. */
  protected configurationWritten(_offset: number, _size: number): void {}

  /** The driver reset the device: what the subclass was doing for it is over. */
  protected abstract deviceReset(): void;

  // What subclasses work with.

  /** True while the driver lets the device run. */
  protected get live(): boolean {
    return (this.status & (STATUS_DRIVER_OK | STATUS_NEEDS_RESET)) === STATUS_DRIVER_OK && this.busMaster;
  }

  protected accepts(feature: bigint): boolean {
    return (this.accepted & feature) !== 0n;
  }

  /** Runs `work` on the rings; a broken one stops the device until the driver resets it. */
  protected guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof BrokenRing)) throw error;
      this.status |= STATUS_NEEDS_RESET;
      this.interrupt(ISR_CONFIGURATION, this.configurationVector);
    }
  }

  /** Tells the driver of chains given back in `queue`, if it wants to know. */
  protected tell(queue: Virtqueue): void {
    if (queue.wantsInterrupt()) this.interrupt(ISR_QUEUE, queue.vector);
  }

  private interrupt(cause: number, vector: number): void {
    if (this.msixEnabled) {
      if (vector !== NO_VECTOR) this.raiseMsix(vector);
      return;
    }
    this.isr |= cause;
    this.setIntx(true);
  }

  // BAR 4

  private readBar(offset: number, size: number): bigint {
    let value = 0n;
    if (offset >= ISR && offset < ISR + PART) return offset === ISR ? this.takeIsr() : 0n;
    const part =
      offset < COMMON + COMMON_BYTES
        ? this.commonImage()
        : offset >= DEVICE && offset < DEVICE + PART
          ? this.deviceConfiguration
          : undefined;
    const at = offset & (PART - 1);
    for (let byte = size - 1; byte >= 0; byte--) value = (value << 8n) | BigInt(part?.[at + byte] ?? 0);
    return value;
  }

  private takeIsr(): bigint {
    const value = this.isr;
    this.isr = 0;
    this.setIntx(false);
    return BigInt(value);
  }

  /** The common configuration structure as it reads now (4.1.4.3). */
  private commonImage(): Uint8Array {
    const bytes = new Uint8Array(COMMON_BYTES);
    const view = new DataView(bytes.buffer);
    const half = (bits: bigint, select: number): number => (select > 1 ? 0 : Number((bits >> BigInt(32 * select)) & 0xffffffffn));
    view.setUint32(0, this.deviceSelect, true);
    view.setUint32(4, half(this.offered, this.deviceSelect), true);
    view.setUint32(8, this.driverSelect, true);
    view.setUint32(12, half(this.accepted, this.driverSelect), true);
    view.setUint16(16, this.configurationVector, true);
    view.setUint16(18, this.queues.length, true);
    bytes[20] = this.status;
    bytes[21] = this.generation;
    view.setUint16(22, this.queueSelect, true);
    const queue = this.queues.at(this.queueSelect);
    if (queue === undefined) {
      view.setUint16(26, NO_VECTOR, true);
      return bytes;
    }
    view.setUint16(24, queue.size, true);
    view.setUint16(26, queue.vector, true);
    view.setUint16(28, queue.enabled ? 1 : 0, true);
    view.setUint16(30, this.queueSelect, true);
    view.setBigUint64(32, queue.descriptors, true);
    view.setBigUint64(40, queue.driver, true);
    view.setBigUint64(48, queue.device, true);
    return bytes;
  }

  private writeBar(offset: number, size: number, value: bigint): void {
    if (offset < COMMON + COMMON_BYTES) {
      // Fields are accessed at their own width; the 64-bit ones in halves as well (4.1.3.1).
      if (size === 8) {
        this.writeCommon(offset, 4, Number(value & 0xffffffffn));
        this.writeCommon(offset + 4, 4, Number(value >> 32n));
      } else this.writeCommon(offset, size, Number(value));
    } else if (offset >= NOTIFY) {
      const index = Math.floor((offset - NOTIFY) / NOTIFY_MULTIPLIER);
      if (index < this.queues.length && this.live) this.guarded(() => this.notified(index));
    } else if (offset >= DEVICE) {
      const at = offset - DEVICE;
      if (at + size > this.deviceConfiguration.length) return;
      for (let byte = 0; byte < size; byte++) this.deviceConfiguration[at + byte] = Number((value >> BigInt(8 * byte)) & 0xffn);
      this.configurationWritten(at, size);
    }
  }

  private writeCommon(offset: number, size: number, value: number): void {
    const queue = this.queues.at(this.queueSelect);
    const vector = value < this.queues.length + 1 ? value : NO_VECTOR;
    switch (offset * 16 + size) {
      case 0x004:
        this.deviceSelect = value;
        break;
      case 0x084:
        this.driverSelect = value;
        break;
      case 0x0c4:
        if (this.driverSelect < 2 && !(this.status & STATUS_FEATURES_OK)) {
          const shift = BigInt(32 * this.driverSelect);
          this.accepted = (this.accepted & ~(0xffffffffn << shift)) | (BigInt(value) << shift);
        }
        break;
      case 0x102:
        this.configurationVector = vector;
        break;
      case 0x141:
        this.writeStatus(value);
        break;
      case 0x162:
        this.queueSelect = value;
        break;
      default:
        if (queue !== undefined) this.writeQueue(queue, offset, size, value, vector);
        break;
    }
  }

  private writeQueue(queue: Virtqueue, offset: number, size: number, value: number, vector: number): void {
    if (offset === 26 && size === 2) queue.vector = vector;
    // The rest belongs to the device once the queue is enabled.
    if (queue.enabled) return;
    if (offset === 24 && size === 2) {
      // A power of two that the device offers.
      if (value > 0 && value <= QUEUE_SIZE && (value & (value - 1)) === 0) queue.size = value;
    } else if (offset === 28 && size === 2) queue.enabled = value === 1;
    else if (size === 4) {
      const low = offset % 8 === 0;
      const put = (old: bigint): bigint => (low ? (old & ~0xffffffffn) | BigInt(value) : (old & 0xffffffffn) | (BigInt(value) << 32n));
      if (offset === 32 || offset === 36) queue.descriptors = put(queue.descriptors);
      else if (offset === 40 || offset === 44) queue.driver = put(queue.driver);
      else if (offset === 48 || offset === 52) queue.device = put(queue.device);
    }
  }

  private writeStatus(value: number): void {
    if (value === 0) return this.virtioReset();
    // Bits are only ever added; features are looked at when the driver says that it is done with them.
    let next = this.status | (value & 0x8f);
    if (next & ~this.status & STATUS_FEATURES_OK) {
      const possible = (this.accepted & ~this.offered) === 0n && (this.accepted & FEATURE_VERSION_1) !== 0n;
      if (!possible) next &= ~STATUS_FEATURES_OK;
    }
    this.status = next;
    this.applyFeatures();
  }

  private applyFeatures(): void {
    for (const queue of this.queues) {
      queue.eventIndex = this.accepts(FEATURE_EVENT_INDEX);
      queue.indirect = this.accepts(FEATURE_INDIRECT);
    }
  }

  private virtioReset(): void {
    this.status = 0;
    this.accepted = 0n;
    this.configurationVector = NO_VECTOR;
    this.queueSelect = this.deviceSelect = this.driverSelect = 0;
    this.isr = 0;
    this.setIntx(false);
    for (const queue of this.queues) queue.reset();
    this.deviceReset();
  }

  // The window for configuration accesses to BAR 4 (4.1.4.9), for firmware that does not map it.

  override readConfig(offset: number, size: 1 | 2 | 4): number {
    if (offset >= CAP_WINDOW + 16 && offset < CAP_WINDOW + 20) {
      const at = this.windowOffset();
      return at === undefined ? 0 : Number(BigInt.asUintN(8 * size, this.readBar(at + offset - CAP_WINDOW - 16, size)));
    }
    return super.readConfig(offset, size);
  }

  override writeConfig(offset: number, size: 1 | 2 | 4, value: number): void {
    super.writeConfig(offset, size, value);
    if (offset !== CAP_WINDOW + 16) return;
    const at = this.windowOffset();
    if (at !== undefined && size === this.get32(CAP_WINDOW + 12))
      this.writeBar(at, size, BigInt(value >>> 0) & ((1n << BigInt(8 * size)) - 1n));
  }

  private windowOffset(): number | undefined {
    const offset = this.get32(CAP_WINDOW + 8);
    const length = this.get32(CAP_WINDOW + 12);
    const fits = this.config[CAP_WINDOW + 4] === 4 && (length === 1 || length === 2 || length === 4) && offset % length === 0;
    return fits && offset + length <= BAR_BYTES ? offset : undefined;
  }

  override reset(): void {
    super.reset();
    this.virtioReset();
  }

  /** State of the device's own, saved along. */
  protected abstract saveDevice(): State;
  protected abstract restoreDevice(reader: StateReader): void;

  protected override saveMore(): State {
    return {
      accepted: this.accepted,
      deviceSelect: this.deviceSelect,
      driverSelect: this.driverSelect,
      status: this.status,
      queueSelect: this.queueSelect,
      configurationVector: this.configurationVector,
      generation: this.generation,
      isr: this.isr,
      configuration: this.deviceConfiguration.slice(),
      queues: this.queues.map((queue) => queue.save()),
      device: this.saveDevice(),
    };
  }

  protected override restoreMore(state: State): void {
    const reader = new StateReader(state, this.name);
    this.accepted = reader.bigint("accepted");
    this.deviceSelect = reader.number("deviceSelect");
    this.driverSelect = reader.number("driverSelect");
    this.status = reader.number("status");
    this.queueSelect = reader.number("queueSelect");
    this.configurationVector = reader.number("configurationVector");
    this.generation = reader.number("generation");
    this.isr = reader.number("isr");
    this.deviceConfiguration.set(reader.bytes("configuration", this.deviceConfiguration.length));
    const queues = reader.list("queues");
    this.queues.forEach((queue, index) => queue.restore(new StateReader(queues[index] ?? null, `${this.name}.queue${index}`)));
    this.applyFeatures();
    this.restoreDevice(reader.child("device"));
  }

  override registers(): readonly RegisterView[] {
    const flags = ["ACKNOWLEDGE", "DRIVER", "DRIVER_OK", "FEATURES_OK", "", "", "DEVICE_NEEDS_RESET", "FAILED"];
    const set = flags.filter((name, bit) => name !== "" && this.status & (1 << bit));
    return [
      ...super.registers(),
      { name: "device status", value: BigInt(this.status), bits: 8, text: set.length === 0 ? "reset" : set.join(", ") },
      { name: "device features", value: this.offered, bits: 64 },
      { name: "driver features", value: this.accepted, bits: 64 },
      { name: "ISR", value: BigInt(this.isr), bits: 8 },
      ...this.queues.map((queue, index) => ({ name: `queue ${index}`, value: queue.descriptors, bits: 64, text: queue.describe() })),
    ];
  }
}
