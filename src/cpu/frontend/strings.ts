/** String instructions: one helper runs them, iteration by iteration as the budget allows. */
import { SLOT_ZERO } from "../../tcg/layout";
import type { Emission } from "./emission";

const kinds = { movs: 0, cmps: 1, stos: 2, lods: 3, scas: 4, ins: 5, outs: 6 } as const;
export type StringKind = keyof typeof kinds;

export function stringOperation(kind: StringKind) {
  return (e: Emission): void => {
    const { insn } = e;
    const element = e.width(0) / 8;
    const compares = kind === "cmps" || kind === "scas";
    // F2 repeats like F3 where there is no condition to tell.
    const repeat = insn.repeat === 0 ? 0 : insn.repeat === 0xf2 && compares ? 2 : 1;
    const here = e.constant(e.rip);
    e.setRipToNext();
    e.helper(
      "string",
      SLOT_ZERO,
      here,
      kinds[kind] | (element << 4) | ((insn.addressSize / 8) << 8) | (repeat << 12) | (insn.segment << 16),
    );
    e.lookupUnlessRequest();
  };
}
