import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { HPET_BASE } from "../../src/devices/board";
import { Hpet } from "../../src/devices/hpet";
import { IrqFabric } from "../../src/devices/irqFabric";
import { TestBoard } from "./testBoard";

interface Rig {
  board: TestBoard;
  hpet: Hpet;
  log: string[];
  readonly read: (offset: number, size?: 4 | 8) => bigint;
  readonly write: (offset: number, value: bigint, size?: 4 | 8) => void;
}

function rig(): Rig {
  const board = new TestBoard();
  const log: string[] = [];
  const fabric = new IrqFabric(24, (line, level) => log.push(`${board.time} irq ${line} ${level}`));
  const hpet = new Hpet(board.context, { source: (line) => fabric.source(line) });
  hpet.reset();
  return {
    board,
    hpet,
    log,
    read: (offset, size = 8) => board.mmio.read(HPET_BASE + offset, size, 0),
    write: (offset, value, size = 8) => board.mmio.write(HPET_BASE + offset, size, value, 0),
  };
}

const GENERAL = 0x10;
const STATUS = 0x20;
const COUNTER = 0xf0;
const timer = (index: number): { conf: number; compare: number; fsb: number } => ({
  conf: 0x100 + 0x20 * index,
  compare: 0x108 + 0x20 * index,
  fsb: 0x110 + 0x20 * index,
});
const LEVEL = 2n;
const ENABLE = 4n;
const PERIODIC = 8n;
const SET = 0x40n;
const MODE32 = 0x100n;
const FSB = 0x4000n;
const to = (pin: number): bigint => BigInt(pin) << 9n;

describe("HPET", () => {
  test("says what it is: 100 MHz, three 64-bit timers, legacy replacement", () => {
    const { read } = rig();
    assert.equal(read(0), 0x00989680_8086a201n);
    assert.equal(read(4, 4), 10_000_000n, "femtoseconds a count");
    assert.equal(read(0x100), 0x00f00000_00008030n, "pins 20 to 23, messages, 64 bits, periodic");
    assert.equal(read(0x160), 0n, "no fourth timer");
  });

  test("the counter runs while enabled, is set while halted, and is read in halves", () => {
    const { board, read, write } = rig();
    board.run(1000);
    assert.equal(read(COUNTER), 0n);
    write(COUNTER, 0xffff_fff0n);
    write(GENERAL, 1n);
    board.run(159);
    assert.equal(read(COUNTER), 0xffff_ffffn);
    board.run(1);
    assert.equal(read(COUNTER, 4), 0n);
    assert.equal(read(COUNTER + 4, 4), 1n);
    write(GENERAL, 0n);
    board.run(1000);
    assert.equal(read(COUNTER), 0x1_0000_0000n);
  });

  test("one-shot, edge: once at the comparator", () => {
    const { board, log, write } = rig();
    write(timer(2).conf, ENABLE | to(21));
    write(timer(2).compare, 100n);
    write(GENERAL, 1n);
    board.run(5000);
    assert.deepEqual(log, ["1000 irq 21 true"]);
    write(timer(2).compare, 600n);
    board.run(5000);
    assert.deepEqual(log.slice(1), ["6000 irq 21 false", "6000 irq 21 true"], "each interrupt is an edge of its own");
    write(timer(2).conf, to(21));
    assert.deepEqual(log.slice(3), ["10000 irq 21 false"]);
  });

  test("level: the line stays until the status bit is written", () => {
    const { board, log, read, write } = rig();
    write(timer(1).conf, LEVEL | ENABLE | to(22));
    write(timer(1).compare, 10n);
    write(GENERAL, 1n);
    board.run(200);
    assert.equal(read(STATUS), 2n);
    write(STATUS, 5n);
    assert.equal(read(STATUS), 2n);
    write(STATUS, 2n);
    assert.deepEqual(log, ["100 irq 22 true", "200 irq 22 false"]);
  });

  test("periodic: the first match set apart from the period, as drivers do", () => {
    const { board, log, read, write } = rig();
    write(GENERAL, 1n);
    write(timer(0).conf, ENABLE | PERIODIC | SET | MODE32 | to(20));
    write(timer(0).compare, 50n, 4);
    assert.equal(read(timer(0).conf) & SET, 0n, "clears itself");
    write(timer(0).compare, 20n, 4);
    board.run(1100);
    assert.deepEqual(
      log.filter((line) => line.endsWith("true")).map((line) => line.split(" ")[0]),
      ["500", "700", "900", "1100"],
    );
    assert.equal(read(timer(0).compare), 130n);
  });

  test("32-bit timers match again when the low half comes round", () => {
    const { board, log, write } = rig();
    write(COUNTER, 0xffff_ff00n);
    write(timer(2).conf, ENABLE | MODE32 | to(23));
    write(timer(2).compare, 0x10n);
    write(GENERAL, 1n);
    board.run(0x110 * 10);
    assert.deepEqual(log, ["2720 irq 23 true"]);
  });

  test("legacy replacement drives IRQ 0 and 8 and holds the 8254 and the clock back", () => {
    const { board, hpet, log, write } = rig();
    hpet.pitLine(true);
    hpet.rtcLine(true);
    write(timer(0).conf, ENABLE);
    write(timer(1).conf, ENABLE);
    write(timer(0).compare, 10n);
    write(timer(1).compare, 20n);
    write(GENERAL, 3n);
    hpet.pitLine(false);
    hpet.pitLine(true);
    board.run(300);
    write(GENERAL, 0n);
    assert.deepEqual(log.splice(0), ["0 irq 0 true", "0 irq 8 true", "0 irq 0 false", "0 irq 8 false", "100 irq 0 true", "200 irq 8 true"]);
    hpet.pitLine(false);
    hpet.rtcLine(false);
    assert.deepEqual(log, ["300 irq 0 false", "300 irq 8 false"], "the others have the lines again");
  });

  test("messages", () => {
    const { board, log, write } = rig();
    write(timer(0).fsb, 0xfee0_1000_0000_0041n);
    write(timer(0).conf, ENABLE | FSB | to(20));
    write(timer(0).compare, 5n);
    write(GENERAL, 1n);
    board.run(100);
    assert.deepEqual(board.memory.messages, [{ address: 0xfee01000, value: 0x41 }]);
    assert.deepEqual(log, []);
  });

  test("routes that a timer cannot take are not kept", () => {
    const { read, write } = rig();
    write(timer(0).conf, to(21));
    write(timer(0).conf, to(5));
    assert.equal((read(timer(0).conf) >> 9n) & 31n, 21n);
  });
});
