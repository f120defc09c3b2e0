import type { State } from "../../common/state";
import type { DmaMemory } from "../device";
import type { StateReader } from "../stateReader";

/** Largest queue a device offers: a power of two. */
export const QUEUE_SIZE = 256;
/** Bytes a chain may describe in all; a longer one is taken for a broken driver. */
export const CHAIN_LIMIT = 16 << 20;
/** Physical addresses are 52 bits wide at most. */
const ADDRESS_LIMIT = 2 ** 52;

const DESCRIPTOR_NEXT = 1;
const DESCRIPTOR_WRITE = 2;
const DESCRIPTOR_INDIRECT = 4;
const DESCRIPTOR_BYTES = 16;
const AVAILABLE_NO_INTERRUPT = 1;

/** A piece of guest memory that a descriptor names. */
export interface Segment {
  readonly address: number;
  readonly length: number;
}

/** A descriptor chain: what the device may read, then what it may write. */
export interface Chain {
  readonly head: number;
  readonly readable: readonly Segment[];
  readonly writable: readonly Segment[];
  readonly readableBytes: number;
  readonly writableBytes: number;
}

/** The driver broke the rules of the ring: the device stops and asks to be reset. */
export class BrokenRing extends Error {}

/**
 * A split virtqueue (virtio 1.2, 2.7) with indirect descriptors and event indexes. The guest's rings are not trusted: chains are bounded by the queue's size
 * and by {@link CHAIN_LIMIT}, addresses by the physical address space; what does not fit throws a {@link BrokenRing}, which the transport turns into
 * DEVICE_NEEDS_RESET.
 */
export class Virtqueue {
  /** Guest-physical addresses of descriptor table, driver area (available ring) and device area (used ring). */
  descriptors = 0n;
  driver = 0n;
  device = 0n;
  size = QUEUE_SIZE;
  enabled = false;
  /** MSI-X vector, 0xffff for none. */
  vector = 0xffff;
  /** Set by the transport from the negotiated features. */
  eventIndex = false;
  indirect = false;
  private taken = 0;
  private used = 0;
  /** Value of `used` at which the driver was last told. */
  private told = 0;

  constructor(private readonly memory: DmaMemory) {}

  reset(): void {
    this.descriptors = this.driver = this.device = 0n;
    this.size = QUEUE_SIZE;
    this.enabled = false;
    this.vector = 0xffff;
    this.eventIndex = this.indirect = false;
    this.taken = this.used = this.told = 0;
  }

  private place(base: bigint, offset: number, length: number): number {
    const address = Number(base) + offset;
    if (!(address + length <= ADDRESS_LIMIT)) throw new BrokenRing(`a ring at 0x${base.toString(16)} lies outside the address space`);
    return address;
  }

  private read16(base: bigint, offset: number): number {
    const bytes = this.memory.read(this.place(base, offset, 2), 2);
    return bytes[0] | (bytes[1] << 8);
  }

  private write16(base: bigint, offset: number, value: number): void {
    this.memory.write(this.place(base, offset, 2), Uint8Array.of(value & 0xff, value >> 8));
  }

  /** Chains that the driver made available and the device has not taken. */
  private get waiting(): number {
    const count = (this.read16(this.driver, 2) - this.taken) & 0xffff;
    if (count > this.size) throw new BrokenRing(`${count} chains are available in a queue of ${this.size}`);
    return count;
  }

  /** Takes the next available chain's head; undefined when there is none, and then the driver is asked to tell of new ones. */
  take(): number | undefined {
    if (!this.enabled) return undefined;
    if (this.waiting === 0) {
      if (!this.eventIndex) return undefined;
      this.write16(this.device, 4 + 8 * this.size, this.taken);
      // The driver may have added one before it saw that.
      if (this.waiting === 0) return undefined;
    }
    const head = this.read16(this.driver, 4 + 2 * (this.taken % this.size));
    if (head >= this.size) throw new BrokenRing(`chain head ${head} in a queue of ${this.size}`);
    this.taken = (this.taken + 1) & 0xffff;
    return head;
  }

