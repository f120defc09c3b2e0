/** Packed integer operations (SDM vol. 2). On MMX registers the upper half of operands and result is garbage. */
import type { Vectors } from "./lanes";

export type Kernel = (v: Vectors) => void;
type LaneOp = (x: number, y: number) => number;

const saturate = (value: number, low: number, high: number): number => (value < low ? low : value > high ? high : value);
const s8 = (value: number): number => saturate(value, -128, 127);
const u8 = (value: number): number => saturate(value, 0, 255);
const s16 = (value: number): number => saturate(value, -32768, 32767);
const u16 = (value: number): number => saturate(value, 0, 65535);

type Lane = "u8" | "i8" | "u16" | "i16" | "u32" | "i32";

/** r = f(a, b) in lanes of one kind. */
function lanes(kind: Lane, f: LaneOp): Kernel {
  return ({ a, b, r }) => {
    const x = a[kind];
    const y = b[kind];
    const z = r[kind];
    for (let i = 0; i < z.length; i++) z[i] = f(x[i], y[i]);
  };
}

/** r = a shifted by the count in b's low 64 bits. */
function shifts(bits: 16 | 32, f: (x: number, count: number) => number, arithmetic: boolean): Kernel {
  const kind = bits === 16 ? (arithmetic ? "i16" : "u16") : arithmetic ? "i32" : "u32";
  return ({ a, b, r }) => {
    const out = b.u32[1] !== 0 || b.u32[0] >= bits;
    const count = out ? bits - 1 : b.u32[0];
    const x = a[kind];
    const z = r[kind];
    for (let i = 0; i < z.length; i++) z[i] = out && !arithmetic ? 0 : f(x[i], count);
  };
}

function shifts64(f: (x: bigint, count: bigint) => bigint): Kernel {
  return ({ a, b, r }) => {
    const count = b.u64[0];
    for (let i = 0; i < 2; i++) r.u64[i] = count > 63n ? 0n : f(a.u64[i], count);
  };
}

/** Interleaves the lower (upper) halves of a and b. */
function unpack(kind: "u8" | "u16" | "u32", upper: boolean): Kernel {
  return ({ a, b, r, mmx }) => {
    const x = a[kind];
    const y = b[kind];
    const z = r[kind];
    const half = z.length / 2;
    const first = upper ? (mmx ? half / 2 : half) : 0;
    for (let i = 0; i < half; i++) {
      z[2 * i] = x[(first + i) % z.length];
      z[2 * i + 1] = y[(first + i) % z.length];
    }
  };
}

/** Of two MMX operands makes one of 128 bits, as operations that put results of b behind those of a expect it. */
function joined(kernel: Kernel): Kernel {
  return (v) => {
    if (v.mmx) v.a.u64[1] = v.b.u64[0];
    kernel(v);
  };
}

function pack(from: "i16" | "i32", to: "u8" | "i8" | "u16" | "i16", narrow: (x: number) => number): Kernel {
  return joined(({ a, b, r }) => {
    const count = a[from].length;
    for (let i = 0; i < count; i++) {
      r[to][i] = narrow(a[from][i]);
      r[to][count + i] = narrow(b[from][i]);
    }
  });
}

/** Horizontal: f of neighbours, of a and then of b. */
function horizontal(kind: "i16" | "i32", f: LaneOp): Kernel {
  return joined(({ a, b, r }) => {
    const half = a[kind].length / 2;
    for (let i = 0; i < half; i++) {
      r[kind][i] = f(a[kind][2 * i], a[kind][2 * i + 1]);
      r[kind][half + i] = f(b[kind][2 * i], b[kind][2 * i + 1]);
    }
  });
}

function shuffleWords(base: 0 | 4): Kernel {
  return ({ b, r, immediate }) => {
    r.u64[1 - base / 4] = b.u64[1 - base / 4];
    for (let i = 0; i < 4; i++) r.u16[base + i] = b.u16[base + ((immediate >> (2 * i)) & 3)];
  };
}

/** Moves bytes of the whole register. */
function shiftBytes(left: boolean): Kernel {
  return ({ a, b, r }) => {
    const count = Math.min(b.u32[0], 16);
    for (let i = 0; i < 16; i++) {
      const from = left ? i - count : i + count;
      r.u8[i] = from >= 0 && from < 16 ? a.u8[from] : 0;
    }
  };
}

const equal: LaneOp = (x, y) => (x === y ? -1 : 0);
const greater: LaneOp = (x, y) => (x > y ? -1 : 0);
const add: LaneOp = (x, y) => x + y;
const subtract: LaneOp = (x, y) => x - y;
const average: LaneOp = (x, y) => (x + y + 1) >> 1;
const sign: LaneOp = (x, y) => (y < 0 ? -x : y === 0 ? 0 : x);

