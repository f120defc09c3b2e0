import { assert } from "../common/errors";
import type { Moment } from "../common/moment";
import type { State } from "../common/state";
import type { InterruptJournal } from "./journal";
import { modes, RecordStore, type StageCode } from "./recordStore";
import { type StormLimits, StormWatch } from "./storm";

/** The newest records that a saved state has although nothing is on its way with them any more. */
const savedHistory = 32;
/** Latest stages that are found again without a look at every record: a power of two. */
export const markCount = 4096;

/** What is on its way at one CPU: the record behind each IRR bit, each ISR bit and each latch; 0 for none. */
export class CpuTrack {
  readonly pending = new Float64Array(256);
  readonly inService = new Float64Array(256);
  /** By index of {@link modes}. */
  readonly latched = new Float64Array(modes.length);
  /** Record of the last interrupt that the CPU acknowledged; 0 after a spurious one. */
  lastDelivered = 0;
  constructor(readonly storm: StormWatch) {}

  save(): State {
    return {
      pending: savePairs(this.pending),
      inService: savePairs(this.inService),
      latched: savePairs(this.latched),
      lastDelivered: this.lastDelivered,
      storm: this.storm.save(),
    };
  }

  restore(state: State): void {
    const saved = state as { [key: string]: State };
    restorePairs(this.pending, saved["pending"]);
    restorePairs(this.inService, saved["inService"]);
    restorePairs(this.latched, saved["latched"]);
    this.lastDelivered = saved["lastDelivered"] as number;
    this.storm.restore(saved["storm"]);
  }
}

/**
 * All that the ledger knows, without what brings it about: the records, the course of their stages, what is on its way at each CPU, latencies. This is what is saved, restored and
 * asked. Open and plain, as the loops of {@link JournalReader} take it all into locals and put it back.
 */
export class RecordBook {
  /** The records as numbers, by slot. */
  readonly store: RecordStore;
  readonly tracks: CpuTrack[] = [];
  /** Id for the records of the next send. */
  nextSendId = 1;
  /** How many stages there were: the number of the latest one. */
  sequence = 0;
  /** Digest of all stages so far, signed, and what it was at each of the last stages: tells whether two histories are the same. Unsigned, it was no small integer: the object's class changed while loops that use it were optimised. */
  digest = 0;
  readonly digests: Uint32Array;
  readonly digestMask: number;
  /** Record and stage of each of the latest marks, by `sequence`. A help for reading, no state: what does not fit the records is not believed. */
  readonly markIds = new Float64Array(markCount);
  readonly markStages = new Uint8Array(markCount);
  /** From accept to deliver, by vector: deliveries, and the instructions of all of them and of the slowest. */
  readonly latencyCount = new Float64Array(256);
  readonly latencyTotal = new Float64Array(256);
  readonly latencyMaximum = new Float64Array(256);

  /** `capacity`: records kept, rounded up to a power of two. */
  constructor(
    capacity: number,
    /** Has the id of the next record, which the engine counts on. */
    private readonly journal: InterruptJournal,
    readonly stormLimits: StormLimits,
  ) {
    assert(capacity >= 2 * savedHistory, `the ledger needs room for ${2 * savedHistory} records, not ${capacity}`);
    const rounded = 2 ** Math.ceil(Math.log2(capacity));
    this.store = new RecordStore(rounded);
    this.nextId = 1;
    this.digests = new Uint32Array(new SharedArrayBuffer(rounded * 16));
    this.digestMask = rounded * 4 - 1;
  }

  get nextId(): number {
    return this.journal.nextId;
  }

  set nextId(id: number) {
    this.journal.nextId = id;
  }

  track(cpu: number): CpuTrack {
    while (this.tracks.length <= cpu) this.tracks.push(new CpuTrack(new StormWatch(this.stormLimits)));
    return this.tracks[cpu];
  }

