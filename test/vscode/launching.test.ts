// How guests get started: a task that builds the guest first, two machines at once, what is offered without a launch.json, and that nothing is left running.
import assert from "node:assert/strict";
import { copyFileSync, existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import * as vscode from "vscode";
import { DynamicConfigurations } from "../../src/extension/configuration";
import { api, extension } from "./extension";
import { errorsOf } from "./inputs";
import { eventually, log, test } from "./runner";

const minute = 60_000;

function folder(): vscode.WorkspaceFolder {
  const first = vscode.workspace.workspaceFolders?.[0];
  if (first === undefined) throw new Error("no workspace folder");
  return first;
}

/** Process ids of adapters, where the system tells: Linux. */
function adapters(): number[] {
  if (!existsSync("/proc/self/cmdline")) return [];
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        const [, program, command] = readFileSync(`/proc/${name}/cmdline`, "utf8").split("\0");
        return command === "dap" && program.endsWith(join("dist", "cli.js"));
      } catch {
        return false;
      }
    })
    .map(Number);
}

async function ended(): Promise<void> {
  const { sessions } = await api();
  await vscode.debug.stopDebugging();
  await eventually("all sessions end", () => (sessions.all.length === 0 ? true : undefined), minute);
}

test(
  "a guest that a task builds first is debugged",
  async () => {
    const { sessions } = await api();
    const built = join(folder().uri.fsPath, "built.elf");
    rmSync(built, { force: true });
    try {
      assert.equal(await vscode.debug.startDebugging(folder(), "Built first"), true);
      const state = await eventually("the stop at the entry", () => sessions.shown?.history.state, minute);
      assert.equal(state.cpus.length, 2);
      assert.ok(existsSync(built));
    } finally {
      await ended();
      rmSync(built, { force: true });
    }
  },
  { timeout: 3 * minute },
);

test(
  "a compound starts two machines that know nothing of each other; at their end no process is left",
  async () => {
    const { sessions, interrupts, status } = await api();
    const before = adapters();
    assert.equal(await vscode.debug.startDebugging(folder(), "Two machines"), true);
    try {
      await eventually(
        "both stops",
        () => (sessions.all.length === 2 && sessions.all.every(({ history }) => history.state !== undefined) ? true : undefined),
        minute,
      );
      const cpus = (): number[] => sessions.all.map(({ history }) => history.state?.cpus.length ?? 0).sort();
      assert.deepEqual(cpus(), [2, 3]);
      if (process.platform === "linux") assert.equal(adapters().length - before.length, 2);
      assert.match(status.text ?? "", /^\$\(debug-pause\) CPU 0 at /);
      // One goes on and ends; the other stays as it is.
      const one = sessions.all.find(({ history }) => history.state?.cpus.length === 2);
      assert.ok(one !== undefined);
      await one.session.customRequest("terminate");
      await eventually("one machine is left", () => (sessions.all.length === 1 ? true : undefined), minute);
      assert.deepEqual(cpus(), [3]);
      const rows = await interrupts.getChildren();
      assert.equal(rows.filter(({ kind }) => kind === "cpu").length, 3);
    } finally {
      await ended();
    }
    assert.equal(status.text, undefined);
    if (process.platform === "linux")
      await eventually("no adapter is left", () => (adapters().length === before.length ? true : undefined), minute);
  },
  { timeout: 4 * minute },
);

test(
  "an adapter that dies ends its session, and its timeline says so",
  async () => {
    if (process.platform !== "linux") return;
    const { sessions, timelines } = await api();
    const before = adapters();
    assert.equal(await vscode.debug.startDebugging(folder(), "One machine"), true);
    try {
      await eventually("the stop", () => sessions.shown?.history.state, minute);
      await vscode.commands.executeCommand("apicscope.showTimeline");
      const [panel] = timelines.all;
      const [adapter] = adapters().filter((pid) => !before.includes(pid));
      process.kill(adapter, "SIGKILL");
      await eventually("the end", () => (sessions.all.length === 0 ? true : undefined), minute);
      assert.equal(panel.panel.title, "Interrupt Timeline: One machine (ended)");
      await eventually("no adapter is left", () => (adapters().length === before.length ? true : undefined), minute);
    } finally {
      await ended();
      for (const { panel } of timelines.all) panel.dispose();
    }
  },
  { timeout: 3 * minute },
);

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
