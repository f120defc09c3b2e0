// One timeline in the editor area: a webview, the session that it shows, and what it has shown so far.
import { randomBytes } from "node:crypto";
import * as vscode from "vscode";
import type { TimelinePage, TimelinePlace } from "../../adapter/timelineProtocol";
import { timelineHtml } from "../../webview/timeline/html";
import type { FromTimeline, TimelineHead, ToTimeline } from "../../webview/timeline/messages";
import { TimelineStore } from "../../webview/timeline/store";
import type { TimelineArchive } from "./archive";
import type { SessionBook } from "./books";

export const timelineViewType = "apicscope.timeline";

/** Quiet time before what was shown is written to its file: VS Code may not give its extension host the time to do it when a window is loaded anew. */
const archiveMilliseconds = 200;
/** How often a panel that was brought back looks for its file, with milliseconds between: as long as VS Code gives an extension host to end, and more. */
const restoreLooks = 40;
const restorePause = 500;

export interface PanelHost {
  readonly archive: TimelineArchive;
  openPlace(place: TimelinePlace, session: vscode.DebugSession | undefined): Promise<void>;
  closed(panel: TimelinePanel): void;
}

/** Where a webview finds its files. */
export function webviewOptions(extension: vscode.Uri): vscode.WebviewOptions & vscode.WebviewPanelOptions {
  return {
    enableScripts: true,
    enableCommandUris: false,
    localResourceRoots: [vscode.Uri.joinPath(extension, "dist")],
    retainContextWhenHidden: true,
  };
}

export class TimelinePanel {
  readonly key: string;
  /** What the webview has: it is read again when the webview is made anew, and written to a file. */
  private shownStore = new TimelineStore();
  private head: TimelineHead;
  private book: SessionBook | undefined;
  private watching: vscode.Disposable | undefined;
  private vectors = "";
  private ready = false;
  private disposed = false;
  private archiveTimer: NodeJS.Timeout | undefined;
  private changedSinceArchived = false;
  /** The last writing to the file, which may be under way. */
  private writing: Promise<void> = Promise.resolve();

  constructor(
    readonly panel: vscode.WebviewPanel,
    extension: vscode.Uri,
    private readonly host: PanelHost,
    restored?: Partial<TimelineHead>,
  ) {
    this.key = restored?.key ?? randomBytes(8).toString("hex");
    this.head = { session: restored?.session ?? "", key: this.key, ended: undefined };
    const { webview } = panel;
    const file = (name: string): string => webview.asWebviewUri(vscode.Uri.joinPath(extension, "dist", name)).toString();
    // A tab's icon is a picture, which has its own colours.
    const icon = (theme: string): vscode.Uri => vscode.Uri.joinPath(extension, "media", `timeline-${theme}.svg`);
    panel.iconPath = { light: icon("light"), dark: icon("dark") };
    webview.onDidReceiveMessage((message: FromTimeline) => void this.receive(message));
    panel.onDidDispose(() => {
      this.disposed = true;
      clearTimeout(this.archiveTimer);
      this.watching?.dispose();
      void this.writing.finally(() => host.archive.remove(this.key));
      host.closed(this);
    });
    webview.html = timelineHtml({
      script: file("timeline.js"),
      style: file("timeline-style.css"),
      source: webview.cspSource,
      nonce: randomBytes(16).toString("base64url"),
    });
  }

  get sessionId(): string | undefined {
    return this.book?.session.id;
  }

  get store(): TimelineStore {
    return this.shownStore;
  }

  /** Name of the session it shows or showed; "" for none yet. */
  get sessionName(): string {
    return this.head.session;
  }

  get ended(): boolean {
    return this.book === undefined;
  }

  /** Shows a session from its beginning, in place of whatever was there. */
  attach(book: SessionBook): void {
    this.watching?.dispose();
    this.book = book;
    this.shownStore = book.store;
    this.setHead({ session: book.session.name, key: this.key, ended: undefined });
    this.post({ kind: "page", page: this.wholePage() });
    this.changedSinceArchived = true;
    if (!book.store.running) this.archiveSoon();
    this.watching = book.watch((page) => this.hear(page));
  }

  /** Shows only these vectors, as a person would type them. */
  filter(vectors: string): void {
    this.vectors = vectors;
    this.post({ kind: "filter", vectors });
  }

