import { alignUp } from "./bytes";
import { highRamEnd, PAGE } from "./ram";

const GIB = 0x40000000;
const HIGH_BASE = 0x100000000;
const PRESENT_WRITABLE = 0x3n;
const LARGE = 0x80n;
const ENTRIES = 512;
const LARGE_PAGE = 0x200000;
/** Levels of a table: 3 is the PML4. A leaf in level 1 is a 2 MiB page, in level 0 one of 4 KiB. */
const TOP = 3;

/** How far memory is identity-mapped on a machine with `memory` bytes of RAM: to 4 GiB, or to the end of RAM in whole GiB. */
export const identityLimit = (memory: number): number => Math.max(HIGH_BASE, alignUp(highRamEnd(memory), GIB));

/** A table: index to a leaf entry or to the table below. */
type Table = Map<number, bigint | Table>;

/** 4-level page tables (SDM volume 3, 'Paging'), built as a tree and laid out when their address is known. All pages are writable and supervisor. */
export class PageTables {
  private readonly root: Table = new Map();
  private tables = 1;

  /** Maps [0, `end`) to itself with 2 MiB pages. */
  mapIdentity(end: number): void {
    for (let at = 0; at < end; at += LARGE_PAGE) this.enter(BigInt(at), at, 1);
  }

  /**
   * Maps `size` bytes from `virtual` to `physical`, with 2 MiB pages where both allow.
   * @returns false if the addresses are not canonical, differ in their offset into a page, or parts are mapped otherwise already.
   */
  map(virtual: bigint, physical: number, size: number): boolean {
    const first = virtual & ~0xfffn;
    const skew = Number(virtual - first);
    if (physical % PAGE !== skew) return false;
    const length = alignUp(skew + size, PAGE);
    const canonical = (address: bigint): boolean => BigInt.asUintN(64, BigInt.asIntN(48, address)) === address;
    if (!canonical(first) || !canonical(first + BigInt(length - 1)) || first + BigInt(length) > 1n << 64n) return false;
    const start = physical - skew;
    for (let done = 0; done < length;) {
      const at = first + BigInt(done);
      const large = length - done >= LARGE_PAGE && at % BigInt(LARGE_PAGE) === 0n && (start + done) % LARGE_PAGE === 0;
      if (!this.enter(at, start + done, large ? 1 : 0)) return false;
      done += large ? LARGE_PAGE : PAGE;
    }
    return true;
  }

  private enter(virtual: bigint, physical: number, leaf: 0 | 1): boolean {
    let table = this.root;
    const index = (level: number): number => Number((virtual >> BigInt(12 + 9 * level)) & 0x1ffn);
    for (let level = TOP; level > leaf; level--) {
      let next = table.get(index(level));
      if (next === undefined) {
        next = new Map();
        table.set(index(level), next);
        this.tables++;
      }
      if (typeof next === "bigint") return false;
      table = next;
    }
    const entry = BigInt(physical) | PRESENT_WRITABLE | (leaf === 1 ? LARGE : 0n);
    const present = table.get(index(leaf));
    if (present !== undefined) return present === entry;
    table.set(index(leaf), entry);
    return true;
  }

  /** Bytes that the tables take; 0 as long as nothing is mapped. */
  get size(): number {
    return this.root.size === 0 ? 0 : this.tables * PAGE;
  }

  /** The tables for guest-physical `base`, where the PML4 comes to lie. */
  build(base: number): Uint8Array {
    const bytes = new Uint8Array(this.size);
    if (bytes.length === 0) return bytes;
    const view = new DataView(bytes.buffer);
    let used = 1;
    const write = (table: Table, at: number): void => {
      for (const [index, entry] of table) {
        let value: bigint;
        if (typeof entry === "bigint") {
          value = entry;
        } else {
          const below = used++ * PAGE;
          value = BigInt(base + below) | PRESENT_WRITABLE;
          write(entry, below);
        }
        view.setBigUint64(at + (index % ENTRIES) * 8, value, true);
      }
    };
    write(this.root, 0);
    return bytes;
  }
}
