/** Interrupts are taken at the first instruction boundary where the architecture allows it. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { InterruptEvent } from "../../src/apic/events";
import type { Assembler } from "./assembler";
import {
  CODE,
  DATA,
  EOI,
  ICR_HIGH,
  ICR_LOW,
  INIT,
  LVT_TIMER,
  NMI,
  SIPI,
  TDCR,
  type TestGuest,
  testGuest,
  TMICT,
  TO_OTHERS,
  TO_SELF,
} from "./testGuest";

/** Where vector `vector` was delivered, in order. */
const ripsOf = (guest: TestGuest, vector: number): bigint[] => guest.deliveries.filter((d) => d.vector === vector).map((d) => d.rip);
const IF = 0x200;

/** Latches vector 0x40 at this CPU. */
const selfInterrupt = (a: Assembler, vector = 0x40): Assembler => a.apicWrite(ICR_LOW, TO_SELF | vector);

describe("the boundary at which an interrupt is taken", () => {
  test("a timer's deadline is met to the instruction, wherever it falls in a block", () => {
    for (const count of [2, 3, 30, 60, 61, 62, 63, 90]) {
      const guest = testGuest((a) => {
        a.label("cpu0").sti().nop().apicWrite(LVT_TIMER, 0x40).apicWrite(TDCR, 0xb).apicWrite(TMICT, count);
        a.label("from").nop(100).exit();
      });
      guest.finish();
      // The count runs from the write's start; the write itself is the first of the instructions that go by.
      assert.deepEqual(ripsOf(guest, 0x40), [guest.code.at("from", count - 1)], `count ${count}`);
    }
  });

  test("STI holds interrupts off for one instruction", () => {
    const guest = testGuest((a) => selfInterrupt(a.label("cpu0")).sti().nop().label("here").nop().exit());
    guest.finish();
    assert.deepEqual(ripsOf(guest, 0x40), [guest.code.at("here")]);
  });

  test("STI while interrupts are enabled makes no shadow", () => {
    const guest = testGuest((a) => {
      a.label("cpu0").sti().nop().apicWrite(LVT_TIMER, 0x40).apicWrite(TDCR, 0xb).apicWrite(TMICT, 2).sti().label("here").nop(2).exit();
    });
    guest.finish();
    assert.deepEqual(ripsOf(guest, 0x40), [guest.code.at("here")]);
  });

  test("STI followed by CLI lets none through", () => {
    const guest = testGuest((a) => selfInterrupt(a.label("cpu0")).sti().cli().nop(3).exit());
    guest.finish();
    assert.deepEqual(ripsOf(guest, 0x40), []);
  });

  test("STI and HLT: a waiting interrupt wakes it at once, with RIP after the HLT", () => {
    const guest = testGuest((a) => selfInterrupt(a.label("cpu0")).sti().hlt().label("here").exit());
    guest.finish();
    assert.deepEqual(ripsOf(guest, 0x40), [guest.code.at("here")]);
  });

  test("MOV SS holds interrupts off for one instruction", () => {
    const guest = testGuest((a) => {
      a.label("cpu0").sti().mov("rax", 16).apicWrite(LVT_TIMER, 0x40).apicWrite(TDCR, 0xb).apicWrite(TMICT, 2);
      a.loadSs().nop().label("here").nop(3).exit();
    });
    guest.finish();
    assert.deepEqual(ripsOf(guest, 0x40), [guest.code.at("here")]);
  });

  test("a shadow survives that the CPU is stopped in it", () => {
    const guest = testGuest((a) => selfInterrupt(a.label("cpu0")).sti().label("shadow").nop().label("here").nop().exit());
    guest.run(2);
    assert.equal(guest.machine.cpus[0].state.rip, guest.code.at("shadow"));
    guest.finish();
    assert.deepEqual(ripsOf(guest, 0x40), [guest.code.at("here")]);
  });

  test("POPF takes it right there", () => {
    const guest = testGuest((a) =>
      selfInterrupt(a.label("cpu0"))
        .push(IF | 2)
        .popf()
        .label("here")
        .nop(2)
        .exit(),
    );
    guest.finish();
    assert.deepEqual(ripsOf(guest, 0x40), [guest.code.at("here")]);
  });

  test("IRET takes it right there", () => {
    const guest = testGuest((a) => {
      selfInterrupt(a.label("cpu0"))
        .push(16)
        .push(0x7f000)
        .push(IF | 2)
        .push(8)
        .pushLabel("here")
        .iretq();
      a.nop(5).label("here").nop(2).exit();
    });
    guest.finish();
    assert.deepEqual(ripsOf(guest, 0x40), [guest.code.at("here")]);
  });

  test("lowering CR8 takes it right there", () => {
    const guest = testGuest((a) => {
      a.label("cpu0").mov("rax", 4).setCr8().sti().nop();
      selfInterrupt(a).nop(3).mov("rax", 3).setCr8().label("here").nop(2).exit();
    });
    guest.finish();
    assert.deepEqual(ripsOf(guest, 0x40), [guest.code.at("here")]);
  });

  test("the end of a higher interrupt lets a lower one in right there", () => {
    const guest = testGuest((a) => {
      selfInterrupt(selfInterrupt(a.label("cpu0")), 0x80)
        .sti()
        .nop(4)
        .exit();
      a.label("vector128").sti().nop(3).apicWrite(EOI, 0).label("here").nop().iretq();
    });
    guest.finish();
    assert.deepEqual(
      guest.deliveries.map((d) => [d.vector, d.rip]),
      [
        [0x80, guest.code.at("cpu0", 22)],
        [0x40, guest.code.at("here")],
      ],
    );
  });

  test("a write of the ICR takes an interrupt to itself right there", () => {
    const guest = testGuest((a) => selfInterrupt(a.label("cpu0").sti().nop()).label("here").nop(2).exit());
    guest.finish();
    assert.deepEqual(ripsOf(guest, 0x40), [guest.code.at("here")]);
  });

  test("at least one instruction retires between two deliveries", () => {
    const guest = testGuest(
      (a) => {
        a.label("cpu0");
        a.nop().exit();
        a.label("vector2").nop(2).iretq();
      },
      { trapGates: [2] },
    );
    guest.machine.cpus[0].state.rflags = IF | 2;
    // Both are latched before the CPU looks: NMI first, then the handler's first instruction, then the interrupt.
    guest.machine.cpus[0].raiseNmi();
    guest.machine.cpus[0].apic.writeRegister(ICR_LOW >> 4, TO_SELF | 0x41);
    guest.finish();
    assert.deepEqual(
      guest.deliveries.slice(0, 2).map((d) => [d.vector, d.rip]),
      [
        [2, guest.code.at("cpu0")],
        [0x41, guest.code.at("vector2", 1)],
      ],
    );
  });
});

