// The machine explains itself: a block through its stages, an interrupt's way through the emulator, the loop's decisions; and what expressions can say.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { smpGuest, withClient, type Client } from "./harness";
import { Transcript } from "./transcript";

interface Document {
  body: { title: string; text: string; data: unknown };
}
const ask = async (client: Client, request: string, args: object): Promise<Document["body"]> =>
  ((await client.request(request, args)) as unknown as Document).body;

describe("the machine explains itself", { timeout: 640_000 }, () => {
  test("a block: guest code, ops, what is left out of them, WebAssembly", () =>
    withClient(async (client) => {
      await client.launch({ program: smpGuest, cpus: 4 }, async () => {
        await client.breakOn({ filterId: "interrupt.deliver", condition: "vector == 0xf0 && dst == 1" });
      });
      await client.stop();
      const transcript = new Transcript("block", client);
      const { title, text } = await ask(client, "apicscope/explainBlock", {
        address: await client.evaluate("apic_write,x", 1),
        threadId: 1,
      });
      assert.match(title, /^Block at 0x/);
      // Which registers and displacements a compiler chose is the guest's; what each part is, is not.
      assert.match(text, /^Block at 0x[0-9a-f]+ <apic_write>, physical 0x[0-9a-f]+: \d+ instructions in \d+ bytes, \d+ ops$/m);
      assert.match(text, /in the interpreter of ops now/);
      assert.match(text, /^ {2}0x[0-9a-f]{16} {2}\S+/m);
      assert.match(text, /^ {4}(ld|st|add|sub|mov|lea)\S* /m);
      const more: string[] = [];
      for (const name of ["interrupt_dispatch", "interrupt_entry", "main", "run_tests", "icr_write", "idt_init", "start64"])
        more.push(await client.evaluate(`block ${name}`, 1).catch(() => ""));
      assert.match(more.join("\n"), /flags: nobody looks at them/);
      assert.match(more.join("\n"), /called in place/);
      assert.match(text, /^WebAssembly, \d+ bytes:$/m);
      assert.match(text, /^\(local i32 x \d+/m);
      assert.match(text, /return_call \$run/);
      transcript.note("what cannot be explained");
      await transcript.say("block 0x7fff00000000", 1);
      await transcript.say("help block", 1);
      transcript.note("decisions");
      await transcript.say("decisions", 1);
      await transcript.say("decisions on", 1);
      await client.step("next", 1, "line");
      const decisions = await client.evaluate("decisions cpu0", 1);
      assert.match(decisions, /^ +\d+ {2}0x[0-9a-f]{16}.*(budget|lookup|chain|helper \w+|event|stop): /m, decisions);
      await transcript.say("decisions off", 1);
      await transcript.say("decisions", 1);
      transcript.note("the way of an IPI, and of one that was lost");
      const path = await ask(client, "apicscope/explainRecord", { id: 16 });
      transcript.text(path.text);
      assert.deepEqual(
        (path.data as { stage?: string }[]).map((step) => step.stage).filter((stage) => stage !== undefined && stage !== null),
        ["send", "accept", "request", "deliver", "eoi", "return"],
      );
      const dropped = /^ *(\d+) /m.exec(await client.evaluate("records drop last 1", 1))?.[1];
      if (dropped !== undefined) await transcript.say(`path ${dropped}`, 1);
      assert.match(await client.refused("apicscope/explainRecord", { id: 99_999 }), /no interrupt 99999/);
      transcript.check();
    }));

  test("the way of interrupts from every source, with the registers of then", () =>
    withClient(async (client) => {
      await client.launch({ program: smpGuest, cpus: 2 }, () => client.breakOn({ filterId: "guest.end" }));
      await client.stop();
      const transcript = new Transcript("path", client);
      for (const query of ["ioapic", "timer", "msi", "nmi", "init", "pic", "lowpri"]) {
        const [record] = (await client.data(`records ${query} last 1`, 1)) as { id: number; stages: { stage: string }[] }[];
        transcript.note(`the last of: records ${query}`);
        const text = await transcript.say(`path ${record.id}`);
        assert.doesNotMatch(text, /undefined|NaN/);
        // Everything that happened to it is told, in order.
        const told = [...text.matchAll(/event: (\w+)/g)].map(([, stage]) => stage);
        assert.deepEqual(
          told,
          record.stages.map(({ stage }) => stage),
        );
      }
      transcript.check();
    }));

  test("a hot block is shown as it is generated, with the blocks around it", () =>
    withClient(async (client) => {
      await client.launch({ program: smpGuest, cpus: 2, engine: "jit" }, async () => {
        await client.breakOn({ filterId: "interrupt.deliver", condition: "vector == 0x20 && count == 5" });
      });
      const stop = await client.stop();
      const thread = stop.threadId ?? 1;
      // Of the code that was interrupted some is hot: it was waiting.
      const frames = await client.stack(thread);
      const texts: string[] = [];
      for (const { instructionPointerReference: address } of frames.slice(1))
        if (address !== undefined)
          texts.push(
            await ask(client, "apicscope/explainBlock", { address, threadId: thread }).then(
              ({ text }) => text,
              () => "",
            ),
          );
      assert.ok(
        texts.some((text) => text.includes("WebAssembly")),
        texts.map((text) => text.slice(0, 200)).join("\n"),
      );
    }));

  test("expressions: registers of any CPU, symbols, memory of any width, physical memory, types, completions, hovers", () =>
    withClient(async (client) => {
      await client.launch({ program: smpGuest, cpus: 4 }, async () => {
        await client.request("setFunctionBreakpoints", { breakpoints: [{ name: "interrupt_dispatch" }] });
      });
      const stop = await client.stop();
      const thread = stop.threadId ?? 1;
      const transcript = new Transcript("expressions", client);
      const same = async (left: string, right: string): Promise<void> =>
        assert.equal(await client.evaluate(left, thread), await client.evaluate(right, thread), `${left} and ${right}`);
      await same("cpu0.rip", "$rip");
      await same("u32[&apic_write]", "*(u32 *)&apic_write");
      await same("mem16($rip)", "u16[$rip]");
      await same("s8[$rip]", "(s8)u8[$rip]");
      await client.evaluate("u32[$rsp - 0x200] = 0x12345678", thread);
      assert.match(await client.evaluate("u32[$rsp - 0x200]", thread), /^0x12345678/);
      assert.match(await client.evaluate("pages $rip", thread), /0x/);
      assert.match(await client.evaluate("phys8(0x100000) == phys8(0x100000)", thread), /^(1|0x1|true)/);
      await transcript.say("phys32(0xfffffffffffff)", thread);
      await transcript.say("phys32(0x1000) = 1", thread);
      await transcript.say("cpu9.rip", thread);
      await transcript.say("frame->vector,d", thread);
      await transcript.say("sizeof(frame)", thread);
      await transcript.say("rax ==", thread);
      transcript.check();
      const help = await client.evaluate("help", thread);
      for (const part of ["cpu1.rip", "*(u32 *)0x1000", "phys32(", "(struct node *)rdi", "rax,d", "block", "path", "decisions", "export"])
        assert.ok(help.includes(part), `help says nothing of ${part}`);
      const complete = async (text: string): Promise<string[]> => {
        const frameId = (await client.stack(thread))[0].id;
        return (await client.dap.completionsRequest({ text, column: text.length + 1, frameId })).body.targets.map((target) => target.label);
      };
      assert.ok((await complete("frame->vec")).includes("frame->vector"));
      assert.ok((await complete("1 + cpu1.ri")).includes("cpu1.rip"));
      assert.ok((await complete("apic_wr")).includes("apic_write"));
      assert.ok((await complete("phys1")).includes("phys16("));
      assert.ok((await complete("lapic.tp")).includes("lapic.tpr"));
      assert.deepEqual(await complete("help bl"), ["block"]);
      // A hover is an evaluation that changes nothing.
      assert.match(await client.evaluate("frame->vector", thread, "hover"), /\d/);
    }));
});
