// The 'Interrupts' view: renders the nodes of interruptsModel.ts, marks what changed, and follows the focused CPU.
import { isDeepStrictEqual } from "node:util";
import * as vscode from "vscode";
import type { InterruptState } from "../adapter/protocol";
import type { InterruptBreakpoints } from "./interruptBreakpoints";
import { breakpointsNode } from "./breakpointRows";
import { cpuNodeId } from "./cpuRows";
import { flatten, type InterruptNode } from "./interruptNodes";
import { machineNodes } from "./interruptsModel";
import type { Sessions } from "./sessions";
import { gateNodes } from "./tableRows";

export const viewId = "apicscope.interrupts";
const changedScheme = "apicscope-changed";
/** How long a run must last before the view says that it shows the last stop: stepping must not flicker. */
const runningNoteMilliseconds = 700;
/** A stop brings several updates (state, focus, hit counts): what follows the state is drawn once for all. A new state is drawn at once. */
const settleMilliseconds = 25;
/** VS Code refuses to reveal a row until it has drawn it: how often it is asked, and after how many milliseconds anew. */
const revealAttempts = 12;
const revealAgainMilliseconds = 250;

export class InterruptsView implements vscode.TreeDataProvider<InterruptNode>, vscode.FileDecorationProvider, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<undefined>();
  private readonly decorationsChanged = new vscode.EventEmitter<undefined>();
  private readonly view: vscode.TreeView<InterruptNode>;
  private readonly disposables: vscode.Disposable[];
  private nodes: InterruptNode[] = [];
  private drawn: InterruptState | undefined;
  /** Rows that are open, as VS Code told. */
  private readonly opened = new Set<string>();
  private readonly contexts = new Map<string, number>();
  /** How often the view was told to read its rows anew. */
  draws = 0;
  private readonly parents = new Map<string, InterruptNode>();
  private revealed: { readonly session: string; readonly thread: number; attempts: number; done: boolean } | undefined;
  private revealTimer: NodeJS.Timeout | undefined;
  private drawTimer: NodeJS.Timeout | undefined;
  private runningNote: NodeJS.Timeout | undefined;

  readonly onDidChangeTreeData = this.changed.event;
  readonly onDidChangeFileDecorations = this.decorationsChanged.event;

  constructor(
    private readonly breakpoints: InterruptBreakpoints,
    private readonly sessions: Sessions,
  ) {
    this.build();
    this.view = vscode.window.createTreeView(viewId, { treeDataProvider: this, manageCheckboxStateManually: true });
    this.disposables = [
      this.changed,
      this.decorationsChanged,
      this.view,
      vscode.window.registerFileDecorationProvider(this),
      this.view.onDidChangeCheckboxState((event) => void this.setEnabled(event.items)),
      this.view.onDidExpandElement(({ element }) => void this.opened.add(element.id)),
      this.view.onDidCollapseElement(({ element }) => {
        this.opened.delete(element.id);
        if (element.table !== undefined) this.sessions.closeTable(element.id);
      }),
      this.view.onDidChangeVisibility(() => this.revealFocusedCpu()),
      breakpoints.onDidChange(() => this.update()),
      sessions.onDidChange(() => this.update()),
      sessions.onDidChangeFocus(() => this.update()),
    ];
    this.update();
  }

  /** Whether the user can see the view. */
  get visible(): boolean {
    return this.view.visible;
  }

  /** DAP thread id of the CPU whose row was last selected and opened because it got the focus. */
  get revealedThread(): number | undefined {
    return this.revealed?.done === true ? this.revealed.thread : undefined;
  }

  getTreeItem(node: InterruptNode): vscode.TreeItem {
    const collapsible = node.open === true ? vscode.TreeItemCollapsibleState.Expanded : vscode.TreeItemCollapsibleState.Collapsed;
    const isLeaf = node.children.length === 0 && node.table === undefined;
    const item = new vscode.TreeItem(node.label, isLeaf ? vscode.TreeItemCollapsibleState.None : collapsible);
    item.id = node.id;
    item.description = node.description;
    item.tooltip = node.tooltip;
    item.contextValue = contextValue(node);
    if (node.icon !== undefined) item.iconPath = new vscode.ThemeIcon(node.icon);
    const words = [node.label, node.description, node.changed ? "changed" : ""].filter((word) => word !== "");
    item.accessibilityInformation = { label: words.join(", ") };
    if (node.changed) item.resourceUri = vscode.Uri.from({ scheme: changedScheme, path: `/${node.id}` });
    if (node.checked !== undefined) {
      const { Checked, Unchecked } = vscode.TreeItemCheckboxState;
      item.checkboxState = {
        state: node.checked ? Checked : Unchecked,
        tooltip: node.checked ? "Disable this breakpoint" : "Enable this breakpoint",
        accessibilityInformation: { label: `${words.join(", ")}, ${node.checked ? "enabled" : "disabled"}`, role: "checkbox" },
      };
    }
    return item;
  }

  getChildren(node?: InterruptNode): InterruptNode[] | Promise<InterruptNode[]> {
    if (node?.table !== undefined) return this.tableRows(node, node.table);
    return [...(node === undefined ? this.nodes : node.children)];
  }

  /** The gates of an interrupt table, which are read when its row is opened. */
  private async tableRows(node: InterruptNode, threadId: number): Promise<InterruptNode[]> {
    const { shown } = this.sessions;
    if (shown === undefined) return [];
    const { history } = shown;
    const gates = await this.sessions.gates(shown, node.id, threadId);
    const rows = gateNodes(node.id, threadId, gates, history.gatesBefore(node.id));
    this.setParents(rows, node);
    return rows;
  }

  getParent(node: InterruptNode): InterruptNode | undefined {
    return this.parents.get(node.id);
  }

  /** Values that differ from the last stop have the colour that the Variables view gives them, and a mark. */
  provideFileDecoration(uri: vscode.Uri): vscode.FileDecoration | undefined {
    if (uri.scheme !== changedScheme) return undefined;
    return new vscode.FileDecoration("●", "Changed since the last stop", new vscode.ThemeColor("apicscope.changedForeground"));
  }

  dispose(): void {
    for (const timer of [this.runningNote, this.drawTimer, this.revealTimer]) clearTimeout(timer);
    for (const disposable of this.disposables) disposable.dispose();
  }

  /** Makes the rows. Returns whether they differ from those that there were. */
  private build(): boolean {
    const { shown } = this.sessions;
    if (shown === undefined) this.opened.clear();
    const machine = shown === undefined ? [] : machineNodes(shown.history, this.sessions.focusedThread);
    // With nothing at all to show the view stays empty, so that its welcome text appears.
    const empty = machine.length === 0 && shown === undefined && this.breakpoints.all.length === 0;
    const nodes = empty ? [] : [...machine, breakpointsNode(this.breakpoints.all, shown?.statuses)];
    if (isDeepStrictEqual(nodes, this.nodes)) return false;
    this.nodes = nodes;
    this.parents.clear();
    for (const node of flatten(this.nodes)) this.setParents(node.children, node);
    return true;
  }

  private setParents(children: readonly InterruptNode[], parent: InterruptNode): void {
    for (const child of children) this.parents.set(child.id, parent);
  }

  private update(): void {
    this.noteRunning();
    const state = this.sessions.shown?.history.state;
    const isNew = state !== this.drawn;
    // A stop brings several updates, and most change nothing: VS Code is spared reading every open row again.
    if (!this.build() && !isNew) return this.settle();
    this.drawn = state;
    if (this.drawTimer !== undefined && !isNew) return;
    clearTimeout(this.drawTimer);
    this.drawTimer = setTimeout(() => this.draw(), isNew ? 0 : settleMilliseconds);
  }

  private draw(): void {
    this.drawTimer = undefined;
    this.changed.fire(undefined);
    this.draws++;
    this.settle();
  }

  /** What follows the rows. */
  private settle(): void {
    this.setContext("apicscope.interruptBreakpointCount", this.breakpoints.all.length);
    this.setContext("apicscope.frozenCpus", this.sessions.shown?.frozenThreads.length ?? 0);
    this.revealFocusedCpu();
  }

  /** Tells VS Code a value that the manifest's when clauses look at, if it is another one. */
  private setContext(key: string, value: number): void {
    if (this.contexts.get(key) === value) return;
    this.contexts.set(key, value);
    void vscode.commands.executeCommand("setContext", key, value);
  }

  private noteRunning(): void {
    const running = this.sessions.shown?.running === true && this.sessions.shown.history.state !== undefined;
    clearTimeout(this.runningNote);
    if (!running) {
      if (this.view.message !== undefined && this.view.message !== "") this.view.message = "";
      return;
    }
    this.runningNote = setTimeout(() => (this.view.message = "Running. The state is that of the last stop."), runningNoteMilliseconds);
  }

  /** Selects and opens the row of the CPU that has got the focus; leaves it alone while the focus stays. */
  private revealFocusedCpu(): void {
    clearTimeout(this.revealTimer);
    const { shown, focusedThread: thread } = this.sessions;
    // No focus, as while a step runs, is no change of focus.
    if (shown === undefined || thread === undefined) return;
    const { id: session } = shown.session;
    if (this.revealed?.thread !== thread || this.revealed.session !== session)
      this.revealed = { session, thread, attempts: 0, done: false };
    const { revealed } = this;
    if (revealed.done || revealed.attempts >= revealAttempts || !this.view.visible) return;
    const cpu = shown.history.state?.cpus.find(({ threadId }) => threadId === thread);
    const node = cpu === undefined ? undefined : this.nodes.find(({ id }) => id === cpuNodeId(cpu.index));
    if (node === undefined) return;
    revealed.attempts++;
    const again = (): void => {
      this.revealTimer = setTimeout(() => this.revealFocusedCpu(), revealAgainMilliseconds);
    };
    this.view.reveal(node, { select: true, focus: false, expand: true }).then(() => {
      // VS Code says that it has opened a row, too, when that row was just being drawn anew and stayed closed.
      if (this.opened.has(node.id)) revealed.done = true;
      else again();
    }, again);
  }

  private async setEnabled(items: readonly (readonly [InterruptNode, vscode.TreeItemCheckboxState])[]): Promise<void> {
    for (const [node, state] of items) {
      if (node.breakpointId === undefined) continue;
      await this.breakpoints.change(node.breakpointId, { enabled: state === vscode.TreeItemCheckboxState.Checked });
    }
  }
}

/** The row's kind and what can be done with it, in words that the manifest's menus look for. */
function contextValue({ kind, condition, actions }: InterruptNode): string {
  const words: string[] = [kind];
  if (condition !== undefined) words.push("breakable");
  for (const action of ["why", "inject", "handler", "sender", "setter"] as const) if (actions?.[action] !== undefined) words.push(action);
  return words.join(" ");
}
