/** The debugger's watches: every access to what is watched, nothing else, at the same instruction on every engine. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Watch } from "../../src/machine/watches";
import { TLB_ENTRIES } from "../../src/tcg/layout";
import { APIC, CODE, DATA, PT, TPR, testGuest, type TestGuest } from "./testGuest";

const both = { read: true, write: true };

/** What was told, and where the run stopped for each. */
function watched(guest: TestGuest, watches: readonly Watch[]): string[] {
  const told: string[] = [];
  guest.machine.hooks = {
    watch: ({ id, cpu, write, address, size, old, value }) => {
      const was = old === undefined ? "" : `${old.toString(16)}>`;
      told.push(
        `${id}: cpu ${cpu} ${write ? "w" : "r"} ${address.toString(16)}+${size} ${was}${value?.toString(16) ?? "?"} @${guest.machine.instructions()}`,
      );
      guest.machine.requestStop();
    },
  };
  guest.machine.setWatches(watches);
  for (;;) {
    const end = guest.run(100_000);
    if (end.kind !== "stop") {
      assert.deepEqual(end, { kind: "exit", status: 1 });
      return told;
    }
    told.push(`stop @${guest.machine.instructions()}`);
  }
}

const engines = ["interpreter", "jit", "reference"] as const;
type Engine = (typeof engines)[number];

/** Runs the same on every engine, with the state in the end that it has unwatched. */
function onEvery(program: (engine: Engine) => TestGuest, watches: readonly Watch[], expected: readonly string[]): void {
  const plain = program("interpreter");
  plain.finish();
  for (const engine of engines) {
    const guest = program(engine);
    assert.deepEqual(watched(guest, watches), expected, engine);
    assert.equal(guest.machine.stateHash(), plain.machine.stateHash(), engine);
  }
}

