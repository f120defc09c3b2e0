import { lintKinds, lintText, type LintKind } from "../lints/lint";
import type { Command } from "./command";

const lints: Command = {
  name: "lints",
  usage: "[KIND] [notes] [clear]",
  summary: "what the guest did wrong with its interrupts so far, each place once",
  details: `KIND is one of ${lintKinds.join(", ")}. "notes" shows also what correct guests may do; "clear" forgets what was found.`,
  complete: () => [...lintKinds, "notes", "clear"],
  run: (args, { session }) => {
    if (args.accept("clear")) {
      session.lints.clear();
      return { text: "forgotten" };
    }
    const kind = lintKinds.find((name): name is LintKind => args.accept(name));
    const notes = args.accept("notes");
    const found = session.lints.all.filter((lint) => (kind === undefined ? notes || lint.severity === "warning" : lint.kind === kind));
    const lines = found.flatMap((lint) => [
      `${lint.severity === "note" ? "note: " : ""}${lintText(lint, session.symbols)}`,
      `    ${lint.advice}`,
    ]);
    return { text: lines.length === 0 ? "nothing was found" : lines.join("\n"), data: found };
  },
};

export const lintCommands: readonly Command[] = [lints];
