import type { State } from "../common/state";
import type { DeliveryMode, InterruptRecord, InterruptSource, Shorthand, Stage, StageStamp, StampSource, TriggerMode } from "./events";
import type { SendInfo } from "./message";
import type { RecordQuery } from "./records";

export const stages: readonly Stage[] = ["send", "accept", "request", "deliver", "eoi", "drop", "return"];
/** Codes of the stages: their index in {@link stages}, ascending in the order in which they happen to one interrupt. */
export const StageCode = { send: 0, accept: 1, request: 2, deliver: 3, eoi: 4, drop: 5, return: 6 } as const;
export type StageCode = (typeof StageCode)[Stage];

export const sources: readonly InterruptSource[] = [
  "ipi",
  "ioapic",
  "msi",
  "timer",
  "lint0",
  "lint1",
  "error",
  "thermal",
  "pmc",
  "cmci",
  "pic",
  "debugger",
];
export const modes: readonly DeliveryMode[] = ["fixed", "lowpri", "smi", "nmi", "init", "sipi", "extint"];
const triggers: readonly TriggerMode[] = ["edge", "level"];
const shorthands: readonly Shorthand[] = ["none", "self", "all", "others"];

const stageCount = stages.length;
/** Numbers of a record in a saved row: id, sendId, five small fields, src, dst, sender, target, coalescedInto; then six a stage; then its delay, if it has one. */
const rowHead = 12;
const rowLength = rowHead + stageCount * 6;
/** Records that are still live when the ring comes round to their slot move here; more than these lose their history. */
const overflowSlots = 512;

/**
 * The records of a machine's interrupts: columns of typed arrays, so that recording allocates nothing. A ring of `capacity`
 * slots, indexed by id, with some room for records that outlive their turn.
 */
