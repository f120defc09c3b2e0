/** AVX, AVX2, F16C and FMA instructions. */
import { type VexMnemonic, vexMnemonics } from "../decode/vexMnemonics";
import type { Emission } from "./emission";

type Emitter = (e: Emission) => void;

/** Emitters of vexRows.ts. */
export const vexEmitters = Object.fromEntries(vexMnemonics.map((name): [VexMnemonic, Emitter] => [name, (e) => e.undefined()])) as {
  readonly [name in VexMnemonic]: Emitter;
};