describe("string instructions", () => {
  const copy = (count: number, timer: number, operation: "repMovsb" | "repStosb"): TestGuest => {
    const guest = testGuest((a) => {
      a.label("cpu0")
        .sti()
        .mov("rsi", DATA)
        .mov("rdi", DATA + 0x3000)
        .mov("rcx", count)
        .mov("rax", 0x5a);
      a.apicWrite(LVT_TIMER, 0x40).apicWrite(TDCR, 0xb).apicWrite(TMICT, timer).label("rep");
      a[operation]().label("after").nop(20).exit();
      a.label("vector64")
        .store(DATA + 0x1000, "rcx")
        .apicWrite(EOI, 0)
        .iretq();
    });
    for (let i = 0; i < count; i++) guest.machine.memory.write(DATA + i, Uint8Array.of(i * 7));
    guest.finish();
    return guest;
  };
  for (const operation of ["repMovsb", "repStosb"] as const) {
    test(`${operation} is interrupted between iterations and resumed`, () => {
      for (const timer of [2, 50, 100, 101, 102]) {
        const guest = copy(100, timer, operation);
        const done = Math.min(timer - 1, 100);
        const [rip] = ripsOf(guest, 0x40);
        assert.equal(rip, done < 100 ? guest.code.at("rep") : guest.code.at("after", timer - 101), `timer ${timer}`);
        assert.equal(guest.read32(DATA + 0x1000), 100 - done, `RCX at timer ${timer}`);
        const expected = Array.from({ length: 101 }, (_, i) => (i === 100 ? 0 : operation === "repMovsb" ? (i * 7) & 0xff : 0x5a));
        assert.deepEqual([...guest.machine.memory.read(DATA + 0x3000, 101)], expected);
      }
    });
  }
  test("each iteration counts, and none is done twice", () => {
    const guest = copy(100, 60, "repMovsb");
    assert.equal(guest.machine.instructions(), 8 + 100 + 3 + 20 + 2 - 1 + 1);
  });
});

