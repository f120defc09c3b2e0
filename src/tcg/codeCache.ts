import { assert } from "../common/errors";
import { highHalf, lowHalf } from "../common/halves";
import type { OpBuilder } from "./builder";
import {
  BLOCK_COUNT,
  BLOCK_FUNCTION,
  BLOCK_HEADER_BYTES,
  BLOCK_HEAT,
  BLOCK_ID,
  BLOCK_RIP,
  BLOCK_TABLES,
  BLOCK_TARGET,
  OP_BYTES,
  OP_CHAIN,
} from "./layout";
import type { EngineMemory } from "./memory";
import { Op } from "./ops";

/** Guest bytes that one bit of a page's code mask covers: 32 bits for 4096 bytes. */
const MASK_SHIFT = 7;
/** Bytes of the tables behind a block's ops for each instruction. */
const INSTRUCTION_BYTES = 4;
const noRegions: readonly Region[] = [];
/** Buckets that blocks are found in by their physical address: a power of two. */
const BUCKETS = 1 << 16;
/** A count no budget covers: entering a dead block exits. */
export const DEAD_COUNT = 0x7fff_ffff;

/** A translated block. Its ops live in the code arena; this is what the host knows of it. */
export interface Block {
  readonly id: number;
  /** Address of its header in the engine's memory. */
  readonly header: number;
  /** Address of its first op. */
  readonly entry: number;
  readonly rip: bigint;
  /** Halves of `rip`, signed. */
  readonly ripLow: number;
  readonly ripHigh: number;
  readonly mode: number;
  /** Inclusive CS limit that its fetches were checked against. */
  readonly codeLimit: number;
  /** Physical address of its first byte. */
  readonly physical: number;
  /** Physical page number of the page its last instruction runs into, or -1. Such blocks hold one instruction, are never chained to, and are looked up afresh once mappings have changed. */
  readonly secondPage: number;
  /** Guest instructions. */
  readonly count: number;
  readonly bytes: number;
  readonly ops: number;
  /** Addresses of the goto ops chained to this block: 0, or the first one, and the others. Most blocks have one, and an array takes as much memory as the block. */
  firstIncoming: number;
  otherIncoming: number[] | undefined;
  /** Generated functions that the block is part of. */
  regions: readonly Region[];
  /** Heat (BLOCK_HEAT) it was last given. */
  heat: number;
  /** The next block in the same bucket. */
  sibling: Block | undefined;
  alive: boolean;
}

/** A generated function, as far as the blocks it is made from go. */
export interface Region {
  readonly blocks: readonly Block[];
}

/** The tier above the interpreter. */
export interface GeneratedCode {
  /** Entries after which a block made from physical page `page` counts as hot; 0: never. */
  heat(page: number): number;
  /** A block of `region` is no more. */
  discard(region: Region): void;
  /** No block is any more. */
  discardAll(): void;
}

/** Blocks in a piece of the list of all blocks, a power of two: one array for all would be copied to new memory whenever it has become too small. */
const PIECE_SHIFT = 12;
const PIECE_BLOCKS = 1 << PIECE_SHIFT;

/** What a block is found by. */
export interface BlockKey {
  readonly physical: number;
  readonly rip: bigint;
  readonly mode: number;
  readonly codeLimit: number;
  readonly secondPage: number;
}

/**
 * All translated blocks of a machine, found by physical address, RIP and mode; shared by its CPUs. The arena is filled in order and emptied as a whole when full.
 */
export class CodeCache {
  private next: number;
  /** The block made last of each bucket, by id plus 1 (0: none); the others follow as its siblings. */
  private readonly buckets = new Int32Array(BUCKETS);
  /** The blocks made from a physical page. */
  private readonly byPage = new Map<number, Block[]>();
  /** Which 128-byte chunks of a page of RAM hold code of them: what is asked at each store through the slow path. */
  private readonly masks: Int32Array;
  /** The same of other pages. */
  private readonly otherMasks = new Map<number, number>();
  /** All blocks by id, in pieces. */
  private readonly pieces: Block[][] = [];
  private made = 0;
  private alive = 0;
  /** Instructions of blocks that were entered in the interpreter, as far as `settle` has counted them. */
  private settled = 0;
  /** Blocks translated and times the arena was emptied, since the start. */
  translated = 0;
  flushes = 0;
  /** A permanent `lookup` op: entering it enters the block at SLOT_RIP through the jump cache. */
  readonly lookupHeader: number;
  readonly lookupOp: number;
  private readonly arenaStart: number;
  /** Set by the owner when there is one. */
  generated: GeneratedCode | undefined;

