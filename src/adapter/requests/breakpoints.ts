import type { DebugProtocol } from "@vscode/debugprotocol";
import type { BreakpointOptions, CodeBreakpointStatus } from "../../debugger/codeBreakpoints";
import { filterName, type FilterSpec } from "../../debugger/eventFilters";
import { hex64 } from "../../debugger/numbers";
import { isNowhere } from "../../debugger/symbols/relocations";
import { accessTypes } from "../../debugger/dataPlaces";
import type { Args } from "../arguments";
import type { ClientSettings, HandlerTable } from "../context";
import { setInterruptBreakpointsRequest, type InterruptBreakpoint } from "../protocol";
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
  const { id, verified, message, line, file, addresses } = status;
  return {
    id,
    verified,
    ...(message === undefined ? {} : { message }),
    ...(line === undefined ? {} : { line: toClientLine(line, client) }),
    ...(file === undefined ? {} : { source: toSource(file, client) }),
    ...(addresses.length === 0 || isNowhere(addresses[0]) ? {} : { instructionReference: hex64(addresses[0]) }),
  };
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
    const given = args.has("breakpoints")
      ? args.list("breakpoints")
      : ((args.raw("lines") as unknown[] | undefined) ?? []).length === 0
        ? []
        : args.list("lines");
    const requests = given.map((entry) => ({ ...options(entry), line: fromClientLine(entry.whole("line"), client) }));
    const statuses = await call("setLineBreakpoints", { path, breakpoints: requests });
    return { breakpoints: statuses.map((status) => toBreakpoint(status, client)) };
  },

  setFunctionBreakpoints: async (args, { call, client }) => {
    const requests = args.list("breakpoints", false).map((entry) => ({ ...options(entry), name: entry.text("name") }));
    const statuses = await call("setFunctionBreakpoints", requests);
    return { breakpoints: statuses.map((status) => toBreakpoint(status, client)) };
  },

  setInstructionBreakpoints: async (args, { call, client }) => {
    const requests = args.list("breakpoints", false).map((entry) => ({
      ...options(entry),
      address: BigInt.asUintN(
        64,
        entry.address("instructionReference") + BigInt(entry.optionalWhole("offset", Number.MIN_SAFE_INTEGER) ?? 0),
      ),
    }));
    const statuses = await call("setInstructionBreakpoints", requests);
    return { breakpoints: statuses.map((status) => toBreakpoint(status, client)) };
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
    const requests = args.list("breakpoints", false).map((entry) => ({
      dataId: entry.text("dataId"),
      access: choice(entry, "accessType", accessTypes),
      condition: entry.optionalText("condition"),
      hitCondition: entry.optionalText("hitCondition"),
    }));
    const statuses = await call("setDataBreakpoints", requests);
    return { breakpoints: statuses.map((status) => toBreakpoint({ ...status, addresses: [] }, client)) };
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
    const specs: FilterSpec[] = [
      ...args.texts("filters").map((filter, index) => ({ id: `filter ${index}`, filter: filterName(filter) })),
      ...args.list("filterOptions").map((entry, index) => ({
        id: `option ${index}`,
        filter: filterName(entry.text("filterId")),
        condition: entry.optionalText("condition"),
      })),
    ];
    const statuses = await call("setExceptionFilters", specs);
    after(() => refused(statuses.map(({ message }) => message)).forEach(sendEvent));
    return {
      breakpoints: statuses.map(({ number, verified, message }) => ({
        ...(number === undefined ? {} : { id: number }),
        verified,
        ...(message === undefined ? {} : { message }),
      })),
    };
  },

  [setInterruptBreakpointsRequest]: async (args, { call }) => {
    const breakpoints = args.list("breakpoints", false).map((entry) => ({
      id: entry.text("id"),
      filter: entry.text("filter"),
      condition: entry.optionalText("condition"),
      hitCondition: entry.optionalText("hitCondition"),
      enabled: entry.has("enabled") ? entry.flag("enabled") : true,
    }));
    // Names of filters are checked by the engine, which answers for each breakpoint apart.
    return { breakpoints: await call("setInterruptBreakpoints", breakpoints as InterruptBreakpoint[]) };
  },
};
