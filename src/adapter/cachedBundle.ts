import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Script } from "node:vm";

type ModuleFunction = (exports: object, require: NodeJS.Require, module: object, filename: string, dirname: string) => void;

function cachedCode(file: string): Buffer | undefined {
  try {
    return readFileSync(file);
  } catch {
    return undefined;
  }
}

/**
 * Runs `directory`/`name`.js, a bundle that the build has made a function in parentheses. Compiling one took a third of the time until a guest's first instruction, so the build leaves what V8 made of it
 * in `name`.cache (scripts/codeCache.mjs). Another V8 refuses it and compiles as usual.
 */
export function runBundle(directory: string, name: string, require: NodeJS.Require): void {
  const filename = join(directory, `${name}.js`);
  const cachedData = cachedCode(join(directory, `${name}.cache`));
  // The bundle has ASCII characters only.
  const script = new Script(readFileSync(filename, "latin1"), { filename, ...(cachedData === undefined ? {} : { cachedData }) });
  const module = { exports: {} };
  (script.runInThisContext() as ModuleFunction)(module.exports, require, module, filename, directory);
}
