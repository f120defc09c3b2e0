/** The operations of the `simd` helper by number. */
import { assert } from "../../common/errors";
import { flagCompares, floatKernels, type FloatKernel, registerKernels } from "./floating";
import { extractionKernels, integerKernels, type Kernel } from "./integer";

/** What an operation does with its operands: `gives` bytes at the destination. */
export type Operation =
  | { readonly kind: "integer"; readonly gives: 8 | 16; readonly run: Kernel }
  | { readonly kind: "float"; readonly gives: 8 | 16; readonly run: FloatKernel }
  | { readonly kind: "compare"; readonly gives: 0; readonly bits: 32 | 64; readonly signaling: boolean }
  | { readonly kind: "mmxRead" | "mmxWrite" | "emms"; readonly gives: 0 };

const table = new Map<string, Operation>([
  // An MMX register (hi) into slot a, and back; both make the x87 stack look full (SDM vol. 1, "MMX Instructions and the x87 FPU Tag Word").
  ["mmxRead", { kind: "mmxRead", gives: 0 }],
  ["mmxWrite", { kind: "mmxWrite", gives: 0 }],
  ["emms", { kind: "emms", gives: 0 }],
  ...Object.entries(integerKernels).map(([name, run]): [string, Operation] => [name, { kind: "integer", gives: 16, run }]),
  ...Object.entries(extractionKernels).map(([name, run]): [string, Operation] => [name, { kind: "integer", gives: 8, run }]),
  ...Object.entries(floatKernels).map(([name, run]): [string, Operation] => [name, { kind: "float", gives: 16, run }]),
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
