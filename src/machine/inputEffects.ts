import type { DelayRule } from "../apic/delayLine";
import { unreachable, UserError } from "../common/errors";
import type { Boot } from "./boot";
import type { Input, Inputs } from "./inputs";
import type { Observers } from "./observers";
import { restoreMachineState, saveMachineState, saveState, type StateParts } from "./wholeState";

/** What inputs go to. */
export interface InputParts extends StateParts {
  readonly observers: Observers;
}

/** What inputs do to a machine, in a replay as when they came; and how changes that were made without an input are told as one. */
export class InputEffects {
  /** The rules for IPIs as a replay knows them without being told. */
  private knownRules: readonly DelayRule[] = [];

  constructor(
    private readonly parts: InputParts,
    private readonly boot: Boot,
    private readonly inputs: Inputs,
  ) {}

  /** Carries out an input; false when the machine takes none of it. */
  apply(input: Input): boolean {
    this.parts.course.idleSince = -1;
    return this.inputs.withoutTelling(() => this.carryOut(input));
  }

  private carryOut(input: Input): boolean {
    const { parts } = this;
    switch (input.kind) {
      case "device":
        return (parts.devices.find(({ name }) => name === input.device)?.receive?.(input.bytes) ?? 0) > 0;
      case "reset":
        this.boot.reset();
        return true;
      case "memory":
        parts.memory.write(input.address, input.bytes);
        return true;
      case "state":
        restoreMachineState(parts, { ...saveMachineState(parts), state: input.state }, []);
        return true;
      case "schedule":
        parts.scheduler.turns.setSchedule(input);
        return true;
      case "delays":
        parts.delayLine.rules = input.rules;
        this.rulesKnown();
        parts.observers.changed();
        return true;
      case "held":
      case "shield":
      case "only":
        if (input.cpu >= parts.cpus.length)
          throw new UserError(`An input is for CPU ${input.cpu}, which this machine does not have.`, "replay");
        if (input.kind === "held") parts.cpus[input.cpu].held = input.held;
        else if (input.kind === "shield") parts.cpus[input.cpu].processor.interruptsHeld = input.held;
        else parts.course.only = input.cpu;
        return true;
      default:
        return unreachable(input);
    }
  }

  /** Registers were changed, or devices written to as a guest would, from outside; memory tells by itself. */
  edited(): void {
    const { parts, inputs } = this;
    parts.course.idleSince = -1;
    if (!inputs.recording) return;
    inputs.done({ kind: "state", state: saveState(parts) });
    // An IPI that was sent by hand may have used up a rule, which is no part of the guest's state.
    const { rules } = parts.delayLine;
    if (rules !== this.knownRules) inputs.done({ kind: "delays", rules });
    this.rulesKnown();
  }

  /** A replay comes to the same rules by itself: the run has used them up. */
  rulesKnown(): void {
    this.knownRules = this.parts.delayLine.rules;
  }
}
