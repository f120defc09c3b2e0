import { Disk } from "../../../src/devices/block/disk";
import { VirtioBlock } from "../../../src/devices/virtio/block";
import { VirtioConsole } from "../../../src/devices/virtio/console";
import { VirtioRng } from "../../../src/devices/virtio/rng";
import type { VirtioDevice } from "../../../src/devices/virtio/virtioDevice";
import { type FuzzBench, RAM_BYTES, type Random } from "./bench";
import type { FuzzTarget, Subject } from "./fuzzer";

const RINGS = 0x4000;
const SIZE = 8;
const SECTORS = 64;

/** A driver that mostly keeps to the rules, so that devices get to see chains: it sets queues up, offers chains of random descriptors and notifies. */
class RandomDriver {
  private readonly view: DataView;

  constructor(
    private readonly bench: FuzzBench,
    private readonly device: VirtioDevice,
    private readonly queues: number,
  ) {
    this.view = new DataView(bench.memory.bytes.buffer);
  }

  private write(offset: number, size: 1 | 2 | 4 | 8, value: number): void {
    const bar = this.bench.live.find((claim) => claim.name === `${this.device.name}.bar4`)?.what;
    if (bar?.kind === "mmio") bar.handler.write(offset, size, BigInt(value), 0);
  }

  private setUp(random: Random): void {
    this.device.writeConfig(0x04, 2, 0x0007);
    this.write(0x14, 1, 0);
    for (const status of [1, 3]) this.write(0x14, 1, status);
    for (const [select, bits] of [random(2) === 0 ? 0 : 0x30000000, 1].entries()) {
      this.write(0x08, 4, select);
      this.write(0x0c, 4, bits);
    }
    this.write(0x14, 1, 0x0b);
    for (let queue = 0; queue < this.queues; queue++) {
      this.write(0x16, 2, queue);
      this.write(0x18, 2, SIZE);
      const base = RINGS + queue * 0x1000;
      this.bench.memory.bytes.fill(0, base + 0x400, base + 0xc00);
      for (const [index, address] of [base, base + 0x400, base + 0x800].entries()) this.write(0x20 + 8 * index, 8, address);
      this.write(0x1c, 2, 1);
    }
    this.write(0x14, 1, 0x0f);
  }

  act(random: Random): void {
    if (random(12) === 0) return this.setUp(random);
    const queue = random(this.queues);
    const base = RINGS + queue * 0x1000;
    const wild = random(6) === 0;
    for (let index = 0; index < SIZE; index++) {
      const at = base + 16 * index;
      this.view.setUint32(at, wild ? random(0x7fffffff) : RINGS + 0x8000 + random(RAM_BYTES - RINGS - 0x9000), true);
      this.view.setUint32(at + 4, wild && random(3) === 0 ? random(0x7fffffff) : 0, true);
      this.view.setUint32(at + 8, wild ? random(0x2000000) : [1, 16, 20, 512, 1024, 4096][random(6)], true);
      const writable = index >= SIZE / 2 ? 2 : 0;
      const flags = wild ? random(8) : index === SIZE - 1 || random(3) === 0 ? writable : writable | 1;
      this.view.setUint16(at + 12, flags, true);
      this.view.setUint16(at + 14, wild ? random(SIZE + 2) : index + 1, true);
    }
    // A request header where the first descriptor points, as block devices want it.
    const header = this.view.getUint32(base, true);
    if (header + 16 <= RAM_BYTES) {
      this.view.setUint32(header, [0, 1, 4, 8, 77][random(5)], true);
      this.view.setUint32(header + 8, random(SECTORS + 8), true);
      this.view.setUint32(header + 12, 0, true);
    }
    const available = this.view.getUint16(base + 0x402, true);
    this.view.setUint16(base + 0x404 + 2 * (available % SIZE), random(20) === 0 ? random(SIZE + 2) : random(SIZE), true);
    this.view.setUint16(base + 0x402, (available + (random(20) === 0 ? random(0x10000) : 1)) & 0xffff, true);
    this.view.setUint16(base + 0x400, random(2), true);
    this.write(0x3000 + 4 * queue, 2, queue);
  }
}

function subject(bench: FuzzBench, device: VirtioDevice, queues: number, more: Subject["act"], others: Subject["devices"] = []): Subject {
  const driver = new RandomDriver(bench, device, queues);
  const act = (random: Random): void => {
    if (more !== undefined && random(4) === 0) more(random);
    else driver.act(random);
  };
  return { devices: [device, ...others], pci: [device], act };
}

export const virtioTargets: readonly FuzzTarget[] = [
  { name: "virtio-rng", build: (bench) => subject(bench, new VirtioRng(bench, "virtio-rng", 1), 1, undefined) },
  {
    name: "virtio-console",
    build: (bench) => {
      const device = new VirtioConsole(bench, "virtio-console", (bytes) => {
        bench.note(bytes.length);
        for (const byte of bytes.subarray(0, 64)) bench.note(byte);
      });
      return subject(bench, device, 2, (random) => bench.note(device.receive(Uint8Array.from({ length: random(20) }, () => random(256)))));
    },
  },
  {
    name: "virtio-blk",
    build: (bench) => {
      const content = Uint8Array.from({ length: SECTORS * 512 }, (_, index) => index & 0xff);
      const source = {
        format: "raw",
        size: content.length,
        read: (offset: number, target: Uint8Array) => target.set(content.subarray(offset, offset + target.length)),
        write: undefined,
        flush: () => undefined,
      };
      const disk = new Disk("disk0", "sample.img", source);
      return subject(bench, new VirtioBlock(bench, "virtio-blk0", disk), 1, undefined, [disk]);
    },
    pause: 200_000,
  },
];
