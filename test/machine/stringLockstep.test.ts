/** Repeated string instructions in lockstep: the reference interpreter, which does one iteration after the other, and the engines, which do as many at once as they can. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Machine } from "../../src/machine/machine";
import { type TestGuest, testGuest } from "./testGuest";

const PD = 0x5000;
const PT = 0x6000;
/** A second page table, for 2 MiB of linear addresses from HIGH on. */
const SECOND_PT = 0x9000;
const LOW = 0x10_0000;
/** Pages of it share their places in the TLB with those of LOW. */
const HIGH = 0x50_0000;
const PAGES = 12;
/**
 * Frames of the pages from LOW and from HIGH on: some follow each other, some do not, some are in both; with the flags of their entries. One is missing, one is read-only, of some the dirty or the accessed bit is still to be set.
 */
const low = [0x100, 0x101, 0x102, 0x103, 0x105, 0x104, 0x106, 0x107, 0x108, 0x109, 0x10a, 0x10b];
const high = [0x102, 0x103, 0x104, 0x105, 0x120, 0x121, 0x122, 0x123, 0x100, 0x101, 0x124, 0x125];
const flagsOf = (page: number): number => (page === 7 ? 0x62 : page === 10 ? 0x61 : page === 5 ? 0x23 : page === 6 ? 0x03 : 0x63);
const AREA_BYTES = PAGES * 4096;
const FLAG_DF = 0x400;
const RAX = 0;
const RCX = 1;
const RSP = 4;
const RSI = 6;
const RDI = 7;

const kinds = { movs: 0xa4, cmps: 0xa6, stos: 0xaa, scas: 0xae } as const;
const sizes = [1, 2, 4, 8] as const;

/** Every instruction at a label of its own, each with an ordinary one before and after it. */
function program(): { name: string; bytes: number[]; size: number }[] {
  const all: { name: string; bytes: number[]; size: number }[] = [];
  for (const [kind, opcode] of Object.entries(kinds)) {
    for (const size of sizes) {
      for (const repeat of [0xf3, 0xf2]) {
        for (const short of [false, true]) {
          const bytes = [...(short ? [0x67] : []), ...(size === 2 ? [0x66] : []), repeat, ...(size === 8 ? [0x48] : [])];
          all.push({ name: `${kind} ${size} ${repeat} ${short}`, bytes: [...bytes, size === 1 ? opcode : opcode + 1], size });
        }
      }
    }
  }
  return all;
}

function makeGuest(engine: "reference" | "interpreter" | "jit"): TestGuest {
  const guest = testGuest(
    (a) => {
      a.label("cpu0").nop();
      for (const { name, bytes } of program())
        a.label(name)
          .nop()
          .bytes(...bytes)
          .nop()
          .hlt();
      a.label("vector14").hlt();
    },
    { engine },
  );
  const { machine } = guest;
  const put = (table: number, index: number, value: number): void => {
    const entry = new Uint8Array(8);
    new DataView(entry.buffer).setUint32(0, value, true);
    machine.memory.write(table + index * 8, entry);
  };
  put(PD, HIGH >> 21, SECOND_PT + 3);
  low.forEach((frame, page) => put(PT, (LOW >> 12) + page, frame * 4096 + 0x63));
  high.forEach((frame, page) => put(SECOND_PT, ((HIGH >> 12) & 511) + page, frame * 4096 + flagsOf(page)));
  machine.cpus[0].mmu.tlb.flush();
  return guest;
}

function generator(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % limit;
  };
}

/** What may be seen of a CPU between two instructions, and how it is spoken of. */
function seen(machine: Machine): string {
  const { state } = machine.cpus[0];
  const registers = Array.from({ length: 16 }, (_, i) => state.gpr(i).toString(16));
  return [state.rip.toString(16), state.rflags.toString(16), state.midString, machine.instructions(), ...registers].join(" ");
}

/** The translations that a CPU holds: which pages, not whether their next access is looked at. */
function translations(machine: Machine): string {
  const saved = machine.cpus[0].mmu.tlb.save();
  const out: string[] = [];
  for (let at = 1; at < saved.length; at += 9) {
    const [index, read, readHigh, write, writeHigh] = saved.subarray(at, at + 5);
    const page = saved[at + 8];
    out.push(`${index}: ${read & ~1} ${readHigh} ${write & ~1} ${writeHigh} ${page}`);
  }
  return out.join("\n");
}

test("a move whose pages share places in the TLB leaves there what single iterations leave", () => {
  const guests = (["reference", "interpreter", "jit"] as const).map(makeGuest);
  const found = guests.map(({ machine, code }) => {
    const { state } = machine.cpus[0];
    const run = (name: string, from: number, to: number, count: number): void => {
      state.activity = "running";
      state.setGpr(RCX, BigInt(count));
      state.setGpr(RSI, BigInt(from));
      state.setGpr(RDI, BigInt(to));
      machine.cpus[0].setRip(code.at(name));
      assert.deepEqual(machine.run(1_000_000), { kind: "dead" });
    };
    // Once by the host, so that the engine knows the pages.
    run("movs 1 243 false", LOW, HIGH, 8192);
    machine.cpus[0].mmu.tlb.flush();
    // The second page written to is known, the first one meets the page read from.
    run("stos 1 243 false", 0, HIGH + 4096, 1);
    run("movs 1 243 false", LOW, HIGH + 2048, 4095);
    return translations(machine);
  });
  assert.equal(found[1], found[0]);
  assert.equal(found[2], found[0]);
});

