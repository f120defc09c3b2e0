import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Oscillator } from "../../src/devices/oscillator";
import { Pit, PIT_HZ } from "../../src/devices/pit";
import { PitCounter } from "../../src/devices/pitCounter";
import { type Bench, continuation, type Exercise, fuzz, Probe, randomNumbers, TestBoard } from "./testBoard";

const crystal = new Oscillator(PIT_HZ);

/** Counter programmed in a mode with a 16-bit count at pulse 0: loaded at pulse 1. */
function counter(mode: number, count: number, gate = true, bcd = false): PitCounter {
  const chip = new PitCounter(gate);
  chip.control(0x30 | (mode << 1) | (bcd ? 1 : 0), 0);
  chip.write(count & 0xff, 0);
  chip.write(count >> 8, 0);
  return chip;
}

function outs(chip: PitCounter, from: number, to: number): string {
  let text = "";
  for (let tick = from; tick <= to; tick++) {
    chip.advance(tick);
    text += chip.out ? "1" : "0";
  }
  return text;
}

function value(chip: PitCounter, tick: number): number {
  chip.latchCount(tick);
  const low = chip.read(tick);
  return low | (chip.read(tick) << 8);
}

describe("8254 counter", () => {
  test("mode 0: low until N + 1 pulses after the write, counts on, gate holds", () => {
    assert.equal(outs(counter(0, 4), 0, 8), "000001111");
    const held = counter(0, 4);
    held.setGate(false, 2);
    assert.equal(value(held, 2), 3);
    assert.equal(outs(held, 2, 9), "00000000");
    held.setGate(true, 9);
    assert.equal(outs(held, 9, 13), "00011");
    assert.equal(value(held, 13), 0xffff);
    held.write(2, 13);
    assert.ok(!held.out, "the first byte sets OUT low");
    held.write(0, 13);
    assert.equal(outs(held, 13, 17), "00011");
  });

  test("mode 1: one-shot by the gate, retriggerable", () => {
    const chip = counter(1, 3, false);
    assert.equal(outs(chip, 0, 4), "11111");
    chip.setGate(true, 4);
    assert.equal(outs(chip, 4, 9), "100011");
    chip.setGate(false, 9);
    chip.setGate(true, 9);
    assert.equal(outs(chip, 9, 11), "100");
    chip.setGate(false, 11);
    chip.setGate(true, 11);
    assert.equal(outs(chip, 11, 16), "000011");
  });

  test("mode 2: low for the last pulse of each period; a new count waits for the period's end; gate reloads", () => {
    const chip = counter(2, 3);
    assert.equal(outs(chip, 0, 9), "1110110110");
    const changed = counter(2, 4);
    changed.advance(2);
    changed.write(2, 2);
    changed.write(0, 2);
    assert.equal(outs(changed, 2, 9), "11010101");
    const gated = counter(2, 3);
    gated.advance(3);
    assert.ok(!gated.out);
    gated.setGate(false, 3);
    assert.ok(gated.out, "gate low sets OUT high at once");
    gated.setGate(true, 5);
    assert.equal(outs(gated, 5, 9), "11101");
  });

  test("mode 3: halves; odd counts are high one pulse longer; reads are even and go by two", () => {
    assert.equal(outs(counter(3, 4), 0, 9), "1110011001");
    assert.equal(outs(counter(3, 5), 0, 11), "111100111001");
    const even = counter(3, 6);
    assert.deepEqual(
      [1, 2, 3, 4, 5, 6, 7].map((tick) => value(even, tick)),
      [6, 4, 2, 6, 4, 2, 6],
    );
    const odd = counter(3, 5);
    assert.deepEqual(
      [1, 2, 3, 4, 5, 6].map((tick) => value(odd, tick)),
      [4, 2, 0, 4, 2, 4],
    );
  });

  test("mode 4: software strobe, one pulse low at zero", () => {
    const chip = counter(4, 3);
    assert.equal(outs(chip, 0, 6), "1111011");
    assert.equal(value(chip, 6), 0xfffe);
    chip.write(2, 6);
    chip.write(0, 6);
    assert.equal(outs(chip, 6, 10), "11101");
  });

  test("mode 5: hardware strobe", () => {
    const chip = counter(5, 2, false);
    assert.equal(outs(chip, 0, 3), "1111");
    chip.setGate(true, 3);
    assert.equal(outs(chip, 3, 8), "111011");
  });

  test("BCD counts in decimal and 0 stands for 10,000", () => {
    const chip = counter(0, 0x0100, true, true);
    assert.equal(value(chip, 2), 0x0099);
    const zero = counter(2, 0, true, true);
    assert.equal(value(zero, 1), 0);
    assert.equal(value(zero, 2), 0x9999);
    assert.equal(value(zero, 10_001), 0);
  });

  test("latches hold, the first latch wins, null count tells of a load to come", () => {
    const chip = counter(2, 1000);
    chip.latchStatus(0);
    assert.equal(chip.read(0), 0x80 | 0x40 | 0x34);
    chip.latchStatus(1);
    assert.equal(chip.read(1), 0x80 | 0x34);
    chip.latchCount(11);
    chip.latchCount(500);
    chip.latchStatus(500);
    assert.equal(chip.read(500), 0xb4, "status comes first");
    assert.equal(chip.read(600) | (chip.read(600) << 8), 990);
    assert.equal(chip.read(600) | (chip.read(600) << 8), 401);
  });

  test("looking often or once gives the same state", () => {
    const random = randomNumbers(8254);
    for (let round = 0; round < 300; round++) {
      const mode = random(6);
      const count = random(3) === 0 ? random(8) : random(0x10000);
      const bcd = random(4) === 0;
      const [often, once] = [counter(mode, count, true, bcd), counter(mode, count, true, bcd)];
      let tick = 0;
      for (let step = 0; step < 20; step++) {
        tick += random(random(2) ? 10 : 100_000);
        often.advance(tick);
        if (random(8) === 0) {
          const level = random(2) === 1;
          const next = random(0x10000);
          for (const chip of [often, once]) {
            chip.setGate(level, tick);
            chip.write(next & 0xff, tick);
            chip.write(next >> 8, tick);
          }
        }
        const change = often.nextChange();
        if (change !== Infinity && change > tick + 1) {
          const before = often.out;
          tick = change - 1;
          often.advance(tick);
          assert.equal(often.out, before, `mode ${mode} count ${count}: OUT changed before it was said to`);
        }
      }
      once.advance(tick);
      assert.deepEqual(once.save(), often.save());
    }
  });
});

