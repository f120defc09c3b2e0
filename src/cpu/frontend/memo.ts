import type { OpBuilder } from "../../tcg/builder";
import { OP_BYTES } from "../../tcg/layout";

/** Slots of the table of nodes, a power of two, of which half are used at most. */
const SLOT_BITS = 18;
const SLOTS = 1 << SLOT_BITS;
const MAX_NODES = SLOTS / 2;
/** Words of all templates. */
const MAX_WORDS = 1 << 20;
const OP_WORDS = OP_BYTES / 4;
/** Longer instructions hold displacements and immediates that are hardly met again. */
const MAX_BYTES = 8;
/** A template: a header, then its ops. Header: ENDS_BLOCK, and the number of ops. */
const ENDS_BLOCK = 1;
const OPS_SHIFT = 1;

/**
 * Ops of instructions that were translated before and do not depend on where they stand: most of a kernel's instructions are the same few thousand, and decoding one takes ten times as long as finding it
 * here. Found by its bytes, one after the other: no instruction's bytes begin another one's of the same mode, so the first that fits is the one. Flat, mutable, bounded: when it is full it is
 * emptied.
 */
export class InstructionMemo {
  /** Pairs of words: a node's number << 8 | byte, plus 1 (0: free), and what the byte leads to: a node, or ~the word of a template. */
  private readonly table = new Int32Array(2 * SLOTS);
  private readonly words = new Int32Array(MAX_WORDS);
  private nodes = 0;
  private used = 0;
  private readonly roots = new Map<number, number>();
  /** Of what {@link find} found: the word of its template. */
  private found = 0;

  clear(): void {
    this.table.fill(0);
    this.roots.clear();
    this.nodes = 0;
    this.used = 0;
  }

  /** Where instructions of `mode` are looked for, for {@link find} and {@link add}; not after `clear`. */
  root(mode: number): number {
    let root = this.roots.get(mode);
    if (root === undefined) {
      if (this.nodes >= MAX_NODES) this.clear();
      root = this.nodes++;
      this.roots.set(mode, root);
    }
    return root;
  }

  /** Bytes of the instruction at `at`, all of whose bytes lie before `end`; 0 if it is not known. */
  find(root: number, bytes: Uint8Array, at: number, end: number): number {
    let node = root;
    for (let i = at; i < end; i++) {
      const slot = this.slotOf((node << 8) | bytes[i]);
      if (this.table[slot] === 0) return 0;
      node = this.table[slot + 1];
      if (node >= 0) continue;
      this.found = ~node;
      return i + 1 - at;
    }
    return 0;
  }

  /** Appends the ops of what was found. Returns whether it ends its block. */
  append(builder: OpBuilder): boolean {
    const header = this.words[this.found];
    builder.append(this.words, this.found + 1, header >>> OPS_SHIFT);
    return (header & ENDS_BLOCK) !== 0;
  }

  /** Remembers the instruction of `length` bytes at `at`, whose ops are those of `builder` from `first` on. */
  add(mode: number, bytes: Uint8Array, at: number, length: number, builder: OpBuilder, first: number, ends: boolean): void {
    const ops = builder.count - first;
    if (length > MAX_BYTES) return;
    if (this.used + 1 + ops * OP_WORDS > MAX_WORDS || this.nodes + length > MAX_NODES) this.clear();
    let node = this.root(mode);
    for (let i = 0; i < length; i++) {
      const key = (node << 8) | bytes[at + i];
      const slot = this.slotOf(key);
      if (i < length - 1 && this.table[slot] !== 0) {
        node = this.table[slot + 1];
        continue;
      }
      this.table[slot] = key + 1;
      if (i < length - 1) node = this.table[slot + 1] = this.nodes++;
      else this.table[slot + 1] = ~this.used;
    }
    this.words[this.used++] = (ends ? ENDS_BLOCK : 0) | (ops << OPS_SHIFT);
    builder.extract(this.words, this.used, first);
    this.used += ops * OP_WORDS;
  }

  /** The slot that `key` has, or would have. */
  private slotOf(key: number): number {
    let slot = Math.imul(key, 0x9e3779b1) >>> (32 - SLOT_BITS);
    while (this.table[2 * slot] !== 0 && this.table[2 * slot] !== key + 1) slot = (slot + 1) & (SLOTS - 1);
    return 2 * slot;
  }
}
