import { assert } from "../common/errors";
import { Moment } from "../common/moment";
import type { State } from "../common/state";
import type {
  DeliveryMode,
  InterruptEvent,
  InterruptObserver,
  InterruptRecord,
  InterruptSource,
  InterruptStorm,
  Misuse,
  Stage,
  StampSource,
} from "./events";
import { InterruptJournal, type JournalPlace, rowLayout } from "./journal";
import type { SendInfo } from "./message";
import { modes, recordLayout, RecordStore, sources, StageCode, stages } from "./recordStore";
import { StormWatch } from "./storm";

/** Modes that a CPU latches one of at a time, beside the vectors of its IRR. */
export type LatchedMode = Exclude<DeliveryMode, "fixed" | "lowpri">;

export interface LedgerOptions {
  /** Records kept, rounded up to a power of two; 65,536 if left out. */
  readonly capacity?: number;
  /** Deliveries to one CPU within `stormInstructions` that make a storm; 1,000 if left out. */
  readonly stormDeliveries?: number;
  /** Retired instructions of the storm window; 100,000 if left out. */
  readonly stormInstructions?: number;
  /** Where the engine's journal of interrupts is; without one nothing but calls brings about stages. */
  readonly journal?: JournalPlace;
}

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

const externalMode = modes.indexOf("extint");
const savedHistory = 32;
/** Latest stages that are found again without a look at every record: a power of two. */
const markCount = 4096;

/** What is on its way at one CPU: the record behind each IRR bit, each ISR bit and each latch; 0 for none. */
class CpuTrack {
  readonly pending = new Float64Array(256);
  readonly inService = new Float64Array(256);
  readonly latched = new Float64Array(modes.length);
  /** Record of the last interrupt that the CPU acknowledged; 0 after a spurious one. */
  lastDelivered = 0;
  constructor(readonly storm: StormWatch) {}
}

/**
 * The book of all interrupts of a machine: every send makes a record a target, which is followed to its end of interrupt. Always on;
 * costs no allocation while nobody observes. Its state is saved and restored with the machine, so that ids and stamps come out the same again.
 */
export class InterruptLedger {
  /** The records as numbers, by slot: to be read only. */
  readonly store: RecordStore;
  private readonly limits: { readonly deliveries: number; readonly instructions: number };
  private readonly observers: InterruptObserver[] = [];
  private readonly tracks: CpuTrack[] = [];
  private readonly journal: InterruptJournal;
  private nextSendId = 1;
  private seq = 0;
  /** Digest of all stages so far, signed, and what it was at each of the last stages: tells whether two histories are the same. Unsigned, it was no small integer: the object's class changed while the loops below were optimised. */
  private digest = 0;
  private readonly digests: Uint32Array;
  private readonly digestMask: number;
  private readonly moment = new Moment();
  /** What the engine sent last: most are like the one before. */
  private own: SendInfo = { source: "ipi", mode: "fixed", vector: 0, trigger: "edge", shorthand: "self", src: 0, senderCpu: 0 };
  /** Hears that CPU `cpu` wrote its ICR in the engine at a moment, when that is entered. */
  onOwnSend: (cpu: number, moment: Moment) => void = () => undefined;
  /** Records that are neither pending nor in service anywhere but on their way: they are part of the state. */
  onTheirWay: () => readonly number[] = () => [];
  /** Record and stage of each of the latest marks, by `seq`. A help for reading, no state: what does not fit the records is not believed. */
  private readonly markIds = new Float64Array(markCount);
  private readonly markStages = new Uint8Array(markCount);
  private readonly latencyCount = new Float64Array(256);
  private readonly latencyTotal = new Float64Array(256);
  private readonly latencyMaximum = new Float64Array(256);

  constructor(
    /** Where instruction counts and RIPs come from. */
    readonly stamps: StampSource,
    options: LedgerOptions = {},
  ) {
    const capacity = options.capacity ?? 65536;
    assert(capacity >= 2 * savedHistory, `the ledger needs room for ${2 * savedHistory} records, not ${capacity}`);
    const rounded = 2 ** Math.ceil(Math.log2(capacity));
    this.store = new RecordStore(rounded);
    this.journal = new InterruptJournal(options.journal);
    this.nextId = 1;
    this.digests = new Uint32Array(new SharedArrayBuffer(rounded * 16));
    this.digestMask = rounded * 4 - 1;
    this.limits = { deliveries: options.stormDeliveries ?? 1000, instructions: options.stormInstructions ?? 100000 };
  }

