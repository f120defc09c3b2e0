// Launch configurations in VS Code: initial and dynamic ones, defaults, and errors that name the attribute.
import { statSync } from "node:fs";
import { dirname, isAbsolute, resolve } from "node:path";
import * as vscode from "vscode";
import { withWholePaths } from "../adapter/launchPaths";
import { kindName } from "./guests/configurations";
import { findGuests, type WorkspaceGuest } from "./guests/search";
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

/** Files that a task has yet to build: only the adapter, which starts after it, can tell whether they exist. */
const filesToBe: FileProbe = { kind: (path) => (files.kind(path) === "directory" ? "directory" : "file") };

/** Path of the sample guest that comes with the extension. */
export function bundledGuest(extension: vscode.Uri): string {
  return vscode.Uri.joinPath(extension, "guests", "smp", "smp.elf").fsPath;
}

/** A configuration that debugs the bundled guest and stops before its first instruction. */
export function bundledGuestConfiguration(program: string): vscode.DebugConfiguration {
  return { type: debugType, request: "launch", name: "APICScope: bundled SMP guest", program, cpus: 4, stopOnEntry: true };
}

function launchOf({ configuration }: WorkspaceGuest): vscode.DebugConfiguration {
  return { type: debugType, request: "launch", ...configuration };
}

/** Asks which guest to debug: those of the workspace, then the bundled one. Undefined when the user gives up. */
export async function pickGuest(
  extension: vscode.Uri,
): Promise<{ folder?: vscode.WorkspaceFolder; launch: vscode.DebugConfiguration } | undefined> {
  const bundled = {
    label: "Bundled SMP guest",
    description: "comes with APICScope",
    launch: bundledGuestConfiguration(bundledGuest(extension)),
  };
  const found = findGuests(vscode.workspace.workspaceFolders ?? []).then((guests) => [
    ...guests.map((entry) => ({
      label: entry.guest.path,
      description: kindName(entry.guest.kind),
      folder: entry.folder,
      launch: launchOf(entry),
    })),
    bundled,
  ]);
  return vscode.window.showQuickPick(found, { title: "Debug a Guest", placeHolder: "Guest to debug", matchOnDescription: true });
}

/** Paths that are not whole start from the launch.json's folder, or from `cwd`, which may start there itself. */
function withFolderPaths(configuration: vscode.DebugConfiguration, folder: vscode.WorkspaceFolder | undefined): vscode.DebugConfiguration {
  // A configuration of a workspace of several folders belongs to none: its first is meant.
  const uri = (folder ?? vscode.workspace.workspaceFolders?.at(0))?.uri;
  const start = uri?.scheme === "file" ? uri.fsPath : undefined;
  const { cwd = start } = configuration as { cwd?: unknown };
  if (typeof cwd !== "string" || cwd === "") return configuration;
  const directory = start === undefined ? cwd : resolve(start, cwd);
  return isAbsolute(directory) ? { ...configuration, ...withWholePaths(configuration, directory) } : configuration;
}

export class ConfigurationProvider implements vscode.DebugConfigurationProvider {
  constructor(
    private readonly extension: vscode.Uri,
    private readonly breakpoints: InterruptBreakpoints,
  ) {}

  /** For a new launch.json: the guests of the folder, else a kernel to be named, and the bundled guest. */
  async provideDebugConfigurations(
    folder?: vscode.WorkspaceFolder,
    token?: vscode.CancellationToken,
  ): Promise<vscode.DebugConfiguration[]> {
    const guests = await findGuests(folder === undefined ? [] : [folder], token);
    const kernel = { type: debugType, request: "launch", name: "Debug guest", program: "${workspaceFolder}/kernel.elf", cpus: 4 };
    return [
      ...(guests.length === 0 ? [kernel] : guests.map(launchOf)),
      { type: debugType, request: "launch", name: "Debug the bundled SMP guest", program: "${command:bundledGuest}", cpus: 4 },
    ];
  }

  async resolveDebugConfiguration(
    folder: vscode.WorkspaceFolder | undefined,
    given: vscode.DebugConfiguration,
    token?: vscode.CancellationToken,
  ): Promise<vscode.DebugConfiguration | undefined> {
    if (Object.keys(given).length > 0) return withDefaults(given);
    // F5 without a launch.json: the guest of the workspace if there is just one, the bundled one if there is none.
    const guests = await findGuests(folder === undefined ? [] : [folder], token);
    if (guests.length === 0) return withDefaults(bundledGuestConfiguration(bundledGuest(this.extension)));
    const chosen = guests.length === 1 ? launchOf(guests[0]) : (await pickGuest(this.extension))?.launch;
    return chosen === undefined ? undefined : withDefaults(chosen);
  }

  async resolveDebugConfigurationWithSubstitutedVariables(
    folder: vscode.WorkspaceFolder | undefined,
    substituted: vscode.DebugConfiguration,
  ): Promise<vscode.DebugConfiguration | undefined> {
    const resolved = withFolderPaths(substituted, folder);
    // VS Code resolves a configuration before it runs its preLaunchTask.
    const problem = findProblem(resolved, resolved["preLaunchTask"] === undefined ? files : filesToBe);
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

/** What 'Run and Debug' and 'Select and Start Debugging' offer without a launch.json. */
export class DynamicConfigurations implements vscode.DebugConfigurationProvider {
  constructor(private readonly extension: vscode.Uri) {}

  async provideDebugConfigurations(
    folder?: vscode.WorkspaceFolder,
    token?: vscode.CancellationToken,
  ): Promise<vscode.DebugConfiguration[]> {
    const { workspaceFolders = [] } = vscode.workspace;
    // VS Code asks for each folder, and once more for what belongs to none: that would offer everything twice.
    if (folder === undefined && workspaceFolders.length > 0) return [];
    const guests = await findGuests(folder === undefined ? [] : [folder], token);
    return [...guests.map(launchOf), bundledGuestConfiguration(bundledGuest(this.extension))];
  }
}
