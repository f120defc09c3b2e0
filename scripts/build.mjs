// Bundles the entry points: dist/extension.js for VS Code, dist/cli.js for the command line and the DAP server,
// dist/worker.js for the engine's worker thread, and dist/timeline.js, dist/screen.js with their style sheets for webviews. `--watch` rebuilds on change.
import { build, context } from "esbuild";
import { cpSync, existsSync, mkdirSync, readFileSync } from "node:fs";

const { version } = JSON.parse(readFileSync("package.json", "utf8"));

/** `--package DIRECTORY`: small bundles without source maps, for the .vsix. */
const packaged = process.argv.includes("--package") ? process.argv[process.argv.indexOf("--package") + 1] : undefined;
const outdir = packaged ?? "dist";

const common = {
  bundle: true,
  platform: "node",
  target: "node20",
  format: "cjs",
  sourcemap: packaged === undefined,
  minify: packaged !== undefined,
  outdir,
  external: ["vscode"],
  define: { VERSION: JSON.stringify(version) },
  logLevel: "warning",
};
const options = {
  ...common,
  entryPoints: { extension: "src/extension/extension.ts", cli: "src/cli/main.ts", worker: "src/adapter/worker.ts" },
};

/** Pages in webviews: a browser's code, with nothing from outside. */
const pages = {
  bundle: true,
  platform: "browser",
  target: "es2022",
  format: "iife",
  minify: true,
  outdir,
  logLevel: "warning",
  entryPoints: {
    timeline: "src/webview/timeline/main.ts",
    "timeline-style": "src/webview/timeline/timeline.css",
    screen: "src/webview/screen/main.ts",
    "screen-style": "src/webview/screen/screen.css",
  },
};

mkdirSync(outdir, { recursive: true });
// iced-x86 loads its WebAssembly module from beside the bundle.
const iced = "node_modules/iced-x86/iced_x86_bg.wasm";
if (existsSync(iced)) cpSync(iced, `${outdir}/iced_x86_bg.wasm`);

if (process.argv.includes("--watch")) {
  for (const each of [options, pages]) await (await context(each)).watch();
} else {
  await Promise.all([build(options), build(pages)]);
}
