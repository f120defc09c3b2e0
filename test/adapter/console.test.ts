// The console's commands over the protocol: what they say, as golden transcripts, and that each blocker of an interrupt is named.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { smpGuest, withClient, type Client } from "./harness";
import { Transcript } from "./transcript";

async function atDelivery(client: Client): Promise<void> {
  await client.launch({ program: smpGuest, cpus: 4 }, async () => {
    await client.breakOn({ filterId: "interrupt.deliver", condition: "vector == 0xf0 && dst == 1" });
  });
  await client.stop();
}

describe("the console", { timeout: 120_000 }, () => {
  test("why: each blocker on the way of an interrupt is named, with who caused it and what clears it", () =>
    withClient(async (client) => {
      await atDelivery(client);
      const transcript = new Transcript("why", client);
      transcript.note("in its handler");
      await transcript.say("why 0xf0", 2);
      transcript.note("pending behind a vector in service");
      await transcript.say("inject 0x55 cpu1", 2);
      assert.match(await transcript.say("why 0x55", 2), /vector 0xf0, of priority class 15, is in service/);
      transcript.note("interrupts are off");
      await transcript.say("lapic.isr = 0", 2);
      assert.match(await transcript.say("why 0x55", 2), /interrupts are off at CPU 1 .* since|interrupts are off at CPU 1/);
      transcript.note("nothing holds it");
      await transcript.say("rflags = rflags | 0x200", 2);
      assert.match(await transcript.say("why 0x55", 2), /is delivered to CPU 1 at the next instruction boundary/);
      transcript.note("behind a more important one");
      await transcript.say("inject 0x66", 2);
      assert.match(await transcript.say("why 0x55", 2), /vector 0x66 is pending too and goes first/);
      transcript.note("task priority");
      await transcript.say("lapic.tpr = 0x80", 2);
      assert.match(await transcript.say("why 0x66", 2), /TPR is 0x80, and only a priority class above 8 gets through/);
      await transcript.say("lapic.tpr = 0", 2);
      transcript.note("not pending, and the local APIC takes nothing");
      await client.request("apicscope/guestWrite", { threadId: 2, register: "SVR", value: "0xff" });
      assert.match(await transcript.say("why 0x77", 2), /software-disabled \(SVR bit 8 is clear\)/);
      await client.request("apicscope/guestWrite", { threadId: 2, register: "SVR", value: "0x1ff" });
      transcript.note("a masked LVT entry");
      await client.request("apicscope/guestWrite", { threadId: 2, register: "LVT Timer", value: "0x10044" });
      assert.match(await transcript.say("why 0x44", 2), /LVT Timer is masked/);
      transcript.note("a timer that does not run");
      await client.request("apicscope/guestWrite", { threadId: 2, register: "LVT Timer", value: "0x44" });
      assert.match(await transcript.say("why 0x44", 2), /the current count is 0: the timer does not run/);
      transcript.note("a held CPU");
      await client.request("apicscope/setHeld", { threadId: 2, held: true });
      assert.match(await transcript.say("why 0x66", 2), /the debugger holds CPU 1/);
      await client.request("apicscope/setHeld", { threadId: 2, held: false });
      transcript.note("an exception's vector");
      await transcript.say("why 3", 2);
      transcript.check();
    }));

  test("why: a redirection entry that is masked, waits for EOI or names another CPU", () =>
    withClient(async (client) => {
      await atDelivery(client);
      const transcript = new Transcript("why-pin", client);
      const write = (index: number, value: number): Promise<unknown> =>
        client
          .request("apicscope/guestWrite", { threadId: 1, address: "0xfec00000", value: index })
          .then(() => client.request("apicscope/guestWrite", { threadId: 1, address: "0xfec00010", value }));
      await write(0x10 + 2 * 9 + 1, 0x01000000);
      await write(0x10 + 2 * 9, 0x1a049);
      assert.match(await transcript.say("why 0x49 cpu1", 2), /I\/O APIC pin 9 is masked/);
      await write(0x10 + 2 * 9, 0x0a049);
      assert.match(await transcript.say("why 0x49 cpu0", 2), /which does not match CPU 0/);
      await transcript.say("inject pin 9 high", 2);
      await transcript.say("pins", 2);
      await transcript.say("lapic.irr = 0", 2);
      assert.match(await transcript.say("why 0x49 cpu1", 2), /waits for the EOI of its last interrupt/);
      transcript.check();
    }));

  test("why: the IDT gate", () =>
    withClient(async (client) => {
      await atDelivery(client);
      const transcript = new Transcript("why-gate", client);
      assert.match(await transcript.say("idt 0x55", 2), /an interrupt can enter it/);
      await transcript.say("u8[$idtr_base + 0x55 * 16 + 5] = 0x0e", 2);
      assert.match(await transcript.say("idt 0x55", 2), /the gate is not present \(#NP\)/);
      await transcript.say("u64[$idtr_base + 0x55 * 16] = 0", 2);
      await transcript.say("idt 0x55", 2);
      await transcript.say("idt", 2);
      await transcript.say("tss", 2);
      await transcript.say("pages $rip", 2);
      await transcript.say("pages 0x7fff00000000", 2);
      transcript.check();
    }));

  test("records, help, completions and mistakes", () =>
    withClient(async (client) => {
      await atDelivery(client);
      const transcript = new Transcript("records", client);
      await transcript.say("records", 2);
      await transcript.say("records drop", 2);
      await transcript.say("records vector 0x81 cpu0", 2);
      await transcript.say("record 16", 2);
      await transcript.say("record 999", 2);
      await transcript.say("records vector", 2);
      await transcript.say("why", 2);
      await transcript.say("why 0x20 cpu9", 2);
      await transcript.say("help records", 2);
      await transcript.say("help nothing", 2);
      transcript.check();
      const complete = async (text: string): Promise<string[]> =>
        (await client.dap.completionsRequest({ text, column: text.length + 1 })).body.targets.map((target) => target.label);
      assert.deepEqual(await complete("rec"), ["records", "record"]);
      assert.deepEqual(await complete("why 0x20 cpu"), ["cpu0", "cpu1", "cpu2", "cpu3", "cpu0.", "cpu1.", "cpu2.", "cpu3."]);
      const { body } = (await client.request("apicscope/command", { command: "records last 1" })) as {
        body: { data: { vector: number }[] };
      };
      assert.equal(body.data[0].vector, 0xf0);
      assert.match(await client.refused("apicscope/command", { command: "rax + 1" }), /is no command/);
    }));

  test("inject: every mode, a pin, an MSI, a spurious interrupt, now and at a count of instructions", () =>
    withClient(async (client) => {
      await atDelivery(client);
      const transcript = new Transcript("inject", client);
      for (const line of [
        "inject 0x55 cpu1",
        "inject 0x55 cpu1",
        "inject nmi cpu2",
        "inject sipi 8 cpu1",
        "inject msi 0xfee01000 0x66",
        "inject 5",
        "inject 0x55 cpu7",
      ])
        await transcript.say(line, 2);
      await transcript.say("records debugger", 2);
      await transcript.say("inject 0x44 cpu3 at 1", 2);
      const { data } = (
        (await client.request("apicscope/command", { command: "records last 1" })) as {
          body: { data: { stages: { instruction: number }[] }[] };
        }
      ).body;
      const at = data[0].stages[0].instruction + 1000;
      await transcript.say(
        `inject 0x57 cpu3 at ${at}`.replace(/\d{6}/, (number) => number),
        2,
      );
      await client.breakOn({ filterId: "interrupt.send", condition: 'source == "debugger" && vector == 0x57' });
      const stop = await client.continue(1);
      assert.equal(stop.text, "Debugger vector 0x57, to CPU 3, sent");
      const last = (
        (await client.request("apicscope/command", { command: "records vector 0x57" })) as {
          body: { data: { stages: { instruction: number }[] }[] };
        }
      ).body.data[0];
      assert.equal(last.stages[0].instruction, at);
      transcript.check();
    }));
});
