// Shows a place in the guest's code: its source line where there is one, else a listing of the instructions.
import type { DebugProtocol } from "@vscode/debugprotocol";
import { existsSync } from "node:fs";
import * as vscode from "vscode";
import type { TimelinePlace } from "../adapter/timelineProtocol";
import type { LocateResponse } from "../adapter/protocol";
import { openPlace } from "./places";

const listingScheme = "apicscope-listing";
const listingLanguage = "apicscope-disassembly";
/** Instructions of a listing. */
const listingLength = 128;

/** Opens the source line of a place, or a listing from there on. */
export async function showPlace(session: vscode.DebugSession, place: LocateResponse): Promise<void> {
  const { address, path: file, line } = place;
  if (file !== undefined && line !== undefined) return openPlace({ address, file, line });
  const name = place.symbol === undefined ? place.address : `${place.symbol.replace(/[^\w+.$-]/g, "_")} ${place.address}`;
  const uri = vscode.Uri.from({ scheme: listingScheme, path: `/${name}.lst`, query: `${session.id}&${place.address}` });
  const document = await vscode.languages.setTextDocumentLanguage(await vscode.workspace.openTextDocument(uri), listingLanguage);
  await vscode.window.showTextDocument(document, { preview: true });
}

/** The same for a place as timelines know it; of an ended session only source lines are left. */
export async function openAnyPlace(place: TimelinePlace, session: vscode.DebugSession | undefined): Promise<void> {
  const { address, symbol, file } = place;
  if (session === undefined || (file !== undefined && existsSync(file))) return openPlace(place);
  await showPlace(session, { address, ...(symbol === undefined ? {} : { symbol }) });
}

/** Gives the texts of listings: instructions as the adapter disassembles them. */
export class Listings implements vscode.TextDocumentContentProvider {
  constructor(private readonly sessionOf: (id: string) => vscode.DebugSession | undefined) {}

  static register(sessionOf: (id: string) => vscode.DebugSession | undefined): vscode.Disposable {
    return vscode.workspace.registerTextDocumentContentProvider(listingScheme, new Listings(sessionOf));
  }

  async provideTextDocumentContent(uri: vscode.Uri): Promise<string> {
    const [id, address] = uri.query.split("&");
    const session = this.sessionOf(id);
    if (session === undefined) return `The session has ended; nothing is known of ${address} any more.\n`;
    const args: DebugProtocol.DisassembleArguments = { memoryReference: address, instructionCount: listingLength, resolveSymbols: true };
    const { instructions } = (await session.customRequest("disassemble", args)) as NonNullable<DebugProtocol.DisassembleResponse["body"]>;
    let symbol: string | undefined;
    const lines: string[] = [];
    for (const instruction of instructions) {
      if (instruction.symbol !== undefined && instruction.symbol !== symbol) lines.push(`${instruction.symbol}:`);
      symbol = instruction.symbol ?? symbol;
      lines.push(`${instruction.address}  ${(instruction.instructionBytes ?? "").padEnd(30)}  ${instruction.instruction}`);
    }
    return `${lines.join("\n")}\n`;
  }
}
