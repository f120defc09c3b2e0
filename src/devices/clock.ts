import { assert } from "../common/errors";
import type { Clock, Timer } from "./device";

class QueuedTimer implements Timer {
  deadline: number | undefined = undefined;
  /** The pass of `runDue` in which it last fired: it fires at most once a pass. */
  firedIn = -1;

  constructor(
    readonly name: string,
    readonly order: number,
    readonly callback: () => void,
    private readonly changed: () => void,
  ) {}

  arm(deadline: number): void {
    assert(Number.isSafeInteger(deadline), `timer ${this.name} armed for ${deadline}`);
    if (deadline === this.deadline) return;
    this.deadline = deadline;
    this.changed();
  }

  disarm(): void {
    if (this.deadline === undefined) return;
    this.deadline = undefined;
    this.changed();
  }
}

/**
 * The virtual clock's timers. Time itself comes from the machine through `source`. The board has a few dozen timers, so a
 * linear scan for the earliest, cached until a timer changes, is cheaper than a heap. Nothing here is saved: devices save their
 * deadlines and arm again when restored; order depends on deadlines and on the order of creation alone.
 */
export class VirtualClock implements Clock {
  private readonly timers: QueuedTimer[] = [];
  private earliest = Infinity;
  private stale = false;
  private pass = 0;

  /**
   * @param source nanoseconds of virtual time, exact inside an instruction
   * @param onEarlier called when the earliest deadline moves ahead, so that a running CPU can shorten its budget
   */
  constructor(
    private readonly source: () => number,
    private readonly onEarlier: (deadline: number) => void = () => undefined,
  ) {}

  now(): number {
    return this.source();
  }

  createTimer(name: string, callback: () => void): Timer {
    const timer: QueuedTimer = new QueuedTimer(name, this.timers.length, callback, () => this.timerChanged(timer));
    this.timers.push(timer);
    return timer;
  }

  private timerChanged(timer: QueuedTimer): void {
    const before = this.earliest;
    if (timer.deadline !== undefined && timer.deadline < before) {
      if (!this.stale) this.earliest = timer.deadline;
      this.onEarlier(timer.deadline);
    } else {
      this.stale = true;
    }
  }

  /** The earliest armed deadline, or Infinity. */
  nextDeadline(): number {
    if (this.stale) {
      this.earliest = Infinity;
      for (const timer of this.timers) {
        if (timer.deadline !== undefined && timer.deadline < this.earliest) this.earliest = timer.deadline;
      }
      this.stale = false;
    }
    return this.earliest;
  }

  /**
   * Runs the timers due at `now`, by deadline, then creation. A timer that its own callback arms for a time already past
   * waits for the next call, so that the guest always advances between two firings.
   */
  runDue(now: number): void {
    const pass = ++this.pass;
    while (this.nextDeadline() <= now) {
      let due: QueuedTimer | undefined;
      for (const timer of this.timers) {
        if (timer.deadline === undefined || timer.deadline > now || timer.firedIn === pass) continue;
        if (due === undefined || timer.deadline < (due.deadline ?? Infinity)) due = timer;
      }
      if (due === undefined) return;
      due.firedIn = pass;
      due.disarm();
      due.callback();
    }
  }

  /** Armed timers by deadline, for inspection. */
  armed(): readonly { readonly name: string; readonly deadline: number }[] {
    return this.timers
      .flatMap((timer) => (timer.deadline === undefined ? [] : [{ name: timer.name, deadline: timer.deadline, order: timer.order }]))
      .sort((a, b) => a.deadline - b.deadline || a.order - b.order)
      .map(({ name, deadline }) => ({ name, deadline }));
  }
}
