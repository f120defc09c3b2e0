import { existsSync } from "node:fs";
import { join } from "node:path";

/** A thread's code: beside the bundle or, when running from sources, the built one. */
export function bundledScript(name: string): string {
  const beside = join(__dirname, name);
  return existsSync(beside) ? beside : join(__dirname, "../../dist", name);
}
