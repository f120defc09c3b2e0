/** Instructions recorded on a real processor, replayed through the front end and the op interpreter. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { readVectorFile } from "../../vectors/format";
import { describeCase, replay } from "../../vectors/replay";
import { MachineTarget } from "./machineTarget";

const DATA = "test/vectors/data";

/** APICSCOPE_LONG=1 replays every form; else one in `stride`. */
function replayAll(engine: "emitted" | "reference", stride: number): void {
  const target = new MachineTarget(engine);
  const every = process.env["APICSCOPE_LONG"] === "1" ? 1 : stride;
  for (const name of readdirSync(DATA).filter((file) => file.endsWith(".gz"))) {
    test(name, () => {
      let form = 0;
      const report = replay(readVectorFile(readFileSync(`${DATA}/${name}`)), target, { select: () => form++ % every === 0 });
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

describe("recorded instructions on the emitted interpreter", () => replayAll("emitted", 4));
describe("recorded instructions on the reference interpreter", () => replayAll("reference", 60));
