/** SYSCALL, SYSRET, SYSENTER and SYSEXIT where Intel's and AMD's processors differ; IA32_TSC_ADJUST; AVX where the system does not let it be used. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CS, SS } from "../../../src/cpu/segmentRegisters";
import { SLOT_SEG_LIMIT_R, SLOT_SEG_LIMIT_W, WORD_FETCH, WORD_MODE, WORD_TLB } from "../../../src/tcg/layout";
import type { Assembler } from "../../machine/assembler";
import { generator } from "../../machine/determinism";
import { CODE, DATA, PT, testGuest, type TestGuest } from "../../machine/testGuest";

const STAR = 0xc000_0081;
const LSTAR = 0xc000_0082;
const CSTAR = 0xc000_0083;
const SYSENTER_CS = 0x174;
const SYSENTER_ESP = 0x175;
const SYSENTER_EIP = 0x176;
const TSC = 0x10;
const TSC_ADJUST = 0x3b;
const GDT = 0x2000;
const STACK = 0x7_0800;

type Vendor = "intel" | "amd";

/** EDX:EAX of WRMSR: the address of a label. */
const msr = (a: Assembler, index: number, value: number): Assembler =>
  a.mov("rcx", index).mov("rax", value).mov("rdx", 0).bytes(0x0f, 0x30);
const msrLabel = (a: Assembler, index: number, label: string): Assembler =>
  a.mov("rcx", index).address("rax", label).mov("rdx", 0).bytes(0x0f, 0x30);

/** Runs `write` on a processor of `vendor`; #UD and #GP end the run. Returns the first vector delivered, or "reached" when the label `target` was. */
function course(vendor: Vendor, write: (a: Assembler) => unknown): number | "reached" {
  const guest: TestGuest = testGuest(
    (a) => {
      write(a.label("cpu0"));
      a.exit(7);
      a.label("target").exit(2);
      for (const vector of [6, 13]) a.label(`vector${vector}`).exit();
    },
    { cpuModel: `max,vendor=${vendor}` },
  );
  // A segment of 32-bit code for compatibility mode.
  guest.machine.memory.write(GDT + 0x18, Uint8Array.of(0xff, 0xff, 0, 0, 0, 0x9b, 0xcf, 0));
  const end = guest.run(10_000);
  assert.equal(end.kind, "exit");
  const status = end.kind === "exit" ? end.status >> 1 : -1;
  assert.notEqual(status, 7, "nothing happened");
  return status === 2 ? "reached" : guest.deliveries[0].vector;
}

describe("fast system calls by vendor", () => {
  const table: readonly (readonly [name: string, write: (a: Assembler) => unknown, intel: number | "reached", amd: number | "reached"])[] =
    [
      ["SYSCALL in 64-bit code", (a) => msrLabel(msr(a, STAR, 0), LSTAR, "target").bytes(0x0f, 0x05), "reached", "reached"],
      [
        "SYSCALL in compatibility mode goes to CSTAR, or nowhere",
        (a) => {
          msrLabel(msr(a, STAR, 0), CSTAR, "target");
          // push 0x18; push compatible; retfq
          a.push(0x18).pushLabel("compatible").bytes(0x48, 0xcb);
          a.label("compatible").bytes(0x0f, 0x05);
        },
        6,
        "reached",
      ],
      [
        "SYSENTER in long mode",
        (a) => {
          msrLabel(msr(msr(a, SYSENTER_CS, 8), SYSENTER_ESP, STACK), SYSENTER_EIP, "target");
          a.bytes(0x0f, 0x34);
        },
        "reached",
        6,
      ],
      ["SYSENTER with a null selector", (a) => msr(a, SYSENTER_CS, 0).bytes(0x0f, 0x34), 13, 6],
      ["SYSEXIT with a null selector", (a) => msr(a, SYSENTER_CS, 0).bytes(0x48, 0x0f, 0x35), 13, 6],
    ];
  for (const [name, write, intel, amd] of table)
    test(name, () => {
      assert.equal(course("intel", write), intel, "Intel");
      assert.equal(course("amd", write), amd, "AMD");
    });

  test("SYSRET to an address that is not canonical: refused before the change of privilege by Intel's, not by AMD's", () => {
    const write = (a: Assembler): unknown => msr(a, STAR, 0).mov("rcx", 0).bytes(0x48, 0x0f, 0xba, 0xe9, 0x2f, 0x48, 0x0f, 0x07); // bts rcx, 47; sysretq
    assert.equal(course("intel", write), 13);
    const guest = testGuest((a) => void write(a.label("cpu0")), { cpuModel: "max,vendor=amd" });
    guest.run(7);
    const { state } = guest.machine.cpus[0];
    assert.deepEqual([state.cpl, state.rip], [3, 1n << 47n]);
  });
});

