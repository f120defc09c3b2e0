// All timelines of the window: which panel shows which session.
import * as vscode from "vscode";
import type { TimelinePlace } from "../../adapter/timelineProtocol";
import type { TimelineHead } from "../../webview/timeline/messages";
import type { SessionState, Sessions } from "../sessions";
import { TimelineArchive } from "./archive";
import type { Books } from "./books";
import { TimelinePanel, timelineViewType, webviewOptions, type PanelHost } from "./panel";

/** Opens places in code; given by whoever can show both sources and addresses. */
export type OpenPlace = (place: TimelinePlace, session: vscode.DebugSession | undefined) => Promise<void>;

export class Timelines implements vscode.Disposable, vscode.WebviewPanelSerializer<Partial<TimelineHead>> {
  /** Ids of all sessions so far: only a new one takes over what another left. */
  private readonly met = new Set<string>();
  private readonly panels = new Set<TimelinePanel>();
  private readonly disposables: vscode.Disposable[];
  private readonly archive: TimelineArchive;
  private readonly host: PanelHost;

  constructor(
    private readonly extension: vscode.Uri,
    storage: vscode.Uri | undefined,
    private readonly sessions: Sessions,
    private readonly books: Books,
    openPlace: OpenPlace,
  ) {
    this.archive = new TimelineArchive(storage);
    this.host = { archive: this.archive, openPlace, closed: (panel) => void this.panels.delete(panel) };
    void this.archive.tidy();
    this.disposables = [
      vscode.window.registerWebviewPanelSerializer(timelineViewType, this),
      sessions.onDidChange(() => this.follow()),
      vscode.debug.onDidTerminateDebugSession(({ id }) => this.panelOf(id)?.detach()),
    ];
  }

  get all(): readonly TimelinePanel[] {
    return [...this.panels];
  }

  /** Opens the timeline of a session (the shown one unless another is given), or one that waits for a session. */
  show(shown: SessionState | undefined = this.sessions.shown): TimelinePanel {
    const known = shown === undefined ? this.newest() : (this.panelOf(shown.session.id) ?? this.waiting());
    if (known !== undefined) {
      known.panel.reveal();
      if (shown !== undefined && known.sessionId !== shown.session.id) known.attach(this.books.of(shown.session));
      return known;
    }
    const column = vscode.window.activeTextEditor === undefined ? vscode.ViewColumn.Active : vscode.ViewColumn.Beside;
    const made = this.add(vscode.window.createWebviewPanel(timelineViewType, "Interrupt Timeline", column, webviewOptions(this.extension)));
    if (shown !== undefined) made.attach(this.books.of(shown.session));
    return made;
  }

  async deserializeWebviewPanel(panel: vscode.WebviewPanel, state: Partial<TimelineHead> | undefined): Promise<void> {
    panel.webview.options = webviewOptions(this.extension);
    await this.add(panel, state ?? {}).restore();
  }

  /** Writes everything that is shown to files: to be awaited before the window goes. */
  async keep(): Promise<void> {
    await Promise.all(this.all.map((panel) => panel.archiveNow()));
  }

  dispose(): void {
    for (const disposable of this.disposables) disposable.dispose();
  }

  private add(panel: vscode.WebviewPanel, restored?: Partial<TimelineHead>): TimelinePanel {
    const made = new TimelinePanel(panel, this.extension, this.host, restored);
    this.panels.add(made);
    return made;
  }

  private panelOf(session: string): TimelinePanel | undefined {
    return this.all.find((panel) => panel.sessionId === session);
  }

  /** A panel that has shown nothing yet. */
  private waiting(): TimelinePanel | undefined {
    return this.all.find((panel) => panel.sessionName === "");
  }

  private newest(): TimelinePanel | undefined {
    return this.all.at(-1);
  }

  /** A panel that a new session takes over: one that an earlier session of the same name left, or one that waits. */
  private free({ session }: SessionState): TimelinePanel | undefined {
    return this.all.find((panel) => panel.ended && panel.sessionName === session.name) ?? this.waiting();
  }

  /** New sessions take over panels that wait for them. */
  private follow(): void {
    for (const state of this.sessions.all) {
      const { id } = state.session;
      const isNew = !this.met.has(id);
      this.met.add(id);
      if (isNew && this.panelOf(id) === undefined) this.free(state)?.attach(this.books.of(state.session));
    }
  }
}
