import type { Cause } from "../../common/lastWrites";
import { hex64 } from "../numbers";
import type { SymbolStore } from "../symbols/table";

/** The last component of a path, as texts show files. */
export function fileName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** An address with what is known of it: "0xffffffff81000010 <start+0x10> (main.c:12)". */
export function placeText(symbols: SymbolStore, address: bigint): string {
  const symbol = symbols.describe(address);
  const line = symbols.lineAt(address);
  return [
    hex64(address),
    symbol === undefined ? "" : ` <${symbol}>`,
    line === undefined ? "" : ` (${fileName(line.file)}:${line.line})`,
  ].join("");
}

/** Who did something, and when: "by CPU 0 at instruction 1234, 0x... <start+0x10> (main.c:12)". */
export function causeText(symbols: SymbolStore, cause: Cause): string {
  const at = `at instruction ${cause.instruction}`;
  return cause.cpu < 0 ? `by a device, a timer or the debugger ${at}` : `by CPU ${cause.cpu} ${at}, ${placeText(symbols, cause.rip)}`;
}
