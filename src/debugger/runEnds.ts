import { FLAG_IF } from "../cpu/registerBits";
import type { RunEnd } from "../machine/types";
import type { EventStops } from "./eventStops";
import { spinsForEver } from "./guestReport";
import type { RunControl } from "./runControl";
import type { DebuggerSink } from "./sink";
import type { GuestEnd, Outcome, Stop } from "./stops";
import type { DebugMachine } from "./target";

/** Instructions between two resets of the guest that are both told. */
const RESETS_TOLD_EVERY = 1_000_000;

/** What the session was doing when a run ended. */
export interface Running {
  /** The only CPU that was let run. */
  readonly only: number | undefined;
  readonly stepping: boolean;
}

/** What the ends of runs ask of the session. */
export interface RunEndHost {
  readonly machine: DebugMachine;
  readonly sink: DebuggerSink;
  readonly events: EventStops;
  readonly runControl: RunControl;
  /** Resets the machine and all that the session knows of it. */
  resetGuest(): void;
  /** The guest stopped where no CPU can run: `told`, or as those were told who ask for a guest that is stuck. */
  stuckHere(told?: Stop): void;
}

/** What it means that a run of the machine ended without a stop: it goes on, nobody can go on, or the guest has ended. */
export class RunEnds {
  /** The guest can only go on with input from outside. */
  isWaiting = false;
  /** Instruction count at which the person was told that no CPU can run, and whether that was of empty loops. */
  private deadAt = -1;
  /** How the guest ended, where that was told as a stop: going on from there is the end of the session. */
  private over: GuestEnd | undefined;
  private spinTold = false;
  /** Instruction count at which a reset was last told. */
  private resetToldAt = -1;

  constructor(private readonly host: RunEndHost) {}

  /** The machine stands elsewhere in its course than it came to by running on. */
  moved(): void {
    this.deadAt = -1;
    this.spinTold = false;
    this.over = undefined;
  }

  /** The end of a guest that ended already. */
  get pastEnd(): Outcome {
    return this.over === undefined ? undefined : { kind: "end", end: this.over };
  }

  settle(end: RunEnd, { only, stepping }: Running): Outcome {
    const { machine, runControl } = this.host;
    switch (end.kind) {
      case "limit":
        if (machine.cpus.every(spinsForEver)) return this.stuck(this.spinTold);
        this.spinTold = false;
        return undefined;
      case "stop":
      case "breakpoint":
        return undefined;
      case "power-off":
        return this.guestEnds({ exitCode: 0, text: "The guest powered the machine off." });
      case "exit":
        return this.guestEnds({ exitCode: end.status, text: `The guest ended with exit status ${end.status}.` });
      case "reset":
        return this.guestReset(stepping || only !== undefined);
      case "triple-fault": {
        const text = `CPU ${end.cpu} shut down by a triple fault.`;
        // With the filter set, the stop was told by the hook; going on from there ends the session.
        return { kind: "end", end: { exitCode: 3, text: `${text}\n${this.host.events.report()}` } };
      }
      case "dead":
        if (only === undefined && this.waitsForInput()) {
          this.isWaiting = true;
          return undefined;
        }
        if (only !== undefined) return this.waits(only, `CPU ${only} is halted, and nothing can wake it while the others are held`);
        // What the CPUs wait for that are not frozen may be up to the others.
        if (runControl.anyFrozen) return this.waits(undefined, "No CPU can go on while others are frozen");
        return this.stuck(this.deadAt === machine.instructions());
    }
  }

  private guestEnds(end: GuestEnd): Outcome {
    const { machine, events } = this.host;
    const cpu = machine.cpus.find(({ activity }) => activity === "running") ?? machine.cpus[0];
    const stop = events.guestStop("guest.end", cpu, end.text);
    if (stop === undefined) return { kind: "end", end };
    this.over = end;
    return { kind: "stop", stop };
  }

  /** The guest reset the machine: it starts anew, and so goes on, unless a step was under way, which has nowhere to end but at the first instruction. */
  private guestReset(stepping: boolean): Outcome {
    const { machine, sink } = this.host;
    const text = "The guest reset the machine";
    this.host.resetGuest();
    // A guest that resets for ever must not flood the console.
    const now = machine.instructions();
    if (this.resetToldAt < 0 || now - this.resetToldAt > RESETS_TOLD_EVERY) {
      this.resetToldAt = now;
      sink.output(`${text}.\n`, "console");
    }
    return stepping ? { kind: "stop", stop: { kind: "entry", cpu: 0, text: `${text}; CPU 0 stands at its first instruction` } } : undefined;
  }

  /** A CPU sleeps that input through the first serial port would wake: only the person can say that nothing will come. */
  private waitsForInput(): boolean {
    const { cpus, devices } = this.host.machine;
    const interrupts = devices
      .find((device) => device.name === "uart0")
      ?.registers()
      .find((view) => view.name === "IER");
    if (interrupts === undefined || (interrupts.value & 1n) === 0n) return false;
    return cpus.some((cpu) => (cpu.activity === "halted" || cpu.activity === "mwait") && (cpu.state.systemFlags & FLAG_IF) !== 0);
  }

  /** The CPUs that may run have nothing to do: `cpu`, or all that are not frozen. */
  private waits(cpu: number | undefined, text: string): Outcome {
    const { machine, runControl } = this.host;
    const free = machine.cpus.find(({ index }) => !runControl.isFrozen(index)) ?? machine.cpus[0];
    const stop: Stop = { kind: "pause", cpu: cpu ?? free.index, text };
    this.host.stuckHere(stop);
    return { kind: "stop", stop };
  }

  /** `told`: the person went on from just this state, so that there is nothing left but the end. */
  private stuck(told: boolean): Outcome {
    const { machine, events } = this.host;
    const stop = told ? undefined : this.stuckStop();
    if (stop === undefined) return { kind: "end", end: { exitCode: 3, text: `${stuckText}\n${events.report()}` } };
    this.deadAt = machine.instructions();
    this.spinTold = true;
    this.host.stuckHere();
    return { kind: "stop", stop };
  }

  /** The stop of whoever wants to know that no CPU can ever run again; undefined when nobody does. */
  stuckStop(): Stop | undefined {
    const { machine, events } = this.host;
    const cpu = machine.cpus.find((candidate) => candidate.activity !== "wait-for-SIPI") ?? machine.cpus[0];
    return events.guestStop("guest.stuck", cpu, stuckText);
  }
}

const stuckText = "The guest is stuck: no CPU can ever run again.";
