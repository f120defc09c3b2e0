import { Moment } from "../common/moment";
import type { StampSource } from "./events";
import { type InterruptJournal, rowLayout } from "./journal";
import type { SendInfo } from "./message";
import type { CpuTrack, RecordBook } from "./recordBook";
import { recordLayout, StageCode } from "./recordStore";

/**
 * Reads the engine's journal into the book: interrupts of a CPU to itself, which generated code and the interpreter sent, delivered and ended without the host. Their records come out as if the ledger had been told
 * of each stage as it happened, in the same order, with the same numbers and the same digest.
 */
export class JournalReader {
  private readonly moment = new Moment();
  /** What the engine sent last: most are like the one before. */
  private own: SendInfo = { source: "ipi", mode: "fixed", vector: 0, trigger: "edge", shorthand: "self", src: 0, senderCpu: 0 };

  /**
   * @param onSend hears that a CPU wrote its ICR at a moment: of the last time, as nobody can have looked in between
   * @param onStorm hears that a storm starts with the delivery of the record at a slot
   */
  constructor(
    private readonly stamps: StampSource,
    private readonly journal: InterruptJournal,
    private readonly book: RecordBook,
    private readonly onSend: (cpu: number, moment: Moment) => void,
    private readonly onStorm: (track: CpuTrack, cpu: number, slot: number) => void,
  ) {}

  /** Enters all rows. They are of one CPU, as the end of a slice settles. */
  enter(): void {
    const { journal, moment } = this;
    const { i32 } = journal;
    this.stamps.moment(moment);
    const idle = moment.time - moment.instruction;
    // First of all, as whoever hears of a send or a storm may have the ledger settle.
    const rows = journal.take();
    const cpu = i32[journal.row(0) + rowLayout.CPU];
    const track = this.book.track(cpu);
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
      this.onSend(cpu, moment);
      return;
    }
  }

  /**
   * Enters interrupts that have been through, as most have, from row `index` on. Returns the first row that is not done. A hot path, in one piece, without calls where an interrupt is like
   * the one before: what is read of a row, a record and the course stays in registers. All of it runs with the first row, so that V8's optimiser, which is quick with so little, knows all of it; it
   * goes on from the row whose place in the ring is taken as with a new first one.
   */
  private enterWhole(index: number, rows: number, track: CpuTrack, idle: number): number {
    const { journal, book } = this;
    const { store, digests, digestMask, markIds, markStages, latencyCount, latencyTotal, latencyMaximum } = book;
    const { i32: rowWords, f64: rowCounts } = journal;
    const { f64, i32, i8 } = store;
    const { ID, SEND_ID, COALESCED_INTO, SRC, DST, DELAY, KIND, CPUS, STAGES } = recordLayout;
    const { STAGE_WORDS, SEQUENCE, INSTRUCTION, TIME, RIP, RECORD_WORDS } = recordLayout;
    const { send, deliver, eoi, drop, return: returned } = StageCode;
    const row = rowLayout;
    const marks = markIds.length - 1;
    const mask = store.capacity - 1;
    const { inService, storm } = track;
    let { sequence: seq, digest, nextSendId } = book;
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
      if (storm.note(rowCounts[counts + row.RETIRED] + 1, kind)) this.onStorm(track, cpu, slot);
      index++;
      words += row.WORDS;
      if (index === rows || rowWords[words + row.KIND] !== row.COMPLETE) break;
      slot = (rowCounts[(words >> 1) + row.RECORD] - 1) & mask;
      if (!store.isFree(slot)) break;
    }
    book.sequence = seq;
    book.digest = digest;
    book.nextSendId = nextSendId;
    return index;
  }

  /** The same of all other rows, from `index` on. Returns the first one of an interrupt that has been through. */
  private enterParts(index: number, rows: number, track: CpuTrack, idle: number): number {
    const { journal, book } = this;
    const { store, digests, digestMask, markIds, markStages, latencyCount, latencyTotal, latencyMaximum } = book;
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
    let { sequence: seq, digest, nextSendId } = book;
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
        this.onStorm(track, cpu, slot);
    }
    book.sequence = seq;
    book.digest = digest;
    book.nextSendId = nextSendId;
    return index;
  }

  private ownSend(vector: number, src: number, senderCpu: number): SendInfo {
    const { own } = this;
    if (own.vector !== vector || own.src !== src || own.senderCpu !== senderCpu) this.own = { ...own, vector, src, senderCpu };
    return this.own;
  }
}
