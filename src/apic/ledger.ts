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
  StampSource,
} from "./events";
import { InterruptJournal, type JournalPlace } from "./journal";
import { JournalReader } from "./journalReader";
import type { SendInfo } from "./message";
import { InterruptObservers } from "./observers";
import { type CpuTrack, RecordBook } from "./recordBook";
import { type CoursePoint, type LatencyStatistics, type RecordChanges, RecordQueries, type RecordQuery } from "./recordQueries";
import { modes, type RecordStore, sources, StageCode } from "./recordStore";

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

const externalMode = modes.indexOf("extint");

/**
 * The book of all interrupts of a machine: every send makes a record a target, which is followed to its end of interrupt. Always on;
 * costs no allocation while nobody observes. Its state is saved and restored with the machine, so that ids and stamps come out the same again.
 *
 * Here are the stages, one function each, in the order of an interrupt's life. What they are written to is {@link RecordBook}; who hears of them, {@link InterruptObservers}; what the engine did by
 * itself comes from {@link JournalReader}; questions go to {@link RecordQueries}.
 */
export class InterruptLedger {
  /** The records as numbers, by slot: to be read only. */
  readonly store: RecordStore;
  private readonly journal: InterruptJournal;
  private readonly journalReader: JournalReader;
  private readonly book: RecordBook;
  private readonly queries: RecordQueries;
  private readonly observers: InterruptObservers;
  private readonly moment = new Moment();
  /** Hears that CPU `cpu` wrote its ICR in the engine at a moment, when that is entered. */
  onOwnSend: (cpu: number, moment: Moment) => void = () => undefined;
  /** Records that are neither pending nor in service anywhere but on their way: they are part of the state. */
  onTheirWay: () => readonly number[] = () => [];

  constructor(
    /** Where instruction counts and RIPs come from. */
    readonly stamps: StampSource,
    { capacity = 65536, stormDeliveries = 1000, stormInstructions = 100000, journal }: LedgerOptions = {},
  ) {
    this.journal = new InterruptJournal(journal);
    this.book = new RecordBook(capacity, this.journal, { deliveries: stormDeliveries, instructions: stormInstructions });
    this.store = this.book.store;
    this.queries = new RecordQueries(this.book);
    this.observers = new InterruptObservers(this.store);
    const onSend = (cpu: number, moment: Moment): void => this.onOwnSend(cpu, moment);
    const onStorm = (track: CpuTrack, cpu: number, slot: number): void => this.reportStorm(track, cpu, slot);
    this.journalReader = new JournalReader(stamps, this.journal, this.book, onSend, onStorm);
  }

  /**
   * Enters what the engine has brought about since: everything here does so first, and whoever changes what its moments are made from, as the end of a slice and the idle time do. Nobody hears of
   * these stages, as the engine leaves them to the host while somebody wants to.
   */
  settle(): void {
    if (this.journal.count !== 0) this.journalReader.enter();
  }

  // --- Who hears of it ---

  /** Tells `observer` of every stage from now on. Returns the function that ends it. */
  observe(observer: InterruptObserver): () => void {
    return this.observers.observe(observer);
  }

  /** Whether somebody hears of stages as they happen. */
  get observed(): boolean {
    return this.observers.wantStages;
  }

  /** Whether somebody would hear of misuse. */
  get wantsMisuse(): boolean {
    return this.observers.wantMisuse;
  }

  /** Tells observers of a {@link Misuse}. */
  misused(misuse: Misuse): void {
    this.observers.misuse(misuse);
  }

  // --- The stages: called by the local APICs, the bus and the CPUs as things happen ---

  /** Id for the records of one send. */
  newSend(): number {
    this.settle();
    return this.book.nextSendId++;
  }

  /** `send`: opens a record for one target (`dst` its APIC id, `target` its CPU index; both -1 when nobody matched). Returns its id. */
  sent(sendId: number, info: SendInfo, dst: number, target: number): number {
    this.settle();
    const id = this.book.nextId++;
    const slot = this.store.create(id, sendId, info, dst, target);
    this.mark(slot, StageCode.send, info.senderCpu >= 0 ? info.senderCpu : target);
    return id;
  }

  /**
   * `send` of an interrupt to one target, `accept` into its IRR, where the vector is not pending yet, and with `requests` `request`, all at this moment. Only while nobody hears of them
   * ({@link observed}): they would see the target's registers as they are afterwards.
   */
  passed(info: SendInfo, dst: number, target: number, requests: boolean): void {
    this.settle();
    const id = this.book.nextId++;
    const { store, book, moment } = this;
    const slot = store.create(id, book.nextSendId++, info, dst, target);
    this.track(target).pending[info.vector] = id;
    this.stamps.moment(moment);
    const fingerprint = store.fingerprint(slot);
    book.enter(slot, StageCode.send, moment, fingerprint);
    book.enter(slot, StageCode.accept, moment, fingerprint);
    if (requests) book.enter(slot, StageCode.request, moment, fingerprint);
  }

