// Drives a real VS Code through the scenarios of test/vscode/scenarios/ and takes the pictures of docs/images/, in the
// dark, the light and the two high-contrast themes:
//   node scripts/vscode-screenshot.mjs [--no-build] [--dark] [--light] [--contrast] [--contrast-light] [--to DIRECTORY] [SCENARIO...]
// A scenario is a module with `async run({ page, workbench, shot })` and, if it wants one, `workspace(directory)`, which
// prepares the folder to open. `shot("name")` saves name-dark.png, name-light.png and so on.
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";
import { SetupError, findChromium, main, openWindow, progress, root, startServer } from "./vscode-server.mjs";
import { Workbench } from "./vscode-workbench.mjs";

const out = join(root, "out", "vscode-screenshot");
const scenarioDirectory = join(root, "test", "vscode", "scenarios");
/** By what the pictures are called: what the setting calls the theme, and the window's class in it. */
const themes = {
  dark: { setting: "Dark Modern", mark: "dark_modern" },
  light: { setting: "Light Modern", mark: "light_modern" },
  contrast: { setting: "Default High Contrast", mark: "hc_black" },
  "contrast-light": { setting: "Default High Contrast Light", mark: "hc_light" },
};

const settings = {
  "workbench.startupEditor": "none",
  // Paths of this machine are nobody's business.
  "breadcrumbs.enabled": false,
  "window.commandCenter": false,
  "window.title": "APICScope",
  "workbench.tips.enabled": false,
  "telemetry.telemetryLevel": "off",
  "workbench.layoutControl.enabled": false,
  "workbench.secondarySideBar.defaultVisibility": "hidden",
  "chat.commandCenter.enabled": false,
  "chat.disableAIFeatures": true,
  "editor.minimap.enabled": false,
  "editor.stickyScroll.enabled": false,
  "editor.fontSize": 13,
  "debug.toolBarLocation": "docked",
  "debug.openDebug": "openOnDebugBreak",
  "debug.internalConsoleOptions": "neverOpen",
  "security.workspace.trust.enabled": false,
};

const args = process.argv.slice(2);
const to = args.includes("--to") ? args.splice(args.indexOf("--to"), 2)[1] : join(root, "docs", "images");
const flags = args.filter((argument) => argument.startsWith("--"));
const patterns = args.filter((argument) => !argument.startsWith("--"));

await main(async () => {
  findChromium();
  mkdirSync(to, { recursive: true });
  if (!flags.includes("--no-build")) {
    const built = spawnSync(process.execPath, [join(root, "scripts", "build.mjs")], { cwd: root, stdio: ["ignore", 2, 2] });
    if (built.status !== 0) throw new SetupError("The extension does not build; see above.");
  }
  const files = readdirSync(scenarioDirectory)
    .filter((file) => file.endsWith(".mjs") && (patterns.length === 0 || patterns.some((pattern) => file.includes(pattern))))
    .sort();
  if (files.length === 0) throw new SetupError(`No scenario matches ${patterns.join(" ") || "test/vscode/scenarios/*.mjs"}.`);
  let failed = 0;
  const { port, stop, log } = await startServer({ data: join(out, "server-data") });
  try {
    for (const theme of Object.keys(themes)) {
      if (flags.some((flag) => Object.hasOwn(themes, flag.slice(2))) && !flags.includes(`--${theme}`)) continue;
      for (const file of files) await play(file, theme, { port, log }).catch(() => failed++);
    }
  } finally {
    await stop();
  }
  return failed === 0 ? 0 : 1;
});

async function play(file, theme, { port, log }) {
  const scenario = await import(pathToFileURL(join(scenarioDirectory, file)).href);
  const name = basename(file, ".mjs");
  const workspace = join(out, name);
  rmSync(workspace, { recursive: true, force: true });
  cpSync(join(root, "test", "vscode", "workspace"), workspace, { recursive: true });
  const settingsFile = join(workspace, ".vscode", "settings.json");
  writeFileSync(settingsFile, JSON.stringify(settings, null, 2));
  await scenario.workspace?.(workspace, root);
  const { page, close } = await openWindow({ port, workspace, log, size: scenario.size ?? { width: 1280, height: 800 } });
  const workbench = new Workbench(page);
  const shot = async (picture) => {
    const path = join(to, `${picture}-${theme}.png`);
    await workbench.closeSecondarySideBar();
    // Nothing that blinks or explains itself on top of what is to be seen.
    const { width, height } = page.viewportSize();
    await page.mouse.move(width / 2, height - 5);
    await page.waitForTimeout(400);
    await page.screenshot({ path, animations: "disabled", caret: "hide" });
    progress(path);
  };
  try {
    await workbench.ready();
    await choose(theme, page, settingsFile);
    await scenario.run({ page, workbench, shot, root, workspace });
  } catch (error) {
    const path = join(out, `${name}-${theme}-failed.png`);
    await page.screenshot({ path });
    progress(`${name} failed; see ${path}\n${error.stack ?? error}`);
    throw error;
  } finally {
    await close();
  }
}

/** Sets the theme once the window knows its themes: what a setting says while they are still being read is forgotten on a busy machine. */
async function choose(theme, page, settingsFile) {
  const { setting, mark } = themes[theme];
  await page.locator('.monaco-workbench[class*="vscode-theme-defaults"]').waitFor({ timeout: 180_000 });
  writeFileSync(settingsFile, JSON.stringify({ ...settings, "workbench.colorTheme": setting }, null, 2));
  await page.locator(`.monaco-workbench[class*="${mark}"]`).waitFor({ timeout: 60_000 });
}
