// How long activation and steps take. The figures are printed; the limits leave room for a busy computer.
import assert from "node:assert/strict";
import * as vscode from "vscode";
import { DapTrace } from "./dapTrace";
import { activationTime, api } from "./extension";
import { eventually, log, test } from "./runner";

const minute = 60_000;
const steps = 15;
/** VS Code reads the rest of a stack 420 ms after a stop, the Variables view 400 ms after: later than this nothing comes. */
const quietMilliseconds = 700;

test("the extension activates quickly", async () => {
  const { activation } = await api();
  log(`activate() itself: ${activation.toFixed(1)} ms of processor time`);
  assert.ok(activation < 100, `${activation} ms`);
  const time = activationTime();
  if (time === undefined) return log("activation: it was active before the tests");
  log(`activation: ${time.milliseconds.toFixed(1)} ms, ${time.cpu.toFixed(1)} ms of processor time`);
  assert.ok(time.cpu < 1000);
});

/** The middle of a list. */
function median(list: readonly number[]): number {
  return [...list].sort((a, b) => a - b)[list.length >> 1];
}

test(
  "a step on four CPUs: what the adapter and the extension take is little, and what VS Code asks is answered at once",
  async () => {
    const { breakpoints, sessions, interrupts } = await api();
    await breakpoints.removeAll();
    await breakpoints.add({ filter: "interrupt.deliver", condition: "vector == 0xf0 && dst == 1" });
    await vscode.commands.executeCommand("apicscope.interrupts.focus");
    const trace = new DapTrace();
    let [read, drawn] = [0, 0];
    const listening = vscode.Disposable.from(
      sessions.onDidRead(() => (read = performance.now())),
      interrupts.onDidChangeTreeData(() => (drawn = performance.now())),
    );
    try {
      assert.equal(await vscode.debug.startDebugging(vscode.workspace.workspaceFolders?.[0], "Bundled guest"), true);
      await eventually("the stop", () => (sessions.shown?.running === false ? sessions.shown.history.state : undefined), minute);
      await eventually("the focus", () => sessions.focusedThread, minute);
      const times: Record<string, number[]> = {};
      const note = (name: string, value: number): void => void (times[name] ??= []).push(value);
      const requests = new Map<string, number>();
      for (let step = 0; step < steps; step++) {
        await quiet(trace);
        trace.clear();
        const { stopSequence } = sessions.shown?.history.state ?? { stopSequence: -1 };
        const { draws } = interrupts;
        const started = performance.now();
        await vscode.commands.executeCommand("workbench.action.debug.stepInto");
        // The state has been read, and VS Code has been told to draw the view.
        await eventually(
          "the stop",
          () => (sessions.shown?.history.state?.stopSequence !== stopSequence && drawn >= read ? true : undefined),
          minute,
        );
        const firstDrawn = drawn;
        await quiet(trace);
        const asked = trace.requests.find(({ command }) => command === "stepIn");
        assert.ok(asked !== undefined);
        const stopped = trace.events.find(({ event }) => event === "stopped")?.at ?? NaN;
        note("VS Code, from the command to the request", asked.sentAt - started);
        note("adapter, from the request to the stop", stopped - asked.sentAt);
        note("extension, from the stop to the state", read - stopped);
        note("extension, from the state to the view", firstDrawn - read);
        const since = trace.requests.filter(({ sentAt }) => sentAt > stopped);
        for (const { command } of since) requests.set(command, (requests.get(command) ?? 0) + 1);
        note(
          "adapter, VS Code's requests since, all together",
          since.reduce((sum, { sentAt, answeredAt = NaN }) => sum + answeredAt - sentAt, 0),
        );
        const top = since.find(({ command }) => command === "stackTrace");
        if (top === undefined) continue;
        note("from the stop to the top frame", (top.answeredAt ?? NaN) - stopped);
        note(
          "from the stop to the last answer, with VS Code's own pauses",
          Math.max(...since.map(({ answeredAt = NaN }) => answeredAt)) - stopped,
        );
        note("extension's draws", interrupts.draws - draws);
      }
      for (const [name, list] of Object.entries(times))
        log(`${name}: median ${median(list).toFixed(1)}, worst ${Math.max(...list).toFixed(1)}`);
      log(`VS Code asks in a step: ${[...requests].map(([command, count]) => `${command} ${(count / steps).toFixed(1)}`).join(", ")}`);
      const ours = [
        "adapter, from the request to the stop",
        "extension, from the stop to the state",
        "extension, from the state to the view",
      ];
      const sum = ours.reduce((total, name) => total + median(times[name]), 0);
      log(`adapter and extension, from the request to the rows of the view: ${sum.toFixed(1)} ms`);
      assert.ok(sum < 250, `adapter and extension take ${sum} ms`);
      assert.ok(median(times["adapter, VS Code's requests since, all together"]) < 250);
      // One for the state; one more where the focus changes.
      assert.ok(median(times["extension's draws"]) <= 2);
    } finally {
      listening.dispose();
      trace.dispose();
      await vscode.debug.stopDebugging();
      await breakpoints.removeAll();
      await eventually("the session ends", () => (sessions.shown === undefined ? true : undefined), minute);
    }
  },
  { timeout: 4 * minute },
);

