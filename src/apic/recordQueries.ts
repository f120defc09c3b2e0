import type { DeliveryMode, InterruptEvent, InterruptRecord, InterruptSource, Stage } from "./events";
import { markCount, type RecordBook } from "./recordBook";
import { modes, type RecordStore, sources, StageCode, stages } from "./recordStore";

/** What to look for among the records; fields left out match anything. */
export interface RecordQuery {
  /** CPU that sent it or that it was for. */
  readonly cpu?: number;
  /** CPU that it was for. */
  readonly target?: number;
  readonly vector?: number;
  readonly sendId?: number;
  readonly source?: InterruptSource;
  readonly mode?: DeliveryMode;
  /** Only those that got this far. */
  readonly stage?: Stage;
  /** Sent at or after this count of instructions, and before that one. */
  readonly from?: number;
  readonly to?: number;
  /** Only records older than this id: for the next page of a long list. */
  readonly before?: number;
  /** Only records newer than this id; `limit` then takes the oldest of them: for reading on from where a page ended. */
  readonly after?: number;
  /** At most so many, the newest; 100 if left out. */
  readonly limit?: number;
}

/** A point in the course of all stages: how many there were, and a digest of them. */
export interface CoursePoint {
  readonly sequence: number;
  readonly digest: number;
}

/** What has changed among the records since a point. */
export interface RecordChanges {
  /** The point that these records lead to: the next request goes on from there. */
  readonly point: CoursePoint;
  /** The point given does not lie on the machine's course: it was reset or taken back. The records begin anew. */
  readonly restarted: boolean;
  /** There are more: ask again. */
  readonly more: boolean;
  /** Each record that got a stage since, as it stands now, by its latest stage. */
  readonly records: readonly InterruptRecord[];
}

/** From acceptance to the start of the handler, in instructions retired by the whole machine. */
export interface LatencyStatistics {
  readonly vector: number;
  readonly deliveries: number;
  readonly total: number;
  readonly maximum: number;
}

/** Answers questions about the records of a book, which it does not change. Whoever asks has entered what the engine brought about. */
export class RecordQueries {
  private readonly store: RecordStore;

  constructor(private readonly book: RecordBook) {
    this.store = book.store;
  }

  /** The record with this id, undefined once the ring has forgotten it. */
  record(id: number): InterruptRecord | undefined {
    const slot = this.store.slotOf(id);
    return slot < 0 ? undefined : this.store.record(slot);
  }

  /** Records that match `query`, oldest first. */
  records(query: RecordQuery): readonly InterruptRecord[] {
    const { nextId } = this.book;
    const limit = query.limit ?? 100;
    const found: InterruptRecord[] = [];
    const newest = Math.min(nextId, query.before ?? nextId) - 1;
    const oldest = Math.max(1, nextId - this.store.capacity);
    const take = (id: number): void => {
      const slot = this.store.slotOf(id);
      if (slot >= 0 && matches(this.store, slot, query)) found.push(this.store.record(slot));
    };
    if (query.after !== undefined) {
      for (let id = Math.max(oldest, query.after + 1); id <= newest && found.length < limit; id++) take(id);
      return found;
    }
    for (let id = newest; id >= oldest && found.length < limit; id--) take(id);
    return found.reverse();
  }

  /**
   * Records that got a stage after `since`, at most `limit`, the longest unchanged first, so that a reader who goes on from the point given back
   * misses nothing that the ring still has. Looks through the whole ring: for readers that ask now and then.
   */
  changes(since: CoursePoint, limit: number): RecordChanges {
    const { digests, sequence: now } = this.book;
    const { sequence } = since;
    const passed = now - sequence;
    const restarted = passed < 0 || (sequence > 0 && passed < digests.length && digests[sequence % digests.length] !== since.digest);
    const after = restarted ? 0 : sequence;
    const found: { readonly slot: number; readonly last: number }[] = [];
    for (let slot = 0; slot < this.store.slots; slot++) {
      if (this.store.idAt(slot) === 0) continue;
      const last = this.store.lastSequence(slot);
      if (last > after) found.push({ slot, last });
    }
    found.sort((a, b) => a.last - b.last);
    const more = found.length > limit;
    const page = more ? found.slice(0, limit) : found;
    const reached = more ? page[page.length - 1].last : now;
    return {
      point: { sequence: reached, digest: reached === 0 ? 0 : digests[reached % digests.length] },
      restarted,
      more,
      records: page.map(({ slot }) => this.store.record(slot)),
    };
  }

