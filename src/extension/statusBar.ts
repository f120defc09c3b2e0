// The status bar entry of the shown session: where it is paused, or how fast it runs, and the virtual time.
import * as vscode from "vscode";
import { progressRequest, type ProgressResponse } from "../adapter/protocol";
import { pausedText, runningText, type Progress } from "./progressText";
import type { SessionState, Sessions } from "./sessions";

/** Between two looks at a guest that runs, and before the first: a step is over by then. */
const lookMilliseconds = 1000;
const firstLookMilliseconds = 300;

export class StatusBar implements vscode.Disposable {
  private readonly item: vscode.StatusBarItem;
  private readonly disposables: vscode.Disposable[];
  private timer: NodeJS.Timeout | undefined;
  /** The tooltip that is shown, which has everything that the text has; undefined while the entry is hidden. */
  private shown: string | undefined;
  private last: { readonly session: string; readonly at: number; readonly progress: Progress } | undefined;

  constructor(private readonly sessions: Sessions) {
    this.item = vscode.window.createStatusBarItem("apicscope.status", vscode.StatusBarAlignment.Left, 40);
    this.item.name = "APICScope";
    this.item.command = "apicscope.interrupts.focus";
    this.disposables = [this.item, sessions.onDidChange(() => this.update()), sessions.onDidChangeFocus(() => this.update())];
    this.update();
  }

  /** What the entry says; undefined while it is hidden. */
  get text(): string | undefined {
    return this.sessions.shown === undefined ? undefined : this.item.text;
  }

  dispose(): void {
    clearTimeout(this.timer);
    for (const disposable of this.disposables) disposable.dispose();
  }

  private update(): void {
    const { shown } = this.sessions;
    if (shown === undefined) {
      this.stopLooking();
      this.item.hide();
      this.shown = undefined;
      return;
    }
    if (shown.running) {
      this.timer ??= setTimeout(() => void this.look(shown), firstLookMilliseconds);
    } else {
      this.stopLooking();
      const { state } = shown.history;
      if (state === undefined) return;
      const thread = this.sessions.focusedThread;
      this.show(pausedText(state, thread === undefined ? undefined : thread - 1));
    }
  }

  private stopLooking(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.last = undefined;
  }

  /** Asks how far a running guest is, now and again until it stops. */
  private async look(shown: SessionState): Promise<void> {
    const { session } = shown;
    const { timer } = this;
    let progress: Progress | undefined;
    try {
      const { instruction, time } = (await this.sessions.ask(session, progressRequest)) as ProgressResponse;
      progress = { instructions: Number(instruction), nanoseconds: Number(time) };
    } catch {
      // It has ended, or is about to.
    }
    // It stopped, and perhaps runs again by now: then another look is under way.
    if (this.timer !== timer) return;
    if (progress !== undefined) {
      const { last } = this;
      const before = last?.session === session.id ? last : undefined;
      const now = performance.now();
      this.show(runningText(progress, before === undefined ? undefined : { progress: before.progress, milliseconds: now - before.at }));
      this.last = { session: session.id, at: now, progress };
    }
    this.timer = setTimeout(() => void this.look(shown), lookMilliseconds);
  }

  private show({ text, tooltip, label }: { text: string; tooltip: string; label: string }): void {
    if (this.shown === tooltip) return;
    this.shown = tooltip;
    this.item.text = text;
    this.item.tooltip = tooltip;
    this.item.accessibilityInformation = { label };
    this.item.show();
  }
}
