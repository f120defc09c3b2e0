import type { State } from "../common/state";
import type { Clock, Timer } from "../devices/device";
import type { DeliveryMode } from "./events";
import type { InterruptMessage } from "./message";
import type { InterruptLedger } from "./ledger";

/** Which IPI a debugger holds back, and for how long. Fields left out match anything. */
export interface DelayRule {
  /** Of the debugger's choosing, unique. */
  readonly id: number;
  /** Instructions that the machine retires between the send and the moment at which the target sees it, at least 1; fewer when all CPUs fall idle. */
  readonly instructions: number;
  readonly vector?: number;
  readonly mode?: DeliveryMode;
  /** APIC ids of sender and target. */
  readonly src?: number;
  readonly dst?: number;
}

/** An interrupt that is held back: its record, its target and the count of instructions at which that sees it. */
interface Waiting {
  readonly due: number;
  readonly cpu: number;
  readonly id: number;
  readonly message: InterruptMessage;
}

/** Interrupts that may be held back at once: what more there are go through at once. */
const maximumWaiting = 4096;

/**
 * Holds back IPIs between their send and their targets, as a slow bus might. Each rule holds the next IPI that it matches, and is used up by it. Instructions of all CPUs
 * count. Virtual time, by which timers go, runs ahead of them while CPUs pause, so that the timer looks and sets itself anew; when no instruction has retired
 * meanwhile, all CPUs wait, and the IPI is let go.
 */
export class DelayLine {
  private list: readonly DelayRule[] = [];
  private waiting: Waiting[] = [];
  private readonly timer: Timer;
  /** When the timer goes off next, and the count of instructions as it was set; undefined while nothing is held back. */
  private set: { readonly deadline: number; readonly instructions: number } | undefined;

  /** @param receive hands a message over to the local APIC of a CPU */
  constructor(
    private readonly clock: Clock,
    private readonly ledger: InterruptLedger,
    private readonly receive: (cpu: number, message: InterruptMessage, id: number) => void,
  ) {
    ledger.onTheirWay = () => this.held;
    this.timer = clock.createTimer("delayed IPIs", () => this.due());
  }

  /** The rules that wait for their IPI. */
  get rules(): readonly DelayRule[] {
    return this.list;
  }

  set rules(rules: readonly DelayRule[]) {
    this.list = [...rules];
  }

  /** Whether there is a rule that might hold an IPI back. */
  get holds(): boolean {
    return this.list.length > 0;
  }

  /** Records of the interrupts that are held back now. */
  get held(): readonly number[] {
    return this.waiting.map(({ id }) => id);
  }

  /** Takes an IPI for CPU `cpu`, whose APIC id is `dst`, if a rule says so. */
  takes(message: InterruptMessage, dst: number, cpu: number, id: number): boolean {
    if (this.list.length === 0 || message.source !== "ipi" || this.waiting.length >= maximumWaiting) return false;
    const rule = this.list.find(
      ({ vector, mode, src, dst: to }) =>
        (vector === undefined || vector === message.vector) &&
        (mode === undefined || mode === message.mode) &&
        (src === undefined || src === message.src) &&
        (to === undefined || to === dst),
    );
    if (rule === undefined) return false;
    this.list = this.list.filter((other) => other !== rule);
    this.ledger.delayed(id, rule.instructions);
    this.waiting.push({ due: this.ledger.stamps.instructions() + rule.instructions, cpu, id, message });
    this.arm();
    return true;
  }

  private arm(): void {
    if (this.waiting.length === 0) {
      this.set = undefined;
      return this.timer.disarm();
    }
    const instructions = this.ledger.stamps.instructions();
    const left = Math.min(...this.waiting.map(({ due }) => due)) - instructions;
    this.set = { deadline: this.clock.now() + Math.max(1, left), instructions };
    this.timer.arm(this.set.deadline);
  }

  private due(): void {
    const now = this.ledger.stamps.instructions();
    const idle = this.set?.instructions === now;
    const next = Math.min(...this.waiting.map(({ due }) => due));
    const ripe = this.waiting.filter(({ due }) => due <= (idle ? next : now)).sort((a, b) => a.due - b.due || a.id - b.id);
    this.waiting = this.waiting.filter((waiting) => !ripe.includes(waiting));
    this.arm();
    for (const { cpu, message, id } of ripe) this.receive(cpu, message, id);
  }

  /** Power-on: what is on its way is lost. Rules stay: they are the debugger's. */
  reset(): void {
    for (const { id } of this.waiting) this.ledger.dropped(id, "lost by a reset while the debugger held it back");
    this.waiting = [];
    this.arm();
  }

  /** What is on its way; undefined for nothing. */
  save(): State | undefined {
    if (this.set === undefined) return undefined;
    const waiting = this.waiting.map(({ due, cpu, id, message }) => ({ due, cpu, id, message: { ...message } }));
    return { waiting, deadline: this.set.deadline, instructions: this.set.instructions };
  }

  restore(state: State | undefined): void {
    const saved = state as { readonly waiting: readonly Waiting[]; readonly deadline: number; readonly instructions: number } | undefined;
    this.waiting = (saved?.waiting ?? []).map((waiting) => ({ ...waiting }));
    this.set = saved === undefined ? undefined : { deadline: saved.deadline, instructions: saved.instructions };
    if (this.set === undefined) this.timer.disarm();
    else this.timer.arm(this.set.deadline);
  }
}
