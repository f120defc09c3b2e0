import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Board, Reg } from "./harness";

/** Indices of the CPUs that an ICR write of CPU 0 reaches with vector 0x40. */
function reached(board: Board, low: number, destination = 0): number[] {
  board.icr(0, 0x4040 | low, destination);
  return board.apics.map((_, index) => index).filter((index) => board.drain(index).length > 0);
}

describe("destinations", () => {
  test("physical: by id, which the guest may change; 0xff is everyone", () => {
    const board = new Board({ cpus: 4 });
    assert.deepEqual(reached(board, 0, 2), [2]);
    board.write(2, Reg.id, 0x09000000);
    assert.deepEqual(reached(board, 0, 2), []);
    assert.deepEqual(board.drops(), ["no destination matched APIC id 2"]);
    assert.deepEqual(reached(board, 0, 9), [2]);
    assert.deepEqual(reached(board, 0, 0xff), [0, 1, 2, 3]);
  });

  test("two APICs with one id both get it", () => {
    const board = new Board({ cpus: 3 });
    board.write(2, Reg.id, 0x01000000);
    assert.deepEqual(reached(board, 0, 1), [1, 2]);
  });

  test("logical flat: any common bit; 0xff is everyone, set up or not", () => {
    const board = new Board({ cpus: 4 });
    for (const cpu of [0, 1, 2]) board.write(cpu, Reg.ldr, 0x01000000 << cpu);
    assert.deepEqual(reached(board, 0x800, 0x06), [1, 2]);
    assert.deepEqual(reached(board, 0x800, 0x80), []);
    assert.deepEqual(board.drops(), ["no destination matched logical address 0x80"]);
    assert.deepEqual(reached(board, 0x800, 0xff), [0, 1, 2, 3]);
  });

  test("logical cluster: same cluster and a common bit", () => {
    const board = new Board({ cpus: 4 });
    for (const [cpu, ldr] of [0x11, 0x12, 0x21, 0x24].entries()) {
      board.write(cpu, Reg.dfr, 0x0fffffff);
      board.write(cpu, Reg.ldr, ldr << 24);
    }
    assert.deepEqual(reached(board, 0x800, 0x13), [0, 1]);
    assert.deepEqual(reached(board, 0x800, 0x24), [3]);
    assert.deepEqual(reached(board, 0x800, 0x2f), [2, 3]);
    assert.deepEqual(reached(board, 0x800, 0x3f), []);
    assert.deepEqual(reached(board, 0x800, 0xff), [0, 1, 2, 3]);
  });

  test("a reserved model in DFR matches nothing but broadcast", () => {
    const board = new Board({ cpus: 2 });
    board.write(1, Reg.ldr, 0x02000000);
    board.write(1, Reg.dfr, 0x50000000);
    assert.deepEqual(reached(board, 0x800, 0x02), []);
  });

  test("shorthands go by CPU, not by id", () => {
    const board = new Board({ cpus: 3 });
    board.write(0, Reg.id, 0x02000000);
    assert.deepEqual(reached(board, 0x40000), [0]);
    assert.deepEqual(reached(board, 0x80000), [0, 1, 2]);
    assert.deepEqual(reached(board, 0xc0000), [1, 2]);
    const alone = new Board({ cpus: 1 });
    assert.deepEqual(reached(alone, 0xc0000), []);
    assert.deepEqual(alone.drops(), ["there is no other CPU with its local APIC enabled"]);
  });

  test("a broadcast makes one record a target with one send id", () => {
    const board = new Board({ cpus: 3 });
    board.icr(0, 0x84040);
    const records = board.ledger.records();
    assert.deepEqual(
      records.map((record) => [record.sendId, record.src, record.dst, record.shorthand]),
      [
        [records[0].sendId, 0, 0, "all"],
        [records[0].sendId, 0, 1, "all"],
        [records[0].sendId, 0, 2, "all"],
      ],
    );
  });
});

