// Runs the extension's tests inside a real VS Code and prints each result:
//   node scripts/vscode-test.mjs [--no-build] [--server] [PATTERN...]
// test/vscode/*.test.ts run in the extension host. test/vscode/browser/*.mjs drive a window from outside, by what a person sees
// and does: each is a module with a `name`, `async run({ page, workbench, workspace, log, shot })` and, if it wants one,
// `prepare(workspace)`; with `installed` set, in a new profile that has the extension's .vsix installed. They need the
// server, where the window is a page of Chromium.
// The desktop build is used where VSCODE_PATH names one or @vscode/test-electron can download it, else the server of
// vscode-server.mjs (--server: always). PATTERNs choose test files by name. Ends with `N passed, N failed`; the exit status
// is 0 only if every test passed and at least one ran.
import { build } from "esbuild";
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";
import { clearInterval, setInterval } from "node:timers";
import { setTimeout as sleep } from "node:timers/promises";
import { SetupError, WindowError, findChromium, main, openWindow, out, progress, root, startServer } from "./vscode-server.mjs";
import { Workbench } from "./vscode-workbench.mjs";

/** The version that the desktop route downloads. */
const desktopVersion = process.env.VSCODE_VERSION ?? "1.139.1";
/** How long the update site may take to answer before the server route is taken, and the whole download after that. */
const probeMilliseconds = 5_000;
const downloadMilliseconds = 120_000;
/** How long nothing may be reported by the tests before the run is given up. Each test has its own, shorter limit. */
const silenceMilliseconds = Number(process.env.VSCODE_TEST_SILENCE ?? 8 * 60_000);
/** How long a test that drives a window may take: each takes a minute or two on two processors, and what hangs takes for ever. */
const browserTestMilliseconds = 15 * 60_000;

const flags = process.argv.slice(2).filter((argument) => argument.startsWith("--"));
const patterns = process.argv.slice(2).filter((argument) => !argument.startsWith("--"));
const tests = join(out, "index.js");
const workspace = join(out, "workspace");
const report = join(out, "report.jsonl");

await main(async () => {
  mkdirSync(out, { recursive: true });
  const directory = join(root, "test", "vscode");
  const suite = chosen(directory, ".test.ts");
  const driven = chosen(join(directory, "browser"), ".mjs");
  if (suite.length + driven.length === 0) throw new SetupError(`No extension test matches ${patterns.join(" ")}.`);
  if (!flags.includes("--no-build")) buildExtension();
  if (suite.length > 0) await bundleTests(directory, suite);
  rmSync(workspace, { recursive: true, force: true });
  cpSync(join(directory, "workspace"), workspace, { recursive: true });
  rmSync(report, { force: true });
  const env = { APICSCOPE_TEST_REPORT: report, APICSCOPE_TEST_ROOT: root };
  const desktop = flags.includes("--server") ? undefined : await findDesktop();
  const results = desktop === undefined ? await runInServer(env, suite, driven) : await runOnDesktop(desktop, env);
  if (desktop !== undefined && driven.length > 0) progress(`${driven.length} tests that drive a window need --server: left out`);
  console.log(`${results.passed} passed, ${results.failed} failed`);
  return results.complete && results.failed === 0 && results.passed > 0 ? 0 : 1;
});

/** Test files of a directory that the patterns choose. */
function chosen(directory, ending) {
  return readdirSync(directory)
    .filter((file) => file.endsWith(ending) && (patterns.length === 0 || patterns.some((pattern) => file.includes(pattern))))
    .sort();
}

function buildExtension() {
  const built = spawnSync(process.execPath, [join(root, "scripts", "build.mjs")], { cwd: root, stdio: ["ignore", 2, 2] });
  if (built.status !== 0) throw new SetupError("The extension does not build; see above.");
}

