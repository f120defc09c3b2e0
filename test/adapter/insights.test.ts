// What hovers, the Problems panel and 'Go to Address' ask: values in words, lints with their lines, addresses; and memory and code
// at any address, as the CPU in focus has them.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { DebugProtocol } from "@vscode/debugprotocol";
import {
  decodableRegisters,
  decodeRequest,
  lintsRequest,
  resolveAddressRequest,
  type DecodeResponse,
  type LintsResponse,
  type ResolveAddressResponse,
} from "../../src/adapter/insightProtocol";
import { smpGuest, withClient, type Client } from "./harness";

async function ask<Body>(client: Client, command: string, args: object = {}): Promise<Body> {
  const response = await client.request<DebugProtocol.Response>(command, args);
  return response.body as Body;
}

async function focus(client: Client, threadId: number): Promise<DebugProtocol.StackFrame> {
  const [frame] = await client.stack(threadId);
  await client.dap.scopesRequest({ frameId: frame.id });
  return frame;
}

async function bytes(client: Client, memoryReference: string, count: number): Promise<string> {
  const body = await ask<{ data?: string }>(client, "readMemory", { memoryReference, count });
  return Buffer.from(body.data ?? "", "base64").toString("hex");
}

async function code(client: Client, memoryReference: string, more: object = {}): Promise<DebugProtocol.DisassembledInstruction[]> {
  const args = { memoryReference, instructionCount: 6, ...more };
  return (await client.request<DebugProtocol.DisassembleResponse>("disassemble", args)).body?.instructions ?? [];
}

describe("insights", () => {
  test("values in words; addresses of symbols, expressions and physical memory", { timeout: 480_000 }, () =>
    withClient(async (client) => {
      await client.launch({ program: smpGuest, cpus: 2 }, () =>
        client.breakOn({ filterId: "interrupt.deliver", condition: "vector == 0xf0" }),
      );
      await client.stop();
      const decode = (register: string, value: string): Promise<DecodeResponse> => ask(client, decodeRequest, { register, value });
      const icr = await decode("ICR", "0x01000000000040f0");
      assert.equal(icr.text, "Fixed, vector 0xf0, to physical 0x01");
      assert.deepEqual(icr.fields[0], { name: "Vector", bits: "7:0", value: "0xf0", text: "0xf0" });
      assert.match((await decode("Redirection Entry", "0x10021")).text, /vector 0x21.*masked/);
      assert.match((await decode("LVT Timer", "0x20020")).text, /vector 0x20, periodic/);
      assert.match((await decode("SVR", "0x1ff")).text, /enabled, spurious vector 0xff/);
      for (const register of decodableRegisters) assert.notEqual((await decode(register, "0x4021")).text, "");
      assert.match(await client.refused(decodeRequest, { register: "EAX", value: "1" }), /no register that can be decoded/);
      assert.match(await client.refused(decodeRequest, { register: "SVR", value: "0x100000000" }), /does not fit/);

      const resolve = (text: string): Promise<ResolveAddressResponse> => ask(client, resolveAddressRequest, { text });
      const named = await resolve("apic_write");
      assert.equal(named.symbol, "apic_write");
      assert.equal((await code(client, named.memoryReference))[0].symbol, "apic_write");
      assert.equal((await resolve(named.address)).symbol, "apic_write");
      assert.equal(BigInt((await resolve("apic_write + 4")).address), BigInt(named.address) + 4n);
      const physical = await resolve("p: 0x100000");
      assert.deepEqual(physical, { space: "physical", address: "0x0000000000100000", memoryReference: "physical:0x0000000000100000" });
      // The guest maps its memory one to one.
      assert.equal(await bytes(client, physical.memoryReference, 64), await bytes(client, "0x100000", 64));
      assert.match(await client.refused(resolveAddressRequest, { text: "  " }), /no address/);
      assert.match(await client.refused(resolveAddressRequest, { text: "no_such_thing" }), /no_such_thing/);
      assert.match(await client.refused(resolveAddressRequest, { text: "p:0x10000000000000" }), /no physical address/);

      // Physical memory can be written, and nothing lies beyond RAM.
      const spot = "physical:0x7000000";
      await client.request("writeMemory", { memoryReference: spot, data: Buffer.from("abcd").toString("base64") });
      assert.equal(await bytes(client, spot, 4), Buffer.from("abcd").toString("hex"));
      assert.equal(await bytes(client, "0x7000000", 4), Buffer.from("abcd").toString("hex"));
      assert.equal(await bytes(client, "physical:0x90000000", 4), "");
      assert.match(await client.refused("disassemble", { memoryReference: spot, instructionCount: 1 }), /linear addresses only/);
      assert.match(await client.refused("readMemory", { memoryReference: "physical:here", count: 1 }), /must be an address/);

      const { lints } = await ask<LintsResponse>(client, lintsRequest);
      assert.ok(Array.isArray(lints));
      for (const { place, text, count } of lints)
        assert.ok(text !== "" && count > 0 && (place === undefined || place.address.startsWith("0x")));
    }),
  );

  test("code is disassembled as the CPU in focus has it: real mode beside 64-bit mode", { timeout: 480_000 }, () =>
    withClient(async (client) => {
      await client.launch({ program: smpGuest, cpus: 2 }, () => client.breakOn({ filterId: "sipi", condition: "dst == 1" }));
      await client.stop();
      const frame = await focus(client, 2);
      const pc = frame.instructionPointerReference ?? "";
      const real = await code(client, pc, { instructionCount: 12 });
      assert.equal(real[0].address, pc);
      assert.equal(real[0].instruction, "cli");
      assert.ok(real.every(({ presentationHint }) => presentationHint !== "invalid"));
      const sixteen = real.map(({ instruction }) => instruction).join("\n");
      assert.match(sixteen, /mov ds, ax|mov ax, cs/);
      // A scroll up from the middle comes out even at it.
      const middle = real[5].address;
      const above = await code(client, middle, { instructionOffset: -5, instructionCount: 6 });
      assert.deepEqual(
        above.map(({ address }) => address),
        real.slice(0, 6).map(({ address }) => address),
      );
      await focus(client, 1);
      const long = await code(client, pc, { instructionCount: 12 });
      assert.notEqual(long.map(({ instruction }) => instruction).join("\n"), sixteen);
    }),
  );
});
