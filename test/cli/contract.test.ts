// Contracts and traces of `apicscope run`, over the built command line.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { after, describe, test } from "node:test";
import { contractExamples, parseContract } from "../../src/debugger/contract/parse";
import { cli, temporaryFolder } from "../adapter/harness";
import { checkGolden, normalise } from "../adapter/transcript";

const folder = temporaryFolder();
after(() => folder.remove());

function run(guest: string, ...args: string[]): { status: number | null; errors: string } {
  const { status, stderr } = spawnSync(process.execPath, [cli, "run", guest, ...args], { encoding: "utf8", timeout: 480_000 });
  return { status, errors: stderr };
}

const contract = (...statements: string[]): string => folder.write("contract.txt", `${statements.join("\n")}\n`);

describe("a contract", () => {
  test("that holds leaves the guest's exit status", () => {
    const file = contract(
      "# of the bundled guest",
      "Vector 0xf0 on every CPU is followed by EOI within 5000 instructions.",
      "no lint",
      "no storm",
      "CPU 3 starts within 10 ms",
      'the guest prints "PASS"   # as written',
      "the guest ends with status 1",
    );
    const { status, errors } = run("guests/smp/smp.elf", "--cpus", "4", "--contract", file);
    assert.equal(status, 1);
    assert.match(errors, /the contract holds: 6 statements/);
  });

  test("that is broken says which statement, how, and with which interrupt, and writes JUnit XML", () => {
    const file = contract(
      "vector 0x90 is followed by EOI within 5000 instructions",
      "no lint",
      "no lint coalesced",
      "CPU 1 starts within 1 us",
      "every CPU starts within 1 s",
      'the guest prints "PASS"',
      "vector 0x90 is delivered at least 2 times",
    );
    const xml = folder.path("junit.xml");
    const { status, errors } = run(
      "guests/faults/faults.elf",
      "--cpus",
      "2",
      "--cmdline",
      "missing-eoi",
      "--contract",
      file,
      "--junit",
      xml,
    );
    assert.equal(status, 5);
    assert.match(
      errors,
      /BROKEN {2}no lint\n.*missing-eoi: the handler of vector 0x90 returned at CPU 0 without EOI.*\n.*source ipi, mode fixed, vector 0x90/,
    );
    assert.match(errors, /deliver +instruction +\d+ .*\n.*return +instruction +\d+ .*<handler_without_eoi\+0x/);
    checkGolden(
      "contract",
      normalise(errors)
        .replace(/contract\.txt:\d+/g, "contract.txt:N")
        .replaceAll(folder.path(""), "FOLDER/")
        .replace(/\b\d+(\.\d+)? (us|ms|instructions)\b/g, "N $2"),
    );
    assert.match(errors, /holds {3}no lint coalesced/);
    assert.match(errors, /CPU 1 started after \d+\.\d{3} ms/);
    assert.match(errors, /the guest did not print "PASS"/);
    assert.match(errors, /vector 0x90 was delivered 1 times/);
    assert.match(errors, /the contract is broken: \d of 7 statements/);
    const report = readFileSync(xml, "utf8");
    assert.match(report, /<testsuite name="[^"]*contract\.txt" tests="7" failures="\d"/);
    assert.equal(report.match(/<testcase /g)?.length, 7);
    assert.match(report, /<failure message="the guest did not print &quot;PASS&quot;">/);
  });

  test("budgets: handlers, masked interrupts, nesting, latency", () => {
    const file = contract(
      "the handler of vector 0x90 returns within 10000 instructions",
      "interrupts are never off for more than 10000 instructions",
      "handlers never nest deeper than 1",
      "vector 0x90 is delivered within 500 instructions",
    );
    const broken = (fault: string): string[] =>
      [...run("guests/faults/faults.elf", "--cmdline", fault, "--contract", file).errors.matchAll(/BROKEN {2}(.*)/g)].map((match) =>
        match[1].split(" ").slice(0, 3).join(" "),
      );
    assert.deepEqual(broken("slow"), ["the handler of", "interrupts are never"]);
    assert.deepEqual(broken("nested"), ["handlers never nest"]);
    assert.deepEqual(broken("late"), ["vector 0x90 is"]);
    assert.deepEqual(broken(""), []);
  });

  test("every example of the language is understood, and what is none names its line", () => {
    assert.equal(parseContract(contractExamples.join("\n"), "examples").length, contractExamples.length);
    assert.throws(
      () => parseContract("no lint\nno nonsense\n", "c.txt"),
      /c\.txt:2: "no nonsense" is no statement of a contract\. There are: /,
    );
    assert.throws(() => parseContract("# nothing\n", "c.txt"), /has no statements/);
    const { status, errors } = run("guests/smp/smp.elf", "--contract", folder.path("missing.txt"));
    assert.equal(status, 2);
    assert.match(errors, /missing\.txt: the contract cannot be read/);
  });
});

describe("a trace", () => {
  test("for Perfetto has a lane a CPU, a bar a handler and an arrow an IPI", () => {
    const file = folder.path("trace.json");
    assert.equal(run("guests/smp/smp.elf", "--cpus", "4", "--trace", file).status, 1);
    interface Event {
      name: string;
      ph: string;
      tid: number;
      ts: number;
      dur: number;
      id: number;
      args: { name?: string; sender?: string; latencyInstructions?: number };
    }
    const { traceEvents } = JSON.parse(readFileSync(file, "utf8")) as { traceEvents: Event[] };
    const lanes = traceEvents.filter((event) => event.ph === "M" && event.name === "thread_name").map((event) => event.args.name);
    assert.deepEqual(
      lanes.slice(0, 4),
      [0, 1, 2, 3].map((cpu) => `CPU ${cpu} (APIC ${cpu})`),
    );
    const bar = traceEvents.find((event) => event.ph === "X" && event.name === "0xf0 ipi" && event.tid === 2);
    assert.ok(bar !== undefined && bar.dur > 0.1 && bar.dur < 1, "the handler took between 100 and 1000 instructions");
    assert.match(bar.args.sender ?? "", /<apic_write\+0x/);
    assert.equal(bar.args.latencyInstructions, 1);
    const start = traceEvents.find(
      (event) => event.ph === "s" && traceEvents.some((end) => end.ph === "f" && end.id === event.id && end.tid === 2 && end.ts === bar.ts),
    );
    assert.equal(start?.tid, 1, "an arrow leads from CPU 0 to the handler's start");
  });

  test("of JSON lines has a line a stage, the return from the handler among them", () => {
    const file = folder.path("trace.jsonl");
    assert.equal(run("guests/faults/faults.elf", "--trace", file).status, 1);
    const lines = readFileSync(file, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { stage: string; vector: number });
    assert.deepEqual(
      lines.filter((line) => line.vector === 0x90).map((line) => line.stage),
      ["send", "accept", "request", "deliver", "eoi", "return"],
    );
  });
});
