// The extension's commands, and the dialogues in which interrupt breakpoints are made and changed.
import * as vscode from "vscode";
import { exceptionFilters, type ExceptionFilter, type InterruptBreakpoint } from "../adapter/protocol";
import { conditionExamples, conditionProblem, hitConditionProblem } from "./conditions";
import { bundledGuest, bundledGuestConfiguration, pickGuest } from "./configuration";
import { filterLabel, type InterruptBreakpoints } from "./interruptBreakpoints";
import { cpuCommands } from "./cpuControl";
import { interruptCommands } from "./interruptActions";
import type { InterruptNode } from "./interruptNodes";
import type { Sessions } from "./sessions";

export interface CommandParts {
  readonly breakpoints: InterruptBreakpoints;
  readonly sessions: Sessions;
  /** Where the extension is installed. */
  readonly extension: vscode.Uri;
}

/** Registers every command of the manifest. */
export function registerCommands({ breakpoints, sessions, extension }: CommandParts): vscode.Disposable[] {
  const commands: Record<string, (node?: InterruptNode, ...more: unknown[]) => unknown> = {
    "apicscope.interruptBreakpoints.add": () => addBreakpoint(breakpoints, ""),
    "apicscope.interruptBreakpoints.addForItem": (node) => addBreakpoint(breakpoints, node?.condition ?? ""),
    "apicscope.interruptBreakpoints.editCondition": (node) =>
      withBreakpoint(breakpoints, node, (chosen) => editCondition(breakpoints, chosen)),
    "apicscope.interruptBreakpoints.editHitCount": (node) =>
      withBreakpoint(breakpoints, node, (chosen) => editHitCount(breakpoints, chosen)),
    "apicscope.interruptBreakpoints.remove": (node) => withBreakpoint(breakpoints, node, ({ id }) => breakpoints.remove(id)),
    "apicscope.interruptBreakpoints.enableAll": () => breakpoints.setAllEnabled(true),
    "apicscope.interruptBreakpoints.disableAll": () => breakpoints.setAllEnabled(false),
    "apicscope.interruptBreakpoints.removeAll": () => breakpoints.removeAll(),
    ...interruptCommands(sessions),
    ...cpuCommands(sessions),
    "apicscope.interrupts.refresh": () => sessions.refresh(),
    "apicscope.interrupts.copyValue": (node) => vscode.env.clipboard.writeText(node?.value ?? node?.label ?? ""),
    "apicscope.debugBundledGuest": () => debugBundledGuest(extension),
    "apicscope.debugGuest": () => debugGuest(extension),
    "apicscope.getStarted": getStarted,
    "apicscope.bundledGuest": () => bundledGuest(extension),
    "apicscope.pickProgram": pickProgram,
  };
  return Object.entries(commands).map(([name, run]) => vscode.commands.registerCommand(name, run));
}

async function addBreakpoint(breakpoints: InterruptBreakpoints, suggestion: string): Promise<void> {
  const filter = await pickFilter();
  if (filter === undefined) return;
  const condition = await askCondition(filter, suggestion);
  if (condition !== undefined) await breakpoints.add({ filter, condition });
}

async function pickFilter(): Promise<ExceptionFilter | undefined> {
  const items = exceptionFilters.map(({ filter, label, description }) => ({ label, description: filter, detail: description, filter }));
  const picked = await vscode.window.showQuickPick(items, {
    title: "Add Interrupt Breakpoint (1/2): Where to Stop",
    placeHolder: "Stage of an interrupt's life, or event of a CPU",
    matchOnDescription: true,
    matchOnDetail: true,
  });
  return picked?.filter;
}

/** Asks for a condition; undefined if the user gives up, "" for none. */
function askCondition(filter: ExceptionFilter, value: string): Thenable<string | undefined> {
  return vscode.window.showInputBox({
    title: `${filterLabel(filter)}: Condition`,
    prompt: `Stop only when this holds, or leave empty to stop every time. Fields: vector, mode, src, dst, cpu, trigger, source, shorthand, count, time; registers and symbols.`,
    placeHolder: `Such as ${conditionExamples.slice(0, 3).join("   or   ")}`,
    value,
    ignoreFocusOut: true,
    validateInput: conditionProblem,
  });
}

