// Shows places of the guest's code: their source line where there is one.
import { existsSync } from "node:fs";
import * as vscode from "vscode";
import type { TimelinePlace } from "../adapter/timelineProtocol";

/** The editor group that holds sources: not the one of the panel that was clicked in. */
function sourceColumn(): vscode.ViewColumn {
  return vscode.window.visibleTextEditors.find(({ viewColumn }) => viewColumn !== undefined)?.viewColumn ?? vscode.ViewColumn.One;
}

/** Opens the source line of a place. */
export async function openPlace({ address, symbol, file, line }: TimelinePlace): Promise<void> {
  if (file === undefined || line === undefined || !existsSync(file)) {
    const why = file === undefined ? "has no source line" : `is in ${file}, which does not exist here`;
    void vscode.window.showInformationMessage(`${symbol ?? address} (${address}) ${why}.`);
    return;
  }
  const document = await vscode.workspace.openTextDocument(vscode.Uri.file(file));
  const position = new vscode.Position(Math.min(Math.max(line - 1, 0), document.lineCount - 1), 0);
  await vscode.window.showTextDocument(document, { viewColumn: sourceColumn(), selection: new vscode.Range(position, position) });
}
