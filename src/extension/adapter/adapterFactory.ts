// Starts the debug adapter as a process of its own: the engine must never hold up the extension host.
import { existsSync } from "node:fs";
import * as vscode from "vscode";
import { AdapterProcess } from "./adapterProcess";

/** Starts `dist/cli.js dap` in VS Code's own Node, or in the one that the setting `apicscope.node` names, and asks it. */
export class Adapters implements vscode.DebugAdapterDescriptorFactory, vscode.Disposable {
  private readonly processes = new Map<string, AdapterProcess>();
  private readonly ended = vscode.debug.onDidTerminateDebugSession(({ id }) => this.processes.delete(id));

  constructor(
    private readonly extension: vscode.Uri,
    private readonly log: vscode.LogOutputChannel,
  ) {}

  createDebugAdapterDescriptor(session: vscode.DebugSession): vscode.DebugAdapterDescriptor {
    const program = vscode.Uri.joinPath(this.extension, "dist", "cli.js").fsPath;
    if (!existsSync(program)) throw new Error(`APICScope is not completely installed: ${program} is missing.`);
    const node = vscode.workspace.getConfiguration("apicscope", session.workspaceFolder).get<string>("node", "").trim();
    if (node !== "" && !existsSync(node)) throw new Error(`The setting "apicscope.node" names ${node}, which does not exist.`);
    const folder = session.workspaceFolder?.uri;
    const command = {
      node: node === "" ? process.execPath : node,
      args: [program, "dap"],
      cwd: folder?.scheme === "file" ? folder.fsPath : undefined,
    };
    const adapter = new AdapterProcess(command, (text) => this.log.error(`[${session.name}] ${text}`));
    this.processes.set(session.id, adapter);
    return new vscode.DebugAdapterInlineImplementation(adapter);
  }

  /** Asks a session's adapter, straight where it is a process of ours. Rejects, with one sentence, what it refuses, and when it has ended. */
  async ask(session: vscode.DebugSession, command: string, args: object = {}): Promise<unknown> {
    const adapter = this.processes.get(session.id);
    return adapter?.alive === true ? adapter.ask(command, args) : session.customRequest(command, args);
  }

  /** Ends every adapter that is left. */
  dispose(): void {
    this.ended.dispose();
    for (const adapter of this.processes.values()) adapter.dispose();
  }
}

/** Writes VS Code's side of the protocol to the log at level Trace. */
export function createAdapterLog(log: vscode.LogOutputChannel): vscode.DebugAdapterTrackerFactory {
  const write = (arrow: string, { name }: vscode.DebugSession, message: unknown): void => {
    // A message has its text made only where somebody reads it.
    if (log.logLevel === vscode.LogLevel.Trace) log.trace(`[${name}] ${arrow} ${JSON.stringify(message)}`);
  };
  return {
    createDebugAdapterTracker: (session) => ({
      onWillReceiveMessage: (message) => write("<-", session, message),
      onDidSendMessage: (message) => write("->", session, message),
    }),
  };
}