  /** Enters that a record came to a stage at `moment`; `fingerprint` is the store's. */
  enter(slot: number, stage: StageCode, moment: Moment, fingerprint: number): void {
    const seq = ++this.sequence;
    this.markIds[seq & (markCount - 1)] = this.store.idAt(slot);
    this.markStages[seq & (markCount - 1)] = stage;
    this.store.stamp(slot, stage, seq, moment);
    const { digest } = this;
    const next = Math.imul((digest << 5) ^ (digest >>> 27) ^ moment.instruction ^ fingerprint ^ stage, 0x9e3779b1);
    this.digest = next;
    this.digests[seq & this.digestMask] = next;
  }

  /** A delivery of `vector` came `latency` instructions after its acceptance. */
  countLatency(vector: number, latency: number): void {
    this.latencyCount[vector]++;
    this.latencyTotal[vector] += latency;
    if (latency > this.latencyMaximum[vector]) this.latencyMaximum[vector] = latency;
  }

  /** Power-on: empty. */
  reset(): void {
    this.store.clear();
    this.tracks.length = 0;
    this.nextId = 1;
    this.nextSendId = 1;
    this.sequence = 0;
    this.digest = 0;
    this.latencyCount.fill(0);
    this.latencyTotal.fill(0);
    this.latencyMaximum.fill(0);
  }

  /** Live records, `onTheirWay` among them, the newest of the others, and all counters. Older history stays in the ring and is not part of the state. */
  save(onTheirWay: readonly number[]): State {
    const kept = new Set<number>(onTheirWay);
    for (const track of this.tracks)
      for (const list of [track.pending, track.inService, track.latched]) for (const id of list) if (id !== 0) kept.add(id);
    for (let id = Math.max(1, this.nextId - savedHistory); id < this.nextId; id++) kept.add(id);
    return {
      nextId: this.nextId,
      nextSendId: this.nextSendId,
      seq: this.sequence,
      digest: this.digest >>> 0,
      records: this.store.save([...kept].sort((a, b) => a - b)),
      tracks: this.tracks.map((track) => track.save()),
      latencies: [savePairs(this.latencyCount), savePairs(this.latencyTotal), savePairs(this.latencyMaximum)],
    };
  }

  /** Restores; the ring keeps its older history only if the saved state is known to lie on the same course of events. */
  restore(state: State): void {
    const saved = state as { [key: string]: State };
    const seq = saved["seq"] as number;
    const passed = this.sequence - seq;
    const known = passed >= 0 && passed < this.digests.length && (seq === 0 || this.digests[seq % this.digests.length] === saved["digest"]);
    const nextId = saved["nextId"] as number;
    if (known) this.store.truncate(nextId);
    else this.store.clear();
    this.nextId = nextId;
    this.nextSendId = saved["nextSendId"] as number;
    this.sequence = seq;
    this.digest = (saved["digest"] as number) | 0;
    if (seq > 0) this.digests[seq % this.digests.length] = this.digest;
    this.store.restore(saved["records"]);
    this.tracks.length = 0;
    for (const [cpu, item] of (saved["tracks"] as readonly State[]).entries()) this.track(cpu).restore(item);
    const latencies = saved["latencies"] as readonly State[];
    restorePairs(this.latencyCount, latencies[0]);
    restorePairs(this.latencyTotal, latencies[1]);
    restorePairs(this.latencyMaximum, latencies[2]);
  }
}

/** What is not 0 in a list of which most is: index and value in turn. */
function savePairs(list: Float64Array): State {
  const pairs: number[] = [];
  for (let index = 0; index < list.length; index++) if (list[index] !== 0) pairs.push(index, list[index]);
  return pairs;
}

function restorePairs(list: Float64Array, pairs: State): void {
  const flat = pairs as readonly number[];
  list.fill(0);
  for (let at = 0; at < flat.length; at += 2) list[flat[at]] = flat[at + 1];
}
