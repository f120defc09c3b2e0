import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Board, Reg } from "./harness";

const base = 0xfee00000n;

describe("IA32_APIC_BASE", () => {
  test("legal and illegal transitions", () => {
    const modes = { off: 0x000n, invalid: 0x400n, xapic: 0x800n, x2apic: 0xc00n };
    const legal: Readonly<Record<string, readonly string[]>> = {
      off: ["off", "xapic"],
      xapic: ["xapic", "x2apic", "off"],
      x2apic: ["x2apic", "off"],
    };
    for (const [from, targets] of Object.entries(legal))
      for (const [to, bits] of Object.entries(modes)) {
        const { apics } = new Board({ cpus: 1 });
        const apic = apics[0];
        if (from === "off") apic.writeMsr(0x1b, base);
        if (from === "x2apic") apic.writeMsr(0x1b, base | 0xc00n);
        const before = apic.readMsr(0x1b);
        const allowed = targets.includes(to);
        assert.equal(apic.writeMsr(0x1b, base | bits), allowed, `${from} to ${to}`);
        assert.equal(apic.readMsr(0x1b), allowed ? base | bits : before);
      }
  });

  test("reserved bits fault, by MAXPHYADDR", () => {
    const { apics } = new Board({ cpus: 1, model: { physicalBits: 36 } });
    const value = base | 0x900n;
    for (const bit of [0, 1, 7, 9, 36, 40, 63]) assert.equal(apics[0].writeMsr(0x1b, value | (1n << BigInt(bit))), false, `bit ${bit}`);
    assert.equal(apics[0].writeMsr(0x1b, value | (1n << 35n)), true);
    const old = new Board({ cpus: 1, model: { x2apic: false } });
    assert.equal(old.apics[0].writeMsr(0x1b, base | 0xd00n), false);
  });

  test("x2APIC to disabled to xAPIC starts afresh with the initial id", () => {
    const board = new Board({ ids: [0, 3] });
    const apic = board.apics[1];
    board.write(1, Reg.id, 0x44000000);
    board.x2apic(1);
    assert.equal(apic.readMsr(0x802), 3n);
    apic.writeMsr(0x808, 0x30n);
    apic.writeMsr(0x1b, base);
    assert.equal(apic.readMsr(0x802), undefined);
    apic.writeMsr(0x1b, base | 0x800n);
    assert.equal(board.read(1, Reg.id), 0x03000000);
    assert.equal(board.read(1, Reg.tpr), 0);
  });

  test("entering x2APIC mode keeps the rest of the state and closes the memory page", () => {
    const board = new Board({ cpus: 1 });
    board.write(0, Reg.tpr, 0x20);
    board.write(0, Reg.icrHigh, 0x07000000);
    board.x2apic(0);
    assert.equal(board.apics[0].readMsr(0x808), 0x20n);
    assert.equal(board.apics[0].readMsr(0x80f), 0x1ffn);
    assert.equal(board.apics[0].readMsr(0x830), 0n);
    assert.deepEqual(board.region.bases, []);
    assert.equal(board.context.read(0xfee00080, 4, 0), 0xffffffffn);
  });

  test("INIT leaves x2APIC mode as it is", () => {
    const board = new Board();
    board.x2apic(1);
    board.apics[1].writeMsr(0x808, 0x20n);
    board.icr(0, 0x4500, 1);
    assert.equal(board.apics[1].x2apicMode, true);
    assert.equal(board.apics[1].readMsr(0x808), 0n);
    assert.equal(board.apics[1].readMsr(0x80d), 2n);
  });
});

