import { InvalidatedEvent } from "@vscode/debugadapter";
import type { DebugProtocol } from "@vscode/debugprotocol";
import { hex64 } from "../../debugger/numbers";
import type { VariableView } from "../../debugger/inspect/inspector";
import { UserError } from "../../machine/errors";
import type { HandlerTable, RequestContext } from "../context";
import type { ModuleView } from "../rpc";
import { choice } from "./choice";
import { toClientColumn, toClientLine, toSource } from "../sources";

function details(view: VariableView): Omit<DebugProtocol.Variable, "name" | "value"> {
  return {
    ...(view.type === undefined ? {} : { type: view.type }),
    variablesReference: view.reference,
    ...(view.indexed === undefined ? {} : { indexedVariables: view.indexed }),
    ...(view.memory === undefined ? {} : { memoryReference: hex64(view.memory) }),
  };
}

function toVariable(view: VariableView): DebugProtocol.Variable {
  return {
    name: view.name,
    value: view.value,
    ...details(view),
    ...(view.evaluateName === undefined ? {} : { evaluateName: view.evaluateName }),
    ...(view.readOnly ? { presentationHint: { attributes: ["readOnly"] } } : {}),
  };
}

/** A value was changed: what else depends on it is to be read again, and the memory that it lies in. */
function invalidate({ client, sendEvent, after }: RequestContext, location?: VariableView["location"]): void {
  if (client.invalidatedEvents) after(() => sendEvent(new InvalidatedEvent(["variables", "stacks"])));
  if (!client.memoryEvents || location === undefined) return;
  const body = { memoryReference: hex64(location.address), offset: 0, count: location.size };
  const event: DebugProtocol.MemoryEvent = { type: "event", seq: 0, event: "memory", body };
  after(() => sendEvent(event));
}

const symbolKinds = { dwarf: "symbols and debug information", elf: "symbols", map: "symbol map" } as const;

/** A file of symbols as the protocol has it. */
export function toModule({ name, path, kind, offset, sections }: ModuleView): DebugProtocol.Module {
  const id = { id: name, name, path };
  if (sections === undefined) return { ...id, symbolStatus: symbolKinds[kind], addressRange: `offset ${hex64(offset)}` };
  if (sections.size === 0) return { ...id, symbolStatus: `${symbolKinds[kind]}, not loaded` };
  const places = [...sections].map(([section, address]) => `${section} ${hex64(address)}`);
  return { ...id, symbolStatus: symbolKinds[kind], addressRange: places.join(", ") };
}

