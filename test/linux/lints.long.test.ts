// A correct guest: Debian's kernel comes up on several CPUs, talks in a shell and powers off without a single lint, and brings its CPUs up as the doctor likes it.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ContractChecker } from "../../src/debugger/contract/contract";
import { parseContract } from "../../src/debugger/contract/parse";
import { contractLines } from "../../src/debugger/contract/report";
import { combineHooks } from "../../src/machine/hooks";
import { linuxMachine, missing } from "./linux";

const contract = `
no lint
no storm
vector 0xfd on every CPU is followed by EOI within 100000 instructions
`;

describe("lints are silent on Linux", { skip: missing("cloud-amd64") }, () => {
  for (const cpus of [2, 4])
    test(`${cpus} CPUs to user space`, () => {
      const { machine, output } = linuxMachine("cloud-amd64", "", { cpus });
      const checker = new ContractChecker(machine, parseContract(contract, "contract"));
      machine.followInterruptFlag("told");
      machine.hooks = combineHooks(machine.hooks, checker.hooks);
      while (!output().includes("== ready") && machine.instructions() < 12e9 && machine.run(5_000_000).kind === "limit");
      assert.ok(output().includes(`== nproc ${cpus}`), output().slice(-2000));
      const results = checker.finish({ kind: "limit" }, 0);
      assert.deepEqual(
        results.filter((result) => result.count > 0).map((result) => result.count),
        [],
        contractLines(results, () => undefined).join("\n"),
      );
    });
});
