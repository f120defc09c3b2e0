import type { DebugProtocol } from "@vscode/debugprotocol";
import { ApicScopeSession } from "../adapter/session";

/** A DAP client in the same process as its adapter: what an editor does, without streams in between. */
export class InProcessClient {
  private readonly session: ApicScopeSession;
  private readonly waiting = new Map<number, (response: DebugProtocol.Response) => void>();
  private readonly listeners = new Map<string, (body: unknown) => void>();
  private next = 1;

  constructor() {
    this.session = new ApicScopeSession(() => undefined);
    this.session.setRunAsServer(true);
    this.session.onDidSendMessage((message) => this.receive(message as DebugProtocol.ProtocolMessage));
  }

  private receive(message: DebugProtocol.ProtocolMessage): void {
    if (message.type === "response") {
      const response = message as DebugProtocol.Response;
      this.waiting.get(response.request_seq)?.(response);
      this.waiting.delete(response.request_seq);
    } else if (message.type === "event") {
      const { event, body } = message as unknown as { readonly event: string; readonly body?: unknown };
      this.listeners.get(event)?.(body);
    }
  }

  /** Calls `listener` with the body of each event of this kind. */
  on(event: string, listener: (body: unknown) => void): void {
    this.listeners.set(event, listener);
  }

  /** Resolves with the first event of these kinds; rejects with the sentence when none comes in time. */
  async firstOf(events: readonly string[], milliseconds: number, late: string): Promise<{ event: string; body: unknown }> {
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise((resolve, reject) => {
        for (const event of events) this.listeners.set(event, (body) => resolve({ event, body }));
        timer = setTimeout(() => reject(new Error(late)), milliseconds);
      });
    } finally {
      clearTimeout(timer);
      for (const event of events) this.listeners.delete(event);
    }
  }

  /** Sends a request and resolves with the response's body. Rejects with the adapter's sentence when it refuses. */
  request<Response extends DebugProtocol.Response>(command: string, args: object = {}): Promise<Response["body"]> {
    const seq = this.next++;
    return new Promise((resolve, reject) => {
      this.waiting.set(seq, (response) => {
        if (response.success) resolve(response.body as Response["body"]);
        else reject(new Error(response.message ?? `${command} failed`));
      });
      const request: DebugProtocol.Request = { seq, type: "request", command, arguments: args };
      this.session.handleMessage(request);
    });
  }
}
