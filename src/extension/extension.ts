// Activation: makes the parts and connects them.
import * as vscode from "vscode";
import { exceptionFilters } from "../adapter/protocol";
import { Adapters, createAdapterLog } from "./adapter/adapterFactory";
import { registerCommands } from "./commands";
import { ConfigurationProvider, DynamicConfigurations, debugType } from "./configuration";
import { InterruptBreakpoints } from "./interruptBreakpoints";
import { InterruptsView } from "./interruptsTree";
import { Listings } from "./listings";
import { Sessions } from "./sessions";
import { Screens } from "./console/screenPanel";
import { SerialTerminals } from "./console/serialTerminals";
import { registerInsights, type Insights } from "./insight/insights";
import { openAnyPlace } from "./listings";
import { Books } from "./timeline/books";
import { StatusBar } from "./statusBar";
import { Timelines } from "./timeline/timelines";

/** What the extension gives to other extensions and to its tests. */
export interface ApicscopeApi {
  readonly breakpoints: InterruptBreakpoints;
  readonly sessions: Sessions;
  readonly interrupts: InterruptsView;
  readonly status: StatusBar;
  readonly timelines: Timelines;
  readonly insights: Insights;
  readonly screens: Screens;
  readonly serial: SerialTerminals;
  /** Names of the stages that interrupt breakpoints can stop on. */
  readonly filters: readonly string[];
  /** Processor time in milliseconds that {@link activate} took, without what VS Code does around it. */
  readonly activation: number;
}

/** The timelines of the window, for {@link deactivate}, to which VS Code gives nothing. */
let open: Timelines | undefined;

export function activate(context: vscode.ExtensionContext): ApicscopeApi {
  const before = process.cpuUsage();
  const log = vscode.window.createOutputChannel("APICScope", { log: true });
  const breakpoints = new InterruptBreakpoints(context.workspaceState);
  const adapters = new Adapters(context.extensionUri, log);
  const sessions = new Sessions(breakpoints, adapters, log);
  const interrupts = new InterruptsView(breakpoints, sessions);
  const books = new Books(sessions);
  const timelines = new Timelines(context.extensionUri, context.storageUri, sessions, books, openAnyPlace);
  open = timelines;
  const screens = new Screens(context.extensionUri, sessions);
  const serial = new SerialTerminals(sessions);
  const insights = registerInsights(context.extensionUri, sessions, books);
  const provider = new ConfigurationProvider(context.extensionUri, breakpoints);
  const dynamic = new DynamicConfigurations(context.extensionUri);
  const status = new StatusBar(sessions);
  context.subscriptions.push(
    log,
    adapters,
    sessions,
    interrupts,
    books,
    status,
    timelines,
    vscode.commands.registerCommand("apicscope.showTimeline", (given?: { vectors?: string }) => {
      const panel = timelines.show();
      if (given?.vectors !== undefined) panel.filter(given.vectors);
    }),
    insights,
    screens,
    serial,
    vscode.commands.registerCommand("apicscope.showScreen", () => screens.show()),
    vscode.commands.registerCommand("apicscope.openSerialTerminal", () => serial.show()),
    Listings.register((id) => sessions.session(id)),
    vscode.debug.registerDebugConfigurationProvider(debugType, provider),
    vscode.debug.registerDebugConfigurationProvider(debugType, dynamic, vscode.DebugConfigurationProviderTriggerKind.Dynamic),
    vscode.debug.registerDebugAdapterDescriptorFactory(debugType, adapters),
    vscode.debug.registerDebugAdapterTrackerFactory(debugType, createAdapterLog(log)),
    ...registerCommands({ breakpoints, sessions, extension: context.extensionUri }),
  );
  const filters = exceptionFilters.map(({ filter }) => filter);
  const { user, system } = process.cpuUsage(before);
  return { breakpoints, sessions, interrupts, status, timelines, insights, screens, serial, filters, activation: (user + system) / 1000 };
}

/** The window closes or is loaded anew: VS Code waits a moment for what is still to be written. */
export async function deactivate(): Promise<void> {
  await open?.keep();
}
