import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { State } from "../../src/common/state";
import type { Device, DeviceContext } from "../../src/devices/device";
import { IrqFabric } from "../../src/devices/irqFabric";
import { MsiTestDevice } from "../../src/devices/msiTestDevice";
import { HostBridge, IsaBridge, PciBus } from "../../src/devices/pci";
import { PciDevice } from "../../src/devices/pciDevice";
import { StateReader } from "../../src/devices/stateReader";
import { type Bench, continuation, type Exercise, fuzz, TestBoard } from "./testBoard";

/** A function with every kind of BAR, INTA# and eight maskable messages. */
class Sample extends PciDevice {
  constructor(context: DeviceContext) {
    super(context, "sample", { vendor: 0x1af4, device: 0x1000, classCode: 0x020000 });
    this.addIoBar(0, 0x40, { read: () => 0x11, write: () => undefined });
    this.addMemoryBar(1, 0x2000, { read: () => 0x22n, write: () => undefined });
    this.addMemoryBar(2, 0x100000, { read: () => 0x33n, write: () => undefined }, { wide: true, prefetchable: true });
    this.addMsi(0x60, 8, true);
    this.setInterruptPin(1);
  }
}

interface Rig {
  board: TestBoard;
  bus: PciBus;
  sample: Sample;
  msi: MsiTestDevice;
  fabric: IrqFabric;
  log: string[];
  devices: readonly Device[];
}

function rig(): Rig {
  const board = new TestBoard();
  const log: string[] = [];
  const fabric = new IrqFabric(24, (line, level) => log.push(`irq ${line} ${level}`));
  const isa = new IsaBridge(board.context);
  const bus = new PciBus(board.context, (line) => fabric.source(line), isa);
  const host = new HostBridge(board.context);
  const sample = new Sample(board.context);
  const msi = new MsiTestDevice(board.context);
  bus.plug(0, 0, host);
  bus.plug(1, 0, isa);
  bus.plug(2, 0, sample);
  bus.plug(3, 0, msi);
  const devices = [fabric, bus, host, isa, sample, msi];
  for (const device of devices) device.reset();
  return { board, bus, sample, msi, fabric, log, devices };
}

function select(board: TestBoard, slot: number, register: number): void {
  board.out(0xcf8, (0x80000000 | (slot << 11) | (register & 0xfc)) >>> 0, 4);
}

function read(board: TestBoard, slot: number, register: number, size: 1 | 2 | 4 = 4): number {
  select(board, slot, register);
  return board.in(0xcfc + (register & 3), size);
}

function write(board: TestBoard, slot: number, register: number, value: number, size: 1 | 2 | 4 = 4): void {
  select(board, slot, register);
  board.out(0xcfc + (register & 3), value, size);
}

