import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { AhciController } from "../../../src/devices/ata/ahciController";
import { openCdrom, openDisk } from "../../../src/devices/block/openDisk";
import { MemoryFile, patterned } from "../block/images";
import { type Bench, continuation, fuzz, TestBoard } from "../testBoard";

const ABAR = 0xd0000000;
const PORT = ABAR + 0x100;

class Rig {
  readonly board = new TestBoard();
  readonly content = patterned(100 * 512);
  readonly disc = patterned(20 * 2048);
  readonly disk = openDisk("disk0", { file: new MemoryFile(this.content) });
  readonly controller: AhciController;
  intx = false;

  constructor() {
    const cd = openCdrom("cdrom", new MemoryFile(this.disc));
    this.controller = new AhciController(this.board.context, [
      { disk: this.disk, cdrom: false },
      { disk: cd, cdrom: true },
    ]);
    this.controller.connectIntx((level) => (this.intx = level));
    this.controller.reset();
    this.controller.writeConfig(0x24, 4, ABAR);
    this.controller.writeConfig(0x04, 2, 6);
    this.write(ABAR + 4, 0x80000002);
    for (const port of [0, 1]) {
      this.write(PORT + port * 0x80, 0x1000 + port * 0x1000);
      this.write(PORT + port * 0x80 + 8, 0x1800 + port * 0x1000);
      this.write(PORT + port * 0x80 + 0x14, 0x7dc0007f);
      this.write(PORT + port * 0x80 + 0x18, 0x11);
    }
  }

  read(address: number): number {
    return Number(this.board.mmio.read(address, 4, 0));
  }

  write(address: number, value: number): void {
    this.board.mmio.write(address, 4, BigInt(value >>> 0), 0);
  }

  /** Puts a command into a slot of port `port`: one region of `length` bytes at `data`. */
  slot(port: number, slot: number, fis: readonly number[], data: number, length: number, flags = 0, packet: readonly number[] = []): void {
    const view = new DataView(this.board.memory.bytes.buffer);
    const header = 0x1000 + port * 0x1000 + slot * 32;
    const table = 0x4000 + (port * 32 + slot) * 0x100;
    view.setUint32(header, 5 | flags | (1 << 16), true);
    view.setUint32(header + 8, table, true);
    this.board.memory.bytes.fill(0, table, table + 0x90);
    this.board.memory.bytes.set(fis, table);
    this.board.memory.bytes.set(packet, table + 0x40);
    view.setUint32(table + 0x80, data, true);
    view.setUint32(table + 0x8c, length - 1, true);
  }
}