  /** Tells `observer` of every stage from now on. Returns the function that ends it. */
  observe(observer: InterruptObserver): () => void {
    this.observers.push(observer);
    return () => {
      const index = this.observers.indexOf(observer);
      if (index >= 0) this.observers.splice(index, 1);
    };
  }

  // --- What the engine did by itself ---

  private get nextId(): number {
    return this.journal.nextId;
  }

  private set nextId(id: number) {
    this.journal.nextId = id;
  }

  /**
   * Enters what the engine has brought about since: everything here does so first, and whoever changes what its moments are made from, as the end of a slice and the idle time do. Nobody hears of
   * these stages, as the engine leaves them to the host while somebody wants to.
   */
  settle(): void {
    if (this.journal.count !== 0) this.enterJournal();
  }

  /** All rows are of one CPU, as the end of a slice settles. */
  private enterJournal(): void {
    const { journal, moment } = this;
    const { i32 } = journal;
    this.stamps.moment(moment);
    const idle = moment.time - moment.instruction;
    // Before anything that asks for a track, which settles.
    const rows = journal.take();
    const cpu = i32[journal.row(0) + rowLayout.CPU];
    const track = this.track(cpu);
    for (let index = 0; index < rows;) {
      const isWhole = i32[journal.row(index) + rowLayout.KIND] === rowLayout.COMPLETE;
      index = isWhole ? this.enterWhole(index, rows, track, idle) : this.enterParts(index, rows, track, idle);
    }
    for (let index = rows - 1; index >= 0; index--) {
      const sent = journal.row(index);
      const kind = i32[sent + rowLayout.KIND];
      if (kind === rowLayout.ENDED || kind === rowLayout.RETURNED) continue;
      moment.cpu = cpu;
      moment.instruction = journal.f64[(sent >> 1) + rowLayout.INSTRUCTION];
      moment.ripLow = i32[sent + rowLayout.RIP];
      moment.ripHigh = i32[sent + rowLayout.RIP + 1];
      this.onOwnSend(cpu, moment);
      return;
    }
  }

  /**
   * Enters interrupts that have been through, as most have, from row `index` on. Returns the first row that is not done. A hot path, in one piece, without calls where an interrupt is like
   * the one before: what is read of a row, a record and the course stays in registers. All of it runs with the first row, so that V8's optimiser, which is quick with so little, knows all of it; it
   * goes on from the row whose place in the ring is taken as with a new first one.
   */
  private enterWhole(index: number, rows: number, track: CpuTrack, idle: number): number {
    const { journal, store, digests, digestMask, markIds, markStages, latencyCount, latencyTotal, latencyMaximum } = this;
    const { i32: rowWords, f64: rowCounts } = journal;
    const { f64, i32, i8 } = store;
    const { ID, SEND_ID, COALESCED_INTO, SRC, DST, DELAY, KIND, CPUS, STAGES } = recordLayout;
    const { STAGE_WORDS, SEQUENCE, INSTRUCTION, TIME, RIP, RECORD_WORDS } = recordLayout;
    const { send, deliver, eoi, drop, return: returned } = StageCode;
    const row = rowLayout;
    const marks = markIds.length - 1;
    const mask = store.capacity - 1;
    const { inService, storm } = track;
    let { seq, digest, nextSendId } = this;
    const cpu = rowWords[journal.row(index) + row.CPU];
    let vector = -1;
    let apicId = -1;
    let kindLow = 0;
    let kindHigh = 0;
    let words = journal.row(index);
    let slot = store.place(rowCounts[(words >> 1) + row.RECORD]);
    for (;;) {
      const counts = words >> 1;
      const id = rowCounts[counts + row.RECORD];
      if (vector !== rowWords[words + row.VECTOR] || apicId !== rowWords[words + row.APIC_ID]) {
        vector = rowWords[words + row.VECTOR];
        apicId = rowWords[words + row.APIC_ID];
        const info = this.ownSend(vector, apicId, cpu);
        kindLow = store.kindWord(info);
        kindHigh = store.messageWord(info, cpu);
      }
      const at = slot * RECORD_WORDS;
      f64[at + ID] = id;
      f64[at + SEND_ID] = nextSendId++;
      f64[at + COALESCED_INTO] = 0;
      f64[at + SRC] = apicId;
      f64[at + DST] = apicId;
      f64[at + DELAY] = 0;
      i32[(at + KIND) * 2] = kindLow;
      i32[(at + KIND) * 2 + 1] = kindHigh;
      f64[at + STAGES + drop * STAGE_WORDS + SEQUENCE] = 0;
      const kind = store.kindAt(slot);
      track.lastDelivered = id;
      inService[vector] = 0;
      // It was taken at the boundary after the instruction that sent it.
      latencyCount[vector]++;
      latencyTotal[vector]++;
      latencyMaximum[vector] = Math.max(latencyMaximum[vector], 1);
      const fingerprint = store.fingerprint(slot);
      let instruction = rowCounts[counts + row.INSTRUCTION];
      let rip = words + row.RIP;
      for (let stage: number = send; stage <= returned; stage++) {
        if (stage === deliver) {
          instruction++;
          rip = words + row.RETURN;
        } else if (stage === eoi) {
          instruction = rowCounts[counts + row.END_INSTRUCTION];
          rip = words + row.END_RIP;
        } else if (stage === drop) {
          instruction = rowCounts[counts + row.RETURN_INSTRUCTION];
          rip = words + row.RETURN_RIP;
          continue;
        }
        seq++;
        markIds[seq & marks] = id;
        markStages[seq & marks] = stage;
        const stamp = at + STAGES + stage * STAGE_WORDS;
        f64[stamp + SEQUENCE] = seq;
        f64[stamp + INSTRUCTION] = instruction;
        f64[stamp + TIME] = instruction + idle;
        i32[(stamp + RIP) * 2] = rowWords[rip];
        i32[(stamp + RIP) * 2 + 1] = rowWords[rip + 1];
        i8[(at + CPUS) * 8 + stage] = cpu;
        // What does not depend on the digest before is put together first: the processor does it meanwhile.
        digest = Math.imul(((digest << 5) | (digest >>> 27)) ^ (instruction ^ fingerprint ^ stage), 0x9e3779b1);
        digests[seq & digestMask] = digest;
      }
      if (storm.note(rowCounts[counts + row.RETIRED] + 1, kind)) this.reportStorm(track, cpu, slot);
      index++;
      words += row.WORDS;
      if (index === rows || rowWords[words + row.KIND] !== row.COMPLETE) break;
      slot = (rowCounts[(words >> 1) + row.RECORD] - 1) & mask;
      if (!store.isFree(slot)) break;
    }
    this.seq = seq;
    this.digest = digest;
    this.nextSendId = nextSendId;
    return index;
  }

