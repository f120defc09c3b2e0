import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Bench, continuation, fuzz } from "../testBoard";
import { CD_SECTORS, IdeRig, MASTER, SECTORS } from "./ideRig";

const READY = 0x50;
const REQUEST = 0x58;

describe("IDE disk", () => {
  test("IDENTIFY says what the disk is", () => {
    const rig = new IdeRig();
    rig.command(0x1f0, 0xec, 0, 0);
    assert.equal(rig.board.in(0x3f6), 0x80, "busy for the disk's time");
    rig.board.run(49_999);
    assert.ok(!rig.irq14.level);
    rig.board.run(1);
    assert.ok(rig.irq14.level);
    assert.equal(rig.board.in(0x3f6), REQUEST);
    assert.ok(rig.irq14.level, "alternate status leaves the interrupt alone");
    assert.equal(rig.board.in(0x1f7), REQUEST);
    assert.ok(!rig.irq14.level);
    const data = rig.readWords(0x1f0, 256);
    const view = new DataView(data.buffer);
    assert.equal(view.getUint32(120, true), SECTORS);
    assert.equal(Number(view.getBigUint64(200, true)), SECTORS);
    assert.equal(
      data.reduce((sum, byte) => (sum + byte) & 0xff, 0),
      0,
      "checksum",
    );
    assert.equal(rig.board.in(0x1f7), READY);
  });

  test("READ SECTORS interrupts for each sector, READ MULTIPLE for each block", () => {
    const rig = new IdeRig();
    rig.command(0x1f0, 0x20, 3, 2);
    rig.board.run(50_000);
    assert.deepEqual(rig.readWords(0x1f0, 256), rig.content.slice(3 * 512, 4 * 512));
    assert.equal(rig.irq14.rises, 1);
    assert.equal(rig.board.in(0x1f7), REQUEST);
    assert.deepEqual(rig.readWords(0x1f0, 256), rig.content.slice(4 * 512, 5 * 512));
    rig.command(0x1f0, 0xc6, 0, 8);
    rig.board.run(50_000);
    assert.equal(rig.board.in(0x1f7), READY);
    const before = rig.irq14.rises;
    rig.command(0x1f0, 0xc4, 100, 20);
    rig.board.run(50_000);
    for (const [start, count] of [
      [100, 8],
      [108, 8],
      [116, 4],
    ]) {
      assert.equal(rig.board.in(0x1f7), REQUEST);
      assert.deepEqual(rig.readWords(0x1f0, count * 256), rig.content.slice(start * 512, (start + count) * 512));
    }
    assert.equal(rig.irq14.rises - before, 3);
    assert.equal(rig.board.in(0x1f7), READY);
  });

  test("WRITE SECTORS takes data at once and interrupts when each sector is written", () => {
    const rig = new IdeRig();
    rig.command(0x1f0, 0x34, 7, 2, 0x40);
    assert.equal(rig.board.in(0x1f7), REQUEST);
    rig.writeWords(0x1f0, new Uint8Array(512).fill(1));
    assert.equal(rig.board.in(0x1f7), 0x80);
    rig.board.run(50_000);
    assert.ok(rig.irq14.level);
    assert.equal(rig.board.in(0x1f7), REQUEST);
    rig.writeWords(0x1f0, new Uint8Array(512).fill(2));
    rig.board.run(50_000);
    assert.equal(rig.board.in(0x1f7), READY);
    const written = new Uint8Array(1024);
    rig.disk.read(7 * 512, written);
    assert.deepEqual([written[0], written[511], written[512], written[1023]], [1, 1, 2, 2]);
  });

  test("addresses outside the disk, bad commands and CHS", () => {
    const rig = new IdeRig();
    const status = (): number[] => {
      rig.board.run(60_000);
      return [rig.board.in(0x1f7), rig.board.in(0x1f1)];
    };
    rig.command(0x1f0, 0x20, SECTORS - 1, 2);
    assert.deepEqual(status(), [0x51, 0x10]);
    rig.command(0x1f0, 0xaa, 0, 1);
    assert.deepEqual(status(), [0x51, 0x04]);
    rig.command(0x1f0, 0xa1, 0, 1);
    assert.deepEqual(status(), [0x51, 0x04]);
    // Cylinder 0, head 1, sector 1 of 16 heads and 63 sectors is LBA 63; sector 0 does not exist.
    rig.command(0x1f0, 0x20, 1, 1, 0xa1);
    rig.board.run(50_000);
    assert.deepEqual(rig.readWords(0x1f0, 256), rig.content.slice(63 * 512, 64 * 512));
    rig.command(0x1f0, 0x20, 0, 1, 0xa0);
    assert.deepEqual(status(), [0x51, 0x10]);
  });

  test("an absent slave: nothing there to find, and no interrupt", () => {
    const rig = new IdeRig();
    rig.command(0x1f0, 0xec, 0, 0, 0xf0);
    rig.board.run(60_000);
    assert.equal(rig.board.in(0x1f7), 0);
    assert.ok(!rig.irq14.level);
  });

  test("software reset gives the signatures", () => {
    const rig = new IdeRig();
    for (const [base, signature] of [
      [0x1f0, [1, 1, 1, 0, 0]],
      [0x170, [1, 1, 1, 0x14, 0xeb]],
    ] as const) {
      rig.board.out(base + 0x206, 4);
      assert.equal(rig.board.in(base + 7), 0x80);
      rig.board.out(base + 0x206, 0);
      assert.deepEqual(
        [1, 2, 3, 4, 5].map((register) => rig.board.in(base + register)),
        signature,
      );
    }
  });

  test("nIEN holds the interrupt back, and clearing it lets it out", () => {
    const rig = new IdeRig();
    rig.board.out(0x3f6, 2);
    rig.command(0x1f0, 0xe5, 0, 0);
    assert.ok(!rig.irq14.level);
    rig.board.out(0x3f6, 0);
    assert.ok(rig.irq14.level);
    assert.equal(rig.board.in(0x1f2), 0xff, "CHECK POWER MODE: active");
  });

  test("ports answer only while the function has them decoded", () => {
    const rig = new IdeRig();
    rig.controller.writeConfig(0x41, 1, 0);
    assert.equal(rig.board.in(0x1f7), 0xff);
    assert.equal(rig.board.in(0x177), 0);
    rig.controller.writeConfig(0x04, 2, 0);
    assert.equal(rig.board.in(0x177), 0xff);
  });
});

