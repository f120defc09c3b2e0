/** `npm run fuzz -- --seed N --blocks N [--first N] [--engine NAME] [--keep N]`: status 1 when a block differs. */
import { parseArgs } from "node:util";
import { FuzzMachine } from "./emulator";
import { describeFailure, fuzz } from "./fuzz";
import { Generator } from "./generate";
import { hostFeatures, prepareNative, runs32 } from "./native";

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    blocks: { type: "string" },
    first: { type: "string" },
    engine: { type: "string" },
    keep: { type: "string" },
  },
});
const seed = Number(values.seed ?? Date.now() % 1_000_000_000);
const blocks = Number(values.blocks ?? 20_000);
const problem = prepareNative();
if (problem !== undefined) throw new Error(`The fuzzer ${problem}.`);
const machine = new FuzzMachine(values.engine === "reference" ? "reference" : "interpreter");
const started = performance.now();
const outcome = fuzz(machine, new Generator(hostFeatures(), runs32()), seed, Number(values.first ?? 0), blocks, Number(values.keep ?? 5));
for (const failure of outcome.failures) console.log(describeFailure(failure, seed));
const seconds = (performance.now() - started) / 1000;
console.log(
  `seed ${seed}: ${outcome.blocks} blocks, ${machine.instructions} instructions, ${outcome.faults} exceptions, ${outcome.failed} differ, ${seconds.toFixed(1)} s`,
);
if (outcome.failed > 0) process.exitCode = 1;
