/**
 * `node --import tsx bench/overheads.ts [--runs N] [--from N] [--to N] [--kernel FILE]`: what there is to pay beside running a guest. Time from a process's start to the
 * guest's first output; memory of a Linux boot; what an idle debugger and an armed interrupt breakpoint that never hits cost, and what a step back takes at the end. Each
 * boot is a process of its own, and they take turns of 20 million instructions, so that whatever else the host does meets all of them alike. What a debugger costs is told by the processor time from
 * instruction `--from` to instruction `--to` of the boot, where what loading it takes, and most of V8's compilation of it, is over, and by that of all of it. Needs `npm run build`.
 */
import { fork, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { loadavg } from "node:os";
import { parseArgs } from "node:util";
import { build } from "esbuild";
import { guestImage } from "./benchmarks";
import { linuxFiles, type LinuxFiles } from "./linux";
import { environment, median } from "./measure";
import type { Ending, Order, Stretch, Variant } from "./overheadRun";

const variants: readonly Variant[] = ["plain", "debugger", "breakpoint"];
/** Instructions of a turn. */
const TURN = 20_000_000;
const BUNDLE = "out/bench/overheadRun.cjs";

interface Sample {
  /** Milliseconds of processor time: to the first instruction that counts, and from there to the last. */
  readonly before: number;
  readonly processor: number;
  readonly ending: Ending;
}

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "3" },
    from: { type: "string", default: "500000000" },
    to: { type: "string", default: "1300000000" },
    kernel: { type: "string" },
  },
});

/** Has a process do something, and waits for what it says. */
async function tell<T extends Stretch | Ending>(child: ChildProcess, order: Order): Promise<T> {
  const answer = once(child, "message") as Promise<[T]>;
  child.send(order);
  const [said] = await answer;
  return said;
}

/** One boot of each variant, in turns. */
async function round(files: LinuxFiles, from: number, to: number): Promise<Record<Variant, Sample>> {
  const boots = variants.map((variant) => ({
    child: fork(BUNDLE, [JSON.stringify(files), variant], { execArgv: [] }),
    variant,
    before: 0,
    processor: 0,
  }));
  // One that fails has said why.
  for (const { child } of boots)
    child.once("exit", (code) => {
      if (code !== 0) process.exit(1);
    });
  for (let at = 0; at < to;) {
    const until = Math.min(at + TURN, at < from ? from : to);
    for (const boot of boots) {
      const { processor } = await tell<Stretch>(boot.child, { until });
      if (at < from) boot.before += processor;
      else boot.processor += processor;
    }
    // Whoever was first is last the next time.
    boots.push(...boots.splice(0, 1));
    at = until;
  }
  const samples: Partial<Record<Variant, Sample>> = {};
  for (const { child, variant, before, processor } of boots)
    samples[variant] = { before, processor, ending: await tell<Ending>(child, "finish") };
  return samples as Record<Variant, Sample>;
}

/** The median of what `what` says of a variant, and how much more that is than without a debugger: the median and the extremes of the rounds. */
function more(rounds: readonly Record<Variant, Sample>[], variant: Variant, what: (sample: Sample) => number): string {
  const ratios = rounds.map((samples) => 100 * (what(samples[variant]) / what(samples.plain) - 1)).sort((a, b) => a - b);
  const value = median(rounds.map((samples) => what(samples[variant])));
  return `${value.toFixed(0)} (${median(ratios).toFixed(1)} % more, ${ratios[0].toFixed(1)} to ${ratios[ratios.length - 1].toFixed(1)})`;
}

/** Milliseconds from starting a process to its first output: the guest's, which it writes after some thousand instructions, or Node's own without us. */
function firstOutput(args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const begun = performance.now();
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "ignore"], env: environment });
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
  const runs = Number(values.runs);
  const starts = { guest: [] as number[], node: [] as number[] };
  for (let i = 0; i < runs; i++) {
    starts.node.push(await firstOutput(["-e", "console.log(1)"]));
    starts.guest.push(await firstOutput(["dist/cli.js", "run", guestImage(32), "--cmdline", "bench=empty"]));
  }
  console.log(
    `start to the guest's first output: ${median(starts.guest).toFixed(0)} ms, of which Node itself ${median(starts.node).toFixed(0)} ms`,
  );
  await build({
    entryPoints: ["bench/overheadRun.ts"],
    outfile: BUNDLE,
    bundle: true,
    platform: "node",
    target: "node20",
    format: "cjs",
    packages: "external",
    logLevel: "warning",
  });
  const rounds: Record<Variant, Sample>[] = [];
  for (let i = 0; i < runs; i++) rounds.push(await round(files, from, to));
  const of = (variant: Variant, what: (sample: Sample) => number): number[] => rounds.map((samples) => what(samples[variant]));
  console.log(`a Linux boot, milliseconds of processor time to instruction ${from}, then to ${to} (load ${loadavg()[0].toFixed(0)}):`);
  for (const variant of variants) {
    const before = median(of(variant, (sample) => sample.before));
    const second = more(rounds, variant, ({ processor }) => processor);
    const whole = more(rounds, variant, (sample) => sample.before + sample.processor);
    const resident = Math.max(...of(variant, ({ ending }) => ending.resident));
    console.log(`${variant}: ${before.toFixed(0)}, then ${second}; together ${whole}; resident at most ${resident.toFixed(0)} MiB`);
    const pasts = rounds.flatMap((samples) => samples[variant].ending.past ?? []);
    if (pasts.length === 0) continue;
    const [{ moments, kept }] = pasts;
    console.log(
      `  ${moments} moments keep ${kept.toFixed(0)} MiB; a step back at the end ${median(pasts.map((past) => past.stepBack)).toFixed(0)} ms`,
    );
  }
  console.log(`The guest's ${files.memory} MiB of RAM, as far as it was touched, are included.`);
  if (new Set(rounds.flatMap((samples) => variants.map((variant) => samples[variant].ending.hash))).size === 1) return 0;
  console.error("overheads: the variants did not end in the same state");
  return 1;
}

void main().then((code) => (process.exitCode = code));
