import type { State } from "../common/state";
import { RTC_CENTURY, RTC_PORT } from "./board";
import type { Device, DeviceContext, IrqLine, RegisterView, Timer } from "./device";
import { Oscillator } from "./oscillator";
import { byteHandler } from "./ports";
import { type CalendarTime, fromSeconds, toSeconds } from "./rtcTime";
import { StateReader } from "./stateReader";

const SECOND = 1_000_000_000;
/** UIP is set 244 us before an update, which takes 1984 us on a 32,768 Hz time base; the new time shows when it ends. */
const UPDATE_WINDOW = 2_228_000;

const REG_SECONDS = 0;
const REG_HOURS = 4;
const REG_WEEKDAY = 6;
const REG_YEAR = 9;
const REG_A = 0x0a;
const REG_B = 0x0b;
const REG_C = 0x0c;
const REG_D = 0x0d;

const TIME_REGISTERS = [REG_SECONDS, 2, REG_HOURS, REG_WEEKDAY, 7, 8, REG_YEAR, RTC_CENTURY] as const;

const B_SET = 0x80;
const B_PIE = 0x40;
const B_AIE = 0x20;
const B_UIE = 0x10;
const B_BINARY = 0x04;
const B_24_HOURS = 0x02;

/** 2026-01-01 00:00:00 UTC: the same for every run, so that runs are deterministic unless the configuration says otherwise. */
export const DEFAULT_EPOCH_SECONDS = 1_767_225_600;

export interface RtcOptions {
  readonly irq: IrqLine;
  /** Bytes of RAM below and above 4 GiB, for the memory-size fields. */
  readonly memoryBelow4G: number;
  readonly memoryAbove4G?: number;
  readonly cpus?: number;
  /** Time at power-on, in seconds since 1970-01-01 UTC; default {@link DEFAULT_EPOCH_SECONDS}. */
  readonly epochSeconds?: number;
  /** Bit 7 of port 0x70 changed: true masks NMI at the board. */
  readonly onNmiMask?: (masked: boolean) => void;
  /** The alarm went off with its interrupt enabled. */
  readonly onAlarm?: () => void;
}

/**
 * MC146818A with 128 bytes of CMOS at ports 0x70 and 0x71 (Motorola data sheet). The divider chain and all flags are computed
 * from virtual time when looked at; a timer is armed only for an interrupt that is enabled and not yet flagged.
 */
export class Rtc implements Device {
  readonly name = "rtc";
  private readonly crystal = new Oscillator(32_768);
  private readonly timer: Timer;
  private readonly cmos = new Uint8Array(128);
  private readonly context: DeviceContext;
  private index = 0;
  private nmiMask = false;
  private irqLevel = false;

  /** Time of the divider chain's last release from reset: seconds end at whole seconds after it. */
  private phase = 0;
  /** False while the divider is held in reset, or off the 32,768 Hz time base. */
  private dividing = true;
  /**
   * The running clock shows `shown` seconds at second number `shownAt` of the chain. While it stands, by SET or a held
   * divider, the time is in the raw bytes of the CMOS, which the guest may fill in any order.
   */
  private shown: number;
  private shownAt = 0;
  private weekdayShift = 0;
  /** Flags PF, AF, UF of register C hold up to this time. */
  private seen = 0;
  private flags = 0;

  constructor(
    context: DeviceContext,
    private readonly options: RtcOptions,
  ) {
    this.context = context;
    this.shown = options.epochSeconds ?? DEFAULT_EPOCH_SECONDS;
    this.timer = context.clock.createTimer(this.name, () => this.update());
    this.fillCmos();
    context.mapPorts(
      this.name,
      RTC_PORT,
      2,
      byteHandler(
        (port) => (port & 1 ? this.read(this.index) : 0xff),
        (port, value) => {
          if (port & 1) this.write(this.index, value);
          else this.select(value);
        },
      ),
    );
  }

