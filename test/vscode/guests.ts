// Sessions of real guests in tests: started and seen to stand still, and ended with all that they left in the window.
import assert from "node:assert/strict";
import * as vscode from "vscode";
import type { SessionState } from "../../src/extension/sessions";
import { adapterProcesses } from "./adapterProcesses.mjs";
import { api } from "./extension";
import { eventually, log } from "./runner";

/** How long the focus may be on a session that has ended: VS Code passes it on at once if it does. */
const endedFocusMilliseconds = 2_000;

/** Launch attributes. */
export interface Attributes {
  readonly name: string;
  readonly [attribute: string]: unknown;
}

/** The workspace's folder. */
export function folder(): vscode.WorkspaceFolder {
  const first = vscode.workspace.workspaceFolders?.[0];
  if (first === undefined) throw new Error("no workspace folder");
  return first;
}

/** The checkout that is tested. */
export function root(): string {
  const path = process.env["APICSCOPE_TEST_ROOT"];
  if (path === undefined) throw new Error("APICSCOPE_TEST_ROOT is not set");
  return path;
}

/** Process ids of this checkout's debug adapters, without those of `before`. */
export function adapters(before: readonly number[] = []): number[] {
  return adapterProcesses(root()).filter((pid) => !before.includes(pid));
}

/**
 * Starts a configuration of the workspace, by its name, or a guest (the bundled one unless `program` names another) and waits until it stands still. By then VS Code
 * has opened the source of the stop, unless another session has the focus: nothing that a test opens later is replaced by it.
 */
export async function start(configuration: string | Attributes): Promise<SessionState> {
  const { sessions } = await api();
  const before = sessions.all.length;
  const name = typeof configuration === "string" ? configuration : configuration.name;
  const program = await vscode.commands.executeCommand<string>("apicscope.bundledGuest");
  const launch = typeof configuration === "string" ? configuration : { type: "apicscope", request: "launch", program, ...configuration };
  assert.equal(await vscode.debug.startDebugging(typeof launch === "string" ? folder() : undefined, launch), true);
  const state = await stopped(name);
  if (before === 0) await focused(state);
  return state;
}

/** Waits until the session of this name stands still and its state is known. */
export function stopped(name: string): Promise<SessionState> {
  return eventually(`${name} stops`, async () => {
    const { sessions } = await api();
    const state = sessions.all.find(({ session }) => session.name === name);
    return state?.running === false && state.history.state !== undefined ? state : undefined;
  });
}

/**
 * Waits until VS Code has the focus on a CPU of a stopped session: on the frame whose source it has opened before, or on the thread alone where no frame has a source.
 *
 * VS Code gives the focus to where a session has stopped once the source is open, even if the session has ended meanwhile, and sessions that come later take it from none but themselves. A person clicks on one in the call
 * stack, or takes the next console; so does this.
 */
export async function focused({ session }: Pick<SessionState, "session">): Promise<vscode.DebugStackFrame | vscode.DebugThread> {
  const { sessions } = await api();
  let wrong: number | undefined;
  return eventually(`a CPU of ${session.name} has the focus`, async () => {
    const { activeStackItem: item, activeDebugSession: active } = vscode.debug;
    if (item?.session.id === session.id && item.threadId !== undefined) return item;
    const ended = active !== undefined && !sessions.all.some((known) => known.session.id === active.id);
    if (!ended) wrong = undefined;
    else if (wrong === undefined) wrong = Date.now();
    else if (Date.now() - wrong > endedFocusMilliseconds) {
      log(`The focus is on "${active.name}", which has ended: taking the next console.`);
      await vscode.commands.executeCommand("workbench.action.debug.nextConsole");
      wrong = undefined;
    }
    return undefined;
  });
}

/** Ends every session, and waits until that is so. What has the focus then is VS Code's: see {@link focused}. */
export async function endAll(): Promise<void> {
  const { sessions } = await api();
  await vscode.debug.stopDebugging();
  for (const { session } of sessions.all) await vscode.debug.stopDebugging(session);
  await eventually("all sessions end", () => (sessions.all.length === 0 ? true : undefined));
}

/** Leaves nothing of a test for the next one: no session, timeline, breakpoint or editor. */
export async function clean(): Promise<void> {
  const { breakpoints, timelines } = await api();
  await endAll();
  for (const { panel } of timelines.all) panel.dispose();
  await breakpoints.removeAll();
  await vscode.commands.executeCommand("workbench.action.closeAllEditors");
}

/** Waits for an editor in front whose document a test expects. */
export function editorOf(what: string, expected: (document: vscode.TextDocument) => boolean): Promise<vscode.TextEditor> {
  return eventually(what, () => {
    const { activeTextEditor: editor } = vscode.window;
    return editor !== undefined && expected(editor.document) ? editor : undefined;
  });
}
