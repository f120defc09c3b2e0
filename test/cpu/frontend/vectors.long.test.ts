/**
 * Every committed vector, and a hundred inputs a form recorded now on this machine's own CPU from another seed. APICSCOPE_VECTORS names a folder of vectors recorded
 * before, to replay instead of recording.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { cannotRecord } from "../../vectors/recorder/hostFeatures";
import { replayFolder } from "./vectorReplay";

describe("all committed vectors", () => replayFolder("test/vectors/data", "emitted", 1));
describe("a seventh of the committed vectors on generated code", () => replayFolder("test/vectors/data", "generated", 7));

const unable = cannotRecord();
const given = process.env["APICSCOPE_VECTORS"];
if (given !== undefined) describe(`vectors in ${given}`, () => replayFolder(given, "emitted", 1));
else if (unable === false) {
  const folder = mkdtempSync(join(tmpdir(), "apicscope-vectors-"));
  const run = spawnSync("test/vectors/record.sh", ["--inputs", "100", "--seed", "7", "--out", folder], { encoding: "utf8" });
  test("a hundred inputs a form are recorded on this CPU", () => assert.equal(run.status, 0, run.stdout + run.stderr));
  describe("vectors recorded now", () => replayFolder(folder, "emitted", 1));
} else test("vectors recorded now", { skip: unable }, () => undefined);
