// What can be done with a row of the 'Interrupts' view, and by command without one: ask why an interrupt is not delivered, inject one, go to its handler or sender.
import * as vscode from "vscode";
import {
  commandRequest,
  interruptTableRequest,
  locateRequest,
  type CommandResponse,
  type InterruptTableResponse,
  type LocateResponse,
} from "../adapter/protocol";
import { hex, hitsText, type InterruptNode } from "./interruptNodes";
import { showPlace } from "./listings";
import type { SessionState, Sessions } from "./sessions";

/** Commands by their names. Each takes the row it was called on; from the Command Palette it asks. */
export function interruptCommands(sessions: Sessions): Record<string, (node?: InterruptNode) => unknown> {
  const withSession = (act: (state: SessionState) => Promise<void>): Promise<void> => inSession(sessions, act);
  return {
    "apicscope.interrupts.why": (node) => withSession((state) => why(state, sessions, node)),
    "apicscope.interrupts.inject": (node) => withSession((state) => inject(state, sessions, node)),
    "apicscope.interrupts.goToHandler": (node) => withSession((state) => goToHandler(state, sessions, node)),
    "apicscope.interrupts.goToSender": (node) => withSession((state) => goToSender(state, sessions, node)),
    "apicscope.interrupts.goToSetter": (node) => withSession((state) => goToAddress(state, node?.actions?.setter)),
  };
}

/** Acts on the shown session; what the adapter refuses is told in its own sentence. */
async function inSession(sessions: Sessions, act: (state: SessionState) => Promise<void>): Promise<void> {
  const { shown } = sessions;
  if (shown === undefined) {
    void vscode.window.showInformationMessage("No guest is being debugged: start a session first.");
    return;
  }
  try {
    await act(shown);
  } catch (error) {
    void vscode.window.showErrorMessage(error instanceof Error ? error.message : String(error));
  }
}

/** Index of the CPU that the user looks at; the first one if none. */
function focusedCpu(sessions: Sessions): number {
  return (sessions.focusedThread ?? 1) - 1;
}

/** Carries out a console command and shows what it says in the Debug Console, as if it had been typed there. */
async function runInConsole({ session }: SessionState, command: string, show: boolean): Promise<void> {
  const { text } = (await session.customRequest(commandRequest, { command })) as CommandResponse;
  const console = vscode.debug.activeDebugConsole;
  console.appendLine(`> ${command}`);
  console.appendLine(text);
  if (show) await vscode.commands.executeCommand("workbench.debug.action.focusRepl");
}

async function why(state: SessionState, sessions: Sessions, node: InterruptNode | undefined): Promise<void> {
  const command = node?.actions?.why ?? (await askWhy(state, focusedCpu(sessions)));
  if (command !== undefined) await runInConsole(state, command, true);
}

/** Offers what is pending anywhere; anything else can be typed. */
async function askWhy({ history }: SessionState, cpu: number): Promise<string | undefined> {
  const [value] = (history.state?.cpus ?? []).flatMap(({ index, irr }) => irr.map((vector) => `${hex(vector)} cpu${index}`));
  const asked = await vscode.window.showInputBox({
    title: "Why Is an Interrupt Not Delivered?",
    prompt: "The vector, and the CPU that should get it.",
    placeHolder: `Such as 0x30 cpu${cpu}`,
    value: value ?? `0x30 cpu${cpu}`,
    validateInput: (text) =>
      /^\s*(0x[0-9a-f]{1,2}|\d{1,3})(\s+cpu\d{1,2})?\s*$/i.test(text) ? undefined : "Write a vector and a CPU, such as 0x30 cpu1.",
  });
  return asked === undefined ? undefined : `why ${asked.trim()}`;
}

async function inject(state: SessionState, sessions: Sessions, node: InterruptNode | undefined): Promise<void> {
  const suggestion = node?.actions?.inject ?? `inject 0x30 cpu${focusedCpu(sessions)}`;
  const asked = await vscode.window.showInputBox({
    title: "Inject an Interrupt",
    prompt: "VECTOR, nmi, smi, init, sipi PAGE, extint, spurious, pin N, or msi ADDRESS DATA; then cpuN; then at INSTRUCTION to wait.",
    placeHolder: "Such as 0x30 cpu1   or   nmi cpu0   or   pin 4   or   0x30 cpu1 at 5000000",
    value: suggestion.replace(/^inject /, ""),
    validateInput: (text) => (text.trim() === "" ? "Write what to inject, such as 0x30 cpu1." : undefined),
  });
  if (asked !== undefined) await runInConsole(state, `inject ${asked.trim()}`, false);
}

async function goToHandler(state: SessionState, sessions: Sessions, node: InterruptNode | undefined): Promise<void> {
  const handler = node?.actions?.handler ?? (await pickHandler(state, focusedCpu(sessions) + 1));
  if (handler === undefined) return;
  await showPlace(state.session, (await state.session.customRequest(locateRequest, handler)) as LocateResponse);
}

async function pickHandler({ session }: SessionState, threadId: number): Promise<{ threadId: number; vector: number } | undefined> {
  const { gates } = (await session.customRequest(interruptTableRequest, { threadId })) as InterruptTableResponse;
  const items = gates.map(({ vector, symbol, handler, kind, hits }) => {
    const label = `${hex(vector)}  ${symbol ?? handler}`;
    return { label, description: [kind, hitsText(hits)].filter((text) => text !== "").join(" · "), vector };
  });
  const placeHolder = items.length === 0 ? `CPU ${threadId - 1} has no interrupt handlers yet` : "Vector whose handler to show";
  const picked = await vscode.window.showQuickPick(items, { title: `Interrupt Handlers of CPU ${threadId - 1}`, placeHolder });
  return picked === undefined ? undefined : { threadId, vector: picked.vector };
}

async function goToSender(state: SessionState, sessions: Sessions, node: InterruptNode | undefined): Promise<void> {
  if (node !== undefined) return goToAddress(state, node.actions?.sender);
  const index = focusedCpu(sessions);
  const cpu = state.history.state?.cpus.find((entry) => entry.index === index);
  const sender =
    cpu?.serving.at(-1)?.sender ?? cpu?.pending.at(-1)?.sender ?? cpu?.lastEvents.findLast((event) => event.sender !== undefined)?.sender;
  if (sender === undefined) {
    void vscode.window.showInformationMessage(`No interrupt of CPU ${index} was sent by an instruction.`);
    return;
  }
  await goToAddress(state, sender);
}

async function goToAddress({ session }: SessionState, address: string | undefined): Promise<void> {
  if (address === undefined) return;
  await showPlace(session, (await session.customRequest(locateRequest, { address })) as LocateResponse);
}