  /**
   * `protectPage` is called when a physical page gets its first code (writes must take the slow path from now on), `releasePage` when it has none left.
   */
  constructor(
    private readonly memory: EngineMemory,
    private readonly protectPage: (page: number) => void,
    private readonly releasePage: (page: number) => void,
    private readonly onFlush: () => void,
  ) {
    this.masks = new Int32Array(memory.ramBytes / 4096);
    this.lookupHeader = memory.arenaBase;
    this.lookupOp = memory.arenaBase + BLOCK_HEADER_BYTES;
    memory.u16[this.lookupOp >> 1] = Op.lookup;
    this.arenaStart = this.lookupOp + OP_BYTES;
    this.next = this.arenaStart;
  }

  private byId(id: number): Block | undefined {
    return id < this.made ? this.pieces[id >>> PIECE_SHIFT][id & (PIECE_BLOCKS - 1)] : undefined;
  }

  private *all(): Iterable<Block> {
    for (let id = 0; id < this.made; id++) yield this.pieces[id >>> PIECE_SHIFT][id & (PIECE_BLOCKS - 1)];
  }

  /** The block with this key, its RIP in signed halves: what is looked for often does without big integers. */
  find(physical: number, ripLow: number, ripHigh: number, mode: number, codeLimit: number, secondPage: number): Block | undefined {
    const first = this.buckets[bucketOf(physical)];
    for (let block = first === 0 ? undefined : this.byId(first - 1); block !== undefined; block = block.sibling) {
      const same = block.physical === physical && block.ripLow === ripLow && block.ripHigh === ripHigh;
      if (same && block.mode === mode && block.codeLimit === codeLimit && block.secondPage === secondPage) return block;
    }
    return undefined;
  }

  /** The block whose header is at `header`. */
  at(header: number): Block {
    const block = this.byId(this.memory.u32[(header + BLOCK_ID) >>> 2]);
    // Called at every way out of generated code: the text is made only where it is needed.
    if (block?.header !== header) assert(false, `no block at ${header.toString(16)}`);
    return block;
  }

  /** The block whose header is at `header` if there is one: `header` may come from before the arena was emptied. */
  lookUp(header: number): Block | undefined {
    if (header < this.arenaStart || header >= this.next) return undefined;
    const block = this.byId(this.memory.u32[(header + BLOCK_ID) >>> 2]);
    return block?.header === header ? block : undefined;
  }

  /** Copies the builder's ops into the arena as a block. May empty the arena first. */
  add(key: BlockKey, builder: OpBuilder, bytes: number): Block {
    const count = builder.instructions;
    const opBytes = builder.count * OP_BYTES;
    const size = Math.ceil((BLOCK_HEADER_BYTES + opBytes + count * INSTRUCTION_BYTES) / OP_BYTES) * OP_BYTES;
    if (this.next + size > this.memory.arenaEnd) this.flush();
    const header = this.next;
    this.next += size;
    this.memory.expectWrite(header);
    this.translated++;
    const id = this.made++;
    const bucket = bucketOf(key.physical);
    const before = this.buckets[bucket];
    // Each property by its name: copying `key` into the literal makes it many times slower.
    const block: Block = {
      physical: key.physical,
      rip: key.rip,
      mode: key.mode,
      codeLimit: key.codeLimit,
      secondPage: key.secondPage,
      id,
      header,
      entry: header + BLOCK_HEADER_BYTES,
      ripLow: lowHalf(key.rip),
      ripHigh: highHalf(key.rip),
      count,
      bytes,
      ops: builder.count,
      firstIncoming: 0,
      otherIncoming: undefined,
      regions: noRegions,
      heat: 0,
      sibling: before === 0 ? undefined : this.byId(before - 1),
      alive: true,
    };
    this.alive++;
    if ((id & (PIECE_BLOCKS - 1)) === 0 && this.pieces.length === id >>> PIECE_SHIFT) this.pieces.push(new Array<Block>(PIECE_BLOCKS));
    this.pieces[id >>> PIECE_SHIFT][id & (PIECE_BLOCKS - 1)] = block;
    this.memory.u32[(header + BLOCK_COUNT) >>> 2] = block.count;
    this.memory.u32[(header + BLOCK_ID) >>> 2] = id;
    this.memory.u32[(header + BLOCK_FUNCTION) >>> 2] = 0;
    this.memory.u32[(header + BLOCK_TARGET) >>> 2] = 0;
    this.memory.i32[(header + BLOCK_RIP) >>> 2] = block.ripLow;
    this.memory.i32[((header + BLOCK_RIP) >>> 2) + 1] = block.ripHigh;
    this.memory.u32[(header + BLOCK_TABLES) >>> 2] = tableOf(block);
    this.giveHeat(block, this.generated?.heat(Math.floor(block.physical / 4096)) ?? 0);
    builder.copy(this.memory, block.entry, tableOf(block));
    this.buckets[bucket] = id + 1;
    const page = Math.floor(block.physical / 4096);
    const start = block.physical % 4096;
    this.register(block, page, start, Math.min(4096, start + bytes));
    if (block.secondPage >= 0) this.register(block, block.secondPage, 0, start + bytes - 4096);
    return block;
  }

