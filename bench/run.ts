/**
 * `npm run bench [-- PATTERN...] [options]`: the benchmarks on APICScope, QEMU's TCG and v86, side by side in the same run. bench/README.md has the options.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { parseArgs } from "node:util";
import { benchmarks, type Benchmark, type Bits } from "./benchmarks";
import { apicscope, machineClass, qemu, v86, type Contestant, type Plan } from "./contestants";
import { linuxFiles } from "./linux";
import { measure, median, type Outcome } from "./measure";
import { agrees, table, toSeries, type Result } from "./report";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: "string", default: "5" },
    scale: { type: "string", default: "1" },
    bits: { type: "string" },
    engines: { type: "string", default: "apicscope,qemu,v86" },
    engine: { type: "string", default: "auto" },
    node: { type: "string", default: process.execPath },
    kernel: { type: "string" },
    timeout: { type: "string", default: "120" },
    json: { type: "string", default: "out/bench/results.json" },
    build: { type: "boolean", default: true },
    list: { type: "boolean", default: false },
  },
  allowNegative: true,
});

function number(name: string, text: string): number {
  const value = Number(text);
  if (value > 0 && Number.isFinite(value)) return value;
  console.error(`bench: --${name} ${text}: give a number above 0.`);
  process.exit(2);
}

const runs = Math.round(number("runs", values.runs)) || 1;
const scale = number("scale", values.scale);
const timeout = number("timeout", values.timeout) * 1000;
const all: Record<string, () => Contestant> = {
  apicscope: () => apicscope(values.node, values.engine),
  interpreter: () => apicscope(values.node, "interpreter", "interpreter"),
  qemu,
  v86: () => v86(values.node),
};
const contestants = values.engines.split(",").map((id) => {
  if (id in all) return all[id]();
  console.error(`bench: --engines ${id}: choose from ${Object.keys(all).join(", ")}.`);
  return process.exit(2);
});
const matches = (name: string): boolean => positionals.length === 0 || positionals.some((pattern) => name.includes(pattern));

/** One thing to compare: a command for each emulator. */
interface Contest {
  readonly name: string;
  readonly bits: Bits;
  readonly work: number;
  readonly target: Benchmark["target"];
  plan(contestant: Contestant): Plan;
}

function contests(): Contest[] {
  const widths: readonly Bits[] = values.bits === "32" ? [32] : values.bits === "64" ? [64] : [32, 64];
  const list: Contest[] = [];
  for (const benchmark of benchmarks.filter(({ name }) => matches(name))) {
    const work = Math.max(1, Math.round(benchmark.work * scale));
    for (const bits of widths) {
      const line = `bench=${benchmark.name} work=${work}`;
      list.push({ ...benchmark, bits, work, plan: (contestant) => contestant.guest(benchmark, bits, line) });
    }
  }
  if (matches("linux") && widths.includes(64)) {
    const files = linuxFiles(values.kernel);
    const plan = (contestant: Contestant): Plan => (typeof files === "string" ? { cannot: files } : contestant.linux(files));
    list.push({ name: "linux", bits: 64, work: 1, target: { qemu: 1.5 }, plan });
  }
  return list;
}

/** Every emulator in turn, `runs` times over, so that what else the machine does meets all of them alike. */
async function compare(contest: Contest): Promise<Result> {
  const plans = contestants.map((contestant) => ({ id: contestant.id, plan: contest.plan(contestant), outcomes: [] as Outcome[] }));
  for (let run = 0; run < runs; run++) {
    for (const { plan, outcomes } of plans) {
      if ("cannot" in plan || outcomes.some((outcome) => !outcome.ok)) continue;
      outcomes.push(await measure(plan, timeout));
    }
  }
  const series = plans.map(({ id, plan, outcomes }) =>
    "cannot" in plan ? { contestant: id, samples: [], cannot: plan.cannot } : toSeries(id, outcomes),
  );
  return { name: contest.name, bits: contest.bits, work: contest.work, target: contest.target, series, agree: agrees(series) };
}

/** Milliseconds from starting the emulator to the end of a guest that does nothing, less nothing: what `whole` holds beside the region. */
async function startUp(): Promise<Record<string, number | null>> {
  const times: Record<string, number | null> = {};
  for (const contestant of contestants) {
    const plan = contestant.guest({ cpus: 1 }, 32, "bench=empty");
    const samples: number[] = [];
    for (let run = 0; run < runs && !("cannot" in plan); run++) {
      const outcome = await measure(plan, timeout);
      if (outcome.ok) samples.push(outcome.sample.whole);
    }
    times[contestant.id] = samples.length === 0 ? null : median(samples);
  }
  return times;
}

function save(startUp: Record<string, number | null>, results: readonly Result[]): void {
  mkdirSync(dirname(values.json), { recursive: true });
  const description = Object.fromEntries(contestants.map(({ id, description }) => [id, description]));
  const report = { date: new Date().toISOString(), machine: machineClass(), contestants: description, runs, scale, startUp, results };
  writeFileSync(values.json, `${JSON.stringify(report, null, 1)}\n`);
}

async function main(): Promise<void> {
  const list = contests();
  if (values.list) {
    for (const { name, bits, work } of list) console.log(`${name} ${bits} work=${work}`);
    return;
  }
  if (list.length === 0) {
    console.error(`bench: no benchmark matches ${positionals.join(" ")}.`);
    process.exit(2);
  }
  if (values.build) {
    const build = spawnSync(process.execPath, ["scripts/build.mjs"], { stdio: "inherit" });
    if (build.status !== 0) process.exit(build.status ?? 1);
  }
  console.log(machineClass());
  for (const { id, description } of contestants) console.log(`${id}: ${description}`);
  const start = await startUp();
  console.log(
    `start-up, ms: ${Object.entries(start)
      .map(([id, time]) => `${id} ${time === null ? "-" : time.toFixed(0)}`)
      .join(", ")}; work ${scale === 1 ? "in full" : `times ${scale}`}, medians of ${runs}\n`,
  );
  const results: Result[] = [];
  const ids = contestants.map(({ id }) => id);
  for (const contest of list) {
    results.push(await compare(contest));
    // What there is so far, should the rest be cut off.
    console.error(`${results.length} of ${list.length}\n${table(results.slice(-1), ids, ids[0])}\n`);
    save(start, results);
  }
  console.log(table(results, ids, ids[0]));
  console.log(`\nAll samples: ${values.json}`);
  process.exitCode = results.every((result) => result.agree) ? 0 : 1;
}

void main();
