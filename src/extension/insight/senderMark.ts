// While the guest stands at an event of an interrupt, the line that sent it is marked in the gutter.
import * as vscode from "vscode";
import type { TimelinePlace } from "../../adapter/timelineProtocol";
import { describeRow } from "../../webview/timeline/words";
import type { Sessions } from "../sessions";
import type { Books, SessionBook } from "../timeline/books";
import { pathKey } from "./codeStatistics";

/** How often the book is looked at for the record of the stop, and after how many milliseconds anew: its page may be under way. */
const attempts = 20;
const againMilliseconds = 100;

export class SenderMark implements vscode.Disposable {
  private readonly decoration: vscode.TextEditorDecorationType;
  private readonly disposables: vscode.Disposable[];
  /** Whether there is a mark in some editor. */
  private drawn = false;
  private current: { readonly stop: string; place?: TimelinePlace; text?: string } | undefined;

  constructor(
    extension: vscode.Uri,
    private readonly sessions: Sessions,
    private readonly books: Books,
  ) {
    // A picture has its own colours, and no one of them stands out from light and dark alike.
    const icon = (theme: string): { readonly gutterIconPath: vscode.Uri } => ({
      gutterIconPath: vscode.Uri.joinPath(extension, "media", `sender-${theme}.svg`),
    });
    this.decoration = vscode.window.createTextEditorDecorationType({
      light: icon("light"),
      dark: icon("dark"),
      gutterIconSize: "contain",
      overviewRulerColor: new vscode.ThemeColor("charts.blue"),
      overviewRulerLane: vscode.OverviewRulerLane.Center,
    });
    this.disposables = [
      this.decoration,
      sessions.onDidChange(() => this.follow()),
      sessions.onDidChangeFocus(() => this.follow()),
      vscode.window.onDidChangeVisibleTextEditors(() => this.draw()),
    ];
  }

  /** Where the interrupt of the present stop was sent. */
  get place(): TimelinePlace | undefined {
    return this.current?.place;
  }

  dispose(): void {
    for (const disposable of this.disposables) disposable.dispose();
  }

  private follow(): void {
    const { shown } = this.sessions;
    const state = shown?.history.state;
    const stop = shown === undefined || shown.running || state === undefined ? undefined : `${shown.session.id} ${state.stopSequence}`;
    if (stop === this.current?.stop) return;
    this.current = stop === undefined ? undefined : { stop };
    this.draw();
    const book = this.books.shown;
    const thread = this.sessions.focusedThread ?? state?.cpus[0]?.threadId;
    // Only a stop on an event has a record.
    const isEvent = shown?.stopReason === "exception";
    if (stop !== undefined && isEvent && book !== undefined && thread !== undefined) void this.find(stop, book, thread);
  }

  private async find(stop: string, book: SessionBook, threadId: number): Promise<void> {
    let record: number | undefined;
    try {
      const info = (await this.sessions.ask(book.session, "exceptionInfo", { threadId })) as { details?: { record?: { id?: number } } };
      record = info.details?.record?.id;
    } catch {
      // It has ended, or runs again.
      return;
    }
    if (record === undefined) return;
    for (let attempt = 0; attempt < attempts && this.current?.stop === stop; attempt++) {
      const row = book.store.find(record);
      if (row >= 0) {
        const place = book.store.place(row, "sentAt");
        if (place !== undefined) this.current = { stop, place, text: `Sent here: ${describeRow(book.store, row)} (record ${record})` };
        this.draw();
        return;
      }
      book.update();
      await new Promise((resolve) => setTimeout(resolve, againMilliseconds));
    }
  }

  private draw(): void {
    const { place, text } = this.current ?? {};
    if (place === undefined && !this.drawn) return;
    this.drawn = place !== undefined;
    for (const editor of vscode.window.visibleTextEditors) {
      const here = place?.file !== undefined && place.line !== undefined && pathKey(editor.document.uri.fsPath) === pathKey(place.file);
      const line = Math.min((place?.line ?? 1) - 1, editor.document.lineCount - 1);
      const range = new vscode.Range(line, 0, line, 0);
      editor.setDecorations(this.decoration, here ? [{ range, hoverMessage: text ?? "" }] : []);
    }
  }
}
