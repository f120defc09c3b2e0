import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Board, Reg } from "./harness";

function entry(board: Board, pin: number, low: number, destination = 0): void {
  board.ioApic.writeRegister(0x11 + 2 * pin, destination << 24);
  board.ioApic.writeRegister(0x10 + 2 * pin, low);
}

const remoteIrr = 1 << 14;
const status = 1 << 12;

describe("registers", () => {
  test("IOREGSEL and IOWIN through memory", () => {
    const board = new Board();
    const access = (index: number): number => {
      board.context.write(0xfec00000, 4, BigInt(index), 0);
      return Number(board.context.read(0xfec00010, 4, 0));
    };
    assert.equal(access(1), 0x00170020);
    assert.equal(access(0), 0);
    assert.equal(access(2), 0);
    assert.equal(access(0x10), 0x10000);
    assert.equal(access(0x40), 0);
    board.context.write(0xfec00000, 1, 0n, 0);
    board.context.write(0xfec00010, 4, 0xffffffffn, 0);
    assert.equal(access(0), 0x0f000000);
    board.context.write(0xfec00000, 4, 0x10n, 0);
    board.context.write(0xfec00010, 4, 0xffffffffn, 0);
    assert.equal(access(0x10), 0x1afff);
    board.context.write(0xfec00010, 1, 0n, 0);
    assert.equal(access(0x10), 0x1afff);
    access(0x3f);
    board.context.write(0xfec00010, 4, 0xffffffffn, 0);
    assert.equal(access(0x3f), 0xff000000);
    assert.equal(board.context.read(0xfec00011, 1, 0), 0n);
    assert.equal(board.context.read(0xfec00013, 1, 0), 0xffn);
  });

  test("version 0x11 has no EOI register; the arbitration register follows the id", () => {
    const board = new Board({ ioApic: { version: 0x11, id: 2 } });
    assert.equal(board.ioApic.readRegister(1), 0x00170011);
    assert.equal(board.ioApic.readRegister(2), 0x02000000);
    entry(board, 4, 0x8044);
    board.ioApic.line(4)(true);
    board.context.write(0xfec00040, 4, 0x44n, 0);
    assert.notEqual(board.ioApic.readRegister(0x18) & remoteIrr, 0);
  });

  test("views decode the entries", () => {
    const board = new Board();
    entry(board, 2, 0xa931, 3);
    const view = board.ioApic.registers().find((item) => item.name === "IOREDTBL2");
    assert.equal(view?.value, 0x030000000000a931n);
    assert.equal(view?.text, "Lowest priority, vector 0x31, to logical 0x03, level, active low");
    assert.equal(board.ioApic.poke("IOREDTBL2", 0x0100000000010030n), true);
    assert.equal(board.ioApic.readRegister(0x14), 0x10030);
    assert.equal(board.ioApic.poke("IOREDTBL24", 0n), false);
  });
});

describe("edges", () => {
  test("each rising edge sends once", () => {
    const board = new Board();
    const line = board.ioApic.line(4, "uart0");
    entry(board, 4, 0x44, 1);
    line(true);
    line(true);
    assert.deepEqual(board.drain(1), [0x44]);
    line(false);
    assert.deepEqual(board.drain(1), []);
    line(true);
    assert.deepEqual(board.drain(1), [0x44]);
    const record = board.ledger.record(board.ledger.lastId);
    assert.deepEqual([record?.source, record?.src, record?.dst, record?.trigger], ["ioapic", -1, 1, "edge"]);
  });

  test("an edge while masked is lost and recorded, but not on a pin that was never set up", () => {
    const board = new Board();
    const line = board.ioApic.line(4);
    line(true);
    line(false);
    assert.deepEqual(board.seen(), []);
    entry(board, 4, 0x10044);
    line(true);
    assert.deepEqual(board.drops(), ["I/O APIC pin 4 masked"]);
    entry(board, 4, 0x44);
    assert.equal(board.cpus[0].intr, false);
  });

  test("all modes", () => {
    const board = new Board();
    board.bus.connectPic(() => 0x77);
    const line = board.ioApic.line(0);
    const pulse = (low: number): void => {
      entry(board, 0, low, 1);
      line(true);
      line(false);
    };
    pulse(0x0200);
    pulse(0x0400);
    assert.deepEqual([board.cpus[1].smis, board.cpus[1].nmis], [1, 1]);
    pulse(0x0700);
    assert.equal(board.apics[1].acknowledge(), 0x77);
    pulse(0x0100 | 0x55);
    assert.deepEqual(board.drain(1), [0x55]);
    pulse(0x0500);
    assert.equal(board.cpus[1].inits, 1);
    board.seen();
    pulse(0x0300);
    pulse(0x0600);
    assert.equal(board.drops().filter((reason) => reason.startsWith("delivery mode is reserved")).length, 2);
    // The trigger bit counts for vectors only.
    pulse(0x8400);
    assert.equal(board.cpus[1].nmis, 2);
    assert.equal(board.ioApic.readRegister(0x10) & remoteIrr, 0);
  });
});

