import type { InterruptRecord, InterruptSource, Stage } from "../../apic/events";
import { Lvt } from "../../apic/fields";
import { sources, StageCode } from "../../apic/recordStore";
import { joinHalves } from "../../common/halves";
import { CS } from "../../cpu/segmentRegisters";
import type { Activity } from "../../cpu/state";
import { frameAt, FRAME_WORDS, type HandlerFrame } from "../../machine/handlerFrames";
import { SLOT_IDTR_BASE, SLOT_RIP, slotOfGpr } from "../../tcg/layout";
import type { DebugCpu, DebugMachine } from "../target";

/** Registers as an event of an interrupt left them: of its sender (or of the CPU whose LVT it came from) at its send, else of its target. */
export interface StageState {
  readonly cpu: number;
  readonly id: number;
  readonly ldr: number;
  readonly dfr: number;
  readonly svr: number;
  readonly tpr: number;
  readonly ppr: number;
  readonly icr: bigint;
  /** IA32_APIC_BASE. */
  readonly base: bigint;
  /** Vectors that are set, ascending. */
  readonly irr: readonly number[];
  readonly isr: readonly number[];
  readonly tmr: readonly number[];
  /** The LVT entry that the interrupt came from, 0 for other sources; for the timer also its counts. */
  readonly lvt: number;
  readonly initialCount: number;
  readonly divide: number;
  /** The pin that it came from, -1 for other sources, and its redirection entry. */
  readonly pin: number;
  readonly entry: bigint;
  readonly rflags: number;
  readonly rip: bigint;
  readonly rsp: bigint;
  readonly shadow: boolean;
  readonly intr: boolean;
  readonly activity: Activity;
  readonly idtBase: bigint;
  readonly idtLimit: number;
}

/** What a delivery made of the CPU. */
export interface EntryState {
  readonly frame: HandlerFrame;
  readonly rflags: number;
  readonly selector: number;
}

/** Events and deliveries that are remembered, the newest: three megabytes in all. */
const capacity = 16_384;
const entries = 4_096;

/** 32-bit words of an event, as ApicCommon.copyState has them: 24 of ISR, TMR and IRR as the registers lie, then these. */
const Word = {
  id: 24,
  ldr: 25,
  dfr: 26,
  svr: 27,
  tpr: 28,
  ppr: 29,
  icrLow: 30,
  icrHigh: 31,
  lvt: 32,
  initialCount: 33,
  divide: 34,
} as const;
const More = { pin: 35, entryLow: 36, entryHigh: 37, rflags: 38, flags: 39, cpu: 40, idtLimit: 41, rip: 42, rsp: 44, idtBase: 46 } as const;
const words = 48;
/** Words of a handler's entry: its frame, RFLAGS and the selector of its code. */
const entryWords = FRAME_WORDS + 2;
const RIP = SLOT_RIP / 4;
const RSP = slotOfGpr(4) / 4;
const IDT_BASE = SLOT_IDTR_BASE / 4;

const activities: readonly Activity[] = ["running", "halted", "mwait", "shutdown", "wait-for-SIPI"];

const lvtEntries: Partial<Readonly<Record<InterruptSource, number>>> = {
  timer: Lvt.timer,
  thermal: Lvt.thermal,
  pmc: Lvt.pmc,
  lint0: Lvt.lint0,
  pic: Lvt.lint0,
  lint1: Lvt.lint1,
  error: Lvt.error,
  cmci: Lvt.cmci,
};
/** By the index of a source: its LVT entry, -1 for none. */
const lvtOfSource = sources.map((source) => lvtEntries[source] ?? -1);
const IO_APIC = sources.indexOf("ioapic");
const ioApicPins = 24;
const firstRedirection = 0x10;

/**
 * Remembers what the registers were at each event of an interrupt, so that its path can be told with values: a copy into flat arrays at each event, which is looked at only
 * when somebody asks.
 */
export class StageStates {
  private readonly ids = new Float64Array(capacity).fill(-1);
  private readonly codes = new Uint8Array(capacity);
  private readonly instructions = new Float64Array(capacity);
  private readonly small = new Uint32Array(capacity * words);
  private readonly bases = new BigUint64Array(capacity);
  private readonly entered = new Float64Array(entries);
  private readonly entries = new Int32Array(entries * entryWords);

  constructor(private readonly machine: DebugMachine) {}

  /** An interrupt has come to a stage ({@link InterruptObserver.stage}). */
  stage(at: number, stage: number, cpu: number): void {
    const { store } = this.machine.ledger;
    const lvt = lvtOfSource[store.sourceAt(at)];
    const index = stage === StageCode.send || cpu < 0 ? this.origin(at, lvt) : cpu;
    if (index < 0) return;
    const id = store.idAt(at);
    const slot = slotOf(id, stage);
    this.ids[slot] = id;
    this.codes[slot] = stage;
    this.instructions[slot] = store.instructionAt(at, stage as StageCode);
    this.capture(slot, this.machine.cpus[index], at, lvt);
  }

  /** The CPU that sent an interrupt, or whose LVT it came from; -1 for neither. */
  private origin(at: number, lvt: number): number {
    const { ledger, cpus } = this.machine;
    if (lvt >= 0) {
      const destination = ledger.store.destinationAt(at);
      for (let index = 0; index < cpus.length; index++) if (cpus[index].apicId === destination) return index;
      return -1;
    }
    return ledger.store.sourceAt(at) === IO_APIC ? 0 : ledger.store.cpuAt(at, StageCode.send);
  }