  /** The records in service at `cpu`, outermost handler first. */
  inService(cpu: number): readonly InterruptRecord[] {
    const slots = Array.from(this.book.track(cpu).inService)
      .map((id) => this.store.slotOf(id))
      .filter((slot) => slot >= 0);
    slots.sort((a, b) => this.store.sequence(a, StageCode.deliver) - this.store.sequence(b, StageCode.deliver));
    return slots.map((slot) => this.store.record(slot));
  }

  /** The last `count` events that concern `cpu`, oldest first, each with its record as of then. */
  lastEvents(cpu: number, count: number): readonly InterruptEvent[] {
    const recent = this.recentEvents(cpu, count);
    if (recent !== undefined) return recent;
    const found: { seq: number; slot: number; stage: StageCode }[] = [];
    let oldest = 0;
    const trim = (): void => {
      found.sort((a, b) => b.seq - a.seq);
      found.length = Math.min(found.length, count);
      if (found.length === count && count > 0) oldest = found[count - 1].seq;
    };
    for (let slot = 0; slot < this.store.slots; slot++) {
      if (this.store.idAt(slot) === 0) continue;
      for (let code = 0; code < stages.length; code++) {
        const stage = code as StageCode;
        const seq = this.store.sequence(slot, stage);
        if (seq > oldest && concerned(this.store, slot, stage) === cpu) found.push({ seq, slot, stage });
      }
      if (found.length > count + 1024) trim();
    }
    trim();
    return found.reverse().map(({ slot, stage }) => ({ stage: stages[stage], record: this.store.record(slot, stage), cpu }));
  }

  /** The same from the latest marks alone; undefined when they do not reach far enough, or are of a history that was left. */
  private recentEvents(cpu: number, count: number): readonly InterruptEvent[] | undefined {
    const { sequence, markIds, markStages } = this.book;
    const found: InterruptEvent[] = [];
    for (let seq = sequence; seq > 0 && found.length < count; seq--) {
      const at = seq % markCount;
      const slot = this.store.slotOf(markIds[at]);
      const stage = markStages[at] as StageCode;
      if (sequence - seq >= markCount || slot < 0 || this.store.sequence(slot, stage) !== seq) return undefined;
      if (concerned(this.store, slot, stage) === cpu) found.push({ stage: stages[stage], record: this.store.record(slot, stage), cpu });
    }
    return found.reverse();
  }

  /** Latency from accept to deliver of each vector that was delivered. */
  latencies(): readonly LatencyStatistics[] {
    const { latencyCount, latencyTotal, latencyMaximum } = this.book;
    const list: LatencyStatistics[] = [];
    for (let vector = 0; vector < 256; vector++) {
      if (latencyCount[vector] === 0) continue;
      list.push({ vector, deliveries: latencyCount[vector], total: latencyTotal[vector], maximum: latencyMaximum[vector] });
    }
    return list;
  }
}

/** Whether a record is what `query` looks for; its `limit`, `before` and `after` are the caller's. */
function matches(store: RecordStore, slot: number, query: RecordQuery): boolean {
  const { vector, cpu, target, sendId, source, mode, stage, from, to } = query;
  if (vector !== undefined && store.vectorAt(slot) !== vector) return false;
  if (target !== undefined && store.targetAt(slot) !== target) return false;
  if (cpu !== undefined && store.targetAt(slot) !== cpu && store.senderAt(slot) !== cpu) return false;
  if (sendId !== undefined && store.sendIdAt(slot) !== sendId) return false;
  if (source !== undefined && sources[store.sourceAt(slot)] !== source) return false;
  if (mode !== undefined && modes[store.modeAt(slot)] !== mode) return false;
  if (stage !== undefined && !store.hasStage(slot, StageCode[stage])) return false;
  const sent = store.instructionAt(slot, StageCode.send);
  return (from === undefined || sent >= from) && (to === undefined || sent < to);
}

/** The CPU that a stage concerns: the sender for `send`, else the target; -1 for none. */
function concerned(store: RecordStore, slot: number, stage: StageCode): number {
  const sender = store.senderAt(slot);
  const target = store.targetAt(slot);
  return (stage === StageCode.send && sender >= 0) || target < 0 ? sender : target;
}
