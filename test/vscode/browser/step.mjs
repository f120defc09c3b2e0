// How long a step takes on the screen: from the key to the frame of the window in which each part shows where the guest is now.
import assert from "node:assert/strict";
import { debugBundledGuest } from "../bundledGuest.mjs";

export const name = "a step on four CPUs shows on the screen: the line, what CPUs do, the virtual time";

const steps = 8;
/** On a computer that does other work too. */
const limit = 3_000;

export const prepare = (workspace) => debugBundledGuest(workspace, "Steps");

/** In the page: from now on, notes when what the parts show changes for the first time after a key. */
function watch() {
  const text = (selector) => [...document.querySelectorAll(selector)].map((element) => element.textContent).join("|");
  const parts = {
    line: () =>
      [...document.querySelectorAll(".debug-top-stack-frame-line")].map((element) => element.parentElement?.style.top).join() +
      text(".disassembly-view .monaco-list-row.focused"),
    "status bar": () => text('[id="apicscope.apicscope.apicscope.status"]'),
    "Interrupts view": () =>
      text('.pane[aria-label*="Interrupts"] .monaco-list-row, .pane:has([aria-label="Interrupts"]) .monaco-list-row'),
    "call stack": () => text(".debug-call-stack .monaco-list-row"),
  };
  window.stepTimes = undefined;
  let known = {};
  const look = () => {
    const times = window.stepTimes;
    for (const [part, read] of Object.entries(parts)) {
      const now = read();
      if (times !== undefined && times.shown[part] === undefined && now !== known[part] && now !== "")
        times.shown[part] = performance.now() - times.key;
      if (times === undefined || times.shown[part] === undefined) known[part] = times === undefined ? now : known[part];
    }
    requestAnimationFrame(look);
  };
  look();
  window.addEventListener(
    "keydown",
    (event) => {
      if (event.key === "F11") window.stepTimes = { key: performance.now(), shown: {} };
    },
    true,
  );
}

export async function run({ page, workbench, log }) {
  await workbench.command("View: Show Run and Debug");
  for (const pane of ["Watch", "Breakpoints", "Loaded Scripts"]) await workbench.pane(pane, false).catch(() => undefined);
  await workbench.pane("Interrupts", true);
  await workbench.startDebugging();
  await workbench.row("serving 0xf0").waitFor({ timeout: 120_000 });
  await page.locator(".debug-top-stack-frame-line").first().waitFor({ timeout: 60_000 });
  await page.waitForTimeout(3000);
  await page.evaluate(watch);
  const samples = {};
  for (let step = 0; step < steps; step++) {
    await page.evaluate(() => void (window.stepTimes = undefined));
    await page.waitForTimeout(300);
    await page.keyboard.press("F11");
    // The virtual time goes on in every step, so that the status bar always shows another one.
    await page
      .waitForFunction(() => window.stepTimes?.shown["status bar"] !== undefined && window.stepTimes.shown.line !== undefined, undefined, {
        timeout: 20_000,
      })
      .catch(() => undefined);
    // VS Code waits 400 ms before it reads variables, and a little more before the rest of the stack.
    await page.waitForTimeout(700);
    const { shown } = await page.evaluate(() => window.stepTimes);
    for (const [part, time] of Object.entries(shown)) (samples[part] ??= []).push(time);
  }
  for (const [part, list] of Object.entries(samples)) {
    list.sort((a, b) => a - b);
    log(
      `${part}: ${list.length} of ${steps} steps changed it; median ${list[list.length >> 1].toFixed(0)} ms, fastest ${list[0].toFixed(0)}, slowest ${list.at(-1).toFixed(0)}`,
    );
  }
  for (const part of ["line", "status bar"]) {
    assert.ok(samples[part]?.length > steps / 2, `${part} did not change`);
    assert.ok(samples[part][samples[part].length >> 1] < limit, `${part} takes too long`);
  }
}
