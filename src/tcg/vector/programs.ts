/** The code of the vector ops, for every engine: what WebAssembly's vectors do bit for bit as SSE does on ordinary operands, and how to tell those. */
import { checkedPrograms } from "./floating";
import {
  type pickingVectorNames,
  type plainVectorNames,
  type shiftVectorNames,
  type shuffleVectorNames,
  type unaryVectorNames,
  type VectorName,
} from "./names";
import type { VectorSite } from "./site";
import { get, i32, i64, S, set, simd, simdLane, tee, vectorConstant } from "./wasm";

export type VectorProgram = (site: VectorSite) => void;

/** r = opcode(a, b). */
const plain: { readonly [name in (typeof plainVectorNames)[number]]: number } = {
  paddb: S.i8x16Add,
  paddw: S.i16x8Add,
  paddd: S.i32x4Add,
  paddq: S.i64x2Add,
  psubb: S.i8x16Sub,
  psubw: S.i16x8Sub,
  psubd: S.i32x4Sub,
  psubq: S.i64x2Sub,
  paddsb: 0x6f,
  paddsw: 0x8f,
  paddusb: 0x70,
  paddusw: 0x90,
  psubsb: 0x72,
  psubsw: 0x92,
  psubusb: 0x73,
  psubusw: 0x93,
  pcmpeqb: 0x23,
  pcmpeqw: 0x2d,
  pcmpeqd: 0x37,
  pcmpeqq: 0xd6,
  pcmpgtb: 0x27,
  pcmpgtw: 0x31,
  pcmpgtd: 0x3b,
  pcmpgtq: 0xd9,
  pminub: 0x77,
  pmaxub: 0x79,
  pminsw: 0x96,
  pmaxsw: 0x98,
  pminsb: 0x76,
  pmaxsb: 0x78,
  pminsd: 0xb6,
  pmaxsd: 0xb8,
  pminuw: 0x97,
  pmaxuw: 0x99,
  pminud: 0xb7,
  pmaxud: 0xb9,
  pavgb: 0x7b,
  pavgw: 0x9b,
  pmullw: 0x95,
  pmulld: 0xb5,
  pmaddwd: 0xba,
  packsswb: 0x65,
  packuswb: 0x66,
  packssdw: 0x85,
  packusdw: 0x86,
};

/** r = the opcodes applied to b one after the other. */
const unary: { readonly [name in (typeof unaryVectorNames)[number]]: readonly number[] } = {
  pabsb: [0x60],
  pabsw: [0x80],
  pabsd: [0xa0],
  pmovsxbw: [0x87],
  pmovsxbd: [0x87, 0xa7],
  pmovsxbq: [0x87, 0xa7, 0xc7],
  pmovsxwd: [0xa7],
  pmovsxwq: [0xa7, 0xc7],
  pmovsxdq: [0xc7],
  pmovzxbw: [0x89],
  pmovzxbd: [0x89, 0xa9],
  pmovzxbq: [0x89, 0xa9, 0xc9],
  pmovzxwd: [0xa9],
  pmovzxwq: [0xa9, 0xc9],
  pmovzxdq: [0xc9],
};

/** Bytes of the result that make up element `from` (those of b count on from 16 bytes) of `size` bytes. */
const elements = (size: number, ...from: number[]): number[] =>
  from.flatMap((index) => Array.from({ length: size }, (_, i) => index * size + i));
/** Elements of a's and b's lower (upper) halves in turn. */
function interleaved(size: number, upper: boolean): number[] {
  const count = 16 / size;
  const first = upper ? count / 2 : 0;
  return elements(size, ...Array.from({ length: count }, (_, i) => first + (i >> 1) + (i & 1) * count));
}

/** Which bytes of a (0 to 15) and b (16 to 31) make up the result. */
const picks: { readonly [name in (typeof pickingVectorNames)[number]]: readonly number[] } = {
  punpcklbw: interleaved(1, false),
  punpcklwd: interleaved(2, false),
  punpckldq: interleaved(4, false),
  punpcklqdq: interleaved(8, false),
  punpckhbw: interleaved(1, true),
  punpckhwd: interleaved(2, true),
  punpckhdq: interleaved(4, true),
  punpckhqdq: interleaved(8, true),
  unpcklps: interleaved(4, false),
  unpckhps: interleaved(4, true),
  unpcklpd: interleaved(8, false),
  unpckhpd: interleaved(8, true),
  movsldup: elements(4, 4, 4, 6, 6),
  movshdup: elements(4, 5, 5, 7, 7),
  movddup: elements(8, 2, 2),
};

