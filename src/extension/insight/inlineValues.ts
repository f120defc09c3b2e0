// Values at the ends of lines while the guest stands still: variables by name, and the registers of assembler lines.
import type { DebugProtocol } from "@vscode/debugprotocol";
import * as vscode from "vscode";
import { debugType } from "../configuration";
import type { Sessions } from "../sessions";

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

/** Whether a variable's text is a reason why it has no value: "<optimised out>". */
export function isMissing(value: string): boolean {
  return /^<[^>]*>$/.test(value);
}

export class InlineValues implements vscode.InlineValuesProvider {
  constructor(private readonly sessions: Sessions) {}

  async provideInlineValues(
    document: vscode.TextDocument,
    viewPort: vscode.Range,
    context: vscode.InlineValueContext,
  ): Promise<vscode.InlineValue[]> {
    const session = vscode.debug.activeDebugSession;
    if (session?.type !== debugType) return [];
    const isAssembler = assemblers.has(document.languageId);
    const locals = isAssembler ? new Map<string, string>() : await this.locals(session, context.frameId);
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
        const value = locals.get(text);
        if (isAssembler) values.push(new vscode.InlineValueEvaluatableExpression(range, text));
        else if (value !== undefined) values.push(new vscode.InlineValueText(range, `${text} = ${value}`));
      }
    }
    return values;
  }

  /** Values of a frame's local variables by name; those that have none are left out. VS Code's own lookup would show why they have none. */
  private async locals(session: vscode.DebugSession, frameId: number): Promise<ReadonlyMap<string, string>> {
    try {
      const { scopes } = (await this.sessions.ask(session, "scopes", { frameId })) as DebugProtocol.ScopesResponse["body"];
      const scope = scopes.find(({ presentationHint }) => presentationHint === "locals");
      if (scope === undefined) return new Map();
      const { variablesReference } = scope;
      const answer = (await this.sessions.ask(session, "variables", { variablesReference })) as DebugProtocol.VariablesResponse["body"];
      return new Map(answer.variables.filter(({ value }) => !isMissing(value)).map(({ name, value }) => [name, value]));
    } catch {
      // The guest runs again.
      return new Map();
    }
  }
}
