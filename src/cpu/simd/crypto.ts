/** AES-NI, PCLMULQDQ and SHA (SDM vol. 2; FIPS 197; FIPS 180-4). */
import type { Kernel } from "./integer";
import type { Lanes } from "./lanes";

/** Product in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1. */
function fieldProduct(x: number, y: number): number {
  let product = 0;
  for (let factor = x, rest = y; rest !== 0; rest >>= 1) {
    if ((rest & 1) !== 0) product ^= factor;
    factor = (factor << 1) ^ ((factor & 0x80) !== 0 ? 0x11b : 0);
  }
  return product;
}

/** Powers of 3, which generates the field: each element but 0 is one of the first 255. */
function inversesInField(): Uint8Array {
  const powers = new Uint8Array(255).fill(1);
  for (let i = 1; i < 255; i++) powers[i] = fieldProduct(powers[i - 1], 3);
  const inverses = new Uint8Array(256);
  powers.forEach((power, i) => (inverses[power] = powers[(255 - i) % 255]));
  return inverses;
}

const multiples = (factor: number): Uint8Array => Uint8Array.from({ length: 256 }, (_, value) => fieldProduct(value, factor));

interface Tables {
  /** The S-box: the inverse in the field, then an affine map; and back. */
  readonly substitution: Uint8Array;
  readonly inverseSubstitution: Uint8Array;
  /** Coefficients of a column's mix, and of the inverse, as tables of their products. */
  readonly mix: readonly Uint8Array[];
  readonly inverseMix: readonly Uint8Array[];
}

function makeTables(): Tables {
  const substitution = inversesInField().map((inverse) => {
    let result = 0x63;
    for (let turn = 0; turn < 5; turn++) result ^= ((inverse << turn) | (inverse >> (8 - turn))) & 0xff;
    return result;
  });
  const inverseSubstitution = new Uint8Array(256);
  substitution.forEach((to, from) => (inverseSubstitution[to] = from));
  return { substitution, inverseSubstitution, mix: [2, 3, 1, 1].map(multiples), inverseMix: [14, 11, 13, 9].map(multiples) };
}

let made: Tables | undefined;
/** Made when the first is needed: most guests never use AES. */
const tables = (): Tables => (made ??= makeTables());

/** Bytes of the state, column by column. */
const state = new Uint8Array(16);

/** state = the rows of `from` turned left by their number (right for the inverse), each byte substituted. */
function shiftAndSubstitute(from: Uint8Array, inverse: boolean): void {
  const table = inverse ? tables().inverseSubstitution : tables().substitution;
  for (let column = 0; column < 4; column++)
    for (let row = 0; row < 4; row++) state[column * 4 + row] = table[from[((column + (inverse ? 4 - row : row)) & 3) * 4 + row]];
}

/** to = the columns of `from` mixed, plus `key`. */
function mixColumns(to: Uint8Array, from: Uint8Array, products: readonly Uint8Array[], key?: Uint8Array): void {
  for (let column = 0; column < 16; column += 4)
    for (let row = 0; row < 4; row++) {
      let sum = 0;
      for (let i = 0; i < 4; i++) sum ^= products[(i - row) & 3][from[column + i]];
      to[column + row] = sum ^ (key?.[column + row] ?? 0);
    }
}

const round =
  (inverse: boolean): Kernel =>
  ({ a, b, r }) => {
    shiftAndSubstitute(a.u8, inverse);
    mixColumns(r.u8, state, inverse ? tables().inverseMix : tables().mix, b.u8);
  };

const lastRound =
  (inverse: boolean): Kernel =>
  ({ a, b, r }) => {
    shiftAndSubstitute(a.u8, inverse);
    for (let i = 0; i < 16; i++) r.u8[i] = state[i] ^ b.u8[i];
  };

function substituteWord(word: number): number {
  const { substitution } = tables();
  return (
    substitution[word & 0xff] |
    (substitution[(word >>> 8) & 0xff] << 8) |
    (substitution[(word >>> 16) & 0xff] << 16) |
    (substitution[word >>> 24] << 24)
  );
}
const left = (word: number, count: number): number => (word << count) | (word >>> (32 - count));
const right = (word: number, count: number): number => (word >>> count) | (word << (32 - count));

function carrylessProduct(x: bigint, y: bigint): bigint {
  let product = 0n;
  for (let factor = x, rest = y; rest !== 0n; rest >>= 1n, factor <<= 1n) if ((rest & 1n) !== 0n) product ^= factor;
  return product;
}

