import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { DEFAULT_EPOCH_SECONDS, Rtc, type RtcOptions } from "../../src/devices/rtc";
import { fromSeconds, toSeconds } from "../../src/devices/rtcTime";
import { type Bench, continuation, type Exercise, fuzz, Probe, TestBoard } from "./testBoard";

const SECOND = 1_000_000_000;

function rig(options: Partial<RtcOptions> = {}): {
  board: TestBoard;
  rtc: Rtc;
  irq: Probe;
  read: (index: number) => number;
  write: (index: number, value: number) => void;
} {
  const board = new TestBoard();
  const irq = new Probe();
  const rtc = new Rtc(board.context, { irq: irq.line, memoryBelow4G: 64 << 20, ...options });
  rtc.reset();
  return {
    board,
    rtc,
    irq,
    read: (index) => {
      board.out(0x70, index);
      return board.in(0x71);
    },
    write: (index, value) => {
      board.out(0x70, index);
      board.out(0x71, value);
    },
  };
}

test("calendar arithmetic agrees with the host's for 400 years", () => {
  for (let day = -60_000; day < 90_000; day += 7) {
    const seconds = day * 86_400 + ((day * 7919) % 86_400);
    const date = new Date(seconds * 1000);
    const time = fromSeconds(seconds);
    assert.deepEqual(
      [time.year, time.month, time.day, time.hour, time.minute, time.second, time.weekday],
      [
        date.getUTCFullYear(),
        date.getUTCMonth() + 1,
        date.getUTCDate(),
        date.getUTCHours(),
        date.getUTCMinutes(),
        date.getUTCSeconds(),
        date.getUTCDay() + 1,
      ],
    );
    assert.equal(toSeconds(time), seconds);
  }
});