  /** The same of all other rows, from `index` on. Returns the first one of an interrupt that has been through. */
  private enterParts(index: number, rows: number, track: CpuTrack, idle: number): number {
    const { journal, store, digests, digestMask, markIds, markStages, latencyCount, latencyTotal, latencyMaximum } = this;
    const { i32: rowWords, f64: rowCounts } = journal;
    const { f64, i32, i8 } = store;
    const {
      ID,
      SEND_ID,
      COALESCED_INTO,
      SRC,
      DST,
      DELAY,
      KIND,
      CPUS,
      STAGES,
      STAGE_WORDS,
      SEQUENCE,
      INSTRUCTION,
      TIME,
      RIP,
      RECORD_WORDS,
    } = recordLayout;
    const { send, accept, request, deliver, eoi, return: returned } = StageCode;
    const row = rowLayout;
    const { REQUESTED, DELIVERED, ENDED, RETURNED, SERVED, COMPLETE } = row;
    const marks = markIds.length - 1;
    const mask = store.capacity - 1;
    const cpu = rowWords[journal.row(index) + row.CPU];
    const { inService, pending, storm } = track;
    let { seq, digest, nextSendId } = this;
    let info = this.own;
    let kindLow = store.kindWord(info);
    let kindHigh = store.messageWord(info, cpu);
    for (let words = journal.row(index); index < rows; index++, words += row.WORDS) {
      const counts = words >> 1;
      const kind = rowWords[words + row.KIND];
      if (kind === COMPLETE) break;
      const vector = rowWords[words + row.VECTOR];
      let instruction = rowCounts[counts + row.INSTRUCTION];
      let ripLow = rowWords[words + row.RIP];
      let ripHigh = rowWords[words + row.RIP + 1];
      let slot: number;
      let stage: number;
      let last: number;
      if (kind === ENDED) {
        slot = store.slotOf(inService[vector]);
        inService[vector] = 0;
        if (slot < 0) continue;
        stage = last = eoi;
      } else if (kind === RETURNED) {
        slot = store.slotOf(rowCounts[counts + row.RECORD]);
        if (slot < 0 || store.hasStage(slot, returned)) continue;
        stage = last = returned;
      } else {
        const id = rowCounts[counts + row.RECORD];
        const apicId = rowWords[words + row.APIC_ID];
        if (info.vector !== vector || info.src !== apicId || info.senderCpu !== cpu) {
          info = this.ownSend(vector, apicId, cpu);
          kindLow = store.kindWord(info);
          kindHigh = store.messageWord(info, cpu);
        }
        slot = (id - 1) & mask;
        if (store.isFree(slot)) {
          const at = slot * RECORD_WORDS;
          f64[at + ID] = id;
          f64[at + SEND_ID] = nextSendId;
          f64[at + COALESCED_INTO] = 0;
          f64[at + SRC] = apicId;
          f64[at + DST] = apicId;
          f64[at + DELAY] = 0;
          i32[(at + KIND) * 2] = kindLow;
          i32[(at + KIND) * 2 + 1] = kindHigh;
          for (let word = at + STAGES + SEQUENCE; word < at + RECORD_WORDS; word += STAGE_WORDS) f64[word] = 0;
        } else slot = store.create(id, nextSendId, info, apicId, cpu);
        nextSendId++;
        stage = send;
        if (kind >= DELIVERED) {
          last = kind === DELIVERED ? deliver : eoi;
          track.lastDelivered = id;
          inService[vector] = kind === DELIVERED ? id : 0;
          // It was taken at the boundary after the instruction that sent it.
          latencyCount[vector]++;
          latencyTotal[vector]++;
          if (latencyMaximum[vector] < 1) latencyMaximum[vector] = 1;
        } else {
          last = kind === REQUESTED ? request : accept;
          pending[vector] = id;
        }
      }
      const record = slot * RECORD_WORDS;
      const id = f64[record + ID];
      const fingerprint = store.fingerprint(slot);
      for (; stage <= last; stage++) {
        if (stage === deliver) {
          instruction++;
          ripLow = rowWords[words + row.RETURN];
          ripHigh = rowWords[words + row.RETURN + 1];
        } else if (kind === SERVED && stage === eoi) {
          instruction = rowCounts[counts + row.END_INSTRUCTION];
          ripLow = rowWords[words + row.END_RIP];
          ripHigh = rowWords[words + row.END_RIP + 1];
        }
        seq++;
        markIds[seq & marks] = id;
        markStages[seq & marks] = stage;
        const at = record + STAGES + stage * STAGE_WORDS;
        f64[at + SEQUENCE] = seq;
        f64[at + INSTRUCTION] = instruction;
        f64[at + TIME] = instruction + idle;
        i32[(at + RIP) * 2] = ripLow;
        i32[(at + RIP) * 2 + 1] = ripHigh;
        i8[(record + CPUS) * 8 + stage] = cpu;
        // What does not depend on the digest before is put together first: the processor does it meanwhile.
        digest = Math.imul(((digest << 5) | (digest >>> 27)) ^ (instruction ^ fingerprint ^ stage), 0x9e3779b1);
        digests[seq & digestMask] = digest;
      }
      if ((kind === DELIVERED || kind >= SERVED) && storm.note(rowCounts[counts + row.RETIRED] + 1, store.kindAt(slot)))
        this.reportStorm(track, cpu, slot);
    }
    this.seq = seq;
    this.digest = digest;
    this.nextSendId = nextSendId;
    return index;
  }

