import assert from "node:assert/strict";
import * as vscode from "vscode";
import { api } from "./extension";
import { idleState } from "./fakeAdapter";
import { inSession } from "./fakeSession";
import { row, rows } from "./rows";
import { eventually, test } from "./runner";

test("a stop shows every CPU, and the next one marks what changed", () =>
  inSession(async (fake) => {
    const { interrupts } = await api();
    await vscode.commands.executeCommand("apicscope.interrupts.focus");
    assert.equal((await row("cpu/1"))?.description, "APIC 1 · halted, IF=1");
    assert.equal((await row("ioapic/0"))?.description, "1 of 1 pins open");
    fake.stop(2, idleState(2, [{}, { state: "running", isr: [0xf0], ppr: 0xf0 }]));
    const changed = await eventually("the mark", async () => (await rows()).find(({ id, changed }) => id === "cpu/1/isr/240" && changed));
    const item = interrupts.getTreeItem(changed);
    assert.equal(item.label, "0xf0");
    assert.match(item.accessibilityInformation?.label ?? "", /changed/);
    const uri = item.resourceUri;
    assert.ok(uri !== undefined && interrupts.provideFileDecoration(uri)?.badge === "●");
    assert.equal((await row("cpu/0"))?.changed, false);
  }));

test("the focused CPU follows the call stack", () =>
  inSession(async (fake) => {
    await vscode.commands.executeCommand("apicscope.interrupts.focus");
    await eventually("CPU 0 has the focus", async () => ((await row("cpu/0"))?.icon === "debug-stackframe-focused" ? true : undefined));
    fake.stop(2, idleState(2));
    await eventually("CPU 1 has the focus", async () => ((await row("cpu/1"))?.icon === "debug-stackframe-focused" ? true : undefined));
    assert.notEqual((await row("cpu/0"))?.icon, "debug-stackframe-focused");
    const { interrupts } = await api();
    await eventually("CPU 1's row is opened", () => (interrupts.revealedThread === 2 ? true : undefined));
  }));

test("reading the same stop again keeps the marks", () =>
  inSession(async (fake) => {
    fake.stop(1, idleState(2, [{ irr: [0x31] }]));
    await eventually("the mark", async () => ((await row("cpu/0/irr/49"))?.changed === true ? true : undefined));
    const before = fake.stateRequests;
    await vscode.commands.executeCommand("apicscope.interrupts.refresh");
    assert.ok(fake.stateRequests > before);
    assert.equal((await row("cpu/0/irr/49"))?.changed, true);
  }));

test("a new session has the workspace's breakpoints from its launch on", async () => {
  const { breakpoints } = await api();
  const { id } = await breakpoints.add({ filter: "interrupt.deliver", condition: "vector == 0xf0" });
  await inSession(async (fake) => {
    const expected = [{ id, filter: "interrupt.deliver", enabled: true, condition: "vector == 0xf0" }];
    assert.deepEqual(fake.launched["workspaceInterruptBreakpoints"], expected);
    assert.equal(fake.launched["memory"], 128);
    assert.deepEqual(await eventually("the request", () => fake.told.at(0)), expected);
  });
});

test("a running session hears of every change, and its answers are shown", () =>
  inSession(async (fake) => {
    const { breakpoints } = await api();
    const good = await breakpoints.add({ filter: "nmi" });
    const bad = await breakpoints.add({ filter: "init", condition: "vektor" });
    await eventually("the request", () => (fake.told.at(-1)?.length === 2 ? true : undefined));
    const refused = await eventually("the refusal", async () => (await rows()).find(({ icon }) => icon === "warning"));
    assert.equal(refused.id, `breakpoint/${bad.id}`);
    assert.match(refused.description, /There is no vektor\./);
    fake.hits([{ id: good.id, hits: 3 }]);
    await eventually("the hits", async () => ((await row(`breakpoint/${good.id}`))?.description === "hit 3 times" ? true : undefined));
    await breakpoints.change(good.id, { enabled: false });
    await eventually("the change", () => (fake.told.at(-1)?.[0]?.enabled === false ? true : undefined));
  }));

test("after the session only the breakpoints stay in the view", async () => {
  const { breakpoints } = await api();
  await inSession(async () => {});
  await breakpoints.add({ filter: "nmi" });
  assert.deepEqual(
    (await rows()).map(({ kind }) => kind),
    ["breakpoints", "breakpoint"],
  );
  await breakpoints.removeAll();
});
