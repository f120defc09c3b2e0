/** Operations that AVX and AVX2 add (SDM vol. 2), on a half of a vector at a time, and those across halves. */
import type { Kernel } from "./integer";
import type { LongVector, Vectors } from "./lanes";

/** Shifts by a count of its own in each lane. */
function shiftEach(f: (x: number, count: number) => number, out: (x: number) => number): Kernel {
  return ({ a, b, r }) => {
    for (let i = 0; i < 4; i++) r.i32[i] = b.u32[i] > 31 ? out(a.i32[i]) : f(a.i32[i], b.u32[i]);
  };
}
const none = (): number => 0;

function shiftEach64(f: (x: bigint, count: bigint) => bigint): Kernel {
  return ({ a, b, r }) => {
    for (let i = 0; i < 2; i++) r.u64[i] = b.u64[i] > 63n ? 0n : f(a.u64[i], b.u64[i]);
  };
}

function broadcast(kind: "u8" | "u16" | "u32"): Kernel {
  return ({ b, r }) => {
    r[kind].fill(b[kind][0]);
  };
}

export const avxKernels = {
  psllvd: shiftEach((x, count) => x << count, none),
  psrlvd: shiftEach((x, count) => x >>> count, none),
  psravd: shiftEach(
    (x, count) => x >> count,
    (x) => x >> 31,
  ),
  psllvq: shiftEach64((x, count) => x << count),
  psrlvq: shiftEach64((x, count) => x >> count),
  broadcastb: broadcast("u8"),
  broadcastw: broadcast("u16"),
  broadcastd: broadcast("u32"),
  /** Lanes of a chosen by b; the forms with an immediate are pshufd and permilpd. */
  permilpsVariable: ({ a, b, r }: Vectors) => {
    for (let i = 0; i < 4; i++) r.u32[i] = a.u32[b.u32[i] & 3];
  },
  permilpdVariable: ({ a, b, r }: Vectors) => {
    for (let i = 0; i < 2; i++) r.u64[i] = a.u64[(b.u32[2 * i] >> 1) & 1];
  },
  permilpd: ({ b, r, immediate }: Vectors) => {
    for (let i = 0; i < 2; i++) r.u64[i] = b.u64[(immediate >> i) & 1];
  },
} satisfies Record<string, Kernel>;

export type LongKernel = (a: LongVector, b: LongVector, r: LongVector) => void;

export const longKernels = {
  /** Lanes of b chosen by a, of the whole vector. */
  permd: (a, b, r) => {
    for (let i = 0; i < 8; i++) r.u32[i] = b.u32[a.u32[i] & 7];
  },
} satisfies Record<string, LongKernel>;
