/** Packed and scalar floating-point operations (SDM vol. 2), over SseArithmetic; fast where the host's arithmetic is provably the same. */
import { type Binary, type Bits, GREATER, LESS, SseArithmetic } from "./float";
import type { Lanes, Vectors } from "./lanes";

export type FloatKernel = (v: Vectors, arithmetic: SseArithmetic, wide: boolean) => void;

const lane = (v: Lanes, bits: Bits, i: number): bigint => (bits === 32 ? BigInt(v.u32[i]) : v.u64[i]);
const setLane = (v: Lanes, bits: Bits, i: number, value: bigint): void => {
  if (bits === 32) v.u32[i] = Number(value);
  else v.u64[i] = value;
};

// Bounds of what is certainly a normal number, and far enough from the ends of the range for rounding not to matter.
const MIN64 = 2.2250738585072014e-308;
const SAFE64 = 1e-300;
const MAX64 = Number.MAX_VALUE;
const MIN32 = 2 ** -126;
const SAFE32 = 2 ** -120;
const MAX32 = (2 - 2 ** -23) * 2 ** 127;

function host(op: Binary, x: number, y: number): number {
  switch (op) {
    case "add":
      return x + y;
    case "sub":
      return x - y;
    case "mul":
      return x * y;
    case "div":
      return x / y;
  }
}

/** Neither NaN nor infinite nor denormal. */
const plain = (x: number, minimum: number, maximum: number): boolean => {
  const magnitude = Math.abs(x);
  return magnitude === 0 || (magnitude >= minimum && magnitude <= maximum);
};

/**
 * Under the default control and with PE set already, an operation on normal numbers (or zeros) whose result is well within the normal range brings about nothing new, and
 * the host rounds as the guest does: in double precision, and for single precision by way of double, which has more than twice the bits and two.
 */
function binary(op: Binary, bits: Bits, count: number): FloatKernel {
  return (v, arithmetic) => {
    for (let i = 0; i < count; i++) {
      if (arithmetic.fast) {
        const [x, y] = bits === 64 ? [v.a.f64[i], v.b.f64[i]] : [v.a.f32[i], v.b.f32[i]];
        const result = bits === 64 ? host(op, x, y) : Math.fround(host(op, x, y));
        const size = Math.abs(result);
        const [minimum, safe, maximum] = bits === 64 ? [MIN64, SAFE64, MAX64] : [MIN32, SAFE32, MAX32];
        if (size >= safe && size <= maximum && plain(x, minimum, maximum) && plain(y, minimum, maximum) && (op !== "div" || y !== 0)) {
          if (bits === 64) v.r.f64[i] = result;
          else v.r.f32[i] = result;
          continue;
        }
      }
      setLane(v.r, bits, i, arithmetic.binary(op, bits, lane(v.a, bits, i), lane(v.b, bits, i)));
    }
  };
}

function squareRoot(bits: Bits, count: number): FloatKernel {
  return (v, arithmetic) => {
    for (let i = 0; i < count; i++) setLane(v.r, bits, i, arithmetic.sqrt(bits, lane(v.b, bits, i)));
  };
}

function extreme(bits: Bits, count: number, wanted: typeof LESS | typeof GREATER): FloatKernel {
  return (v, arithmetic) => {
    for (let i = 0; i < count; i++) setLane(v.r, bits, i, arithmetic.extreme(bits, lane(v.a, bits, i), lane(v.b, bits, i), wanted));
  };
}

/** By the lower four bits of a predicate: outcomes that make it true, bit 0 less, 1 equal, 2 greater, 3 unordered. */
const outcomes = [2, 1, 3, 8, 13, 14, 12, 7, 10, 9, 11, 0, 5, 6, 4, 15];
/** Those of the sixteen that signal quiet NaNs; bit 4 of the predicate turns that round. */
const signalingPredicates = 0b0110_0110_0110_0110;

/** CMPccPS and its kin: 32 predicates with VEX, of which the legacy forms have the first eight (SDM vol. 2, CMPPD). */
function compare(bits: Bits, count: number): FloatKernel {
  return (v, arithmetic) => {
    const predicate = v.immediate & 15;
    const signaling = ((signalingPredicates >> predicate) & 1) !== ((v.immediate >> 4) & 1);
    for (let i = 0; i < count; i++) {
      const order = arithmetic.compare(bits, lane(v.a, bits, i), lane(v.b, bits, i), signaling);
      const holds = ((outcomes[predicate] >> (order + 1)) & 1) !== 0;
      setLane(v.r, bits, i, holds ? (bits === 32 ? 0xffff_ffffn : 0xffff_ffff_ffff_ffffn) : 0n);
    }
  };
}