describe("AHCI", () => {
  test("READ DMA EXT: data, byte count, task file, interrupt", () => {
    const rig = new Rig();
    assert.equal(rig.read(PORT + 0x28), 0x123);
    assert.equal(rig.read(PORT + 0x24), 0x101);
    rig.write(PORT + 0x10, 0xffffffff);
    rig.write(ABAR + 8, 0xffffffff);
    rig.slot(0, 3, [0x27, 0x80, 0x25, 0, 10, 0, 0, 0x40, 0, 0, 0, 0, 2], 0x10000, 1024);
    rig.write(PORT + 0x38, 8);
    rig.board.run(49_999);
    assert.equal(rig.read(PORT + 0x38), 8);
    rig.board.run(1);
    assert.equal(rig.read(PORT + 0x38), 0);
    assert.deepEqual(rig.board.memory.bytes.slice(0x10000, 0x10400), rig.content.slice(5120, 6144));
    assert.equal(new DataView(rig.board.memory.bytes.buffer).getUint32(0x1064, true), 1024);
    assert.equal(rig.read(PORT + 0x20) & 0xff, 0x50);
    assert.equal(rig.read(ABAR + 8), 1);
    assert.ok(rig.intx);
    rig.write(PORT + 0x10, 1);
    rig.write(ABAR + 8, 1);
    assert.ok(!rig.intx);
  });

  test("queued writes clear their bits of SACT; MSI", () => {
    const rig = new Rig();
    rig.write(PORT + 0x10, 0xffffffff);
    rig.write(PORT + 0x90, 0xffffffff);
    rig.write(ABAR + 8, 0xffffffff);
    rig.controller.writeConfig(0x84, 4, 0xfee01000);
    rig.controller.writeConfig(0x8c, 2, 0x55);
    rig.controller.writeConfig(0x82, 2, 1);
    rig.board.memory.bytes.fill(0x99, 0x10000, 0x10400);
    for (const slot of [0, 1]) rig.slot(0, slot, [0x27, 0x80, 0x61, 1, 20 + slot, 0, 0, 0x40], 0x10000, 512, 0x40);
    rig.write(PORT + 0x34, 3);
    rig.write(PORT + 0x38, 3);
    rig.board.run(60_000);
    assert.equal(rig.read(PORT + 0x34), 0);
    assert.equal(rig.read(PORT + 0x38), 0);
    const written = new Uint8Array(1024);
    rig.disk.read(20 * 512, written);
    assert.ok(written.every((byte) => byte === 0x99));
    assert.ok(rig.board.memory.messages.length >= 1);
    assert.ok(!rig.intx);
  });

  test("a bad address is a task file error, and the port goes on after a restart", () => {
    const rig = new Rig();
    rig.slot(0, 0, [0x27, 0x80, 0x25, 0, 99, 0, 0, 0x40, 0, 0, 0, 0, 5], 0x10000, 2560);
    rig.write(PORT + 0x38, 1);
    rig.board.run(60_000);
    assert.equal(rig.read(PORT + 0x20), 0x1051);
    assert.ok(rig.read(PORT + 0x10) & 0x40000000);
    rig.write(PORT + 0x18, 0x10);
    rig.write(PORT + 0x18, 0x11);
    rig.slot(0, 0, [0x27, 0x80, 0xec], 0x10000, 512);
    rig.write(PORT + 0x38, 1);
    rig.board.run(60_000);
    assert.equal(rig.read(PORT + 0x20) & 0xff, 0x50);
    assert.equal(new DataView(rig.board.memory.bytes.buffer).getUint32(0x10000 + 120, true), 100);
  });

  test("a CD is read by packets", () => {
    const rig = new Rig();
    assert.equal(rig.read(PORT + 0xa4), 0xeb140101);
    const send = (packet: readonly number[]): number => {
      rig.slot(1, 0, [0x27, 0x80, 0xa0, 1], 0x10000, 4096, 0x20, packet);
      rig.write(PORT + 0x80 + 0x38, 1);
      rig.board.run(60_000);
      const tfd = rig.read(PORT + 0x80 + 0x20);
      rig.write(PORT + 0x80 + 0x18, 0x10);
      rig.write(PORT + 0x80 + 0x18, 0x11);
      return tfd;
    };
    assert.equal(send([0]), 0x6451);
    assert.equal(send([0x28, 0, 0, 0, 0, 3, 0, 0, 2]) & 0xff, 0x50);
    assert.deepEqual(rig.board.memory.bytes.slice(0x10000, 0x11000), rig.disc.slice(3 * 2048, 5 * 2048));
  });

  const bench = (): Bench => {
    const rig = new Rig();
    const { board, controller, disk } = rig;
    return {
      board,
      log: [],
      device: {
        name: "ahci with its disk",
        reset: () => controller.reset(),
        save: () => ({ controller: controller.save(), disk: disk.save() }),
        restore: (state: unknown) => {
          const saved = state as { controller: ReturnType<typeof controller.save>; disk: ReturnType<typeof disk.save> };
          controller.restore(saved.controller);
          disk.restore(saved.disk);
        },
        registers: () => controller.registers(),
      },
    };
  };
  const exercise = { ports: [[0x80, 1]], mmio: [[ABAR, 0x200]], pause: 100_000 } as const;
  test("survives garbage", () => fuzz(bench, exercise, 3, 2_000_000));
  test("goes on the same after save and restore", () => continuation(bench, exercise, 4));
});
