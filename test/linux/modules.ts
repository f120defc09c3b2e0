/** Modules of Debian's kernels, which scripts/fetch-kernels.sh puts beside them. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Flavour } from "./linux";

export const moduleFolder = (flavour: Flavour): string => `out/kernels/modules-${flavour}`;

export interface KernelModule {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** What a module says that it needs: "depends=" in its section .modinfo. */
function needs(bytes: Uint8Array): string[] {
  const found = /\0depends=([^\0]*)\0/.exec(Buffer.from(bytes).toString("latin1"));
  return (found?.[1] ?? "").split(",").filter((name) => name !== "");
}

/** These modules and all that they need, in the order in which they can be loaded. Those that the kernel itself has are not among the files and left out. */
export function modulesFor(flavour: Flavour, names: readonly string[]): KernelModule[] {
  const loaded = new Map<string, KernelModule>();
  const load = (name: string): void => {
    const file = join(moduleFolder(flavour), `${name}.ko`);
    if (loaded.has(name) || !existsSync(file)) return;
    const bytes = readFileSync(file);
    for (const needed of needs(bytes)) load(needed);
    loaded.set(name, { name, bytes });
  };
  for (const name of names) load(name);
  return [...loaded.values()];
}
