// Runs the guest in portions of a few milliseconds, between which requests get through.
import { Portions } from "../common/portions";
import type { Course, Debugger } from "../debugger/debugger";
import type { GuestEnd, Stop } from "../debugger/stops";
import type { Pace } from "../machine/pace";

/** Milliseconds of one portion. */
const portionMilliseconds = 4;
/** Between two looks at a guest that waits for input. */
const waitingMilliseconds = 20;
/** Instructions of the first portion, and bounds of all. */
const firstBudget = 50_000;
const leastBudget = 1_000;
const mostBudget = 5_000_000;

/** What is run. */
export interface RunSession {
  readonly debugger: Debugger;
  readonly machine: { now(): number };
  readonly pace: Pace | undefined;
}

/** Who hears of it. */
export interface RunLoopHost {
  /** What to run now; undefined once there is nothing. */
  readonly running: RunSession | undefined;
  /** Before each portion: where the run goes, if that is known. */
  underWay(course: Course | undefined): void;
  /** After each portion; with a stop or the guest's end, which is the last. */
  ran(result: Stop | GuestEnd | undefined): void;
  /** A bug of ours ended the run. */
  failed(error: unknown): void;
}

/** The loop of an engine: portions are as long as {@link portionMilliseconds} lets them be on this host, and are held back where the session has a pace. */
export class RunLoop {
  private readonly portions = new Portions(portionMilliseconds, firstBudget, leastBudget, mostBudget);
  private scheduled = false;

  constructor(private readonly host: RunLoopHost) {}

  /** Sees to it that the next portion is run soon. */
  schedule(milliseconds = 0): void {
    if (this.scheduled) return;
    this.scheduled = true;
    const run = (): void => {
      this.scheduled = false;
      this.portion();
    };
    if (milliseconds === 0) setImmediate(run);
    else setTimeout(run, milliseconds);
  }

  private portion(): void {
    const session = this.host.running;
    if (session === undefined || !session.debugger.isRunning) return;
    const start = performance.now();
    const { pace, machine } = session;
    const until = pace?.until(machine.now()) ?? Infinity;
    if (pace !== undefined && until <= machine.now() && !session.debugger.pausing)
      return this.schedule(Math.min(pace.wait(machine.now()), waitingMilliseconds));
    this.host.underWay(session.debugger.course);
    let result: Stop | GuestEnd | undefined;
    try {
      result = session.debugger.advance(this.portions.instructions, until);
    } catch (error) {
      return this.host.failed(error);
    }
    this.portions.took(performance.now() - start);
    this.host.ran(result);
    if (result === undefined) this.schedule(session.debugger.waiting ? waitingMilliseconds : 0);
  }
}
