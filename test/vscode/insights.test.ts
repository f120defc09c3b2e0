// What VS Code shows beside the code of a stopped guest: lenses, hovers, the sender's mark, inline values, problems, addresses.
import assert from "node:assert/strict";
import type { DebugProtocol } from "@vscode/debugprotocol";
import * as vscode from "vscode";
import { api } from "./extension";
import { editorOf, start } from "./guests";
import { eventually, log, test } from "./runner";

async function sourceOf(name: string): Promise<vscode.TextDocument> {
  const guest = vscode.Uri.file(await vscode.commands.executeCommand<string>("apicscope.bundledGuest"));
  return vscode.workspace.openTextDocument(vscode.Uri.joinPath(guest, "..", name));
}

/** A frame of a CPU that has variables with a value and without, and the names of those without. */
async function frameWithMissing(threadId: number): Promise<[DebugProtocol.StackFrame, string[]]> {
  const session = vscode.debug.activeDebugSession;
  assert.ok(session !== undefined);
  const ask = async (command: string, args: object): Promise<unknown> => session.customRequest(command, args);
  const { stackFrames } = (await ask("stackTrace", { threadId })) as DebugProtocol.StackTraceResponse["body"];
  for (const frame of stackFrames) {
    const { scopes } = (await ask("scopes", { frameId: frame.id })) as DebugProtocol.ScopesResponse["body"];
    const locals = scopes.find(({ name }) => name === "Locals");
    if (locals === undefined || frame.source === undefined) continue;
    const { variables } = (await ask("variables", {
      variablesReference: locals.variablesReference,
    })) as DebugProtocol.VariablesResponse["body"];
    const missing = variables.filter(({ value }) => value.startsWith("<")).map(({ name }) => name);
    if (missing.length > 0 && missing.length < variables.length) return [frame, missing];
  }
  throw new Error("no such frame");
}

test("code of a stopped guest: statistics, the sender, decoded values, inline values, memory and instructions", async () => {
  const { insights } = await api();
  const interruptBreakpoints = [{ filter: "interrupt.deliver", condition: "vector == 0xf0 && dst == 1" }];
  await start({ name: "insights", cpus: 4, interruptBreakpoints });
  const document = await sourceOf("apic.c");
  // Not as a preview, which any other source would replace: lenses need it open.
  await vscode.window.showTextDocument(document, { preview: false });

  const sender = await eventually("the sender's mark", () => insights.sender.place);
  assert.match(sender.file ?? "", /apic\.c$/);
  assert.match(document.lineAt((sender.line ?? 1) - 1).text, /apic_page/);

  const lenses = await eventually("lenses", async () => {
    const found = await vscode.commands.executeCommand<vscode.CodeLens[]>("vscode.executeCodeLensProvider", document.uri);
    return found.some(({ command }) => command?.title.startsWith("Sent ") === true) ? found : undefined;
  });
  for (const { range, command } of lenses) log(`line ${range.start.line + 1}: ${command?.title}`);
  const atSender = lenses.filter(({ range }) => range.start.line === (sender.line ?? 0) - 1);
  assert.ok(atSender.some(({ command }) => /^Sent .* to CPU .*latency/.test(command?.title ?? "")));
  assert.ok(lenses.every(({ command }) => command?.command === "apicscope.showTimeline"));

  // A number on a line that names ICR.
  const scratch = await vscode.workspace.openTextDocument({
    language: "c",
    content: "apic_write(APIC_ICR_LOW, 0x000c40f0);\nint other = 0x40f0;\n",
  });
  const hover = async (line: number, column: number): Promise<string> => {
    const found = await vscode.commands.executeCommand<vscode.Hover[]>(
      "vscode.executeHoverProvider",
      scratch.uri,
      new vscode.Position(line, column),
    );
    return found.flatMap(({ contents }) => contents.map((content) => (typeof content === "string" ? content : content.value))).join("\n");
  };
  assert.match(await hover(0, 30), /ICR.*vector 0xf0, to all other CPUs[^]*Delivery Mode/);
  assert.doesNotMatch(await hover(1, 15), /ICR/);

  const [frame, missing] = await frameWithMissing(1);
  log(`${frame.name} has no value for ${missing.join(", ")}`);
  const source = vscode.Uri.parse(frame.source?.path ?? "").with({ scheme: "file", authority: "" });
  await vscode.window.showTextDocument(await vscode.workspace.openTextDocument(source), { preview: false });
  const values = await vscode.commands.executeCommand<vscode.InlineValue[]>(
    "vscode.executeInlineValueProvider",
    source,
    new vscode.Range(Math.max(0, frame.line - 40), 0, frame.line + 10, 0),
    { frameId: frame.id, stoppedLocation: new vscode.Range(frame.line - 1, 0, frame.line - 1, 0) },
  );
  const texts = values.map((value) => ("text" in value ? value.text : JSON.stringify(value)));
  log(texts.join("; "));
  assert.ok(texts.length > 0 && texts.every((text) => /^\w+ = [^<]/.test(text)));
  for (const name of missing) assert.ok(!texts.some((text) => text.startsWith(`${name} = `)), name);

  await vscode.commands.executeCommand("apicscope.goToAddress", { text: "apic_write", as: "disassembly" });
  await editorOf(
    "the listing",
    (shown) => shown.languageId === "apicscope-disassembly" && /^apic_write:\n0x[0-9a-f]{16} {2}/.test(shown.getText()),
  );
  await vscode.commands.executeCommand("apicscope.goToAddress", { text: "p:0x100000", as: "memory" });
  await editorOf("the memory", (shown) => /^0x0000000000100000 {2}([0-9a-f]{2} ){8} /.test(shown.getText()));
});
