// Requests that set many breakpoints: each entry has its own answer, in the order asked, and one that is wrong keeps no other from being set.
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import type { DebugProtocol } from "@vscode/debugprotocol";
import { codeBase, codeImage, lineOf, smpGuest, smpSource, temporaryFolder, withClient, suiteServer, type Client } from "./harness";
import { readFileSync } from "node:fs";

type Answer = Partial<DebugProtocol.Breakpoint>;

/** Each entry beside what is expected of its answer: undefined for one that is set, else its message. */
type Case = readonly [entry: unknown, message: RegExp | undefined];

async function check(client: Client, command: string, cases: readonly Case[], more: object = {}): Promise<Answer[]> {
  const asked = { ...more, breakpoints: cases.map(([entry]) => entry) };
  const { breakpoints } = (await client.ask(command, asked)) as { breakpoints: Answer[] };
  compare(breakpoints, cases);
  return breakpoints;
}

function compare(answers: readonly Answer[], cases: readonly Case[]): void {
  assert.equal(answers.length, cases.length);
  answers.forEach(({ verified, message, reason }, index) => {
    const [entry, expected] = cases[index];
    const what = `${index}: ${JSON.stringify(entry)} ${message}`;
    assert.equal(verified, expected === undefined, what);
    assert.equal(reason, expected === undefined ? undefined : "failed", what);
    if (expected === undefined) assert.equal(message, undefined, what);
    else assert.match(message ?? "", expected);
  });
}

