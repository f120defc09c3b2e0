/** What a VGA shows, out of its registers and planes (IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem"; 'CRT Controller', 'Attribute Controller'). */
import type { Font, IndexedScreen, Screen, TextScreen } from "./screen";
import type { Vga } from "./vga";
import { PLANE_BYTES } from "./window";

/** Bounds of what is drawn. */
const MAX_WIDTH = 2048;
const MAX_LINES = 2048;
/** A glyph in plane 2 takes so many bytes, and so many of them make a font. */
const GLYPH_BYTES = 32;

/** Dimensions and addresses of a picture of planes that do not come from the VGA's own registers. */
export interface PlanarFrame {
  readonly width: number;
  readonly height: number;
  /** Addresses from one line to the next, and of the first one. */
  readonly stride: number;
  readonly start: number;
}

/** The screen that the VGA's registers describe. `memory` is video memory, a byte of each plane in turn. */
export function vgaScreen(vga: Vga, memory: Uint8Array, frame?: PlanarFrame): Screen {
  if (!vga.shows) return blank(vga);
  const graphical = (vga.attribute.values[0x10] & 1) !== 0 || frame !== undefined;
  return graphical ? graphicsScreen(vga, memory, frame) : textScreen(vga, memory);
}

const blank = (vga: Vga): IndexedScreen => {
  const width = Math.min(MAX_WIDTH, 8 * (vga.crtc.values[1] + 1));
  const height = Math.min(MAX_LINES, vga.lines);
  return { kind: "indexed", width, height, pixels: new Uint8Array(width * height), colours: new Uint32Array(256), depth: 4 };
};

/** How the CRTC makes an address of its counter: bytes, words or double words (registers 0x14 and 0x17). */
function addressing(vga: Vga): (counter: number) => number {
  const { values } = vga.crtc;
  if (values[0x14] & 0x40) return (counter) => ((counter << 2) | ((counter >> 14) & 3)) & (PLANE_BYTES - 1);
  if (values[0x17] & 0x40) return (counter) => counter & (PLANE_BYTES - 1);
  const wrap = values[0x17] & 0x20 ? 15 : 13;
  return (counter) => ((counter << 1) | ((counter >> wrap) & 1)) & (PLANE_BYTES - 1);
}

/** The palette's entry for each value of four planes. */
function paletteEntries(vga: Vga): Uint8Array {
  const { values } = vga.attribute;
  return Uint8Array.from({ length: 16 }, (_, colour) => {
    const entry = values[colour & values[0x12] & 15];
    const low = values[0x10] & 0x80 ? (entry & 0x0f) | ((values[0x14] & 3) << 4) : entry & 0x3f;
    return (low | ((values[0x14] & 0x0c) << 4)) & vga.paletteMask;
  });
}

function textScreen(vga: Vga, memory: Uint8Array): TextScreen {
  const { values } = vga.crtc;
  const glyphHeight = (values[9] & 0x1f) + 1;
  const columns = Math.min(MAX_WIDTH / 8, values[1] + 1);
  const rows = Math.max(1, Math.floor(Math.min(MAX_LINES, vga.lines) / glyphHeight));
  const address = addressing(vga);
  const start = vga.startAddress;
  const cells = new Uint8Array(2 * columns * rows);
  for (let row = 0, at = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++, at += 2) {
      const place = 4 * address(start + row * values[0x13] * 2 + column);
      cells[at] = memory[place];
      cells[at + 1] = memory[place + 1];
    }
  }
  const { cell, visible } = vga.cursor();
  const behind = cell - start;
  const stride = Math.max(1, values[0x13] * 2);
  const [row, column] = [Math.floor(behind / stride), behind % stride];
  const shown = visible && behind >= 0 && column < columns && row < rows;
  const entries = paletteEntries(vga);
  const all = vga.colours;
  return {
    kind: "text",
    columns,
    rows,
    cells,
    cursor: shown ? row * columns + column : -1,
    cursorLines: [values[0x0a] & 0x1f, values[0x0b] & 0x1f],
    // With blinking on, the upper half of the background's colours is lost to it.
    backgrounds: vga.attribute.values[0x10] & 8 ? 8 : 16,
    colours: Array.from(entries, (entry) => all[entry]),
    font: planeFont(vga, memory, glyphHeight),
  };
}

