import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { explainVector } from "../../src/apic/explain";
import { Board, Reg } from "./harness";

const lvtRegisters = [0x2f, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37];

describe("state after power-up", () => {
  test("registers have the manual's values", () => {
    const board = new Board({ raw: true, ids: [0, 7] });
    assert.equal(board.read(1, Reg.id), 0x07000000);
    assert.equal(board.read(0, Reg.version), 0x01060015);
    for (const register of [
      Reg.tpr,
      Reg.apr,
      Reg.ppr,
      Reg.ldr,
      Reg.icrLow,
      Reg.icrHigh,
      Reg.esr,
      Reg.initialCount,
      Reg.currentCount,
      Reg.divide,
    ])
      assert.equal(board.read(0, register), 0);
    assert.equal(board.read(0, Reg.dfr), 0xffffffff);
    assert.equal(board.read(0, Reg.svr), 0xff);
    for (const register of lvtRegisters) assert.equal(board.read(0, register), 0x10000);
    assert.equal(board.apics[0].baseMsr, 0xfee00900n);
    assert.equal(board.apics[1].baseMsr, 0xfee00800n);
  });

  test("reserved bits read as zero", () => {
    const board = new Board();
    const writable: readonly (readonly [number, number])[] = [
      [Reg.id, 0xff000000],
      [Reg.tpr, 0xff],
      [Reg.ldr, 0xff000000],
      [Reg.dfr, 0xffffffff],
      [Reg.svr, 0x13ff],
      [0x2f, 0x107ff],
      [0x33, 0x107ff],
      [0x34, 0x107ff],
      [0x35, 0x1a7ff],
      [0x36, 0x1a7ff],
      [0x37, 0x100ff],
      [0x32, 0x700ff],
      [Reg.divide, 0xb],
      [Reg.icrHigh, 0xff000000],
      [Reg.initialCount, 0xffffffff],
    ];
    for (const [register, mask] of writable) {
      board.write(0, register, 0xffffffff);
      assert.equal(board.read(0, register), mask, `register ${register.toString(16)}`);
    }
  });

  test("INIT keeps the ids and IA32_APIC_BASE, and resets the rest", () => {
    const board = new Board();
    board.write(1, Reg.id, 0x05000000);
    board.write(1, Reg.tpr, 0x20);
    board.write(1, Reg.ldr, 0x02000000);
    board.icr(0, 0x4041, 5);
    assert.equal(board.apics[1].baseMsr, 0xfee00800n);
    board.icr(0, 0x4500, 5);
    assert.equal(board.cpus[1].inits, 1);
    assert.equal(board.read(1, Reg.id), 0x05000000);
    assert.equal(board.read(1, Reg.tpr), 0);
    assert.equal(board.read(1, Reg.ldr), 0);
    assert.equal(board.read(1, Reg.svr), 0xff);
    assert.equal(board.cpus[1].intr, false);
    assert.deepEqual(board.drops(), ["lost by INIT of CPU 1"]);
  });
});

