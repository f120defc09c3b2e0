// Linux's per-CPU variables by their plain names: each CPU's own copy, with types and without, wherever its base is.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { after, describe, test } from "node:test";
import { temporaryFolder, withClient, type Client } from "./harness";

const program = resolve("test/fixtures/dwarf/per-cpu.elf");
const launch = { program, cpus: 2, memory: 32, serial: "none" };

/** The message with which an expression is refused. */
const refusal = async (client: Client, expression: string, threadId: number): Promise<string> =>
  client.evaluate(expression, threadId, "watch").then(
    (value) => `no refusal but ${value}`,
    (error: unknown) => (error as Error).message,
  );

describe("per-CPU variables", { timeout: 120_000 }, () => {
  const files = temporaryFolder();
  after(() => files.remove());

  const watch = (client: Client, expression: string, threadId = 1): Promise<string> => client.evaluate(expression, threadId, "watch");

  test("are read where each CPU has its own, with the types of the debug information", () =>
    withClient(async (client) => {
      await client.launch(launch, () =>
        client.dap.setFunctionBreakpointsRequest({
          breakpoints: [
            { name: "early" },
            { name: "ready", condition: "cpu_number == 0 && cpu1.current_task->pid == 8" },
            { name: "in_program", condition: "irq_stat.timer == 101" },
          ],
        }),
      );
      await client.stop();
      // Nothing leads to a copy yet.
      assert.match(await watch(client, "cpu_number"), /^<one of each CPU's own, and this CPU's cannot be found/);
      assert.match(await refusal(client, "cpu_number + 1", 1), /cpu_number is not available: one of each CPU's own/);
      // Where the section is linked lies none of it: a pointer there points at nothing.
      assert.equal(await watch(client, "wild"), "0x10");
      assert.match((await client.continue(1)).text ?? "", /reached a function breakpoint/);
      const seen = async (threadId: number): Promise<string[]> =>
        Promise.all(["cpu_number", "current_task->comm", "irq_stat", "irq_stat.timer + 1"].map((each) => watch(client, each, threadId)));
      assert.deepEqual(await seen(1), ["0", '"first"', "{timer = 100, nmi = 0}", "101"]);
      // CPU 1 was never started: the kernel's table of all CPUs says where its copy is.
      assert.deepEqual(await seen(2), ["1", '"second"', "{timer = 101, nmi = 0}", "102"]);
      assert.equal(await watch(client, "cpu1.cpu_number"), "1");
      assert.equal(await watch(client, "cpu0.current_task->pid", 2), "7");
      // What else has a dot means what it did.
      assert.equal(await watch(client, "cpu1.rip", 1), await watch(client, "rip", 2));
      assert.equal(await watch(client, "cpu1.lapic.id", 1), await watch(client, "lapic.id", 2));
      assert.equal(await client.evaluate("cpu_number", 1, "hover"), "0");
      const places = await Promise.all([1, 2].map((threadId) => watch(client, "&cpu_number", threadId)));
      assert.notEqual(places[0], places[1]);
      const frameId = (await client.stack(2))[0].id;
      const place = (await client.ask("apicscope/resolveAddress", { text: "cpu_number", frameId })) as { address: string };
      assert.equal(BigInt(place.address), BigInt(places[1].split(" ")[0]));
      // They are changed and watched at the same place.
      await client.evaluate("irq_stat.nmi = 3", 1);
      assert.equal(await watch(client, "irq_stat.nmi"), "3");
      assert.equal(await watch(client, "irq_stat.nmi", 2), "0");
      await client.evaluate("watch irq_stat.timer change", 1);
      const changed = await client.continue(1);
      assert.match(changed.text ?? "", /irq_stat\.timer/);
      assert.equal(await watch(client, "irq_stat.timer"), "101");
      // The program has GS; the other base is the kernel's.
      assert.match((await client.continue(1)).text ?? "", /reached a function breakpoint/);
      assert.equal(await watch(client, "gs_base"), "0x0");
      assert.equal(await watch(client, "cpu_number"), "0");
      assert.equal(await watch(client, "current_task->comm"), '"first"');
      // Conditions on events see the program's variables with their types, too.
      const conditions = ["irq_stat.timer == 5", "irq_stat.timer == 101 && cpu1.current_task->pid == 8 && tasks[0].pid == 7"];
      const breakpoints = await client.breakOn(...conditions.map((condition) => ({ filterId: "guest.end", condition })));
      const end = await client.continue(1);
      assert.deepEqual(end.hitBreakpointIds, [breakpoints[1].id]);
    }));

  test("are addresses of each CPU's own where there are only symbols, of a kernel that lies elsewhere than linked too", () =>
    withClient(async (client) => {
      const listing = execFileSync("nm", [program], { encoding: "utf8" });
      const slide = 0x0010_0000;
      const moved = listing.replace(/^([0-9a-f]{16}) (. )(?!__per_cpu_(?:start|end)$)/gm, (line, digits: string, kind: string) => {
        const address = Number.parseInt(digits, 16);
        return address < 0x1000 ? line : `${(address + slide).toString(16).padStart(16, "0")} ${kind}`;
      });
      // Without the image's own symbols.
      const image = new Uint8Array(readFileSync(program));
      image.fill(0, 0x28, 0x30);
      image.fill(0, 0x3a, 0x40);
      const symbols = [{ file: files.write("System.map", moved), offset: -slide }];
      await client.launch({ ...launch, program: files.write("kernel.elf", image), symbols }, async () => {
        await client.dap.setFunctionBreakpointsRequest({ breakpoints: [{ name: "early" }, { name: "ready" }] });
      });
      await client.stop();
      assert.match(await refusal(client, "cpu_number", 1), /^cpu_number is one of each CPU's own, and this CPU's cannot be found/);
      await client.continue(1);
      assert.equal(await watch(client, "u32[cpu_number]"), "0x0");
      assert.equal(await watch(client, "u32[cpu_number]", 2), "0x1");
      assert.equal(await watch(client, "u32[cpu1.cpu_number]"), "0x1");
      assert.equal(await watch(client, "u32[u64[current_task]]"), "0x7");
      await client.evaluate("watch irq_stat", 1);
      await client.breakOn({ filterId: "guest.end", condition: "u32[cpu1.irq_stat] == 101 && u32[irq_stat] == 101" });
      assert.match((await client.continue(1)).text ?? "", /irq_stat/);
      assert.equal((await client.continue(1)).reason, "exception");
    }));
});
