// What is shown beside the code, without VS Code: statistics by line, registers by name, numbers, memory as text.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { memoryText } from "../../src/extension/addresses/memoryText";
import { pathKey, statisticsByFile, statisticsText } from "../../src/extension/insight/codeStatistics";
import { numberOf, registerOf } from "../../src/extension/insight/registerNames";
import { TimelineStore } from "../../src/webview/timeline/store";
import { pageOf } from "../webview/pages";

describe("statistics by line of code", () => {
  const store = new TimelineStore();
  const places = [
    { address: "0x10", symbol: "send_ipi", file: "/guest/apic.c", line: 40 },
    { address: "0x20", symbol: "ipi_entry", file: "/guest/idt.S", line: 7 },
    { address: "0x30", symbol: "nowhere" },
    // Two instructions of one line.
    { address: "0x14", symbol: "send_ipi", file: "/guest/apic.c", line: 40 },
  ];
  const lives = [10, 20, 30].map((sent, index) => ({
    id: index + 1,
    sender: 0,
    target: index,
    sentAt: index === 2 ? 4 : 1,
    handler: 2,
    stages: { send: sent, accept: sent, deliver: sent + index + 1, eoi: sent + 8, return: sent + 9 },
  }));
  store.take(
    pageOf([...lives, { id: 9, sender: 0, target: 1, sentAt: 3, handler: 2, dropReason: 1, stages: { send: 50, drop: 50 } }], {
      places,
      reasons: ["masked"],
    }),
  );
  const files = statisticsByFile(store);

  test("senders and handlers, each line once; what was lost was not handled", () => {
    assert.deepEqual([...files.keys()], ["/guest/apic.c", "/guest/idt.S"]);
    const [sender] = files.get("/guest/apic.c") ?? [];
    assert.deepEqual([sender.line, sender.role, sender.count, sender.cpus], [40, "sender", 3, [0, 1, 2]]);
    const [handler] = files.get("/guest/idt.S") ?? [];
    assert.deepEqual([handler.role, handler.count], ["handler", 3]);
    assert.equal(statisticsText(sender), "Sent 0xf0 to CPU 0, 1, 2 3 times \u00b7 latency median 2 instr., p99 3 instr.");
    assert.equal(
      statisticsText(handler),
      "IPI 0xf0: handled 3 times on CPU 0, 1, 2 \u00b7 latency median 2 instr., p99 3 instr. \u00b7 handler median 7 instr., p99 8 instr.",
    );
  });

  test("paths compare as their system does", () => {
    assert.equal(pathKey("C:\\Guest\\a.c"), pathKey("c:/guest/A.c"));
    assert.notEqual(pathKey("/guest/a.c"), pathKey("/guest/A.c"));
  });
});

describe("registers in source code", () => {
  test("by identifiers and lines", () => {
    const named: readonly (readonly [string, string | undefined])[] = [
      ["apic_write(APIC_ICR_LOW, 0x4500)", "ICR"],
      ["APIC_LVTT", "LVT Timer"],
      ["lvt_timer", "LVT Timer"],
      ["LVT_LINT0", "LVT LINT0"],
      ["APIC_LVT1 | lint1", "LVT LINT1"],
      ["LVTERR", "LVT Error"],
      ["ioredtbl[4]", "Redirection Entry"],
      ["redirEntry", "Redirection Entry"],
      ["APIC_SPIV", "SVR"],
      ["apic_svr", "SVR"],
      ["int count = 0x10", undefined],
      ["write(entry)", undefined],
      ["icr2", "ICR"],
      // Words that merely contain the letters.
      ["microseconds = 0x10", undefined],
      ["description", undefined],
    ];
    for (const [text, register] of named) assert.equal(registerOf(text), register, text);
  });

  test("numbers as languages write them", () => {
    for (const [text, value] of [
      ["0x4500", 0x4500n],
      ["0x4500UL", 0x4500n],
      ["0x1_0000", 0x10000n],
      ["$0x20", 0x20n],
      ["10'000", 10_000n],
      ["0x4500u32", 0x4500n],
      ["0b101", 5n],
      ["0ffh", 0xffn],
      ["0x1ffffffffffffffff", undefined],
      ["name", undefined],
      ["0x", undefined],
    ] as const)
      assert.equal(numberOf(text), value, text);
  });
});

test("memory as text: address, bytes, characters, and where it ends", () => {
  const text = memoryText(0xffff_ffff_ffff_fff0n, Uint8Array.from([...Buffer.from("APICScope!"), 0, 1, 2, 3, 4, 5, 0x41]), 32);
  assert.deepEqual(text.split("\n"), [
    "0xfffffffffffffff0  41 50 49 43 53 63 6f 70  65 21 00 01 02 03 04 05  APICScope!......",
    `0x0000000000000000  ${"41  ".padEnd(48)}  A`,
    "0x0000000000000001  nothing that can be read",
    "",
  ]);
});

test("grammars: every rule is a valid expression, and the manifest names them", () => {
  const manifest = JSON.parse(readFileSync("package.json", "utf8")) as { contributes: { grammars: { path: string; scopeName: string }[] } };
  for (const { path, scopeName } of manifest.contributes.grammars) {
    const text = readFileSync(path, "utf8");
    assert.equal((JSON.parse(text) as { scopeName: string }).scopeName, scopeName);
    for (const [, rule] of text.matchAll(/"(?:match|begin|end)": "((?:[^"\\]|\\.)*)"/g))
      // Oniguruma's inline flags are another syntax; all else is shared.
      assert.doesNotThrow(
        () => new RegExp((JSON.parse(`"${rule}"`) as string).replace(/\(\?i[:)]/g, (flag) => (flag === "(?i)" ? "" : "(?:"))),
        rule,
      );
  }
});