describe("acceptance and priority", () => {
  test("an interrupt goes from IRR to ISR to its end, one event a stage", () => {
    const board = new Board();
    board.icr(0, 0x40f0, 1);
    assert.deepEqual(board.seen(), ["send 0 f0", "accept 1 f0", "request 1 f0"]);
    assert.equal(board.read(1, Reg.irr + 7), 1 << 16);
    assert.equal(board.cpus[1].intr, true);
    assert.equal(
      board.as(1, () => board.apics[1].acknowledge()),
      0xf0,
    );
    assert.deepEqual(board.seen(), ["deliver 1 f0"]);
    assert.equal(board.read(1, Reg.irr + 7), 0);
    assert.equal(board.read(1, Reg.isr + 7), 1 << 16);
    assert.equal(board.read(1, Reg.ppr), 0xf0);
    assert.equal(board.cpus[1].intr, false);
    board.write(1, Reg.eoi, 0);
    assert.deepEqual(board.seen(), ["eoi 1 f0"]);
    assert.equal(board.read(1, Reg.isr + 7), 0);
    assert.equal(board.read(1, Reg.ppr), 0);
  });

  test("the highest vector comes first and only a higher class interrupts a handler", () => {
    const board = new Board();
    const apic = board.apics[0];
    for (const vector of [0x41, 0x52, 0x45]) board.icr(0, 0x44000 | vector);
    assert.equal(apic.acknowledge(), 0x52);
    assert.equal(board.cpus[0].intr, false, "0x45 waits for the EOI of class 5");
    assert.match(explainVector(apic, 0x45), /waits for the EOI of vector 0x52/);
    board.icr(0, 0x44061);
    assert.equal(board.cpus[0].intr, true);
    assert.equal(apic.acknowledge(), 0x61);
    assert.deepEqual(apic.inServiceVectors, [0x52, 0x61]);
    assert.deepEqual(
      board.ledger.inService(0).map((record) => record.vector),
      [0x52, 0x61],
    );
    apic.eoi();
    apic.eoi();
    assert.deepEqual(board.drain(0), [0x45, 0x41]);
  });

  test("an EOI with nothing in service does nothing", () => {
    const board = new Board();
    board.write(0, Reg.eoi, 0);
    assert.deepEqual(board.seen(), []);
  });

  test("a vector that is pending already is coalesced", () => {
    const board = new Board();
    board.icr(0, 0x4050, 1);
    board.icr(0, 0x4050, 1);
    const records = board.ledger.records({ vector: 0x50 });
    assert.equal(records[1].coalescedInto, records[0].id);
    assert.deepEqual(board.drain(1), [0x50]);
    // In service does not count as pending: it comes once more.
    board.icr(0, 0x4050, 1);
    board.apics[1].acknowledge();
    board.icr(0, 0x4050, 1);
    assert.deepEqual(board.ledger.records({ vector: 0x50 }).at(-1)?.coalescedInto, undefined);
  });

  test("TPR masks by class; CR8 is its upper half", () => {
    const board = new Board();
    const apic = board.apics[0];
    board.write(0, Reg.tpr, 0x5f);
    assert.equal(apic.cr8, 5);
    assert.equal(board.read(0, Reg.ppr), 0x5f);
    board.icr(0, 0x4405f);
    assert.equal(board.cpus[0].intr, false);
    assert.match(explainVector(apic, 0x5f), /waits for TPR, now 0x5f/);
    board.icr(0, 0x44060);
    assert.equal(board.cpus[0].intr, true);
    assert.equal(apic.acknowledge(), 0x60);
    assert.equal(board.read(0, Reg.ppr), 0x60);
    apic.eoi();
    apic.cr8 = 4;
    assert.equal(board.read(0, Reg.tpr), 0x40);
    assert.deepEqual(board.drain(0), [0x5f]);
  });

  test("INTR falls when TPR rises; an acknowledge that finds nothing gives the spurious vector and no ISR bit", () => {
    const board = new Board();
    board.write(0, Reg.svr, 0x1ef);
    board.icr(0, 0x44041);
    assert.equal(board.cpus[0].intr, true);
    board.write(0, Reg.tpr, 0x50);
    assert.equal(board.cpus[0].intr, false);
    assert.equal(board.apics[0].acknowledge(), 0xef);
    assert.deepEqual(board.apics[0].inServiceVectors, []);
    assert.equal(board.apics[0].spuriousCount, 1);
    board.write(0, Reg.tpr, 0);
    assert.deepEqual(board.drain(0), [0x41]);
  });

  test("APR follows the manual's formula", () => {
    const board = new Board();
    const apic = board.apics[0];
    board.write(0, Reg.tpr, 0x35);
    assert.equal(board.read(0, Reg.apr), 0x35);
    board.icr(0, 0x44061);
    assert.equal(board.read(0, Reg.apr), 0x60);
    apic.acknowledge();
    // Nothing requested, class 6 in service: (TPR and ISR) = 3 & 6.
    assert.equal(board.read(0, Reg.apr), 0x20);
  });
});

describe("enabling and disabling", () => {
  test("software-disabled: LVTs are masked and stay so, nothing new is accepted, what is pending stays, IPIs still go out", () => {
    const board = new Board();
    for (const register of lvtRegisters) board.write(0, register, 0x31);
    board.icr(0, 0x44041);
    board.seen();
    board.write(0, Reg.svr, 0xff);
    for (const register of lvtRegisters) {
      assert.equal(board.read(0, register), 0x10031);
      board.write(0, register, 0x32);
      assert.equal(board.read(0, register), 0x10032);
    }
    assert.equal(board.cpus[0].intr, true);
    board.icr(1, 0x4042, 0);
    assert.deepEqual(board.drops(), ["local APIC software-disabled"]);
    assert.deepEqual(board.drain(0), [0x41]);
    board.icr(0, 0x4043, 1);
    assert.deepEqual(board.drain(1), [0x43]);
    board.icr(1, 0x4400, 0);
    board.icr(1, 0x4200, 0);
    assert.deepEqual([board.cpus[0].nmis, board.cpus[0].smis], [1, 1]);
    // Enabling again does not unmask.
    board.write(0, Reg.svr, 0x1ff);
    assert.equal(board.read(0, 0x32), 0x10032);
  });

  test("disabled in IA32_APIC_BASE: no registers, no IPIs, the pins go to the processor, state is lost", () => {
    const board = new Board();
    const apic = board.apics[1];
    board.write(1, Reg.tpr, 0x20);
    board.icr(0, 0x4041, 1);
    board.seen();
    assert.equal(apic.writeMsr(0x1b, 0xfee00000n), true);
    assert.deepEqual(board.drops(), ["local APIC disabled in IA32_APIC_BASE"]);
    assert.equal(apic.enabled, false);
    assert.equal(board.context.read(0xfee00080, 4, 1), 0xffffffffn);
    board.icr(0, 0x4400, 1);
    assert.deepEqual(board.drops(), ["CPU 1 has its local APIC disabled in IA32_APIC_BASE"]);
    apic.setLint(1, true);
    assert.equal(board.cpus[1].nmis, 1);
    board.bus.connectPic(() => 0x28);
    apic.setLint(0, true);
    assert.equal(board.cpus[1].intr, true);
    assert.equal(apic.acknowledge(), 0x28);
    apic.setLint(0, false);
    assert.equal(apic.writeMsr(0x1b, 0xfee00800n), true);
    assert.equal(board.read(1, Reg.tpr), 0);
    assert.equal(board.read(1, Reg.svr), 0xff);
  });
});

