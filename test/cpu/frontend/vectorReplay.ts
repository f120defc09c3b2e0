import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readVectorFile } from "../../vectors/format";
import { describeCase, replay } from "../../vectors/replay";
import type { FlatEngine } from "./flatMachine";
import { MachineTarget } from "./machineTarget";

/** One test a file: replays every `stride`-th form of the vectors in `folder` on an engine and requires the recorded outcome. */
export function replayFolder(folder: string, engine: FlatEngine, stride: number): void {
  const target = new MachineTarget(engine);
  const files = readdirSync(folder).filter((file) => file.endsWith(".gz"));
  test(`there are vectors in ${folder}`, () => assert.ok(files.length > 0));
  for (const name of files) {
    test(name, () => {
      let form = 0;
      const report = replay(readVectorFile(readFileSync(join(folder, name))), target, { select: () => form++ % stride === 0 });
      const texts = report.failures.map(({ item, differences }) => `${describeCase(item)}: ${differences.join("; ")}`);
      const forms = [...report.failedForms].map(([id, count]) => `${id}: ${count}`);
      assert.equal(
        report.failed,
        0,
        `${report.failed} of ${report.cases} cases differ\n${forms.join("\n")}\n${texts.slice(0, 40).join("\n")}`,
      );
      assert.ok(report.cases > 0);
    });
  }
}
