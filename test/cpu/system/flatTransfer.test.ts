/** Deliveries and IRET in their ordinary case do what the general ones do: the same cases, by chance, on a machine with both and on one that has the general ones only. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CR4_SMAP, FLAG_AC, FLAG_IF, FLAG_NT, FLAG_RF, FLAG_TF } from "../../../src/cpu/registerBits";
import { CS, SS, TR } from "../../../src/cpu/segmentRegisters";
import { externalEvent, nmiEvent, softwareEvent, type Event } from "../../../src/cpu/system/delivery";
import type { Vcpu } from "../../../src/machine/vcpu";
import { generator } from "../../machine/determinism";
import { flatDescriptors, put } from "./descriptorTable";
import { IDT, STACKS, testGuest, type TestGuest } from "../../machine/testGuest";

const GDT = 0x2000;
const TSS = 0x9000;
const FLAGS = 0xcd5 | FLAG_IF | FLAG_TF | FLAG_RF | FLAG_NT | FLAG_AC | 0x3000;
type Random = (below: number) => number;

const pick = <T>(random: Random, list: readonly T[]): T => list[random(list.length)];

/** A stack pointer: mostly in the stack's page, at its ends, not canonical, not mapped. */
const stackPointer = (random: Random): bigint =>
  pick(random, [
    BigInt(STACKS + 0x1800 + 8 * random(200)),
    BigInt(STACKS + 0x1800 + random(2000)),
    BigInt(STACKS + 0x1000 + random(64)),
    BigInt(STACKS + 0x2000),
    BigInt(STACKS + 0x2000 - 8 * random(6)),
    0x0000_8000_0000_0000n,
    0xffff_ffff_8000_0000n,
    0n,
  ]);

function make(general: boolean): TestGuest {
  const guest = testGuest((a) => void a.label("cpu0").exit());
  const { state, system } = guest.machine.cpus[0];
  flatDescriptors.forEach((descriptor, index) => put(guest, GDT + index * 8, descriptor));
  state.gdtrLimit = flatDescriptors.length * 8 - 1;
  state.setSegment(TR, 0x40, BigInt(TSS), 0x67, 0x8b);
  if (general) {
    system.transfers.enter = () => false;
    system.transfers.frame = () => false;
  }
  return guest;
}

/** The CPU as a case begins. */
function begin(vcpu: Vcpu, random: Random): void {
  const { state, mmu } = vcpu;
  const user = random(4) === 0;
  state.cr4 = (state.cr4 & ~CR4_SMAP) | (random(3) === 0 ? CR4_SMAP : 0);
  state.cpl = user ? 3 : 0;
  state.setSegment(CS, user ? 0x23 : 8, 0n, 0xffffffff, user ? 0xa0fb : 0xa09b);
  if (random(3) === 0) state.setSegment(SS, user ? 3 : 0, 0n, 0, 0x1_4093);
  else state.setSegment(SS, user ? 0x1b : 16, 0n, 0xffffffff, user ? 0xc0f3 : 0xc093);
  state.rflags = random(3) === 0 ? 2 : ((random(0x10000) * 0x10000 + random(0x10000)) & FLAGS) | 2;
  state.setGpr(4, stackPointer(random));
  state.rip = BigInt(0x10000 + random(100));
  state.pending = undefined;
  mmu.tlb.selectIndex();
  vcpu.changed();
}

const snapshot = ({ machine }: TestGuest): unknown => {
  const [{ state, mmu }] = machine.cpus;
  return {
    state: state.save(),
    pending: state.pending,
    tlb: mmu.tlb.save(),
    memory: machine.memory.read(STACKS, 0x3000),
    gdt: machine.memory.read(GDT, 0x60),
  };
};