async function editCondition(breakpoints: InterruptBreakpoints, breakpoint: InterruptBreakpoint): Promise<void> {
  const condition = await askCondition(breakpoint.filter, breakpoint.condition ?? "");
  if (condition !== undefined) await breakpoints.change(breakpoint.id, { condition });
}

async function editHitCount(breakpoints: InterruptBreakpoints, breakpoint: InterruptBreakpoint): Promise<void> {
  const hitCondition = await vscode.window.showInputBox({
    title: `${filterLabel(breakpoint.filter)}: Hit Count`,
    prompt: "Stop only at these hits, or leave empty to stop at each.",
    placeHolder: "Such as 5   or   >= 3   or   % 100",
    value: breakpoint.hitCondition ?? "",
    ignoreFocusOut: true,
    validateInput: hitConditionProblem,
  });
  if (hitCondition !== undefined) await breakpoints.change(breakpoint.id, { hitCondition });
}

/** Acts on the breakpoint of a row or, from the Command Palette, on one that the user picks. */
async function withBreakpoint(
  breakpoints: InterruptBreakpoints,
  node: InterruptNode | undefined,
  act: (breakpoint: InterruptBreakpoint) => Promise<void>,
): Promise<void> {
  const breakpoint = node?.breakpointId === undefined ? await pickBreakpoint(breakpoints) : breakpoints.get(node.breakpointId);
  if (breakpoint !== undefined) await act(breakpoint);
}

async function pickBreakpoint(breakpoints: InterruptBreakpoints): Promise<InterruptBreakpoint | undefined> {
  const items = breakpoints.all.map((breakpoint) => ({
    label: filterLabel(breakpoint.filter),
    description: breakpoint.condition ?? "",
    breakpoint,
  }));
  if (items.length === 0) {
    void vscode.window.showInformationMessage("There are no interrupt breakpoints in this workspace.");
    return undefined;
  }
  return (await vscode.window.showQuickPick(items, { placeHolder: "Interrupt breakpoint" }))?.breakpoint;
}

/** For `${command:pickProgram}` in launch.json. */
async function pickProgram(): Promise<string | undefined> {
  const picked = await vscode.window.showOpenDialog({
    title: "Guest Image to Debug",
    openLabel: "Debug",
    canSelectMany: false,
    ...(vscode.workspace.workspaceFolders?.[0] === undefined ? {} : { defaultUri: vscode.workspace.workspaceFolders[0].uri }),
  });
  return picked?.[0]?.fsPath;
}

/** Opens the walkthrough. */
async function getStarted(): Promise<void> {
  await vscode.commands.executeCommand("workbench.action.openWalkthrough", "apicscope.apicscope#start");
  await keepWalkthrough();
}

/** VS Code opens a walkthrough as a preview, whose place the guest's source would take at the first stop: its user would lose the next steps. */
async function keepWalkthrough(): Promise<void> {
  const { activeTab } = vscode.window.tabGroups.activeTabGroup;
  // The extension API has no word for a walkthrough's tab.
  if (activeTab?.isPreview === true && activeTab.input === undefined) await vscode.commands.executeCommand("workbench.action.keepEditor");
}

async function debugBundledGuest(extension: vscode.Uri): Promise<void> {
  await keepWalkthrough();
  await vscode.debug.startDebugging(undefined, bundledGuestConfiguration(bundledGuest(extension)));
}

/** Offers the guests of the workspace and debugs the chosen one. */
async function debugGuest(extension: vscode.Uri): Promise<void> {
  await keepWalkthrough();
  const chosen = await pickGuest(extension);
  if (chosen !== undefined) await vscode.debug.startDebugging(chosen.folder, chosen.launch);
}
