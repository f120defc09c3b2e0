// `node scripts/codeCache.mjs DIRECTORY`: runs a short guest by DIRECTORY/main.js and leaves what V8 compiled in DIRECTORY/main.cache (src/cli/start.ts).
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { Script } from "node:vm";

const directory = resolve(process.argv[2]);
const filename = join(directory, "main.js");
const script = new Script(readFileSync(filename, "latin1"), { filename });
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
process.on("exit", () => {
  process.exitCode = 0;
  writeFileSync(join(directory, "main.cache"), script.createCachedData());
});
const module = { exports: {} };
script.runInThisContext()(module.exports, createRequire(filename), module, filename, directory);
