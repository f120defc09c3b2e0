// What goes between VS Code and an adapter, with the time of each message as the extension host sees it.
import type { DebugProtocol } from "@vscode/debugprotocol";
import * as vscode from "vscode";

/** A request of VS Code; times in milliseconds. */
export interface TracedRequest {
  readonly command: string;
  readonly arguments: unknown;
  readonly sentAt: number;
  answeredAt: number | undefined;
  response: DebugProtocol.Response | undefined;
}

export interface TracedEvent {
  readonly event: string;
  readonly at: number;
}

/** Listens to the sessions that begin after it was made. */
export class DapTrace implements vscode.Disposable {
  readonly requests: TracedRequest[] = [];
  readonly events: TracedEvent[] = [];
  private readonly pending = new Map<number, TracedRequest>();
  private readonly registered: vscode.Disposable;

  constructor() {
    this.registered = vscode.debug.registerDebugAdapterTrackerFactory("apicscope", {
      createDebugAdapterTracker: () => ({
        onWillReceiveMessage: (message: DebugProtocol.ProtocolMessage) => this.receive(message),
        onDidSendMessage: (message: DebugProtocol.ProtocolMessage) => this.send(message),
      }),
    });
  }

  /** When the last message passed. */
  get lastAt(): number {
    return Math.max(0, ...this.requests.slice(-20).map(({ sentAt, answeredAt }) => answeredAt ?? sentAt), this.events.at(-1)?.at ?? 0);
  }

  /** Forgets what has been heard. */
  clear(): void {
    this.requests.length = 0;
    this.events.length = 0;
  }

  dispose(): void {
    this.registered.dispose();
  }

  private receive(message: DebugProtocol.ProtocolMessage): void {
    if (message.type !== "request") return;
    const asked = message as DebugProtocol.Request;
    const args: unknown = asked.arguments;
    const { command, seq } = asked;
    const request: TracedRequest = { command, arguments: args, sentAt: performance.now(), answeredAt: undefined, response: undefined };
    this.requests.push(request);
    this.pending.set(seq, request);
  }

  private send(message: DebugProtocol.ProtocolMessage): void {
    if (message.type === "event") {
      this.events.push({ event: (message as DebugProtocol.Event).event, at: performance.now() });
    } else if (message.type === "response") {
      const response = message as DebugProtocol.Response;
      const request = this.pending.get(response.request_seq);
      if (request === undefined) return;
      this.pending.delete(response.request_seq);
      request.answeredAt = performance.now();
      request.response = response;
    }
  }
}
