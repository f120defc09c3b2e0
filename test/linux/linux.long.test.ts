/** Debian's kernels, unmodified, to userland and back off: `npm run linux:matrix` has the whole table. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { goBackAtRandom } from "../machine/snapshotRuns";
import { bootLinux, checkLinux, type Flavour, linuxMachine, missing } from "./linux";

const boots: [Flavour, number, string, "interpreter" | "jit"][] = [
  ["cloud-amd64", 2, "", "interpreter"],
  ["cloud-amd64", 4, "nox2apic clocksource=acpi_pm", "interpreter"],
  // Unpacks itself for four thousand million instructions.
  ["amd64", 2, "", "jit"],
];

describe("Linux boots to a shell that answers, with its interrupts on every CPU, and powers off", () => {
  for (const [flavour, cpus, cmdline, engine] of boots) {
    test(`${flavour}, ${cpus} CPUs ${cmdline}, ${engine}`, { skip: missing(flavour) }, () => {
      const run = bootLinux(flavour, cmdline, { cpus, engine });
      checkLinux(run, cpus);
      if (cmdline.includes("acpi_pm")) assert.equal(run.clocksource, "acpi_pm");
    });
  }
});

test("a Linux boot survives going back at random points, and is not disturbed", { skip: missing("cloud-amd64") }, () => {
  const { machine, output } = linuxMachine("cloud-amd64", "", { cpus: 2 });
  // Past the unpacking of the kernel.
  machine.run(500_000_000);
  const tried = goBackAtRandom(machine, output, { points: 20, longest: 10_000_000, seed: 11 });
  const plain = linuxMachine("cloud-amd64", "", { cpus: 2 }).machine;
  plain.run(tried);
  assert.equal(machine.stateHash(), plain.stateHash());
});
