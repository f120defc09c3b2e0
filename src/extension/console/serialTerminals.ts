// The guest's first serial port as a terminal: colours and cursor movements are the terminal's, keys go to the guest. With the
// launch attribute `serial` set to "terminal" it opens by itself, and by command for any other session.
import * as vscode from "vscode";
import { serialOutputEvent, type SerialOutputBody } from "../../adapter/screenProtocol";
import { debugType } from "../configuration";
import type { Sessions } from "../sessions";
import { LineEnds, SerialHistory } from "./serialText";

/** Part of a DAP event that matters here. */
interface Output {
  readonly type?: string;
  readonly event?: string;
  readonly body?: { readonly category?: string; readonly output?: string; readonly data?: string };
}

/** One session's serial port: what came, and the terminal that shows it, if it is open. */
class SerialLine implements vscode.Pseudoterminal {
  private readonly written = new vscode.EventEmitter<string>();
  private readonly closed = new vscode.EventEmitter<void>();
  private readonly history = new SerialHistory();
  private readonly ends = new LineEnds();
  private readonly decoder = new TextDecoder();
  private isOpen = false;
  private ended = false;
  terminal: vscode.Terminal | undefined;

  readonly onDidWrite = this.written.event;
  readonly onDidClose = this.closed.event;

  constructor(readonly session: vscode.DebugSession) {}

  /** The guest has sent something. */
  receive(text: string): void {
    const shown = this.ends.next(text);
    this.history.add(shown);
    if (this.isOpen) this.written.fire(shown);
  }

  receiveBytes(base64: string): void {
    this.receive(this.decoder.decode(Buffer.from(base64, "base64"), { stream: true }));
  }

  get text(): string {
    return this.history.text;
  }

  show(): void {
    this.terminal ??= vscode.window.createTerminal({
      name: `Serial: ${this.session.name}`,
      pty: this,
      iconPath: new vscode.ThemeIcon("plug"),
      // It cannot outlive its session.
      isTransient: true,
    });
    this.terminal.show(true);
  }

  end(): void {
    if (this.ended) return;
    this.ended = true;
    this.receive("\r\n\x1b[2m[The session has ended.]\x1b[0m\r\n");
  }

  // Pseudoterminal

  open(): void {
    this.isOpen = true;
    if (this.text !== "") this.written.fire(this.text);
  }

  close(): void {
    this.isOpen = false;
    this.terminal = undefined;
  }

  handleInput(text: string): void {
    if (this.ended) return;
    // A session that is about to end takes no more.
    this.session
      .customRequest("apicscope/serialInput", { data: Buffer.from(text, "utf8").toString("base64") })
      .then(undefined, () => undefined);
  }

  /** A serial line tells nobody how large the window is; programs that want to know ask the terminal, which answers as if by keys. */
  setDimensions(): void {
    // Nothing to do: the terminal lays its text out anew by itself.
  }

  /** Closes the terminal. */
  dispose(): void {
    this.terminal?.dispose();
    this.written.dispose();
    this.closed.dispose();
  }
}

export class SerialTerminals implements vscode.Disposable {
  private readonly lines = new Map<string, SerialLine>();
  private readonly disposables: vscode.Disposable[];

  constructor(private readonly sessions: Sessions) {
    this.disposables = [
      vscode.debug.registerDebugAdapterTrackerFactory(debugType, {
        createDebugAdapterTracker: (session) => ({ onDidSendMessage: (message: Output) => this.hear(session, message) }),
      }),
      vscode.debug.onDidTerminateDebugSession(({ id }) => this.lines.get(id)?.end()),
    ];
  }

  /** Opens the terminal of the session that is looked at. */
  show(): void {
    const { shown } = this.sessions;
    if (shown === undefined) {
      void vscode.window.showInformationMessage("No guest is being debugged: start a session first.");
      return;
    }
    this.lineOf(shown.session).show();
  }

  /** What a session's guest has sent so far; undefined for a session that is not known. */
  textOf(session: string): string | undefined {
    return this.lines.get(session)?.text;
  }

  /** The terminal of a session, if it is open. */
  terminalOf(session: string): vscode.Terminal | undefined {
    return this.lines.get(session)?.terminal;
  }

  dispose(): void {
    for (const line of this.lines.values()) line.dispose();
    for (const disposable of this.disposables) disposable.dispose();
  }

  private lineOf(session: vscode.DebugSession): SerialLine {
    let line = this.lines.get(session.id);
    if (line === undefined) {
      // What earlier sessions of this name left makes room.
      for (const [id, old] of this.lines) {
        if (old.session.name !== session.name || this.sessions.session(id) !== undefined) continue;
        old.dispose();
        this.lines.delete(id);
      }
      line = new SerialLine(session);
      this.lines.set(session.id, line);
      if (session.configuration["serial"] === "terminal") line.show();
    }
    return line;
  }

  private hear(session: vscode.DebugSession, { type, event, body }: Output): void {
    if (type !== "event") return;
    if (event === "initialized") this.lineOf(session);
    else if (event === serialOutputEvent) this.lineOf(session).receiveBytes((body as SerialOutputBody).data);
    else if (event === "output" && body?.category === "stdout") this.lineOf(session).receive(body.output ?? "");
  }
}
