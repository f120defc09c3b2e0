// The running APICScope sessions: reads the interrupt state at each stop, tells each session the workspace's interrupt
// breakpoints, and knows which session and CPU the user looks at.
import * as vscode from "vscode";
import {
  interruptBreakpointsChangedEvent,
  interruptStateRequest,
  interruptTableRequest,
  runControlChangedEvent,
  setInterruptBreakpointsRequest,
  type InterruptBreakpointsChangedBody,
  type InterruptGate,
  type InterruptState,
  type InterruptTableResponse,
  type RunControlBody,
  type SetInterruptBreakpointsArguments,
  type SetInterruptBreakpointsResponse,
} from "../adapter/protocol";
import type { Adapters } from "./adapter/adapterFactory";
import { debugType } from "./configuration";
import { BreakpointStatuses, type InterruptBreakpoints } from "./interruptBreakpoints";
import { InterruptHistory } from "./interruptsModel";
import { tableNodeId } from "./tableRows";

/** What is known of one session. */
export class SessionState {
  readonly history = new InterruptHistory();
  readonly statuses = new BreakpointStatuses();
  running = true;
  /** Interrupt tables whose rows are open, by row, with a thread that uses each. */
  readonly openTables = new Map<string, number>();
  /** DAP threads that stand still whatever the others do. */
  frozenThreads: readonly number[] = [];
  /** DAP thread that the user looked at last. */
  focusedThread: number | undefined;
  /** Why it stopped last, in DAP's words. */
  stopReason = "";
  /** Numbers of VS Code's requests that may change something and have no answer yet. */
  readonly changing = new Set<number>();

  constructor(readonly session: vscode.DebugSession) {}
}

/** Part of a DAP message that matters here. */
interface Message {
  readonly type?: string;
  readonly event?: string;
  readonly command?: string;
  readonly success?: boolean;
  readonly seq?: number;
  readonly request_seq?: number;
  readonly arguments?: { readonly context?: string };
  readonly body?: { readonly reason?: string };
}

/** Requests after which registers may have changed although the machine stayed stopped. */
const changingCommands = new Set(["setVariable", "setExpression", "writeMemory", "evaluate"]);

/** Whether a request may change what it is asked in. Expressions assign in the Debug Console only; VS Code evaluates others, such as inline values, at every stop. */
function mayChange({ command, arguments: given }: Message): boolean {
  return command !== undefined && changingCommands.has(command) && (command !== "evaluate" || given?.context === "repl");
}
/** Quiet time before the state of a stop is read again: a burst of causes makes one request. */
const settleMilliseconds = 20;

export class Sessions implements vscode.Disposable {
  private readonly states = new Map<string, SessionState>();
  private readonly timers = new Map<string, NodeJS.Timeout>();
  private readonly changed = new vscode.EventEmitter<void>();
  private readonly focusChanged = new vscode.EventEmitter<void>();
  private readonly wasRead = new vscode.EventEmitter<SessionState>();
  private readonly disposables: vscode.Disposable[];
  private lastShown: string | undefined;

  /** A state, a session or a breakpoint's status changed. */
  readonly onDidChange = this.changed.event;
  /** A stopped session's state has been read, at a stop or after a change by hand. Comes after {@link onDidChange}. */
  readonly onDidRead = this.wasRead.event;
  /** Another session or CPU is looked at. */
  readonly onDidChangeFocus = this.focusChanged.event;

  constructor(
    private readonly breakpoints: InterruptBreakpoints,
    private readonly adapters: Adapters,
    private readonly log: vscode.LogOutputChannel,
  ) {
    this.disposables = [
      this.changed,
      this.focusChanged,
      this.wasRead,
      vscode.debug.registerDebugAdapterTrackerFactory(debugType, {
        createDebugAdapterTracker: (session) => ({
          onWillReceiveMessage: (message: Message) => {
            if (message.seq !== undefined && mayChange(message)) this.states.get(session.id)?.changing.add(message.seq);
          },
          onDidSendMessage: (message: Message) => this.hear(session, message),
        }),
      }),
      vscode.debug.onDidTerminateDebugSession((session) => this.forget(session)),
      vscode.debug.onDidReceiveDebugSessionCustomEvent((event) => this.hearCustom(event)),
      vscode.debug.onDidChangeActiveDebugSession(() => this.focusChanged.fire()),
      vscode.debug.onDidChangeActiveStackItem(() => this.focusChanged.fire()),
      breakpoints.onDidChange(() => void this.tellAll()),
    ];
  }

  /** Every session that runs. */
  get all(): readonly SessionState[] {
    return [...this.states.values()];
  }

  /** The session to show: the active one if it is ours, else the one last shown that still runs. */
  get shown(): SessionState | undefined {
    const active = vscode.debug.activeDebugSession;
    if (active !== undefined && this.states.has(active.id)) this.lastShown = active.id;
    return this.states.get(this.lastShown ?? "") ?? [...this.states.values()].at(-1);
  }

  /** DAP thread id of the CPU that the user looks at in the shown session, or looked at last: while a step runs VS Code has no focus. */
  get focusedThread(): number | undefined {
    const item = vscode.debug.activeStackItem;
    const { shown } = this;
    if (shown !== undefined && item?.session.id === shown.session.id) shown.focusedThread = item.threadId;
    return shown?.focusedThread;
  }

