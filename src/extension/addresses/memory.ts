// Memory in an editor: the Hex Editor where it is installed (VS Code's own view of debug memory), else a listing of bytes.
import * as vscode from "vscode";
import type { ResolveAddressResponse } from "../../adapter/insightProtocol";
import { memoryText } from "./memoryText";

export const memoryScheme = "apicscope-memory";
/** Bytes of a listing. */
const listingBytes = 2048;
const hexEditor = "ms-vscode.hexeditor";

/** Where the Hex Editor finds memory of a session (VS Code's own scheme for debug memory). */
export function debugMemoryUri(session: string, memoryReference: string): vscode.Uri {
  return vscode.Uri.from({ scheme: "vscode-debug-memory", authority: session, path: `/${encodeURIComponent(memoryReference)}/memory.bin` });
}

/** Opens memory from an address on. */
export async function showMemory(
  session: vscode.DebugSession,
  { memoryReference, address, space, symbol }: ResolveAddressResponse,
): Promise<void> {
  if (vscode.extensions.getExtension(hexEditor) !== undefined) {
    await vscode.commands.executeCommand("vscode.openWith", debugMemoryUri(session.id, memoryReference), "hexEditor.hexedit");
    return;
  }
  const name = `${space === "physical" ? "physical " : ""}${symbol === undefined ? "" : `${symbol.replace(/[^\w+.$-]/g, "_")} `}${address}`;
  const uri = vscode.Uri.from({ scheme: memoryScheme, path: `/${name}.txt`, query: `${session.id}&${memoryReference}` });
  await vscode.window.showTextDocument(await vscode.workspace.openTextDocument(uri), { preview: true });
}

/** Gives the texts of memory listings, and makes them anew at each stop. */
export class MemoryListings implements vscode.TextDocumentContentProvider {
  private readonly changed = new vscode.EventEmitter<vscode.Uri>();
  readonly onDidChange = this.changed.event;

  constructor(private readonly sessionOf: (id: string) => vscode.DebugSession | undefined) {}

  /** The machine has stopped elsewhere: open listings are read again. */
  refresh(): void {
    for (const { uri } of vscode.workspace.textDocuments) if (uri.scheme === memoryScheme) this.changed.fire(uri);
  }

  async provideTextDocumentContent(uri: vscode.Uri): Promise<string> {
    const [id, memoryReference] = uri.query.split("&");
    const session = this.sessionOf(id);
    if (session === undefined) return "The session has ended; its memory is gone.\n";
    const answer = (await session.customRequest("readMemory", { memoryReference, count: listingBytes })) as {
      address: string;
      data?: string;
    };
    return memoryText(BigInt(answer.address), Buffer.from(answer.data ?? "", "base64"), listingBytes);
  }
}
