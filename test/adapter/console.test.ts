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

describe("the console", { timeout: 480_000 }, () => {
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
      // CPUs, their registers, and the guest's symbols of that beginning.
      const cpus = ["cpu0", "cpu1", "cpu2", "cpu3", "cpu0.", "cpu1.", "cpu2.", "cpu3."];
      assert.deepEqual(await complete("why 0x20 cpu"), [...cpus, "cpu_count", "cpu_idle", "cpu_stacks", "cpus"]);
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

const faultsGuest = "guests/faults/faults.elf";

describe("diagnoses of a guest with one mistake", { timeout: 480_000 }, () => {
  test("the bring-up doctor: SIPIs that were ignored or reached nobody, a level de-assert, an INIT without a SIPI", () =>
    withClient(async (client) => {
      await client.launch({ program: faultsGuest, cpus: 3, cmdline: "bring-up" }, async () => {
        await client.breakOn({ filterId: "interrupt.drop", condition: 'mode == "init"' });
      });
      const stop = await client.stop();
      assert.match(stop.text ?? "", /INIT.*dropped: INIT level de-assert: nothing is sent/);
      const transcript = new Transcript("doctor", client);
      const text = await transcript.say("doctor");
      assert.match(text, /CPU 1 \(APIC id 1\) started at page 0x08, /);
      assert.match(text, /SIPI to page 0x08 \(0x08000\), ignored: CPU 1 is not in wait-for-SIPI/);
      assert.match(text, /sent to nobody: SIPI: no destination matched APIC id 78/);
      await transcript.say("inject init cpu2");
      await client.step("next", 1, "instruction");
      assert.match(await transcript.say("doctor"), /CPU 2 \(APIC id 2\) took INIT and waits: no SIPI came after it/);
      transcript.check();
    }));

  test("the chain of exceptions behind a triple fault", () =>
    withClient(async (client) => {
      await client.launch({ program: faultsGuest, cpus: 1, cmdline: "triple-fault" }, async () => {
        await client.breakOn({ filterId: "cpu.tripleFault" });
      });
      await client.stop();
      const transcript = new Transcript("triple-fault", client);
      assert.match(
        await transcript.say("doctor"),
        /shut down by a triple fault at .*: #UD invalid opcode.*, then #GP general protection.*, then #DF double fault/,
      );
      transcript.check();
    }));

  test("lints stop, are listed once each, and say what to do", () =>
    withClient(async (client) => {
      await client.launch({ program: faultsGuest, cpus: 1, cmdline: "missing-eoi" }, async () => {
        await client.breakOn({ filterId: "interrupt.lint", condition: 'kind == "missing-eoi"' });
      });
      const stop = await client.stop();
      assert.equal(stop.text, "the handler of vector 0x90 returned at CPU 0 without EOI: the vector stays in service");
      const info = (await client.dap.exceptionInfoRequest({ threadId: 1 })).body;
      assert.match(info.details?.stackTrace ?? "", /Write EOI to the local APIC before the handler's IRET/);
      const transcript = new Transcript("lints", client);
      await transcript.say("lints");
      await transcript.say("why 0x90");
      await transcript.say("lints clear");
      await transcript.say("lints");
      transcript.check();
    }));

  test("a budget stops in the handler that is too slow; its stack leads through the interrupt to its sender", () =>
    withClient(async (client) => {
      await client.launch({ program: faultsGuest, cpus: 1, cmdline: "slow" }, async () => {
        const [status] = await client.breakOn({ filterId: "budget.handler", condition: "duration > 10000" });
        assert.equal(status.verified, true);
      });
      const stop = await client.stop();
      const transcript = new Transcript("budget", client);
      transcript.text((stop.text ?? "").replace(/for \d+ instructions/, "for N instructions"));
      await transcript.stack(1);
      transcript.check();
      assert.match(stop.text ?? "", /^The handler of vector 0x90 \(ipi\) has run for \d+ instructions on CPU 0/);
      const frames = await client.stack(1);
      const names = frames.map((frame) => frame.name.replace(/\+0x[0-9a-f]+/, "+X"));
      const handler = names.indexOf("slow_handler");
      assert.ok(handler >= 0, names.join(" | "));
      assert.deepEqual(names.slice(handler + 1, handler + 3), ["sent by CPU 0 at apic_write+X", "vector 0x90, IPI"]);
      assert.equal(frames[handler + 2].presentationHint, "label");
      assert.ok(
        names.slice(handler + 3).some((name) => name.startsWith("main")),
        names.join(" | "),
      );
    }));
});
