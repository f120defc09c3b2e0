// Steps: by instruction and by line, over, into and out of calls, through interrupts, of one CPU or with the others.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, describe, test } from "node:test";
import { codeBase, codeImage, lineOf, smpGuest, smpSource, suiteServer, temporaryFolder, withClient } from "./harness";

describe("stepping", () => {
  const server = suiteServer();
  const files = temporaryFolder();
  const tests = readFileSync(smpSource("tests.c"), "utf8");
  const ipiLine = lineOf(tests, "send_fixed_ipi(&cpus[1], VEC_IPI);");
  after(files.remove);

  test("by line: over a call, into a call, out again", { timeout: 480_000 }, () =>
    withClient(async (client) => {
      const place = async (): Promise<string> => {
        const [frame] = await client.stack(1);
        return `${frame.name}:${frame.line}`;
      };
      await client.launch({ program: smpGuest, cpus: 2 }, () =>
        client.request("setBreakpoints", { source: { path: smpSource("tests.c") }, breakpoints: [{ line: ipiLine }] }),
      );
      await client.stop();
      assert.equal(await place(), `fixed_ipi_test:${ipiLine}`);
      await client.step("stepIn", 1, "line");
      assert.match(await place(), /^send_fixed_ipi:/);
      // Once to leave the function's first line, where optimised code has no prologue to skip.
      for (let i = 0; i < 3 && !(await place()).startsWith("icr_write:"); i++) await client.step("stepIn", 1, "line");
      assert.match(await place(), /^icr_write:/);
      await client.step("stepOut", 1, "line");
      assert.match(await place(), /^send_fixed_ipi:/);
      await client.step("stepOut", 1, "line");
      assert.match(await place(), /^fixed_ipi_test:/);
      if ((await place()) === `fixed_ipi_test:${ipiLine}`) await client.step("next", 1, "line");
      assert.equal(await place(), `fixed_ipi_test:${ipiLine + 1}`);
      // The call below waits for the other CPU's handler, so the others run during the step.
      await client.step("stepOut", 1, "line");
      assert.match(await place(), /^run_tests:/);
    }, server.port),
  );

  test("an interrupt during a step over is run through; a step into by instruction follows it", { timeout: 480_000 }, () =>
    withClient(async (client) => {
      await client.launch({ program: smpGuest, cpus: 1 }, () =>
        client.breakOn({ filterId: "interrupt.accept", condition: "vector == 0xf2 && cpu == 0" }),
      );
      const due = async (): Promise<void> => {
        await client.stop();
        await client.breakOn();
        // The guest sends with interrupts off; once they are on, the interrupt is due before the next instruction.
        for (let i = 0; i < 40 && (await client.evaluate("rflags & 0x200", 1)) === "0x0"; i++) await client.step("next", 1, "instruction");
        // STI allows interrupts only after the instruction that follows it.
        await client.step("next", 1, "instruction");
        assert.equal(await client.evaluate("lapic.irr", 1), "{0xf2}");
      };
      await due();
      const stack = (await client.stack(1)).map((frame) => frame.name);
      const before = await client.pc(1);
      // The step runs the handler to its end and then the instruction.
      await client.step("next", 1, "instruction");
      assert.equal(await client.value(1, "Local APIC", "IRR"), "{}");
      assert.equal(await client.value(1, "Local APIC", "ISR"), "{}");
      assert.notEqual(await client.pc(1), before);
      assert.ok((await client.stack(1)).length >= stack.length - 1);
      assert.doesNotMatch((await client.stack(1))[0].source?.name ?? "", /idt/);
      // The same again, following the CPU.
      await client.breakOn({ filterId: "interrupt.accept", condition: "vector == 0xf2 && cpu == 0" });
      await client.dap.continueRequest({ threadId: 1 });
      await due();
      await client.step("stepIn", 1, "instruction");
      assert.match((await client.stack(1))[0].source?.name ?? "", /idt_entry/);
      assert.equal(await client.value(1, "Local APIC", "ISR"), "{0xf2}");
    }, server.port),
  );

  test("one CPU steps while the others are held or run along", { timeout: 480_000 }, () =>
    withClient(async (client) => {
      await client.launch({ program: smpGuest, cpus: 2 }, () =>
        client.breakOn({ filterId: "interrupt.deliver", condition: "vector == 0xf0 && dst == 1" }),
      );
      await client.stop();
      await client.breakOn();
      const pcs = async (): Promise<bigint[]> => [await client.pc(1), await client.pc(2)];
      const start = await pcs();
      await client.request("next", { threadId: 2, granularity: "instruction", singleThread: true });
      await client.stop();
      const held = await pcs();
      assert.equal(held[0], start[0]);
      assert.notEqual(held[1], start[1]);
      await client.request("apicscope/setStepping", { others: "hold" });
      await client.step("next", 2, "instruction");
      assert.equal((await pcs())[0], start[0]);
      await client.request("apicscope/setStepping", { others: "run" });
      await client.step("next", 2, "instruction");
      assert.notEqual((await pcs())[0], start[0]);
      // A CPU that is held stands still whatever the others do.
      await client.request("apicscope/setHeld", { threadId: 2, held: true });
      assert.match((await client.threadNames())[1], /frozen/);
      const frozen = await client.pc(2);
      await client.step("next", 1, "line");
      assert.equal(await client.pc(2), frozen);
    }, server.port),
  );

  test("a step over a halt waits for the interrupt, and an endless step can be paused", { timeout: 480_000 }, () =>
    withClient(async (client) => {
      // call 1f; hlt; 1: jmp 1b
      const program = files.write("endless.elf", codeImage(0xfa, 0xe8, 1, 0, 0, 0, 0xf4, 0xf3, 0x90, 0x90, 0xeb, 0xfb));
      await client.launch({ program, cpus: 1, stopOnEntry: true });
      await client.stop();
      await client.step("next", 1, "instruction");
      assert.equal(await client.pc(1), codeBase + 1n);
      await client.request("next", { threadId: 1, granularity: "instruction" });
      await client.request("pause", { threadId: 1 });
      assert.equal((await client.stop()).reason, "pause");
      await client.step("stepIn", 1, "instruction");
    }, server.port),
  );

  test("a step that takes long tells which CPUs run meanwhile", { timeout: 480_000 }, () =>
    withClient(async (client) => {
      await client.dap.initializeRequest({
        ...{ adapterID: "apicscope", supportsProgressReporting: true, linesStartAt1: true, columnsStartAt1: true, pathFormat: "path" },
      });
      // call 1f; hlt; 1: jmp 1b
      const program = files.write("long.elf", codeImage(0xfa, 0xe8, 1, 0, 0, 0, 0xf4, 0xf3, 0x90, 0x90, 0xeb, 0xfb));
      await client.launch({ program, cpus: 3, stopOnEntry: true });
      await client.stop();
      await client.step("next", 1, "instruction");
      const told = (): unknown[] => client.events.filter(({ event }) => event === "continued").map(({ body }) => body as unknown);
      const step = async (single: boolean): Promise<unknown[]> => {
        const before = told().length;
        await client.request("next", { threadId: 1, granularity: "instruction", singleThread: single });
        await client.next("progressStart");
        await client.request("pause", { threadId: 1 });
        await client.stop();
        return told().slice(before);
      };
      // A step over the call, which never returns, from wherever the one before was paused.
      const again = async (): Promise<void> => void (await client.ask("evaluate", { expression: "rip = 0x100001", context: "repl" }));
      assert.deepEqual(await step(false), [{ threadId: 1, allThreadsContinued: true }]);
      await again();
      await client.ask("apicscope/freeze", { threadId: 2 });
      assert.deepEqual(await step(false), [{ threadId: 3, allThreadsContinued: false }]);
      await again();
      assert.deepEqual(await step(true), []);
    }, server.port),
  );
});
