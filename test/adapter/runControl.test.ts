// Run control of several CPUs over the protocol: freezing, steps with interrupts held, taken or entered, schedules, IPIs held back.
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { codeImage, smpGuest, temporaryFolder, withClient, suiteServer, type Client } from "./harness";
import { Transcript } from "./transcript";

interface State {
  frozenThreads: number[];
  stepping: { others: string; interrupts: string };
  schedule: { quantum: number; seed: number };
  delays: { id: number; vector?: number; instructions: number }[];
}

interface RecordData {
  delay?: number;
  stages: { stage: string; instruction: number }[];
}

describe("run control", { timeout: 480_000 }, () => {
  const server = suiteServer();
  const files = temporaryFolder();
  after(files.remove);

  const ask = async (client: Client, command: string, args: object = {}): Promise<State> => (await client.ask(command, args)) as State;
  const records = async (client: Client, query: string): Promise<RecordData[]> => (await client.data(`records ${query}`)) as RecordData[];
  const pcs = async (client: Client, threads: number): Promise<bigint[]> => {
    const list: bigint[] = [];
    for (let thread = 1; thread <= threads; thread++) list.push(await client.pc(thread));
    return list;
  };

  async function atDelivery(client: Client, cpus: number): Promise<void> {
    await client.launch({ program: smpGuest, cpus }, () =>
      client.breakOn({ filterId: "interrupt.deliver", condition: "vector == 0xf0 && dst == 1" }),
    );
    await client.stop();
    await client.breakOn();
  }

  test("CPUs are frozen, let go, or left to run alone; threads and events tell so", () =>
    withClient(async (client) => {
      await atDelivery(client, 3);
      assert.deepEqual((await ask(client, "apicscope/freeze", { threadIds: [1, 3] })).frozenThreads, [1, 3]);
      const told = (await client.next("apicscope/runControlChanged")) as State;
      assert.deepEqual(told.frozenThreads, [1, 3]);
      assert.deepEqual(
        (await client.threadNames()).map((name) => name.includes("frozen")),
        [true, false, true],
      );
      const still = await pcs(client, 3);
      await client.step("next", 2, "instruction");
      const stepped = await pcs(client, 3);
      assert.deepEqual([stepped[0], stepped[2]], [still[0], still[2]]);
      assert.notEqual(stepped[1], still[1]);
      // A step moves a frozen CPU, and leaves it and the other one frozen.
      await client.request("next", { threadId: 1, granularity: "instruction", singleThread: true });
      await client.stop();
      const alone = await pcs(client, 3);
      assert.notEqual(alone[0], stepped[0]);
      assert.deepEqual(alone.slice(1), stepped.slice(1));
      assert.deepEqual((await ask(client, "apicscope/runControl")).frozenThreads, [1, 3]);
      await ask(client, "apicscope/freeze", { threadId: 2 });
      assert.match(await client.refused("continue", { threadId: 2 }), /All CPUs are frozen/);
      assert.match(await client.refused("apicscope/freeze", { threadIds: [4] }), /each a thread's id from 1 to 3 .*, not \[4\]/);
      assert.match(await client.refused("apicscope/runOnly", { threadIds: [] }), /"threadIds" names no thread: one at least has to run/);
      assert.match(await client.refused("apicscope/freeze", {}), /"threadId" or "threadIds"/);
      assert.deepEqual((await ask(client, "apicscope/runOnly", { threadIds: [1, 2] })).frozenThreads, [3]);
      const frozen = await client.pc(3);
      const { allThreadsContinued } = (await client.dap.continueRequest({ threadId: 1 })).body;
      assert.equal(allThreadsContinued, false);
      assert.deepEqual(await client.next("continued"), { threadId: 2, allThreadsContinued: false });
      await client.request("pause", { threadId: 1 });
      assert.equal((await client.stop()).allThreadsStopped, true);
      assert.equal(await client.pc(3), frozen);
      assert.deepEqual((await ask(client, "apicscope/unfreeze")).frozenThreads, []);
      assert.equal((await client.dap.continueRequest({ threadId: 1 })).body.allThreadsContinued, true);
    }, server.port));

  test("CPUs that wait for frozen ones stop, and the guest is not taken for dead", () =>
    withClient(async (client) => {
      // cli; hlt
      const program = files.write("asleep.elf", codeImage(0xfa, 0xf4, 0xeb, 0xfd));
      await client.launch({ program, cpus: 2, stopOnEntry: true });
      await client.stop();
      await ask(client, "apicscope/freeze", { threadId: 2 });
      const stop = await client.continue(1);
      assert.equal(stop.text, "No CPU can go on while others are frozen");
      const instruction = async (): Promise<unknown> => await client.ask("apicscope/progress");
      const there = await instruction();
      // The person lets it go on; on the way back it is a stop as it was then.
      await ask(client, "apicscope/unfreeze");
      await client.breakOn({ filterId: "nmi" });
      await client.evaluate("rflags = rflags | 0x200", 1);
      await client.evaluate("inject nmi cpu0", 1);
      assert.match((await client.continue(1)).text ?? "", /NMI/);
      await client.request("reverseContinue", { threadId: 1 });
      assert.equal((await client.stop()).text, stop.text);
      assert.deepEqual(await instruction(), there);
      assert.match((await client.continue(1)).text ?? "", /NMI/);
    }, server.port));

  /** Stops where the self-IPI 0xf2 is due before the next instruction. */
  async function beforeInterrupt(client: Client): Promise<void> {
    await client.launch({ program: smpGuest, cpus: 1 }, () =>
      client.breakOn({ filterId: "interrupt.accept", condition: "vector == 0xf2 && cpu == 0" }),
    );
    await client.stop();
    await client.breakOn();
    for (let i = 0; i < 40 && (await client.evaluate("rflags & 0x200", 1)) === "0x0"; i++) await client.step("next", 1, "instruction");
    // The shadow of STI.
    await client.step("next", 1, "instruction");
    assert.equal(await client.evaluate("lapic.irr", 1), "{0xf2}");
  }
  const inHandler = async (client: Client): Promise<boolean> => (await client.value(1, "Local APIC", "ISR")) === "{0xf2}";

  test("interrupts of the stepped CPU are held", () =>
    withClient(async (client) => {
      await beforeInterrupt(client);
      await ask(client, "apicscope/setStepping", { interrupts: "held" });
      for (const command of ["next", "stepIn", "next"] as const) {
        const pc = await client.pc(1);
        await client.step(command, 1, "instruction");
        assert.notEqual(await client.pc(1), pc);
        assert.equal(await client.evaluate("lapic.irr", 1), "{0xf2}");
      }
      // What was held is taken as soon as the CPU runs freely.
      await client.breakOn({ filterId: "interrupt.deliver", condition: "vector == 0xf2" });
      await client.continue(1);
      assert.ok(await inHandler(client));
    }, server.port));

  test("a step ends in the interrupt's handler, by its own choice alone", () =>
    withClient(async (client) => {
      await beforeInterrupt(client);
      await ask(client, "apicscope/setStepping", { interrupts: "taken" });
      await client.request("apicscope/step", { threadId: 1, kind: "over", granularity: "instruction", interrupts: "into" });
      await client.stop();
      assert.ok(await inHandler(client));
      assert.match((await client.stack(1))[0].source?.name ?? "", /idt_entry/);
      assert.equal((await ask(client, "apicscope/runControl")).stepping.interrupts, "taken");
      assert.match(await client.refused("apicscope/setStepping", { interrupts: "no" }), /must be one of "auto", "taken", "held", "into"/);
      assert.match(await client.refused("apicscope/step", { threadId: 1 }), /"kind" is missing/);
    }, server.port));

  test("a step into by instruction runs interrupts through, if they are to be taken", () =>
    withClient(async (client) => {
      await beforeInterrupt(client);
      await ask(client, "apicscope/setStepping", { interrupts: "taken" });
      const pc = await client.pc(1);
      await client.step("stepIn", 1, "instruction");
      assert.equal(await client.value(1, "Local APIC", "IRR"), "{}");
      assert.ok(!(await inHandler(client)));
      assert.notEqual(await client.pc(1), pc);
    }, server.port));

  test("an IPI is held back, and its record tells for how long", () =>
    withClient(async (client) => {
      await atDelivery(client, 2);
      const { body } = (await client.request("apicscope/delayIpi", { instructions: 500, vector: 0xf0, dst: 1 })) as { body: object };
      assert.deepEqual(body, { id: 1 });
      assert.deepEqual((await ask(client, "apicscope/runControl")).delays, [{ id: 1, instructions: 500, vector: 0xf0, dst: 1 }]);
      await client.breakOn({ filterId: "interrupt.accept", condition: "vector == 0xf0 && dst == 1" });
      await client.continue(1);
      const [record] = await records(client, "vector 0xf0 cpu1 last 1");
      const at = (stage: string): number => record.stages.find((stamp) => stamp.stage === stage)?.instruction ?? NaN;
      assert.equal(record.delay, 500);
      assert.equal(at("accept") - at("send"), 500);
      assert.deepEqual((await ask(client, "apicscope/runControl")).delays, []);
      await client.request("apicscope/delayIpi", { instructions: 7 });
      assert.match(await client.refused("apicscope/cancelDelays", { ids: [9] }), /No delay 9/);
      assert.deepEqual((await ask(client, "apicscope/cancelDelays", { ids: [2] })).delays, []);
      assert.match(await client.refused("apicscope/delayIpi", { instructions: 1, mode: "quick" }), /must be one of "fixed"/);
    }, server.port));

  test("a schedule decides how CPUs share the time: turns, instruction by instruction, at random from a seed", () =>
    withClient(async (client) => {
      const attributes = { program: smpGuest, cpus: 2, stopOnEntry: true };
      await client.launch(attributes, () => client.breakOn({ filterId: "interrupt.deliver", condition: "vector == 0xf1 && dst == 1" }));
      await client.stop();
      const run = async (schedule: object): Promise<string> => {
        assert.deepEqual((await ask(client, "apicscope/setSchedule", schedule)).schedule, { seed: 0, ...schedule });
        await client.continue(1);
        const { instruction } = (await client.ask("apicscope/progress")) as { instruction: string };
        await client.request("restart", { arguments: attributes });
        await client.stop();
        return instruction;
      };
      const [turns, interleaved, seven, eight] = [
        await run({ quantum: 10_000 }),
        await run({ quantum: 1 }),
        await run({ quantum: 100, seed: 7 }),
        await run({ quantum: 100, seed: 8 }),
      ];
      assert.equal(new Set([turns, interleaved, seven, eight]).size, 4, `${turns} ${interleaved} ${seven} ${eight}`);
      assert.equal(await run({ quantum: 100, seed: 7 }), seven);
    }, server.port));

  test("the console's commands for all of it", () =>
    withClient(async (client) => {
      await atDelivery(client, 3);
      const transcript = new Transcript("run-control", client);
      for (const line of [
        "freeze cpu0 cpu2",
        "freeze cpu7",
        "unfreeze cpu2",
        "only cpu1",
        "unfreeze",
        "stepping",
        "stepping others hold interrupts held",
        "stepping interrupts never",
        "stepping others run interrupts auto",
        "schedule",
        "schedule interleave",
        "schedule quantum 100 seed 7",
        "schedule quantum 0",
        "schedule seed 0 quantum 10000",
        "delay 500 vector 0xf0 src cpu0 dst cpu1",
        "delay 20 mode init",
        "delay list",
        "delay cancel 1",
        "delay cancel",
        "delay 0",
        "help delay",
      ])
        await transcript.say(line, 2);
      transcript.check();
    }, server.port));
});