describe("levels", () => {
  test("remote IRR from acceptance to EOI; sent again while still asserted", () => {
    const board = new Board();
    const line = board.ioApic.line(10, "nic");
    entry(board, 10, 0x8060, 1);
    line(true);
    assert.equal(board.ioApic.readRegister(0x24), 0xc060);
    assert.deepEqual(board.apics[1].levelVectors, [0x60]);
    assert.equal(board.apics[1].acknowledge(), 0x60);
    board.apics[1].eoi();
    assert.equal(board.cpus[1].intr, true);
    assert.equal(board.apics[1].acknowledge(), 0x60);
    line(false);
    board.apics[1].eoi();
    assert.equal(board.ioApic.readRegister(0x24), 0x8060);
    assert.equal(board.cpus[1].intr, false);
  });

  test("asserted while masked: sent on unmasking", () => {
    const board = new Board();
    entry(board, 10, 0x18060, 0);
    board.ioApic.line(10)(true);
    assert.equal(board.cpus[0].intr, false);
    entry(board, 10, 0x8060, 0);
    assert.equal(board.cpus[0].intr, true);
  });

  test("two sources on a pin are OR-ed, and the pin names them", () => {
    const board = new Board();
    const first = board.ioApic.line(11, "disk");
    const second = board.ioApic.line(11, "nic");
    entry(board, 11, 0x8061, 0);
    first(true);
    second(true);
    assert.deepEqual(board.ioApic.pins()[11].by, ["disk", "nic"]);
    assert.equal(board.apics[0].acknowledge(), 0x61);
    first(false);
    board.apics[0].eoi();
    assert.equal(board.apics[0].acknowledge(), 0x61);
    second(false);
    board.apics[0].eoi();
    assert.equal(board.cpus[0].intr, false);
  });

  test("EOI suppression leaves remote IRR to the EOI register", () => {
    const board = new Board();
    board.write(0, Reg.svr, 0x11ff);
    const line = board.ioApic.line(10);
    entry(board, 10, 0x8060, 0);
    line(true);
    board.apics[0].acknowledge();
    board.apics[0].eoi();
    assert.equal(board.cpus[0].intr, false);
    assert.notEqual(board.ioApic.readRegister(0x24) & remoteIrr, 0);
    line(false);
    board.context.write(0xfec00040, 4, 0x61n, 0);
    assert.notEqual(board.ioApic.readRegister(0x24) & remoteIrr, 0);
    board.context.write(0xfec00040, 4, 0x60n, 0);
    assert.equal(board.ioApic.readRegister(0x24) & remoteIrr, 0);
  });

  test("an EOI of an edge-triggered vector is not broadcast", () => {
    const board = new Board();
    entry(board, 10, 0x8060, 1);
    board.ioApic.line(10)(true);
    board.icr(0, 0x4060, 0);
    board.apics[0].acknowledge();
    board.apics[0].eoi();
    assert.notEqual(board.ioApic.readRegister(0x24) & remoteIrr, 0);
  });

  test("going through edge mode clears remote IRR", () => {
    const board = new Board();
    const line = board.ioApic.line(10);
    entry(board, 10, 0x8060, 1);
    line(true);
    line(false);
    entry(board, 10, 0x10060, 1);
    assert.equal(board.ioApic.readRegister(0x24), 0x10060);
  });

  test("not accepted: send pending, no remote IRR, tried again when the APIC is enabled", () => {
    const board = new Board();
    board.write(0, Reg.svr, 0xff);
    entry(board, 10, 0x8060, 0);
    board.seen();
    board.ioApic.line(10)(true);
    assert.deepEqual(board.drops(), ["local APIC software-disabled"]);
    assert.equal(board.ioApic.readRegister(0x24), 0x8060 | status);
    board.write(0, Reg.svr, 0x1ff);
    assert.equal(board.ioApic.readRegister(0x24), 0x8060 | remoteIrr);
    assert.deepEqual(board.apics[0].acknowledge(), 0x60);
  });

  test("nobody there: tried again when an id appears", () => {
    const board = new Board();
    entry(board, 10, 0x8060, 7);
    board.ioApic.line(10)(true);
    assert.deepEqual(board.drops(), ["no destination matched APIC id 7"]);
    board.write(1, Reg.id, 0x07000000);
    assert.deepEqual(board.drain(1).slice(0, 1), [0x60]);
  });
});

describe("polarity", () => {
  test("a pin wired high with an active-low entry is inverted, as on a real board", () => {
    const board = new Board({ ioApic: { polarity: Array.from({ length: 24 }, () => "high" as const) } });
    const line = board.ioApic.line(10);
    entry(board, 10, 0xa060, 0);
    assert.equal(board.apics[0].acknowledge(), 0x60);
    line(true);
    board.apics[0].eoi();
    assert.equal(board.cpus[0].intr, false);
  });

  test("a pin wired low agrees with an active-low entry", () => {
    const board = new Board({ ioApic: { polarity: Array.from({ length: 24 }, () => "low" as const) } });
    const line = board.ioApic.line(10);
    entry(board, 10, 0xa060, 0);
    assert.equal(board.cpus[0].intr, false);
    line(true);
    assert.equal(board.cpus[0].intr, true);
  });

  test("by default it follows the entry", () => {
    const board = new Board();
    const line = board.ioApic.line(10);
    entry(board, 10, 0xa060, 0);
    assert.equal(board.cpus[0].intr, false);
    line(true);
    assert.equal(board.cpus[0].intr, true);
  });
});
