/** Runs that go back to snapshots again and again, and must come out as if they never had. */
import assert from "node:assert/strict";
import type { Machine } from "../../src/machine/machine";
import type { Snapshot } from "../../src/machine/snapshots";
import { generator } from "./determinism";

export interface SavePoints {
  /** Snapshots taken. */
  readonly points: number;
  /** Most instructions between two of them, and run before going back. */
  readonly longest: number;
  readonly seed: number;
}

const attempted = (machine: Machine): number => machine.cpus.reduce((sum, cpu) => sum + cpu.processor.attempted, 0);

/**
 * At random points: save, run on, go back, run on again; the states must be the same, output included. Several snapshots are alive at a time, and the run goes back over
 * more than one now and then. Returns how many instructions were tried: an undisturbed run of as many ends in the same state.
 */
export function goBackAtRandom(machine: Machine, output: () => string, { points, longest, seed }: SavePoints): number {
  const random = generator(seed);
  const length = (): number => 1 + (random() % longest);
  const older: { snapshot: Snapshot; hash: string; attempted: number }[] = [];
  for (let point = 0; point < points; point++) {
    if (machine.run(length()).kind !== "limit") break;
    const at = machine.instructions();
    const hash = machine.stateHash();
    const snapshot = machine.snapshots.take();
    assert.equal(machine.stateHash(), hash, `a snapshot at instruction ${at} changed the state`);
    const told = output().length;
    const n = length();
    const end = machine.run(n);
    const after = machine.stateHash();
    const text = output().slice(told);
    machine.snapshots.restore(snapshot);
    assert.equal(machine.stateHash(), hash, `going back to instruction ${at} gave another state`);
    const toldAgain = output().length;
    assert.deepEqual(machine.run(n), end, `from instruction ${at} the run ended otherwise`);
    assert.equal(machine.stateHash(), after, `${n} instructions from instruction ${at} led to another state`);
    assert.equal(output().slice(toldAgain), text, `from instruction ${at} the output was another`);
    if (end.kind !== "limit") break;
    older.push({ snapshot, hash, attempted: attempted(machine) - n });
    if (random() % 4 === 0) {
      const back = older[random() % older.length];
      older.length = older.indexOf(back) + 1;
      machine.snapshots.restore(back.snapshot);
      assert.equal(machine.stateHash(), back.hash);
    }
    while (older.length > 4) {
      const [dropped] = older.splice(random() % older.length, 1);
      machine.snapshots.drop(dropped.snapshot);
    }
  }
  machine.snapshots.clear();
  return attempted(machine);
}
