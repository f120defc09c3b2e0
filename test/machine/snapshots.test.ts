import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { MachineConfiguration } from "../../src/machine/types";
import { bootGuest, MIB } from "./runGuest";
import { goBackAtRandom, type SavePoints } from "./snapshotRuns";

const MEMORY = 16 * MIB;

function survives(image: string, configuration: Partial<MachineConfiguration>, points: SavePoints): void {
  const { machine, output } = bootGuest(image, { memory: MEMORY, ...configuration });
  const tried = goBackAtRandom(machine, output, points);
  const plain = bootGuest(image, { memory: MEMORY, ...configuration });
  plain.machine.run(tried);
  assert.equal(machine.stateHash(), plain.machine.stateHash(), "snapshots disturbed the run");
}

describe("save, run on, go back, run on", () => {
  for (const cpus of [1, 2, 4]) {
    test(`the bundled guest on ${cpus} CPUs`, () => survives("guests/smp/smp.elf", { cpus }, { points: 60, longest: 40_000, seed: cpus }));
    test(`the bundled guest on ${cpus} CPUs, translated to WebAssembly`, () =>
      survives("guests/smp/smp.elf", { cpus, engine: "jit" }, { points: 20, longest: 40_000, seed: cpus + 20 }));
    test(`the bundled guest on ${cpus} CPUs, reference engine`, () =>
      survives("guests/smp/smp.elf", { cpus, engine: "reference" }, { points: 15, longest: 10_000, seed: cpus + 10 }));
  }
  test("instruction by instruction", () => survives("guests/smp/smp.elf", { cpus: 2, quantum: 50 }, { points: 300, longest: 60, seed: 5 }));
  for (const image of ["exceptions", "paging", "segments", "apic"]) {
    test(`checks of ${image}`, () => survives(`guests/checks/${image}.elf`, { cpus: 2 }, { points: 60, longest: 30_000, seed: 7 }));
  }
});

test("a state hash depends on content, not on how it came about", () => {
  const { machine } = bootGuest("guests/smp/smp.elf", { memory: MEMORY, cpus: 2 });
  const often = bootGuest("guests/smp/smp.elf", { memory: MEMORY, cpus: 2 });
  machine.run(500_000);
  for (let i = 0; i < 50; i++) {
    often.machine.run(10_000);
    often.machine.stateHash();
  }
  assert.equal(often.machine.stateHash(), machine.stateHash());
});

test("translations that are cached stay cached while stores need notice, on every engine", () => {
  const hashes = new Set<string>();
  for (const engine of ["reference", "interpreter", "jit"] as const)
    for (const disturbed of [false, true]) {
      const { machine } = bootGuest("guests/checks/exceptions.elf", { memory: MEMORY, cpus: 1, engine });
      for (let slice = 0; slice < 400; slice++) {
        machine.run(501);
        // Every page needs notice of its next store after a snapshot.
        if (disturbed) machine.snapshots.drop(machine.snapshots.take());
      }
      hashes.add(machine.stateHash());
    }
  assert.equal(hashes.size, 1, [...hashes].join(" "));
});

test("pages written by devices and by the debugger are taken back", () => {
  const { machine } = bootGuest("guests/smp/smp.elf", { memory: MEMORY, cpus: 1 });
  machine.run(100_000);
  const hash = machine.stateHash();
  const snapshot = machine.snapshots.take();
  machine.memory.write(0x70_0000, Uint8Array.of(1, 2, 3));
  machine.memory.write32(0x70_2ffc, 0xdeadbeef);
  machine.memory.write(0x70_3fff, 2, 0xabcdn, 0);
  assert.notEqual(machine.stateHash(), hash);
  machine.snapshots.restore(snapshot);
  assert.equal(machine.stateHash(), hash);
  assert.deepEqual([...machine.memory.read(0x70_0000, 3)], [0, 0, 0]);
});

test("a snapshot that was dropped in between leaves the older ones whole", () => {
  const { machine } = bootGuest("guests/smp/smp.elf", { memory: MEMORY, cpus: 2 });
  machine.run(200_000);
  const first = machine.snapshots.take();
  const hash = machine.stateHash();
  machine.run(100_000);
  const second = machine.snapshots.take();
  machine.run(100_000);
  const third = machine.snapshots.take();
  machine.run(100_000);
  machine.snapshots.drop(second);
  machine.run(50_000);
  machine.snapshots.drop(third);
  machine.run(50_000);
  machine.snapshots.restore(first);
  assert.equal(machine.stateHash(), hash);
});
