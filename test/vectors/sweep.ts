/**
 * Records vectors on this machine's CPU and replays them on the emulator, piece by piece, until so many have been compared:
 * `npm run vectors:sweep -- --cases 10000000 [--inputs N a form and piece] [--seed FIRST]`. Status 1 when a case differs.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { MachineTarget } from "../cpu/frontend/machineTarget";
import { readVectorFile } from "./format";
import { describeCase, replay } from "./replay";

const { values } = parseArgs({
  options: {
    cases: { type: "string", default: "10000000" },
    inputs: { type: "string", default: "500" },
    seed: { type: "string", default: "1000" },
    seconds: { type: "string", default: "Infinity" },
  },
});
const wanted = Number(values.cases);
const target = new MachineTarget("emitted");
const started = performance.now();
const elapsed = (): number => (performance.now() - started) / 1000;
let [cases, failed, seed] = [0, 0, Number(values.seed)];
for (; cases < wanted && elapsed() < Number(values.seconds); seed++) {
  const folder = mkdtempSync(join(tmpdir(), "apicscope-sweep-"));
  try {
    const recorder = join(import.meta.dirname, "record.sh");
    const run = spawnSync(recorder, ["--inputs", values.inputs, "--seed", String(seed), "--out", folder], { encoding: "utf8" });
    if (run.status !== 0) throw new Error(`The recorder failed: ${run.stdout}${run.stderr}`);
    for (const name of readdirSync(folder)) {
      const report = replay(readVectorFile(readFileSync(join(folder, name))), target);
      cases += report.cases;
      failed += report.failed;
      for (const { item, differences } of report.failures) console.log(`${describeCase(item)}: ${differences.join("; ")}`);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  console.log(`seeds ${values.seed} to ${seed}: ${cases} cases, ${failed} differ, ${elapsed().toFixed(0)} s`);
}
if (failed > 0) process.exitCode = 1;
