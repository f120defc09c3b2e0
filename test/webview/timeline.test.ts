// The timeline's data without a browser: what is kept, filtered, laid out, counted and exported.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseVectors, showAll, shownRows } from "../../src/webview/timeline/filter";
import { barAt, buildGeometry } from "../../src/webview/timeline/lanes";
import { perfettoText } from "../../src/webview/timeline/perfetto";
import { firstAtLeast } from "../../src/webview/timeline/search";
import { percentile, statistics } from "../../src/webview/timeline/statistics";
import { TimelineStore } from "../../src/webview/timeline/store";
import { clearer } from "../../src/webview/timeline/colours";
import { fit, pan, reveal, tickStep, zoom } from "../../src/webview/timeline/viewport";
import { describeRow, latencyOf, lengthText, momentText, stateText } from "../../src/webview/timeline/words";
import { busyRows, pageOf, type Row } from "./pages";

function storeOf(rows: readonly Row[], limit?: number): TimelineStore {
  const store = new TimelineStore(limit);
  store.take(pageOf(rows));
  return store;
}

const whole = (store: TimelineStore): Int32Array => shownRows(store, showAll);

describe("the store", () => {
  test("a row that comes again replaces itself, and places keep their meaning across pages", () => {
    const store = new TimelineStore();
    const [here, there] = [
      { address: "0x10", symbol: "send" },
      { address: "0x20", symbol: "handler" },
    ];
    store.take(pageOf([{ id: 1, sentAt: 1, stages: { send: 5 } }], { places: [here] }));
    store.take(
      pageOf(
        [
          { id: 2, sentAt: 2, handler: 1, stages: { send: 6 } },
          { id: 1, sentAt: 2, handler: 1, stages: { send: 5, accept: 5, deliver: 9 } },
        ],
        { places: [there, here] },
      ),
    );
    assert.equal(store.rows, 2);
    const row = store.find(1);
    assert.equal(store.place(row, "sentAt")?.symbol, "send");
    assert.equal(store.place(row, "handler")?.symbol, "handler");
    assert.equal(latencyOf(store, row, "instruction"), 4);
    assert.equal(store.places.length, 2);
  });

  test("another course begins anew", () => {
    const store = storeOf([{ id: 1, stages: { send: 5 } }]);
    store.take(pageOf([{ id: 1, stages: { send: 7 } }], { restarted: true }));
    assert.equal(store.rows, 1);
    assert.equal(store.stage(0, "send", "instruction"), 7);
  });

  test("the oldest go when there are too many, and are counted", () => {
    const store = storeOf(busyRows(1000), 400);
    assert.ok(store.rows <= 400);
    assert.equal(store.rows + store.forgotten, 1000);
    assert.equal(store.find(1), -1);
    assert.equal(store.stage(store.find(1000), "send", "instruction"), busyRows(1000)[999].stages.send);
  });

  test("what is kept as one page reads back the same", () => {
    const store = new TimelineStore();
    store.take(
      pageOf([{ id: 3, sentAt: 1, dropReason: 1, stages: { send: 5, drop: 5 } }], { places: [{ address: "0x10" }], reasons: ["masked"] }),
    );
    const copy = new TimelineStore();
    copy.take(JSON.parse(JSON.stringify(store.toPage())) as ReturnType<TimelineStore["toPage"]>);
    assert.deepEqual(copy.toPage(), store.toPage());
    assert.equal(stateText(copy, 0), "dropped: masked");
  });
});

describe("the filter", () => {
  test("reads vectors and ranges, and says what it cannot read", () => {
    assert.equal(parseVectors("  "), undefined);
    assert.deepEqual(parseVectors("0xf0, 32-34"), new Set([0xf0, 32, 33, 34]));
    for (const wrong of ["0x100", "5-3", "vector", "1e1", "-5", "300"])
      assert.match((parseVectors(wrong) as { problem: string }).problem, /is no vector or range/, wrong);
  });

  test("by vector and by CPU; what is for nobody counts for its sender", () => {
    const store = storeOf([
      { id: 1, vector: 0x20, target: 0, stages: { send: 1 } },
      { id: 2, vector: 0x21, target: 1, stages: { send: 2 } },
      { id: 3, vector: 0x20, target: -1, sender: 1, stages: { send: 3, drop: 3 } },
    ]);
    assert.deepEqual([...shownRows(store, { vectors: new Set([0x20]), hiddenCpus: new Set() })], [0, 2]);
    assert.deepEqual([...shownRows(store, { vectors: undefined, hiddenCpus: new Set([1]) })], [0]);
  });
});

