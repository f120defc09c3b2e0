/** The page walk in the engine against the host's: what it fills it fills alike, and what it leaves it leaves untouched. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Mmu } from "../../src/cpu/mmu";
import { ACCESS_READ, ACCESS_WRITE } from "../../src/cpu/tlb";
import {
  CR0_PE,
  CR0_PG,
  CR0_WP,
  CR4_LA57,
  CR4_PAE,
  CR4_PKE,
  CR4_PKS,
  CR4_SMAP,
  EFER_LMA,
  EFER_LME,
  EFER_NXE,
} from "../../src/cpu/registerBits";
import type { CpuState } from "../../src/cpu/state";
import { Machine } from "../../src/machine/machine";
import { assembleInterpreter } from "../../src/tcg/interpreter/interpreter";
import { KIND_PROBE_WRITE } from "../../src/tcg/interpreter/memory";
import { MMU_SUPERVISOR, MMU_SUPERVISOR_SMAP, MMU_USER, TLB_ENTRIES, TLB_ENTRY_BYTES, TLB_WRITE, WORD_TLB } from "../../src/tcg/layout";
import { generator } from "../machine/determinism";

const MEMORY = 4 << 20;
/** Tables have a page each from here on; what they map lies behind them. */
const ROOT = 0x200000;
const DATA = 0x300000;
const P = 1n;
const RW = 2n;
const US = 4n;
const A = 0x20n;
const D = 0x40n;
const PS = 0x80n;
const NX = 1n << 63n;

type Walk = (cpu: number, address: bigint, kind: number) => number;

class Bench {
  readonly state: CpuState;
  readonly mmu: Mmu;
  private readonly walk: Walk;
  filled = 0;
  /** Of those filled, entries whose stores take the slow path. */
  slowStores = 0;

  constructor() {
    const machine = Machine.create({ cpus: 1, memory: MEMORY });
    const [cpu] = machine.cpus;
    // Every other page has been written since its content was last taken down: stores to those need no notice, loads from none do.
    machine.stateHash();
    for (let page = 0; page < MEMORY / 4096; page += 2) machine.memory.hostPage(page, true, 0);
    this.state = cpu.state;
    this.mmu = cpu.mmu;
    const { memory } = this.state;
    const none = (): number => 0;
    const module = new WebAssembly.Module(assembleInterpreter());
    const table = new WebAssembly.Table({ element: "anyfunc", initial: 1 });
    const host = { returned: none, helper: none, load: none, store: none, segment: none, fault: none, divide: none };
    this.walk = new WebAssembly.Instance(module, { env: { memory: memory.memory, table, ...host } }).exports["walk"] as Walk;
  }

  write(physical: number, value: bigint): void {
    this.state.memory.view.setBigUint64(this.state.memory.ramBase + physical, value, true);
  }

  private entry(address: bigint): Int32Array {
    const at = this.state.words[WORD_TLB / 4] + (Number((address >> 12n) & 0xfffffn) % TLB_ENTRIES) * TLB_ENTRY_BYTES;
    return this.state.memory.i32.slice(at >> 2, (at + TLB_ENTRY_BYTES) >> 2);
  }

  private translate(address: bigint, write: boolean, index = this.index): boolean {
    const lo = Number(BigInt.asIntN(32, address));
    const hi = Number(BigInt.asIntN(32, address >> 32n));
    const found = this.mmu.tlb.translate(lo, hi, write ? ACCESS_WRITE : ACCESS_READ, index) >= 0;
    this.state.pending = undefined;
    return found;
  }

  /** MMU index that the CPU's data accesses have now. */
  private get index(): number {
    if (this.state.cpl === 3) return MMU_USER;
    return (this.state.cr4 & CR4_SMAP) !== 0 ? MMU_SUPERVISOR_SMAP : MMU_SUPERVISOR;
  }

  /** An address that is not canonical, whose lower bits are mapped, is left to the host. */
  leaves(address: bigint, known: bigint): void {
    this.mmu.tlb.selectIndex();
    this.mmu.tlb.flush();
    assert.ok(this.translate(known, false, MMU_SUPERVISOR));
    assert.equal(this.walk(this.state.base, address, 4), 0, `${address.toString(16)} is not canonical`);
  }

  private slowWrites(entry: Int32Array): boolean {
    const tag = entry[TLB_WRITE / 4];
    return tag !== -1 && (tag & 1) !== 0;
  }

