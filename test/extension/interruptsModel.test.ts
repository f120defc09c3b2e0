import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { CpuInterruptState, InterruptEventSummary, InterruptState } from "../../src/adapter/protocol";
import { BreakpointStatuses } from "../../src/extension/interruptBreakpoints";
import { InterruptHistory, breakpointsNode, machineNodes, type InterruptNode } from "../../src/extension/interruptsModel";

function cpu(index: number, changes: Partial<CpuInterruptState> = {}): CpuInterruptState {
  const lvts = [{ name: "LVT Timer", raw: 0x10000, text: "masked" }];
  const base = { index, apicId: index, state: "running" as const, threadId: index + 1, irr: [], isr: [], tmr: [], ppr: 0, tpr: 0, lvts };
  return { ...base, lastEvents: [], ...changes };
}

function state(stopSequence: number, cpus: CpuInterruptState[]): InterruptState {
  const pins = [{ pin: 2, raw: "0x10000", text: "masked", masked: true, remoteIrr: false }];
  return { cpus, ioapics: [{ index: 0, pins }], stopSequence };
}

const ipi: InterruptEventSummary = {
  ...{ id: 12, stage: "deliver", vector: 0xf0, mode: "fixed", src: 0, dst: 1, source: "ipi", trigger: "edge" },
  ...{ instruction: "1234567", rip: "0xffffffff81000000", text: "IPI vector 0xf0, CPU 0 -> CPU 1, delivered" },
};

function all(nodes: readonly InterruptNode[]): InterruptNode[] {
  return nodes.flatMap((node) => [node, ...all(node.children)]);
}

function find(nodes: readonly InterruptNode[], id: string): InterruptNode {
  const found = all(nodes).find((node) => node.id === id);
  if (found === undefined)
    throw new Error(
      `no row ${id} among ${all(nodes)
        .map((node) => node.id)
        .join(" ")}`,
    );
  return found;
}

describe("rows of the interrupts view", () => {
  test("show a CPU's state, pending and active vectors, LVTs and events", () => {
    const history = new InterruptHistory();
    history.update(
      state(1, [cpu(0), cpu(1, { state: "halted", irr: [0x31, 0xf0], isr: [0x40], tmr: [0x31], ppr: 0x40, lastEvents: [ipi] })]),
    );
    const rows = machineNodes(history, 2);
    assert.deepEqual(
      rows.map(({ label, description }) => `${label}: ${description}`),
      ["CPU 0: APIC 0, running", "CPU 1: APIC 1, halted, 2 pending, 1 in service", "I/O APIC: all pins masked"],
    );
    assert.equal(find(rows, "cpu/1").icon, "debug-stackframe-focused");
    assert.equal(find(rows, "cpu/1/irr").description, "0x31, 0xf0");
    assert.equal(find(rows, "cpu/1/irr/49").description, "level, class 0x3");
    assert.equal(find(rows, "cpu/1/isr/64").condition, "vector == 0x40 && dst == 1");
    assert.equal(find(rows, "cpu/1/priority").description, "PPR 0x40, TPR 0x00");
    const [event] = find(rows, "cpu/1/events").children;
    assert.equal(event.label, "0xf0 delivered");
    assert.equal(event.description, "#12 at 1,234,567");
    assert.match(event.tooltip, /RIP 0xffffffff81000000/);
    assert.ok(all(rows).every(({ changed }) => !changed));
  });

  test("mark what differs from the last stop, and keep the marks when the same stop is read again", () => {
    const history = new InterruptHistory();
    history.update(state(1, [cpu(0, { isr: [0x40] }), cpu(1)]));
    const second = state(2, [cpu(0), cpu(1, { irr: [0xf0], lastEvents: [ipi] })]);
    for (let reading = 0; reading < 2; reading++) {
      history.update(second);
      const changed = all(machineNodes(history, undefined)).filter((row) => row.changed);
      assert.deepEqual(
        changed.map(({ id }) => id),
        ["cpu/0", "cpu/0/isr", "cpu/1", "cpu/1/irr", "cpu/1/irr/240", "cpu/1/events", "cpu/1/events/12:deliver:1:1234567"],
      );
    }
    history.update(state(3, [cpu(0), cpu(1, { irr: [0xf0], lastEvents: [ipi] })]));
    assert.ok(all(machineNodes(history, undefined)).every(({ changed }) => !changed));
  });

  test("have ids that are unique and stay the same from stop to stop", () => {
    const history = new InterruptHistory();
    history.update(state(1, [cpu(0, { irr: [0x31], lastEvents: [ipi] }), cpu(1, { isr: [0x31], lastEvents: [ipi] })]));
    const ids = all(machineNodes(history, 1)).map(({ id }) => id);
    assert.equal(new Set(ids).size, ids.length);
    history.update(state(2, [cpu(0, { irr: [0x31], lastEvents: [ipi] }), cpu(1, { isr: [0x31], lastEvents: [ipi] })]));
    assert.deepEqual(
      all(machineNodes(history, 2)).map(({ id }) => id),
      ids,
    );
  });

  test("an NMI is named by its mode and breaks by it", () => {
    const history = new InterruptHistory();
    history.update(state(1, [cpu(0, { lastEvents: [{ ...ipi, mode: "nmi", vector: 0, stage: "drop", dst: -1 }] })]));
    const [event] = find(machineNodes(history, undefined), "cpu/0/events").children;
    assert.equal(event.label, "NMI dropped");
    assert.equal(event.condition, 'mode == "nmi"');
  });

  test("of breakpoints say the condition, the hits and why one is refused", () => {
    const statuses = new BreakpointStatuses();
    statuses.replace([
      { id: "1", verified: true, hits: 2 },
      { id: "2", verified: false, hits: 0, message: 'Unknown field "vektor".' },
    ]);
    const rows = breakpointsNode(
      [
        { id: "1", filter: "interrupt.deliver", enabled: true, condition: "dst == 1", hitCondition: "% 2" },
        { id: "2", filter: "nmi", enabled: false, condition: "vektor" },
        { id: "3", filter: "init", enabled: true },
      ],
      statuses,
    ).children;
    assert.deepEqual(
      rows.map(({ label, description, icon, checked }) => [label, description, icon, checked]),
      [
        ["Interrupt Delivered", "dst == 1 · hits % 2 · hit 2 times", undefined, true],
        ["NMI", 'vektor · Unknown field "vektor".', "warning", false],
        ["INIT", "", undefined, true],
      ],
    );
  });
});