  private fillCmos(): void {
    const cmos = this.cmos;
    cmos.fill(0);
    cmos[REG_A] = 0x26;
    cmos[REG_B] = B_24_HOURS;
    cmos[REG_D] = 0x80;
    const word = (offset: number, value: number): void => {
      cmos[offset] = value & 0xff;
      cmos[offset + 1] = (value >> 8) & 0xff;
    };
    cmos[0x14] = 0x06; // Equipment: coprocessor, pointing device, VGA, no floppy.
    word(0x15, 640);
    const extended = Math.max(0, Math.min(0xffff, Math.floor(this.options.memoryBelow4G / 1024) - 1024));
    word(0x17, extended);
    word(0x30, extended);
    word(0x34, Math.max(0, Math.min(0xffff, Math.floor((this.options.memoryBelow4G - 0x1000000) / 0x10000))));
    const high = Math.floor((this.options.memoryAbove4G ?? 0) / 0x10000);
    word(0x5b, high & 0xffff);
    cmos[0x5d] = Math.min(0xff, Math.floor(high / 0x10000));
    cmos[0x5f] = Math.max(0, (this.options.cpus ?? 1) - 1);
    let sum = 0;
    for (let offset = 0x10; offset <= 0x2d; offset++) sum += cmos[offset];
    cmos[0x2e] = (sum >> 8) & 0xff;
    cmos[0x2f] = sum & 0xff;
  }

  private select(value: number): void {
    this.index = value & 0x7f;
    const masked = (value & 0x80) !== 0;
    if (masked === this.nmiMask) return;
    this.nmiMask = masked;
    this.options.onNmiMask?.(masked);
  }

  /** True while port 0x70 masks NMI. */
  get nmiMasked(): boolean {
    return this.nmiMask;
  }

  private get setMode(): boolean {
    return (this.cmos[REG_B] & B_SET) !== 0;
  }

  /** Number of the chain's current second at `time`. */
  private chainSecond(time: number): number {
    return Math.floor((time - this.phase) / SECOND);
  }

  private get running(): boolean {
    return this.dividing && !this.setMode;
  }

  private secondsAt(time: number): number {
    return this.running ? this.shown + this.chainSecond(time) - this.shownAt : this.shown;
  }

  /** Makes the time shown now the base for the future. */
  private rebase(): void {
    const now = this.context.clock.now();
    this.shown = this.secondsAt(now);
    this.shownAt = this.chainSecond(now);
  }

  private updateInProgress(): boolean {
    if (!this.running) return false;
    const now = this.context.clock.now();
    return now - this.phase - this.chainSecond(now) * SECOND >= SECOND - UPDATE_WINDOW;
  }

  private encode(value: number): number {
    return this.cmos[REG_B] & B_BINARY ? value & 0xff : ((Math.floor(value / 10) % 10) << 4) | (value % 10);
  }

  private decode(raw: number): number {
    return this.cmos[REG_B] & B_BINARY ? raw : (raw >> 4) * 10 + (raw & 15);
  }

  private encodeHour(hour: number): number {
    if (this.cmos[REG_B] & B_24_HOURS) return this.encode(hour);
    return this.encode(hour % 12 === 0 ? 12 : hour % 12) | (hour >= 12 ? 0x80 : 0);
  }

  private decodeHour(raw: number): number {
    if (this.cmos[REG_B] & B_24_HOURS) return this.decode(raw);
    return (this.decode(raw & 0x7f) % 12) + (raw & 0x80 ? 12 : 0);
  }

  /** A time register of the running clock as the guest reads it. */
  private timeRegister(index: number, time: CalendarTime): number {
    switch (index) {
      case REG_SECONDS:
        return this.encode(time.second);
      case 2:
        return this.encode(time.minute);
      case REG_HOURS:
        return this.encodeHour(time.hour);
      case REG_WEEKDAY:
        return this.encode(((time.weekday - 1 + this.weekdayShift) % 7) + 1);
      case 7:
        return this.encode(time.day);
      case 8:
        return this.encode(time.month);
      case REG_YEAR:
        return this.encode(((time.year % 100) + 100) % 100);
      default:
        return this.encode(((Math.floor(time.year / 100) % 100) + 100) % 100);
    }
  }

  private readTime(index: number): number {
    return this.running ? this.timeRegister(index, fromSeconds(this.secondsAt(this.context.clock.now()))) : this.cmos[index];
  }

  /** The clock stops: its time goes into the bytes. */
  private freeze(): void {
    this.rebase();
    const time = fromSeconds(this.shown);
    for (const index of TIME_REGISTERS) this.cmos[index] = this.timeRegister(index, time);
  }

