// Activation: makes the parts and connects them.
import * as vscode from "vscode";
import { exceptionFilters } from "../adapter/protocol";
import { AdapterFactory, createAdapterLog } from "./adapterFactory";
import { registerCommands } from "./commands";
import { ConfigurationProvider, bundledGuest, debugType, dynamicConfigurations } from "./configuration";
import { InterruptBreakpoints } from "./interruptBreakpoints";
import { InterruptsView } from "./interruptsTree";
import { Listings } from "./listings";
import { Sessions } from "./sessions";
import { openPlace } from "./places";
import { Timelines } from "./timeline/timelines";

/** What the extension gives to other extensions and to its tests. */
export interface ApicscopeApi {
  readonly breakpoints: InterruptBreakpoints;
  readonly sessions: Sessions;
  readonly interrupts: InterruptsView;
  readonly timelines: Timelines;
  /** Names of the stages that interrupt breakpoints can stop on. */
  readonly filters: readonly string[];
}

/** The timelines of the window, for {@link deactivate}, to which VS Code gives nothing. */
let open: Timelines | undefined;

export function activate(context: vscode.ExtensionContext): ApicscopeApi {
  const log = vscode.window.createOutputChannel("APICScope", { log: true });
  const breakpoints = new InterruptBreakpoints(context.workspaceState);
  const sessions = new Sessions(breakpoints, log);
  const interrupts = new InterruptsView(breakpoints, sessions);
  const timelines = new Timelines(context.extensionUri, context.storageUri, sessions, openPlace);
  open = timelines;
  const provider = new ConfigurationProvider(context.extensionUri, breakpoints);
  const dynamic = { provideDebugConfigurations: () => dynamicConfigurations(context.extensionUri) };
  context.subscriptions.push(
    log,
    sessions,
    interrupts,
    timelines,
    vscode.commands.registerCommand("apicscope.showTimeline", () => void timelines.show()),
    Listings.register((id) => sessions.session(id)),
    vscode.debug.registerDebugConfigurationProvider(debugType, provider),
    vscode.debug.registerDebugConfigurationProvider(debugType, dynamic, vscode.DebugConfigurationProviderTriggerKind.Dynamic),
    vscode.debug.registerDebugAdapterDescriptorFactory(debugType, new AdapterFactory(context.extensionUri)),
    vscode.debug.registerDebugAdapterTrackerFactory(debugType, createAdapterLog(log)),
    ...registerCommands({ breakpoints, sessions, bundledGuest: bundledGuest(context.extensionUri) }),
  );
  return { breakpoints, sessions, interrupts, timelines, filters: exceptionFilters.map(({ filter }) => filter) };
}

/** The window closes or is loaded anew: VS Code waits a moment for what is still to be written. */
export async function deactivate(): Promise<void> {
  await open?.keep();
}
