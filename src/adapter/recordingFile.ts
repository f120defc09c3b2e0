// A machine's input log as a file of this host.
import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { UserError } from "../common/errors";
import { InputLogWriter } from "../machine/inputLog";
import type { InputRecorder, PlacedInput } from "../machine/inputs";
import type { Machine } from "../machine/machine";
import type { MachineMake } from "../machine/make";

/** What a replay must begin with: the machine's make and, where it does not begin at power-on, its state. */
export function machineStart(machine: Machine): MachineMake {
  return { ...machine.make, start: machine.position().tried === 0 ? "power-on" : `state ${machine.stateHash()}` };
}

/** Why a run ended, in a word: the kind of the machine's end, or that the person wanted it. */
export type RunEnding = "limit" | "stop" | "breakpoint" | "power-off" | "exit" | "reset" | "triple-fault" | "dead" | "quit";

/** A log file that everything which enters a machine is written to; cut back when the machine goes back. */
export class RecordingFile implements InputRecorder {
  private readonly descriptor: number;
  private readonly writer: InputLogWriter;
  /** Bytes written. */
  private length = 0;
  /** Of the file before each input: its length and check value. */
  private readonly before: { readonly length: number; readonly checkValue: number }[] = [];

  /**
   * @param setting what names the file, for the person
   * @throws UserError when the file cannot be written
   */
  constructor(
    file: string,
    private readonly machine: Machine,
    setting: string,
  ) {
    try {
      this.descriptor = openSync(file, "w");
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new UserError(`${setting} names ${file}, which cannot be written: ${why}.`, "record");
    }
    this.writer = new InputLogWriter((text) => {
      this.length += writeSync(this.descriptor, text, this.length);
    }, machineStart(machine));
    machine.inputs.recorder = this;
  }

  get count(): number {
    return this.before.length;
  }

  input(placed: PlacedInput): void {
    this.before.push({ length: this.length, checkValue: this.writer.checkValue });
    this.writer.input(placed);
  }

  forgetAfter(count: number): void {
    if (count >= this.before.length) return;
    const { length, checkValue } = this.before[count];
    this.before.length = count;
    this.length = length;
    ftruncateSync(this.descriptor, length);
    this.writer.truncated(checkValue);
  }

  /** Ends the log in order. */
  close(how: RunEnding): void {
    this.machine.inputs.recorder = undefined;
    this.writer.end({ at: this.machine.position(), how, instructions: this.machine.instructions(), hash: this.machine.stateHash() });
    closeSync(this.descriptor);
  }
}
