// Requests with wrong arguments get an error response that names the argument; the session goes on.
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import type { DebugProtocol } from "@vscode/debugprotocol";
import { codeBase, codeImage, smpGuest, smpSource, temporaryFolder, withClient, suiteServer } from "./harness";

/** No RAM there, with or without paging. */
const nowhere = "0xffff8000f0000000";

describe("requests with wrong arguments", () => {
  const server = suiteServer();
  const files = temporaryFolder();
  after(files.remove);

  test("are refused by name, and the session goes on", { timeout: 480_000 }, () =>
    withClient(async (client) => {
      await client.launch({ program: smpGuest, cpus: 2, stopOnEntry: true });
      await client.stop();
      const [{ id: frameId }] = await client.stack(1);
      const { reference } = await client.scope(1, "Registers");
      const apic = (await client.scope(1, "Local APIC")).reference;
      const cases: [command: string, args: unknown, message: RegExp][] = [
        ["continue", {}, /"threadId" of "continue" must be a whole number of at least 1, it is missing/],
        ["continue", { threadId: 99 }, /"threadId" of "continue" must be a thread's id from 1 to 2 \(CPU 0 to CPU 1\), not 99/],
        ["continue", { threadId: "one" }, /"threadId".*not "one"/],
        ["next", { threadId: 0 }, /"threadId"/],
        ["next", { threadId: 1, granularity: "page" }, /"granularity" must be/],
        ["stepIn", { threadId: 1, singleThread: 5 }, /"singleThread".*true or false/],
        ["stepOut", { threadId: 2 }, /no caller to step out to/],
        ["pause", { threadId: 77 }, /a thread's id from 1 to 2/],
        ["stackTrace", { threadId: 3 }, /a thread's id from 1 to 2/],
        ["stackTrace", {}, /"threadId"/],
        ["scopes", { frameId: 99_999 }, /no frame 99999/],
        ["scopes", {}, /"frameId"/],
        ["variables", { variablesReference: 99_999 }, /no variable container 99999/],
        ["variables", { variablesReference: 0 }, /"variablesReference"/],
        ["setVariable", { variablesReference: reference, name: "nax", value: "1" }, /no variable 'nax'/],
        ["setVariable", { variablesReference: reference, name: "rax" }, /"value"/],
        ["setVariable", { variablesReference: reference, name: "rax", value: "=?" }, /./],
        ["setVariable", { variablesReference: reference, name: "eax", value: "0x1ffffffff" }, /does not fit/],
        ["setVariable", { variablesReference: apic, name: "VER", value: "1" }, /VER is read-only/],
        ["setVariable", { variablesReference: apic, name: "ISR", value: "0x100" }, /Vectors go from 16 \(0x10\) to 255/],
        ["evaluate", { expression: "no_such_name", frameId, context: "watch" }, /unknown name 'no_such_name'/],
        ["evaluate", { expression: "1 +", frameId, context: "watch" }, /./],
        ["evaluate", { expression: "rax = 1", frameId, context: "watch" }, /must not assign/],
        ["evaluate", { expression: "", frameId }, /nothing to evaluate/],
        ["evaluate", { expression: 7 }, /"expression"/],
        ["evaluate", { expression: `u64[${nowhere}]`, frameId }, /cannot read 8 bytes/],
        ["evaluate", { expression: "rax / 0", frameId }, /division by zero/],
        ["evaluate", { expression: "rax", frameId: 4_000_000 }, /no frame 4000000/],
        ["setExpression", { expression: "5", value: "1", frameId }, /cannot be assigned/],
        ["completions", { text: "ra" }, /"column"/],
        ["readMemory", { memoryReference: "somewhere", count: 4 }, /must be an address/],
        ["readMemory", { memoryReference: "0x10000000000000000", count: 4 }, /does not fit in 64 bits/],
        ["readMemory", { memoryReference: "0x1000", count: -1 }, /"count"/],
        ["readMemory", { count: 4 }, /"memoryReference"/],
        ["writeMemory", { memoryReference: "0x1000", data: "***" }, /"data".*base64/],
        ["writeMemory", { memoryReference: nowhere, data: "AAAA" }, /cannot be written/],
        ["disassemble", { memoryReference: "rip", instructionCount: 4 }, /must be an address/],
        ["disassemble", { memoryReference: "0x1000", instructionCount: 1e9 }, /"instructionCount"/],
        ["exceptionInfo", { threadId: 1 }, /did not stop on an event/],
        ["setBreakpoints", { breakpoints: [{ line: 1 }] }, /"source"/],
        ["setBreakpoints", { source: { path: smpSource("main.c") }, breakpoints: "all" }, /"breakpoints".*must be a list, not "all"/],
        ["setBreakpoints", { source: { path: smpSource("main.c") }, lines: 5 }, /"lines".*must be a list/],
        ["setBreakpoints", "all", /must be an object/],
        ["setBreakpoints", { source: {}, breakpoints: [] }, /"path"/],
        ["setFunctionBreakpoints", {}, /"breakpoints"/],
        ["evaluate", { expression: "\0", frameId }, /unexpected character U\+0000 at column 1/],
        [
          "readMemory",
          { memoryReference: "0x1000", count: 4, offset: 1e300 },
          /"offset".* a whole number from -9007199254740991 to 9007199254740991, not 1e\+300/,
        ],
        ["apicscope/decode", { register: "SVR", value: "zz" }, /"value" .* a number, or text such as "0x1f", not "zz"/],
        ["setInstructionBreakpoints", {}, /"breakpoints"/],
        ["setDataBreakpoints", { breakpoints: {} }, /"breakpoints".*must be a list/],
        ["setExceptionBreakpoints", { filters: "all" }, /"filters"/],
        ["setExceptionBreakpoints", { filters: [], filterOptions: 5 }, /"filterOptions".*must be a list/],
        ["gotoTargets", { source: { path: smpSource("main.c") } }, /"line"/],
        ["goto", { threadId: 1, targetId: 12 }, /no goto target 12; "gotoTargets" gives those of a line/],
        ["goto", { threadId: 5, targetId: 1 }, /a thread's id from 1 to 2/],
        ["stepBack", { threadId: 99 }, /a thread's id from 1 to 2/],
        ["restart", { arguments: 5 }, /"arguments" of "restart" must be an object, not 5/],
        ["variables", { variablesReference: reference, start: -1 }, /"start".*at least 0, not -1/],
        ["variables", { variablesReference: reference, filter: "odd" }, /"filter" must be one of "indexed", "named", not "odd"/],
        ["evaluate", { expression: "(1 + 2", frameId, context: "watch" }, /the '\(' at column 1; its '\)' is missing/],
        ["evaluate", { expression: "(".repeat(20_000), frameId }, /too long/],
        ["readMemory", { memoryReference: "0x1000", count: 4, offset: 1.5 }, /"offset".*whole number/],
        ["writeMemory", { memoryReference: "0x1000", data: "A" }, /"data".*base64, not "A"/],
        [
          "disassemble",
          { memoryReference: "0x1000", instructionCount: 2, instructionOffset: -1e9 },
          /"instructionOffset".*from -20000 to 20000/,
        ],
        ["apicscope/serialInput", { data: "%%%" }, /"data".*base64/],
        ["source", { sourceReference: 1 }, /./],
        ["attach", {}, /use a "launch" request/],
        ["launch", { program: smpGuest }, /has been launched already/],
        ["apicscope/setInterruptBreakpoints", {}, /"breakpoints"/],
        ["apicscope/guestWrite", { threadId: 1, register: "PPR", value: 1 }, /no register 'PPR' that software can write/],
        ["apicscope/guestWrite", { threadId: 1, register: "TPR", value: "0x1ffffffff" }, /does not fit in TPR/],
        ["apicscope/guestWrite", { threadId: 1, value: 1 }, /"register".*"address"/],
        ["apicscope/setStepping", { others: "perhaps" }, /"others" must be/],
        ["apicscope/setHeld", { threadId: 9, held: true }, /a thread's id from 1 to 2/],
        ["apicscope/serialInput", {}, /"text"/],
        ["no/such/request", {}, /knows no request "no\/such\/request"/],
        ["constructor", {}, /knows no request "constructor"/],
        ["threads", [1], /must be an object/],
      ];
      for (const [command, args, expected] of cases) {
        const message = await client.refused(command, args);
        assert.match(message, expected, `${command} ${JSON.stringify(args)}`);
        assert.doesNotMatch(message, /Internal error/, `${command} ${JSON.stringify(args)}: ${message}`);
      }
      assert.equal((await client.threadNames()).length, 2);
      assert.equal(await client.evaluate("1 + 1", 1), "2");
    }, server.port),
  );

  test("partial answers: what is not there is left out or counted", { timeout: 240_000 }, () =>
    withClient(async (client) => {
      await client.launch({ program: smpGuest, cpus: 2, memory: 64 }, () => client.breakOn({ filterId: "sipi" }));
      await client.stop();
      const { reference, variables } = await client.scope(1, "Registers");
      const names = async (range: object): Promise<string[]> => {
        const asked: DebugProtocol.VariablesArguments = { variablesReference: reference, ...range };
        const { body } = await client.dap.variablesRequest(asked);
        return body.variables.map(({ name }) => name);
      };
      const all = variables.map(({ name }) => name);
      assert.deepEqual(await names({ start: 2, count: 3 }), all.slice(2, 5));
      assert.deepEqual(await names({ start: 2 }), all.slice(2));
      assert.deepEqual(await names({ start: 1_000_000, count: 5 }), []);
      assert.deepEqual(await names({ filter: "indexed" }), []);
      // RAM ends at 64 MiB.
      const end = (await client.ask("readMemory", { memoryReference: "0x3fffff0", count: 64 })) as {
        data: string;
        unreadableBytes: number;
      };
      assert.equal(Buffer.from(end.data, "base64").length, 16);
      assert.equal(end.unreadableBytes, 48);
      assert.deepEqual(await client.ask("readMemory", { memoryReference: "0xfffffffffffffff0", count: 64 }), {
        address: "0xfffffffffffffff0",
        unreadableBytes: 64,
      });
      const written = { memoryReference: "0x3fffffe", data: "AAAAAAAA" };
      assert.deepEqual(await client.ask("writeMemory", { ...written, allowPartial: true }), { offset: 0, bytesWritten: 2 });
      assert.match(await client.refused("writeMemory", written), /cannot be written/);
      const { instructions } = (await client.ask("disassemble", { memoryReference: "0xfffffffffffffffe", instructionCount: 4 })) as {
        instructions: DebugProtocol.DisassembledInstruction[];
      };
      assert.deepEqual(
        instructions.map(({ presentationHint }) => presentationHint),
        ["invalid", "invalid", undefined, undefined],
      );
    }, server.port),
  );

  test("before a launch, and with a request that needs a stopped guest while it runs", { timeout: 240_000 }, () =>
    withClient(async (client) => {
      assert.match(await client.refused("threads"), /No guest has been launched/);
      assert.match(await client.refused("setFunctionBreakpoints", { breakpoints: [] }), /No guest has been launched/);
      const loop = files.write("loop.elf", codeImage(0xfa, 0x90, 0xeb, 0xfd));
      await client.launch({ program: loop, cpus: 1 });
      assert.match(await client.refused("stackTrace", { threadId: 1 }), /is running; pause it first/);
      assert.match(await client.refused("evaluate", { expression: "rax", context: "watch" }), /is running/);
      assert.match(await client.refused("next", { threadId: 1 }), /is running/);
      assert.deepEqual(await client.threadNames(), ["CPU 0 · APIC 0 · running, IF=0"]);
      // Breakpoints are taken while it runs.
      const set = await client.request("setInstructionBreakpoints", {
        breakpoints: [{ instructionReference: `0x${(codeBase + 1n).toString(16)}` }],
      });
      assert.equal((set.body as { breakpoints: { verified: boolean }[] }).breakpoints[0].verified, true);
      assert.equal((await client.stop()).reason, "instruction breakpoint");
    }, server.port),
  );

  test("a condition with an unknown field is told of and not set", { timeout: 240_000 }, () =>
    withClient(async (client) => {
      await client.launch({ program: smpGuest, cpus: 1, stopOnEntry: true }, async () => {
        const [wrong, mode, right] = await client.breakOn(
          { filterId: "interrupt.deliver", condition: "vektor == 1" },
          { filterId: "interrupt.deliver", condition: 'mode == "fast"' },
          { filterId: "cpu.exception", condition: "vector == 14 && cr2 < 0x1000 && errorCode != 2" },
        );
        assert.equal(wrong.verified, false);
        assert.match(
          wrong.message ?? "",
          /unknown name 'vektor'.*did you mean 'vector'.*valid names are vector, mode, src, dst, cpu, trigger, source, shorthand, count, time, registers and symbols/,
        );
        assert.match(mode.message ?? "", /mode is never "fast".*valid values are "fixed", "lowpri"/);
        assert.equal(right.verified, true);
        assert.ok(right.id !== undefined);
        const [foreign] = await client.breakOn({ filterId: "cpu.exception", condition: "shorthand == 1" });
        assert.match(foreign.message ?? "", /unknown name 'shorthand'.*valid names are vector, errorCode, cr2, rip/);
      });
      await client.stop();
      assert.match(client.output("important"), /unknown name 'vektor'/);
    }, server.port),
  );
});