describe("x2APIC registers", () => {
  test("which exist, to read and to write", () => {
    const board = new Board({ cpus: 1 });
    board.x2apic(0);
    const apic = board.apics[0];
    const readOnly = [0x02, 0x03, 0x0a, 0x0d, 0x39, ...Array.from({ length: 24 }, (_, index) => 0x10 + index)];
    const both = [0x08, 0x0f, 0x28, 0x2f, 0x30, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x3e];
    const writeOnly = [0x0b, 0x3f];
    for (let register = 0; register < 0x100; register++) {
      const index = 0x800 + register;
      const readable = readOnly.includes(register) || both.includes(register);
      assert.equal(apic.readMsr(index) !== undefined, readable, `read ${index.toString(16)}`);
      const value = register === 0x3f ? 0x40n : register >= 0x2f && register < 0x38 && register !== 0x30 ? 0x10000n : 0n;
      const writable = writeOnly.includes(register) || both.includes(register);
      assert.equal(apic.writeMsr(index, register === 0x0f ? 0x1ffn : value), writable, `write ${index.toString(16)}`);
    }
    assert.equal(apic.readMsr(0x802), 0n);
  });

  test("none exist in xAPIC mode", () => {
    const { apics } = new Board({ cpus: 1 });
    for (let index = 0x800; index < 0x900; index++) {
      assert.equal(apics[0].readMsr(index), undefined);
      assert.equal(apics[0].writeMsr(index, 0n), false);
    }
  });

  test("every reserved bit faults and changes nothing", () => {
    const board = new Board({ cpus: 1 });
    board.x2apic(0);
    const apic = board.apics[0];
    const allowed: Readonly<Record<number, bigint>> = {
      0x808: 0xffn,
      0x80b: 0n,
      0x80f: 0x13ffn,
      0x828: 0n,
      0x82f: 0x117ffn,
      0x832: 0x710ffn,
      0x833: 0x117ffn,
      0x834: 0x117ffn,
      0x835: 0x1f7ffn,
      0x836: 0x1f7ffn,
      0x837: 0x110ffn,
      0x838: 0xffffffffn,
      0x83e: 0xbn,
      0x83f: 0xffn,
      0x830: 0xffffffff000ccfffn,
    };
    for (const [key, mask] of Object.entries(allowed)) {
      const index = Number(key);
      for (let bit = 0n; bit < 64n; bit++) {
        const value = 1n << bit;
        const before = apic.readMsr(index);
        // INIT, lone vectors and the like are legal writes too; only the fault counts here.
        const ok = apic.writeMsr(index, value);
        assert.equal(ok, (mask & value) !== 0n, `MSR ${index.toString(16)} bit ${bit}`);
        if (!ok) assert.equal(apic.readMsr(index), before);
      }
      if (index === 0x80f) apic.writeMsr(0x80f, 0x1ffn);
    }
  });

  test("without TSC-deadline and EOI suppression their bits are reserved", () => {
    const board = new Board({ cpus: 1, model: { tscDeadline: false, eoiSuppression: false } });
    board.x2apic(0);
    assert.equal(board.apics[0].writeMsr(0x832, 0x40040n), false);
    assert.equal(board.apics[0].writeMsr(0x80f, 0x11ffn), false);
    assert.equal(board.apics[0].readMsr(0x6e0), undefined);
    assert.equal(board.apics[0].writeMsr(0x6e0, 0n), false);
    assert.equal(board.apics[0].readMsr(0x803), 0x60015n);
  });

  test("ICR is one 64-bit write; SELF IPI is a fixed edge to oneself", () => {
    const board = new Board({ cpus: 3, ids: [0, 300, 70000] });
    for (const cpu of [0, 1, 2]) board.x2apic(cpu);
    assert.equal(board.apics[0].writeMsr(0x830, (70000n << 32n) | 0x4051n), true);
    assert.deepEqual(board.drain(2), [0x51]);
    const record = board.ledger.record(board.ledger.lastId);
    assert.deepEqual([record?.src, record?.dst], [0, 70000]);
    assert.equal(board.apics[0].readMsr(0x830), (70000n << 32n) | 0x4051n);
    assert.equal(board.apics[1].writeMsr(0x83f, 0x52n), true);
    assert.deepEqual(board.drain(1), [0x52]);
    assert.equal(board.apics[1].writeMsr(0x83f, 0x02n), true);
    board.apics[1].writeMsr(0x828, 0n);
    assert.equal(board.apics[1].readMsr(0x828), 0x60n);
  });

  test("logical ids, clusters and broadcast", () => {
    const ids = [0, 1, 0x10, 0x11, 0x25];
    const board = new Board({ cpus: 5, ids });
    for (const cpu of ids.keys()) board.x2apic(cpu);
    assert.deepEqual(
      board.apics.map((apic) => apic.readMsr(0x80d)),
      [1n, 2n, 0x10001n, 0x10002n, 0x20020n],
    );
    const reached = (destination: bigint, low: bigint): number[] => {
      board.apics[0].writeMsr(0x830, (destination << 32n) | low);
      return [...ids.keys()].filter((cpu) => board.drain(cpu).length > 0);
    };
    assert.deepEqual(reached(3n, 0x4840n), [0, 1]);
    assert.deepEqual(reached(0x10003n, 0x4840n), [2, 3]);
    assert.deepEqual(reached(0x2ffffn, 0x4840n), [4]);
    assert.deepEqual(reached(0x3ffffn, 0x4840n), []);
    assert.deepEqual(reached(0xffffffffn, 0x4840n), [0, 1, 2, 3, 4]);
    assert.deepEqual(reached(0xffffffffn, 0x4040n), [0, 1, 2, 3, 4]);
    assert.deepEqual(reached(0xffn, 0x4040n), []);
    assert.deepEqual(reached(0x25n, 0x4040n), [4]);
  });

  test("I/O APIC and MSI reach x2APICs with their 8-bit ids, and all with 0xff", () => {
    const board = new Board({ cpus: 3 });
    for (const cpu of [1, 2]) board.x2apic(cpu);
    board.bus.msi(0xfee02000, 0x40);
    assert.deepEqual(board.drain(2), [0x40]);
    board.bus.msi(0xfeeff000, 0x41);
    assert.deepEqual(
      [0, 1, 2].map((cpu) => board.drain(cpu)),
      [[0x41], [0x41], [0x41]],
    );
    board.bus.msi(0xfee06004, 0x42);
    assert.deepEqual(
      [1, 2].map((cpu) => board.drain(cpu)),
      [[0x42], [0x42]],
    );
  });
});