describe("each entry of a request has its own answer", { timeout: 480_000 }, () => {
  const server = suiteServer();
  const files = temporaryFolder();
  after(files.remove);

  test("source lines", () =>
    withClient(async (client) => {
      await client.launch({ program: smpGuest, cpus: 2, stopOnEntry: true });
      await client.stop();
      const source = { path: smpSource("main.c") };
      const line = lineOf(readFileSync(source.path, "utf8"), "run_tests(");
      await check(
        client,
        "setBreakpoints",
        [
          [{ line }, undefined],
          [{ line: "ten" }, /"line" of "setBreakpoints\.breakpoints\[1\]" must be a whole number of at least 1, not "ten"/],
          [{}, /"line".*it is missing/],
          [{ line, condition: "((" }, /ends too early/],
          [{ line, condition: 5 }, /"condition".*must be text, not 5/],
          [{ line, hitCondition: "often" }, /hit condition "often"/],
          [null, /Entry 7 of the argument "breakpoints" of "setBreakpoints" must be an object, not null/],
          [{ line: 0 }, /"line".*at least 1, not 0/],
          [{ line: 1.5 }, /"line".*whole number.*not 1\.5/],
          [{ line, logMessage: "{rax}" }, undefined],
          [{ line: 1_000_000 }, /no code on or after line 1000000/],
        ],
        { source },
      );
      const old = (await client.ask("setBreakpoints", { source, lines: [line, "x", 1_000_000] })) as { breakpoints: Answer[] };
      compare(old.breakpoints, [
        [line, undefined],
        ["x", /"line" of "setBreakpoints\.lines\[1\]"/],
        [1_000_000, /no code/],
      ]);
      await client.ask("setBreakpoints", { source, breakpoints: [] });
      await check(client, "setFunctionBreakpoints", [
        [{ name: "run_tests" }, undefined],
        [{ name: 5 }, /"name" of "setFunctionBreakpoints\.breakpoints\[1\]" must be text, not 5/],
        [{}, /"name".*missing/],
        [{ name: "nowhere" }, /no function or label 'nowhere'/],
        [{ name: "*0x1ffffffffffffffff" }, /does not fit in 64 bits/],
        ["main", /Entry 6 .* must be an object, not "main"/],
        [{ name: "main" }, undefined],
      ]);
      await client.ask("setFunctionBreakpoints", { breakpoints: [] });
    }, server.port));

  test("instructions and data: those that are right stop the guest", () =>
    withClient(async (client) => {
      // cli; nop; mov [0x2000], al; jmp
      const program = files.write("loop.elf", codeImage(0xfa, 0x90, 0x88, 0x04, 0x25, 0x00, 0x20, 0x00, 0x00, 0xeb, 0xf5));
      await client.launch({ program, cpus: 1, stopOnEntry: true });
      await client.stop();
      const at = (offset: bigint): string => `0x${(codeBase + offset).toString(16)}`;
      const answers = await check(client, "setInstructionBreakpoints", [
        [{ instructionReference: "far" }, /"instructionReference" of "setInstructionBreakpoints\.breakpoints\[0\]" must be an address/],
        [{ instructionReference: 5.5 }, /must be an address/],
        [{}, /it is missing/],
        [{ instructionReference: at(0n), offset: "x" }, /"offset".*whole number/],
        [{ instructionReference: at(1n), condition: "((" }, /ends too early/],
        [{ instructionReference: at(1n), hitCondition: 5 }, /"hitCondition".*must be text/],
        [{ instructionReference: at(0n), offset: 1 }, undefined],
      ]);
      await client.dap.continueRequest({ threadId: 1 });
      assert.deepEqual((await client.stop()).hitBreakpointIds, [answers[6].id]);
      await client.ask("setInstructionBreakpoints", { breakpoints: [] });
      const { dataId } = (await client.ask("dataBreakpointInfo", { name: "u8[0x2000]" })) as { dataId: string };
      const watched = await check(client, "setDataBreakpoints", [
        [{ dataId: "bogus" }, /"bogus" is no data id/],
        [{ dataId: 5 }, /"dataId".*must be text/],
        [null, /must be an object, not null/],
        [{ dataId, accessType: "eat" }, /"accessType" must be one of "read", "write", "readWrite", not "eat"/],
        [{ dataId, condition: "((" }, /ends too early/],
        [{ dataId, hitCondition: "x" }, /hit condition "x"/],
        [{ dataId, accessType: "write" }, undefined],
      ]);
      await client.dap.continueRequest({ threadId: 1 });
      assert.deepEqual((await client.stop()).hitBreakpointIds, [watched[6].id]);
    }, server.port));

  test("exception filters and interrupt breakpoints", () =>
    withClient(async (client) => {
      await client.launch({ program: smpGuest, cpus: 2, stopOnEntry: true });
      await client.stop();
      const filters = ["bogus", "sipi", 5];
      const options: Case[] = [
        [{ filterId: "nmi", condition: "((" }, /condition "\(\(" of nmi is wrong/],
        [{ filterId: "smi", condition: 5 }, /"condition" of "setExceptionBreakpoints\.filterOptions\[1\]" must be text/],
        [{}, /"filterId".*missing/],
        [null, /must be an object/],
        [{ filterId: "init" }, undefined],
      ];
      const { breakpoints } = (await client.ask("setExceptionBreakpoints", {
        filters,
        filterOptions: options.map(([entry]) => entry),
      })) as {
        breakpoints: Answer[];
      };
      compare(breakpoints, [
        ["bogus", /no filter 'bogus'; the filters are interrupt\.send/],
        ["sipi", undefined],
        [5, /"filter" of "setExceptionBreakpoints\.filters\[2\]" must be text, not 5/],
        ...options,
      ]);
      // What was not set is told in the console, too: some clients show it nowhere else.
      await client.next("output", (body) => (body as { output: string }).output.includes("no filter 'bogus'"));
      const stop = await client.continue(1);
      assert.deepEqual(stop.hitBreakpointIds, [breakpoints[7].id]);
      await client.breakOn();
      const own = (await check(client, "apicscope/setInterruptBreakpoints", [
        [{ id: "a", filter: "interrupt.send", condition: "vector == 0xf0" }, undefined],
        [{ id: 5, filter: "nmi" }, /"id".*must be text, not 5/],
        [{ id: "c", filter: 5 }, /"filter".*must be text/],
        [{ id: "d", filter: "bogus" }, /no filter 'bogus'/],
        [{ id: "e", filter: "nmi", condition: 5 }, /"condition".*must be text/],
        [{ id: "f", filter: "nmi", hitCondition: "x" }, /hit condition "x"/],
        [{ id: "g", filter: "nmi", enabled: "x" }, /"enabled".*true or false/],
        [null, /must be an object/],
        [{ id: "h", filter: "smi" }, undefined],
      ])) as unknown as { id: string; hits: number }[];
      assert.deepEqual(
        own.map(({ id }) => id),
        ["a", "", "c", "d", "e", "f", "g", "", "h"],
      );
      assert.match((await client.continue(1)).text ?? "", /vector 0xf0.* sent/);
    }, server.port));
});
