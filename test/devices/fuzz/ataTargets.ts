import { AhciController } from "../../../src/devices/ata/ahciController";
import { IdeController } from "../../../src/devices/ata/ideController";
import { Disk } from "../../../src/devices/block/disk";
import { type FuzzBench, RAM_BYTES, type Random } from "./bench";
import type { FuzzTarget, Subject } from "./fuzzer";

const SECTORS = 64;
const CD_SECTORS = 16;
/** Where drivers put what controllers read: descriptor tables of IDE channels; lists, received FISes and command tables of AHCI ports. */
const TABLES = 0x1000;
const LISTS = 0x2000;
const COMMANDS = 0x8000;
const DATA = 0x20000;
const MASTER = 0xc000;

function diskOf(name: string, bytes: number, cdrom: boolean): Disk {
  const content = Uint8Array.from({ length: bytes }, (_, index) => (index * 7) & 0xff);
  const source = {
    format: "raw",
    size: bytes,
    read: (offset: number, target: Uint8Array) => target.set(content.subarray(offset, offset + target.length)),
    write: undefined,
    flush: () => undefined,
  };
  return cdrom ? new Disk(name, "sample.iso", source, "readonly", "cdrom") : new Disk(name, "sample.img", source);
}

/** Commands that disks and CD-ROM drives carry out, and some that they do not. */
const COMMAND_CODES = [
  0x08, 0x10, 0x20, 0x24, 0x25, 0x29, 0x30, 0x34, 0x35, 0x39, 0x40, 0x60, 0x61, 0x90, 0xa0, 0xa1, 0xc4, 0xc5, 0xc6, 0xc8, 0xca, 0xe0, 0xe5,
  0xe7, 0xea, 0xec, 0xef, 0xf8, 0xff,
];
const PACKET_CODES = [0x00, 0x03, 0x12, 0x1b, 0x1e, 0x25, 0x28, 0x43, 0x46, 0x4a, 0x51, 0x5a, 0xa8, 0xbe, 0xff];

const one = (random: Random, list: readonly number[]): number => list[random(list.length)];

function packet(random: Random): number[] {
  const bytes = Array.from({ length: 12 }, () => (random(4) === 0 ? random(256) : 0));
  bytes[0] = one(random, PACKET_CODES);
  bytes[5] = random(CD_SECTORS + 2);
  bytes[8] = random(4);
  return bytes;
}

/** A driver that mostly keeps to the rules, so that transfers happen. */
class IdeDriver {
  private readonly view: DataView;

  constructor(
    private readonly bench: FuzzBench,
    private readonly controller: IdeController,
  ) {
    this.view = new DataView(bench.memory.bytes.buffer);
  }

  act(random: Random): void {
    const { ports } = this.bench;
    const channel = random(2);
    const base = channel === 0 ? 0x1f0 : 0x170;
    const master = MASTER + 8 * channel;
    if (random(2) === 0) return this.session(random, base);
    switch (random(10)) {
      case 0:
        this.controller.writeConfig(0x20, 4, MASTER);
        this.controller.enable();
        break;
      case 1:
        this.descriptors(random, channel);
        ports.write(master + 4, 4, TABLES + 0x400 * channel);
        break;
      case 2:
        ports.write(master, 1, one(random, [0, 1, 8, 9]));
        ports.write(master + 2, 1, 6);
        break;
      case 3:
      case 4:
        ports.write(base + 6, 1, 0xe0 | (random(4) === 0 ? 0x10 : 0));
        ports.write(base + 1, 1, random(3));
        ports.write(base + 2, 1, random(5));
        ports.write(base + 3, 1, random(SECTORS + 2));
        for (const register of [4, 5]) ports.write(base + register, 1, random(6) === 0 ? random(256) : 0);
        ports.write(base + 7, 1, one(random, COMMAND_CODES));
        break;
      case 5:
        if (random(2) === 0) {
          const bytes = packet(random);
          for (let at = 0; at < 12; at += 2) ports.write(base, 2, bytes[at] | (bytes[at + 1] << 8));
        }
        break;
      default: {
        const words = Math.min(256, 1 << random(9));
        const target = new Uint8Array(words * 2);
        if (random(3) > 0) {
          for (let at = 0; at < words; at++) this.bench.note(ports.read(base, 2));
        } else if (random(2) === 0) this.bench.note(ports.readBlock(base, 2, target));
        else for (let at = 0; at < words; at++) ports.write(base, 2, random(0x10000));
        break;
      }
    }
  }

  /** A command from its beginning to its end or close to it, as drivers do that poll: sectors come or go. */
  private session(random: Random, base: number): void {
    const { ports } = this.bench;
    this.controller.enable();
    ports.write(base + 0x206, 1, 2);
    this.bench.advance(3_000_000);
    const cd = base === 0x170;
    ports.write(base + 6, 1, 0xe0);
    ports.write(base + 1, 1, 0);
    ports.write(base + 2, 1, 1 + random(3));
    ports.write(base + 3, 1, random(SECTORS - 3));
    for (const register of [4, 5]) ports.write(base + register, 1, cd ? 8 : 0);
    ports.write(base + 7, 1, cd ? one(random, [0xa0, 0xa1]) : one(random, [0x20, 0x24, 0x29, 0x30, 0x39, 0xc4, 0xc5, 0xec]));
    if (cd) {
      const bytes = packet(random);
      for (let at = 0; at < 12; at += 2) ports.write(base, 2, bytes[at] | (bytes[at + 1] << 8));
    }
    for (let piece = random(5); piece >= 0; piece--) {
      this.bench.advance(60_000);
      const status = ports.read(base + 7, 1);
      this.bench.note(status);
      if ((status & 0x88) !== 0x08) return;
      // To the host, or from it; sometimes a driver takes less than there is.
      const words = random(8) === 0 ? random(256) : 256;
      for (let at = 0; at < words && (ports.read(base + 7, 1) & 8) !== 0; at++) {
        ports.write(base, 2, random(0x10000));
        this.bench.note(ports.read(base, 2));
      }
    }
  }

