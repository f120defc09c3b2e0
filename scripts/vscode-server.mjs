// A real VS Code to test in where its desktop build cannot be downloaded: the server that the npm package code-server carries,
// with Debian's Chromium as its window. Installed once into .vscode-test/server (untracked), every version pinned, and checked
// before each use. The other vscode-*.mjs scripts share what is here: install, start, open a window.
import { execFileSync, spawn } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { delimiter, dirname, join } from "node:path";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
export const out = join(root, "out", "vscode-test");
export const cache = join(root, ".vscode-test", "server");

/** What is installed; changing a version here makes the next run install anew. */
const pins = { node: "24.21.0", "code-server": "4.139.1", "playwright-core": "1.65.1" };
/**
 * Native modules that the server loads; built here where no prebuilt ones come with the package. Left out is @vscode/sqlite3,
 * two minutes of compiling for a part of the server that never runs here.
 */
const natives = ["@vscode/spdlog", "node-pty", "@vscode/native-watchdog", "@parcel/watcher", "@vscode/fs-copyfile", "@vscode/deviceid"];
const serverDirectory = join(cache, "node_modules", "code-server", "lib", "vscode");
const nodeBinary = join(cache, "node_modules", "node", "bin", "node");
const stamp = join(cache, "installed.json");

/** A machine under load takes its time: only what hangs takes longer. */
const serverMilliseconds = 180_000;
const windowMilliseconds = 180_000;

/** Progress goes to stderr: stdout is for test results. */
export function progress(text) {
  process.stderr.write(`[vscode] ${text}\n`);
}

/** A failure that the person running the script can mend: one sentence, no stack. */
export class SetupError extends Error {}

/** Chromium did not start, did not show VS Code, or VS Code gave its extension host up: what happened in the window says nothing of the project. */
export class WindowError extends Error {}

/** What VS Code writes to its console when the process for extensions has not answered for a minute, as on a machine with much else to do: no extension runs in that window then. */
const hostGivenUp = /remote extension host took longer than \d+s/;

/**
 * Makes sure that the server, its Node and playwright-core are installed and work.
 * @returns paths of the Node to start the server with and of its main module.
 */
export async function installServer() {
  const wanted = JSON.stringify({ pins, natives, abi: `${process.platform}-${process.arch}` });
  mkdirSync(cache, { recursive: true });
  const release = await lock(join(cache, "lock"));
  try {
    if (!isInstalled(wanted)) install(wanted);
  } finally {
    release();
  }
  return { node: nodeBinary, main: join(serverDirectory, "out", "server-main.js") };
}

function isInstalled(wanted) {
  if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== wanted) return false;
  try {
    verify();
    return true;
  } catch (error) {
    progress(`the cached server does not work (${firstLine(error)}); installing it again`);
    return false;
  }
}

function install(wanted) {
  rmSync(stamp, { force: true });
  for (const entry of ["node_modules", "package-lock.json"]) rmSync(join(cache, entry), { recursive: true, force: true });
  writeFileSync(
    join(cache, "package.json"),
    JSON.stringify({ private: true, name: "apicscope-vscode-server", dependencies: pins }, null, 2),
  );
  const started = Date.now();
  const step = (text, args, cwd, node) => {
    progress(`${text} ...`);
    const stepStarted = Date.now();
    npm(args, cwd, node);
    progress(`${text}: ${((Date.now() - stepStarted) / 1000).toFixed(0)} s`);
  };
  const quiet = ["--no-audit", "--no-fund", "--loglevel=error"];
  // Packages come without their install scripts: code-server's own builds modules that are not needed here, and one of them fails.
  step("1/5 packages", ["install", "--ignore-scripts", ...quiet], cache, false);
  // The node package's script only links the platform's binary into place.
  step(`2/5 Node ${pins.node}`, ["rebuild", "node", ...quiet], cache, false);
  step("3/5 the server's modules", ["install", "--omit=dev", "--ignore-scripts", ...quiet], serverDirectory, true);
  step("4/5 its native modules", ["rebuild", ...natives, ...quiet], serverDirectory, true);
  step("5/5 its built-in extensions", ["install", "--omit=dev", "--ignore-scripts", ...quiet], join(serverDirectory, "extensions"), true);
  verify();
  writeFileSync(stamp, wanted);
  progress(`VS Code server installed in ${((Date.now() - started) / 1000).toFixed(0)} s`);
}

