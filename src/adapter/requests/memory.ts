import type { DebugProtocol } from "@vscode/debugprotocol";
import { byteText } from "../../debugger/inspect/disassembly";
import { hex, hex64, parseAddress } from "../../debugger/numbers";
import { UserError } from "../../machine/errors";
import type { Args } from "../arguments";
import type { HandlerTable } from "../context";
import { physicalPrefix } from "../insightProtocol";
import { toClientLine, toSource } from "../sources";

const mostInstructions = 20_000;
const mostBytes = 16 << 20;

/** Physical addresses have at most 52 bits. */
const physicalEnd = 1n << 52n;

/** Where a request points to: a linear address of the CPU in focus, or a physical one (`physical:0x1000`). */
function place(args: Args): { readonly address: bigint; readonly physical: boolean } {
  const offset = BigInt(args.optionalWhole("offset", Number.MIN_SAFE_INTEGER) ?? 0);
  const reference = args.raw("memoryReference");
  if (typeof reference !== "string" || !reference.startsWith(physicalPrefix))
    return { address: BigInt.asUintN(64, args.address("memoryReference") + offset), physical: false };
  const address = parseAddress(reference.slice(physicalPrefix.length), "The physical address") + offset;
  if (address < 0n || address >= physicalEnd) throw new UserError(`There is no physical address ${hex(address)}.`, "memoryReference");
  return { address, physical: true };
}

export const memoryRequests: HandlerTable = {
  readMemory: async (args, { call }) => {
    const { address, physical } = place(args);
    const count = args.whole("count", 0, mostBytes);
    const { bytes, unreadable } = await call("readMemory", { address, count, cpu: undefined, physical });
    return {
      address: hex64(address),
      ...(bytes.length === 0 ? {} : { data: Buffer.from(bytes).toString("base64") }),
      ...(unreadable === 0 ? {} : { unreadableBytes: unreadable }),
    };
  },

  writeMemory: async (args, { call, client, sendEvent, after }) => {
    const { address, physical } = place(args);
    const bytes = args.bytes("data");
    const bytesWritten = await call("writeMemory", { address, bytes, partial: args.flag("allowPartial"), cpu: undefined, physical });
    const event: DebugProtocol.MemoryEvent = {
      type: "event",
      seq: 0,
      event: "memory",
      body: {
        memoryReference: args.text("memoryReference"),
        offset: args.optionalWhole("offset", Number.MIN_SAFE_INTEGER) ?? 0,
        count: bytesWritten,
      },
    };
    if (client.memoryEvents) after(() => sendEvent(event));
    return { offset: 0, bytesWritten };
  },

  disassemble: async (args, { call, client }) => {
    const count = args.whole("instructionCount", 0, mostInstructions);
    const offset = args.optionalWhole("instructionOffset", -mostInstructions, mostInstructions) ?? 0;
    const { address, physical } = place(args);
    if (physical) throw new UserError("Code is disassembled at linear addresses only.", "memoryReference");
    const lines = await call("disassemble", { address, offset, count, cpu: undefined });
    let last = "";
    const instructions = lines.map((line): DebugProtocol.DisassembledInstruction => {
      const place = line.file === undefined || line.line === undefined ? "" : `${line.file}:${line.line}`;
      const moved = place !== last;
      last = place;
      return {
        address: hex64(line.address),
        instructionBytes: byteText(line.bytes),
        instruction: line.text,
        ...(line.symbol === undefined ? {} : { symbol: line.symbol }),
        ...(moved && line.file !== undefined && line.line !== undefined
          ? { location: toSource(line.file, client), line: toClientLine(line.line, client) }
          : {}),
        ...(line.valid ? {} : { presentationHint: "invalid" as const }),
      };
    });
    return { instructions };
  },
};
