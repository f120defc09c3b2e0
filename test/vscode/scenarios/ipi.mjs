// The main job: the bundled guest on four CPUs, stopped as CPU 1 takes an IPI that CPU 0 sent.
export const size = { width: 1440, height: 1060 };

export async function run({ page, workbench, shot }) {
  await workbench.command("View: Show Run and Debug");
  await workbench.sideBarWidth(480);
  for (const pane of ["Watch", "Breakpoints"]) await workbench.pane(pane, false);
  await workbench.pane("Interrupts", true);
  await workbench.command("APICScope: Add Interrupt Breakpoint");
  await workbench.answer("interrupt.deliver");
  await workbench.answer("vector == 0xf0 && dst == 1");
  await page.keyboard.press("F5");
  // The stopped session shows the CPUs; a machine under load takes its time.
  await page.locator(".monaco-list-row", { hasText: "In Service (ISR)" }).first().waitFor({ timeout: 40_000 });
  await page.waitForTimeout(1500);
  for (const pane of ["Watch", "Breakpoints"]) await workbench.pane(pane, false);
  await workbench.collapse("Registers");
  await workbench.expand("Local APIC");
  await workbench.dragPane("Loaded Scripts", -190);
  // The bit registers stand at the end of the list.
  await workbench.scroll("LDR", 12);
  await page.waitForTimeout(1000);
  await shot("ipi");

  // On to the end of the interrupt: what has changed since is marked.
  await workbench.command("APICScope: Add Interrupt Breakpoint");
  await workbench.answer("interrupt.eoi");
  await workbench.answer("vector == 0xf0 && dst == 1");
  await page.keyboard.press("F5");
  await workbench.row("ended").waitFor({ timeout: 60_000 });
  await workbench.expand("Last Events");
  await page.waitForTimeout(1500);
  await shot("eoi");
}
