/** Runs an image to its end on a machine of its own. */
import { readFileSync } from "node:fs";
import { Machine } from "../../src/machine/machine";
import type { MachineConfiguration, RunEnd } from "../../src/machine/types";

/** Translates what it sees at once, function by function. */
export const eager = { threshold: 1, batch: 1, patience: 1 };
export const MIB = 2 ** 20;

export interface GuestRun {
  readonly end: RunEnd;
  /** What the guest wrote to its first serial port. */
  readonly output: string;
  readonly machine: Machine;
}

/** A machine with `image` booted, and what it has written to its serial port so far. */
export function bootGuest(
  image: string,
  configuration: Partial<MachineConfiguration> = {},
  cmdline = "",
): { machine: Machine; output: () => string } {
  const machine = Machine.create({ cpus: 1, memory: 64 * MIB, ...configuration });
  let output = "";
  const decoder = new TextDecoder("latin1");
  machine.hooks = { serial: (bytes) => void (output += decoder.decode(bytes)) };
  machine.boot({ image: readFileSync(image), imageName: image, cmdline });
  return { machine, output: () => output };
}

/** Runs `image` until it ends, for at most `limit` instructions. */
export function runGuest(image: string, configuration: Partial<MachineConfiguration> = {}, cmdline = "", limit = 200e6): GuestRun {
  const { machine, output } = bootGuest(image, configuration, cmdline);
  const end = machine.run(limit);
  return { end, output: output(), machine };
}