describe("the geometry", () => {
  test("a handler that interrupts another lies above it", () => {
    const store = storeOf([
      { id: 1, stages: { send: 1, accept: 1, deliver: 10, eoi: 90, return: 100 } },
      { id: 2, stages: { send: 2, accept: 2, deliver: 20, eoi: 30, return: 40 } },
      { id: 3, stages: { send: 3, accept: 3, deliver: 50, eoi: 55, return: 60 } },
      { id: 4, stages: { send: 4, accept: 4, deliver: 100, eoi: 101, return: 120 } },
    ]);
    const { lanes, first, last } = buildGeometry(store, whole(store), "instruction", new Set());
    assert.deepEqual(
      lanes[0].bars.map(({ rows }) => [...rows]),
      [
        [0, 3],
        [1, 2],
      ],
    );
    assert.deepEqual([first, last], [1, 120]);
    assert.equal(lanes.length, 4);
    assert.equal(barAt(lanes[0].bars[0], 105, 0), 1);
    assert.equal(barAt(lanes[0].bars[1], 45, 0), -1);
    assert.equal(barAt(lanes[0].bars[1], 45, 6), 1);
  });

  test("what has not ended lasts until now; SIPI and what was lost are marks", () => {
    const store = storeOf([
      { id: 1, stages: { send: 1, accept: 1, deliver: 10 } },
      { id: 2, target: 1, mode: "sipi", sender: 0, stages: { send: 2, accept: 2, deliver: 3 } },
      { id: 3, target: -1, sender: 2, stages: { send: 4, drop: 4 } },
      { id: 4, target: 3, mode: "init", sender: 0, stages: { send: 5, accept: 5, deliver: 6 } },
      { id: 5, target: 3, mode: "extint", source: "pic", vector: 8, stages: { send: 7, accept: 7, deliver: 8, return: 9 } },
    ]);
    const { lanes, arrows } = buildGeometry(store, whole(store), "instruction", new Set());
    assert.deepEqual([...lanes[0].bars[0].ends], [1_000_000]);
    assert.deepEqual([...lanes[1].marks.times], [3]);
    assert.deepEqual([...lanes[2].marks.rows], [2]);
    assert.deepEqual([...lanes[3].marks.times], [6]);
    assert.deepEqual([...lanes[3].bars[0].rows], [4]);
    assert.deepEqual([...arrows.rows], [1, 3]);
  });

  test("bars of a row never overlap, whatever comes", () => {
    const store = storeOf(busyRows(20_000));
    const { lanes, arrows } = buildGeometry(store, whole(store), "time", new Set());
    let bars = 0;
    for (const lane of lanes)
      for (const { starts, ends } of lane.bars)
        for (let bar = 0; bar < starts.length; bar++) {
          bars++;
          assert.ok(starts[bar] <= ends[bar] && (bar === 0 || ends[bar - 1] <= starts[bar]));
        }
    assert.equal(bars + lanes.reduce((sum, lane) => sum + lane.marks.rows.length, 0), 20_000);
    for (let at = 1; at < arrows.sends.length; at++)
      assert.ok(arrows.sends[at - 1] <= arrows.sends[at] && arrows.reach[at - 1] <= arrows.reach[at]);
  });

  test("the first entry that is large enough", () => {
    const list = Float64Array.from([1, 3, 3, 7]);
    assert.deepEqual(
      [0, 1, 2, 3, 4, 8].map((value) => firstAtLeast(list, value)),
      [0, 0, 1, 1, 3, 4],
    );
  });
});

describe("statistics", () => {
  test("by vector and CPU: count, rate, median and p99 of latency, handler time", () => {
    const rows = Array.from({ length: 100 }, (_, index): Row => {
      const sent = 1000 * (index + 1);
      return {
        id: index + 1,
        vector: 0x30,
        target: 1,
        stages: { send: sent, accept: sent, deliver: sent + index + 1, eoi: sent + 500, return: sent + 501 + index },
      };
    });
    const store = storeOf([...rows, { id: 200, vector: 0x31, target: 0, dropReason: 0, stages: { send: 100_000, drop: 100_000 } }]);
    const [one, other] = statistics(store, whole(store), "instruction", -Infinity, Infinity);
    assert.equal(one.name, "0x30");
    assert.equal(one.count, 100);
    assert.deepEqual(one.latency, { median: 50, p99: 99, maximum: 100, total: 5050 });
    assert.equal(one.handlerTime?.median, 500);
    // 100 in 990,000 ns of virtual time.
    assert.equal(Math.round(one.rate), Math.round(100 / 990e-6));
    assert.deepEqual([other.name, other.dropped, other.latency], ["0x31", 1, undefined]);
    assert.equal(statistics(store, whole(store), "instruction", 1000, 2000)[0].count, 2);
    assert.equal(percentile(Float64Array.from([5]), 0.99), 5);
  });
});

