// One CPU frozen, run alone and stepped alone, as the call stack's context menu asks for it.
import assert from "node:assert/strict";
import * as vscode from "vscode";
import { api } from "./extension";
import { inSession } from "./fakeSession";
import { row } from "./rows";
import { eventually, test } from "./runner";

test("commands act on the CPU of a call stack row, of a view's row, and on the one in focus", () =>
  inSession(async (fake) => {
    const session = vscode.debug.activeDebugSession;
    assert.ok(session !== undefined);
    // What VS Code passes from the call stack: the session's id and its own id of the thread, which ends in the DAP id.
    const context = { sessionId: session.id, threadId: `thread:${session.id}:2` };
    await vscode.commands.executeCommand("apicscope.cpu.freeze", 2, context);
    await vscode.commands.executeCommand("apicscope.cpu.stepInstruction", 2, context);
    await vscode.commands.executeCommand("apicscope.cpu.unfreeze", await row("cpu/1"));
    await eventually("the focus", async () => ((await api()).sessions.focusedThread === 1 ? true : undefined));
    await vscode.commands.executeCommand("apicscope.cpu.stepOver");
    await vscode.commands.executeCommand("apicscope.cpu.unfreezeAll");
    assert.deepEqual(fake.control, [
      ["apicscope/freeze", { threadId: 2 }],
      ["apicscope/step", { threadId: 2, others: "hold", kind: "in", granularity: "instruction" }],
      ["apicscope/unfreeze", { threadId: 2 }],
      ["apicscope/step", { threadId: 1, others: "hold", kind: "over", granularity: "line" }],
      ["apicscope/unfreeze", {}],
    ]);
    await vscode.commands.executeCommand("apicscope.cpu.runOnly", 2, context);
    await eventually("the run", () => (fake.continued.includes(2) ? true : undefined));
    assert.deepEqual(fake.control.at(-1), ["apicscope/runOnly", { threadId: 2 }]);
  }));
