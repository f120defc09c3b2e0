// How an interrupt breakpoint is made: pick a stage, write a condition.
export async function run({ page, workbench, shot }) {
  await workbench.command("View: Show Run and Debug");
  for (const pane of ["Watch", "Call Stack"]) await workbench.pane(pane, false);
  await workbench.pane("Interrupts", true);
  await workbench.sideBarWidth(420);
  await workbench.command("APICScope: Add Interrupt Breakpoint");
  await page.locator(".quick-input-widget input.input").fill("deliver");
  await page.waitForTimeout(500);
  await page.keyboard.press("Enter");
  await workbench.answer("vector == 0xf0 && dst == 1");
  await workbench.row("Interrupt Delivered").waitFor();
  await workbench.command("APICScope: Add Interrupt Breakpoint");
  await page.waitForTimeout(500);
  await shot("add-breakpoint");
  await page.keyboard.press("Escape");
}
