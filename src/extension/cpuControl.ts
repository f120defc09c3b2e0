// Freezing, running and stepping one CPU, from its row in the call stack, its row in the Interrupts view, or the Command Palette for the CPU in focus.
import * as vscode from "vscode";
import { freezeRequest, runOnlyRequest, stepRequest, unfreezeRequest, type StepArguments } from "../adapter/protocol";
import { cpuNodeId } from "./cpuRows";
import { debugType } from "./configuration";
import type { Sessions } from "./sessions";

/** A CPU of a session, as its DAP thread. */
interface CpuThread {
  readonly session: vscode.DebugSession;
  readonly threadId: number;
}

/** Commands by their names. */
export function cpuCommands(sessions: Sessions): Record<string, (...args: unknown[]) => Promise<void>> {
  const on =
    (act: (cpu: CpuThread, args: readonly unknown[]) => Promise<void>) =>
    async (...args: unknown[]): Promise<void> => {
      const cpu = threadOf(args, sessions);
      if (cpu === undefined) {
        void vscode.window.showInformationMessage("Select a CPU in the call stack of an APICScope session first.");
        return;
      }
      try {
        await act(cpu, args);
      } catch (error) {
        void vscode.window.showErrorMessage(error instanceof Error ? error.message : String(error));
      }
    };
  const step = (choice: Pick<StepArguments, "kind" | "granularity">): ((...args: unknown[]) => Promise<void>) =>
    on(async ({ session, threadId }) => {
      await session.customRequest(stepRequest, { threadId, others: "hold", ...choice } satisfies StepArguments);
    });
  return {
    "apicscope.cpu.freeze": on(async ({ session, threadId }) => void (await session.customRequest(freezeRequest, { threadId }))),
    "apicscope.cpu.unfreeze": on(async ({ session, threadId }) => void (await session.customRequest(unfreezeRequest, { threadId }))),
    "apicscope.cpu.unfreezeAll": on(async ({ session }) => void (await session.customRequest(unfreezeRequest, {}))),
    "apicscope.cpu.runOnly": on(async ({ session, threadId }, args) => {
      await session.customRequest(runOnlyRequest, { threadId });
      // VS Code's own command, so that it knows of the run.
      await vscode.commands.executeCommand("workbench.action.debug.continue", undefined, args.find(isThreadContext));
    }),
    "apicscope.cpu.stepOver": step({ kind: "over", granularity: "line" }),
    "apicscope.cpu.stepInstruction": step({ kind: "in", granularity: "instruction" }),
  };
}

/** What VS Code's call stack passes to a command. */
interface ThreadContext {
  readonly sessionId: string;
  readonly threadId: string | number;
}

function isThreadContext(value: unknown): value is ThreadContext {
  if (typeof value !== "object" || value === null) return false;
  const { sessionId, threadId } = value as Partial<Record<keyof ThreadContext, unknown>>;
  return typeof sessionId === "string" && (typeof threadId === "string" || typeof threadId === "number");
}

/** The CPU that a command is for: of a row, else the one that the user looks at. */
function threadOf(args: readonly unknown[], sessions: Sessions): CpuThread | undefined {
  const context = args.find(isThreadContext);
  if (context !== undefined) {
    const session = sessions.session(context.sessionId);
    // The call stack's own ids end in the DAP id.
    const threadId = Number(/(\d+)$/.exec(String(context.threadId))?.[1]);
    return session === undefined || !Number.isInteger(threadId) ? undefined : { session, threadId };
  }
  const { shown } = sessions;
  const cpu = shown?.history.state?.cpus.find(({ index }) => args.some((arg) => isRowOf(arg, cpuNodeId(index))));
  if (shown !== undefined && cpu !== undefined) return { session: shown.session, threadId: cpu.threadId };
  const item = vscode.debug.activeStackItem;
  if (item?.session.type !== debugType || item.threadId === undefined) return undefined;
  return { session: item.session, threadId: item.threadId };
}

function isRowOf(value: unknown, id: string): boolean {
  return typeof value === "object" && value !== null && "kind" in value && "id" in value && value.id === id;
}
