/** Comparisons of whole machine states between runs of the same guest. */
import assert from "node:assert/strict";
import { encodeState } from "../../src/common/state";
import { StateHash } from "../../src/common/hash";
import type { Machine } from "../../src/machine/machine";
import type { MachineConfiguration, RunEnd } from "../../src/machine/types";
import { bootGuest, eager, MIB } from "./runGuest";

/** As little memory as the guests get along with: all of it is hashed. */
const MEMORY = 16 * MIB;

interface Outcome {
  readonly instructions: number;
  readonly hash: string;
  readonly output: string;
}

/** Instructions retired or faulted: what runs are limited by. */
const attempted = (machine: Machine): number => machine.cpus.reduce((sum, cpu) => sum + cpu.processor.attempted, 0);

const outcome = (machine: Machine, output: string): Outcome => ({
  instructions: machine.instructions(),
  hash: machine.stateHash(),
  output,
});

/** Runs the guest twice for `length` instructions; the state's hash at the end. */
export function sameTwice(
  image: string,
  configuration: Partial<MachineConfiguration>,
  length: number,
  prepare: (machine: Machine) => void = () => undefined,
): string {
  const once = (): Outcome => {
    const { machine, output } = bootGuest(image, { memory: MEMORY, ...configuration });
    prepare(machine);
    machine.run(length);
    return outcome(machine, output());
  };
  const first = once();
  assert.deepEqual(once(), first);
  return first.hash;
}

/** Runs the guest in one go, then in slices of random lengths up to `longest`: all must be the same at the end. */
export function randomSlices(
  image: string,
  configuration: Partial<MachineConfiguration>,
  length: number,
  longest: number,
  seed: number,
): void {
  const whole = bootGuest(image, { memory: MEMORY, ...configuration });
  const wholeEnd = whole.machine.run(length);
  const expected = outcome(whole.machine, whole.output());
  const sliced = bootGuest(image, { memory: MEMORY, ...configuration });
  const random = generator(seed);
  let end: RunEnd = { kind: "limit" };
  for (let left = length; end.kind === "limit" && left > 0; left = length - attempted(sliced.machine)) {
    end = sliced.machine.run(Math.min(1 + (random() % longest), left));
  }
  assert.deepEqual(end, wholeEnd);
  assert.deepEqual(outcome(sliced.machine, sliced.output()), expected);
}

/** Runs the guest on all engines side by side and compares their states after every `slice` instructions, beginning after `skip`. */
export function lockstep(
  image: string,
  configuration: Partial<MachineConfiguration>,
  { skip, length, slice }: { skip: number; length: number; slice: number },
): void {
  const emitted = bootGuest(image, { memory: MEMORY, ...configuration, engine: "interpreter" }).machine;
  const reference = bootGuest(image, { memory: MEMORY, ...configuration, engine: "reference" }).machine;
  const generated = bootGuest(image, { memory: MEMORY, ...configuration, jit: eager }).machine;
  const machines = [emitted, reference, generated];
  for (const machine of machines) if (skip > 0) machine.run(skip);
  let compared = 0;
  while (emitted.instructions() < skip + length) {
    const at = emitted.instructions();
    const end = emitted.run(slice);
    assert.deepEqual(reference.run(slice), end);
    assert.deepEqual(generated.run(slice), end);
    // RAM is compared now and then, as it is large; everything else each time.
    const states = machines.map((machine) => (compared % 200 === 0 ? machine.stateHash() : hashOf(machine)));
    for (const [index, name] of [
      [1, "reference"],
      [2, "translator"],
    ] as const) {
      assert.equal(states[index], states[0], `interpreter and ${name} differ between instructions ${at} and ${emitted.instructions()}`);
    }
    compared++;
    if (end.kind !== "limit") break;
  }
  assert.equal(reference.stateHash(), emitted.stateHash());
  assert.equal(generated.stateHash(), emitted.stateHash());
}

function hashOf(machine: Machine): string {
  const hash = new StateHash();
  encodeState(machine.saveState(), (bytes) => hash.update(bytes));
  return hash.digest();
}

/** A small generator of unsigned 32-bit numbers (xorshift). */
export function generator(seed: number): () => number {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}
