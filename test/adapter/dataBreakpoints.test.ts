// Data breakpoints over the protocol: on variables, addresses, ports and registers, with conditions and hit conditions, on every engine.
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import type { DebugProtocol } from "@vscode/debugprotocol";
import { codeBase, codeImage, smpGuest, temporaryFolder, withClient, suiteServer, type Client } from "./harness";
import { Transcript } from "./transcript";

type Info = DebugProtocol.DataBreakpointInfoResponse["body"];

describe("data breakpoints", { timeout: 720_000 }, () => {
  const server = suiteServer();
  const files = temporaryFolder();
  after(files.remove);

  const info = async (client: Client, args: object): Promise<Info> => (await client.ask("dataBreakpointInfo", args)) as Info;
  const watch = async (client: Client, ...breakpoints: object[]): Promise<DebugProtocol.Breakpoint[]> =>
    ((await client.ask("setDataBreakpoints", { breakpoints })) as DebugProtocol.SetDataBreakpointsResponse["body"]).breakpoints;

  // 1: inc dword [0x101000]; mov eax, [0x101000]; cmp eax, 20; jb 1b; 2: jmp 2b
  const counting = codeImage(
    ...[0xff, 0x04, 0x25, 0x00, 0x10, 0x10, 0x00],
    ...[0x8b, 0x04, 0x25, 0x00, 0x10, 0x10, 0x00],
    ...[0x83, 0xf8, 20, 0x72, 0xed, 0xeb, 0xfe],
  );

  for (const engine of ["interpreter", "jit"]) {
    test(`on an address: kinds of access, conditions, hit conditions, ids (${engine})`, () =>
      withClient(async (client) => {
        const program = files.write(`counting-${engine}.elf`, counting);
        await client.launch({ program, cpus: 1, stopOnEntry: true, engine });
        await client.stop();
        const place = await info(client, { name: "0x101000", asAddress: true, bytes: 4 });
        assert.deepEqual(place, {
          dataId: "linear:0x101000:4",
          description: "4 bytes at 0x0000000000101000",
          accessTypes: ["read", "write", "readWrite"],
          canPersist: true,
        });
        const [breakpoint] = await watch(client, { dataId: place.dataId, accessType: "write" });
        assert.equal(breakpoint.verified, true);
        const first = await client.continue(1);
        assert.equal(first.reason, "data breakpoint");
        assert.deepEqual(first.hitBreakpointIds, [breakpoint.id]);
        assert.equal(first.text, "CPU 0 wrote 4 bytes at 0x0000000000101000: 0x0 -> 0x1 at 0x100000");
        assert.equal(await client.pc(1), codeBase + 7n);
        await watch(client, { dataId: place.dataId, accessType: "read" });
        // The increment reads too.
        assert.equal((await client.continue(1)).text, "CPU 0 read 4 bytes at 0x0000000000101000: 0x1 at 0x100007");
        assert.equal((await client.continue(1)).text, "CPU 0 read 4 bytes at 0x0000000000101000: 0x1 at 0x100000");
        await watch(client, { dataId: place.dataId, accessType: "readWrite", condition: 'value == 9 && access == "write"' });
        assert.match((await client.continue(1)).text ?? "", /0x8 -> 0x9/);
        await watch(client, { dataId: place.dataId, hitCondition: "3" });
        assert.match((await client.continue(1)).text ?? "", /0xb -> 0xc/);
        // The access of a read and a write by one instruction is one stop.
        await watch(client, { dataId: place.dataId, accessType: "readWrite" });
        assert.match((await client.continue(1)).text ?? "", /: 0xc at 0x100007$/);
        assert.match((await client.continue(1)).text ?? "", /read .*: 0xc at 0x100000; CPU 0 wrote .*: 0xc -> 0xd at 0x100000$/);
        await watch(client);
        await client.breakOn({ filterId: "guest.stuck" });
        assert.equal((await client.continue(1)).text, "The guest is stuck: no CPU can ever run again.");
        assert.equal(await client.evaluate("u32[0x101000]", 1), "0x14");
      }, server.port));
  }

  test("on variables, registers of the local APIC, control registers and MSRs of a scope", () =>
    withClient(async (client) => {
      await client.launch({ program: smpGuest, cpus: 2 }, () =>
        client.breakOn({ filterId: "interrupt.deliver", condition: "vector == 0xf0 && dst == 1" }),
      );
      await client.stop();
      await client.breakOn();
      const apic = (await client.scope(2, "Local APIC")).reference;
      const icr = await info(client, { variablesReference: apic, name: "ICR" });
      assert.deepEqual([icr.dataId, icr.description], ["apic:1:ICR", "ICR of the local APIC of CPU 1"]);
      const isr = await info(client, { variablesReference: apic, name: "ISR" });
      const [breakpoint] = await watch(client, { dataId: isr.dataId, accessType: "write" });
      const stop = await client.continue(2);
      assert.deepEqual(stop.hitBreakpointIds, [breakpoint.id]);
      assert.match(stop.text ?? "", /^ISR of the local APIC of CPU 1 changed: 0x1[0-9a-f]+ -> 0x0$/);
      assert.equal(await client.value(2, "Local APIC", "ISR"), "{}");
      const current = await info(client, { variablesReference: (await client.scope(1, "Local APIC")).reference, name: "TMCCT" });
      assert.deepEqual(current.accessTypes, ["read"]);
      const system = await client.scope(1, "System");
      const at = async (name: string, reference = system.reference): Promise<Info> => info(client, { variablesReference: reference, name });
      assert.equal((await at("CR3")).dataId, "control:0:3");
      const msrs = system.variables.find(({ name }) => name === "MSRs")?.variablesReference ?? 0;
      assert.equal((await at("IA32_LSTAR", msrs)).dataId, "msr:0:0xc0000082");
      const registers = (await client.scope(1, "Registers")).reference;
      const rax = await info(client, { variablesReference: registers, name: "RAX" }).catch(() => undefined);
      if (rax !== undefined) assert.equal(rax.dataId, null);
      assert.match((await info(client, { name: "1 + 1" })).description, /is a value and no place/);
      const frameId = (await client.stack(1))[0].id;
      assert.equal((await info(client, { name: "port 0x3f8", frameId })).dataId, "port:0x3f8:1");
      assert.equal((await info(client, { name: "phys 0xfee00300", bytes: 4 })).dataId, "physical:0xfee00300:4");
      const [sent] = await watch(client, { dataId: "apic:0:ICR", accessType: "write", condition: "(value & 0xff) == 0xf2" });
      const write = await client.continue(1);
      assert.deepEqual(write.hitBreakpointIds, [sent.id]);
      assert.match(write.text ?? "", /^CPU 0 wrote ICR of the local APIC of CPU 0: 0x[0-9a-f]+ -> 0x[0-9a-f]+ at \w+/);
      const wrong = await watch(
        client,
        { dataId: "linear:0x1000" },
        { dataId: "apic:7:TPR" },
        { dataId: "apic:0:TMCCT" },
        { dataId: "linear:0x1000:4", condition: "valve ==" },
        { dataId: "port:0xffff:2" },
      );
      assert.deepEqual(
        wrong.map(({ verified }) => verified),
        [false, false, false, false, false],
      );
      assert.match(wrong[2].message ?? "", /Only a read of TMCCT of the local APIC of CPU 0 can be seen, not a write/);
      const [odd] = await watch(client, { dataId: "linear:0x1000:4", accessType: "look" });
      assert.match(odd.message ?? "", /"accessType"/);
    }, server.port));

  test("hits of several CPUs are told apart; a restart keeps what is watched", () =>
    withClient(async (client) => {
      const program = files.write("counting.elf", counting);
      await client.launch({ program, cpus: 1, stopOnEntry: true });
      await client.stop();
      await watch(client, { dataId: "physical:0x101000:4", accessType: "write", condition: "value == 5" });
      assert.match((await client.continue(1)).text ?? "", /^CPU 0 wrote 4 bytes at physical 0x00101000: 0x4 -> 0x5/);
      await client.request("restart", {});
      assert.equal((await client.stop()).reason, "entry");
      assert.match((await client.continue(1)).text ?? "", /0x4 -> 0x5/);
    }, server.port));

  test("from the console", () =>
    withClient(async (client) => {
      await client.launch({ program: smpGuest, cpus: 2 }, () =>
        client.breakOn({ filterId: "interrupt.deliver", condition: "vector == 0xf0 && dst == 1" }),
      );
      await client.stop();
      await client.breakOn();
      const transcript = new Transcript("watch", client);
      for (const line of [
        "watch",
        "watch lapic.isr",
        "watch cpu0.lapic.icr write if (value & 0xff) == 0xf2",
        "watch u32[0x7f000] size 16 readWrite",
        "watch port 0x3f8",
        "watch msr 0x1b change",
        "watch cr3",
        "watch phys 0xfee00300 size 4",
        "watch rax",
        "watch lapic.nothing",
        "watch cr7",
        "watch lapic.tmcct",
        "unwatch 99",
        "unwatch 4",
        "unwatch",
        "watch lapic.isr change if cpu == 1",
      ])
        await transcript.say(line, 2);
      transcript.text((await client.continue(2)).text ?? "");
      await transcript.say("watch", 2);
      transcript.check();
    }, server.port));
});
