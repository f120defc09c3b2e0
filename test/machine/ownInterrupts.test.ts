/** Interrupts to oneself and their ends, which the engine does by itself, are those of the host: programs by chance on all engines, watched and not. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Stage } from "../../src/apic/events";
import { WrittenRegister } from "../../src/apic/fields";
import { encodeState, type State } from "../../src/common/state";
import { StateHash } from "../../src/common/hash";
import type { MachineConfiguration } from "../../src/machine/types";
import type { Assembler } from "./assembler";
import { generator } from "./determinism";
import { goBackAtRandom } from "./snapshotRuns";
import { DATA, EOI, ICR_HIGH, ICR_LOW, LVT_TIMER, SVR, TDCR, testGuest, type TestGuest, TMICT, TO_OTHERS, TO_SELF, TPR } from "./testGuest";

const ID = 0x20;
const LVT_LINT0 = 0x350;
const IRR = 0x200;
const LINT0_EXTINT = 0x700;
const LINT0_MASKED = 0x1_0700;
/** Vectors with handlers of their own: an ordinary one, one that enables interrupts, one that sends more, one that never ends it, one that ends it early. */
const ORDINARY = 0x61;
const ENABLING = 0x53;
const SENDING = 0x94;
const ENDLESS = 0x32;
const EARLY = 0xa5;
const TRAP = 0x75;
const vectors = [ORDINARY, ENABLING, SENDING, ENDLESS, EARLY, TRAP, 0x41, 0x42, 0xf0];

/** A program without an end; what it does is decided by `seed`. */
function program(a: Assembler, seed: number, cpus: number): void {
  const next = generator(seed);
  const pick = <T>(...list: readonly T[]): T => list[next() % list.length];
  const send = (): Assembler => a.apicWrite(ICR_LOW, TO_SELF | pick(...vectors));
  /** mov eax, imm32, then an instruction on the register at `offset` with the ModRM byte of [rbx + disp32]. */
  const eax = (value: number): Assembler => a.bytes(0xb8).dword(value);
  const onRegister = (opcode: number, offset: number): Assembler => a.bytes(opcode, 0x83).dword(offset);
  const steps: readonly (() => unknown)[] = [
    send,
    send,
    send,
    send,
    () =>
      eax(TO_SELF | pick(...vectors))
        .bytes(0x89, 0x83)
        .dword(ICR_LOW),
    // What goes on after the store: XCHG, ADD, STOS.
    () => onRegister(0x87, ICR_LOW),
    () => eax(pick(0, 1)).bytes(0x01, 0x83).dword(ICR_LOW),
    () =>
      eax(TO_SELF | pick(...vectors))
        .bytes(0x48, 0x8d, 0xbb)
        .dword(ICR_LOW)
        .bytes(0xab),
    // At the end of a block.
    () => send().bytes(0xeb, 0x00),
    // Vectors that there are not, modes that to oneself there are not, other destinations.
    () => a.apicWrite(ICR_LOW, pick(TO_SELF | 5, TO_SELF | 0x461, TO_OTHERS | ORDINARY, ORDINARY, 0x861, 0x8_0000 | ORDINARY)),
    () => a.apicWrite(ICR_HIGH, pick(0, 1, 2) << 24),
    () => a.apicWrite(EOI, pick(0, 0, 0, 1)),
    () => a.apicWrite(TPR, pick(0, 0, 0, 0x40, 0x60, 0xf0)),
    () => a.apicWrite(ID, pick(0, 1, 7) << 24),
    () => a.apicWrite(SVR, pick(0x1ff, 0x1ff, 0x1ff, 0xff)),
    () => a.apicWrite(SVR, 0x1ff),
    () => a.apicWrite(LVT_LINT0, pick(LINT0_MASKED, LINT0_MASKED, LINT0_EXTINT)),
    () =>
      a
        .apicWrite(TDCR, 0xb)
        .apicWrite(LVT_TIMER, pick(...vectors))
        .apicWrite(TMICT, pick(3, 20, 70)),
    () => onRegister(0x8b, pick(ICR_LOW, IRR + 0x30, 0x100 + 0x30, 0xa0, 0x390)).store(DATA + 64, "rax"),
    a.sti,
    a.sti,
    () => a.sti().nop(),
    a.cli,
    a.pause,
    () => eax(16).loadSs(),
    () => eax(pick(0, 4, 6)).setCr8(),
    () => a.inc(DATA),
    () => a.nop(pick(1, 5)),
  ];
  const handler = (vector: number, body: () => Assembler): void => {
    a.label(`vector${vector}`).inc(DATA + 8);
    body();
  };
  for (let cpu = 0; cpu < cpus; cpu++) {
    a.label(`cpu${cpu}`).sti();
    for (let step = 0; step < 70; step++) pick(...steps)();
    a.jmp(`cpu${cpu}`);
  }
  const end = (): Assembler => a.apicWrite(EOI, 0);
  handler(ORDINARY, () => end().iretq());
  handler(ENABLING, () => a.sti().nop(2).cli().apicWrite(EOI, 0).iretq());
  handler(SENDING, () => {
    a.apicWrite(ICR_LOW, TO_SELF | ORDINARY).apicWrite(ICR_LOW, TO_SELF | 0xf0);
    return end().iretq();
  });
  handler(ENDLESS, () => a.iretq());
  handler(EARLY, () => end().nop().iretq());
  handler(TRAP, () => end().iretq());
}