export const inspectionRequests: HandlerTable = {
  threads: async (_args, { call }) => ({ threads: (await call("threads", undefined)).map(({ cpu, name }) => ({ id: cpu + 1, name })) }),

  stackTrace: async (args, { call, client }) => {
    const range = { start: args.optionalWhole("startFrame") ?? 0, levels: args.optionalWhole("levels") ?? 0 };
    const { frames, total } = await call("stackTrace", { cpu: args.cpu(), ...range });
    const stackFrames = frames.map((frame): DebugProtocol.StackFrame => {
      // Without its file a frame is shown by its instructions.
      const source = frame.exists && frame.file !== undefined ? { source: toSource(frame.file, client) } : {};
      const hasLine = frame.line > 0 && frame.exists;
      return {
        id: frame.id,
        name: frame.inlined ? `${frame.name} [inlined]` : frame.interrupted ? `${frame.name} [interrupted]` : frame.name,
        ...source,
        line: hasLine ? toClientLine(frame.line, client) : 0,
        column: hasLine ? toClientColumn(Math.max(frame.column, 1), client) : 0,
        instructionPointerReference: hex64(frame.pc),
        ...(frame.module === undefined ? {} : { moduleId: frame.module }),
        ...(frame.label ? { presentationHint: "label" as const } : {}),
      };
    });
    return { stackFrames, totalFrames: total };
  },

  scopes: async (args, { call }) => {
    const scopes = await call("scopes", { frameId: args.whole("frameId") });
    return {
      scopes: scopes.map(({ name, kind, reference, expensive }) => ({
        name,
        variablesReference: reference,
        expensive,
        ...(kind === "other" ? {} : { presentationHint: kind }),
      })),
    };
  },

  variables: async (args, { call }) => {
    const reference = args.whole("variablesReference", 1);
    const filter = choice(args, "filter", ["indexed", "named"]);
    const views = await call("variables", { reference, start: args.optionalWhole("start"), count: args.optionalWhole("count") });
    // All children of a container are of one kind; the other kind has none.
    const indexed = views.some((view) => view.name.startsWith("["));
    const shown = (filter === "indexed" && !indexed) || (filter === "named" && indexed) ? [] : views;
    return { variables: shown.map(toVariable) };
  },

  setVariable: async (args, context) => {
    const reference = args.whole("variablesReference", 1);
    const view = await context.call("setVariable", { reference, name: args.text("name"), value: args.text("value") });
    invalidate(context, view.location);
    return { value: view.value, ...details(view) };
  },

  setExpression: async (args, context) => {
    const frameId = args.optionalWhole("frameId");
    const view = await context.call("setExpression", { expression: args.text("expression"), value: args.text("value"), frameId });
    invalidate(context, view.location);
    return { value: view.value, ...details(view) };
  },

  evaluate: async (args, context) => {
    const expression = args.text("expression");
    const repl = args.optionalText("context") === "repl";
    if (repl && expression.startsWith(">")) {
      const line = `${expression.slice(1).replace(/^ /, "")}\n`;
      await context.call("serialInput", { bytes: new TextEncoder().encode(line) });
      return { result: "", variablesReference: 0 };
    }
    if (repl) {
      const said = await context.call("command", { line: expression, frameId: args.optionalWhole("frameId"), cpu: undefined });
      if (said !== undefined) {
        if (said.changed) invalidate(context);
        return { result: said.text, variablesReference: 0 };
      }
    }
    if (expression.trim() === "") throw new UserError("There is nothing to evaluate.", "expression");
    const view = await context.call("evaluate", { expression, frameId: args.optionalWhole("frameId"), mayAssign: repl });
    if (repl && /[^=!<>]=[^=]/.test(expression)) invalidate(context, view.location);
    return { result: view.value, ...details(view) };
  },

  completions: async (args, { call, client }) => {
    const column = args.whole("column");
    const before = args.text("text").slice(0, client.columnBase === 1 ? Math.max(0, column - 1) : column);
    const frame = args.optionalWhole("frameId");
    const commandWord = /\S*$/.exec(before)?.[0] ?? "";
    const words = await call("completeCommand", { before, frameId: frame });
    const ofCommand = words.map((label) => ({ label, start: before.length - commandWord.length, length: commandWord.length }));
    const prefix = /(?:[\w.$]|->)*$/.exec(before)?.[0] ?? "";
    if (prefix === "") return { targets: ofCommand };
    const names = await call("completions", { prefix, frameId: frame });
    return { targets: [...ofCommand, ...names.map((label) => ({ label, start: before.length - prefix.length, length: prefix.length }))] };
  },

  exceptionInfo: async (args, { call }) => {
    const { filter, text, lines, record } = await call("exceptionInfo", { cpu: args.cpu() });
    return {
      exceptionId: filter,
      // Clients show the stack trace below the description: the record belongs into one of them only.
      description: text,
      breakMode: "always",
      details: { message: text, typeName: filter, stackTrace: lines.join("\n"), ...(record === undefined ? {} : { record }) },
    };
  },

  loadedSources: async (_args, { call, client }) => ({ sources: (await call("sources", undefined)).map((path) => toSource(path, client)) }),

  modules: async (args, { call }) => {
    const start = args.optionalWhole("startModule") ?? 0;
    const count = args.optionalWhole("moduleCount") ?? 0;
    const all = await call("modules", undefined);
    const modules = all.map(toModule);
    return { modules: modules.slice(start, count === 0 ? undefined : start + count), totalModules: modules.length };
  },

  source: () => {
    throw new UserError("Sources are read from their files; this one has none.", "source");
  },
};
