/** Bytes of a monitored line (CPUID leaf 5). */
const LINE = 64;

/** The lines that CPUs have armed with MONITOR, machine-wide: a store into one wakes its CPU from MWAIT (SDM vol. 3, "MONITOR/MWAIT"). */
export class WriteMonitor {
  /** Armed physical line address by CPU index. */
  private readonly lines = new Map<number, number>();
  private readonly pages = new Map<number, number>();

  /** `protect` is called with a physical page whose writes must be seen from now on; `triggered` with a CPU whose line was written. */
  constructor(
    private readonly protect: (page: number) => void,
    private readonly triggered: (cpu: number) => void,
  ) {}

  arm(cpu: number, physical: number): void {
    this.disarm(cpu);
    const line = physical - (physical % LINE);
    this.lines.set(cpu, line);
    const page = Math.floor(line / 4096);
    const users = this.pages.get(page) ?? 0;
    this.pages.set(page, users + 1);
    if (users === 0) this.protect(page);
  }

  disarm(cpu: number): void {
    const line = this.lines.get(cpu);
    if (line === undefined) return;
    this.lines.delete(cpu);
    const page = Math.floor(line / 4096);
    const users = (this.pages.get(page) ?? 1) - 1;
    if (users === 0) this.pages.delete(page);
    else this.pages.set(page, users);
  }

  armed(cpu: number): boolean {
    return this.lines.has(cpu);
  }

  watches(page: number): boolean {
    return this.pages.has(page);
  }

  /** `size` bytes at `physical`, inside one page, were written. */
  written(physical: number, size: number): void {
    if (this.lines.size === 0) return;
    for (const [cpu, line] of [...this.lines]) {
      if (physical < line + LINE && line < physical + size) {
        this.disarm(cpu);
        this.triggered(cpu);
      }
    }
  }

  save(): readonly (readonly [number, number])[] {
    return [...this.lines].sort((a, b) => a[0] - b[0]);
  }

  restore(lines: readonly (readonly [number, number])[]): void {
    this.lines.clear();
    this.pages.clear();
    for (const [cpu, line] of lines) this.arm(cpu, line);
  }
}