describe("watches", () => {
  test("on memory: reads and writes with what was there, and those across a page's end in part", () => {
    onEvery(
      (engine) =>
        testGuest(
          (a) => {
            a.label("cpu0")
              .mov("rax", 0x1122334455667788n)
              .store(DATA + 0xffc, "rax")
              .load("rcx", DATA + 0xffa)
              .inc(DATA + 0x1002)
              .storeByte(DATA + 0x1004, 9)
              .exit();
          },
          { engine },
        ),
      [
        { id: 1, kind: "linear", address: BigInt(DATA + 0xffe), size: 4, ...both },
        { id: 2, kind: "physical", address: DATA + 0x1002, size: 2, read: false, write: true },
      ],
      [
        `1: cpu 0 w ${(DATA + 0xffe).toString(16)}+4 0>33445566 @1`,
        `2: cpu 0 w ${(DATA + 0x1002).toString(16)}+2 0>1122 @1`,
        "stop @2",
        `1: cpu 0 r ${(DATA + 0xffe).toString(16)}+4 33445566 @2`,
        "stop @3",
        `2: cpu 0 w ${(DATA + 0x1002).toString(16)}+2 1122>1123 @3`,
        "stop @4",
      ],
    );
  });

  test("in a hot loop: each time, at the exact instruction", () => {
    const program = (engine: Engine): TestGuest =>
      testGuest(
        (a) => {
          a.label("cpu0")
            .mov("rcx", 40)
            .label("loop")
            .nop(3)
            .inc(DATA)
            .nop(2)
            .inc(DATA + 64)
            .bytes(0xff, 0xc9)
            .jcc("nz", "loop")
            .exit();
        },
        { engine },
      );
    const expected: string[] = [];
    for (let i = 0; i < 40; i++) {
      expected.push(`7: cpu 0 w 8000+4 ${i.toString(16)}>${(i + 1).toString(16)} @${4 + i * 9}`, `stop @${5 + i * 9}`);
    }
    onEvery(program, [{ id: 7, kind: "linear", address: BigInt(DATA), size: 4, read: false, write: true }], expected);
  });

  test("set in the middle of a run, on a page that the engine knows from before but has in no TLB", () => {
    for (const engine of engines) {
      const guest = testGuest(
        (a) => {
          a.label("cpu0")
            .mov("rdi", DATA)
            .store(DATA, "rdi")
            .load("rcx", DATA + TLB_ENTRIES * 4096)
            .load("rcx", DATA)
            .load("rcx", DATA + TLB_ENTRIES * 4096)
            .load("rcx", DATA)
            .exit();
        },
        { engine, memory: 8 << 20 },
      );
      guest.run(5);
      const [told] = watched(guest, [{ id: 3, kind: "linear", address: BigInt(DATA), size: 4, read: true, write: false }]);
      assert.equal(told, `3: cpu 0 r ${DATA.toString(16)}+4 ${DATA.toString(16)} @5`, engine);
    }
  });

  test("on string instructions, iteration by iteration", () => {
    onEvery(
      (engine) =>
        testGuest(
          (a) => {
            a.label("cpu0").mov("rsi", CODE).mov("rdi", DATA).mov("rcx", 64).repMovsb().exit();
          },
          { engine },
        ),
      [{ id: 1, kind: "physical", address: DATA + 30, size: 2, read: false, write: true }],
      [0, 1].flatMap((i) => {
        return [`1: cpu 0 w ${(DATA + 30 + i).toString(16)}+1 0>${byteAt(30 + i)} @${33 + i}`, `stop @${34 + i}`];
      }),
    );
  });

  test("page-table walks and fetches are no accesses; a store to a page table is one", () => {
    onEvery(
      (engine) =>
        testGuest(
          (a) => {
            a.label("cpu0")
              .load("rax", DATA)
              .load("rax", 0x9000)
              .store(PT + 0xf8, "rax")
              .exit();
          },
          { engine },
        ),
      [
        { id: 1, kind: "physical", address: PT, size: 4096, ...both },
        { id: 2, kind: "linear", address: BigInt(CODE), size: 4096, ...both },
      ],
      [`1: cpu 0 w ${(PT + 0xf8).toString(16)}+8 1f003>0 @2`, "stop @3"],
    );
  });

  test("on ports, MSRs, control registers and registers of the local APIC", () => {
    onEvery(
      (engine) =>
        testGuest(
          (a) => {
            a.label("cpu0")
              // mov al, 5; out 0x80, al; in al, 0x80
              .bytes(0xb0, 5, 0xe6, 0x80, 0xe4, 0x80)
              // mov ecx, 0x277 (IA32_PAT); rdmsr; wrmsr
              .bytes(0xb9, 0x77, 2, 0, 0, 0x0f, 0x32, 0x0f, 0x30)
              // mov rax, cr3; mov cr3, rax
              .bytes(0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8)
              .apicWrite(TPR, 0x30)
              // mov eax, [rbx + 0x80]; mov eax, 0; mov cr8, rax
              .bytes(0x8b, 0x83, TPR, 0, 0, 0, 0xb8, 0, 0, 0, 0)
              .setCr8()
              .exit();
          },
          { engine },
        ),
      [
        { id: 1, kind: "port", address: 0x80, size: 1, read: false, write: true },
        { id: 2, kind: "msr", cpu: -1, index: 0x277, ...both },
        { id: 3, kind: "control", cpu: 0, register: 3, ...both },
        { id: 4, kind: "apic", cpu: 0, first: 8, last: 8, ...both },
        { id: 5, kind: "apic", cpu: 0, first: 0x30, last: 0x31, ...both },
        { id: 6, kind: "physical", address: APIC + TPR, size: 4, read: false, write: true },
      ],
      [
        "1: cpu 0 w 80+1 5 @1",
        "stop @2",
        "2: cpu 0 r 0+0 7040600070406 @4",
        "stop @5",
        "2: cpu 0 w 0+0 7040600070406>7040600070406 @5",
        "stop @6",
        "3: cpu 0 r 0+0 3000 @6",
        "stop @7",
        "3: cpu 0 w 0+0 3000>3000 @7",
        "stop @8",
        "4: cpu 0 w 0+0 ? @8",
        `6: cpu 0 w ${(APIC + TPR).toString(16)}+4 30 @8`,
        "stop @9",
        "4: cpu 0 r 0+0 ? @9",
        "stop @10",
        "4: cpu 0 w 0+0 ? @11",
        "stop @12",
      ],
    );
  });

  test("a device's write to memory is the device's, and one from outside is nobody's", () => {
    const guest = testGuest((a) => a.label("cpu0").label("loop").inc(DATA).jmp("loop"));
    const told: string[] = [];
    guest.machine.hooks = {
      watch: ({ cpu, address, size, old, value }) =>
        void told.push(`${cpu} ${address.toString(16)}+${size} ${old?.toString(16) ?? "?"}>${value?.toString(16) ?? "?"}`),
      interrupt: () => undefined,
    };
    guest.machine.setWatches([{ id: 1, kind: "physical", address: DATA + 0x102, size: 4, ...both }]);
    guest.machine.memory.write(DATA + 0x100, Uint8Array.of(1, 2, 3, 4));
    assert.deepEqual(told, []);
    // What a device does from within a run.
    guest.machine.hooks = {
      ...guest.machine.hooks,
      exception: () => guest.machine.memory.write(DATA + 0x100, Uint8Array.of(5, 6, 7, 8)),
    };
    guest.machine.cpus[0].raiseNmi();
    guest.run(100);
    assert.deepEqual(told, [`-1 ${(DATA + 0x102).toString(16)}+2 403>807`]);
  });

  test("setting and clearing watches changes nothing in the run", () => {
    const program = (): TestGuest =>
      testGuest((a) =>
        a
          .label("cpu0")
          // A change of a page table entry without an invalidation: the old translation goes on.
          .load("rax", 0x20000)
          .storeImmediate(PT + 0x20 * 8, 0x21003)
          .nop(4)
          .load("rcx", 0x20000)
          .store(DATA, "rcx")
          .exit(),
      );
    const plain = program();
    plain.machine.memory.write(0x21000, Uint8Array.of(1, 2, 3));
    plain.finish();
    const other = program();
    other.machine.memory.write(0x21000, Uint8Array.of(1, 2, 3));
    other.run(3);
    other.machine.setWatches([{ id: 1, kind: "linear", address: 0x30000n, size: 1, ...both }]);
    other.run(1);
    other.machine.setWatches([]);
    other.finish();
    assert.equal(other.machine.stateHash(), plain.machine.stateHash());
  });
});

/** Byte `offset` of the program of the string test. */
function byteAt(offset: number): string {
  const guest = testGuest((a) => a.label("cpu0").mov("rsi", CODE).mov("rdi", DATA).mov("rcx", 64).repMovsb().exit());
  return guest.machine.memory.read(CODE + offset, 1)[0].toString(16);
}
