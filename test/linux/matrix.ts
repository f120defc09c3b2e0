/**
 * Boots Linux in every configuration and prints a table: `npm run linux:matrix [-- PATTERN]`. A pattern picks the rows whose text contains it. With `--points N`, goes back at N
 * random points of a boot on 1, 2 and 4 CPUs instead.
 */
import { generator } from "../machine/determinism";
import { goBackAtRandom } from "../machine/snapshotRuns";
import { bootLinux, checkLinux, FLAVOURS, type Flavour, linuxMachine, missing } from "./linux";

/** Instructions of a boot on 2 CPUs, nearly: points are spread over all of it. */
const BOOT = 1.46e9;

interface Row {
  readonly flavour: Flavour;
  readonly cpus: number;
  readonly cmdline: string;
}

const variants = ["", "x2apic", "nox2apic", "clocksource=hpet", "clocksource=acpi_pm", "clocksource=tsc"];

function rows(): Row[] {
  const all: Row[] = [];
  for (const flavour of FLAVOURS) {
    for (const cpus of [1, 2, 4, 8]) all.push({ flavour, cpus, cmdline: "" });
    for (const cmdline of variants.slice(1)) all.push({ flavour, cpus: 2, cmdline });
  }
  return all;
}

function boot({ flavour, cpus, cmdline }: Row): void {
  const started = performance.now();
  const name = `| ${flavour} | ${cpus} | ${cmdline || "-"} |`;
  try {
    const run = bootLinux(flavour, cmdline, { cpus, engine: "auto" });
    checkLinux(run, cpus);
    const wanted = /clocksource=(\w+)/.exec(cmdline)?.[1] ?? run.clocksource;
    const result = wanted === run.clocksource ? "ok" : `clock source is ${run.clocksource}`;
    const seconds = ((performance.now() - started) / 1000).toFixed(0);
    console.log(`${name} ${run.instructions} | ${seconds} | ${run.clocksource} | ${run.lpj} | ${result} |`);
  } catch (error) {
    console.log(`${name} | | | | ${error instanceof Error ? error.message.split("\n")[0] : String(error)} |`);
    process.exitCode = 1;
  }
}

function goBack(points: number): void {
  for (const cpus of [1, 2, 4]) {
    const started = performance.now();
    const { machine, output } = linuxMachine("cloud-amd64", "", { cpus });
    const seed = generator(cpus)();
    const tried = goBackAtRandom(machine, output, { points, longest: Math.round((2.95 * BOOT) / points), seed });
    const plain = linuxMachine("cloud-amd64", "", { cpus }).machine;
    plain.run(tried);
    const same = plain.stateHash() === machine.stateHash();
    const seconds = ((performance.now() - started) / 1000).toFixed(0);
    console.log(
      `${cpus} CPUs: ${points} points to instruction ${machine.instructions()}, ${seconds} s: ${same ? "all the same" : "DISTURBED"}`,
    );
    if (!same) process.exitCode = 1;
  }
}

const args = process.argv.slice(2);
const lacking = FLAVOURS.map(missing).find((text) => text !== undefined);
if (lacking !== undefined) throw new Error(lacking);
if (args[0] === "--points") goBack(Number(args[1] ?? 1000));
else {
  console.log("| kernel | CPUs | options | instructions | seconds | clock source | lpj | result |\n|---|---|---|---|---|---|---|---|");
  for (const row of rows()) if (`${row.flavour} ${row.cpus} ${row.cmdline}`.includes(args.join(" "))) boot(row);
}