  /** The debugger holds the interrupt back for so many instructions before its target sees it. */
  delayed(id: number, instructions: number): void {
    const slot = this.store.slotOf(id);
    if (slot >= 0) this.store.setDelay(slot, instructions);
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
    if (id === 0) id = this.unannounced(cpu, vector);
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

  /** `eoi`: the vector left the ISR of `cpu`. */
  ended(cpu: number, vector: number): void {
    const track = this.track(cpu);
    const slot = this.store.slotOf(track.inService[vector]);
    track.inService[vector] = 0;
    if (slot >= 0) this.mark(slot, StageCode.eoi, cpu);
  }

  /** `return`: the handler that was entered for record `id` ended by IRET on `cpu`. */
  returned(id: number, cpu: number): void {
    this.settle();
    const slot = this.store.slotOf(id);
    if (slot >= 0 && !this.store.hasStage(slot, StageCode.return)) this.mark(slot, StageCode.return, cpu);
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
      this.book.countLatency(this.store.vectorAt(slot), now - this.store.instructionAt(slot, StageCode.accept));
    if (track.storm.note(this.stamps.instructionsOf?.(cpu) ?? now, this.store.kindAt(slot))) this.reportStorm(track, cpu, slot);
  }

  private unannounced(cpu: number, vector: number): number {
    const info: SendInfo = { source: "debugger", mode: "fixed", vector, trigger: "edge", shorthand: "none", src: -1, senderCpu: -1 };
    return this.sent(this.newSend(), info, -1, cpu);
  }

  /** A record has come to a stage, which concerns `cpu`: it is entered, and whoever wants to hears of it. */
  private mark(slot: number, stage: StageCode, cpu: number): void {
    this.stamps.moment(this.moment);
    this.book.enter(slot, stage, this.moment, this.store.fingerprint(slot));
    this.observers.stage(slot, stage, cpu);
  }

  private reportStorm(track: CpuTrack, cpu: number, slot: number): void {
    if (this.observers.isEmpty) return;
    const kind = track.storm.majority;
    const latest = this.store.record(slot);
    const source: InterruptSource = sources[kind >> 12];
    const mode = modes[(kind >> 8) & 15];
    const vector = kind & 0xff;
    const same = this.store.kindAt(slot) === kind ? latest : this.queries.records({ cpu, vector, limit: 1 }).at(0);
    const storm: InterruptStorm = {
      cpu,
      source,
      mode,
      vector,
      src: same?.src ?? -1,
      deliveries: track.storm.deliveries,
      instructions: this.book.stormLimits.instructions,
      record: same ?? latest,
    };
    this.observers.storm(storm);
  }

  // --- What is on its way at a CPU now ---

  /** Id of the record that waits in the IRR of `cpu` for `vector`, 0 for none. */
  pendingId(cpu: number, vector: number): number {
    return this.track(cpu).pending[vector];
  }

  /** Id of the record that is in service at `cpu` for `vector`, 0 for none. */
  inServiceId(cpu: number, vector: number): number {
    return this.track(cpu).inService[vector];
  }

  /** Id of the record that waits in the latch of `mode`, 0 for none. */
  pendingLatch(cpu: number, mode: LatchedMode): number {
    return this.track(cpu).latched[modes.indexOf(mode)];
  }

  /** The same of ExtINT, which is asked for at every change of a local APIC. */
  pendingExternal(cpu: number): number {
    return this.track(cpu).latched[externalMode];
  }

  /** Record of the last interrupt that `cpu` acknowledged, 0 when it was a spurious one. */
  lastDelivered(cpu: number): number {
    return this.track(cpu).lastDelivered;
  }

  /** True while `cpu` suffers a storm. */
  storming(cpu: number): boolean {
    return this.track(cpu).storm.active;
  }

  private track(cpu: number): CpuTrack {
    this.settle();
    return this.book.track(cpu);
  }

  // --- Questions ---

  /** The record with this id, undefined once the ring has forgotten it. */
  record(id: number): InterruptRecord | undefined {
    this.settle();
    return this.queries.record(id);
  }

  /** Id of the newest record, 0 if there is none. */
  get lastId(): number {
    this.settle();
    return this.book.nextId - 1;
  }

  /** The records in service at `cpu`, outermost handler first. */
  inService(cpu: number): readonly InterruptRecord[] {
    this.settle();
    return this.queries.inService(cpu);
  }

  /** Records that match `query`, oldest first. */
  records(query: RecordQuery = {}): readonly InterruptRecord[] {
    this.settle();
    return this.queries.records(query);
  }

  /** Records that got a stage after `since`, at most `limit`: see {@link RecordQueries.changes}. */
  changes(since: CoursePoint, limit: number): RecordChanges {
    this.settle();
    return this.queries.changes(since, limit);
  }

  /** The last `count` events that concern `cpu`, oldest first, each with its record as of then. */
  lastEvents(cpu: number, count: number): readonly InterruptEvent[] {
    this.settle();
    return this.queries.lastEvents(cpu, count);
  }

  /** Latency from accept to deliver of each vector that was delivered. */
  latencies(): readonly LatencyStatistics[] {
    this.settle();
    return this.queries.latencies();
  }

  // --- Life of the machine ---

  /** Power-on: an empty book. Observers stay. */
  reset(): void {
    this.settle();
    this.book.reset();
  }

  /** See {@link RecordBook.save}. */
  save(): State {
    this.settle();
    return this.book.save(this.onTheirWay());
  }

  /** See {@link RecordBook.restore}. */
  restore(state: State): void {
    this.settle();
    this.book.restore(state);
  }
}