async function bundleTests(directory, files) {
  const imports = files.map((file) => `import ${JSON.stringify(`./${file}`)};`);
  const entry = [
    'import { clean } from "./guests.ts";',
    'import { beforeEach, run } from "./runner.ts";',
    "beforeEach(clean);",
    "export { run };",
  ];
  await build({
    stdin: { contents: [...imports, ...entry].join("\n"), resolveDir: directory, loader: "ts" },
    bundle: true,
    platform: "node",
    target: "node20",
    format: "cjs",
    sourcemap: "inline",
    outfile: tests,
    external: ["vscode"],
    logLevel: "warning",
  });
}

/** Finds or downloads a desktop VS Code; undefined where there is none to be had. */
async function findDesktop() {
  const given = process.env.VSCODE_PATH;
  if (given !== undefined && given !== "") {
    if (!existsSync(given)) throw new SetupError(`VSCODE_PATH names ${given}, which does not exist.`);
    return given;
  }
  if (process.platform === "linux" && process.env.DISPLAY === undefined && process.env.WAYLAND_DISPLAY === undefined) {
    progress("no display for the desktop build: testing in the server");
    return undefined;
  }
  try {
    await Promise.race([
      fetch("https://update.code.visualstudio.com/api/releases/stable"),
      sleep(probeMilliseconds).then(() => Promise.reject(new Error("the update site does not answer"))),
    ]);
    const { downloadAndUnzipVSCode } = await import("@vscode/test-electron");
    const cachePath = join(root, ".vscode-test");
    return await Promise.race([
      downloadAndUnzipVSCode({ version: desktopVersion, cachePath, timeout: 15_000 }),
      sleep(downloadMilliseconds).then(() => Promise.reject(new Error("the download takes too long"))),
    ]);
  } catch (error) {
    progress(`no desktop build (${error instanceof Error ? error.message : error}): testing in the server`);
    return undefined;
  }
}

async function runOnDesktop(vscodeExecutablePath, env) {
  const { runTests } = await import("@vscode/test-electron");
  const profile = join(root, ".vscode-test", "profile");
  rmSync(profile, { recursive: true, force: true });
  const sandbox = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  const window = runTests({
    vscodeExecutablePath,
    extensionDevelopmentPath: root,
    extensionTestsPath: tests,
    extensionTestsEnv: env,
    launchArgs: [workspace, "--disable-extensions", "--disable-workspace-trust", "--disable-gpu", `--user-data-dir=${profile}`, ...sandbox],
  });
  // The results come through the report; the window's own exit status only says that it closed.
  const closed = window.then(
    () => undefined,
    (error) => progress(`VS Code ended: ${error instanceof Error ? error.message : error}`),
  );
  return followReport({ ended: closed, where: "the terminal output above" });
}

async function runInServer(env, suite, driven) {
  findChromium();
  const { port, stop, log } = await startServer({ env, data: join(out, "server-data") });
  try {
    const results = suite.length === 0 ? { passed: 0, failed: 0, complete: true } : await runSuite({ port, log });
    for (const file of driven) (await drive(file, { port, log })) ? results.passed++ : results.failed++;
    return results;
  } finally {
    await stop();
  }
}

/** Does what needs a window; where that did not come up, or VS Code gave up its extension host in it, which says nothing of what is tested, once more, and says so. */
async function again(name, attempt) {
  try {
    return await attempt();
  } catch (error) {
    if (!(error instanceof WindowError)) throw error;
    console.log(`AGAIN ${name}: ${error.message}`);
    return attempt();
  }
}

function runSuite({ port, log }) {
  return again("the tests in the extension host", async () => {
    const { page, close, problem } = await openWindow({ port, workspace, tests, log });
    let watch;
    try {
      const ended = new Promise((resolve) => {
        page.once("crash", resolve);
        watch = setInterval(() => problem() !== undefined && resolve(), 1000);
      });
      const results = await followReport({ ended, where: log, page });
      if (results.passed + results.failed === 0 && problem() !== undefined) throw new WindowError(problem());
      return results;
    } finally {
      clearInterval(watch);
      await close();
    }
  });
}

