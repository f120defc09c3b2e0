/** The guest's own debugging: single steps, data and instruction breakpoints, and what holds them off (SDM vol. 3, "Debug Exceptions"). */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Assembler } from "./assembler";
import { TR } from "../../src/cpu/segmentRegisters";
import { DATA, EOI, LVT_TIMER, pageEntry, PT, STACKS, TDCR, testGuest, type TestGuest, TMICT } from "./testGuest";

const TF = 0x100;
const RF = 0x10000;
/** DR7: breakpoint 0 enabled, on writes (reads and writes) of 4 bytes. */
const ON_WRITE = 0xd0402;
const ON_ACCESS = 0xf0402;
const ON_EXECUTION = 0x402;

/** mov dr0, address; mov dr7, control */
const watch = (a: Assembler, address: number, control: number): Assembler =>
  a.mov("rax", address).bytes(0x0f, 0x23, 0xc0).mov("rax", control).bytes(0x0f, 0x23, 0xf8);
const watchLabel = (a: Assembler, label: string): Assembler =>
  a.address("rax", label).bytes(0x0f, 0x23, 0xc0).mov("rax", ON_EXECUTION).bytes(0x0f, 0x23, 0xf8);
/** mov rax, value; mov dr6, rax */
const setDr6 = (a: Assembler, value: number): Assembler => a.mov("rax", value).bytes(0x0f, 0x23, 0xf0);
const setTf = (a: Assembler): Assembler => a.push(TF | 2).popf();
const clearTf = (a: Assembler): Assembler => a.push(2).popf();
const icebp = (a: Assembler): Assembler => a.bytes(0xf1);
/** A #DB handler that counts in DATA + 0x100 and keeps the pushed flags in DATA + 0x108. */
const counter = (a: Assembler): Assembler =>
  a
    .label("vector1")
    .inc(DATA + 0x100)
    .bytes(0x48, 0x8b, 0x54, 0x24, 0x10)
    .store(DATA + 0x108, "rdx")
    .iretq();

const rips = (guest: TestGuest, vector = 1): bigint[] => guest.deliveries.filter((d) => d.vector === vector).map((d) => d.rip);
const dr6 = (guest: TestGuest): number => guest.machine.cpus[0].state.dr6;

describe("data breakpoints", () => {
  test("trap after the instruction", () => {
    const guest = testGuest((a) => counter(watch(a.label("cpu0"), DATA, ON_WRITE).load("rdx", DATA).inc(DATA).label("here").nop().exit()));
    guest.finish();
    assert.deepEqual(rips(guest), [guest.code.at("here")]);
    assert.equal(dr6(guest), 0xffff0ff1);
  });

  test("the debug status keeps what software must clear, and tells of this exception's breakpoints alone", () => {
    const guest = testGuest((a) =>
      counter(
        setDr6(watch(a.label("cpu0"), DATA, ON_WRITE), 0x4006)
          .inc(DATA)
          .exit(),
      ),
    );
    guest.finish();
    assert.equal(dr6(guest), 0xffff4ff1);
  });

  test("are told once the instruction is done, not when a part of it was before it faulted", () => {
    // movsb from watched memory to a page that is not there at first
    const page = DATA + 0x5000;
    const guest = testGuest((a) => {
      a.label("cpu0")
        .storeImmediate(PT + (page >> 12) * 8, 0)
        .bytes(0x0f, 0x01, 0x3c, 0x25)
        .dword(page);
      watch(a, DATA, ON_ACCESS).mov("rsi", DATA).mov("rdi", page).bytes(0xa4).label("here").nop().exit();
      counter(a)
        .label("vector14")
        .storeImmediate(PT + (page >> 12) * 8, pageEntry(page >> 12))
        .bytes(0x48, 0x83, 0xc4, 8)
        .iretq();
    });
    guest.finish();
    assert.deepEqual(
      guest.deliveries.map((d) => d.vector),
      [14, 1],
    );
    assert.deepEqual(rips(guest), [guest.code.at("here")]);
  });

  test("hit by a load of SS wait for the instruction after it", () => {
    // mov ss, [DATA]
    const guest = testGuest((a) => {
      watch(a.label("cpu0").storeImmediate(DATA, 16), DATA, ON_ACCESS).bytes(0x8e, 0x14, 0x25).dword(DATA).nop().label("here").nop().exit();
      counter(a);
    });
    guest.finish();
    assert.deepEqual(rips(guest), [guest.code.at("here")]);
  });

  test("hit by a load of SS before INT1 come with its exception", () => {
    const guest = testGuest((a) => {
      icebp(watch(a.label("cpu0").storeImmediate(DATA, 16), DATA, ON_ACCESS).bytes(0x8e, 0x14, 0x25).dword(DATA))
        .label("here")
        .nop()
        .exit();
      counter(a);
    });
    guest.finish();
    assert.deepEqual(rips(guest), [guest.code.at("here")]);
    assert.equal(dr6(guest), 0xffff0ff1);
  });
});

