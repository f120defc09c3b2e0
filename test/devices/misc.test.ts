import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { UserError } from "../../src/common/errors";
import { initializeAsFirmware } from "../../src/devices/firmwareInit";
import { FW_CFG_CPU_COUNT, FwCfg } from "../../src/devices/fwCfg";
import { Pic } from "../../src/devices/pic";
import { Pit } from "../../src/devices/pit";
import { ResetControl } from "../../src/devices/reset";
import { StateReader } from "../../src/devices/stateReader";
import { TestDevice } from "../../src/devices/testdev";
import { Vga } from "../../src/devices/vga/vga";
import { type Bench, continuation, type Exercise, fuzz, Probe, TestBoard } from "./testBoard";

function fwCfg(): { board: TestBoard; device: FwCfg } {
  const board = new TestBoard();
  const device = new FwCfg(board.context);
  device.addNumber(FW_CFG_CPU_COUNT, 4, 2);
  device.addFile("opt/zeta", new TextEncoder().encode("zeta!"));
  device.addFile("etc/alpha", Uint8Array.of(1, 2, 3));
  return { board, device };
}

describe("fw_cfg", () => {
  const bytes = (board: TestBoard, key: number, count: number): number[] => {
    board.out(0x510, key, 2);
    return Array.from({ length: count }, () => board.in(0x511));
  };

  test("signature, features, numbers, files and their directory; zeros past the end", () => {
    const { board } = fwCfg();
    assert.equal(String.fromCharCode(...bytes(board, 0, 4)), "QEMU");
    assert.deepEqual(bytes(board, 1, 4), [3, 0, 0, 0]);
    assert.deepEqual(bytes(board, 5, 4), [4, 0, 0, 0]);
    assert.deepEqual(bytes(board, 0x7777, 2), [0, 0]);
    const directory = Uint8Array.from(bytes(board, 0x19, 4 + 2 * 64));
    const view = new DataView(directory.buffer);
    assert.equal(view.getUint32(0), 2);
    const name = (at: number): string => new TextDecoder().decode(directory.slice(at + 8, at + 64)).replace(/\0+$/, "");
    assert.deepEqual([name(4), name(68)], ["etc/alpha", "opt/zeta"]);
    assert.deepEqual([view.getUint32(68), view.getUint16(72)], [5, 0x20]);
    assert.equal(String.fromCharCode(...bytes(board, 0x20, 5)), "zeta!");
  });

  test("DMA: select, read, skip, and an error for writing or absurd lengths", () => {
    const { board } = fwCfg();
    assert.equal(board.in(0x514, 4), 0x554d4551);
    const view = new DataView(board.memory.bytes.buffer);
    const transfer = (control: number, length: number, target: bigint): number => {
      view.setUint32(0x1000, control);
      view.setUint32(0x1004, length);
      view.setBigUint64(0x1008, target);
      board.out(0x514, 0, 4);
      board.out(0x518, 0x00100000, 4);
      return view.getUint32(0x1000);
    };
    board.memory.bytes.fill(0xcc, 0x2000, 0x2010);
    assert.equal(transfer((0x20 << 16) | 0x0a, 8, 0x2000n), 0);
    assert.deepEqual([...board.memory.bytes.slice(0x2000, 0x2009)], [...new TextEncoder().encode("zeta!"), 0, 0, 0, 0xcc]);
    assert.equal(transfer((0x20 << 16) | 0x08, 0, 0n), 0);
    assert.equal(transfer(0x04, 2, 0n), 0);
    assert.equal(transfer(0x02, 1, 0x2000n), 0);
    assert.equal(board.memory.bytes[0x2000], 0x74);
    assert.equal(transfer(0x10, 1, 0x2000n), 1);
    assert.equal(transfer(0x02, 0xffffffff, 0n), 1);
    assert.equal(transfer(0x02, 4, 0xffffffffffffff00n), 1);
    board.out(0x514, 0xffffffff, 4);
    board.out(0x518, 0xffffffff, 4);
  });
});

describe("PC test device", () => {
  test("latch, interrupt lines, device memory", () => {
    const board = new TestBoard();
    const probes = Array.from({ length: 24 }, () => new Probe());
    const device = new TestDevice(
      board.context,
      probes.map((probe) => probe.line),
    );
    board.out(0xe0, 0x12345678, 4);
    assert.equal(board.in(0xe0, 4), 0x12345678);
    assert.equal(board.in(0xe1, 2), 0x3456);
    board.out(0xe0, 0xab);
    assert.equal(board.in(0xe0, 4), 0x123456ab);
    board.out(0xe4, 0x1000, 4);
    board.out(0x200e, 1);
    assert.ok(probes[14].level);
    board.out(0x2017, 0x100, 4);
    assert.ok(!probes[23].level, "a wide access over the end is split");
    board.out(0x200e, 0, 4);
    assert.ok(!probes[14].level);
    board.mmio.write(0xff000010, 8, 0x1122334455667788n, 0);
    assert.equal(board.mmio.read(0xff000012, 4, 0), 0x33445566n);
    device.reset();
    assert.equal(board.mmio.read(0xff000010, 8, 0), 0n);
  });
});