/** Loads every native module in the very Node that will run the server; throws if one is missing or broken. */
function verify() {
  const requires = natives.map((name) => `require(${JSON.stringify(name)})`).join(";");
  const program = `${requires};if(process.versions.node!==${JSON.stringify(pins.node)})throw new Error("Node "+process.versions.node)`;
  execFileSync(nodeBinary, ["-e", program], { cwd: serverDirectory, stdio: ["ignore", "ignore", "pipe"], timeout: 60_000 });
  for (const file of ["out/server-main.js", "out/vs/code/browser/workbench/workbench.js"]) {
    if (!existsSync(join(serverDirectory, file))) throw new Error(`${file} is missing`);
  }
}

function npm(args, cwd, withServerNode) {
  // JOBS: node-gyp compiles on one core unless told.
  const env = { ...process.env, npm_config_update_notifier: "false", JOBS: process.env.JOBS ?? "max" };
  if (withServerNode) {
    env.PATH = dirname(nodeBinary) + delimiter + (process.env.PATH ?? "");
    // Headers come with the Node package itself where it has them: no download by node-gyp.
    const platformPackage = join(cache, "node_modules", "node", "node_modules", `node-${process.platform}-${process.arch}`);
    if (existsSync(join(platformPackage, "include", "node"))) env.npm_config_nodedir = platformPackage;
  }
  try {
    execFileSync("npm", args, { cwd, env, stdio: ["ignore", "pipe", "pipe"], timeout: 15 * 60_000, maxBuffer: 1 << 28 });
  } catch (error) {
    const tail = `${error.stdout ?? ""}${error.stderr ?? ""}`.trim().split("\n").slice(-30).join("\n");
    throw new SetupError(`npm ${args.join(" ")} failed in ${cwd}:\n${tail}`);
  }
}