describe("bus-master IDE", () => {
  test("READ DMA and WRITE DMA EXT through scattered regions", () => {
    const rig = new IdeRig();
    rig.regions([
      [0x2000, 512],
      [0x8000, 1000],
      [0x4000, 24],
    ]);
    rig.board.out(MASTER + 4, 0x1000, 4);
    rig.command(0x1f0, 0xc8, 10, 3);
    rig.board.run(100_000);
    assert.ok(!rig.irq14.level, "waits for the bus master");
    rig.board.out(MASTER, 9);
    assert.equal(rig.board.in(MASTER + 2), 1);
    rig.board.run(50_000);
    assert.ok(rig.irq14.level);
    assert.equal(rig.board.in(MASTER + 2), 4);
    const { bytes } = rig.board.memory;
    assert.deepEqual(bytes.slice(0x2000, 0x2200), rig.content.slice(5120, 5632));
    assert.deepEqual(bytes.slice(0x8000, 0x83e8), rig.content.slice(5632, 6632));
    assert.deepEqual(bytes.slice(0x4000, 0x4018), rig.content.slice(6632, 6656));
    assert.equal(rig.board.in(0x1f7), READY);
    rig.board.out(MASTER, 0);
    rig.board.out(MASTER + 2, 4);
    assert.equal(rig.board.in(MASTER + 2), 0);

    bytes.fill(0x77, 0x2000, 0x2200);
    rig.command(0x1f0, 0x35, 150, 3, 0x40);
    rig.board.out(MASTER, 1);
    rig.board.run(50_000);
    const written = new Uint8Array(513);
    rig.disk.read(150 * 512, written);
    assert.deepEqual([written[0], written[511], written[512]], [0x77, 0x77, rig.content[5632]]);
  });

  test("a table longer than the data stays active, a shorter one stops without an interrupt", () => {
    const rig = new IdeRig();
    rig.regions([[0x2000, 2048]]);
    rig.board.out(MASTER + 4, 0x1000, 4);
    rig.command(0x1f0, 0xc8, 0, 1);
    rig.board.out(MASTER, 9);
    rig.board.run(50_000);
    assert.equal(rig.board.in(MASTER + 2), 5);
    rig.board.out(MASTER, 0);
    rig.board.out(MASTER + 2, 4);
    rig.board.in(0x1f7);
    rig.command(0x1f0, 0xc8, 0, 8);
    rig.board.out(MASTER, 9);
    rig.board.run(50_000);
    assert.equal(rig.board.in(MASTER + 2), 0);
    assert.ok(!rig.irq14.level);
  });

  test("the wrong direction, or no bus mastering, is an error and moves nothing", () => {
    for (const wrong of [1, 9]) {
      const rig = new IdeRig();
      if (wrong === 9) rig.controller.writeConfig(0x04, 2, 1);
      rig.regions([[0x2000, 512]]);
      rig.board.out(MASTER + 4, 0x1000, 4);
      rig.command(0x1f0, 0xc8, 0, 1);
      rig.board.out(MASTER, wrong);
      rig.board.run(50_000);
      assert.equal(rig.board.in(MASTER + 2) & 3, 2);
      assert.equal(rig.board.in(0x1f7) & 1, 1);
      assert.ok(rig.board.memory.bytes.slice(0x2000, 0x2200).every((byte) => byte === 0));
    }
  });
});