  private ownSend(vector: number, src: number, senderCpu: number): SendInfo {
    const { own } = this;
    if (own.vector !== vector || own.src !== src || own.senderCpu !== senderCpu) this.own = { ...own, vector, src, senderCpu };
    return this.own;
  }

  // --- Writing: called by the local APICs, the bus and the CPUs as things happen ---

  /** Id for the records of one send. */
  newSend(): number {
    this.settle();
    return this.nextSendId++;
  }

  /** `send`: opens a record for one target (`dst` its APIC id, `target` its CPU index; both -1 when nobody matched). Returns its id. */
  sent(sendId: number, info: SendInfo, dst: number, target: number): number {
    this.settle();
    const id = this.nextId++;
    const slot = this.store.create(id, sendId, info, dst, target);
    this.mark(slot, StageCode.send, info.senderCpu >= 0 ? info.senderCpu : target);
    return id;
  }

  /** Whether somebody hears of stages as they happen. */
  get observed(): boolean {
    return this.isWanted();
  }

  /**
   * `send` of an interrupt to one target, `accept` into its IRR, where the vector is not pending yet, and with `requests` `request`, all at this moment. Only while nobody hears of them
   * ({@link observed}): they would see the target's registers as they are afterwards.
   */
  passed(info: SendInfo, dst: number, target: number, requests: boolean): void {
    this.settle();
    const id = this.nextId++;
    const { store } = this;
    const slot = store.create(id, this.nextSendId++, info, dst, target);
    this.track(target).pending[info.vector] = id;
    this.stamps.moment(this.moment);
    const fingerprint = store.fingerprint(slot);
    this.enter(slot, StageCode.send, fingerprint);
    this.enter(slot, StageCode.accept, fingerprint);
    if (requests) this.enter(slot, StageCode.request, fingerprint);
  }

