// What the guest does wrong is in the Problems panel, at the line that did it.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import * as vscode from "vscode";
import { endAll, root, start } from "./guests";
import { eventually, log, test } from "./runner";

function problems(): readonly (readonly [vscode.Uri, vscode.Diagnostic])[] {
  return vscode.languages
    .getDiagnostics()
    .flatMap(([uri, list]) => list.map((problem) => [uri, problem] as const))
    .filter(([, { source }]) => source === "APICScope");
}

/** A guest that makes one mistake, stopped where it does. */
async function launch(mistake: string): Promise<void> {
  const guests = join(root(), "guests");
  const program = join(guests, "faults", "faults.elf");
  assert.ok(existsSync(program));
  const interruptBreakpoints = [{ filter: "interrupt.lint" }];
  await start({ name: "mistake", program, cmdline: mistake, sourceMap: { guests }, interruptBreakpoints });
}

test("a lint is a problem at its line, outlives its session, and goes when the next session of that name begins", async () => {
  await launch("ipi-to-nobody");
  const [uri, problem] = await eventually("the problem", () => problems().at(0));
  log(`${uri.fsPath}:${problem.range.start.line + 1}: ${problem.message}`);
  assert.match(uri.path, /guests\/smp\/apic\.c$/);
  assert.match(problem.message, /reached nobody: no destination matched APIC id 77/);
  assert.equal(problem.code, "ipi-to-nobody");
  assert.equal(problem.severity, vscode.DiagnosticSeverity.Warning);
  const line = (await vscode.workspace.openTextDocument(uri)).lineAt(problem.range.start.line);
  assert.match(line.text, /apic_page/);
  assert.equal(problems().length, 1);
  await endAll();
  assert.equal(problems().length, 1);
  await launch("missing-eoi");
  const [file, missing] = await eventually("the next problem", () => problems().find(([, { code }]) => code === "missing-eoi"));
  assert.match(file.path, /guests\/faults\/faults\.c$/);
  assert.match(missing.message, /In handler_without_eoi/);
  assert.deepEqual(
    problems().map(([, { code }]) => code),
    ["missing-eoi"],
  );
});