  /** The session has ended: what is there stays. */
  detach(): void {
    this.watching?.dispose();
    this.book?.close();
    this.book = undefined;
    this.setHead({ ...this.head, ended: "The session has ended; this is what it left." });
    void this.archiveNow();
  }

  /** Fills a panel that VS Code brought back after a reload. */
  async restore(): Promise<void> {
    if (await this.fill()) return;
    this.setHead({ ...this.head, ended: "The window was reloaded, and nothing was kept." });
    void this.lookAgain();
  }

  /** The extension host of the window before may still be writing the file: it ends while this one starts. */
  private async lookAgain(): Promise<void> {
    for (let look = 0; look < restoreLooks; look++) {
      await new Promise((resolve) => setTimeout(resolve, restorePause));
      if (await this.fill()) return;
    }
  }

  /** Shows what the panel's file has. True: there is nothing more to do. */
  private async fill(): Promise<boolean> {
    const page = await this.host.archive.read(this.key);
    if (this.book !== undefined || this.disposed) return true;
    if (page === undefined) return false;
    this.store.take(page);
    this.setHead({ ...this.head, ended: "The window was reloaded, which ended the session; this is what it left." });
    this.post({ kind: "page", page });
    return true;
  }

  /** Writes what is shown to its file, if that is not the case already; resolves when the file has it, whoever wrote it. */
  async archiveNow(): Promise<void> {
    clearTimeout(this.archiveTimer);
    this.archiveTimer = undefined;
    if (this.changedSinceArchived && !this.disposed) {
      this.changedSinceArchived = false;
      const write = (): Promise<void> => this.host.archive.write(this.key, this.store.toPage());
      this.writing = this.writing.then(write, write);
    }
    await this.writing;
  }

  /** Shows a record. */
  reveal(record: number): void {
    this.post({ kind: "reveal", record });
  }

  private wholePage(): TimelinePage {
    return { ...this.store.toPage(), running: this.store.running };
  }

  private hear(page: TimelinePage): void {
    if (page.rows.length > 0 || page.restarted) this.changedSinceArchived = true;
    this.post({ kind: "page", page });
    if (!page.running) this.archiveSoon();
  }

  private archiveSoon(): void {
    if (this.changedSinceArchived) this.archiveTimer ??= setTimeout(() => void this.archiveNow(), archiveMilliseconds);
  }

  private setHead(head: TimelineHead): void {
    this.head = head;
    const name = head.session === "" ? "" : `: ${head.session}`;
    this.panel.title = `Interrupt Timeline${name}${head.ended === undefined ? "" : " (ended)"}`;
    this.post({ kind: "head", head });
  }

  private post(message: ToTimeline): void {
    if (this.ready && !this.disposed) void this.panel.webview.postMessage(message);
  }

  private async receive(message: FromTimeline): Promise<void> {
    switch (message.kind) {
      case "ready":
        // A webview that VS Code has made anew has nothing.
        this.ready = true;
        this.post({ kind: "head", head: this.head });
        if (this.store.rows > 0) this.post({ kind: "page", page: this.wholePage() });
        if (this.vectors !== "") this.post({ kind: "filter", vectors: this.vectors });
        return;
      case "openPlace":
        return this.host.openPlace(message.place, this.book?.session);
      case "save":
        return message.format === "png"
          ? this.save("png", { Pictures: ["png"] }, Buffer.from(message.base64, "base64"))
          : this.save("json", { "Perfetto traces": ["json"] }, Buffer.from(message.text, "utf8"));
      case "problem":
        return void vscode.window.showWarningMessage(message.text);
    }
  }

  private async save(extension: string, filters: Record<string, string[]>, bytes: Uint8Array): Promise<void> {
    const name = (this.head.session === "" ? "interrupts" : this.head.session).replace(/[^\w.-]+/g, "-");
    const folder = vscode.workspace.workspaceFolders?.[0]?.uri;
    const defaultUri = folder === undefined ? vscode.Uri.file(`${name}.${extension}`) : vscode.Uri.joinPath(folder, `${name}.${extension}`);
    const file = await vscode.window.showSaveDialog({ title: "Export Interrupt Timeline", defaultUri, filters });
    if (file !== undefined) await vscode.workspace.fs.writeFile(file, bytes);
  }
}
