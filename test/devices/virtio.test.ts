import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Disk, DISK_LATENCY } from "../../src/devices/block/disk";
import { VirtioBlock } from "../../src/devices/virtio/block";
import { VirtioConsole } from "../../src/devices/virtio/console";
import { VirtioRng } from "../../src/devices/virtio/rng";
import type { VirtioDevice } from "../../src/devices/virtio/virtioDevice";
import { TestBoard } from "./testBoard";

const BAR = 0xe0000000;
const TABLE = 0xe0010000;
const INDIRECT = 1n << 28n;
const EVENT_INDEX = 1n << 29n;
const VERSION_1 = 1n << 32n;

interface Piece {
  readonly address: number;
  readonly length: number;
  readonly write?: boolean;
}

/** A driver as the specification has it, over queues of 8 at fixed places in memory. */
class Driver {
  readonly view: DataView;

  constructor(
    readonly board: TestBoard,
    readonly device: VirtioDevice,
  ) {
    this.view = new DataView(board.memory.bytes.buffer);
    device.reset();
    device.writeConfig(0x20, 4, BAR);
    device.writeConfig(0x14, 4, TABLE);
    device.writeConfig(0x04, 2, 7);
  }

  read(offset: number, size: 1 | 2 | 4 | 8): number {
    return Number(this.board.mmio.read(BAR + offset, size, 0));
  }

  write(offset: number, size: 1 | 2 | 4 | 8, value: number | bigint): void {
    this.board.mmio.write(BAR + offset, size, BigInt(value), 0);
  }

  get offered(): bigint {
    this.write(0, 4, 0);
    const low = BigInt(this.read(4, 4));
    this.write(0, 4, 1);
    return (BigInt(this.read(4, 4)) << 32n) | low;
  }

  /** Negotiates and starts; returns whether the device took the features. */
  start(features: bigint, queues: number): boolean {
    this.write(0x14, 1, 0);
    assert.equal(this.read(0x14, 1), 0);
    this.write(0x14, 1, 3);
    for (const select of [0, 1]) {
      this.write(8, 4, select);
      this.write(12, 4, (features >> BigInt(32 * select)) & 0xffffffffn);
    }
    this.write(0x14, 1, 0x0b);
    if ((this.read(0x14, 1) & 8) === 0) return false;
    for (let queue = 0; queue < queues; queue++) {
      this.write(0x16, 2, queue);
      assert.equal(this.read(0x18, 2), 256, "the size offered");
      this.write(0x18, 2, 8);
      const base = this.base(queue);
      this.board.memory.bytes.fill(0, base, base + 0x1000);
      for (const [index, address] of [base, base + 0x400, base + 0x800].entries()) this.write(0x20 + 8 * index, 8, address);
      this.write(0x1c, 2, 1);
    }
    this.write(0x14, 1, 0x0f);
    return true;
  }

  base(queue: number): number {
    return 0x1000 * (queue + 1);
  }

  descriptor(table: number, index: number, piece: Piece, flags: number, next: number): void {
    this.view.setBigUint64(table + 16 * index, BigInt(piece.address), true);
    this.view.setUint32(table + 16 * index + 8, piece.length, true);
    this.view.setUint16(table + 16 * index + 12, flags | (piece.write === true ? 2 : 0), true);
    this.view.setUint16(table + 16 * index + 14, next, true);
  }

  /** Writes a chain from descriptor `first` on and makes it available. */
  offer(queue: number, pieces: readonly Piece[], first = 0): void {
    pieces.forEach((piece, index) => {
      const last = index === pieces.length - 1;
      this.descriptor(this.base(queue), first + index, piece, last ? 0 : 1, last ? 0 : first + index + 1);
    });
    this.available(queue, first);
  }

  available(queue: number, head: number): void {
    const ring = this.base(queue) + 0x400;
    const index = this.view.getUint16(ring + 2, true);
    this.view.setUint16(ring + 4 + 2 * (index % 8), head, true);
    this.view.setUint16(ring + 2, index + 1, true);
  }

  notify(queue: number): void {
    this.write(0x3000 + 4 * queue, 2, queue);
  }

  /** Index of the used ring, and the length of its last entry. */
  used(queue: number): { index: number; length: number } {
    const ring = this.base(queue) + 0x800;
    const index = this.view.getUint16(ring + 2, true);
    return { index, length: this.view.getUint32(ring + 4 + 8 * ((index + 7) % 8) + 4, true) };
  }

  get status(): number {
    return this.read(0x14, 1);
  }

  get intx(): boolean {
    return (this.device.readConfig(0x06, 2) & 8) !== 0;
  }
}

const entropy = (seed = 1): Driver => {
  const board = new TestBoard();
  return new Driver(board, new VirtioRng(board.context, "rng", seed));
};