  /** The clock starts from what the bytes say. Fields past their ranges carry over. */
  private thaw(): void {
    const cmos = this.cmos;
    this.shown = toSeconds({
      second: this.decode(cmos[REG_SECONDS]),
      minute: this.decode(cmos[2]),
      hour: this.decodeHour(cmos[REG_HOURS]),
      day: this.decode(cmos[7]),
      month: this.decode(cmos[8]),
      year: (this.decode(cmos[RTC_CENTURY]) % 100) * 100 + (this.decode(cmos[REG_YEAR]) % 100),
    });
    this.weekdayShift = (((this.decode(cmos[REG_WEEKDAY]) - fromSeconds(this.shown).weekday) % 7) + 7) % 7;
    this.shownAt = this.chainSecond(this.context.clock.now());
  }

  private writeTime(index: number, value: number): void {
    const wasRunning = this.running;
    if (wasRunning) this.freeze();
    this.cmos[index] = value;
    if (wasRunning) this.thaw();
  }

  /** Pulses of 32,768 Hz between periodic interrupts, 0 for none. */
  private periodPulses(): number {
    const rate = this.cmos[REG_A] & 15;
    if (rate === 0) return 0;
    return 1 << (rate <= 2 ? rate + 6 : rate - 1);
  }

  private periodsUntil(time: number): number {
    return Math.floor(this.crystal.ticksAt(Math.max(0, time - this.phase)) / this.periodPulses());
  }

  /** The first second after `seconds` at which the alarm matches, or Infinity. Alarm bytes of 0xC0 and up match anything. */
  private nextAlarm(seconds: number): number {
    const field = (raw: number, decoded: number): number => (raw >= 0xc0 ? -1 : decoded);
    const second = field(this.cmos[1], this.decode(this.cmos[1]));
    const minute = field(this.cmos[3], this.decode(this.cmos[3]));
    const hour = field(this.cmos[5], this.decodeHour(this.cmos[5]));
    if (second > 59 || minute > 59 || hour > 23) return Infinity;
    let candidate = seconds + 1;
    // At most one step a field's value: 24 hours, 60 minutes, 60 seconds, and once around.
    for (let guard = 0; guard < 300; guard++) {
      const ofDay = ((candidate % 86_400) + 86_400) % 86_400;
      if (hour >= 0 && Math.floor(ofDay / 3600) !== hour) candidate += 3600 - (ofDay % 3600);
      else if (minute >= 0 && Math.floor(ofDay / 60) % 60 !== minute) candidate += 60 - (ofDay % 60);
      else if (second >= 0 && ofDay % 60 !== second) candidate += 1;
      else return candidate;
    }
    return Infinity;
  }

  /** Sets the flags of what happened since the last look. */
  private follow(): void {
    const now = this.context.clock.now();
    if (now <= this.seen) return;
    if (this.dividing) {
      if (this.periodPulses() > 0 && this.periodsUntil(now) !== this.periodsUntil(this.seen)) this.flags |= B_PIE;
      if (this.running && this.chainSecond(now) !== this.chainSecond(this.seen)) {
        this.flags |= B_UIE;
        if (this.nextAlarm(this.secondsAt(this.seen)) <= this.secondsAt(now)) {
          this.flags |= B_AIE;
          if (this.cmos[REG_B] & B_AIE) this.options.onAlarm?.();
        }
      }
    }
    this.seen = now;
  }

  /** Deadline of the earliest interrupt that is enabled and not flagged yet. */
  private nextEvent(): number {
    if (!this.dividing) return Infinity;
    const wanted = this.cmos[REG_B] & ~this.flags;
    const now = this.seen;
    let next = Infinity;
    if (wanted & B_PIE && this.periodPulses() > 0) {
      next = this.phase + this.crystal.timeOf((this.periodsUntil(now) + 1) * this.periodPulses());
    }
    if (!this.setMode) {
      if (wanted & B_UIE) next = Math.min(next, this.phase + (this.chainSecond(now) + 1) * SECOND);
      if (wanted & B_AIE) {
        const seconds = this.secondsAt(now);
        next = Math.min(next, this.phase + (this.chainSecond(now) + this.nextAlarm(seconds) - seconds) * SECOND);
      }
    }
    return next;
  }

  private update(): void {
    this.follow();
    const next = this.nextEvent();
    if (next === Infinity) this.timer.disarm();
    else this.timer.arm(next);
    const level = (this.flags & this.cmos[REG_B] & 0x70) !== 0;
    if (level === this.irqLevel) return;
    this.irqLevel = level;
    this.options.irq(level);
  }