/** Carries out `cases` cases on both machines, each a second time when the TLB has what it needs; says how many of them went the short way. */
function compare(
  cases: number,
  method: "enter" | "frame",
  run: (guest: TestGuest, random: Random) => (guest: TestGuest) => boolean,
): number {
  const short = make(false);
  const long = make(true);
  let taken = 0;
  const { transfers } = short.machine.cpus[0].system;
  const own = transfers[method].bind(transfers) as (...given: unknown[]) => boolean;
  transfers[method] = (...given: unknown[]): boolean => {
    const done = own(...given);
    if (done) taken++;
    return done;
  };
  for (let number = 0; number < cases; number++) {
    for (let turn = 0; turn < 2; turn++) {
      const results = [short, long].map((guest) => {
        const next = generator(number + 1);
        const random: Random = (below) => next() % below;
        begin(guest.machine.cpus[0], random);
        const result = run(guest, random)(guest);
        return { result, ...(snapshot(guest) as object) };
      });
      assert.deepEqual(results[0], results[1], `case ${number}, turn ${turn}`);
    }
  }
  return taken;
}

describe("transfers of control in their ordinary case", () => {
  test("deliveries", () => {
    const taken = compare(1500, "enter", (guest, random) => {
      const vector = pick(random, [0x40, 0x41, 13, 14, 3, 2]);
      const target = pick(random, [0x10000n, 0x10000n, 0xffff_ffff_8100_0000n, 0x0000_9000_0000_0000n]);
      const type = pick(random, [0x8en, 0x8en, 0x8fn, 0x8fn, 0xeen, 0x0en, 0x85n]);
      const selector = BigInt(pick(random, [8, 8, 8, 8, 0x20, 0x28, 0x30, 0x38, 0x40, 0, 12, 0x100]));
      const ist = BigInt(pick(random, [0, 0, 0, 0, 1, 7]));
      put(
        guest,
        IDT + vector * 16,
        (target & 0xffffn) | (selector << 16n) | (ist << 32n) | (type << 40n) | ((target & 0xffff0000n) << 32n),
      );
      put(guest, IDT + vector * 16 + 8, target >> 32n);
      for (const at of [4, 36, 84]) put(guest, TSS + at, stackPointer(random));
      const events: readonly Event[] = [
        externalEvent(vector),
        { vector, kind: "exception", errorCode: vector === 14 ? 7 : vector === 13 ? 0x58 : -1, address: 0x1234n, dr6: 0 },
        softwareEvent(vector),
        nmiEvent,
      ];
      const event = pick(random, events);
      if (event === nmiEvent) put(guest, IDT + 2 * 16, (0x10000n & 0xffffn) | (8n << 16n) | (0x8en << 40n) | (0x10000n << 32n));
      const attempt = random(4) === 0;
      return ({ machine }) => {
        const { delivery } = machine.cpus[0].system;
        return attempt ? delivery.attempt(event) : delivery.deliver(event);
      };
    });
    assert.ok(taken > 300, `only ${taken} went the short way`);
  });

  test("IRET", () => {
    const taken = compare(1500, "frame", (guest, random) => {
      const at = Number(guest.machine.cpus[0].state.gpr(4) & 0xff_ffffn);
      const [cs, ss] = pick(random, [
        [8, 16],
        [8, 0],
        [0x23, 0x1b],
      ]);
      const frame = [
        pick(random, [0x10000n, 0x10010n, 0xffff_ffff_8100_0000n, 0x0000_9000_0000_0000n]),
        BigInt(random(4) > 0 ? cs : pick(random, [8, 0x23, 0x20, 0x28, 0x30, 0x38, 0x40, 0, 0x100])),
        BigInt(random(3) === 0 ? 2 : ((random(0x10000) * 0x10000 + random(0x10000)) & FLAGS) | 2),
        stackPointer(random),
        BigInt(random(4) > 0 ? ss : pick(random, [16, 0, 0x1b, 3, 0x48, 8, 0x100])),
      ];
      if (at >= STACKS && at < STACKS + 0x4000) frame.forEach((value, index) => put(guest, at + index * 8, value));
      return ({ machine }) => machine.cpus[0].system.far.iret(8);
    });
    assert.ok(taken > 150, `only ${taken} went the short way`);
  });
});
