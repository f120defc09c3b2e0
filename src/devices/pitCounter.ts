import type { State } from "../common/state";
import type { RegisterView } from "./device";
import type { StateReader } from "./stateReader";

const NEVER = -1;

/** Operating modes 0 to 5 of the 8254. */
export type PitMode = 0 | 1 | 2 | 3 | 4 | 5;

const MODE_NAMES = [
  "interrupt on terminal count",
  "hardware one-shot",
  "rate generator",
  "square wave",
  "software strobe",
  "hardware strobe",
] as const;

/**
 * One counter of an 8254 (Intel 8254 data sheet), computed when looked at instead of pulse by pulse. Time is the number of the
 * last CLK pulse; every method that takes `tick` first brings the counter up to it.
 */
export class PitCounter {
  mode: PitMode = 0;
  bcd = false;
  /** 1 low byte, 2 high byte, 3 low then high. */
  access = 3;
  gate: boolean;
  /** Count register as written. */
  private count = 0;
  private lowByte = 0;
  private writeHighNext = false;
  private readHighNext = false;
  /** Output latch, -1 when it follows the counting element. */
  private latched = -1;
  private latchedStatus = -1;
  private nullCount = true;

  /** Pulse up to which the state below holds. */
  private tick = 0;
  /** Pulse at which the count register goes into the counting element, or NEVER. */
  private loadAt = NEVER;
  /** The counting element counts: a count was loaded since the control word. */
  private loaded = false;
  /** Modes 0, 1, 4, 5: counting element, 0 to its modulus. Mode 2: pulses left of the period. Mode 3: of the half period. */
  private left = 0;
  /** Modes 0, 1, 4, 5: terminal count was reached since the load. */
  private expired = true;
  /** Modes 4, 5: the pulse of the strobe. */
  private strobe = NEVER;
  /** Mode 3: in the high half. */
  private high = true;
  /** Mode 3: the count of the running half period, for reading. */
  private running = 0;

  constructor(private readonly initialGate: boolean) {
    this.gate = initialGate;
  }

  reset(): void {
    this.mode = 0;
    this.bcd = false;
    this.access = 3;
    this.gate = this.initialGate;
    this.count = this.lowByte = 0;
    this.writeHighNext = this.readHighNext = false;
    this.latched = this.latchedStatus = -1;
    this.nullCount = true;
    this.tick = 0;
    this.loadAt = NEVER;
    this.loaded = false;
    this.left = 0;
    this.expired = true;
    this.strobe = NEVER;
    this.high = true;
    this.running = 0;
  }

  private get modulus(): number {
    return this.bcd ? 10_000 : 0x10000;
  }

  /** The count register as a number of pulses; 0 stands for the modulus. A count of 1 is illegal in modes 2 and 3 and acts as 2. */
  private get pulses(): number {
    const raw = this.count;
    const value = this.bcd ? (raw >> 12) * 1000 + ((raw >> 8) & 15) * 100 + ((raw >> 4) & 15) * 10 + (raw & 15) : raw;
    const pulses = value === 0 ? this.modulus : value;
    return (this.mode === 2 || this.mode === 3) && pulses === 1 ? 2 : pulses;
  }

  /** Modes 1 and 5 do not heed the gate's level; modes 2 and 3 wait for the load that a trigger asked for, with OUT high. */
  private get counting(): boolean {
    if (!this.loaded) return false;
    if (this.mode === 1 || this.mode === 5) return true;
    return this.gate && (this.loadAt === NEVER || (this.mode !== 2 && this.mode !== 3));
  }

  /** Brings the counter up to pulse `tick`. */
  advance(tick: number): void {
    if (this.loadAt !== NEVER && this.loadAt <= tick) {
      this.run(this.loadAt - this.tick);
      this.tick = this.loadAt;
      this.loadAt = NEVER;
      this.load();
    }
    if (tick > this.tick) {
      this.run(tick - this.tick);
      this.tick = tick;
    }
  }

  private load(): void {
    const pulses = this.pulses;
    this.nullCount = false;
    this.loaded = true;
    this.expired = false;
    this.strobe = NEVER;
    this.high = true;
    this.running = pulses;
    this.left = this.mode === 3 ? (pulses + 1) >> 1 : pulses;
  }

