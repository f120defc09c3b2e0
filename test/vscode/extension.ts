// What every extension test needs: the extension, activated, and its parts.
import * as vscode from "vscode";
import type { ApicscopeApi } from "../../src/extension/extension";

let activation: { readonly milliseconds: number; readonly cpu: number } | undefined;

/** How long the first activation took, loading included, and how much of the processor's time; undefined if something else had activated it. */
export function activationTime(): typeof activation {
  return activation;
}

/** Activates the extension and gives what it exports. */
export async function extension(): Promise<vscode.Extension<ApicscopeApi>> {
  const found = vscode.extensions.getExtension<ApicscopeApi>("apicscope.apicscope");
  if (found === undefined) throw new Error("VS Code does not know the extension");
  const started = performance.now();
  const before = process.cpuUsage();
  const first = !found.isActive;
  await found.activate();
  const { user, system } = process.cpuUsage(before);
  if (first) activation = { milliseconds: performance.now() - started, cpu: (user + system) / 1000 };
  return found;
}

export async function api(): Promise<ApicscopeApi> {
  return (await extension()).exports;
}
