// The window is loaded anew while a guest is debugged and its timeline is open.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { debugBundledGuest } from "../bundledGuest.mjs";

export const name =
  "a reload of the window ends the guest's process, and the timeline comes back with what it had and says why it stands still";

export const prepare = (workspace) => debugBundledGuest(workspace, "Reloaded");

/** Process ids of adapters, where the system tells: Linux. */
function adapters() {
  if (process.platform !== "linux") return [];
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .filter((pid) => {
      try {
        const [, program, command] = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
        return command === "dap" && program.endsWith(join("dist", "cli.js"));
      } catch {
        return false;
      }
    });
}

/** A webview's page: the innermost of two frames. */
function timelineOf(page) {
  return page.locator("iframe.webview.ready").contentFrame().locator("iframe#active-frame").contentFrame();
}

export async function run({ page, workbench, log }) {
  const before = adapters();
  await workbench.command("View: Show Run and Debug");
  await workbench.startDebugging();
  await workbench.row("serving 0xf0").waitFor({ timeout: 120_000 });
  await workbench.command("APICScope: Show Interrupt Timeline");
  const status = timelineOf(page).locator("#status");
  await status.filter({ hasText: "interrupts. Stopped." }).waitFor({ timeout: 60_000 });
  const shown = /[\d\u2009]+ interrupts/.exec((await status.textContent()) ?? "")?.[0];
  if (process.platform === "linux") assert.equal(adapters().length - before.length, 1);

  // The palette's own answer never comes: the page goes.
  await workbench.command("Developer: Reload Window");
  await workbench.ready();
  const restored = timelineOf(page).locator("#status");
  await restored
    .filter({ hasText: "The window was reloaded, which ended the session; this is what it left." })
    .waitFor({ timeout: 120_000 });
  const text = (await restored.textContent()) ?? "";
  log(text);
  assert.ok(shown !== undefined && text.includes(shown), `${shown} before, "${text}" now`);
  await page.locator(".tab", { hasText: "Interrupt Timeline: Reloaded (ended)" }).waitFor();
  for (let waited = 0; adapters().length > before.length; waited += 100) {
    assert.ok(waited < 30_000, "the adapter still runs");
    await sleep(100);
  }

  // A new session works as if nothing had been, and takes the timeline over.
  await workbench.command("View: Show Run and Debug");
  await workbench.startDebugging();
  await restored.filter({ hasText: "interrupts. Stopped." }).waitFor({ timeout: 120_000 });
}
