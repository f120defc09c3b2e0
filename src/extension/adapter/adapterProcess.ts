// The debug adapter's process, with two who speak to it: VS Code, whose messages pass through, and the extension itself. What the
// extension asks goes straight to the process; through VS Code's `customRequest` it would wait for the window twice, which
// after a step is busy drawing.
import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import type { DebugProtocol } from "@vscode/debugprotocol";
import * as vscode from "vscode";
import { MessageReader, frame } from "../../adapter/framing";

/** The extension's requests are numbered from here on, far from those of VS Code. */
const firstOwnSequence = 1 << 30;
/** Requests that a process which is gone has carried out all the same. */
const endings = new Set(["disconnect", "terminate"]);

interface Asked {
  readonly resolve: (body: unknown) => void;
  readonly reject: (error: Error) => void;
}

export interface AdapterCommand {
  readonly node: string;
  readonly args: readonly string[];
  readonly cwd: string | undefined;
}

export class AdapterProcess implements vscode.DebugAdapter {
  private readonly sent = new vscode.EventEmitter<vscode.DebugProtocolMessage>();
  private readonly child: ChildProcessWithoutNullStreams;
  /** The extension's requests that have no answer yet. */
  private readonly asked = new Map<number, Asked>();
  /** VS Code's requests that have no answer yet. */
  private readonly passed = new Map<number, string>();
  private sequence = firstOwnSequence;
  /** Why there is no process any more. */
  private over: string | undefined;
  private disposed = false;

  readonly onDidSendMessage = this.sent.event;

  /** `log` gets what the process writes to its standard error, and how it ended if it should not have. */
  constructor(
    { node, args, cwd }: AdapterCommand,
    private readonly log: (text: string) => void,
  ) {
    // VS Code's executable is Electron; ELECTRON_RUN_AS_NODE makes it a plain Node, and means nothing to a real one.
    this.child = spawn(node, args, { cwd, env: { ...process.env, ELECTRON_RUN_AS_NODE: "1" }, stdio: "pipe", windowsHide: true });
    const reader = new MessageReader((message) => this.receive(message));
    this.child.stdout.on("data", (piece: Buffer) => {
      try {
        reader.push(piece);
      } catch (error) {
        this.end(`The debug adapter said what is no message: ${error instanceof Error ? error.message : String(error)}`);
        this.child.kill();
      }
    });
    this.child.stderr.on("data", (piece: Buffer) => log(piece.toString("utf8").trimEnd()));
    // What is written to a process that has just ended is lost; that it ended is told below.
    this.child.stdin.on("error", () => undefined);
    this.child.on("error", (error) => this.end(`The debug adapter cannot be started: ${error.message}`));
    this.child.on("close", (code, signal) =>
      this.end(code === 0 ? "The debug adapter has ended." : `The debug adapter ended with ${signal ?? `status ${code}`}.`, code === 0),
    );
  }

  /** Whether it still answers. */
  get alive(): boolean {
    return this.over === undefined;
  }

  /** A message of VS Code. */
  handleMessage(message: vscode.DebugProtocolMessage): void {
    const request = message as DebugProtocol.Request;
    const isRequest = request.type === "request";
    if (this.over !== undefined) {
      if (isRequest) this.answerFor(request.seq, request.command, this.over);
      return;
    }
    if (isRequest) this.passed.set(request.seq, request.command);
    this.child.stdin.write(frame(message));
  }

  /** Asks on the extension's own behalf. Rejects, with the adapter's sentence, what it refuses. */
  ask(command: string, args: object = {}): Promise<unknown> {
    if (this.over !== undefined) return Promise.reject(new Error(this.over));
    const seq = this.sequence++;
    return new Promise((resolve, reject) => {
      this.asked.set(seq, { resolve, reject });
      this.child.stdin.write(frame({ seq, type: "request", command, arguments: args }));
    });
  }

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    this.end("The session has ended.", true);
    this.child.kill();
    this.sent.dispose();
  }

  private receive(message: DebugProtocol.ProtocolMessage): void {
    if (message.type === "response") {
      const response = message as DebugProtocol.Response;
      const own = this.asked.get(response.request_seq);
      if (own !== undefined) {
        this.asked.delete(response.request_seq);
        if (response.success) own.resolve(response.body);
        else own.reject(new Error(response.message ?? `${response.command} failed.`));
        return;
      }
      this.passed.delete(response.request_seq);
    }
    if (!this.disposed) this.sent.fire(message);
  }

  /** The process is gone: nobody waits for it any longer. */
  private end(why: string, asExpected = false): void {
    if (this.over !== undefined) return;
    this.over = why;
    for (const { reject } of this.asked.values()) reject(new Error(why));
    this.asked.clear();
    if (!asExpected) this.log(why);
    if (this.disposed) return;
    for (const [seq, command] of this.passed) this.answerFor(seq, command, why);
    this.passed.clear();
    if (!asExpected) this.tell("output", { category: "important", output: `${why}\n` });
    this.tell("terminated", {});
  }

  private answerFor(seq: number, command: string, why: string): void {
    const success = endings.has(command);
    const response = { type: "response", seq: 0, request_seq: seq, command, success, ...(success ? {} : { message: why }) };
    this.sent.fire(response);
  }

  private tell(event: string, body: object): void {
    this.sent.fire({ type: "event", seq: 0, event, body });
  }
}
