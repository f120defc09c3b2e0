// How long a step takes on the screen: from the key to the frame of the window in which each part shows where the guest is now. And that the Interrupts view stays where the person has
// scrolled it to, with what they have opened.
import assert from "node:assert/strict";
import { debugBundledGuest } from "../bundledGuest.mjs";

export const name =
  "a step on four CPUs shows on the screen: the line, what CPUs do, the virtual time; the Interrupts view stays where it is";

const steps = 8;
/** How long a step may take to be seen: a computer that does much else takes seconds. The figures are printed. */
const limit = 20_000;
/** Steps after which the Interrupts view must be where it was. */
const scrolledSteps = 3;

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
  await workbench.closePanes("Watch", "Breakpoints");
  await workbench.pane("Interrupts", true);
  await workbench.startDebugging();
  await workbench.stopped(1);
  await page.waitForTimeout(3000);
  await page.evaluate(watch);
  const samples = {};
  for (let step = 0; step < steps; step++) {
    await page.evaluate(() => void (window.stepTimes = undefined));
    await page.waitForTimeout(300);
    // The key steps the CPU in focus, which on a slow computer may still be another.
    await page.locator(status, { hasText: "CPU 1 at" }).waitFor();
    await page.keyboard.press("F11");
    // The handler's first lines are one instruction each: the status bar always shows another place.
    await page
      .waitForFunction(() => window.stepTimes?.shown["status bar"] !== undefined && window.stepTimes.shown.line !== undefined, undefined, {
        timeout: limit,
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
  }

  // Far enough down that the CPUs are above what is shown.
  await workbench.closePanes("Variables", "Call Stack");
  await workbench.expand("I/O APIC");
  await workbench.row("Pin 5").waitFor();
  await workbench.scroll("Pin 5", 4);
  const scrolled = await settledTop(page);
  assert.ok(scrolled.index > 3, `the view is not scrolled: ${JSON.stringify(scrolled)}`);
  log(`at the top of the Interrupts view: row ${scrolled.index}, "${scrolled.name}", ${scrolled.open} rows open`);
  for (let step = 0; step < scrolledSteps; step++) {
    await page.locator(status, { hasText: "CPU 1 at" }).waitFor();
    const before = await page.locator(status).textContent();
    await page.keyboard.press("F11");
    await page.waitForFunction(([selector, text]) => document.querySelector(selector)?.textContent !== text, [status, before]);
    assert.deepEqual(await settledTop(page), scrolled);
  }
}

const status = '[id="apicscope.apicscope.apicscope.status"]';

/** What is at the top of the Interrupts view, once that has not changed for a second: its place in the list, its name, by how many pixels it is cut, and how many rows in sight are open. */
async function settledTop(page) {
  let [last, since] = ["", 0];
  for (let waited = 0; since < 1_000; waited += 100) {
    assert.ok(waited < 60_000, "the view does not come to rest");
    await page.waitForTimeout(100);
    const now = JSON.stringify(await page.evaluate(top));
    since = now === last ? since + 100 : 0;
    last = now;
  }
  return JSON.parse(last);
}

/** In the page. */
function top() {
  const pane = [...document.querySelectorAll(".part.sidebar .pane")].find(
    (element) => element.querySelector(".pane-header .title")?.textContent === "Interrupts",
  );
  const list = pane?.querySelector(".monaco-list");
  if (list == null) return undefined;
  const upper = list.getBoundingClientRect().top;
  const rows = [...list.querySelectorAll(".monaco-list-row")]
    .map((row) => ({
      row,
      index: Number(row.dataset.index),
      from: Math.round(row.getBoundingClientRect().top - upper),
      height: row.clientHeight,
    }))
    .filter(({ from, height }) => from > -height)
    .sort((a, b) => a.index - b.index);
  const [first] = rows;
  if (first === undefined) return undefined;
  const open = rows.filter(({ row }) => row.getAttribute("aria-expanded") === "true").length;
  return { index: first.index, name: first.row.querySelector(".label-name")?.textContent ?? "", from: first.from, open };
}
