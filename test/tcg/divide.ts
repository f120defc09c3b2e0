import type { EngineMemory } from "../../src/tcg/memory";
import { opNames } from "../../src/tcg/ops";

/** EngineHost.divide of CPU 0 by the definition: 128 by 64 bits, operands in the slots that the op names. */
export function divide(memory: EngineMemory, op: number): number {
  const { view } = memory;
  const base = memory.stateOf(0);
  const slot = (field: number): number => base + view.getUint16(op + field, true);
  const signed = opNames[view.getUint16(op, true)] === "idiv64";
  const joined = (view.getBigUint64(slot(6), true) << 64n) | view.getBigUint64(slot(2), true);
  const raw = view.getBigUint64(slot(4), true);
  const dividend = signed ? BigInt.asIntN(128, joined) : joined;
  const divisor = signed ? BigInt.asIntN(64, raw) : raw;
  const quotient = dividend / divisor;
  if (quotient !== (signed ? BigInt.asIntN(64, quotient) : BigInt.asUintN(64, quotient))) return 1;
  view.setBigUint64(slot(2), BigInt.asUintN(64, quotient), true);
  view.setBigUint64(slot(6), BigInt.asUintN(64, dividend % divisor), true);
  return 0;
}
