/**
 * The file that is run: the command line's own code is in main.js beside it. Compiling that took a third of the time until a guest's first instruction, so the build leaves
 * what V8 made of it in main.cache (scripts/codeCache.mjs). Another V8 refuses it and compiles as usual.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { Script } from "node:vm";
import { hasV8Flags, v8Flags } from "./v8Flags";

type ModuleFunction = (exports: object, require: NodeJS.Require, module: object, filename: string, dirname: string) => void;

function cachedCode(): Buffer | undefined {
  try {
    return readFileSync(join(__dirname, "main.cache"));
  } catch {
    return undefined;
  }
}

if (hasV8Flags(process.versions.v8)) setFlagsFromString(v8Flags.join(" "));

const filename = join(__dirname, "main.js");
const cachedData = cachedCode();
// The bundle has ASCII characters only, and is a function in parentheses.
const script = new Script(readFileSync(filename, "latin1"), { filename, ...(cachedData === undefined ? {} : { cachedData }) });
const run = script.runInThisContext() as ModuleFunction;
const module = { exports: {} };
run(module.exports, require, module, filename, __dirname);