describe("PCI configuration mechanism 1", () => {
  test("finds the bridges, and ones where nothing is plugged", () => {
    const { board } = rig();
    assert.equal(read(board, 0, 0), 0x12378086);
    assert.equal(read(board, 0, 0x0a, 2), 0x0600);
    assert.equal(read(board, 1, 0), 0x70008086);
    assert.equal(read(board, 1, 0x0b, 1), 0x06);
    assert.equal(read(board, 1, 0x0e, 1), 0x80);
    assert.equal(read(board, 9, 0), 0xffffffff);
    assert.equal(read(board, 9, 2, 2), 0xffff);
    board.out(0xcf8, 0x80010000, 4);
    assert.equal(board.in(0xcfc, 4), 0xffffffff, "bus 1");
    board.out(0xcf8, 0, 4);
    assert.equal(board.in(0xcfc, 4), 0xffffffff, "not enabled");
    board.out(0xcf8, 0x80000800, 4);
    board.out(0xcf8, 0xff, 1);
    assert.equal(board.in(0xcf8, 4), 0x80000800, "byte writes pass by the address register");
  });

  test("read-only registers stay, the command register keeps its writable bits", () => {
    const { board } = rig();
    write(board, 2, 0x00, 0);
    assert.equal(read(board, 2, 0), 0x10001af4);
    write(board, 2, 0x04, 0xffffffff);
    assert.equal(read(board, 2, 0x04, 2), 0x0547);
    assert.equal(read(board, 2, 0x06, 2), 0x0010);
    assert.equal(read(board, 2, 0x3d, 1), 1);
    write(board, 2, 0x3c, 0x0b, 1);
    assert.equal(read(board, 2, 0x3c, 1), 0x0b);
  });

  test("base address registers size, map, move and go away", () => {
    const { board } = rig();
    const sizes = [0x10, 0x14, 0x18, 0x1c].map((register) => {
      write(board, 2, register, 0xffffffff);
      return read(board, 2, register);
    });
    assert.deepEqual(sizes, [0xffffffc1, 0xffffe000, 0xfff0000c, 0xffffffff]);
    write(board, 2, 0x10, 0xd000);
    write(board, 2, 0x14, 0xd0000000);
    write(board, 2, 0x18, 0x00000000);
    write(board, 2, 0x1c, 0x00000080);
    assert.equal(board.in(0xd000), 0xff);
    write(board, 2, 0x04, 0x0003, 2);
    assert.equal(board.in(0xd03f), 0x11);
    assert.equal(board.mmio.read(0xd0001ffc, 4, 0), 0x22n);
    assert.equal(board.mmio.read(0x80_0000_0000, 1, 0), 0x33n);
    write(board, 2, 0x14, 0xe0000000);
    assert.equal(board.mmio.find(0xd0000000), undefined);
    assert.equal(board.mmio.find(0xe0000000)?.name, "sample.bar1");
    write(board, 2, 0x14, 0xffffffff);
    assert.equal(board.mmio.find(0xffffe000), undefined, "sizing with decoding on maps nothing");
    write(board, 2, 0x04, 0x0000, 2);
    assert.equal(board.in(0xd000), 0xff);
    assert.equal(board.mmio.find(0x80_0000_0000), undefined);
  });

  test("INTx reaches its GSI, and the 8259s by the bridge's routing", () => {
    const { board, sample, log } = rig();
    sample.setIntx(true);
    assert.deepEqual(log, ["irq 17 true"], "slot 2, INTA#: wire B");
    assert.equal(read(board, 2, 0x06, 2) & 8, 8);
    write(board, 1, 0x61, 0x0a, 1);
    write(board, 2, 0x04, 0x0400, 2);
    write(board, 2, 0x04, 0x0000, 2);
    sample.setIntx(false);
    assert.deepEqual(log.slice(1), [
      "irq 10 true",
      "irq 17 false",
      "irq 10 false",
      "irq 17 true",
      "irq 10 true",
      "irq 17 false",
      "irq 10 false",
    ]);
  });

  test("MSI: vectors, masking with pending bits, and no message without bus mastering", () => {
    const { board, sample } = rig();
    assert.equal(read(board, 2, 0x34, 1), 0x60);
    assert.equal(read(board, 2, 0x60), 0x01860005);
    write(board, 2, 0x64, 0xfee01000 | 3);
    write(board, 2, 0x68, 0);
    write(board, 2, 0x6c, 0x4147, 2);
    write(board, 2, 0x62, 0x0021, 2);
    assert.ok(!sample.raiseMsi(1), "not a bus master");
    write(board, 2, 0x04, 0x0004, 2);
    assert.ok(sample.raiseMsi(1));
    assert.ok(sample.raiseMsi(6));
    assert.deepEqual(board.memory.messages, [
      { address: 0xfee01000, value: 0x4145 },
      { address: 0xfee01000, value: 0x4146 },
    ]);
    write(board, 2, 0x70, 0x02);
    assert.ok(!sample.raiseMsi(1));
    assert.equal(read(board, 2, 0x74), 0x02);
    write(board, 2, 0x70, 0x00);
    assert.equal(read(board, 2, 0x74), 0x00);
    assert.equal(board.memory.messages.length, 3);
    write(board, 2, 0x62, 0, 2);
    assert.ok(!sample.raiseMsi(0));
  });

  test("MSI-X: table, masks of vector and function, pending bits; INTx is silent meanwhile", () => {
    const { board, bus, log } = rig();
    bus.assignResources();
    const [registers, table] = [0x10, 0x18].map((bar) => (read(board, 3, bar) & ~15) >>> 0) as [number, number];
    assert.equal(read(board, 3, 0x70), 0x0003_0011, "four vectors, end of the list");
    assert.equal(read(board, 3, 0x74), 2, "table in BAR 2");
    assert.equal(read(board, 3, 0x78), 0x802, "pending bits in BAR 2");
    assert.equal(read(board, 3, 0x18) & 15, 4, "a 64-bit BAR");
    const raise = (vector: number): void => board.mmio.write(registers + 12, 4, BigInt(vector), 0);
    const pending = (): bigint => board.mmio.read(table + 0x800, 8, 0);
    for (let vector = 0; vector < 4; vector++) {
      assert.equal(board.mmio.read(table + 16 * vector + 12, 4, 0), 1n, "masked after reset");
      board.mmio.write(table + 16 * vector, 8, 0xfee0_2000n, 0);
      board.mmio.write(table + 16 * vector + 8, 4, BigInt(0x40 + vector), 0);
    }
    board.mmio.write(table + 16 + 12, 4, 0xffff_fffen, 0);
    assert.equal(board.mmio.read(table + 16 + 12, 4, 0), 0n, "only the mask bit is kept");
    raise(1);
    assert.equal(board.memory.messages.length + Number(pending()), 0, "off: neither sent nor pending");
    board.mmio.write(registers + 8, 4, 1n, 0);
    assert.deepEqual(log.splice(0), ["irq 18 true", "irq 10 true"]);
    write(board, 3, 0x72, 0x8000, 2);
    assert.deepEqual(log.splice(0), ["irq 18 false", "irq 10 false"], "MSI-X keeps the pin quiet");
    raise(1);
    raise(2);
    raise(77);
    assert.deepEqual(board.memory.messages.splice(0), [{ address: 0xfee02000, value: 0x41 }]);
    assert.equal(pending(), 4n);
    write(board, 3, 0x72, 0xc000, 2);
    raise(1);
    assert.equal(pending(), 6n, "function mask");
    write(board, 3, 0x72, 0x8000, 2);
    assert.deepEqual(board.memory.messages.splice(0), [{ address: 0xfee02000, value: 0x41 }]);
    board.mmio.write(table + 32 + 12, 4, 0n, 0);
    assert.deepEqual(board.memory.messages.splice(0), [{ address: 0xfee02000, value: 0x42 }]);
    assert.equal(pending(), 0n);
    write(board, 3, 0x04, 0x0003, 2);
    raise(2);
    assert.equal(board.memory.messages.length, 0, "not a bus master");
    write(board, 3, 0x72, 0x0000, 2);
    assert.deepEqual(log.splice(0), ["irq 18 true", "irq 10 true"], "INTx again");
    // The table is found above 4 GiB as well.
    write(board, 3, 0x18, 0x0000_0000);
    write(board, 3, 0x1c, 0x0000_0012);
    assert.equal(board.mmio.read(0x12_0000_0000 + 8, 4, 0), 0x40n);
  });

  test("INTx wires of several devices: each slot's pins are rotated, a wire is low when its last device lets go", () => {
    const board = new TestBoard();
    const log: string[] = [];
    const fabric = new IrqFabric(24, (line, level) => log.push(`irq ${line} ${level}`));
    const isa = new IsaBridge(board.context);
    const bus = new PciBus(board.context, (line) => fabric.source(line), isa);
    bus.plug(1, 0, isa);
    const devices = [5, 6, 7, 8, 9].map((slot) => {
      const device = new MsiTestDevice(board.context, `msi-test${slot}`);
      bus.plug(slot, 0, device);
      return device;
    });
    for (const device of [bus, isa, ...devices]) device.reset();
    for (const device of devices) device.setIntx(true);
    assert.deepEqual(log.splice(0), ["irq 16 true", "irq 17 true", "irq 18 true", "irq 19 true"], "slots 5 to 8; 9 shares with 5");
    // Wires A and C to IRQ 5, B to 9, D nowhere.
    for (const [wire, irq] of [5, 9, 5, 0x80].entries()) write(board, 1, 0x60 + wire, irq, 1);
    assert.deepEqual(log.splice(0), ["irq 5 true", "irq 9 true"]);
    devices[0].setIntx(false);
    assert.deepEqual(log.splice(0), [], "slot 9 still holds wire A");
    devices[4].setIntx(false);
    assert.deepEqual(log.splice(0), ["irq 16 false"], "wire C still holds IRQ 5");
    devices[2].setIntx(false);
    assert.deepEqual(log.splice(0), ["irq 18 false", "irq 5 false"]);
  });

  test("resources as firmware assigns them; reset takes them back", () => {
    const { board, bus, devices } = rig();
    bus.assignResources();
    assert.equal(board.mmio.find(0xc0000000)?.name, "sample.bar2");
    assert.equal(board.mmio.find(0xc0100000)?.name, "sample.bar1");
    assert.equal(board.mmio.find(0xc0102000)?.name, "msi-test.bar0");
    assert.equal(board.mmio.find(0xc0103000)?.name, "msi-test.bar2");
    assert.equal(board.ports.nameAt(0xc000), "sample.bar0");
    assert.equal(read(board, 2, 0x3c, 1), 11);
    assert.equal(read(board, 1, 0x60), 0x0b0a0b0a);
    for (const device of devices) device.reset();
    assert.equal(board.mmio.find(0xc0000000), undefined);
    assert.equal(read(board, 1, 0x60), 0x80808080);
  });
});

