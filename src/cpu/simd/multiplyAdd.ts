/** FMA (SDM vol. 2, "VFMADD132PD ..."): a product and a sum with one rounding. */
import { type FmaKind, type FmaMnemonic, fmaMnemonics, type FmaOrder } from "../decode/vexMnemonics";
import type { Bits } from "./float";
import type { FloatKernel } from "./floating";
import { fastMultiplyAdd32, fastMultiplyAdd64 } from "./fastMultiplyAdd";
import type { Lanes, Vectors } from "./lanes";

/** Factor, factor and addend by operand: c the destination (first), a VEX.vvvv (second), b register or memory (third). */
const roles: Readonly<Record<FmaOrder, (v: Vectors) => readonly [Lanes, Lanes, Lanes]>> = {
  "132": ({ a, b, c }) => [c, b, a],
  "213": ({ a, b, c }) => [a, c, b],
  "231": ({ a, b, c }) => [a, b, c],
};

/** Whether the product and the addend change their signs, in even and in odd lanes. */
const signs: Readonly<Record<FmaKind, readonly [product: boolean, even: boolean, odd: boolean]>> = {
  madd: [false, false, false],
  msub: [false, true, true],
  nmadd: [true, false, false],
  nmsub: [true, true, true],
  maddsub: [false, true, false],
  msubadd: [false, false, true],
};

function multiplyAdd(kind: FmaKind, order: FmaOrder, bits: Bits, scalar: boolean): FloatKernel {
  const role = roles[order];
  const [product, even, odd] = signs[kind];
  const count = scalar ? 1 : 128 / bits;
  return (v, arithmetic) => {
    const [x, y, z] = role(v);
    // A scalar keeps the destination's other lanes, not those of VEX.vvvv.
    v.r.u64.set(v.c.u64);
    for (let i = 0; i < count; i++) {
      const addend = (i & 1) === 0 ? even : odd;
      if (bits === 64) {
        if (arithmetic.fast && fastMultiplyAdd64(x.f64[i], y.f64[i], z.f64[i], product, addend, v.r.f64, i)) continue;
        v.r.u64[i] = arithmetic.multiplyAdd(64, x.u64[i], y.u64[i], z.u64[i], product, addend);
      } else {
        if (arithmetic.fast && fastMultiplyAdd32(x.f32[i], y.f32[i], z.f32[i], product, addend, v.r.f32, i)) continue;
        v.r.u32[i] = Number(arithmetic.multiplyAdd(32, BigInt(x.u32[i]), BigInt(y.u32[i]), BigInt(z.u32[i]), product, addend));
      }
    }
  };
}

function kernelOf(name: FmaMnemonic): FloatKernel {
  const match = /^vf(n?m(?:add|sub|addsub|subadd))(132|213|231)([ps])([sd])$/.exec(name);
  if (match === null) throw new Error(`${name} is no multiply-add`);
  const [, kind, order, packing, precision] = match;
  return multiplyAdd(kind as FmaKind, order as FmaOrder, precision === "s" ? 32 : 64, packing === "s");
}

/** By mnemonic without its V. */
export const multiplyAddKernels: Readonly<Record<string, FloatKernel>> = Object.fromEntries(
  fmaMnemonics.map((name) => [name.slice(1), kernelOf(name)]),
);