describe("NMI", () => {
  test("others wait until IRET", () => {
    const guest = testGuest((a) => {
      a.label("cpu0").apicWrite(ICR_LOW, NMI).label("first").nop(3).exit();
      a.label("vector2").inc(DATA).compare(DATA, 1).jcc("nz", "second");
      a.apicWrite(ICR_LOW, NMI).nop(5).label("second").iretq();
    });
    guest.finish();
    assert.deepEqual(ripsOf(guest, 2), [guest.code.at("first"), guest.code.at("first")]);
  });

  test("it is taken with interrupts off, and wakes HLT", () => {
    const guest = testGuest(
      (a) => {
        a.label("cpu0").hlt().label("woken").exit();
        a.label("cpu1")
          .nop(20)
          .apicWrite(ICR_LOW, TO_OTHERS | NMI)
          .hlt();
      },
      { cpus: 2 },
    );
    guest.finish();
    assert.deepEqual(ripsOf(guest, 2), [guest.code.at("woken")]);
  });
});

describe("SMI", () => {
  /** SMBASE + 0x8000. */
  const HANDLER = 0x3_8000;
  const SMI = 0x200;

  test("its handler returns with RSM, NMIs blocked as they were", () => {
    const guest = testGuest((a) => {
      a.label("cpu0")
        .mov("rax", 5)
        .apicWrite(ICR_LOW, NMI)
        .label("first")
        .nop(3)
        .store(DATA + 8, "rax")
        .exit();
      a.label("vector2").inc(DATA).compare(DATA, 1).jcc("nz", "second");
      a.apicWrite(ICR_LOW, NMI).apicWrite(ICR_LOW, SMI).nop(5).label("second").iretq();
    });
    // mov eax, 9; inc word [0x8010]; rsm
    guest.machine.memory.write(HANDLER, Uint8Array.of(0x66, 0xb8, 9, 0, 0, 0, 0xff, 0x06, 0x10, 0x80, 0x0f, 0xaa));
    guest.finish();
    assert.deepEqual(ripsOf(guest, 2), [guest.code.at("first"), guest.code.at("first")]);
    assert.deepEqual([guest.read32(DATA + 0x10), guest.read32(DATA + 8)], [1, 5]);
  });

  test("a handler that touches debug registers leaves the guest's breakpoints in force", () => {
    const guest = testGuest((a) => {
      a.label("cpu0").mov("rax", DATA).bytes(0x0f, 0x23, 0xc0).mov("rax", 0xd0402).bytes(0x0f, 0x23, 0xf8);
      a.apicWrite(ICR_LOW, SMI).inc(DATA).label("here").nop().exit();
      a.label("vector1").iretq();
    });
    // xor eax, eax; mov dr6, eax; rsm
    guest.machine.memory.write(HANDLER, Uint8Array.of(0x66, 0x31, 0xc0, 0x0f, 0x23, 0xf0, 0x0f, 0xaa));
    guest.finish();
    assert.deepEqual(ripsOf(guest, 1), [guest.code.at("here")]);
  });
});

