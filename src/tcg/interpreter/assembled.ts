import { assembleInterpreter } from "./interpreter";

/** The interpreter's module. Bundles have its bytes instead of what makes them (scripts/assembled.mjs): assembling takes ten times as long as reading. */
export const assembledInterpreter = (): Uint8Array<ArrayBuffer> => assembleInterpreter();
