// How long activation and steps take. The figures are printed; the limits leave room for a busy computer.
import assert from "node:assert/strict";
import * as vscode from "vscode";
import { activationTime, api } from "./extension";
import { eventually, log, test } from "./runner";

const minute = 60_000;

test("the extension activates quickly", async () => {
  await api();
  const time = activationTime();
  if (time === undefined) return log("activation: it was active before the tests");
  log(`activation: ${time.milliseconds.toFixed(1)} ms, ${time.cpu.toFixed(1)} ms of processor time`);
  assert.ok(time.cpu < 1000);
});

test(
  "a step on four CPUs shows quickly",
  async () => {
    const { breakpoints, sessions, interrupts } = await api();
    await breakpoints.removeAll();
    await breakpoints.add({ filter: "interrupt.deliver", condition: "vector == 0xf0 && dst == 1" });
    await vscode.commands.executeCommand("apicscope.interrupts.focus");
    try {
      assert.equal(await vscode.debug.startDebugging(vscode.workspace.workspaceFolders?.[0], "Bundled guest"), true);
      await eventually("the stop", () => (sessions.shown?.running === false ? sessions.shown.history.state : undefined), minute);
      await eventually("the focus", () => sessions.focusedThread, minute);
      const shown: number[] = [];
      for (let step = 0; step < 15; step++) {
        const { stopSequence } = sessions.shown?.history.state ?? { stopSequence: -1 };
        const { draws } = interrupts;
        const started = performance.now();
        await vscode.commands.executeCommand("workbench.action.debug.stepInto");
        // The state has been read, and the view has been told to draw it.
        while ((sessions.shown?.history.state?.stopSequence ?? -1) === stopSequence || interrupts.draws === draws) {
          if (performance.now() - started > minute) throw new Error("no stop");
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
        shown.push(performance.now() - started);
        await eventually("the focus", () => sessions.focusedThread, minute);
      }
      const sorted = [...shown].sort((a, b) => a - b);
      log(`a step shows in: median ${sorted[7].toFixed(1)} ms, fastest ${sorted[0].toFixed(1)} ms, slowest ${sorted[14].toFixed(1)} ms`);
      assert.ok(sorted[7] < 2000, `median ${sorted[7]} ms`);
    } finally {
      await vscode.debug.stopDebugging();
      await breakpoints.removeAll();
      await eventually("the session ends", () => (sessions.shown === undefined ? true : undefined), minute);
    }
  },
  { timeout: 4 * minute },
);

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
