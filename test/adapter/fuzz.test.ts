// Requests with arguments of every wrong kind: an answer to each, never an internal error, and the session lives.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { smpGuest, startServer, withClient } from "./harness";

/** A small generator of its own, so that a failure can be repeated. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const commands =
  "setBreakpoints setFunctionBreakpoints setInstructionBreakpoints setExceptionBreakpoints breakpointLocations continue next stepIn stepOut pause goto gotoTargets threads stackTrace scopes variables setVariable setExpression evaluate completions exceptionInfo loadedSources modules source readMemory writeMemory disassemble cancel attach launch configurationDone apicscope/interruptState apicscope/setInterruptBreakpoints apicscope/guestWrite apicscope/setStepping apicscope/setHeld reverseContinue stepBack dataBreakpointInfo";
const names =
  "threadId frameId variablesReference name value expression context text column source line endLine breakpoints filters filterOptions condition hitCondition logMessage memoryReference offset count data instructionCount instructionOffset register address size others held granularity singleThread targetId startFrame levels start filter id requestId lines allowPartial";
const values: readonly unknown[] = [
  0,
  1,
  2,
  -1,
  1.5,
  1e300,
  4096,
  null,
  true,
  "",
  "x",
  "0x100000",
  "0xffffffffffffffff",
  "-5",
  "rax",
  "u64[rsp]",
  "((((",
  "1 << 200",
  "$",
  "cpu1.",
  "lapic.icr",
  "{0x30}",
  "AAAA",
  "*main",
  "\u0000",
  [],
  [1],
  [{}],
  [{ line: 1 }],
  [{ name: "main" }],
  [{ filterId: "nmi", condition: "1 +" }],
  {},
  { path: "/x.c" },
  { path: 5 },
  "a".repeat(5000),
];

let server: Awaited<ReturnType<typeof startServer>>;
before(async () => {
  server = await startServer();
});
after(() => void server.process.kill());

test("2,000 random requests", { timeout: 600_000 }, () =>
  withClient(async (client) => {
    const below = random(20_261);
    const pick = <T>(list: readonly T[]): T => list[below(list.length)];
    await client.launch({ program: smpGuest, cpus: 2, cmdline: "loop" }, () => Promise.resolve());
    const commandList = commands.split(" ");
    const nameList = names.split(" ");
    let answered = 0;
    for (let i = 0; i < 2_000; i++) {
      const command = pick(commandList);
      const args: Record<string, unknown> = {};
      for (let count = below(6); count > 0; count--) args[pick(nameList)] = pick(values);
      // Half of them are nearly right.
      if (below(2) === 0) Object.assign(args, { threadId: 1 + below(2), frameId: below(50), memoryReference: "0x101000" });
      if (i % 20 === 0) await client.request("pause", { threadId: 1 });
      try {
        await client.request(command, args);
        answered++;
      } catch (error) {
        assert.doesNotMatch((error as Error).message, /Internal error/, `${command} ${JSON.stringify(args)}`);
      }
      assert.equal(client.output("important").includes("APICScope failed"), false, `${command} ${JSON.stringify(args)}`);
    }
    assert.ok(answered > 200, `${answered} answered`);
    assert.equal((await client.threadNames()).length, 2);
  }, server.port),
);
