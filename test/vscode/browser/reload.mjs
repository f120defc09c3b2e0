// The window is loaded anew while a guest is debugged and its timeline is open.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { root } from "../../../scripts/vscode-server.mjs";
import { adapterProcesses } from "../adapterProcesses.mjs";
import { debugBundledGuest } from "../bundledGuest.mjs";

export const name =
  "a reload of the window ends the guest's process, and the timeline comes back with what it had and says why it stands still";

export const prepare = (workspace) => debugBundledGuest(workspace, "Reloaded");

/** A webview's page: the innermost of two frames. */
function timelineOf(page) {
  return page.locator("iframe.webview.ready").contentFrame().locator("iframe#active-frame").contentFrame();
}

export async function run({ page, workbench, log }) {
  const before = adapterProcesses(root);
  const adapters = () => adapterProcesses(root).filter((pid) => !before.includes(pid));
  await workbench.command("View: Show Run and Debug");
  await workbench.startDebugging();
  await workbench.stopped(1);
  await workbench.command("APICScope: Show Interrupt Timeline");
  const status = timelineOf(page).locator("#status");
  await status.filter({ hasText: "interrupts. Stopped." }).waitFor();
  const shown = /[\d\u2009]+ interrupts/.exec((await status.textContent()) ?? "")?.[0];
  if (process.platform === "linux") assert.equal(adapters().length, 1);

  const loaded = page.waitForEvent("domcontentloaded");
  await workbench.command("Developer: Reload Window");
  await loaded;
  await workbench.ready();
  const restored = timelineOf(page).locator("#status");
  await restored.filter({ hasText: "The window was reloaded, which ended the session; this is what it left." }).waitFor();
  const text = (await restored.textContent()) ?? "";
  log(text);
  assert.ok(shown !== undefined && text.includes(shown), `${shown} before, "${text}" now`);
  await page.locator(".tab", { hasText: "Interrupt Timeline: Reloaded (ended)" }).waitFor();
  for (let waited = 0; adapters().length > 0; waited += 100) {
    assert.ok(waited < 120_000, "the adapter still runs");
    await sleep(100);
  }

  // A new session works as if nothing had been, and takes the timeline over.
  await workbench.command("View: Show Run and Debug");
  await workbench.startDebugging();
  await restored.filter({ hasText: "interrupts. Stopped." }).waitFor();
}