  private run(pulses: number): void {
    if (pulses <= 0 || !this.counting) return;
    switch (this.mode) {
      case 2:
        this.runRate(pulses);
        break;
      case 3:
        this.runSquare(pulses);
        break;
      case 0:
      case 1:
      case 4:
      case 5: {
        if (!this.expired && pulses < this.left) {
          this.left -= pulses;
          break;
        }
        if (!this.expired) {
          this.expired = true;
          this.strobe = this.tick + this.left;
        }
        const modulus = this.modulus;
        this.left = (((this.left - pulses) % modulus) + modulus) % modulus;
        break;
      }
    }
  }

  private runRate(pulses: number): void {
    if (pulses < this.left) {
      this.left -= pulses;
      return;
    }
    // A count written meanwhile takes effect with the next period.
    const rest = pulses - this.left;
    const period = this.pulses;
    this.nullCount = false;
    this.left = period - (rest % period);
  }

  private runSquare(pulses: number): void {
    if (pulses < this.left) {
      this.left -= pulses;
      return;
    }
    let rest = pulses - this.left;
    const period = this.pulses;
    const highPulses = (period + 1) >> 1;
    this.nullCount = false;
    this.running = period;
    this.high = !this.high;
    rest %= period;
    const half = this.high ? highPulses : period - highPulses;
    if (rest < half) {
      this.left = half - rest;
    } else {
      rest -= half;
      this.high = !this.high;
      this.left = (this.high ? highPulses : period - highPulses) - rest;
    }
  }

  /** OUT at the pulse the counter was brought up to. */
  get out(): boolean {
    switch (this.mode) {
      case 0:
        return this.expired && this.loaded;
      case 1:
        return this.expired || !this.loaded;
      case 2:
        return !(this.counting && this.left === 1);
      case 3:
        return !(this.counting && !this.high);
      case 4:
      case 5:
        return this.strobe !== this.tick;
    }
  }

  /** The next pulse after the current one at which OUT may change, or Infinity while nothing but a register or gate can change it. */
  nextChange(): number {
    const load = this.loadAt === NEVER ? Infinity : this.loadAt;
    if (this.strobe === this.tick && (this.mode === 4 || this.mode === 5)) return Math.min(load, this.tick + 1);
    if (!this.counting) return load;
    switch (this.mode) {
      case 0:
      case 1:
      case 4:
      case 5:
        return Math.min(load, this.expired ? Infinity : this.tick + this.left);
      case 2:
        return Math.min(load, this.tick + (this.left > 1 ? this.left - 1 : 1));
      case 3:
        return Math.min(load, this.tick + this.left);
    }
  }

  /** A control word for this counter, not a latch command: mode, access and format. */
  control(value: number, tick: number): void {
    this.advance(tick);
    const mode = (value >> 1) & 7;
    this.mode = (mode > 5 ? mode - 4 : mode) as PitMode;
    this.bcd = (value & 1) !== 0;
    this.access = (value >> 4) & 3;
    this.writeHighNext = this.readHighNext = false;
    this.latched = this.latchedStatus = -1;
    this.nullCount = true;
    this.loadAt = NEVER;
    this.loaded = false;
    this.expired = this.mode !== 0;
    this.strobe = NEVER;
    this.high = true;
    // What the counting element holds is undefined until a count is loaded; it stays, within its modulus.
    this.left %= this.modulus;
  }

  write(value: number, tick: number): void {
    this.advance(tick);
    if (this.access === 3 && !this.writeHighNext) {
      this.lowByte = value;
      this.writeHighNext = true;
      // In mode 0 the first byte stops the counting and sets OUT low at once.
      if (this.mode === 0) {
        this.loaded = false;
        this.expired = false;
        this.loadAt = NEVER;
      }
      return;
    }
    this.writeHighNext = false;
    this.count = this.access === 3 ? this.lowByte | (value << 8) : this.access === 2 ? value << 8 : value;
    this.nullCount = true;
    switch (this.mode) {
      case 0:
        this.expired = false;
        this.loadAt = tick + 1;
        break;
      case 4:
        this.loadAt = tick + 1;
        break;
      case 2:
      case 3:
        // A running counter takes the new count at the end of its period.
        if (!this.loaded) this.loadAt = tick + 1;
        break;
      case 1:
      case 5:
        // Loaded by the next trigger.
        break;
    }
  }

