// What every extension test needs: the extension, activated, and its parts.
import * as vscode from "vscode";
import type { ApicscopeApi } from "../../src/extension/extension";

/** Activates the extension and gives what it exports. */
export async function extension(): Promise<vscode.Extension<ApicscopeApi>> {
  const found = vscode.extensions.getExtension<ApicscopeApi>("apicscope.apicscope");
  if (found === undefined) throw new Error("VS Code does not know the extension");
  await found.activate();
  return found;
}

export async function api(): Promise<ApicscopeApi> {
  return (await extension()).exports;
}