/** Waits until VS Code asks for nothing more. */
async function quiet(trace: DapTrace): Promise<void> {
  const started = performance.now();
  while (performance.now() - Math.max(trace.lastAt, started) < quietMilliseconds) await new Promise((resolve) => setTimeout(resolve, 20));
}

test(
  "a running guest does not hold up the extension host, and the status bar tells how fast it runs",
  async () => {
    const { breakpoints, sessions, status } = await api();
    await breakpoints.removeAll();
    // The bundled guest soon ends by itself; this one never does.
    const program = vscode.Uri.joinPath(vscode.workspace.workspaceFolders?.[0]?.uri ?? vscode.Uri.file("/"), "loop.elf");
    await vscode.workspace.fs.writeFile(program, loop());
    try {
      const launch = { type: "apicscope", request: "launch", name: "loop", program: program.fsPath, cpus: 1 };
      assert.equal(await vscode.debug.startDebugging(undefined, launch), true);
      await eventually("it runs", () => (/MIPS|kIPS/.test(status.text ?? "") ? true : undefined), minute);
      let worst = 0;
      for (let last = performance.now(), end = last + 1500; last < end;) {
        await new Promise((resolve) => setTimeout(resolve, 5));
        worst = Math.max(worst, performance.now() - last - 5);
        last = performance.now();
      }
      log(`longest hold-up of the extension host under a running guest: ${worst.toFixed(1)} ms; the status bar says ${status.text}`);
      assert.equal(sessions.shown?.running, true);
      assert.ok(worst < 2000);
    } finally {
      await vscode.debug.stopDebugging();
      await eventually("the session ends", () => (sessions.shown === undefined ? true : undefined), minute);
    }
  },
  { timeout: 3 * minute },
);

/** A 64-bit ELF image that disables interrupts and counts for ever. */
function loop(): Uint8Array {
  const code = [0xfa, 0x48, 0xff, 0xc0, 0xeb, 0xfb];
  const bytes = new Uint8Array(0x1000 + code.length);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, 62, true);
  view.setUint32(20, 1, true);
  view.setBigUint64(24, 0x200000n, true);
  view.setBigUint64(32, 64n, true);
  view.setUint16(52, 64, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 1, true);
  view.setUint32(64, 1, true);
  view.setUint32(68, 5, true);
  view.setBigUint64(72, 0x1000n, true);
  view.setBigUint64(80, 0x200000n, true);
  view.setBigUint64(88, 0x200000n, true);
  view.setBigUint64(96, BigInt(code.length), true);
  view.setBigUint64(104, BigInt(code.length), true);
  view.setBigUint64(112, 0x1000n, true);
  bytes.set(code, 0x1000);
  return bytes;
}
