/** The operations of the `simd` helper by number. */
import { assert } from "../../common/errors";
import { avxKernels, type LongKernel, longKernels } from "./avx";
import { cryptoKernels, cryptoThirdKernels } from "./crypto";
import { flagCompares, floatKernels, type FloatKernel, registerKernels } from "./floating";
import { halfKernels } from "./half";
import { type UpperHalf, upperHalfOf } from "./halves";
import { multiplyAddKernels } from "./multiplyAdd";
import { sse4FloatKernels, sse4Kernels, stagedKernels, thirdOperandKernels } from "./sse4";
import { extractionKernels, integerKernels, type Kernel } from "./integer";

/** What an operation does with its operands: `gives` bytes at the destination. */
export type Operation =
  | { readonly kind: "integer"; readonly gives: 8 | 16; readonly run: Kernel; readonly third?: true }
  | { readonly kind: "long"; readonly gives: 16; readonly run: LongKernel }
  | { readonly kind: "float"; readonly gives: 8 | 16; readonly run: FloatKernel; readonly third?: true }
  | { readonly kind: "staged"; readonly gives: 16; readonly stages: readonly FloatKernel[] }
  | { readonly kind: "compare"; readonly gives: 0; readonly bits: 32 | 64; readonly signaling: boolean }
  | { readonly kind: "test"; readonly gives: 0; readonly lane: "u64" | "i64" | "i32" }
  | { readonly kind: "string"; readonly gives: 0; readonly explicit: boolean; readonly index: boolean }
  | { readonly kind: "mmxRead" | "mmxWrite" | "emms"; readonly gives: 0 };

const table = new Map<string, Operation>([
  // An MMX register (hi) into slot a, and back; both make the x87 stack look full (SDM vol. 1, "MMX Instructions and the x87 FPU Tag Word").
  ["mmxRead", { kind: "mmxRead", gives: 0 }],
  ["mmxWrite", { kind: "mmxWrite", gives: 0 }],
  ["emms", { kind: "emms", gives: 0 }],
  ...Object.entries(integerKernels).map(([name, run]): [string, Operation] => [name, { kind: "integer", gives: 16, run }]),
  ...Object.entries(extractionKernels).map(([name, run]): [string, Operation] => [name, { kind: "integer", gives: 8, run }]),
  ...Object.entries(floatKernels).map(([name, run]): [string, Operation] => [name, { kind: "float", gives: 16, run }]),
  ...Object.entries(sse4Kernels).map(([name, run]): [string, Operation] => [name, { kind: "integer", gives: 16, run }]),
  ...Object.entries(cryptoKernels).map(([name, run]): [string, Operation] => [name, { kind: "integer", gives: 16, run }]),
  ...Object.entries({ ...thirdOperandKernels, ...cryptoThirdKernels }).map(([name, run]): [string, Operation] => [
    name,
    { kind: "integer", gives: 16, run, third: true },
  ]),
  ...Object.entries(avxKernels).map(([name, run]): [string, Operation] => [name, { kind: "integer", gives: 16, run }]),
  ...Object.entries(longKernels).map(([name, run]): [string, Operation] => [name, { kind: "long", gives: 16, run }]),
  ...Object.entries(halfKernels).map(([name, run]): [string, Operation] => [name, { kind: "float", gives: 16, run }]),
  ...Object.entries(multiplyAddKernels).map(([name, run]): [string, Operation] => [name, { kind: "float", gives: 16, run, third: true }]),
  ...Object.entries(sse4FloatKernels).map(([name, run]): [string, Operation] => [name, { kind: "float", gives: 16, run }]),
  ...Object.entries(stagedKernels).map(([name, stages]): [string, Operation] => [name, { kind: "staged", gives: 16, stages }]),
  ["ptest", { kind: "test", gives: 0, lane: "u64" }],
  // Of each lane the sign alone counts.
  ["testps", { kind: "test", gives: 0, lane: "i32" }],
  ["testpd", { kind: "test", gives: 0, lane: "i64" }],
  ["pcmpestrm", { kind: "string", gives: 0, explicit: true, index: false }],
  ["pcmpestri", { kind: "string", gives: 0, explicit: true, index: true }],
  ["pcmpistrm", { kind: "string", gives: 0, explicit: false, index: false }],
  ["pcmpistri", { kind: "string", gives: 0, explicit: false, index: true }],
  ...Object.entries(registerKernels).map(([name, run]): [string, Operation] => [name, { kind: "float", gives: 8, run }]),
  ...Object.entries(flagCompares).map(([name, compare]): [string, Operation] => [name, { kind: "compare", gives: 0, ...compare }]),
]);
const names = [...table.keys()];
const numbers: ReadonlyMap<string, number> = new Map(names.map((name, number) => [name, number]));

export const operations: readonly Operation[] = [...table.values()];
/** By operation number: how it works on 256 bits. */
export const upperHalves: readonly UpperHalf[] = names.map(upperHalfOf);
export const isOperation = (name: string): boolean => table.has(name);

export function operationNumber(name: string): number {
  const number = numbers.get(name);
  assert(number !== undefined, `no vector operation is called ${name}`);
  return number;
}

export const resultBytes = (name: string): number => operations[operationNumber(name)].gives;

export const MMX_READ = operationNumber("mmxRead");
export const MMX_WRITE = operationNumber("mmxWrite");
