// Runs the checks of test/webview/browser/*.mjs: webview pages in a real Chromium, with a stand-in for VS Code's side:
//   node scripts/webview-test.mjs [--no-build] [PATTERN...]
// A check is a module with `async check({ page, open, log, assert })`. Ends with `N passed, N failed`.
import { build } from "esbuild";
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { SetupError, cache, findChromium, installServer, main, root } from "./vscode-server.mjs";

const out = join(root, "out", "webview-test");
const directory = join(root, "test", "webview", "browser");
const patterns = process.argv.slice(2).filter((argument) => !argument.startsWith("--"));
/** Any origin does: nothing leaves the machine. */
const origin = "http://webview.invalid";

await main(async () => {
  mkdirSync(out, { recursive: true });
  if (!process.argv.includes("--no-build")) {
    const built = spawnSync(process.execPath, [join(root, "scripts", "build.mjs")], { cwd: root, stdio: ["ignore", 2, 2] });
    if (built.status !== 0) throw new SetupError("The extension does not build; see above.");
  }
  await installServer();
  const support = await bundleSupport();
  const files = readdirSync(directory)
    .filter((file) => file.endsWith(".mjs") && (patterns.length === 0 || patterns.some((pattern) => file.includes(pattern))))
    .sort();
  const { chromium } = createRequire(join(cache, "package.json"))("playwright-core");
  const browser = await chromium.launch({
    executablePath: findChromium(),
    args: ["--no-sandbox", "--disable-gpu", "--force-color-profile=srgb"],
  });
  let failed = 0;
  try {
    for (const file of files) {
      const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
      const problems = [];
      page.on("pageerror", (error) => problems.push(error.message));
      page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
      try {
        const { check } = await import(pathToFileURL(join(directory, file)).href);
        await check({ page, support, assert, out, open: (html) => openPage(page, html), log: (text) => console.log(`    ${text}`) });
        assert.deepEqual(problems, []);
        console.log(`ok   ${file}`);
      } catch (error) {
        failed++;
        console.log(`FAIL ${file}\n${String(error.stack ?? error).replace(/^/gm, "     ")}`);
        await page.screenshot({ path: join(out, `${file}.png`) });
      }
      await page.close();
    }
  } finally {
    await browser.close();
  }
  console.log(`${files.length - failed} passed, ${failed} failed`);
  return failed === 0 && files.length > 0 ? 0 : 1;
});

/** The pages' HTML and made-up data, from TypeScript. */
async function bundleSupport() {
  const outfile = join(out, "support.mjs");
  await build({
    stdin: {
      contents: [
        'export * from "./src/webview/timeline/html";',
        'export * from "./src/webview/screen/html";',
        'export * from "./test/webview/pages";',
      ].join("\n"),
      resolveDir: root,
      loader: "ts",
    },
    bundle: true,
    platform: "node",
    format: "esm",
    outfile,
    logLevel: "warning",
  });
  return import(`${pathToFileURL(outfile).href}?${Date.now()}`);
}

/** Opens a page with its files from dist/ and collects what it tells VS Code in `window.told`. */
async function openPage(page, html) {
  await page.addInitScript(() => {
    window.told = [];
    window.acquireVsCodeApi = () => ({
      postMessage: (message) => window.told.push(message),
      getState: () => undefined,
      setState: () => undefined,
    });
  });
  await page.route(`${origin}/**`, (route) => {
    const { pathname } = new URL(route.request().url());
    if (pathname === "/")
      return route.fulfill({ contentType: "text/html", body: html({ source: origin, nonce: "test", at: (name) => `${origin}/${name}` }) });
    const kind = pathname.endsWith(".css") ? "text/css" : "text/javascript";
    return route.fulfill({ contentType: kind, body: readFileSync(join(root, "dist", pathname.slice(1))) });
  });
  await page.goto(`${origin}/`);
  await page.waitForFunction(() => window.told.some(({ kind }) => kind === "ready"));
}
