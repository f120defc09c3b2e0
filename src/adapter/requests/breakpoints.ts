import type { DebugProtocol } from "@vscode/debugprotocol";
import type {
  BreakpointOptions,
  CodeBreakpointStatus,
  FunctionRequest,
  InstructionRequest,
  LineRequest,
} from "../../debugger/codeBreakpoints";
import type { DataBreakpointStatus, DataRequest } from "../../debugger/dataBreakpoints";
import type { FilterSpec, FilterStatus } from "../../debugger/eventFilters";
import { hex64 } from "../../debugger/numbers";
import { isNowhere } from "../../debugger/symbols/relocations";
import { accessTypes } from "../../debugger/dataPlaces";
import { UserError } from "../../machine/errors";
import type { Args } from "../arguments";
import type { ClientSettings, HandlerTable } from "../context";
import { setInterruptBreakpointsRequest, type InterruptBreakpoint, type InterruptBreakpointStatus } from "../protocol";
import { choice } from "./choice";
import { fromClientLine, sourcePath, toClientLine, toSource } from "../sources";

function options(args: Args): BreakpointOptions {
  return {
    condition: args.optionalText("condition"),
    hitCondition: args.optionalText("hitCondition"),
    logMessage: args.optionalText("logMessage"),
  };
}

/** A breakpoint as the protocol has it. */
export function toBreakpoint(status: CodeBreakpointStatus, client: ClientSettings): DebugProtocol.Breakpoint {
  const { id, verified, message, reason, line, file, addresses } = status;
  return {
    id,
    verified,
    ...(message === undefined ? {} : { message }),
    ...(reason === undefined ? {} : { reason }),
    ...(line === undefined ? {} : { line: toClientLine(line, client) }),
    ...(file === undefined ? {} : { source: toSource(file, client) }),
    ...(addresses.length === 0 || isNowhere(addresses[0]) ? {} : { instructionReference: hex64(addresses[0]) }),
  };
}

/** What is told of a breakpoint that a request does not even describe. */
const failed = ({ message }: UserError): DebugProtocol.Breakpoint => ({ verified: false, message, reason: "failed" });

/**
 * Sets what can be understood of a list and answers each entry by itself, in the order asked: one that is wrong keeps no other from being set (DAP, "Breakpoint.verified"). `told` is
 * what the response says of one that was set or tried, `wrong` of one that was not.
 */
async function setEach<Asked, Status, Told>(
  asked: readonly (Asked | UserError)[],
  set: (requests: Asked[]) => Promise<readonly Status[]>,
  told: (status: Status) => Told,
  wrong: (error: UserError, index: number) => Told,
): Promise<Told[]> {
  const statuses = [...(await set(asked.filter((entry): entry is Asked => !(entry instanceof UserError))))];
  return asked.map((entry, index) => {
    if (entry instanceof UserError) return wrong(entry, index);
    return told(statuses.splice(0, 1)[0]);
  });
}

/** One sentence for the console about each filter that was not set: some clients do not show it otherwise. */
function refused(messages: readonly (string | undefined)[]): DebugProtocol.OutputEvent[] {
  return messages
    .filter((message) => message !== undefined)
    .map((message) => ({ type: "event", seq: 0, event: "output", body: { category: "important", output: `${message}\n` } }));
}

