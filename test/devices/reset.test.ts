import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { DebugConsole, DebugExit, PostCode } from "../../src/devices/debugPorts";
import { KeyboardController } from "../../src/devices/keyboardController";
import { ResetControl } from "../../src/devices/reset";
import { type Bench, continuation, fuzz, Probe, TestBoard } from "./testBoard";

function rig(): { board: TestBoard; control: ResetControl; kbc: KeyboardController; irq: Probe; log: string[] } {
  const board = new TestBoard();
  const log: string[] = [];
  const irq = new Probe();
  const requestReset = (): void => void log.push("reset");
  const control = new ResetControl(board.context, requestReset, (on) => log.push(`a20 ${on}`));
  const kbc = new KeyboardController(board.context, {
    irq: irq.line,
    mouseIrq: () => undefined,
    a20: control.a20,
    requestReset,
  });
  return { board, control, kbc, irq, log };
}

describe("reset", () => {
  test("0xCF9 resets on a rising RST_CPU", () => {
    const { board, log } = rig();
    board.out(0xcf9, 0x02);
    assert.deepEqual(log, []);
    board.out(0xcf9, 0x06);
    assert.deepEqual(log, ["reset"]);
    assert.equal(board.in(0xcf9), 0x06);
    board.out(0xcf9, 0x0e);
    assert.deepEqual(log, ["reset"]);
  });

  test("port 0x92 drives A20 and resets on a rising bit 0", () => {
    const { board, log } = rig();
    assert.equal(board.in(0x92), 0x02);
    board.out(0x92, 0x00);
    board.out(0x92, 0x02);
    board.out(0x92, 0x03);
    board.out(0x92, 0x03);
    assert.deepEqual(log, ["a20 false", "a20 true", "reset"]);
  });
});

describe("8042", () => {
  test("self test, interface test, command byte and RAM", () => {
    const { board } = rig();
    assert.equal(board.in(0x64) & 1, 0);
    board.out(0x64, 0xaa);
    assert.equal(board.in(0x64) & 0x0d, 0x0d);
    assert.equal(board.in(0x60), 0x55);
    assert.equal(board.in(0x64) & 0x05, 0x04);
    board.out(0x64, 0xab);
    assert.equal(board.in(0x60), 0x00);
    board.out(0x64, 0x60);
    board.out(0x60, 0x47);
    board.out(0x64, 0x20);
    assert.equal(board.in(0x60), 0x47);
    board.out(0x64, 0xad);
    board.out(0x64, 0x20);
    assert.equal(board.in(0x60), 0x57);
    board.out(0x64, 0x65);
    board.out(0x60, 0x99);
    board.out(0x64, 0x25);
    assert.equal(board.in(0x60), 0x99);
  });

  test("A20 by output port and commands, shared with port 0x92; reset by pulse and output port", () => {
    const { board, log } = rig();
    board.out(0x64, 0xd1);
    board.out(0x60, 0xdd);
    assert.equal(board.in(0x92) & 2, 0);
    board.out(0x64, 0xd0);
    assert.equal(board.in(0x60) & 0x03, 0x01);
    board.out(0x92, 0x02);
    board.out(0x64, 0xd0);
    assert.equal(board.in(0x60) & 0x03, 0x03);
    board.out(0x64, 0xdd);
    board.out(0x64, 0xdf);
    board.out(0x64, 0xff);
    board.out(0x64, 0xfe);
    board.out(0x64, 0xd1);
    board.out(0x60, 0x02);
    assert.deepEqual(log, ["a20 false", "a20 true", "a20 false", "a20 true", "reset", "reset"]);
  });
});

describe("debugging ports", () => {
  test("exit status, console bytes, POST code", () => {
    const board = new TestBoard();
    const log: string[] = [];
    new DebugExit(board.context, (status) => log.push(`exit ${status}`));
    new DebugConsole(board.context, (byte) => log.push(`byte ${byte}`));
    const post = new PostCode(board.context);
    board.out(0xf4, 0x10);
    board.out(0xf4, 0x80000000, 4);
    board.out(0xe9, 0x41);
    board.out(0x402, 0x42);
    assert.deepEqual(log, ["exit 33", "exit 1", "byte 65", "byte 66"]);
    assert.equal(board.in(0xe9), 0xe9);
    assert.equal(board.in(0x402), 0xe9);
    board.out(0x80, 0xc3);
    assert.equal(board.in(0x80), 0xc3);
    assert.equal(post.code, 0xc3);
    const again = new PostCode(new TestBoard().context);
    again.restore(post.save());
    assert.equal(again.code, 0xc3);
  });
});

function resetBench(): Bench {
  const board = new TestBoard();
  const log: string[] = [];
  const device = new ResetControl(
    board.context,
    () => log.push("reset"),
    (on) => log.push(`a20 ${on}`),
  );
  return { board, log, device };
}

function kbcBench(): Bench {
  const board = new TestBoard();
  const log: string[] = [];
  const device = new KeyboardController(board.context, {
    irq: (level) => log.push(`irq ${level}`),
    mouseIrq: (level) => log.push(`mouse irq ${level}`),
    a20: { enabled: true, set: (on) => log.push(`a20 ${on}`) },
    requestReset: () => log.push("reset"),
  });
  return { board, log, device };
}

const resetPorts = {
  ports: [
    [0xcf9, 1],
    [0x92, 1],
  ],
} as const;
const kbcPorts = {
  ports: [
    [0x60, 1],
    [0x64, 1],
  ],
} as const;

test("reset control: random use", () => fuzz(resetBench, resetPorts, 92));
test("reset control: save and restore continue", () => continuation(resetBench, resetPorts, 92));
test("8042: random use", () => fuzz(kbcBench, kbcPorts, 8042));
test("8042: save and restore continue", () => continuation(kbcBench, kbcPorts, 8042));