describe("8254 in the PC", () => {
  test("counter 0 in rate mode gives IRQ 0 edges at exact times", () => {
    const board = new TestBoard();
    const irq = new Probe();
    const pit = new Pit(board.context, irq.line);
    pit.reset();
    board.out(0x43, 0x34);
    board.out(0x40, 0x9c);
    board.out(0x40, 0x2e); // 11932: 100 Hz
    assert.equal(irq.rises, 1, "the control word sets OUT high");
    for (const period of [1, 2, 3, 100]) {
      const edge = crystal.timeOf(1 + 11932 * period);
      board.runTo(edge - 1);
      assert.equal(irq.rises, period);
      assert.ok(!irq.level);
      board.runTo(edge);
      assert.equal(irq.rises, period + 1);
    }
    assert.equal(board.in(0x43), 0xff);
  });

  test("one-shot in mode 0 raises IRQ 0 once", () => {
    const board = new TestBoard();
    const irq = new Probe();
    new Pit(board.context, irq.line).reset();
    board.run(12_345);
    const start = crystal.ticksAt(board.time);
    board.out(0x43, 0x30);
    board.out(0x40, 0xe8);
    board.out(0x40, 0x03);
    board.runTo(crystal.timeOf(start + 1001) - 1);
    assert.equal(irq.rises, 0);
    board.run(1);
    assert.equal(irq.rises, 1);
    board.run(1_000_000_000);
    assert.equal(irq.rises, 1);
    assert.equal(board.clock.nextDeadline(), Infinity);
  });

  test("port 0x61: gate and output of counter 2, refresh toggle", () => {
    const board = new TestBoard();
    new Pit(board.context, new Probe().line).reset();
    board.out(0x61, 0x00);
    board.out(0x43, 0xb0);
    board.out(0x42, 0x10);
    board.out(0x42, 0x00);
    board.run(1_000_000);
    assert.equal(board.in(0x61) & 0x2f, 0);
    board.out(0x61, 0x01);
    board.runTo(crystal.timeOf(crystal.ticksAt(board.time) + 15));
    assert.equal(board.in(0x61) & 0x21, 0x01);
    board.run(900);
    assert.equal(board.in(0x61) & 0x21, 0x21);
    const before = board.in(0x61) & 0x10;
    board.run(15_085);
    assert.notEqual(board.in(0x61) & 0x10, before);
  });

  test("the read-back command latches several counters at once", () => {
    const board = new TestBoard();
    new Pit(board.context, new Probe().line).reset();
    for (const [control, port] of [
      [0x34, 0x40],
      [0x74, 0x41],
    ]) {
      board.out(0x43, control);
      board.out(port, 0x00);
      board.out(port, 0x80);
    }
    board.run(1_000_000);
    board.out(0x43, 0xc6);
    board.run(5_000_000);
    assert.equal(board.in(0x40), 0xb4);
    assert.equal(board.in(0x41), 0xb4);
    const zero = board.in(0x40) | (board.in(0x40) << 8);
    const one = board.in(0x41) | (board.in(0x41) << 8);
    assert.equal(zero, one);
    assert.equal(zero, 0x8000 - (1193 - 1));
  });
});

const exercise: Exercise = {
  ports: [
    [0x40, 4],
    [0x40, 4],
    [0x43, 1],
    [0x61, 1],
  ],
  pause: 3_000_000,
};

function bench(): Bench {
  const board = new TestBoard();
  const log: string[] = [];
  return { board, log, device: new Pit(board.context, (level) => log.push(`irq ${level} ${board.time}`)) };
}

test("8254: random use", () => fuzz(bench, { ...exercise, pause: 200_000 }, 0x8254));
test("8254: save and restore continue", () => continuation(bench, { ...exercise, pause: 200_000 }, 0x8254));
