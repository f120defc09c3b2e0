// Where well-known software APICs depart from the manual: one test each, beside the fuller ones of the other files.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Board, Reg } from "./harness";

test("x2APIC mode is there and works", () => {
  const board = new Board();
  for (const cpu of [0, 1]) board.x2apic(cpu);
  assert.equal(board.apics[0].writeMsr(0x830, (1n << 32n) | 0x40n), true);
  assert.deepEqual(board.drain(1), [0x40]);
});

test("TSC-deadline mode is there; the MSR is cleared on firing", () => {
  const board = new Board();
  board.write(0, Reg.lvtTimer, 0x40040);
  board.apics[0].writeMsr(0x6e0, 100n);
  board.clock.advance(100);
  assert.deepEqual(board.drain(0), [0x40]);
  assert.equal(board.apics[0].readMsr(0x6e0), 0n);
});

test("ESR has every bit, and clears", () => {
  const board = new Board({ model: { lowestPriorityIpi: false } });
  board.icr(0, 0x4950, 1);
  board.icr(0, 0x4001, 1);
  board.bus.msi(0xfee00000, 1);
  board.read(0, 0x01);
  board.write(0, Reg.esr, 0);
  assert.equal(board.read(0, Reg.esr), 0xf0);
  board.write(0, Reg.esr, 0);
  assert.equal(board.read(0, Reg.esr), 0);
});

test("the error LVT is delivered", () => {
  const board = new Board();
  board.write(0, Reg.lvtError, 0xfe);
  board.read(0, 0x3f);
  assert.deepEqual(board.drain(0), [0xfe]);
});

test("a vector below 16 never reaches IRR", () => {
  const board = new Board();
  for (let vector = 0; vector < 16; vector++) {
    board.icr(0, 0x4000 | vector, 1);
    board.bus.msi(0xfee01000, vector);
  }
  assert.deepEqual(board.apics[1].pendingVectors, []);
});

test("software disable masks the LVTs and accepts nothing", () => {
  const board = new Board();
  board.write(1, Reg.lvtTimer, 0x40);
  board.write(1, Reg.svr, 0xff);
  assert.equal(board.read(1, Reg.lvtTimer), 0x10040);
  board.icr(0, 0x4041, 1);
  assert.deepEqual(board.apics[1].pendingVectors, []);
});

test("lowest priority goes by PPR, and not always to CPU 0 among equals", () => {
  const board = new Board({ cpus: 3 });
  const winners = new Set<number>();
  for (let count = 0; count < 3; count++) {
    board.icr(0, 0x4950, 0xff);
    for (const cpu of [0, 1, 2]) if (board.drain(cpu).length > 0) winners.add(cpu);
  }
  assert.equal(winners.size, 3);
});

test("EOI-broadcast suppression is announced and works; remote read is reserved, as the manual has it since the Pentium 4", () => {
  const board = new Board();
  assert.notEqual(board.read(0, Reg.version) & 0x1000000, 0);
  board.write(0, Reg.svr, 0x11ff);
  board.ioApic.writeRegister(0x10, 0x8050);
  board.ioApic.line(0)(true);
  board.apics[0].acknowledge();
  board.apics[0].eoi();
  assert.equal(board.cpus[0].intr, false);
  board.icr(0, 0x4308, 1);
  assert.deepEqual(board.drops(), ["delivery mode 3 is reserved in ICR"]);
});

test("PPR goes by priority class: 0x45 does not interrupt 0x41, and nothing spurious comes of it", () => {
  const board = new Board();
  board.icr(0, 0x4041, 1);
  assert.equal(board.apics[1].acknowledge(), 0x41);
  board.icr(0, 0x4045, 1);
  assert.equal(board.cpus[1].intr, false);
  board.apics[1].eoi();
  assert.equal(board.cpus[1].intr, true);
  assert.equal(board.apics[1].acknowledge(), 0x45);
  assert.equal(board.apics[1].spuriousCount, 0);
});

test("reserved bits fault in x2APIC mode", () => {
  const board = new Board();
  board.x2apic(0);
  assert.equal(board.apics[0].writeMsr(0x808, 0x100n), false);
  assert.equal(board.apics[0].writeMsr(0x830, 0x1_0000n), false);
  assert.equal(board.apics[0].writeMsr(0x80b, 1n), false);
});

test("shorthand self names the CPU, whatever its id, and keeps to fixed interrupts", () => {
  const board = new Board({ cpus: 3 });
  board.write(0, Reg.id, 0x02000000);
  board.icr(0, 0x44050);
  assert.deepEqual([board.drain(0), board.drain(2)], [[0x50], []]);
  board.icr(0, 0x44400);
  assert.equal(board.cpus[0].nmis, 0);
});

test("the timer follows virtual time by its divider, also after a change in mid-count", () => {
  const board = new Board();
  board.write(0, Reg.divide, 0xb);
  board.write(0, Reg.lvtTimer, 0x40);
  board.write(0, Reg.initialCount, 1000);
  board.clock.advance(500);
  board.write(0, Reg.divide, 0x0);
  board.clock.advance(999);
  assert.equal(board.read(0, Reg.currentCount), 1);
  assert.equal(board.cpus[0].intr, false);
  board.clock.advance(1);
  assert.equal(board.cpus[0].intr, true);
});
