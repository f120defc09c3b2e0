import { bytesOf, type FrameMode } from "./dispi";
import { GLYPH_HEIGHT, GLYPH_WIDTH, glyphRow } from "./font";

/** What a screen shows, as RGBA with 8 bits each, row by row from the top left. */
export interface ScreenImage {
  readonly width: number;
  readonly height: number;
  readonly pixels: Uint8ClampedArray;
  /** Rows that differ from the image before: [first, last], or undefined when none does. */
  readonly changed: readonly [number, number] | undefined;
}

/** A screen of text: characters and attributes alternate. */
export interface TextScreen {
  readonly kind: "text";
  readonly columns: number;
  readonly rows: number;
  readonly cells: Uint8Array;
  /** Cell of the cursor from the top left, or -1 where none shows. */
  readonly cursor: number;
  /** First and last line of the cursor in its cell; the last two by default. */
  readonly cursorLines?: readonly [number, number];
  /** The sixteen colours, 0xRRGGBB. */
  readonly colours: readonly number[];
  /** How many of them a background can have: 8 where bit 7 of the attribute blinks. */
  readonly backgrounds?: 8 | 16;
  readonly font: Font;
}

/** Shapes of characters. */
export interface Font {
  readonly width: 8 | 9;
  readonly height: number;
  /** Dots of line `row` of a character with an attribute: the lowest bit is the right one. */
  row(character: number, attribute: number, row: number): number;
}

/** For boards whose text is memory and no more. */
export const BUILT_IN_FONT: Font = {
  width: GLYPH_WIDTH,
  height: GLYPH_HEIGHT,
  row: (character, _attribute, row) => glyphRow(character, row),
};

/** A screen of pixels that stand for colours of a palette. */
export interface IndexedScreen {
  readonly kind: "indexed";
  readonly width: number;
  readonly height: number;
  /** The palette's entry of each pixel, row by row. */
  readonly pixels: Uint8Array;
  /** 256 colours, 0xRRGGBB. */
  readonly colours: Uint32Array;
  /** Bits of a pixel in memory. */
  readonly depth: number;
}

/** A screen of pixels in memory. */
export interface FrameScreen {
  readonly kind: "frame";
  readonly mode: FrameMode;
  readonly memory: Uint8Array;
  /** 256 colours for 8-bit modes, 0xRRGGBB. */
  readonly colours: Uint32Array;
}

/** What the display hardware shows; a frame is a view of live memory. */
export type Screen = TextScreen | FrameScreen | IndexedScreen;

/** The sixteen colours of text, as the VGA's default palette has them: 0xRRGGBB. */
export const TEXT_COLOURS: readonly number[] = [
  0x000000, 0x0000aa, 0x00aa00, 0x00aaaa, 0xaa0000, 0xaa00aa, 0xaa5500, 0xaaaaaa, 0x555555, 0x5555ff, 0x55ff55, 0x55ffff, 0xff5555,
  0xff55ff, 0xffff55, 0xffffff,
];

/** Pixels that a screen is drawn with. */
export function sizeOf(screen: Screen): { readonly width: number; readonly height: number } {
  switch (screen.kind) {
    case "text":
      return { width: screen.columns * screen.font.width, height: screen.rows * screen.font.height };
    case "frame":
      return screen.mode;
    case "indexed":
      return screen;
  }
}

/** Draws `screen` into `out`, which has a word for each of its pixels: red, green, blue, opaque in memory order. */
export function draw(screen: Screen, out: Uint32Array): void {
  switch (screen.kind) {
    case "text":
      drawText(screen, out);
      break;
    case "frame":
      drawFrame(screen, out);
      break;
    case "indexed": {
      const colours = screen.colours.map(rgba);
      for (let at = 0; at < screen.pixels.length; at++) out[at] = colours[screen.pixels[at]];
      break;
    }
  }
}

function drawText(screen: TextScreen, out: Uint32Array): void {
  const { font, columns } = screen;
  const colours = screen.colours.map(rgba);
  const width = columns * font.width;
  const [cursorFirst, cursorLast] = screen.cursorLines ?? [font.height - 2, font.height - 1];
  for (let cell = 0; cell < columns * screen.rows; cell++) {
    const character = screen.cells[2 * cell];
    const attribute = screen.cells[2 * cell + 1];
    const back = colours[(attribute >> 4) & ((screen.backgrounds ?? 8) - 1)];
    const fore = colours[attribute & 15];
    const left = (cell % columns) * font.width;
    const top = Math.floor(cell / columns) * font.height;
    for (let row = 0; row < font.height; row++) {
      const bits = cell === screen.cursor && row >= cursorFirst && row <= cursorLast ? 0x1ff : font.row(character, attribute, row);
      const from = (top + row) * width + left;
      for (let column = 0; column < font.width; column++) out[from + column] = (bits >> (font.width - 1 - column)) & 1 ? fore : back;
    }
  }
}

function drawFrame({ mode, memory, colours }: FrameScreen, out: Uint32Array): void {
  const pixel = bytesOf(mode.depth);
  const palette = colours.map(rgba);
  const five = (value: number): number => ((value & 31) * 255) / 31;
  for (let y = 0; y < mode.height; y++) {
    let from = mode.start + y * mode.stride;
    for (let x = 0; x < mode.width; x++, from += pixel) {
      let colour: number;
      if (mode.depth === 8) {
        colour = palette[memory[from]];
      } else if (mode.depth >= 24) colour = rgb(memory[from + 2], memory[from + 1], memory[from]);
      else {
        const value = memory[from] | (memory[from + 1] << 8);
        const wide = mode.depth === 16;
        colour = rgb(five(value >> (wide ? 11 : 10)), wide ? (((value >> 5) & 63) * 255) / 63 : five(value >> 5), five(value));
      }
      out[y * mode.width + x] = colour;
    }
  }
}

/** Draws screens into one image that is kept, and says which rows changed. Reads the guest's memory and changes nothing of it. */
export class ScreenRenderer {
  private width = 0;
  private height = 0;
  private pixels = new Uint8ClampedArray(0);
  private before = new Uint32Array(0);

  draw(screen: Screen): ScreenImage {
    const { width, height } = sizeOf(screen);
    this.resize(width, height);
    const out = new Uint32Array(this.pixels.buffer);
    draw(screen, out);
    return this.image(out);
  }

  private resize(width: number, height: number): void {
    if (width === this.width && height === this.height) return;
    this.width = width;
    this.height = height;
    this.pixels = new Uint8ClampedArray(width * height * 4);
    // No pixel is like this: all of the first image is new.
    this.before = new Uint32Array(width * height);
  }

  /** Compares with the image before. */
  private image(out: Uint32Array): ScreenImage {
    const { width, height, before } = this;
    let first = -1;
    let last = -1;
    for (let row = 0; row < height; row++) {
      for (let at = row * width; at < (row + 1) * width; at++) {
        if (out[at] === before[at]) continue;
        if (first < 0) first = row;
        last = row;
        break;
      }
    }
    before.set(out);
    return { width, height, pixels: this.pixels, changed: first < 0 ? undefined : [first, last] };
  }
}

/** Bytes red, green, blue, opaque in memory order, as canvases take them. */
function rgb(red: number, green: number, blue: number): number {
  return ((255 << 24) | (Math.floor(blue) << 16) | (Math.floor(green) << 8) | Math.floor(red)) >>> 0;
}

const rgba = (colour: number): number => rgb((colour >> 16) & 0xff, (colour >> 8) & 0xff, colour & 0xff);