describe("IA32_TSC_ADJUST", () => {
  const rdtsc = (a: Assembler, place: number): Assembler =>
    a
      .bytes(0x0f, 0x31)
      .store(place, "rax")
      .store(place + 8, "rdx");
  const value = (guest: TestGuest, place: number): bigint => (BigInt(guest.read32(place + 8)) << 32n) | BigInt(guest.read32(place));

  test("is added to the counter, and follows when the counter is written; each CPU has its own", () => {
    const guest = testGuest(
      (a) => {
        rdtsc(a.label("cpu0"), DATA);
        // wrmsr(TSC_ADJUST, 5 << 32)
        a.mov("rcx", TSC_ADJUST).mov("rax", 0).mov("rdx", 5).bytes(0x0f, 0x30);
        rdtsc(a, DATA + 16);
        // wrmsr(TSC, 1 << 32)
        a.mov("rcx", TSC).mov("rax", 0).mov("rdx", 1).bytes(0x0f, 0x30);
        rdtsc(a, DATA + 32);
        a.mov("rcx", TSC_ADJUST)
          .bytes(0x0f, 0x32)
          .store(DATA + 48, "rax")
          .store(DATA + 56, "rdx");
        a.exit();
      },
      { cpus: 2 },
    );
    guest.finish();
    const [before, moved, set, adjust] = [0, 16, 32, 48].map((place) => value(guest, DATA + place));
    assert.equal((moved - before) >> 32n, 5n);
    assert.ok((moved - before) % (1n << 32n) < 100n);
    assert.equal(set >> 32n, 1n);
    assert.ok(set % (1n << 32n) < 100n);
    // What the write of the counter took away, it took away from the adjustment: the counter without it is the time since power-on.
    const plain = BigInt.asUintN(64, set - adjust);
    assert.ok(plain > before && plain < before + 200n, `${plain} ticks without the adjustment`);
    assert.equal(guest.machine.cpus[1].state.tscOffset, 0n);
  });
});

describe("AVX that the system has not enabled", () => {
  const CR4_OSXSAVE = 0x4_0000;
  /** Sets CR4 and XCR0, then CR0.TS if wanted, executes `code` with RAX = DATA, and returns the vectors delivered. */
  const vectors = (code: readonly number[], options: { osxsave?: boolean; xcr0?: number; ts?: boolean } = {}): number[] => {
    const guest = testGuest((a) => {
      a.label("cpu0");
      if (options.osxsave !== false) {
        a.mov("rax", 0x6a0 | CR4_OSXSAVE).bytes(0x0f, 0x22, 0xe0);
        a.mov("rcx", 0)
          .mov("rdx", 0)
          .mov("rax", options.xcr0 ?? 7)
          .bytes(0x0f, 0x01, 0xd1);
      }
      if (options.ts === true) a.mov("rax", 0x8001_003b).bytes(0x0f, 0x22, 0xc0);
      a.mov("rax", DATA)
        .bytes(...code)
        .exit();
      for (const vector of [6, 7, 13]) a.label(`vector${vector}`).exit();
    });
    guest.finish();
    return guest.deliveries.map(({ vector }) => vector);
  };
  /** vaddps xmm0, xmm1, xmm2; vmovaps ymm0, [rax]; vmovups ymm0, [rax + 1]. */
  const ADD = [0xc5, 0xf0, 0x58, 0xc2];
  const MOVE = [0xc5, 0xfc, 0x28, 0x00];

  test("#UD without CR4.OSXSAVE or XCR0, #NM with CR0.TS", () => {
    assert.deepEqual(vectors(ADD), []);
    assert.deepEqual(vectors(ADD, { osxsave: false }), [6]);
    assert.deepEqual(vectors(ADD, { xcr0: 3 }), [6]);
    assert.deepEqual(vectors(ADD, { ts: true }), [7]);
    assert.deepEqual(vectors(ADD, { ts: true, xcr0: 3 }), [6], "#UD goes before #NM");
  });

  test("#UD for prefixes before VEX, and for a register where there is none to name", () => {
    for (const prefix of [0x66, 0xf2, 0xf3, 0xf0, 0x48]) assert.deepEqual(vectors([prefix, ...ADD]), [6], prefix.toString(16));
    // vmovaps with VEX.vvvv not 1111.
    assert.deepEqual(vectors([0xc5, 0xf4, 0x28, 0x00]), [6]);
    // vaddss with VEX.L of 1 is as with 0; vmovd with it is not there.
    assert.deepEqual(vectors([0xc5, 0xf6, 0x58, 0xc2]), []);
    assert.deepEqual(vectors([0xc5, 0xfd, 0x6e, 0xc0]), [6]);
  });

  test("alignment: of aligned moves only", () => {
    assert.deepEqual(vectors(MOVE), []);
    assert.deepEqual(vectors([0xc5, 0xfc, 0x28, 0x40, 0x10]), [13], "32 bytes at a multiple of 16");
    assert.deepEqual(vectors([0xc5, 0xfc, 0x10, 0x40, 0x01]), []);
    assert.deepEqual(vectors([0xc5, 0xf4, 0x58, 0x40, 0x01]), []);
  });
});