test("a handler entered in the slice of a long string instruction began at the same instruction", () => {
  const found = (["reference", "interpreter", "jit"] as const).map((engine) => {
    const { machine, code } = testGuest(
      (a) => {
        // REP STOSB; INT 0x40
        a.label("cpu0").mov("rcx", 300_000).mov("rdi", LOW).bytes(0xf3, 0xaa, 0xcd, 0x40);
        a.label("vector64").hlt();
      },
      { engine },
    );
    // While somebody hears of deliveries, the host does them.
    machine.hooks = {};
    const { state } = machine.cpus[0];
    const frames: unknown[] = [];
    // The first time, the host does it, and the engine learns where it leads.
    for (let round = 0; round < 4; round++) {
      state.activity = "running";
      state.setGpr(RSP, 0x7_1000n);
      machine.cpus[0].setRip(code.at("cpu0"));
      assert.deepEqual(machine.run(5_000_000), { kind: "dead" });
      frames.push(machine.instructions(), ...machine.frames.of(0).map(({ instruction, retired }) => [instruction, retired]));
    }
    return frames;
  });
  assert.deepEqual(found[1], found[0]);
  assert.deepEqual(found[2], found[0]);
});

for (const seed of [1, 2, 3, 4]) {
  test(`string instructions do the same one by one and in bulk, cut anywhere (${seed})`, () => {
    const random = generator(seed * 7919);
    const guests = (["reference", "interpreter", "jit"] as const).map(makeGuest);
    const instructions = program();
    for (let round = 0; round < 120; round++) {
      const instruction = instructions[random(instructions.length)];
      const { size } = instruction;
      const down = random(4) === 0;
      const count = random(3) === 0 ? random(40) : random(random(3) === 0 ? 30_000 : 3_000);
      const place = (): number => {
        const area = random(2) === 0 ? LOW : HIGH;
        const exact = random(3) === 0 ? random(PAGES) * 4096 + (random(16) - 8) * size : random(AREA_BYTES);
        const start = area + Math.min(Math.max(exact, 0), AREA_BYTES - 8);
        return random(2) === 0 ? start & -size : start;
      };
      const from = place();
      const near = random(4);
      const beside = random(2) === 0 ? random(64) - 32 : (random(9) - 4) * 4096 + random(8);
      const sameEntries = (from < HIGH ? from - LOW + HIGH : from - HIGH + LOW) + beside;
      const to = near === 0 ? from + beside : near === 1 ? sameEntries : place();
      const registers = new Map([
        [RAX, [0n, 0x0707_0707_0707_0707n, 0x1122_3344_5566_7788n][random(3)]],
        [RCX, BigInt(count)],
        [RSI, BigInt(from)],
        [RDI, BigInt(to)],
        [RSP, 0x7_1000n],
      ]);
      // Long stretches that are equal, with places where they are not.
      const content = new Uint8Array(AREA_BYTES).fill(7);
      for (let i = random(4); i > 0; i--) content[random(AREA_BYTES)] = random(256);
      const noise = !/cmps|scas/.test(instruction.name) || random(4) === 0;
      const flush = random(3) === 0;
      for (const { machine, code } of guests) {
        const { state, mmu } = machine.cpus[0];
        for (const frame of new Set([...low, ...high])) {
          const part = content.slice((frame % PAGES) * 4096, (frame % PAGES) * 4096 + 4096);
          machine.memory.write(frame * 4096, noise ? part.map((byte, i) => byte + i) : part);
        }
        for (const [register, value] of registers) state.setGpr(register, value);
        state.activity = "running";
        state.rflags = down ? 2 | FLAG_DF : 2;
        if (flush) mmu.tlb.flush();
        machine.cpus[0].setRip(code.at(instruction.name));
      }
      const said = `${instruction.name} ${JSON.stringify({ round, count, from, to, down })}`;
      const longest = [1, 7, 1000, 1_000_000][random(4)];
      for (let slices = 0; ; slices++) {
        const length = slices > 60 ? 1_000_000 : longest;
        const ends = guests.map(({ machine }) => JSON.stringify(machine.run(length)));
        const [expected, ...others] = guests.map(({ machine }, i) => `${ends[i]} ${seen(machine)}`);
        for (const other of others) assert.equal(other, expected, said);
        if (ends[0] === JSON.stringify({ kind: "dead" })) break;
      }
      const [first, ...rest] = guests;
      for (const { machine } of rest) {
        assert.equal(translations(machine), translations(first.machine), said);
        for (const frame of new Set([...low, ...high, PT >> 12, SECOND_PT >> 12])) {
          const [a, b] = [first.machine, machine].map((each) => Buffer.from(each.memory.read(frame * 4096, 4096)));
          assert.equal(b.compare(a), 0, `${said}: frame ${frame.toString(16)}`);
        }
        assert.deepEqual(machine.cpus[0].state.cr2, first.machine.cpus[0].state.cr2, said);
      }
    }
  });
}
