import { hex64 } from "../../debugger/numbers";
import { InvalidatedEvent } from "@vscode/debugadapter";
import { UserError } from "../../machine/errors";
import { modes, sources, stages } from "../../apic/recordStore";
import type { RecordQuery } from "../../apic/recordQueries";
import { exportFormats, formatOf } from "../../debugger/records/recordExport";
import type { HandlerTable } from "../context";
import { choice } from "./choice";
import { commandRequest, interruptStateRequest, interruptTableRequest, locateRequest, maximumCpus, progressRequest } from "../protocol";

const sizes = [1, 2, 4, 8] as const;

export const interruptRequests: HandlerTable = {
  [interruptStateRequest]: async (_args, { call }) => call("interruptState", undefined),

  [progressRequest]: async (_args, { call }) => call("progress", undefined),

  [interruptTableRequest]: async (args, { call }) => ({ gates: await call("interruptTable", { cpu: args.cpu() }) }),

  [locateRequest]: async (args, { call }) => {
    const place = args.has("address") ? { address: args.address("address") } : { vector: args.whole("vector", 0, 255) };
    return call("locate", { cpu: args.has("threadId") ? args.cpu() : undefined, place });
  },

  /** Writes as the guest would, with all effects: {threadId, register | address, value, size}. */
  "apicscope/guestWrite": async (args, { call, client, sendEvent, after }) => {
    const given = args.optionalWhole("size") ?? 4;
    const size = sizes.find((candidate) => candidate === given);
    if (size === undefined) throw new UserError('The argument "size" must be 1, 2, 4 or 8.', "size");
    const register = args.optionalText("register");
    const address = args.has("address") ? args.address("address") : undefined;
    await call("guestWrite", { cpu: args.cpu(), register, address, value: args.integer("value"), size });
    if (client.invalidatedEvents) after(() => sendEvent(new InvalidatedEvent(["variables", "stacks"])));
  },

  /** A translated block through its stages: {address, threadId?}, answered with {title, text}, a document to read, and {data}. */
  "apicscope/explainBlock": async (args, { call }) => {
    const address = hex64(args.address("address"));
    const said = await call("command", {
      line: `block ${address}`,
      frameId: undefined,
      cpu: args.has("threadId") ? args.cpu() : undefined,
    });
    return { title: `Block at ${address}`, text: said?.text ?? "", data: said?.data };
  },

  /** The way of an interrupt through the emulator: {id}, answered with {title, text, data}. */
  "apicscope/explainRecord": async (args, { call }) => {
    const id = args.whole("id", 1);
    const said = await call("command", { line: `path ${id}`, frameId: undefined, cpu: undefined });
    return { title: `Interrupt ${id}`, text: said?.text ?? "", data: said?.data };
  },

  /** A console command: {command, threadId?}, answered with {text, data}. */
  [commandRequest]: async (args, { call, client, sendEvent, after }) => {
    const line = args.text("command");
    const said = await call("command", { line, frameId: undefined, cpu: args.has("threadId") ? args.cpu() : undefined });
    if (said === undefined) throw new UserError(`"${line.trim()}" is no command; "help" lists them.`, "command");
    if (said.changed && client.invalidatedEvents) after(() => sendEvent(new InvalidatedEvent(["variables", "stacks"])));
    return { text: said.text, data: said.data };
  },

  /**
   * Records for other programs: {format?: "json" | "perfetto", file?} and, to choose among them, {cpu?, vector?, source?, mode?, stage?, from?, to?, last?}. Written to
   * the file, or answered in pages: {text, records, next?}, where `next` is the `after` of the request for the next page.
   */
  "apicscope/exportRecords": async (args, { call }) => {
    const file = args.optionalText("file");
    const format = choice(args, "format", exportFormats) ?? formatOf(file ?? "");
    const query: { -readonly [K in keyof RecordQuery]: RecordQuery[K] } = {};
    const cpu = args.optionalWhole("cpu", 0, maximumCpus - 1);
    const vector = args.optionalWhole("vector", 0, 255);
    const from = args.optionalWhole("from");
    const to = args.optionalWhole("to");
    const limit = args.optionalWhole("last", 1);
    const source = choice(args, "source", sources);
    const mode = choice(args, "mode", modes);
    const stage = choice(args, "stage", stages);
    if (cpu !== undefined) query.cpu = cpu;
    if (vector !== undefined) query.vector = vector;
    if (from !== undefined) query.from = from;
    if (to !== undefined) query.to = to;
    if (limit !== undefined) query.limit = limit;
    if (source !== undefined) query.source = source;
    if (mode !== undefined) query.mode = mode;
    if (stage !== undefined) query.stage = stage;
    const { records, text, next } = await call("exportRecords", { format, file, query, after: args.optionalWhole("after") ?? 0 });
    return { records, ...(file === undefined ? { text } : { file }), ...(next === undefined ? {} : { next }) };
  },

  /** Bytes for the guest's serial port: {text} or {data} in base64. */
  "apicscope/serialInput": async (args, { call }) => {
    const bytes = args.has("data") ? args.bytes("data") : new TextEncoder().encode(args.text("text"));
    await call("serialInput", { bytes });
  },
};
