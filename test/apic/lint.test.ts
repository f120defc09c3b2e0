import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { explainExternal } from "../../src/apic/explain";
import { Board } from "./harness";

const lint0 = 0x35;
const lint1 = 0x36;

describe("LINT pins", () => {
  test("fixed, edge: one interrupt an edge, lost while masked", () => {
    const board = new Board({ cpus: 1 });
    const apic = board.apics[0];
    board.write(0, lint1, 0x41);
    apic.setLint(1, true);
    apic.setLint(1, true);
    assert.deepEqual(board.drain(0), [0x41]);
    apic.setLint(1, false);
    assert.deepEqual(board.drain(0), []);
    board.write(0, lint1, 0x10041);
    board.seen();
    apic.setLint(1, true);
    assert.deepEqual(board.drops(), ["LVT LINT1 masked"]);
    board.write(0, lint1, 0x41);
    assert.deepEqual(board.drain(0), []);
  });

  test("fixed, level on LINT0: remote IRR, again after EOI while asserted, seen on unmasking", () => {
    const board = new Board({ cpus: 1 });
    const apic = board.apics[0];
    apic.setLint(0, true);
    board.write(0, lint0, 0x18042);
    assert.equal(board.cpus[0].intr, false);
    board.write(0, lint0, 0x8042);
    assert.equal(board.read(0, lint0), 0xc042);
    assert.deepEqual(apic.levelVectors, [0x42]);
    assert.equal(apic.acknowledge(), 0x42);
    assert.equal(board.cpus[0].intr, false);
    apic.eoi();
    assert.equal(board.read(0, lint0), 0xc042);
    assert.equal(apic.acknowledge(), 0x42);
    apic.setLint(0, false);
    apic.eoi();
    assert.equal(board.read(0, lint0), 0x8042);
    assert.deepEqual(board.drain(0), []);
    // Remote IRR is read-only, and gone with the trigger mode.
    apic.setLint(0, true);
    board.write(0, lint0, 0x0042);
    assert.equal(board.read(0, lint0), 0x0042);
  });

  test("an active-low pin is asserted when low", () => {
    const board = new Board({ cpus: 1 });
    board.apics[0].setLint(0, true);
    board.write(0, lint0, 0xa042);
    assert.deepEqual(board.drain(0), []);
    board.apics[0].setLint(0, false);
    assert.equal(board.apics[0].acknowledge(), 0x42);
  });

  test("LINT1 is never level-triggered", () => {
    const board = new Board({ cpus: 1 });
    board.write(0, lint1, 0x8042);
    board.apics[0].setLint(1, true);
    assert.deepEqual(board.drain(0), [0x42]);
    assert.equal(board.read(0, lint1), 0x8042);
  });

  test("NMI, SMI and INIT by edge, whatever the trigger bit", () => {
    const board = new Board({ cpus: 1 });
    board.write(0, lint1, 0x8400);
    board.apics[0].setLint(1, true);
    board.write(0, lint0, 0x8200);
    board.apics[0].setLint(0, true);
    assert.deepEqual([board.cpus[0].nmis, board.cpus[0].smis], [1, 1]);
    board.apics[0].setLint(0, false);
    board.write(0, lint0, 0x0500);
    board.apics[0].setLint(0, true);
    assert.equal(board.cpus[0].inits, 1);
    assert.equal(board.read(0, lint0), 0x10000);
  });

  test("reserved delivery modes deliver nothing", () => {
    const board = new Board({ cpus: 1 });
    for (const mode of [1, 3, 6]) {
      board.write(0, lint0, (mode << 8) | 0x42);
      board.apics[0].setLint(0, true);
      board.apics[0].setLint(0, false);
    }
    board.write(0, 0x34, 0x742);
    board.apics[0].raiseLocal("pmc");
    assert.equal(board.drops().length, 4);
    assert.equal(board.cpus[0].intr, false);
  });
});

describe("the 8259 through LINT0", () => {
  test("ExtINT is a level that names its vector when acknowledged and passes the priorities", () => {
    const board = new Board({ cpus: 1 });
    const apic = board.apics[0];
    apic.setVirtualWire();
    assert.equal(board.read(0, lint0), 0x700);
    board.bus.connectPic(() => {
      apic.setLint(0, false);
      return 0x08;
    });
    apic.cr8 = 15;
    apic.setLint(0, true);
    assert.equal(board.cpus[0].intr, true);
    assert.equal(apic.acknowledge(), 0x08);
    assert.equal(board.cpus[0].intr, false);
    assert.deepEqual(apic.inServiceVectors, []);
    const record = board.ledger.record(board.ledger.lastId);
    assert.deepEqual([record?.source, record?.mode, record?.vector], ["pic", "extint", 8]);
    assert.deepEqual(
      record?.stages.map((stamp) => stamp.stage),
      ["send", "accept", "request", "deliver"],
    );
  });

  test("an output that stays high is the next request", () => {
    const board = new Board({ cpus: 1 });
    const apic = board.apics[0];
    apic.setVirtualWire();
    board.bus.connectPic(() => 0x20);
    apic.setLint(0, true);
    assert.equal(apic.acknowledge(), 0x20);
    assert.equal(board.cpus[0].intr, true);
    assert.equal(board.ledger.lastId, 2);
  });

  test("a request withdrawn is a drop", () => {
    const board = new Board({ cpus: 1 });
    const apic = board.apics[0];
    apic.setVirtualWire();
    apic.setLint(0, true);
    apic.setLint(0, false);
    assert.equal(board.cpus[0].intr, false);
    assert.deepEqual(board.drops(), ["the 8259 withdrew its request before the CPU took it"]);
  });

  test("comes before the APIC's own vectors", () => {
    const board = new Board({ cpus: 1 });
    const apic = board.apics[0];
    apic.setVirtualWire();
    board.bus.connectPic(() => {
      apic.setLint(0, false);
      return 0x30;
    });
    board.icr(0, 0x440f0);
    apic.setLint(0, true);
    assert.equal(apic.acknowledge(), 0x30);
    assert.equal(apic.acknowledge(), 0xf0);
  });

  test("masking LINT0 hides it, and the explanation says so", () => {
    const board = new Board({ cpus: 1 });
    const apic = board.apics[0];
    apic.setVirtualWire();
    apic.setLint(0, true);
    board.write(0, lint0, 0x10700);
    assert.equal(board.cpus[0].intr, false);
    assert.match(explainExternal(apic), /LINT0 is masked/);
    board.write(0, lint0, 0x700);
    assert.equal(board.cpus[0].intr, true);
  });
});

describe("local events", () => {
  test("CMCI, thermal and performance counter by their LVTs; the last masks itself", () => {
    const board = new Board({ cpus: 1 });
    board.write(0, 0x2f, 0x51);
    board.write(0, 0x33, 0x52);
    board.write(0, 0x34, 0x400);
    for (const event of ["cmci", "thermal", "pmc"] as const) board.apics[0].raiseLocal(event);
    assert.deepEqual(board.drain(0), [0x52, 0x51]);
    assert.equal(board.cpus[0].nmis, 1);
    assert.equal(board.read(0, 0x34), 0x10400);
    board.seen();
    board.apics[0].raiseLocal("pmc");
    assert.deepEqual(board.drops(), ["LVT PMC masked"]);
    assert.deepEqual(
      board.ledger.records().map((record) => record.source),
      ["cmci", "thermal", "pmc", "pmc"],
    );
  });
});
