// What shows interrupts where their code is: lenses, hovers, inline values, problems, the sender's mark, and 'Go to Address'.
import * as vscode from "vscode";
import { goToAddress } from "../addresses/goToAddress";
import { MemoryListings, memoryScheme } from "../addresses/memory";
import type { Sessions } from "../sessions";
import type { Books } from "../timeline/books";
import { StatisticsLenses } from "./codeLenses";
import { InlineValues } from "./inlineValues";
import { guestSources } from "./languages";
import { LintProblems } from "./lintProblems";
import { RegisterHovers } from "./registerHovers";
import { SenderMark } from "./senderMark";

/** The parts that others ask, and what ends them all. */
export interface Insights extends vscode.Disposable {
  readonly sender: SenderMark;
}

/** Registers them all. */
export function registerInsights(extension: vscode.Uri, sessions: Sessions, books: Books): Insights {
  const sender = new SenderMark(extension, sessions, books);
  const memory = new MemoryListings((id) => sessions.session(id));
  const all = vscode.Disposable.from(
    new StatisticsLenses(guestSources, books),
    new LintProblems(sessions),
    sender,
    vscode.languages.registerHoverProvider(guestSources, new RegisterHovers(sessions)),
    vscode.languages.registerInlineValuesProvider(guestSources, new InlineValues(sessions)),
    vscode.workspace.registerTextDocumentContentProvider(memoryScheme, memory),
    sessions.onDidRead(() => memory.refresh()),
    vscode.commands.registerCommand("apicscope.goToAddress", (given?: { text: string; as: "memory" | "disassembly" }) =>
      goToAddress(sessions, given),
    ),
  );
  return { sender, dispose: () => void all.dispose() };
}
