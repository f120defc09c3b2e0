/** Compares the emulator with another x86 on random blocks of user code. */
import { type Block, codeOf } from "./block";
import { differences, smaller } from "./compare";
import type { FuzzMachine } from "./emulator";
import type { Generator } from "./generate";

export interface Failure {
  readonly number: number;
  /** Made as small as it goes. */
  readonly block: Block;
  readonly differences: readonly string[];
}

export interface Outcome {
  readonly blocks: number;
  /** Blocks that ended in an exception of their own. */
  readonly faults: number;
  readonly failed: number;
  readonly failures: readonly Failure[];
}

/** The host's CPU, or what stands in for it. */
export interface Peer {
  /** Gives the states after blocks. */
  readonly run: (blocks: readonly Block[]) => Uint8Array[];
  /** See {@link differences}. */
  readonly faultsAsReads: boolean;
}

const CHUNK = 2000;
const SHRINKING_ROUNDS = 40;

/** Runs blocks `first` to `first + count` of a seed, `chunk` at a time; of failing blocks the first `keep` are made small and kept. */
export function fuzz(
  machine: FuzzMachine,
  generator: Generator,
  peer: Peer,
  { seed, first, count, keep, chunk = CHUNK }: { seed: number; first: number; count: number; keep: number; chunk?: number },
): Outcome {
  const failures: Failure[] = [];
  let [failed, faults] = [0, 0];
  for (let done = 0; done < count; done += chunk) {
    const blocks = Array.from({ length: Math.min(chunk, count - done) }, (_, i) => generator.block(seed, first + done + i));
    const expected = peer.run(blocks);
    blocks.forEach((block, index) => {
      if (expected[index][148] !== 3) faults++;
      // Whether it faults with a mask of zeros is the processor's own choice (SDM vol. 2, "MASKMOVDQU").
      if (block.instructions.some(({ text }) => text.includes("maskmovdqu"))) return;
      if (differences(block, machine.run(block), expected[index], peer.faultsAsReads).length === 0) return;
      failed++;
      if (failures.length < keep) failures.push(shrink(machine, peer, block, first + done + index));
    });
  }
  return { blocks: count, faults, failed, failures };
}

function shrink(machine: FuzzMachine, peer: Peer, failing: Block, number: number): Failure {
  let block = failing;
  for (let round = 0; round < SHRINKING_ROUNDS; round++) {
    const variants = smaller(block);
    const expected = peer.run(variants);
    const next = variants.find(
      (variant, index) => differences(variant, machine.run(variant), expected[index], peer.faultsAsReads).length > 0,
    );
    if (next === undefined) break;
    block = next;
  }
  const [expected] = peer.run([block]);
  return { number, block, differences: differences(block, machine.run(block), expected, peer.faultsAsReads) };
}

const hex = (bytes: Iterable<number>): string => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");

/** A failure in words. */
export function describeFailure({ number, block, differences: found }: Failure, seed: number): string {
  const view = new DataView(block.state.buffer);
  const registers = Array.from({ length: block.bits === 64 ? 16 : 8 }, (_, i) => view.getBigUint64(16 + i * 8, true).toString(16));
  return [
    `seed ${seed} block ${number}, ${block.bits}-bit code: ${block.instructions.map(({ text }) => text).join(" ")}`,
    `  code ${hex(codeOf(block))}`,
    `  registers ${registers.join(" ")} flags ${view.getBigUint64(8, true).toString(16)} mxcsr ${view.getUint32(144, true).toString(16)}`,
    ...found.slice(0, 8).map((line) => `  ${line}`),
  ].join("\n");
}
