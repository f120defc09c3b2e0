/**
 * String instructions. Repeated ones, and ports, are the business of one helper, which runs iteration by iteration as the budget allows; a single MOVS, CMPS,
 * STOS, LODS or SCAS is a few ops and ends no block.
 */
import { SLOT_RFLAGS, SLOT_ZERO } from "../../tcg/layout";
import { MODE_ALIGN, MODE_FLAT } from "../mode";
import { type Emission, RAX } from "./emission";

const kinds = { movs: 0, cmps: 1, stos: 2, lods: 3, scas: 4, ins: 5, outs: 6 } as const;
export type StringKind = keyof typeof kinds;

const RSI_NUMBER = 6;
const RDI_NUMBER = 7;
const ES = 0;
const FS = 4;
const DIRECTION_BIT = 10;

export function stringOperation(kind: StringKind) {
  return (e: Emission): void => {
    const { insn } = e;
    if (insn.repeat === 0 && kind !== "ins" && kind !== "outs") {
      single(e, kind);
      return;
    }
    const element = e.width(0) / 8;
    const compares = kind === "cmps" || kind === "scas";
    // F2 repeats like F3 where there is no condition to tell.
    const repeat = insn.repeat === 0 ? 0 : insn.repeat === 0xf2 && compares ? 2 : 1;
    const here = e.constant(e.rip);
    e.setRipToNext();
    const operation = kinds[kind] | (element << 4) | ((insn.addressSize / 8) << 8) | (repeat << 12) | (insn.segment << 16);
    const bulk = kind === "movs" || kind === "stos" || compares;
    if (repeat !== 0 && bulk && insn.addressSize >= 32 && (e.mode & (MODE_FLAT | MODE_ALIGN)) === MODE_FLAT && insn.segment < FS) {
      e.emit("bulk", SLOT_ZERO, SLOT_ZERO, SLOT_ZERO, operation);
    }
    e.helper("string", SLOT_ZERO, here, operation);
    e.lookupUnlessRequest();
  };
}

function single(e: Emission, kind: "movs" | "cmps" | "stos" | "lods" | "scas"): void {
  const width = e.width(0);
  const bytes = width / 8;
  const sourceSegment = e.insn.segment;
  const first = kind === "stos" || kind === "scas" ? RAX : e.temp();
  if (first !== RAX) {
    e.addressRegister(RSI_NUMBER, sourceSegment, bytes, false);
    e.load("ld", first, width);
  }
  if (kind === "movs" || kind === "stos") {
    e.addressRegister(RDI_NUMBER, ES, bytes, true);
    e.load("st", first, width);
  } else if (kind === "lods") e.setRegister(0, width, first);
  else {
    const second = e.temp();
    e.addressRegister(RDI_NUMBER, ES, bytes, false);
    e.load("ld", second, width);
    e.emit(`subf${width}`, e.sink, first, second);
  }
  // The step is +size, or -size with DF: size - (DF ? 2 * size : 0).
  const step = e.temp();
  e.emit("and", step, SLOT_RFLAGS, SLOT_ZERO, 1 << DIRECTION_BIT);
  e.emit("shr", step, step, SLOT_ZERO, DIRECTION_BIT - 1 - Math.log2(bytes));
  e.emit("sub", step, SLOT_ZERO, step, -bytes);
  if (first !== RAX) e.advanceRegister(RSI_NUMBER, step);
  if (kind !== "lods") e.advanceRegister(RDI_NUMBER, step);
}