  /** The debugger holds the interrupt back for so many instructions before its target sees it. */
  delayed(id: number, instructions: number): void {
    const slot = this.store.slotOf(id);
    if (slot >= 0) this.store.setDelay(slot, instructions);
  }

  /** `drop`: the interrupt is lost; `reason` says why, in words. */
  dropped(id: number, reason: string): void {
    this.settle();
    const slot = this.store.slotOf(id);
    if (slot < 0 || this.store.hasStage(slot, StageCode.drop)) return;
    this.store.setReason(slot, reason);
    const target = this.store.targetAt(slot);
    this.mark(slot, StageCode.drop, target >= 0 ? target : this.store.senderAt(slot));
  }

  /** `accept` into the IRR of `cpu`. If the vector is pending there already, the record is noted as sharing that one's delivery. */
  accepted(id: number, cpu: number, vector: number): void {
    this.accept(id, cpu, this.track(cpu).pending, vector);
  }

  /** `accept` of what a CPU latches: NMI, SMI, INIT, SIPI, ExtINT. */
  latched(id: number, cpu: number, mode: LatchedMode): void {
    this.accept(id, cpu, this.track(cpu).latched, modes.indexOf(mode));
    if (mode !== "extint" && mode !== "sipi") this.requestedLatch(cpu, mode);
  }

  /** Record id that waits in the latch of `mode`, 0 for none. */
  pendingLatch(cpu: number, mode: LatchedMode): number {
    return this.track(cpu).latched[modes.indexOf(mode)];
  }

  /** The same of ExtINT, which is asked for at every change of a local APIC. */
  pendingExternal(cpu: number): number {
    return this.track(cpu).latched[externalMode];
  }

  /** `request`: the CPU is asked to take `vector`. Only the first time counts. */
  requested(cpu: number, vector: number): void {
    this.request(cpu, this.track(cpu).pending[vector]);
  }

  requestedLatch(cpu: number, mode: LatchedMode): void {
    this.request(cpu, this.track(cpu).latched[modes.indexOf(mode)]);
  }

  /** `deliver` of a vector from the IRR: the CPU acknowledged it, it is in service now. */
  acknowledged(cpu: number, vector: number): void {
    const track = this.track(cpu);
    let id = track.pending[vector];
    // A bit that a debugger set by hand has no record yet.
    if (id === 0) id = this.unannounced(cpu, "fixed", vector);
    track.pending[vector] = 0;
    track.inService[vector] = id;
    this.deliver(track, cpu, id);
  }

  /**
   * `deliver` of a latched interrupt: called by the CPU core as it starts NMI, SMI, INIT or SIPI. It ends here: there is no EOI.
   * INIT clears the latches of NMI and SMI.
   */
  delivered(cpu: number, mode: LatchedMode): void {
    const track = this.track(cpu);
    const index = modes.indexOf(mode);
    const id = track.latched[index];
    if (id === 0) return;
    track.latched[index] = 0;
    this.deliver(track, cpu, id);
    if (mode !== "init") return;
    for (const other of ["nmi", "smi"] as const) this.cancelled(cpu, other, `lost by INIT of CPU ${cpu}`);
  }

  /** `deliver` of an external interrupt, whose vector the 8259 named. */
  deliveredExternal(cpu: number, vector: number): void {
    const slot = this.store.slotOf(this.pendingLatch(cpu, "extint"));
    if (slot >= 0) this.store.setVector(slot, vector);
    this.delivered(cpu, "extint");
  }

  /** The CPU answered INTR and nothing was left: it is given the spurious vector, which has no record. */
  spurious(cpu: number): void {
    this.track(cpu).lastDelivered = 0;
  }

  /** Record of the last interrupt that `cpu` acknowledged, 0 when it was a spurious one. */
  lastDelivered(cpu: number): number {
    return this.track(cpu).lastDelivered;
  }

  /** `return`: the handler that was entered for record `id` ended by IRET on `cpu`. */
  returned(id: number, cpu: number): void {
    this.settle();
    const slot = this.store.slotOf(id);
    if (slot >= 0 && !this.store.hasStage(slot, StageCode.return)) this.mark(slot, StageCode.return, cpu);
  }