describe("errors", () => {
  test("ESR is read after a write, and the write clears what was logged", () => {
    const board = new Board();
    board.icr(0, 0x4405);
    board.context.read(0xfee00010, 4, 0);
    board.icr(0, 0x400f, 1);
    assert.equal(board.read(0, Reg.esr), 0);
    board.write(0, Reg.esr, 0x1234);
    assert.equal(board.read(0, Reg.esr), 0xa0);
    assert.equal(board.read(0, Reg.esr), 0xa0);
    board.write(0, Reg.esr, 0);
    assert.equal(board.read(0, Reg.esr), 0);
  });

  test("a vector below 16 is not sent: ESR bit 5, and bit 6 too to oneself", () => {
    const board = new Board();
    board.icr(0, 0x400f, 1);
    assert.deepEqual(board.drops(), ["vector 0x0f below 16"]);
    board.write(0, Reg.esr, 0);
    assert.equal(board.read(0, Reg.esr), 0x20);
    board.icr(0, 0x44001);
    board.write(0, Reg.esr, 0);
    assert.equal(board.read(0, Reg.esr), 0x60);
    assert.equal(board.cpus[1].intr, false);
  });

  test("receiving one is ESR bit 6: from an MSI and from the LVT", () => {
    const board = new Board();
    board.bus.msi(0xfee01000, 0x0005);
    assert.deepEqual(board.drops(), ["vector 0x05 below 16"]);
    board.write(1, Reg.esr, 0);
    assert.equal(board.read(1, Reg.esr), 0x40);
    board.write(1, 0x34, 0x0008);
    board.apics[1].raiseLocal("pmc");
    board.write(1, Reg.esr, 0);
    assert.equal(board.read(1, Reg.esr), 0x40);
  });

  test("reserved addresses are ESR bit 7; the old registers of the map are not", () => {
    const board = new Board();
    const legal = new Set([2, 3, 8, 9, 10, 11, 12, 13, 14, 15, 0x28, 0x2f, 0x30, 0x31, 0x38, 0x39, 0x3e]);
    for (let register = 0; register < 0x100; register++) {
      const expected = legal.has(register) || (register >= 0x10 && register < 0x28) || (register >= 0x32 && register <= 0x37) ? 0 : 0x80;
      board.write(0, Reg.esr, 0);
      board.read(0, register);
      board.write(0, Reg.esr, 0);
      assert.equal(board.read(0, Reg.esr), expected, `read of ${register.toString(16)}`);
      if (register === 0x28) continue;
      // LVT entries stay masked: an error interrupt with vector 0 would be an error too.
      const value = register === Reg.svr ? 0x1ff : 0x10000;
      if (register === Reg.icrLow) continue;
      board.write(0, register, value);
      board.write(0, Reg.esr, 0);
      assert.equal(board.read(0, Reg.esr), expected, `write of ${register.toString(16)}`);
    }
  });

  test("the error interrupt comes once until ESR is written", () => {
    const board = new Board();
    board.write(0, Reg.lvtError, 0xfe);
    board.icr(0, 0x4001, 1);
    assert.deepEqual(board.drain(0), [0xfe]);
    board.icr(0, 0x4001, 1);
    assert.equal(board.cpus[0].intr, false);
    board.write(0, Reg.esr, 0);
    board.icr(0, 0x4001, 1);
    assert.deepEqual(board.drain(0), [0xfe]);
  });

  test("an error LVT with an illegal vector of its own does not run away", () => {
    const board = new Board();
    board.write(0, Reg.lvtError, 0x03);
    board.icr(0, 0x4001, 1);
    board.write(0, Reg.esr, 0);
    assert.equal(board.read(0, Reg.esr), 0x60);
    assert.equal(board.cpus[0].intr, false);
  });
});

