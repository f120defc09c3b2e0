// 'Go to Address': a symbol, an expression, a linear or physical address, as memory or as instructions.
import * as vscode from "vscode";
import { resolveAddressRequest, type ResolveAddressResponse } from "../../adapter/insightProtocol";
import { showPlace } from "../listings";
import type { Sessions } from "../sessions";
import { showMemory } from "./memory";

/** Frame that the person looks at in a session, for expressions. */
function frameOf(session: vscode.DebugSession): { frameId?: number } {
  const item = vscode.debug.activeStackItem;
  return item instanceof vscode.DebugStackFrame && item.session.id === session.id ? { frameId: item.frameId } : {};
}

/** What a person typed, resolved in a session. Throws with the adapter's sentence. */
export async function resolveAddress(session: vscode.DebugSession, text: string): Promise<ResolveAddressResponse> {
  return (await session.customRequest(resolveAddressRequest, { text, ...frameOf(session) })) as ResolveAddressResponse;
}

/** Asks for an address and for how to show it. Given both, as by other commands, it asks nothing. */
export async function goToAddress(
  sessions: Sessions,
  given?: { readonly text: string; readonly as: "memory" | "disassembly" },
): Promise<void> {
  const { shown } = sessions;
  if (shown === undefined) {
    void vscode.window.showInformationMessage("No guest is being debugged: start a session first.");
    return;
  }
  const { session } = shown;
  let problem: string | undefined;
  let text = given?.text ?? "";
  let resolved: ResolveAddressResponse | undefined;
  while (resolved === undefined) {
    const asked = given === undefined ? await askAddress(text, problem) : text;
    if (asked === undefined) return;
    text = asked;
    try {
      resolved = await resolveAddress(session, text);
    } catch (error) {
      problem = error instanceof Error ? error.message : String(error);
      if (given !== undefined) return void vscode.window.showErrorMessage(problem);
    }
  }
  const as = given?.as ?? (resolved.space === "physical" ? "memory" : await askView(resolved));
  if (as === undefined) return;
  if (as === "memory") await showMemory(session, resolved);
  else await showPlace(session, { address: resolved.address, ...(resolved.symbol === undefined ? {} : { symbol: resolved.symbol }) });
}

function askAddress(value: string, problem: string | undefined): Thenable<string | undefined> {
  return vscode.window.showInputBox({
    title: "Go to Address",
    prompt: problem ?? "A symbol, an expression, a linear address, or a physical one after p:",
    placeHolder: "Such as main   or   rsp + 8   or   0xffffffff81000000   or   p:0xfee00000",
    value,
    ignoreFocusOut: true,
  });
}

async function askView({ address, symbol }: ResolveAddressResponse): Promise<"memory" | "disassembly" | undefined> {
  const items = [
    { label: "$(file-binary) Memory", description: "Bytes", as: "memory" as const },
    { label: "$(list-flat) Disassembly", description: "Instructions, as the CPU in focus decodes them", as: "disassembly" as const },
  ];
  const picked = await vscode.window.showQuickPick(items, { title: symbol === undefined ? address : `${address} <${symbol}>` });
  return picked?.as;
}
