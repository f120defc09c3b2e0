import { hex, hex64 } from "../numbers";
import type { DebugCpu } from "../target";
import { littleEndian } from "../unwind/frame";

/** One entry of a page-table walk. */
export interface PageEntry {
  /** "PML5E", "PML4E", "PDPTE", "PDE", "PTE". */
  readonly name: string;
  /** Physical address of the entry. */
  readonly address: number;
  readonly value: bigint;
  /** "present", "writable", "user" and so on. */
  readonly flags: readonly string[];
}

export interface PageWalkView {
  readonly linear: bigint;
  readonly entries: readonly PageEntry[];
  /** Physical address; undefined when the address is not mapped. */
  readonly physical: number | undefined;
  /** Rights of all levels together: "supervisor, read-only, no execute". */
  readonly rights: string;
  /** For people. */
  readonly lines: readonly string[];
}

const PRESENT = 1n;
const LARGE = 0x80n;

const bits: readonly (readonly [bigint, string, string])[] = [
  [0x001n, "present", "not present"],
  [0x002n, "writable", "read-only"],
  [0x004n, "user", "supervisor"],
  [0x008n, "write-through", ""],
  [0x010n, "no caching", ""],
  [0x020n, "accessed", ""],
  [0x040n, "dirty", ""],
  [0x100n, "global", ""],
  [1n << 63n, "no execute", ""],
];

interface Level {
  readonly name: string;
  /** Lowest bit of its index in the linear address, and how many bits. */
  readonly shift: bigint;
  readonly width: bigint;
  readonly bytes: 4 | 8;
  /** Whether an entry may map a page itself. */
  readonly large: boolean;
}

const level = (name: string, shift: number, width: number, bytes: 4 | 8, large: boolean): Level => ({
  name,
  shift: BigInt(shift),
  width: BigInt(width),
  bytes,
  large,
});

/** The levels of the CPU's paging mode, outermost first (SDM vol. 3, "Paging"). */
function levelsOf(cpu: DebugCpu): readonly Level[] {
  const { cr4, longMode } = cpu.state;
  if (!longMode && (cr4 & 0x20) === 0) return [level("PDE", 22, 10, 4, (cr4 & 0x10) !== 0), level("PTE", 12, 10, 4, false)];
  const inner = [level("PDE", 21, 9, 8, true), level("PTE", 12, 9, 8, false)];
  if (!longMode) return [level("PDPTE", 30, 2, 8, false), ...inner];
  const four = [level("PML4E", 39, 9, 8, false), level("PDPTE", 30, 9, 8, true), ...inner];
  return cr4 & 0x1000 ? [level("PML5E", 48, 9, 8, false), ...four] : four;
}

/** Walks the page tables of a CPU for `linear` as the processor would, with the rights of each level; sets no bit. */
export function walkPages(cpu: DebugCpu, linear: bigint): PageWalkView {
  const { state } = cpu;
  const head = `${hex64(linear)} of CPU ${cpu.index}`;
  if ((state.cr0 & 0x8000_0000) === 0) {
    const physical = Number(linear & 0xffff_ffffn);
    return { linear, entries: [], physical, rights: "paging is off", lines: [`${head}: paging is off, physical ${hex(physical)}`] };
  }
  const entries: PageEntry[] = [];
  const lines = [`${head}, CR3 ${hex(state.cr3 >>> 0 === state.cr3 ? state.cr3 : BigInt(Math.floor(state.cr3)))}`];
  let table = state.longMode || (state.cr4 & 0x20) === 0 ? Math.floor(state.cr3 / 4096) * 4096 : Math.floor(state.cr3 / 32) * 32;
  let writable = true;
  let user = true;
  let executable = true;
  const done = (physical: number | undefined, why: string): PageWalkView => {
    const rights = [user ? "user" : "supervisor", writable ? "writable" : "read-only", executable ? "executable" : "no execute"].join(", ");
    lines.push(physical === undefined ? `  not mapped: ${why}` : `  physical ${hex(physical)}, ${why}: ${rights}`);
    return { linear, entries, physical, rights, lines };
  };
  for (const { name, shift, width, bytes, large } of levelsOf(cpu)) {
    const index = Number((linear >> shift) & ((1n << width) - 1n));
    const address = table + index * bytes;
    const read = cpu.readPhysical(address, bytes);
    if (read === undefined) return done(undefined, `the ${name} at ${hex(address)} is not in memory`);
    const value = littleEndian(read);
    const flags = bits.map(([mask, set, clear]) => (value & mask ? set : clear)).filter((text) => text !== "");
    const isLarge = large && (value & LARGE) !== 0n;
    if (isLarge) flags.push("large page");
    entries.push({ name, address, value, flags });
    lines.push(`  ${name.padEnd(6)}[${index}] at ${hex(address)}: ${hex(value, bytes * 2)} ${flags.join(", ")}`);
    if ((value & PRESENT) === 0n) return done(undefined, `the ${name} is not present`);
    // The PDPTEs of PAE paging have no rights.
    if (!(name === "PDPTE" && !state.longMode)) {
      writable &&= (value & 2n) !== 0n;
      user &&= (value & 4n) !== 0n;
    }
    executable &&= bytes === 4 || value >> 63n === 0n;
    if (isLarge || name === "PTE") {
      const page = (1n << shift) - 1n;
      const frame =
        bytes === 4 && isLarge ? (value & 0xffc0_0000n) | (((value >> 13n) & 0xffn) << 32n) : value & 0x000f_ffff_ffff_f000n & ~page;
      return done(Number(frame | (linear & page)), isLarge ? `page of ${Number(page + 1n) / 1024} KiB` : "page of 4 KiB");
    }
    table = Number(bytes === 4 ? value & 0xffff_f000n : value & 0x000f_ffff_ffff_f000n);
  }
  return done(undefined, "the walk did not end");
}
