import { assert } from "../common/errors";
import { joinHalves } from "../common/halves";
import type { Moment } from "../common/moment";
import type { State } from "../common/state";
import type { DeliveryMode, InterruptRecord, InterruptSource, Shorthand, Stage, StageStamp, TriggerMode } from "./events";
import type { SendInfo } from "./message";

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
 * A record in the store, in 64-bit words: these, KIND as two halves of 32 bits (source, mode and so on, a byte each; sender and target, 16 bits each), the CPUs of its stages, a byte
 * each, then four words a stage: sequence, instructions, time, and the two halves of RIP.
 */
const ID = 0;
const SEND_ID = 1;
const COALESCED_INTO = 2;
const SRC = 3;
const DST = 4;
const DELAY = 5;
const KIND = 6;
const CPUS = 7;
const STAGES = 8;
const STAGE_WORDS = 4;
const SEQUENCE = 0;
const INSTRUCTION = 1;
const TIME = 2;
const RIP = 3;
const RECORD_WORDS = STAGES + stageCount * STAGE_WORDS;
/** Bytes at KIND; the first four are made as one word. */
const VECTOR = 0;
const MODE = 1;
const SOURCE = 2;
const TRIGGER = 3;
const SENDER = 4;
const TARGET = 5;
const SHORTHAND = 6;

/** The same for a loop that reads them once: bundles and loaders keep constants of a module where they would be read again and again. */
export const recordLayout = {
  ...{ ID, SEND_ID, COALESCED_INTO, SRC, DST, DELAY, KIND, CPUS, STAGES, RECORD_WORDS },
  ...{ STAGE_WORDS, SEQUENCE, INSTRUCTION, TIME, RIP },
} as const;

/**
 * The records of a machine's interrupts: numbers in typed arrays, so that recording allocates nothing, and a record's side by side, so that it touches few lines of the
 * cache. A ring of `capacity` slots, indexed by id, with some room for records that outlive their turn.
 */
export class RecordStore {
  readonly capacity: number;
  /** All slots, the ring's and the others'; empty ones have id 0. */
  readonly slots: number;
  /** The memory of all slots, for whoever enters many stages at once. */
  readonly f64: Float64Array;
  readonly i32: Int32Array;
  readonly i8: Int8Array;
  private readonly u8: Uint8Array;
  /** Why interrupts were dropped, by slot: few are. */
  private readonly reasons = new Map<number, string>();
  /** A power of two, of which the ring's index is the rest: of doubles, which ids are, a remainder by another number takes a call. */
  private readonly mask: number;
  /** What the last record was of, and its words at KIND: most are of the same message as the one before. */
  private lastInfo: SendInfo | undefined;
  private lastKind = 0;
  private lastMessage = 0;
  private readonly overflow = new Map<number, number>();
  private nextOverflow = 0;

  /** `capacity`: a power of two. */
  constructor(capacity: number) {
    assert((capacity & (capacity - 1)) === 0, "a ring of records has a power of two of them");
    this.capacity = capacity;
    this.mask = capacity - 1;
    this.slots = capacity + overflowSlots;
    // V8 counts 19 MB of its own memory as a reason to collect everything, in the middle of a start; shared memory it does not count. It is touched as it is used, too.
    this.f64 = new Float64Array(new SharedArrayBuffer(this.slots * RECORD_WORDS * 8));
    this.i32 = new Int32Array(this.f64.buffer);
    this.i8 = new Int8Array(this.f64.buffer);
    this.u8 = new Uint8Array(this.f64.buffer);
  }

  /** Slot of record `id`, -1 if the ring has forgotten it. */
  slotOf(id: number): number {
    if (id <= 0) return -1;
    const slot = (id - 1) & this.mask;
    if (this.f64[slot * RECORD_WORDS + ID] === id) return slot;
    return this.overflow.get(id) ?? -1;
  }

  /** The lower half of the word at KIND: what kind of interrupt a message is. */
  kindWord(info: SendInfo): number {
    return info.vector | (modes.indexOf(info.mode) << 8) | (sources.indexOf(info.source) << 16) | (info.trigger === "level" ? 1 << 24 : 0);
  }

  /** The upper half: who sent it, to which CPU, and how. */
  messageWord(info: SendInfo, target: number): number {
    return (info.senderCpu & 0xff) | ((target & 0xff) << 8) | (shorthands.indexOf(info.shorthand) << 16);
  }

