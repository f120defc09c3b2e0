// `node scripts/codeCache.mjs DIRECTORY`: runs a short guest by DIRECTORY/main.js, and another in a worker by DIRECTORY/engine.js, and leaves what V8 compiled in main.cache and engine.cache beside them
// (src/adapter/cachedBundle.ts).
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Script } from "node:vm";
import { isMainThread, parentPort, Worker } from "node:worker_threads";

const directory = resolve(process.argv[2]);

/** Runs a bundle; what is returned leaves its cache. */
function run(name) {
  const filename = join(directory, `${name}.js`);
  const script = new Script(readFileSync(filename, "latin1"), { filename });
  const module = { exports: {} };
  script.runInThisContext()(module.exports, createRequire(filename), module, filename, directory);
  return () => writeFileSync(join(directory, `${name}.cache`), script.createCachedData());
}

/** A session of the engine: to the stop on entry, and on from there to the guest's end. */
function driveEngine() {
  const worker = new Worker(fileURLToPath(import.meta.url), { argv: [directory], workerData: new SharedArrayBuffer(4), stdout: true });
  const launch = { program: resolve("guests/smp/smp.elf"), cpus: 2, stopOnEntry: true };
  const requests = [
    ["launch", launch],
    ["start", undefined],
    ["resume", { cpu: 0, single: false }],
  ];
  const next = () => {
    const request = requests.shift();
    if (request !== undefined) worker.postMessage({ kind: "request", id: requests.length + 1, method: request[0], args: request[1] });
  };
  worker.on("message", (message) => {
    if (message.kind === "failure") throw new Error(`the engine refused: ${message.failure.message}`);
    if (message.kind === "response") next();
    if (message.kind === "event" && message.event.kind === "ended") worker.postMessage({ kind: "leaveCache" });
  });
  next();
}

if (isMainThread) {
  driveEngine();
  const filename = join(directory, "main.js");
  process.argv = [
    process.execPath,
    filename,
    "run",
    "guests/smp/smp.elf",
    "--cpus",
    "2",
    "--serial",
    "none",
    "--max-instructions",
    "3000000",
  ];
  let leaveCache = () => undefined;
  process.on("exit", () => {
    // The command line's status is that of its guest.
    process.exitCode = 0;
    leaveCache();
  });
  leaveCache = run("main");
} else {
  const leaveCache = run("engine");
  parentPort.on("message", ({ kind }) => {
    if (kind !== "leaveCache") return;
    leaveCache();
    process.exit(0);
  });
}
