import type { DmaMemory } from "../device";

/** A table of physical regions may not cross 64 KiB, so it has no more entries than this. */
const MAXIMUM_ENTRIES = 0x2000;
const END_OF_TABLE = 0x8000_0000;

/**
 * Walks a bus-master IDE region table (PCI IDE Controller Specification 1.0): `move` is called for each piece of guest memory in order, up to `length` bytes.
 * @returns bytes moved, and whether the table ended with them.
 */
export function walkPrd(
  memory: DmaMemory,
  table: number,
  length: number,
  move: (address: number, done: number, count: number) => void,
): { readonly moved: number; readonly ended: boolean } {
  let done = 0;
  for (let index = 0; index < MAXIMUM_ENTRIES && done < length; index++) {
    // Past the boundary the address wraps within its 64 KiB.
    const offset = table % 0x10000;
    const entry = memory.read(table - offset + ((offset + index * 8) % 0x10000), 8);
    const view = new DataView(entry.buffer, entry.byteOffset, 8);
    const address = view.getUint32(0, true) & ~1;
    const word = view.getUint32(4, true);
    const count = Math.min(word & 0xfffe || 0x10000, length - done);
    move(address >>> 0, done, count);
    done += count;
    if (word & END_OF_TABLE) return { moved: done, ended: count === (word & 0xfffe || 0x10000) };
  }
  return { moved: done, ended: false };
}