describe("system calls and returns in the engine", () => {
  const STATES = 600;
  const tables = [0x3000, 0x4000, 0x5000, PT + (CODE >> 12) * 8];
  const make = (engine: "interpreter" | "reference"): TestGuest => {
    const guest = testGuest((a) => a.label("cpu0").bytes(0x0f, 0x05).label("target").bytes(0x48, 0x0f, 0x07), { engine });
    // User code may run here.
    for (const entry of tables) guest.machine.memory.write(entry, Uint8Array.of(guest.machine.memory.read(entry, 1)[0] | 4));
    return guest;
  };

  /** Carries out the instruction at `label` from the state that `number` stands for; what became of it. */
  function after(guest: TestGuest, number: number): unknown {
    const next = generator(number + 1);
    const random = (below: number): number => next() % below;
    const pick = <T>(...list: readonly T[]): T => list[random(list.length)];
    const [vcpu] = guest.machine.cpus;
    const { state } = vcpu;
    const flags = (): number => (random(2) === 0 ? random(0x1000) & ~0x100 : random(0x40_0000)) | 2;
    const user = random(2) === 0;
    state.cr4 = 0x6a0 | pick(0, 1 << 11) | pick(0, 0, 1 << 21);
    state.efer = random(10) === 0 ? 0xd00 : 0xd01;
    state.star = (BigInt(random(0x10000)) << 48n) | (BigInt(random(0x10000)) << 32n);
    state.lstar = guest.code.at(pick("cpu0", "target"));
    state.sfmask = BigInt(pick(0, 0x4_7700, random(0x40_0000)));
    state.cpl = user ? 3 : 0;
    state.setSegment(CS, user ? 0x33 : 8, 0n, 0xffffffff, user ? 0xa0fb : 0xa09b);
    state.setSegment(SS, user ? 0x2b : 16, 0n, 0xffffffff, user ? 0xc0f3 : 0xc093);
    // VM is no flag of long mode.
    state.rflags = flags() & ~0x20000;
    state.setGpr(1, pick(guest.code.at("cpu0"), guest.code.at("target"), 1n << 47n, (1n << 64n) - 4096n));
    state.setGpr(11, BigInt(flags()));
    state.rip = guest.code.at(user ? "cpu0" : pick("cpu0", "target"));
    vcpu.changed();
    guest.machine.run(1);
    const { words } = state;
    const bounds = [SLOT_SEG_LIMIT_R, SLOT_SEG_LIMIT_W].map((slot) => state.slots.slice(slot / 8 + CS, slot / 8 + SS + 1));
    return { state: state.save(), words: [WORD_MODE, WORD_TLB, WORD_FETCH].map((word) => words[word / 4]), bounds };
  }

  test("are those of the helpers", () => {
    const engine = make("interpreter");
    const helpers = make("reference");
    let short = 0;
    const called = (): number => {
      const list = engine.machine.stats().calls.frequent(9);
      return list.reduce((sum, { name, calls }) => sum + (name === "syscall" || name === "sysret" ? calls : 0), 0);
    };
    for (let number = 0; number < STATES; number++) {
      const before = called();
      assert.deepEqual(after(engine, number), after(helpers, number), `state ${number}`);
      if (called() === before) short++;
    }
    assert.ok(short > 100, `only ${short} went without the helpers`);
  });
});