describe("delivery modes", () => {
  test("NMI and SMI pass the priorities and have no vector", () => {
    const board = new Board();
    board.write(1, Reg.tpr, 0xff);
    board.icr(0, 0x4402, 1);
    board.icr(0, 0x4203, 1);
    assert.deepEqual([board.cpus[1].nmis, board.cpus[1].smis], [1, 1]);
    assert.deepEqual(board.seen(), ["send 0 0", "accept 1 0", "request 1 0", "send 0 0", "accept 1 0", "request 1 0"]);
    board.ledger.delivered(1, "nmi");
    assert.deepEqual(board.seen(), ["deliver 1 0"]);
    board.icr(0, 0x4400, 1);
    board.icr(0, 0x4400, 1);
    const [first, second] = board.ledger.records().slice(-2);
    assert.equal(second.coalescedInto, first.id);
  });

  test("INIT, then start-up; a second start-up is ignored", () => {
    const board = new Board();
    board.icr(0, 0xc500, 1);
    board.icr(0, 0x8500, 1);
    assert.equal(board.cpus[1].inits, 1);
    assert.deepEqual(board.drops(), ["INIT level de-assert: nothing is sent"]);
    board.ledger.delivered(1, "init");
    board.icr(0, 0x4699, 1);
    assert.equal(board.cpus[1].startPage, 0x99);
    assert.deepEqual(board.seen(), ["deliver 1 0", "send 0 99", "accept 1 99"]);
    board.ledger.delivered(1, "sipi");
    board.icr(0, 0x4699, 1);
    assert.deepEqual(board.drops(), ["SIPI ignored: CPU 1 is not in wait-for-SIPI"]);
  });

  test("an NMI that waits is lost by INIT", () => {
    const board = new Board();
    board.icr(0, 0x4400, 1);
    board.icr(0, 0x4500, 1);
    board.seen();
    board.ledger.delivered(1, "init");
    assert.deepEqual(board.drops(), ["lost by INIT of CPU 1"]);
    assert.equal(board.ledger.pendingLatch(1, "nmi"), 0);
  });

  test("the level flag means nothing but for INIT de-assert", () => {
    const board = new Board();
    board.icr(0, 0x0041, 1);
    assert.deepEqual(board.drain(1), [0x41]);
    board.icr(0, 0x0500, 1);
    assert.equal(board.cpus[1].inits, 1);
  });

  test("INIT works on an APIC that is software-disabled, and on the bootstrap processor", () => {
    const board = new Board({ raw: true });
    board.icr(1, 0x4500, 0);
    assert.equal(board.cpus[0].inits, 1);
  });

  test("a level-triggered IPI is sent as an edge", () => {
    const board = new Board();
    board.icr(0, 0xc041, 1);
    assert.equal(board.ledger.record(board.ledger.lastId)?.trigger, "edge");
    assert.deepEqual(board.apics[1].levelVectors, []);
  });

  test("combinations that the manual calls invalid send nothing", () => {
    const board = new Board({ cpus: 3 });
    for (const shorthand of [0x40000, 0x80000]) for (const mode of [1, 2, 4, 5, 6]) board.icr(0, shorthand | 0x4000 | (mode << 8) | 0x41);
    const names = ["lowpri", "smi", "nmi", "init", "sipi"];
    assert.deepEqual(
      board.drops(),
      ["self", "all"].flatMap((shorthand) => names.map((mode) => `delivery mode ${mode} is not valid with shorthand ${shorthand}`)),
    );
    board.icr(0, 0x4341, 1);
    board.icr(0, 0x4741, 1);
    assert.deepEqual(board.drops(), ["delivery mode 3 is reserved in ICR", "delivery mode 7 is reserved in ICR"]);
    assert.ok(board.cpus.every((cpu) => !cpu.intr && cpu.nmis + cpu.smis + cpu.inits === 0));
    for (const mode of [1, 2, 4, 5, 6]) board.icr(0, 0xc4000 | (mode << 8) | 0x41);
    assert.equal(board.cpus.filter((cpu) => cpu.nmis === 1 && cpu.smis === 1 && cpu.inits === 1).length, 2);
  });

  test("delivery status is always idle", () => {
    const board = new Board();
    board.icr(0, 0x5041, 1);
    assert.equal(board.read(0, Reg.icrLow), 0x4041);
  });

  test("remote read, where a model has it", () => {
    const board = new Board({ model: { remoteRead: true } });
    board.write(1, Reg.tpr, 0x77);
    board.icr(0, 0x4300 | Reg.tpr, 1);
    assert.equal(board.read(0, Reg.remoteRead), 0x77);
    assert.equal(board.read(0, Reg.icrLow) & 0x30000, 0x20000);
    board.icr(0, 0x4300 | Reg.tpr, 9);
    assert.equal(board.read(0, Reg.icrLow) & 0x30000, 0);
    assert.equal(new Board().read(0, Reg.remoteRead), 0);
  });
});

