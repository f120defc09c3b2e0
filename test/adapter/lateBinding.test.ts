// Breakpoints on code that is not in memory yet: they are told as not verified, do not stop other code at their addresses, and bind when theirs appears.
import assert from "node:assert/strict";
import { resolve } from "node:path";
import { after, describe, test } from "node:test";
import type { DebugProtocol } from "@vscode/debugprotocol";
import { fixtureElf } from "../fixtures/dwarf/fixture";
import { codeImage, smpGuest, temporaryFolder, withClient } from "./harness";

describe("breakpoints before their code is loaded", { timeout: 480_000 }, () => {
  const files = temporaryFolder();
  after(() => files.remove());

  test("bind when it appears, and only then stop", () =>
    withClient(async (client) => {
      const elf = fixtureElf("c-O2-dwarf5");
      const leaf = elf.symbols().find((symbol) => symbol.name === "leaf") ?? assert.fail("no leaf");
      const text = elf.sections.find((section) => section.name === ".text") ?? assert.fail("no .text");
      const offset = 0x2000000n;
      const file = resolve("test/fixtures/dwarf/c-O2-dwarf5.elf");
      await client.launch(
        { program: smpGuest, cpus: 1, stopOnEntry: true, symbols: [{ file, offset: `0x${offset.toString(16)}` }] },
        async () => {
          const { body } = await client.dap.setFunctionBreakpointsRequest({ breakpoints: [{ name: "leaf" }] });
          assert.equal(body.breakpoints[0].verified, false);
          assert.match(body.breakpoints[0].message ?? "", /not in memory yet; the breakpoint binds when it is loaded/);
        },
      );
      await client.stop();
      // Other code runs through the very address: it is not stopped there.
      const at = leaf.address + offset;
      await client.request("writeMemory", {
        memoryReference: `0x${at.toString(16)}`,
        data: Buffer.from(new Uint8Array(64).fill(0x90)).toString("base64"),
      });
      const frameId = (await client.stack(1))[0].id;
      await client.dap.evaluateRequest({ expression: `rip = 0x${(at - 1n).toString(16)}`, frameId, context: "repl" });
      await client.step("next", 1, "instruction");
      const passed = await client.step("next", 1, "instruction");
      assert.equal(passed.reason, "step");
      assert.equal(
        client.events.some((event) => event.event === "breakpoint"),
        false,
      );
      // Now the code itself.
      await client.request("writeMemory", {
        memoryReference: `0x${(text.address + offset).toString(16)}`,
        data: Buffer.from(elf.data(text)).toString("base64"),
      });
      const again = (await client.stack(1))[0].id;
      await client.dap.evaluateRequest({ expression: `rip = 0x${at.toString(16)}`, frameId: again, context: "repl" });
      await client.dap.evaluateRequest({ expression: `u8[0x${(at - 1n).toString(16)}] = 0x90`, frameId: again, context: "repl" });
      await client.dap.evaluateRequest({ expression: `rip = 0x${(at - 1n).toString(16)}`, frameId: again, context: "repl" });
      const stop = await client.continue(1);
      assert.equal(stop.reason, "function breakpoint");
      const told = (await client.next("breakpoint")) as DebugProtocol.BreakpointEvent["body"];
      assert.equal(told.reason, "changed");
      assert.equal(told.breakpoint.verified, true);
      assert.deepEqual(stop.hitBreakpointIds, [told.breakpoint.id]);
      assert.equal(await client.pc(1), at);
      // Before that moment other code lay there.
      await client.request("reverseContinue", { threadId: 1 });
      assert.equal((await client.stop()).text, "At the beginning of what can be gone back to");
      const gone = (await client.next("breakpoint")) as DebugProtocol.BreakpointEvent["body"];
      assert.equal(gone.breakpoint.verified, false);
      assert.equal(gone.breakpoint.id, told.breakpoint.id);
    }));

  test("functions are set and told by their readable names where symbols are mangled", () =>
    withClient(async (client) => {
      // nop; nop; jmp to the second
      const program = files.write("mangled.elf", codeImage(0xfa, 0x90, 0x90, 0xeb, 0xfd));
      const listing = ["100000 T _start", "100001 T _ZN4demo5firstEi", "100002 T _RNvCs1234_7mycrate6second"].map(
        (line) => `0000000000${line}`,
      );
      const symbols = files.write("mangled.map", `${listing.join("\n")}\n`);
      await client.launch({ program, cpus: 1, symbols: [symbols] }, async () => {
        const names = ["demo::first", "_RNvCs1234_7mycrate6second", "demo::third"];
        const { body } = await client.dap.setFunctionBreakpointsRequest({ breakpoints: names.map((name) => ({ name })) });
        assert.deepEqual(
          body.breakpoints.map(({ verified }) => verified),
          [true, true, false],
        );
      });
      await client.stop();
      assert.equal((await client.stack(1))[0].name, "demo::first");
      await client.continue(1);
      assert.equal((await client.stack(1))[0].name, "mycrate::second");
      assert.match(await client.evaluate("$rip", 1), /<mycrate::second>/);
      const { targets } = (await client.dap.completionsRequest({ text: "demo", column: 5 })).body;
      assert.deepEqual(
        targets.map(({ label }) => label),
        ["demo::first"],
      );
    }));
});
