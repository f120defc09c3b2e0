import assert from "node:assert/strict";
import { encodeState, type State } from "../../src/common/state";
import { DeviceBus } from "../../src/devices/bus";
import { VirtualClock } from "../../src/devices/clock";
import type { Device, DmaMemory } from "../../src/devices/device";
import { MmioSpace } from "../../src/devices/mmio";
import { PortSpace } from "../../src/devices/ports";

/** RAM of 1 MiB that records the bus writes of MSIs. */
export class TestMemory implements DmaMemory {
  readonly bytes = new Uint8Array(0x100000);
  readonly messages: { address: number; value: number }[] = [];

  read(address: number, length: number): Uint8Array {
    return Uint8Array.from({ length }, (_, index) => this.bytes[address + index] ?? 0xff);
  }

  write(address: number, bytes: Uint8Array): void {
    for (let index = 0; index < bytes.length && address + index < this.bytes.length; index++) this.bytes[address + index] = bytes[index];
  }

  write32(address: number, value: number): void {
    if (address >= 0xfee00000 && address < 0xfef00000) this.messages.push({ address, value });
    else if (address + 4 <= this.bytes.length) new DataView(this.bytes.buffer).setUint32(address, value, true);
  }
}

/** A board with ports, MMIO, clock and memory, whose time the test moves. */
export class TestBoard {
  time = 0;
  readonly ports = new PortSpace();
  readonly mmio = new MmioSpace();
  readonly memory = new TestMemory();
  readonly clock = new VirtualClock(() => this.time);
  readonly context = new DeviceBus(this.clock, this.ports, this.mmio, this.memory);

  /** Runs to `time`, stopping at every deadline on the way as the machine does. */
  runTo(time: number): void {
    for (let guard = 0; guard < 10_000_000; guard++) {
      const next = this.clock.nextDeadline();
      if (next > time) break;
      this.time = Math.max(this.time, next);
      this.clock.runDue(this.time);
    }
    this.time = time;
  }

  run(nanoseconds: number): void {
    this.runTo(this.time + nanoseconds);
  }

  out(port: number, value: number, size: 1 | 2 | 4 = 1): void {
    this.ports.write(port, size, value);
  }

  in(port: number, size: 1 | 2 | 4 = 1): number {
    return this.ports.read(port, size);
  }
}

/** A line that keeps its level and counts its rising edges. */
export class Probe {
  level = false;
  rises = 0;
  readonly line = (level: boolean): void => {
    if (level && !this.level) this.rises++;
    this.level = level;
  };
}

/** Small deterministic generator (xorshift32). */
export function randomNumbers(seed: number): (below: number) => number {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** A text that is equal for equal states. */
export function fingerprint(state: State): string {
  let text = "";
  encodeState(state, (bytes) => (text += Buffer.from(bytes).toString("hex")));
  return text;
}

export interface Bench {
  readonly board: TestBoard;
  readonly device: Device;
  /** What the device did to the world: lines, output, callbacks. */
  readonly log: string[];
}

export interface Exercise {
  /** Ports to touch: first and count. */
  readonly ports: readonly (readonly [number, number])[];
  /** MMIO to touch: base and size. */
  readonly mmio?: readonly (readonly [number, number])[];
  /** Further input besides registers. */
  readonly other?: (bench: Bench, random: (below: number) => number) => void;
  /** Longest time between accesses. */
  readonly pause?: number;
}

function randomStep(bench: Bench, exercise: Exercise, random: (below: number) => number): void {
  const size = ([1, 1, 1, 2, 4] as const)[random(5)];
  const kind = random(12);
  if (kind === 0) {
    bench.board.run(random(exercise.pause ?? 2_000_000));
  } else if (kind === 1 && exercise.other !== undefined) {
    exercise.other(bench, random);
  } else if (kind <= 3 && exercise.mmio !== undefined && exercise.mmio.length > 0) {
    const [base, length] = exercise.mmio[random(exercise.mmio.length)];
    const wide = ([1, 2, 4, 8] as const)[random(4)];
    const address = base + random(length);
    if (random(2)) bench.board.mmio.write(address, wide, (BigInt(random(0x7fffffff)) << 32n) | BigInt(random(0x7fffffff)), 0);
    else bench.log.push(`m${bench.board.mmio.read(address, wide, 0)}`);
  } else {
    const [first, count] = exercise.ports[random(exercise.ports.length)];
    const port = first + random(count);
    if (random(2)) bench.board.out(port, random(0x7fffffff) ^ (random(2) << 31), size);
    else bench.log.push(`p${bench.board.in(port, size)}`);
  }
}

/** 50,000 random accesses: no exception, and a saved state that stays small. */
export function fuzz(build: () => Bench, exercise: Exercise, seed: number, limit = 200_000): void {
  const bench = build();
  const random = randomNumbers(seed);
  for (let step = 0; step < 50_000; step++) {
    randomStep(bench, exercise, random);
    if (bench.log.length > 1000) bench.log.length = 0;
    if (step % 5000 === 0) bench.device.registers();
  }
  assert.ok(fingerprint(bench.device.save()).length < limit, "state grew without bound");
}

/**
 * Saves in the middle of random use, restores into a fresh board, and runs both on with the same accesses: all that
 * comes out, and the state at the end, must be equal; looking at registers must not matter.
 */
export function continuation(build: () => Bench, exercise: Exercise, seed: number): void {
  const first = build();
  const random = randomNumbers(seed);
  for (let round = 0; round < 20; round++) {
    for (let step = 0; step < 40; step++) randomStep(first, exercise, random);
    const state = first.device.save();
    const second = build();
    second.board.time = first.board.time;
    second.board.memory.bytes.set(first.board.memory.bytes);
    second.device.restore(state);
    assert.equal(fingerprint(second.device.save()), fingerprint(state), "saving after restoring gives the same state");
    first.log.length = 0;
    second.log.length = 0;
    const again = 1 + random(0x7fffffff);
    const [one, two] = [randomNumbers(again), randomNumbers(again)];
    for (let step = 0; step < 60; step++) {
      randomStep(first, exercise, one);
      randomStep(second, exercise, two);
      second.device.registers();
    }
    assert.deepEqual(second.log, first.log);
    assert.equal(fingerprint(second.device.save()), fingerprint(first.device.save()));
  }
}
