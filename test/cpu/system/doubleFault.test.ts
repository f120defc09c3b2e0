/** Faults while a fault is delivered (SDM vol. 3, "Interrupt 8 - Double Fault Exception"). */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Assembler } from "../../machine/assembler";
import { DATA, IDT, ICR_LOW, pageEntry, PT, testGuest, type TestGuest, TO_SELF } from "../../machine/testGuest";

/** Marks the gate of `vector` not present: entering it is #NP. */
const removeGate = (guest: TestGuest, vector: number): void => guest.machine.memory.write(IDT + vector * 16 + 5, Uint8Array.of(0x0e));
/** Handlers pop the error code, keep it and leave. */
const ends = (a: Assembler, vector: number): Assembler => a.label(`vector${vector}`).bytes(0x58).store(DATA, "rax").exit();
const vectors = (guest: TestGuest): number[] => guest.deliveries.map((d) => d.vector);
const ABSENT = 0x9000;

/** A fault of the class wanted: #DE is contributory, #UD benign, #PF its own. */
const faults = {
  contributory: (a: Assembler) => a.mov("rcx", 0).bytes(0xf7, 0xf1),
  benign: (a: Assembler) => a.bytes(0x0f, 0x0b),
  page: (a: Assembler) =>
    a
      .storeImmediate(PT + (ABSENT >> 12) * 8, 0)
      .bytes(0x0f, 0x01, 0x3c, 0x25)
      .dword(ABSENT)
      .load("rax", ABSENT),
};
const vectorOf = { contributory: 0, benign: 6, page: 14 };

describe("a second fault while the first is delivered", () => {
  for (const [first, doubles] of [
    ["benign", false],
    ["contributory", true],
    ["page", true],
  ] as const) {
    test(`${first}, then a segment that is not present: ${doubles ? "double fault" : "delivered in its turn"}`, () => {
      const guest = testGuest((a) => {
        faults[first](a.label("cpu0"));
        ends(a.nop(), 8);
        ends(a, 11);
      });
      removeGate(guest, vectorOf[first]);
      guest.finish();
      assert.deepEqual(vectors(guest), [vectorOf[first], doubles ? 8 : 11]);
      // #NP names the gate: the vector, in the IDT, and external as it came with a fault.
      assert.equal(guest.read32(DATA), doubles ? 0 : vectorOf[first] * 8 + 3);
    });
  }

  test("of an interrupt: delivered in its turn", () => {
    const guest = testGuest((a) => {
      a.label("cpu0")
        .sti()
        .nop()
        .apicWrite(ICR_LOW, TO_SELF | 0x40)
        .nop(3)
        .exit(9);
      ends(a, 11);
    });
    removeGate(guest, 0x40);
    guest.finish();
    assert.deepEqual(vectors(guest), [0x40, 11]);
    assert.equal(guest.read32(DATA), 0x40 * 8 + 3);
  });

  test("of INT n: the instruction's own fault, not external, with its RIP", () => {
    const guest = testGuest((a) => {
      a.label("cpu0").nop().label("here").bytes(0xcd, 0x41).exit(9);
      ends(a, 11);
    });
    removeGate(guest, 0x41);
    guest.finish();
    assert.deepEqual(
      guest.deliveries.map((d) => [d.vector, d.rip]),
      [[11, guest.code.at("here")]],
    );
    assert.equal(guest.read32(DATA), 0x41 * 8 + 2);
  });

  test("a page fault while a page fault's frame is pushed: double fault, and CR2 of the second", () => {
    const guest = testGuest((a) => {
      a.label("cpu0").mov("rsp", ABSENT + 0x800);
      faults.page(a).nop();
      a.label("vector8").exit(9);
    });
    assert.deepEqual(guest.run(1000), { kind: "triple-fault", cpu: 0 });
    assert.deepEqual(vectors(guest), [14, 8]);
    assert.equal(guest.machine.cpus[0].state.cr2, BigInt(ABSENT + 0x7f8));
  });
});

describe("a fault while a double fault is delivered", () => {
  test("shuts the CPU down and ends the run", () => {
    const guest = testGuest((a) => faults.contributory(a.label("cpu0")));
    removeGate(guest, 0);
    removeGate(guest, 8);
    assert.deepEqual(guest.run(1000), { kind: "triple-fault", cpu: 0 });
    assert.equal(guest.machine.cpus[0].activity, "shutdown");
    assert.deepEqual(guest.run(1000), { kind: "triple-fault", cpu: 0 });
  });

  test("names the CPU", () => {
    const guest = testGuest(
      (a) => {
        a.label("cpu0").label("spin").jmp("spin");
        faults.benign(a.label("cpu1").storeImmediate(PT, pageEntry(0)));
      },
      { cpus: 2, quantum: 50 },
    );
    guest.machine.cpus[1].state.idtrLimit = 0;
    assert.deepEqual(guest.run(1000), { kind: "triple-fault", cpu: 1 });
  });
});
