import type { State } from "../common/state";

/** Share of a turn that CPUs called by events may take on top of it. */
const VISIT_SHARE = 4;

/** How CPUs share the time. */
export interface Schedule {
  /** Instructions of a turn, at least 1; 1 interleaves the CPUs instruction by instruction. */
  readonly quantum: number;
  /** 0: turns of a quantum each, in order. Else the start of a random sequence: turns of 1 to twice the quantum, in random order. */
  readonly seed: number;
}

/** The next number of a sequence of 32 bits that never reaches 0 (G. Marsaglia, "Xorshift RNGs"). */
function xorshift(state: number): number {
  let next = state;
  next ^= next << 13;
  next ^= next >>> 17;
  next ^= next << 5;
  return next >>> 0;
}

/**
 * Whose turn it is. CPUs take turns of a quantum of instructions in order, or by chance from a seed. A CPU that an event calls (an IPI, its timer, a device) visits at
 * once, so that it takes the event within instructions, not quanta; visits in one turn are bounded, so that CPUs that keep calling each other starve nobody. Depends on
 * what CPUs executed alone, never on where a run was told to stop.
 */
export class Turns {
  /** CPU to run next; another one than `owner` is on a visit. */
  private next = 0;
  private owner = 0;
  private left: number;
  private visitLeft: number;
  /** CPU called during the running slice, or -1. */
  private called = -1;
  private passing = false;
  private quantum: number;
  private seed = 0;
  /** State of the random sequence; 0 while turns go in order. */
  private random = 0;

  /** @param quantum instructions a turn has, at least 1 */
  constructor(
    private readonly cpus: number,
    quantum: number,
  ) {
    this.quantum = quantum;
    this.left = quantum;
    this.visitLeft = this.visits;
  }

  get schedule(): Schedule {
    return { quantum: this.quantum, seed: this.seed };
  }

  /** Changes the schedule; the turn that goes on begins anew with it. */
  setSchedule({ quantum, seed }: Schedule): void {
    this.quantum = quantum;
    this.seed = seed;
    // The sequence's state is never 0, whatever the seed.
    this.random = seed === 0 ? 0 : Math.imul(seed, 0x9e3779b1) >>> 0 || 1;
    this.begin(this.owner);
  }

  private draw(below: number): number {
    this.random = xorshift(this.random);
    return this.random % below;
  }

  private get visits(): number {
    return Math.max(1, Math.floor(this.quantum / VISIT_SHARE));
  }

  reset(): void {
    this.called = -1;
    this.passing = false;
    this.begin(0);
  }

  /** Instructions that the CPU picked may run on before somebody else's turn. */
  get budget(): number {
    return this.next === this.owner ? this.left : this.visitLeft;
  }

  /**
   * True when the CPU picked may run beyond its turn while no other can run: its next turns follow at once, and are settled as if they had been cut. The run must end when
   * another CPU can. Random turns are not.
   */
  get extends(): boolean {
    return this.next === this.owner && this.random === 0;
  }

  /** The CPU to run now, or -1 when none can. */
  pick(runnable: (cpu: number) => boolean): number {
    if (runnable(this.next)) return this.next;
    this.next = this.owner;
    if (runnable(this.owner)) return this.owner;
    for (let i = 1; i < this.cpus; i++) {
      const cpu = (this.owner + i) % this.cpus;
      if (!runnable(cpu)) continue;
      this.begin(cpu);
      return cpu;
    }
    return -1;
  }

  /** An event calls `cpu`: it visits after the running slice, or next if none is running. */
  call(cpu: number, running: boolean): void {
    if (running) this.called = cpu;
    else this.visit(cpu);
  }

  /** The running CPU has nothing better to do than to let others run. */
  pass(): void {
    this.passing = true;
  }

  /** A slice outside the order of turns ended: one CPU runs while the others are held. */
  ignore(): void {
    this.called = -1;
    this.passing = false;
  }

  /** A slice of `cpu` ended after `steps` instructions; `goesOn`: it can run on. */
  settle(cpu: number, steps: number, goesOn: boolean): void {
    const leaves = this.passing || !goesOn;
    this.passing = false;
    if (cpu === this.owner) {
      this.left -= steps;
      if (this.left < 0) this.follow(cpu);
      if (leaves || this.left <= 0) this.begin(this.random === 0 ? (cpu + 1) % this.cpus : this.draw(this.cpus));
    } else {
      this.visitLeft -= steps;
      if (leaves || this.visitLeft <= 0) this.next = this.owner;
    }
    const { called } = this;
    this.called = -1;
    if (called >= 0) this.visit(called);
  }

  private begin(cpu: number): void {
    this.owner = this.next = cpu;
    this.left = this.random === 0 ? this.quantum : 1 + this.draw(2 * this.quantum - 1);
    this.visitLeft = this.visits;
  }

  /** Of turns of `cpu` that followed each other: begins the one that it is in now, which is used up if it is at its end. */
  private follow(cpu: number): void {
    const beyond = -this.left % this.quantum;
    this.begin(cpu);
    this.left = beyond === 0 ? 0 : this.quantum - beyond;
  }

  private visit(cpu: number): void {
    if (this.visitLeft > 0) this.next = cpu;
  }

  save(): State {
    const turn = [this.next, this.owner, this.left, this.visitLeft];
    return this.random === 0 ? turn : [...turn, this.random];
  }

  /** Takes over what `save` gave, under the schedule that held then. */
  restore(state: State, { quantum, seed }: Schedule = this.schedule): void {
    this.quantum = quantum;
    this.seed = seed;
    [this.next, this.owner, this.left, this.visitLeft, this.random = 0] = state as number[];
    this.called = -1;
    this.passing = false;
  }
}
