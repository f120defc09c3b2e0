import assert from "node:assert/strict";
import { StateHash } from "../../../src/common/hash";
import { encodeState, type State } from "../../../src/common/state";
import type { Device } from "../../../src/devices/device";
import type { PciDevice } from "../../../src/devices/pciDevice";
import { randomNumbers } from "../testBoard";
import { type Claim, FuzzBench, RAM_BYTES, type Random } from "./bench";

/** What a target puts on the bench. */
export interface Subject {
  /** Devices that are reset, saved and restored together, in this order. */
  readonly devices: readonly Device[];
  /** Those of them whose configuration space is fuzzed as well. */
  readonly pci?: readonly PciDevice[];
  /** One random act from another side than the registers: host input, descriptors in memory, wires. */
  readonly act?: (random: Random) => void;
}

export interface FuzzTarget {
  readonly name: string;
  /** Builds the subject; the same in every call. */
  readonly build: (bench: FuzzBench) => Subject;
  /** Longest time between two accesses, in nanoseconds; default 20 microseconds. */
  readonly pause?: number;
  /** Bytes that the saved state may have at most; default 1 MiB. */
  readonly stateLimit?: number;
}

interface Rig {
  readonly bench: FuzzBench;
  readonly subject: Subject;
}

/** Steps between two saves, at most; and steps that the copy runs along. */
const BETWEEN_SAVES = 4000;
const ALONG = 64;

function setUp(target: FuzzTarget): Rig {
  const bench = new FuzzBench();
  const subject = target.build(bench);
  for (const device of subject.devices) device.reset();
  assert.ok(bench.live.length + (subject.pci?.length ?? 0) > 0, `${target.name} has nothing to access`);
  return { bench, subject };
}

const saveAll = (rig: Rig): State => rig.subject.devices.map((device) => device.save());

/** Hash and length of a state's encoding. */
function digest(state: State): { hash: string; bytes: number } {
  const hash = new StateHash();
  let bytes = 0;
  encodeState(state, (part) => {
    bytes += part.length;
    hash.update(part);
  });
  return { hash: hash.digest(), bytes };
}

/** Values as guests write them: any, small, one bit, all ones, addresses in RAM, identity-mapped device addresses. */
function value32(random: Random): number {
  switch (random(8)) {
    case 0:
      return random(16);
    case 1:
      return (1 << random(32)) >>> 0;
    case 2:
      return random(2) === 0 ? 0 : 0xffffffff;
    case 3:
    case 4:
      return random(RAM_BYTES) & ~(random(2) === 0 ? 0xfff : 0);
    case 5:
      return 0xfee00000 + (random(0x100000) & ~3);
    default:
      return (random(0x10000) << 16) | random(0x10000);
  }
}

const wide = (random: Random): bigint => (BigInt(random(4) === 0 ? value32(random) >>> 0 : 0) << 32n) | BigInt(value32(random) >>> 0);

function access(bench: FuzzBench, { base, what }: Claim, random: Random): void {
  if (what.kind === "ports") {
    const at = random(what.count);
    const sizes = ([1, 2, 4] as const).filter((size) => at + size <= what.count);
    const size = sizes[random(sizes.length)];
    const value = (value32(random) >>> 0) & (size === 4 ? -1 : (1 << (size * 8)) - 1);
    if (random(2) === 0) what.handler.write(base + at, size, value >>> 0);
    else bench.note(what.handler.read(base + at, size));
    return;
  }
  const size = ([1, 2, 4, 4, 4, 8] as const)[random(6)];
  if (size > what.size) return;
  let offset = random(4) === 0 ? random(what.size) : random(Math.min(what.size, 0x200));
  if (random(4) !== 0) offset -= offset % size;
  offset = Math.min(offset, what.size - size);
  if (random(2) === 0) what.handler.write(offset, size, BigInt.asUintN(size * 8, wide(random)), random(2));
  else {
    const value = what.handler.read(offset, size, random(2));
    bench.note(Number(BigInt.asIntN(32, value)));
    bench.note(Number(BigInt.asIntN(32, value >> 32n)));
  }
}

