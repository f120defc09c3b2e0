import { assert } from "../common/errors";
import type { MmioHandler, MmioRegion } from "./device";

/** A mapped region as the memory bus sees it. */
export interface MappedRegion {
  readonly name: string;
  readonly base: number;
  readonly size: number;
  readonly priority: number;
  readonly enabled: boolean;
  readonly handler: MmioHandler;
}

class Region implements MappedRegion, MmioRegion {
  enabled = true;

  constructor(
    readonly name: string,
    public base: number,
    readonly size: number,
    readonly handler: MmioHandler,
    readonly priority: number,
    private readonly changed: () => void,
    /** CPUs reach its pages as plain memory: the board's video memory. */
    readonly video: boolean,
  ) {}

  move(base: number): void {
    if (base === this.base) return;
    assert(Number.isSafeInteger(base) && base >= 0, `region ${this.name} moved to ${base}`);
    this.base = base;
    this.changed();
  }

  setEnabled(enabled: boolean): void {
    if (enabled === this.enabled) return;
    this.enabled = enabled;
    this.changed();
  }
}

/**
 * Device regions of the physical address space; they overlap RAM. Where regions overlap, the higher priority answers, and of
 * equals the one mapped later. Physical addresses are below 2^52 and so exact as numbers.
 */
export class MmioSpace {
  private readonly regions: Region[] = [];
  /** The flattened map: segment i spans [starts[i], starts[i+1]) and belongs to owners[i]. */
  private starts: number[] = [0];
  private owners: (Region | undefined)[] = [undefined];
  private changes = 0;

  /** `onChange` is called after every change of the map: translations cached by CPUs are stale then. */
  constructor(private readonly onChange: () => void = () => undefined) {}

  map(name: string, base: number, size: number, handler: MmioHandler, priority = 0, video = false): MmioRegion {
    assert(Number.isSafeInteger(base) && base >= 0 && Number.isSafeInteger(size) && size > 0, `region ${name}: ${base}+${size}`);
    const region = new Region(name, base, size, handler, priority, () => this.rebuild(), video);
    this.regions.push(region);
    this.rebuild();
    return region;
  }

  private rebuild(): void {
    const live = this.regions.filter((region) => region.enabled);
    const edges = [...new Set([0, ...live.flatMap((region) => [region.base, region.base + region.size])])].sort((a, b) => a - b);
    this.starts = [];
    this.owners = [];
    for (const start of edges) {
      let best: Region | undefined;
      for (const region of live) {
        const covers = region.base <= start && start < region.base + region.size;
        if (covers && (best === undefined || region.priority >= best.priority)) best = region;
      }
      if (this.starts.length > 0 && this.owners[this.owners.length - 1] === best) continue;
      this.starts.push(start);
      this.owners.push(best);
    }
    this.changes++;
    this.onChange();
  }

  /** Counts changes of the map, for caches that compare. */
  get generation(): number {
    return this.changes;
  }

  private segment(address: number): number {
    let low = 0;
    let high = this.starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.starts[middle] <= address) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** The region that answers at `address`, or undefined where RAM or nothing does. */
  find(address: number): MappedRegion | undefined {
    return this.owners[this.segment(address)];
  }

  /** True if any byte of [address, address + length) belongs to a region: such a page cannot be accessed as plain RAM. */
  overlaps(address: number, length: number): boolean {
    for (let index = this.segment(address); index < this.starts.length && this.starts[index] < address + length; index++) {
      if (this.owners[index] !== undefined) return true;
    }
    return false;
  }

  /** Offset in video memory of the page at physical address `address`, or -1 where anything else answers. */
  videoPage(address: number): number {
    const index = this.segment(address);
    const region = this.owners[index];
    return region?.video === true && address + 4096 <= this.starts[index + 1] ? address - region.base : -1;
  }

  /** Where video memory is mapped, or undefined. */
  get videoBase(): number | undefined {
    return this.regions.find((region) => region.video && region.enabled)?.base;
  }

  /** Reads `size` bytes; bytes nobody claims read as ones. An access over an owner's edge is split into bytes. */
  read(address: number, size: 1 | 2 | 4 | 8, cpu: number): bigint {
    const index = this.segment(address);
    const region = this.owners[index];
    if (region !== undefined && address + size <= this.starts[index + 1]) {
      return BigInt.asUintN(size * 8, region.handler.read(address - region.base, size, cpu));
    }
    if (size === 1) return 0xffn;
    let value = 0n;
    for (let byte = 0; byte < size; byte++) value |= this.read(address + byte, 1, cpu) << BigInt(byte * 8);
    return value;
  }

  /** Writes `size` bytes; bytes nobody claims are lost. */
  write(address: number, size: 1 | 2 | 4 | 8, value: bigint, cpu: number): void {
    const index = this.segment(address);
    const region = this.owners[index];
    if (region !== undefined && address + size <= this.starts[index + 1]) {
      region.handler.write(address - region.base, size, BigInt.asUintN(size * 8, value), cpu);
      return;
    }
    if (size === 1) return;
    for (let byte = 0; byte < size; byte++) this.write(address + byte, 1, (value >> BigInt(byte * 8)) & 0xffn, cpu);
  }
}
