// Activation: makes the parts and connects them.
import * as vscode from "vscode";
import { exceptionFilters } from "../adapter/protocol";
import { AdapterFactory, createAdapterLog } from "./adapterFactory";
import { registerCommands } from "./commands";
import { ConfigurationProvider, bundledGuest, debugType, dynamicConfigurations } from "./configuration";
import { InterruptBreakpoints } from "./interruptBreakpoints";
import { InterruptsView } from "./interruptsTree";
import { Sessions } from "./sessions";

/** What the extension gives to other extensions and to its tests. */
export interface ApicscopeApi {
  readonly breakpoints: InterruptBreakpoints;
  readonly sessions: Sessions;
  readonly interrupts: InterruptsView;
  /** Names of the stages that interrupt breakpoints can stop on. */
  readonly filters: readonly string[];
}

export function activate(context: vscode.ExtensionContext): ApicscopeApi {
  const log = vscode.window.createOutputChannel("APICScope", { log: true });
  const breakpoints = new InterruptBreakpoints(context.workspaceState);
  const sessions = new Sessions(breakpoints, log);
  const interrupts = new InterruptsView(breakpoints, sessions);
  const provider = new ConfigurationProvider(context.extensionUri, breakpoints);
  const dynamic = { provideDebugConfigurations: () => dynamicConfigurations(context.extensionUri) };
  context.subscriptions.push(
    log,
    sessions,
    interrupts,
    vscode.debug.registerDebugConfigurationProvider(debugType, provider),
    vscode.debug.registerDebugConfigurationProvider(debugType, dynamic, vscode.DebugConfigurationProviderTriggerKind.Dynamic),
    vscode.debug.registerDebugAdapterDescriptorFactory(debugType, new AdapterFactory(context.extensionUri)),
    vscode.debug.registerDebugAdapterTrackerFactory(debugType, createAdapterLog(log)),
    ...registerCommands({ breakpoints, sessions, bundledGuest: bundledGuest(context.extensionUri) }),
  );
  return { breakpoints, sessions, interrupts, filters: exceptionFilters.map(({ filter }) => filter) };
}
