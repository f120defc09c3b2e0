// Hovers that say what an ICR, LVT entry, redirection entry or SVR value means: over numbers in source code, and over variables
// and fields while the guest stands still.
import * as vscode from "vscode";
import { decodeRequest, type DecodeArguments, type DecodeResponse } from "../../adapter/insightProtocol";
import type { Sessions } from "../sessions";
import { numberOf, registerOf } from "./registerNames";

const number = /\$?\b0x[0-9a-fA-F_']+[uUlL]*\b|\b\d[\d_']*[uUlL]*\b/;
const name = /[A-Za-z_]\w*(?:(?:\.|->)[A-Za-z_]\w*)*/;

export class RegisterHovers implements vscode.HoverProvider {
  constructor(private readonly sessions: Sessions) {}

  async provideHover(document: vscode.TextDocument, position: vscode.Position): Promise<vscode.Hover | undefined> {
    const { shown } = this.sessions;
    if (shown === undefined) return undefined;
    const { session } = shown;
    const line = document.lineAt(position).text;
    const literal = document.getWordRangeAtPosition(position, number);
    if (literal !== undefined) {
      const value = numberOf(document.getText(literal));
      const register = registerOf(line);
      return value === undefined || register === undefined ? undefined : this.hover(session, register, value, literal);
    }
    const word = document.getWordRangeAtPosition(position, name);
    if (word === undefined || shown.running) return undefined;
    const expression = document.getText(word);
    const register = registerOf(expression);
    if (register === undefined) return undefined;
    const value = await this.valueOf(session, expression);
    return value === undefined ? undefined : this.hover(session, register, value, word);
  }

  private async hover(
    session: vscode.DebugSession,
    register: string,
    value: bigint,
    range: vscode.Range,
  ): Promise<vscode.Hover | undefined> {
    const args: DecodeArguments = { register, value: `0x${value.toString(16)}` };
    try {
      const { text, fields } = (await this.sessions.ask(session, decodeRequest, args)) as DecodeResponse;
      const table = new vscode.MarkdownString(`**${register}** \`${args.value}\`: ${text}\n\n| Bits | Field | Value |\n|---|---|---|\n`);
      for (const field of fields) {
        const shown = field.text === undefined || field.text === field.value ? field.value : `${field.value} (${field.text})`;
        table.appendMarkdown(`| ${field.bits} | ${field.name} | ${shown} |\n`);
      }
      return new vscode.Hover(table, range);
    } catch {
      // The number does not fit in the register, or the session has ended.
      return undefined;
    }
  }

  /** Value of a variable in the frame that is looked at. */
  private async valueOf(session: vscode.DebugSession, expression: string): Promise<bigint | undefined> {
    const item = vscode.debug.activeStackItem;
    const frame = item instanceof vscode.DebugStackFrame && item.session.id === session.id ? { frameId: item.frameId } : {};
    try {
      const { result } = (await this.sessions.ask(session, "evaluate", { expression, context: "hover", ...frame })) as { result: string };
      return numberOf(/^\S+/.exec(result)?.[0] ?? "");
    } catch {
      return undefined;
    }
  }
}
