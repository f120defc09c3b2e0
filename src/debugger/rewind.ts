import { comparePositions, type Position } from "../machine/inputs";
import type { Goal } from "../machine/scheduler";
import type { RunEnd } from "../machine/types";
import { together, type Stop } from "./stops";
import type { SourceLine } from "./symbols/dwarf/info";
import type { SymbolStore } from "./symbols/table";
import type { DebugCpu, DebugMachine } from "./target";
import type { Deadlock, Moment, TimeTravel } from "./timeTravel";

/** What a way back asks of the session. */
export interface RewindHost {
  readonly machine: DebugMachine;
  readonly symbols: SymbolStore;
  /**
   * The stop that a run's end would have been on the way forward, if any, and those that would have followed it without another instruction: everything is counted as it
   * was then, and nothing is told. CPUs that it stops go on from where they stand. `isStuck`: no CPU could ever run again here.
   */
  met(end: RunEnd, deadlock?: Deadlock): Stop | undefined;
  /** Instructions after which {@link met} has to be asked at the latest. */
  readonly toPoll: number;
  /** Lets a CPU go on from where it stands, without stopping it at a breakpoint there. */
  pass(cpu: number): void;
  /** The way back ends where a run did: what follows from that end is still to come. */
  standsAt(end: RunEnd): void;
}

/** Where to go. */
export type RewindRequest =
  /** To before the last instruction of a CPU, or to the beginning of the line before. */
  | { readonly kind: "step"; readonly cpu: number; readonly unit: "instruction" | "line" }
  /** To the last stop before this one. */
  | { readonly kind: "continue"; readonly cpu: number };

/** The CPU's last steps that a step by line looks at. */
const STEPS_SEEN = 5_000;
/** Runs of one portion of a search, of which each is short where a breakpoint is passed. */
const RUNS_OF_PORTION = 100;
const stackPointer = 4;

/** Where a CPU stood before a step. */
interface Seen {
  readonly steps: number;
  readonly pc: bigint;
  readonly sp: bigint;
}

type Phase =
  /** Running to where the machine is to stand. */
  | { readonly kind: "land"; readonly goal: Goal; readonly stop: Stop }
  /** Running to where the CPU's last steps begin, then looking at each. */
  | { readonly kind: "look"; readonly goal: Goal }
  /** Running over a stretch, to see where it would have stopped. */
  | {
      readonly kind: "search";
      readonly end: Position;
      /** The moment that the stretch ends at, where stops count too; undefined where the way back began. */
      readonly until: Moment | undefined;
      found: { readonly at: Position; readonly stop: Stop } | undefined;
    };

/**
 * One way back, in portions: the machine goes back to a moment and runs on from there, with everything that came from outside coming again, as often as it takes to know where
 * to go and to be there. Deterministic, so that it lands on the very instruction.
 */
export class Rewind {
  private moment: Moment;
  private phase: Phase;
  /** The CPU that it is asked of. */
  readonly cpu: DebugCpu;
  private readonly seen: Seen[] = [];
  private readonly start: { readonly position: Position; readonly steps: number; readonly pc: bigint; readonly sp: bigint };
  private idleAt = -1;
  /** The way is long enough for a moment near its end. */
  private nearWanted = false;
  /** Places ahead where no CPU could ever run again until something came from outside. */
  private stuck: Deadlock[] = [];

  /** Undefined when there is nothing to go back to. */
  static begin(host: RewindHost, travel: TimeTravel, request: RewindRequest): Rewind | undefined {
    const { machine } = host;
    const cpu = machine.cpus[request.cpu];
    const at = request.kind === "step" ? { index: cpu.index, steps: cpu.steps - 1 } : undefined;
    const moment = travel.before(machine.position(), at);
    return moment === undefined ? undefined : new Rewind(host, travel, request, moment);
  }

  private constructor(
    private readonly host: RewindHost,
    private readonly travel: TimeTravel,
    request: RewindRequest,
    moment: Moment,
  ) {
    const { machine, symbols } = host;
    this.cpu = machine.cpus[request.cpu];
    const { cpu } = this;
    const { steps } = cpu;
    this.start = { position: machine.position(), steps, pc: cpu.linearRip(), sp: cpu.state.gpr(stackPointer) };
    this.moment = moment;
    if (request.kind === "continue") this.phase = { kind: "search", end: this.start.position, until: undefined, found: undefined };
    else if (request.unit === "instruction" || symbols.lineAt(this.start.pc) === undefined) this.phase = this.landAt(steps - 1);
    else this.phase = { kind: "look", goal: this.goal(Math.max(moment.steps[cpu.index], steps - STEPS_SEEN)) };
    this.goTo(moment);
  }

