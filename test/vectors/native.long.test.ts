/** Runs every recorded case again on this machine's own CPU, where it has what that takes. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

/** Flags of /proc/cpuinfo that the recorded forms need. */
const NEEDED = ["cx16", "popcnt", "abm", "movbe", "bmi1", "bmi2", "adx", "sse4_2"];

function missing(): string | false {
  if (process.platform !== "linux" || process.arch !== "x64" || !existsSync("/proc/cpuinfo")) return "needs Linux on x86-64";
  const flags = /^flags\s*:(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1].trim().split(" ") ?? [];
  const lacking = NEEDED.filter((flag) => !flags.includes(flag));
  if (lacking.length > 0) return `this CPU lacks ${lacking.join(", ")}`;
  return spawnSync(process.env["CC"] ?? "gcc", ["--version"]).status === 0 ? false : "needs gcc";
}

test("the recorded vectors are what this CPU does", { skip: missing() }, () => {
  const data = join(import.meta.dirname, "data");
  const files = readdirSync(data).map((name) => join(data, name));
  const run = spawnSync(join(import.meta.dirname, "record.sh"), ["--verify", ...files], { encoding: "utf8" });
  assert.equal(run.status, 0, run.stdout + run.stderr);
});