  /** The session with this id, while it runs. */
  session(id: string): vscode.DebugSession | undefined {
    return this.states.get(id)?.session;
  }

  /** Asks a session's adapter. Rejects, with one sentence, what it refuses, and when it has ended. */
  ask(session: vscode.DebugSession, command: string, args: object = {}): Promise<unknown> {
    return this.adapters.ask(session, command, args);
  }

  /** A table's row was closed: its gates are no longer read at each stop. */
  closeTable(tableId: string): void {
    for (const state of this.states.values()) state.openTables.delete(tableId);
  }

  /** The gates of an interrupt table, read once a stop; none when they cannot be read. From now on they are read at every stop, so that changes show. */
  async gates(state: SessionState, tableId: string, threadId: number): Promise<readonly InterruptGate[]> {
    const { history } = state;
    state.openTables.set(tableId, threadId);
    const known = history.gatesOf(tableId);
    if (known !== undefined) return known;
    const asked = history.state;
    const answer: unknown = await this.request(state, interruptTableRequest, { threadId });
    if (answer === undefined) return [];
    const { gates } = answer as InterruptTableResponse;
    if (history.state === asked) history.keepGates(tableId, gates);
    return gates;
  }

  /** Reads the shown session's state anew. */
  async refresh(): Promise<void> {
    const { shown } = this;
    if (shown !== undefined) await this.read(shown);
  }

  dispose(): void {
    for (const timer of this.timers.values()) clearTimeout(timer);
    for (const disposable of this.disposables) disposable.dispose();
  }

  private hear(session: vscode.DebugSession, message: Message): void {
    if (message.type === "event") {
      switch (message.event) {
        case "initialized":
          this.states.set(session.id, new SessionState(session));
          void this.tell(this.stateOf(session));
          this.changed.fire();
          break;
        case "stopped":
          this.stateOf(session).running = false;
          this.stateOf(session).stopReason = message.body?.reason ?? "";
          this.readSoon(session, 0);
          break;
        case "invalidated":
          this.readSoon(session);
          break;
        case "continued":
          this.setRunning(session);
          break;
        default:
      }
    } else if (message.type === "response") {
      const changed = this.states.get(session.id)?.changing.delete(message.request_seq ?? -1) === true;
      if (message.success !== true) return;
      if (message.command === "continue" || message.command === "reverseContinue") this.setRunning(session);
      else if (changed) this.readSoon(session);
    }
  }

  private stateOf(session: vscode.DebugSession): SessionState {
    const state = this.states.get(session.id) ?? new SessionState(session);
    this.states.set(session.id, state);
    return state;
  }

  private setRunning(session: vscode.DebugSession): void {
    this.stateOf(session).running = true;
    this.changed.fire();
  }

  private readSoon(session: vscode.DebugSession, milliseconds = settleMilliseconds): void {
    clearTimeout(this.timers.get(session.id));
    const timer = setTimeout(() => {
      this.timers.delete(session.id);
      const state = this.states.get(session.id);
      if (state !== undefined && !state.running) void this.read(state);
    }, milliseconds);
    this.timers.set(session.id, timer);
  }

  private async read(state: SessionState): Promise<void> {
    const answer: unknown = await this.request(state, interruptStateRequest, {});
    if (answer === undefined) return;
    state.history.update(answer as InterruptState);
    this.changed.fire();
    this.wasRead.fire(state);
    const { history } = state;
    for (const { base, kind, cpus } of history.state?.tables ?? []) {
      const id = tableNodeId({ base, kind });
      if (state.openTables.has(id)) await this.gates(state, id, cpus[0] + 1);
    }
  }

  private async tellAll(): Promise<void> {
    await Promise.all([...this.states.values()].map((state) => this.tell(state)));
  }

  private async tell(state: SessionState): Promise<void> {
    const breakpoints: SetInterruptBreakpointsArguments = { breakpoints: [...this.breakpoints.all] };
    const answer: unknown = await this.request(state, setInterruptBreakpointsRequest, breakpoints);
    if (answer === undefined) return;
    state.statuses.replace((answer as SetInterruptBreakpointsResponse).breakpoints);
    this.changed.fire();
  }

  /** Sends a request; a session that ends meanwhile, or refuses, is a line in the log and answers undefined. */
  private async request(state: SessionState, command: string, args: object): Promise<unknown> {
    try {
      return await this.ask(state.session, command, args);
    } catch (error) {
      if (this.states.has(state.session.id)) this.log.warn(`${command}: ${error instanceof Error ? error.message : String(error)}`);
      return undefined;
    }
  }

  private hearCustom({ session, event, body }: vscode.DebugSessionCustomEvent): void {
    const state = this.states.get(session.id);
    if (state === undefined) return;
    if (event === runControlChangedEvent) {
      state.frozenThreads = (body as RunControlBody).frozenThreads;
      if (!state.running) this.readSoon(session);
      return this.changed.fire();
    }
    if (event !== interruptBreakpointsChangedEvent) return;
    state.statuses.updateHits((body as InterruptBreakpointsChangedBody).breakpoints);
    this.changed.fire();
  }

  private forget(session: vscode.DebugSession): void {
    clearTimeout(this.timers.get(session.id));
    this.timers.delete(session.id);
    if (this.states.delete(session.id)) this.changed.fire();
  }
}