  private goTo(moment: Moment): void {
    this.travel.goTo(moment);
    this.stuck = this.travel.stuckSince(moment);
  }

  /** Before step `steps` of the CPU. */
  private goal(steps: number): Goal {
    return { position: this.start.position, cpu: { index: this.cpu.index, steps } };
  }

  private landAt(steps: number): Phase {
    const { index } = this.cpu;
    return { kind: "land", goal: this.goal(steps), stop: { kind: "step", cpu: index, text: `CPU ${index} stepped back` } };
  }

  /** Runs up to about `budget` instructions. Gives the stop once the machine stands there. */
  advance(budget: number): Stop | undefined {
    const { phase } = this;
    switch (phase.kind) {
      case "land":
        return this.land(phase, budget);
      case "look":
        if (this.run(phase.goal, budget).arrived) this.look();
        return undefined;
      case "search":
        this.searchOn(phase, budget);
        return undefined;
    }
  }

  /** How far the run over known ground has come: instructions of how many. */
  get progress(): { readonly done: number; readonly total: number } {
    const from = this.moment.position.tried;
    return { done: this.host.machine.position().tried - from, total: this.start.position.tried - from };
  }

  /** The person has had enough: the machine stays where it is. */
  abandon(): void {
    this.travel.arrive(this.moment);
  }

  /** Runs towards a goal, whatever would stop on the way: says what did, and whether the goal is reached. */
  private run(goal: Goal, budget: number): { readonly arrived: boolean; readonly stop: Stop | undefined; readonly end: RunEnd } {
    const { host } = this;
    const { machine } = host;
    const next = this.stuck.find(({ position }) => comparePositions(position, goal.position) <= 0);
    const end = machine.runTowards(
      next === undefined ? goal : { ...goal, position: next.position, beforeInputs: true },
      Math.min(budget, host.toPoll),
    );
    const isStuck = next !== undefined && machine.atGoal && comparePositions(machine.position(), next.position) >= 0;
    if (isStuck) this.stuck.shift();
    const arrived = machine.atGoal && !isStuck;
    const stop = host.met(end, isStuck ? next : undefined);
    if (end.kind === "breakpoint") host.pass(end.cpu);
    return { arrived: arrived || this.standsStill(end), stop, end };
  }

  private land({ goal, stop }: Extract<Phase, { kind: "land" }>, budget: number): Stop | undefined {
    const { arrived, end } = this.run(goal, this.untilNear(goal.position, budget));
    // A reset by the guest, or its end, comes after what is told of the same instruction.
    const isAtEnd = endsRuns(end) && comparePositions(this.host.machine.position(), goal.position) >= 0;
    if (!arrived && !isAtEnd) return undefined;
    if (isAtEnd) this.host.standsAt(end);
    // Before a breakpoint, it counts as reached: from here the CPU goes on without meeting it again.
    const reached = this.host.met({ kind: "breakpoint", cpu: stop.cpu });
    this.travel.arrive(this.moment);
    return stop.kind === "step" && reached !== undefined ? together([stop, reached]) : stop;
  }

  /**
   * `budget`, or as much of it as there is before a moment is to be taken near `end`; takes that moment when it has come. Only where the one that the way began at is much farther away: who goes back once
   * goes back again.
   */
  private untilNear({ tried }: Position, budget: number): number {
    const { interval } = this.travel;
    const here = this.host.machine.position();
    const left = tried - here.tried;
    const near = Math.floor(interval / 4);
    if (left > interval) this.nearWanted = true;
    if (!this.nearWanted) return budget;
    if (left > near) return Math.min(budget, left - near);
    // What is to be told of this very place would lie on both sides of the moment.
    if (this.stuck.some(({ position }) => comparePositions(position, here) === 0)) return budget;
    this.nearWanted = false;
    this.travel.noteOnWay(this.moment);
    return budget;
  }

