// The guest's screen and serial terminal in VS Code.
import assert from "node:assert/strict";
import * as vscode from "vscode";
import { api } from "./extension";
import { endAll, start } from "./guests";
import { eventually, test } from "./runner";

/** Names of all tabs of the window. */
function tabs(): string[] {
  return vscode.window.tabGroups.all.flatMap((group) => group.tabs.map(({ label }) => label));
}

test("a serial terminal opens with its session, and the screen opens by command; both outlive it", async () => {
  const { serial } = await api();
  const interruptBreakpoints = [{ filter: "interrupt.deliver", condition: "vector == 0xf0" }];
  const { session } = await start({ name: "console", cpus: 2, serial: "terminal", interruptBreakpoints });
  const terminal = await eventually("the terminal", () => serial.terminalOf(session.id));
  assert.equal(terminal.name, "Serial: console");
  await eventually("its text", () => (/board: 2 CPUs[^\n]*\r\n/.test(serial.textOf(session.id) ?? "") ? true : undefined));
  await vscode.commands.executeCommand("apicscope.showScreen");
  await eventually("its tab", () => tabs().find((label) => label === "Screen: console"));
  await endAll();
  await eventually("the terminal's last words", () => (/The session has ended/.test(serial.textOf(session.id) ?? "") ? true : undefined));
  await eventually("the tab of an ended session", () => tabs().find((label) => label === "Screen: console (ended)"));
  serial.terminalOf(session.id)?.dispose();
});
