// Looking at the stopped machine and changing it: variables, expressions, memory, disassembly.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { DebugProtocol } from "@vscode/debugprotocol";
import { suiteServer, atFirstIpi, type Client } from "./harness";

describe("the stopped machine", () => {
  const server = suiteServer();

  const atDelivery = (body: (client: Client) => Promise<void>): Promise<void> => atFirstIpi(server.port, body);

  test("scopes and variables have their names, values and fields", { timeout: 480_000 }, () =>
    atDelivery(async (client) => {
      const { variables: apic } = await client.scope(2, "Local APIC");
      const expected =
        "ID VER TPR APR PPR LDR DFR SVR ESR ICR,LVT CMCI,LVT Timer,LVT Thermal,LVT PMC,LVT LINT0,LVT LINT1,LVT Error,TMICT TMCCT TDCR ISR TMR IRR APIC_BASE";
      const names = expected.split(",").flatMap((part) => (part.startsWith("LVT") && !part.includes("TMICT") ? [part] : part.split(" ")));
      assert.deepEqual(
        apic.map(({ name }) => name),
        names,
      );
      const svr = apic.find(({ name }) => name === "SVR");
      const { variables: fields } = (await client.dap.variablesRequest({ variablesReference: svr?.variablesReference ?? 0 })).body;
      assert.deepEqual(fields.map(({ name, value }) => `${name}: ${value}`).slice(0, 2), [
        "Spurious Vector: 0xff",
        "APIC Software Enable: 1 (enabled)",
      ]);
      const frame = (await client.stack(2))[0].id;
      const { scopes } = (await client.dap.scopesRequest({ frameId: frame })).body;
      assert.deepEqual(
        scopes.map(({ name }) => name),
        ["Registers", "Local APIC", "I/O APIC", "System"],
      );
      const system = await client.scope(2, "System");
      const idt = system.variables.find(({ name }) => name === "IDT");
      const gates = (await client.dap.variablesRequest({ variablesReference: idt?.variablesReference ?? 0 })).body.variables;
      assert.equal(gates.length, 256);
      assert.match(gates[0xf0].value, /0x0008:0x[0-9a-f]{16} <vector_stubs\+0xf00>, interrupt gate/);
      assert.match(await client.value(2, "System", "Mode"), /64-bit mode, 64-bit code, CPL 0, 4-level paging/);
      assert.match(await client.value(2, "I/O APIC", "IOREDTBL2"), /masked/);
      // Locals of a caller, by its registers and frame.
      const stack = await client.stack(1);
      const level = stack.findIndex(({ name }) => name === "run_tests");
      const { variables: locals } = await client.scope(1, "Locals", level);
      assert.ok(locals.some(({ name }) => name === "i"));
    }),
  );

  test("a pointer that was optimised out says so and hides nothing else", { timeout: 480_000 }, () =>
    atDelivery(async (client) => {
      let seen = 0;
      for (let step = 0; step < 40 && seen === 0; step++) {
        await client.dap.stepInRequest({ threadId: 2 });
        await client.stop();
        const frameId = (await client.stack(2))[0].id;
        const { scopes } = (await client.dap.scopesRequest({ frameId })).body;
        const locals = scopes.find(({ name }) => name === "Locals");
        if (locals === undefined) continue;
        const { variables } = (await client.dap.variablesRequest({ variablesReference: locals.variablesReference })).body;
        seen += variables.filter(({ value, type }) => value === "<optimised out>" && type?.endsWith("*") === true).length;
      }
      assert.ok(seen > 0, "no such pointer");
    }),
  );

  test("registers and APIC registers are set without side effects; a guest write has them", { timeout: 480_000 }, () =>
    atDelivery(async (client) => {
      const set = async (scope: string, name: string, value: string): Promise<string> => {
        const { reference } = await client.scope(2, scope);
        return (await client.dap.setVariableRequest({ variablesReference: reference, name, value })).body.value;
      };
      assert.equal(await set("Registers", "rax", "0x1122334455667788"), "0x1122334455667788");
      assert.equal(await client.evaluate("eax", 2), "0x55667788");
      assert.equal(await client.evaluate("al = 0xff", 2), "0xff");
      assert.equal(await client.evaluate("rax", 2), "0x11223344556677ff");
      assert.equal(await client.evaluate("eax = 1", 2), "0x1");
      assert.equal(await client.evaluate("rax", 2), "0x1");
      assert.equal(await client.evaluate("cpu0.rax == rax", 2), "0");
      assert.match(await set("Registers", "rflags", "0x246"), /^0x0000000000000246 \[.*IF.*\]/);
      // A poke of ICR sends nothing.
      await client.breakOn({ filterId: "interrupt.send" });
      assert.match(await set("Local APIC", "ICR", "0x40f5"), /^0x00000000000040f5 Fixed, vector 0xf5/);
      assert.equal(await set("Local APIC", "IRR", "0x31, 0x42"), "{0x31, 0x42}");
      assert.equal(await set("Local APIC", "IRR", "{}"), "{}");
      assert.match(await set("Local APIC", "TPR", "rax + 0x1f"), /^0x00000020/);
      assert.match(await client.evaluate("lapic.tpr = 0x30", 2), /^0x30/);
      assert.equal(await client.evaluate("lapic.isr", 2, "watch"), "{0xf0}");
      // A field of a register.
      const { variables } = await client.scope(2, "Local APIC");
      const timer = variables.find(({ name }) => name === "LVT Timer");
      await client.dap.setVariableRequest({ variablesReference: timer?.variablesReference ?? 0, name: "Vector", value: "0x77" });
      assert.match(await client.value(2, "Local APIC", "LVT Timer"), /^0x00010077/);
      // The guest's own way: EOI ends the interrupt in service.
      assert.equal(await client.value(2, "Local APIC", "ISR"), "{0xf0}");
      await client.request("apicscope/guestWrite", { threadId: 2, register: "EOI", value: 0 });
      assert.equal(await client.value(2, "Local APIC", "ISR"), "{}");
      await client.breakOn();
      await client.request("apicscope/guestWrite", { threadId: 1, register: "ICR", value: "0x01000000000040f4" });
      assert.equal(await client.value(2, "Local APIC", "IRR"), "{0xf4}");
      const nowhere = { threadId: 2, address: "0xffff8000f0000000", value: 1 };
      assert.match(await client.refused("apicscope/guestWrite", nowhere), /Nothing is mapped/);
      // The same from where values are edited: ":=" writes as the guest would.
      assert.equal(await set("Local APIC", "IRR", "{}"), "{}");
      await client.breakOn();
      await client.evaluate("lapic.isr = 1 << 0x33", 2);
      assert.equal(await client.value(2, "Local APIC", "ISR"), "{0x33}");
      assert.equal(await client.evaluate("lapic.eoi := 0", 2), "written");
      assert.equal(await client.value(2, "Local APIC", "ISR"), "{}");
      assert.match(await set("Local APIC", "TPR", ":= 0x40"), /^0x00000040/);
      assert.equal(await client.evaluate("lapic.ppr", 2), "0x40");
      const expression = { expression: "lapic.icr", value: ":= 0x00000000000440f6", frameId: (await client.stack(2))[0].id };
      await client.request("setExpression", expression);
      assert.equal(await client.value(2, "Local APIC", "IRR"), "{0xf6}");
      await client.evaluate("u32[0xfee00080] := 0x20", 2);
      assert.equal(await client.evaluate("lapic.tpr", 2), "0x20");
      const entry = (await client.scope(2, "Local APIC")).variables.find(({ name }) => name === "LVT Error")?.variablesReference ?? 0;
      await client.dap.setVariableRequest({ variablesReference: entry, name: "Vector", value: ":= 0x9" });
      assert.match(await client.value(2, "Local APIC", "LVT Error"), /^0x000[01]0009/);
      for (const [wrong, why] of [
        ["lapic.ppr := 1", /no register 'ppr' that software can write/],
        ["rax := 1", /cannot be written as the guest would/],
        ["phys32(0x1000) := 1", /cannot be written as the guest would/],
      ] as const)
        assert.match(await client.evaluate(wrong, 2).catch((error: unknown) => (error as Error).message), why);
      assert.match(
        await set("Registers", "rax", ":= 1").catch((error: unknown) => (error as Error).message),
        /rax can only be poked: leave out the colon/,
      );
      await client.breakOn({ filterId: "interrupt.send" });
      await client.request("apicscope/guestWrite", { threadId: 1, register: "ICR", value: "0x01000000000040f4" });
      // What it sent is told before the guest goes on.
      assert.match((await client.continue(1)).text ?? "", /vector 0xf4, .* -> CPU 1, sent/);
    }),
  );

  test("memory is read and written by addresses of any size, with what cannot be read counted", { timeout: 480_000 }, () =>
    atDelivery(async (client) => {
      const address = "0x0000000000101000";
      const read = async (memoryReference: string, count: number, offset = 0): Promise<DebugProtocol.ReadMemoryResponse["body"]> =>
        (await client.request<DebugProtocol.ReadMemoryResponse>("readMemory", { memoryReference, count, offset })).body;
      const body = await read(address, 16);
      assert.equal(body?.address, address);
      const original = Buffer.from(body?.data ?? "", "base64");
      assert.equal(original.length, 16);
      const data = Buffer.from([1, 2, 3, 0xff]).toString("base64");
      const written = await client.request<DebugProtocol.WriteMemoryResponse>("writeMemory", { memoryReference: address, offset: 4, data });
      assert.equal(written.body?.bytesWritten, 4);
      assert.equal((await read(address, 4, 4))?.data, data);
      assert.equal(await client.evaluate(`u32[${address} + 4]`, 2), "0xff030201");
      await client.evaluate(`u32[${address} + 4] = 0x12345678`, 2);
      assert.equal(await client.evaluate(`u16[${address} + 6]`, 2), "0x1234");
      // Kernel addresses keep all their bits.
      const far = await read("0xffffffff81000f12", 8);
      assert.equal(far?.address, "0xffffffff81000f12");
      assert.deepEqual([far?.data, far?.unreadableBytes], [undefined, 8]);
      const negative = await read("0xffffffff81000f12", 1, -0x12);
      assert.equal(negative?.address, "0xffffffff81000f00");
      // The APIC page shows the CPU's own registers.
      const apic = Buffer.from((await read("0xfee00000", 0x40))?.data ?? "", "base64");
      assert.equal(apic.readUInt32LE(0x20), 0x01000000);
      assert.match((await read("0xfee00fff", 4))?.unreadableBytes?.toString() ?? "", /^[0-3]$/);
    }),
  );

  test("disassembly is aligned to instructions before and after an address", { timeout: 480_000 }, () =>
    atDelivery(async (client) => {
      const [, caller] = await client.stack(1);
      const pc = caller.instructionPointerReference ?? "";
      type Lines = DebugProtocol.DisassembledInstruction[];
      const disassemble = async (args: object): Promise<Lines> =>
        (await client.request<DebugProtocol.DisassembleResponse>("disassemble", args)).body?.instructions ?? [];
      const lines = await disassemble({ memoryReference: pc, instructionOffset: -20, instructionCount: 40 });
      assert.equal(lines.length, 40);
      assert.equal(lines[20].address, pc);
      assert.match(lines[19].instruction, /^call 0x[0-9a-f]+ <apic_write>$/);
      for (const [index, line] of lines.entries()) {
        assert.match(line.address, /^0x[0-9a-f]{16}$/);
        const length = (line.instructionBytes ?? "").split(" ").length;
        if (index < 39) assert.equal(BigInt(lines[index + 1].address), BigInt(line.address) + BigInt(length));
      }
      assert.ok(lines.some((line) => line.location?.name === "apic.c" && (line.line ?? 0) > 0));
      // Beside readable memory, and nowhere near any.
      const nowhere = await disassemble({ memoryReference: "0xffff900000000000", instructionOffset: -3, instructionCount: 6 });
      assert.equal(nowhere.length, 6);
      assert.ok(nowhere.every((line) => line.presentationHint === "invalid"));
      assert.equal(nowhere[3].address, "0xffff900000000000");
      assert.deepEqual(await disassemble({ memoryReference: pc, instructionCount: 0 }), []);
      const start = await disassemble({ memoryReference: "0x0", instructionOffset: -2, instructionCount: 3 });
      assert.equal(start.length, 3);
    }),
  );

  test("evaluate, completions, sources and modules", { timeout: 480_000 }, () =>
    atDelivery(async (client) => {
      assert.equal(await client.evaluate("1 + 2 * 3", 1), "7");
      assert.match(await client.evaluate("&cpu_count", 1, "watch"), /^0x[0-9a-f]+ <cpu_count>$/);
      assert.equal(await client.evaluate("cpu_count", 1, "hover"), "2");
      assert.equal(await client.evaluate("cpus[1].apic_id", 1, "watch"), "1");
      assert.match(await client.evaluate("help", 1), /Expressions/);
      const frameId = (await client.stack(1))[0].id;
      const structure = (await client.dap.evaluateRequest({ expression: "cpus[0]", frameId, context: "watch" })).body;
      assert.ok(structure.variablesReference > 0);
      const { variables } = (await client.dap.variablesRequest({ variablesReference: structure.variablesReference })).body;
      assert.ok(variables.some(({ name, value }) => name === "apic_id" && value === "0"));
      await client.evaluate("cpus[1].apic_id = 7", 1);
      assert.equal(await client.evaluate("cpus[1].apic_id", 1), "7");
      const completed = (await client.dap.completionsRequest({ frameId, text: "1 + lapic.i", column: 12 })).body.targets.map(
        ({ label }) => label,
      );
      assert.deepEqual(completed.sort(), ["lapic.icr", "lapic.id", "lapic.irr", "lapic.isr"]);
      const sources = (await client.request("loadedSources")).body as { sources: { name: string }[] };
      assert.ok(sources.sources.some(({ name }) => name === "tests.c"));
      const modules = (await client.dap.modulesRequest({})).body;
      assert.equal(modules.modules.length, 1);
      // Handles end with the stop they belong to.
      await client.breakOn();
      await client.step("next", 1, "instruction");
      assert.match(await client.refused("scopes", { frameId }), /no frame/);
    }),
  );
});