/** Runs a test that drives a window of its own. */
async function drive(file, server) {
  try {
    return await again(file, () => driveOnce(file, server));
  } catch (error) {
    if (!(error instanceof WindowError)) throw error;
    console.log(`FAIL ${file}: ${error.message}`);
    return false;
  }
}

async function driveOnce(file, server) {
  const test = await import(pathToFileURL(join(root, "test", "vscode", "browser", file)).href);
  if (test.installed !== true) return driveIn(file, test, server);
  const vsix = join(out, "apicscope.vsix");
  const packaged = spawnSync(process.execPath, ["scripts/package.mjs", "--out", vsix], { cwd: root, stdio: ["ignore", 2, 2] });
  if (packaged.status !== 0) throw new SetupError("The package cannot be made; see above.");
  const own = await startServer({ data: join(out, "installed-data"), vsix });
  try {
    return await driveIn(file, test, own);
  } finally {
    await own.stop();
  }
}

async function driveIn(file, { name, run, prepare, installed }, { port, log }) {
  rmSync(join(out, `${basename(file, ".mjs")}-failed.png`), { force: true });
  const folder = join(out, `workspace-${basename(file, ".mjs")}`);
  rmSync(folder, { recursive: true, force: true });
  cpSync(join(root, "test", "vscode", "workspace"), folder, { recursive: true });
  if (installed === true) rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  await prepare?.(folder);
  const started = Date.now();
  const { page, close, problem } = await openWindow({ port, workspace: folder, log, installed });
  const workbench = new Workbench(page);
  const shot = (picture) => page.screenshot({ path: join(out, `${basename(file, ".mjs")}-${picture}.png`) });
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end after ${browserTestMilliseconds} ms`)), browserTestMilliseconds);
  });
  try {
    await Promise.race([
      workbench.ready().then(() => run({ page, workbench, workspace: folder, shot, log: (text) => console.log(`    ${text}`) })),
      late,
    ]);
    console.log(`ok   ${name} (${Date.now() - started} ms)`);
    return true;
  } catch (error) {
    if (problem() !== undefined) throw new WindowError(problem(), { cause: error });
    const picture = join(out, `${basename(file, ".mjs")}-failed.png`);
    await page.screenshot({ path: picture }).catch(() => undefined);
    console.log(`FAIL ${name} (${Date.now() - started} ms); see ${picture}`);
    console.log(String(error.stack ?? error).replace(/^/gm, "     "));
    return false;
  } finally {
    clearTimeout(timer);
    await close();
  }
}

/**
 * Prints results as the extension host appends them to the report.
 * @returns how many passed and failed, and whether all ran.
 */
async function followReport({ ended, where, page }) {
  let over = false;
  void ended.then(() => (over = true));
  let [printed, passed, failed, complete] = [0, 0, 0, false];
  let last = Date.now();
  while (!complete) {
    // One more reading after the end, for what was written just before it.
    const final = over || Date.now() - last > silenceMilliseconds;
    const lines = existsSync(report) ? readFileSync(report, "utf8").split("\n").slice(0, -1) : [];
    for (const line of lines.slice(printed)) {
      const entry = JSON.parse(line);
      last = Date.now();
      if (entry.kind === "done") complete = true;
      if (entry.kind === "log") console.log(`    ${entry.text}`);
      if (entry.kind !== "test") continue;
      if (entry.error === undefined) passed++;
      else failed++;
      console.log(`${entry.error === undefined ? "ok  " : "FAIL"} ${entry.name} (${entry.milliseconds} ms)`);
      if (entry.error !== undefined) console.log(entry.error.replace(/^/gm, "     "));
    }
    printed = lines.length;
    if (final && !complete) break;
    if (!complete) await sleep(50);
  }
  if (!complete) {
    console.log(`The tests did not finish; see ${where}.`);
    if (page !== undefined) await page.screenshot({ path: join(out, "unfinished.png") }).catch(() => undefined);
  }
  return { passed, failed, complete };
}
