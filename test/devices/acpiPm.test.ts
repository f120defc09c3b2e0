import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { AcpiPm, PM_TIMER_HZ } from "../../src/devices/acpiPm";
import { Oscillator } from "../../src/devices/oscillator";
import { type Bench, continuation, type Exercise, fuzz, Probe, TestBoard } from "./testBoard";

function rig(): { board: TestBoard; pm: AcpiPm; sci: Probe; offs: number[] } {
  const board = new TestBoard();
  const sci = new Probe();
  const offs: number[] = [];
  const pm = new AcpiPm(board.context, { sci: sci.line, powerOff: () => offs.push(board.time) });
  pm.reset();
  return { board, pm, sci, offs };
}

describe("ACPI fixed hardware", () => {
  test("the PM timer counts 3.579545 MHz exactly and wraps at 32 bits", () => {
    const { board } = rig();
    board.time = 1_000_000_000;
    assert.equal(board.in(0x608, 4), PM_TIMER_HZ);
    assert.equal(board.in(0x609), (PM_TIMER_HZ >> 8) & 0xff);
    board.time = new Oscillator(PM_TIMER_HZ).timeOf(2 ** 32 + 5);
    assert.equal(board.in(0x608, 4), 5);
    board.out(0x608, 0, 4);
    assert.equal(board.in(0x608, 4), 5);
  });

  test("S5 powers off, other sleep types do not", () => {
    const { board, offs } = rig();
    board.out(0x604, 0x2000 | (3 << 10), 2);
    assert.deepEqual(offs, []);
    assert.equal(board.in(0x604, 2), 3 << 10);
    board.out(0x604, 0x2000, 2);
    assert.equal(offs.length, 1);
    board.out(0x605, 0x20);
    assert.equal(offs.length, 2);
  });

  test("the SMI command port switches ACPI mode", () => {
    const { board } = rig();
    board.out(0x604, 0x0001, 2);
    assert.equal(board.in(0x604, 2), 0, "SCI_EN is not the guest's to write");
    board.out(0xb2, 0xf1);
    assert.equal(board.in(0x604, 2), 1);
    board.out(0xb3, 0x5a);
    assert.equal(board.in(0xb2, 2), 0x5af1);
    board.out(0xb2, 0xf0);
    assert.equal(board.in(0x604, 2), 0);
  });

  test("power button and GPE raise the SCI in ACPI mode until their status is cleared", () => {
    const { board, pm, sci } = rig();
    board.out(0x602, 0x0100, 2);
    pm.pressPowerButton();
    assert.ok(!sci.level, "legacy mode");
    board.out(0xb2, 0xf1);
    assert.ok(sci.level);
    board.out(0x600, 0x0001, 2);
    assert.ok(sci.level);
    board.out(0x600, 0x0100, 2);
    assert.ok(!sci.level);
    pm.raiseGpe(4);
    assert.ok(!sci.level);
    board.out(0x622, 0x10);
    assert.ok(sci.level);
    assert.equal(board.in(0x620, 4), 0x00100010);
    board.out(0x620, 0x10);
    assert.ok(!sci.level);
  });

  test("timer status is set when the highest bit changes, with an SCI at that very time", () => {
    const { board, sci } = rig();
    board.out(0xb2, 0xf1);
    board.out(0x602, 0x0001, 2);
    const carry = new Oscillator(PM_TIMER_HZ).timeOf(2 ** 31);
    board.runTo(carry - 1);
    assert.ok(!sci.level);
    assert.equal(board.in(0x600, 2), 0);
    board.runTo(carry);
    assert.ok(sci.level);
    board.out(0x600, 0x0001, 2);
    assert.ok(!sci.level);
    board.runTo(new Oscillator(PM_TIMER_HZ).timeOf(2 ** 32));
    assert.equal(sci.rises, 2);
  });
});

const exercise: Exercise = {
  ports: [
    [0x600, 12],
    [0x620, 4],
    [0xb2, 2],
  ],
  pause: 2_000_000_000,
  other: (bench, random) => {
    const pm = bench.device as AcpiPm;
    if (random(2)) pm.pressPowerButton();
    else pm.raiseGpe(random(16));
  },
};

function bench(): Bench {
  const board = new TestBoard();
  const log: string[] = [];
  const device = new AcpiPm(board.context, {
    sci: (level) => log.push(`sci ${level} ${board.time}`),
    powerOff: () => log.push("off"),
  });
  return { board, log, device };
}

test("ACPI: random use", () => fuzz(bench, { ...exercise, pause: 200_000_000 }, 600));
test("ACPI: save and restore continue", () => continuation(bench, exercise, 600));