/** The same for shuffles by an immediate: element size and, for each element of the result, the first candidate and the immediate's field: [base, shift, bits]. */
type Choice = readonly [base: number, shift: number, bits: number];
const shuffles: { readonly [name in (typeof shuffleVectorNames)[number]]: { readonly size: number; readonly choices: readonly Choice[] } } =
  {
    pshufd: { size: 4, choices: [0, 2, 4, 6].map((shift): Choice => [4, shift, 2]) },
    pshuflw: {
      size: 2,
      choices: [...[0, 2, 4, 6].map((shift): Choice => [8, shift, 2]), ...[12, 13, 14, 15].map((at): Choice => [at, 0, 0])],
    },
    pshufhw: {
      size: 2,
      choices: [...[8, 9, 10, 11].map((at): Choice => [at, 0, 0]), ...[0, 2, 4, 6].map((shift): Choice => [12, shift, 2])],
    },
    shufps: {
      size: 4,
      choices: [
        [0, 0, 2],
        [0, 2, 2],
        [4, 4, 2],
        [4, 6, 2],
      ],
    },
    shufpd: {
      size: 8,
      choices: [
        [0, 0, 1],
        [2, 1, 1],
      ],
    },
  };

function pushBoth(s: VectorSite): void {
  s.pushVector("a");
  s.pushVector("b");
}

function finish(s: VectorSite): void {
  s.code(...set(s.locals.r));
  s.storeVector(s.locals.r);
}

function pick(bytes: readonly number[]): VectorProgram {
  return (s) => {
    pushBoth(s);
    s.code(...simd(S.shuffle), ...bytes);
    finish(s);
  };
}

function shuffle({ size, choices }: { readonly size: number; readonly choices: readonly Choice[] }): VectorProgram {
  return (s) => {
    const { immediate } = s;
    if (immediate !== undefined) {
      pick(elements(size, ...choices.map(([base, shift, bits]) => base + ((immediate >> shift) & ((1 << bits) - 1)))))(s);
      return;
    }
    // Indexes computed element by element, then both operands swizzled; an index of the other operand gives zero.
    const { u, i, x } = s.locals;
    const count = 16 / size;
    const replace = size === 4 ? S.i32x4Replace : size === 2 ? S.i16x8Replace : S.i64x2Replace;
    // Of the element's bytes, the i-th has index element * size + i.
    let iota = 0n;
    let ones = 0n;
    for (let byte = 0; byte < size; byte++) {
      iota |= BigInt(byte) << BigInt(8 * byte);
      ones |= BigInt(size) << BigInt(8 * byte);
    }
    s.pushImmediate();
    s.code(...set(i), ...vectorConstant(0n, 0n));
    for (let at = 0; at < count; at++) {
      const [base, shift, bits] = choices[at];
      const index = [...get(i), ...i32(shift), 0x76, ...i32((1 << bits) - 1), 0x71, ...i32(base), 0x6a];
      if (size === 8) s.code(...index, 0xad, ...i64(ones), 0x7e, ...i64(iota), 0x7c, ...simdLane(replace, at));
      else s.code(...index, ...i32(Number(ones)), 0x6c, ...i32(Number(iota)), 0x6a, ...simdLane(replace, at));
    }
    s.code(...set(u));
    s.pushVector("a");
    s.code(...get(u), ...simd(S.swizzle), ...set(x));
    s.pushVector("b");
    s.code(...get(u), ...vectorConstant(0x1010_1010_1010_1010n, 0x1010_1010_1010_1010n), ...simd(S.i8x16Sub), ...simd(S.swizzle));
    s.code(...get(x), ...simd(S.or));
    finish(s);
  };
}

/** By the count in b's low 64 bits, which may be beyond the elements. */
function shift(opcode: number, bits: number, arithmetic: boolean): VectorProgram {
  return (s) => {
    const { n } = s.locals;
    s.pushWord("b");
    s.code(...set(n));
    s.pushVector("a");
    if (arithmetic) s.code(...get(n), ...i64(BigInt(bits - 1)), ...get(n), ...i64(BigInt(bits)), 0x54, 0x1b);
    else s.code(...get(n));
    s.code(0xa7, ...simd(opcode));
    // All ones while the count is below the width, else zero.
    if (!arithmetic) s.code(...i64(-1n), ...i64(0n), ...get(n), ...i64(BigInt(bits)), 0x54, 0x1b, ...simd(S.i64x2Splat), ...simd(S.and));
    finish(s);
  };
}