describe("virtio over PCI", () => {
  test("the function and its capabilities", () => {
    const { device } = entropy();
    assert.equal(device.readConfig(0, 4), 0x10441af4);
    assert.equal(device.readConfig(8, 1), 1);
    const found: number[] = [];
    for (let at = device.readConfig(0x34, 1); at !== 0; at = device.readConfig(at + 1, 1)) {
      found.push(device.readConfig(at, 1) === 0x09 ? device.readConfig(at + 3, 1) : device.readConfig(at, 1));
    }
    assert.deepEqual(found, [1, 2, 3, 4, 5, 0x11]);
  });

  test("features: VERSION_1 must be taken, and nothing that was not offered", () => {
    const driver = entropy();
    assert.equal(driver.offered, INDIRECT | EVENT_INDEX | VERSION_1);
    assert.ok(!driver.start(INDIRECT, 1), "a legacy driver");
    assert.ok(!driver.start(VERSION_1 | 1n, 1));
    assert.ok(driver.start(VERSION_1, 1));
    assert.equal(driver.status, 0x0f);
  });

  test("entropy by the seed: the same again, another for another seed; INTx until the ISR is read", () => {
    const bytes = (seed: number): string => {
      const driver = entropy(seed);
      driver.start(VERSION_1, 1);
      driver.offer(0, [{ address: 0x8000, length: 20, write: true }]);
      driver.notify(0);
      assert.deepEqual(driver.used(0), { index: 1, length: 20 });
      assert.ok(driver.intx);
      assert.equal(driver.read(0x1000, 1), 1);
      assert.equal(driver.read(0x1000, 1), 0);
      assert.ok(!driver.intx);
      return Buffer.from(driver.board.memory.bytes.subarray(0x8000, 0x8018)).toString("hex");
    };
    assert.equal(bytes(5), bytes(5));
    assert.notEqual(bytes(5), bytes(6));
    assert.ok(bytes(5).endsWith("00000000"), "nothing behind the buffer");
  });

  test("MSI-X takes the interrupts; indirect descriptors; event index", () => {
    const driver = entropy();
    const { board, device } = driver;
    driver.start(VERSION_1 | INDIRECT | EVENT_INDEX, 1);
    board.mmio.write(TABLE + 16, 8, 0xfee01000n, 0);
    board.mmio.write(TABLE + 24, 8, 0x51n, 0);
    device.writeConfig(0x9a, 2, 0x8000);
    driver.write(0x16, 2, 0);
    driver.write(0x1a, 2, 7);
    assert.equal(driver.read(0x1a, 2), 0xffff, "there is no vector 7");
    driver.write(0x1a, 2, 1);
    driver.descriptor(0x6000, 0, { address: 0x8000, length: 4, write: true }, 1, 1);
    driver.descriptor(0x6000, 1, { address: 0x9000, length: 6, write: true }, 0, 0);
    driver.descriptor(driver.base(0), 3, { address: 0x6000, length: 32 }, 4, 0);
    driver.available(0, 3);
    driver.notify(0);
    assert.deepEqual(driver.used(0), { index: 1, length: 10 });
    assert.deepEqual(board.memory.messages.splice(0), [{ address: 0xfee01000, value: 0x51 }]);
    assert.ok(!driver.intx);
    assert.equal(driver.view.getUint16(driver.base(0) + 0x800 + 4 + 64, true), 1, "avail_event: tell me of the next one");
    // used_event: the driver wants to hear of the third.
    driver.view.setUint16(driver.base(0) + 0x400 + 4 + 16, 2, true);
    driver.available(0, 3);
    driver.notify(0);
    assert.equal(board.memory.messages.length, 0);
    driver.available(0, 3);
    driver.notify(0);
    assert.equal(board.memory.messages.length, 1);
  });

  test("broken rings stop the device until it is reset", () => {
    const breaks: Record<string, (driver: Driver) => void> = {
      "a loop": (driver) => {
        driver.descriptor(driver.base(0), 0, { address: 0x8000, length: 1, write: true }, 1, 0);
        driver.available(0, 0);
      },
      "a head outside": (driver) => driver.available(0, 8),
      "a next outside": (driver) => {
        driver.descriptor(driver.base(0), 0, { address: 0x8000, length: 1, write: true }, 1, 9);
        driver.available(0, 0);
      },
      "more than the queue holds": (driver) => driver.view.setUint16(driver.base(0) + 0x402, 9, true),
      "indirect without the feature": (driver) => {
        driver.descriptor(driver.base(0), 0, { address: 0x8000, length: 16 }, 4, 0);
        driver.available(0, 0);
      },
      "an address past 52 bits": (driver) => {
        driver.offer(0, [{ address: 0, length: 16, write: true }]);
        driver.view.setBigUint64(driver.base(0), 1n << 60n, true);
      },
      "a chain too long": (driver) => driver.offer(0, [{ address: 0, length: 0x7fffffff, write: true }]),
    };
    for (const [what, act] of Object.entries(breaks)) {
      const driver = entropy();
      driver.start(VERSION_1, 1);
      act(driver);
      driver.notify(0);
      assert.equal(driver.status & 64, 64, what);
      assert.ok(driver.intx, what);
      driver.start(VERSION_1, 1);
      driver.offer(0, [{ address: 0x8000, length: 8, write: true }]);
      driver.notify(0);
      assert.equal(driver.used(0).index, 1, `${what}: works again`);
    }
  });

  test("the window in configuration space reaches BAR 4", () => {
    const { device } = entropy();
    device.writeConfig(0x88, 1, 4);
    device.writeConfig(0x8c, 4, 0x14);
    device.writeConfig(0x90, 4, 1);
    device.writeConfig(0x94, 1, 3);
    assert.equal(device.readConfig(0x94, 1), 3);
  });
});

