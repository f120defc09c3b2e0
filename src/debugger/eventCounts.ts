import type { InterruptEvent, Stage } from "../apic/events";
import type { FilterName } from "./eventFilters";

const stageNumbers: Readonly<Record<Stage, number>> = { send: 0, accept: 1, request: 2, deliver: 3, eoi: 4, drop: 5, return: 6 };

/** How often each kind of event has happened: by stage or exception, CPU and vector. */
export class EventCounts {
  private readonly interrupts: Float64Array;
  private readonly exceptions: Float64Array;
  private readonly others = new Map<FilterName, number>();
  private readonly rows: number;

  constructor(cpus: number) {
    // The last row is for events that concern no CPU.
    this.rows = cpus + 1;
    this.interrupts = new Float64Array(7 * this.rows * 256);
    this.exceptions = new Float64Array(cpus * 256);
  }

  /** Counts an event and returns how many there were of its stage, CPU and vector. */
  interrupt(event: InterruptEvent): number {
    const row = event.cpu < 0 ? this.rows - 1 : event.cpu;
    return ++this.interrupts[(stageNumbers[event.stage] * this.rows + row) * 256 + event.record.vector];
  }

  exception(cpu: number, vector: number): number {
    return ++this.exceptions[cpu * 256 + vector];
  }

  guest(filter: FilterName): number {
    const count = (this.others.get(filter) ?? 0) + 1;
    this.others.set(filter, count);
    return count;
  }

  /** Remembers the counts. Returns what brings them back. */
  save(): () => void {
    const interrupts = this.interrupts.slice();
    const exceptions = this.exceptions.slice();
    const others = [...this.others];
    return () => {
      this.interrupts.set(interrupts);
      this.exceptions.set(exceptions);
      this.others.clear();
      for (const [filter, count] of others) this.others.set(filter, count);
    };
  }
}
