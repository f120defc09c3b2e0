/**
 * `node --import tsx bench/dispatch.ts [--blocks N] [--seconds S] [--no-pack]`: what it costs to get from one block of hot code to the next. N blocks (2,000) of one instruction, a jump
 * through memory, run in one random order over and over: each step goes through the jump cache and the table of functions. Prints nanoseconds of
 * processor time a step; with --no-pack for modules as they were made.
 */
import { parseArgs } from "node:util";
import { CS, DS, ES, SS } from "../src/cpu/segmentRegisters";
import { Machine } from "../src/machine/machine";

const { values } = parseArgs({
  options: {
    blocks: { type: "string", default: "2000" },
    seconds: { type: "string", default: "5" },
    pack: { type: "boolean", default: true },
  },
  allowNegative: true,
});
const MIB = 2 ** 20;
const CODE = 0x10_0000;
const TABLE = 0x20_0000;
/** Distance between blocks: functions are that far apart at least. */
const SPACING = 32;
/** Steps before measuring. */
const WARM_UP = 200_000_000;
/** Steps of one measurement. */
const STEPS = 2_000_000;

/** A permutation of 0 to count - 1 that is one cycle, the same on every run. */
function cycle(count: number): Uint32Array {
  const next = Uint32Array.from({ length: count }, (_, index) => index);
  let state = 0x9e3779b9;
  for (let i = count - 1; i > 0; i--) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const other = Math.floor((state / 2 ** 32) * i);
    [next[i], next[other]] = [next[other], next[i]];
  }
  return next;
}

function main(): void {
  const blocks = Number(values.blocks);
  // Hot soon, so that all of the time is that of hot code.
  const machine = Machine.create({ cpus: 1, memory: 16 * MIB, jit: { threshold: 500, ...(values.pack ? {} : { packModules: Infinity }) } });
  const table = new DataView(new ArrayBuffer(blocks * 4));
  cycle(blocks).forEach((to, from) => table.setUint32(from * 4, CODE + to * SPACING, true));
  machine.memory.write(TABLE, new Uint8Array(table.buffer));
  for (let block = 0; block < blocks; block++) {
    const jump = new DataView(new ArrayBuffer(6));
    // jmp [TABLE + 4 * block]
    jump.setUint16(0, 0x25ff, true);
    jump.setUint32(2, TABLE + 4 * block, true);
    machine.memory.write(CODE + block * SPACING, new Uint8Array(jump.buffer));
  }
  const [vcpu] = machine.cpus;
  const { state } = vcpu;
  state.cr0 = 0x11;
  state.setSegment(CS, 8, 0n, 0xffffffff, 0xc09b);
  for (const segment of [SS, DS, ES]) state.setSegment(segment, 16, 0n, 0xffffffff, 0xc093);
  state.rip = BigInt(CODE);
  vcpu.mmu.tlb.flush();
  vcpu.changed();
  const timed = (): number => {
    const begun = process.cpuUsage();
    machine.run(STEPS);
    const { user, system } = process.cpuUsage(begun);
    return ((user + system) * 1000) / STEPS;
  };
  const first = timed();
  // Until everything is hot, packed and optimised.
  for (let warm = 0; warm < WARM_UP; warm += STEPS) machine.run(STEPS);
  const started = performance.now();
  const samples: number[] = [];
  while (performance.now() - started < Number(values.seconds) * 1000) samples.push(timed());
  const { jit, interpreted, instructions } = machine.stats();
  samples.sort((a, b) => a - b);
  console.log(
    `Node ${process.version}: ${blocks} blocks in random order: ${first.toFixed(1)} ns a step at first, then median ${samples[samples.length >> 1].toFixed(1)}, ` +
      `best ${samples[0].toFixed(1)}; ${jit?.regionsLive} functions in ${jit?.modulesLive} modules, ${((100 * interpreted) / instructions).toFixed(1)} % interpreted`,
  );
}

main();
