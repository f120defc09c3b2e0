// The timeline's panels: they follow their sessions, keep what an ended one left, and come back after a reload.
import assert from "node:assert/strict";
import * as vscode from "vscode";
import type { TimelinePanel } from "../../src/extension/timeline/panel";
import { timelineViewType, webviewOptions } from "../../src/extension/timeline/panel";
import { api, extension } from "./extension";
import { eventually, log, test } from "./runner";

const minute = 60_000;

async function launch(name: string, condition: string): Promise<void> {
  const program = await vscode.commands.executeCommand<string>("apicscope.bundledGuest");
  const interruptBreakpoints = [{ filter: "interrupt.deliver", condition }];
  const started = await vscode.debug.startDebugging(undefined, {
    type: "apicscope",
    request: "launch",
    name,
    program,
    cpus: 4,
    interruptBreakpoints,
  });
  assert.equal(started, true);
  const { sessions } = await api();
  await eventually(
    `${name} stops`,
    () => (sessions.all.find(({ session }) => session.name === name)?.running === false ? true : undefined),
    minute,
  );
}

async function endAll(): Promise<void> {
  const { sessions, timelines } = await api();
  await vscode.debug.stopDebugging();
  for (const { session } of sessions.all) await vscode.debug.stopDebugging(session);
  await eventually("the sessions end", () => (sessions.all.length === 0 ? true : undefined));
  for (const { panel } of timelines.all) panel.dispose();
}

async function filled(panel: TimelinePanel): Promise<TimelinePanel> {
  await eventually("rows", () => (panel.store.rows > 10 ? true : undefined), minute);
  return panel;
}

test(
  "a timeline fills from a stopped session, keeps its rows when that ends, and is taken over by the next of its name",
  async () => {
    const { timelines } = await api();
    try {
      await launch("smp", "vector == 0xf0 && dst == 1");
      await vscode.commands.executeCommand("apicscope.showTimeline");
      assert.equal(timelines.all.length, 1);
      const panel = await filled(timelines.all[0]);
      assert.equal(panel.panel.title, "Interrupt Timeline: smp");
      await vscode.commands.executeCommand("apicscope.showTimeline");
      assert.equal(timelines.all.length, 1);
      const { rows } = panel.store;
      log(`${rows} interrupts`);
      await vscode.debug.stopDebugging();
      await eventually("the end", () => (panel.ended ? true : undefined));
      assert.equal(panel.panel.title, "Interrupt Timeline: smp (ended)");
      assert.equal(panel.store.rows, rows);
      await launch("smp", "vector == 0xf0 && dst == 1");
      await eventually("the next session", () => (panel.panel.title === "Interrupt Timeline: smp" ? true : undefined));
      await filled(panel);
      assert.equal(panel.store.rows, rows);
    } finally {
      await endAll();
    }
  },
  { timeout: 4 * minute },
);

test(
  "two sessions have a timeline each; the end of one leaves the other alone",
  async () => {
    const { sessions, timelines } = await api();
    try {
      await launch("one", "vector == 0xf0 && dst == 1");
      await vscode.commands.executeCommand("apicscope.showTimeline");
      await launch("two", "vector == 0xf0 && dst == 2");
      timelines.show(sessions.all.find(({ session }) => session.name === "two"));
      assert.deepEqual(
        timelines.all.map(({ sessionName }) => sessionName),
        ["one", "two"],
      );
      const [one, two] = timelines.all;
      await filled(one);
      await filled(two);
      assert.notEqual(one.store.rows, two.store.rows);
      const first = sessions.all.find(({ session }) => session.name === "one");
      await vscode.debug.stopDebugging(first?.session);
      await eventually("the end of one", () => (one.ended ? true : undefined));
      assert.equal(two.ended, false);
      assert.ok(one.store.rows > 10);
    } finally {
      await endAll();
    }
  },
  { timeout: 4 * minute },
);

test(
  "a panel that comes back after a reload of the window has what was kept, and says that the session is over",
  async () => {
    const { timelines } = await api();
    const { extensionUri } = await extension();
    try {
      await launch("kept", "vector == 0xf0 && dst == 1");
      await vscode.commands.executeCommand("apicscope.showTimeline");
      const panel = await filled(timelines.all[0]);
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
    } finally {
      await endAll();
    }
  },
  { timeout: 3 * minute },
);

test("a timeline without a session waits for one", async () => {
  const { timelines } = await api();
  try {
    await vscode.commands.executeCommand("apicscope.showTimeline");
    assert.equal(timelines.all[0].sessionName, "");
  } finally {
    await endAll();
  }
});
