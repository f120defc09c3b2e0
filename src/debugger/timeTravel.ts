import { comparePositions, type PlacedInput, type Position } from "../machine/inputs";
import type { Snapshot } from "../machine/snapshots";
import type { Stop } from "./stops";
import type { DebugMachine } from "./target";

/** Instructions from one moment to the next, while the guest runs. */
export const MOMENT_INTERVAL = 8_000_000;
/**
 * Pages that a guest may write from one moment to the next; one that writes more has them as far apart as it takes longer to copy its pages: a kernel's boot writes a thousand pages in
 * 8 million instructions.
 */
const MOMENT_PAGES = 400;
/** Moments in the time that a run has lasted: in a long one they lie further apart, as what they cost adds up and going back into it takes no longer than so much of it. */
const RUN_MOMENTS = 16;
/** Milliseconds of running for each that the last moment cost: with a clock, moments take a small part of the time. */
const RUN_FOR_COST = 240;
/** What a page written after a moment costs beside its copy, in milliseconds: the slow path of its first store, and another thread's first touch of the memory for it. */
const PAGE_COST = 0.005;
/** Milliseconds of running after which the next moment is taken whatever it costs: the first way back of several runs over as much again. */
const MOST_APART = 4_000;
/** Moments kept; further ones thin out the older half. */
const MOST_MOMENTS = 32;
/** Bytes of RAM content that moments may keep: with more, the oldest are forgotten. */
const MOST_BYTES = 512 << 20;

/** A moment that the machine can be taken back to. */
export interface Moment {
  /** Counts the moments of the session. */
  readonly number: number;
  readonly snapshot: Snapshot;
  readonly position: Position;
  /** Steps that each CPU had made. */
  readonly steps: readonly number[];
  /** Inputs that had been journalled, since the session began. */
  readonly inputs: number;
  /** Inputs that were in the recording, if there is one. */
  readonly recorded: number;
  /** What the debugger itself knew. */
  readonly known: Known;
}

/** A place in the machine's course that only something from outside led away from. */
export interface Deadlock {
  readonly position: Position;
  /** How it was told; undefined where it is told only to those who ask for it (`guest.stuck`). */
  readonly told: Stop | undefined;
}

/** What a debugger knows of a moment beside the machine's state. */
export interface Known {
  /** Brings back what it had counted. */
  readonly bringBack: () => void;
  /** CPUs that stood at a breakpoint which they had reached already, and were to pass. */
  readonly passing: readonly number[];
}

/**
 * The past of a session: moments (snapshots) at intervals, and the inputs between them, so that any point since the oldest moment can be reached by going back to a moment and
 * running on from there. Costs a snapshot every few million instructions, in a long run less often; with a clock, also as far apart as keeps what they cost a small part of the time. When moments are taken changes
 * nothing in the run.
 */
export class TimeTravel {
  private moments: Moment[] = [];
  private journal: PlacedInput[] = [];
  /** Inputs that were forgotten with the oldest moments. */
  private forgotten = 0;
  /** Moments taken so far. */
  private taken = 0;
  /** Places that only something from outside led away from, each behind so many moments; in the machine's order. */
  private stuck: (Deadlock & { readonly after: number })[] = [];
  private lastAt = 0;
  /** Instructions at the last stop. */
  private stoppedAt = 0;
  /** Milliseconds by the clock: what taking the last moment took, how long the guest has run since, apart from the present run, and when that began. */
  private taking = 0;
  private ran = 0;
  private runsSince: number | undefined;

  /**
   * @param remember takes down what the debugger knows
   * @param interval instructions from one moment to the next
   * @param clock the host's, in milliseconds; without one the pages written stand for what moments cost
   */
  constructor(
    private readonly machine: DebugMachine,
    private readonly remember: () => Known,
    readonly interval: number,
    private readonly clock?: () => number,
  ) {
    machine.snapshots.clock = clock;
  }