  /** Entries that the interpreter may make from now on before the block counts as hot. */
  giveHeat(block: Block, heat: number): void {
    block.heat = heat;
    this.memory.i32[(block.header + BLOCK_HEAT) >>> 2] = heat;
  }

  /** Counts what the interpreter did of `block` since it was given heat. */
  private interpretedOf(block: Block): number {
    return ((block.heat - this.memory.i32[(block.header + BLOCK_HEAT) >>> 2]) >>> 0) * block.count;
  }

  /** Takes the entries of `block` into account before its heat changes or it goes. */
  settle(block: Block): void {
    this.settled += this.interpretedOf(block);
    block.heat = this.memory.i32[(block.header + BLOCK_HEAT) >>> 2];
  }

  /** Guest instructions of blocks that the interpreter entered, nearly: iterations of string instructions and blocks that were left early are not told apart. */
  get interpreted(): number {
    let sum = this.settled;
    for (const block of this.all()) if (block.alive) sum += this.interpretedOf(block);
    return sum;
  }

  /** Chains the goto op at address `op` to `block`. */
  chain(op: number, block: Block): void {
    this.memory.u32[(op + OP_CHAIN) >>> 2] = block.entry;
    if (block.firstIncoming === 0) block.firstIncoming = op;
    else (block.otherIncoming ??= []).push(op);
  }

  /** A block of mode `mode` that the byte at `physical` is code of, best one that begins there; undefined when there is none. */
  covering(physical: number, mode: number): Block | undefined {
    let best: Block | undefined;
    for (const block of this.byPage.get(Math.floor(physical / 4096)) ?? []) {
      if (!block.alive || block.mode !== mode || physical < block.physical || physical >= block.physical + block.bytes) continue;
      if (best === undefined || block.physical > best.physical) best = block;
    }
    return best;
  }

  /** True when the page holds translated code. */
  hasCode(page: number): boolean {
    return this.maskOf(page) !== 0;
  }

  /** The guest (or a device, or the debugger) wrote `size` bytes at `physical`, inside one page: drops the blocks made from them. Returns whether any was dropped. */
  written(physical: number, size: number): boolean {
    const page = Math.floor(physical / 4096);
    const mask = this.maskOf(page);
    if (mask === 0) return false;
    const start = physical % 4096;
    const end = start + size;
    if ((mask & chunkMask(start, end)) === 0) return false;
    const blocks = this.byPage.get(page);
    assert(blocks !== undefined, "a page whose chunks hold code has no blocks");
    let kept = 0;
    let rest = 0;
    let dropped = false;
    for (const block of blocks) {
      if (!block.alive) continue;
      const begins = Math.floor(block.physical / 4096) === page;
      const first = begins ? block.physical % 4096 : 0;
      const last = begins ? Math.min(4096, first + block.bytes) : (block.physical % 4096) + block.bytes - 4096;
      if (first < end && start < last) {
        this.drop(block);
        dropped = true;
      } else {
        blocks[kept++] = block;
        rest |= chunkMask(first, last);
      }
    }
    blocks.length = kept;
    if (kept === 0) this.forgetPage(page);
    else this.setMask(page, rest);
    return dropped;
  }

  /** True when translated code may have been made from `size` bytes at `physical`, inside one page. */
  mayHold(physical: number, size: number): boolean {
    const start = physical % 4096;
    return (this.maskOf(Math.floor(physical / 4096)) & chunkMask(start, start + size)) !== 0;
  }

  /** Drops every block made from physical page `page`. */
  dropPage(page: number): void {
    for (const block of this.byPage.get(page) ?? []) if (block.alive) this.drop(block);
    this.forgetPage(page);
  }

