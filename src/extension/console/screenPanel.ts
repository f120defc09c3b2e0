// The guest's screen in the editor area, with its keyboard. One panel a session; an ended session leaves its last picture.
import { randomBytes } from "node:crypto";
import * as vscode from "vscode";
import { keyInputRequest, screenRequest, type ScreenResponse } from "../../adapter/screenProtocol";
import { screenHtml } from "../../webview/screen/html";
import type { FromScreen, ToScreen } from "../../webview/screen/messages";
import type { SessionState, Sessions } from "../sessions";

/** Between two pictures of a running guest, at least. The next is asked for only when the last has been drawn. */
const frameMilliseconds = 60;

class ScreenPanel {
  private readonly panel: vscode.WebviewPanel;
  private picture: number | undefined;
  private ready = false;
  private busy = false;
  private ended = false;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    extension: vscode.Uri,
    readonly state: SessionState,
    private readonly sessions: Sessions,
    closed: () => void,
  ) {
    const options = { enableScripts: true, localResourceRoots: [vscode.Uri.joinPath(extension, "dist")], retainContextWhenHidden: true };
    this.panel = vscode.window.createWebviewPanel("apicscope.screen", `Screen: ${state.session.name}`, vscode.ViewColumn.Beside, options);
    const { webview } = this.panel;
    webview.onDidReceiveMessage((message: FromScreen) => this.receive(message));
    this.panel.onDidChangeViewState(() => this.update());
    this.panel.onDidDispose(() => {
      this.ended = true;
      clearTimeout(this.timer);
      closed();
    });
    const file = (name: string): string => webview.asWebviewUri(vscode.Uri.joinPath(extension, "dist", name)).toString();
    webview.html = screenHtml({
      script: file("screen.js"),
      style: file("screen-style.css"),
      source: webview.cspSource,
      nonce: randomBytes(16).toString("base64url"),
    });
  }

  show(): void {
    this.panel.reveal();
  }

  close(): void {
    this.panel.dispose();
  }

  /** Something has happened in the session: the screen may show something else. */
  update(): void {
    if (this.busy || this.ended || !this.ready || !this.panel.visible) return;
    clearTimeout(this.timer);
    void this.read();
  }

  end(): void {
    this.ended = true;
    clearTimeout(this.timer);
    this.panel.title = `Screen: ${this.state.session.name} (ended)`;
    this.post({ kind: "status", text: "The session has ended; this is its last picture.", live: false });
  }

  private post(message: ToScreen): void {
    void this.panel.webview.postMessage(message);
  }

  private async read(): Promise<void> {
    this.busy = true;
    try {
      const args = this.picture === undefined ? {} : { since: this.picture };
      const picture = (await this.sessions.ask(this.state.session, screenRequest, args)) as ScreenResponse;
      this.picture = picture.picture;
      this.post({ kind: "picture", picture });
      const size = `${picture.width} x ${picture.height}${picture.text === undefined ? "" : ", text"}`;
      if (picture.rows > 0 || !picture.running)
        this.post({ kind: "status", text: `${size}. ${picture.running ? "Running." : "Stopped."}`, live: true });
    } catch {
      // The session is about to end.
      this.busy = false;
    }
  }

  private receive(message: FromScreen): void {
    switch (message.kind) {
      case "ready":
        this.ready = true;
        return this.update();
      case "drawn":
        this.busy = false;
        if (this.state.running && !this.ended) this.timer = setTimeout(() => this.update(), frameMilliseconds);
        return;
      case "keys":
        if (this.ended) return;
        this.sessions.ask(this.state.session, keyInputRequest, { keys: message.keys }).then(
          () => this.update(),
          // Keys that a PC keyboard does not have do nothing.
          () => undefined,
        );
    }
  }
}

export class Screens implements vscode.Disposable {
  private readonly panels = new Map<string, ScreenPanel>();
  private readonly disposables: vscode.Disposable[];

  constructor(
    private readonly extension: vscode.Uri,
    private readonly sessions: Sessions,
  ) {
    this.disposables = [
      sessions.onDidChange(() => {
        for (const panel of this.panels.values()) panel.update();
      }),
      vscode.debug.onDidTerminateDebugSession(({ id }) => this.panels.get(id)?.end()),
    ];
  }

  /** Opens the screen of the session that is looked at. */
  show(): void {
    const { shown } = this.sessions;
    if (shown === undefined) {
      void vscode.window.showInformationMessage("No guest is being debugged: start a session first.");
      return;
    }
    const { id } = shown.session;
    const known = this.panels.get(id);
    if (known !== undefined) return known.show();
    this.panels.set(id, new ScreenPanel(this.extension, shown, this.sessions, () => this.panels.delete(id)));
  }

  dispose(): void {
    for (const panel of this.panels.values()) panel.close();
    for (const disposable of this.disposables) disposable.dispose();
  }
}