  /** Takes a moment if it is time for one; between runs only. */
  note(): void {
    const { machine } = this;
    const now = machine.instructions();
    const begun = this.clock?.() ?? 0;
    this.runsSince ??= begun;
    const written = this.clock === undefined ? this.interval * (machine.snapshots.newestPages / MOMENT_PAGES) : 0;
    const apart = Math.max(this.interval, written, (now - this.stoppedAt) / RUN_MOMENTS);
    if (this.moments.length > 0) {
      if (now < this.lastAt + apart) return;
      const cost = this.taking + machine.snapshots.copying + PAGE_COST * machine.snapshots.newestPages;
      if (this.clock !== undefined && this.ran + begun - this.runsSince < Math.min(MOST_APART, RUN_FOR_COST * cost)) return;
    }
    this.lastAt = now;
    machine.inputs.journal ??= (placed) => void this.journal.push(placed);
    this.add(this.forgotten + this.journal.length, machine.inputs.recorder?.count ?? 0);
    this.thin();
    if (this.clock === undefined) return;
    this.runsSince = this.clock();
    this.ran = 0;
    this.taking = this.runsSince - begun;
  }

  /** Takes a moment on the way from `from` to where the machine is to stand: the next way back is short. Between runs only. */
  noteOnWay(from: Moment): void {
    const { machine } = this;
    const here = machine.position();
    const { replayed } = machine.inputs;
    this.add(from.inputs + replayed, from.recorded + replayed);
    // Places ahead lie behind this moment too.
    this.stuck = this.stuck.map((place) => (comparePositions(place.position, here) > 0 ? { ...place, after: this.taken } : place));
  }

  private add(inputs: number, recorded: number): void {
    const { machine } = this;
    this.moments.push({
      number: ++this.taken,
      snapshot: machine.snapshots.take(),
      position: machine.position(),
      steps: machine.cpus.map(({ steps }) => steps),
      inputs,
      recorded,
      known: this.remember(),
    });
  }

  /** Here no CPU can run, unless something comes from outside: nothing in the machine's course tells so later. */
  noteStuck(told?: Stop): void {
    const position = this.machine.position();
    const last = this.stuck.at(-1);
    const order = last === undefined ? -1 : comparePositions(last.position, position);
    if (order < 0 || (order === 0 && last?.told?.kind !== told?.kind)) this.stuck.push({ position, told, after: this.taken });
  }

  /** Where that was so, since a moment; in the machine's order. */
  stuckSince(moment: Moment): Deadlock[] {
    return this.stuck.filter(({ after }) => after >= moment.number);
  }

  /** A run has ended here. */
  stopped(): void {
    if (this.clock !== undefined && this.runsSince !== undefined) this.ran += this.clock() - this.runsSince;
    this.runsSince = undefined;
    this.stoppedAt = this.machine.instructions();
  }

  private thin(): void {
    if (this.moments.length > MOST_MOMENTS) {
      // Of the older half every second one goes, but never the oldest.
      const half = Math.floor(this.moments.length / 2);
      const gone = this.moments.filter((_, index) => index > 0 && index < half && index % 2 === 1);
      for (const { snapshot } of gone) this.machine.snapshots.drop(snapshot);
      this.moments = this.moments.filter((moment) => !gone.includes(moment));
    }
    while (this.moments.length > 1 && this.machine.snapshots.bytes > MOST_BYTES) {
      const [oldest] = this.moments.splice(0, 1);
      this.machine.snapshots.drop(oldest.snapshot);
      const { inputs, number } = this.moments[0];
      this.journal.splice(0, inputs - this.forgotten);
      this.forgotten = inputs;
      this.stuck = this.stuck.filter(({ after }) => after >= number);
    }
  }

  /** The newest moment that lies before a position, or before so many steps of a CPU; undefined when that is too long ago. */
  before(position: Position, cpu?: { readonly index: number; readonly steps: number }): Moment | undefined {
    return this.moments.findLast(
      (moment) => comparePositions(moment.position, position) < 0 && (cpu === undefined || moment.steps[cpu.index] <= cpu.steps),
    );
  }

  /** Takes the machine back to a moment, later ones are gone. From now on what came from outside comes again, until {@link arrive}. */
  goTo(moment: Moment): void {
    const { machine } = this;
    machine.inputs.live();
    machine.snapshots.restore(moment.snapshot);
    moment.known.bringBack();
    this.moments.length = this.moments.indexOf(moment) + 1;
    machine.inputs.replay(this.journal.slice(moment.inputs - this.forgotten));
  }

  /** The machine stands where it was to go, having come from `moment`: what came from outside after this point is forgotten. */
  arrive(moment: Moment): void {
    const done = this.machine.inputs.live();
    this.journal.length = moment.inputs - this.forgotten + done;
    this.machine.inputs.recorder?.forgetAfter(moment.recorded + done);
    this.lastAt = this.machine.instructions();
    const here = this.machine.position();
    this.stuck = this.stuck.filter(({ position }) => comparePositions(position, here) <= 0);
  }
}