  /** Whether the ring's place for `id` holds nothing, or an interrupt of fixed mode that has been through: nothing has to be kept of it. */
  isFree(slot: number): boolean {
    const { f64, reasons } = this;
    const at = slot * RECORD_WORDS;
    // Both are asked whatever the first one says: V8 optimises what it has seen run, and threw the loop that calls this away when the ring came round for the first time.
    const isNew = f64[at + ID] === 0;
    const hasEnded = f64[at + STAGES + StageCode.eoi * STAGE_WORDS + SEQUENCE] !== 0;
    return (isNew || hasEnded) && (reasons.size === 0 || !reasons.has(slot));
  }

  /** The slot for the new record `id`: whatever was there has moved, or is forgotten. */
  place(id: number): number {
    const slot = (id - 1) & this.mask;
    if (this.isFree(slot)) return slot;
    const claimed = this.claim(id);
    this.reasons.delete(claimed);
    return claimed;
  }

  /** Makes the record of a send. `dst` is the target's APIC id and `target` its CPU index, -1 where nobody matched. */
  create(id: number, sendId: number, info: SendInfo, dst: number, target: number): number {
    const slot = this.claim(id);
    const at = slot * RECORD_WORDS;
    const { f64, i32 } = this;
    f64[at + ID] = id;
    f64[at + SEND_ID] = sendId;
    f64[at + COALESCED_INTO] = 0;
    f64[at + SRC] = info.src;
    f64[at + DST] = dst;
    f64[at + DELAY] = 0;
    if (info !== this.lastInfo) {
      this.lastInfo = info;
      this.lastKind = this.kindWord(info);
      this.lastMessage = this.messageWord(info, 0);
    }
    i32[(at + KIND) * 2] = this.lastKind;
    i32[(at + KIND) * 2 + 1] = this.lastMessage | ((target & 0xff) << 8);
    if (this.reasons.size > 0) this.reasons.delete(slot);
    for (let word = at + STAGES + SEQUENCE; word < at + RECORD_WORDS; word += STAGE_WORDS) f64[word] = 0;
    return slot;
  }

  /** The record has reached `stage`, as number `seq` of all stages of the machine. */
  stamp(slot: number, stage: StageCode, seq: number, { instruction, time, cpu, ripLow, ripHigh }: Moment): void {
    const { f64, i32 } = this;
    const record = slot * RECORD_WORDS;
    const at = record + STAGES + stage * STAGE_WORDS;
    f64[at + SEQUENCE] = seq;
    f64[at + INSTRUCTION] = instruction;
    f64[at + TIME] = time;
    i32[(at + RIP) * 2] = ripLow;
    i32[(at + RIP) * 2 + 1] = ripHigh;
    this.i8[(record + CPUS) * 8 + stage] = cpu;
  }

  /** Index of a stage's words. */
  private stageAt(slot: number, stage: StageCode): number {
    return slot * RECORD_WORDS + STAGES + stage * STAGE_WORDS;
  }

  /** Index of the byte `field` of a record. */
  private byteAt(slot: number, field: number): number {
    return (slot * RECORD_WORDS + KIND) * 8 + field;
  }

  hasStage(slot: number, stage: StageCode): boolean {
    return this.f64[this.stageAt(slot, stage) + SEQUENCE] !== 0;
  }

  /** Order of the stage among all stages of the machine, ascending from 1; 0 if it did not happen. */
  sequence(slot: number, stage: StageCode): number {
    return this.f64[this.stageAt(slot, stage) + SEQUENCE];
  }

  /** Order of the latest stage of a record among all stages of the machine. */
  lastSequence(slot: number): number {
    let last = 0;
    for (let at = this.stageAt(slot, StageCode.send); at < (slot + 1) * RECORD_WORDS; at += STAGE_WORDS)
      if (this.f64[at + SEQUENCE] > last) last = this.f64[at + SEQUENCE];
    return last;
  }

  instructionAt(slot: number, stage: StageCode): number {
    return this.f64[this.stageAt(slot, stage) + INSTRUCTION];
  }

  idAt(slot: number): number {
    return this.f64[slot * RECORD_WORDS + ID];
  }

  senderAt(slot: number): number {
    return this.i8[this.byteAt(slot, SENDER)];
  }

  targetAt(slot: number): number {
    return this.i8[this.byteAt(slot, TARGET)];
  }

  vectorAt(slot: number): number {
    return this.u8[this.byteAt(slot, VECTOR)];
  }

  /** APIC id of the target, -1 where nobody matched. */
  destinationAt(slot: number): number {
    return this.f64[slot * RECORD_WORDS + DST];
  }

  sendIdAt(slot: number): number {
    return this.f64[slot * RECORD_WORDS + SEND_ID];
  }

  /** Index in {@link sources}. */
  sourceAt(slot: number): number {
    return this.u8[this.byteAt(slot, SOURCE)];
  }

  /** Index in {@link modes}. */
  modeAt(slot: number): number {
    return this.u8[this.byteAt(slot, MODE)];
  }

