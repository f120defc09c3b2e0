import { CapabilitiesEvent, InitializedEvent } from "@vscode/debugadapter";
import type { DebugProtocol } from "@vscode/debugprotocol";
import { fieldsOf } from "../../debugger/eventFilters";
import { UserError } from "../../machine/errors";
import type { HandlerTable } from "../context";
import { checkLaunch } from "../launchChecks";
import { exceptionFilters, type ExceptionFilter } from "../protocol";
import type { Launched } from "../rpc";

/** An example of a condition on each filter that has fields of its own. */
function exampleCondition(filter: ExceptionFilter): string {
  switch (filter) {
    case "cpu.exception":
      return "vector == 14 && cr2 < 0x1000";
    case "interrupt.lint":
      return 'kind == "missing-eoi"';
    case "budget.latency":
      return "latency > 5000";
    case "budget.handler":
    case "budget.masked":
      return "duration > 5000";
    case "budget.nesting":
      return "depth > 2";
    case "cpu.tripleFault":
    case "guest.stuck":
    case "guest.end":
      return "cpu == 1";
    default:
      return "vector == 0xf0 && dst == 1";
  }
}

/** What each filter's condition may use, for the client's input box. */
function conditionDescription(filter: ExceptionFilter): string {
  return `Such as ${exampleCondition(filter)}. Fields: ${fieldsOf(filter).join(", ")}, registers and symbols.`;
}

const capabilities: DebugProtocol.Capabilities = {
  supportsConfigurationDoneRequest: true,
  supportsFunctionBreakpoints: true,
  supportsConditionalBreakpoints: true,
  supportsHitConditionalBreakpoints: true,
  supportsLogPoints: true,
  supportsInstructionBreakpoints: true,
  supportsDataBreakpoints: true,
  supportsDataBreakpointBytes: true,
  supportsBreakpointLocationsRequest: true,
  supportsExceptionFilterOptions: true,
  supportsExceptionInfoRequest: true,
  supportsSteppingGranularity: true,
  supportsStepBack: true,
  supportsSingleThreadExecutionRequests: true,
  supportsEvaluateForHovers: true,
  supportsClipboardContext: true,
  supportsSetVariable: true,
  supportsSetExpression: true,
  supportsCompletionsRequest: true,
  supportsDisassembleRequest: true,
  supportsReadMemoryRequest: true,
  supportsWriteMemoryRequest: true,
  supportsGotoTargetsRequest: true,
  // Parts of a stack can be asked for, but a stack is walked as a whole: a client that waits before it asks for the rest (VS Code 420 ms) gains nothing.
  supportsDelayedStackTraceLoading: false,
  supportsLoadedSourcesRequest: true,
  supportsModulesRequest: true,
  supportsRestartRequest: true,
  supportsTerminateRequest: true,
  supportsCancelRequest: true,
  exceptionBreakpointFilters: exceptionFilters.map(({ filter, label, description }) => ({
    filter,
    label,
    description,
    default: filter === "cpu.tripleFault" || filter === "guest.stuck",
    supportsCondition: true,
    conditionDescription: conditionDescription(filter),
  })),
};

/** What needs source lines is offered where the symbols have some. */
function lineCapabilities({ hasLines }: Launched): CapabilitiesEvent {
  return new CapabilitiesEvent({
    supportsBreakpointLocationsRequest: hasLines,
    supportsGotoTargetsRequest: hasLines,
    supportsLoadedSourcesRequest: hasLines,
  });
}

export const lifecycleRequests: HandlerTable = {
  initialize: (args, { session }) => {
    session.setClient({
      lineBase: args.raw("linesStartAt1") === false ? 0 : 1,
      columnBase: args.raw("columnsStartAt1") === false ? 0 : 1,
      uris: args.raw("pathFormat") === "uri",
      invalidatedEvents: args.raw("supportsInvalidatedEvent") === true,
      memoryEvents: args.raw("supportsMemoryEvent") === true,
      progress: args.raw("supportsProgressReporting") === true,
    });
    return capabilities;
  },

  launch: async (args, { call, session, sendEvent }) => {
    const checked = checkLaunch(args.all);
    // "Run Without Debugging": nothing stops the guest but the person.
    const undisturbed = { ...checked, stopOnEntry: false, interruptBreakpoints: [], workspaceInterruptBreakpoints: [] };
    const attributes = args.flag("noDebug") ? undisturbed : checked;
    session.startEngine();
    let launched: Launched;
    try {
      launched = await call("launch", attributes);
    } catch (error) {
      await session.stopEngine();
      throw error;
    }
    session.launched = true;
    session.cpus = launched.cpus;
    sendEvent(new InitializedEvent());
    if (!launched.hasLines) sendEvent(lineCapabilities(launched));
  },

  attach: () => {
    throw new UserError('APICScope owns the machine it debugs: use a "launch" request.', "request");
  },

  restartFrame: () => {
    throw new UserError('A frame cannot be restarted: what its code has done to memory and devices stays done. Use "goto".', "frameId");
  },

  terminateThreads: () => {
    throw new UserError('CPUs cannot be ended one by one; freeze them with "apicscope/freeze".', "threadIds");
  },

  stepInTargets: () => {
    throw new UserError("The calls of a line are not told apart; set a breakpoint in the function to step into.", "frameId");
  },

  locations: () => {
    throw new UserError("APICScope gives no location references.", "locationReference");
  },

  configurationDone: (_args, { call, after }) => after(() => void call("start", undefined).catch(() => undefined)),

  restart: async (args, { call, session, after, sendEvent }) => {
    const given = args.has("arguments") ? checkLaunch(args.object("arguments").all) : undefined;
    const launched = await call("restart", given);
    session.cpus = launched.cpus;
    sendEvent(lineCapabilities(launched));
    after(() => void call("start", undefined).catch(() => undefined));
  },

  terminate: async (_args, { call, session, after }) => {
    if (session.launched) return call("terminate", undefined);
    // While a guest is being loaded the engine does not listen: it ends as it stands.
    await session.stopEngine();
    after(() => session.tellEnd());
  },

  disconnect: async (_args, { session, after }) => {
    await session.stopEngine();
    after(() => session.close());
  },

  cancel: (args, { session }) => {
    const request = args.optionalWhole("requestId");
    if (request !== undefined) session.cancel(request);
    const progress = args.optionalText("progressId");
    if (progress !== undefined) session.cancelProgress(progress);
  },
};
