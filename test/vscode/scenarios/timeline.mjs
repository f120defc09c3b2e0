// The timeline of a stopped guest beside its source with its statistics.
export const size = { width: 1440, height: 900 };

/** A webview's page: the innermost of two frames. */
function webview(page, name) {
  return page.locator(`iframe.webview.ready`).contentFrame().locator(`iframe[title="${name}"], iframe#active-frame`).contentFrame();
}

export async function run({ page, workbench, shot }) {
  await workbench.command("View: Show Run and Debug");
  await workbench.command("APICScope: Add Interrupt Breakpoint");
  await workbench.answer("interrupt.eoi");
  await workbench.answer("vector == 0xf0 && dst == 3");
  await workbench.startDebugging();
  await page.locator(".codelens-decoration", { hasText: "Sent " }).first().waitFor({ timeout: 90_000 });
  await workbench.sideBarWidth(300);
  await shot("source");
  await workbench.command("View: Close Primary Side Bar");
  await workbench.command("APICScope: Show Interrupt Timeline");
  const timeline = webview(page, "Interrupt Timeline");
  await timeline.locator("#status", { hasText: "interrupts. Stopped" }).waitFor({ timeout: 60_000 });
  await timeline.locator("#scroller").click({ position: { x: 300, y: 300 } });
  // The last eighth of the time, where handlers are wide enough to be seen, and the last interrupt.
  for (const key of ["0", "+", "+", "+", "End", "p"]) await page.keyboard.press(key);
  await page.waitForTimeout(800);
  await shot("timeline");
  await timeline.locator("#tab-statistics").click();
  await page.waitForTimeout(800);
  await shot("statistics");
}