describe("instruction breakpoints", () => {
  test("fault before the instruction, and RF lets it through", () => {
    const guest = testGuest((a) => {
      watchLabel(a.label("cpu0"), "here").nop(2).label("here").inc(DATA).nop().exit();
      // The handler sets RF in the flags it returns with.
      a.label("vector1")
        .inc(DATA + 0x100)
        .bytes(0x81, 0x4c, 0x24, 0x10)
        .dword(RF)
        .iretq();
    });
    guest.finish();
    assert.deepEqual(rips(guest), [guest.code.at("here")]);
    assert.equal(guest.read32(DATA), 1);
  });

  test("RF covers one instruction: the next time round it stops again", () => {
    const guest = testGuest((a) => {
      watchLabel(a.label("cpu0").mov("rcx", 3), "here").label("here").inc(DATA).bytes(0xff, 0xc9).jcc("nz", "here").exit();
      a.label("vector1").bytes(0x81, 0x4c, 0x24, 0x10).dword(RF).iretq();
    });
    guest.finish();
    assert.equal(rips(guest).length, 3);
  });

  test("do not match right after a load of SS", () => {
    const guest = testGuest((a) => {
      counter(watchLabel(a.label("cpu0"), "here").mov("rax", 16).loadSs().label("here").nop().exit());
    });
    guest.finish();
    assert.deepEqual(rips(guest), []);
  });
});

describe("single steps", () => {
  test("trap after each instruction, POPF's own excepted", () => {
    const guest = testGuest((a) =>
      counter(
        clearTf(setTf(a.label("cpu0")).label("one").nop().label("two").nop().label("three"))
          .label("end")
          .exit(),
      ),
    );
    guest.finish();
    const { code } = guest;
    assert.deepEqual(rips(guest), [code.at("two"), code.at("three"), code.at("three", 5), code.at("end")]);
    assert.equal(dr6(guest), 0xffff4ff0);
  });

  test("skip the boundary after a load of SS, not that after STI", () => {
    const guest = testGuest((a) => {
      setTf(a.label("cpu0").mov("rax", 16)).loadSs().label("shadow").nop().label("sti").sti().label("after").nop();
      counter(clearTf(a).exit());
    });
    guest.finish();
    const { code } = guest;
    assert.deepEqual(rips(guest).slice(0, 3), [code.at("sti"), code.at("after"), code.at("after", 1)]);
  });

  test("of a string instruction come after each iteration, with RF pushed but for the last", () => {
    const seen: number[] = [];
    const guest = testGuest((a) => {
      setTf(a.label("cpu0").mov("rdi", DATA).mov("rcx", 3).mov("rax", 1)).label("rep").repStosb().label("after").nop();
      counter(clearTf(a).exit());
    });
    const { hooks } = guest.machine;
    guest.machine.hooks = {
      exception: (cpu, event) => {
        hooks.exception?.(cpu, event);
        seen.push(guest.machine.cpus[0].state.midString ? 1 : 0);
      },
    };
    guest.finish();
    const { code } = guest;
    assert.deepEqual(rips(guest).slice(0, 3), [code.at("rep"), code.at("rep"), code.at("after")]);
    assert.deepEqual(seen.slice(0, 3), [1, 1, 0]);
  });

  test("INT1 is not a single step", () => {
    const guest = testGuest((a) => counter(icebp(a.label("cpu0")).label("here").exit()));
    guest.finish();
    assert.deepEqual(rips(guest), [guest.code.at("here")]);
    assert.equal(dr6(guest), 0xffff0ff0);
  });
});

test("an interrupt between iterations pushes RF, one after the last does not", () => {
  for (const [timer, flag] of [
    [20, RF],
    [31, 0],
  ]) {
    const guest = testGuest((a) => {
      a.label("cpu0").sti().mov("rdi", DATA).mov("rcx", 30).mov("rax", 1);
      a.apicWrite(LVT_TIMER, 0x40).apicWrite(TDCR, 0xb).apicWrite(TMICT, timer).repStosb().nop(3).exit();
      a.label("vector64")
        .bytes(0x48, 0x8b, 0x54, 0x24, 0x10)
        .store(DATA + 0x108, "rdx")
        .apicWrite(EOI, 0)
        .iretq();
    });
    guest.finish();
    assert.equal(guest.read32(DATA + 0x108) & RF, flag, `timer ${timer}`);
  }
});

describe("SYSRET", () => {
  const TSS = DATA + 0x800;
  const toUser = (flags: number): TestGuest => {
    const guest = testGuest((a) => {
      a.label("cpu0").mov("rcx", 0xc000_0081).mov("rax", 0).mov("rdx", 0x0010_0000).bytes(0x0f, 0x30);
      // mov r11, flags; sysretq to a page that CPL 3 may not execute
      a.address("rcx", "user").mov("rax", flags).bytes(0x49, 0x89, 0xc3, 0x48, 0x0f, 0x07).label("user").nop();
      counter(a);
      a.label("vector14").exit();
    });
    const { machine } = guest;
    machine.cpus[0].state.setSegment(TR, 0x28, BigInt(TSS), 0x67, 0x8b);
    const stack = new Uint8Array(8);
    new DataView(stack.buffer).setUint32(0, STACKS, true);
    machine.memory.write(TSS + 4, stack);
    return guest;
  };

  test("that sets TF traps when it is done, before the instruction it returns to", () => {
    const guest = toUser(TF | 2);
    guest.run(1000);
    assert.deepEqual(rips(guest)[0], guest.code.at("user"));
    assert.notEqual(dr6(guest) & 0x4000, 0);
  });

  test("that leaves TF clear does not", () => {
    const guest = toUser(2);
    guest.finish();
    assert.deepEqual(rips(guest), []);
  });
});