  private read(index: number): number {
    switch (index) {
      case REG_SECONDS:
      case 2:
      case REG_HOURS:
      case REG_WEEKDAY:
      case 7:
      case 8:
      case REG_YEAR:
      case RTC_CENTURY:
        return this.readTime(index);
      case REG_A:
        return this.cmos[REG_A] | (this.updateInProgress() ? 0x80 : 0);
      case REG_C: {
        this.follow();
        const value = this.flags | (this.flags & this.cmos[REG_B] & 0x70 ? 0x80 : 0);
        this.flags = 0;
        this.update();
        return value;
      }
      default:
        return this.cmos[index];
    }
  }

  private write(index: number, value: number): void {
    this.follow();
    switch (index) {
      case REG_SECONDS:
      case 2:
      case REG_HOURS:
      case REG_WEEKDAY:
      case 7:
      case 8:
      case REG_YEAR:
      case RTC_CENTURY:
        this.writeTime(index, value);
        break;
      case REG_A:
        this.writeA(value);
        break;
      case REG_B:
        this.writeB(value);
        break;
      case REG_C:
      case REG_D:
        break;
      default:
        this.cmos[index] = value;
        break;
    }
    this.update();
  }

  private writeA(value: number): void {
    const dividing = (value & 0x70) === 0x20;
    if (dividing !== this.dividing) {
      if (this.running) this.freeze();
      this.dividing = dividing;
      // The first update comes half a second after the divider's release.
      if (dividing) this.phase = this.context.clock.now() - SECOND / 2;
      if (this.running) this.thaw();
    }
    this.cmos[REG_A] = value & 0x7f;
  }

  private writeB(value: number): void {
    const wasRunning = this.running;
    if (wasRunning && value & B_SET) this.freeze();
    this.cmos[REG_B] = value;
    // SET clears the enable of the update-ended interrupt.
    if (value & B_SET) this.cmos[REG_B] &= ~B_UIE;
    if (!wasRunning && this.running) this.thaw();
  }

  /** System reset: interrupt enables, flags and the square wave go off; time and CMOS are kept by the battery. */
  reset(): void {
    this.follow();
    this.cmos[REG_B] &= ~(B_PIE | B_AIE | B_UIE | 0x08);
    this.flags = 0;
    this.index = 0;
    this.select(0);
    this.update();
  }

  save(): State {
    this.follow();
    if (this.running) this.rebase();
    return {
      cmos: this.cmos.slice(),
      index: this.index,
      nmiMask: this.nmiMask,
      irq: this.irqLevel,
      phase: this.phase,
      dividing: this.dividing,
      shown: this.shown,
      shownAt: this.shownAt,
      weekdayShift: this.weekdayShift,
      seen: this.seen,
      flags: this.flags,
      deadline: this.timer.deadline ?? null,
    };
  }

  restore(state: State): void {
    const reader = new StateReader(state, this.name);
    this.cmos.set(reader.bytes("cmos", 128));
    this.index = reader.number("index") & 0x7f;
    this.nmiMask = reader.boolean("nmiMask");
    this.irqLevel = reader.boolean("irq");
    this.phase = reader.number("phase");
    this.dividing = reader.boolean("dividing");
    this.shown = reader.number("shown");
    this.shownAt = reader.number("shownAt");
    this.weekdayShift = reader.number("weekdayShift");
    this.seen = reader.number("seen");
    this.flags = reader.number("flags");
    reader.timer("deadline", this.timer);
  }

  registers(): readonly RegisterView[] {
    const time = fromSeconds(this.secondsAt(this.context.clock.now()));
    const two = (value: number): string => String(value).padStart(2, "0");
    const date = `${time.year}-${two(time.month)}-${two(time.day)} ${two(time.hour)}:${two(time.minute)}:${two(time.second)}`;
    const byte = (name: string, value: number, text?: string): RegisterView => ({
      name,
      value: BigInt(value),
      bits: 8,
      ...(text === undefined ? {} : { text }),
    });
    return [
      byte("index", this.index, this.nmiMask ? "NMI masked" : undefined),
      byte("A", this.cmos[REG_A], date),
      byte("B", this.cmos[REG_B]),
      byte("C", this.flags),
      byte("D", this.cmos[REG_D]),
      byte("shutdown status", this.cmos[0x0f]),
    ];
  }
}