const make = (seed: number, configuration: Partial<MachineConfiguration>): TestGuest => {
  const { cpus = 1 } = configuration;
  const guest = testGuest((a) => program(a, seed, cpus), { trapGates: [TRAP], cpus, ...configuration });
  guest.machine.hooks = {};
  return guest;
};

function hashOf(state: State): string {
  const hash = new StateHash();
  encodeState(state, (bytes) => hash.update(bytes));
  return hash.digest();
}

const stages: readonly Stage[] = ["send", "accept", "request", "deliver", "eoi", "return"];

describe("interrupts to oneself", () => {
  // Slices between two looks, which take most of the time, and looks.
  for (const [cpus, slice, slices, looks, seeds] of [
    [1, 1, 20, 30, 2],
    [1, 7, 5, 30, 2],
    [1, 1_000, 1, 8, 4],
    [2, 3, 15, 30, 2],
    [2, 1_000, 1, 8, 4],
  ] as const)
    test(`are the same on all engines: ${cpus} CPUs, in slices of ${slice} instructions`, () => {
      let [byEngine, byHost] = [0, 0];
      for (let seed = 1; seed <= seeds; seed++) {
        const guests = (["interpreter", "reference", "auto"] as const).map((engine) => make(seed * 977, { engine, cpus, quantum: 150 }));
        const [, { machine: reference }] = guests;
        for (let look = 0; look < looks; look++) {
          const at = reference.instructions();
          const all = guests.map(({ machine }) => {
            const ends = Array.from({ length: slices }, () => machine.run(slice));
            return [ends, hashOf(machine.saveState())];
          });
          assert.deepEqual(all[0], all[1], `seed ${seed}: interpreter, from instruction ${at}`);
          assert.deepEqual(all[2], all[1], `seed ${seed}: translator, from instruction ${at}`);
        }
        for (const { machine } of guests) {
          assert.equal(machine.stateHash(), reference.stateHash(), `seed ${seed}`);
          assert.deepEqual(machine.ledger.records({ limit: 1e5 }), reference.ledger.records({ limit: 1e5 }), `seed ${seed}`);
          assert.deepEqual(machine.ledger.latencies(), reference.ledger.latencies());
        }
        byEngine += guests[0].machine.stats().calls.stores;
        byHost += reference.stats().calls.stores;
      }
      if (slice > 100) assert.ok(byEngine < byHost * 0.85, `${byEngine} of ${byHost} stores went to the host`);
    });

  test("have the same records whether somebody listens or not, and those who listen hear of every stage", () => {
    for (let seed = 1; seed <= 2; seed++) {
      const alone = make(seed * 131, { cpus: 2 });
      const heard = make(seed * 131, { cpus: 2 });
      const told = new Map<number, string[]>();
      heard.machine.hooks = {
        interrupt: ({ stage, record }) => {
          const { instruction, rip } = record.stages[record.stages.length - 1];
          const list = told.get(record.id) ?? [];
          told.set(record.id, list);
          list.push(`${stage} ${instruction} ${rip}`);
        },
      };
      for (const { machine } of [alone, heard]) machine.run(6_000);
      assert.equal(alone.machine.stateHash(), heard.machine.stateHash());
      const records = alone.machine.ledger.records({ limit: 1e5 });
      assert.ok(records.length > 100, `${records.length} records`);
      for (const { id, stages: list } of records)
        assert.deepEqual(
          told.get(id)?.sort(),
          list.map(({ stage, instruction, rip }) => `${stage} ${instruction} ${rip}`).sort(),
          `record ${id}`,
        );
    }
  });

  for (const stage of stages)
    test(`stop at each ${stage} that a debugger waits for, in the same states on each engine`, () => {
      const guests = (["interpreter", "reference", "auto"] as const).map((engine) => make(4242, { engine }));
      for (const { machine } of guests) machine.run(3_000);
      for (const { machine } of guests)
        machine.hooks = {
          interrupt: (event) => {
            if (event.stage === stage) machine.requestStop();
          },
        };
      for (let stop = 0; stop < 12; stop++) {
        const all = guests.map(({ machine }) => [machine.run(5_000), machine.instructions(), hashOf(machine.saveState())]);
        assert.deepEqual(all[0], all[1], `stop ${stop}`);
        assert.deepEqual(all[2], all[1], `stop ${stop}`);
      }
      // Nobody listens any more.
      for (const { machine } of guests) {
        machine.hooks = {};
        machine.run(2_000);
      }
      assert.equal(guests[0].machine.stateHash(), guests[1].machine.stateHash());
      assert.equal(guests[2].machine.stateHash(), guests[1].machine.stateHash());
    });

  test("are the same again from a snapshot", () => {
    for (const seed of [5, 77]) {
      const guest = make(seed, { cpus: 2, quantum: 200 });
      const tried = goBackAtRandom(guest.machine, () => "", { points: 10, longest: 900, seed });
      const plain = make(seed, { cpus: 2, quantum: 200 });
      plain.machine.run(tried);
      assert.equal(guest.machine.stateHash(), plain.machine.stateHash());
    }
  });

  test("are taken by the host while a page of data is watched, the CPU is shielded or IPIs are held back", () => {
    for (const prepare of [
      ({ machine }: TestGuest): void =>
        machine.setWatches([{ id: 1, kind: "linear", address: BigInt(DATA), size: 4, read: false, write: true }]),
      ({ machine }: TestGuest): void => machine.shieldFromInterrupts(0, true),
      ({ machine }: TestGuest): void => machine.setDelays([{ id: 1, vector: 0x42, instructions: 30 }]),
    ]) {
      const guests = (["interpreter", "reference"] as const).map((engine) => make(99, { engine }));
      for (const guest of guests) {
        guest.machine.run(500);
        prepare(guest);
      }
      for (let round = 0; round < 12; round++) {
        const [a, b] = guests.map(({ machine }) => [machine.run(50), hashOf(machine.saveState())]);
        assert.deepEqual(a, b, `round ${round}`);
      }
    }
  });

  test("know who wrote the ICR last", () => {
    const guest = testGuest((a) =>
      a
        .label("cpu0")
        .sti()
        .nop()
        .label("there")
        .apicWrite(ICR_LOW, TO_SELF | 0x40)
        .jmp("there"),
    );
    guest.machine.hooks = {};
    guest.machine.run(400);
    // Only what fills the TLB, and the like, went to the host.
    assert.ok(guest.machine.ledger.lastId > 50 && guest.machine.stats().calls.stores < 8);
    const [last] = guest.machine.ledger.records({ limit: 1 });
    const { instruction } = last.stages[0];
    assert.deepEqual(guest.machine.cpus[0].apic.writes.of(WrittenRegister.icr), { instruction, cpu: 0, rip: guest.code.at("there") });
  });
});