  /** A table of physical regions, the last one marked, or wild. */
  private descriptors(random: Random, channel: number): void {
    for (let index = 0; index < 8; index++) {
      const at = TABLES + 0x400 * channel + 8 * index;
      this.view.setUint32(at, random(8) === 0 ? random(0x7fffffff) : DATA + random(RAM_BYTES - DATA - 0x4000), true);
      this.view.setUint32(at + 4, random(8) === 0 ? random(0x10000) : one(random, [2, 512, 1024, 2048, 4096]), true);
      if (random(3) === 0) this.view.setUint32(at + 4, (this.view.getUint32(at + 4, true) | 0x80000000) >>> 0, true);
    }
  }
}

class AhciDriver {
  private readonly view: DataView;

  constructor(
    private readonly bench: FuzzBench,
    private readonly controller: AhciController,
  ) {
    this.view = new DataView(bench.memory.bytes.buffer);
  }

  private write(offset: number, value: number): void {
    const bar = this.bench.live.find((claim) => claim.name === "ahci.bar5")?.what;
    if (bar?.kind === "mmio") bar.handler.write(offset, 4, BigInt(value >>> 0), 0);
  }

  act(random: Random): void {
    if (random(10) === 0) {
      this.controller.writeConfig(0x04, 2, 6);
      this.write(4, 0x80000002);
      for (const port of [0, 1]) {
        for (const [register, value] of [
          [0x18, 0],
          [0x00, LISTS + port * 0x1000],
          [0x08, LISTS + 0x800 + port * 0x1000],
          [0x30, 0xffffffff],
          [0x14, 0x7dc0007f],
          [0x18, 0x11],
        ])
          this.write(0x100 + port * 0x80 + register, value);
      }
      return;
    }
    const port = random(2);
    const slot = random(4);
    const header = LISTS + port * 0x1000 + slot * 32;
    const table = COMMANDS + (port * 4 + slot) * 0x200;
    const wild = random(8) === 0;
    const packetCommand = random(3) === 0;
    const regions = wild ? random(0x10000) : random(5);
    this.view.setUint32(header, 5 | (packetCommand ? 0x20 : 0) | (random(3) === 0 ? 0x40 : 0) | (regions << 16), true);
    this.view.setUint32(header + 8, wild && random(2) === 0 ? random(0x7fffffff) : table, true);
    const fis = [
      0x27,
      0x80,
      packetCommand ? 0xa0 : one(random, COMMAND_CODES),
      random(3),
      random(SECTORS + 2),
      0,
      0,
      0x40,
      0,
      0,
      0,
      0,
      random(5),
    ];
    this.bench.memory.bytes.fill(0, table, table + 0x80);
    this.bench.memory.bytes.set(fis, table);
    this.bench.memory.bytes.set(packet(random), table + 0x40);
    for (let index = 0; index < 4; index++) {
      const at = table + 0x80 + 16 * index;
      this.view.setUint32(at, wild ? random(0x7fffffff) : DATA + random(RAM_BYTES - DATA - 0x4000), true);
      this.view.setUint32(at + 12, wild ? random(0x400000) : one(random, [1, 511, 1023, 4095]), true);
    }
    // Queued commands say so first.
    if (fis[2] === 0x60 || fis[2] === 0x61) this.write(0x100 + port * 0x80 + 0x34, 1 << slot);
    this.write(0x100 + port * 0x80 + 0x38, 1 << slot);
  }
}

export const ataTargets: readonly FuzzTarget[] = [
  {
    name: "IDE",
    build: (bench): Subject => {
      const disk = diskOf("disk0", SECTORS * 512, false);
      const cd = diskOf("cdrom", CD_SECTORS * 2048, true);
      const slots = [{ disk, cdrom: false }, undefined, { disk: cd, cdrom: true }, undefined];
      const controller = new IdeController(bench, slots, [bench.line(14), bench.line(15)]);
      const driver = new IdeDriver(bench, controller);
      return { devices: [controller, disk, cd], pci: [controller], act: (random) => driver.act(random) };
    },
    pause: 50_000,
  },
  {
    name: "AHCI",
    build: (bench): Subject => {
      const disk = diskOf("disk0", SECTORS * 512, false);
      const cd = diskOf("cdrom", CD_SECTORS * 2048, true);
      const controller = new AhciController(bench, [
        { disk, cdrom: false },
        { disk: cd, cdrom: true },
      ]);
      const driver = new AhciDriver(bench, controller);
      return { devices: [controller, disk, cd], pci: [controller], act: (random) => driver.act(random) };
    },
    pause: 50_000,
  },
];
