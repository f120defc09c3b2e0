import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { InterruptEventSummary, InterruptGate, InterruptState } from "../../src/adapter/protocol";
import { breakpointsNode } from "../../src/extension/breakpointRows";
import { BreakpointStatuses } from "../../src/extension/interruptBreakpoints";
import { cpusText, flatten as all, type InterruptNode } from "../../src/extension/interruptNodes";
import { InterruptHistory, machineNodes } from "../../src/extension/interruptsModel";
import { gateNodes } from "../../src/extension/tableRows";
import { cpuState as cpu, machineState as state } from "./states";

const ipi: InterruptEventSummary = {
  ...{ id: 12, stage: "deliver", vector: 0xf0, mode: "fixed", src: 0, dst: 1, source: "ipi", trigger: "edge" },
  ...{ instruction: "1234567", rip: "0xffffffff81000000", text: "IPI vector 0xf0, CPU 0 -> CPU 1, delivered" },
};

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
      state(1, [
        cpu(0),
        cpu(1, { state: "halted", stateText: "halted, IF=0", irr: [0x31, 0xf0], isr: [0x40], tmr: [0x31], ppr: 0x40, lastEvents: [ipi] }),
      ]),
    );
    const rows = machineNodes(history, 2);
    assert.deepEqual(
      rows.map(({ label, description }) => `${label}: ${description}`),
      [
        "CPU 0: APIC 0 · running, IF=1",
        "CPU 1: APIC 1 · halted, IF=0 · 2 pending",
        "I/O APIC: all pins masked",
        "Message-Signaled Interrupts: none set up",
        "IDT: 0x0000000000010000",
      ],
    );
    assert.equal(find(rows, "cpu/1").icon, "debug-stackframe-focused");
    assert.equal(find(rows, "cpu/1/irr").description, "0x31, 0xf0");
    assert.equal(find(rows, "cpu/1/irr/49").description, "level · class 0x3");
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

  test("say what masks interrupts, who set that, and what holds a pending vector", () => {
    const history = new InterruptHistory();
    const why = "Vector 0x31 is not delivered to CPU 0: interrupts are off.";
    const masks = [{ name: "IF", text: "all maskable interrupts: IF is clear", set: "by CPU 0 at instruction 12", rip: "0x1000" }];
    const pending = [{ vector: 0x31, why, heldBy: "IF", record: 3, sender: "0x2000" }];
    history.update(state(1, [cpu(0, { irr: [0x31], masks, pending })]));
    const rows = machineNodes(history, undefined);
    assert.equal(find(rows, "cpu/0/masks").description, "IF");
    const mask = find(rows, "cpu/0/masks/IF");
    assert.match(mask.tooltip, /Set by CPU 0 at instruction 12/);
    assert.deepEqual(mask.actions, { setter: "0x1000" });
    const vector = find(rows, "cpu/0/irr/49");
    assert.equal(vector.description, "edge · class 0x3 · held by IF");
    assert.match(vector.tooltip, /interrupts are off/);
    assert.deepEqual(vector.actions, {
      why: "why 0x31 cpu0",
      inject: "inject 0x31 cpu0",
      handler: { threadId: 1, vector: 0x31 },
      sender: "0x2000",
    });
    history.update(state(2, [cpu(0)]));
    assert.equal(find(machineNodes(history, undefined), "cpu/0/masks").changed, true);
  });

  test("of pins and messages say where they go", () => {
    const pin = { pin: 4, raw: "0x24", text: "fixed", masked: false, remoteIrr: false, asserted: true, by: ["uart0"] };
    const route = { vector: 0x24, mode: "fixed", trigger: "edge", cpus: [0, 1, 2] };
    const message = { device: "nic", name: "MSI-X 2", address: "0xfee01000", data: "0x00000041", text: "", masked: true, waiting: true };
    const machine: InterruptState = {
      ...state(1, [cpu(0)]),
      ioapics: [{ index: 0, pins: [{ ...pin, ...route }] }],
      messages: [{ ...message, vector: 0x41, mode: "nmi", trigger: "edge", cpus: [] }],
    };
    const history = new InterruptHistory();
    history.update(machine);
    const rows = machineNodes(history, undefined);
    assert.equal(find(rows, "ioapic/0/4").description, "0x24 → CPU 0-2 · edge · asserted by uart0");
    assert.equal(find(rows, "ioapic/0/4").condition, 'vector == 0x24 && source == "ioapic"');
    assert.equal(find(rows, "message/nic/MSI-X 2").description, "NMI → nobody · edge · masked · waits to be unmasked");
    assert.deepEqual(find(rows, "message/nic/MSI-X 2").actions, { inject: "inject msi 0xfee01000 0x00000041" });
    history.update({ ...machine, stopSequence: 2, messages: [] });
    assert.equal(find(machineNodes(history, undefined), "messages").changed, true);
  });

  test("CPUs are drawn together in runs", () => {
    assert.equal(cpusText([]), "nobody");
    assert.equal(cpusText([3]), "CPU 3");
    assert.equal(cpusText([0, 1, 4, 5, 6, 9]), "CPU 0, 1, 4-6, 9");
  });

  test("of an interrupt table show handlers and hits, and draw stubs that were never entered together", () => {
    const gate = (vector: number, symbol: string, hits = 0): InterruptGate => ({
      ...{ vector, symbol, hits, kind: "interrupt gate", raw: `0x${vector}`, dpl: 0, ist: 0, handler: "0x0000000000001000" },
    });
    const stubs = [32, 33, 34, 35, 36, 37].map((vector) => gate(vector, `stub+0x${(vector - 32).toString(16)}`));
    const before = [gate(14, "page_fault", 2), ...stubs];
    const now = [gate(14, "page_fault", 3), ...stubs.slice(0, 5), { ...stubs[5], hits: 1 }];
    const rows = gateNodes("table/x", 1, now, before);
    assert.deepEqual(
      rows.map(({ label, description, changed }) => [label, description, changed]),
      [
        ["0x0e", "page_fault · hit 3 times", true],
        ["0x20-0x24", "stub · 5 vectors, never entered", false],
        ["0x25", "stub+0x5 · hit once", true],
      ],
    );
    // Exceptions cannot be injected, nor can one be pending.
    assert.deepEqual(rows[0].actions, { handler: { threadId: 1, vector: 14 } });
    assert.equal(rows[1].children[1].id, "table/x/33");
    assert.equal(new Set(all(rows).map(({ id }) => id)).size, all(rows).length);
    assert.ok(gateNodes("table/x", 1, now, undefined).every(({ changed }) => !changed));
  });

  test("gates of a table are compared with those of the stop before", () => {
    const history = new InterruptHistory();
    history.update(state(1, []));
    history.keepGates("t", []);
    history.update(state(2, []));
    assert.equal(history.gatesOf("t"), undefined);
    assert.deepEqual(history.gatesBefore("t"), []);
    history.update(state(2, []));
    assert.deepEqual(history.gatesBefore("t"), []);
    history.update(state(3, []));
    assert.equal(history.gatesBefore("t"), undefined);
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