  /** Drops everything and starts the arena anew. */
  flush(): void {
    for (const block of this.all()) {
      if (!block.alive) continue;
      this.settle(block);
      block.alive = false;
    }
    const pages = [...this.byPage.keys()];
    this.buckets.fill(0);
    this.byPage.clear();
    this.masks.fill(0);
    this.otherMasks.clear();
    this.pieces.length = 0;
    this.made = 0;
    this.alive = 0;
    this.next = this.arenaStart;
    this.flushes++;
    this.generated?.discardAll();
    for (const page of pages) this.releasePage(page);
    this.onFlush();
  }

  /** Blocks alive and bytes of the arena in use. */
  get usage(): { blocks: number; bytes: number } {
    return { blocks: this.alive, bytes: this.next - this.arenaStart };
  }

  private register(block: Block, page: number, first: number, last: number): void {
    const blocks = this.byPage.get(page);
    this.setMask(page, this.maskOf(page) | chunkMask(first, last));
    if (blocks !== undefined) blocks.push(block);
    else {
      this.byPage.set(page, [block]);
      this.protectPage(page);
    }
  }

  private forgetPage(page: number): void {
    this.setMask(page, 0);
    if (this.byPage.delete(page)) this.releasePage(page);
  }

  private maskOf(page: number): number {
    return page < this.masks.length ? this.masks[page] : (this.otherMasks.get(page) ?? 0);
  }

  private setMask(page: number, mask: number): void {
    if (page < this.masks.length) this.masks[page] = mask;
    else if (mask === 0) this.otherMasks.delete(page);
    else this.otherMasks.set(page, mask);
  }

  /** Takes a block out of service: nothing enters it any more; a CPU inside it may run on to where it was told to stop. */
  private drop(block: Block): void {
    this.settle(block);
    block.alive = false;
    this.memory.u32[(block.header + BLOCK_COUNT) >>> 2] = DEAD_COUNT;
    if (block.firstIncoming !== 0) this.memory.u32[(block.firstIncoming + OP_CHAIN) >>> 2] = 0;
    for (const op of block.otherIncoming ?? []) this.memory.u32[(op + OP_CHAIN) >>> 2] = 0;
    block.firstIncoming = 0;
    block.otherIncoming = undefined;
    for (const region of block.regions) this.generated?.discard(region);
    this.alive--;
    const bucket = bucketOf(block.physical);
    if (this.buckets[bucket] === block.id + 1) this.buckets[bucket] = block.sibling === undefined ? 0 : block.sibling.id + 1;
    else {
      let before = this.byId(this.buckets[bucket] - 1);
      while (before !== undefined && before.sibling !== block) before = before.sibling;
      if (before !== undefined) before.sibling = block.sibling;
    }
    block.sibling = undefined;
  }
}

/** Bucket of blocks at physical address `physical`, of which the lower 32 bits count. */
function bucketOf(physical: number): number {
  const low = physical | 0;
  return (low ^ (low >>> 16)) & (BUCKETS - 1);
}

/** Bits of the chunks that bytes `first` to `last - 1` of a page touch. */
function chunkMask(first: number, last: number): number {
  const low = first >>> MASK_SHIFT;
  const high = (last - 1) >>> MASK_SHIFT;
  const upTo = high === 31 ? -1 : (1 << (high + 1)) - 1;
  return upTo & ~((1 << low) - 1);
}

/** Address of the tables behind a block's ops: the index of the first op of each instruction, then each one's offset from the block's first byte, 16 bits each. */
const tableOf = (block: Block): number => block.entry + block.ops * OP_BYTES;

/** Indexes of the first op of each instruction of `block`. */
export function instructionOps({ u16 }: EngineMemory, block: Block): Uint16Array {
  const table = tableOf(block) >>> 1;
  return u16.subarray(table, table + block.count);
}

/** Address of the first op of instruction `index` of `block`. */
export function instructionAddress({ u16 }: EngineMemory, block: Block, index: number): number {
  return block.entry + u16[(tableOf(block) >>> 1) + index] * OP_BYTES;
}

/** Offset of instruction `index` from the first byte of `block`. */
export function instructionOffset({ u16 }: EngineMemory, block: Block, index: number): number {
  return u16[(tableOf(block) >>> 1) + block.count + index];
}

/** Index of the instruction that the op at address `op` belongs to. */
export function instructionIndex({ u16 }: EngineMemory, block: Block, op: number): number {
  const target = (op - block.entry) / OP_BYTES;
  const starts = tableOf(block) >>> 1;
  let low = 0;
  let high = block.count - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (u16[starts + middle] <= target) low = middle;
    else high = middle - 1;
  }
  return low;
}
