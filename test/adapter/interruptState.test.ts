// What the 'Interrupts' view is told over the protocol: masks, pending and served vectors, routes of pins and messages, interrupt tables, places.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  interruptStateRequest,
  interruptTableRequest,
  locateRequest,
  type InterruptState,
  type InterruptTableResponse,
  type LocateResponse,
} from "../../src/adapter/protocol";
import { smpGuest, smpSource, withClient, type Client } from "./harness";

async function body<T>(client: Client, request: string, args: object = {}): Promise<T> {
  return (await client.request(request, args)).body as T;
}

describe("the state of all interrupt controllers", { timeout: 480_000 }, () => {
  test("says who masks, what waits and why, and where everything goes", () =>
    withClient(async (client) => {
      await client.launch({ program: smpGuest, cpus: 4 }, async () => {
        await client.breakOn({ filterId: "interrupt.deliver", condition: "vector == 0xf0 && dst == 1" });
      });
      await client.stop();
      await client.request("apicscope/command", { command: "inject 0x55 cpu1" });
      const state = await body<InterruptState>(client, interruptStateRequest);
      const [, cpu] = state.cpus;
      assert.equal(cpu.stateText, "running, IF=0, serving 0xf0");
      assert.deepEqual(
        cpu.masks.map(({ name }) => name),
        ["IF", "ISR"],
      );
      assert.match(cpu.masks[1].text, /vectors up to 0xff: 0xf0 is in service/);
      assert.match(cpu.masks[1].set ?? "", /by CPU 1 at instruction \d+, 0x/);
      assert.deepEqual([cpu.pending[0].vector, cpu.pending[0].heldBy], [0x55, "PPR"]);
      assert.match(cpu.pending[0].why, /Vector 0x55 is not delivered to CPU 1: vector 0xf0, of priority class 15, is in service/);
      assert.equal(cpu.serving[0].vector, 0xf0);
      // The sender of what is in service is CPU 0's write of ICR.
      const sender = await body<LocateResponse>(client, locateRequest, { address: cpu.serving[0].sender });
      assert.equal(sender.path, smpSource("apic.c"));
      assert.match(sender.symbol ?? "", /^apic_write|^ipi|^send/);

      // The guest has set up its timer line; the table is shared by all CPUs.
      assert.equal(state.tables.length, 1);
      assert.deepEqual(state.tables[0].cpus, [0, 1, 2, 3]);
      assert.equal(state.tables[0].kind, "64-bit");
      const { gates } = await body<InterruptTableResponse>(client, interruptTableRequest, { threadId: 2 });
      const gate = gates.find(({ vector }) => vector === 0xf0);
      assert.ok(gate !== undefined && gate.hits >= 1 && gate.symbol !== undefined && gate.fault === undefined, JSON.stringify(gate));
      assert.equal(
        gates.reduce((sum, { hits }) => sum + hits, 0),
        state.tables[0].hits,
      );
      const handler = await body<LocateResponse>(client, locateRequest, { threadId: 2, vector: 0xf0 });
      assert.deepEqual([handler.address, handler.path], [gate.handler, smpSource("idt_entry.S")]);
      assert.match(await client.refused(locateRequest, { threadId: 2, vector: 256 }), /"vector"/);

      // On to the guest's MSI: the test device has been told where to send it.
      await client.breakOn({ filterId: "interrupt.deliver", condition: 'source == "msi"' });
      await client.continue(1);
      const later = await body<InterruptState>(client, interruptStateRequest);
      const [message] = later.messages;
      assert.deepEqual([message.device, message.name, message.mode], ["msi-test", "MSI 0", "fixed"]);
      assert.ok(message.cpus.length === 1 && message.vector >= 32, JSON.stringify(message));
      // Its line to CPU 3 has been masked again.
      const { masked, mode, vector, trigger, cpus } = later.ioapics[0].pins[2];
      assert.deepEqual({ masked, mode, vector, trigger, cpus }, { masked: true, mode: "fixed", vector: 0x39, trigger: "level", cpus: [3] });
      assert.ok(BigInt(later.instruction) > BigInt(state.instruction), later.instruction);
      assert.ok(BigInt(later.time) > BigInt(state.time), later.time);
    }));

  test("a CPU that was frozen says so, and one that was not started has no table", () =>
    withClient(async (client) => {
      await client.launch({ program: smpGuest, cpus: 2, stopOnEntry: true });
      await client.stop();
      await client.request("apicscope/setHeld", { threadId: 1, held: true });
      const state = await body<InterruptState>(client, interruptStateRequest);
      assert.equal(state.cpus[0].frozen, true);
      assert.equal(state.cpus[0].masks[0].name, "Debugger");
      assert.match((await client.threadNames())[0], /· frozen$/);
      assert.deepEqual(
        state.cpus[1].masks.map(({ name }) => name),
        ["Activity"],
      );
      assert.ok(state.tables.every(({ cpus }) => !cpus.includes(1)));
      assert.match(await client.refused(locateRequest, { threadId: 1, vector: 0x30 }), /CPU 0 has no handler for vector 0x30/);
    }));
});
