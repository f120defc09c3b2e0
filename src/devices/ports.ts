import { assert } from "../common/errors";
import type { PortHandler, PortRegion } from "./device";

const PORTS = 0x10000;

class Claim implements PortRegion {
  enabled = true;

  constructor(
    readonly name: string,
    public first: number,
    readonly count: number,
    readonly handler: PortHandler,
    private readonly changed: (from: number, count: number) => void,
  ) {}

  move(first: number): void {
    if (first === this.first) return;
    assert(Number.isInteger(first) && first >= 0 && first + this.count <= PORTS, `port range ${this.name} moved to ${first}`);
    const before = this.first;
    this.first = first;
    this.changed(before, this.count);
    this.changed(first, this.count);
  }

  setEnabled(enabled: boolean): void {
    if (enabled === this.enabled) return;
    this.enabled = enabled;
    this.changed(this.first, this.count);
  }
}

/**
 * The 64 Ki I/O ports. Where claims overlap, the later one owns the port, so a single port may be carved out of a wider
 * register (0xCF9 out of 0xCF8-0xCFB). An access goes whole to the owner of its first port if the owner's range holds all of
 * it; otherwise the bus splits it into bytes. Reads nobody answers give ones; such writes are lost. Accesses do not wrap at 64 Ki.
 */
export class PortSpace {
  private readonly owner = new Uint16Array(PORTS);
  private readonly claims: (Claim | undefined)[] = [undefined];

  /** Claims `count` ports from `first`. The handle moves or disables the range later. */
  map(name: string, first: number, count: number, handler: PortHandler): PortRegion {
    assert(Number.isInteger(first) && first >= 0 && count > 0 && first + count <= PORTS, `port range ${name}: ${first}+${count}`);
    const claim = new Claim(name, first, count, handler, (from, length) => this.refresh(from, length));
    this.claims.push(claim);
    this.refresh(first, count);
    return claim;
  }

  private refresh(from: number, count: number): void {
    this.owner.fill(0, from, from + count);
    for (let index = 1; index < this.claims.length; index++) {
      const claim = this.claims[index];
      if (claim === undefined || !claim.enabled) continue;
      const start = Math.max(from, claim.first);
      const end = Math.min(from + count, claim.first + claim.count);
      if (start < end) this.owner.fill(index, start, end);
    }
  }

  /** The guest's IN. The result is unsigned, `size` bytes wide. */
  read(port: number, size: 1 | 2 | 4): number {
    const claim = this.claims[this.owner[port]];
    if (claim !== undefined && port + size <= claim.first + claim.count) return claim.handler.read(port, size) >>> 0;
    if (size === 1) return 0xff;
    let value = 0;
    for (let index = 0; index < size; index++) {
      const byte = port + index < PORTS ? this.read(port + index, 1) & 0xff : 0xff;
      value |= byte << (index * 8);
    }
    return value >>> 0;
  }

  /** The guest's OUT. */
  write(port: number, size: 1 | 2 | 4, value: number): void {
    const claim = this.claims[this.owner[port]];
    if (claim !== undefined && port + size <= claim.first + claim.count) {
      claim.handler.write(port, size, value >>> 0);
      return;
    }
    if (size === 1) return;
    for (let index = 0; index < size && port + index < PORTS; index++) this.write(port + index, 1, (value >>> (index * 8)) & 0xff);
  }

  /** Block read of a string instruction: see `PortHandler.readBlock`. 0 where there is none. */
  readBlock(port: number, size: 2 | 4, target: Uint8Array): number {
    const claim = this.claims[this.owner[port]];
    if (claim === undefined || port + size > claim.first + claim.count) return 0;
    return claim.handler.readBlock?.(port, size, target) ?? 0;
  }

  /** Block write of a string instruction. */
  writeBlock(port: number, size: 2 | 4, source: Uint8Array): number {
    const claim = this.claims[this.owner[port]];
    if (claim === undefined || port + size > claim.first + claim.count) return 0;
    return claim.handler.writeBlock?.(port, size, source) ?? 0;
  }

  /** Name of the device range that answers at `port`, if any: for trees and messages. */
  nameAt(port: number): string | undefined {
    return this.claims[this.owner[port & 0xffff]]?.name;
  }
}

/** A handler for chips of byte registers: wider accesses become one access per byte, low port first. */
export function byteHandler(read: (port: number) => number, write: (port: number, value: number) => void): PortHandler {
  return {
    read(port, size) {
      let value = 0;
      for (let index = 0; index < size; index++) value |= (read(port + index) & 0xff) << (index * 8);
      return value >>> 0;
    },
    write(port, size, value) {
      for (let index = 0; index < size; index++) write(port + index, (value >>> (index * 8)) & 0xff);
    },
  };
}
