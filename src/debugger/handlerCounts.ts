import { saveCounts } from "./savedCounts";

/** How often each vector's handler was entered on each CPU: by interrupts, exceptions and INT instructions alike. */
export class HandlerCounts {
  private readonly counts: Float64Array;

  constructor(cpus: number) {
    this.counts = new Float64Array(cpus * 256);
  }

  entered(cpu: number, vector: number): void {
    this.counts[cpu * 256 + vector]++;
  }

  /** Entries of `vector` on `cpu` since the session began. */
  of(cpu: number, vector: number): number {
    return this.counts[cpu * 256 + vector];
  }

  /** Remembers the counts. Returns what brings them back. */
  save(): () => void {
    return saveCounts(this.counts);
  }
}