describe("virtio console", () => {
  test("sends and receives", () => {
    const board = new TestBoard();
    let sent = "";
    const device = new VirtioConsole(board.context, "console", (bytes) => (sent += Buffer.from(bytes).toString("latin1")));
    const driver = new Driver(board, device);
    driver.write(0x2008, 4, 0x21);
    assert.equal(sent, "!", "emergency write");
    device.receive(Buffer.from("early "));
    driver.start(VERSION_1, 2);
    board.memory.bytes.set(Buffer.from("hello, host"), 0x8000);
    driver.offer(1, [
      { address: 0x8000, length: 5 },
      { address: 0x8005, length: 6 },
    ]);
    driver.notify(1);
    assert.equal(sent, "!hello, host");
    driver.offer(0, [{ address: 0x9000, length: 4, write: true }], 0);
    driver.offer(0, [{ address: 0x9100, length: 64, write: true }], 1);
    driver.notify(0);
    assert.deepEqual(driver.used(0), { index: 2, length: 2 });
    driver.offer(0, [{ address: 0x9200, length: 64, write: true }], 2);
    driver.notify(0);
    assert.equal(driver.used(0).index, 2, "nothing waits");
    device.receive(Buffer.from("late"));
    assert.deepEqual(driver.used(0), { index: 3, length: 4 });
    assert.equal(Buffer.from(board.memory.bytes.subarray(0x9200, 0x9204)).toString(), "late");
  });
});

describe("virtio block", () => {
  const disk = (mode: "overlay" | "readonly"): Disk => {
    const content = Uint8Array.from({ length: 8192 }, (_, index) => (index >> 9) + 1);
    const read = (offset: number, target: Uint8Array): void => target.set(content.subarray(offset, offset + target.length));
    return new Disk("disk0", "d.img", { format: "raw", size: content.length, read, write: undefined, flush: () => undefined }, mode);
  };
  const rig = (mode: "overlay" | "readonly" = "overlay"): Driver => {
    const board = new TestBoard();
    const driver = new Driver(board, new VirtioBlock(board.context, "blk", disk(mode)));
    driver.start(VERSION_1, 1);
    return driver;
  };
  /** Carries a request out; returns the status byte. */
  const request = (driver: Driver, type: number, sector: number, data: readonly Piece[]): number => {
    driver.view.setUint32(0x7000, type, true);
    driver.view.setBigUint64(0x7008, BigInt(sector), true);
    driver.board.memory.bytes[0x7010] = 0xee;
    driver.offer(0, [{ address: 0x7000, length: 16 }, ...data, { address: 0x7010, length: 1, write: true }]);
    const { index } = driver.used(0);
    driver.notify(0);
    driver.board.run(DISK_LATENCY - 1);
    assert.equal(driver.used(0).index, index, "not before its time");
    driver.board.run(1);
    assert.equal(driver.used(0).index, index + 1);
    return driver.board.memory.bytes[0x7010];
  };

  test("capacity, reads, writes, flush, identity", () => {
    const driver = rig();
    const { bytes } = driver.board.memory;
    assert.equal(driver.read(0x2000, 8), 16);
    assert.equal(driver.read(0x2014, 4), 512);
    assert.equal(request(driver, 0, 3, [{ address: 0x8000, length: 1024, write: true }]), 0);
    assert.deepEqual([bytes[0x8000], bytes[0x8200]], [4, 5]);
    assert.equal(driver.used(0).length, 1025);
    bytes.fill(0x77, 0x9000, 0x9200);
    assert.equal(request(driver, 1, 4, [{ address: 0x9000, length: 512 }]), 0);
    assert.equal(request(driver, 4, 0, []), 0);
    assert.equal(request(driver, 0, 4, [{ address: 0xa000, length: 512, write: true }]), 0);
    assert.equal(bytes[0xa1ff], 0x77);
    assert.equal(request(driver, 8, 0, [{ address: 0xb000, length: 20, write: true }]), 0);
    assert.equal(Buffer.from(bytes.subarray(0xb000, 0xb006)).toString("latin1"), "disk0\0");
  });

  test("errors: past the end, odd lengths, read-only, unknown requests", () => {
    const driver = rig();
    assert.equal(request(driver, 0, 16, [{ address: 0x8000, length: 512, write: true }]), 1);
    assert.equal(request(driver, 0, 0, [{ address: 0x8000, length: 100, write: true }]), 1);
    assert.equal(request(driver, 1, 15, [{ address: 0x8000, length: 1024 }]), 1);
    assert.equal(request(driver, 99, 0, []), 2);
    const locked = rig("readonly");
    assert.notEqual(locked.offered & 32n, 0n);
    assert.equal(request(locked, 1, 0, [{ address: 0x8000, length: 512 }]), 1);
  });
});