  isLevelAt(slot: number): boolean {
    return this.u8[this.byteAt(slot, TRIGGER)] !== 0;
  }

  /** Id of the record whose delivery this one shares, 0 for none. */
  coalescedAt(slot: number): number {
    return this.f64[slot * RECORD_WORDS + COALESCED_INTO];
  }

  /** The CPU that a stage came about on, -1 for none. */
  cpuAt(slot: number, stage: StageCode): number {
    return this.i8[(slot * RECORD_WORDS + CPUS) * 8 + stage];
  }

  /** Copies the RIP of a stage, its lower half first, into `words` from `at` on. */
  copyRip(slot: number, stage: StageCode, words: Int32Array, at: number): void {
    const from = (this.stageAt(slot, stage) + RIP) * 2;
    words[at] = this.i32[from];
    words[at + 1] = this.i32[from + 1];
  }

  /** Source, mode and vector in one number: same number, same kind of interrupt. */
  kindAt(slot: number): number {
    const word = this.i32[(slot * RECORD_WORDS + KIND) * 2];
    return (word & 0xffff) | ((word >> 4) & 0xff000);
  }

  /** What the interrupt is, from where and to where, mixed into 32 bits. */
  fingerprint(slot: number): number {
    const at = slot * RECORD_WORDS;
    const { f64 } = this;
    return Math.imul(this.kindAt(slot), 0x85ebca6b) ^ (f64[at + ID] << 3) ^ (f64[at + DST] << 16) ^ (f64[at + SRC] << 22);
  }

  setVector(slot: number, vector: number): void {
    this.u8[this.byteAt(slot, VECTOR)] = vector;
  }

  setReason(slot: number, reason: string): void {
    this.reasons.set(slot, reason);
  }

  setDelay(slot: number, instructions: number): void {
    this.f64[slot * RECORD_WORDS + DELAY] = instructions;
  }

  setCoalesced(slot: number, into: number): void {
    this.f64[slot * RECORD_WORDS + COALESCED_INTO] = into;
  }

  /** The record as of `upTo`: later stages, and what they brought, are left out. */
  record(slot: number, upTo: StageCode = StageCode.return): InterruptRecord {
    const { f64, u8 } = this;
    const at = slot * RECORD_WORDS;
    const list: StageStamp[] = [];
    for (let code = 0; code <= upTo; code++) {
      const stage = code as StageCode;
      if (!this.hasStage(slot, stage)) continue;
      const words = this.stageAt(slot, stage);
      list.push({
        stage: stages[stage],
        instruction: f64[words + INSTRUCTION],
        time: f64[words + TIME],
        cpu: this.i8[(at + CPUS) * 8 + stage],
        rip: joinHalves(this.i32[(words + RIP) * 2 + 1], this.i32[(words + RIP) * 2]),
      });
    }
    const reason = upTo >= StageCode.drop ? this.reasons.get(slot) : undefined;
    const into = upTo >= StageCode.accept ? f64[at + COALESCED_INTO] : 0;
    const delay = f64[at + DELAY];
    const kind = this.byteAt(slot, 0);
    return {
      id: f64[at + ID],
      sendId: f64[at + SEND_ID],
      source: sources[u8[kind + SOURCE]],
      mode: modes[u8[kind + MODE]],
      vector: u8[kind + VECTOR],
      trigger: triggers[u8[kind + TRIGGER]],
      shorthand: shorthands[u8[kind + SHORTHAND]],
      src: f64[at + SRC],
      dst: f64[at + DST],
      ...(reason === undefined ? {} : { dropReason: reason }),
      ...(into === 0 ? {} : { coalescedInto: into }),
      ...(delay === 0 ? {} : { delay }),
      stages: list,
    };
  }

  /** Forgets everything. */
  clear(): void {
    for (let slot = 0; slot < this.slots; slot++) this.f64[slot * RECORD_WORDS + ID] = 0;
    this.reasons.clear();
    this.overflow.clear();
    this.nextOverflow = 0;
  }

  /** Forgets the records from `id` on. */
  truncate(id: number): void {
    for (let slot = 0; slot < this.slots; slot++) {
      const own = this.idAt(slot);
      if (own < id) continue;
      this.overflow.delete(own);
      this.f64[slot * RECORD_WORDS + ID] = 0;
    }
  }

