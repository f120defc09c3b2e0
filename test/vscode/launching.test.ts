// How guests get started: a task that builds the guest first, two machines at once, what is offered without a launch.json, and that nothing is left running.
import assert from "node:assert/strict";
import { copyFileSync, existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import * as vscode from "vscode";
import { DynamicConfigurations } from "../../src/extension/configuration";
import { api, extension } from "./extension";
import { adapters, endAll, folder, start, stopped } from "./guests";
import { errorsOf } from "./inputs";
import { eventually, log, test } from "./runner";

test("a guest that a task builds first is debugged", async () => {
  const built = join(folder().uri.fsPath, "built.elf");
  rmSync(built, { force: true });
  try {
    const { history } = await start("Built first");
    assert.equal(history.state?.cpus.length, 2);
    assert.ok(existsSync(built));
  } finally {
    await endAll();
    rmSync(built, { force: true });
  }
});

test("paths that are not whole start from the folder of the launch.json, or from cwd there", async () => {
  const guests = join(folder().uri.fsPath, "guests");
  const program = await vscode.commands.executeCommand<string>("apicscope.bundledGuest");
  mkdirSync(guests, { recursive: true });
  copyFileSync(program, join(guests, "mine.elf"));
  const launch = { type: "apicscope", request: "launch", cpus: 2, memory: 32, stopOnEntry: true };
  try {
    for (const paths of [
      { name: "From the folder", program: "guests/mine.elf" },
      { name: "From cwd", program: "mine.elf", cwd: "guests" },
    ]) {
      assert.equal(await vscode.debug.startDebugging(folder(), { ...launch, ...paths }), true);
      const { session } = await stopped(paths.name);
      assert.equal(session.configuration["program"], join(guests, "mine.elf"));
      await endAll();
    }
    const errors = await errorsOf(async () => {
      await vscode.debug.startDebugging(folder(), { ...launch, name: "Nowhere", program: "mine.elf", cwd: "nowhere" });
    });
    assert.match(errors.join("\n"), /"cwd" must be a directory/);
  } finally {
    await endAll();
    rmSync(guests, { recursive: true, force: true });
  }
});

test("a compound starts two machines that know nothing of each other; at their end no process is left", async () => {
  const { sessions, interrupts, status } = await api();
  const before = adapters();
  assert.equal(await vscode.debug.startDebugging(folder(), "Two machines"), true);
  const bothStand = (): true | undefined =>
    sessions.all.length === 2 && sessions.all.every(({ running, history }) => !running && history.state !== undefined) ? true : undefined;
  await eventually("both stops", bothStand);
  const cpus = (): number[] => sessions.all.map(({ history }) => history.state?.cpus.length ?? 0).sort();
  assert.deepEqual(cpus(), [2, 3]);
  if (process.platform === "linux") assert.equal(adapters(before).length, 2);
  await eventually("the status bar", () => (/^\$\(debug-pause\) CPU 0 at /.test(status.text ?? "") ? true : undefined));
  // One goes on and ends; the other stays as it is.
  const one = sessions.all.find(({ history }) => history.state?.cpus.length === 2);
  assert.ok(one !== undefined);
  await one.session.customRequest("terminate");
  await eventually("one machine is left", () => (sessions.all.length === 1 ? true : undefined));
  assert.deepEqual(cpus(), [3]);
  const rows = await interrupts.getChildren();
  assert.equal(rows.filter(({ kind }) => kind === "cpu").length, 3);
  await endAll();
  assert.equal(status.text, undefined);
  await eventually("no adapter is left", () => (adapters(before).length === 0 ? true : undefined));
});

test("an adapter that dies ends its session, and its timeline says so", async () => {
  if (process.platform !== "linux") return;
  const { sessions, timelines } = await api();
  const before = adapters();
  await start("One machine");
  await vscode.commands.executeCommand("apicscope.showTimeline");
  const [panel] = timelines.all;
  const [adapter] = adapters(before);
  process.kill(adapter, "SIGKILL");
  await eventually("the end", () => (sessions.all.length === 0 ? true : undefined));
  await eventually("the title", () => (panel.panel.title === "Interrupt Timeline: One machine (ended)" ? true : undefined));
  await eventually("no adapter is left", () => (adapters(before).length === 0 ? true : undefined));
});

test("guests of the workspace are found by their content and offered", async () => {
  const { extensionUri } = await extension();
  const kernel = join(folder().uri.fsPath, "my-kernel");
  copyFileSync(await vscode.commands.executeCommand<string>("apicscope.bundledGuest"), kernel);
  try {
    const started = performance.now();
    const offered = await new DynamicConfigurations(extensionUri).provideDebugConfigurations(folder());
    log(`looking for guests: ${(performance.now() - started).toFixed(0)} ms`);
    assert.deepEqual(
      offered.map(({ name, program }) => [name, String(program).replace(/.*guests[\\/]smp[\\/]/, "")]),
      [
        ["APICScope: my-kernel", "${workspaceFolder}/my-kernel"],
        ["APICScope: bundled SMP guest", "smp.elf"],
      ],
    );
  } finally {
    rmSync(kernel);
  }
});

test("an attribute out of range is named, and no session starts", async () => {
  const shown = await errorsOf(async () => assert.equal(await vscode.debug.startDebugging(folder(), "Wrong CPUs"), false));
  assert.deepEqual(shown, ['The launch attribute "cpus" must be a whole number from 1 to 64.']);
  assert.equal((await api()).sessions.all.length, 0);
});
