// Every request of the Debug Adapter Protocol: carried out, or declined by its capability and one clear sentence; and events that tell what changed.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { after, describe, test } from "node:test";
import type { DebugProtocol } from "@vscode/debugprotocol";
import { cli, codeImage, lineOf, smpGuest, smpSource, temporaryFolder, withClient, suiteServer, type Client } from "./harness";

describe("the protocol", { timeout: 960_000 }, () => {
  const server = suiteServer();
  const files = temporaryFolder();
  after(files.remove);

  const body = async <T extends DebugProtocol.Response>(client: Client, command: string, args: object): Promise<T["body"]> =>
    await client.ask(command, args);

  test("each request is answered in full, or declined with a reason", () =>
    withClient(async (client) => {
      const path = smpSource("tests.c");
      const source = { path };
      const line = lineOf(readFileSync(path, "utf8"), "send_fixed_ipi(&cpus[1], VEC_IPI);");
      await client.launch({ program: smpGuest, cpus: 2 }, async () => {
        const { breakpoints } = await body<DebugProtocol.SetBreakpointsResponse>(client, "setBreakpoints", {
          source,
          breakpoints: [
            { line, logMessage: "at {rip}" },
            { line: line + 1, condition: "rsp != 0", hitCondition: "1" },
          ],
        });
        assert.deepEqual(
          breakpoints.map(({ verified }) => verified),
          [true, true],
        );
      });
      const stop = await client.stop();
      assert.equal(stop.hitBreakpointIds?.length, 1);
      assert.match(client.output("console"), /^at 0x[0-9a-f]+/m);
      const frameId = (await client.stack(1))[0].id;
      const answers: [command: string, args: object, holds: (answer: Record<string, unknown>) => boolean][] = [
        ["threads", {}, ({ threads }) => (threads as unknown[]).length === 2],
        ["scopes", { frameId }, ({ scopes }) => (scopes as unknown[]).length >= 4],
        ["modules", {}, ({ modules }) => (modules as unknown[]).length === 1],
        ["loadedSources", {}, ({ sources }) => (sources as unknown[]).length > 3],
        ["breakpointLocations", { source, line: line - 3, endLine: line + 3 }, ({ breakpoints }) => (breakpoints as unknown[]).length > 1],
        ["gotoTargets", { source, line }, ({ targets }) => (targets as unknown[]).length > 0],
        ["completions", { text: "rfl", column: 4, frameId }, ({ targets }) => (targets as { label: string }[])[0].label === "rflags"],
        ["evaluate", { expression: "rsp", frameId, context: "hover" }, ({ result }) => /^0x/.test(String(result))],
        ["setExpression", { expression: "r15", value: "5", frameId }, ({ value }) => value === "0x5"],
        ["dataBreakpointInfo", { name: "lapic.tpr", frameId }, ({ dataId }) => dataId === "apic:0:TPR"],
        ["setDataBreakpoints", { breakpoints: [] }, ({ breakpoints }) => (breakpoints as unknown[]).length === 0],
        ["setInstructionBreakpoints", { breakpoints: [] }, ({ breakpoints }) => (breakpoints as unknown[]).length === 0],
        [
          "setFunctionBreakpoints",
          { breakpoints: [{ name: "main" }] },
          ({ breakpoints }) => (breakpoints as { verified: boolean }[])[0].verified,
        ],
        ["readMemory", { memoryReference: "0x100000", count: 8 }, ({ data }) => String(data).length === 12],
        ["readMemory", { memoryReference: "physical:0x100000", count: 8 }, ({ data }) => String(data).length === 12],
        ["readMemory", { memoryReference: "0xffffffffffffffff", count: 4 }, ({ unreadableBytes }) => unreadableBytes === 4],
      ];
      for (const [command, args, holds] of answers) {
        const answer = (await client.ask(command, args)) as Record<string, unknown>;
        assert.ok(holds(answer), `${command}: ${JSON.stringify(answer)}`);
      }
      const declined: [command: string, args: object, why: RegExp][] = [
        ["attach", {}, /owns the machine it debugs/],
        ["restartFrame", { frameId }, /cannot be restarted/],
        ["terminateThreads", { threadIds: [1] }, /freeze them/],
        ["stepInTargets", { frameId }, /not told apart/],
        ["locations", { locationReference: 1 }, /no location references/],
        ["source", { sourceReference: 1 }, /read from their files/],
        ["exceptionInfo", { threadId: 1 }, /did not stop on an event/],
        ["somethingElse", {}, /knows no request/],
      ];
      for (const [command, args, why] of declined) assert.match(await client.refused(command, args), why, command);
      for (const capability of ["supportsRestartFrame", "supportsTerminateThreadsRequest", "supportsStepInTargetsRequest"] as const)
        assert.notEqual(client.capabilities[capability], true, capability);
      await client.request("cancel", { requestId: 1 });
      await client.request("terminate", {});
      await client.next("terminated");
    }, server.port));

  test("the condition that each filter gives as an example is one that it takes", () =>
    withClient(async (client) => {
      await client.launch({ program: smpGuest, cpus: 1, stopOnEntry: true });
      await client.stop();
      const filters = client.capabilities.exceptionBreakpointFilters ?? [];
      assert.ok(filters.length > 15);
      const conditions = filters.map(({ filter, conditionDescription }) => {
        const [, condition, fields] = /^Such as (.*)\. Fields: (.*), registers and symbols\.$/.exec(conditionDescription ?? "") ?? [];
        assert.ok(condition !== undefined && fields !== undefined, `${filter}: ${conditionDescription}`);
        return {
          filterId: filter,
          condition: `${condition} && ${fields
            .split(", ")
            .map((field) => `${field} == ${field}`)
            .join(" && ")}`,
        };
      });
      for (const [index, { verified, message }] of (await client.breakOn(...conditions)).entries())
        assert.ok(verified, `${filters[index].filter}: ${message}`);
    }, server.port));

  test("disassembly before an address is never misaligned, whatever lies there", () =>
    withClient(async (client) => {
      await client.launch({ program: smpGuest, cpus: 1, stopOnEntry: true });
      await client.stop();
      const pc = await client.pc(1);
      const read = async (offset: number, count: number): Promise<string[]> => {
        const args = { memoryReference: `0x${pc.toString(16)}`, instructionOffset: offset, instructionCount: count };
        const { instructions } = (await body<DebugProtocol.DisassembleResponse>(client, "disassemble", args)) ?? { instructions: [] };
        assert.equal(instructions.length, count);
        return instructions.map(({ address }) => address);
      };
      const here = await read(0, 1);
      for (const offset of [-1, -7, -40, -200]) {
        const addresses = await read(offset, -offset + 5);
        assert.equal(addresses[-offset], here[0], `offset ${offset}`);
        for (let i = 1; i < addresses.length; i++) assert.ok(BigInt(addresses[i]) > BigInt(addresses[i - 1]));
      }
    }, server.port));

  test("what is changed is told: memory, variables, hit ids of event breakpoints", () =>
    withClient(async (client) => {
      await client.dap.initializeRequest({
        adapterID: "apicscope",
        pathFormat: "path",
        linesStartAt1: true,
        columnsStartAt1: true,
        supportsInvalidatedEvent: true,
        supportsMemoryEvent: true,
      });
      let ids: (number | undefined)[] = [];
      await client.launch({ program: smpGuest, cpus: 2 }, async () => {
        const set = await client.breakOn({ filterId: "nmi" }, { filterId: "interrupt.deliver", condition: "vector == 0xf0 && dst == 1" });
        ids = set.map(({ id }) => id);
      });
      assert.deepEqual((await client.stop()).hitBreakpointIds, [ids[1]]);
      await client.evaluate("u32[0x7ff000] = 5", 2);
      assert.deepEqual(await client.next("memory"), { memoryReference: "0x00000000007ff000", offset: 0, count: 4 });
      await client.next("invalidated");
      await client.request("writeMemory", { memoryReference: "physical:0x7ff000", data: "AQID" });
      assert.deepEqual(await client.next("memory"), { memoryReference: "physical:0x7ff000", offset: 0, count: 3 });
      assert.equal(await client.evaluate("u32[0x7ff000]", 2), "0x30201");
    }, server.port));

  test("interrupts are injected by request, and a recording with them, pokes and guest writes runs again", () =>
    withClient(async (client) => {
      const record = files.path("session.log");
      await client.launch({ program: smpGuest, cpus: 2, record }, () =>
        client.breakOn({ filterId: "interrupt.deliver", condition: "vector == 0xf0 && dst == 1" }),
      );
      await client.stop();
      await client.breakOn();
      const inject = async (args: object): Promise<string> => ((await client.ask("apicscope/inject", args)) as { text: string }).text;
      assert.match(await inject({ kind: "message", vector: 0xf2, threadId: 2 }), /^vector 0xf2 to CPU 1: interrupt \d+ accepted/);
      assert.match(await inject({ kind: "message", mode: "nmi", threadId: 2, at: 2_000_000 }), /waits for instruction 2000000/);
      assert.match(await inject({ kind: "msi", address: "0xfee01000", data: 0xf2 }), /coalesced/);
      assert.match(await inject({ kind: "spurious", threadId: 1 }), /INTR raised/);
      assert.match(await client.refused("apicscope/inject", { kind: "message", threadId: 2 }), /"vector"/);
      assert.match(await client.refused("apicscope/inject", { kind: "message", vector: 5, threadId: 2 }), /below 16/);
      await client.evaluate("r15 = 77", 1);
      await client.request("apicscope/guestWrite", { threadId: 1, register: "TPR", value: "0" });
      await client.request("apicscope/delayIpi", { instructions: 300 });
      await client.request("apicscope/setSchedule", { quantum: 500, seed: 3 });
      await client.request("apicscope/freeze", { threadId: 2 });
      await client.step("next", 1, "instruction");
      await client.request("apicscope/unfreeze", {});
      await client.request("continue", { threadId: 1 });
      const { exitCode } = (await client.next("exited")) as { exitCode: number };
      await client.disconnect();
      const replay = spawnSync(process.execPath, [
        cli,
        "run",
        smpGuest,
        "--cpus",
        "2",
        "--device",
        "msi-test",
        "--replay",
        record,
        "--serial",
        "none",
      ]);
      assert.match(replay.stderr.toString(), /the replay is the same as the recording/);
      assert.equal(replay.status, exitCode);
    }, server.port));

  test("a guest without source lines is said to have none, and one with them after a restart", () =>
    withClient(async (client) => {
      const file = files.write("bare.elf", codeImage(0xfa, 0xeb, 0xfe));
      await client.launch({ program: file, cpus: 1, stopOnEntry: true });
      const offered = async (): Promise<unknown> =>
        ((await client.next("capabilities")) as DebugProtocol.CapabilitiesEvent["body"]).capabilities;
      const of = (lines: boolean): object => ({
        supportsBreakpointLocationsRequest: lines,
        supportsGotoTargetsRequest: lines,
        supportsLoadedSourcesRequest: lines,
      });
      assert.deepEqual(await offered(), of(false));
      await client.stop();
      await client.request("restart", { arguments: { program: smpGuest, cpus: 1, stopOnEntry: true } });
      assert.deepEqual(await offered(), of(true));
      await client.stop();
    }, server.port));

  test("steps and runs to a point that take long are shown as progress", () =>
    withClient(async (client) => {
      // cli; mov esp, 0x101800; call 2f; 1: inc eax; jmp 1b; 2: mov ecx, 0x20000000; 3: dec ecx; jnz 3b; ret
      const program = files.write(
        "long.elf",
        codeImage(
          ...[0xfa, 0xbc, 0x00, 0x18, 0x10, 0x00, 0xe8, 0x04, 0x00, 0x00, 0x00, 0xff, 0xc0, 0xeb, 0xfc],
          ...[0xb9, 0x00, 0x00, 0x00, 0x20, 0xff, 0xc9, 0x75, 0xfc, 0xc3],
        ),
      );
      await client.dap.initializeRequest({
        ...{ adapterID: "apicscope", supportsProgressReporting: true, linesStartAt1: true, columnsStartAt1: true, pathFormat: "path" },
      });
      await client.launch({ program, cpus: 1, engine: "interpreter", stopOnEntry: true });
      await client.stop();
      const shown = async (title: RegExp): Promise<void> => {
        const start = (await client.next("progressStart")) as DebugProtocol.ProgressStartEvent["body"];
        assert.match(start.title, title);
        await client.next("progressEnd", (event) => (event as { progressId: string }).progressId === start.progressId);
      };
      await client.step("next", 1, "instruction");
      await client.step("next", 1, "instruction");
      await client.request("next", { threadId: 1, granularity: "instruction" });
      await shown(/^Stepping CPU 0$/);
      assert.equal((await client.stop()).reason, "step");
      const { instruction } = (await client.ask("apicscope/progress")) as { instruction: string };
      const at = Number(instruction) + 1_200_000_000;
      await client.ask("apicscope/inject", { kind: "message", vector: 0x55, threadId: 1, at });
      await client.request("continue", { threadId: 1 });
      await shown(new RegExp(`^Running to instruction ${at}$`));
      assert.ok(client.events.some(({ event }) => event === "progressUpdate"));
      await client.request("pause", { threadId: 1 });
      await client.stop();
    }, server.port));

  test("steps, runs to a point and ways back that are shown as progress are cancelled by its id, and say where they stand", () =>
    withClient(async (client) => {
      // cli; 1: mov ecx, 0x7fffffff; 2: dec ecx; jnz 2b; jmp 1b. A call of it: mov esp, 0x101800; call 1b
      const program = files.write(
        "endless.elf",
        codeImage(
          ...[0xfa, 0xeb, 0x0b, 0xb9, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xc9, 0x75, 0xfc, 0xeb, 0xf5],
          ...[0xbc, 0x00, 0x18, 0x10, 0, 0xe8, 0xeb, 0xff, 0xff, 0xff, 0x90],
        ),
      );
      await client.dap.initializeRequest({
        ...{ adapterID: "apicscope", supportsProgressReporting: true, linesStartAt1: true, columnsStartAt1: true, pathFormat: "path" },
      });
      await client.launch({ program, cpus: 1, engine: "interpreter", stopOnEntry: true });
      await client.stop();
      const instruction = async (): Promise<number> =>
        Number(((await client.ask("apicscope/progress")) as { instruction: string }).instruction);
      const cancelled = async (title: RegExp): Promise<string> => {
        const start = (await client.next("progressStart")) as DebugProtocol.ProgressStartEvent["body"];
        assert.match(start.title, title);
        assert.equal(start.cancellable, true);
        await client.request("cancel", { progressId: "work 999" });
        await client.request("cancel", { progressId: start.progressId });
        await client.next("progressEnd", (event) => (event as { progressId: string }).progressId === start.progressId);
        const stop = await client.stop();
        assert.deepEqual([stop.reason, stop.threadId], ["pause", 1]);
        return stop.text ?? "";
      };
      for (let i = 0; i < 3; i++) await client.step("next", 1, "instruction");
      await client.request("next", { threadId: 1, granularity: "instruction" });
      assert.equal(await cancelled(/^Stepping CPU 0$/), "The step of CPU 0 was cancelled before its end");
      assert.ok(["0x100008", "0x10000a"].includes(await client.evaluate("rip", 1)));
      const at = (await instruction()) + 2_000_000_000;
      await client.ask("apicscope/inject", { kind: "message", vector: 0x55, threadId: 1, at });
      await client.request("continue", { threadId: 1 });
      assert.equal(
        await cancelled(/^Running to instruction/),
        `Cancelled before instruction ${at}; what is to be injected there still waits`,
      );
      assert.ok((await instruction()) < at);
      // Far enough that the way back takes a while; cancelled, the machine stands on known ground.
      await client.request("continue", { threadId: 1 });
      for (const begun = await instruction(); (await instruction()) < begun + 300e6;) await new Promise((done) => setTimeout(done, 100));
      await client.request("pause", { threadId: 1 });
      await client.stop();
      const far = await instruction();
      await client.request("reverseContinue", { threadId: 1 });
      const back = (await client.next("progressStart", (event) => (event as { title: string }).title === "Going back")) as {
        progressId: string;
      };
      await client.request("cancel", { progressId: back.progressId });
      const stop = await client.stop();
      assert.equal(stop.text, "Going back was cancelled: the machine stands on the way");
      assert.ok((await instruction()) < far);
    }, server.port));

  test("a session that went back is recorded as the course that came of it", () =>
    withClient(async (client) => {
      const record = files.path("back.log");
      const condition = "vector == 0xf0 && dst == 1";
      await client.launch({ program: smpGuest, cpus: 2, record }, () => client.breakOn({ filterId: "interrupt.deliver", condition }));
      const first = await client.stop();
      const instructions = async (): Promise<string> => ((await client.ask("apicscope/progress")) as { instruction: string }).instruction;
      const there = await instructions();
      // What came from outside later belongs to a future that is given up.
      await client.evaluate("r15 = 1", 1);
      await client.step("stepIn", 1, "instruction");
      await client.evaluate("r15 = 2", 1);
      await client.request("apicscope/inject", { kind: "message", mode: "nmi", threadId: 2 });
      await client.breakOn({ filterId: "nmi" });
      assert.match((await client.continue(1)).text ?? "", /NMI/);
      await client.breakOn({ filterId: "interrupt.deliver", condition });
      await client.request("reverseContinue", { threadId: 1 });
      assert.equal((await client.stop()).text, first.text);
      assert.equal(await instructions(), there);
      await client.evaluate("r14 = 3", 1);
      await client.breakOn();
      await client.request("continue", { threadId: 1 });
      const { exitCode } = (await client.next("exited")) as { exitCode: number };
      await client.disconnect();
      const log = readFileSync(record, "utf8");
      assert.equal(log.split("\n").filter((line) => line.includes('"kind":"state"')).length, 2, log);
      const replay = spawnSync(process.execPath, [
        cli,
        "run",
        smpGuest,
        ...["--cpus", "2", "--device", "msi-test", "--replay", record, "--serial", "none"],
      ]);
      assert.match(replay.stderr.toString(), /the replay is the same as the recording/);
      assert.equal(replay.status, exitCode);
    }, server.port));

  test("steps and runs go backwards", () =>
    withClient(async (client) => {
      assert.equal(client.capabilities.supportsStepBack, true);
      await client.launch({ program: smpGuest, cpus: 2 }, () =>
        client.breakOn({ filterId: "interrupt.deliver", condition: "vector == 0xf0 && dst == 1" }),
      );
      const first = await client.stop();
      const place = async (): Promise<string> => `${await client.pc(1)} ${await client.pc(2)} ${await client.evaluate("rsp", 2)}`;
      const here = await place();
      await client.step("stepIn", 2, "instruction");
      assert.notEqual(await place(), here);
      await client.request("stepBack", { threadId: 2, granularity: "instruction" });
      assert.equal((await client.stop()).text, "CPU 1 stepped back");
      assert.equal(await place(), here);
      await client.breakOn({ filterId: "interrupt.send", condition: "vector == 0xf0" });
      await client.request("reverseContinue", { threadId: 2 });
      const sent = await client.stop();
      assert.equal(sent.text, "IPI vector 0xf0, CPU 0 -> CPU 1, sent");
      await client.breakOn({ filterId: "interrupt.deliver", condition: "vector == 0xf0 && dst == 1" });
      assert.equal((await client.continue(1)).text, first.text);
      assert.equal(await place(), here);
    }, server.port));
});
