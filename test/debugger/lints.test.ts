// Each lint is proved by a guest that makes just this mistake, and by correct guests on which all stay silent.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { lintKinds, type LintKind } from "../../src/debugger/lints/lint";
import { ContractChecker } from "../../src/debugger/contract/contract";
import { parseContract } from "../../src/debugger/contract/parse";
import { Machine } from "../../src/machine/machine";
import { faultBench } from "./faultBench";

/** Where each mistake is made, and what else of it is told. */
const places: Readonly<Record<LintKind, { readonly symbol: RegExp; readonly text: RegExp }>> = {
  "missing-eoi": { symbol: /^handler_without_eoi/, text: /vector 0x90 returned at CPU 0 without EOI/ },
  "eoi-nothing-in-service": { symbol: /^apic_write|^eoi/, text: /CPU 0 wrote EOI with no vector in service/ },
  "eoi-in-spurious-handler": { symbol: /^apic_write|^eoi/, text: /in the handler of the spurious vector/ },
  "pic-eoi": { symbol: /^handler_with_pic_eoi/, text: /to an 8259 with nothing in service, in the handler of vector 0x90/ },
  "vector-below-16": { symbol: /^apic_write/, text: /vector 0x09, has a vector below 16/ },
  "ipi-to-nobody": { symbol: /^apic_write/, text: /reached nobody: no destination matched APIC id 77/ },
  "icr-not-polled": { symbol: /^apic_write/, text: /without looking at the delivery status/ },
  "edge-lost": { symbol: /^$/, text: /an edge on I\/O APIC pin 2 was lost while the pin was masked/ },
  coalesced: { symbol: /^$/, text: /from timer, vector 0x90, arrived while the same vector was pending/ },
  "trigger-mismatch": { symbol: /./, text: /vector 0x90 came both edge- and level-triggered/ },
  "lapic-disabled": { symbol: /^apic_write/, text: /refused by CPU 0: its local APIC is software-disabled/ },
  "gate-not-present": { symbol: /./, text: /cannot enter its handler at CPU 0: the gate is not present \(#NP\)/ },
  "nmi-stack": { symbol: /./, text: /an NMI at CPU 0 cannot be delivered: IST 1 .* is not mapped/ },
};

describe("lints", () => {
  for (const kind of lintKinds)
    test(`${kind}: found in the guest that has it, at its place, once`, () => {
      const bench = faultBench(kind);
      bench.session.filters.replace("client", [{ id: "1", filter: "interrupt.lint", condition: `kind == "${kind}"` }]);
      if (kind === "eoi-in-spurious-handler") bench.session.injections.add({ kind: "spurious", cpu: 0 }, 200_000);
      const stop = bench.run();
      assert.ok("kind" in stop && stop.kind === "event" && stop.filter === "interrupt.lint", stop.text);
      assert.equal(stop.cause.kind, "lint");
      const found = bench.session.lints.all.filter((lint) => lint.kind === kind);
      assert.equal(found.length, 1);
      const [lint] = found;
      assert.match(lint.text, places[kind].text);
      assert.match(lint.address === 0n ? "" : (bench.session.symbols.describe(lint.address) ?? ""), places[kind].symbol);
      assert.ok(lint.instruction > 0 && lint.count === 1 && lint.advice.length > 20);
      assert.deepEqual(
        bench.session.lints.all.filter((other) => other.kind !== kind && other.severity === "warning"),
        [],
        "no other lint",
      );
    });

  test("a mistake that is made again at the same place counts up", () => {
    const bench = faultBench("coalesced");
    bench.run();
    assert.equal(bench.session.lints.all.filter((lint) => lint.kind === "coalesced").length, 1);
  });

  test("correct guests give no warning", () => {
    const none = faultBench("", 2);
    none.run();
    assert.deepEqual(none.session.lints.all, []);
    const machine = Machine.create({ cpus: 4, memory: 32 << 20, devices: ["msi-test"] });
    const contract = new ContractChecker(machine, parseContract("no lint", "contract"));
    machine.hooks = contract.hooks;
    machine.boot({ image: readFileSync("guests/smp/smp.elf"), imageName: "smp.elf" });
    const end = machine.run(50_000_000);
    const [result] = contract.finish(end, 1);
    assert.equal(end.kind, "exit");
    assert.deepEqual(result.violations, []);
  });
});

describe("budgets", () => {
  const stopOf = (fault: string, filter: string, condition: string): string => {
    const bench = faultBench(fault);
    assert.deepEqual(bench.session.filters.replace("client", [{ id: "1", filter, condition }]), [
      { id: "1", number: 1_000_000, verified: true, hits: 0 },
    ]);
    const stop = bench.run();
    if (!("kind" in stop)) return "end";
    assert.ok(stop.kind === "event" && stop.filter === filter);
    return stop.text;
  };

  test("latency from acceptance to delivery", () => {
    assert.match(
      stopOf("late", "budget.latency", "latency > 1000 && vector == 0x90"),
      /^Delivery of vector 0x90 \(ipi\) to CPU 0 took \d{4,} instructions/,
    );
    assert.equal(stopOf("", "budget.latency", "latency > 10000"), "end");
  });

  test("time in a handler, told while it still runs", () => {
    assert.match(
      stopOf("slow", "budget.handler", "duration > 10000"),
      /^The handler of vector 0x90 \(ipi\) has run for 1\d{4} instructions on CPU 0/,
    );
    assert.equal(stopOf("", "budget.handler", "duration > 10000"), "end");
  });

  test("time with interrupts off, told while they still are", () => {
    assert.match(stopOf("masked", "budget.masked", "duration > 3000"), /^Interrupts have been off for \d{4,} instructions on CPU 0$/);
  });

  test("nesting depth", () => {
    assert.match(stopOf("nested", "budget.nesting", "depth > 1"), /^Handlers nest 2 deep on CPU 0, the innermost of vector 0x91/);
    assert.equal(stopOf("", "budget.nesting", "depth > 1"), "end");
  });

  test("a budget without a condition is refused", () => {
    const [status] = faultBench("").session.filters.replace("client", [{ id: "1", filter: "budget.handler" }]);
    assert.equal(status.verified, false);
    assert.match(status.message ?? "", /needs a condition .* duration > 5000/);
  });
});
