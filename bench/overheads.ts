/**
 * `node --import tsx bench/overheads.ts [--runs N] [--instructions N] [--kernel FILE]`: what there is to pay beside running a guest. Time from a process's start to the
 * guest's first output; memory of a Linux boot; what an idle debugger and an armed interrupt breakpoint that never hits cost. Each sample is a process of its own, and the
 * variants take turns. Needs `npm run build`.
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
  /** Milliseconds of processor time, all threads. */
  readonly processor: number;
  /** MiB, at most, of the process. */
  readonly resident: number;
  readonly hash: string;
}

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "3" },
    instructions: { type: "string", default: "300000000" },
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

/** Runs `instructions` of the boot as `variant` does. */
function run(files: LinuxFiles, variant: Variant, instructions: number): Sample {
  const machine = linuxMachine(files);
  let before = process.cpuUsage();
  if (variant === "plain") {
    for (let left = instructions; left > 0; left -= PORTION) if (machine.run(PORTION).kind !== "limit") break;
  } else {
    const sink = { output: () => undefined, serial: () => undefined, cpuStarted: () => undefined, cpuReset: () => undefined };
    const session = new Debugger({ machine, symbols: new SymbolStore(), disassembler: new IcedDisassembler(), sink });
    if (variant === "breakpoint") {
      // No timer or device of the guest has this vector on this CPU.
      session.filters.replace("client", [{ id: "1", filter: "interrupt.deliver", condition: "vector == 0xf7 && cpu == 1" }]);
    }
    session.resume();
    // Loading the disassembler is part of a session's start, not of the run.
    before = process.cpuUsage();
    while (machine.instructions() < instructions && session.advance(PORTION) === undefined);
  }
  const used = process.cpuUsage(before);
  return { processor: (used.user + used.system) / 1000, resident: process.resourceUsage().maxRSS / 1024, hash: machine.stateHash() };
}

function sample(variant: Variant, instructions: number): Sample {
  const self = fileURLToPath(import.meta.url);
  const kernel = values.kernel === undefined ? [] : ["--kernel", values.kernel];
  const args = ["--import", "tsx", self, "--variant", variant, "--instructions", String(instructions), ...kernel];
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
  const instructions = Number(values.instructions);
  if (values.variant !== undefined) {
    process.stdout.write(JSON.stringify(run(files, values.variant as Variant, instructions)));
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
  for (let i = 0; i < runs; i++) for (const variant of variants) samples[variant].push(sample(variant, instructions));
  const hashes = new Set(variants.flatMap((variant) => samples[variant].map(({ hash }) => hash)));
  const processor = (variant: Variant): number => median(samples[variant].map((each) => each.processor));
  for (const variant of variants) {
    const more = (100 * (processor(variant) / processor("plain") - 1)).toFixed(1);
    console.log(
      `${variant}: ${processor(variant).toFixed(0)} ms of processor time for ${instructions} instructions of a Linux boot (${more} % more)`,
    );
  }
  const resident = Math.max(...samples.plain.map((each) => each.resident));
  console.log(`resident at most ${resident.toFixed(0)} MiB, the guest's ${files.memory} MiB of RAM, as far as it was touched, included`);
  if (hashes.size === 1) return 0;
  console.error("overheads: the variants did not end in the same state");
  return 1;
}

void main().then((code) => (process.exitCode = code));
