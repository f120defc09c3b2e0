/** SSE4.1 and SSE4.2 beyond packed integers (SDM vol. 2). */
import type { Bits } from "./float";
import type { FloatKernel } from "./floating";
import type { Kernel } from "./integer";
import type { Lanes, Vectors } from "./lanes";

/** Blends by the sign bits of XMM0, lane by lane. */
function blendVariable(kind: "i8" | "i32" | "i64"): Kernel {
  return ({ b, r, c }) => {
    for (let i = 0; i < r[kind].length; i++) if (c[kind][i] < 0) r[kind][i] = b[kind][i];
  };
}

function blend(kind: "u16" | "u32" | "u64"): Kernel {
  return ({ b, r, immediate }) => {
    for (let i = 0; i < r[kind].length; i++) if ((immediate & (1 << i)) !== 0) r[kind][i] = b[kind][i];
  };
}

/** Operations that take XMM0 besides. */
export const thirdOperandKernels = {
  pblendvb: blendVariable("i8"),
  blendvps: blendVariable("i32"),
  blendvpd: blendVariable("i64"),
} satisfies Record<string, Kernel>;

export const sse4Kernels = {
  blendps: blend("u32"),
  blendpd: blend("u64"),
  pblendw: blend("u16"),
  /** The source's lane is chosen by the emitter, which passes memory as lane 0 (bits 6 and 7 clear). */
  insertps: ({ b, r, immediate }: Vectors) => {
    r.u32[(immediate >> 4) & 3] = b.u32[immediate >> 6];
    for (let i = 0; i < 4; i++) if ((immediate & (1 << i)) !== 0) r.u32[i] = 0;
  },
  mpsadbw: ({ a, b, r, immediate }: Vectors) => {
    const from = (immediate & 4) !== 0 ? 4 : 0;
    const block = (immediate & 3) * 4;
    for (let i = 0; i < 8; i++) {
      let sum = 0;
      for (let j = 0; j < 4; j++) sum += Math.abs(a.u8[from + i + j] - b.u8[block + j]);
      r.u16[i] = sum;
    }
  },
} satisfies Record<string, Kernel>;

const lane = (v: Lanes, bits: Bits, i: number): bigint => (bits === 32 ? BigInt(v.u32[i]) : v.u64[i]);
const setLane = (v: Lanes, bits: Bits, i: number, value: bigint): void => {
  if (bits === 32) v.u32[i] = Number(value);
  else v.u64[i] = value;
};

function round(bits: Bits, count: number): FloatKernel {
  return ({ b, r, immediate }, arithmetic) => {
    for (let i = 0; i < count; i++) setLane(r, bits, i, arithmetic.toIntegral(bits, lane(b, bits, i), immediate));
  };
}

/**
 * Dot products: the products of chosen lanes, added in pairs, into the lanes chosen. In stages, as an exception that is not masked ends the instruction at the end of the stage that
 * brings it about.
 */
function dotProduct(bits: Bits): readonly FloatKernel[] {
  const count = 128 / bits;
  const products: FloatKernel = ({ a, b, r, immediate }, arithmetic) => {
    for (let i = 0; i < count; i++) {
      const chosen = (immediate & (0x10 << i)) !== 0;
      setLane(r, bits, i, chosen ? arithmetic.binary("mul", bits, lane(a, bits, i), lane(b, bits, i)) : 0n);
    }
  };
  const pairs: FloatKernel = ({ r }, arithmetic) => {
    for (let i = 0; i < count; i += 2) setLane(r, bits, i / 2, arithmetic.binary("add", bits, lane(r, bits, i), lane(r, bits, i + 1)));
  };
  const last: FloatKernel = ({ r, immediate }, arithmetic) => {
    const sum = arithmetic.binary("add", bits, lane(r, bits, 0), lane(r, bits, 1));
    for (let i = 0; i < count; i++) setLane(r, bits, i, (immediate & (1 << i)) !== 0 ? sum : 0n);
  };
  return bits === 32 ? [products, pairs, last] : [products, last];
}

/** Operations in stages. */
export const stagedKernels = {
  dpps: dotProduct(32),
  dppd: dotProduct(64),
} satisfies Record<string, readonly FloatKernel[]>;

export const sse4FloatKernels = {
  roundps: round(32, 4),
  roundpd: round(64, 2),
  roundss: round(32, 1),
  roundsd: round(64, 1),
} satisfies Record<string, FloatKernel>;

/** Outcome of a string comparison. */
export interface StringComparison {
  /** IntRes2, a bit a character. */
  readonly mask: number;
  /** A string ends before the vector does: the first (SF), the second (ZF). */
  readonly shortA: boolean;
  readonly shortB: boolean;
  readonly characters: 8 | 16;
}

/**
 * PCMPxSTRx (SDM vol. 2, "Imm8 Control Byte Operation for PCMPESTRI / PCMPESTRM / PCMPISTRI / PCMPISTRM"). Lengths are explicit, or undefined for strings that
 * end with a null character.
 */
export function compareStrings({ a, b, immediate }: Vectors, lengthA?: number, lengthB?: number): StringComparison {
  const kind = (["u8", "u16", "i8", "i16"] as const)[immediate & 3];
  const x = a[kind];
  const y = b[kind];
  const characters = (immediate & 1) !== 0 ? 8 : 16;
  const implicit = (v: typeof x): number => {
    const end = v.findIndex((character: number) => character === 0);
    return end < 0 ? characters : end;
  };
  const m = Math.min(lengthA ?? implicit(x), characters);
  const n = Math.min(lengthB ?? implicit(y), characters);
  let mask = 0;
  for (let j = 0; j < characters; j++) {
    let hit = false;
    switch ((immediate >> 2) & 3) {
      case 0: // Equal any.
        for (let i = 0; i < m; i++) hit ||= j < n && x[i] === y[j];
        break;
      case 1: // Ranges.
        for (let i = 0; i + 1 < m; i += 2) hit ||= j < n && x[i] <= y[j] && y[j] <= x[i + 1];
        break;
      case 2: // Equal each: two characters that are both missing are equal.
        hit = j < m && j < n ? x[j] === y[j] : j >= m && j >= n;
        break;
      default: // Equal ordered: the first string begins here, as far as the vector goes.
        hit = true;
        for (let i = 0; i < m && i + j < characters; i++) hit &&= i + j < n && x[i] === y[i + j];
        break;
    }
    if (hit) mask |= 1 << j;
  }
  const polarity = (immediate >> 4) & 3;
  if (polarity === 1) mask ^= (1 << characters) - 1;
  else if (polarity === 3) mask ^= (1 << n) - 1;
  return { mask, shortA: m < characters, shortB: n < characters, characters };
}

/** ECX of PCMPxSTRI: the lowest (immediate bit 6: highest) bit set, or the number of characters. */
export function stringIndex({ mask, characters }: StringComparison, immediate: number): number {
  if (mask === 0) return characters;
  return (immediate & 0x40) !== 0 ? 31 - Math.clz32(mask) : 31 - Math.clz32(mask & -mask);
}

/** XMM0 of PCMPxSTRM: the bits, or (immediate bit 6) each spread over its character. */
export function stringMask({ mask, characters }: StringComparison, immediate: number, r: Lanes): void {
  r.u64.fill(0n);
  if ((immediate & 0x40) === 0) {
    r.u16[0] = mask;
    return;
  }
  const lanes = characters === 8 ? r.u16 : r.u8;
  for (let i = 0; i < characters; i++) lanes[i] = (mask & (1 << i)) !== 0 ? 0xffff : 0;
}
