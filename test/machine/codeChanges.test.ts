/** Code that changes under the CPU: self-modifying code, other writers, and mappings that move. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Assembler } from "./assembler";
import { CODE, DATA, pageEntry, PT, testGuest } from "./testGuest";

const EAX = 0xb8;
/** mov eax, imm32 */
const moveEax = (a: Assembler, value: number): Assembler => a.bytes(EAX).dword(value);
const PAGE_CROSSING = CODE + 0x1000;

describe("self-modifying code", () => {
  test("the very next instruction", () => {
    const guest = testGuest((a) => {
      moveEax(a.label("cpu0").patchByte("next", 1, 7).label("next"), 1)
        .store(DATA, "rax")
        .exit();
    });
    guest.finish();
    assert.equal(guest.read32(DATA), 7);
  });

  test("later in the block, and again in every turn of a loop", () => {
    const guest = testGuest((a) => {
      a.label("cpu0").mov("rcx", 0).mov("rdx", 0).label("loop").address("rdi", "target");
      // mov [rdi + 1], cl; nops; add rdx, rax; inc ecx; cmp ecx, 100
      a.bytes(0x88, 0x4f, 0x01).nop(3);
      moveEax(a.label("target"), 0x55).bytes(0x48, 0x01, 0xc2, 0xff, 0xc1, 0x83, 0xf9, 100).jcc("nz", "loop").store(DATA, "rdx").exit();
    });
    guest.finish();
    assert.equal(guest.read32(DATA), (99 * 100) / 2);
  });

  test("its own bytes: an instruction that overwrites itself completes as it was fetched", () => {
    const guest = testGuest((a) => {
      a.label("cpu0").address("rdi", "self").mov("rcx", 2).label("again").mov("rax", 0x90).label("self");
      // mov [rdi], al: twice; it and the byte after it have become NOPs by the second turn
      a.bytes(0x88, 0x07).inc(DATA).bytes(0xff, 0xc9).jcc("nz", "again").exit();
    });
    guest.run(4);
    assert.equal(guest.machine.memory.read(Number(guest.code.at("self")), 1)[0], 0x90);
  });

  test("by a string instruction over the code that follows it", () => {
    const guest = testGuest((a) => {
      a.label("cpu0").address("rdi", "target").mov("rax", 0x90).mov("rcx", 5).repStosb().label("target");
      moveEax(a, 1).store(DATA, "rax").exit();
    });
    guest.finish();
    assert.equal(guest.read32(DATA), 0x90);
  });

  for (const down of [false, true]) {
    for (const move of [false, true]) {
      test(`by a string instruction over routines that have run, ${down ? "downwards" : "upwards"}, ${move ? "moved" : "stored"}`, () => {
        const routines = 40;
        const bytes = 16;
        const make = (engine: "reference" | "interpreter" | "jit") =>
          testGuest(
            (a) => {
              // Each routine adds 1 to RDX; what is written over it adds 4.
              a.label("cpu0").mov("rdx", 0).call("all");
              a.address("rdi", down ? "last" : "first").address("rsi", down ? "lastImage" : "images");
              a.mov("rax", 0xc304_c283).mov("rcx", (routines * bytes) / 8);
              a.bytes(down ? 0xfd : 0xfc, 0xf3, 0x48, move ? 0xa5 : 0xab, 0xfc); // std or cld; rep movsq or stosq; cld
              a.call("all").store(DATA, "rdx").exit();
              a.label("all");
              for (let i = 0; i < routines; i++) a.call(`routine${i}`);
              a.ret();
              const page = (label: string, code: readonly number[]): void => {
                a.upTo((a.here + 0xfff) & ~0xfff).label(label);
                for (let i = 0; i < routines; i++) {
                  if (label === "first") a.label(`routine${i}`);
                  for (let half = 0; half < bytes / 8; half++) {
                    if (i === routines - 1 && half === bytes / 8 - 1) a.label(label === "first" ? "last" : "lastImage");
                    a.bytes(...code, ...new Array<number>(8 - code.length).fill(0));
                  }
                }
              };
              page("first", [0x83, 0xc2, 0x01, 0xc3]); // add edx, 1; ret
              page("images", [0x83, 0xc2, 0x04, 0xc3]);
            },
            { engine },
          );
        const courses = (["reference", "interpreter", "jit"] as const).flatMap((engine) =>
          [1, 7, 1_000].map((portion) => {
            const guest = make(engine);
            let end = guest.run(portion);
            while (end.kind === "limit") end = guest.run(portion);
            assert.equal(guest.read32(DATA), routines * 5);
            return [end, guest.machine.instructions(), guest.machine.stateHash()];
          }),
        );
        for (const course of courses) assert.deepEqual(course, courses[0]);
      });
    }
  }

  test("in a page that another CPU runs", () => {
    const guest = testGuest(
      (a) => {
        a.label("cpu0").nop(200).patchByte("target", 1, 9).label("wait").compare(DATA, 9).jcc("nz", "wait").exit();
        moveEax(a.label("cpu1").label("target"), 1).store(DATA, "rax").jmp("target");
      },
      { cpus: 2, quantum: 50 },
    );
    guest.finish();
  });

  test("by a device or the debugger", () => {
    const guest = testGuest((a) => moveEax(a.label("cpu0").label("loop"), 1).store(DATA, "rax").jmp("loop"));
    guest.run(301);
    guest.machine.memory.write(Number(guest.code.at("loop")) + 1, Uint8Array.of(5));
    guest.run(6);
    assert.equal(guest.read32(DATA), 5);
    guest.machine.cpus[0].writeMemory(guest.code.at("loop") + 1n, Uint8Array.of(6));
    guest.run(6);
    assert.equal(guest.read32(DATA), 6);
  });

  test("data in a page of code can be written at full speed without dropping the code", () => {
    const guest = testGuest((a) => {
      a.label("cpu0").address("rdi", "data").mov("rcx", 10_000).label("loop").bytes(0xff, 0x07, 0xff, 0xc9).jcc("nz", "loop").exit();
      a.upTo(CODE + 0x800)
        .label("data")
        .bytes(0, 0, 0, 0);
    });
    guest.finish();
    assert.equal(guest.read32(CODE + 0x800), 10_000);
    assert.ok(guest.machine.stats().blocksTranslated < 20, `${guest.machine.stats().blocksTranslated} blocks`);
  });
});

