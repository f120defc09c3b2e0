// The debugger over the protocol on a kernel that was not made for it: Debian's, on two CPUs, from its first instruction to the IPIs that bring its CPUs together.
import assert from "node:assert/strict";
import { resolve } from "node:path";
import { describe, test } from "node:test";
import { withClient } from "../adapter/harness";
import { kernelFile, missing } from "./linux";

describe("the debugger on Linux", { skip: missing("cloud-amd64") }, () => {
  test(
    "bring-up, an IPI's life and its stack, why, doctor, records, data, injection, stepping with interrupts, and back again",
    { timeout: 400_000 },
    () =>
      withClient(async (client) => {
        const program = resolve(kernelFile("cloud-amd64"));
        const cmdline = "console=ttyS0 nokaslr panic=-1";
        await client.launch({ program, cmdline, cpus: 2, memory: 256, serial: "none" }, () => client.breakOn({ filterId: "sipi" }));
        const sipi = await client.stop();
        assert.match(sipi.text ?? "", /^IPI Start-up at 0x[0-9a-f]+, CPU 0 -> CPU 1, delivered$/);
        assert.equal(sipi.threadId, 2);
        const doctor = await client.evaluate("doctor", 2);
        assert.match(doctor, /CPU 1/);
        assert.match(doctor, /SIPI/i);
        // The first IPI between running CPUs.
        await client.breakOn({ filterId: "interrupt.deliver", condition: 'source == "ipi" && mode == "fixed"' });
        const delivered = await client.continue(2);
        const [, vector, from, to] = /^IPI vector (0x[0-9a-f]+), CPU (\d) -> CPU (\d), delivered$/.exec(delivered.text ?? "") ?? [];
        assert.ok(vector !== undefined, delivered.text);
        assert.notEqual(from, to);
        const thread = Number(to) + 1;
        assert.equal(delivered.threadId, thread);
        const labels = (await client.stack(thread)).filter(({ presentationHint }) => presentationHint === "label").map(({ name }) => name);
        assert.ok(
          labels.some((label) => label.includes(`vector ${vector}`)),
          labels.join(),
        );
        assert.ok(
          labels.some((label) => label.startsWith(`sent by CPU ${from}`)),
          labels.join(),
        );
        const record = (await client.dap.exceptionInfoRequest({ threadId: thread })).body.details?.stackTrace ?? "";
        for (const stage of ["send", "accept", "request", "deliver"]) assert.match(record, new RegExp(`^${stage} `, "m"));
        assert.match(await client.evaluate(`why ${vector} cpu${to}`, thread), /in service|ISR/);
        assert.match(await client.evaluate(`records vector ${vector}`, thread), /deliver/);
        assert.match(await client.evaluate("lints", thread), /^(No lints|Nothing)/i);
        assert.match(await client.evaluate(`idt ${vector}`, thread), /interrupt gate/i);
        const instruction = async (): Promise<number> =>
          Number(((await client.ask("apicscope/progress")) as { instruction: string }).instruction);
        const there = await instruction();
        // To its send, and forwards again to the very instruction.
        await client.breakOn({ filterId: "interrupt.send", condition: `vector == ${vector}` });
        await client.request("reverseContinue", { threadId: thread });
        assert.match((await client.stop()).text ?? "", new RegExp(`^IPI vector ${vector}.*sent`));
        await client.breakOn({ filterId: "interrupt.deliver", condition: `vector == ${vector} && source == "ipi"` });
        await client.continue(1);
        assert.equal(await instruction(), there);
        // The end of it, seen as an access to the register.
        await client.breakOn({ filterId: "interrupt.eoi", condition: `vector == ${vector}` });
        assert.match((await client.continue(thread)).text ?? "", /ended$/);
        // A step with interrupts held keeps an injected one pending; one that takes them lets its handler run.
        await client.breakOn();
        await client.evaluate(`inject ${vector} cpu${to}`, thread);
        await client.request("apicscope/step", {
          threadId: thread,
          kind: "over",
          granularity: "instruction",
          interrupts: "held",
          others: "hold",
        });
        assert.equal((await client.stop()).reason, "step");
        assert.match(await client.evaluate("lapic.irr", thread), new RegExp(vector));
        await client.breakOn({ filterId: "interrupt.deliver", condition: `vector == ${vector} && source == "debugger"` });
        assert.match((await client.continue(thread)).text ?? "", /delivered$/);
        // What the kernel writes next to the local APIC's timer, on either CPU.
        await client.breakOn();
        await client.evaluate("watch lapic.tmict", 1);
        assert.equal((await client.continue(thread)).reason, "data breakpoint");
      }),
  );
});
