import type { BlockExplanation } from "../../tcg/backend/explainBlock";
import type { Disassembler } from "../instructions";
import { hex, hex64 } from "../numbers";
import type { SymbolStore } from "../symbols/table";
import type { DebugCpu } from "../target";

const opsColumn = 52;

/** A block as a document: each guest instruction with its ops, beside what the generator leaves out of them, and below the WebAssembly that comes of it. */
export function blockText(
  explained: BlockExplanation,
  cpu: DebugCpu,
  disassembler: Disassembler,
  symbols: SymbolStore,
  asked: bigint,
): string[] {
  const { rip, physical, bytes, instructions, offsets, ops, isGenerated, members, size, text, learnt, jumps } = explained;
  const symbol = symbols.describe(rip);
  const code = cpu.readMemory(rip, bytes);
  const lines = [
    `Block at ${hex64(rip)}${symbol === undefined ? "" : ` <${symbol}>`}, physical ${hex(physical)}: ${instructions} instructions in ${bytes} bytes, ${ops.length} ops`,
    `It runs ${isGenerated ? "as WebAssembly" : "in the interpreter of ops"} now.`,
    "",
    `${"ops of the front end".padEnd(opsColumn)}left out of the WebAssembly`,
  ];
  for (let index = 0; index < instructions; index++) {
    const address = BigInt.asUintN(64, rip + BigInt(offsets[index]));
    const rest = code?.subarray(offsets[index]);
    const decoded = rest === undefined || rest.length === 0 ? "<cannot be read>" : disassembler.decode(rest, cpu.codeBits(), address).text;
    lines.push(`${address === asked ? "=>" : "  "}${hex64(address)}  ${decoded}`);
    for (const op of ops)
      if (op.instruction === index)
        lines.push(op.leftOut === undefined ? `    ${op.text}` : `    ${op.text.padEnd(opsColumn - 4)}${op.leftOut}`);
  }
  if (size === 0)
    return [...lines, "", "No WebAssembly is generated from it: it runs into another page and is looked up afresh each time."];
  const others = members.length === 1 ? "" : `, together with ${members.length - 1} hot blocks around it`;
  return [...lines, ...learntLines(learnt, symbols), ...jumpLines(jumps, symbols), "", `WebAssembly, ${size} bytes${others}:`, ...text];
}

const placeText = (address: bigint, symbols: SymbolStore): string => {
  const symbol = symbols.describe(address);
  return symbol === undefined ? hex64(address) : `${hex64(address)} <${symbol}>`;
};

function learntLines(learnt: BlockExplanation["learnt"], symbols: SymbolStore): string[] {
  if (learnt.length === 0) return [];
  const lines = learnt.flatMap(({ from, to }) => to.map((target) => `  ${placeText(from, symbols)} -> ${placeText(target, symbols)}`));
  return ["", "Where indirect jumps of it have been seen to go, by the blocks they end:", ...lines];
}

function jumpLines(jumps: BlockExplanation["jumps"], symbols: SymbolStore): string[] {
  if (jumps.length === 0) return [];
  const lines = jumps.map(({ from, to, linked }) => {
    const target = to ?? linked;
    const place = target === undefined ? "elsewhere" : placeText(target, symbols);
    return `  ${placeText(from, symbols)} -> ${place}${to === undefined ? ", indirect" : ""}: ${linked === undefined ? "looked up each time" : "linked"}`;
  });
  return ["", "Jumps from its function to others, by the blocks they end:", ...lines];
}