  /** Walks for `address` both ways; `known` is mapped in any case. */
  compare(address: bigint, write: boolean, known: bigint): void {
    const what = `${address.toString(16)} ${write ? "written" : "read"}, CR4 ${this.state.cr4.toString(16)}, CPL ${this.state.cpl}`;
    this.mmu.tlb.selectIndex();
    this.mmu.tlb.flush();
    const found = this.translate(address, write);
    const expected = this.entry(address);
    this.mmu.tlb.flush();
    assert.ok(this.translate(known, false, MMU_SUPERVISOR), `${what}: the page that is always mapped`);
    const before = this.entry(address);
    const filled = this.walk(this.state.base, address, 4 | (write ? KIND_PROBE_WRITE : 0)) !== 0;
    if (filled) assert.ok(found, `${what}: only the engine maps it`);
    assert.deepEqual(this.entry(address), filled ? expected : before, what);
    if (!filled) return;
    this.filled++;
    if (this.slowWrites(expected)) this.slowStores++;
  }
}

/** A table at each level, entry 1 of each leading on, entry 2 and others random; returns the addresses of what the random ones map. */
function randomTables(bench: Bench, levels: number, random: () => number): bigint[] {
  const pick = (one: number): boolean => random() % one === 0;
  const flags = (leaf: boolean): bigint => {
    let bits = P | A | RW | US;
    for (const bit of [P, A]) if (pick(12)) bits &= ~bit;
    for (const bit of [RW, US]) if (pick(3)) bits &= ~bit;
    if (leaf && !pick(4)) bits |= D;
    if (pick(6)) bits |= NX;
    if (leaf) bits |= BigInt(random() % 16) << 59n;
    if (pick(30)) bits |= 1n << BigInt(32 + (random() % 20));
    return bits;
  };
  const addresses: bigint[] = [];
  const top = 12 + 9 * levels;
  const path = (last: number, entry: number): bigint => {
    let address = 0n;
    for (let level = levels - 1; level >= last; level--) address |= BigInt(level === last ? entry : 1) << BigInt(12 + 9 * level);
    return BigInt.asUintN(64, BigInt.asIntN(top, address));
  };
  for (let level = levels - 1; level >= 0; level--) {
    const table = ROOT + (levels - 1 - level) * 4096;
    for (let entry = 0; entry < 512; entry++) bench.write(table + entry * 8, 0n);
    bench.write(table + 8, level === 0 ? BigInt(DATA) | P | A | D | RW : BigInt(table + 4096) | P | A | RW | US);
    for (let i = 0; i < 16; i++) {
      const entry = 2 + (random() % 510);
      const large = level > 0 && pick(3);
      const leaf = level === 0 || large;
      const target = leaf ? DATA + (random() % 64) * 4096 : table + 4096;
      const aligned = large ? BigInt(target) & ~((1n << BigInt(12 + 9 * level)) - 1n) : BigInt(target);
      bench.write(table + entry * 8, (large && pick(8) ? BigInt(target) : aligned) | flags(leaf) | (large ? PS : 0n));
      const address = path(level, entry);
      addresses.push(leaf ? address : address | (1n << BigInt(12)) | (level > 1 ? path(0, 1) & ((1n << BigInt(12 + 9 * level)) - 1n) : 0n));
    }
  }
  addresses.push(path(0, 1));
  return addresses;
}

/** Compares walks through random tables under random control registers; returns the share that the engine did. */
function share(levels: 4 | 5, cr4: number): number {
  const bench = new Bench();
  const random = generator(0x3a1);
  const { state } = bench;
  let walks = 0;
  for (let round = 0; round < 20; round++) {
    const addresses = randomTables(bench, levels, random);
    const known = addresses[addresses.length - 1];
    state.cr0 = (CR0_PE | CR0_PG | (random() % 2 === 0 ? CR0_WP : 0)) >>> 0;
    state.cr3 = ROOT;
    state.cr4 = CR4_PAE | cr4;
    state.efer = EFER_LME | EFER_LMA | (random() % 4 === 0 ? 0 : EFER_NXE);
    state.gigabytePages = random() % 2 === 0;
    // The page that is always mapped has key 0 and is the supervisor's.
    state.pkru = random() & ~3;
    state.pkrs = random() & ~3;
    state.cpl = 0;
    const above = BigInt(12 + 9 * levels);
    for (const bits of [1n << above, 1n << 63n, BigInt.asUintN(64, -1n << above)]) bench.leaves(known | bits, known);
    for (const address of addresses) {
      for (const write of [false, true]) {
        state.cpl = random() % 2 === 0 ? 0 : 3;
        bench.compare(address, write, known);
        walks++;
      }
    }
  }
  assert.ok(bench.slowStores > 0, "the engine fills entries of pages that stores must be seen of");
  return bench.filled / walks;
}

test("fills the TLB as the host does through tables of four and five levels, with protection keys and without", () => {
  for (const levels of [4, 5] as const) {
    const la57 = levels === 5 ? CR4_LA57 : 0;
    for (const more of [0, CR4_SMAP, CR4_PKE, CR4_PKS | CR4_PKE | CR4_SMAP]) {
      const done = share(levels, la57 | more);
      assert.ok(done > 0.2, `${levels} levels, CR4 ${more.toString(16)}: the engine did ${done} of the walks`);
    }
  }
});
