// Source level: breakpoints by line and function, inlined frames, variables with their types, several files of symbols, listings, one address space.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, test } from "node:test";
import { fixtureElf } from "../fixtures/dwarf/fixture";
import { lineOf, smpGuest, smpSource, temporaryFolder, withClient, type Client } from "./harness";
import { Transcript } from "./transcript";

const tests = readFileSync(smpSource("tests.c"), "utf8");

/** The variables of a scope, "name: type", without values that depend on the build. */
async function variables(client: Client, threadId: number, level: number): Promise<string[]> {
  const { variables: all } = await client.scope(threadId, "Locals", level);
  return all.map(({ name, type }) => `  ${name}: ${type ?? "?"}`);
}

describe("source level", { timeout: 960_000 }, () => {
  const folder = temporaryFolder();
  test.after(() => folder.remove());

  test("lines, functions, inlined frames, variables; a listing of symbols and a second file beside the image", () =>
    withClient(async (client) => {
      // What `nm` says of a fixture, as System.map and /proc/kallsyms have it.
      const fixture = fixtureElf("c-O2-dwarf5");
      const map = folder.write(
        "System.map",
        fixture
          .symbols()
          .map(({ name, address, kind }) => `${address.toString(16).padStart(16, "0")} ${kind === "function" ? "T" : "D"} ${name}`)
          .join("\n"),
      );
      const program = resolve("test/fixtures/dwarf/c-O2-dwarf5.elf");
      const transcript = new Transcript("source", client);
      await client.launch(
        {
          program: smpGuest,
          cpus: 2,
          symbols: [
            { file: program, offset: "0x40000000" },
            { file: map, offset: "0x50000000" },
          ],
        },
        async () => {
          const line = lineOf(tests, "send_fixed_ipi(&cpus[1], VEC_IPI);");
          const { body } = await client.dap.setBreakpointsRequest({ source: { path: smpSource("tests.c") }, breakpoints: [{ line }] });
          assert.deepEqual([body.breakpoints[0].verified, body.breakpoints[0].line], [true, line]);
          const functions = await client.dap.setFunctionBreakpointsRequest({
            breakpoints: [{ name: "interrupt_dispatch", condition: "frame->vector == 0x81" }],
          });
          assert.equal(functions.body.breakpoints[0].verified, true);
        },
      );
      const first = await client.stop();
      transcript.note(`stop: ${first.reason}`);
      await transcript.stack(1);
      for (const line of await variables(client, 1, 0)) transcript.text(line);
      await transcript.say("frame->vector");
      await transcript.say("frame->vector == 0x81 && cpus[0].index == 0");
      await client.dap.setFunctionBreakpointsRequest({ breakpoints: [] });
      const second = await client.continue(1);
      transcript.note(`stop: ${second.reason}`);
      await transcript.stack(1);
      transcript.note("files of symbols");
      const modules = await client.dap.modulesRequest({});
      for (const { name, symbolStatus, addressRange } of modules.body.modules)
        transcript.text(`  ${name.slice(name.lastIndexOf("/") + 1)}: ${symbolStatus}, ${addressRange}`);
      const leaf = fixture.symbols().find((symbol) => symbol.name === "leaf") ?? assert.fail("no leaf");
      const at = (base: bigint): string => `0x${(leaf.address + base).toString(16)}`;
      assert.match(await client.evaluate(at(0x40000000n), 1), /<leaf>/);
      assert.match(await client.evaluate(at(0x50000001n), 1), /<leaf\+0x1>/);
      transcript.check();
    }));

  test("a breakpoint on an inlined function stops in its copies", () =>
    withClient(async (client) => {
      await client.launch({ program: smpGuest, cpus: 1 }, async () => {
        const { body } = await client.dap.setFunctionBreakpointsRequest({ breakpoints: [{ name: "interrupts_restore" }] });
        assert.equal(body.breakpoints[0].verified, true, body.breakpoints[0].message);
      });
      assert.equal((await client.stop()).reason, "function breakpoint");
      const stack = await client.stack(1);
      assert.equal(stack[0].name, "interrupts_restore [inlined]");
      assert.equal(stack[0].source?.name, "cpu.h");
      assert.ok(stack.length > 1);
    }));

  test("a condition on CR3 keeps a breakpoint to one address space", () =>
    withClient(async (client) => {
      await client.launch({ program: smpGuest, cpus: 2 }, async () => {
        await client.request("setFunctionBreakpoints", {
          breakpoints: [{ name: "run_tests" }, { name: "fixed_ipi_test", condition: "cr3 == 1" }],
        });
      });
      const stop = await client.stop();
      const cr3 = (await client.evaluate("cr3,x", 1)).split(" ")[0];
      await client.request("setFunctionBreakpoints", {
        breakpoints: [
          { name: "fixed_ipi_test", condition: "cr3 == 1" },
          { name: "fixed_ipi_everywhere_test", condition: `cr3 == ${cr3}` },
        ],
      });
      assert.equal(stop.reason, "function breakpoint");
      await client.continue(1);
      assert.equal((await client.stack(1))[0].name, "fixed_ipi_everywhere_test");
    }));

  test("split debug information is refused in words, and its symbols are used", () =>
    withClient(async (client) => {
      const file = resolve("test/fixtures/dwarf/c-split.elf");
      await client.launch({ program: smpGuest, cpus: 1, stopOnEntry: true, symbols: [{ file, offset: "0x40000000" }] });
      await client.stop();
      assert.match(client.output("console"), /c-split\.elf keeps debug information in separate \.dwo files, which are not read/);
      assert.match(await client.evaluate("leaf", 1), /<leaf>/);
    }));
});
