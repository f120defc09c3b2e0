import type { StampSource } from "../apic/events";
import type { Moment } from "../common/moment";
import { PAUSE_NANOSECONDS } from "../tcg/layout";
import type { SliceEnd } from "../cpu/processor";
import type { VirtualClock } from "../devices/clock";
import type { Course } from "./course";
import { comparePositions, type Inputs, type Position } from "./inputs";
import { Turns } from "./turns";
import type { RunEnd } from "./types";
import type { Vcpu } from "./vcpu";

/** Guest instructions a CPU runs before the next one's turn. */
export const DEFAULT_QUANTUM = 10_000;
/** Nanoseconds of idle virtual time, with nothing but timers going by, after which a machine counts as dead. */
const IDLE_LIMIT = 30e9;
/** Virtual time that reading an I/O port takes, or the counter of the HPET. */
const DEVICE_READ_NANOSECONDS = 500;
/** Bound of one slice: a host gets control back at least so often (instructions). */
const MAX_SLICE = 100_000;
/** How many more may be iterations of string instructions done in bulk: half a millisecond, or some where memory is touched for the first time. */
const MAX_STRING_RESERVE = 16_000_000;

/** Where a run that goes over known ground is to stop: at a position or, if that comes first, before a CPU goes on that has made so many steps. */
export interface Goal {
  readonly position: Position;
  /** `steps`: instructions tried and events taken by the CPU since power-on. */
  readonly cpu?: { readonly index: number; readonly steps: number };
  /** Stops at the position before inputs of a replay that are due there; else behind them. */
  readonly beforeInputs?: boolean;
}

/**
 * Runs the CPUs of a machine in turns on its one timeline (adr "one timeline and kicks"). Virtual time is the number of instructions retired by all of them plus
 * what was skipped while all were idle, in nanoseconds.
 */
export class Scheduler implements StampSource {
  readonly turns: Turns;
  /** CPU executing now, and what it had retired when its slice began. */
  private executing: Vcpu | undefined;
  private executingSince = 0;
  /** Where the running slice's budget ends, but for what has gone by beside instructions and what slices of its CPU were ever shortened by. */
  private plannedEnd = Infinity;
  private slicesRun = 0;
  /** The last run with a goal got there. */
  atGoal = false;
  private cpus: readonly Vcpu[] = [];

  /** `sliceDone` is called between slices, with the instructions that the last one retired. */
  constructor(
    cpus: number,
    quantum: number | undefined,
    private readonly course: Course,
    private readonly clock: VirtualClock,
    private readonly inputs: Inputs,
    private readonly sliceDone: (instructions: number) => void,
    /** Called before virtual time goes by inside a slice without instructions. */
    private readonly beforeIdle: () => void,
  ) {
    this.turns = new Turns(cpus, quantum ?? DEFAULT_QUANTUM);
  }

  /** Completes construction: CPUs refer back to the scheduler. */
  attach(cpus: readonly Vcpu[]): void {
    this.cpus = cpus;
  }

  /** The CPU that executes; undefined between slices. */
  get current(): Vcpu | undefined {
    return this.executing;
  }

  /** Slices run since the machine was made. */
  get slices(): number {
    return this.slicesRun;
  }

  /** Instructions retired by one CPU. */
  instructionsOf(cpu: number): number {
    return this.cpus[cpu].retired;
  }

  /** Instructions retired by all CPUs since the machine was made; exact inside an instruction, which does not count itself. */
  instructions(): number {
    const { executing, course } = this;
    return executing === undefined ? course.retired : course.retired + executing.retired - this.executingSince;
  }

  /** Nanoseconds of virtual time. */
  now(): number {
    return this.instructions() + this.course.idleNanoseconds;
  }

  /** The present moment: MomentSource. */
  moment(into: Moment): void {
    const { executing, course } = this;
    let { retired } = course;
    if (executing === undefined) {
      into.cpu = -1;
      into.ripLow = 0;
      into.ripHigh = 0;
    } else {
      into.cpu = executing.index;
      retired += executing.processor.moment(into) - this.executingSince;
    }
    into.instruction = retired;
    into.time = retired + course.idleNanoseconds;
  }

