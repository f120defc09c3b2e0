/**
 * `node --import tsx bench/stress.ts [--blocks N] [--seconds S] [--modules M] [--kernel FILE]`: the translator under the block stream of a real kernel's boot. Boots Linux
 * again and again, translating nearly everything, packing modules whenever M are alive and dropping everything generated whenever there are 2 MiB of functions, until N blocks were translated and
 * S seconds have passed. Prints figures every few seconds; fails when memory goes on growing.
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { Machine } from "../src/machine/machine";
import { linuxFiles } from "./linux";

const { values } = parseArgs({
  options: {
    blocks: { type: "string", default: "100000" },
    seconds: { type: "string", default: "600" },
    modules: { type: "string", default: "60" },
    kernel: { type: "string" },
  },
});
const MIB = 2 ** 20;
/** A sixteenth of the usual, so that what is dropped is dropped often. */
const MAXIMUM_BYTES = 2 * MIB;
/** Guest instructions between two looks. */
const SLICE = 5_000_000;
/** Growth of a boot's peak of resident memory, from the second boot on, that counts as a leak. In the first one pools and caches of the host fill. */
const GROWTH = 0.15;

function boot(kernel: Uint8Array, initrd: Uint8Array, cmdline: string): Machine {
  const machine = Machine.create({
    cpus: 2,
    memory: 256 * MIB,
    engine: "jit",
    jit: { threshold: 3, patience: 1, maximumModules: Number(values.modules), maximumBytes: MAXIMUM_BYTES },
  });
  machine.boot({ image: kernel, imageName: "vmlinuz", cmdline, initrd: { bytes: initrd, name: "initramfs" } });
  return machine;
}

function main(): number {
  const files = linuxFiles(values.kernel);
  if (typeof files === "string") {
    console.error(`stress: ${files}`);
    return 2;
  }
  const kernel = readFileSync(files.kernel);
  const initrd = readFileSync(files.initramfs);
  const wanted = Number(values.blocks);
  const started = performance.now();
  const seconds = (): number => (performance.now() - started) / 1000;
  const peaks: number[] = [];
  let translated = 0;
  let boots = 0;
  let said = 0;
  while (translated < wanted || seconds() < Number(values.seconds)) {
    const machine = boot(kernel, initrd, files.commandLine);
    const before = translated;
    let peak = 0;
    for (;;) {
      const end = machine.run(SLICE);
      const { jit } = machine.stats();
      translated = before + (jit?.blocks ?? 0);
      const resident = process.memoryUsage().rss / MIB;
      peak = Math.max(peak, resident);
      if (seconds() - said > 10) {
        said = seconds();
        console.log(
          `${said.toFixed(0)} s: boot ${boots + 1}, ${translated} blocks translated, ${jit?.regions ?? 0} regions (${jit?.regionsLive ?? 0} alive), ` +
            `${jit?.modules ?? 0} modules (${jit?.modulesLive ?? 0} alive), ${resident.toFixed(0)} MiB resident`,
        );
      }
      if (end.kind !== "limit" || (translated >= wanted && seconds() >= Number(values.seconds))) break;
    }
    peaks.push(peak);
    boots++;
  }
  const settled = peaks.slice(1);
  const flat = settled.every((peak) => peak <= settled[0] * (1 + GROWTH));
  const verdict = settled.length < 2 ? "too few boots to judge memory" : flat ? "flat" : "GROWING";
  const list = peaks.map((peak) => peak.toFixed(0)).join(", ");
  console.log(
    `Node ${process.version}: ${translated} blocks translated in ${boots} boots, ${seconds().toFixed(0)} s; peaks of resident memory, MiB: ${list}: ${verdict}`,
  );
  return flat ? 0 : 1;
}

process.exitCode = main();
