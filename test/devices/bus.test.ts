import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { MmioHandler, PortHandler } from "../../src/devices/device";
import { IrqFabric } from "../../src/devices/irqFabric";
import { Oscillator } from "../../src/devices/oscillator";
import { fingerprint, TestBoard } from "./testBoard";

function recorder(log: string[], name: string, answer = 0): PortHandler {
  return {
    read(port, size) {
      log.push(`${name} r${size} ${port.toString(16)}`);
      return answer;
    },
    write(port, size, value) {
      log.push(`${name} w${size} ${port.toString(16)}=${value.toString(16)}`);
    },
  };
}

describe("PortSpace", () => {
  test("reads ones where nobody answers and loses writes", () => {
    const board = new TestBoard();
    assert.equal(board.in(0x1234), 0xff);
    assert.equal(board.in(0x1234, 2), 0xffff);
    assert.equal(board.in(0xfffe, 4), 0xffffffff);
    board.out(0xffff, 0x12345678, 4);
  });

  test("splits what is wider than a range, and lets a later claim carve a port out of a wider one", () => {
    const board = new TestBoard();
    const log: string[] = [];
    board.ports.map("wide", 0xcf8, 4, recorder(log, "wide", 0x80001234));
    board.ports.map("narrow", 0xcf9, 1, recorder(log, "narrow", 0x06));
    assert.equal(board.in(0xcf8, 4), 0x80001234);
    assert.equal(board.in(0xcf9), 0x06);
    board.out(0xcf8, 0xdeadbeef, 4);
    board.out(0xcf9, 0xaabb, 2);
    assert.deepEqual(log, ["wide r4 cf8", "narrow r1 cf9", "wide w4 cf8=deadbeef", "narrow w1 cf9=bb", "wide w1 cfa=aa"]);
    assert.equal(board.in(0xcfb, 2), 0xff34 & 0xffff);
  });

  test("moves and disables ranges", () => {
    const board = new TestBoard();
    const region = board.ports.map("io", 0xc000, 8, recorder([], "io", 0x55));
    board.ports.map("under", 0xc800, 8, recorder([], "under", 0x66));
    region.move(0xc800);
    assert.equal(board.in(0xc000), 0xff);
    assert.equal(board.in(0xc800), 0x66, "the later claim stays on top");
    region.move(0xc900);
    assert.equal(board.in(0xc900), 0x55);
    region.setEnabled(false);
    assert.equal(board.in(0xc900), 0xff);
    assert.equal(board.ports.nameAt(0xc800), "under");
  });
});

describe("MmioSpace", () => {
  const constant = (value: bigint): MmioHandler => ({ read: () => value, write: () => undefined });

  test("higher priority answers, then the later; regions move; accesses over an edge are split", () => {
    const board = new TestBoard();
    const before = board.mmio.generation;
    board.mmio.map("low", 0x1000, 0x1000, constant(0x1111111111111111n));
    const high = board.mmio.map("high", 0x1800, 0x100, constant(0x2222222222222222n), 1);
    board.mmio.map("later", 0x1400, 0x800, constant(0x3333333333333333n));
    assert.equal(board.mmio.generation - before, 3);
    assert.equal(board.mmio.find(0x13ff)?.name, "low");
    assert.equal(board.mmio.find(0x1400)?.name, "later");
    assert.equal(board.mmio.find(0x1800)?.name, "high");
    assert.equal(board.mmio.read(0x17fe, 4, 0), 0x22223333n);
    assert.equal(board.mmio.read(0x1ffe, 4, 0), 0xffff1111n);
    assert.equal(board.mmio.read(0x9000, 8, 0), 0xffffffffffffffffn);
    high.move(0xfee00000);
    assert.equal(board.mmio.find(0xfee00010)?.name, "high");
    assert.equal(board.mmio.find(0x1800)?.name, "later");
    high.setEnabled(false);
    assert.equal(board.mmio.find(0xfee00010), undefined);
    assert.ok(board.mmio.overlaps(0xf00, 0x200));
    assert.ok(!board.mmio.overlaps(0x0, 0x1000));
    assert.ok(!board.mmio.overlaps(0x2000, 0x1000));
  });
});

describe("VirtualClock", () => {
  test("runs timers by deadline, then creation", () => {
    const board = new TestBoard();
    const log: string[] = [];
    const timers = ["a", "b", "c"].map((name) => board.clock.createTimer(name, () => log.push(`${name}@${board.time}`)));
    timers[2].arm(50);
    timers[1].arm(100);
    timers[0].arm(100);
    assert.equal(board.clock.nextDeadline(), 50);
    timers[2].arm(10);
    assert.deepEqual(
      board.clock.armed().map((timer) => timer.name),
      ["c", "a", "b"],
    );
    board.runTo(200);
    assert.deepEqual(log, ["c@10", "a@100", "b@100"]);
    assert.equal(board.clock.nextDeadline(), Infinity);
  });

  test("a timer that arms itself in the past waits for the next boundary", () => {
    const board = new TestBoard();
    let fired = 0;
    const timer = board.clock.createTimer("self", () => {
      fired++;
      timer.arm(0);
    });
    timer.arm(5);
    board.time = 10;
    board.clock.runDue(10);
    assert.equal(fired, 1);
    board.clock.runDue(11);
    assert.equal(fired, 2);
    timer.disarm();
    board.clock.runDue(12);
    assert.equal(fired, 2);
  });
});

describe("Oscillator", () => {
  test("ticks and times are inverse to the pulse, also after a hundred days", () => {
    for (const hz of [1_193_182, 3_579_545, 32_768]) {
      const crystal = new Oscillator(hz);
      for (const tick of [0, 1, 2, hz - 1, hz, hz + 1, hz * 1000 + 17, hz * 8_640_000 + 12_345]) {
        const time = crystal.timeOf(tick);
        assert.equal(crystal.ticksAt(time), tick);
        if (tick > 0) assert.equal(crystal.ticksAt(time - 1), tick - 1);
        assert.equal(BigInt(time), (BigInt(tick) * 1_000_000_000n + BigInt(hz) - 1n) / BigInt(hz));
      }
    }
  });
});

describe("IrqFabric", () => {
  test("a line is high while any source holds it, through save and restore", () => {
    const build = (log: string[]): { fabric: IrqFabric; one: (level: boolean) => void; two: (level: boolean) => void } => {
      const fabric = new IrqFabric(24, (line, level) => log.push(`${line}=${level}`));
      return { fabric, one: fabric.source(4), two: fabric.source(4) };
    };
    const log: string[] = [];
    const first = build(log);
    first.one(true);
    first.one(true);
    first.two(true);
    first.one(false);
    assert.deepEqual(log, ["4=true"]);
    assert.ok(first.fabric.level(4));
    const later: string[] = [];
    const second = build(later);
    second.fabric.restore(first.fabric.save());
    assert.equal(fingerprint(second.fabric.save()), fingerprint(first.fabric.save()));
    second.one(false);
    second.two(false);
    assert.deepEqual(later, ["4=false"]);
  });
});
