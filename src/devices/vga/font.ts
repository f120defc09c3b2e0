/** A small font for text screens: printable ASCII of 5 by 7 dots, drawn twice as high in cells of 8 by 16, and the lines, shades and blocks of code page 437. */

export const GLYPH_WIDTH = 8;
export const GLYPH_HEIGHT = 16;

/** Characters 0x20 to 0x7e, five columns each, two hexadecimal digits a column; bit 0 is the top dot. */
const COLUMNS =
  "0000000000" +
  "00005f0000" +
  "0007000700" +
  "147f147f14" +
  "242a7f2a12" +
  "2313086462" +
  "3649552250" +
  "0005030000" +
  "001c224100" +
  "0041221c00" +
  "14083e0814" +
  "08083e0808" +
  "0050300000" +
  "0808080808" +
  "0060600000" +
  "2010080402" +
  "3e5149453e" +
  "00427f4000" +
  "4261514946" +
  "2141454b31" +
  "1814127f10" +
  "2745454539" +
  "3c4a494930" +
  "0171090503" +
  "3649494936" +
  "064949291e" +
  "0036360000" +
  "0056360000" +
  "0814224100" +
  "1414141414" +
  "0041221408" +
  "0201510906" +
  "324979413e" +
  "7e1111117e" +
  "7f49494936" +
  "3e41414122" +
  "7f4141221c" +
  "7f49494941" +
  "7f09090901" +
  "3e4149497a" +
  "7f0808087f" +
  "00417f4100" +
  "2040413f01" +
  "7f08142241" +
  "7f40404040" +
  "7f020c027f" +
  "7f0408107f" +
  "3e4141413e" +
  "7f09090906" +
  "3e4151215e" +
  "7f09192946" +
  "4649494931" +
  "01017f0101" +
  "3f4040403f" +
  "1f2040201f" +
  "3f4038403f" +
  "6314081463" +
  "0708700807" +
  "6151494543" +
  "007f414100" +
  "0204081020" +
  "0041417f00" +
  "0402010204" +
  "4040404040" +
  "0001020400" +
  "2054545478" +
  "7f48444438" +
  "3844444420" +
  "384444487f" +
  "3854545418" +
  "087e090102" +
  "0c5252523e" +
  "7f08040478" +
  "00447d4000" +
  "2040443d00" +
  "7f10284400" +
  "00417f4000" +
  "7c04180478" +
  "7c08040478" +
  "3844444438" +
  "7c14141408" +
  "081414187c" +
  "7c08040408" +
  "4854545420" +
  "043f444020" +
  "3c4040207c" +
  "1c2040201c" +
  "3c4030403c" +
  "4428102844" +
  "0c5050503c" +
  "4464544c44" +
  "0008364100" +
  "00007f0000" +
  "0041360800" +
  "0804080810";

const FIRST = 0x20;
const LAST = 0x7e;

/** Lines 0xb3 to 0xda of code page 437: what leaves the middle to the left, right, top and bottom; 1 is a single line, 2 a double one. */
const LINES =
  "0011 1011 2011 1022 1002 2001 2022 0022 2002 2020 1020 2010 1001 0110 1110 1101 0111 1100 1111 0211 " +
  "0122 0220 0202 2220 2202 0222 2200 2222 2210 1120 2201 1102 0120 0210 0201 0102 1122 2211 1010 0101";
const FIRST_LINE = 0xb3;
const LAST_LINE = FIRST_LINE + LINES.split(" ").length - 1;

/** Shades from 0xb0 on, as the dots of two rows in turn. */
const SHADES = [
  [0x22, 0x88],
  [0x55, 0xaa],
  [0xdd, 0x77],
] as const;
const FIRST_SHADE = 0xb0;

/** Blocks from 0xdb on: dots of a row in the upper and in the lower half. */
const BLOCKS = [
  [0xff, 0xff],
  [0x00, 0xff],
  [0xf0, 0xf0],
  [0x0f, 0x0f],
  [0xff, 0x00],
] as const;
const FIRST_BLOCK = 0xdb;

/** Row `row` (0 to 15) of a character (0 to 255): bit 7 is the left dot. Characters without a glyph show as a box, but those that are blank on PCs. */
export const glyphRow = (character: number, row: number): number => (glyphs ??= drawAll())[character * GLYPH_HEIGHT + row];

/** Drawn when the first is asked for: most machines have no screen. */
let glyphs: Uint8Array | undefined;

const drawAll = (): Uint8Array =>
  Uint8Array.from({ length: 256 * GLYPH_HEIGHT }, (_, index) => draw(Math.floor(index / GLYPH_HEIGHT), index % GLYPH_HEIGHT));

function draw(character: number, row: number): number {
  if (character >= FIRST_LINE && character <= LAST_LINE) return lineRow(LINES.split(" ")[character - FIRST_LINE], row);
  if (character >= FIRST_SHADE && character < FIRST_SHADE + SHADES.length) return SHADES[character - FIRST_SHADE][row & 1];
  if (character >= FIRST_BLOCK && character < FIRST_BLOCK + BLOCKS.length) return BLOCKS[character - FIRST_BLOCK][row >> 3];
  if (character === 0 || character === 0xff) return 0;
  const dot = (row - 1) >> 1;
  if (character < FIRST || character > LAST) return row < 2 || row > 13 ? 0 : row === 2 || row === 13 ? 0x7c : 0x44;
  if (row < 1 || dot > 6) return 0;
  let bits = 0;
  for (let column = 0; column < 5; column++) {
    const at = ((character - FIRST) * 5 + column) * 2;
    if (parseInt(COLUMNS.slice(at, at + 2), 16) & (1 << dot)) bits |= 0x40 >> column;
  }
  return bits;
}

/** A row of a line-drawing character: its arms end where they meet the lines across. */
function lineRow(arms: string, row: number): number {
  const [left, right, up, down] = [...arms].map(Number);
  // Dots of the vertical lines, and rows of the horizontal ones.
  const upright = up === 2 || down === 2 ? 0x24 : up === 1 || down === 1 ? 0x10 : 0;
  const level = left === 2 || right === 2 ? [6, 9] : left === 1 || right === 1 ? [7] : [];
  const [first, last] = [level[0] ?? 7, level.at(-1) ?? 7];
  let bits = 0;
  if ((up > 0 && row <= last) || (down > 0 && row >= first)) bits |= upright;
  if (level.includes(row)) {
    const [leftmost, rightmost] = upright === 0x24 ? [0x20, 0x04] : [0x10, 0x10];
    for (let dot = 0x80; dot > 0; dot >>= 1) if ((left > 0 && dot >= rightmost) || (right > 0 && dot <= leftmost)) bits |= dot;
  }
  return bits;
}
