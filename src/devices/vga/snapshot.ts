import { draw, type Screen, sizeOf } from "./screen";

/** What a screen showed at a moment: a copy of its own, fit to be sent elsewhere. */
export type ScreenSnapshot = TextSnapshot | PixelSnapshot;

/** A screen of characters. */
export interface TextSnapshot {
  readonly kind: "text";
  readonly columns: number;
  readonly rows: number;
  /** Character and attribute of each cell, row by row: characters of code page 437; attribute bits 3:0 foreground, 6:4 background, 7 blink. */
  readonly cells: Uint8Array;
  /** Cell of the cursor from the top left, or -1 where none shows. */
  readonly cursor: number;
  /** The sixteen colours that attributes choose from, 0xRRGGBB. */
  readonly colours: readonly number[];
}

/** A screen of pixels. */
export interface PixelSnapshot {
  readonly kind: "pixels";
  readonly width: number;
  readonly height: number;
  /** Bytes from one row to the next. */
  readonly stride: number;
  /** Red, green, blue, alpha (255) of each pixel, row by row from the top left. */
  readonly pixels: Uint8Array;
  /** Bits of a pixel in the guest's mode. */
  readonly depth: number;
}

/** Copies what `screen` shows. */
export function snapshotOf(screen: Screen): ScreenSnapshot {
  if (screen.kind === "text") {
    const { columns, rows, cells, cursor, colours } = screen;
    return { kind: "text", columns, rows, cells: cells.slice(), cursor, colours };
  }
  const { width, height } = sizeOf(screen);
  const pixels = new Uint32Array(width * height);
  draw(screen, pixels);
  return {
    kind: "pixels",
    width,
    height,
    stride: 4 * width,
    pixels: new Uint8Array(pixels.buffer),
    depth: screen.kind === "frame" ? screen.mode.depth : screen.depth,
  };
}

/** Code page 437, the characters of a PC's text screen. */
const CODE_PAGE_437 =
  " \u263a\u263b\u2665\u2666\u2663\u2660\u2022\u25d8\u25cb\u25d9\u2642\u2640\u266a\u266b\u263c\u25ba\u25c4\u2195\u203c\u00b6\u00a7\u25ac\u21a8\u2191\u2193\u2192\u2190\u221f\u2194\u25b2\u25bc" +
  Array.from({ length: 95 }, (_, index) => String.fromCharCode(0x20 + index)).join("") +
  "\u2302" +
  "\u00c7\u00fc\u00e9\u00e2\u00e4\u00e0\u00e5\u00e7\u00ea\u00eb\u00e8\u00ef\u00ee\u00ec\u00c4\u00c5\u00c9\u00e6\u00c6\u00f4\u00f6\u00f2\u00fb\u00f9\u00ff\u00d6\u00dc\u00a2\u00a3\u00a5\u20a7\u0192\u00e1\u00ed\u00f3\u00fa\u00f1\u00d1\u00aa\u00ba\u00bf\u2310\u00ac\u00bd\u00bc\u00a1\u00ab\u00bb\u2591\u2592\u2593\u2502\u2524\u2561\u2562\u2556\u2555\u2563\u2551\u2557\u255d\u255c\u255b\u2510\u2514\u2534\u252c\u251c\u2500\u253c\u255e\u255f\u255a\u2554\u2569\u2566\u2560\u2550\u256c\u2567\u2568\u2564\u2565\u2559\u2558\u2552\u2553\u256b\u256a\u2518\u250c\u2588\u2584\u258c\u2590\u2580\u03b1\u00df\u0393\u03c0\u03a3\u03c3\u00b5\u03c4\u03a6\u0398\u03a9\u03b4\u221e\u03c6\u03b5\u2229\u2261\u00b1\u2265\u2264\u2320\u2321\u00f7\u2248\u00b0\u2219\u00b7\u221a\u207f\u00b2\u25a0\u00a0";

/** The rows of a text screen as strings, each as wide as the screen. */
export function textLines({ columns, rows, cells }: Pick<TextSnapshot, "columns" | "rows" | "cells">): string[] {
  return Array.from({ length: rows }, (_, row) =>
    Array.from({ length: columns }, (__, column) => CODE_PAGE_437[cells[2 * (row * columns + column)]]).join(""),
  );
}
