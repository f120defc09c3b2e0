// What can be done with rows of the Interrupts view, in a session with the fake adapter.
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as vscode from "vscode";
import type { InterruptGate } from "../../src/adapter/protocol";
import { api } from "./extension";
import { idleState } from "./fakeAdapter";
import { inSession } from "./fakeSession";
import { editorOf, folder } from "./guests";
import { answering } from "./inputs";
import { row } from "./rows";
import { eventually, test } from "./runner";

const gate: InterruptGate = {
  ...{ vector: 0x31, kind: "interrupt gate", raw: "0x1", dpl: 0, ist: 0, handler: "0x0000000000100000", symbol: "timer_entry", hits: 3 },
};

async function command(name: string, id: string): Promise<void> {
  const node = await eventually(`the row ${id}`, () => row(id));
  await vscode.commands.executeCommand(name, node);
}

test("why and inject send console commands for the row's interrupt", () =>
  inSession(async (fake) => {
    fake.stop(1, idleState(2, [{ irr: [0x31] }]));
    await command("apicscope.interrupts.why", "cpu/0/irr/49");
    const asked = await answering("0x31 cpu0", () => command("apicscope.interrupts.inject", "cpu/0/irr/49"));
    assert.equal(asked.value, "0x31 cpu0");
    await answering("pin 2", () => command("apicscope.interrupts.inject", "ioapic/0/2"));
    assert.deepEqual(fake.commands, ["why 0x31 cpu0", "inject 0x31 cpu0", "inject pin 2"]);
  }));

test("a handler opens at its source line, or as a listing where there is none", () =>
  inSession(async (fake) => {
    const path = join(folder().uri.fsPath, "timer.c");
    writeFileSync(path, "int a;\nint b;\nint c;\n");
    fake.gates = [gate];
    fake.place = { address: gate.handler, symbol: "timer_entry", path, line: 2 };
    fake.stop(1, idleState(2));
    await command("apicscope.interrupts.goToHandler", "table/0x0000000000010000/64-bit/49");
    const editor = await editorOf("the source", ({ uri }) => uri.fsPath === path);
    await eventually("its line", () => (editor.selection.active.line === 1 ? true : undefined));
    fake.place = { address: gate.handler, symbol: "timer_entry" };
    await command("apicscope.interrupts.goToHandler", "table/0x0000000000010000/64-bit/49");
    await editorOf("the listing", (document) => /^timer_entry:\n0x0000000000100000 .* hlt\n$/.test(document.getText()));
    rmSync(path);
  }));

test("hits of a vector that rose since the last stop are marked", () =>
  inSession(async (fake) => {
    fake.gates = [gate];
    fake.stop(1, idleState(2));
    const id = "table/0x0000000000010000/64-bit/49";
    const { sessions } = await api();
    await eventually("the gate, read at the second stop", async () => {
      const found = await row(id);
      const history = sessions.shown?.history;
      const known = history?.state?.stopSequence === 2 && history.gatesOf("table/0x0000000000010000/64-bit") !== undefined;
      return known && found?.description === "timer_entry · hit 3 times" ? true : undefined;
    });
    fake.gates = [{ ...gate, hits: 4 }];
    fake.stop(1, idleState(3));
    const changed = await eventually("the mark", async () => {
      const found = await row(id);
      return found?.changed === true ? found : undefined;
    });
    assert.equal(changed.description, "timer_entry · hit 4 times");
    const { interrupts } = await api();
    const parent = interrupts.getParent(changed);
    assert.equal(parent?.kind, "table");
  }));
