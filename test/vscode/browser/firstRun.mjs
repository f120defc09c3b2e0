// A new user with the package from `npm run package` and the README: installs it, opens a folder with a kernel and nothing else, presses F5.
import { copyFileSync } from "node:fs";
import { join } from "node:path";

export const name = "the installed package debugs a kernel of a bare folder on F5";
export const installed = true;

export function prepare(workspace) {
  copyFileSync(join("guests", "smp", "smp.elf"), join(workspace, "kernel.elf"));
}

export async function run({ page, workbench, shot, log }) {
  const quickInput = page.locator(".quick-input-widget");
  await workbench.command("View: Show Run and Debug");
  await page.waitForTimeout(2_000);
  await shot("1-run-and-debug");

  // Without a launch.json VS Code asks which debugger, then what to debug.
  const debuggers = quickInput.locator(".monaco-list-row", { hasText: "APICScope" }).first();
  for (let attempt = 1; ; attempt++) {
    // A window that has just come up may not listen to the key yet.
    await page.keyboard.press("F5");
    try {
      await debuggers.waitFor({ timeout: 20_000 });
      break;
    } catch (error) {
      if (attempt === 5) throw error;
    }
  }
  await debuggers.click();
  const kernel = quickInput.locator(".monaco-list-row", { hasText: "APICScope: kernel.elf" });
  await kernel.first().waitFor();
  await shot("2-guests");
  const offered = await kernel.count();
  log(`${offered} offer of the kernel`);
  await kernel.first().click();
  // What the kernel writes to its serial port is in the Debug Console.
  await page.locator(".repl .monaco-list-row", { hasText: "ok: " }).first().waitFor();
  await shot("3-kernel");
  if (offered !== 1) throw new Error(`the kernel is offered ${offered} times`);
}
