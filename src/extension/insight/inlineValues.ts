// Values at the ends of lines while the guest stands still: variables by name, and the registers of assembler lines.
import * as vscode from "vscode";
import { debugType } from "../configuration";

const register = /%?\b(?:[re]?[abcd]x|[re]?[sd]i|[re]?[sb]p|r(?:[89]|1[0-5])[dwb]?|[abcd][lh]|cr[0234])\b/gi;
const word = /(?<![\w.>"'])[A-Za-z_]\w*(?:(?:\.|->)[A-Za-z_]\w*)*(?!\w*\s*\()/g;
/** Lines above the stopped one that are looked at. */
const reach = 60;
/** Values of one answer at most. */
const most = 300;

const assemblers = new Set(["asm", "asm-collection", "asm-intel-x86-generic", "gas", "nasm", "fasm", "masm", "x86asm"]);

/** Names and places of what a line mentions, without comments and strings. */
export function mentioned(line: string, isAssembler: boolean): { readonly text: string; readonly from: number }[] {
  const code = line
    .replace(/"(?:[^"\\]|\\.)*"/g, (text) => " ".repeat(text.length))
    .replace(/\/\/.*$|\/\*.*?(?:\*\/|$)/g, (text) => " ".repeat(text.length));
  const bare = isAssembler ? code.replace(/[;#].*$/, "") : code;
  return [...bare.matchAll(isAssembler ? register : word)].map((match) => ({ text: match[0].replace(/^%/, ""), from: match.index }));
}

export class InlineValues implements vscode.InlineValuesProvider {
  provideInlineValues(document: vscode.TextDocument, viewPort: vscode.Range, context: vscode.InlineValueContext): vscode.InlineValue[] {
    if (vscode.debug.activeDebugSession?.type !== debugType) return [];
    const isAssembler = assemblers.has(document.languageId);
    const stopped = context.stoppedLocation.end.line;
    // Registers have their value at the stopped line only: what stands above has changed since.
    const first = isAssembler ? stopped : Math.max(viewPort.start.line, stopped - reach, 0);
    const values: vscode.InlineValue[] = [];
    for (let line = first; line <= Math.min(stopped, document.lineCount - 1) && values.length < most; line++) {
      const seen = new Set<string>();
      for (const { text, from } of mentioned(document.lineAt(line).text, isAssembler)) {
        if (seen.has(text)) continue;
        seen.add(text);
        const range = new vscode.Range(line, from, line, from + text.length);
        // A name that no scope has shows nothing; an expression would show that it failed.
        values.push(
          isAssembler ? new vscode.InlineValueEvaluatableExpression(range, text) : new vscode.InlineValueVariableLookup(range, text),
        );
      }
    }
    return values;
  }
}
