import type { DelayRule } from "../apic/delayLine";
import { UserError } from "../machine/errors";
import type { Schedule } from "../machine/turns";
import type { DebugMachine } from "./target";

/** What steps do with the other CPUs. */
export const otherChoices = ["run", "hold"] as const;
export type Others = (typeof otherChoices)[number];

/**
 * What steps do with interrupts of the stepped CPU. `taken`: handlers run through to their return. `held`: maskable interrupts stay pending; a halted CPU is let wake.
 * `into`: the step ends at the handler's first instruction. `auto`: as `into` for a step into by instruction, as `taken` for all others.
 */
export const interruptChoices = ["auto", "taken", "held", "into"] as const;
export type StepInterrupts = (typeof interruptChoices)[number];

export interface Stepping {
  readonly others: Others;
  readonly interrupts: StepInterrupts;
}

/** An IPI to hold back; fields left out match any. `src` and `dst` are APIC ids. */
export type DelayRequest = Omit<DelayRule, "id">;

/** How CPUs are run, for clients. */
export interface RunControlState {
  /** CPUs that stand still whatever the others do. */
  readonly frozen: readonly number[];
  readonly stepping: Stepping;
  readonly schedule: Schedule;
  /** IPIs that wait to be held back. */
  readonly delays: readonly DelayRule[];
}

/** Most instructions of a quantum, and of a delay. */
const mostInstructions = 1_000_000_000;

/** Which CPUs run, how steps treat the others and interrupts, and how time is shared. All of it enters the machine as input, so that a recording has it. */
export class RunControl {
  private readonly frozen = new Set<number>();
  private readonly lent = new Set<number>();
  private choice: Stepping = { others: "run", interrupts: "auto" };
  private nextDelay = 1;

  /** @param changed called after each change */
  constructor(
    private readonly machine: DebugMachine,
    private readonly changed: () => void,
  ) {}

  get state(): RunControlState {
    const { schedule, delays } = this.machine;
    return { frozen: [...this.frozen].sort((a, b) => a - b), stepping: this.choice, schedule, delays };
  }

  get stepping(): Stepping {
    return this.choice;
  }

  setStepping(choice: Partial<Stepping>): void {
    this.choice = { others: choice.others ?? this.choice.others, interrupts: choice.interrupts ?? this.choice.interrupts };
    this.changed();
  }

  isFrozen(cpu: number): boolean {
    return this.frozen.has(cpu);
  }

  /** Whether a CPU is left that may run. */
  get anyFree(): boolean {
    return this.frozen.size < this.machine.cpus.length;
  }

  get anyFrozen(): boolean {
    return this.frozen.size > 0;
  }

  /** Freezes CPUs, or lets them run again with the others. */
  setFrozen(cpus: readonly number[], frozen: boolean): void {
    for (const cpu of cpus) this.set(cpu, frozen);
    this.changed();
  }

  /** From now on only these CPUs run. */
  runOnly(cpus: readonly number[]): void {
    for (const { index } of this.machine.cpus) this.set(index, !cpus.includes(index));
    this.changed();
  }

  private set(cpu: number, frozen: boolean): void {
    if (frozen) this.frozen.add(cpu);
    else this.frozen.delete(cpu);
    this.machine.setHeld(cpu, frozen);
  }

  /** The machine went back to when other CPUs may have been frozen: what holds now holds there too. */
  apply(): void {
    for (const { index } of this.machine.cpus) {
      this.machine.setHeld(index, this.frozen.has(index));
      this.machine.shieldFromInterrupts(index, false);
    }
  }

  /** A frozen CPU is stepped: it runs until {@link giveBack}. */
  lend(cpu: number): void {
    if (!this.frozen.has(cpu)) return;
    this.lent.add(cpu);
    this.machine.setHeld(cpu, false);
  }

  giveBack(): void {
    for (const cpu of this.lent) if (this.frozen.has(cpu)) this.machine.setHeld(cpu, true);
    this.lent.clear();
  }

  /** Throws a {@link UserError} for numbers out of range. */
  setSchedule(wanted: Partial<Schedule>): void {
    const { quantum, seed } = { ...this.machine.schedule, ...wanted };
    if (!Number.isInteger(quantum) || quantum < 1 || quantum > mostInstructions)
      throw new UserError(`A quantum has 1 to ${mostInstructions} instructions, not ${quantum}.`, "quantum");
    if (!Number.isInteger(seed) || seed < 0 || seed > 0xffff_ffff)
      throw new UserError(`The seed of a schedule goes from 0 to ${0xffff_ffff}, not ${seed}.`, "seed");
    this.machine.setSchedule({ quantum, seed });
    this.changed();
  }

  /** Holds back the next IPI that `request` matches. Returns the rule's id. Throws a {@link UserError} for numbers out of range. */
  delay(request: DelayRequest): number {
    const { instructions } = request;
    if (!Number.isInteger(instructions) || instructions < 1 || instructions > mostInstructions)
      throw new UserError(`An IPI can be held back for 1 to ${mostInstructions} instructions, not ${instructions}.`, "instructions");
    const id = this.nextDelay++;
    this.machine.setDelays([...this.machine.delays, { id, ...request }]);
    this.changed();
    return id;
  }

  /** Takes back rules that wait for their IPI; all of them if `ids` is left out. Throws a {@link UserError} for an id that there is not. */
  cancelDelays(ids?: readonly number[]): void {
    const { delays } = this.machine;
    for (const id of ids ?? []) if (!delays.some((rule) => rule.id === id)) throw new UserError(`No delay ${id} waits for its IPI.`, "ids");
    this.machine.setDelays(ids === undefined ? [] : delays.filter((rule) => !ids.includes(rule.id)));
    this.changed();
  }
}

/** A rule in words: "the next IPI with vector 0xf0 from APIC 0 to APIC 1 is held back for 500 instructions". */
export function delayText({ instructions, vector, mode, src, dst }: DelayRequest): string {
  const parts = [
    mode === undefined ? "" : ` of mode ${mode}`,
    vector === undefined ? "" : ` with vector 0x${vector.toString(16).padStart(2, "0")}`,
    src === undefined ? "" : ` from APIC ${src}`,
    dst === undefined ? "" : ` to APIC ${dst}`,
  ];
  return `the next IPI${parts.join("")} is held back for ${instructions} instructions`;
}

/** A schedule in words. */
export function scheduleText({ quantum, seed }: Schedule): string {
  if (seed !== 0) return `turns of 1 to ${2 * quantum - 1} instructions in random order, seed ${seed}`;
  return quantum === 1 ? "instruction by instruction, in order" : `turns of ${quantum} instructions, in order`;
}
