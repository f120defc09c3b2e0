import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { UserError } from "../../src/common/errors";
import type { Device } from "../../src/devices/device";
import { PcBoard } from "../../src/devices/pcBoard";
import { type Bench, continuation, type Exercise, fuzz, TestBoard } from "./testBoard";

interface Rig {
  board: TestBoard;
  pc: PcBoard;
  log: string[];
}

function rig(devices: readonly string[] = ["testdev", "msi-test"]): Rig {
  const board = new TestBoard();
  const log: string[] = [];
  const note = (text: string): void => void log.push(text);
  const pc = new PcBoard(
    board.context,
    { cpus: 4, memoryBelow4G: 64 << 20, memoryAbove4G: 0, devices },
    {
      intr: (level) => note(`intr ${level}`),
      ioApicPin: (pin, level) => note(`pin ${pin} ${level}`),
      serial: (port, byte) => note(`serial ${port} ${byte}`),
      console: (bytes) => note(`virtio console ${bytes.join(" ")}`),
      debugConsole: (byte) => note(`console ${byte}`),
      exit: (status) => note(`exit ${status}`),
      powerOff: () => note("power off"),
      reset: () => note("reset"),
      a20: (enabled) => note(`a20 ${enabled}`),
      nmiMask: (masked) => note(`nmi mask ${masked}`),
    },
  );
  pc.reset();
  log.length = 0;
  return { board, pc, log };
}

describe("the board", () => {
  test("device names are unique, and an unknown optional device is refused by name", () => {
    const { pc } = rig();
    assert.equal(new Set(pc.devices.map((device) => device.name)).size, pc.devices.length);
    assert.throws(
      () => rig(["floppy"]),
      (error) => error instanceof UserError && error.message.includes("floppy") && error.subject === "devices",
    );
  });

  test("the timer's interrupt arrives at the 8259 and at pin 2; serial at pin 4", () => {
    const { board, pc, log } = rig();
    pc.initializeAsFirmware(board.ports);
    board.out(0x21, 0xfe);
    assert.ok(log.includes("pin 2 true"));
    assert.ok(log.includes("intr true"));
    assert.equal(pc.pic.acknowledge(), 0x08);
    log.length = 0;
    board.out(0x3f9, 0x02);
    board.out(0x3f8, 0x41);
    assert.deepEqual(log, ["pin 4 true", "pin 4 false", "serial 0 65", "pin 4 true"]);
  });

  test("carved and neighbouring ports reach their owners", () => {
    const { board, pc, log } = rig();
    board.out(0xcf8, 0x80000000, 4);
    assert.equal(board.in(0xcfc, 4), 0x12378086);
    pc.powerManagement.enable();
    board.out(0xcf9, 0x06);
    board.out(0xe9, 0x21);
    board.out(0xe8, 0x55);
    assert.equal(board.in(0xe8), 0x55);
    board.out(0x604, 0x2000, 2);
    board.out(0xf4, 0x00);
    board.out(0x64, 0xfe);
    board.out(0x2009, 1);
    assert.deepEqual(log, ["reset", "console 33", "power off", "exit 1", "reset", "intr true", "pin 9 true"]);
  });

  test("guests find their CPU count and the MSI function", () => {
    const { board, pc } = rig();
    pc.initializeAsFirmware(board.ports);
    board.out(0x510, 5, 2);
    assert.equal(board.in(0x511), 4);
    board.out(0xcf8, 0x80001810, 4);
    assert.equal(board.in(0xcfc, 4), 0xc0000000);
    assert.equal(board.mmio.find(0xc0000000)?.name, "msi-test.bar0");
  });
});

const exercise: Exercise = {
  ports: [
    [0x00, 0x100],
    [0x20, 0xc0],
    [0x2f8, 8],
    [0x3c0, 0x40],
    [0x4d0, 2],
    [0x510, 16],
    [0x600, 0x24],
    [0xcf8, 8],
    [0x2000, 24],
    [0x00, 0x10000],
  ],
  mmio: [
    [0xc0000000, 0x1000],
    [0xff000000, 0x100],
  ],
  pause: 100_000,
};

function bench(): Bench {
  const { board, pc, log } = rig();
  const device: Device = {
    name: "board",
    reset: () => pc.reset(),
    save: () => pc.save(),
    restore: (state) => pc.restore(state),
    registers: () => pc.devices.flatMap((part) => part.registers()),
  };
  return { board, log, device };
}

test("the board: random use", () => fuzz(bench, exercise, 0xb0a2d, 500_000));
test("the board: save and restore continue", () => continuation(bench, exercise, 0xb0a2d));
