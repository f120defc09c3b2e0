/**
 * `npm run fuzz -- --seed N --blocks N [--first N] [--engine NAME] [--keep N] [--qemu KERNEL]`: status 1 when a block differs. With --qemu, 32-bit integer code is compared with QEMU
 * instead, which runs this Linux kernel.
 */
import { parseArgs } from "node:util";
import { FuzzMachine } from "./emulator";
import { describeFailure, fuzz } from "./fuzz";
import { Generator } from "./generate";
import { hostFeatures, prepareNative, runNatively, runs32 } from "./native";
import { differsInTcg, runInQemu, tcgFeatures } from "./qemu";

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    blocks: { type: "string" },
    first: { type: "string" },
    engine: { type: "string" },
    keep: { type: "string" },
    qemu: { type: "string" },
  },
});
const seed = Number(values.seed ?? Date.now() % 1_000_000_000);
const { qemu } = values;
if (qemu === undefined) {
  const problem = prepareNative();
  if (problem !== undefined) throw new Error(`The fuzzer ${problem}.`);
}
const machine = new FuzzMachine(values.engine === "reference" ? "reference" : "interpreter");
const started = performance.now();
const generator = new Generator(
  qemu === undefined ? { features: hostFeatures(), narrow: runs32() ? 1 : 0 } : { features: tcgFeatures, narrow: 4, omit: differsInTcg },
);
const peer =
  qemu === undefined ? { run: runNatively, faultsAsReads: false } : { run: runInQemu.bind(undefined, qemu), faultsAsReads: true };
const outcome = fuzz(machine, generator, peer, {
  seed,
  first: Number(values.first ?? 0),
  count: Number(values.blocks ?? 20_000),
  keep: Number(values.keep ?? 5),
  // A start of QEMU takes as long as hundreds of blocks; what they leave goes through a serial port.
  ...(qemu === undefined ? {} : { chunk: 4_000 }),
});
for (const failure of outcome.failures) console.log(describeFailure(failure, seed));
const seconds = (performance.now() - started) / 1000;
console.log(
  `seed ${seed}: ${outcome.blocks} blocks, ${machine.instructions} instructions, ${outcome.faults} exceptions, ${outcome.failed} differ, ${seconds.toFixed(1)} s`,
);
if (outcome.failed > 0) process.exitCode = 1;
