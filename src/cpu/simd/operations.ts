/** The operations of the `simd` helper by number. */
import { assert } from "../../common/errors";
import { flagCompares, floatKernels, type FloatKernel, registerKernels } from "./floating";
import { sse4FloatKernels, sse4Kernels, thirdOperandKernels } from "./sse4";
import { extractionKernels, integerKernels, type Kernel } from "./integer";

/** What an operation does with its operands: `gives` bytes at the destination. */
export type Operation =
  | { readonly kind: "integer"; readonly gives: 8 | 16; readonly run: Kernel; readonly third?: true }
  | { readonly kind: "float"; readonly gives: 8 | 16; readonly run: FloatKernel }
  | { readonly kind: "compare"; readonly gives: 0; readonly bits: 32 | 64; readonly signaling: boolean }
  | { readonly kind: "test"; readonly gives: 0 }
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
  ...Object.entries(thirdOperandKernels).map(([name, run]): [string, Operation] => [
    name,
    { kind: "integer", gives: 16, run, third: true },
  ]),
  ...Object.entries(sse4FloatKernels).map(([name, run]): [string, Operation] => [name, { kind: "float", gives: 16, run }]),
  ["ptest", { kind: "test", gives: 0 }],
  ["pcmpestrm", { kind: "string", gives: 0, explicit: true, index: false }],
  ["pcmpestri", { kind: "string", gives: 0, explicit: true, index: true }],
  ["pcmpistrm", { kind: "string", gives: 0, explicit: false, index: false }],
  ["pcmpistri", { kind: "string", gives: 0, explicit: false, index: true }],
  ...Object.entries(registerKernels).map(([name, run]): [string, Operation] => [name, { kind: "float", gives: 8, run }]),
  ...Object.entries(flagCompares).map(([name, compare]): [string, Operation] => [name, { kind: "compare", gives: 0, ...compare }]),
]);
const names = [...table.keys()];

export const operations: readonly Operation[] = [...table.values()];
export const isOperation = (name: string): boolean => table.has(name);

export function operationNumber(name: string): number {
  const number = names.indexOf(name);
  assert(number >= 0, `no vector operation is called ${name}`);
  return number;
}

export const resultBytes = (name: string): number => operations[operationNumber(name)].gives;

export const MMX_READ = operationNumber("mmxRead");
export const MMX_WRITE = operationNumber("mmxWrite");
