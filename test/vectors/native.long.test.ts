/** Runs every recorded case again on this machine's own CPU, where it has the features that a case takes. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { cannotRecord } from "./recorder/hostFeatures";

test("the recorded vectors are what this CPU does", { skip: cannotRecord() }, () => {
  const data = join(import.meta.dirname, "data");
  const files = readdirSync(data).map((name) => join(data, name));
  const run = spawnSync(join(import.meta.dirname, "record.sh"), ["--verify", ...files], { encoding: "utf8" });
  assert.equal(run.status, 0, run.stdout + run.stderr);
});
