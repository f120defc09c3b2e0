// How a session runs and ends: pause, restart, terminate, disconnect, and every way in which a guest can end or die.
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { codeImage, smpGuest, temporaryFolder, withClient, suiteServer } from "./harness";

describe("a session's life", () => {
  const server = suiteServer();
  const files = temporaryFolder();
  after(files.remove);

  const fatal = ["cpu.tripleFault", "guest.stuck"];
  const guests = {
    loop: codeImage(0xfa, 0x90, 0xeb, 0xfd),
    // cli; hlt
    halt: codeImage(0xfa, 0xf4),
    // cli; jmp .
    spin: codeImage(0xfa, 0xeb, 0xfe),
    // lidt [rip + 0x20] (zeros); ud2
    tripleFault: codeImage(0x0f, 0x01, 0x1d, 0x20, 0, 0, 0, 0x0f, 0x0b),
    // mov al, 3; out 0xf4, al; hlt
    exit: codeImage(0xb0, 3, 0xe6, 0xf4, 0xf4),
    // mov dx, 0x604; mov ax, 0x2000; out dx, ax; hlt
    powerOff: codeImage(0x66, 0xba, 0x04, 0x06, 0x66, 0xb8, 0x00, 0x20, 0x66, 0xef, 0xf4),
    // mov al, 0xfe; out 0x64, al; jmp .
    reset: codeImage(0xb0, 0xfe, 0xe6, 0x64, 0xeb, 0xfe),
    // wait: mov dx, 0x3fd; in al, dx; test al, 1; jz wait; mov dx, 0x3f8; in al, dx; xor al, 0x20; out dx, al; jmp wait
    echo: codeImage(0x66, 0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74, 0xf7, 0x66, 0xba, 0xf8, 0x03, 0xec, 0x34, 0x20, 0xee, 0xeb, 0xed),
  };
  const program = (name: keyof typeof guests): string => files.write(`${name}.elf`, guests[name]);

  test("a running guest is paused, goes on and is paused again", { timeout: 240_000 }, () =>
    withClient(async (client) => {
      await client.launch({ program: program("loop"), cpus: 2 });
      for (let i = 0; i < 3; i++) {
        await client.request("pause", { threadId: 1 });
        const stopped = await client.stop();
        assert.equal(stopped.reason, "pause");
        assert.equal(stopped.threadId, 1);
        assert.equal(stopped.allThreadsStopped, true);
        assert.deepEqual(await client.threadNames(), ["CPU 0 · APIC 0 · running, IF=0", "CPU 1 · APIC 1 · wait-for-SIPI"]);
        await client.dap.continueRequest({ threadId: 1 });
      }
      await client.request("terminate");
      await client.next("terminated");
      await client.disconnect();
    }, server.port),
  );

  test("a session can be ended before its guest has been loaded, and without one", { timeout: 240_000 }, async () => {
    await withClient(async (client) => {
      const launched = assert.rejects(client.request("launch", { program: program("loop"), cpus: 1 }), /The session has ended/);
      await client.request("terminate");
      await launched;
      await client.next("terminated");
    }, server.port);
    await withClient(async (client) => {
      await client.request("terminate");
      await client.next("terminated");
    }, server.port);
  });

  test("a triple fault stops with the last exceptions; going on from there ends the session with status 3", { timeout: 240_000 }, () =>
    withClient(async (client) => {
      const defaults = client.capabilities.exceptionBreakpointFilters
        ?.filter((filter) => filter.default === true)
        .map(({ filter }) => filter);
      assert.deepEqual(defaults, fatal);
      await client.launch({ program: program("tripleFault"), cpus: 1 }, () =>
        client.dap.setExceptionBreakpointsRequest({ filters: fatal }),
      );
      const stopped = await client.stop();
      assert.equal(stopped.reason, "exception");
      assert.match(stopped.text ?? "", /CPU 0 shut down by a triple fault/);
      const info = (await client.dap.exceptionInfoRequest({ threadId: 1 })).body;
      assert.equal(info.exceptionId, "cpu.tripleFault");
      assert.match(info.details?.stackTrace ?? "", /#UD invalid opcode at 0x0000000000100007/);
      assert.match(client.output("important"), /last exceptions.*\n.*#UD invalid opcode/);
      await client.dap.continueRequest({ threadId: 1 });
      assert.deepEqual(await client.next("exited"), { exitCode: 3 });
      await client.next("terminated");
    }, server.port),
  );

  test("without the filter a triple fault ends the session, with the report", { timeout: 240_000 }, () =>
    withClient(async (client) => {
      await client.launch({ program: program("tripleFault"), cpus: 1 });
      assert.deepEqual(await client.next("exited"), { exitCode: 3 });
      assert.match(client.output("important"), /triple fault[^]*#UD invalid opcode/);
      await client.next("terminated");
    }, server.port),
  );

  for (const [name, state] of [
    ["halt", /CPU 0: halted, interrupts off/],
    ["spin", /CPU 0: in an empty loop, interrupts off/],
  ] as const)
    test(`a guest that can never go on (${name}) stops with a report, then ends`, { timeout: 240_000 }, () =>
      withClient(async (client) => {
        await client.launch({ program: program(name), cpus: 2 }, () => client.dap.setExceptionBreakpointsRequest({ filters: fatal }));
        const stopped = await client.stop();
        assert.match(stopped.text ?? "", /stuck/);
        assert.equal((await client.dap.exceptionInfoRequest({ threadId: 1 })).body.exceptionId, "guest.stuck");
        assert.match(client.output("important"), state);
        assert.match(client.output("important"), /CPU 1: wait-for-SIPI/);
        await client.dap.continueRequest({ threadId: 1 });
        assert.deepEqual(await client.next("exited"), { exitCode: 3 });
      }, server.port),
    );

  for (const [what, code] of [
    ["halted", [0xfa, 0xf4]],
    ["in an empty loop", [0xfa, 0xeb, 0xfe]],
  ] as const)
    test(`a guest that was stuck (${what}) until the person helped it on is found on the way back`, { timeout: 480_000 }, () =>
      withClient(async (client) => {
        await client.launch({ program: smpGuest, cpus: 1 }, async () => {
          await client.dap.setExceptionBreakpointsRequest({ filters: fatal });
          await client.dap.setFunctionBreakpointsRequest({ breakpoints: [{ name: "run_tests" }] });
        });
        await client.stop();
        const at = `0x${(await client.pc(1)).toString(16)}`;
        const { data } = (await client.ask("readMemory", { memoryReference: at, count: code.length })) as { data: string };
        const write = (bytes: string): Promise<unknown> => client.ask("writeMemory", { memoryReference: at, data: bytes });
        await write(Buffer.from(code).toString("base64"));
        const stuck = await client.continue(1);
        assert.match(stuck.text ?? "", /stuck/);
        assert.equal(stuck.hitBreakpointIds?.length, 1);
        const instruction = async (): Promise<unknown> => ((await client.ask("apicscope/progress")) as { instruction: string }).instruction;
        const there = await instruction();
        // The way out: the code as it was, and an NMI that wakes the CPU.
        await write(data);
        await client.evaluate(`rip = ${at}`, 1);
        await client.evaluate("rflags = rflags | 0x200", 1);
        await client.evaluate("inject nmi cpu0", 1);
        await client.breakOn({ filterId: "guest.stuck" }, { filterId: "nmi" });
        await client.dap.setFunctionBreakpointsRequest({ breakpoints: [] });
        assert.match((await client.continue(1)).text ?? "", /NMI/);
        const later = await instruction();
        await client.request("reverseContinue", { threadId: 1 });
        const back = await client.stop();
        assert.equal(back.text, stuck.text);
        assert.equal(back.hitBreakpointIds?.length, 1);
        assert.equal(await instruction(), there);
        // What the person did there is done.
        assert.match((await client.continue(1)).text ?? "", /NMI/);
        assert.equal(await instruction(), later);
        // Nobody asks for it now.
        await client.breakOn();
        await client.request("reverseContinue", { threadId: 1 });
        assert.equal((await client.stop()).text, "At the beginning of what can be gone back to");
      }, server.port),
    );

  test("a guest that exits or powers off ends the session with its status", { timeout: 240_000 }, async () => {
    await withClient(async (client) => {
      await client.launch({ program: program("exit"), cpus: 1 }, () => client.dap.setExceptionBreakpointsRequest({ filters: fatal }));
      assert.deepEqual(await client.next("exited"), { exitCode: 7 });
      await client.next("terminated");
      assert.match(client.output(), /exit status 7/);
      assert.match(await client.refused("continue", { threadId: 1 }), /has ended/);
    }, server.port);
    await withClient(async (client) => {
      await client.launch({ program: program("powerOff"), cpus: 1 });
      assert.deepEqual(await client.next("exited"), { exitCode: 0 });
      assert.match(client.output(), /powered the machine off/);
    }, server.port);
  });

  test("a guest that resets the machine starts anew in the same session", { timeout: 240_000 }, () =>
    withClient(async (client) => {
      await client.launch({ program: program("reset"), cpus: 1, stopOnEntry: true });
      await client.stop();
      await client.request("setInstructionBreakpoints", { breakpoints: [{ instructionReference: "0x100002" }] });
      for (let round = 0; round < 3; round++) {
        await client.dap.continueRequest({ threadId: 1 });
        assert.equal((await client.stop()).reason, "instruction breakpoint");
        assert.equal(await client.evaluate("rip", 1), "0x100002");
      }
      assert.match(client.output(), /The guest reset the machine/);
      // A step onto the reset ends at the first instruction.
      await client.request("setInstructionBreakpoints", { breakpoints: [] });
      await client.dap.nextRequest({ threadId: 1, granularity: "instruction" });
      const stopped = await client.stop();
      assert.equal(stopped.reason, "entry");
      assert.equal(await client.evaluate("rip", 1), "0x100000");
    }, server.port),
  );

  test("serial output and input", { timeout: 240_000 }, () =>
    withClient(async (client) => {
      await client.launch({ program: program("echo"), cpus: 1 });
      await client.request("apicscope/serialInput", { text: "abc" });
      await client.next("output", () => client.output("stdout").includes("ABC"));
      await client.dap.evaluateRequest({ expression: "> xyz", context: "repl" });
      await client.next("output", () => client.output("stdout").includes("XYZ"));
    }, server.port),
  );

  test("restart begins anew with the breakpoints", { timeout: 480_000 }, () =>
    withClient(async (client) => {
      await client.launch({ program: smpGuest, cpus: 2 }, async () => {
        await client.request("setFunctionBreakpoints", { breakpoints: [{ name: "start_aps" }] });
      });
      const first = await client.stop();
      assert.equal(first.reason, "function breakpoint");
      const instructions = await client.evaluate("rsp", 1);
      await client.request("restart", {});
      const second = await client.stop();
      assert.equal(second.reason, "function breakpoint");
      assert.equal(await client.evaluate("rsp", 1), instructions);
      // Also while it runs, and with other attributes.
      await client.request("setFunctionBreakpoints", { breakpoints: [] });
      await client.dap.continueRequest({ threadId: 1 });
      await client.request("restart", { arguments: { program: smpGuest, cpus: 3, stopOnEntry: true } });
      await client.next("stopped", (body) => (body as { reason: string }).reason === "entry");
      assert.equal((await client.threadNames()).length, 3);
      assert.match(await client.refused("restart", { arguments: { program: smpGuest, cpus: 99 } }), /"cpus"/);
      assert.equal((await client.threadNames()).length, 3);
    }, server.port),
  );

  test("a request that waits can be cancelled, and cancelling nothing does no harm", { timeout: 240_000 }, () =>
    withClient(async (client) => {
      await client.launch({ program: smpGuest, cpus: 1, stopOnEntry: true });
      await client.stop();
      await client.request("cancel", { requestId: 123_456 });
      await client.request("cancel", {});
      const first = client.request("disassemble", { memoryReference: "0x101000", instructionCount: 5000 });
      const seq = (client.dap as unknown as { sequence: number }).sequence;
      const second = client.request("disassemble", { memoryReference: "0x101000", instructionCount: 5000 });
      const outcome = second.then(
        () => "answered",
        (error: unknown) => (error as Error).message,
      );
      await client.request("cancel", { requestId: seq });
      await first;
      assert.match(await outcome, /^(cancelled|answered)$/);
      assert.equal((await client.threadNames()).length, 1);
    }, server.port),
  );
});