  /** The given records as plain data. */
  save(ids: Iterable<number>): State {
    const { f64, u8, i8, i32 } = this;
    const rows: State[] = [];
    for (const id of ids) {
      const slot = this.slotOf(id);
      if (slot < 0) continue;
      const at = slot * RECORD_WORDS;
      const delay = f64[at + DELAY];
      const row = new Float64Array(delay === 0 ? rowLength : rowLength + 1);
      if (delay !== 0) row[rowLength] = delay;
      const kind = this.byteAt(slot, 0);
      row.set([
        f64[at + ID],
        f64[at + SEND_ID],
        u8[kind + SOURCE],
        u8[kind + MODE],
        u8[kind + VECTOR],
        u8[kind + TRIGGER],
        u8[kind + SHORTHAND],
        f64[at + SRC],
        f64[at + DST],
        i8[kind + SENDER],
        i8[kind + TARGET],
        f64[at + COALESCED_INTO],
      ]);
      for (let code = 0; code < stageCount; code++) {
        const stage = code as StageCode;
        if (!this.hasStage(slot, stage)) continue;
        const words = this.stageAt(slot, stage);
        row.set(
          [
            f64[words + SEQUENCE],
            f64[words + INSTRUCTION],
            f64[words + TIME],
            i8[(at + CPUS) * 8 + stage],
            i32[(words + RIP) * 2] >>> 0,
            i32[(words + RIP) * 2 + 1] >>> 0,
          ],
          rowHead + stage * 6,
        );
      }
      rows.push([new Uint8Array(row.buffer), this.reasons.get(slot) ?? null]);
    }
    return rows;
  }

  restore(state: State): void {
    const { f64, u8, i8, i32 } = this;
    for (const item of state as readonly State[]) {
      const [bytes, reason] = item as readonly [Uint8Array, string | null];
      const row = new Float64Array(bytes.slice().buffer);
      const slot = this.slotOf(row[0]) >= 0 ? this.slotOf(row[0]) : this.claim(row[0]);
      const at = slot * RECORD_WORDS;
      const kind = this.byteAt(slot, 0);
      f64[at + ID] = row[0];
      f64[at + SEND_ID] = row[1];
      u8[kind + SOURCE] = row[2];
      u8[kind + MODE] = row[3];
      u8[kind + VECTOR] = row[4];
      u8[kind + TRIGGER] = row[5];
      u8[kind + SHORTHAND] = row[6];
      f64[at + SRC] = row[7];
      f64[at + DST] = row[8];
      i8[kind + SENDER] = row[9];
      i8[kind + TARGET] = row[10];
      f64[at + COALESCED_INTO] = row[11];
      f64[at + DELAY] = row.length > rowLength ? row[rowLength] : 0;
      if (reason === null) this.reasons.delete(slot);
      else this.reasons.set(slot, reason);
      for (let code = 0; code < stageCount; code++) {
        const stage = code as StageCode;
        const words = this.stageAt(slot, stage);
        const from = rowHead + stage * 6;
        f64[words + SEQUENCE] = row[from];
        f64[words + INSTRUCTION] = row[from + 1];
        f64[words + TIME] = row[from + 2];
        i8[(at + CPUS) * 8 + stage] = row[from + 3];
        i32[(words + RIP) * 2] = row[from + 4];
        i32[(words + RIP) * 2 + 1] = row[from + 5];
      }
    }
  }

  /** The ring slot for a new `id`; a live record that holds it moves to the overflow slots. */
  private claim(id: number): number {
    const slot = (id - 1) & this.mask;
    const old = this.idAt(slot);
    if (old === 0 || !this.isLive(slot)) return slot;
    if (old > id) return this.claimOverflow(id);
    this.copySlot(slot, this.claimOverflow(old));
    return slot;
  }

  private claimOverflow(id: number): number {
    for (let tries = 0; tries < overflowSlots; tries++) {
      const slot = this.capacity + this.nextOverflow;
      this.nextOverflow = (this.nextOverflow + 1) % overflowSlots;
      if (this.idAt(slot) !== 0 && this.isLive(slot) && tries < overflowSlots - 1) continue;
      this.overflow.delete(this.idAt(slot));
      this.overflow.set(id, slot);
      return slot;
    }
    return this.capacity;
  }

  /** Accepted and not yet at its end; what has no EOI counts as live until it is delivered. */
  private isLive(slot: number): boolean {
    if (this.f64[slot * RECORD_WORDS + COALESCED_INTO] !== 0 || !this.hasStage(slot, StageCode.accept)) return false;
    const last = this.u8[this.byteAt(slot, MODE)] <= 1 ? StageCode.eoi : StageCode.deliver;
    return !this.hasStage(slot, last) && !this.hasStage(slot, StageCode.drop);
  }

  private copySlot(from: number, to: number): void {
    this.f64.copyWithin(to * RECORD_WORDS, from * RECORD_WORDS, (from + 1) * RECORD_WORDS);
    const reason = this.reasons.get(from);
    if (reason === undefined) this.reasons.delete(to);
    else this.reasons.set(to, reason);
  }
}
