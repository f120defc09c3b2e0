// A machine's input log as a file of this host.
import { closeSync, openSync, writeSync } from "node:fs";
import { UserError } from "../common/errors";
import { InputLogWriter } from "../machine/inputLog";
import type { Machine } from "../machine/machine";
import type { MachineMake } from "../machine/make";

/** What a replay must begin with: the machine's make and, where it does not begin at power-on, its state. */
export function machineStart(machine: Machine): MachineMake {
  return { ...machine.make, start: machine.position().tried === 0 ? "power-on" : `state ${machine.stateHash()}` };
}

/** Why a run ended, in a word: the kind of the machine's end, or that the person wanted it. */
export type RunEnding = "limit" | "stop" | "breakpoint" | "power-off" | "exit" | "reset" | "triple-fault" | "dead" | "quit";

/** A log file that everything which enters a machine is written to. */
export class RecordingFile {
  private readonly descriptor: number;
  private readonly writer: InputLogWriter;

  /** @throws UserError when the file cannot be written */
  constructor(
    file: string,
    private readonly machine: Machine,
  ) {
    try {
      this.descriptor = openSync(file, "w");
    } catch {
      throw new UserError(`${file}: cannot be written.`, "record");
    }
    this.writer = new InputLogWriter((text) => void writeSync(this.descriptor, text), machineStart(machine));
    machine.inputs.recorder = (placed) => this.writer.input(placed);
  }

  /** Ends the log in order. */
  close(how: RunEnding): void {
    this.machine.inputs.recorder = undefined;
    this.writer.end({ at: this.machine.position(), how, instructions: this.machine.instructions(), hash: this.machine.stateHash() });
    closeSync(this.descriptor);
  }
}
