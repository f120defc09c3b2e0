import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Pic } from "../../src/devices/pic";
import { type Bench, continuation, type Exercise, fuzz, Probe, TestBoard } from "./testBoard";

interface Rig {
  board: TestBoard;
  pic: Pic;
  intr: Probe;
}

function rig(icw4 = 0x01): Rig {
  const board = new TestBoard();
  const intr = new Probe();
  const pic = new Pic(board.context, { intr: intr.line });
  pic.reset();
  for (const [port, value] of [
    [0x20, 0x11],
    [0x21, 0x20],
    [0x21, 0x04],
    [0x21, icw4],
    [0xa0, 0x11],
    [0xa1, 0x28],
    [0xa1, 0x02],
    [0xa1, 0x01],
  ]) {
    board.out(port, value);
  }
  return { board, pic, intr };
}

function isr({ board }: Rig, port = 0x20): number {
  board.out(port, 0x0b);
  const value = board.in(port);
  board.out(port, 0x0a);
  return value;
}

describe("8259 pair", () => {
  test("an edge requests, is acknowledged with its vector and ended by EOI", () => {
    const it = rig();
    it.pic.setIrq(0, true);
    assert.ok(it.intr.level);
    assert.equal(it.pic.pendingVector(), 0x20);
    assert.equal(it.pic.acknowledge(), 0x20);
    assert.ok(!it.intr.level);
    assert.equal(isr(it), 0x01);
    it.board.out(0x20, 0x20);
    assert.equal(isr(it), 0);
    assert.ok(!it.intr.level, "still high, but no new edge");
    it.pic.setIrq(0, false);
    it.pic.setIrq(0, true);
    assert.ok(it.intr.level);
  });

  test("lower levels wait for the EOI of higher ones; higher ones interrupt lower ones", () => {
    const it = rig();
    it.pic.setIrq(4, true);
    assert.equal(it.pic.acknowledge(), 0x24);
    it.pic.setIrq(5, true);
    assert.ok(!it.intr.level);
    it.pic.setIrq(1, true);
    assert.equal(it.pic.acknowledge(), 0x21);
    assert.equal(isr(it), 0x12);
    it.board.out(0x20, 0x20);
    assert.equal(isr(it), 0x10, "non-specific EOI ends the highest");
    it.board.out(0x20, 0x64);
    assert.equal(it.pic.acknowledge(), 0x25);
  });

  test("the slave's requests arrive through the cascade", () => {
    const it = rig();
    it.pic.setIrq(9, true);
    assert.equal(it.pic.pendingIrq(), 9);
    assert.equal(it.pic.acknowledge(), 0x29);
    assert.equal(isr(it), 0x04);
    assert.equal(isr(it, 0xa0), 0x02);
    it.pic.setIrq(8, true);
    assert.ok(!it.intr.level, "without special fully nested mode the cascade level is in service");
    it.board.out(0xa0, 0x20);
    it.board.out(0x20, 0x20);
    assert.equal(it.pic.acknowledge(), 0x28);
  });

  test("special fully nested mode lets a higher slave request through", () => {
    const it = rig(0x11);
    it.pic.setIrq(12, true);
    assert.equal(it.pic.acknowledge(), 0x2c);
    it.pic.setIrq(8, true);
    assert.ok(it.intr.level);
    assert.equal(it.pic.acknowledge(), 0x28);
  });

  test("a request that drops before the acknowledge gives the spurious vector and nothing in service", () => {
    const it = rig();
    it.pic.setIrq(3, true);
    it.pic.setIrq(3, false);
    assert.ok(!it.intr.level);
    assert.equal(it.pic.acknowledge(), 0x27);
    assert.equal(isr(it), 0);
    it.board.out(0xa1, 0xff);
    it.pic.setIrq(10, true);
    assert.equal(it.pic.pendingVector(), undefined);
  });

  test("masks hold back, and an edge held while masked is seen when unmasked", () => {
    const it = rig();
    it.board.out(0x21, 0xff);
    it.pic.setIrq(6, true);
    assert.ok(!it.intr.level);
    assert.equal(it.board.in(0x20), 0x40);
    it.board.out(0x21, 0xbf);
    assert.equal(it.board.in(0x21), 0xbf);
    assert.ok(it.intr.level);
  });

  test("level-triggered inputs request again after EOI while high; system lines cannot be level-triggered", () => {
    const it = rig();
    it.board.out(0x4d0, 0xff);
    it.board.out(0x4d1, 0xff);
    assert.equal(it.board.in(0x4d0), 0xf8);
    assert.equal(it.board.in(0x4d1), 0xde);
    it.pic.setIrq(11, true);
    assert.equal(it.pic.acknowledge(), 0x2b);
    it.board.out(0xa0, 0x20);
    it.board.out(0x20, 0x20);
    assert.ok(it.intr.level);
    it.pic.setIrq(11, false);
    assert.ok(!it.intr.level);
  });

  test("automatic EOI leaves nothing in service and can rotate", () => {
    const it = rig(0x03);
    it.board.out(0x20, 0x80);
    it.pic.setIrq(3, true);
    it.pic.setIrq(4, true);
    assert.equal(it.pic.acknowledge(), 0x23);
    assert.equal(isr(it), 0);
    it.pic.setIrq(3, false);
    it.pic.setIrq(3, true);
    assert.equal(it.pic.acknowledge(), 0x24, "input 3 became the lowest");
  });

  test("rotation and set priority move the lowest level", () => {
    const it = rig();
    it.board.out(0x20, 0xc3);
    it.pic.setIrq(3, true);
    it.pic.setIrq(4, true);
    it.pic.setIrq(0, true);
    assert.equal(it.pic.acknowledge(), 0x24);
    it.board.out(0x20, 0xa0);
    it.pic.setIrq(4, false);
    it.pic.setIrq(4, true);
    assert.equal(it.pic.acknowledge(), 0x20, "order is now 5 6 7 0 ... 4");
    it.board.out(0x20, 0xe0);
    assert.equal(it.pic.acknowledge(), 0x23);
  });

  test("special mask mode lets lower levels through a masked level in service", () => {
    const it = rig();
    it.pic.setIrq(4, true);
    assert.equal(it.pic.acknowledge(), 0x24);
    it.pic.setIrq(6, true);
    it.board.out(0x21, 0x10);
    assert.ok(!it.intr.level);
    it.board.out(0x20, 0x68);
    assert.ok(it.intr.level);
    assert.equal(it.pic.acknowledge(), 0x26);
    it.board.out(0x20, 0x48);
    it.board.out(0x20, 0x20);
    assert.equal(isr(it), 0x40, "out of special mask mode the higher level ends first");
  });

  test("with automatic EOI in the slave, its second request reaches the master as well", () => {
    const it = rig();
    for (const [port, value] of [
      [0xa0, 0x11],
      [0xa1, 0x28],
      [0xa1, 0x02],
      [0xa1, 0x03],
    ]) {
      it.board.out(port, value);
    }
    it.pic.setIrq(8, true);
    it.pic.setIrq(9, true);
    assert.equal(it.pic.acknowledge(), 0x28);
    it.board.out(0x20, 0x20);
    assert.ok(it.intr.level);
    assert.equal(it.pic.acknowledge(), 0x29);
  });

  test("poll reads the level, acknowledges it, and reads once", () => {
    const it = rig();
    it.board.out(0x20, 0x0c);
    assert.equal(it.board.in(0x20), 0);
    it.pic.setIrq(5, true);
    it.board.out(0x20, 0x0c);
    assert.equal(it.board.in(0x20), 0x85);
    assert.equal(isr(it), 0x20);
    assert.ok(!it.intr.level);
  });

  test("initialization resets edge sense, mask and priorities, and ends where ICW1 says", () => {
    const it = rig();
    it.pic.setIrq(1, true);
    it.board.out(0x21, 0x55);
    it.board.out(0x20, 0x12);
    it.board.out(0x21, 0x40);
    assert.equal(it.board.in(0x21), 0x00);
    assert.ok(!it.intr.level, "an input already high needs a new edge");
    it.board.out(0x21, 0xf0);
    assert.equal(it.board.in(0x21), 0xf0, "single, without ICW4: the next word is OCW1");
    it.pic.setIrq(2, true);
    it.pic.setIrq(1, false);
    it.pic.setIrq(1, true);
    assert.equal(it.pic.acknowledge(), 0x41);
  });
});

const exercise: Exercise = {
  ports: [
    [0x20, 2],
    [0xa0, 2],
    [0x4d0, 2],
  ],
  other: (bench, random) => {
    const pic = bench.device as Pic;
    const kind = random(4);
    if (kind === 0 && pic.intr) bench.log.push(`ack ${pic.acknowledge()}`);
    else if (kind === 1) bench.log.push(`spurious ${pic.acknowledge()}`);
    else pic.setIrq(random(16), random(2) === 1);
  },
};

function bench(): Bench {
  const board = new TestBoard();
  const log: string[] = [];
  return { board, log, device: new Pic(board.context, { intr: (level) => log.push(`intr ${level}`) }) };
}

test("8259 pair: random use", () => fuzz(bench, exercise, 0x8259));
test("8259 pair: save and restore continue", () => continuation(bench, exercise, 0x8259));
