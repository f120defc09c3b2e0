// The timeline's panels: they follow their sessions, keep what an ended one left, and come back after a reload.
import assert from "node:assert/strict";
import * as vscode from "vscode";
import { timelineRequest, timelineRowLength, type TimelinePage } from "../../src/adapter/timelineProtocol";
import type { SessionState } from "../../src/extension/sessions";
import type { TimelinePanel } from "../../src/extension/timeline/panel";
import { timelineViewType, webviewOptions } from "../../src/extension/timeline/panel";
import { api, extension } from "./extension";
import { endAll, start } from "./guests";
import { eventually, log, test } from "./runner";

function launch(name: string, condition: string): Promise<SessionState> {
  return start({ name, cpus: 4, interruptBreakpoints: [{ filter: "interrupt.deliver", condition }] });
}

/** Waits until a panel has all the interrupts of its session, which stands still. Returns how many those are. */
async function filled(panel: TimelinePanel, { session }: SessionState): Promise<number> {
  const { sessions } = await api();
  const { rows, more } = (await sessions.ask(session, timelineRequest)) as TimelinePage;
  const count = rows.length / timelineRowLength;
  assert.ok(count > 10 && !more);
  await eventually("all rows", () => (panel.store.rows === count && !panel.store.running ? true : undefined));
  return count;
}

test("a timeline fills from a stopped session, keeps its rows when that ends, and is taken over by the next of its name", async () => {
  const { timelines } = await api();
  const first = await launch("smp", "vector == 0xf0 && dst == 1");
  await vscode.commands.executeCommand("apicscope.showTimeline");
  assert.equal(timelines.all.length, 1);
  const [panel] = timelines.all;
  const rows = await filled(panel, first);
  assert.equal(panel.panel.title, "Interrupt Timeline: smp");
  await vscode.commands.executeCommand("apicscope.showTimeline");
  assert.equal(timelines.all.length, 1);
  log(`${rows} interrupts`);
  await endAll();
  await eventually("the end", () => (panel.ended ? true : undefined));
  assert.equal(panel.panel.title, "Interrupt Timeline: smp (ended)");
  assert.equal(panel.store.rows, rows);
  const next = await launch("smp", "vector == 0xf0 && dst == 1");
  await eventually("the next session", () => (panel.panel.title === "Interrupt Timeline: smp" ? true : undefined));
  assert.equal(await filled(panel, next), rows);
});

test("two sessions have a timeline each; the end of one leaves the other alone", async () => {
  const { timelines } = await api();
  const first = await launch("one", "vector == 0xf0 && dst == 1");
  await vscode.commands.executeCommand("apicscope.showTimeline");
  const second = await launch("two", "vector == 0xf0 && dst == 2");
  timelines.show(second);
  assert.deepEqual(
    timelines.all.map(({ sessionName }) => sessionName),
    ["one", "two"],
  );
  const [one, two] = timelines.all;
  const rows = await filled(one, first);
  assert.notEqual(await filled(two, second), rows);
  await vscode.debug.stopDebugging(first.session);
  await eventually("the end of one", () => (one.ended ? true : undefined));
  assert.equal(two.ended, false);
  assert.equal(one.store.rows, rows);
});

test("a panel that comes back after a reload of the window has what was kept, and says that the session is over", async () => {
  const { timelines } = await api();
  const { extensionUri } = await extension();
  const session = await launch("kept", "vector == 0xf0 && dst == 1");
  await vscode.commands.executeCommand("apicscope.showTimeline");
  const [panel] = timelines.all;
  await filled(panel, session);
  // A file may be under way as the window goes: it is waited for.
  void panel.archiveNow();
  await timelines.keep();
  // What VS Code does with the state that the webview left.
  const again = vscode.window.createWebviewPanel(timelineViewType, "", vscode.ViewColumn.One, webviewOptions(extensionUri));
  await timelines.deserializeWebviewPanel(again, { session: "kept", key: panel.key });
  const restored = timelines.all[1];
  assert.deepEqual(restored.store.toPage().rows, panel.store.toPage().rows);
  assert.equal(again.title, "Interrupt Timeline: kept (ended)");
  // Nothing was kept for this one.
  const empty = vscode.window.createWebviewPanel(timelineViewType, "", vscode.ViewColumn.One, webviewOptions(extensionUri));
  await timelines.deserializeWebviewPanel(empty, { session: "gone", key: "../../../etc" });
  assert.equal(timelines.all[2].store.rows, 0);
  assert.equal(empty.title, "Interrupt Timeline: gone (ended)");
});

test("a timeline without a session waits for one", async () => {
  const { timelines } = await api();
  await vscode.commands.executeCommand("apicscope.showTimeline");
  assert.equal(timelines.all[0].sessionName, "");
});
