import type { InterruptEvent, InterruptRecord, InterruptSource, Stage } from "../../apic/events";
import { Reg } from "../../apic/registerMap";
import { stages } from "../../apic/recordStore";
import { CS, type Activity } from "../../cpu/state";
import type { HandlerFrame } from "../../machine/handlerFrames";
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

/** 32-bit words of an event: 24 of ISR, TMR and IRR as the registers lie, then these. */
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
const More = { pin: 35, entryLow: 36, entryHigh: 37, rflags: 38, flags: 39, cpu: 40, idtLimit: 41 } as const;
const words = 42;
const longs = 4;

const activities: readonly Activity[] = ["running", "halted", "mwait", "shutdown", "wait-for-SIPI"];

const lvtRegisters: Partial<Readonly<Record<InterruptSource, number>>> = {
  timer: Reg.lvtTimer,
  thermal: Reg.lvtTimer + 1,
  pmc: Reg.lvtTimer + 2,
  lint0: Reg.lvtTimer + 3,
  pic: Reg.lvtTimer + 3,
  lint1: Reg.lvtTimer + 4,
  error: Reg.lvtError,
  cmci: Reg.lvtCmci,
};
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
  private readonly wide = new BigUint64Array(capacity * longs);
  private readonly handlers: ({ readonly record: number; readonly state: EntryState } | undefined)[] = [];

  constructor(private readonly machine: DebugMachine) {}

  interrupt({ stage, record, cpu }: InterruptEvent): void {
    const index = stage === "send" || cpu < 0 ? this.origin(record) : cpu;
    if (index < 0) return;
    const code = stages.indexOf(stage);
    const slot = slotOf(record.id, code);
    this.ids[slot] = record.id;
    this.codes[slot] = code;
    this.instructions[slot] = this.machine.instructions();
    this.capture(slot, this.machine.cpus[index], record);
  }

  /** The CPU that sent an interrupt, or whose LVT it came from; -1 for neither. */
  private origin({ stages: [send], source, dst }: InterruptRecord): number {
    if (lvtRegisters[source] !== undefined) return this.machine.cpus.findIndex(({ apicId }) => apicId === dst);
    return source === "ioapic" ? 0 : send.cpu;
  }

  private capture(slot: number, cpu: DebugCpu, record: InterruptRecord): void {
    const { small, wide } = this;
    const { apic, state } = cpu;
    const at = slot * words;
    apic.copyVectors(small, at);
    small[at + Word.id] = apic.peek(Reg.id) ?? 0;
    small[at + Word.ldr] = apic.peek(Reg.ldr) ?? 0;
    small[at + Word.dfr] = apic.peek(Reg.dfr) ?? 0;
    small[at + Word.svr] = apic.peek(Reg.svr) ?? 0;
    small[at + Word.tpr] = apic.peek(Reg.tpr) ?? 0;
    small[at + Word.ppr] = apic.peek(Reg.ppr) ?? 0;
    small[at + Word.icrLow] = apic.peek(Reg.icrLow) ?? 0;
    small[at + Word.icrHigh] = apic.peek(Reg.icrHigh) ?? 0;
    const lvt = lvtRegisters[record.source];
    small[at + Word.lvt] = lvt === undefined ? 0 : (apic.peek(lvt) ?? 0);
    small[at + Word.initialCount] = apic.peek(Reg.initialCount) ?? 0;
    small[at + Word.divide] = apic.peek(Reg.divide) ?? 0;
    const pin = record.source === "ioapic" ? this.pinOf(record) : -1;
    small[at + More.pin] = pin + 1;
    small[at + More.entryLow] = pin < 0 ? 0 : this.machine.ioApic.readRegister(firstRedirection + 2 * pin);
    small[at + More.entryHigh] = pin < 0 ? 0 : this.machine.ioApic.readRegister(firstRedirection + 2 * pin + 1);
    small[at + More.rflags] = state.rflags;
    small[at + More.flags] = (cpu.inShadow ? 1 : 0) | (state.intrPending ? 2 : 0) | (activities.indexOf(state.activity) << 4);
    small[at + More.cpu] = cpu.index;
    small[at + More.idtLimit] = state.idtrLimit;
    wide[slot * longs] = apic.baseMsr;
    wide[slot * longs + 1] = state.rip;
    wide[slot * longs + 2] = state.gpr(4);
    wide[slot * longs + 3] = state.idtrBase;
  }

  /** The pin whose entry has the vector and trigger of an interrupt; -1 where it has been changed since. */
  private pinOf({ vector, trigger }: InterruptRecord): number {
    for (let pin = 0; pin < ioApicPins; pin++) {
      const low = this.machine.ioApic.readRegister(firstRedirection + 2 * pin);
      if ((low & 0xff) === vector && (low & 0x1_0000) === 0 && ((low & 0x8000) !== 0) === (trigger === "level")) return pin;
    }
    return -1;
  }

  /** A handler's frame was pushed, and its first instruction is next. */
  entered(index: number, frame: HandlerFrame): void {
    if (frame.record === 0) return;
    const { state } = this.machine.cpus[index];
    this.handlers[frame.record % entries] = {
      record: frame.record,
      state: { frame, rflags: state.rflags, selector: state.selector[CS] },
    };
  }

  /** The registers as a stage of an interrupt left them; undefined for a stage that did not happen, that concerned no CPU, or is too long ago. */
  of(record: InterruptRecord, stage: Stage): StageState | undefined {
    const code = stages.indexOf(stage);
    const slot = slotOf(record.id, code);
    const stamp = record.stages.find((candidate) => candidate.stage === stage);
    if (stamp === undefined || this.ids[slot] !== record.id || this.codes[slot] !== code || this.instructions[slot] !== stamp.instruction)
      return undefined;
    const { small, wide } = this;
    const word = (index: number): number => small[slot * words + index];
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
      base: wide[slot * longs],
      isr: vectors(word, 0),
      tmr: vectors(word, 8),
      irr: vectors(word, 16),
      lvt: word(Word.lvt),
      initialCount: word(Word.initialCount),
      divide: word(Word.divide),
      pin: word(More.pin) - 1,
      entry: (BigInt(word(More.entryHigh)) << 32n) | BigInt(word(More.entryLow)),
      rflags: word(More.rflags),
      rip: wide[slot * longs + 1],
      rsp: wide[slot * longs + 2],
      shadow: (flags & 1) !== 0,
      intr: (flags & 2) !== 0,
      activity: activities[flags >> 4],
      idtBase: wide[slot * longs + 3],
      idtLimit: word(More.idtLimit),
    };
  }

  /** What the delivery of an interrupt pushed and where it led; undefined when it entered no handler, or too long ago. */
  entry(record: InterruptRecord): EntryState | undefined {
    const found = this.handlers[record.id % entries];
    const deliver = record.stages.find(({ stage }) => stage === "deliver");
    return found?.record === record.id && found.state.frame.instruction === deliver?.instruction ? found.state : undefined;
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
