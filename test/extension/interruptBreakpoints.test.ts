import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { BreakpointStatuses, InterruptBreakpoints, type BreakpointStorage } from "../../src/extension/interruptBreakpoints";

/** Storage that, as VS Code's, gives back copies. */
function storage(initial?: unknown): BreakpointStorage & { stored(): unknown } {
  let text = initial === undefined ? undefined : JSON.stringify(initial);
  const stored = (): unknown => (text === undefined ? undefined : JSON.parse(text));
  return {
    get: stored,
    update: (_key, value) => {
      text = JSON.stringify(value);
      return Promise.resolve();
    },
    stored,
  };
}

describe("interrupt breakpoints", () => {
  test("survive a reload, with ids that are not used twice", async () => {
    const store = storage();
    const first = new InterruptBreakpoints(store);
    await first.add({ filter: "nmi" });
    const kept = await first.add({ filter: "interrupt.deliver", condition: " vector == 0xf0 ", hitCondition: ">= 3" });
    await first.change(kept.id, { enabled: false });
    await first.remove("1");
    const second = new InterruptBreakpoints(store);
    assert.deepEqual(second.all, [
      { id: "2", filter: "interrupt.deliver", enabled: false, condition: "vector == 0xf0", hitCondition: ">= 3" },
    ]);
    assert.equal((await second.add({ filter: "init" })).id, "3");
  });

  test("what is stored is read with care", () => {
    const good = { id: "7", filter: "sipi", enabled: true };
    const bad = [null, 3, { id: "x", filter: "nmi" }, { id: "8", filter: "no such" }, { ...good, condition: "twice" }, { filter: "nmi" }];
    assert.deepEqual(new InterruptBreakpoints(storage([good, ...bad])).all, [good]);
    assert.deepEqual(new InterruptBreakpoints(storage("nonsense")).all, []);
  });

  test("an empty condition removes the condition, and listeners hear of each change", async () => {
    const breakpoints = new InterruptBreakpoints(storage());
    let heard = 0;
    const listening = breakpoints.onDidChange(() => heard++);
    const { id } = await breakpoints.add({ filter: "nmi", condition: "dst == 1", hitCondition: "2" });
    await breakpoints.change(id, { condition: "", hitCondition: " " });
    assert.deepEqual(breakpoints.get(id), { id, filter: "nmi", enabled: true });
    await breakpoints.setAllEnabled(false);
    assert.equal(heard, 3);
    listening.dispose();
    await breakpoints.removeAll();
    assert.equal(heard, 3);
    assert.equal(breakpoints.all.length, 0);
  });

  test("hit counts are updated for known breakpoints only", () => {
    const statuses = new BreakpointStatuses();
    statuses.replace([{ id: "1", verified: true, hits: 0 }]);
    statuses.updateHits([
      { id: "1", hits: 4 },
      { id: "9", hits: 1 },
    ]);
    assert.equal(statuses.get("1")?.hits, 4);
    assert.equal(statuses.get("9"), undefined);
  });
});