describe("mappings that change", () => {
  const VIRTUAL = 0x1_0000 + 0x8000;
  const PHYSICAL_A = 0x4_0000;
  const PHYSICAL_B = 0x5_0000;
  /** mov eax, imm32; ret */
  const routine = (value: number): Uint8Array => Uint8Array.of(EAX, value, 0, 0, 0, 0xc3);

  /** Puts routines across the end of the page of `start`, which the guest calls four times with the second page mapped to one place and another in turn: it gets what is mapped then. */
  function followsMapping(guest: ReturnType<typeof testGuest>, start: number): void {
    const { memory } = guest.machine;
    memory.write(start, Uint8Array.of(EAX));
    memory.write(PHYSICAL_A, routine(1).subarray(1));
    memory.write(PHYSICAL_B, routine(2).subarray(1));
    guest.finish();
    assert.deepEqual(
      [0, 1, 2, 3].map((turn) => guest.read32(DATA + turn * 8)),
      [1, 2, 1, 2],
    );
  }
  const mapTo = (a: Assembler, linear: number, physical: number): Assembler =>
    a.storeImmediate(PT + (linear >> 12) * 8, pageEntry(physical >> 12));
  /** invlpg [linear] */
  const invalidate = (a: Assembler, linear: number): Assembler => a.bytes(0x0f, 0x01, 0x3c, 0x25).dword(linear);
  /** mov rax, linear; call rax */
  const callTo = (a: Assembler, linear: number): Assembler => a.mov("rax", linear).bytes(0xff, 0xd0);

  for (const [name, flush] of [
    ["INVLPG", (a: Assembler) => invalidate(a, VIRTUAL)],
    ["a write of CR3", (a: Assembler) => a.bytes(0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8)],
  ] as const) {
    test(`code at the same address is other code after ${name}`, () => {
      const guest = testGuest((a) => {
        a.label("cpu0");
        for (let turn = 0; turn < 4; turn++) {
          flush(mapTo(a, VIRTUAL, turn % 2 === 0 ? PHYSICAL_A : PHYSICAL_B));
          callTo(a, VIRTUAL).store(DATA + turn * 8, "rax");
        }
        a.exit();
      });
      guest.machine.memory.write(PHYSICAL_A, routine(1));
      guest.machine.memory.write(PHYSICAL_B, routine(2));
      guest.finish();
      assert.deepEqual(
        [0, 1, 2, 3].map((turn) => guest.read32(DATA + turn * 8)),
        [1, 2, 1, 2],
      );
    });
  }

  test("data at the same address is other data after INVLPG", () => {
    const guest = testGuest((a) => {
      a.label("cpu0").load("rax", VIRTUAL).store(DATA, "rax");
      invalidate(mapTo(a, VIRTUAL, PHYSICAL_B), VIRTUAL)
        .load("rax", VIRTUAL)
        .store(DATA + 8, "rax")
        .storeByte(VIRTUAL, 3)
        .exit();
    });
    guest.machine.memory.write(VIRTUAL, Uint8Array.of(1));
    guest.machine.memory.write(PHYSICAL_B, Uint8Array.of(2));
    guest.finish();
    assert.deepEqual([guest.read32(DATA), guest.read32(DATA + 8), guest.read32(PHYSICAL_B)], [1, 2, 3]);
  });

  test("an instruction across two pages follows the second page's mapping", () => {
    // mov eax, imm32 with its immediate in the second page
    const start = VIRTUAL + 0xfff;
    const guest = testGuest((a) => {
      a.label("cpu0");
      for (let turn = 0; turn < 4; turn++) {
        invalidate(mapTo(a, VIRTUAL + 0x1000, turn % 2 === 0 ? PHYSICAL_A : PHYSICAL_B), VIRTUAL + 0x1000);
        callTo(a, start).store(DATA + turn * 8, "rax");
      }
      a.exit();
    });
    followsMapping(guest, start);
  });

  test("an instruction across two pages follows the second page's mapping although the first is known to be where it was", () => {
    const start = VIRTUAL + 0xfff;
    const other = VIRTUAL + 0x800;
    const guest = testGuest((a) => {
      a.label("cpu0");
      for (let turn = 0; turn < 4; turn++) {
        invalidate(mapTo(a, VIRTUAL + 0x1000, turn % 2 === 0 ? PHYSICAL_A : PHYSICAL_B), VIRTUAL + 0x1000);
        callTo(callTo(callTo(a, other), start), start).store(DATA + turn * 8, "rax");
      }
      a.exit();
    });
    guest.machine.memory.write(other, Uint8Array.of(0xc3));
    followsMapping(guest, start);
  });

  test("an instruction across two pages is changed by a write to the second", () => {
    const guest = testGuest((a) => {
      a.label("cpu0")
        .mov("rcx", 3)
        .jmp("loop")
        .upTo(PAGE_CROSSING - 3)
        .label("loop");
      moveEax(a, 1)
        .store(DATA, "rax")
        .storeByte(PAGE_CROSSING + 1, 0x77)
        .bytes(0xff, 0xc9)
        .jcc("nz", "loop")
        .exit();
    });
    guest.finish();
    assert.equal(guest.read32(DATA), 0x7700_0001);
  });

  test("an instruction whose second page is absent faults with that page's address and the instruction's RIP", () => {
    const start = VIRTUAL + 0xffe;
    const guest = testGuest((a) => {
      a.label("cpu0").storeImmediate(PT + ((VIRTUAL >> 12) + 1) * 8, 0);
      callTo(invalidate(a, VIRTUAL + 0x1000), start)
        .store(DATA, "rax")
        .exit();
      // The handler maps the page and returns past the error code.
      mapTo(a.label("vector14"), VIRTUAL + 0x1000, PHYSICAL_A)
        .bytes(0x48, 0x83, 0xc4, 8)
        .iretq();
    });
    guest.machine.memory.write(start, Uint8Array.of(EAX, 1));
    guest.machine.memory.write(PHYSICAL_A, Uint8Array.of(2, 3, 4, 0xc3));
    guest.finish();
    assert.deepEqual(
      guest.deliveries.map(({ vector, rip }) => [vector, rip]),
      [[14, BigInt(start)]],
    );
    assert.equal(guest.machine.cpus[0].state.cr2, BigInt(VIRTUAL + 0x1000));
    assert.equal(guest.read32(DATA), 0x04030201);
  });

  test("a store across two pages of which the second is not writable changes neither", () => {
    const guest = testGuest((a) => {
      a.label("cpu0").storeImmediate(PT + ((VIRTUAL >> 12) + 1) * 8, pageEntry((VIRTUAL >> 12) + 1, 1));
      invalidate(a, VIRTUAL + 0x1000)
        .mov("rax", -1)
        .store(VIRTUAL + 0xffc, "rax")
        .nop();
      a.label("vector14").exit();
    });
    guest.finish();
    assert.equal(guest.read32(VIRTUAL + 0xffc), 0);
    assert.equal(guest.machine.cpus[0].state.cr2, BigInt(VIRTUAL + 0x1000));
  });

  test("page tables in a page of code: accessed bits do not hide changes", () => {
    const guest = testGuest((a) => {
      // The routine's own page holds the page table entry that maps the data it reads.
      a.label("cpu0")
        .load("rax", VIRTUAL)
        .load("rax", PT + (VIRTUAL >> 12) * 8)
        .store(DATA, "rax")
        .storeByte(VIRTUAL, 1);
      a.load("rax", PT + (VIRTUAL >> 12) * 8)
        .store(DATA + 8, "rax")
        .exit();
    });
    guest.finish();
    assert.equal(guest.read32(DATA) & 0x60, 0x20);
    assert.equal(guest.read32(DATA + 8) & 0x60, 0x60);
  });
});
