import assert from "node:assert/strict";
import * as vscode from "vscode";
import { api } from "./extension";
import { eventually, test } from "./runner";

test("interrupt breakpoints are rows with a check box, a condition and an accessible name", async () => {
  const { breakpoints, interrupts } = await api();
  assert.deepEqual(await interrupts.getChildren(), []);
  const { id } = await breakpoints.add({ filter: "interrupt.deliver", condition: "vector == 0xf0 && dst == 1" });
  const [root] = await interrupts.getChildren();
  assert.equal(root.label, "Interrupt Breakpoints");
  const [row] = await interrupts.getChildren(root);
  const item = interrupts.getTreeItem(row);
  assert.equal(item.label, "Interrupt Delivered");
  assert.equal(item.description, "vector == 0xf0 && dst == 1");
  assert.equal(item.contextValue, "breakpoint");
  assert.match(item.accessibilityInformation?.label ?? "", /Interrupt Delivered, vector == 0xf0/);
  assert.equal(checkState(item), vscode.TreeItemCheckboxState.Checked);
  assert.equal(interrupts.getParent(row), root);

  await breakpoints.change(id, { enabled: false });
  const [changedRow] = await interrupts.getChildren((await interrupts.getChildren())[0]);
  assert.equal(checkState(interrupts.getTreeItem(changedRow)), vscode.TreeItemCheckboxState.Unchecked);
  assert.equal(changedRow.id, row.id);
  await breakpoints.removeAll();
  assert.deepEqual(await interrupts.getChildren(), []);
});

function checkState(item: vscode.TreeItem): vscode.TreeItemCheckboxState | undefined {
  return typeof item.checkboxState === "object" ? item.checkboxState.state : item.checkboxState;
}

test("the commands act on a row, and on all rows", async () => {
  const { breakpoints, interrupts } = await api();
  await breakpoints.add({ filter: "nmi" });
  await breakpoints.add({ filter: "init" });
  await vscode.commands.executeCommand("apicscope.interruptBreakpoints.disableAll");
  assert.deepEqual(
    breakpoints.all.map(({ enabled }) => enabled),
    [false, false],
  );
  await vscode.commands.executeCommand("apicscope.interruptBreakpoints.enableAll");
  const [first] = await interrupts.getChildren((await interrupts.getChildren())[0]);
  await vscode.commands.executeCommand("apicscope.interruptBreakpoints.remove", first);
  assert.deepEqual(
    breakpoints.all.map(({ filter, enabled }) => ({ filter, enabled })),
    [{ filter: "init", enabled: true }],
  );
  await vscode.commands.executeCommand("apicscope.interruptBreakpoints.removeAll");
  assert.equal(breakpoints.all.length, 0);
});

test("the Interrupts view opens in the debug side bar", async () => {
  const { breakpoints, interrupts } = await api();
  await breakpoints.add({ filter: "nmi" });
  await vscode.commands.executeCommand("apicscope.interrupts.focus");
  await eventually("the view is shown", () => (interrupts.visible ? true : undefined));
});
