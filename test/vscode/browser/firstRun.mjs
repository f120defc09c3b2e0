// A new user with the package from `npm run package` and the README: installs it, opens a folder with a kernel and nothing else, presses F5; then the bundled guest.
import { copyFileSync } from "node:fs";
import { join } from "node:path";

export const name =
  "the installed package debugs a kernel of a bare folder on F5, and the bundled guest by its command, to the interrupt and its timeline";
export const installed = true;

export function prepare(workspace) {
  copyFileSync(join("guests", "smp", "smp.elf"), join(workspace, "kernel.elf"));
}

export async function run({ page, workbench, shot, log }) {
  const quickInput = page.locator(".quick-input-widget");
  await workbench.command("View: Show Run and Debug");
  await page.waitForTimeout(2_000);
  await shot("1-run-and-debug");

  // Without a launch.json VS Code asks which debugger, unless there is one only.
  const row = quickInput.locator(".monaco-list-row", { hasText: "APICScope" }).first();
  const ended = page.locator(".repl .monaco-list-row", { hasText: /all .*passed|exit|ended|ok: /i }).first();
  for (let attempt = 1; ; attempt++) {
    // A window that has just come up may not listen to the key yet.
    await page.keyboard.press("F5");
    try {
      await row.or(ended).first().waitFor({ timeout: 20_000 });
      break;
    } catch (error) {
      if (attempt === 5) throw error;
    }
  }
  await shot("2-after-f5");
  if (await row.isVisible()) await row.click();
  await ended.waitFor({ timeout: 120_000 });
  await page.waitForTimeout(3_000);
  await shot("3-own-kernel");

  await workbench.command("APICScope: Debug the Bundled Guest");
  await workbench.row("CPU 0 · APIC 0").waitFor({ timeout: 120_000 });
  await workbench.command("APICScope: Add Interrupt Breakpoint");
  await workbench.answer("interrupt.deliver");
  await workbench.answer("vector == 0xf0 && dst == 1");
  await page.keyboard.press("F5");
  await workbench.row("serving 0xf0").waitFor({ timeout: 120_000 });
  await page.waitForTimeout(3_000);
  await shot("4-stopped");
  await workbench.command("APICScope: Show Interrupt Timeline");
  const timeline = page.locator("iframe.webview.ready").contentFrame().locator("iframe#active-frame").contentFrame();
  const status = timeline.locator("#status", { hasText: "interrupts. Stopped." });
  await status.waitFor({ timeout: 60_000 });
  log(await status.textContent());
  await shot("5-timeline");
}
