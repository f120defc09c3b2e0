// A DAP session: takes requests apart, hands them to their topic's handler, and turns what comes of it into responses and events.
import {
  BreakpointEvent,
  DebugSession,
  ExitedEvent,
  InvalidatedEvent,
  ModuleEvent,
  OutputEvent,
  Response,
  StoppedEvent,
  TerminatedEvent,
  ThreadEvent,
} from "@vscode/debugadapter";
import type { DebugProtocol } from "@vscode/debugprotocol";
import { UserError } from "../machine/errors";
import { Args } from "./arguments";
import type { ClientSettings, HandlerTable, RequestContext, SessionControl } from "./context";
import { EngineClient, EngineError } from "./engineClient";
import { interruptBreakpointsChangedEvent, runControlChangedEvent } from "./protocol";
import { serialOutputEvent, type SerialOutputBody } from "./screenProtocol";
import { breakpointRequests, toBreakpoint } from "./requests/breakpoints";
import { continuedEvent, executionRequests } from "./requests/execution";
import { inspectionRequests, toModule } from "./requests/inspection";
import { insightRequests } from "./requests/insights";
import { injectionRequests } from "./requests/injection";
import { interruptRequests } from "./requests/interrupts";
import { lifecycleRequests } from "./requests/lifecycle";
import { memoryRequests } from "./requests/memory";
import { screenRequests } from "./requests/screen";
import { timelineRequests } from "./requests/timeline";
import { runControlBody, runControlRequests } from "./requests/runControl";
import type { EngineEvent, EngineMethod, EngineMethods } from "./rpc";

const handlers: HandlerTable = {
  ...lifecycleRequests,
  ...breakpointRequests,
  ...executionRequests,
  ...inspectionRequests,
  ...memoryRequests,
  ...interruptRequests,
  ...injectionRequests,
  ...timelineRequests,
  ...runControlRequests,
  ...insightRequests,
  ...screenRequests,
};

/** Ids of error responses: who is to blame. */
const errorIds = { user: 1, internal: 2, cancelled: 3 } as const;
/** Requests that a person asked for by hand: a failure is shown as a message, not only where the answer would have been. */
const shownRequests = new Set([
  "launch",
  "attach",
  "restart",
  "continue",
  "next",
  "stepIn",
  "stepOut",
  "goto",
  "writeMemory",
  "setVariable",
]);

/** JSON has no 64-bit numbers: they become hexadecimal text. */
function plain(value: unknown): unknown {
  if (typeof value === "bigint") return `0x${value.toString(16)}`;
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === "object" && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, plain(entry)]));
  return value;
}

/** One client's session, over any pair of streams. */
export class ApicScopeSession extends DebugSession implements SessionControl {
  readonly gotoTargets = new Map<number, bigint>();
  private client: ClientSettings = {
    lineBase: 1,
    columnBase: 1,
    uris: false,
    invalidatedEvents: false,
    memoryEvents: false,
    progress: false,
  };
  private engine: EngineClient | undefined;
  /** Engine requests under way, by the number of the client's request. */
  private readonly pending = new Map<number, number>();
  private terminated = false;
  launched = false;
  cpus: number | undefined;
  /** The long work that is told to the client. */
  private progress: { readonly id: string; readonly request: number | "run" } | undefined;
  private progressCount = 0;

  /** `onEnd` is called once when the connection is to end. */
  constructor(private readonly onEnd: () => void) {
    super();
  }

  // SessionControl

  setClient(client: ClientSettings): void {
    this.client = client;
  }

  startEngine(): void {
    if (this.engine !== undefined) throw new UserError("A guest has been launched already.");
    this.terminated = false;
    this.engine = new EngineClient((event) => this.hear(event));
  }

  async stopEngine(): Promise<void> {
    const { engine } = this;
    this.engine = undefined;
    this.launched = false;
    this.cpus = undefined;
    await engine?.dispose();
  }

  tellEnd(): void {
    this.ended(0, "");
  }

  cancel(request: number): boolean {
    const id = this.pending.get(request);
    if (id === undefined) return false;
    this.engine?.cancel(id);
    return true;
  }

  cancelProgress(id: string): boolean {
    if (this.progress?.id !== id) return false;
    const { request } = this.progress;
    if (request === "run") this.engine?.call("cancelRun", undefined).catch(() => undefined);
    else this.engine?.cancel(request);
    return true;
  }

  close(): void {
    this.onEnd();
  }

  /** The client is gone. */
  override shutdown(): void {
    void this.stopEngine().then(() => this.onEnd());
  }

  // Requests

  protected override dispatchRequest(request: DebugProtocol.Request): void {
    void this.handle(request);
  }