/** The fonts in plane 2 that register 3 of the sequencer chooses: one for each value of the attribute's bit 3. */
function planeFont(vga: Vga, memory: Uint8Array, height: number): Font {
  const select = vga.sequencer.values[3];
  const offset = (index: number): number => (index & 3) * 0x4000 + (index >> 2) * 0x2000;
  const offsets = [offset((select & 3) | ((select >> 2) & 4)), offset(((select >> 2) & 3) | ((select >> 3) & 4))];
  const wide = (vga.sequencer.values[1] & 1) === 0;
  const graphics = (vga.attribute.values[0x10] & 4) !== 0;
  return {
    width: wide ? 9 : 8,
    height,
    row: (character, attribute, row) => {
      const bits = memory[4 * ((offsets[(attribute >> 3) & 1] + character * GLYPH_BYTES + row) & (PLANE_BYTES - 1)) + 2] << 1;
      // The ninth column is background, but line graphics go on in it.
      const ninth = graphics && character >= 0xc0 && character <= 0xdf ? (bits >> 1) & 1 : 0;
      return wide ? bits | ninth : bits >> 1;
    },
  };
}

function graphicsScreen(vga: Vga, memory: Uint8Array, frame: PlanarFrame | undefined): IndexedScreen {
  const { values } = vga.crtc;
  const packed = frame === undefined && (vga.graphics.values[5] & 0x40) !== 0;
  const pairs = frame === undefined && !packed && (vga.graphics.values[5] & 0x20) !== 0;
  const perCounter = packed ? 4 : 8;
  const counters = frame === undefined ? Math.min(MAX_WIDTH / 8, values[1] + 1) : frame.width / 8;
  const width = counters * perCounter;
  // Without the two address bits that a line within a row can replace, all lines of a row are the same.
  const replaced = frame === undefined ? ~values[0x17] & 3 : 0;
  const double = values[9] & 0x80 ? 2 : 1;
  const rowLines = frame === undefined ? (values[9] & 0x1f) + 1 : 1;
  const lines = frame === undefined ? Math.min(MAX_LINES, vga.lines) : frame.height;
  const repeat = frame === undefined ? (replaced === 0 ? double * rowLines : double) : 1;
  const height = Math.max(1, Math.floor(lines / repeat));
  const compare = values[0x18] | ((values[7] & 0x10) << 4) | ((values[9] & 0x40) << 3);
  const split = frame === undefined ? Math.floor((compare + 1) / repeat) : height;
  const stride = frame?.stride ?? values[0x13] * 2;
  const first = frame?.start ?? vga.startAddress;
  const address = frame === undefined ? addressing(vga) : (counter: number): number => counter;
  const entries = paletteEntries(vga);
  const mask = vga.paletteMask;
  const pan = frame === undefined ? (packed ? (vga.attribute.values[0x13] & 6) >> 1 : vga.attribute.values[0x13] & 7) : 0;
  const pixels = new Uint8Array(width * height);
  const group = new Uint8Array(8);
  for (let y = 0; y < height; y++) {
    // Below the line that is compared with, the picture starts again at address 0.
    const line = y < split ? y : y - split;
    const row = replaced === 0 ? line : Math.floor(line / rowLines);
    const within = replaced === 0 ? 0 : line % rowLines;
    const start = (y < split ? first : 0) + row * stride;
    for (let column = 0; column <= counters; column++) {
      let place = address(start + column);
      if (replaced & 1) place = (place & ~0x2000) | ((within & 1) << 13);
      if (replaced & 2) place = (place & ~0x4000) | ((within & 2) << 13);
      fetch(memory, 4 * place, packed, pairs, group);
      for (let dot = 0; dot < perCounter; dot++) {
        const x = column * perCounter + dot - pan;
        if (x >= 0 && x < width) pixels[y * width + x] = packed ? group[dot] & mask : entries[group[dot]];
      }
    }
  }
  return { kind: "indexed", width, height, pixels, colours: vga.colours, depth: packed ? 8 : 4 };
}

/** Takes the pixels out of the bytes of the four planes at `at`: a byte each, four bits of a plane each, or two bits each of two pairs of planes. */
function fetch(memory: Uint8Array, at: number, packed: boolean, pairs: boolean, group: Uint8Array): void {
  for (let dot = 0; dot < 8; dot++) {
    if (packed) group[dot] = memory[at + (dot & 3)];
    else if (pairs) {
      const shift = 6 - 2 * (dot & 3);
      const plane = dot >> 2;
      group[dot] = ((memory[at + plane] >> shift) & 3) | (((memory[at + 2 + plane] >> shift) & 3) << 2);
    } else {
      const bit = 7 - dot;
      group[dot] =
        ((memory[at] >> bit) & 1) |
        (((memory[at + 1] >> bit) & 1) << 1) |
        (((memory[at + 2] >> bit) & 1) << 2) |
        (((memory[at + 3] >> bit) & 1) << 3);
    }
  }
}