function configuration(bench: FuzzBench, device: PciDevice, random: Random): void {
  const kind = random(8);
  if (kind === 0) return device.writeConfig(0x04, 2, random(4) === 0 ? random(0x10000) : 0x0007);
  if (kind === 1) return device.writeConfig(0x10 + 4 * random(6), 4, random(4) === 0 ? 0xffffffff : value32(random) >>> 0);
  const size = ([1, 2, 4] as const)[random(3)];
  const offset = random(256 / size) * size;
  if (random(2) === 0) device.writeConfig(offset, size, value32(random) >>> 0);
  else bench.note(device.readConfig(offset, size));
}

function step(target: FuzzTarget, { bench, subject }: Rig, random: Random): void {
  bench.memory.beginStep();
  const kind = random(16);
  const pci = subject.pci ?? [];
  const claims = bench.live;
  if (kind === 0) bench.advance(random(target.pause ?? 20_000));
  else if (kind === 1) {
    // Guest memory, where devices may look for descriptors.
    const at = random(RAM_BYTES / 4) * 4;
    new DataView(bench.memory.bytes.buffer).setUint32(at, value32(random) >>> 0, true);
  } else if (kind <= 3 && subject.act !== undefined) subject.act(random);
  else if (kind <= 5 && pci.length > 0) configuration(bench, pci[random(pci.length)], random);
  else if (claims.length > 0) access(bench, claims[random(claims.length)], random);
  else if (pci.length > 0) configuration(bench, pci[random(pci.length)], random);
}

function registers({ subject }: Rig): void {
  for (const device of subject.devices)
    for (const view of device.registers()) assert.ok(view.value >= 0n, `${device.name}: ${view.name} is negative`);
}

/**
 * `steps` random accesses to a target. Nothing may be thrown, guest memory is accessed where it may be, one access and one deadline do a bounded
 * amount of work, the state stays bounded; and at random points the state is put into a fresh subject, which then goes on: it must save the same state, and the
 * same accesses must give the same values and effects on both. The copy then takes the original's place.
 */
export function fuzzTarget(target: FuzzTarget, steps: number, seed: number): void {
  let rig = setUp(target);
  const random = randomNumbers(seed);
  let left = steps;
  while (left > 0) {
    const stretch = Math.min(left, 1 + random(BETWEEN_SAVES));
    for (let count = 0; count < stretch; count++) step(target, rig, random);
    left -= stretch;
    if (random(4) === 0) for (const device of rig.subject.devices) device.reset();
    registers(rig);

    const state = saveAll(rig);
    const original = digest(state);
    assert.ok(original.bytes <= (target.stateLimit ?? 1 << 20), `the state has grown to ${original.bytes} bytes`);
    const copy = setUp(target);
    copy.bench.restore(rig.bench.save());
    copy.subject.devices.forEach((device, index) => device.restore((state as readonly State[])[index]));
    copy.bench.seen = rig.bench.seen;
    assert.equal(digest(saveAll(copy)).hash, original.hash, "saving after restoring gives another state");
    const again = 1 + random(0x7fffffff);
    for (const [at, one] of [rig, copy].entries()) {
      const same = randomNumbers(again);
      for (let count = 0; count < ALONG; count++) {
        step(target, one, same);
        // Looking must not matter.
        if (at === 1 && count % 16 === 0) registers(one);
      }
    }
    assert.equal(copy.bench.seen, rig.bench.seen, "the restored subject does something else");
    assert.equal(digest(saveAll(copy)).hash, digest(saveAll(rig)).hash, "the restored subject goes on to another state");
    assert.deepEqual(copy.bench.memory.bytes, rig.bench.memory.bytes, "the restored subject leaves other memory");
    rig = copy;
  }
}