/** By whole bytes: as a swizzle whose indexes beyond the vector give zero. */
function shiftBytes(opcode: number): VectorProgram {
  return (s) => {
    const { n } = s.locals;
    s.pushWord("b");
    s.code(...i64(0xffff_ffffn), 0x83, ...set(n));
    s.pushVector("a");
    s.code(...vectorConstant(0x0706_0504_0302_0100n, 0x0f0e_0d0c_0b0a_0908n));
    s.code(...get(n), ...i64(16n), ...get(n), ...i64(16n), 0x54, 0x1b, 0xa7, ...simd(S.i8x16Splat), ...simd(opcode), ...simd(S.swizzle));
    finish(s);
  };
}

const shiftPrograms: { readonly [name in (typeof shiftVectorNames)[number]]: VectorProgram } = {
  psllw: shift(0x8b, 16, false),
  pslld: shift(0xab, 32, false),
  psllq: shift(0xcb, 64, false),
  psrlw: shift(0x8d, 16, false),
  psrld: shift(0xad, 32, false),
  psrlq: shift(0xcd, 64, false),
  psraw: shift(0x8c, 16, true),
  psrad: shift(0xac, 32, true),
  pslldq: shiftBytes(S.i8x16Sub),
  psrldq: shiftBytes(S.i8x16Add),
};

/** Even 32-bit elements of both, multiplied to 64 bits. */
function multiplyEven(opcode: number): VectorProgram {
  const even = elements(4, 0, 2, 0, 2);
  return (s) => {
    for (const field of ["a", "b"] as const) {
      s.pushVector(field);
      s.code(...tee(s.locals.u), ...get(s.locals.u), ...simd(S.shuffle), ...even);
    }
    s.code(...simd(opcode));
    finish(s);
  };
}

/** Upper halves of 16-bit products. */
function multiplyHigh(low: number, high: number): VectorProgram {
  return (s) => {
    const { x, y } = s.locals;
    s.pushVector("a");
    s.code(...set(x));
    s.pushVector("b");
    s.code(...set(y), ...get(x), ...get(y), ...simd(low), ...get(x), ...get(y), ...simd(high));
    s.code(...simd(S.shuffle), ...elements(2, 1, 3, 5, 7, 9, 11, 13, 15));
    finish(s);
  };
}

/** Sign bits of b's elements, to a general register. */
function signs(bitmask: number): VectorProgram {
  return (s) => {
    const { n } = s.locals;
    s.pushVector("b");
    s.code(...simd(bitmask), 0xad, ...set(n));
    s.storeWord(n);
  };
}

const entries = <N extends string, T>(table: { readonly [name in N]: T }, program: (value: T) => VectorProgram): [N, VectorProgram][] =>
  (Object.entries(table) as [N, T][]).map(([name, value]) => [name, program(value)]);

/** By operation. */
export const vectorPrograms: ReadonlyMap<VectorName, VectorProgram> = new Map<VectorName, VectorProgram>([
  ...entries(plain, (opcode) => (s) => {
    pushBoth(s);
    s.code(...simd(opcode));
    finish(s);
  }),
  ...entries(unary, (opcodes) => (s) => {
    s.pushVector("b");
    for (const opcode of opcodes) s.code(...simd(opcode));
    finish(s);
  }),
  ...entries(picks, pick),
  ...entries(shuffles, shuffle),
  ...entries(shiftPrograms, (program) => program),
  ["pmuludq", multiplyEven(0xde)],
  ["pmuldq", multiplyEven(0xdc)],
  ["pmulhw", multiplyHigh(0xbc, 0xbd)],
  ["pmulhuw", multiplyHigh(0xbe, 0xbf)],
  [
    "pshufb",
    (s) => {
      pushBoth(s);
      s.code(...vectorConstant(0x8f8f_8f8f_8f8f_8f8fn, 0x8f8f_8f8f_8f8f_8f8fn), ...simd(S.and), ...simd(S.swizzle));
      finish(s);
    },
  ],
  ["pmovmskb", signs(S.i8x16Bitmask)],
  ["movmskps", signs(S.i32x4Bitmask)],
  ["movmskpd", signs(S.i64x2Bitmask)],
  ...checkedPrograms,
]);
