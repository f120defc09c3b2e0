// What a screen reader is told, through Chromium's accessibility tree, and that all of it works without a mouse: names, context menus, and ways out of the webviews.
import assert from "node:assert/strict";
import { debugBundledGuest } from "../bundledGuest.mjs";

export const name = "screen reader and keyboard: everything has a name in words, and no panel keeps the focus";

export const prepare = (workspace) => debugBundledGuest(workspace, "Spoken");

/** Roles of what a person can act on or read as one thing. */
const named = new Set([
  "button",
  "tab",
  "checkbox",
  "combobox",
  "textbox",
  "treeitem",
  "row",
  "grid",
  "application",
  "columnheader",
  "region",
]);
/** Letters and digits; icons of VS Code's font are from the private use area. */
const inWords = /[\p{L}\p{N}]/u;
const icon = /[\uE000-\uF8FF]|\$\(/u;

export async function run({ page, workbench, log }) {
  const cdp = await page.context().newCDPSession(page);
  const read = async (frameId) => {
    const { nodes } = await cdp.send("Accessibility.getFullAXTree", frameId === undefined ? {} : { frameId });
    return nodes
      .filter(({ ignored }) => !ignored)
      .map(({ role, name, properties = [] }) => ({
        role: role?.value ?? "",
        name: (name?.value ?? "").trim(),
        ...Object.fromEntries(properties.map((property) => [property.name, property.value.value])),
      }));
  };
  /** The tree of the webview whose page has this title. */
  const readWebview = async (title) => {
    const frames = [];
    const collect = ({ frame, childFrames = [] }) => {
      frames.push(frame.id);
      childFrames.forEach(collect);
    };
    collect((await cdp.send("Page.getFrameTree")).frameTree);
    for (const id of frames.reverse()) {
      const nodes = await read(id).catch(() => []);
      if (nodes[0]?.name === title) return nodes;
    }
    throw new Error(`no webview is called ${title}`);
  };
  /** Its page, as playwright has it. */
  const webview = async (selector) => {
    for (let waited = 0; waited < 60_000; waited += 250) {
      for (const frame of page.frames())
        if (
          (await frame
            .locator(selector)
            .count()
            .catch(() => 0)) > 0
        )
          return frame;
      await page.waitForTimeout(250);
    }
    throw new Error(`no webview has ${selector}`);
  };
  const allNamed = (nodes, where) => {
    for (const { role, name } of nodes)
      if (named.has(role)) assert.ok(inWords.test(name) && !icon.test(name), `${where}: a ${role} is called "${name}"`);
  };
  const one = (nodes, role, pattern) => {
    const found = nodes.find((node) => node.role === role && pattern.test(node.name));
    const others = nodes.filter((node) => node.role === role).map(({ name }) => name);
    assert.ok(found !== undefined, `no ${role} ${pattern} among:\n${others.join("\n")}`);
    return found;
  };

  /** Reads until what a check looks for is there: each part of the window is drawn in its own time. */
  const eventually = async (check) => {
    for (let waited = 0; ; waited += 500) {
      const nodes = await read();
      try {
        check(nodes);
        return nodes;
      } catch (error) {
        if (waited >= 60_000) throw error;
      }
      await page.waitForTimeout(500);
    }
  };

  await workbench.command("View: Show Run and Debug");
  await workbench.closePanes("Watch", "Breakpoints", "Variables");
  await workbench.pane("Interrupts", true);
  await workbench.startDebugging();
  await workbench.stopped(1);
  await workbench.row("In Service (ISR)").waitFor();
  await page.locator('.part.statusbar [id="apicscope.apicscope.apicscope.status"]', { hasText: "CPU 1 at" }).waitFor();

  // The call stack, the Interrupts view and its buttons, the status bar.
  const nodes = await eventually((tree) => {
    one(tree, "row", /^Thread CPU 1 · APIC 1 · running, IF=0, serving 0xf0 IPI vector 0xf0, CPU 0 -> CPU 1, delivered/);
    one(tree, "row", /^Thread CPU 2 · APIC 2 · halted, IF=1/);
    one(tree, "treeitem", /^CPU 1, APIC 1 · running, IF=0, serving 0xf0$/);
    one(tree, "treeitem", /^In Service \(ISR\), 0xf0$/);
    one(tree, "button", /^APICScope, paused, CPU 1 at \S+, virtual time \S+ ms$/);
    for (const action of [/^Add Interrupt Breakpoint/, /^Show Interrupt Timeline$/, /^Inject an Interrupt/]) one(tree, "button", action);
  });
  allNamed(
    nodes.filter(({ role }) => role === "treeitem"),
    "a view",
  );

  // The view by keyboard: to a vector, and its context menu with all that its buttons do.
  await workbench.command("Focus on Interrupts View");
  const row = () =>
    page.evaluate(() => document.activeElement?.querySelector(".monaco-list-row.focused")?.getAttribute("aria-label") ?? "");
  const opened = () =>
    page.evaluate(() => document.activeElement?.querySelector(".monaco-list-row.focused")?.getAttribute("aria-expanded") === "true");
  await page.keyboard.press("End");
  await eventually((tree) => one(tree, "treeitem", /^Message-Signaled Interrupts, /));
  /** Presses a key until it has done something: VS Code may be drawing the view anew, or show what it did a moment later. */
  const press = async (key, done) => {
    await page.keyboard.press(key);
    for (let waited = 0; !(await done()) && waited < 5_000; waited += 50) await page.waitForTimeout(50);
  };
  await press("Home", async () => (await row()).startsWith("CPU 0, "));
  for (let moved = 0; !(await row()).startsWith("0xf0, edge"); moved++) {
    assert.ok(moved < 40, "the vector in service is not reached by arrow keys");
    const from = await row();
    // To the right: opens the row or, where it is open, goes to its first.
    if (!from.startsWith("In Service")) await press("ArrowDown", async () => (await row()) !== from);
    else await press("ArrowRight", async () => (await row()) !== from || (await opened()));
  }
  await page.keyboard.press("Shift+F10");
  await page.locator(".monaco-menu .action-label", { hasText: "Copy Value" }).waitFor();
  const actions = [
    /^Why Is an Interrupt Not Delivered\?/,
    /^Go to Interrupt Handler/,
    /^Go to Sender/,
    /^Inject an Interrupt/,
    /^Break on This/,
  ];
  await eventually((menu) => actions.forEach((action) => one(menu, "menuitem", action)));
  await press("Escape", async () => (await row()).startsWith("0xf0, edge"));
  assert.match(await row(), /^0xf0, edge/);

  // At the next stop a row says that it has changed.
  await page.keyboard.press("Shift+F11");
  await page.locator('.pane-body [role="treeitem"][aria-label$=", changed"]').first().waitFor();

  // The timeline: every control and row in words; Tab leads through it and out.
  await workbench.command("APICScope: Show Interrupt Timeline");
  const timeline = await webview("#tab-table");
  await timeline.locator("#status", { hasText: "Stopped." }).waitFor();
  one(await readWebview("Interrupt Timeline"), "application", /^Interrupt timeline\. .*The Table tab has the same data/);
  await timeline.locator("#tab-timeline").focus();
  await page.keyboard.press("ArrowRight");
  await timeline.locator("#records tbody tr").first().waitFor();
  const table = await readWebview("Interrupt Timeline");
  allNamed(table, "the timeline");
  one(table, "grid", /^Interrupts$/);
  one(table, "row", /IPI vector 0xf0, CPU 0 → CPU 1/);
  for (const column of ["Record", "Interrupt", "Sent", "Latency", "Handler", "State"])
    one(table, "columnheader", new RegExp(`^${column}$`));
  log(`the timeline by Tab: ${(await tabOut(page, timeline)).join(", ")}`);

  // The screen takes every key but gives them back, as it says.
  await workbench.command("APICScope: Show Screen");
  const screen = await webview("#ctrl-alt-del");
  await screen.locator("#status", { hasText: "Stopped." }).waitFor();
  const shown = await readWebview("Guest Screen");
  allNamed(shown, "the screen");
  one(shown, "application", /^Guest screen\. .*Control and Alt together/);
  one(shown, "region", /^Text on the guest's screen$/);
  await screen.locator("#screen").focus();
  const focused = () => screen.evaluate(() => document.activeElement?.id ?? "");
  for (const key of ["Tab", "Escape", "F1"]) await page.keyboard.press(key);
  // Time for a palette that must not come.
  await page.waitForTimeout(1_000);
  assert.equal(await focused(), "screen");
  assert.equal(await page.locator(".quick-input-widget").isVisible(), false);
  assert.match(await screen.locator("#hint").textContent(), /Ctrl\+Alt gives them back/);
  await page.keyboard.press("Control+Alt");
  await screen.locator("#hint[aria-live]", { hasText: "press Tab, to type" }).waitFor();
  assert.equal(await focused(), "");
  log(`the screen by Tab: ${(await tabOut(page, screen)).join(", ")}`);
}

/** Presses Tab until the focus has left the webview. Returns what had it. */
async function tabOut(page, frame) {
  const seen = [];
  for (let pressed = 0; pressed < 40; pressed++) {
    await page.keyboard.press("Tab");
    await page.waitForTimeout(60);
    const inside = await frame.evaluate(() => (document.hasFocus() ? document.activeElement.id || document.activeElement.tagName : ""));
    if (inside === "") return seen;
    seen.push(inside);
  }
  throw new Error(`Tab never leaves: ${seen.join(", ")}`);
}
