// Bundles the entry points: dist/extension.js for VS Code, dist/cli.js with dist/main.js for the command line and dist/adapter.js for the DAP server,
// dist/worker.js with dist/engine.js for the engine's worker thread, dist/memoryThread.js for the one that touches memory ahead, dist/compileThread.js for the one that compiles, and dist/timeline.js, dist/screen.js with their style sheets for webviews. `--watch` rebuilds on change.
import { build, context } from "esbuild";
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { assembledInterpreter, exportsOf } from "./assembled.mjs";

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
  // Constants of other modules become numbers where they are used: as variables they are read each time.
  minifySyntax: true,
  outdir,
  external: ["vscode"],
  define: { VERSION: JSON.stringify(version) },
  logLevel: "warning",
};
/** The disassembler has a file of its own: it is as large as everything else together, and most runs do without it. */
const disassembler = { ...common, minify: true, sourcemap: false, entryPoints: { iced: "iced-x86" } };
const emulator = { ...common, plugins: [assembledInterpreter] };
const options = {
  ...emulator,
  entryPoints: {
    extension: "src/extension/extension.ts",
    worker: "src/adapter/workerStart.ts",
    memoryThread: "src/adapter/memoryThread.ts",
    compileThread: "src/adapter/compileThread.ts",
  },
};

/** What starts the command line, and the functions that it and the engine's worker run (src/adapter/cachedBundle.ts). */
const start = { ...common, entryPoints: { cli: "src/cli/start.ts" } };
const main = {
  ...emulator,
  // Half as much to read at each start. Methods keep their names in profiles; `--names` leaves everything as it is.
  minify: !process.argv.includes("--names"),
  entryPoints: { main: "src/cli/main.ts", adapter: "src/cli/adapterMain.ts", engine: "src/adapter/worker.ts" },
  banner: { js: "(function (exports, require, module, __filename, __dirname) {" },
  footer: { js: "})" },
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

const dropCaches = () => ["main", "engine"].forEach((name) => rmSync(`${outdir}/${name}.cache`, { force: true }));

mkdirSync(outdir, { recursive: true });
// iced-x86 loads its WebAssembly module from beside the bundle.
const iced = "node_modules/iced-x86/iced_x86_bg.wasm";
if (existsSync(iced)) cpSync(iced, `${outdir}/iced_x86_bg.wasm`);
// So does the reader of mangled names (src/adapter/demangler.ts).
cpSync("node_modules/gecko-profiler-demangle/index_bg.wasm", `${outdir}/demangle_bg.wasm`);

if (process.argv.includes("--watch")) {
  // A cache of older code would be run.
  dropCaches();
  for (const each of [options, start, main, disassembler, pages]) await (await context(each)).watch();
} else {
  await Promise.all([options, start, main, disassembler, pages].map((each) => build(each)));
  if (packaged === undefined) {
    // Under other flags V8 refuses the cache.
    const { v8Flags } = await exportsOf("src/cli/v8Flags.ts");
    const { status } = spawnSync(process.execPath, [...v8Flags, "scripts/codeCache.mjs", outdir], { stdio: ["ignore", "inherit", "pipe"] });
    if (status !== 0) dropCaches();
  }
}
