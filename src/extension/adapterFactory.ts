// Starts the debug adapter as a process of its own: the engine must never hold up the extension host.
import { existsSync } from "node:fs";
import * as vscode from "vscode";

/** Starts `dist/cli.js dap` in VS Code's own Node, or in the one that the setting `apicscope.node` names. */
export class AdapterFactory implements vscode.DebugAdapterDescriptorFactory {
  constructor(private readonly extension: vscode.Uri) {}

  createDebugAdapterDescriptor(session: vscode.DebugSession): vscode.DebugAdapterDescriptor {
    const program = vscode.Uri.joinPath(this.extension, "dist", "cli.js").fsPath;
    if (!existsSync(program)) throw new Error(`APICScope is not completely installed: ${program} is missing.`);
    const node = vscode.workspace.getConfiguration("apicscope", session.workspaceFolder).get<string>("node", "").trim();
    if (node !== "" && !existsSync(node)) throw new Error(`The setting "apicscope.node" names ${node}, which does not exist.`);
    const cwd = session.workspaceFolder?.uri.scheme === "file" ? { cwd: session.workspaceFolder.uri.fsPath } : {};
    // VS Code's executable is Electron; ELECTRON_RUN_AS_NODE makes it a plain Node, and means nothing to a real one.
    const env = { ELECTRON_RUN_AS_NODE: "1" };
    return new vscode.DebugAdapterExecutable(node === "" ? process.execPath : node, [program, "dap"], { env, ...cwd });
  }
}

/** Writes the protocol's messages to the log at level Trace, and an adapter's failures at level Error. */
export function createAdapterLog(log: vscode.LogOutputChannel): vscode.DebugAdapterTrackerFactory {
  return {
    createDebugAdapterTracker: (session) => ({
      onWillReceiveMessage: (message) => log.trace(`[${session.name}] <- ${JSON.stringify(message)}`),
      onDidSendMessage: (message) => log.trace(`[${session.name}] -> ${JSON.stringify(message)}`),
      onError: (error) => log.error(`[${session.name}] ${error.message}`),
      onExit: (code, signal) => {
        if (code !== 0 && code !== undefined) log.error(`[${session.name}] the adapter ended with ${signal ?? `status ${code}`}`);
      },
    }),
  };
}
