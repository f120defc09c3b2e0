import type { Debugger } from "../debugger/debugger";
import { decodeRegister } from "../debugger/inspect/decode";
import { hex64, parseAddress } from "../debugger/numbers";
import { codePlace } from "../debugger/records/timeline";
import { CpuPlacement } from "../debugger/symbols/perCpu";
import type { DebugCpu } from "../debugger/target";
import { UserError } from "../machine/errors";
import { wholePath } from "./sources";
import { physicalPrefix, type DecodeResponse, type LintsResponse, type ResolveAddressResponse } from "./insightProtocol";

/** What the guest did wrong so far, with the code that did it. */
export function lintsView({ lints, symbols }: Debugger): LintsResponse {
  return {
    lints: lints.all.map(({ kind, severity, cpu, vector, text, advice, count, record, address }) => ({
      ...{ kind, severity, cpu, vector, text, advice, count, record },
      ...(address === 0n ? {} : { place: wholePath(codePlace(symbols, address)) }),
    })),
  };
}

/** A register's value in words; how an ICR is laid out is as at `cpu` now. */
export function decodeView(cpu: DebugCpu, register: string, value: bigint): DecodeResponse {
  const { text, fields } = decodeRegister(register, value, cpu.apic.x2apicMode);
  return {
    text,
    fields: fields.map((field) => ({
      name: field.name,
      bits: field.bits,
      value: `0x${field.value.toString(16)}`,
      ...(field.text === undefined ? {} : { text: field.text }),
    })),
  };
}

/** What a person typed as an address, as `cpu` sees it: a symbol, an expression, a linear address, or a physical one after `physical:` or `p:`. */
export function resolveAddress(
  session: Debugger,
  cpu: DebugCpu,
  text: string,
  number: (expression: string) => bigint,
): ResolveAddressResponse {
  const physical = /^\s*(?:physical|phys|p)\s*:\s*(.*)$/is.exec(text);
  const wanted = (physical?.[1] ?? text).trim();
  if (wanted === "")
    throw new UserError("There is no address: write a symbol, an expression such as rsp + 8, or an address such as 0x100000.", "text");
  const plain = /^-?(0x[0-9a-f]+|\d+)$/i.test(wanted);
  // A name of the program is the place of what it names, not its value.
  const named = plain ? undefined : session.symbols.addressesOf(wanted, new CpuPlacement(cpu)).at(0);
  const address = plain ? parseAddress(wanted, "The address") : (named ?? BigInt.asUintN(64, number(wanted)));
  if (physical !== null) {
    if (address >= 1n << 52n) throw new UserError(`There is no physical address ${hex64(address)}.`, "text");
    return { space: "physical", address: hex64(address), memoryReference: `${physicalPrefix}${hex64(address)}` };
  }
  const symbol = session.symbols.describe(address);
  return { space: "linear", address: hex64(address), memoryReference: hex64(address), ...(symbol === undefined ? {} : { symbol }) };
}