describe("MSI test function", () => {
  test("sends its message on a doorbell and counts", () => {
    const { board, bus } = rig();
    bus.assignResources();
    const base = read(board, 3, 0x10);
    assert.equal(read(board, 3, 0), 0xa51c1234);
    assert.equal(read(board, 3, 0x08) >>> 8, 0xff0000);
    board.mmio.write(base, 4, 1n, 0);
    assert.equal(board.mmio.read(base + 4, 4, 0), 0n);
    write(board, 3, 0x54, 0xfee03000);
    write(board, 3, 0x5c, 0x55, 2);
    write(board, 3, 0x52, 0x0001, 2);
    board.mmio.write(base, 4, 1n, 0);
    board.mmio.write(base, 4, 7n, 2);
    assert.deepEqual(board.memory.messages, [
      { address: 0xfee03000, value: 0x55 },
      { address: 0xfee03000, value: 0x55 },
    ]);
    assert.equal(board.mmio.read(base + 4, 4, 0), 2n);
  });
});

/** The whole bus as one device, for the generic tests. */
function bench(): Bench {
  const { board, devices, log, sample, msi } = rig();
  const device: Device & { sample: Sample; msi: MsiTestDevice } = {
    name: "pci bench",
    sample,
    msi,
    reset: () => devices.forEach((part) => part.reset()),
    save: (): State => ({ parts: devices.map((part) => part.save()) }),
    restore: (state) => new StateReader(state, "bench").list("parts").forEach((part, index) => devices[index].restore(part)),
    registers: () => devices.flatMap((part) => part.registers()),
  };
  board.memory.write32 = (address, value) => log.push(`message ${address} ${value}`);
  return { board, log, device };
}