describe("TSC deadline", () => {
  test("a write of the TSC moves it", () => {
    const guest = testGuest((a) => {
      // LVT timer in TSC-deadline mode; deadline = 1,000,000; then the TSC is set to 999,990.
      a.label("cpu0").sti().apicWrite(LVT_TIMER, 0x4_0040).mov("rcx", 0x6e0).mov("rax", 1_000_000).mov("rdx", 0).bytes(0x0f, 0x30);
      a.mov("rcx", 0x10).mov("rax", 999_990).bytes(0x0f, 0x30).label("from").nop(20).exit();
    });
    guest.finish(500);
    assert.deepEqual(ripsOf(guest, 0x40), [guest.code.at("from", 9)]);
  });
});

describe("between CPUs", () => {
  const spinner = (a: Assembler): Assembler =>
    a
      .label("cpu1")
      .sti()
      .label("spin")
      .nop(8)
      .compare(DATA, 1)
      .jcc("nz", "spin")
      .inc(DATA + 4)
      .hlt();

  test("an IPI is taken within a few instructions of the machine", () => {
    const events: InterruptEvent[] = [];
    const guest = testGuest(
      (a) => {
        a.label("cpu0").nop(500);
        a.apicWrite(ICR_HIGH, 1 << 24).apicWrite(ICR_LOW, 0x50);
        a.label("wait").compare(DATA, 1).jcc("nz", "wait").exit();
        spinner(a);
        a.label("vector80").inc(DATA).apicWrite(EOI, 0).iretq();
      },
      { cpus: 2, quantum: 100 },
    );
    guest.machine.hooks.interrupt = (event) => void events.push(event);
    guest.finish();
    const at = (stage: string): number => {
      const stamp = events.flatMap((event) => (event.stage === stage ? [event.record.stages[event.record.stages.length - 1]] : []))[0];
      return stamp.instruction;
    };
    assert.ok(at("deliver") - at("send") <= 2, `sent at ${at("send")}, delivered at ${at("deliver")}`);
  });

  test("a timer of a CPU that waits for its turn calls it at once", () => {
    const guest = testGuest(
      (a) => {
        a.label("cpu0").nop(300).label("spin").inc(DATA).jmp("spin");
        a.label("cpu1").sti().nop().apicWrite(LVT_TIMER, 0x40).apicWrite(TDCR, 0xb).apicWrite(TMICT, 3000).label("loop").jmp("loop");
        a.label("vector64").exit();
      },
      { cpus: 2, quantum: 2000 },
    );
    guest.finish();
    const [{ instruction }] = guest.deliveries;
    // CPU 0's turn, then the write in CPU 1's, then the time.
    assert.equal(instruction, 2000 + 4 + 3000);
  });

  test("CPUs that call each other without end leave the others their turns", () => {
    const guest = testGuest(
      (a) => {
        a.label("cpu0").label("spin").inc(DATA).jmp("spin");
        a.label("cpu1")
          .sti()
          .apicWrite(ICR_HIGH, 2 << 24)
          .apicWrite(ICR_LOW, 0x40)
          .label("loop1")
          .jmp("loop1");
        a.label("cpu2").sti().label("loop2").jmp("loop2");
        // CPU 2 answers CPU 1, and CPU 1 CPU 2.
        a.label("vector64")
          .inc(DATA + 8)
          .apicWrite(EOI, 0)
          .apicWrite(ICR_HIGH, 1 << 24)
          .apicWrite(ICR_LOW, 0x41)
          .iretq();
        a.label("vector65")
          .inc(DATA + 8)
          .apicWrite(EOI, 0)
          .apicWrite(ICR_HIGH, 2 << 24)
          .apicWrite(ICR_LOW, 0x40)
          .iretq();
      },
      { cpus: 3, quantum: 1000 },
    );
    guest.run(100_000);
    assert.ok(guest.read32(DATA) > 10_000, `${guest.read32(DATA)} turns of the loop of CPU 0`);
    assert.ok(guest.read32(DATA + 8) > 1_000, `${guest.read32(DATA + 8)} calls`);
  });

  test("INIT and SIPI act without delay", () => {
    const guest = testGuest(
      (a) => {
        a.label("cpu0")
          .apicWrite(ICR_LOW, TO_OTHERS | INIT)
          .apicWrite(ICR_LOW, TO_OTHERS | SIPI | 0x20)
          .mov("rcx", 0);
        a.label("wait")
          .bytes(0xff, 0xc1)
          .compare(DATA, 1)
          .jcc("nz", "wait")
          .store(DATA + 8, "rcx")
          .exit();
      },
      { cpus: 2 },
    );
    // inc word [0x8000]; hlt
    guest.machine.memory.write(0x2_0000, Uint8Array.of(0x67, 0xff, 0x05, 0, 0x80, 0, 0, 0xf4));
    guest.finish();
    assert.equal(guest.read32(DATA + 8), 1, "turns of the loop that waited");
  });

  test("INIT takes a running CPU back to waiting, and only then does a SIPI start it", () => {
    const guest = testGuest(
      (a) => {
        a.label("cpu0")
          .apicWrite(ICR_LOW, TO_OTHERS | SIPI | 0x20)
          .nop(100);
        a.compare(DATA, 0)
          .jcc("nz", "bad")
          .apicWrite(ICR_LOW, TO_OTHERS | INIT)
          .nop(10);
        a.apicWrite(ICR_LOW, TO_OTHERS | SIPI | 0x20)
          .label("wait")
          .compare(DATA, 1)
          .jcc("nz", "wait")
          .exit();
        a.label("bad").exit(1);
        a.label("cpu1").label("spin").jmp("spin");
      },
      { cpus: 2, quantum: 10 },
    );
    guest.machine.memory.write(0x2_0000, Uint8Array.of(0x67, 0xff, 0x05, 0, 0x80, 0, 0, 0xf4));
    guest.finish();
    assert.equal(guest.machine.cpus[1].activity, "halted");
    assert.equal(guest.machine.cpus[1].state.selector[1], 0x2000);
  });

  test("HLT ends with an interrupt from another CPU", () => {
    const guest = testGuest(
      (a) => {
        a.label("cpu0").sti().hlt().label("woken").exit();
        a.label("cpu1")
          .nop(300)
          .apicWrite(ICR_LOW, TO_OTHERS | 0x40)
          .hlt();
      },
      { cpus: 2 },
    );
    guest.finish();
    assert.deepEqual(ripsOf(guest, 0x40), [guest.code.at("woken")]);
  });

  test("MWAIT ends with a store of another CPU to the line, and with no other", () => {
    const guest = testGuest(
      (a) => {
        a.label("cpu0")
          .mov("rax", DATA)
          .mov("rcx", 0)
          .mov("rdx", 0)
          .monitor()
          .mov("rax", 0)
          .mwait()
          .load("rdx", DATA + 0x100)
          .exit();
        a.label("cpu1")
          .inc(DATA + 0x100)
          .inc(DATA + 0x40)
          .nop(50)
          .inc(DATA + 0x100)
          .nop(50)
          .inc(DATA + 0x100)
          .inc(DATA + 0x3c);
        a.label("spin")
          .inc(DATA + 0x104)
          .jmp("spin");
      },
      { cpus: 2, quantum: 20 },
    );
    guest.finish();
    assert.equal(guest.machine.cpus[0].state.gpr(2) & 0xffff_ffffn, 3n);
  });

  test("MWAIT with ECX bit 0 ends with a masked interrupt and does not take it", () => {
    const guest = testGuest(
      (a) => {
        a.label("cpu0").mov("rax", DATA).mov("rcx", 0).mov("rdx", 0).monitor().mov("rax", 0).mov("rcx", 1).mwait().exit();
        a.label("cpu1")
          .nop(300)
          .apicWrite(ICR_LOW, TO_OTHERS | 0x40)
          .hlt();
      },
      { cpus: 2 },
    );
    guest.finish();
    assert.deepEqual(guest.deliveries, []);
  });

  test("code of 64-bit programs starts where it was put", () => {
    const guest = testGuest((a) => a.label("cpu0").exit());
    assert.equal(guest.machine.cpus[0].state.rip, BigInt(CODE));
  });
});
