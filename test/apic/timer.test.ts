import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Board, Reg } from "./harness";

function timerBoard(lvt: number, divide: number): Board {
  const board = new Board({ cpus: 1 });
  board.clock.time = 1000;
  board.write(0, Reg.divide, divide);
  board.write(0, Reg.lvtTimer, lvt);
  return board;
}

describe("one-shot", () => {
  test("counts down at one tick a nanosecond by the divider, fires once", () => {
    for (const [code, divisor] of [
      [0, 2],
      [1, 4],
      [2, 8],
      [3, 16],
      [8, 32],
      [9, 64],
      [10, 128],
      [11, 1],
    ]) {
      const board = timerBoard(0x40, code);
      board.write(0, Reg.initialCount, 100);
      assert.equal(board.read(0, Reg.currentCount), 100);
      board.clock.advance(divisor);
      assert.equal(board.read(0, Reg.currentCount), 99);
      board.clock.advance(98 * divisor);
      assert.equal(board.read(0, Reg.currentCount), 1);
      board.clock.advance(divisor - 1);
      assert.equal(board.cpus[0].intr, false);
      board.clock.advance(1);
      assert.equal(board.read(0, Reg.currentCount), 0);
      assert.deepEqual(board.drain(0), [0x40]);
      board.clock.advance(1000 * divisor);
      assert.deepEqual(board.drain(0), []);
      assert.equal(board.read(0, Reg.initialCount), 100);
    }
  });

  test("writing 0 stops, writing anew restarts", () => {
    const board = timerBoard(0x40, 11);
    board.write(0, Reg.initialCount, 100);
    board.clock.advance(50);
    board.write(0, Reg.initialCount, 0);
    board.clock.advance(200);
    assert.equal(board.cpus[0].intr, false);
    assert.equal(board.read(0, Reg.currentCount), 0);
    board.write(0, Reg.initialCount, 100);
    board.clock.advance(60);
    board.write(0, Reg.initialCount, 100);
    board.clock.advance(60);
    assert.equal(board.cpus[0].intr, false);
    board.clock.advance(40);
    assert.equal(board.cpus[0].intr, true);
  });

  test("a divider change in mid-count keeps the count and changes the rate", () => {
    const board = timerBoard(0x40, 11);
    board.write(0, Reg.initialCount, 1000);
    board.clock.advance(400);
    board.write(0, Reg.divide, 1);
    assert.equal(board.read(0, Reg.currentCount), 600);
    board.clock.advance(4);
    assert.equal(board.read(0, Reg.currentCount), 599);
    board.clock.advance(599 * 4 - 1);
    assert.equal(board.cpus[0].intr, false);
    board.clock.advance(1);
    assert.equal(board.cpus[0].intr, true);
  });

  test("masked, it counts all the same and its interrupt is lost, with a record", () => {
    const board = timerBoard(0x10040, 11);
    board.write(0, Reg.initialCount, 100);
    board.clock.advance(50);
    assert.equal(board.read(0, Reg.currentCount), 50);
    board.clock.advance(50);
    assert.deepEqual(board.drops(), ["LVT Timer masked"]);
    board.write(0, Reg.lvtTimer, 0x40);
    board.clock.advance(1000);
    assert.equal(board.cpus[0].intr, false);
  });
});

describe("periodic", () => {
  test("keeps its phase, whenever the boundary comes", () => {
    const board = timerBoard(0x20040, 11);
    board.write(0, Reg.initialCount, 100);
    let fired = 0;
    for (let step = 0; step < 50; step++) {
      board.clock.jump(37);
      fired += board.drain(0).length;
    }
    assert.equal(fired, 18);
    assert.equal(board.read(0, Reg.currentCount), 100 - ((50 * 37) % 100));
  });

  test("a jump over several periods gives one interrupt and goes on in phase", () => {
    const board = timerBoard(0x20040, 11);
    board.write(0, Reg.initialCount, 100);
    board.clock.jump(350);
    assert.deepEqual(board.drain(0), [0x40]);
    assert.equal(board.read(0, Reg.currentCount), 50);
    board.clock.advance(50);
    assert.deepEqual(board.drain(0), [0x40]);
  });

  test("masked, it is not even armed; unmasked, it goes on in phase", () => {
    const board = timerBoard(0x30040, 11);
    board.write(0, Reg.initialCount, 100);
    assert.equal(board.clock.timers[0].deadline, undefined);
    board.clock.advance(250);
    assert.equal(board.read(0, Reg.currentCount), 50);
    board.write(0, Reg.lvtTimer, 0x20040);
    board.clock.advance(49);
    assert.equal(board.cpus[0].intr, false);
    board.clock.advance(1);
    assert.deepEqual(board.drain(0), [0x40]);
  });

  test("changing to one-shot lets the count run out once", () => {
    const board = timerBoard(0x20040, 11);
    board.write(0, Reg.initialCount, 100);
    board.clock.advance(130);
    board.drain(0);
    board.write(0, Reg.lvtTimer, 0x00040);
    board.clock.advance(70);
    assert.deepEqual(board.drain(0), [0x40]);
    board.clock.advance(500);
    assert.deepEqual(board.drain(0), []);
  });
});