  private capture(slot: number, cpu: DebugCpu, record: number, lvt: number): void {
    const { small } = this;
    const { apic, state } = cpu;
    const at = slot * words;
    apic.copyState(small, at, lvt);
    const pin = this.machine.ledger.store.sourceAt(record) === IO_APIC ? this.pinOf(record) : -1;
    small[at + More.pin] = pin + 1;
    small[at + More.entryLow] = pin < 0 ? 0 : this.machine.ioApic.readRegister(firstRedirection + 2 * pin);
    small[at + More.entryHigh] = pin < 0 ? 0 : this.machine.ioApic.readRegister(firstRedirection + 2 * pin + 1);
    small[at + More.rflags] = state.rflags;
    small[at + More.flags] = (cpu.inShadow ? 1 : 0) | (state.intrPending ? 2 : 0) | (activities.indexOf(state.activity) << 4);
    small[at + More.cpu] = cpu.index;
    small[at + More.idtLimit] = state.idtrLimit;
    for (let half = 0; half < 2; half++) {
      small[at + More.rip + half] = state.words[RIP + half];
      small[at + More.rsp + half] = state.words[RSP + half];
      small[at + More.idtBase + half] = state.words[IDT_BASE + half];
    }
    this.bases[slot] = apic.baseMsr;
  }

  /** The pin whose entry has the vector and trigger of an interrupt; -1 where it has been changed since. */
  private pinOf(record: number): number {
    const { store } = this.machine.ledger;
    const vector = store.vectorAt(record);
    const isLevel = store.isLevelAt(record);
    for (let pin = 0; pin < ioApicPins; pin++) {
      const low = this.machine.ioApic.readRegister(firstRedirection + 2 * pin);
      if ((low & 0xff) === vector && (low & 0x1_0000) === 0 && ((low & 0x8000) !== 0) === isLevel) return pin;
    }
    return -1;
  }

  /** The handler of an interrupt with record `id` was entered, and its first instruction is next. */
  handlerStarts(index: number, id: number): void {
    if (id === 0) return;
    const { state } = this.machine.cpus[index];
    const slot = id % entries;
    const at = slot * entryWords;
    this.entered[slot] = id;
    this.machine.frames.copyTop(index, this.entries, at);
    this.entries[at + FRAME_WORDS] = state.rflags;
    this.entries[at + FRAME_WORDS + 1] = state.selector[CS];
  }

  /** The registers as a stage of an interrupt left them; undefined for a stage that did not happen, that concerned no CPU, or is too long ago. */
  of(record: InterruptRecord, stage: Stage): StageState | undefined {
    const code = StageCode[stage];
    const slot = slotOf(record.id, code);
    const stamp = record.stages.find((candidate) => candidate.stage === stage);
    if (stamp === undefined || this.ids[slot] !== record.id || this.codes[slot] !== code || this.instructions[slot] !== stamp.instruction)
      return undefined;
    const { small } = this;
    const word = (index: number): number => small[slot * words + index];
    const long = (index: number): bigint => joinHalves(word(index + 1), word(index));
    const flags = word(More.flags);
    return {
      cpu: word(More.cpu),
      id: word(Word.id),
      ldr: word(Word.ldr),
      dfr: word(Word.dfr),
      svr: word(Word.svr),
      tpr: word(Word.tpr),
      ppr: word(Word.ppr),
      icr: (BigInt(word(Word.icrHigh)) << 32n) | BigInt(word(Word.icrLow)),
      base: this.bases[slot],
      isr: vectors(word, 0),
      tmr: vectors(word, 8),
      irr: vectors(word, 16),
      lvt: word(Word.lvt),
      initialCount: word(Word.initialCount),
      divide: word(Word.divide),
      pin: word(More.pin) - 1,
      entry: (BigInt(word(More.entryHigh)) << 32n) | BigInt(word(More.entryLow)),
      rflags: word(More.rflags),
      rip: long(More.rip),
      rsp: long(More.rsp),
      shadow: (flags & 1) !== 0,
      intr: (flags & 2) !== 0,
      activity: activities[flags >> 4],
      idtBase: long(More.idtBase),
      idtLimit: word(More.idtLimit),
    };
  }

  /** What the delivery of an interrupt pushed and where it led; undefined when it entered no handler, or too long ago. */
  entry(record: InterruptRecord): EntryState | undefined {
    const slot = record.id % entries;
    if (this.entered[slot] !== record.id) return undefined;
    const at = slot * entryWords;
    const frame = frameAt(this.entries, at);
    const deliver = record.stages.find(({ stage }) => stage === "deliver");
    if (frame.instruction !== deliver?.instruction) return undefined;
    return { frame, rflags: this.entries[at + FRAME_WORDS], selector: this.entries[at + FRAME_WORDS + 1] };
  }
}

/** One slot for each stage of an interrupt, eight to a record. */
function slotOf(id: number, code: number): number {
  return (id * 8 + code) % capacity;
}

function vectors(word: (index: number) => number, from: number): number[] {
  const found: number[] = [];
  for (let vector = 0; vector < 256; vector++) if ((word(from + (vector >> 5)) & (1 << (vector & 31))) !== 0) found.push(vector);
  return found;
}
