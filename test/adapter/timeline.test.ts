// The book of interrupts in pages: a client that asks again and again has every record as it ends.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { DebugProtocol } from "@vscode/debugprotocol";
import {
  TimelineColumn,
  timelineModes,
  timelineRequest,
  timelineRowLength,
  timelineSources,
  timelineStages,
  type TimelineArguments,
  type TimelinePage,
} from "../../src/adapter/timelineProtocol";
import { modes, sources, stages } from "../../src/apic/recordStore";
import { rowLength } from "../../src/debugger/records/timeline";
import { smpGuest, withClient, type Client } from "./harness";

const ipi = { filterId: "interrupt.deliver", condition: "vector == 0xf0 && dst == 1" };

async function page(client: Client, args: TimelineArguments = {}): Promise<TimelinePage> {
  const response = await client.request<DebugProtocol.Response>(timelineRequest, args);
  return response.body as TimelinePage;
}

function rowsOf({ rows }: TimelinePage): number[][] {
  const list: number[][] = [];
  for (let at = 0; at < rows.length; at += timelineRowLength) list.push(rows.slice(at, at + timelineRowLength));
  return list;
}

describe("apicscope/timeline", () => {
  test("names stages, sources and modes as the machine numbers them", () => {
    assert.deepEqual([...timelineStages], [...stages]);
    assert.deepEqual([...timelineSources], [...sources]);
    assert.deepEqual([...timelineModes], [...modes]);
    assert.equal(timelineRowLength, rowLength);
  });

  test("small pages, one after the other, bring what one large page brings", { timeout: 480_000 }, () =>
    withClient(async (client) => {
      await client.launch({ program: smpGuest, cpus: 4 }, () => client.breakOn(ipi));
      await client.stop();
      const whole = await page(client);
      assert.equal(whole.more, false);
      assert.equal(whole.running, false);
      assert.deepEqual(
        whole.cpus.map(({ index }) => index),
        [0, 1, 2, 3],
      );
      const pieces = new Map<number, number[]>();
      let point: TimelinePage["point"] | undefined;
      for (let more = true; more;) {
        const piece = await page(client, { limit: 3, ...(point === undefined ? {} : { since: point }) });
        assert.equal(piece.restarted, false);
        for (const row of rowsOf(piece)) pieces.set(row[TimelineColumn.id], row);
        ({ point, more } = piece);
      }
      const byId = (list: number[][]): number[][] => list.sort((a, b) => a[0] - b[0]);
      const stagesOnly = (row: number[]): number[] => [row[0], ...row.slice(TimelineColumn.stages)];
      assert.deepEqual(byId([...pieces.values()]).map(stagesOnly), byId(rowsOf(whole)).map(stagesOnly));
      assert.deepEqual(point, whole.point);
      assert.deepEqual((await page(client, { since: whole.point })).rows, []);

      // The IPI at hand: sent by code with a name, its handler known, not ended yet.
      const last = rowsOf(whole).find((row) => row[TimelineColumn.vector] === 0xf0 && row[TimelineColumn.target] === 1) ?? [];
      assert.equal(timelineSources[last[TimelineColumn.source]], "ipi");
      assert.equal(last[TimelineColumn.sender], 0);
      const sent = whole.places[last[TimelineColumn.sentAt] - 1];
      assert.match(sent.symbol ?? "", /^apic_/);
      assert.match(sent.file ?? "", /apic\.c$/);
      assert.ok(last[TimelineColumn.handler] > 0);
      const eoi = TimelineColumn.stages + 2 * timelineStages.indexOf("eoi");
      assert.equal(last[eoi], -1);

      // After its end the same row comes again, with the rest of its life.
      await client.breakOn({ filterId: "interrupt.eoi", condition: "vector == 0xf0 && dst == 1" });
      await client.continue(2);
      const later = await page(client, { since: whole.point });
      const ended = rowsOf(later).find((row) => row[0] === last[0]) ?? [];
      assert.ok(ended[eoi] > last[TimelineColumn.stages]);
      assert.ok(ended[TimelineColumn.endedAt] > 0);
    }),
  );

  test("a point of another course makes it begin anew, and says so", { timeout: 480_000 }, () =>
    withClient(async (client) => {
      await client.launch({ program: smpGuest, cpus: 2 }, () => client.breakOn({ ...ipi }));
      await client.stop();
      const { point } = await page(client);
      const other = await page(client, { since: { sequence: point.sequence, digest: (point.digest ^ 1) >>> 0 } });
      assert.equal(other.restarted, true);
      assert.equal(rowsOf(other).length, rowsOf(await page(client)).length);
      assert.equal((await page(client, { since: { sequence: point.sequence + 1_000_000, digest: 5 } })).restarted, true);
      assert.match(await client.refused(timelineRequest, { since: { sequence: -1 } }), /"sequence"/);
      assert.match(await client.refused(timelineRequest, { limit: 1e9 }), /"limit"/);
    }),
  );
});