function horizontal(op: "add" | "sub", bits: Bits): FloatKernel {
  return (v, arithmetic) => {
    const half = 64 / bits;
    for (let i = 0; i < half; i++) {
      setLane(v.r, bits, i, arithmetic.binary(op, bits, lane(v.a, bits, 2 * i), lane(v.a, bits, 2 * i + 1)));
      setLane(v.r, bits, half + i, arithmetic.binary(op, bits, lane(v.b, bits, 2 * i), lane(v.b, bits, 2 * i + 1)));
    }
  };
}

function addSubtract(bits: Bits): FloatKernel {
  return (v, arithmetic) => {
    for (let i = 0; i < 128 / bits; i++) {
      setLane(v.r, bits, i, arithmetic.binary((i & 1) === 0 ? "sub" : "add", bits, lane(v.a, bits, i), lane(v.b, bits, i)));
    }
  };
}

/** To 32-bit integers; `clear`: the upper half becomes zero. */
function toIntegers(bits: Bits, count: number, truncate: boolean): FloatKernel {
  return (v, arithmetic) => {
    if (bits === 64) v.r.u64[1] = 0n;
    for (let i = 0; i < count; i++) v.r.u32[i] = Number(arithmetic.toInteger(bits, lane(v.b, bits, i), 32, truncate));
  };
}

function fromIntegers(bits: Bits, count: number): FloatKernel {
  return (v, arithmetic) => {
    for (let i = 0; i < count; i++) setLane(v.r, bits, i, arithmetic.fromInteger(bits, BigInt(v.b.i32[i])));
  };
}

function toRegister(bits: Bits, truncate: boolean): FloatKernel {
  return (v, arithmetic, wide) => {
    v.r.u64[0] = arithmetic.toInteger(bits, lane(v.b, bits, 0), wide ? 64 : 32, truncate);
  };
}

function fromRegister(bits: Bits): FloatKernel {
  return (v, arithmetic, wide) => {
    setLane(v.r, bits, 0, arithmetic.fromInteger(bits, wide ? v.b.i64[0] : BigInt(v.b.i32[0])));
  };
}

/**
 * RCP and RSQRT: approximations of 12 bits and more, which differ between processors (SDM vol. 1, "Approximate Reciprocal"). These are the exact results cut to 12 bits of
 * fraction. No exceptions; denormals count as zero.
 */
function approximate(count: number, f: (x: number) => number): FloatKernel {
  return (v) => {
    for (let i = 0; i < count; i++) {
      const bits = v.b.u32[i];
      const sign = bits & 0x8000_0000;
      const value = (bits & 0x7f80_0000) === 0 ? (sign !== 0 ? -0 : 0) : v.b.f32[i];
      if (Number.isNaN(value)) {
        v.r.u32[i] = bits | 0x40_0000;
        continue;
      }
      const result = f(value);
      if (Number.isNaN(result)) v.r.u32[i] = 0xffc0_0000;
      else {
        v.r.f32[i] = result;
        const kept = v.r.u32[i];
        v.r.u32[i] = (kept & 0x7f80_0000) === 0 ? kept & 0x8000_0000 : kept & 0xffff_f800;
      }
    }
  };
}
const reciprocal = (x: number): number => 1 / x;
const reciprocalRoot = (x: number): number => (x === 0 ? 1 / x : 1 / Math.sqrt(x));

const moves = {
  unpcklps: ({ a, b, r }: Vectors) => {
    r.u32.set([a.u32[0], b.u32[0], a.u32[1], b.u32[1]]);
  },
  unpckhps: ({ a, b, r }: Vectors) => {
    r.u32.set([a.u32[2], b.u32[2], a.u32[3], b.u32[3]]);
  },
  unpcklpd: ({ b, r }: Vectors) => {
    r.u64[1] = b.u64[0];
  },
  unpckhpd: ({ a, b, r }: Vectors) => {
    r.u64[0] = a.u64[1];
    r.u64[1] = b.u64[1];
  },
  shufps: ({ a, b, r, immediate }: Vectors) => {
    r.u32.set([a.u32[immediate & 3], a.u32[(immediate >> 2) & 3], b.u32[(immediate >> 4) & 3], b.u32[(immediate >> 6) & 3]]);
  },
  shufpd: ({ a, b, r, immediate }: Vectors) => {
    r.u64[0] = a.u64[immediate & 1];
    r.u64[1] = b.u64[(immediate >> 1) & 1];
  },
  movsldup: ({ b, r }: Vectors) => {
    r.u32.set([b.u32[0], b.u32[0], b.u32[2], b.u32[2]]);
  },
  movshdup: ({ b, r }: Vectors) => {
    r.u32.set([b.u32[1], b.u32[1], b.u32[3], b.u32[3]]);
  },
  movddup: ({ b, r }: Vectors) => {
    r.u64[0] = b.u64[0];
    r.u64[1] = b.u64[0];
  },
};