export class RecordStore {
  readonly capacity: number;
  private readonly ids: Float64Array;
  private readonly sendIds: Float64Array;
  private readonly coalescedInto: Float64Array;
  private readonly source: Uint8Array;
  private readonly mode: Uint8Array;
  private readonly vector: Uint8Array;
  private readonly trigger: Uint8Array;
  private readonly shorthand: Uint8Array;
  private readonly src: Float64Array;
  private readonly dst: Float64Array;
  private readonly sender: Int16Array;
  private readonly target: Int16Array;
  private readonly delays: Float64Array;
  private readonly reasons: (string | undefined)[];
  private readonly seqs: Float64Array;
  private readonly instructions: Float64Array;
  private readonly times: Float64Array;
  private readonly cpus: Int16Array;
  private readonly rips: BigUint64Array;
  private readonly overflow = new Map<number, number>();
  private nextOverflow = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
    const n = capacity + overflowSlots;
    this.ids = new Float64Array(n);
    this.sendIds = new Float64Array(n);
    this.coalescedInto = new Float64Array(n);
    this.source = new Uint8Array(n);
    this.mode = new Uint8Array(n);
    this.vector = new Uint8Array(n);
    this.trigger = new Uint8Array(n);
    this.shorthand = new Uint8Array(n);
    this.src = new Float64Array(n);
    this.dst = new Float64Array(n);
    this.sender = new Int16Array(n);
    this.target = new Int16Array(n);
    this.delays = new Float64Array(n);
    this.reasons = new Array<string | undefined>(n);
    this.seqs = new Float64Array(n * stageCount);
    this.instructions = new Float64Array(n * stageCount);
    this.times = new Float64Array(n * stageCount);
    this.cpus = new Int16Array(n * stageCount);
    this.rips = new BigUint64Array(n * stageCount);
  }

  /** Slot of record `id`, -1 if the ring has forgotten it. */
  slotOf(id: number): number {
    if (id <= 0) return -1;
    const slot = (id - 1) % this.capacity;
    if (this.ids[slot] === id) return slot;
    return this.overflow.get(id) ?? -1;
  }

  /** Makes the record of a send. `dst` is the target's APIC id and `target` its CPU index, -1 where nobody matched. */
  create(id: number, sendId: number, info: SendInfo, dst: number, target: number): number {
    const slot = this.claim(id);
    this.ids[slot] = id;
    this.sendIds[slot] = sendId;
    this.coalescedInto[slot] = 0;
    this.source[slot] = sources.indexOf(info.source);
    this.mode[slot] = modes.indexOf(info.mode);
    this.vector[slot] = info.vector;
    this.trigger[slot] = info.trigger === "level" ? 1 : 0;
    this.shorthand[slot] = shorthands.indexOf(info.shorthand);
    this.src[slot] = info.src;
    this.dst[slot] = dst;
    this.sender[slot] = info.senderCpu;
    this.target[slot] = target;
    this.delays[slot] = 0;
    this.reasons[slot] = undefined;
    this.seqs.fill(0, slot * stageCount, (slot + 1) * stageCount);
    return slot;
  }

  stamp(slot: number, stage: StageCode, seq: number, from: StampSource): void {
    const at = slot * stageCount + stage;
    const cpu = from.currentCpu();
    this.seqs[at] = seq;
    this.instructions[at] = from.instructions();
    this.times[at] = from.now();
    this.cpus[at] = cpu;
    this.rips[at] = cpu < 0 ? 0n : from.currentRip();
  }

  hasStage(slot: number, stage: StageCode): boolean {
    return this.seqs[slot * stageCount + stage] !== 0;
  }

  /** Order of the stage among all stages of the machine, ascending from 1; 0 if it did not happen. */
  sequence(slot: number, stage: StageCode): number {
    return this.seqs[slot * stageCount + stage];
  }

  /** Order of the latest stage of a record among all stages of the machine. */
  lastSequence(slot: number): number {
    let last = 0;
    for (let at = slot * stageCount; at < (slot + 1) * stageCount; at++) if (this.seqs[at] > last) last = this.seqs[at];
    return last;
  }

  instructionAt(slot: number, stage: StageCode): number {
    return this.instructions[slot * stageCount + stage];
  }

  idAt(slot: number): number {
    return this.ids[slot];
  }

  senderAt(slot: number): number {
    return this.sender[slot];
  }

  targetAt(slot: number): number {
    return this.target[slot];
  }

  vectorAt(slot: number): number {
    return this.vector[slot];
  }

  /** Source, mode and vector in one number: same number, same kind of interrupt. */
  kindAt(slot: number): number {
    return this.vector[slot] | (this.mode[slot] << 8) | (this.source[slot] << 12);
  }

  /** What the interrupt is, from where and to where, mixed into 32 bits. */
  fingerprint(slot: number): number {
    return Math.imul(this.kindAt(slot), 0x85ebca6b) ^ (this.ids[slot] << 3) ^ (this.dst[slot] << 16) ^ (this.src[slot] << 22);
  }

  /** Whether a record is what `query` looks for; its `limit` and `before` are the caller's. */
  matches(slot: number, query: RecordQuery): boolean {
    const { vector, cpu, target, sendId, source, mode, stage, from, to } = query;
    if (vector !== undefined && this.vector[slot] !== vector) return false;
    if (target !== undefined && this.target[slot] !== target) return false;
    if (cpu !== undefined && this.target[slot] !== cpu && this.sender[slot] !== cpu) return false;
    if (sendId !== undefined && this.sendIds[slot] !== sendId) return false;
    if (source !== undefined && sources[this.source[slot]] !== source) return false;
    if (mode !== undefined && modes[this.mode[slot]] !== mode) return false;
    if (stage !== undefined && !this.hasStage(slot, StageCode[stage])) return false;
    const sent = this.instructions[slot * stageCount];
    return (from === undefined || sent >= from) && (to === undefined || sent < to);
  }

  setVector(slot: number, vector: number): void {
    this.vector[slot] = vector;
  }

  setReason(slot: number, reason: string): void {
    this.reasons[slot] = reason;
  }

  setDelay(slot: number, instructions: number): void {
    this.delays[slot] = instructions;
  }

  setCoalesced(slot: number, into: number): void {
    this.coalescedInto[slot] = into;
  }

  /** All slots, the ring's and the others'; empty ones have id 0. */
  get slots(): number {
    return this.ids.length;
  }

  /** The record as of `upTo`: later stages, and what they brought, are left out. */
  record(slot: number, upTo: StageCode = StageCode.return): InterruptRecord {
    const list: StageStamp[] = [];
    for (let stage = 0; stage <= upTo; stage++) {
      const at = slot * stageCount + stage;
      if (this.seqs[at] === 0) continue;
      list.push({
        stage: stages[stage],
        instruction: this.instructions[at],
        time: this.times[at],
        cpu: this.cpus[at],
        rip: this.rips[at],
      });
    }
    const reason = upTo >= StageCode.drop ? this.reasons[slot] : undefined;
    const into = upTo >= StageCode.accept ? this.coalescedInto[slot] : 0;
    return {
      id: this.ids[slot],
      sendId: this.sendIds[slot],
      source: sources[this.source[slot]],
      mode: modes[this.mode[slot]],
      vector: this.vector[slot],
      trigger: triggers[this.trigger[slot]],
      shorthand: shorthands[this.shorthand[slot]],
      src: this.src[slot],
      dst: this.dst[slot],
      ...(reason === undefined ? {} : { dropReason: reason }),
      ...(into === 0 ? {} : { coalescedInto: into }),
      ...(this.delays[slot] === 0 ? {} : { delay: this.delays[slot] }),
      stages: list,
    };
  }

  /** Forgets everything. */
  clear(): void {
    this.ids.fill(0);
    this.overflow.clear();
    this.nextOverflow = 0;
  }

  /** Forgets the records from `id` on. */
  truncate(id: number): void {
    for (let slot = 0; slot < this.ids.length; slot++) {
      if (this.ids[slot] < id) continue;
      this.overflow.delete(this.ids[slot]);
      this.ids[slot] = 0;
    }
  }

  /** The given records as plain data. */
  save(ids: Iterable<number>): State {
    const rows: State[] = [];
    for (const id of ids) {
      const slot = this.slotOf(id);
      if (slot < 0) continue;
      const delay = this.delays[slot];
      const row = new Float64Array(delay === 0 ? rowLength : rowLength + 1);
      if (delay !== 0) row[rowLength] = delay;
      row.set([
        this.ids[slot],
        this.sendIds[slot],
        this.source[slot],
        this.mode[slot],
        this.vector[slot],
        this.trigger[slot],
        this.shorthand[slot],
        this.src[slot],
        this.dst[slot],
        this.sender[slot],
        this.target[slot],
        this.coalescedInto[slot],
      ]);
      for (let stage = 0; stage < stageCount; stage++) {
        const at = slot * stageCount + stage;
        if (this.seqs[at] === 0) continue;
        row.set(
          [
            this.seqs[at],
            this.instructions[at],
            this.times[at],
            this.cpus[at],
            Number(this.rips[at] & 0xffffffffn),
            Number(this.rips[at] >> 32n),
          ],
          rowHead + stage * 6,
        );
      }
      rows.push([new Uint8Array(row.buffer), this.reasons[slot] ?? null]);
    }
    return rows;
  }

  restore(state: State): void {
    for (const item of state as readonly State[]) {
      const [bytes, reason] = item as readonly [Uint8Array, string | null];
      const row = new Float64Array(bytes.slice().buffer);
      const slot = this.slotOf(row[0]) >= 0 ? this.slotOf(row[0]) : this.claim(row[0]);
      this.ids[slot] = row[0];
      this.sendIds[slot] = row[1];
      this.source[slot] = row[2];
      this.mode[slot] = row[3];
      this.vector[slot] = row[4];
      this.trigger[slot] = row[5];
      this.shorthand[slot] = row[6];
      this.src[slot] = row[7];
      this.dst[slot] = row[8];
      this.sender[slot] = row[9];
      this.target[slot] = row[10];
      this.coalescedInto[slot] = row[11];
      this.delays[slot] = row.length > rowLength ? row[rowLength] : 0;
      this.reasons[slot] = reason ?? undefined;
      for (let stage = 0; stage < stageCount; stage++) {
        const at = slot * stageCount + stage;
        const from = rowHead + stage * 6;
        this.seqs[at] = row[from];
        this.instructions[at] = row[from + 1];
        this.times[at] = row[from + 2];
        this.cpus[at] = row[from + 3];
        this.rips[at] = BigInt(row[from + 4]) | (BigInt(row[from + 5]) << 32n);
      }
    }
  }

  /** The ring slot for a new `id`; a live record that holds it moves to the overflow slots. */
  private claim(id: number): number {
    const slot = (id - 1) % this.capacity;
    const old = this.ids[slot];
    if (old === 0 || !this.isLive(slot)) return slot;
    if (old > id) return this.claimOverflow(id);
    this.copySlot(slot, this.claimOverflow(old));
    return slot;
  }

  private claimOverflow(id: number): number {
    for (let tries = 0; tries < overflowSlots; tries++) {
      const slot = this.capacity + this.nextOverflow;
      this.nextOverflow = (this.nextOverflow + 1) % overflowSlots;
      if (this.ids[slot] !== 0 && this.isLive(slot) && tries < overflowSlots - 1) continue;
      this.overflow.delete(this.ids[slot]);
      this.overflow.set(id, slot);
      return slot;
    }
    return this.capacity;
  }

  /** Accepted and not yet at its end; what has no EOI counts as live until it is delivered. */
  private isLive(slot: number): boolean {
    if (this.coalescedInto[slot] !== 0 || !this.hasStage(slot, StageCode.accept)) return false;
    const last = this.mode[slot] <= 1 ? StageCode.eoi : StageCode.deliver;
    return !this.hasStage(slot, last) && !this.hasStage(slot, StageCode.drop);
  }

  private copySlot(from: number, to: number): void {
    const columns = [
      this.ids,
      this.sendIds,
      this.coalescedInto,
      this.source,
      this.mode,
      this.vector,
      this.trigger,
      this.shorthand,
      this.src,
      this.dst,
      this.sender,
      this.target,
      this.delays,
    ];
    for (const column of columns) column[to] = column[from];
    this.reasons[to] = this.reasons[from];
    for (const column of [this.seqs, this.instructions, this.times, this.cpus, this.rips])
      column.copyWithin(to * stageCount, from * stageCount, (from + 1) * stageCount);
  }
}
