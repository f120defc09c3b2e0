import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { DisplayAdapter } from "../../src/devices/vga/displayAdapter";
import { ScreenRenderer } from "../../src/devices/vga/screen";
import { snapshotOf, textLines } from "../../src/devices/vga/snapshot";
import { Vga } from "../../src/devices/vga/vga";
import { TestBoard } from "./testBoard";

const MEMORY = 0x100000;

interface Rig {
  readonly board: TestBoard;
  readonly vga: Vga;
  readonly display: DisplayAdapter;
  readonly bytes: Uint8Array;
  readonly touched: [number, number][];
  readonly set: (index: number, value: number) => void;
  readonly get: (index: number) => number;
}

function rig(): Rig {
  const board = new TestBoard();
  const bytes = new Uint8Array(MEMORY);
  const touched: [number, number][] = [];
  const vga = new Vga(board.context);
  const display = new DisplayAdapter(board.context, { bytes, touch: (offset, length) => touched.push([offset, length]) }, vga);
  display.reset();
  display.writeConfig(0x10, 4, 0xe0000000);
  display.writeConfig(0x18, 4, 0xe1000000);
  display.writeConfig(0x04, 2, 3);
  return {
    board,
    vga,
    display,
    bytes,
    touched,
    set: (index, value) => {
      board.out(0x1ce, index, 2);
      board.out(0x1cf, value, 2);
    },
    get: (index) => {
      board.out(0x1ce, index, 2);
      return board.in(0x1cf, 2);
    },
  };
}

const pixel = (image: { width: number; pixels: Uint8ClampedArray }, x: number, y: number): number[] => [
  ...image.pixels.subarray((y * image.width + x) * 4, (y * image.width + x) * 4 + 4),
];

describe("display adapter", () => {
  test("identity, capabilities, the registers in BAR 2 as well", () => {
    const { board, display, get, set } = rig();
    assert.equal(display.readConfig(0, 4), 0x11111234);
    assert.equal(display.readConfig(8, 4) >>> 8, 0x030000);
    assert.equal(get(0), 0xb0c5);
    assert.equal(get(10), MEMORY / 0x10000);
    set(4, 2);
    assert.deepEqual([get(1), get(2), get(3)], [2560, 1600, 32]);
    set(4, 0);
    board.mmio.write(0xe1000502, 2, 320n, 0);
    assert.equal(get(1), 320);
    assert.equal(board.mmio.read(0xe1000500, 2, 0), 0xb0c5n);
    // VGA registers: the CRTC's index and data.
    board.mmio.write(0xe1000414, 1, 0x0fn, 0);
    board.mmio.write(0xe1000415, 1, 0x77n, 0);
    board.out(0x3d4, 0x0f);
    assert.equal(board.in(0x3d5), 0x77);
  });

  test("a mode clears the frame buffer unless told to keep it, and fits the memory", () => {
    const { bytes, display, get, set, touched } = rig();
    bytes[5] = 9;
    set(1, 640);
    set(2, 480);
    set(3, 32);
    set(4, 0xc1);
    assert.equal(bytes[5], 9);
    assert.deepEqual(display.mode, { width: 640, height: 409, depth: 32, stride: 2560, start: 0 }, "as many lines as there is memory for");
    assert.equal(get(7), 409);
    set(4, 0);
    assert.equal(display.mode, undefined);
    set(3, 8);
    set(4, 0x41);
    assert.equal(bytes[5], 0);
    assert.deepEqual(touched, [[0, MEMORY]]);
    set(6, 1024);
    set(9, 100);
    set(8, 16);
    assert.deepEqual(display.mode, { width: 640, height: 480, depth: 8, stride: 1024, start: 102416 });
    set(9, 0xffff);
    assert.equal(display.mode, undefined, "an offset past the memory shows nothing");
  });

  test("pixels of every depth, and which rows changed", () => {
    const { board, display, bytes, set, vga } = rig();
    const renderer = new ScreenRenderer();
    const shown = (depth: number, first: number[]): number[] => {
      set(4, 0);
      set(1, 16);
      set(2, 4);
      set(3, depth);
      set(4, 0x41);
      bytes.set(first);
      const { mode } = display;
      assert.ok(mode !== undefined);
      return pixel(renderer.draw({ kind: "frame", mode, memory: bytes, colours: vga.colours }), 0, 0);
    };
    assert.deepEqual(shown(32, [1, 2, 3, 0]), [3, 2, 1, 255]);
    assert.deepEqual(shown(24, [1, 2, 3]), [3, 2, 1, 255]);
    assert.deepEqual(shown(16, [0x1f, 0xf8]), [255, 0, 255, 255]);
    assert.deepEqual(shown(15, [0xe0, 0x03]), [0, 255, 0, 255]);
    board.out(0x3c8, 7);
    for (const part of [63, 32, 0]) board.out(0x3c9, part);
    assert.deepEqual(shown(8, [7]), [255, 130, 0, 255]);
    const { mode } = display;
    assert.ok(mode !== undefined);
    const again = (): readonly [number, number] | undefined =>
      renderer.draw({ kind: "frame", mode, memory: bytes, colours: vga.colours }).changed;
    assert.equal(again(), undefined);
    bytes[16 * 2 + 3] = 7;
    assert.deepEqual(again(), [2, 2]);
  });
});

test("text: glyphs in their colours, the cursor, the start address", () => {
  const board = new TestBoard();
  const vga = new Vga(board.context);
  const memory = new Uint8Array(0x8000);
  memory.set([0x20, 0x1f, 0xdb, 0x04], 160);
  board.out(0x3d4, 0x0d);
  board.out(0x3d5, 80);
  board.out(0x3d4, 0x0f);
  board.out(0x3d5, 83);
  const screen = vga.textScreen(memory);
  assert.deepEqual([screen.columns, screen.rows, screen.cursor], [80, 25, 3]);
  const image = new ScreenRenderer().draw(screen);
  assert.deepEqual([image.width, image.height], [640, 400]);
  assert.deepEqual(pixel(image, 0, 0), [0, 0, 0xaa, 255], "a blank on blue");
  assert.deepEqual(pixel(image, 8, 0), [0xaa, 0, 0, 255], "a red block");
  assert.deepEqual(image.changed, [0, 399]);
});

test("snapshots of the screen are copies", () => {
  const vga = new Vga(new TestBoard().context);
  const memory = new Uint8Array(0x8000);
  memory.set([0x48, 7, 0x80, 7, 0xb3, 7]);
  const text = snapshotOf(vga.textScreen(memory));
  memory.fill(0);
  assert.ok(text.kind === "text");
  assert.deepEqual([text.columns, text.rows, text.cursor, text.colours.length], [80, 25, 0, 16]);
  const lines = textLines(text);
  assert.deepEqual([lines.length, lines[0].length, lines[0].trimEnd(), lines[24].trim()], [25, 80, "H\u00c7\u2502", ""]);
  const frame = new Uint8Array(64 * 32 * 4);
  frame.set([1, 2, 3]);
  const mode = { width: 64, height: 32, depth: 32, stride: 256, start: 0 } as const;
  const pixels = snapshotOf({ kind: "frame", mode, memory: frame, colours: new Uint32Array(256) });
  frame.fill(0);
  assert.ok(pixels.kind === "pixels");
  assert.deepEqual([pixels.width, pixels.height, pixels.stride, pixels.depth, pixels.pixels.length], [64, 32, 256, 32, 8192]);
  assert.deepEqual([...pixels.pixels.subarray(0, 8)], [3, 2, 1, 255, 0, 0, 0, 255]);
});