describe("lowest priority", () => {
  test("goes to the lowest PPR, counting what is in service", () => {
    const board = new Board({ cpus: 3 });
    board.write(0, Reg.tpr, 0x20);
    board.write(1, Reg.tpr, 0x10);
    board.icr(0, 0x4050, 2);
    board.apics[2].acknowledge();
    assert.deepEqual(reached(board, 0x900, 0xff), [1]);
    board.apics[2].eoi();
    assert.deepEqual(reached(board, 0x900, 0xff), [2]);
  });

  test("takes turns among equals: the highest first, the winner becomes the lowest", () => {
    const board = new Board({ cpus: 4 });
    const winners = Array.from({ length: 8 }, () => reached(board, 0x900, 0xff)[0]);
    assert.deepEqual(winners, [3, 2, 1, 0, 3, 2, 1, 0]);
  });

  test("passes over software-disabled APICs while another can take it", () => {
    const board = new Board({ cpus: 2 });
    board.write(1, Reg.svr, 0xff);
    assert.deepEqual(reached(board, 0x900, 0xff), [0]);
    assert.deepEqual(reached(board, 0x900, 0xff), [0]);
    board.write(0, Reg.svr, 0xff);
    assert.deepEqual(reached(board, 0x900, 0xff), []);
    assert.deepEqual(board.drops(), ["local APIC software-disabled"]);
  });

  test("with the shorthand for all others", () => {
    const board = new Board({ cpus: 3 });
    board.write(2, Reg.tpr, 0x10);
    assert.deepEqual(reached(board, 0xc0100), [1]);
  });

  test("where it cannot be sent, trying to is a redirectable-IPI error", () => {
    const board = new Board({ model: { lowestPriorityIpi: false } });
    assert.deepEqual(reached(board, 0x900, 0xff), []);
    board.write(0, Reg.esr, 0);
    assert.equal(board.read(0, Reg.esr), 0x10);
    board.icr(0, 0x4901, 0xff);
    board.write(0, Reg.esr, 0);
    assert.equal(board.read(0, Reg.esr), 0x10);
  });
});

describe("debugger injection", () => {
  test("any mode, to a CPU, an id or all, with its own source", () => {
    const board = new Board({ cpus: 3 });
    assert.equal(board.bus.inject({ mode: "fixed", vector: 0x66, cpu: 2 }), 1);
    assert.equal(board.ledger.record(board.ledger.lastId)?.source, "debugger");
    assert.deepEqual(board.drain(2), [0x66]);
    assert.equal(board.bus.inject({ mode: "nmi", shorthand: "all" }), 3);
    assert.equal(board.bus.inject({ mode: "smi", destination: 1 }), 1);
    assert.equal(board.cpus[1].smis, 1);
    assert.equal(board.bus.inject({ mode: "init", cpu: 1 }), 1);
    assert.equal(board.bus.inject({ mode: "sipi", vector: 8, cpu: 1 }), 1);
    assert.equal(board.cpus[1].startPage, 8);
    board.bus.connectPic(() => 0x31);
    assert.equal(board.bus.inject({ mode: "extint", cpu: 0 }), 1);
    assert.equal(board.apics[0].acknowledge(), 0x31);
    board.seen();
    assert.equal(board.bus.inject({ mode: "fixed", vector: 0x66, cpu: 7 }), 0);
    assert.deepEqual(board.drops(), ["there is no CPU 7"]);
  });
});
