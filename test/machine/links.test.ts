/** Functions that packing has linked: code is rewritten, jumps go elsewhere, pages are mapped anew and modes change, and the run stays the interpreter's. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CS, DS, ES, SS } from "../../src/cpu/segmentRegisters";
import { Machine } from "../../src/machine/machine";
import type { MachineConfiguration } from "../../src/machine/types";
import { generator } from "./determinism";
import { lateThread } from "./lateThread";
import { eager, MIB } from "./runGuest";

/** 32-bit code at linear PAGES pages from CODE on, of which each has two physical copies; all else is mapped to where it is. */
const CODE = 0x10_0000;
const PAGES = 24;
const COPIES = 0x20_0000;
const TABLE = 0x30_0000;
const DIRECTORY = 0x31_0000;
const TABLES = 0x32_0000;
const GDT = 0x33_0000;
const SELECTOR = 0x34_0000;
const STACK = 0x35_8000;
const BLOCKS_OF_A_PAGE = 8;
const BLOCKS = PAGES * BLOCKS_OF_A_PAGE;
const SPACING = 4096 / BLOCKS_OF_A_PAGE;

const dword = (value: number): number[] => [value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, value >>> 24];
const place = (block: number): number => CODE + block * SPACING;
/** Where copy `copy` of a linear address in the code is. */
const copyOf = (linear: number, copy: number): number => COPIES + copy * PAGES * 4096 + (linear - CODE);

/** What happens between two portions of a run: the same to every machine. */
type Change = (web: Web, random: () => number) => void;

/** Blocks that jump to each other for ever: each adds a constant of its own to EAX and turns that, so that EAX tells which have run, in which order. */
class Web {
  readonly machine: Machine;
  private readonly next: number[] = [];
  private readonly copies = new Uint8Array(PAGES);
  private wide = true;
  /** The block whose jump goes elsewhere, or -1. */
  private elsewhere = -1;

  constructor(configuration: Partial<MachineConfiguration>, random: () => number) {
    this.machine = Machine.create({ cpus: 1, memory: 4 * MIB, ...configuration });
    this.put(DIRECTORY, TABLES + 3);
    for (let page = 0; page < 1024; page++) this.put(TABLES + page * 4, page * 4096 + 3);
    for (let page = 0; page < PAGES; page++) this.map(page, 0);
    const order = Array.from({ length: BLOCKS }, (_, block) => block).sort(() => (random() & 1) - 0.5);
    order.forEach((block, i) => void (this.next[block] = order[(i + 1) % BLOCKS]));
    for (let block = 0; block < BLOCKS; block++) {
      this.aim(block, this.next[block]);
      // add eax, imm; rol eax, 5; in the first block: mov ss, [SELECTOR]
      const begin = [0x05, 0, 0, 0, 0, 0xc1, 0xc0, 5, ...(block === 0 ? [0x8e, 0x15, ...dword(SELECTOR)] : [])];
      const code = Uint8Array.from([...begin, ...this.ending(block, place(block) + begin.length, random() % 4)]);
      for (const copy of [0, 1]) this.machine.memory.write(copyOf(place(block), copy), code);
      for (const copy of [0, 1]) this.rewrite(block, copy, random());
    }
    // Data segments of 4 GiB, the second one for stacks of 16 bits.
    for (const [selector, high] of [
      [16, 0x00cf_9300],
      [24, 0x008f_9300],
    ]) {
      this.put(GDT + selector, 0xffff);
      this.put(GDT + selector + 4, high);
    }
    this.put(SELECTOR, 16);
    const [{ state }] = this.machine.cpus;
    state.gdtrBase = BigInt(GDT);
    state.gdtrLimit = 0x1f;
    state.cr3 = DIRECTORY;
    state.cr0 = 0x8000_0011;
    state.setSegment(CS, 8, 0n, 0xffffffff, 0xc09b);
    for (const segment of [SS, DS, ES]) state.setSegment(segment, 16, 0n, 0xffffffff, 0xc093);
    state.setGpr(4, BigInt(STACK));
    state.rip = BigInt(place(0));
    this.changed();
  }

  private put(address: number, value: number): void {
    const bytes = new DataView(new ArrayBuffer(4));
    bytes.setUint32(0, value, true);
    this.machine.memory.write(address, new Uint8Array(bytes.buffer));
  }

  private changed(): void {
    const [vcpu] = this.machine.cpus;
    vcpu.mmu.tlb.flush();
    vcpu.changed();
  }

  /** The instructions, from `at` on, that a block ends in. */
  private ending(block: number, at: number, kind: number): number[] {
    const cell = TABLE + block * 4;
    // jmp next; push dword [cell] and ret; jmp [cell]
    if (kind === 0) return [0xe9, ...dword(place(this.next[block]) - (at + 5))];
    if (kind === 1) return [0xff, 0x35, ...dword(cell), 0xc3];
    return [0xff, 0x25, ...dword(cell)];
  }

  private aim(block: number, to: number): void {
    this.put(TABLE + block * 4, place(to));
  }

  /** The indirect jump of a block goes elsewhere, or the one that does goes where it went at first. */
  aimElsewhere(random: () => number): void {
    const block = this.elsewhere < 0 ? random() % BLOCKS : this.elsewhere;
    this.aim(block, this.elsewhere < 0 ? random() % BLOCKS : this.next[block]);
    this.elsewhere = this.elsewhere < 0 ? block : -1;
  }