describe("ATAPI CD-ROM", () => {
  const ready = (rig: IdeRig): void => {
    rig.packet([0]);
    assert.equal(rig.board.in(0x177), 0x51, "the first command after a reset says so");
    assert.equal(rig.board.in(0x171), 0x64);
    rig.packet([0x03, 0, 0, 0, 18], 0, 18);
    const sense = rig.readWords(0x170, 9);
    rig.board.run(1);
    assert.equal(sense[0], 0x70);
    rig.packet([0]);
    assert.equal(rig.board.in(0x177), READY);
  };

  test("IDENTIFY DEVICE aborts with the signature; IDENTIFY PACKET DEVICE answers", () => {
    const rig = new IdeRig();
    rig.command(0x170, 0xec, 0, 0);
    assert.equal(rig.board.in(0x177), 0x51);
    assert.deepEqual([rig.board.in(0x174), rig.board.in(0x175)], [0x14, 0xeb]);
    rig.command(0x170, 0xa1, 0, 0);
    rig.board.run(50_000);
    assert.equal(rig.readWords(0x170, 256)[1], 0x85);
    assert.equal(rig.board.in(0x177), READY);
  });

  test("READ (10) by data register, in pieces of the host's limit", () => {
    const rig = new IdeRig();
    ready(rig);
    rig.packet([0x28, 0, 0, 0, 0, 5, 0, 0, 2], 0, 3000);
    assert.equal(rig.board.in(0x177), REQUEST);
    const pieces: number[] = [];
    const data: number[] = [];
    while (rig.board.in(0x177) & 8) {
      assert.equal(rig.board.in(0x172), 2, "to the host");
      const length = rig.board.in(0x174) | (rig.board.in(0x175) << 8);
      pieces.push(length);
      data.push(...rig.readWords(0x170, length / 2));
    }
    assert.deepEqual(pieces, [3000, 1096]);
    assert.deepEqual(Uint8Array.from(data), rig.disc.slice(5 * 2048, 7 * 2048));
    assert.equal(rig.board.in(0x172), 3, "done");
    assert.equal(rig.board.in(0x177), READY);
  });

  test("READ (12) by DMA", () => {
    const rig = new IdeRig();
    ready(rig);
    rig.regions([[0x3000, 4096]]);
    rig.board.out(MASTER + 12, 0x1000, 4);
    rig.packet([0xa8, 0, 0, 0, 0, 1, 0, 0, 0, 2], 1);
    rig.board.out(MASTER + 8, 9);
    rig.board.run(60_000);
    assert.equal(rig.board.in(MASTER + 10) & 7, 4);
    assert.deepEqual(rig.board.memory.bytes.slice(0x3000, 0x4000), rig.disc.slice(2048, 6144));
    assert.equal(rig.board.in(0x177), READY);
  });

  test("capacity, TOC, and what is out of range or unknown", () => {
    const rig = new IdeRig();
    ready(rig);
    rig.packet([0x25], 0, 8);
    assert.deepEqual([...rig.readWords(0x170, 4)], [0, 0, 0, CD_SECTORS - 1, 0, 0, 8, 0]);
    rig.packet([0x43, 0, 0, 0, 0, 0, 0, 0, 20], 0, 20);
    const toc = rig.readWords(0x170, 10);
    assert.deepEqual([...toc.slice(0, 4), toc[14], toc[19]], [0, 18, 1, 1, 0xaa, CD_SECTORS]);
    rig.packet([0x28, 0, 0, 0, 0, CD_SECTORS, 0, 0, 1]);
    assert.deepEqual([rig.board.in(0x177), rig.board.in(0x171)], [0x51, 0x54]);
    rig.packet([0x03, 0, 0, 0, 18], 0, 18);
    const sense = rig.readWords(0x170, 9);
    assert.deepEqual([sense[2], sense[12]], [5, 0x21]);
    rig.packet([0xff]);
    assert.deepEqual([rig.board.in(0x177), rig.board.in(0x171)], [0x51, 0x54]);
  });
});

describe("IDE in general", () => {
  const bench = (): Bench => {
    const rig = new IdeRig();
    const log: string[] = [];
    const { board, controller, disk } = rig;
    const device = {
      name: "ide with its disk",
      reset: () => controller.reset(),
      save: () => ({ controller: controller.save(), disk: disk.save() }),
      restore: (state: unknown) => {
        const saved = state as { controller: ReturnType<typeof controller.save>; disk: ReturnType<typeof disk.save> };
        controller.restore(saved.controller);
        disk.restore(saved.disk);
      },
      registers: () => controller.registers(),
    };
    return { board, device, log };
  };
  const exercise = {
    ports: [
      [0x1f0, 8],
      [0x170, 8],
      [0x1f0, 8],
      [0x3f6, 1],
      [0x376, 1],
      [MASTER, 16],
    ],
    pause: 100_000,
    other: ({ board }: Bench, random: (below: number) => number) => {
      // Commands that do something, now and then.
      const base = random(2) ? 0x1f0 : 0x170;
      for (const register of [2, 3, 4, 5]) board.out(base + register, random(4));
      board.out(base + 6, 0xe0);
      board.out(base + 7, [0x20, 0x30, 0xc4, 0xc8, 0xca, 0xec, 0xa0, 0xa1][random(8)]);
    },
  } as const;

  test("survives garbage", () => fuzz(bench, exercise, 3, 2_000_000));
  test("goes on the same after save and restore", () => continuation(bench, exercise, 4));
});