describe("VGA text registers", () => {
  test("indexed registers, attribute flip-flop, palette, cursor", () => {
    const board = new TestBoard();
    const device = new Vga(board.context);
    board.out(0x3d4, 0x120e, 2);
    board.out(0x3d4, 0x340f, 2);
    assert.equal(device.cursor().cell, 0x1234);
    assert.equal(board.in(0x3d5), 0x34);
    board.out(0x3d4, 0x5500, 2);
    assert.equal(board.in(0x3d5), 0x5f, "protected");
    board.in(0x3da);
    board.out(0x3c0, 0x10);
    board.out(0x3c0, 0x0c);
    board.out(0x3c0, 0x20);
    board.in(0x3da);
    board.out(0x3c0, 0x10);
    assert.equal(board.in(0x3c1), 0x0c);
    board.out(0x3c8, 5);
    for (const value of [1, 2, 63]) board.out(0x3c9, value);
    board.out(0x3c7, 5);
    assert.deepEqual([board.in(0x3c9), board.in(0x3c9), board.in(0x3c9)], [1, 2, 63]);
    board.out(0x3c2, 0x63);
    assert.equal(board.in(0x3cc), 0x63);
  });

  test("retrace follows virtual time", () => {
    const board = new TestBoard();
    new Vga(board.context);
    assert.equal(board.in(0x3da), 0x00);
    board.time = 31_778 * 10 + 26_000;
    assert.equal(board.in(0x3da), 0x01);
    board.time = 31_778 * 412;
    assert.equal(board.in(0x3da), 0x09);
    board.time = 31_778 * 449;
    assert.equal(board.in(0x3da), 0x00);
  });
});

test("the board as firmware leaves it", () => {
  const board = new TestBoard();
  const pic = new Pic(board.context, { intr: () => undefined });
  new Pit(board.context, (level) => pic.setIrq(0, level));
  new ResetControl(board.context, () => undefined);
  initializeAsFirmware(board.ports);
  assert.equal(board.in(0x21), 0xff);
  assert.equal(board.in(0xa1), 0xff);
  board.run(60_000_000);
  assert.equal(board.in(0x20) & 1, 1, "the timer ticks");
  board.out(0x21, 0xfe);
  assert.equal(pic.acknowledge(), 0x08);
});

test("a damaged state is the user's error and names the owner and field", () => {
  const broken = (): void => void new StateReader({ tick: "x" }, "pit").number("tick");
  assert.throws(broken, (error) => error instanceof UserError && error.message.includes("pit") && error.message.includes("tick"));
  assert.throws(() => new StateReader(null, "pit"), UserError);
  assert.throws(() => new StateReader({ b: new Uint8Array(3) }, "pit").bytes("b", 4), UserError);
});

const benches: Record<string, { build: () => Bench; exercise: Exercise; limit?: number }> = {
  fw_cfg: {
    build: () => ({ ...fwCfg(), log: [] }),
    exercise: {
      ports: [
        [0x510, 2],
        [0x514, 8],
      ],
      other: ({ board }, random) => {
        const view = new DataView(board.memory.bytes.buffer);
        view.setUint32(0x1000, (random(0x24) << 16) | random(32));
        view.setUint32(0x1004, random(2) ? random(16) : random(0x20000));
        view.setBigUint64(0x1008, BigInt(random(0x110000)));
        board.out(0x518, 0x00100000, 4);
      },
    },
  },
  "PC test device": {
    build: () => {
      const board = new TestBoard();
      const log: string[] = [];
      const lines = Array.from({ length: 24 }, (_, line) => (level: boolean) => void log.push(`line ${line} ${level}`));
      return { board, log, device: new TestDevice(board.context, lines) };
    },
    exercise: {
      ports: [
        [0xe0, 12],
        [0x2000, 24],
      ],
      mmio: [[0xff000000, 0x10000]],
    },
    limit: 400_000,
  },
  "VGA text registers": {
    build: () => {
      const board = new TestBoard();
      return { board, log: [], device: new Vga(board.context) };
    },
    exercise: {
      ports: [
        [0x3c0, 16],
        [0x3d4, 2],
        [0x3da, 1],
      ],
    },
  },
};

for (const [name, { build, exercise, limit }] of Object.entries(benches)) {
  test(`${name}: random use`, () => fuzz(build, exercise, name.length, limit));
  test(`${name}: save and restore continue`, () => continuation(build, exercise, name.length));
}