describe("access width", () => {
  test("only aligned 32-bit writes count; reads give the bytes of the register, zero beyond", () => {
    const board = new Board();
    const { context } = board;
    board.write(0, Reg.svr, 0x1ab);
    context.write(0xfee000f0, 1, 0xffn, 0);
    context.write(0xfee000f0, 2, 0xffn, 0);
    context.write(0xfee000f0, 8, 0xffn, 0);
    context.write(0xfee000f4, 4, 0xffn, 0);
    context.write(0xfee000f1, 4, 0xffn, 0);
    assert.equal(board.read(0, Reg.svr), 0x1ab);
    assert.equal(context.read(0xfee000f0, 1, 0), 0xabn);
    assert.equal(context.read(0xfee000f1, 1, 0), 0x01n);
    assert.equal(context.read(0xfee000f0, 2, 0), 0x1abn);
    assert.equal(context.read(0xfee000f0, 8, 0), 0x1abn);
    assert.equal(context.read(0xfee000f4, 4, 0), 0n);
  });
});

describe("debugger", () => {
  test("registers() has every public name and no side effect", () => {
    const board = new Board();
    board.icr(0, 0x44041);
    board.icr(0, 0x440f1);
    const views = board.apics[0].registers();
    assert.deepEqual(
      views.map((view) => view.name),
      "ID,VER,TPR,APR,PPR,LDR,DFR,SVR,ESR,ICR,LVT CMCI,LVT Timer,LVT Thermal,LVT PMC,LVT LINT0,LVT LINT1,LVT Error,TMICT,TMCCT,TDCR,ISR,TMR,IRR,APIC_BASE".split(
        ",",
      ),
    );
    const irr = views.find((view) => view.name === "IRR");
    assert.equal(irr?.text, "0x41, 0xf1");
    assert.equal(irr?.value, (1n << 0x41n) | (1n << 0xf1n));
    assert.deepEqual(
      irr?.fields?.map((field) => field.name),
      ["0x41", "0xf1"],
    );
    assert.equal(views.find((view) => view.name === "ICR")?.text, "Fixed, vector 0xf1, to itself");
    assert.equal(views.find((view) => view.name === "LVT Timer")?.text, "Fixed, vector 0x00, one-shot, masked");
    assert.equal(views.find((view) => view.name === "APIC_BASE")?.text, "xAPIC at 0xfee00000");
    for (const view of views) for (const field of view.fields ?? []) assert.ok(field.value >= 0n, `${view.name}.${field.name}`);
  });

  test("poke sets what a guest could not, and sends nothing", () => {
    const board = new Board();
    const apic = board.apics[0];
    assert.equal(apic.poke("ICR", (1n << 56n) | 0x40f0n), true);
    assert.equal(board.cpus[1].intr, false);
    assert.equal(board.read(0, Reg.icrLow), 0x40f0);
    assert.equal(apic.poke("IRR", 1n << 0x77n), true);
    assert.equal(board.cpus[0].intr, true);
    assert.deepEqual(board.seen(), []);
    assert.equal(apic.acknowledge(), 0x77);
    assert.deepEqual(board.seen(), ["send 0 77", "deliver 0 77"]);
    assert.equal(board.ledger.record(board.ledger.lastId)?.source, "debugger");
    assert.equal(apic.poke("ISR", 0n), true);
    assert.equal(apic.poke("TPR", 0x30n), true);
    assert.equal(apic.cr8, 3);
    assert.equal(apic.poke("LVT LINT0", 0xffffffffn), true);
    assert.equal(board.read(0, 0x35), 0x1f7ff);
    assert.equal(apic.poke("VER", 1n), false);
    assert.equal(apic.poke("nonsense", 1n), false);
    assert.equal(apic.poke("APIC_BASE", 0xfee00400n), false);
  });

  test("a register keeps of a poke exactly the bits that its mask has", () => {
    const [apic] = new Board().apics;
    const value = (name: string): bigint => apic.registers().find((register) => register.name === name)?.value ?? -1n;
    for (const { name } of apic.registers()) {
      const mask = apic.pokeMask(name);
      assert.equal(apic.poke(name, value(name)), mask !== undefined, name);
      // A count goes on; what the base may be depends on more than its bits.
      if (mask === undefined || name === "TMCCT" || name === "APIC_BASE") continue;
      const fixed = name === "DFR" ? 0x0fffffffn : 0n;
      for (const all of [(1n << 256n) - 1n, 0n, mask]) {
        apic.poke(name, all);
        assert.equal(value(name), (all & mask) | fixed, name);
      }
    }
    assert.equal(apic.pokeMask("nonsense"), undefined);
  });
});
