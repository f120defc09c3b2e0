// Kernel modules as symbol files: breakpoints set before a guest loads one bind when it does, and it is followed when it goes and comes again, forwards and back.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { after, describe, test } from "node:test";
import type { DebugProtocol } from "@vscode/debugprotocol";
import { temporaryFolder, withClient, type Client } from "./harness";

const program = resolve("test/fixtures/dwarf/module-guest.elf");
const file = resolve("test/fixtures/dwarf/module-64.ko");
const source = { path: "/fixtures/src/module.c" };
const sourceMap = { "/fixtures": resolve("test/fixtures/dwarf") };

/** The guest's image without its table of sections, and so without symbols. */
function withoutSections(): Uint8Array {
  const image = new Uint8Array(readFileSync(program));
  // e_shoff; e_shentsize, e_shnum and e_shstrndx.
  image.fill(0, 0x28, 0x30);
  image.fill(0, 0x3a, 0x40);
  return image;
}

type ModuleEvent = DebugProtocol.ModuleEvent["body"];

describe("kernel modules", { timeout: 120_000 }, () => {
  const files = temporaryFolder();
  after(() => files.remove());

  const modulesOf = async (client: Client): Promise<DebugProtocol.Module[]> =>
    ((await client.ask("modules")) as { modules: DebugProtocol.Module[] }).modules;
  const topOf = async (client: Client): Promise<string> => (await client.stack(1))[0].name;
  const evaluate = async (client: Client, expression: string): Promise<string> => {
    const frameId = (await client.stack(1))[0].id;
    return (await client.dap.evaluateRequest({ expression, frameId, context: "watch" })).body.result;
  };

  test("breakpoints bind when the guest loads the module, let go with what is given back, and are found on the way back", () =>
    withClient(async (client) => {
      await client.launch({ program, cpus: 1, memory: 32, serial: "none", symbols: [file], sourceMap }, async () => {
        const { body } = await client.dap.setFunctionBreakpointsRequest({
          breakpoints: [{ name: "init_module" }, { name: "cleanup_module" }],
        });
        for (const { verified, message, instructionReference } of body.breakpoints) {
          assert.equal(verified, false);
          assert.match(message ?? "", /not in memory yet; the breakpoint binds when it is loaded/);
          assert.equal(instructionReference, undefined);
        }
        const lines = await client.dap.setBreakpointsRequest({ source, breakpoints: [{ line: 18, condition: "value == 2" }] });
        assert.deepEqual([lines.body.breakpoints[0].verified, lines.body.breakpoints[0].line], [false, 18]);
        const [module] = (await modulesOf(client)).filter(({ id }) => id === file);
        assert.equal(module.symbolStatus, "symbols and debug information, not loaded");
      });
      const first = await client.stop();
      assert.equal(first.reason, "function breakpoint");
      const loaded = (await client.next("module")) as ModuleEvent;
      assert.equal(loaded.reason, "changed");
      assert.equal(loaded.module.id, file);
      for (const place of [
        ".text 0x0000000000402000",
        ".init.text 0x0000000000407000",
        ".data 0x0000000000405000",
        ".bss 0x0000000000405800",
      ])
        assert.ok(loaded.module.addressRange?.includes(place), loaded.module.addressRange);
      assert.equal(
        client.events.filter(
          ({ event, body }) => event === "breakpoint" && (body as { breakpoint: { verified: boolean } }).breakpoint.verified,
        ).length,
        3,
      );
      const frames = await client.stack(1);
      assert.deepEqual(
        frames.slice(0, 2).map(({ name }) => name),
        ["init_module", "do_init_module"],
      );
      assert.equal(frames[0].moduleId, file);
      assert.equal(frames[0].source?.path, resolve("test/fixtures/dwarf/src/module.c"));
      assert.equal(await evaluate(client, "settings"), '{level = 3, label = 0x404000 "calm"}');
      // Initialisation calls into the other unit and back.
      const line = await client.continue(1);
      assert.equal(line.reason, "breakpoint");
      assert.deepEqual(
        (await client.stack(1)).slice(0, 4).map(({ name }) => name),
        ["weigh", "module_work", "helper", "init_module"],
      );
      const { variables } = await client.scope(1, "Locals");
      assert.deepEqual(
        variables.slice(0, 2).map(({ name, value }) => `${name} = ${value}`),
        ["value = 2", "result = 6"],
      );
      assert.equal(await evaluate(client, "steps[2]"), "3");
      // Once more by the guest's own call: what was initialisation is no place of the module any more.
      await client.continue(1);
      assert.deepEqual(
        (await client.stack(1)).slice(0, 2).map(({ name }) => name),
        ["weigh", "module_work"],
      );
      const [live] = (await modulesOf(client)).filter(({ id }) => id === file);
      assert.ok(live.addressRange?.includes(".text 0x") === true && !live.addressRange.includes(".init.text"), live.addressRange);
      await client.continue(1);
      assert.equal(await topOf(client), "cleanup_module");
      // The module goes, and comes again.
      await client.continue(1);
      assert.equal(await topOf(client), "init_module");
      assert.equal(Number(await evaluate(client, "u32[rounds]")), 1);
      assert.match(
        client.output("console"),
        /module-64\.ko is not loaded any more\.\n.*module-64\.ko is loaded, its code at 0x402000\.\n/s,
      );
      // And all of it backwards.
      const back = async (): Promise<string> => {
        await client.request("reverseContinue", { threadId: 1 });
        await client.stop();
        return topOf(client);
      };
      assert.equal(await back(), "cleanup_module");
      assert.equal(await back(), "weigh");
      assert.equal(await back(), "weigh");
      assert.equal(await back(), "init_module");
      assert.equal(Number(await evaluate(client, "u32[rounds]")), 0);
    }));

  test("a kernel whose compiler left no function of their own to what loads modules is followed where it runs their initialisation", () =>
    withClient(async (client) => {
      const listing = execFileSync("nm", [program], { encoding: "utf8" });
      const map = listing.replace(/ do_init_module$/m, " do_one_initcall").replace(/ free_module$/m, " module_arch_cleanup");
      assert.doesNotMatch(map, /do_init_module|free_module/);
      const symbols = [files.write("System.map", map), file];
      const stripped = files.write("plain.elf", withoutSections());
      await client.launch({ program: stripped, cpus: 1, memory: 32, serial: "none", symbols, sourceMap }, () =>
        client.dap.setFunctionBreakpointsRequest({ breakpoints: [{ name: "init_module" }, { name: "cleanup_module" }] }),
      );
      for (const name of ["init_module", "cleanup_module", "init_module", "cleanup_module"]) {
        assert.equal((await client.stop()).reason, "function breakpoint");
        assert.equal(await topOf(client), name);
        await client.dap.continueRequest({ threadId: 1 });
      }
      await client.next("exited");
      assert.equal(client.output("console").match(/module-64\.ko is not loaded any more/g)?.length, 2);
    }));

  test("addresses are given as gdb's add-symbol-file has them, without the kernel's help", () =>
    withClient(async (client) => {
      const symbols = [{ file, offset: "0x402000", sections: { ".init.text": "0x407000", ".data": 0x405000 } }];
      // The guest's own image has no symbols then.
      const stripped = files.write("guest.elf", withoutSections());
      await client.launch({ program: stripped, cpus: 1, memory: 32, serial: "none", symbols, sourceMap }, async () => {
        const { body } = await client.dap.setFunctionBreakpointsRequest({ breakpoints: [{ name: "init_module" }] });
        assert.equal(body.breakpoints[0].verified, false);
        assert.equal(body.breakpoints[0].instructionReference, "0x0000000000407008");
        await client.dap.setBreakpointsRequest({ source, breakpoints: [{ line: 18 }] });
      });
      assert.equal((await client.stop()).reason, "function breakpoint");
      assert.equal(await topOf(client), "init_module");
      assert.equal((await client.continue(1)).reason, "breakpoint");
      assert.deepEqual(
        (await client.stack(1)).slice(0, 4).map(({ name }) => name),
        ["weigh", "module_work", "helper", "init_module"],
      );
      assert.equal(await evaluate(client, "steps"), "{1, 2, 3, 4}");
    }));

  test("mistakes are told by their attribute", () =>
    withClient(async (client) => {
      const refused = (symbols: unknown): Promise<string> => client.refused("launch", { program, symbols });
      assert.match(
        await refused([{ file, sections: { ".text": "up" } }]),
        /"symbols" has an entry 1 that must have an address such as .* for section \.text/,
      );
      assert.match(await refused([{ file, sections: [1] }]), /must have sections such as/);
      assert.match(
        await refused([{ file, sections: { ".nonsense": 4096 } }]),
        /gives section \.nonsense of .*module-64\.ko, which has none of that name/,
      );
      assert.match(
        await refused([{ file: program, sections: { ".text": 4096 } }]),
        /gives sections of .*module-guest\.elf, which is no unlinked file; "offset" moves a linked one/,
      );
    }));
});
