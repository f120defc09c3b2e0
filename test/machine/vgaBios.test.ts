/** SeaVGABIOS, given to the display adapter by firmware, sets its modes and draws in them. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { before, describe, test } from "node:test";
import { loadFirmware } from "../../src/adapter/storage";
import { Machine } from "../../src/machine/machine";
import type { Snapshot } from "../../src/machine/snapshots";
import { ScreenRenderer } from "../../src/devices/vga/screen";
import { MemoryFile } from "../devices/block/images";
import { screenText } from "./consoleGuest";

const hex = (text: string): Uint8Array => Uint8Array.from(text.trim().split(/\s+/), (byte) => parseInt(byte, 16));

/**
 * Boot sector: port 0x80 tells that it is there; then two calls of INT 10h with AX, BX, CX and DX from 0x7d00 and 0x7d08, and the end, halted with interrupts off.
 *
 *   xor ax, ax; mov ds, ax; mov al, 0x77; out 0x80, al; mov si, 0x7d00; call 1f; call 1f; cli; hlt
 *   1: lodsw; push ax; lodsw; mov bx, ax; lodsw; mov cx, ax; lodsw; mov dx, ax; pop ax; push si; push ds; int 0x10; pop ds; pop si; ret
 */
const SECTOR = hex(`
  31 c0 8e d8 b0 77 e6 80 be 00 7d e8 05 00 e8 02 00 fa f4
  ad 50 ad 89 c3 ad 89 c1 ad 89 c2 58 56 1e cd 10 1f 5e c3`);

type Call = readonly [ax: number, bx: number, cx: number, dx: number];

/** Mode, its size, and a dot of a colour: what INT 10h AH=0Ch takes, and what the screen then shows there as red, green, blue. */
const graphics: readonly (readonly [name: string, mode: Call, width: number, height: number, colour: number, rgb: readonly number[]])[] = [
  ["4, CGA with 4 colours", [0x04, 0, 0, 0], 320, 200, 2, [0xff, 0x55, 0xff]],
  ["6, CGA with 2 colours", [0x06, 0, 0, 0], 640, 200, 1, [0xff, 0xff, 0xff]],
  ["0Dh, EGA", [0x0d, 0, 0, 0], 320, 200, 12, [0xff, 0x55, 0x55]],
  ["0Eh, EGA", [0x0e, 0, 0, 0], 640, 200, 10, [0x55, 0xff, 0x55]],
  ["10h, EGA", [0x10, 0, 0, 0], 640, 350, 6, [0xaa, 0x55, 0]],
  ["11h, VGA with 2 colours", [0x11, 0, 0, 0], 640, 480, 1, [0xff, 0xff, 0xff]],
  ["12h, VGA with 16 colours", [0x12, 0, 0, 0], 640, 480, 9, [0x55, 0x55, 0xff]],
  ["13h, VGA with 256 colours", [0x13, 0, 0, 0], 320, 200, 40, [0xff, 0, 0]],
  ["VBE 101h, 256 colours in banks", [0x4f02, 0x101, 0, 0], 640, 480, 14, [0xff, 0xff, 0x55]],
  ["VBE 102h, 16 colours in planes", [0x4f02, 0x102, 0, 0], 800, 600, 5, [0xaa, 0, 0xaa]],
  ["VBE 112h, 32 bits", [0x4f02, 0x4112, 0, 0], 640, 480, 15, [0xff, 0xff, 0xff]],
];

const skip = existsSync("/usr/share/seabios/vgabios-stdvga.bin") ? false : "SeaVGABIOS is not installed";

describe("SeaVGABIOS on the display adapter", { skip }, () => {
  let machine: Machine;
  let booted: Snapshot;

  before(() => {
    const disk = new Uint8Array(1 << 20);
    disk.set(SECTOR);
    disk.set([0x55, 0xaa], 510);
    machine = Machine.create({
      cpus: 1,
      memory: 16 << 20,
      devices: ["vga"],
      firmware: loadFirmware("seabios", false),
      disks: [{ file: new MemoryFile(disk) }],
    });
    machine.hooks = { debugConsole: () => undefined };
    machine.bootFirmware();
    // Until the sector stands at its address, then to its first instruction.
    machine.setBreakpoints(new Set([0x7c00n]));
    assert.deepEqual(machine.run(60e6), { kind: "breakpoint", cpu: 0 }, screenText(machine));
    machine.setBreakpoints(new Set());
    booted = machine.snapshots.take();
  });

  /** Carries two calls out. */
  const call = (first: Call, second: Call): void => {
    machine.snapshots.restore(booted);
    const words = Uint16Array.from([...first, ...second]);
    machine.memory.write(0x7d00, new Uint8Array(words.buffer));
    assert.equal(machine.run(200e6).kind, "dead");
  };

  test("SeaBIOS shows its text with its own font", () => {
    machine.snapshots.restore(booted);
    assert.match(screenText(machine), /SeaBIOS[\s\S]*Booting from Hard Disk/);
    const { width, height } = machine.screen(new ScreenRenderer());
    assert.deepEqual([width, height], [720, 400]);
  });

  for (const [mode, columns, rows] of [
    [1, 40, 25],
    [3, 80, 25],
    [7, 80, 25],
  ] as const)
    test(`text mode ${mode}`, () => {
      call([mode, 0, 0, 0], [0x0941, 0x1e, 5, 0]);
      const shown = machine.screenSnapshot();
      assert.ok(shown.kind === "text");
      assert.deepEqual([shown.columns, shown.rows], [columns, rows]);
      // In mode 7 this BIOS programs the CRTC at its monochrome address while it is still at the other one.
      if (mode !== 7) assert.equal(shown.cursor, 0);
      assert.equal(screenText(machine).trimEnd(), "AAAAA");
      assert.deepEqual([...shown.cells.subarray(8, 12)], [0x41, 0x1e, 0x20, 0x07]);
      if (mode !== 7) assert.deepEqual([shown.colours[1], shown.colours[14]], [0x0000aa, 0xffff55]);
      const image = machine.screen(new ScreenRenderer());
      const dots = new Set<number>();
      for (let y = 0; y < 16; y++) for (let x = 0; x < 8; x++) dots.add(new Uint32Array(image.pixels.buffer)[y * image.width + x]);
      assert.equal(dots.size, 2, "a letter in a colour on another one");
    });

  for (const [name, mode, width, height, colour, rgb] of graphics)
    test(`mode ${name}`, () => {
      // In banked modes this BIOS writes no further than the first bank.
      const [x, y] = name.includes("banks") ? [width - 3, 90] : [width - 3, height - 3];
      call(mode, [0x0c00 | colour, 0, x, y]);
      const shown = machine.screenSnapshot();
      assert.ok(shown.kind === "pixels");
      assert.deepEqual([shown.width, shown.height], [width, height]);
      const lit: number[][] = [];
      for (let at = 0; at < shown.pixels.length; at += 4) {
        const dot = [...shown.pixels.subarray(at, at + 3)];
        if (dot.some((part) => part !== 0)) lit.push([(at / 4) % width, Math.floor(at / 4 / width), ...dot]);
        assert.ok(lit.length < 3, `too much is drawn: ${JSON.stringify(lit)}`);
      }
      assert.deepEqual(lit, [[x, y, ...rgb]]);
    });
});
