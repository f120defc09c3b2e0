// The main job through all layers: the bundled guest on four CPUs, stopped on an IPI by the extension's own breakpoints.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import type { DebugProtocol } from "@vscode/debugprotocol";
import * as vscode from "vscode";
import type { CpuInterruptState, InterruptState } from "../../src/adapter/protocol";
import { api } from "./extension";
import { start } from "./guests";
import { row } from "./rows";
import { eventually, test } from "./runner";

/** Waits for the first stop after the one with this number. */
async function stopAfter(sequence: number): Promise<InterruptState> {
  const { sessions } = await api();
  return eventually("a stop", () => {
    const state = sessions.shown?.history.state;
    return state !== undefined && state.stopSequence > sequence && sessions.shown?.running === false ? state : undefined;
  });
}

function cpuOf(state: InterruptState, index: number): CpuInterruptState {
  const cpu = state.cpus.find((entry) => entry.index === index);
  if (cpu === undefined) throw new Error(`no CPU ${index}`);
  return cpu;
}

async function request<Response extends DebugProtocol.Response>(command: string, args: object = {}): Promise<Response["body"]> {
  const session = vscode.debug.activeDebugSession;
  if (session === undefined) throw new Error("no session");
  return (await session.customRequest(command, args)) as Response["body"];
}

/** Variables of a scope of a CPU's top frame. */
async function scope(threadId: number, name: string): Promise<DebugProtocol.Variable[]> {
  const { stackFrames } = await request<DebugProtocol.StackTraceResponse>("stackTrace", { threadId, startFrame: 0, levels: 1 });
  const { scopes } = await request<DebugProtocol.ScopesResponse>("scopes", { frameId: stackFrames[0].id });
  const found = scopes.find((entry) => entry.name === name);
  if (found === undefined) throw new Error(`no scope ${name} among ${scopes.map((entry) => entry.name).join(", ")}`);
  const { variablesReference } = found;
  return (await request<DebugProtocol.VariablesResponse>("variables", { variablesReference })).variables;
}

async function valueIn(threadId: number, scopeName: string, variable: string): Promise<string> {
  const variables = await scope(threadId, scopeName);
  const found = variables.find(({ name }) => name === variable);
  if (found === undefined) throw new Error(`no ${variable} among ${variables.map(({ name }) => name).join(", ")}`);
  return found.value;
}

test("the bundled guest stops on an IPI, shows both sides' APICs, and stops again at its end", async () => {
  const { breakpoints, sessions } = await api();
  const deliver = await breakpoints.add({ filter: "interrupt.deliver", condition: "vector == 0xf0 && dst == 1" });
  await start("Bundled guest");
  const delivered = await stopAfter(-1);

  // Both sides in the view.
  assert.equal(delivered.cpus.length, 4);
  const target = cpuOf(delivered, 1);
  assert.ok(target.isr.includes(0xf0), `ISR of CPU 1: ${target.isr.join(", ")}`);
  assert.notEqual(await row("cpu/1/isr/240"), undefined);
  await eventually("CPU 1 has the focus", async () => ((await row("cpu/1"))?.icon === "debug-stackframe-focused" ? true : undefined));
  await eventually("the hit", async () => ((await row(`breakpoint/${deliver.id}`))?.description.includes("hit once") ? true : undefined));

  // Both sides through the protocol.
  const { threads } = await request<DebugProtocol.ThreadsResponse>("threads");
  assert.equal(threads.length, 4);
  assert.match(await valueIn(target.threadId, "Local APIC", "ISR"), /f0/i);
  assert.match(await valueIn(cpuOf(delivered, 0).threadId, "Local APIC", "ICR"), /f0/i);
  const { stackFrames } = await request<DebugProtocol.StackTraceResponse>("stackTrace", { threadId: target.threadId });
  const path = stackFrames.map(({ source }) => source?.path).find((entry) => entry !== undefined);
  // A window on a remote extension host has made a URI of it.
  const file = path?.startsWith("vscode-remote:") === true ? vscode.Uri.parse(path).path : path;
  assert.ok(file !== undefined && existsSync(file), `a source file that exists: ${file}`);

  // On to the end of the interrupt, with a breakpoint that the running session is told of.
  await breakpoints.change(deliver.id, { enabled: false });
  const end = await breakpoints.add({ filter: "interrupt.eoi", condition: "vector == 0xf0 && dst == 1" });
  await eventually("the new breakpoint is verified", () => sessions.shown?.statuses.get(end.id)?.verified);
  await request("continue", { threadId: target.threadId });
  const ended = await stopAfter(delivered.stopSequence);
  assert.ok(!cpuOf(ended, 1).isr.includes(0xf0));
  assert.equal((await row("cpu/1/isr"))?.changed, true);
  const exception = await request<DebugProtocol.ExceptionInfoResponse>("exceptionInfo", { threadId: target.threadId });
  assert.equal(exception.exceptionId, "interrupt.eoi");
  assert.match(exception.description ?? "", /0xf0.*CPU 0 -> CPU 1/);
});

test("a breakpoint with an unknown field is refused by name, and the session goes on", async () => {
  const { breakpoints, sessions } = await api();
  const wrong = await breakpoints.add({ filter: "interrupt.deliver", condition: "no_such_field == 1" });
  await start({ name: "refused", stopOnEntry: true });
  const status = await eventually("the answer", () => sessions.shown?.statuses.get(wrong.id));
  assert.equal(status.verified, false);
  assert.match(status.message ?? "", /no_such_field/);
});
