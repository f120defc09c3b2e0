import type { DebugProtocol } from "@vscode/debugprotocol";
import { byteText } from "../../debugger/inspect/disassembly";
import { hex64 } from "../../debugger/numbers";
import { UserError } from "../../machine/errors";
import type { Args } from "../arguments";
import type { HandlerTable } from "../context";
import { toClientLine, toSource } from "../sources";

const mostInstructions = 20_000;
const mostBytes = 16 << 20;

function address(args: Args): bigint {
  const offset = args.optionalWhole("offset", Number.MIN_SAFE_INTEGER) ?? 0;
  return BigInt.asUintN(64, args.address("memoryReference") + BigInt(offset));
}

export const memoryRequests: HandlerTable = {
  readMemory: async (args, { call }) => {
    const at = address(args);
    const count = args.whole("count", 0, mostBytes);
    const { bytes, unreadable } = await call("readMemory", { address: at, count, cpu: undefined });
    return {
      address: hex64(at),
      ...(bytes.length === 0 ? {} : { data: Buffer.from(bytes).toString("base64") }),
      ...(unreadable === 0 ? {} : { unreadableBytes: unreadable }),
    };
  },

  writeMemory: async (args, { call, client, sendEvent, after }) => {
    const at = address(args);
    const data = args.text("data");
    if (!/^[A-Za-z0-9+/]*={0,2}$/.test(data)) throw new UserError('The argument "data" of "writeMemory" must be base64.', "data");
    const bytes = new Uint8Array(Buffer.from(data, "base64"));
    const bytesWritten = await call("writeMemory", { address: at, bytes, partial: args.flag("allowPartial"), cpu: undefined });
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
    const lines = await call("disassemble", { address: address(args), offset, count, cpu: undefined });
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
