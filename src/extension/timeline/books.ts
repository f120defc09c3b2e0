// The interrupts of every session, read once for all who show them: timelines, and statistics beside the code.
import * as vscode from "vscode";
import type { TimelinePage } from "../../adapter/timelineProtocol";
import { TimelineStore } from "../../webview/timeline/store";
import type { SessionState, Sessions } from "../sessions";
import { TimelineFeed } from "./feed";

/** The interrupts of one session. Stays readable when the session has ended. */
export class SessionBook {
  readonly store = new TimelineStore();
  /** What the session did when it was last read. */
  private known: object | undefined;
  private wasRunning: boolean | undefined;
  private readonly listeners = new Set<(page: TimelinePage) => void>();
  private readonly feed: TimelineFeed;

  /** `ask` asks the session's adapter; `onPage` is called after every page, watched or not. */
  constructor(
    readonly session: vscode.DebugSession,
    ask: (command: string, args: object) => Promise<unknown>,
    onPage: () => void,
  ) {
    this.feed = new TimelineFeed({
      request: ask,
      page: (page) => {
        this.store.take(page);
        for (const listener of this.listeners) listener(page);
        onPage();
      },
      // While nobody looks, the stops are enough.
      isWatched: () => this.listeners.size > 0,
    });
  }

  /** Hears of every page from now on; meanwhile a running guest is read again and again. Returns what ends that. */
  watch(listener: (page: TimelinePage) => void): vscode.Disposable {
    this.listeners.add(listener);
    this.update();
    return new vscode.Disposable(() => this.listeners.delete(listener));
  }

  /** Reads what is new. */
  update(): void {
    this.feed.update();
  }

  /** Something has happened in the session: reads what is new if that can have brought any. */
  follow({ running, history: { state } }: SessionState): void {
    if (running === this.wasRunning && state === this.known) return;
    this.wasRunning = running;
    this.known = state;
    this.update();
  }

  /** The session is over. */
  close(): void {
    this.feed.stop();
    this.store.running = false;
  }
}

/** The books of all sessions that run. */
export class Books implements vscode.Disposable {
  private readonly books = new Map<string, SessionBook>();
  private readonly changed = new vscode.EventEmitter<SessionBook>();
  private readonly disposables: vscode.Disposable[];

  /** A book has got a page. */
  readonly onDidChange = this.changed.event;

  constructor(private readonly sessions: Sessions) {
    this.disposables = [
      this.changed,
      sessions.onDidChange(() => this.follow()),
      vscode.debug.onDidTerminateDebugSession(({ id }) => this.close(id)),
    ];
  }

  get(session: string): SessionBook | undefined {
    return this.books.get(session);
  }

  /** The book of the session that is looked at. */
  get shown(): SessionBook | undefined {
    const { shown } = this.sessions;
    return shown === undefined ? undefined : this.books.get(shown.session.id);
  }

  /** The book of a session that runs, made if need be. */
  of(session: vscode.DebugSession): SessionBook {
    let book = this.books.get(session.id);
    if (book === undefined) {
      const made = new SessionBook(
        session,
        (command, args) => this.sessions.ask(session, command, args),
        () => this.changed.fire(made),
      );
      book = made;
      this.books.set(session.id, book);
    }
    return book;
  }

  dispose(): void {
    for (const book of this.books.values()) book.close();
    for (const disposable of this.disposables) disposable.dispose();
  }

  private follow(): void {
    for (const state of this.sessions.all) this.of(state.session).follow(state);
  }

  private close(session: string): void {
    this.books.get(session)?.close();
    this.books.delete(session);
  }
}