describe("the view", () => {
  const extent = { first: 0, last: 1000 };
  test("zooms about a point and stays on the data", () => {
    const view = fit(extent);
    assert.ok(view.start < 0 && view.start + view.span > 1000);
    const closer = zoom(view, 0.1, 500, extent);
    assert.ok(Math.abs((500 - closer.start) / closer.span - (500 - view.start) / view.span) < 1e-9);
    assert.ok(zoom(view, 1e-9, 500, extent).span >= 10);
    assert.deepEqual(zoom(view, 100, 500, extent), view);
    assert.equal(pan(closer, 1e9, extent).start + closer.span, view.start + view.span);
    assert.equal(pan(closer, -Infinity, extent).start, view.start);
    const shown = reveal(closer, 20, extent);
    assert.ok(shown.start < 20 && shown.start + shown.span > 20);
  });

  test("ticks are round and far enough apart", () => {
    assert.equal(tickStep({ start: 0, span: 1000 }, 1000), 100);
    assert.equal(tickStep({ start: 0, span: 2500 }, 1000), 500);
    assert.equal(momentText(1_500_000, "time", 100_000), "1.5 ms");
    assert.equal(momentText(12_000_000, "time", 1_000_000), "12 ms");
    assert.equal(momentText(1_234_567, "instruction", 1), "1\u2009234\u2009567");
    assert.equal(lengthText(12_345, "time"), "12.3 \u00b5s");
    assert.equal(lengthText(999, "time"), "999 ns");
  });
});

describe("words and files", () => {
  test("an interrupt in words", () => {
    const store = storeOf([
      { id: 1, sender: 0, target: 1, stages: { send: 1 } },
      { id: 2, source: "timer", vector: 0x20, target: 2, stages: { send: 1, accept: 2, deliver: 3 } },
      { id: 3, mode: "init", sender: 0, target: -1, stages: { send: 1, drop: 1 } },
    ]);
    assert.equal(describeRow(store, 0), "IPI vector 0xf0, CPU 0 \u2192 CPU 1");
    assert.equal(describeRow(store, 1), "APIC timer vector 0x20, to CPU 2");
    assert.equal(describeRow(store, 2), "IPI INIT, CPU 0 \u2192 nobody");
    assert.deepEqual(
      [0, 1, 2].map((row) => stateText(store, row)),
      ["sent", "delivered", "dropped"],
    );
  });

  test("a trace for Perfetto: a slice a handler, an arrow an IPI, an instant what was lost", () => {
    const store = storeOf(busyRows(300));
    const { traceEvents } = JSON.parse(perfettoText(store, whole(store))) as {
      traceEvents: { ph: string; tid: number; ts?: number; dur?: number }[];
    };
    const count = (kind: string): number => traceEvents.filter(({ ph }) => ph === kind).length;
    assert.equal(count("i"), 3);
    assert.equal(count("s"), 99);
    assert.equal(count("f"), count("s"));
    assert.equal(count("X"), 297 + count("s"));
    assert.ok(traceEvents.every(({ ph, ts, dur }) => ph === "M" || (ts !== undefined && ts >= 0 && (dur ?? 1) > 0)));
  });
});

test("a chart colour that hardly stands out gives way to one that does", () => {
  // Orange of VS Code's dark theme, which is meant for a minimap.
  assert.equal(clearer("rgba(234, 92, 0, 0.33)", "#d18616", "#1f1f1f"), "#d18616");
  assert.equal(clearer("rgba(234, 92, 0, 0.33)", "#d18616", "#ffffff"), "#d18616");
  assert.equal(clearer("#3794ff", "#d18616", "#1f1f1f"), "#3794ff");
  // Neither stands out: the theme's own stays.
  assert.equal(clearer("#eeeeee", "#ffffff", "#ffffff"), "#eeeeee");
  assert.equal(clearer("orange", "#d18616", "#1f1f1f"), "orange");
});
