import assert from "node:assert/strict";
import * as vscode from "vscode";
import { api, extension } from "./extension";
import { test } from "./runner";

interface Manifest {
  contributes: { commands: { command: string }[] };
}

test("the extension activates", async () => {
  const { isActive } = await extension();
  assert.equal(isActive, true);
});

test("every command of the manifest is registered", async () => {
  const manifest = (await extension()).packageJSON as Manifest;
  const known = new Set(await vscode.commands.getCommands(true));
  const missing = manifest.contributes.commands.filter(({ command }) => !known.has(command));
  assert.deepEqual(missing, []);
});

test("the bundled guest's path comes through its command", async () => {
  const path = await vscode.commands.executeCommand<string>("apicscope.bundledGuest");
  assert.match(path, /guests[\\/]smp[\\/]smp\.elf$/);
});

test("the view is VS Code's: its focus command exists", async () => {
  const known = await vscode.commands.getCommands(true);
  assert.ok(known.includes("apicscope.interrupts.focus"));
  assert.ok((await api()).interrupts !== undefined);
});
