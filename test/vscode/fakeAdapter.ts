// A debug adapter with two CPUs that does what a test tells it: shows what the extension sends and how it takes answers and
// events. Sessions reach it through the launch attribute `debugServer`.
import { DebugSession, InitializedEvent, StoppedEvent, TerminatedEvent, Thread } from "@vscode/debugadapter";
import type { DebugProtocol } from "@vscode/debugprotocol";
import { createServer, type AddressInfo, type Server } from "node:net";
import { cpuState, machineState } from "../extension/states";
import {
  interruptBreakpointsChangedEvent,
  commandRequest,
  freezeRequest,
  runOnlyRequest,
  stepRequest,
  unfreezeRequest,
  interruptStateRequest,
  interruptTableRequest,
  locateRequest,
  setInterruptBreakpointsRequest,
  type CpuInterruptState,
  type InterruptBreakpoint,
  type InterruptGate,
  type InterruptState,
  type LocateResponse,
  type SetInterruptBreakpointsArguments,
} from "../../src/adapter/protocol";

/** Two idle CPUs, an I/O APIC with one open pin, and an interrupt table. */
export function idleState(stopSequence: number, changes: readonly Partial<CpuInterruptState>[] = []): InterruptState {
  const cpus = [0, 1].map((index) => cpuState(index, { state: "halted", stateText: "halted, IF=1", ...changes[index] }));
  const pin = { pin: 2, raw: "0x30", text: "0x30, fixed, edge, to APIC 0", masked: false, remoteIrr: false, asserted: false, by: [] };
  const pins = [{ ...pin, vector: 0x30, mode: "fixed", trigger: "edge", cpus: [0] }];
  return { ...machineState(stopSequence, cpus), ioapics: [{ index: 0, pins }] };
}

const controlRequests = new Set<string>([freezeRequest, unfreezeRequest, runOnlyRequest, stepRequest]);

class Session extends DebugSession {
  fake: FakeAdapter | undefined;

  protected override initializeRequest(response: DebugProtocol.InitializeResponse): void {
    response.body = { supportsConfigurationDoneRequest: true, supportsDisassembleRequest: true };
    this.sendResponse(response);
    this.sendEvent(new InitializedEvent());
  }

  protected override launchRequest(response: DebugProtocol.LaunchResponse, args: DebugProtocol.LaunchRequestArguments): void {
    if (this.fake !== undefined) this.fake.launched = { ...args };
    this.sendResponse(response);
  }

  protected override configurationDoneRequest(response: DebugProtocol.ConfigurationDoneResponse): void {
    this.sendResponse(response);
    this.stopAt(1);
  }

  protected override threadsRequest(response: DebugProtocol.ThreadsResponse): void {
    response.body = { threads: [new Thread(1, "CPU 0"), new Thread(2, "CPU 1")] };
    this.sendResponse(response);
  }

  protected override stackTraceRequest(response: DebugProtocol.StackTraceResponse, args: DebugProtocol.StackTraceArguments): void {
    const source = this.fake?.source === undefined ? {} : { source: { path: this.fake.source } };
    const frame = { id: args.threadId * 10, name: `cpu${args.threadId - 1}_idle`, line: 0, column: 0, ...source };
    response.body = { stackFrames: [frame], totalFrames: 1 };
    this.sendResponse(response);
  }

  protected override continueRequest(response: DebugProtocol.ContinueResponse, args: DebugProtocol.ContinueArguments): void {
    this.fake?.continued.push(args.threadId);
    this.sendResponse(response);
  }

  protected override disassembleRequest(response: DebugProtocol.DisassembleResponse, args: DebugProtocol.DisassembleArguments): void {
    response.body = {
      instructions: [{ address: args.memoryReference, instructionBytes: "f4", instruction: "hlt", symbol: "timer_entry" }],
    };
    this.sendResponse(response);
  }

  protected override customRequest(command: string, response: DebugProtocol.Response, args: unknown): void {
    const { fake } = this;
    if (fake !== undefined && command === interruptStateRequest) {
      fake.stateRequests++;
      response.body = fake.state;
      this.sendResponse(response);
    } else if (fake !== undefined && command === setInterruptBreakpointsRequest) {
      const { breakpoints } = args as SetInterruptBreakpointsArguments;
      fake.told.push(breakpoints);
      const answer = breakpoints.map(({ id, condition }) =>
        condition === "vektor" ? { id, verified: false, hits: 0, message: "There is no vektor." } : { id, verified: true, hits: 0 },
      );
      response.body = { breakpoints: answer };
      this.sendResponse(response);
    } else if (fake !== undefined && command === interruptTableRequest) {
      response.body = { gates: fake.gates };
      this.sendResponse(response);
    } else if (fake !== undefined && command === locateRequest) {
      response.body = fake.place;
      this.sendResponse(response);
    } else if (fake !== undefined && command === commandRequest) {
      const { command: line } = args as { command: string };
      fake.commands.push(line);
      response.body = { text: `answer to ${line}` };
      this.sendResponse(response);
    } else if (fake !== undefined && controlRequests.has(command)) {
      fake.control.push([command, args ?? {}]);
      this.sendResponse(response);
    } else {
      super.customRequest(command, response, args);
    }
  }

  stopAt(threadId: number): void {
    const body: DebugProtocol.StoppedEvent["body"] = { reason: "pause", threadId, allThreadsStopped: true };
    this.sendEvent(Object.assign(new StoppedEvent("pause", threadId), { body }));
  }

  hits(breakpoints: { id: string; hits: number }[]): void {
    const event: DebugProtocol.Event = { type: "event", seq: 0, event: interruptBreakpointsChangedEvent, body: { breakpoints } };
    this.sendEvent(event);
  }

  end(): void {
    this.sendEvent(new TerminatedEvent());
  }
}

/** Listens for one session at a time on a port of its own. */
export class FakeAdapter {
  state: InterruptState = idleState(1);
  stateRequests = 0;
  gates: InterruptGate[] = [];
  place: LocateResponse = { address: "0x0000000000100000" };
  /** Requests that control CPUs, and threads that were told to go on. */
  readonly control: (readonly [string, unknown])[] = [];
  readonly continued: number[] = [];
  /** Console commands that came. */
  readonly commands: string[] = [];
  launched: Record<string, unknown> = {};
  /** Source of the frames, as the protocol's `path`; none if undefined. */
  source: string | undefined;
  readonly told: InterruptBreakpoint[][] = [];
  private session: Session | undefined;

  private constructor(private readonly server: Server) {}

  static async start(): Promise<FakeAdapter> {
    const server = createServer();
    const fake = new FakeAdapter(server);
    server.on("connection", (socket) => {
      const session = new Session(true);
      session.setRunAsServer(true);
      session.fake = fake;
      fake.session = session;
      session.start(socket, socket);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return fake;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** Stops at a new state, in the CPU with this thread id. */
  stop(threadId: number, state: InterruptState): void {
    this.state = state;
    this.session?.stopAt(threadId);
  }

  hits(breakpoints: { id: string; hits: number }[]): void {
    this.session?.hits(breakpoints);
  }

  close(): void {
    this.session?.end();
    this.server.close();
  }
}
