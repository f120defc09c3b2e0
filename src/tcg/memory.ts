import { assert } from "../common/errors";
import { type BulkMemory, bulkMemory } from "./bulkMemory";
import { CPU_STRIDE, JOURNAL_BYTES, MARK_FREE, WORD_CPUS, WORD_JOURNAL, WORD_MARKS_BASE, WORD_RAM_BASE, WORD_RAM_PAGES } from "./layout";

const WASM_PAGE = 65536;
/** MARK_FREE of four pages. */
const ALL_FREE = MARK_FREE * 0x01010101;

/** What memory is provided in, ahead of its use: what hosts call a huge page. */
const CHUNK_SHIFT = 21;
/** Writes in places of its own from which on the rest of a chunk is provided: memory that is used here and there is left to come page by page. */
const DENSE = 4;

/**
 * Has the host provide `length` bytes of the memory from `address` on, without changing any, while the caller goes on: the first touch of a page costs a thread 0.2 to 20 us. See
 * docs/adr/0019-memory-ahead.md.
 */
export type ProvideMemory = (address: number, length: number) => void;

/** Sizes of the engine's linear memory, in bytes. */
export interface EngineMemoryOptions {
  readonly cpus: number;
  /** Multiple of 4096. */
  readonly ram: number;
  readonly codeArena: number;
  /** Bytes of read-only memory behind RAM; default none. */
  readonly rom?: number;
  /** The host's way to provide memory ahead; without one it comes as it is used. */
  readonly provider?: ((memory: WebAssembly.Memory) => ProvideMemory) | undefined;
}

/**
 * The engine's linear memory: CPU states with TLBs and jump caches, code arena, guest RAM, firmware ROM, with typed views. It never grows, so views stay valid. Threads
 * share it, so that one may have the host provide pages ahead of their use (`expectWrite`); only the engine writes to it.
 */
export class EngineMemory {
  readonly memory: WebAssembly.Memory;
  readonly u8: Uint8Array;
  readonly i32: Int32Array;
  readonly u32: Uint32Array;
  readonly u16: Uint16Array;
  readonly u64: BigUint64Array;
  readonly view: DataView;
  /** Instead of the typed arrays' own fills and copies, wherever there are many. */
  readonly bulk: BulkMemory;
  readonly cpuBase: number;
  readonly cpus: number;
  /** The journal of interrupts (layout.ts). */
  readonly journalBase: number;
  readonly arenaBase: number;
  readonly arenaEnd: number;
  /** A byte for each page of RAM: MARK_ bits, for the page walk in the engine (interpreter/walk.ts). */
  readonly marksBase: number;
  readonly ramBase: number;
  readonly ramBytes: number;
  readonly romBase: number;
  readonly romBytes: number;
  readonly pages: number;
  private readonly provide: ProvideMemory | undefined;
  /** How many writes each chunk was said to expect, up to DENSE. */
  private readonly expected: Uint8Array;
  /** 1: the chunk was asked for. */
  private readonly asked: Uint8Array;

  constructor(options: EngineMemoryOptions) {
    this.cpuBase = 4096;
    this.cpus = options.cpus;
    this.journalBase = align(this.cpuBase + options.cpus * CPU_STRIDE, 64);
    const arena = align(this.journalBase + JOURNAL_BYTES, 4096);
    this.arenaBase = arena;
    this.arenaEnd = arena + options.codeArena;
    this.marksBase = align(this.arenaEnd, 4096);
    this.ramBase = align(this.marksBase + options.ram / 4096, 4096);
    this.ramBytes = options.ram;
    this.romBase = align(this.ramBase + options.ram, 4096);
    this.romBytes = options.rom ?? 0;
    this.pages = Math.ceil((this.romBase + this.romBytes) / WASM_PAGE);
    assert(this.pages <= 65536, "guest memory does not fit the engine's 4 GiB");
    this.memory = new WebAssembly.Memory({ initial: this.pages, maximum: this.pages, shared: true });
    const buffer = this.memory.buffer;
    this.u8 = new Uint8Array(buffer);
    this.i32 = new Int32Array(buffer);
    this.u32 = new Uint32Array(buffer);
    this.u16 = new Uint16Array(buffer);
    this.u64 = new BigUint64Array(buffer);
    this.view = new DataView(buffer);
    this.bulk = bulkMemory(this.memory);
    this.provide = options.provider?.(this.memory);
    this.expected = new Uint8Array(Math.ceil((this.pages * WASM_PAGE) / 2 ** CHUNK_SHIFT));
    this.asked = new Uint8Array(this.expected.length);
    for (let cpu = 0; cpu < options.cpus; cpu++) {
      const state = this.stateOf(cpu);
      this.i32[(state + WORD_RAM_BASE) >> 2] = this.ramBase;
      this.i32[(state + WORD_MARKS_BASE) >> 2] = this.marksBase;
      this.i32[(state + WORD_RAM_PAGES) >> 2] = this.ramBytes / 4096;
      this.i32[(state + WORD_CPUS) >> 2] = options.cpus;
      this.i32[(state + WORD_JOURNAL) >> 2] = this.journalBase;
    }
  }

  /** The content of RAM, without the holes of the physical address space. */
  get ram(): Uint8Array {
    return this.u8.subarray(this.ramBase, this.ramBase + this.ramBytes);
  }

  /** A place at `address` is about to be written for the first time, in RAM a page: memory about it is likely to be soon. */
  expectWrite(address: number): void {
    if (this.provide === undefined) return;
    const chunk = address >>> CHUNK_SHIFT;
    if (this.expected[chunk] === DENSE || ++this.expected[chunk] < DENSE) return;
    this.ask(chunk);
    // Memory that is filled from one end to the other: the next chunk is there before it is come to.
    if (this.expected[chunk - 1] === DENSE) this.ask(chunk + 1);
    if (this.expected[chunk + 1] === DENSE) this.ask(chunk - 1);
  }

  /** `length` bytes from `address` on are about to be written, all of them. */
  expectRange(address: number, length: number): void {
    if (this.provide === undefined || length <= 0) return;
    const last = (address + length - 1) >>> CHUNK_SHIFT;
    for (let chunk = address >>> CHUNK_SHIFT; chunk <= last; chunk++) this.ask(chunk);
  }

  /** Has a chunk provided, once. */
  private ask(chunk: number): void {
    // Beyond the memory there is none.
    if (this.asked[chunk] !== 0) return;
    this.asked[chunk] = 1;
    const start = chunk * 2 ** CHUNK_SHIFT;
    this.provide?.(start, Math.min(2 ** CHUNK_SHIFT, this.pages * WASM_PAGE - start));
  }

  /** Stores to page `page` of RAM, or to any (-1), need notice from now on: MARK_FREE goes. For all CPUs. */
  distrustStores(page: number): void {
    const { u8, i32, marksBase, ramBytes } = this;
    // Marks have pages of their own: up to a word's end there is nothing else.
    if (page < 0) for (let at = marksBase >> 2; at < (marksBase + ramBytes / 4096) / 4; at++) i32[at] &= ~ALL_FREE;
    else if (page < ramBytes / 4096) u8[marksBase + page] &= ~MARK_FREE;
  }

  /** The physical address space is arranged anew: nothing is known of any page. */
  forgetMarks(): void {
    this.bulk.fill(this.marksBase, 0, this.ramBytes / 4096);
  }

  /** Address of the state block of CPU `index`. */
  stateOf(index: number): number {
    return this.cpuBase + index * CPU_STRIDE;
  }
}

const align = (value: number, to: number): number => Math.ceil(value / to) * to;
