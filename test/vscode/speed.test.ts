// How long activation and steps take. The figures are printed. What is limited is processor time and what is asked, which a busy computer changes little; limits on the clock are
// there for what hangs.
import assert from "node:assert/strict";
import * as vscode from "vscode";
import { processorTime } from "./adapterProcesses.mjs";
import { DapTrace } from "./dapTrace";
import { activationTime, api } from "./extension";
import { adapters, endAll, folder, start } from "./guests";
import { eventually, log, test } from "./runner";

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

test("a step on four CPUs: what the adapter and the extension take is little, and what VS Code asks is answered at once", async () => {
  const { breakpoints, sessions, interrupts } = await api();
  await breakpoints.add({ filter: "interrupt.deliver", condition: "vector == 0xf0 && dst == 1" });
  await vscode.commands.executeCommand("apicscope.interrupts.focus");
  const trace = new DapTrace();
  let [stopSequence, read, drawn]: [number, number | undefined, number | undefined] = [-1, undefined, undefined];
  const listening = vscode.Disposable.from(
    // Only the first of each step counts: a state may be read again.
    sessions.onDidRead(({ history }) => {
      if (history.state?.stopSequence !== stopSequence) read ??= performance.now();
    }),
    interrupts.onDidChangeTreeData(() => {
      if (read !== undefined) drawn ??= performance.now();
    }),
  );
  try {
    const before = adapters();
    await start("Bundled guest");
    const [adapter] = adapters(before);
    const times: Record<string, number[]> = {};
    const note = (name: string, value: number): void => void (times[name] ??= []).push(value);
    const requests = new Map<string, number>();
    let reads = 0;
    await quiet(trace);
    const counting = sessions.onDidRead(() => reads++);
    const [adapterBefore, hostBefore] = [processorTime(adapter), process.cpuUsage()];
    for (let step = 0; step < steps; step++) {
      trace.clear();
      stopSequence = sessions.shown?.history.state?.stopSequence ?? -1;
      [read, drawn] = [undefined, undefined];
      const { draws } = interrupts;
      const started = performance.now();
      await vscode.commands.executeCommand("workbench.action.debug.stepInto");
      // The state has been read, and VS Code has been told to draw the view.
      const [readAt, drawnAt] = await eventually("the stop", () => (read !== undefined && drawn !== undefined ? [read, drawn] : undefined));
      await quiet(trace);
      const asked = trace.requests.find(({ command }) => command === "stepIn");
      const stopped = trace.events.find(({ event }) => event === "stopped");
      assert.ok(asked !== undefined && stopped !== undefined);
      note("VS Code, from the command to the request", asked.sentAt - started);
      note("adapter, from the request to the stop", stopped.at - asked.sentAt);
      note("extension, from the stop to the state", readAt - stopped.at);
      note("extension, from the state to the view", drawnAt - readAt);
      const since = trace.requests.filter(({ sentAt }) => sentAt > stopped.at);
      for (const { command } of since) requests.set(command, (requests.get(command) ?? 0) + 1);
      note(
        "adapter, VS Code's requests since, all together",
        since.reduce((sum, { sentAt, answeredAt = NaN }) => sum + answeredAt - sentAt, 0),
      );
      note("extension's draws", interrupts.draws - draws);
      const top = since.find(({ command }) => command === "stackTrace");
      if (top === undefined) continue;
      note("from the stop to the top frame", (top.answeredAt ?? NaN) - stopped.at);
      note(
        "from the stop to the last answer, with VS Code's own pauses",
        Math.max(...since.map(({ answeredAt = NaN }) => answeredAt)) - stopped.at,
      );
    }
    counting.dispose();
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
    assert.ok(sum < 2_000, `adapter and extension take ${sum} ms`);
    const { user, system } = process.cpuUsage(hostBefore);
    const adapterAfter = processorTime(adapter);
    log(`a step takes ${((user + system) / 1000 / steps).toFixed(1)} ms of the extension host's processor time, VS Code's part included`);
    if (adapterBefore !== undefined && adapterAfter !== undefined) {
      const each = (adapterAfter - adapterBefore) / steps;
      log(`and ${each.toFixed(1)} ms of the adapter's, with the answers to all that is asked`);
      assert.ok(each < 250, `the adapter takes ${each} ms of processor time in a step`);
    }
    log(`the extension reads the state ${(reads / steps).toFixed(1)} times a step`);
    assert.ok(reads <= steps * 2);
    // One for the state; one more where the focus changes.
    assert.ok(median(times["extension's draws"]) <= 2);
  } finally {
    listening.dispose();
    trace.dispose();
  }
});

/** Waits until VS Code asks for nothing more. */
async function quiet(trace: DapTrace): Promise<void> {
  const started = performance.now();
  while (performance.now() - Math.max(trace.lastAt, started) < quietMilliseconds) await new Promise((resolve) => setTimeout(resolve, 20));
}

test("a running guest does not hold up the extension host, and the status bar tells how fast it runs", async () => {
  const { sessions, status } = await api();
  // The bundled guest soon ends by itself; this one never does.
  const program = vscode.Uri.joinPath(folder().uri, "loop.elf");
  await vscode.workspace.fs.writeFile(program, loop());
  try {
    const launch = { type: "apicscope", request: "launch", name: "loop", program: program.fsPath, cpus: 1 };
    assert.equal(await vscode.debug.startDebugging(undefined, launch), true);
    await eventually("it runs", () => (/MIPS|kIPS/.test(status.text ?? "") ? true : undefined));
    const before = process.cpuUsage();
    const started = performance.now();
    let worst = 0;
    for (let last = started; last < started + 1500;) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      worst = Math.max(worst, performance.now() - last - 5);
      last = performance.now();
    }
    const { user, system } = process.cpuUsage(before);
    const busy = (user + system) / 1000 / (performance.now() - started);
    log(`longest hold-up of the extension host under a running guest: ${worst.toFixed(1)} ms; the status bar says ${status.text}`);
    log(`the extension host was busy for ${(busy * 100).toFixed(1)} % of the time`);
    assert.equal(sessions.shown?.running, true);
    assert.ok(worst < 5_000, `${worst} ms`);
    assert.ok(busy < 0.6, `busy for ${busy * 100} % of the time`);
  } finally {
    await endAll();
    await vscode.workspace.fs.delete(program);
  }
});

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