describe("MC146818", () => {
  test("starts at a fixed time and keeps it in BCD, 24 hours", () => {
    assert.equal(DEFAULT_EPOCH_SECONDS, Date.UTC(2026, 0, 1) / 1000);
    const { board, read } = rig();
    assert.deepEqual(
      [0, 2, 4, 6, 7, 8, 9, 0x32].map((index) => read(index)),
      [0x00, 0x00, 0x00, 0x05, 0x01, 0x01, 0x26, 0x20],
    );
    board.run(SECOND * (86_400 + 3600 * 13 + 59));
    assert.deepEqual(
      [0, 2, 4, 6, 7].map((index) => read(index)),
      [0x59, 0x00, 0x13, 0x06, 0x02],
    );
    assert.equal(read(0x0d), 0x80);
  });

  test("binary and 12-hour formats", () => {
    const { board, read, write } = rig({ epochSeconds: Date.UTC(2031, 11, 31, 23, 45, 30) / 1000 });
    write(0x0b, 0x06);
    assert.deepEqual(
      [0, 2, 4, 7, 8, 9].map((index) => read(index)),
      [30, 45, 23, 31, 12, 31],
    );
    write(0x0b, 0x00);
    assert.equal(read(4), 0x91);
    board.run(SECOND * 3600);
    assert.equal(read(4), 0x12, "midnight is 12 AM");
    assert.equal(read(9), 0x32);
  });

  test("SET stops the clock for writing; the chain's phase stays", () => {
    const { board, read, write } = rig();
    board.run(300_000_000);
    write(0x0b, 0x82);
    for (const [index, value] of [
      [0, 0x58],
      [2, 0x59],
      [4, 0x23],
      [7, 0x28],
      [8, 0x02],
      [9, 0x28],
      [6, 0x03],
    ]) {
      write(index, value);
    }
    board.run(5 * SECOND);
    assert.equal(read(0), 0x58);
    write(0x0b, 0x02);
    board.run(699_999_999);
    assert.equal(read(0), 0x58);
    board.run(1);
    assert.equal(read(0), 0x59);
    board.run(SECOND);
    assert.deepEqual(
      [0, 2, 4, 6, 7, 8, 9].map((index) => read(index)),
      [0, 0, 0, 4, 0x29, 0x02, 0x28],
    );
  });

  test("while SET holds the clock, registers may be filled in any order", () => {
    const { read, write } = rig({ epochSeconds: Date.UTC(2026, 1, 1) / 1000 });
    write(0x0b, 0x82);
    write(7, 0x31);
    write(0, 0xee);
    assert.equal(read(0), 0xee, "raw bytes");
    write(0, 0x00);
    write(8, 0x12);
    write(0x0b, 0x02);
    assert.deepEqual([read(7), read(8)], [0x31, 0x12]);
  });

  test("UIP announces each update and the time changes when it ends", () => {
    const { board, read } = rig();
    board.runTo(SECOND - 2_228_001);
    assert.equal(read(0x0a), 0x26);
    board.run(1);
    assert.equal(read(0x0a), 0xa6);
    board.runTo(SECOND - 1);
    assert.equal(read(0x0a), 0xa6);
    assert.equal(read(0), 0);
    board.run(1);
    assert.equal(read(0x0a), 0x26);
    assert.equal(read(0), 1);
  });

  test("holding the divider stops time; the first update comes half a second after its release", () => {
    const { board, read, write } = rig();
    write(0x0a, 0x70);
    board.run(10 * SECOND + 123);
    assert.equal(read(0), 0);
    write(0x0a, 0x26);
    board.run(SECOND / 2 - 1);
    assert.equal(read(0), 0);
    board.run(1);
    assert.equal(read(0), 1);
  });

  test("update-ended interrupts, once a second until register C is read", () => {
    const { board, irq, read, write } = rig();
    write(0x0b, 0x12);
    board.run(SECOND - 1);
    assert.ok(!irq.level);
    board.run(1);
    assert.ok(irq.level);
    board.run(3 * SECOND);
    assert.equal(irq.rises, 1);
    assert.equal(read(0x0c) & 0x90, 0x90);
    assert.ok(!irq.level);
    assert.equal(read(0x0c), 0);
    board.run(SECOND);
    assert.equal(irq.rises, 2);
  });

  test("periodic interrupts at the selected rate, exactly", () => {
    const { board, irq, read, write } = rig();
    write(0x0a, 0x26);
    write(0x0b, 0x42);
    let count = 0;
    while (board.time < SECOND) {
      board.runTo(board.clock.nextDeadline());
      assert.ok(irq.level);
      assert.equal(read(0x0c) & 0xc0, 0xc0);
      count++;
    }
    assert.equal(count, 1024);
    assert.equal(board.time, SECOND);
    write(0x0b, 0x02);
    assert.equal(board.clock.nextDeadline(), Infinity);
    board.run(SECOND);
    assert.equal(read(0x0c) & 0x40, 0x40, "the flag is set also when nobody is interrupted");
    write(0x0a, 0x21);
    write(0x0b, 0x42);
    read(0x0c);
    const start = board.time;
    board.runTo(board.clock.nextDeadline());
    assert.equal(board.time - start, SECOND / 256);
  });

  test("alarm at a time and with don't-care fields", () => {
    const { board, irq, read, write } = rig();
    write(1, 0x30);
    write(3, 0x02);
    write(5, 0x01);
    write(0x0b, 0x22);
    board.runTo(SECOND * (3600 + 150) - 1);
    assert.ok(!irq.level);
    board.run(1);
    assert.ok(irq.level);
    assert.equal(read(0x0c) & 0xa0, 0xa0);
    write(5, 0xff);
    write(3, 0xc0);
    const start = board.time;
    board.runTo(board.clock.nextDeadline());
    assert.equal(board.time - start, 60 * SECOND);
    read(0x0c);
    write(1, 0x99);
    assert.equal(board.clock.nextDeadline(), Infinity, "an alarm that cannot match arms nothing");
  });

  test("memory-size fields, checksum, CPU count, NMI mask, CMOS kept over reset", () => {
    const masks: boolean[] = [];
    const { board, rtc, read, write } = rig({
      memoryBelow4G: 512 << 20,
      memoryAbove4G: 0x1_4000_0000,
      cpus: 4,
      onNmiMask: (masked) => masks.push(masked),
    });
    const word = (index: number): number => read(index) | (read(index + 1) << 8);
    assert.equal(word(0x15), 640);
    assert.equal(word(0x30), 0xffff);
    assert.equal(word(0x34), (512 - 16) * 16);
    assert.equal(word(0x5b) | (read(0x5d) << 16), 0x14000);
    assert.equal(read(0x5f), 3);
    let sum = 0;
    for (let index = 0x10; index <= 0x2d; index++) sum += read(index);
    assert.equal((read(0x2e) << 8) | read(0x2f), sum);
    write(0x0f, 0x0a);
    board.out(0x70, 0x8f);
    assert.ok(rtc.nmiMasked);
    rtc.reset();
    assert.ok(!rtc.nmiMasked);
    assert.deepEqual(masks, [true, false]);
    assert.equal(read(0x0f), 0x0a);
  });
});

const exercise: Exercise = {
  ports: [[0x70, 2]],
  pause: 100_000_000,
  other: (bench, random) => {
    bench.board.out(0x70, random(16));
    if (random(2)) bench.board.out(0x71, random(256));
    else bench.log.push(`r${bench.board.in(0x71)}`);
  },
};

function bench(): Bench {
  const board = new TestBoard();
  const log: string[] = [];
  const device = new Rtc(board.context, {
    irq: (level) => log.push(`irq ${level} ${board.time}`),
    memoryBelow4G: 64 << 20,
    onNmiMask: (masked) => log.push(`nmi ${masked}`),
  });
  return { board, log, device };
}

test("MC146818: random use", () => fuzz(bench, { ...exercise, pause: 30_000_000 }, 146818));
test("MC146818: save and restore continue", () => continuation(bench, { ...exercise, pause: 3_000_000_000 }, 146818));
