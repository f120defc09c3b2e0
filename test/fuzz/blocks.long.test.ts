/** Random blocks of instructions on the emulator and on the host's CPU; `npm run fuzz` runs more of them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FuzzMachine } from "./emulator";
import { describeFailure, fuzz } from "./fuzz";
import { Generator } from "./generate";
import { hostFeatures, prepareNative, runNatively, runs32 } from "./native";

const SEED = 20_260_101;
const skip = prepareNative() ?? false;

for (const [engine, blocks] of [
  ["interpreter", 8000],
  ["reference", 500],
] as const) {
  test(`${blocks} random blocks leave the state that the host's CPU leaves, on the ${engine}`, { skip }, () => {
    const generator = new Generator({ features: hostFeatures(), narrow: runs32() ? 1 : 0 });
    const { failures, failed, faults } = fuzz(
      new FuzzMachine(engine),
      generator,
      { run: runNatively, faultsAsReads: false },
      {
        seed: SEED,
        first: 0,
        count: blocks,
        keep: 3,
      },
    );
    assert.equal(failed, 0, failures.map((failure) => describeFailure(failure, SEED)).join("\n"));
    assert.ok(faults > blocks / 10 && faults < (blocks * 2) / 3, `${faults} blocks ended in an exception`);
  });
}
