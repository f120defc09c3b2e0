// The debugger over the protocol on a kernel that was not made for it: Debian's, on two CPUs, from its first instruction to the IPIs that bring its CPUs together.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, test } from "node:test";
import type { DebugProtocol } from "@vscode/debugprotocol";
import { temporaryFolder, withClient } from "../adapter/harness";
import { initramfs, kernelFile, missing } from "./linux";
import { moduleFolder } from "./modules";

describe("the debugger on Linux", { skip: missing("cloud-amd64") }, () => {
  test(
    "bring-up, an IPI's life and its stack, why, doctor, records, data, injection, stepping with interrupts, and back again",
    { timeout: 800_000 },
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

  test("symbols of /proc/kallsyms follow the kernel to where it chose to lie", { timeout: 800_000 }, () =>
    withClient(async (client) => {
      const files = temporaryFolder();
      try {
        const program = resolve(kernelFile("cloud-amd64"));
        const wanted =
          "idt_table|entry_SYSCALL_64|early_idt_handler_array|asm_exc_[a-z_]*|_text|start_secondary|native_send_call_func_single_ipi|__per_cpu_(start|end|load|offset)|this_cpu_off|cpu_number";
        const init = [
          "#!/bin/busybox sh",
          "/bin/busybox mkdir -p /proc",
          "/bin/busybox mount -t proc proc /proc",
          `/bin/busybox grep -E ' (${wanted})$' /proc/kallsyms`,
          "/bin/busybox echo == end",
          "/bin/busybox poweroff -f",
        ];
        const initrd = files.write("initramfs", initramfs(`${init.join("\n")}\n`));
        const cmdline = "console=ttyS0 quiet panic=-1";
        await client.launch({ program, initrd, cmdline: `${cmdline} nokaslr`, cpus: 2, memory: 256 });
        await client.next("exited");
        const lines = client.output("stdout").match(/^[0-9a-f]{16} [A-Za-z] \w+/gm) ?? [];
        assert.ok(lines.length > 10, client.output().slice(-2000));
        const map = files.write("System.map", `${lines.join("\n")}\n`);
        const linked = BigInt(`0x${lines.find((line) => line.endsWith(" start_secondary"))?.slice(0, 16) ?? "0"}`);
        await withClient(async (moved) => {
          await moved.launch({ program, cmdline, cpus: 2, memory: 512, serial: "none", symbols: [map] }, () =>
            moved.dap.setFunctionBreakpointsRequest({ breakpoints: [{ name: "start_secondary" }] }),
          );
          const stop = await moved.stop();
          assert.deepEqual([stop.reason, stop.threadId], ["function breakpoint", 2]);
          const [, slide] = /lies (-?0x[0-9a-f]+) from where it was linked \(KASLR\)/.exec(moved.output("console")) ?? [];
          assert.ok(slide !== undefined, moved.output("console"));
          assert.notEqual(BigInt(slide), 0n);
          assert.equal(await moved.pc(2), linked + BigInt(slide));
          assert.equal((await moved.stack(2))[0].name, "start_secondary");
          // Each CPU's own copy of a variable by its plain name, which KASLR does not move.
          for (const [threadId, number] of [
            [1, "0x0"],
            [2, "0x1"],
          ] as const)
            assert.equal(await moved.evaluate("u32[cpu_number]", threadId), number);
          assert.equal(await moved.evaluate("u32[cpu1.cpu_number]", 1), "0x1");
        });
      } finally {
        files.remove();
      }
    }),
  );

  test("a kernel module's file follows it to where the kernel loads it", { timeout: 400_000 }, () =>
    withClient(async (client) => {
      const files = temporaryFolder();
      try {
        const program = resolve(kernelFile("cloud-amd64"));
        const file = resolve(moduleFolder("cloud-amd64"), "cdrom.ko");
        const init = [
          "#!/bin/busybox sh",
          "/bin/busybox mkdir -p /proc /sys",
          "/bin/busybox mount -t proc proc /proc",
          "/bin/busybox mount -t sysfs sys /sys",
          "/bin/busybox grep -E ' (modules|do_init_module|free_module)$' /proc/kallsyms",
          "/bin/busybox insmod /cdrom.ko",
          "/bin/busybox sed 's/^/text /' /sys/module/cdrom/sections/.text",
          "/bin/busybox poweroff -f",
        ];
        const initrd = files.write("initramfs", initramfs(`${init.join("\n")}\n`, [{ name: "cdrom.ko", bytes: readFileSync(file) }]));
        const launch = { program, initrd, cmdline: "console=ttyS0 quiet panic=-1 nokaslr", cpus: 1, memory: 256 };
        await client.launch(launch);
        await client.next("exited");
        const lines = client.output("stdout").match(/^[0-9a-f]{16} [A-Za-z] \w+/gm) ?? [];
        const text = /^text (0x[0-9a-f]+)/m.exec(client.output("stdout"))?.[1];
        assert.ok(lines.length === 3 && text !== undefined, client.output().slice(-2000));
        const map = files.write("System.map", `${lines.join("\n")}\n`);
        await withClient(async (second) => {
          await second.launch({ ...launch, symbols: [map, file] }, () =>
            second.dap.setFunctionBreakpointsRequest({ breakpoints: [{ name: "cdrom_init" }] }),
          );
          const stop = await second.stop();
          assert.equal(stop.reason, "function breakpoint");
          // Modules give their first function a second name.
          assert.match((await second.stack(1))[0].name, /^(cdrom_init|init_module)$/);
          // The same run again, so that the kernel itself says where the code is.
          const { module } = (await second.next("module")) as DebugProtocol.ModuleEvent["body"];
          assert.match(module.addressRange ?? "", new RegExp(`\\.text ${text}\\b`));
        });
      } finally {
        files.remove();
      }
    }),
  );
});
