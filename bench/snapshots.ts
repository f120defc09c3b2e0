/**
 * How long snapshots of a 512 MiB machine take, with 1,000 pages written between one and the next: `npm run bench:snapshots`. Medians of many rounds; what a page costs
 * at its first write after a snapshot is told apart, as the run pays it.
 */
import { readFileSync } from "node:fs";
import { Machine } from "../src/machine/machine";

const MIB = 2 ** 20;
const PAGES = 1_000;
const ROUNDS = 41;

function median(values: number[]): string {
  const sorted = [...values].sort((a, b) => a - b);
  return `${sorted[sorted.length >> 1].toFixed(2)} ms (worst ${sorted[sorted.length - 1].toFixed(2)})`;
}

function timed(list: number[], action: () => void): void {
  const start = performance.now();
  action();
  list.push(performance.now() - start);
}

/** Writes a byte into each of `PAGES` pages all over RAM. */
function dirty(machine: Machine, round: number): void {
  const byte = Uint8Array.of(round);
  for (let page = 0; page < PAGES; page++) machine.memory.write(0x40_0000 + page * 120 * 4096, byte);
}

for (const cpus of [1, 4, 8]) {
  const machine = Machine.create({ cpus, memory: 512 * MIB });
  machine.boot({ image: readFileSync("guests/smp/smp.elf"), imageName: "smp.elf", cmdline: "" });
  machine.run(1_500_000);
  const times = { take: [] as number[], first: [] as number[], restore: [] as number[], hash: [] as number[] };
  machine.stateHash();
  for (let round = 1; round <= ROUNDS; round++) {
    let snapshot = machine.snapshots.take();
    timed(times.first, () => dirty(machine, round));
    timed(times.take, () => (snapshot = machine.snapshots.take()));
    dirty(machine, round + 100);
    timed(times.restore, () => machine.snapshots.restore(snapshot));
    timed(times.hash, () => machine.stateHash());
    while (machine.snapshots.list.length > 4) machine.snapshots.drop(machine.snapshots.list[0]);
  }
  console.log(`${cpus} CPUs, 512 MiB, ${PAGES} pages written:`);
  console.log(`  snapshot               ${median(times.take)}`);
  console.log(`  first writes after it  ${median(times.first)}`);
  console.log(`  restore                ${median(times.restore)}`);
  console.log(`  state hash             ${median(times.hash)}`);
}
