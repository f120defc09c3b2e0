/** Deliveries of interrupts, INT n and IRETQ as the engine carries them out do what the host does: the same cases, by chance, on the emitted interpreter and on the reference one, which knows the helpers only. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FLAG_AC, FLAG_IF, FLAG_NT, FLAG_RF } from "../../../src/cpu/registerBits";
import { CS, DS, ES, FS, GS, SS, TR } from "../../../src/cpu/segmentRegisters";
import { SLOT_SEG_LIMIT_R, SLOT_SEG_LIMIT_W, WORD_FETCH, WORD_MODE, WORD_TLB } from "../../../src/tcg/layout";
import { generator } from "../../machine/determinism";
import { flatDescriptors, put } from "./descriptorTable";
import { CODE, DATA, IDT, PT, STACKS, testGuest, type TestGuest } from "../../machine/testGuest";

const CASES = 600;
const GDT = 0x2000;
const TSS = 0x9000;
const VECTOR = 0x40;
const FLAGS = 0xcd5 | FLAG_IF | FLAG_RF | FLAG_NT | FLAG_AC | 0x203000;
const tables = [0x3000, 0x4000, 0x5000, PT + (CODE >> 12) * 8, PT + (STACKS >> 12) * 8, PT + ((STACKS >> 12) + 1) * 8];
/** The flat ones, data that grows downwards, and code with a limit in bytes. */
const descriptors = [...flatDescriptors, 0x00cf97000000ffffn, 0x002f9b000000ffffn];

function make(engine: "interpreter" | "reference"): TestGuest {
  const guest = testGuest((a) => a.label("cpu0").bytes(0xcd, VECTOR).label("back").bytes(0x48, 0xcf), { engine, cpus: 2 });
  for (const entry of tables) guest.machine.memory.write(entry, Uint8Array.of(guest.machine.memory.read(entry, 1)[0] | 4));
  descriptors.forEach((descriptor, index) => put(guest, GDT + index * 8, descriptor));
  // Exceptions have a stack of their own that no case touches.
  for (let vector = 0; vector < 32; vector++) guest.machine.memory.write(IDT + vector * 16 + 4, Uint8Array.of(2));
  put(guest, TSS + 44, BigInt(DATA + 0x800));
  const [{ state }] = guest.machine.cpus;
  state.gdtrLimit = descriptors.length * 8 - 1;
  state.setSegment(TR, 0x40, BigInt(TSS), 0x67, 0x8b);
  return guest;
}

