/** Virtual time as guests read it and wait for it: RDTSC, RDTSCP and PAUSE, in the host and in the engine. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Helper } from "../../src/cpu/helperIds";
import { CS, DS, ES, SS } from "../../src/cpu/segmentRegisters";
import type { Assembler } from "./assembler";
import { DATA, EOI, LVT_TIMER, PT, TDCR, type TestGuest, testGuest, TMICT } from "./testGuest";

const IA32_TSC_ADJUST = 0x3b;
const IA32_TSC_AUX = 0xc000_0103;
const PERIODIC = 0x2_0000;
const rdtsc = [0x0f, 0x31] as const;
const rdtscp = [0x0f, 0x01, 0xf9] as const;

type Engine = "reference" | "interpreter" | "jit";
const engines: readonly Engine[] = ["reference", "interpreter", "jit"];

function writeMsr(a: Assembler, index: number, low: number, high = 0): void {
  a.mov("rcx", index).mov("rax", low).mov("rdx", high).bytes(0x0f, 0x30);
}

/** r8 = a hash of what it was and of EDX:EAX and ECX. */
function mix(a: Assembler): void {
  a.bytes(0x49, 0x69, 0xc0, 0x0d, 0x66, 0x19, 0x00).bytes(0x49, 0x89, 0xc0); // imul rax, r8, 1664525; mov r8, rax
}

/** Takes the time by both instructions into the hash in R8. */
function readTime(a: Assembler): void {
  for (const [instruction, withAux] of [
    [rdtsc, false],
    [rdtscp, true],
  ] as const) {
    a.bytes(...instruction).bytes(0x49, 0x01, 0xc0, 0x49, 0x31, 0xd0); // add r8, rax; xor r8, rdx
    if (withAux) a.bytes(0x49, 0x01, 0xc8); // add r8, rcx
    mix(a);
  }
}

/** Spins by PAUSE in loops of several lengths, reads the time all along, and is interrupted by a timer whose handler reads it too. */
function spin(cpus: number, engine: Engine, period: number): TestGuest {
  return testGuest(
    (a) => {
      for (let cpu = 0; cpu < cpus; cpu++) {
        a.label(`cpu${cpu}`);
        writeMsr(a, IA32_TSC_ADJUST, 0x7000_0000, 0xffff_fff0 + cpu);
        writeMsr(a, IA32_TSC_AUX, 77 + cpu);
        a.apicWrite(TDCR, 0xb)
          .apicWrite(LVT_TIMER, PERIODIC | 0x40)
          .apicWrite(TMICT, period + cpu);
        a.sti().mov("rsi", 600);
        a.label(`outer${cpu}`).mov("rdi", 40);
        a.label(`inner${cpu}`).pause().nop(3).bytes(0xff, 0xcf).jcc("nz", `inner${cpu}`); // dec edi
        readTime(a);
        a.pause().pause().bytes(0xff, 0xce).jcc("nz", `outer${cpu}`); // dec esi
        if (cpu === 0) a.exit();
        else a.cli().hlt();
      }
      a.label("vector64").bytes(0x50, 0x51, 0x52); // push rax, rcx, rdx
      readTime(a);
      a.pause().bytes(0x5a, 0x59, 0x58).apicWrite(EOI, 0).iretq();
    },
    { engine, cpus, cpuModel: "max" },
  );
}

/** Everything that tells courses apart: where each interrupt came, the time, what the guest read of it. */
function courseOf(guest: TestGuest, portion: number): unknown {
  let end = guest.run(portion);
  while (end.kind === "limit") end = guest.run(portion);
  const { machine } = guest;
  const read = machine.cpus.map(({ state }) => state.gpr(8));
  return { end, read, time: machine.now(), instructions: machine.instructions(), deliveries: guest.deliveries, hash: machine.stateHash() };
}

// With one instruction at a time the host takes every PAUSE, and no slice is shortened.
for (const [cpus, period] of [
  [1, 2_000],
  [1, 30_011],
  [1, 3_000_000],
  [2, 20_011],
] as const) {
  test(`the time that ${cpus} CPUs read, and when a timer of ${period} ns interrupts them, is the same on every engine in slices of any length`, () => {
    const expected = courseOf(spin(cpus, "interpreter", period), 1);
    for (const engine of engines) {
      for (const portion of [7, 1_000, 10_000_000])
        assert.deepEqual(courseOf(spin(cpus, engine, period), portion), expected, `${engine} ${portion}`);
    }
  });
}

test("a CPU that spins alone stays in the engine until its timer is due", () => {
  const guest = spin(1, "jit", 3_000_000);
  guest.finish(10_000_000);
  const { deliveries, machine } = guest;
  assert.ok(deliveries.length >= 2, `${deliveries.length} interrupts`);
  const { calls, slices } = machine.stats();
  // Of 25,000 PAUSEs.
  assert.ok(calls.helpers[Helper.pause] < 100, `PAUSE by the host ${calls.helpers[Helper.pause]} times`);
  assert.ok(slices < 1_000, `${slices} slices`);
  assert.equal(calls.helpers[Helper.rdtsc] + calls.helpers[Helper.rdtscp], 0);
});

test("RDTSC faults at CPL 3 while CR4.TSD is set, on every engine", () => {
  for (const engine of engines) {
    for (const forbidden of [false, true]) {
      const guest = testGuest(
        (a) => {
          a.label("cpu0");
          for (let i = 0; i < 4; i++) a.bytes(...rdtsc).bytes(...rdtscp);
          a.bytes(0x0f, 0x0b); // ud2
          a.label("vector6").exit();
          a.label("vector13").exit();
        },
        { engine },
      );
      const { machine, deliveries } = guest;
      const { state, mmu } = machine.cpus[0];
      // A task state segment in the data page, whose RSP0 is the stack; the first 2 MiB are the user's too.
      const rsp0 = new Uint8Array(8);
      new DataView(rsp0.buffer).setUint32(0, 0x7_8000, true);
      machine.memory.write(DATA + 4, rsp0);
      state.trBase = BigInt(DATA);
      state.limit[7] = 0x67;
      state.access[7] = 0x8b;
      for (const table of [PT - 0x3000, PT - 0x2000, PT - 0x1000]) openTable(guest, table, 1);
      openTable(guest, PT, 512);
      state.setSegment(CS, 0x1b, 0n, 0xffffffff, 0xa0fb);
      for (const segment of [SS, DS, ES]) state.setSegment(segment, 0x23, 0n, 0xffffffff, 0xc0f3);
      state.cpl = 3;
      if (forbidden) state.cr4 |= 4;
      mmu.tlb.flush();
      machine.cpus[0].changed();
      guest.finish();
      assert.deepEqual(
        deliveries.map(({ vector, rip, instruction }) => [vector, rip, instruction]),
        forbidden ? [[13, guest.code.at("cpu0"), 0]] : [[6, guest.code.at("cpu0", 20), 8]],
        engine,
      );
    }
  }
});

/** Sets the user's bit in a table's first entries. */
function openTable({ machine }: TestGuest, table: number, entries: number): void {
  const bytes = machine.memory.read(table, entries * 8).slice();
  for (let entry = 0; entry < entries; entry++) bytes[entry * 8] |= 4;
  machine.memory.write(table, bytes);
}