  /** Where the machine stands; between runs only. */
  position(): Position {
    let tried = 0;
    let taken = 0;
    for (const { processor } of this.cpus) {
      tried += processor.attempted;
      taken += processor.taken;
    }
    return { tried, taken, time: this.now() };
  }

  /** Stops the run after the current instruction (from a hook), or before the next slice. */
  requestStop(): void {
    this.course.stopRequested = true;
    this.executing?.processor.yield();
  }

  /** The machine has come to its end, of which only a reset brings it back. */
  finish(end: RunEnd): void {
    this.course.end = end;
    this.requestStop();
  }

  /** The guest wants a reset: the run ends with it. */
  requestReset(): void {
    this.course.resetRequested = true;
    this.requestStop();
  }

  /** Runs until `maxInstructions` more were tried, virtual time reaches `until` (nanoseconds), or something ends the run. */
  run(maxInstructions: number, until: number, goal?: Goal): RunEnd {
    const { course } = this;
    this.atGoal = false;
    // A guest that only faults retires nothing, and must not hold the host for it.
    let left = maxInstructions;
    for (;;) {
      if (!course.dueRun && this.clock.nextDeadline() <= this.now()) {
        course.dueRun = true;
        this.clock.runDue(this.now());
      }
      const ended = course.takeEnd();
      if (ended !== undefined) return ended;
      const waitsAtGoal = goal?.beforeInputs === true && comparePositions(this.position(), goal.position) >= 0;
      if (this.inputs.replaying && !waitsAtGoal && this.inputs.takeDue()) continue;
      this.atGoal = goal !== undefined && comparePositions(this.position(), goal.position) >= 0;
      if (left <= 0 || this.now() >= until || this.atGoal) return { kind: "limit" };
      const upcoming = earlier(this.inputs.upcoming, goal?.position);
      const vcpu = this.pick();
      if (vcpu === undefined) {
        course.dueRun = false;
        if (!this.skipIdle(Math.min(until, upcoming?.time ?? Infinity))) return { kind: "dead" };
        continue;
      }
      const toDeadline = Math.min(this.clock.nextDeadline(), until) - this.now();
      // Turns matter only among several.
      const alone = course.only >= 0 || (this.turns.extends && !this.othersCanRun(vcpu));
      let most = Math.min(alone ? left : this.turns.budget, left, Math.max(1, toDeadline));
      if (upcoming !== undefined) {
        const steps = upcoming.tried - this.position().tried;
        vcpu.processor.stopAfterEvent = steps === 0;
        most = Math.min(most, Math.max(1, steps));
      }
      if (goal?.cpu?.index === vcpu.index) {
        if (vcpu.steps >= goal.cpu.steps) {
          this.atGoal = true;
          return { kind: "limit" };
        }
        vcpu.processor.stopAfterEvent = true;
        most = Math.min(most, Math.max(1, goal.cpu.steps - vcpu.steps));
      }
      const { attempted } = vcpu.processor;
      const why = this.slice(vcpu, most);
      course.dueRun = false;
      vcpu.processor.stopAfterEvent = false;
      left -= vcpu.processor.attempted - attempted;
      if (why === "debug" && course.end === undefined) {
        course.stopRequested = false;
        return { kind: "breakpoint", cpu: vcpu.index };
      }
    }
  }

  /** Runs `vcpu` for at most `most` instructions. */
  private slice(vcpu: Vcpu, most: number): SliceEnd {
    const { course } = this;
    const budget = Math.min(most, MAX_SLICE);
    const reserve = Math.min(most - budget, MAX_STRING_RESERVE);
    this.executing = vcpu;
    this.executingSince = vcpu.retired;
    vcpu.processor.othersRetired = course.retired - this.executingSince;
    const attempted = vcpu.processor.attempted;
    this.plannedEnd = this.instructions() + budget + reserve + vcpu.processor.shortened;
    this.slicesRun++;
    this.spareTime(vcpu);
    try {
      return vcpu.processor.slice(budget, reserve);
    } finally {
      const done = vcpu.retired - this.executingSince;
      this.executing = undefined;
      course.retired += done;
      if (done > 0) course.idleSince = -1;
      if (course.only >= 0) this.turns.ignore();
      else this.turns.settle(vcpu.index, vcpu.processor.attempted - attempted, !vcpu.held && vcpu.processor.runnable);
      this.sliceDone(done);
    }
  }