/** Carries out what case `number` stands for; what became of it. */
function after(
  guest: TestGuest,
  number: number,
): { readonly name: "interrupt" | "iret"; readonly retired: boolean; readonly became: unknown } {
  const next = generator(number + 1);
  const random = (below: number): number => next() % below;
  const pick = <T>(...list: readonly T[]): T => list[random(list.length)];
  const stack = (): bigint =>
    pick(
      BigInt(STACKS + 0x800 + 8 * random(60)),
      BigInt(STACKS + 0x800 + 8 * random(60)),
      BigInt(STACKS + 0x800 + random(500)),
      BigInt(STACKS + 0x1000 + 8 * random(6)),
      0x0000_8000_0000_0000n,
    );
  const flags = (): number => (random(2) === 0 ? random(0x1000) & 0xed5 : (random(0x10000) * 0x10000 + random(0x10000)) & FLAGS) | 2;
  const [{ state, mmu, system }] = guest.machine.cpus;
  const [vcpu] = guest.machine.cpus;
  const user = random(2) === 0;
  state.cr4 = 0x6a0 | pick(0, 1 << 11) | pick(0, 0, 1 << 21);
  state.cpl = user ? 3 : 0;
  state.setSegment(CS, user ? 0x23 : 8, 0n, 0xffffffff, user ? 0xa0fb : 0xa09b);
  if (random(3) === 0) state.setSegment(SS, user ? 0x1b : 0, 0n, 0, 0x1_4093);
  else state.setSegment(SS, user ? 0x1b : 16, 0n, 0xffffffff, user ? 0xc0f3 : 0xc093);
  for (const segment of [ES, DS, FS, GS]) {
    const lost = random(3) > 0;
    const base = segment === FS || segment === GS ? BigInt(random(1000)) : BigInt(random(20) === 0 ? 16 : 0);
    const selector = random(9) === 0 ? 3 : lost ? 0 : 0x1b;
    state.setSegment(segment, selector, base, lost ? 0 : 0xffffffff, lost ? 0x10000 : pick(0xc0f3, 0xc0f3, 0xc093, 0xa09f));
  }
  state.rflags = (random(3) === 0 ? pick(2, 0x202) : flags()) & ~FLAG_RF;
  state.nmiBlocked = random(8) === 0;
  state.setGpr(4, stack());
  // The gate, and the stacks that it may lead to.
  const target = pick(guest.code.at("back"), guest.code.at("back"), 0xffff_ffff_8100_0000n, 0x0000_9000_0000_0000n);
  const type = pick(0x8en, 0xeen, 0xeen, 0xeen, 0xefn, 0x6en, 0xe5n);
  const selector = BigInt(pick(8, 8, 8, 8, 8, 0x23, 0x28, 0x30, 0x38, 0x40, 0, 12, 0x58, 0x100));
  const ist = BigInt(pick(0, 0, 0, 0, 1, 7));
  put(guest, IDT + VECTOR * 16, (target & 0xffffn) | (selector << 16n) | (ist << 32n) | (type << 40n) | ((target & 0xffff0000n) << 32n));
  put(guest, IDT + VECTOR * 16 + 8, target >> 32n);
  for (const at of [4, 36, 84]) put(guest, TSS + at, stack());
  const instruction = user ? "cpu0" : pick("cpu0", "back", "back");
  if (instruction === "back") {
    const at = Number(state.gpr(4) & 0xff_ffffn);
    const [cs, ss] = pick([8, 16], [8, 0], [0x23, 0x1b], [0x23, 0x1b]);
    // Where it goes back to is a handler's frame now and then, of this CPU or of the other.
    const frames = [...guest.machine.frames.of(0), ...guest.machine.frames.of(1)];
    const frame = [
      pick(guest.code.at("cpu0"), guest.code.at("back"), 0xffff_ffff_8100_0000n, 0x0000_9000_0000_0000n),
      BigInt(random(5) > 0 ? cs : pick(8, 0x23, 0x28, 0x30, 0x38, 0x40, 0, 0x100)),
      BigInt(random(3) === 0 ? pick(2, 0x202) : flags()),
      frames.length > 0 && random(2) === 0 ? frames[random(frames.length)].rsp : stack(),
      BigInt(random(5) > 0 ? ss : pick(16, 0, 0x1b, 3, 0x48, 0x50, 8, 0x100)),
    ];
    if (at >= STACKS && at < STACKS + 0x2000) frame.forEach((value, index) => put(guest, at + index * 8, value));
  }
  state.rip = guest.code.at(instruction);
  mmu.tlb.selectIndex();
  vcpu.changed();
  // A frame moves to the other CPU, as when the kernel goes on there.
  if (random(10) === 0) guest.machine.frames.restore((guest.machine.frames.save() as readonly never[]).toReversed());
  // An interrupt comes before the instruction, whose handler ends at once where it begins with IRETQ.
  if ((state.rflags & FLAG_IF) !== 0 && random(2) === 0) guest.machine.inject({ kind: "message", mode: "fixed", vector: VECTOR, cpu: 0 });
  const { retired } = vcpu;
  guest.machine.runCpu(0, 1);
  const { words } = state;
  const became = {
    state: state.save(),
    words: [WORD_MODE, WORD_TLB, WORD_FETCH].map((word) => words[word / 4]),
    bounds: [SLOT_SEG_LIMIT_R, SLOT_SEG_LIMIT_W].map((slot) => state.slots.slice(slot / 8 + CS, slot / 8 + SS + 1)),
    frames: guest.machine.frames.save(),
    records: guest.machine.ledger.save(),
    deliveries: system.delivery.log.last,
    masked: state.interruptsMaskedBy?.cause,
    tlb: mmu.tlb.save(),
    stacks: guest.machine.memory.read(STACKS, 0x2000),
  };
  if (vcpu.apic.inServiceVectors.length > 0) vcpu.apic.eoi();
  return { name: instruction === "cpu0" ? "interrupt" : "iret", retired: vcpu.retired > retired, became };
}

describe("transfers in the engine", () => {
  test("are those of the host", () => compare(() => undefined));

  // INT goes to the host then, which is compared with itself.
  test("are those of the host while what clears IF is noted and handlers are told", () => {
    const started: number[] = [];
    compare(
      ({ machine }) => {
        machine.followInterruptFlag("noted");
        machine.hooks = { handlersOnly: true, handlerStarts: (_cpu, vector) => started.push(vector) < 0, handlerEntered: () => undefined };
      },
      ["iret", "external"],
    );
    assert.ok(started.filter((vector) => vector === VECTOR).length > 100);
  });

  function compare(prepare: (guest: TestGuest) => void, inEngine: readonly string[] = ["interrupt", "iret", "external"]): void {
    const engine = make("interpreter");
    const helpers = make("reference");
    for (const guest of [engine, helpers]) {
      guest.machine.hooks = {};
      prepare(guest);
    }
    const short = { interrupt: 0, iret: 0, external: 0 };
    const { delivery } = engine.machine.cpus[0].system;
    const external = delivery.external.bind(delivery);
    let generally = 0;
    delivery.external = (vector) => {
      generally++;
      external(vector);
    };
    const called = (): number => {
      const list = engine.machine.stats().calls.frequent(99);
      return list.reduce((sum, { name, calls }) => sum + (name in short ? calls : 0), 0);
    };
    for (let number = 0; number < CASES; number++) {
      for (let turn = 0; turn < 2; turn++) {
        const before = called();
        const result = after(engine, number);
        assert.deepEqual(result, after(helpers, number), `case ${number}, turn ${turn}`);
        if (result.retired && called() === before) short[result.name]++;
      }
    }
    short.external = engine.machine.ledger.latencies().reduce((sum, { deliveries }) => sum + deliveries, 0) - generally;
    for (const [name, times] of Object.entries(short))
      if (inEngine.includes(name)) assert.ok(times > 15, `only ${times} of ${name} went without the host`);
  }
});