/** One installer at a time; a lock whose owner is gone is taken over. */
async function lock(directory) {
  const owner = join(directory, "pid");
  for (let waited = 0; ; waited++) {
    try {
      mkdirSync(directory);
      writeFileSync(owner, String(process.pid));
      return () => rmSync(directory, { recursive: true, force: true });
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
    if (!isAlive(owner)) rmSync(directory, { recursive: true, force: true });
    else if (waited === 0) progress("another run is installing the server; waiting for it");
    await sleep(500);
  }
}

function isAlive(pidFile) {
  try {
    process.kill(Number(readFileSync(pidFile, "utf8")), 0);
    return true;
  } catch {
    return false;
  }
}

/** The Chromium to open windows with: CHROMIUM, or Debian's. */
export function findChromium() {
  const candidates = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
  const found = candidates.find((path) => path !== undefined && path !== "" && existsSync(path));
  if (found === undefined) {
    const debian = existsSync("/etc/debian_version");
    const how = debian
      ? `run \`${process.getuid?.() === 0 ? "" : "sudo "}apt-get update && ${process.getuid?.() === 0 ? "" : "sudo "}apt-get install -y chromium\``
      : "install Chromium";
    throw new SetupError(`No Chromium to open VS Code in: ${how}, or set CHROMIUM to one.`);
  }
  return found;
}

/**
 * Starts the server on a free port of this machine. It ends with this process, however that ends.
 * @param options.env added to the environment that the server and its extension hosts get.
 * @param options.data directory for the server's own data; emptied first.
 * @param options.vsix an extension to install before.
 * @returns its port and a function that stops it and resolves when nothing of it is left.
 */
export async function startServer(options) {
  try {
    return await startServerOnce(options);
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    progress(`${error.message}; trying once more`);
    return startServerOnce(options);
  }
}

async function startServerOnce({ env = {}, data, vsix }) {
  const { node, main } = await installServer();
  rmSync(data, { recursive: true, force: true });
  mkdirSync(data, { recursive: true });
  if (vsix !== undefined) installExtension(node, main, data, vsix);
  const log = join(data, "server.log");
  // The server itself chooses a port that is free.
  const args = [
    ...["--accept-server-license-terms", "--without-connection-token", "--host", "127.0.0.1", "--port", "0"],
    ...["--server-data-dir", join(data, "server"), "--extensions-dir", join(data, "extensions")],
    ...["--enable-smoke-test-driver", "--disable-workspace-trust", "--disable-telemetry"],
  ];
  // In a session of its own, so that a Ctrl-C at the terminal reaches the guard through this process alone.
  const guard = spawn(process.execPath, [join(root, "scripts", "vscode-guard.mjs"), node, main, ...args], {
    env: { ...process.env, ...env },
    stdio: ["pipe", "pipe", "pipe"],
    detached: true,
  });
  let text = "";
  const read = (chunk) => {
    appendFileSync(log, chunk);
    if (text.length < 100_000) text += String(chunk);
  };
  guard.stdout.on("data", read);
  guard.stderr.on("data", read);
  guard.stdin.on("error", () => undefined);
  const ended = new Promise((resolve) => guard.once("close", resolve));
  const stop = async () => {
    guard.stdin.end();
    await ended;
  };
  for (let waited = 0; ; waited += 50) {
    const listening = /Extension host agent listening on (\d+)\s/.exec(text);
    if (listening !== null) return { port: Number(listening[1]), stop, log };
    if (guard.exitCode !== null || waited > serverMilliseconds) {
      await stop();
      throw new SetupError(`The VS Code server did not start; see ${log}`);
    }
    await sleep(50);
  }
}

/** Installs a .vsix as `code --install-extension` does. */
function installExtension(node, main, data, vsix) {
  const args = ["--accept-server-license-terms", "--server-data-dir", join(data, "server"), "--extensions-dir", join(data, "extensions")];
  execFileSync(node, [main, ...args, "--install-extension", vsix], { stdio: ["ignore", 2, 2], timeout: 300_000 });
}

/**
 * Opens a VS Code window on a workspace, with the extension in development loaded unless `installed` says that the server has it.
 * @param options.tests module whose run() the extension host is to call; without it the window is driven from outside.
 * @returns the playwright page, a function that closes the browser, and `problem`, which says why extensions cannot run in the window, if that is so.
 */
export async function openWindow({ port, workspace, tests, log, installed = false, size = { width: 1280, height: 800 }, scale = 1 }) {
  const { chromium } = createRequire(join(cache, "package.json"))("playwright-core");
  const executablePath = findChromium();
  const outside = (what) => (error) => {
    throw new WindowError(`${what}: ${firstLine(error)}`, { cause: error });
  };
  const launched = chromium.launch({
    executablePath,
    timeout: windowMilliseconds,
    args: [
      ...["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
      ...["--disable-component-update", "--disable-sync", "--force-color-profile=srgb"],
    ],
  });
  const browser = await launched.catch(outside("Chromium did not start"));
  const page = await browser.newPage({ viewport: size, deviceScaleFactor: scale });
  let problem;
  page.on("console", (message) => {
    const text = message.text();
    if (hostGivenUp.test(text)) problem = text.replace(/^.*?The /s, "The ");
    appendFileSync(log, `[${message.type()}] ${text}\n`);
  });
  page.on("pageerror", (error) => appendFileSync(log, `[page error] ${error.message}\n`));
  const remote = `vscode-remote://127.0.0.1:${port}`;
  const payload = installed ? [] : [["extensionDevelopmentPath", `${remote}${root}`]];
  if (tests !== undefined) payload.push(["extensionTestsPath", `${remote}${tests}`]);
  const query = `folder=${encodeURIComponent(workspace)}&payload=${encodeURIComponent(JSON.stringify(payload))}`;
  try {
    await page.goto(`http://127.0.0.1:${port}/?${query}`, { timeout: windowMilliseconds });
    await page.locator(".monaco-workbench .part.statusbar").waitFor({ timeout: windowMilliseconds });
  } catch (error) {
    await browser.close();
    outside("VS Code's window did not come up")(error);
  }
  return { page, close: () => browser.close(), problem: () => problem };
}

function firstLine(error) {
  const text = String(error.stderr ?? "") || String(error.message);
  return (
    text
      .split("\n")
      .find((line) => line.includes("Error"))
      ?.trim() ?? text.trim().split("\n")[0]
  );
}

/** Runs a script's main function; a mendable failure ends it with one sentence. */
export async function main(body) {
  // Playwright, too, listens to these signals, to end its browsers; without this the script would then go on.
  for (const [name, number] of [
    ["SIGINT", 2],
    ["SIGTERM", 15],
    ["SIGHUP", 1],
  ])
    process.once(name, () => process.exit(128 + number));
  try {
    process.exitCode = await body();
  } catch (error) {
    process.stderr.write(`[vscode] ${error instanceof SetupError ? error.message : (error.stack ?? String(error))}\n`);
    process.exitCode = 1;
  }
  process.exit();
}
