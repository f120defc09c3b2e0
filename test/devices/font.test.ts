import assert from "node:assert/strict";
import { test } from "node:test";
import { GLYPH_HEIGHT, glyphRow } from "../../src/devices/vga/font";

const rows = (character: number): number[] => Array.from({ length: GLYPH_HEIGHT }, (_, row) => glyphRow(character, row));
/** Rows whose left or right dot is set: where the character meets its neighbour. */
const meets = (character: number, side: "left" | "right"): number[] =>
  rows(character).flatMap((bits, row) => ((bits & (side === "left" ? 0x80 : 0x01)) === 0 ? [] : [row]));

test("lines meet across cells", () => {
  assert.deepEqual(rows(0xb3), Array<number>(GLYPH_HEIGHT).fill(0x10));
  assert.deepEqual(rows(0xba), Array<number>(GLYPH_HEIGHT).fill(0x24));
  // Single: corner, line, tee, cross; double; and lines of both kinds.
  for (const [left, right] of [
    [0xda, 0xc4],
    [0xc4, 0xbf],
    [0xc3, 0xb4],
    [0xc5, 0xc2],
    [0xc9, 0xcd],
    [0xcd, 0xbb],
    [0xcc, 0xb9],
    [0xce, 0xca],
    [0xc6, 0xb5],
    [0xc7, 0xb6],
  ]) {
    assert.deepEqual(meets(left, "right"), meets(right, "left"), `${left.toString(16)} and ${right.toString(16)}`);
    assert.ok(meets(left, "right").length > 0);
  }
  // A corner ends where it turns.
  assert.equal(glyphRow(0xda, 0), 0);
  assert.equal(glyphRow(0xda, 7), 0x1f);
  assert.equal(glyphRow(0xda, 15), 0x10);
  assert.equal(glyphRow(0xd9, 15), 0);
});

test("blocks fill their halves, letters stay, and what has no glyph is a box", () => {
  assert.deepEqual(rows(0xdb), Array<number>(GLYPH_HEIGHT).fill(0xff));
  assert.deepEqual([glyphRow(0xdf, 0), glyphRow(0xdf, 15), glyphRow(0xdc, 0), glyphRow(0xdc, 15)], [0xff, 0, 0, 0xff]);
  assert.ok(rows(0x41).some((bits) => bits !== 0));
  assert.deepEqual(rows(0x20), Array<number>(GLYPH_HEIGHT).fill(0));
  assert.equal(glyphRow(0x80, 2), 0x7c);
});
