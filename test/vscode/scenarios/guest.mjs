// A guest with a screen and a serial line: memtest86+ of Debian's package of that name.
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export const size = { width: 1280, height: 860 };
const program = "/boot/memtest86+x64.bin";

export function workspace(directory) {
  if (!existsSync(program)) throw new Error(`${program} is missing: install the package memtest86+.`);
  const configuration = {
    ...{ type: "apicscope", request: "launch", name: "memtest86+", program, cpus: 2, memory: 64, serial: "terminal" },
    cmdline: "console=ttyS0,115200",
  };
  writeFileSync(join(directory, ".vscode", "launch.json"), JSON.stringify({ version: "0.2.0", configurations: [configuration] }, null, 2));
}

export async function run({ page, workbench, shot }) {
  await workbench.command("View: Close All Editors");
  await workbench.command("View: Show Run and Debug");
  await workbench.startDebugging();
  // The session's terminal is in the panel; what the guest draws comes through its escape sequences.
  await page.locator(".terminal-wrapper.active").first().waitFor({ timeout: 120_000 });
  await page.waitForTimeout(15_000);
  await workbench.command("View: Close Primary Side Bar");
  await page.waitForTimeout(3_000);
  await shot("serial");
  await workbench.command("APICScope: Show Screen");
  const screen = page.locator("iframe.webview.ready").contentFrame().locator("iframe#active-frame").contentFrame();
  await screen.locator("#status", { hasText: "Running" }).waitFor({ timeout: 60_000 });
  await page.waitForTimeout(4_000);
  await shot("screen");
}
