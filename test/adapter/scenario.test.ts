// The main job over the protocol, by a client that is not ours: an IPI between two CPUs of the bundled guest, from delivery to EOI.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { interruptStateRequest, type InterruptState } from "../../src/adapter/protocol";
import { smpGuest, smpSource, suiteServer, withClient, type Client } from "./harness";

async function scenario(client: Client): Promise<void> {
  await client.launch({ program: smpGuest, cpus: 4 }, async () => {
    const [status] = await client.breakOn({ filterId: "interrupt.deliver", condition: "vector == 0xf0 && dst == 1" });
    assert.equal(status.verified, true);
    assert.equal(status.message, undefined);
  });

  const delivered = await client.stop();
  assert.equal(delivered.reason, "exception");
  assert.equal(delivered.threadId, 2);
  assert.equal(delivered.allThreadsStopped, true);
  assert.equal(delivered.text, "IPI vector 0xf0, CPU 0 -> CPU 1, delivered");
  assert.equal(delivered.description, delivered.text);
  assert.match(client.output("stdout"), /CPU 3 \(APIC id 3\) up/);

  const names = await client.threadNames();
  assert.equal(names.length, 4);
  assert.equal(names[1], "CPU 1 · APIC 1 · running, IF=0, serving 0xf0");

  // Both sides.
  assert.equal(await client.value(2, "Local APIC", "ISR"), "{0xf0}");
  assert.equal(await client.value(2, "Local APIC", "IRR"), "{}");
  assert.match(await client.value(2, "Local APIC", "PPR"), /^0x000000f0/);
  assert.match(await client.value(1, "Local APIC", "ICR"), /^0x01000000000040f0 Fixed, vector 0xf0/);
  // At the handler's first instruction, and the stack leads through the interrupt to what was interrupted.
  const frames = await client.stack(2);
  assert.equal(frames[0].source?.path, smpSource("idt_entry.S"));
  assert.ok(frames.some((frame) => frame.name.startsWith("cpu_idle") && frame.source?.path === smpSource("percpu.c")));

  // The interrupt's whole record.
  const info = (await client.dap.exceptionInfoRequest({ threadId: 2 })).body;
  assert.equal(info.exceptionId, "interrupt.deliver");
  assert.equal(info.breakMode, "always");
  const life = info.details?.stackTrace ?? "";
  for (const stage of ["send", "accept", "request", "deliver"])
    assert.match(life, new RegExp(`^${stage} +instruction +\\d+ .*CPU [01] at 0x[0-9a-f]{16} <\\w+`, "m"));
  assert.doesNotMatch(life, /^eoi/m);
  assert.match(life, /source ipi, mode fixed, vector 0xf0, src 0, dst 1, trigger edge/);
  const { record } = info.details as unknown as {
    record: { src: number; dst: number; vector: number; stages: { stage: string; rip: string }[] };
  };
  assert.deepEqual([record.src, record.dst, record.vector], [0, 1, 0xf0]);
  assert.match(record.stages[0].rip, /^0x[0-9a-f]+$/);

  const before = await client.pc(2);
  assert.equal((await client.step("next", 2, "instruction")).reason, "step");
  assert.notEqual(await client.pc(2), before);

  // The guest writes EOI itself.
  await client.breakOn({ filterId: "interrupt.eoi", condition: "vector == 0xf0 && dst == 1" });
  const ended = await client.continue(2);
  assert.equal(ended.text, "IPI vector 0xf0, CPU 0 -> CPU 1, ended");
  assert.equal(ended.threadId, 2);
  assert.equal(await client.value(2, "Local APIC", "ISR"), "{}");
  assert.match((await client.dap.exceptionInfoRequest({ threadId: 2 })).body.details?.stackTrace ?? "", /^eoi +instruction/m);
  assert.ok((await client.stack(2)).some((frame) => frame.name === "eoi"));

  const state = (await client.request(interruptStateRequest)).body as InterruptState;
  assert.equal(state.cpus.length, 4);
  assert.equal(state.cpus[1].lastEvents.at(-1)?.text, "IPI vector 0xf0, CPU 0 -> CPU 1, ended");
  assert.equal(state.ioapics[0].pins.length, 24);

  // To the guest's own end.
  await client.breakOn();
  await client.dap.continueRequest({ threadId: 1 });
  assert.deepEqual(await client.next("exited"), { exitCode: 1 });
  await client.next("terminated");
  assert.match(client.output("stdout"), /^PASS$/m);
}

describe("the main job", () => {
  test("over standard input and output", { timeout: 480_000 }, () => withClient(scenario));

  describe("over TCP", () => {
    const server = suiteServer();

    test("one client after the other", { timeout: 480_000 }, async () => {
      await withClient(scenario, server.port);
      await withClient(async (client) => {
        await client.launch({ program: smpGuest, stopOnEntry: true });
        assert.equal((await client.stop()).reason, "entry");
      }, server.port);
    });

    test("two clients at once do not know of each other", { timeout: 480_000 }, async () => {
      await withClient(async (one) => {
        await one.launch({ program: smpGuest, cpus: 2, stopOnEntry: true });
        await one.stop();
        await withClient(async (two) => {
          await two.launch({ program: smpGuest, cpus: 3, stopOnEntry: true });
          await two.stop();
          await one.evaluate("rax = 0x11", 1);
          await two.evaluate("rax = 0x22", 1);
          assert.equal(await one.evaluate("rax", 1), "0x11");
          assert.equal(await two.evaluate("rax", 1), "0x22");
          assert.deepEqual([(await one.threadNames()).length, (await two.threadNames()).length], [2, 3]);
        }, server.port);
        // The other's end is not ours.
        assert.equal(await one.evaluate("rax + 1", 1), "0x12");
      }, server.port);
    });
  });

  test("CPUs are announced as they start, and a broadcast is told for each target", { timeout: 480_000 }, () =>
    withClient(async (client) => {
      await client.launch({ program: smpGuest, cpus: 4 }, () =>
        client.breakOn({ filterId: "interrupt.accept", condition: 'vector == 0xf1 && shorthand == "others"' }),
      );
      const targets: (number | undefined)[] = [];
      for (let i = 0; i < 3; i++) {
        targets.push((await (i === 0 ? client.stop() : client.continue(1))).threadId);
      }
      assert.deepEqual(targets.sort(), [2, 3, 4]);
      const started = client.events
        .filter((event) => event.event === "thread")
        .map((event) => event.body as { reason: string; threadId: number });
      assert.deepEqual(
        started,
        [2, 3, 4].map((threadId) => ({ reason: "started", threadId })),
      );
    }),
  );

  test("an accepted interrupt shows in IRR and, after a step into, in ISR", { timeout: 480_000 }, () =>
    withClient(async (client) => {
      await client.launch({ program: smpGuest, cpus: 2 }, () =>
        client.breakOn({ filterId: "interrupt.accept", condition: "vector == 0xf0 && dst == 1" }),
      );
      assert.equal((await client.stop()).threadId, 2);
      assert.equal(await client.value(2, "Local APIC", "IRR"), "{0xf0}");
      assert.equal(await client.value(2, "Local APIC", "ISR"), "{}");
      await client.breakOn();
      await client.step("stepIn", 2, "instruction");
      assert.equal(await client.value(2, "Local APIC", "IRR"), "{}");
      assert.equal(await client.value(2, "Local APIC", "ISR"), "{0xf0}");
      assert.equal((await client.stack(2))[0].source?.name, "idt_entry.S");
    }),
  );
});
