import assert from "node:assert/strict";
import type { State } from "../../../src/common/state";
import { VirtualClock } from "../../../src/devices/clock";
import type { Clock, DeviceContext, DmaMemory, MmioHandler, MmioRegion, PortHandler, PortRegion } from "../../../src/devices/device";
import { MmioSpace } from "../../../src/devices/mmio";
import { PortSpace } from "../../../src/devices/ports";

export type Random = (below: number) => number;

/** RAM of a fuzzed board. */
export const RAM_BYTES = 0x40000;
/** Physical addresses are 52 bits wide at most. */
const ADDRESS_LIMIT = 2 ** 52;
/** What one access of a guest may cost: bytes moved by DMA, and transfers. */
const STEP_BYTES = 32 << 20;
const STEP_TRANSFERS = 100_000;

/** Guest memory that checks how devices use it: addresses and lengths that exist, and a bound on the work of one step. */
export class GuardedMemory implements DmaMemory {
  readonly bytes = new Uint8Array(RAM_BYTES);
  private moved = 0;
  private transfers = 0;

  constructor(private readonly message: (address: number, value: number) => void) {}

  beginStep(): void {
    this.moved = this.transfers = 0;
  }

  private check(address: number, length: number): void {
    assert.ok(Number.isSafeInteger(address) && address >= 0, `DMA at ${address}`);
    assert.ok(Number.isSafeInteger(length) && length >= 0 && address + length <= ADDRESS_LIMIT, `DMA of ${length} bytes at ${address}`);
    this.moved += length;
    this.transfers++;
    assert.ok(this.moved <= STEP_BYTES, `one access moved ${this.moved} bytes by DMA`);
    assert.ok(this.transfers <= STEP_TRANSFERS, `one access made ${this.transfers} DMA transfers`);
  }

  read(address: number, length: number): Uint8Array {
    this.check(address, length);
    const bytes = new Uint8Array(length).fill(0xff);
    if (address < RAM_BYTES) bytes.set(this.bytes.subarray(address, address + length));
    return bytes;
  }

  write(address: number, bytes: Uint8Array): void {
    this.check(address, bytes.length);
    if (address < RAM_BYTES) this.bytes.set(bytes.subarray(0, RAM_BYTES - address), address);
  }

  write32(address: number, value: number): void {
    this.check(address, 4);
    if (address >= 0xfee00000 && address < 0xfef00000) this.message(address, value);
    else {
      const word = new Uint8Array(4);
      new DataView(word.buffer).setUint32(0, value, true);
      this.write(address, word);
    }
  }
}

/** A range that the subject claimed; accesses go to its handler. */
export interface Claim {
  readonly name: string;
  readonly what:
    | { readonly kind: "ports"; readonly count: number; readonly handler: PortHandler }
    | { readonly kind: "mmio"; readonly size: number; readonly handler: MmioHandler };
  base: number;
  enabled: boolean;
}

/**
 * A board for fuzzing: clock, ports, memory regions and RAM that note what the subject claims and all that it does to the world.
 * What comes out of the subject goes into `seen`, a running checksum by which two runs are compared.
 */
export class FuzzBench implements DeviceContext {
  time = 0;
  seen = 0;
  private readonly claims: Claim[] = [];
  private accessible: readonly Claim[] | undefined;
  readonly ports = new PortSpace();
  readonly mmio = new MmioSpace();
  readonly memory = new GuardedMemory((address, value) => {
    this.note(address);
    this.note(value);
  });
  readonly timers = new VirtualClock(() => this.time);
  readonly clock: Clock = this.timers;

  /** Something left the subject: a value read, a level, a byte. */
  note(value: number): void {
    this.seen = (Math.imul(this.seen ^ (value | 0), 0x01000193) + 0x9e37 + Math.floor(value / 2 ** 32)) | 0;
  }

  /** A wire that notes its levels. */
  line(id: number): (level: boolean) => void {
    return (level) => this.note(id * 2 + (level ? 1 : 0));
  }

  /** The claims that can be accessed, in an order that does not depend on how they came to be. BARs can be whether the guest has placed them or not. */
  get live(): readonly Claim[] {
    this.accessible ??= this.claims
      .filter((claim) => claim.enabled || /\.bar\d$/.test(claim.name))
      .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.base - b.base));
    return this.accessible;
  }

  private claim(claim: Claim, region: PortRegion | MmioRegion): PortRegion & MmioRegion {
    this.claims.push(claim);
    this.accessible = undefined;
    return {
      move: (base) => {
        claim.base = base;
        this.accessible = undefined;
        region.move(base);
      },
      setEnabled: (enabled) => {
        claim.enabled = enabled;
        this.accessible = undefined;
        region.setEnabled(enabled);
      },
    };
  }

  mapPorts(name: string, first: number, count: number, handler: PortHandler): PortRegion {
    const what = { kind: "ports", count, handler } as const;
    return this.claim({ name, what, base: first, enabled: true }, this.ports.map(name, first, count, handler));
  }

  mapMmio(name: string, base: number, size: number, handler: MmioHandler, priority = 0): MmioRegion {
    const what = { kind: "mmio", size, handler } as const;
    return this.claim({ name, what, base, enabled: true }, this.mmio.map(name, base, size, handler, priority));
  }

  /** Lets `nanoseconds` go by, stopping at each deadline as the machine does; deadlines must come at a bounded rate. */
  advance(nanoseconds: number): void {
    const end = this.time + nanoseconds;
    let left = 1000 + nanoseconds / 2;
    for (;;) {
      const next = this.timers.nextDeadline();
      if (next > end) break;
      assert.ok(--left > 0, `too many deadlines in ${nanoseconds} nanoseconds`);
      // A callback that arms its timer for the past is called again a nanosecond later.
      this.time = Math.max(this.time, next);
      this.memory.beginStep();
      this.timers.runDue(this.time);
      if (this.timers.nextDeadline() <= this.time) this.time++;
    }
    this.time = Math.max(this.time, end);
  }

  save(): State {
    return { time: this.time, ram: this.memory.bytes.slice(), seen: this.seen };
  }

  restore(state: State): void {
    const saved = state as { time: number; ram: Uint8Array; seen: number };
    this.time = saved.time;
    this.memory.bytes.set(saved.ram);
    this.seen = saved.seen;
  }
}