describe("TSC-deadline", () => {
  const msr = 0x6e0;

  test("fires when the TSC reaches it, is cleared then, 0 disarms", () => {
    const board = timerBoard(0x40040, 0);
    const apic = board.apics[0];
    assert.equal(apic.writeMsr(msr, 1500n), true);
    assert.equal(apic.readMsr(msr), 1500n);
    board.clock.advance(499);
    assert.equal(board.cpus[0].intr, false);
    board.clock.advance(1);
    assert.deepEqual(board.drain(0), [0x40]);
    assert.equal(apic.readMsr(msr), 0n);
    apic.writeMsr(msr, 1700n);
    apic.writeMsr(msr, 0n);
    board.clock.advance(1000);
    assert.deepEqual(board.drain(0), []);
    // In the past: at the next boundary.
    apic.writeMsr(msr, 5n);
    board.clock.advance(0);
    assert.deepEqual(board.drain(0), [0x40]);
    // Never, for any practical purpose.
    apic.writeMsr(msr, 0xffffffffffffffffn);
    assert.equal(apic.readMsr(msr), 0xffffffffffffffffn);
    board.clock.advance(1e6);
    assert.deepEqual(board.drain(0), []);
  });

  test("the counter registers are dead in this mode, the MSR in the others", () => {
    const board = timerBoard(0x40040, 11);
    board.write(0, Reg.initialCount, 100);
    assert.equal(board.read(0, Reg.initialCount), 0);
    assert.equal(board.read(0, Reg.currentCount), 0);
    board.clock.advance(1000);
    assert.deepEqual(board.drain(0), []);
    board.write(0, Reg.lvtTimer, 0x40);
    assert.equal(board.apics[0].writeMsr(msr, 5000n), true);
    assert.equal(board.apics[0].readMsr(msr), 0n);
  });

  test("a change of mode disarms, both ways", () => {
    const board = timerBoard(0x40040, 11);
    board.apics[0].writeMsr(msr, 1500n);
    board.write(0, Reg.lvtTimer, 0x40);
    board.write(0, Reg.lvtTimer, 0x40040);
    assert.equal(board.apics[0].readMsr(msr), 0n);
    board.write(0, Reg.lvtTimer, 0x40);
    board.write(0, Reg.initialCount, 100);
    board.write(0, Reg.lvtTimer, 0x40040);
    board.write(0, Reg.lvtTimer, 0x40);
    board.clock.advance(2000);
    assert.deepEqual(board.drain(0), []);
  });

  test("follows the guest's TSC when that is written", () => {
    const board = timerBoard(0x40040, 11);
    board.apics[0].writeMsr(msr, 5000n);
    board.tscOffset = 3000n;
    board.apics[0].tscChanged();
    board.clock.advance(999);
    assert.deepEqual(board.drain(0), []);
    board.clock.advance(1);
    assert.deepEqual(board.drain(0), [0x40]);
    board.apics[0].writeMsr(msr, 6000n);
    // Set back without a word: the timer finds out by itself.
    board.tscOffset = 0n;
    board.clock.advance(2000);
    assert.deepEqual(board.drain(0), []);
    board.clock.advance(2000);
    assert.deepEqual(board.drain(0), [0x40]);
  });

  test("masked, it still clears, and the loss is recorded", () => {
    const board = timerBoard(0x50040, 11);
    board.apics[0].writeMsr(msr, 1500n);
    board.clock.advance(600);
    assert.equal(board.apics[0].readMsr(msr), 0n);
    assert.deepEqual(board.drops(), ["LVT Timer masked"]);
  });

  test("INIT and disabling stop the timer", () => {
    const board = timerBoard(0x40040, 11);
    board.apics[0].writeMsr(msr, 1500n);
    board.apics[0].reset(true);
    board.clock.advance(1000);
    assert.equal(board.apics[0].readMsr(msr), 0n);
    assert.equal(board.cpus[0].intr, false);
  });
});

test("a poke of TMCCT moves the count, one of TMICT does not restart it", () => {
  const board = timerBoard(0x20040, 11);
  board.write(0, Reg.initialCount, 100);
  board.apics[0].poke("TMCCT", 30n);
  board.apics[0].poke("TMICT", 200n);
  assert.equal(board.read(0, Reg.currentCount), 30);
  board.clock.advance(30);
  assert.deepEqual(board.drain(0), [0x40]);
  assert.equal(board.read(0, Reg.currentCount), 200);
});