  /** Follows the chain from descriptor `head`. */
  chain(head: number): Chain {
    const readable: Segment[] = [];
    const writable: Segment[] = [];
    let readableBytes = 0;
    let writableBytes = 0;
    let base = this.descriptors;
    let count = this.size;
    let index = head;
    let inside = false;
    for (let seen = 0; ; seen++) {
      if (seen >= count) throw new BrokenRing("a chain does not end");
      if (index >= count) throw new BrokenRing(`descriptor ${index} of ${count}`);
      const view = this.descriptor(base, index);
      const length = view.getUint32(8, true);
      const flags = view.getUint16(12, true);
      if (flags & DESCRIPTOR_INDIRECT) {
        const entries = length / DESCRIPTOR_BYTES;
        const allowed = this.indirect && !inside && !(flags & DESCRIPTOR_NEXT) && Number.isInteger(entries);
        if (!allowed || entries < 1 || entries > this.size) throw new BrokenRing(`an indirect table of ${length} bytes where none may be`);
        base = view.getBigUint64(0, true);
        count = entries;
        index = 0;
        seen = -1;
        inside = true;
        continue;
      }
      const segment = { address: this.place(view.getBigUint64(0, true), 0, length), length };
      if (flags & DESCRIPTOR_WRITE) {
        writable.push(segment);
        writableBytes += length;
      } else {
        if (writable.length > 0) throw new BrokenRing("a readable descriptor follows a writable one");
        readable.push(segment);
        readableBytes += length;
      }
      if (readableBytes + writableBytes > CHAIN_LIMIT) throw new BrokenRing(`a chain of more than ${CHAIN_LIMIT} bytes`);
      if (!(flags & DESCRIPTOR_NEXT)) return { head, readable, writable, readableBytes, writableBytes };
      index = view.getUint16(14, true);
    }
  }

  private descriptor(table: bigint, index: number): DataView {
    const bytes = this.memory.read(this.place(table, index * DESCRIPTOR_BYTES, DESCRIPTOR_BYTES), DESCRIPTOR_BYTES);
    return new DataView(bytes.buffer, bytes.byteOffset, DESCRIPTOR_BYTES);
  }

  /** Gives the chain back, with `written` bytes in its writable part. */
  give(head: number, written: number): void {
    const entry = new Uint8Array(8);
    const view = new DataView(entry.buffer);
    view.setUint32(0, head, true);
    view.setUint32(4, written, true);
    this.memory.write(this.place(this.device, 4 + 8 * (this.used % this.size), 8), entry);
    this.used = (this.used + 1) & 0xffff;
    this.write16(this.device, 2, this.used);
  }

  /** Whether the driver wants to be told of what was given back since the last call (virtio 1.2, 2.7.7). */
  wantsInterrupt(): boolean {
    const since = (this.used - this.told) & 0xffff;
    if (since === 0) return false;
    const before = this.told;
    this.told = this.used;
    if (!this.eventIndex) return (this.read16(this.driver, 0) & AVAILABLE_NO_INTERRUPT) === 0;
    const event = this.read16(this.driver, 4 + 2 * this.size);
    return ((this.used - event - 1) & 0xffff) < ((this.used - before) & 0xffff);
  }

  /** The bytes [from, from + length) of the chain's readable part, as many as there are. */
  gather(chain: Chain, from: number, length: number): Uint8Array {
    const bytes = new Uint8Array(Math.max(0, Math.min(length, chain.readableBytes - from)));
    let at = 0;
    for (const segment of chain.readable) {
      const first = Math.max(from, at);
      const last = Math.min(from + bytes.length, at + segment.length);
      if (first < last) bytes.set(this.memory.read(segment.address + first - at, last - first), first - from);
      at += segment.length;
    }
    return bytes;
  }

  /** Writes `bytes` into the chain's writable part from byte `from` on; returns how many found room. */
  scatter(chain: Chain, from: number, bytes: Uint8Array): number {
    let at = 0;
    let done = 0;
    for (const segment of chain.writable) {
      const first = Math.max(from, at);
      const last = Math.min(from + bytes.length, at + segment.length);
      if (first < last) {
        this.memory.write(segment.address + first - at, bytes.subarray(first - from, last - from));
        done += last - first;
      }
      at += segment.length;
    }
    return done;
  }

  save(): State {
    return {
      descriptors: this.descriptors,
      driver: this.driver,
      device: this.device,
      size: this.size,
      enabled: this.enabled,
      vector: this.vector,
      taken: this.taken,
      used: this.used,
      told: this.told,
    };
  }

  restore(reader: StateReader): void {
    this.descriptors = reader.bigint("descriptors");
    this.driver = reader.bigint("driver");
    this.device = reader.bigint("device");
    this.size = reader.number("size");
    this.enabled = reader.boolean("enabled");
    this.vector = reader.number("vector");
    this.taken = reader.number("taken");
    this.used = reader.number("used");
    this.told = reader.number("told");
  }

  /** One line for inspection. */
  describe(): string {
    if (!this.enabled) return "disabled";
    return `${this.size} descriptors at 0x${this.descriptors.toString(16)}, taken ${this.taken}, given back ${this.used}`;
  }
}