  rewrite(block: number, copy: number, value: number): void {
    this.put(copyOf(place(block), copy) + 1, value);
  }

  map(page: number, copy: number): void {
    this.copies[page] = copy;
    this.put(TABLES + ((CODE >> 12) + page) * 4, copyOf(CODE + page * 4096, copy) + 3);
  }

  /** Another page table, as a change of address spaces brings about. */
  remap(page: number): void {
    this.map(page, this.copies[page] ^ 1);
    this.changed();
  }

  /** Another mode of the code from the first block on, which loads SS: stacks of 16 or of 32 bits. */
  changeMode(): void {
    this.wide = !this.wide;
    this.put(SELECTOR, this.wide ? 16 : 24);
  }

  /** Where the jump goes that ends the block at `rip`. */
  leadsTo(rip: bigint): bigint {
    return BigInt(place(this.next[Math.floor((Number(rip) - CODE) / SPACING)]));
  }

  get state(): string {
    const { state } = this.machine.cpus[0];
    return [state.rip, state.gpr(0), state.gpr(4)].map((value) => value.toString(16)).join(" ");
  }
}

/** Everything hot at once, and packed again and again. */
const packing = { ...eager, packModules: 1, packPatience: 2, maximumMade: 12 };

/** Runs webs with `change` now and then on the interpreter and in packed code, made by a thread that is late or at once; links made. */
function compare(seed: number, change: Change, thread: boolean): number {
  const late = thread ? { compiler: () => lateThread({ made: 0, failed: 0, refused: 0 }) } : {};
  const machines = [{ engine: "interpreter" } as const, { jit: packing, ...late }].map((configuration) => ({
    web: new Web(configuration, generator(seed)),
    random: generator(seed + 1),
  }));
  for (let portion = 0; portion < 110; portion++) {
    const [expected, actual] = machines.map(({ web, random }) => {
      // What is made anew has everything packed again, after the jumps that are left have been seen to go somewhere.
      if (portion % 20 === 10) for (let i = 0; i < BLOCKS / 8; i++) web.rewrite(random() % BLOCKS, 0, random());
      if (portion >= 20 && portion % 4 === 0) change(web, random);
      web.machine.run(6_000 + (random() % 6_000));
      return web.state;
    });
    assert.equal(actual, expected, `web ${seed}, portion ${portion}`);
  }
  assert.equal(machines[1].web.machine.stateHash(), machines[0].web.machine.stateHash());
  return machines[1].web.machine.stats().jit?.links ?? 0;
}

describe("linked functions", () => {
  const changes: readonly (readonly [name: string, change: Change, webs?: number])[] = [
    ["nothing changes", () => undefined],
    ["code is rewritten", (web, random) => void web.rewrite(random() % BLOCKS, 0, random())],
    ["jumps go elsewhere, and back", (web, random) => void web.aimElsewhere(random)],
    ["pages are mapped anew", (web, random) => void web.remap(random() % PAGES)],
    ["the mode changes", (web) => void web.changeMode()],
    [
      "all of that",
      (web, random) => {
        const kind = random() % 4;
        if (kind < 3) changes[1 + kind][1](web, random);
        else web.changeMode();
      },
      8,
    ],
  ];
  for (const [name, change, webs = 2] of changes) {
    test(name, () => {
      for (let seed = 1; seed <= webs; seed++) {
        const links = compare(seed, change, seed % 2 === 0);
        assert.ok(links > 100, `web ${seed}: ${links} links`);
      }
    });
  }

  test("are told of a block that is explained, with what its jumps have been seen to go to", () => {
    const random = generator(1);
    const web = new Web({ jit: packing }, random);
    for (let portion = 0; portion < 60; portion++) {
      if (portion % 20 === 10) for (let i = 0; i < BLOCKS / 8; i++) web.rewrite(random() % BLOCKS, 0, random());
      web.machine.run(9_000);
    }
    const told = Array.from({ length: BLOCKS }, (_, block) => web.machine.explainBlock(0, BigInt(place(block)))).filter(
      (explained) => explained !== undefined,
    );
    const jumps = told.flatMap((explained) => explained.jumps);
    const linked = jumps.filter((jump) => jump.linked !== undefined);
    assert.ok(
      linked.some(({ to }) => to !== undefined) && linked.some(({ to }) => to === undefined),
      `${linked.length} of ${jumps.length}`,
    );
    for (const { from, to, linked: target } of linked) {
      assert.equal(target, web.leadsTo(from));
      assert.ok(to === undefined || to === target);
    }
    const learnt = told.flatMap(({ learnt: targets, members }) => targets.map((one) => ({ ...one, members })));
    assert.ok(learnt.length > 0);
    for (const { from, to } of learnt) assert.deepEqual(to, [web.leadsTo(from)]);
    // What was learnt is taken into the function that is shown.
    assert.ok(learnt.some(({ to, members }) => members.includes(to[0])));
    // Once the target is no more, the jump is looked up again.
    const [{ from, linked: gone }] = linked;
    web.rewrite(Math.floor((Number(gone) - CODE) / SPACING), 0, 5);
    const after = web.machine.explainBlock(0, from)?.jumps.find((jump) => jump.from === from);
    assert.ok(after === undefined || after.linked === undefined);
  });
});
