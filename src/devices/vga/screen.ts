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
}

/** A screen of pixels in memory. */
export interface FrameScreen {
  readonly kind: "frame";
  readonly mode: FrameMode;
  readonly memory: Uint8Array;
  /** 256 colours of three 6-bit parts, for 8-bit modes. */
  readonly palette: Uint8Array;
}

/** What the display hardware shows: views of live memory. */
export type Screen = TextScreen | FrameScreen;

/** The sixteen colours of text, as the VGA's default palette has them: 0xRRGGBB. */
export const TEXT_COLOURS: readonly number[] = [
  0x000000, 0x0000aa, 0x00aa00, 0x00aaaa, 0xaa0000, 0xaa00aa, 0xaa5500, 0xaaaaaa, 0x555555, 0x5555ff, 0x55ff55, 0x55ffff, 0xff5555,
  0xff55ff, 0xffff55, 0xffffff,
];

/** Pixels that a screen is drawn with. */
export function sizeOf(screen: Screen): { readonly width: number; readonly height: number } {
  return screen.kind === "text"
    ? { width: screen.columns * GLYPH_WIDTH, height: screen.rows * GLYPH_HEIGHT }
    : { width: screen.mode.width, height: screen.mode.height };
}

/** Draws `screen` into `out`, which has a word for each of its pixels: red, green, blue, opaque in memory order. */
export function draw(screen: Screen, out: Uint32Array): void {
  if (screen.kind === "text") drawText(screen, out);
  else drawFrame(screen, out);
}

function drawText(screen: TextScreen, out: Uint32Array): void {
  const width = screen.columns * GLYPH_WIDTH;
  for (let cell = 0; cell < screen.columns * screen.rows; cell++) {
    const character = screen.cells[2 * cell];
    const attribute = screen.cells[2 * cell + 1];
    const colours = [rgba(TEXT_COLOURS[(attribute >> 4) & 7]), rgba(TEXT_COLOURS[attribute & 15])];
    const left = (cell % screen.columns) * GLYPH_WIDTH;
    const top = Math.floor(cell / screen.columns) * GLYPH_HEIGHT;
    for (let row = 0; row < GLYPH_HEIGHT; row++) {
      const bits = cell === screen.cursor && row >= GLYPH_HEIGHT - 2 ? 0xff : glyphRow(character, row);
      for (let column = 0; column < GLYPH_WIDTH; column++) out[(top + row) * width + left + column] = colours[(bits >> (7 - column)) & 1];
    }
  }
}

function drawFrame({ mode, memory, palette }: FrameScreen, out: Uint32Array): void {
  const pixel = bytesOf(mode.depth);
  const five = (value: number): number => ((value & 31) * 255) / 31;
  for (let y = 0; y < mode.height; y++) {
    let from = mode.start + y * mode.stride;
    for (let x = 0; x < mode.width; x++, from += pixel) {
      let colour: number;
      if (mode.depth === 8) {
        const entry = memory[from] * 3;
        colour = rgb(palette[entry] << 2, palette[entry + 1] << 2, palette[entry + 2] << 2);
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

const rgba = (colour: number): number => rgb(colour >> 16, (colour >> 8) & 0xff, colour & 0xff);
