import type { DelayRule } from "../apic/delayLine";
import { UserError } from "../common/errors";
import type { State } from "../common/state";

/** Something that comes from outside the machine. Between runs only, at an instruction boundary. */
export type Input =
  /** Bytes for a device that takes some: what a line, a keyboard, a terminal sends. */
  | { readonly kind: "device"; readonly device: string; readonly bytes: Uint8Array }
  /** The machine is reset, be it that the guest or the person asked for it. */
  | { readonly kind: "reset" }
  /** The debugger wrote physical memory. */
  | { readonly kind: "memory"; readonly address: number; readonly bytes: Uint8Array }
  /** The debugger changed registers, or wrote to devices as a guest would: the state that came of it, RAM apart. */
  | { readonly kind: "state"; readonly state: State }
  /** The debugger holds a CPU, or lets it go. */
  | { readonly kind: "held"; readonly cpu: number; readonly held: boolean }
  /** From here on only this CPU runs; -1: all that are not held. */
  | { readonly kind: "only"; readonly cpu: number }
  /** The debugger keeps maskable interrupts from a CPU, or lets them through again. */
  | { readonly kind: "shield"; readonly cpu: number; readonly held: boolean }
  /** How CPUs share the time from here on. */
  | { readonly kind: "schedule"; readonly quantum: number; readonly seed: number }
  /** The IPIs that the debugger holds back from here on. */
  | { readonly kind: "delays"; readonly rules: readonly DelayRule[] };

/**
 * A point between two instructions in the course of a machine: instructions tried (retired or faulted) and events taken (interrupts, traps, resets) by all CPUs, and virtual
 * time in nanoseconds, which tells apart the moments while all CPUs idle.
 */
export interface Position {
  readonly tried: number;
  readonly taken: number;
  readonly time: number;
}

export interface PlacedInput {
  readonly at: Position;
  readonly input: Input;
}

/** Negative when `a` comes before `b`, 0 when they are the same point. */
export function comparePositions(a: Position, b: Position): number {
  return a.tried - b.tried || a.time - b.time || a.taken - b.taken;
}

/** A recording of inputs that may take the last ones back, for the machine went back to before them. */
export interface InputRecorder {
  /** Inputs that it holds. */
  readonly count: number;
  /** Hears of an input at its position, before it is carried out. */
  input(placed: PlacedInput): void;
  /** Forgets all but the first so many. */
  forgetAfter(count: number): void;
}

/** What inputs go to. */
export interface InputTarget {
  position(): Position;
  /** Carries out an input; false when the machine takes none of it. */
  apply(input: Input): boolean;
}

/**
 * The one door through which everything from outside enters a machine: what comes is carried out and told to the recorder, or, in a replay, comes from the recording at the
 * positions it has there while everything else stays outside.
 */
export class Inputs {
  recorder: InputRecorder | undefined;
  /** Hears of every input at its position, before it is carried out, for going back in memory. */
  journal: ((placed: PlacedInput) => void) | undefined;
  /** What happens now comes of a run, or of an input. */
  private untold = false;
  private source: readonly PlacedInput[] | undefined;
  private next = 0;

  constructor(private readonly target: InputTarget) {}

  /** An input from outside; without effect in a replay. False when the machine takes none of it. */
  enter(input: Input): boolean {
    if (this.source !== undefined) return false;
    this.tell(input);
    return this.target.apply(input);
  }

  private tell(input: Input): void {
    if (this.recorder === undefined && this.journal === undefined) return;
    const placed = { at: this.target.position(), input };
    this.recorder?.input(placed);
    this.journal?.(placed);
  }

  /** True when what changes now comes from outside and is to be told: inputs that are only known afterwards must be told by `done`. */
  get recording(): boolean {
    return !this.untold && (this.recorder !== undefined || this.journal !== undefined) && this.source === undefined;
  }

  /** Does something whose changes need no telling: they come of a run, of an input that is told itself, or of what a machine begins with. */
  withoutTelling<T>(action: () => T): T {
    const before = this.untold;
    this.untold = true;
    try {
      return action();
    } finally {
      this.untold = before;
    }
  }

  /** An input that has been carried out already, between runs. */
  done(input: Input): void {
    if (this.source === undefined) this.tell(input);
  }

  /** From now on inputs come from a recording of a machine of the same make that stood at the same position. */
  replay(inputs: readonly PlacedInput[]): void {
    this.source = inputs;
    this.next = 0;
  }

  /** Ends a replay: from now on inputs come from outside again. Returns how many of the recording were carried out. */
  live(): number {
    const done = this.next;
    this.source = undefined;
    this.next = 0;
    return done;
  }

  /** Inputs of the replay that were carried out. */
  get replayed(): number {
    return this.next;
  }

  get replaying(): boolean {
    return this.source !== undefined;
  }

  /** Position of the next input of the replay; undefined when there is none. */
  get upcoming(): Position | undefined {
    return this.source?.[this.next]?.at;
  }

  /** Carries out the inputs of the replay that are due at this very point. True when there were some. @throws UserError when their point has been missed */
  takeDue(): boolean {
    const { source } = this;
    if (source === undefined) return false;
    const from = this.next;
    while (this.next < source.length) {
      const { at, input } = source[this.next];
      const here = this.target.position();
      const order = comparePositions(at, here);
      if (order > 0) break;
      if (order < 0) {
        throw new UserError(
          `The replay has left the recording's course: an input of instruction ${at.tried} (time ${at.time}) was not reached, the machine stands at ${here.tried} (time ${here.time}).`,
          "replay",
        );
      }
      this.next++;
      this.target.apply(input);
    }
    return this.next > from;
  }
}
