// What guests do wrong with their interrupts, in the Problems panel, at the line that did it.
import { existsSync } from "node:fs";
import { isAbsolute } from "node:path";
import * as vscode from "vscode";
import { lintsRequest, type LintView, type LintsResponse } from "../../adapter/insightProtocol";
import type { Sessions } from "../sessions";

/** Quiet time before lints are read: steps follow each other quickly. */
const settleMilliseconds = 150;

/** One lint as a problem; `lines` of its file are not known here, so that the whole line is marked. */
export function problemOf({ severity, kind, text, advice, count, place }: LintView): vscode.Diagnostic {
  const line = Math.max((place?.line ?? 1) - 1, 0);
  const times = count > 1 ? ` (${count} times)` : "";
  const where = place?.symbol === undefined ? "" : ` In ${place.symbol}.`;
  const problem = new vscode.Diagnostic(
    new vscode.Range(line, 0, line, Number.MAX_SAFE_INTEGER),
    `${text}${times}.${where} ${advice}`.replace("..", "."),
    severity === "note" ? vscode.DiagnosticSeverity.Information : vscode.DiagnosticSeverity.Warning,
  );
  problem.source = "APICScope";
  problem.code = kind;
  return problem;
}

export class LintProblems implements vscode.Disposable {
  private readonly collection = vscode.languages.createDiagnosticCollection("apicscope");
  private readonly disposables: vscode.Disposable[];
  /** Problems of each session, by file; those of ended sessions stay until the next one of the same name begins. */
  private readonly bySession = new Map<
    string,
    { readonly name: string; readonly files: ReadonlyMap<string, vscode.Diagnostic[]>; live: boolean }
  >();
  private timer: NodeJS.Timeout | undefined;
  private shown = "[]";

  constructor(private readonly sessions: Sessions) {
    this.disposables = [
      this.collection,
      sessions.onDidRead(() => this.readSoon()),
      vscode.debug.onDidStartDebugSession((session) => this.begin(session)),
      vscode.debug.onDidTerminateDebugSession(({ id }) => {
        const known = this.bySession.get(id);
        if (known !== undefined) known.live = false;
      }),
    ];
  }

  dispose(): void {
    clearTimeout(this.timer);
    for (const disposable of this.disposables) disposable.dispose();
  }

  private begin({ name }: vscode.DebugSession): void {
    for (const [id, known] of this.bySession) if (!known.live && known.name === name) this.bySession.delete(id);
    this.show();
  }

  private readSoon(): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      for (const { session, running } of this.sessions.all) if (!running) void this.read(session);
    }, settleMilliseconds);
  }

  private async read(session: vscode.DebugSession): Promise<void> {
    let answer: LintsResponse;
    try {
      answer = (await this.sessions.ask(session, lintsRequest)) as LintsResponse;
    } catch {
      // The session has ended, or its adapter knows no lints.
      return;
    }
    const files = new Map<string, vscode.Diagnostic[]>();
    for (const lint of answer.lints) {
      const file = lint.place?.file;
      if (file === undefined || lint.place?.line === undefined || !isAbsolute(file) || !existsSync(file)) continue;
      files.set(file, [...(files.get(file) ?? []), problemOf(lint)]);
    }
    this.bySession.set(session.id, { name: session.name, files, live: true });
    this.show();
  }

  /** Tells VS Code the problems, if they are not those that it has. */
  private show(): void {
    const all = new Map<string, vscode.Diagnostic[]>();
    for (const { files } of this.bySession.values())
      for (const [file, problems] of files) all.set(file, [...(all.get(file) ?? []), ...problems]);
    const text = JSON.stringify([...all]);
    if (text === this.shown) return;
    this.shown = text;
    this.collection.clear();
    this.collection.set([...all].map(([file, problems]) => [vscode.Uri.file(file), problems]));
  }
}