const exercise: Exercise = {
  ports: [
    [0xcf8, 8],
    [0xcfc, 4],
    [0xc000, 0x40],
  ],
  mmio: [
    [0xc0000000, 0x104000],
    [0xc0102000, 8],
  ],
  other: ({ board, device }, random) => {
    const { sample } = device as Device & { sample: Sample };
    const kind = random(4);
    if (kind === 0) sample.setIntx(random(2) === 1);
    else if (kind === 1) sample.raiseMsi(random(8));
    else {
      select(board, random(5), random(0x80));
      if (random(2)) board.out(0xcfc, random(0x7fffffff), 4);
      else write(board, random(4), [0x04, 0x10, 0x14, 0x18, 0x52, 0x60, 0x62, 0x70][random(8)], random(0x10000));
    }
  },
};

test("PCI: random use", () => fuzz(bench, exercise, 0xcf8));
test("PCI: save and restore continue", () => continuation(bench, exercise, 0xcf8));

describe("host bridge", () => {
  const bridge = (): { host: HostBridge; shadow: () => Uint8Array; open: () => boolean } => {
    let attributes = new Uint8Array();
    let open = false;
    const host = new HostBridge(new TestBoard().context, {
      shadow: (value) => (attributes = value.slice()),
      smram: (mode) => (open = mode === "open"),
    });
    host.reset();
    return { host, shadow: () => attributes, open: () => open };
  };

  test("PAM registers route each 16 KiB block, and the 64 KiB at the end as one", () => {
    const { host, shadow } = bridge();
    assert.ok(
      shadow().every((value) => value === 0),
      "ROM everywhere after power-on",
    );
    host.writeConfig(0x5a, 1, 0xff);
    assert.equal(host.readConfig(0x5a, 1), 0x33);
    host.writeConfig(0x5c, 1, 0x20);
    host.writeConfig(0x59, 1, 0x1f);
    assert.equal(host.readConfig(0x59, 1), 0x10);
    const expected = Array.from({ length: 64 }, (_, page) => (page < 8 ? 3 : page >= 20 && page < 24 ? 2 : page >= 48 ? 1 : 0));
    assert.deepEqual([...shadow()], expected);
    const state = host.save();
    host.reset();
    assert.ok(shadow().every((value) => value === 0));
    host.restore(state);
    assert.deepEqual([...shadow()], expected);
  });

  test("SMRAM opens, and stays closed once it is locked", () => {
    const { host, open } = bridge();
    host.writeConfig(0x72, 1, 0x4a);
    assert.ok(open());
    host.writeConfig(0x72, 1, 0x5a);
    assert.ok(!open());
    assert.equal(host.readConfig(0x72, 1), 0x1a);
    host.writeConfig(0x72, 1, 0x4a);
    assert.equal(host.readConfig(0x72, 1), 0x1a);
    host.reset();
    assert.equal(host.readConfig(0x72, 1), 0x02);
    host.writeConfig(0x72, 1, 0x48);
    assert.ok(open());
  });
});