  /** Whether somebody would hear of misuse. */
  get wantsMisuse(): boolean {
    const { observers } = this;
    for (let index = 0; index < observers.length; index++) {
      const observer = observers[index];
      if (observer.misuse !== undefined && (observer.wantsMisuse?.() ?? true)) return true;
    }
    return false;
  }

  /** Tells observers of a {@link Misuse}. */
  misused(misuse: Misuse): void {
    if (!this.wantsMisuse) return;
    for (const observer of [...this.observers]) observer.misuse?.(misuse);
  }

  /** `eoi`: the vector left the ISR of `cpu`. */
  ended(cpu: number, vector: number): void {
    const track = this.track(cpu);
    const slot = this.store.slotOf(track.inService[vector]);
    track.inService[vector] = 0;
    if (slot >= 0) this.mark(slot, StageCode.eoi, cpu);
  }

  /** `drop` of the interrupt that waits in a latch. */
  cancelled(cpu: number, mode: LatchedMode, reason: string): void {
    const track = this.track(cpu);
    const index = modes.indexOf(mode);
    const id = track.latched[index];
    track.latched[index] = 0;
    if (id !== 0) this.dropped(id, reason);
  }

  /** `drop` of all that is pending or in service in the local APIC of `cpu`, whose state is being lost. */
  lost(cpu: number, reason: string): void {
    const track = this.track(cpu);
    for (const list of [track.pending, track.inService])
      for (let vector = 0; vector < 256; vector++) {
        if (list[vector] === 0) continue;
        const id = list[vector];
        list[vector] = 0;
        this.dropped(id, reason);
      }
    this.cancelled(cpu, "extint", reason);
  }

  // --- Reading ---

  /** The record with this id, undefined once the ring has forgotten it. */
  record(id: number): InterruptRecord | undefined {
    this.settle();
    const slot = this.store.slotOf(id);
    return slot < 0 ? undefined : this.store.record(slot);
  }

  /** Id of the newest record, 0 if there is none. */
  get lastId(): number {
    this.settle();
    return this.nextId - 1;
  }

  /** Id of the record that waits in the IRR of `cpu` for `vector`, 0 for none. */
  pendingId(cpu: number, vector: number): number {
    return this.track(cpu).pending[vector];
  }

  /** Id of the record that is in service at `cpu` for `vector`, 0 for none. */
  inServiceId(cpu: number, vector: number): number {
    return this.track(cpu).inService[vector];
  }

  /** The records in service at `cpu`, outermost handler first. */
  inService(cpu: number): readonly InterruptRecord[] {
    const slots = Array.from(this.track(cpu).inService)
      .map((id) => this.store.slotOf(id))
      .filter((slot) => slot >= 0);
    slots.sort((a, b) => this.store.sequence(a, StageCode.deliver) - this.store.sequence(b, StageCode.deliver));
    return slots.map((slot) => this.store.record(slot));
  }

