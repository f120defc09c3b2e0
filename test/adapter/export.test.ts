// Interrupt records for other programs: files and pages, in both formats, with the senders' stacks; and how many are kept.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { smpGuest, withClient, type Client } from "./harness";
import { Transcript } from "./transcript";

interface Exported {
  body: { records: number; text?: string; file?: string; next?: number };
}
interface RecordLine {
  id: number;
  source: string;
  vector: number;
  mode: string;
  senderStack?: string[];
  stages: { stage: string; rip: string; instruction: number }[];
}

const exported = async (client: Client, args: object): Promise<Exported["body"]> =>
  ((await client.request("apicscope/exportRecords", args)) as unknown as Exported).body;
const parse = (text: string): RecordLine[] =>
  text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as RecordLine);

async function atFirstIpi(client: Client, attributes: object = {}): Promise<void> {
  await client.launch({ program: smpGuest, cpus: 4, ...attributes }, async () => {
    await client.breakOn({ filterId: "interrupt.deliver", condition: "vector == 0xf0 && dst == 3" });
  });
  await client.stop();
}

describe("export of interrupt records", { timeout: 960_000 }, () => {
  let folder = "";
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "apicscope-export-"));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  test("a file of JSON lines has every record with its stages and the stack of its sender", () =>
    withClient(async (client) => {
      await atFirstIpi(client);
      const file = join(folder, "records.jsonl");
      const { records } = await exported(client, { file });
      const lines = parse(readFileSync(file, "utf8"));
      assert.equal(lines.length, records);
      assert.deepEqual(
        lines.map((line) => line.id),
        lines.map((_line, index) => index + 1),
      );
      const ipi = lines.find((line) => line.vector === 0xf0 && line.source === "ipi");
      assert.ok(ipi !== undefined);
      assert.deepEqual(ipi.stages.map((stamp) => stamp.stage).slice(0, 4), ["send", "accept", "request", "deliver"]);
      assert.match(ipi.stages[0].rip, /^0x[0-9a-f]+$/);
      const stack = (ipi.senderStack ?? []).join(" | ");
      assert.match(stack, /^apic_write.*\| .*main/, `the stack leads to main: ${stack}`);
    }));

  test("pages of both formats make up the file", () =>
    withClient(async (client) => {
      await atFirstIpi(client);
      for (const [format, name] of [
        ["json", "a.txt"],
        ["perfetto", "a.json"],
      ]) {
        const file = join(folder, name);
        await exported(client, { file, format });
        let text = "";
        let next: number | undefined = 0;
        while (next !== undefined) {
          const page: Exported["body"] = await exported(client, { format, after: next });
          text += page.text ?? "";
          next = page.next;
        }
        assert.equal(text, readFileSync(file, "utf8"));
      }
      const trace = JSON.parse(readFileSync(join(folder, "a.json"), "utf8")) as { traceEvents: { ph: string; name: string }[] };
      assert.ok(
        trace.traceEvents.some((event) => event.ph === "s") && trace.traceEvents.some((event) => event.ph === "f"),
        "arrows of IPIs",
      );
      assert.equal(trace.traceEvents.filter((event) => event.name === "thread_name").length, 5);
    }));

  test("a query chooses, mistakes are named, the console exports, and the oldest records are forgotten", () =>
    withClient(async (client) => {
      assert.match(
        await client.refused("launch", { program: smpGuest, interruptRecords: 10 }),
        /"interruptRecords" must be a whole number from 64 to 1000000 \(records\), not 10/,
      );
      await atFirstIpi(client, { interruptRecords: 64 });
      const sipis = parse((await exported(client, { mode: "sipi" })).text ?? "");
      assert.ok(sipis.length >= 3 && sipis.every((line) => line.mode === "sipi"));
      const last = parse((await exported(client, { last: 2 })).text ?? "");
      const all = parse((await exported(client, {})).text ?? "");
      assert.deepEqual(
        last.map((line) => line.id),
        all.slice(-2).map((line) => line.id),
      );
      assert.match(
        await client.refused("apicscope/exportRecords", { format: "xml" }),
        /"format" must be one of "json", "perfetto", not "xml"/,
      );
      assert.match(await client.refused("apicscope/exportRecords", { stage: "sent" }), /"stage" must be one of "send", "accept"/);
      assert.match(await client.refused("apicscope/exportRecords", { file: folder }), /cannot be written/);
      const transcript = new Transcript("export", client);
      const file = join(folder, "console.json");
      assert.match(await client.evaluate(`export ${file} ipi`, 4), /^\d+ interrupts written to /);
      JSON.parse(readFileSync(file, "utf8"));
      await transcript.say("record 16", 4);
      await transcript.say("export", 4);
      await transcript.say("help export", 4);
      for (let i = 0; i < 70; i++) await client.request("apicscope/command", { command: "inject 0x55 cpu1", threadId: 2 });
      await transcript.say("record 1", 4);
      assert.equal((await client.evaluate("records last 1000", 4)).split("\n").length, 64);
      transcript.check();
    }));
});
