// VS Code's own views of memory and instructions: memory by its document scheme, which the Hex Editor reads, and the Disassembly view in code of every width.
import assert from "node:assert/strict";
import type { DebugProtocol } from "@vscode/debugprotocol";
import * as vscode from "vscode";
import { debugMemoryUri } from "../../src/extension/addresses/memory";
import { DapTrace } from "./dapTrace";
import { focused, start } from "./guests";
import { eventually, log, test } from "./runner";

test("memory is a document of VS Code's own scheme, as the Hex Editor opens it, and can be written", async () => {
  const { session } = await start({ name: "addresses", cpus: 2, stopOnEntry: true });
  const resolved = (await session.customRequest("apicscope/resolveAddress", { text: "p:0x100000" })) as { memoryReference: string };
  const uri = debugMemoryUri(session.id, resolved.memoryReference).with({ query: "range=0:64" });
  const bytes = Buffer.from(await vscode.workspace.fs.readFile(uri));
  const answer = (await session.customRequest("readMemory", { memoryReference: resolved.memoryReference, count: 64 })) as {
    data: string;
  };
  assert.equal(bytes.toString("hex"), Buffer.from(answer.data, "base64").toString("hex"));
  assert.ok(bytes.some((byte) => byte !== 0));
});

for (const { width, attributes, expected } of [
  { width: 32, attributes: { stopOnEntry: true }, expected: /^(cli|cld|mov e|jmp|xor e)/i },
  { width: 16, attributes: { interruptBreakpoints: [{ filter: "sipi" }] }, expected: /^(cli|cld|mov|jmp|xor)/i },
  {
    width: 64,
    attributes: { interruptBreakpoints: [{ filter: "interrupt.deliver", condition: "vector == 0xf0" }] },
    expected: /^(push|endbr64|sub|cld)/i,
  },
])
  test(`the Disassembly view opens at the stopped instruction of ${width}-bit code`, async () => {
    const trace = new DapTrace();
    try {
      const state = await start({ name: "addresses", cpus: 2, ...attributes });
      const { session } = state;
      const frame = await focused(state);
      assert.ok(frame instanceof vscode.DebugStackFrame);
      const stack = (await session.customRequest("stackTrace", { threadId: frame.threadId, levels: 1 })) as {
        stackFrames: DebugProtocol.StackFrame[];
      };
      const at = BigInt(stack.stackFrames[0].instructionPointerReference ?? "0");
      await vscode.commands.executeCommand("debug.action.openDisassemblyView");
      await eventually("the view", () => (vscode.window.tabGroups.activeTabGroup.activeTab?.label === "Disassembly" ? true : undefined));
      const found = await eventually("its instructions", () =>
        trace.requests
          .filter(({ command }) => command === "disassemble")
          .flatMap(({ response }) => (response?.body as DebugProtocol.DisassembleResponse["body"])?.instructions ?? [])
          .find(({ address }) => BigInt(address) === at),
      );
      log(`${found.address} ${found.instructionBytes} ${found.instruction}`);
      assert.match(found.instruction, expected);
      const { scopes } = (await session.customRequest("scopes", { frameId: frame.frameId })) as DebugProtocol.ScopesResponse["body"];
      const variablesReference = scopes.find(({ name }) => name === "System")?.variablesReference;
      const { variables } = (await session.customRequest("variables", { variablesReference })) as DebugProtocol.VariablesResponse["body"];
      assert.match(variables.find(({ name }) => name === "Mode")?.value ?? "", new RegExp(`${width}-bit code|real`));
    } finally {
      trace.dispose();
    }
  });
