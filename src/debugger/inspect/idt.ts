import type { SymbolStore } from "../symbols/table";
import type { DebugCpu } from "../target";
import { checkGate, readGate, type Gate } from "./gates";

/** A gate of an interrupt table that is not empty, with what it leads to. */
export interface TableGate extends Gate {
  /** "interrupt gate", "trap gate", "task gate", "real-mode vector"; "type N" for what is no gate. */
  readonly kind: string;
  /** Linear address of the handler: {@link gateHandler}. */
  readonly handler: bigint;
  /** `symbol+0x10` of the handler. */
  readonly symbol: string | undefined;
  /** Why an interrupt could not enter it as the CPU stands. */
  readonly fault: string | undefined;
}

const kinds: Readonly<Record<number, string>> = {
  [-1]: "real-mode vector",
  5: "task gate",
  6: "16-bit interrupt gate",
  7: "16-bit trap gate",
  14: "interrupt gate",
  15: "trap gate",
};

/** A gate's type in words. */
export function gateKind(type: number): string {
  return kinds[type] ?? `type ${type}`;
}

/** Linear address of the handler that a gate leads to. Code segments of protected-mode handlers are taken to be flat. */
export function gateHandler({ type, selector, offset }: Gate): bigint {
  return type < 0 ? BigInt(selector) * 16n + offset : offset;
}

/** The interrupt table of `cpu` without its empty entries. Ends where its memory is not mapped. */
export function tableGates(cpu: DebugCpu, symbols: SymbolStore): TableGate[] {
  const gates: TableGate[] = [];
  for (let vector = 0; vector < 256; vector++) {
    const gate = readGate(cpu, vector);
    if (gate === "outside" || gate === "unreadable") break;
    if (gate.raw === 0n) continue;
    const handler = gateHandler(gate);
    gates.push({ ...gate, kind: gateKind(gate.type), handler, symbol: symbols.describe(handler), fault: checkGate(cpu, vector)?.text });
  }
  return gates;
}
