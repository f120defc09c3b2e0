/** A VS Code window as scenarios use it: by what a person sees in it. `page` is playwright's. */
export class Workbench {
  constructor(page) {
    this.page = page;
    // Nothing takes that long however busy the machine is: only what never comes meets it.
    page.setDefaultTimeout(180_000);
  }

  async ready() {
    await this.page.locator(".monaco-workbench .part.statusbar").waitFor();
    // Commands of built-in extensions come a moment later.
    await this.page.waitForTimeout(2500);
    await this.closeSecondarySideBar();
  }

  /** VS Code may open it by itself, at once or later. */
  async closeSecondarySideBar() {
    if (await this.page.locator(".part.auxiliarybar").isVisible()) await this.command("View: Toggle Secondary Side Bar Visibility");
  }

  async closePanel() {
    if (await this.page.locator(".part.panel").isVisible()) await this.command("View: Hide Panel");
  }

  /** Opens or closes a view of the side bar by its title. */
  async pane(title, open) {
    const header = this.page.locator(".part.sidebar .pane-header").filter({ hasText: title }).first();
    await header.waitFor();
    if ((await header.getAttribute("aria-expanded")) !== String(open)) await header.click({ position: { x: 30, y: 10 } });
    await this.page.waitForTimeout(250);
  }

  /** Closes views of the side bar, to make room for others. */
  async closePanes(...titles) {
    for (const title of titles) await this.pane(title, false);
  }

  /** Runs a command by its name in the Command Palette. */
  async command(title) {
    const input = this.page.locator(".quick-input-widget input.input");
    // Something may take the focus and so close the palette, such as the source of a stop that VS Code opens: try again. Not by Enter, which would then go elsewhere.
    for (let attempt = 1; ; attempt++) {
      await this.page.keyboard.press("F1");
      try {
        await input.fill(`>${title}`, { timeout: 15_000 });
        // The list follows what is typed a moment later.
        await this.page.locator(".quick-input-list .monaco-list-row.focused", { hasText: title }).first().click({ timeout: 15_000 });
        break;
      } catch (error) {
        await this.page.keyboard.press("Escape");
        if (attempt === 5) throw error;
      }
    }
    await this.answered(`>${title}`);
    await this.page.waitForTimeout(200);
  }

  /** Waits until a quick pick or input box has gone, or made way for another: an answer given meanwhile would be taken for its own. */
  async answered(text) {
    try {
      await this.page.waitForFunction((was) => {
        const widget = document.querySelector(".quick-input-widget");
        return widget === null || !widget.checkVisibility() || widget.querySelector("input.input")?.value !== was;
      }, text);
    } catch (error) {
      // The command has the page loaded anew.
      if (!/context was destroyed|navigation/i.test(String(error))) throw error;
    }
  }

  /**
   * Starts the chosen launch configuration, until the extension's entry in the status bar tells of it. A window that has just come up may not listen to the key yet; once it debugs,
   * another key would have the guest go on.
   */
  async startDebugging() {
    const status = this.page.locator('.part.statusbar [id="apicscope.apicscope.apicscope.status"]');
    const toolbar = this.page.locator(".codicon-debug-stop, .codicon-debug-disconnect");
    for (let attempt = 1; ; attempt++) {
      await this.page.keyboard.press("F5");
      try {
        await status.or(toolbar).first().waitFor({ timeout: 25_000 });
        break;
      } catch (error) {
        if (attempt === 5) throw error;
      }
    }
    await status.waitFor();
  }

  /** Waits until the window shows where a guest stands: by then VS Code has opened the source and given it the focus. */
  async stopped(cpu) {
    await this.page.locator('.part.statusbar [id="apicscope.apicscope.apicscope.status"]', { hasText: `CPU ${cpu} at` }).waitFor();
    await this.page.locator(".debug-top-stack-frame-line").first().waitFor();
  }

  /** Answers the open quick pick or input box. */
  async answer(text) {
    const input = this.page.locator(".quick-input-widget input.input");
    await input.waitFor({ state: "visible" });
    await input.fill(text);
    // A quick pick's list follows a moment later, and Enter takes the row in focus, whatever that is.
    await this.page.waitForFunction((wanted) => {
      const list = document.querySelector(".quick-input-list");
      const row = list?.querySelector(".monaco-list-row.focused");
      return list === null || !list.checkVisibility() || (row?.textContent ?? "").toLowerCase().includes(wanted.toLowerCase());
    }, text);
    await this.page.keyboard.press("Enter");
    await this.answered(text);
    await this.page.waitForTimeout(300);
  }

  /** Opens a file of the workspace or of the disk at a line. */
  async open(path, line) {
    await this.page.keyboard.press("Control+P");
    await this.page.locator(".quick-input-widget input.input").fill(line === undefined ? path : `${path}:${line}`);
    // Files are looked for meanwhile.
    await this.page.locator(".quick-input-list .monaco-list-row", { hasText: path }).first().waitFor();
    await this.page.keyboard.press("Enter");
    await this.page.waitForTimeout(500);
  }

  /** A row of any tree by part of its text. */
  row(text) {
    return this.page.locator(".monaco-list-row", { hasText: text }).first();
  }

  /** Opens a row that is closed. */
  async expand(text) {
    await this.setExpanded(text, true);
  }

  /** Closes a row that is open. */
  async collapse(text) {
    await this.setExpanded(text, false);
  }

  /** Drags the upper border of a view of the side bar, by pixels down; what is above it grows. */
  async dragPane(title, pixels) {
    const header = await this.page.locator(".part.sidebar .pane-header").filter({ hasText: title }).first().boundingBox();
    if (header === null) return;
    await this.page.mouse.move(header.x + header.width / 2, header.y);
    await this.page.waitForTimeout(400);
    await this.page.mouse.down();
    await this.page.mouse.move(header.x + header.width / 2, header.y + pixels, { steps: 8 });
    await this.page.mouse.up();
  }

  /** Turns the mouse wheel over the list of a row, by so many notches. */
  async scroll(text, notches) {
    await this.row(text).hover();
    for (let notch = 0; notch < notches; notch++) {
      await this.page.mouse.wheel(0, 100);
      await this.page.waitForTimeout(60);
    }
  }

  async setExpanded(text, expanded) {
    const row = this.row(text);
    await row.waitFor();
    if ((await row.getAttribute("aria-expanded")) === String(!expanded)) await row.locator(".monaco-tl-twistie").click();
    await this.page.waitForTimeout(200);
  }

  /** Drags the border of the side bar to a width in pixels. */
  async sideBarWidth(width) {
    const bar = await this.page.locator(".part.sidebar").boundingBox();
    if (bar === null) return;
    await this.page.mouse.move(bar.x + bar.width, bar.y + bar.height / 2);
    await this.page.mouse.down();
    await this.page.mouse.move(bar.x + width, bar.y + bar.height / 2, { steps: 5 });
    await this.page.mouse.up();
  }

  async dismissNotifications() {
    await this.command("Notifications: Clear All Notifications");
  }
}
