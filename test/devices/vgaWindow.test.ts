import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Vga } from "../../src/devices/vga/vga";
import { VgaWindow } from "../../src/devices/vga/window";
import { TestBoard } from "./testBoard";

interface Rig {
  readonly window: VgaWindow;
  readonly bytes: Uint8Array;
  /** Sets register `index` of the sequencer or the graphics controller. */
  readonly sequencer: (index: number, value: number) => void;
  readonly graphics: (index: number, value: number) => void;
  readonly write: (offset: number, value: number) => void;
  readonly read: (offset: number) => number;
  /** The four planes' bytes at an address. */
  readonly planes: (address: number) => number[];
  bank: number | undefined;
}

/** A window with planes one after the other, as graphics modes of 16 colours have them. */
function rig(): Rig {
  const board = new TestBoard();
  const vga = new Vga(board.context);
  const bytes = new Uint8Array(0x100000);
  const set = (port: number) => (index: number, value: number) => {
    board.out(port, index);
    board.out(port + 1, value);
  };
  const made: Rig = {
    window: new VgaWindow(vga, { bytes, touch: () => undefined }, () => made.bank),
    bytes,
    sequencer: set(0x3c4),
    graphics: set(0x3ce),
    write: (offset, value) => made.window.write(offset, 1, BigInt(value)),
    read: (offset) => Number(made.window.read(offset, 1)),
    planes: (address) => [...bytes.subarray(4 * address, 4 * address + 4)],
    bank: undefined,
  };
  made.sequencer(2, 15);
  made.sequencer(4, 6);
  made.graphics(5, 0);
  made.graphics(6, 5);
  made.graphics(7, 15);
  made.graphics(8, 0xff);
  return made;
}

describe("the VGA's window", () => {
  test("write mode 0: map mask, set/reset, rotation, logic with the latches, bit mask", () => {
    const { write, read, planes, sequencer, graphics } = rig();
    sequencer(2, 0b0101);
    write(7, 0x81);
    assert.deepEqual(planes(7), [0x81, 0, 0x81, 0]);
    sequencer(2, 15);
    graphics(0, 0b0010);
    graphics(1, 0b0011);
    write(8, 0x3c);
    assert.deepEqual(planes(8), [0, 0xff, 0x3c, 0x3c]);
    graphics(1, 0);
    graphics(3, 1);
    write(9, 0x81);
    assert.deepEqual(planes(9), [0xc0, 0xc0, 0xc0, 0xc0], "rotated to the right");
    read(8);
    graphics(3, 0x18);
    graphics(8, 0x0f);
    write(8, 0xff);
    assert.deepEqual(planes(8), [0x0f, 0xf0, 0x33, 0x33], "XOR, lower half");
    read(8);
    graphics(3, 0x08);
    write(10, 0x05);
    assert.deepEqual(planes(10), [0x05, 0xf0, 0x31, 0x31], "AND, the upper half from the latches");
    graphics(3, 0x10);
    write(10, 0x05);
    assert.deepEqual(planes(10), [0x0f, 0xf5, 0x37, 0x37], "OR");
  });

  test("write modes 1, 2 and 3", () => {
    const { write, read, planes, bytes, graphics } = rig();
    bytes.set([1, 2, 3, 4], 0);
    read(0);
    graphics(5, 1);
    write(100, 0xff);
    assert.deepEqual(planes(100), [1, 2, 3, 4]);
    graphics(5, 2);
    graphics(8, 0xf0);
    write(100, 0b1001);
    assert.deepEqual(planes(100), [0xf1, 2, 3, 0xf4]);
    graphics(5, 3);
    graphics(0, 0b0100);
    write(101, 0x3c);
    assert.deepEqual(planes(101), [1, 2, 0x33, 4], "the byte and the mask choose the bits that get the colour");
  });

  test("reading: a plane, or a comparison of colours", () => {
    const { read, bytes, graphics } = rig();
    bytes.set([0b1100, 0b1010, 0, 0], 0);
    graphics(4, 1);
    assert.equal(read(0), 0b1010);
    graphics(5, 8);
    graphics(2, 0b0001);
    assert.equal(read(0), 0b0100, "colour 1");
    graphics(7, 0b0001);
    assert.equal(read(0), 0b1100, "plane 0 alone counts");
    graphics(7, 0);
    assert.equal(read(0), 0xff);
  });

  test("text: characters and attributes lie in planes 0 and 1, at 0xb8000", () => {
    const { window, planes, sequencer, graphics, read } = rig();
    sequencer(2, 3);
    sequencer(4, 2);
    graphics(5, 0x10);
    graphics(6, 0x0e);
    window.write(0x18002, 4, 0x42074107n);
    assert.deepEqual(
      [planes(2), planes(4)],
      [
        [0x07, 0x41, 0, 0],
        [0x07, 0x42, 0, 0],
      ],
    );
    assert.equal(window.read(0x18002, 4), 0x42074107n);
    assert.equal(read(2), 0xff, "nothing at 0xa0000");
  });

  test("chain 4: the address's low bits are the plane; a bank of a linear mode", () => {
    const made = rig();
    const { window, planes, bytes, sequencer } = made;
    sequencer(4, 0x0e);
    window.write(8, 4, 0x44332211n);
    assert.deepEqual(planes(8), [0x11, 0x22, 0x33, 0x44]);
    assert.equal(window.read(9, 2), 0x3322n);
    made.bank = 4;
    window.write(0xaafd, 1, 14n);
    assert.equal(bytes[0x4aafd], 14);
    assert.equal(window.read(0xaafd, 1), 14n);
    made.bank = 0xffff;
    window.write(0, 8, -1n & 0xffff_ffff_ffff_ffffn);
    assert.equal(window.read(0, 1), 0xffn, "past the memory");
  });
});