  private async handle(request: DebugProtocol.Request): Promise<void> {
    const response = new Response(request) as DebugProtocol.Response;
    const afterwards: (() => void)[] = [];
    const { command } = request;
    try {
      if (!Object.hasOwn(handlers, command)) throw new UserError(`APICScope knows no request "${command}".`, "command");
      const args = new Args(command, request.arguments, this.cpus);
      const body = await handlers[command](args, this.context(request.seq, afterwards));
      if (body !== undefined) response.body = plain(body);
    } catch (error) {
      this.fail(response, error);
    }
    this.pending.delete(request.seq);
    this.sendResponse(response);
    if (response.success) for (const action of afterwards) action();
  }

  private context(seq: number, afterwards: (() => void)[]): RequestContext {
    return {
      client: this.client,
      session: this,
      sendEvent: (event) => this.sendEvent(event),
      after: (action) => void afterwards.push(action),
      call: <M extends EngineMethod>(method: M, args: EngineMethods[M]["args"]): Promise<EngineMethods[M]["result"]> => {
        if (this.engine === undefined) return Promise.reject(new UserError("No guest has been launched."));
        return this.engine.call(method, args, (id) => this.pending.set(seq, id));
      },
    };
  }

  private fail(response: DebugProtocol.Response, error: unknown): void {
    const blame = error instanceof UserError ? "user" : error instanceof EngineError ? error.failure.blame : "internal";
    const text = error instanceof Error ? error.message : String(error);
    const message = blame === "internal" ? `Internal error: ${text}` : text;
    response.success = false;
    response.message = message;
    if (blame === "cancelled") return;
    const showUser = shownRequests.has(response.command);
    response.body = { error: { id: errorIds[blame], format: message, showUser } };
  }

  // Events

  private hear(event: EngineEvent): void {
    switch (event.kind) {
      case "stopped": {
        const { reason, cpu, text, breakpoints } = event.stop;
        const stopped: DebugProtocol.StoppedEvent = { ...new StoppedEvent(reason, cpu + 1), event: "stopped", body: { reason } };
        this.gotoTargets.clear();
        stopped.body = { reason, threadId: cpu + 1, allThreadsStopped: true, description: text, text };
        if (breakpoints.length > 0) stopped.body.hitBreakpointIds = [...breakpoints];
        return this.sendEvent(stopped);
      }
      case "output":
        return this.sendEvent(new OutputEvent(event.text, event.category));
      case "thread":
        return this.sendEvent(new ThreadEvent(event.reason, event.cpu + 1));
      case "hits": {
        const changed: DebugProtocol.Event = {
          type: "event",
          seq: 0,
          event: interruptBreakpointsChangedEvent,
          body: { breakpoints: event.breakpoints },
        };
        return this.sendEvent(changed);
      }
      case "serial": {
        const body: SerialOutputBody = { data: Buffer.from(event.bytes).toString("base64") };
        const serial: DebugProtocol.Event = { type: "event", seq: 0, event: serialOutputEvent, body };
        return this.sendEvent(serial);
      }
      case "runControl":
        this.sendEvent({ type: "event", seq: 0, event: runControlChangedEvent, body: runControlBody(event.state) });
        // Names of threads tell which are frozen.
        if (this.client.invalidatedEvents) this.sendEvent(new InvalidatedEvent(["threads"]));
        return;
      case "module":
        return this.sendEvent(new ModuleEvent("changed", toModule(event.module)));
      case "breakpoint":
        return this.sendEvent(new BreakpointEvent("changed", toBreakpoint(event.status, this.client)));
      case "progress":
        return this.tellProgress(event);
      case "moving":
        // A client takes a request to step for one about its thread alone: it would show others as stopped, and pass the focus to one of them.
        if (event.all) return this.sendEvent(continuedEvent(event.cpu, true));
        return event.others.forEach((other) => this.sendEvent(continuedEvent(other)));
      case "ended":
        return this.ended(event.exitCode, event.text);
    }
  }

  private tellProgress({ phase, request, title, percentage }: Extract<EngineEvent, { kind: "progress" }>): void {
    if (!this.client.progress) return;
    if (phase === "start") this.progress = { id: `work ${++this.progressCount}`, request };
    if (this.progress === undefined) return;
    const { id: progressId } = this.progress;
    const event = (name: string, body: object): void => this.sendEvent({ type: "event", seq: 0, event: name, body });
    switch (phase) {
      case "start": {
        const requestId = [...this.pending].find(([, id]) => id === request)?.[0];
        return event("progressStart", {
          progressId,
          title,
          percentage,
          cancellable: request !== 0,
          ...(requestId === undefined ? {} : { requestId }),
        });
      }
      case "update":
        return event("progressUpdate", { progressId, percentage });
      case "end":
        this.progress = undefined;
        return event("progressEnd", { progressId });
    }
  }

  private ended(exitCode: number, text: string): void {
    if (this.terminated) return;
    this.terminated = true;
    if (text !== "") {
      this.sendEvent(new OutputEvent(`${text}\n`, "important"));
      this.sendEvent(new ExitedEvent(exitCode));
    }
    this.sendEvent(new TerminatedEvent());
  }
}
