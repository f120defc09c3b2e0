import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { decodeMsi, encodeMsi } from "../../src/apic/fields";
import { Board, Reg } from "./harness";

describe("the register page", () => {
  test("the accessing CPU selects its own APIC", () => {
    const board = new Board({ cpus: 3 });
    for (const cpu of [0, 1, 2]) assert.equal(board.context.read(0xfee00020, 4, cpu), BigInt(cpu << 24));
    board.context.write(0xfee00080, 4, 0x30n, 2);
    assert.deepEqual(
      board.apics.map((apic) => apic.cr8),
      [0, 0, 3],
    );
  });

  test("a CPU may move its page over RAM: others see the RAM beneath", () => {
    const board = new Board({ cpus: 3 });
    board.context.ram.fill(0x5a, 0x200000, 0x201000);
    assert.equal(board.apics[1].writeMsr(0x1b, 0x200800n), true);
    assert.deepEqual(board.region.bases, [0x200000, 0xfee00000]);
    assert.equal(board.context.read(0x200020, 4, 1), 0x01000000n);
    assert.equal(board.context.read(0x200020, 4, 0), 0x5a5a5a5an);
    board.context.write(0x200080, 4, 0x40n, 0);
    assert.equal(board.apics[1].cr8, 0);
    assert.equal(board.context.ram[0x200080], 0x40);
    board.context.write(0x200080, 4, 0x40n, 1);
    assert.equal(board.apics[1].cr8, 4);
    // Its old place is not its own any more.
    assert.equal(board.context.read(0xfee00020, 4, 1), 0xffffffffn);
    assert.equal(board.context.read(0xfee00020, 4, 2), 0x02000000n);
    board.apics[1].writeMsr(0x1b, 0x300800n);
    assert.deepEqual(board.region.bases, [0x300000, 0xfee00000]);
    assert.equal(board.context.read(0x200020, 4, 1), 0x5a5a5a5an);
    board.apics[1].writeMsr(0x1b, 0xfee00800n);
    assert.deepEqual(board.region.bases, [0xfee00000]);
    assert.equal(board.context.mappings.filter((item) => item.enabled).length, 3);
  });
});

describe("MSI", () => {
  test("a store from the bus side is a message, to the same window", () => {
    const board = new Board({ cpus: 3 });
    board.context.memory.write32(0xfee02000, 0x4091);
    assert.deepEqual(board.drain(2), [0x91]);
    const record = board.ledger.record(board.ledger.lastId);
    assert.deepEqual([record?.source, record?.src, record?.dst], ["msi", -1, 2]);
    // The page of registers itself is a message to id 0 from there.
    board.context.memory.write32(0xfee00000, 0x92);
    assert.deepEqual(board.drain(0), [0x92]);
    board.context.memory.write32(0xfee00080, 0x93);
    assert.equal(board.apics[0].cr8, 0);
  });

  test("a CPU's store past its own page is one too; other widths are not", () => {
    const board = new Board();
    board.context.write(0xfee01000, 4, 0x91n, 0);
    assert.deepEqual(board.drain(1), [0x91]);
    board.context.write(0xfee01000, 2, 0x91n, 0);
    board.context.write(0xfee01000, 8, 0x91n, 0);
    assert.deepEqual(board.drain(1), []);
  });

  test("modes, triggers and destinations", () => {
    const board = new Board({ cpus: 3 });
    board.bus.msi(0xfee01000, 0x0400);
    board.bus.msi(0xfee01000, 0x0200);
    assert.deepEqual([board.cpus[1].nmis, board.cpus[1].smis], [1, 1]);
    board.seen();
    assert.equal(board.bus.msi(0xfee01000, 0x8050), 0);
    assert.equal(board.bus.msi(0xfee01000, 0x0350), 0);
    assert.deepEqual(board.drops(), ["MSI level de-assert: nothing is sent", "delivery mode 3 is reserved in MSI data"]);
    assert.equal(board.bus.msi(0xfee01000, 0xc050), 1);
    assert.deepEqual(board.apics[1].levelVectors, [0x50]);
    for (const cpu of [0, 1, 2]) board.write(cpu, Reg.ldr, 0x01000000 << cpu);
    board.drain(1);
    assert.equal(board.bus.msi(0xfee06004, 0x51), 2);
    board.drain(1);
    board.drain(2);
    board.write(2, Reg.tpr, 0x40);
    // Redirection hint with a logical destination: the one with the lowest priority.
    assert.equal(board.bus.msi(0xfee0600c, 0x51), 1);
    assert.deepEqual(board.drain(1), [0x51]);
    // With a physical one it names one CPU.
    assert.equal(board.bus.msi(0xfee01008, 0x52), 1);
    assert.deepEqual(board.drain(1), [0x52]);
  });

  test("encode and decode agree", () => {
    for (const address of [0xfee01000, 0xfee0600c, 0xfeeff004])
      for (const data of [0x31, 0xc152, 0x0400]) assert.deepEqual(encodeMsi(decodeMsi(address, data)), { address, data });
  });
});
