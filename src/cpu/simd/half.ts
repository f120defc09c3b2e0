/** F16C: conversions between half and single precision (SDM vol. 1, "Half-Precision Floating-Point Conversion"). */
import type { FloatKernel } from "./floating";

export const halfKernels = {
  cvtph2ps: (v, arithmetic) => {
    for (let i = 0; i < 4; i++) v.r.u32[i] = arithmetic.halfToSingle(v.b.u16[i]);
  },
  /** 64 bits; the rest of the register becomes zero. */
  cvtps2ph: (v, arithmetic) => {
    for (let i = 0; i < 4; i++) v.r.u16[i] = arithmetic.singleToHalf(v.b.u32[i], v.immediate);
    v.r.u64[1] = 0n;
  },
} satisfies Record<string, FloatKernel>;
