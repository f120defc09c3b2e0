import type { InterruptEvent } from "../apic/events";
import { StageCode } from "../apic/recordStore";
import { saveCounts } from "./savedCounts";
import type { FilterName } from "./filterNames";

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

  /** Counts an event; `cpu` -1: of none. */
  count(stage: number, cpu: number, vector: number): void {
    this.interrupts[this.at(stage, cpu, vector)]++;
  }

  /** How many events there were of this one's stage, CPU and vector. */
  interrupt({ stage, cpu, record }: InterruptEvent): number {
    return this.interrupts[this.at(StageCode[stage], cpu, record.vector)];
  }

  private at(stage: number, cpu: number, vector: number): number {
    return (stage * this.rows + (cpu < 0 ? this.rows - 1 : cpu)) * 256 + vector;
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
    const interrupts = saveCounts(this.interrupts);
    const exceptions = saveCounts(this.exceptions);
    const others = [...this.others];
    return () => {
      interrupts();
      exceptions();
      this.others.clear();
      for (const [filter, count] of others) this.others.set(filter, count);
    };
  }
}
