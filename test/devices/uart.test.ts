import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Uart, type UartOptions } from "../../src/devices/uart";
import { type Bench, continuation, type Exercise, fuzz, Probe, TestBoard } from "./testBoard";

const BASE = 0x3f8;

function rig(options: Partial<UartOptions> = {}): { board: TestBoard; uart: Uart; irq: Probe; sent: number[] } {
  const board = new TestBoard();
  const irq = new Probe();
  const sent: number[] = [];
  const uart = new Uart(board.context, { name: "uart0", port: BASE, irq: irq.line, output: (byte) => sent.push(byte), ...options });
  board.out(BASE + 3, 0x03);
  return { board, uart, irq, sent };
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe("16550A", () => {
  test("sends at once on the fast line, with an edge for each empty transmitter", () => {
    const { board, irq, sent } = rig();
    board.out(BASE, 0x41);
    assert.deepEqual(sent, [0x41]);
    assert.equal(board.in(BASE + 5), 0x60);
    board.out(BASE + 1, 0x02);
    assert.equal(irq.rises, 1, "enabling the interrupt with an empty transmitter requests");
    assert.equal(board.in(BASE + 2), 0x02);
    assert.ok(!irq.level, "reading IIR clears it");
    board.out(BASE, 0x42);
    board.out(BASE, 0x43);
    assert.equal(irq.rises, 3);
    assert.deepEqual(sent, [0x41, 0x42, 0x43]);
  });

  test("sends at line speed on the exact line", () => {
    const { board, sent } = rig({ timing: "exact" });
    board.out(BASE + 3, 0x83);
    board.out(BASE, 1);
    board.out(BASE + 1, 0);
    board.out(BASE + 3, 0x03);
    board.out(BASE + 2, 0x01);
    board.out(BASE, 0x61);
    board.out(BASE, 0x62);
    assert.equal(board.in(BASE + 5), 0x00);
    const character = Math.ceil((10 * 1e9) / 115_200);
    board.run(character - 1);
    assert.deepEqual(sent, []);
    board.run(1);
    assert.deepEqual(sent, [0x61]);
    assert.equal(board.in(BASE + 5), 0x20, "the second is in the shift register");
    board.run(character);
    assert.equal(board.in(BASE + 5), 0x60);
    assert.deepEqual(sent, [0x61, 0x62]);
  });

  test("receives without FIFO a character at a time, each with its own edge", () => {
    const { board, uart, irq } = rig();
    board.out(BASE + 1, 0x01);
    assert.equal(uart.receive(bytes("abc")), 3);
    board.run(1000);
    assert.equal(irq.rises, 1);
    board.run(1_000_000);
    assert.equal(irq.rises, 1);
    assert.equal(board.in(BASE + 2), 0x04);
    let text = "";
    for (let index = 0; index < 3; index++) {
      assert.equal(board.in(BASE + 5) & 1, 1);
      text += String.fromCharCode(board.in(BASE));
      assert.ok(!irq.level);
      board.run(1000);
    }
    assert.equal(text, "abc");
    assert.equal(irq.rises, 3);
    assert.equal(board.in(BASE + 5), 0x60);
  });

  test("FIFO trigger levels and character timeout", () => {
    const { board, uart, irq } = rig();
    board.out(BASE + 2, 0x87);
    board.out(BASE + 1, 0x01);
    uart.receive(bytes("0123456"));
    board.run(7000);
    assert.equal(irq.rises, 0);
    assert.equal(board.in(BASE + 2), 0xc1);
    board.run(4000);
    assert.equal(board.in(BASE + 2), 0xcc, "four character times later: timeout");
    assert.ok(irq.level);
    board.in(BASE);
    assert.ok(!irq.level);
    uart.receive(bytes("78"));
    board.run(2000);
    assert.equal(board.in(BASE + 2), 0xc4);
  });

  test("never overruns: the line waits while the FIFO is full, and the host's queue is bounded", () => {
    const { board, uart } = rig();
    board.out(BASE + 2, 0x01);
    assert.equal(uart.receive(new Uint8Array(0x10005).fill(0x55)), 0x10000);
    assert.equal(uart.inputSpace, 0);
    board.run(1_000_000);
    assert.equal(board.in(BASE + 5), 0x61);
    assert.equal(uart.inputSpace, 16);
    for (let index = 0; index < 16; index++) board.in(BASE);
    assert.equal(board.in(BASE + 5) & 1, 0);
    board.run(16_000);
    assert.equal(uart.inputSpace, 32);
  });

  test("loopback wires transmitter and modem lines together and overruns", () => {
    const { board, sent, irq } = rig();
    board.out(BASE + 2, 0x01);
    board.out(BASE + 4, 0x1f);
    assert.equal(board.in(BASE + 6), 0xf0);
    board.out(BASE + 4, 0x10);
    assert.equal(board.in(BASE + 6), 0x0f, "all lines dropped: four deltas");
    assert.equal(board.in(BASE + 6), 0x00);
    board.out(BASE + 1, 0x0c);
    board.out(BASE + 4, 0x12);
    assert.equal(board.in(BASE + 2), 0xc0, "modem status");
    for (let index = 0; index < 17; index++) board.out(BASE, index);
    assert.equal(board.in(BASE + 2), 0xc6, "line status comes first");
    assert.equal(board.in(BASE + 5), 0x63);
    assert.equal(board.in(BASE + 5), 0x61);
    assert.ok(irq.level);
    assert.deepEqual(
      Array.from({ length: 16 }, () => board.in(BASE)),
      Array.from({ length: 16 }, (_, index) => index),
    );
    assert.deepEqual(sent, []);
    board.out(BASE + 3, 0x43);
    assert.equal(board.in(BASE + 5), 0xf1, "break arrives as a zero with its error");
    assert.equal(board.in(BASE + 5), 0x61);
    assert.equal(board.in(BASE), 0);
  });

  test("scratch, divisor latch, interrupt enable and FIFO bits read back; a terminal is attached", () => {
    const { board } = rig();
    board.out(BASE + 7, 0xa5);
    assert.equal(board.in(BASE + 7), 0xa5);
    board.out(BASE + 3, 0x83);
    board.out(BASE, 0x34);
    board.out(BASE + 1, 0x12);
    assert.equal(board.in(BASE, 2), 0x1234);
    board.out(BASE + 3, 0x03);
    board.out(BASE + 1, 0xff);
    assert.equal(board.in(BASE + 1), 0x0f);
    assert.equal(board.in(BASE + 2) & 0xc0, 0);
    board.out(BASE + 2, 0x01);
    assert.equal(board.in(BASE + 2) & 0xc0, 0xc0);
    assert.equal(board.in(BASE + 6), 0xb0);
  });

  test("OUT2 gates the interrupt where the board says so", () => {
    const { board, irq } = rig({ out2GatesIrq: true });
    board.out(BASE + 1, 0x02);
    assert.ok(!irq.level);
    board.out(BASE + 4, 0x08);
    assert.ok(irq.level);
  });
});

const exercise: Exercise = {
  ports: [[BASE, 8]],
  pause: 300_000,
  other: (bench, random) => {
    bench.log.push(`took ${(bench.device as Uart).receive(new Uint8Array(random(40)).fill(random(256)))}`);
  },
};

function bench(timing: "fast" | "exact"): () => Bench {
  return () => {
    const board = new TestBoard();
    const log: string[] = [];
    const device = new Uart(board.context, {
      name: "uart0",
      port: BASE,
      timing,
      irq: (level) => log.push(`irq ${level} ${board.time}`),
      output: (byte) => log.push(`sent ${byte} ${board.time}`),
    });
    return { board, log, device };
  };
}

test("16550A: random use", () => {
  fuzz(bench("fast"), exercise, 16550);
  fuzz(bench("exact"), exercise, 16551);
});
test("16550A: save and restore continue", () => {
  continuation(bench("fast"), exercise, 16550);
  continuation(bench("exact"), exercise, 16551);
});