export const breakpointRequests: HandlerTable = {
  setBreakpoints: async (args, { call, client }) => {
    const path = sourcePath(args, client);
    const read = (entry: Args): LineRequest => ({
      ...options(entry),
      line: fromClientLine(entry.whole("line", client.lineBase), client),
    });
    // "lines" is what older clients send.
    const asked = args.has("breakpoints") ? args.each("breakpoints", read) : args.each("lines", read, true, (line) => ({ line }));
    const set = (breakpoints: LineRequest[]): Promise<CodeBreakpointStatus[]> => call("setLineBreakpoints", { path, breakpoints });
    return { breakpoints: await setEach(asked, set, (status) => toBreakpoint(status, client), failed) };
  },

  setFunctionBreakpoints: async (args, { call, client }) => {
    const asked = args.each("breakpoints", (entry): FunctionRequest => ({ ...options(entry), name: entry.text("name") }));
    const set = (requests: FunctionRequest[]): Promise<CodeBreakpointStatus[]> => call("setFunctionBreakpoints", requests);
    return { breakpoints: await setEach(asked, set, (status) => toBreakpoint(status, client), failed) };
  },

  setInstructionBreakpoints: async (args, { call, client }) => {
    const asked = args.each("breakpoints", (entry): InstructionRequest => {
      const offset = BigInt(entry.optionalWhole("offset", Number.MIN_SAFE_INTEGER) ?? 0);
      return { ...options(entry), address: BigInt.asUintN(64, entry.address("instructionReference") + offset) };
    });
    const set = (requests: InstructionRequest[]): Promise<CodeBreakpointStatus[]> => call("setInstructionBreakpoints", requests);
    return { breakpoints: await setEach(asked, set, (status) => toBreakpoint(status, client), failed) };
  },

  dataBreakpointInfo: async (args, { call }) => {
    const { id, text, accesses } = await call("dataPlace", {
      name: args.text("name"),
      reference: args.optionalWhole("variablesReference", 1),
      frameId: args.optionalWhole("frameId"),
      bytes: args.optionalWhole("bytes", 1),
      asAddress: args.flag("asAddress"),
    });
    return {
      dataId: id ?? null,
      description: text,
      ...(id === undefined ? {} : { accessTypes: [...accesses], canPersist: true }),
    };
  },

  setDataBreakpoints: async (args, { call, client }) => {
    const read = (entry: Args): DataRequest => ({
      dataId: entry.text("dataId"),
      access: choice(entry, "accessType", accessTypes),
      condition: entry.optionalText("condition"),
      hitCondition: entry.optionalText("hitCondition"),
    });
    const set = (requests: DataRequest[]): Promise<DataBreakpointStatus[]> => call("setDataBreakpoints", requests);
    const told = (status: DataBreakpointStatus): DebugProtocol.Breakpoint => toBreakpoint({ ...status, addresses: [] }, client);
    return { breakpoints: await setEach(args.each("breakpoints", read), set, told, failed) };
  },

  breakpointLocations: async (args, { call, client }) => {
    const path = sourcePath(args, client);
    const first = fromClientLine(args.whole("line"), client);
    const end = args.optionalWhole("endLine");
    const last = end === undefined ? first : fromClientLine(end, client);
    const lines = await call("codeLines", { path, first, last });
    return { breakpoints: lines.map((line) => ({ line: toClientLine(line, client) })) };
  },

  setExceptionBreakpoints: async (args, { call, sendEvent, after }) => {
    // The engine knows the filters, and keeps the hits of those that stay: by what they are called here.
    const filter = (entry: Args, index: number): FilterSpec => ({ id: `filter ${index}`, filter: entry.text("filter") });
    const option = (entry: Args, index: number): FilterSpec => ({
      id: `option ${index}`,
      filter: entry.text("filterId"),
      condition: entry.optionalText("condition"),
    });
    const asked = [...args.each("filters", filter, true, (name) => ({ filter: name })), ...args.each("filterOptions", option, true)];
    const told = ({ number, verified, message }: FilterStatus): DebugProtocol.Breakpoint => ({
      ...(number === undefined ? {} : { id: number }),
      verified,
      ...(message === undefined ? {} : { message }),
      ...(verified ? {} : { reason: "failed" }),
    });
    const set = (specs: FilterSpec[]): Promise<FilterStatus[]> => call("setExceptionFilters", specs);
    const breakpoints = await setEach(asked, set, told, failed);
    after(() => refused(breakpoints.map(({ message }) => message)).forEach(sendEvent));
    return { breakpoints };
  },

  [setInterruptBreakpointsRequest]: async (args, { call }) => {
    // Names of filters are checked by the engine.
    const read = (entry: Args): InterruptBreakpoint => ({
      id: entry.text("id"),
      filter: entry.text("filter") as InterruptBreakpoint["filter"],
      condition: entry.optionalText("condition"),
      hitCondition: entry.optionalText("hitCondition"),
      enabled: entry.has("enabled") ? entry.flag("enabled") : true,
    });
    const set = (breakpoints: InterruptBreakpoint[]): Promise<InterruptBreakpointStatus[]> => call("setInterruptBreakpoints", breakpoints);
    const told = (status: InterruptBreakpointStatus): InterruptBreakpointStatus =>
      status.verified ? status : { ...status, reason: "failed" };
    const ids = args.each("breakpoints", (entry) => entry.text("id"));
    const wrong = ({ message }: UserError, index: number): InterruptBreakpointStatus => {
      const id = ids[index];
      return { id: id instanceof UserError ? "" : id, verified: false, message, reason: "failed", hits: 0 };
    };
    return { breakpoints: await setEach(args.each("breakpoints", read), set, told, wrong) };
  },
};
