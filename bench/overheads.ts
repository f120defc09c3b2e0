/**
 * `node --import tsx bench/overheads.ts [--runs N] [--from N] [--to N] [--kernel FILE]`: what there is to pay beside running a guest. Time from a process's start to the
 * guest's first output; memory of a Linux boot; what an idle debugger and an armed interrupt breakpoint that never hits cost. Each sample is a process of its own, and the
 * variants take turns. What a debugger costs is told by the processor time from instruction `--from` to instruction `--to` of the boot: what loading it takes, and V8's
 * compilation of it, is over by then and told apart. Needs `npm run build`.
 */
import { spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { IcedDisassembler } from "../src/adapter/icedDisassembler";
import { Debugger } from "../src/debugger/debugger";
import { SymbolStore } from "../src/debugger/symbols/table";
import { Machine } from "../src/machine/machine";
import { guestImage } from "./benchmarks";
import { linuxFiles, type LinuxFiles } from "./linux";
import { median } from "./measure";

const MIB = 2 ** 20;
/** Instructions of one call of the machine. */
const PORTION = 1_000_000;
const variants = ["plain", "debugger", "breakpoint"] as const;
type Variant = (typeof variants)[number];

interface Sample {
  /** Milliseconds of processor time, all threads: from the start of the run to the first instruction that counts, and from there to the last. */
  readonly before: number;
  readonly processor: number;
  /** MiB, at most, of the process. */
  readonly resident: number;
  readonly hash: string;
}

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "3" },
    from: { type: "string", default: "500000000" },
    to: { type: "string", default: "1300000000" },
    kernel: { type: "string" },
    variant: { type: "string" },
  },
});

function linuxMachine(files: LinuxFiles): Machine {
  const machine = Machine.create({ cpus: files.cpus, memory: files.memory * MIB });
  machine.boot({
    image: readFileSync(files.kernel),
    imageName: "vmlinuz",
    cmdline: files.commandLine,
    initrd: { bytes: readFileSync(files.initramfs), name: "initramfs" },
  });
  return machine;
}

/** Milliseconds of processor time since `begun`. */
function processorTime(begun: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(begun);
  return (user + system) / 1000;
}

/** Runs the boot to instruction `to` as `variant` does. */
function run(files: LinuxFiles, variant: Variant, from: number, to: number): Sample {
  const machine = linuxMachine(files);
  const begun = process.cpuUsage();
  const advance = variant === "plain" ? (most: number) => machine.run(most).kind === "limit" : debugged(machine, variant);
  // All variants stop at the same instruction, so that they end in the same state.
  const until = (instructions: number): void => {
    for (let left = instructions; left > 0; left = instructions - machine.instructions())
      if (!advance(Math.min(PORTION, left))) throw new Error(`the guest stopped before instruction ${instructions}`);
  };
  until(from);
  const before = processorTime(begun);
  const middle = process.cpuUsage();
  until(to);
  const processor = processorTime(middle);
  return { before, processor, resident: process.resourceUsage().maxRSS / 1024, hash: machine.stateHash() };
}

/** Attaches a debugger; what it returns runs a portion of so many instructions at most and tells whether the guest can go on. */
function debugged(machine: Machine, variant: Variant): (most: number) => boolean {
  const sink = { output: () => undefined, serial: () => undefined, cpuStarted: () => undefined, cpuReset: () => undefined };
  const session = new Debugger({ machine, symbols: new SymbolStore(), disassembler: new IcedDisassembler(), sink });
  if (variant === "breakpoint") {
    // No timer or device of the guest has this vector on this CPU.
    session.filters.replace("client", [{ id: "1", filter: "interrupt.deliver", condition: "vector == 0xf7 && cpu == 1" }]);
  }
  session.resume();
  return (most) => session.advance(most) === undefined;
}

function sample(variant: Variant): Sample {
  const self = fileURLToPath(import.meta.url);
  const kernel = values.kernel === undefined ? [] : ["--kernel", values.kernel];
  const args = ["--import", "tsx", self, "--variant", variant, "--from", values.from, "--to", values.to, ...kernel];
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as Sample;
}

/** Milliseconds from starting a process to its first output: the guest's, which it writes after some thousand instructions, or Node's own without us. */
function firstOutput(args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const begun = performance.now();
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "ignore"] });
    child.on("error", reject);
    child.stdout.once("data", () => {
      resolve(performance.now() - begun);
      child.kill("SIGKILL");
    });
  });
}

async function main(): Promise<number> {
  const files = linuxFiles(values.kernel);
  if (typeof files === "string") {
    console.error(`overheads: ${files}`);
    return 2;
  }
  const from = Number(values.from);
  const to = Number(values.to);
  if (values.variant !== undefined) {
    process.stdout.write(JSON.stringify(run(files, values.variant as Variant, from, to)));
    return 0;
  }
  const runs = Number(values.runs);
  const starts = { guest: [] as number[], node: [] as number[] };
  for (let i = 0; i < runs; i++) {
    starts.node.push(await firstOutput(["-e", "console.log(1)"]));
    starts.guest.push(await firstOutput(["dist/cli.js", "run", guestImage(32), "--cmdline", "bench=empty"]));
  }
  console.log(
    `start to the guest's first output: ${median(starts.guest).toFixed(0)} ms, of which Node itself ${median(starts.node).toFixed(0)} ms`,
  );
  const samples: Record<Variant, Sample[]> = { plain: [], debugger: [], breakpoint: [] };
  for (let i = 0; i < runs; i++) for (const variant of variants) samples[variant].push(sample(variant));
  const hashes = new Set(variants.flatMap((variant) => samples[variant].map(({ hash }) => hash)));
  const of = (variant: Variant, part: "before" | "processor"): number => median(samples[variant].map((each) => each[part]));
  console.log(`a Linux boot, milliseconds of processor time to instruction ${from}, then to ${to}:`);
  for (const variant of variants) {
    const more = (100 * (of(variant, "processor") / of("plain", "processor") - 1)).toFixed(1);
    console.log(`${variant}: ${of(variant, "before").toFixed(0)}, then ${of(variant, "processor").toFixed(0)} (${more} % more)`);
  }
  const resident = Math.max(...samples.plain.map((each) => each.resident));
  console.log(`resident at most ${resident.toFixed(0)} MiB, the guest's ${files.memory} MiB of RAM, as far as it was touched, included`);
  if (hashes.size === 1) return 0;
  console.error("overheads: the variants did not end in the same state");
  return 1;
}

void main().then((code) => (process.exitCode = code));
