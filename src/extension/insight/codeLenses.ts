// Statistics above the lines that send, handle and end interrupts.
import * as vscode from "vscode";
import type { Books, SessionBook } from "../timeline/books";
import { pathKey, statisticsByFile, statisticsText, type LineStatistics } from "./codeStatistics";

/** Time before the lenses are counted anew: a burst of pages makes one count, and a running guest is not followed closely. */
const settleMilliseconds = { stopped: 200, running: 2_000 };

export class StatisticsLenses implements vscode.CodeLensProvider, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<void>();
  private readonly disposables: vscode.Disposable[];
  private files: ReadonlyMap<string, readonly LineStatistics[]> = new Map();
  private timer: NodeJS.Timeout | undefined;
  /** What was counted last. */
  private counted: { readonly book: SessionBook; readonly revision: number } | undefined;

  readonly onDidChangeCodeLenses = this.changed.event;

  constructor(
    selector: vscode.DocumentSelector,
    private readonly books: Books,
  ) {
    this.disposables = [
      this.changed,
      vscode.languages.registerCodeLensProvider(selector, this),
      books.onDidChange(() => this.countSoon()),
      vscode.debug.onDidChangeActiveDebugSession(() => this.countSoon()),
      vscode.debug.onDidStartDebugSession(() => this.countSoon()),
      vscode.workspace.onDidChangeConfiguration((event) => {
        if (event.affectsConfiguration("apicscope.codeLens")) this.changed.fire();
      }),
    ];
  }

  provideCodeLenses(document: vscode.TextDocument): vscode.CodeLens[] {
    if (document.uri.scheme !== "file" || !vscode.workspace.getConfiguration("apicscope", document).get<boolean>("codeLens", true))
      return [];
    return (this.files.get(pathKey(document.uri.fsPath)) ?? [])
      .filter(({ line }) => line <= document.lineCount)
      .map((line) => {
        const range = new vscode.Range(line.line - 1, 0, line.line - 1, 0);
        const vectors = line.vectors.map((vector) => `0x${vector.toString(16)}`).join(", ");
        const tooltip = "Show these interrupts on the timeline";
        return new vscode.CodeLens(range, {
          title: statisticsText(line),
          command: "apicscope.showTimeline",
          arguments: [{ vectors }],
          tooltip,
        });
      });
  }

  dispose(): void {
    clearTimeout(this.timer);
    for (const disposable of this.disposables) disposable.dispose();
  }

  private countSoon(): void {
    const wait = this.books.shown?.store.running === true ? settleMilliseconds.running : settleMilliseconds.stopped;
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.count();
    }, wait);
  }

  /** Counts anew if there is anything new. What an ended session left stays until another one begins. */
  private count(): void {
    const { shown: book } = this.books;
    if (book === undefined) return;
    const { store } = book;
    const { revision } = store;
    if (this.counted?.book === book && this.counted.revision === revision) return;
    this.counted = { book, revision };
    this.files = statisticsByFile(store);
    this.changed.fire();
  }
}