  /** The GATE input. A rising edge triggers modes 1, 2, 3 and 5: the count is loaded with the next pulse. */
  setGate(level: boolean, tick: number): void {
    this.advance(tick);
    if (level === this.gate) return;
    this.gate = level;
    if (!level) return;
    const hasCount = this.loaded || this.loadAt !== NEVER;
    if ((this.mode === 2 || this.mode === 3) && hasCount) this.loadAt = tick + 1;
    // Modes 1 and 5 count only when triggered, from whatever count was written last.
    if (this.mode === 1 || this.mode === 5) this.loadAt = tick + 1;
  }

  /** What a read of the counting element returns. */
  private element(): number {
    let value = this.left;
    if (this.mode === 3 && this.loaded) {
      // Counts by two; an odd count is made even, which its high half pays for with one more pulse.
      value = this.running & 1 && this.high ? 2 * (this.left - 1) : 2 * this.left;
    }
    value %= this.modulus;
    if (!this.bcd) return value;
    return (Math.floor(value / 1000) << 12) | ((Math.floor(value / 100) % 10) << 8) | ((Math.floor(value / 10) % 10) << 4) | (value % 10);
  }

  latchCount(tick: number): void {
    this.advance(tick);
    if (this.latched < 0) this.latched = this.element();
  }

  latchStatus(tick: number): void {
    this.advance(tick);
    if (this.latchedStatus < 0) this.latchedStatus = this.status();
  }

  private status(): number {
    return (this.out ? 0x80 : 0) | (this.nullCount ? 0x40 : 0) | (this.access << 4) | (this.mode << 1) | (this.bcd ? 1 : 0);
  }

  read(tick: number): number {
    this.advance(tick);
    if (this.latchedStatus >= 0) {
      const status = this.latchedStatus;
      this.latchedStatus = -1;
      return status;
    }
    const value = this.latched >= 0 ? this.latched : this.element();
    let byte: number;
    let last = true;
    if (this.access === 3) {
      byte = this.readHighNext ? value >> 8 : value & 0xff;
      last = this.readHighNext;
      this.readHighNext = !this.readHighNext;
    } else {
      byte = this.access === 2 ? value >> 8 : value & 0xff;
    }
    if (last) this.latched = -1;
    return byte;
  }

  save(): State {
    return {
      numbers: [
        this.mode,
        this.access,
        this.count,
        this.lowByte,
        this.latched,
        this.latchedStatus,
        this.tick,
        this.loadAt,
        this.left,
        this.strobe,
        this.running,
      ],
      flags: [this.bcd, this.gate, this.writeHighNext, this.readHighNext, this.nullCount, this.loaded, this.expired, this.high].map(
        (flag) => (flag ? 1 : 0),
      ),
    };
  }

  restore(reader: StateReader): void {
    let mode: number;
    [
      mode,
      this.access,
      this.count,
      this.lowByte,
      this.latched,
      this.latchedStatus,
      this.tick,
      this.loadAt,
      this.left,
      this.strobe,
      this.running,
    ] = reader.numbers("numbers");
    this.mode = (mode > 5 ? 0 : mode) as PitMode;
    [this.bcd, this.gate, this.writeHighNext, this.readHighNext, this.nullCount, this.loaded, this.expired, this.high] = reader
      .numbers("flags")
      .map((flag) => flag !== 0);
  }

  /** For inspection; does not bring the counter up to date. */
  view(name: string): RegisterView {
    const value = this.element();
    return {
      name,
      value: BigInt(value),
      bits: 16,
      text: `mode ${this.mode}, ${MODE_NAMES[this.mode]}, reload ${this.pulses}${this.bcd ? ", BCD" : ""}, gate ${this.gate ? 1 : 0}, out ${this.out ? 1 : 0}`,
      fields: [{ name: "status", bits: "7:0", value: BigInt(this.status()) }],
    };
  }
}
