/**
 * Every committed vector, and a thousand inputs a form recorded now on this machine's own CPU from another seed. APICSCOPE_VECTORS names a folder of vectors recorded
 * before, to replay instead of recording.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { replayFolder } from "./vectorReplay";

/** What the recorded forms need of the CPU, as /proc/cpuinfo says it. */
const NEEDED = ["cx16", "popcnt", "abm", "movbe", "bmi1", "bmi2", "adx", "sse4_2"];

describe("all committed vectors", () => replayFolder("test/vectors/data", "emitted", 1));
describe("a seventh of the committed vectors on generated code", () => replayFolder("test/vectors/data", "generated", 7));

function recordable(): boolean {
  if (process.platform !== "linux" || process.arch !== "x64" || !existsSync("/proc/cpuinfo")) return false;
  const flags = /^flags\s*:(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1].trim().split(" ") ?? [];
  return NEEDED.every((flag) => flags.includes(flag)) && spawnSync("gcc", ["--version"]).status === 0;
}

const given = process.env["APICSCOPE_VECTORS"];
if (given !== undefined) describe(`vectors in ${given}`, () => replayFolder(given, "emitted", 1));
else if (recordable()) {
  const folder = mkdtempSync(join(tmpdir(), "apicscope-vectors-"));
  const run = spawnSync("test/vectors/record.sh", ["--inputs", "1000", "--seed", "7", "--out", folder], { encoding: "utf8" });
  test("a thousand inputs a form are recorded on this CPU", () => assert.equal(run.status, 0, run.stdout + run.stderr));
  describe("vectors recorded now", () => replayFolder(folder, "emitted", 1));
} else test("vectors recorded now", { skip: "needs gcc and a Linux machine with the features that the forms use" }, () => undefined);