  /** True when the machine does not move any more: it is as far as it gets. */
  private standsStill(end: RunEnd): boolean {
    const now = this.host.machine.now();
    const before = this.idleAt;
    this.idleAt = end.kind === "dead" ? now : -1;
    return end.kind === "dead" && before === now;
  }

  /** Goes over the CPU's last steps one by one, and then to the beginning of the line before. */
  private look(): void {
    const { cpu, host, start } = this;
    while (cpu.steps < start.steps - 1 && this.seen.length < STEPS_SEEN) {
      const { steps } = cpu;
      this.seen.push({ steps, pc: cpu.linearRip(), sp: cpu.state.gpr(stackPointer) });
      const goal = this.goal(steps + 1);
      for (let tries = 0; cpu.steps === steps && tries < 1000; tries++) if (this.run(goal, 1_000_000).arrived) break;
      if (cpu.steps === steps) break;
    }
    this.seen.push({ steps: cpu.steps, pc: cpu.linearRip(), sp: cpu.state.gpr(stackPointer) });
    this.phase = this.landAt(this.lineBefore(host.symbols));
    this.goTo(this.moment);
  }

  /** Steps of the CPU at the beginning of the line before: of this line, if the CPU stands inside it. Functions called meanwhile are passed over. */
  private lineBefore(symbols: SymbolStore): number {
    const { start, seen } = this;
    const key = (line: SourceLine | undefined): string => (line === undefined ? "" : `${line.file}:${line.line}`);
    const here = symbols.lineAt(start.pc);
    const functionOf = (pc: bigint): string | undefined => symbols.lookup(pc)?.symbol;
    const own = functionOf(start.pc);
    let target: string | undefined;
    let best = start.steps - 1;
    for (let i = seen.length - 1; i >= 0; i--) {
      const { steps, pc, sp } = seen[i];
      // Deeper calls, and handlers of interrupts, have their frames below.
      if (sp < start.sp && functionOf(pc) !== own) continue;
      const line = key(symbols.lineAt(pc));
      target ??= line === "" ? key(here) : line;
      if (line !== target) break;
      best = steps;
    }
    return best;
  }

  private searchOn(phase: Extract<Phase, { kind: "search" }>, budget: number): void {
    const { machine } = this.host;
    const until = machine.instructions() + budget;
    // Breakpoints that are passed often end a run each.
    for (let runs = 0; runs < RUNS_OF_PORTION; runs++) {
      if (this.search(phase, until - machine.instructions())) return this.searched(phase);
      if (machine.instructions() >= until) return;
    }
  }

  /** Runs over a stretch and takes down where it would have stopped. True at its end. */
  private search(phase: Extract<Phase, { kind: "search" }>, budget: number): boolean {
    const { machine } = this.host;
    const { arrived, stop } = this.run({ position: phase.end }, budget);
    const at = machine.position();
    const done = arrived || comparePositions(at, phase.end) >= 0;
    const found = (one: Stop | undefined): void => {
      if (one === undefined || (done && phase.until === undefined)) return;
      const before = phase.found;
      const isSame = before !== undefined && comparePositions(before.at, at) === 0;
      phase.found = { at, stop: isSame ? together([before.stop, one]) : one };
    };
    found(stop);
    // The run ended before breakpoints that stand at the very end.
    if (done) for (const cpu of phase.until?.known.passing ?? []) found(this.host.met({ kind: "breakpoint", cpu }));
    return done;
  }

  private searched({ found }: Extract<Phase, { kind: "search" }>): void {
    const { travel, moment } = this;
    if (found !== undefined) {
      this.phase = { kind: "land", goal: { position: found.at }, stop: found.stop };
      return this.goTo(moment);
    }
    const earlier = travel.before(moment.position);
    if (earlier === undefined) {
      const text = "At the beginning of what can be gone back to";
      this.phase = { kind: "land", goal: { position: moment.position }, stop: { kind: "entry", cpu: this.cpu.index, text } };
    } else {
      this.phase = { kind: "search", end: moment.position, until: moment, found: undefined };
      this.moment = earlier;
    }
    this.goTo(this.moment);
  }
}

/** Whether the machine does not simply go on after an end of a run. */
function endsRuns({ kind }: RunEnd): boolean {
  return kind === "reset" || kind === "triple-fault" || kind === "power-off" || kind === "exit";
}
