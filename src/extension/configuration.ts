// Launch configurations in VS Code: initial and dynamic ones, defaults, and errors that name the attribute.
import { statSync } from "node:fs";
import { dirname } from "node:path";
import * as vscode from "vscode";
import type { InterruptBreakpoints } from "./interruptBreakpoints";
import { findProblem, withDefaults, type FileProbe } from "./launchConfiguration";

export const debugType = "apicscope";

const files: FileProbe = {
  kind(path) {
    const status = statSync(path, { throwIfNoEntry: false });
    if (status === undefined) return "missing";
    return status.isDirectory() ? "directory" : "file";
  },
};

/** Path of the sample guest that comes with the extension. */
export function bundledGuest(extension: vscode.Uri): string {
  return vscode.Uri.joinPath(extension, "guests", "smp", "smp.elf").fsPath;
}

/** A configuration that debugs the bundled guest and stops before its first instruction. */
export function bundledGuestConfiguration(program: string): vscode.DebugConfiguration {
  return { type: debugType, request: "launch", name: "APICScope: bundled SMP guest", program, cpus: 4, stopOnEntry: true };
}

/** What 'Select and Start Debugging' offers without a launch.json. */
export function dynamicConfigurations(extension: vscode.Uri): vscode.DebugConfiguration[] {
  return [bundledGuestConfiguration(bundledGuest(extension))];
}

export class ConfigurationProvider implements vscode.DebugConfigurationProvider {
  constructor(
    private readonly extension: vscode.Uri,
    private readonly breakpoints: InterruptBreakpoints,
  ) {}

  /** For a new launch.json. */
  provideDebugConfigurations(): vscode.DebugConfiguration[] {
    return [
      { type: debugType, request: "launch", name: "Debug guest", program: "${workspaceFolder}/kernel.elf", cpus: 4 },
      { type: debugType, request: "launch", name: "Debug the bundled SMP guest", program: "${command:bundledGuest}", cpus: 4 },
    ];
  }

  resolveDebugConfiguration(_folder: vscode.WorkspaceFolder | undefined, given: vscode.DebugConfiguration): vscode.DebugConfiguration {
    // F5 without a launch.json: an empty configuration.
    const empty = Object.keys(given).length === 0;
    return withDefaults(empty ? bundledGuestConfiguration(bundledGuest(this.extension)) : given);
  }

  async resolveDebugConfigurationWithSubstitutedVariables(
    _folder: vscode.WorkspaceFolder | undefined,
    resolved: vscode.DebugConfiguration,
  ): Promise<vscode.DebugConfiguration | undefined> {
    const problem = findProblem(resolved, files);
    if (problem === undefined) {
      return { ...this.withBundledSources(resolved), workspaceInterruptBreakpoints: [...this.breakpoints.all] };
    }
    const open = "Open launch.json";
    const chosen = await vscode.window.showErrorMessage(problem.message, open);
    if (chosen === open) await vscode.commands.executeCommand("workbench.action.debug.configure");
    return undefined;
  }

  /** The bundled guest was built elsewhere: its sources are beside it. */
  private withBundledSources(configuration: vscode.DebugConfiguration): vscode.DebugConfiguration {
    const guest = bundledGuest(this.extension);
    if (configuration["program"] !== guest || configuration["sourceMap"] !== undefined) return configuration;
    return { ...configuration, sourceMap: { "guests/smp": dirname(guest) } };
  }
}
