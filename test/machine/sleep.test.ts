/** ACPI S3: memory keeps, everything else loses power until the clock's alarm, and the guest goes on at its waking vector. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CS } from "../../src/cpu/segmentRegisters";
import type { Assembler } from "./assembler";
import { DATA, testGuest, type TestGuest } from "./testGuest";

const MEMORY = 4 * 1024 * 1024;
/** The FACS is in the last page; the waking vector at byte 12. */
const WAKING_VECTOR = MEMORY - 0x1000 + 12;
const VECTOR = 0x9000;

/** mov dx, port; mov ax, value; out dx, ax */
const outWord = (a: Assembler, port: number, value: number): Assembler =>
  a.bytes(0x66, 0xba, port, port >> 8, 0x66, 0xb8, value, value >> 8, 0x66, 0xef);
/** CMOS: mov al, index; out 0x70, al; mov al, value; out 0x71, al */
const cmos = (a: Assembler, index: number, value: number): Assembler => a.bytes(0xb0, index, 0xe6, 0x70, 0xb0, value, 0xe6, 0x71);

function sleeper(alarm: boolean, vector = VECTOR): TestGuest {
  const guest = testGuest(
    (a) => {
      a.label("cpu0").storeImmediate(WAKING_VECTOR, vector);
      outWord(a, 0x602, 0x400);
      if (alarm) {
        for (const index of [1, 3, 5]) cmos(a, index, 0xc0);
        cmos(a, 11, 0x22);
      }
      a.storeImmediate(DATA, 0x1234);
      outWord(a, 0x604, 0x2400);
      a.storeImmediate(DATA, 0x6666).exit(5);
    },
    { cpus: 2, memory: MEMORY },
  );
  // mov al, [DATA]; out 0xf4, al in 16-bit code
  guest.machine.memory.write(VECTOR, Uint8Array.from([0xa0, DATA & 0xff, DATA >> 8, 0xe6, 0xf4, 0xf4]));
  return guest;
}

describe("ACPI S3", () => {
  test("ends with the clock's alarm, at the waking vector in real mode", () => {
    const guest = sleeper(true);
    const { machine } = guest;
    assert.deepEqual(machine.run(100_000), { kind: "exit", status: (0x34 << 1) | 1 });
    assert.equal(guest.read32(DATA), 0x1234, "nothing ran after the sleep");
    const [{ state }, other] = machine.cpus;
    assert.deepEqual([state.selector[CS], state.cr0 & 1, state.cr3], [VECTOR >> 4, 0, 0]);
    assert.equal(other.activity, "wait-for-SIPI");
    assert.ok(machine.now() > 0.9e9 && machine.now() < 1.1e9, `${machine.now()} ns`);
    // WAK_STS and RTC_STS.
    assert.equal(machine.memory.in(0x600, 2) & 0x8400, 0x8400);
  });

  test("lasts where no event is enabled", () => {
    const { machine } = sleeper(false);
    assert.equal(machine.run(100_000).kind, "dead");
    assert.equal(machine.cpus[0].activity, "wait-for-SIPI");
  });

  test("without a waking vector ends in a reset", () => {
    assert.deepEqual(sleeper(true, 0).machine.run(100_000), { kind: "reset" });
  });

  test("is part of the saved state", () => {
    const first = sleeper(true);
    first.machine.run(200);
    const saved = first.machine.saveMachine();
    const memory = first.machine.memory.read(0, MEMORY);
    const second = sleeper(false);
    second.machine.memory.write(0, memory);
    second.machine.restoreMachine(saved, []);
    assert.deepEqual(second.machine.run(100_000), { kind: "exit", status: (0x34 << 1) | 1 });
  });
});
