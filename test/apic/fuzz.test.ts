import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { encodeState, type State } from "../../src/common/state";
import { lvtReadOnly, lvtWritable } from "../../src/apic/fields";
import { Board, generator } from "./harness";

function digest(state: State): string {
  const hash = createHash("sha256");
  encodeState(state, (bytes) => hash.update(bytes));
  return hash.digest("hex");
}

const sizes = [1, 2, 4, 8] as const;
const msrs = [0x1b, 0x6e0, ...Array.from({ length: 0x48 }, (_, index) => 0x800 + index)];

function fuzzBoard(): { board: Board; lines: ((level: boolean) => void)[] } {
  const board = new Board({ cpus: 4, ledger: { capacity: 256, stormDeliveries: 50 } });
  board.events.length = 0;
  const lines = [3, 3, 4, 10, 16].map((pin) => board.ioApic.line(pin));
  board.bus.connectPic(() => 0x20);
  return { board, lines };
}

/** One random act of a guest, a device or time. */
function act(board: Board, lines: ((level: boolean) => void)[], random: () => number): void {
  const cpu = random() % 4;
  const apic = board.apics[cpu];
  const value = (BigInt(random()) << 32n) | BigInt(random() & (random() % 3 === 0 ? 0xffffffff : 0x000f_77ff));
  const kind = random() % 16;
  board.as(cpu, () => {
    if (kind < 6) {
      const size = random() % 4 === 0 ? sizes[random() % 4] : 4;
      const offset = random() % 4 === 0 ? random() & 0xff8 : random() & 0x3f0;
      const address = (apic.enabled && !apic.x2apicMode ? apic.baseAddress : 0xfee00000) + Math.min(offset, 0x1000 - size);
      // Some enabling in between, lest all sleep.
      if (random() % 8 === 0) board.context.write((address & ~0xfff) | 0xf0, 4, 0x1ffn, cpu);
      else if (random() & 1) board.context.write(address, size, value, cpu);
      else assert.ok(board.context.read(address, size, cpu) < 1n << BigInt(size * 8));
    } else if (kind < 8) {
      const msr = msrs[random() % msrs.length];
      if (msr === 0x1b) apic.writeMsr(msr, [0xfee00800n, 0xfee00c00n, 0xfee00000n, 0x300800n, value][random() % 5]);
      else if (random() & 1) apic.writeMsr(msr, random() & 1 ? value & 0x713ffn : value);
      else apic.readMsr(msr);
    } else if (kind === 8) {
      const size = sizes[random() % 4];
      board.context.write(0xfec00000 + [0, 0x10, 0x40, random() & 0xff][random() % 4], size, value, cpu);
    } else if (kind === 9) lines[random() % lines.length]((random() & 1) === 1);
    else if (kind === 10) apic.setLint((random() & 1) as 0 | 1, (random() & 1) === 1);
    else if (kind === 11) board.bus.msi(0xfee00000 + (random() & 0xfffff), random() & 0xffff);
    else if (kind === 12) apic.cr8 = random() & 15;
    else if (kind === 13) {
      for (const mode of ["nmi", "smi", "init", "sipi"] as const) board.ledger.delivered(cpu, mode);
    }
  });
  if (kind >= 14) board.clock.jump(random() % 200);
  if (board.cpus[cpu].intr && random() & 1) {
    const vector = board.as(cpu, () => apic.acknowledge());
    assert.ok(vector >= 0 && vector < 256);
    if (random() % 4 !== 0) board.as(cpu, () => apic.eoi());
  }
}

function check(board: Board): void {
  for (const [index, apic] of board.apics.entries()) {
    assert.equal(board.cpus[index].intr, apic.hasPending);
    assert.equal((apic.peek(0x08) ?? 0) & ~0xff, 0);
    assert.equal((apic.peek(0x0f) ?? 0) & ~0x13ff, 0);
    assert.equal((apic.peek(0x28) ?? 0) & ~0xf0, 0);
    assert.equal((apic.peek(0x30) ?? 0) & ~0xccfff, 0);
    assert.equal((apic.peek(0x3e) ?? 0) & ~0xb, 0);
    for (let entry = 0; entry < 7; entry++) {
      assert.equal(apic.lvtEntry(entry) & ~(lvtWritable[entry] | lvtReadOnly[entry]), 0);
      if (!apic.softwareEnabled) assert.notEqual(apic.lvtEntry(entry) & 0x10000, 0);
    }
    for (const vectors of [apic.pendingVectors, apic.inServiceVectors]) assert.ok((vectors[0] ?? 16) >= 16);
    for (const vector of apic.pendingVectors) assert.notEqual(board.ledger.pendingId(index, vector), 0);
    for (const vector of apic.inServiceVectors) assert.notEqual(board.ledger.inServiceId(index, vector), 0);
  }
  for (let pin = 0; pin < 24; pin++) assert.equal(board.ioApic.readRegister(0x10 + 2 * pin) & ~0x1ffff, 0);
}

test("200,000 random accesses: nothing throws, reserved bits read as zero, every pending vector has its record", () => {
  const { board, lines } = fuzzBoard();
  const random = generator(0x1234567);
  let delivered = 0;
  for (let step = 0; step < 200000; step++) {
    act(board, lines, random);
    if (step % 64 === 0) {
      check(board);
      delivered += board.events.filter((event) => event.stage === "deliver").length;
      board.events.length = 0;
      if (step % 4096 === 0) for (const apic of board.apics) apic.registers();
    }
  }
  assert.ok(delivered > 5000, `${delivered} deliveries`);
});

test("from a save at a random point, the same acts lead to the same state and events, on this board and on another", () => {
  for (let seed = 1; seed <= 30; seed++) {
    const { board, lines } = fuzzBoard();
    const other = fuzzBoard();
    const warmUp = generator(seed * 7919);
    const steps = 200 + (generator(seed)() % 3000);
    for (let step = 0; step < steps; step++) act(board, lines, warmUp);
    const state = structuredClone<State>(board.save());
    const run = (on: Board, onLines: ((level: boolean) => void)[]): string => {
      on.events.length = 0;
      const random = generator(seed * 104729);
      for (let step = 0; step < 1000; step++) act(on, onLines, random);
      const events = on.events.map(({ stage, cpu, record }) => `${stage} ${cpu} ${record.id} ${record.vector} ${record.dropReason ?? ""}`);
      return `${digest(on.save())}\n${events.join("\n")}`;
    };
    const straight = run(board, lines);
    board.restore(state);
    assert.equal(digest(board.save()), digest(state), `seed ${seed}: saved again`);
    assert.equal(run(board, lines), straight, `seed ${seed}: same board`);
    other.board.restore(state);
    assert.equal(run(other.board, other.lines), straight, `seed ${seed}: other board`);
  }
});
