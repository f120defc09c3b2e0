// Everything a new user meets, in one window: the walkthrough, launch.json, an interrupt breakpoint, and the main job: the bundled guest on four CPUs, stopped as CPU 1
// takes an IPI that CPU 0 sent, and again at its end.
import { writeFileSync } from "node:fs";
import { join } from "node:path";

export const size = { width: 1280, height: 860 };

export function workspace(directory) {
  const configuration = { type: "apicscope", request: "launch", name: "Bundled guest", program: "${command:bundledGuest}", cpus: 4 };
  writeFileSync(
    join(directory, ".vscode", "launch.json"),
    JSON.stringify({ version: "0.2.0", configurations: [configuration] }, null, 2).replace("\n    }\n", "\n    }\n    \n"),
  );
}

export async function run({ page, workbench, shot }) {
  await workbench.command("View: Toggle Primary Side Bar Visibility");
  await workbench.command("APICScope: Get Started");
  await page.locator(".gettingStartedContainer .step-title", { hasText: "Stop on an interrupt" }).first().click();
  await page.waitForTimeout(1500);
  await shot("walkthrough");
  await workbench.command("View: Close All Editors");
  await workbench.command("View: Toggle Primary Side Bar Visibility");

  await workbench.open("launch.json");
  await page.locator(".view-lines", { hasText: "Bundled guest" }).first().waitFor();
  await workbench.open("launch.json", 11);
  await page.keyboard.press("End");
  // Until VS Code has read the schema it offers words of the file.
  const snippet = page.locator(".suggest-widget .monaco-list-row", { hasText: "APICScope: " }).first();
  for (let attempt = 1; ; attempt++) {
    await page.keyboard.press("Control+Space");
    try {
      await snippet.waitFor({ timeout: 5_000 });
      break;
    } catch (error) {
      if (attempt === 10) throw error;
      await page.keyboard.press("Escape");
    }
  }
  await page.waitForTimeout(1500);
  await shot("launch-json");
  await page.keyboard.press("Escape");
  await workbench.command("File: Revert File");
  await workbench.command("View: Close All Editors");

  await workbench.command("View: Show Run and Debug");
  await workbench.sideBarWidth(440);
  await workbench.closePanes("Watch", "Breakpoints");
  await workbench.pane("Interrupts", true);
  await workbench.command("APICScope: Add Interrupt Breakpoint");
  await page.locator(".quick-input-widget input.input").fill("deliver");
  await page.waitForTimeout(800);
  await shot("add-breakpoint");
  await page.keyboard.press("Enter");
  await workbench.answer("vector == 0xf0 && dst == 1");
  await workbench.startDebugging();
  // The stopped session shows the CPUs; a machine under load takes its time.
  await page.locator(".monaco-list-row", { hasText: "serving 0xf0" }).last().waitFor({ timeout: 120_000 });
  await page.waitForTimeout(2500);
  await workbench.closePanes("Watch", "Breakpoints");
  await workbench.pane("Variables", false);
  await page.locator(".monaco-list-row", { hasText: "In Service (ISR)" }).first().waitFor({ timeout: 60_000 });
  await workbench.expand("Masked By");
  await page.waitForTimeout(800);
  await shot("interrupts-view");

  // What a row can do, and what a CPU of the call stack can do.
  await workbench.command("APICScope: Why Is an Interrupt Not Delivered?");
  await workbench.answer("0xf0 cpu1");
  await page.locator(".repl .monaco-list-row", { hasText: "is in service" }).first().waitFor({ timeout: 30_000 });
  await shot("console");
  await workbench.row("CPU 2 · APIC 2").click({ button: "right" });
  await page.waitForTimeout(1200);
  await shot("call-stack");
  await page.keyboard.press("Escape");
  await workbench.closePanel();

  await workbench.pane("Call Stack", false);
  await workbench.pane("Variables", true);
  await workbench.collapse("Registers");
  await workbench.expand("Local APIC");
  await page.waitForTimeout(1500);
  await shot("ipi");

  // On to the end of the interrupt: what has changed since is marked.
  await workbench.command("APICScope: Add Interrupt Breakpoint");
  await workbench.answer("interrupt.eoi");
  await workbench.answer("vector == 0xf0 && dst == 1");
  await page.keyboard.press("F5");
  await page.locator(".monaco-list-row", { hasText: "In Service (ISR)none" }).first().waitFor({ timeout: 90_000 });
  await workbench.pane("Variables", false);
  await workbench.expand("Last Events");
  await page.waitForTimeout(1500);
  await shot("eoi");
}
