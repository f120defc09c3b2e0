// The guest's screen and serial terminal in VS Code.
import assert from "node:assert/strict";
import * as vscode from "vscode";
import { api } from "./extension";
import { eventually, test } from "./runner";

const minute = 60_000;

/** Names of all tabs of the window. */
function tabs(): string[] {
  return vscode.window.tabGroups.all.flatMap((group) => group.tabs.map(({ label }) => label));
}

test(
  "a serial terminal opens with its session, and the screen opens by command; both outlive it",
  async () => {
    const { serial, sessions } = await api();
    const program = await vscode.commands.executeCommand<string>("apicscope.bundledGuest");
    const interruptBreakpoints = [{ filter: "interrupt.deliver", condition: "vector == 0xf0" }];
    const launch = { type: "apicscope", request: "launch", name: "console", program, cpus: 2, serial: "terminal", interruptBreakpoints };
    assert.equal(await vscode.debug.startDebugging(undefined, launch), true);
    const session = await eventually("a stop", () => (sessions.shown?.running === false ? sessions.shown.session : undefined), minute);
    try {
      const terminal = await eventually("the terminal", () => serial.terminalOf(session.id));
      assert.equal(terminal.name, "Serial: console");
      await eventually("its text", () => (/board: 2 CPUs[^\n]*\r\n/.test(serial.textOf(session.id) ?? "") ? true : undefined));
      await vscode.commands.executeCommand("apicscope.showScreen");
      await eventually("its tab", () => tabs().find((label) => label === "Screen: console"));
    } finally {
      await vscode.debug.stopDebugging();
      await eventually("the session ends", () => (sessions.shown === undefined ? true : undefined));
    }
    assert.match(serial.textOf(session.id) ?? "", /The session has ended/);
    await eventually("the tab of an ended session", () => tabs().find((label) => label === "Screen: console (ended)"));
    await vscode.commands.executeCommand("workbench.action.closeAllEditors");
    serial.terminalOf(session.id)?.dispose();
  },
  { timeout: 3 * minute },
);
