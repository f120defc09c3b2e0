import type { Machine } from "../machine/machine";

/** Helpers that `--stats` names. */
const NAMED_HELPERS = 6;

const percent = (part: number, whole: number): string => `${whole === 0 ? 0 : ((100 * part) / whole).toFixed(1)} %`;
const perThousand = (count: number, instructions: number): string => ((1000 * count) / Math.max(1, instructions)).toFixed(2);

/** What `--stats` prints of a run that took `milliseconds`, a line each. */
export function statistics(machine: Machine, milliseconds: number): string[] {
  const stats = machine.stats();
  const { instructions, calls, jit } = stats;
  const rate = (count: number): string => (count / milliseconds / 1000).toFixed(1);
  // Iterations of string instructions are counted with the tier above, where there is one.
  const generated = jit === undefined ? 0 : instructions - stats.interpreted;
  const interpreted = instructions - generated;
  const helpers = calls.helpers.reduce((sum, count) => sum + count, 0);
  const frequent = calls.frequent(NAMED_HELPERS).map(({ name, calls }) => `${name} ${calls}`);
  return [
    `instructions ${instructions} in ${(milliseconds / 1000).toFixed(2)} s: ${rate(instructions)} million a second`,
    `  interpreted ${interpreted} (${percent(interpreted, instructions)}, ${rate(interpreted)} million a second), ` +
      `in generated code ${generated} (${percent(generated, instructions)}, ${rate(generated)} million a second)`,
    `virtual time ${(stats.virtualTime / 1e9).toFixed(6)} s`,
    ...machine.cpus.map((cpu) => `CPU ${cpu.index}: ${cpu.retired} instructions, ${cpu.activity}`),
    `blocks translated ${stats.blocksTranslated}, in use ${stats.blocksAlive} (${stats.codeBytes} bytes), code cache emptied ${stats.codeFlushes} times`,
    ...(jit === undefined
      ? []
      : [
          `translator: ${jit.regions} regions of ${jit.blocks} blocks (${jit.grown} grown) in ${jit.modules} modules (${jit.bytes} bytes), ` +
            `${jit.regionsLive} in ${jit.modulesLive} modules in use (${jit.bytesLive} bytes), ${jit.discarded} discarded; packed ${jit.packs} times, ${jit.links} jumps linked; ` +
            `${jit.generateMilliseconds.toFixed(0)} ms to generate, ${jit.compileMilliseconds.toFixed(0)} ms to compile` +
            (jit.threadModules === 0 ? "" : `; ${jit.threadModules} modules in another thread, ${jit.threadMilliseconds.toFixed(0)} ms`),
        ]),
    `TLB misses ${stats.tlbMisses} (${perThousand(stats.tlbMisses, instructions)} in a thousand instructions), ` +
      `slow-path accesses ${calls.accesses} (${perThousand(calls.accesses, instructions)}), slices ${stats.slices}`,
    `helpers called ${helpers}${frequent.length === 0 ? "" : `: ${frequent.join(", ")}`}`,
    `interrupts recorded ${machine.ledger.lastId}`,
    `state hash ${machine.stateHash()}`,
  ];
}