const choose = (x: number, y: number, z: number): number => (x & y) ^ (~x & z);
const parity = (x: number, y: number, z: number): number => x ^ y ^ z;
const majority = (x: number, y: number, z: number): number => (x & y) ^ (x & z) ^ (y & z);
/** SHA-1's functions and constants, by bits 0 and 1 of the immediate. */
const rounds1 = [
  { f: choose, k: 0x5a827999 },
  { f: parity, k: 0x6ed9eba1 },
  { f: majority, k: 0x8f1bbcdc },
  { f: parity, k: 0xca62c1d6 },
];
const small0 = (x: number): number => right(x, 7) ^ right(x, 18) ^ (x >>> 3);
const small1 = (x: number): number => right(x, 17) ^ right(x, 19) ^ (x >>> 10);
const large0 = (x: number): number => right(x, 2) ^ right(x, 13) ^ right(x, 22);
const large1 = (x: number): number => right(x, 6) ^ right(x, 11) ^ right(x, 25);

/** The words of a vector from the highest on, as SHA-1 counts them. */
const descending = ({ i32 }: Lanes): [number, number, number, number] => [i32[3], i32[2], i32[1], i32[0]];
const setDescending = ({ i32 }: Lanes, w0: number, w1: number, w2: number, w3: number): void => {
  i32[3] = w0;
  i32[2] = w1;
  i32[1] = w2;
  i32[0] = w3;
};

export const cryptoKernels = {
  aesenc: round(false),
  aesenclast: lastRound(false),
  aesdec: round(true),
  aesdeclast: lastRound(true),
  aesimc: ({ b, r }) => mixColumns(r.u8, b.u8, tables().inverseMix),
  aeskeygenassist: ({ b, r, immediate }) => {
    const [first, third] = [substituteWord(b.u32[1]), substituteWord(b.u32[3])];
    r.i32[0] = first;
    r.i32[1] = right(first, 8) ^ immediate;
    r.i32[2] = third;
    r.i32[3] = right(third, 8) ^ immediate;
  },
  pclmulqdq: ({ a, b, r, immediate }) => {
    const product = carrylessProduct(a.u64[immediate & 1], b.u64[(immediate >> 4) & 1]);
    r.u64[0] = BigInt.asUintN(64, product);
    r.u64[1] = product >> 64n;
  },
  sha1nexte: ({ a, b, r }) => {
    for (let i = 0; i < 3; i++) r.i32[i] = b.i32[i];
    r.i32[3] = b.i32[3] + left(a.i32[3], 30);
  },
  sha1msg1: ({ a, b, r }) => {
    const [w0, w1, w2, w3] = descending(a);
    setDescending(r, w2 ^ w0, w3 ^ w1, b.i32[3] ^ w2, b.i32[2] ^ w3);
  },
  sha1msg2: ({ a, b, r }) => {
    const [, w13, w14, w15] = descending(b);
    const w16 = left(a.i32[3] ^ w13, 1);
    setDescending(r, w16, left(a.i32[2] ^ w14, 1), left(a.i32[1] ^ w15, 1), left(a.i32[0] ^ w16, 1));
  },
  sha1rnds4: ({ a, b, r, immediate }) => {
    const { f, k } = rounds1[immediate & 3];
    let [x, y, z, t] = descending(a);
    // The first word of b has E in it already.
    let e = 0;
    for (const word of descending(b)) [x, y, z, t, e] = [(f(y, z, t) + left(x, 5) + word + e + k) | 0, x, left(y, 30), z, t];
    setDescending(r, x, y, z, t);
  },
  sha256msg1: ({ a, b, r }) => {
    for (let i = 0; i < 4; i++) r.i32[i] = a.i32[i] + small0(i < 3 ? a.i32[i + 1] : b.i32[0]);
  },
  sha256msg2: ({ a, b, r }) => {
    const w16 = (a.i32[0] + small1(b.i32[2])) | 0;
    const w17 = (a.i32[1] + small1(b.i32[3])) | 0;
    const w18 = (a.i32[2] + small1(w16)) | 0;
    setDescending(r, a.i32[3] + small1(w17), w18, w17, w16);
  },
} satisfies Record<string, Kernel>;

/** Operations that take XMM0 besides. */
export const cryptoThirdKernels = {
  sha256rnds2: ({ a, b, r, c }) => {
    let [[x, y, e, f], [z, d, g, h]] = [descending(b), descending(a)];
    for (let i = 0; i < 2; i++) {
      const sum = choose(e, f, g) + large1(e) + c.i32[i] + h;
      [x, y, z, d, e, f, g, h] = [(sum + majority(x, y, z) + large0(x)) | 0, x, y, z, (sum + d) | 0, e, f, g];
    }
    setDescending(r, x, y, e, f);
  },
} satisfies Record<string, Kernel>;
