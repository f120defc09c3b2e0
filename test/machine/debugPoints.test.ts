/** Breakpoints, watchpoints and stops of a debugger: exact, and without a trace in what the guest does. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { DATA, ICR_LOW, testGuest, type TestGuest, TO_SELF } from "./testGuest";

const counting = (configuration: Parameters<typeof testGuest>[1] = {}): TestGuest =>
  testGuest((a) => {
    a.label("cpu0")
      .mov("rcx", 0)
      .label("loop")
      .inc(DATA)
      .nop(2)
      .label("middle")
      .bytes(0xff, 0xc1)
      .bytes(0x83, 0xf9, 10)
      .jcc("nz", "loop")
      .exit();
  }, configuration);

describe("breakpoints", () => {
  test("stop before the instruction, each time it is reached, and resume past it", () => {
    const guest = counting();
    guest.machine.setBreakpoints(new Set([guest.code.at("middle")]));
    for (let turn = 1; turn <= 10; turn++) {
      assert.deepEqual(guest.run(1000), { kind: "breakpoint", cpu: 0 });
      assert.equal(guest.machine.cpus[0].state.rip, guest.code.at("middle"));
      assert.equal(guest.read32(DATA), turn);
      assert.equal(guest.machine.instructions(), 1 + turn * 3 + (turn - 1) * 3);
      guest.machine.resumeFrom(0);
    }
    guest.finish();
  });

  test("without resumeFrom the run stops at once", () => {
    const guest = counting();
    guest.machine.setBreakpoints(new Set([guest.code.at("middle")]));
    guest.run(1000);
    const at = guest.machine.instructions();
    assert.deepEqual(guest.run(1000), { kind: "breakpoint", cpu: 0 });
    assert.equal(guest.machine.instructions(), at);
  });

  test("set and cleared between runs", () => {
    const guest = counting();
    guest.run(10);
    guest.machine.setBreakpoints(new Set([guest.code.at("loop")]));
    assert.equal(guest.run(1000).kind, "breakpoint");
    guest.machine.setBreakpoints(new Set());
    guest.finish();
  });

  test("change nothing in the run", () => {
    const plain = counting();
    plain.finish();
    const stopped = counting();
    stopped.machine.setBreakpoints(new Set([stopped.code.at("loop"), stopped.code.at("middle")]));
    while (stopped.run(7).kind !== "exit") stopped.machine.resumeFrom(0);
    assert.equal(stopped.machine.instructions(), plain.machine.instructions());
    assert.equal(stopped.machine.stateHash(), plain.machine.stateHash());
  });

  test("at a handler's first instruction: the delivery has happened, nothing of the handler has", () => {
    const guest = testGuest((a) => {
      a.label("cpu0")
        .sti()
        .nop()
        .apicWrite(ICR_LOW, TO_SELF | 0x40)
        .label("after")
        .nop()
        .exit();
      a.label("vector64").inc(DATA).iretq();
    });
    guest.machine.setBreakpoints(new Set([guest.code.at("vector64")]));
    assert.equal(guest.run(1000).kind, "breakpoint");
    assert.equal(guest.machine.instructions(), 3);
    assert.equal(guest.read32(DATA), 0);
    assert.equal(guest.deliveries[0].rip, guest.code.at("after"));
    guest.machine.resumeFrom(0);
    guest.finish();
  });

  test("in code that another CPU runs as well", () => {
    const guest = testGuest((a) => a.label("cpu0").label("cpu1").label("loop").nop(3).label("here").nop().jmp("loop"), {
      cpus: 2,
      quantum: 20,
    });
    guest.machine.setBreakpoints(new Set([guest.code.at("here")]));
    const stops = new Set<number>();
    for (let i = 0; i < 30; i++) {
      const end = guest.run(1000);
      assert.equal(end.kind, "breakpoint");
      if (end.kind !== "breakpoint") continue;
      stops.add(end.cpu);
      guest.machine.resumeFrom(end.cpu);
    }
    assert.deepEqual([...stops].sort(), [0, 1]);
  });

  test("a guest's own single step goes on through the debugger's breakpoint", () => {
    const guest = testGuest((a) => {
      a.label("cpu0").push(0x102).popf().nop(2).label("here").nop(2).push(2).popf().exit();
      a.label("vector1").inc(DATA).iretq();
    });
    guest.machine.setBreakpoints(new Set([guest.code.at("here")]));
    assert.equal(guest.run(1000).kind, "breakpoint");
    assert.equal(guest.read32(DATA), 2);
    guest.machine.resumeFrom(0);
    guest.finish();
    assert.equal(guest.read32(DATA), 6);
  });
});

describe("stepping one CPU", () => {
  test("one instruction at a time, others held", () => {
    const guest = testGuest(
      (a) =>
        a
          .label("cpu0")
          .label("loop")
          .inc(DATA)
          .jmp("loop")
          .label("cpu1")
          .label("spin")
          .inc(DATA + 8)
          .jmp("spin"),
      {
        cpus: 2,
        quantum: 5,
      },
    );
    for (let i = 0; i < 10; i++) assert.deepEqual(guest.machine.runCpu(1, 1), { kind: "limit" });
    assert.deepEqual([guest.read32(DATA), guest.read32(DATA + 8)], [0, 5]);
  });

  test("a held CPU stays where it is", () => {
    const guest = testGuest(
      (a) =>
        a
          .label("cpu0")
          .label("loop")
          .inc(DATA)
          .jmp("loop")
          .label("cpu1")
          .label("spin")
          .inc(DATA + 8)
          .jmp("spin"),
      {
        cpus: 2,
        quantum: 5,
      },
    );
    guest.machine.setHeld(0, true);
    guest.run(100);
    assert.deepEqual([guest.read32(DATA), guest.read32(DATA + 8)], [0, 50]);
  });

  test("a fault takes a step of its own and stands at the handler's first instruction", () => {
    const guest = testGuest((a) => a.label("cpu0").bytes(0x0f, 0x0b).label("vector6").exit());
    assert.deepEqual(guest.machine.runCpu(0, 1), { kind: "limit" });
    assert.equal(guest.machine.cpus[0].state.rip, guest.code.at("vector6"));
    assert.equal(guest.machine.instructions(), 0);
  });
});

describe("watchpoints", () => {
  test("tell of each access in the range, and the run stops after the instruction", () => {
    const guest = testGuest((a) => {
      a.label("cpu0")
        .storeByte(DATA - 1, 1)
        .label("store")
        .storeByte(DATA + 3, 1)
        .label("after")
        .load("rax", DATA)
        .load("rax", DATA + 4)
        .exit();
    });
    const seen: string[] = [];
    guest.machine.hooks = {
      watch: ({ cpu, address, size, write }) => {
        seen.push(`${cpu} ${address.toString(16)} ${size} ${write ? "write" : "read"} at ${guest.machine.currentAddress().toString(16)}`);
        guest.machine.requestStop();
      },
    };
    guest.machine.setWatches([{ id: 1, kind: "linear", address: BigInt(DATA), size: 4, read: true, write: true }]);
    assert.deepEqual(guest.run(100), { kind: "stop" });
    assert.equal(guest.machine.cpus[0].state.rip, guest.code.at("after"));
    assert.deepEqual(guest.run(100), { kind: "stop" });
    guest.machine.setWatches([]);
    guest.finish();
    assert.deepEqual(seen, [
      `0 8003 1 write at ${guest.code.at("store").toString(16)}`,
      `0 8000 4 read at ${guest.code.at("after").toString(16)}`,
    ]);
  });

  test("see string instructions iteration by iteration", () => {
    const guest = testGuest((a) => a.label("cpu0").mov("rdi", DATA).mov("rcx", 8).mov("rax", 1).repStosb().exit());
    const seen: bigint[] = [];
    guest.machine.hooks = { watch: ({ address }) => void seen.push(address) };
    guest.machine.setWatches([{ id: 1, kind: "linear", address: BigInt(DATA + 2), size: 3, read: false, write: true }]);
    guest.finish();
    assert.deepEqual(
      seen,
      [2, 3, 4].map((offset) => BigInt(DATA + offset)),
    );
  });

  test("see the read of a read-modify-write instruction", () => {
    const guest = testGuest((a) => a.label("cpu0").inc(DATA).exit());
    const seen: boolean[] = [];
    guest.machine.hooks = { watch: ({ write }) => void seen.push(write) };
    guest.machine.setWatches([{ id: 1, kind: "linear", address: BigInt(DATA), size: 4, read: true, write: false }]);
    guest.finish();
    assert.deepEqual(seen, [false]);
  });

  test("stop at the exact instruction in a long block, and the run goes on as if nothing had been", () => {
    const program = (configuration = {}): TestGuest =>
      testGuest((a) => {
        a.label("cpu0")
          .mov("rcx", 50)
          .label("loop")
          .nop(10)
          .inc(DATA)
          .nop(10)
          .inc(DATA + 8)
          .nop(5)
          .bytes(0xff, 0xc9)
          .jcc("nz", "loop")
          .exit();
      }, configuration);
    const plain = program();
    plain.finish();
    const watched = program();
    watched.machine.hooks = { watch: () => watched.machine.requestStop() };
    watched.machine.setWatches([{ id: 1, kind: "linear", address: BigInt(DATA), size: 4, read: false, write: true }]);
    let stops = 0;
    while (watched.run(1000).kind === "stop") stops++;
    assert.equal(stops, 50);
    assert.equal(watched.machine.stateHash(), plain.machine.stateHash());
  });
});

describe("stops from hooks", () => {
  test("an interrupt's delivery can be stopped at, before its handler runs", () => {
    const guest = testGuest((a) => {
      a.label("cpu0")
        .sti()
        .nop()
        .apicWrite(ICR_LOW, TO_SELF | 0x40)
        .nop()
        .exit();
      a.label("vector64").inc(DATA).iretq();
    });
    guest.machine.hooks = {
      interrupt: (event) => {
        if (event.stage === "deliver") guest.machine.requestStop();
      },
    };
    assert.deepEqual(guest.run(1000), { kind: "stop" });
    assert.equal(guest.read32(DATA), 0);
    assert.equal(guest.machine.cpus[0].state.rip, guest.code.at("vector64"));
    guest.finish();
  });
});