  /** The CPU whose turn it is, or the next runnable one after it. */
  private pick(): Vcpu | undefined {
    const { only } = this.course;
    if (only >= 0) {
      const vcpu = this.cpus[only];
      return vcpu.processor.runnable ? vcpu : undefined;
    }
    const index = this.turns.pick((cpu) => !this.cpus[cpu].held && this.cpus[cpu].processor.runnable);
    return index < 0 ? undefined : this.cpus[index];
  }

  /** Nobody can run: virtual time jumps to the next deadline. false: none will ever come, or nothing has happened for too long. */
  private skipIdle(until: number): boolean {
    const { course } = this;
    const deadline = this.clock.nextDeadline();
    if (deadline === Infinity) return false;
    const considered = course.only < 0 ? this.cpus.filter((cpu) => !cpu.held) : [this.cpus[course.only]];
    if (!course.sleeping && considered.every((cpu) => cpu.processor.hopeless)) return false;
    const now = this.now();
    if (course.idleSince < 0) course.idleSince = now;
    else if (now - course.idleSince > IDLE_LIMIT) {
      course.idleSince = -1;
      return false;
    }
    course.idleNanoseconds += Math.max(0, Math.min(deadline, until) - now);
    return true;
  }

  /** An event waits at `vcpu`: it runs soon. */
  kicked(vcpu: Vcpu): void {
    if (this.executing === vcpu || vcpu.held || !vcpu.processor.runnable) return;
    this.turns.call(vcpu.index, this.executing !== undefined);
    this.executing?.processor.yield();
  }

  /** Whether another CPU than `vcpu` could run now. */
  private othersCanRun(vcpu: Vcpu): boolean {
    for (const other of this.cpus) if (other !== vcpu && !other.held && other.processor.runnable) return true;
    return false;
  }

  /** PAUSE: a CPU that spins hands its turn to one that can run; alone, it only lets time go by, as much as real processors do. */
  paused(vcpu: Vcpu): void {
    if (!this.othersCanRun(vcpu)) return this.linger(vcpu, PAUSE_NANOSECONDS);
    this.turns.pass();
    vcpu.processor.yield();
  }

  /** A port, or a device that guests wait by, is read: on a real board that takes about a microsecond, which bounds how often a guest can poll. */
  deviceRead(): void {
    const vcpu = this.executing;
    if (vcpu !== undefined && !this.othersCanRun(vcpu)) this.linger(vcpu, DEVICE_READ_NANOSECONDS);
  }

  /** Lets `nanoseconds` of virtual time go by inside an instruction, at most to the next deadline. */
  private linger(vcpu: Vcpu, nanoseconds: number): void {
    const deadline = this.clock.nextDeadline();
    const skipped = Math.max(0, Math.min(nanoseconds, deadline - this.now()));
    this.beforeIdle();
    this.course.idleNanoseconds += skipped;
    // A shorter slice is cheaper than a new one.
    const late = this.sliceEnd(vcpu) - deadline;
    if (late > 0 && !vcpu.processor.shorten(late)) vcpu.processor.yield();
    this.spareTime(vcpu);
  }

  /** Where the running slice's budget ends in virtual time. */
  private sliceEnd(vcpu: Vcpu): number {
    return this.plannedEnd + this.course.idleNanoseconds - vcpu.processor.shortened;
  }

  /** Says how much time PAUSE may let go by in the engine (tcg/interpreter/time.ts). */
  private spareTime(vcpu: Vcpu): void {
    vcpu.processor.spare = this.othersCanRun(vcpu) ? -1 : this.clock.nextDeadline() - this.sliceEnd(vcpu);
  }

  /** The next deadline is another one: the slice may have to end sooner. */
  deadlineMoved(deadline: number): void {
    const vcpu = this.executing;
    if (vcpu === undefined) return;
    const spare = deadline - this.sliceEnd(vcpu);
    if (spare < 0) vcpu.processor.yield();
    vcpu.processor.limitSpare(spare);
  }
}

function earlier(a: Position | undefined, b: Position | undefined): Position | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return comparePositions(a, b) <= 0 ? a : b;
}