  /** Records that match `query`, oldest first. */
  records(query: RecordQuery = {}): readonly InterruptRecord[] {
    this.settle();
    const limit = query.limit ?? 100;
    const found: InterruptRecord[] = [];
    const newest = Math.min(this.nextId, query.before ?? this.nextId) - 1;
    const oldest = Math.max(1, this.nextId - this.store.capacity);
    const take = (id: number): void => {
      const slot = this.store.slotOf(id);
      if (slot >= 0 && this.store.matches(slot, query)) found.push(this.store.record(slot));
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
    this.settle();
    const { sequence } = since;
    const passed = this.seq - sequence;
    const restarted =
      passed < 0 || (sequence > 0 && passed < this.digests.length && this.digests[sequence % this.digests.length] !== since.digest);
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
    const reached = more ? page[page.length - 1].last : this.seq;
    return {
      point: { sequence: reached, digest: reached === 0 ? 0 : this.digests[reached % this.digests.length] },
      restarted,
      more,
      records: page.map(({ slot }) => this.store.record(slot)),
    };
  }

  /** The last `count` events that concern `cpu`, oldest first, each with its record as of then. */
  lastEvents(cpu: number, count: number): readonly InterruptEvent[] {
    this.settle();
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
        if (seq > oldest && this.concerns(slot, stage) === cpu) found.push({ seq, slot, stage });
      }
      if (found.length > count + 1024) trim();
    }
    trim();
    return found.reverse().map(({ slot, stage }) => ({ stage: stages[stage], record: this.store.record(slot, stage), cpu }));
  }

  /** The same from the latest marks alone; undefined when they do not reach far enough, or are of a history that was left. */
  private recentEvents(cpu: number, count: number): readonly InterruptEvent[] | undefined {
    const found: InterruptEvent[] = [];
    for (let seq = this.seq; seq > 0 && found.length < count; seq--) {
      const at = seq % markCount;
      const slot = this.store.slotOf(this.markIds[at]);
      const stage = this.markStages[at] as StageCode;
      if (this.seq - seq >= markCount || slot < 0 || this.store.sequence(slot, stage) !== seq) return undefined;
      if (this.concerns(slot, stage) === cpu) found.push({ stage: stages[stage], record: this.store.record(slot, stage), cpu });
    }
    return found.reverse();
  }

  /** Latency from accept to deliver of each vector that was delivered. */
  latencies(): readonly LatencyStatistics[] {
    this.settle();
    const list: LatencyStatistics[] = [];
    for (let vector = 0; vector < 256; vector++) {
      if (this.latencyCount[vector] === 0) continue;
      list.push({
        vector,
        deliveries: this.latencyCount[vector],
        total: this.latencyTotal[vector],
        maximum: this.latencyMaximum[vector],
      });
    }
    return list;
  }

  /** True while `cpu` suffers a storm. */
  storming(cpu: number): boolean {
    return this.track(cpu).storm.active;
  }

  // --- Life ---

  /** Power-on: an empty book. Observers stay. */
  reset(): void {
    this.settle();
    this.store.clear();
    this.tracks.length = 0;
    this.nextId = 1;
    this.nextSendId = 1;
    this.seq = 0;
    this.digest = 0;
    this.latencyCount.fill(0);
    this.latencyTotal.fill(0);
    this.latencyMaximum.fill(0);
  }

  /** Live records, the newest of the others, and all counters. Older history stays in the ring and is not part of the state. */
  save(): State {
    this.settle();
    const kept = new Set<number>(this.onTheirWay());
    for (const track of this.tracks)
      for (const list of [track.pending, track.inService, track.latched]) for (const id of list) if (id !== 0) kept.add(id);
    for (let id = Math.max(1, this.nextId - savedHistory); id < this.nextId; id++) kept.add(id);
    const sparse = (list: Float64Array): State => {
      const pairs: number[] = [];
      for (let index = 0; index < list.length; index++) if (list[index] !== 0) pairs.push(index, list[index]);
      return pairs;
    };
    return {
      nextId: this.nextId,
      nextSendId: this.nextSendId,
      seq: this.seq,
      digest: this.digest >>> 0,
      records: this.store.save([...kept].sort((a, b) => a - b)),
      tracks: this.tracks.map((track) => ({
        pending: sparse(track.pending),
        inService: sparse(track.inService),
        latched: sparse(track.latched),
        lastDelivered: track.lastDelivered,
        storm: track.storm.save(),
      })),
      latencies: [sparse(this.latencyCount), sparse(this.latencyTotal), sparse(this.latencyMaximum)],
    };
  }

  /** Restores; the ring keeps its older history only if the saved state is known to lie on the same course of events. */
  restore(state: State): void {
    this.settle();
    const saved = state as { [key: string]: State };
    const seq = saved["seq"] as number;
    const known =
      seq <= this.seq && this.seq - seq < this.digests.length && (seq === 0 || this.digests[seq % this.digests.length] === saved["digest"]);
    const nextId = saved["nextId"] as number;
    if (known) this.store.truncate(nextId);
    else this.store.clear();
    this.nextId = nextId;
    this.nextSendId = saved["nextSendId"] as number;
    this.seq = seq;
    this.digest = (saved["digest"] as number) | 0;
    if (seq > 0) this.digests[seq % this.digests.length] = this.digest;
    this.store.restore(saved["records"]);
    const fill = (list: Float64Array, pairs: State): void => {
      const flat = pairs as readonly number[];
      list.fill(0);
      for (let at = 0; at < flat.length; at += 2) list[flat[at]] = flat[at + 1];
    };
    this.tracks.length = 0;
    for (const [cpu, item] of (saved["tracks"] as readonly { [key: string]: State }[]).entries()) {
      const track = this.track(cpu);
      fill(track.pending, item["pending"]);
      fill(track.inService, item["inService"]);
      fill(track.latched, item["latched"]);
      track.lastDelivered = item["lastDelivered"] as number;
      track.storm.restore(item["storm"]);
    }
    const latencies = saved["latencies"] as readonly State[];
    fill(this.latencyCount, latencies[0]);
    fill(this.latencyTotal, latencies[1]);
    fill(this.latencyMaximum, latencies[2]);
  }

  private track(cpu: number): CpuTrack {
    this.settle();
    while (this.tracks.length <= cpu) this.tracks.push(new CpuTrack(new StormWatch(this.limits)));
    return this.tracks[cpu];
  }

  private accept(id: number, cpu: number, list: Float64Array, index: number): void {
    const slot = this.store.slotOf(id);
    const shared = list[index];
    if (shared === 0) list[index] = id;
    else if (slot >= 0) this.store.setCoalesced(slot, shared);
    if (slot >= 0) this.mark(slot, StageCode.accept, cpu);
  }

  private request(cpu: number, id: number): void {
    const slot = this.store.slotOf(id);
    if (slot >= 0 && !this.store.hasStage(slot, StageCode.request)) this.mark(slot, StageCode.request, cpu);
  }

  private deliver(track: CpuTrack, cpu: number, id: number): void {
    const slot = this.store.slotOf(id);
    if (slot < 0) return;
    this.mark(slot, StageCode.deliver, cpu);
    track.lastDelivered = id;
    const now = this.store.instructionAt(slot, StageCode.deliver);
    if (this.store.hasStage(slot, StageCode.accept))
      this.countLatency(this.store.vectorAt(slot), now - this.store.instructionAt(slot, StageCode.accept));
    if (track.storm.note(this.stamps.instructionsOf?.(cpu) ?? now, this.store.kindAt(slot))) this.reportStorm(track, cpu, slot);
  }

  private countLatency(vector: number, latency: number): void {
    this.latencyCount[vector]++;
    this.latencyTotal[vector] += latency;
    if (latency > this.latencyMaximum[vector]) this.latencyMaximum[vector] = latency;
  }

  private reportStorm(track: CpuTrack, cpu: number, slot: number): void {
    if (this.observers.length === 0) return;
    const kind = track.storm.majority;
    const latest = this.store.record(slot);
    const source: InterruptSource = sources[kind >> 12];
    const mode = modes[(kind >> 8) & 15];
    const vector = kind & 0xff;
    const same = this.store.kindAt(slot) === kind ? latest : this.records({ cpu, vector, limit: 1 }).at(0);
    const storm: InterruptStorm = {
      cpu,
      source,
      mode,
      vector,
      src: same?.src ?? -1,
      deliveries: track.storm.deliveries,
      instructions: this.limits.instructions,
      record: same ?? latest,
    };
    for (const observer of [...this.observers]) observer.interruptStorm?.(storm);
  }

  private unannounced(cpu: number, mode: DeliveryMode, vector: number): number {
    const info: SendInfo = { source: "debugger", mode, vector, trigger: "edge", shorthand: "none", src: -1, senderCpu: -1 };
    return this.sent(this.newSend(), info, -1, cpu);
  }

  private concerns(slot: number, stage: StageCode): number {
    const sender = this.store.senderAt(slot);
    const target = this.store.targetAt(slot);
    return (stage === StageCode.send && sender >= 0) || target < 0 ? sender : target;
  }

  /** Whether somebody would hear of an event. */
  private isWanted(): boolean {
    const { observers } = this;
    for (let index = 0; index < observers.length; index++) if (observers[index].wanted?.() ?? true) return true;
    return false;
  }

  private mark(slot: number, stage: StageCode, cpu: number): void {
    this.stamps.moment(this.moment);
    this.enter(slot, stage, this.store.fingerprint(slot));
    const { observers } = this;
    let event: InterruptEvent | undefined;
    // An observer may take itself off the list while it is told.
    for (const observer of observers.length > 1 ? [...observers] : observers) {
      if (observer.wanted?.() === false || observer.stage?.(slot, stage, cpu) === false) continue;
      event ??= { stage: stages[stage], record: this.store.record(slot, stage), cpu };
      observer.interruptEvent(event);
    }
  }

  /** Enters a stage at {@link moment} into the book; `fingerprint` is the store's. */
  private enter(slot: number, stage: StageCode, fingerprint: number): void {
    const { moment } = this;
    const seq = ++this.seq;
    this.markIds[seq & (markCount - 1)] = this.store.idAt(slot);
    this.markStages[seq & (markCount - 1)] = stage;
    this.store.stamp(slot, stage, seq, moment);
    const { digest } = this;
    const next = Math.imul((digest << 5) ^ (digest >>> 27) ^ moment.instruction ^ fingerprint ^ stage, 0x9e3779b1);
    this.digest = next;
    this.digests[seq & this.digestMask] = next;
  }
}
