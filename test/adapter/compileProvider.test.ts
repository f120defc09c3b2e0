import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { compileProvider } from "../../src/adapter/compileProvider";
import type { Machine } from "../../src/machine/machine";
import type { JitStats } from "../../src/tcg/backend/jitStats";
import { bootGuest, eager, MIB, runGuest } from "../machine/runGuest";

const IMAGE = "guests/smp/smp.elf";
const configuration = { cpus: 2, memory: 16 * MIB };
const jit = { ...eager, threshold: 3, batch: 2, packModules: 3, packPatience: 1 };
/** Milliseconds in which a thread starts, on a busy machine too. */
const START = 2_000;

function statsOf(machine: Machine): JitStats {
  const { jit: stats } = machine.stats();
  assert.ok(stats !== undefined);
  return stats;
}

/** Runs in portions, with a pause after each for other threads, until `done` holds or the guest has ended. What has been generated is thrown away now and then, so that there is always something to do. */
async function runUntil(machine: Machine, done: (stats: JitStats) => boolean, pause: number): Promise<boolean> {
  for (let portion = 1; !done(statsOf(machine)); portion++) {
    if (machine.run(300).kind !== "limit") return false;
    if (portion % 20 === 0) machine.discardCode("generated");
    await sleep(pause);
  }
  return true;
}

test("a thread makes generated code while the guest goes on: the run is the same", async () => {
  const expected = runGuest(IMAGE, { ...configuration, engine: "interpreter" });
  const { machine, output } = bootGuest(IMAGE, { ...configuration, jit, compiler: compileProvider({ prompt: true }) });
  await sleep(START);
  assert.ok(await runUntil(machine, ({ threadModules, packs }) => threadModules > 5 && packs > 0, 1), JSON.stringify(statsOf(machine)));
  machine.run(200e6);
  assert.equal(machine.instructions(), expected.machine.instructions());
  assert.equal(machine.stateHash(), expected.machine.stateHash());
  assert.equal(output(), expected.output);
});

test("the thread starts when there is enough to do, ends by itself, and starts again", async () => {
  const { machine } = bootGuest(IMAGE, { ...configuration, jit, compiler: compileProvider({ patience: 300 }) });
  for (const round of [1, 2]) {
    const before = { ...statsOf(machine) };
    const here = ({ modules, threadModules }: JitStats): number => modules - threadModules;
    assert.ok(await runUntil(machine, (stats) => here(stats) >= here(before) + 8, 0), `round ${round}`);
    await sleep(START);
    assert.ok(await runUntil(machine, ({ threadModules }) => threadModules > before.threadModules, 1), `round ${round}`);
    await sleep(1_000);
  }
});
