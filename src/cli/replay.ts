import { readFileSync } from "node:fs";
import { machineStart, type RunEnding } from "../adapter/recordingFile";
import { UserError } from "../common/errors";
import { type InputLog, readInputLog } from "../machine/inputLog";
import { comparePositions } from "../machine/inputs";
import type { Machine } from "../machine/machine";
import { checkMake } from "../machine/make";

/** A log that a machine is run by. */
export class Replay {
  private readonly log: InputLog;
  private lastDead = -1;

  /** @throws UserError when the file is no log or was made with another machine */
  constructor(
    private readonly file: string,
    private readonly machine: Machine,
  ) {
    this.log = readInputLog(readText(file), file);
    checkMake(file, this.log.make, machineStart(machine));
    machine.inputs.replay(this.log.inputs);
  }

  /** Steps to where the recording ended; none when that is not known. */
  get stepsLeft(): number {
    const { end } = this.log;
    return end === undefined ? Infinity : end.at.tried - this.machine.position().tried;
  }

  /** Virtual time at which the recording ended. */
  get until(): number {
    const { end } = this.log;
    return end !== undefined && this.stepsLeft <= 0 ? end.at.time : Infinity;
  }

  /** How the recording ended, once the replay is there. */
  get ending(): RunEnding | undefined {
    const { end } = this.log;
    if (end === undefined || comparePositions(this.machine.position(), end.at) < 0) return undefined;
    return end.how as RunEnding;
  }

  /** The machine cannot go on by itself: true when the log has something for it here. */
  goesOn(): boolean {
    const { time } = this.machine.position();
    const { end } = this.log;
    const more = this.machine.inputs.upcoming !== undefined || (end !== undefined && comparePositions(this.machine.position(), end.at) < 0);
    const moved = time !== this.lastDead;
    this.lastDead = time;
    return more && moved;
  }

  /** One sentence: whether the replay came out as recorded. */
  verdict(): { readonly same: boolean; readonly text: string } {
    const { end } = this.log;
    const { machine } = this;
    if (end === undefined) return { same: true, text: `${this.file} was cut off before the recording's end: nothing to compare with` };
    const left = machine.inputs.upcoming === undefined;
    const same = left && machine.instructions() === end.instructions && machine.stateHash() === end.hash;
    return same
      ? { same, text: `the replay is the same as the recording: ${end.instructions} instructions, state hash ${end.hash}` }
      : {
          same,
          text: `the replay differs from the recording: ${machine.instructions()} instructions, state hash ${machine.stateHash()}, instead of ${end.instructions}, ${end.hash}`,
        };
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    throw new UserError(`${file}: there is no such file, or it may not be read.`, "replay");
  }
}