export const floatKernels = {
  ...moves,
  addps: binary("add", 32, 4),
  addpd: binary("add", 64, 2),
  addss: binary("add", 32, 1),
  addsd: binary("add", 64, 1),
  subps: binary("sub", 32, 4),
  subpd: binary("sub", 64, 2),
  subss: binary("sub", 32, 1),
  subsd: binary("sub", 64, 1),
  mulps: binary("mul", 32, 4),
  mulpd: binary("mul", 64, 2),
  mulss: binary("mul", 32, 1),
  mulsd: binary("mul", 64, 1),
  divps: binary("div", 32, 4),
  divpd: binary("div", 64, 2),
  divss: binary("div", 32, 1),
  divsd: binary("div", 64, 1),
  sqrtps: squareRoot(32, 4),
  sqrtpd: squareRoot(64, 2),
  sqrtss: squareRoot(32, 1),
  sqrtsd: squareRoot(64, 1),
  minps: extreme(32, 4, LESS),
  minpd: extreme(64, 2, LESS),
  minss: extreme(32, 1, LESS),
  minsd: extreme(64, 1, LESS),
  maxps: extreme(32, 4, GREATER),
  maxpd: extreme(64, 2, GREATER),
  maxss: extreme(32, 1, GREATER),
  maxsd: extreme(64, 1, GREATER),
  cmpps: compare(32, 4),
  cmppd: compare(64, 2),
  cmpss: compare(32, 1),
  cmpsd: compare(64, 1),
  haddps: horizontal("add", 32),
  haddpd: horizontal("add", 64),
  hsubps: horizontal("sub", 32),
  hsubpd: horizontal("sub", 64),
  addsubps: addSubtract(32),
  addsubpd: addSubtract(64),
  rcpps: approximate(4, reciprocal),
  rcpss: approximate(1, reciprocal),
  rsqrtps: approximate(4, reciprocalRoot),
  rsqrtss: approximate(1, reciprocalRoot),
  cvtps2dq: toIntegers(32, 4, false),
  cvttps2dq: toIntegers(32, 4, true),
  cvtpd2dq: toIntegers(64, 2, false),
  cvttpd2dq: toIntegers(64, 2, true),
  cvtps2pi: toIntegers(32, 2, false),
  cvttps2pi: toIntegers(32, 2, true),
  cvtpd2pi: toIntegers(64, 2, false),
  cvttpd2pi: toIntegers(64, 2, true),
  cvtdq2ps: fromIntegers(32, 4),
  cvtdq2pd: fromIntegers(64, 2),
  cvtpi2ps: fromIntegers(32, 2),
  cvtpi2pd: fromIntegers(64, 2),
  cvtsi2ss: fromRegister(32),
  cvtsi2sd: fromRegister(64),
  cvtps2pd: (v: Vectors, arithmetic: SseArithmetic) => {
    for (let i = 0; i < 2; i++) v.r.u64[i] = arithmetic.widen(BigInt(v.b.u32[i]));
  },
  cvtss2sd: (v: Vectors, arithmetic: SseArithmetic) => {
    v.r.u64[0] = arithmetic.widen(BigInt(v.b.u32[0]));
  },
  cvtpd2ps: (v: Vectors, arithmetic: SseArithmetic) => {
    for (let i = 0; i < 2; i++) v.r.u32[i] = Number(arithmetic.narrow(v.b.u64[i]));
    v.r.u64[1] = 0n;
  },
  cvtsd2ss: (v: Vectors, arithmetic: SseArithmetic) => {
    v.r.u32[0] = Number(arithmetic.narrow(v.b.u64[0]));
  },
} satisfies Record<string, FloatKernel>;

/** Conversions to a general register: lane u64[0]. */
export const registerKernels = {
  cvtss2si: toRegister(32, false),
  cvttss2si: toRegister(32, true),
  cvtsd2si: toRegister(64, false),
  cvttsd2si: toRegister(64, true),
} satisfies Record<string, FloatKernel>;

/** Compares that set the flags: bits of the operands, and whether a quiet NaN is an invalid operation. */
export const flagCompares = {
  comiss: { bits: 32, signaling: true },
  comisd: { bits: 64, signaling: true },
  ucomiss: { bits: 32, signaling: false },
  ucomisd: { bits: 64, signaling: false },
} as const;
