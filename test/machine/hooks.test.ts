import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { InterruptEvent } from "../../src/apic/events";
import { combineHooks } from "../../src/machine/hooks";

const event = {} as InterruptEvent;

describe("hooks put together", () => {
  test("hear of an interrupt where they want it: those who keep numbers only are left out", () => {
    const heard: string[] = [];
    const hooks = combineHooks(
      { stage: (slot) => slot === 1, interrupt: () => void heard.push("some") },
      { interrupt: () => void heard.push("all") },
    );
    assert.equal(hooks.stage?.(0, 0, 0), true);
    hooks.interrupt?.(event);
    assert.deepEqual(heard.splice(0), ["all"]);
    assert.equal(hooks.stage?.(1, 0, 0), true);
    hooks.interrupt?.(event);
    assert.deepEqual(heard, ["some", "all"]);
    const alone = combineHooks({ stage: (slot) => slot === 1, interrupt: () => undefined }, {});
    assert.deepEqual([alone.stage?.(0, 0, 0), alone.stage?.(1, 0, 0)], [false, true]);
  });

  test("leave transfers to the engine while all who hear of them say so, now or later", () => {
    let all = false;
    const changing = { exception: () => undefined };
    Object.defineProperty(changing, "handlersOnly", { get: () => !all, enumerable: true });
    const hooks = combineHooks(changing, { serial: () => undefined });
    assert.equal(hooks.handlersOnly, true);
    all = true;
    assert.equal(hooks.handlersOnly, false);
    assert.equal(combineHooks(hooks, { handlerReturned: () => undefined }).handlersOnly, false);
  });
});
