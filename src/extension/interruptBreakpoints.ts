// The workspace's interrupt breakpoints: what they are, how they are kept and told to adapters. Knows nothing of VS Code's
// views; storage and listeners come through small interfaces.
import { exceptionFilters, type ExceptionFilter, type InterruptBreakpoint, type InterruptBreakpointStatus } from "../adapter/protocol";

/** Where the breakpoints are kept: VS Code's workspace state, or a map in tests. */
export interface BreakpointStorage {
  get(key: string): unknown;
  update(key: string, value: unknown): PromiseLike<void>;
}

/** What a new breakpoint needs; it starts enabled. */
export type NewInterruptBreakpoint = Pick<InterruptBreakpoint, "filter" | "condition" | "hitCondition">;

/** Changes to a breakpoint; an empty condition or hit condition removes it. */
export interface InterruptBreakpointChange {
  condition?: string;
  hitCondition?: string;
  enabled?: boolean;
}

const storageKey = "apicscope.interruptBreakpoints";

/** The list of interrupt breakpoints of one workspace. Every change is stored at once and told to the listeners. */
export class InterruptBreakpoints {
  private breakpoints: readonly InterruptBreakpoint[];
  private nextId: number;
  private readonly listeners = new Set<() => void>();

  constructor(private readonly storage: BreakpointStorage) {
    this.breakpoints = readStored(storage.get(storageKey));
    this.nextId = 1 + Math.max(0, ...this.breakpoints.map(({ id }) => Number(id)));
  }

  get all(): readonly InterruptBreakpoint[] {
    return this.breakpoints;
  }

  get(id: string): InterruptBreakpoint | undefined {
    return this.breakpoints.find((breakpoint) => breakpoint.id === id);
  }

  /** Hears of every change. Returns what ends that. */
  onDidChange(listener: () => void): { dispose(): void } {
    this.listeners.add(listener);
    return { dispose: () => void this.listeners.delete(listener) };
  }

  async add(wanted: NewInterruptBreakpoint): Promise<InterruptBreakpoint> {
    const added = withTexts({ id: String(this.nextId++), filter: wanted.filter, enabled: true }, wanted.condition, wanted.hitCondition);
    await this.replace([...this.breakpoints, added]);
    return added;
  }

  /** Does nothing for an id that is gone. */
  async change(id: string, change: InterruptBreakpointChange): Promise<void> {
    await this.replace(
      this.breakpoints.map((old) => {
        if (old.id !== id) return old;
        const base = { id, filter: old.filter, enabled: change.enabled ?? old.enabled };
        return withTexts(base, change.condition ?? old.condition, change.hitCondition ?? old.hitCondition);
      }),
    );
  }

  async remove(id: string): Promise<void> {
    await this.replace(this.breakpoints.filter((breakpoint) => breakpoint.id !== id));
  }

  async setAllEnabled(enabled: boolean): Promise<void> {
    await this.replace(this.breakpoints.map((breakpoint) => ({ ...breakpoint, enabled })));
  }

  async removeAll(): Promise<void> {
    await this.replace([]);
  }

  private async replace(breakpoints: readonly InterruptBreakpoint[]): Promise<void> {
    this.breakpoints = breakpoints;
    for (const listener of this.listeners) listener();
    await this.storage.update(storageKey, breakpoints);
  }
}

function withTexts(base: InterruptBreakpoint, condition: string | undefined, hitCondition: string | undefined): InterruptBreakpoint {
  const breakpoint = { ...base };
  const [trimmed, trimmedHit] = [condition?.trim() ?? "", hitCondition?.trim() ?? ""];
  if (trimmed !== "") breakpoint.condition = trimmed;
  if (trimmedHit !== "") breakpoint.hitCondition = trimmedHit;
  return breakpoint;
}

/** Reads what an earlier, perhaps other, version stored; leaves out what is no breakpoint. */
function readStored(stored: unknown): InterruptBreakpoint[] {
  if (!Array.isArray(stored)) return [];
  const ids = new Set<string>();
  const read: InterruptBreakpoint[] = [];
  for (const entry of stored as unknown[]) {
    if (typeof entry !== "object" || entry === null) continue;
    const { id, filter, condition, hitCondition, enabled } = entry as Record<string, unknown>;
    if (typeof id !== "string" || !/^\d{1,9}$/.test(id) || ids.has(id) || !isExceptionFilter(filter)) continue;
    ids.add(id);
    read.push(withTexts({ id, filter, enabled: enabled !== false }, text(condition), text(hitCondition)));
  }
  return read;
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

export function isExceptionFilter(value: unknown): value is ExceptionFilter {
  return exceptionFilters.some(({ filter }) => filter === value);
}

/** The filter's name for people: "Interrupt Delivered". */
export function filterLabel(filter: ExceptionFilter): string {
  return exceptionFilters.find((entry) => entry.filter === filter)?.label ?? filter;
}

/** What one session's adapter said about the breakpoints. */
export class BreakpointStatuses {
  private readonly statuses = new Map<string, InterruptBreakpointStatus>();

  get(id: string): InterruptBreakpointStatus | undefined {
    return this.statuses.get(id);
  }

  replace(statuses: readonly InterruptBreakpointStatus[]): void {
    this.statuses.clear();
    for (const status of statuses) this.statuses.set(status.id, status);
  }

  updateHits(changes: readonly { id: string; hits: number }[]): void {
    for (const { id, hits } of changes) {
      const known = this.statuses.get(id);
      if (known !== undefined) this.statuses.set(id, { ...known, hits });
    }
  }
}