function extend(from: Lane, to: "u16" | "i16" | "u32" | "i32"): Kernel {
  return ({ b, r }) => {
    for (let i = 0; i < r[to].length; i++) r[to][i] = b[from][i];
  };
}
function extend64(from: Lane): Kernel {
  return ({ b, r }) => {
    for (let i = 0; i < 2; i++) r.i64[i] = BigInt(b[from][i]);
  };
}

export const integerKernels = {
  paddb: lanes("u8", add),
  paddw: lanes("u16", add),
  paddd: lanes("i32", (x, y) => (x + y) | 0),
  psubb: lanes("u8", subtract),
  psubw: lanes("u16", subtract),
  psubd: lanes("i32", (x, y) => (x - y) | 0),
  paddsb: lanes("i8", (x, y) => s8(x + y)),
  paddsw: lanes("i16", (x, y) => s16(x + y)),
  paddusb: lanes("u8", (x, y) => u8(x + y)),
  paddusw: lanes("u16", (x, y) => u16(x + y)),
  psubsb: lanes("i8", (x, y) => s8(x - y)),
  psubsw: lanes("i16", (x, y) => s16(x - y)),
  psubusb: lanes("u8", (x, y) => u8(x - y)),
  psubusw: lanes("u16", (x, y) => u16(x - y)),
  pcmpeqb: lanes("u8", equal),
  pcmpeqw: lanes("u16", equal),
  pcmpeqd: lanes("i32", equal),
  pcmpgtb: lanes("i8", greater),
  pcmpgtw: lanes("i16", greater),
  pcmpgtd: lanes("i32", greater),
  pminub: lanes("u8", Math.min),
  pmaxub: lanes("u8", Math.max),
  pminsw: lanes("i16", Math.min),
  pmaxsw: lanes("i16", Math.max),
  pminsb: lanes("i8", Math.min),
  pmaxsb: lanes("i8", Math.max),
  pminsd: lanes("i32", Math.min),
  pmaxsd: lanes("i32", Math.max),
  pminuw: lanes("u16", Math.min),
  pmaxuw: lanes("u16", Math.max),
  pminud: lanes("u32", Math.min),
  pmaxud: lanes("u32", Math.max),
  pavgb: lanes("u8", average),
  pavgw: lanes("u16", average),
  pmullw: lanes("i16", Math.imul),
  pmulhw: lanes("i16", (x, y) => Math.imul(x, y) >> 16),
  pmulhuw: lanes("u16", (x, y) => Math.imul(x, y) >>> 16),
  pmulld: lanes("i32", Math.imul),
  pmulhrsw: lanes("i16", (x, y) => ((Math.imul(x, y) >> 14) + 1) >> 1),
  psignb: lanes("i8", sign),
  psignw: lanes("i16", sign),
  psignd: lanes("i32", sign),
  pabsb: lanes("i8", (_x, y) => Math.abs(y)),
  pabsw: lanes("i16", (_x, y) => Math.abs(y)),
  pabsd: lanes("i32", (_x, y) => Math.abs(y)),
  psrlw: shifts(16, (x, count) => x >>> count, false),
  psrld: shifts(32, (x, count) => x >>> count, false),
  psraw: shifts(16, (x, count) => x >> count, true),
  psrad: shifts(32, (x, count) => x >> count, true),
  psllw: shifts(16, (x, count) => x << count, false),
  pslld: shifts(32, (x, count) => x << count, false),
  psrlq: shifts64((x, count) => x >> count),
  psllq: shifts64((x, count) => x << count),
  psrldq: shiftBytes(false),
  pslldq: shiftBytes(true),
  punpcklbw: unpack("u8", false),
  punpcklwd: unpack("u16", false),
  punpckldq: unpack("u32", false),
  punpckhbw: unpack("u8", true),
  punpckhwd: unpack("u16", true),
  punpckhdq: unpack("u32", true),
  packsswb: pack("i16", "i8", s8),
  packuswb: pack("i16", "u8", u8),
  packssdw: pack("i32", "i16", s16),
  packusdw: pack("i32", "u16", u16),
  phaddw: horizontal("i16", add),
  phaddd: horizontal("i32", add),
  phaddsw: horizontal("i16", (x, y) => s16(x + y)),
  phsubw: horizontal("i16", subtract),
  phsubd: horizontal("i32", subtract),
  phsubsw: horizontal("i16", (x, y) => s16(x - y)),
  pshufw: shuffleWords(0),
  pshuflw: shuffleWords(0),
  pshufhw: shuffleWords(4),
  pmovsxbw: extend("i8", "i16"),
  pmovsxbd: extend("i8", "i32"),
  pmovsxbq: extend64("i8"),
  pmovsxwd: extend("i16", "i32"),
  pmovsxwq: extend64("i16"),
  pmovsxdq: extend64("i32"),
  pmovzxbw: extend("u8", "u16"),
  pmovzxbd: extend("u8", "u32"),
  pmovzxbq: extend64("u8"),
  pmovzxwd: extend("u16", "u32"),
  pmovzxwq: extend64("u16"),
  pmovzxdq: extend64("u32"),
  paddq: ({ a, b, r }: Vectors) => {
    for (let i = 0; i < 2; i++) r.u64[i] = a.u64[i] + b.u64[i];
  },
  psubq: ({ a, b, r }: Vectors) => {
    for (let i = 0; i < 2; i++) r.u64[i] = a.u64[i] - b.u64[i];
  },
  pcmpeqq: ({ a, b, r }: Vectors) => {
    for (let i = 0; i < 2; i++) r.i64[i] = a.u64[i] === b.u64[i] ? -1n : 0n;
  },
  pcmpgtq: ({ a, b, r }: Vectors) => {
    for (let i = 0; i < 2; i++) r.i64[i] = a.i64[i] > b.i64[i] ? -1n : 0n;
  },
  pmuludq: ({ a, b, r }: Vectors) => {
    for (let i = 0; i < 2; i++) r.u64[i] = BigInt(a.u32[2 * i]) * BigInt(b.u32[2 * i]);
  },
  pmuldq: ({ a, b, r }: Vectors) => {
    for (let i = 0; i < 2; i++) r.i64[i] = BigInt(a.i32[2 * i]) * BigInt(b.i32[2 * i]);
  },
  pmaddwd: ({ a, b, r }: Vectors) => {
    for (let i = 0; i < 4; i++) r.i32[i] = Math.imul(a.i16[2 * i], b.i16[2 * i]) + Math.imul(a.i16[2 * i + 1], b.i16[2 * i + 1]);
  },
  pmaddubsw: ({ a, b, r }: Vectors) => {
    for (let i = 0; i < 8; i++) r.i16[i] = s16(a.u8[2 * i] * b.i8[2 * i] + a.u8[2 * i + 1] * b.i8[2 * i + 1]);
  },
  psadbw: ({ a, b, r }: Vectors) => {
    for (let half = 0; half < 2; half++) {
      let sum = 0;
      for (let i = half * 8; i < half * 8 + 8; i++) sum += Math.abs(a.u8[i] - b.u8[i]);
      r.u64[half] = BigInt(sum);
    }
  },
  pshufd: ({ b, r, immediate }: Vectors) => {
    for (let i = 0; i < 4; i++) r.u32[i] = b.u32[(immediate >> (2 * i)) & 3];
  },
  pshufb: ({ a, b, r, mmx }: Vectors) => {
    for (let i = 0; i < 16; i++) r.u8[i] = b.u8[i] >= 128 ? 0 : a.u8[b.u8[i] & (mmx ? 7 : 15)];
  },
  palignr: ({ a, b, r, mmx, immediate }: Vectors) => {
    const width = mmx ? 8 : 16;
    for (let i = 0; i < width; i++) {
      const from = i + immediate;
      r.u8[i] = from < width ? b.u8[from] : from < 2 * width ? a.u8[from - width] : 0;
    }
  },
  punpcklqdq: ({ b, r }: Vectors) => {
    r.u64[1] = b.u64[0];
  },
  punpckhqdq: ({ a, b, r }: Vectors) => {
    r.u64[0] = a.u64[1];
    r.u64[1] = b.u64[1];
  },
  pinsrw: ({ b, r, immediate }: Vectors) => {
    r.u16[immediate] = b.u16[0];
  },
  phminposuw: ({ b, r }: Vectors) => {
    let at = 0;
    for (let i = 1; i < 8; i++) if (b.u16[i] < b.u16[at]) at = i;
    r.u64[0] = BigInt(b.u16[at] | (at << 16));
    r.u64[1] = 0n;
  },
} satisfies Record<string, Kernel>;

/** Operations whose result is a general register: lane u64[0]. */
export const extractionKernels = {
  pmovmskb: ({ b, r, mmx }: Vectors) => {
    let mask = 0;
    for (let i = 0; i < (mmx ? 8 : 16); i++) mask |= (b.u8[i] >> 7) << i;
    r.u64[0] = BigInt(mask);
  },
  movmskps: ({ b, r }: Vectors) => {
    let mask = 0;
    for (let i = 0; i < 4; i++) mask |= (b.u32[i] >>> 31) << i;
    r.u64[0] = BigInt(mask);
  },
  movmskpd: ({ b, r }: Vectors) => {
    r.u64[0] = BigInt((b.u32[1] >>> 31) | ((b.u32[3] >>> 31) << 1));
  },
  pextrw: ({ b, r, mmx, immediate }: Vectors) => {
    r.u64[0] = BigInt(b.u16[immediate & (mmx ? 3 : 7)]);
  },
} satisfies Record<string, Kernel>;
