import type { State } from "../common/state";
import type { Clock, Timer } from "../devices/device";
import { timerDivisor, type TimerMode } from "./fields";

/** The time-stamp counter of the CPU an APIC belongs to, for TSC-deadline mode. */
export interface TscSource {
  /** The TSC now, as RDTSC gives it: 64 bits, with whatever the guest wrote to it. */
  read(): bigint;
  /** Ticks of the TSC per nanosecond of virtual time. */
  readonly ticksPerNanosecond: number;
}

/**
 * The APIC timer (SDM vol. 3, "APIC Timer"). Its input clock runs at one tick per nanosecond of virtual time, before the divider.
 * The count is never stepped: it follows from the time at which it will reach zero.
 */
export class ApicTimer {
  /** TMICT as last written. */
  initialCount = 0;
  /** TDCR: bits 3, 1 and 0. */
  divideRegister = 0;
  private mode: TimerMode = "one-shot";
  private masked = true;
  /** When the count next reaches zero, in nanoseconds; undefined while stopped. */
  private expiry: number | undefined;
  private deadlineTsc = 0n;
  private readonly timer: Timer;

  /** `fire` is called each time the count or the deadline is reached, masked or not, but for a masked periodic timer. */
  constructor(
    name: string,
    private readonly clock: Clock,
    private readonly tsc: TscSource,
    private readonly fire: () => void,
  ) {
    this.timer = clock.createTimer(name, () => this.expired());
  }

  /** Power-on and INIT state: stopped, all registers zero. */
  reset(): void {
    this.initialCount = 0;
    this.divideRegister = 0;
    this.mode = "one-shot";
    this.masked = true;
    this.expiry = undefined;
    this.deadlineTsc = 0n;
    this.timer.disarm();
  }

  /** Guest write of TMICT: restarts the count; 0 stops it; ignored in TSC-deadline mode. */
  start(count: number): void {
    if (this.mode === "tsc-deadline") return;
    this.initialCount = count >>> 0;
    this.expiry = this.initialCount === 0 ? undefined : this.clock.now() + this.initialCount * timerDivisor(this.divideRegister);
    this.arm();
  }

  /** TMCCT: what is left of the count now. Reading has no effect. */
  currentCount(): number {
    if (this.expiry === undefined || this.mode === "tsc-deadline") return 0;
    const divisor = timerDivisor(this.divideRegister);
    let left = this.expiry - this.clock.now();
    if (left <= 0) {
      const period = this.initialCount * divisor;
      if (this.mode !== "periodic" || period === 0) return 0;
      // The boundary at which it fires, or the mask that keeps it from firing, does not hold up the count.
      left = period - (-left % period);
    }
    return Math.ceil(left / divisor);
  }

  /** Moves the count to `count` without touching TMICT (a debugger's poke of TMCCT); 0 stops it. */
  setCurrentCount(count: number): void {
    if (this.mode === "tsc-deadline") return;
    this.expiry = count === 0 ? undefined : this.clock.now() + count * timerDivisor(this.divideRegister);
    this.arm();
  }

  /** TDCR: the count stays and goes on at the new rate. */
  setDivide(value: number): void {
    const count = this.currentCount();
    const due = this.expiry !== undefined && this.expiry <= this.clock.now() && this.timer.deadline !== undefined;
    this.divideRegister = value & 0xb;
    // A count that is due fires at this very boundary, whatever the divider is by then.
    if (this.expiry !== undefined && !due) this.setCurrentCount(count);
  }

  /** Takes mode and mask from the LVT entry. Entering or leaving TSC-deadline mode disarms; other changes let the count go on. */
  configure(mode: TimerMode, masked: boolean): void {
    if (mode === this.mode && masked === this.masked) return;
    // A masked periodic timer is not armed: step over the periods that passed unseen.
    if (this.mode === "periodic" && this.masked) this.skipMissedPeriods();
    if ((mode === "tsc-deadline") !== (this.mode === "tsc-deadline")) {
      this.expiry = undefined;
      this.deadlineTsc = 0n;
      if (mode === "tsc-deadline") this.initialCount = 0;
    }
    this.mode = mode;
    this.masked = masked;
    this.arm();
  }

  /** IA32_TSC_DEADLINE: the armed deadline, 0 when none is or in another mode. */
  get tscDeadline(): bigint {
    return this.deadlineTsc;
  }

  /** Guest write of IA32_TSC_DEADLINE: arms; 0 disarms; ignored in other modes. */
  set tscDeadline(value: bigint) {
    if (this.mode !== "tsc-deadline") return;
    this.deadlineTsc = BigInt.asUintN(64, value);
    this.arm();
  }

  /** The guest changed its TSC: the deadline is reached at another time now. */
  tscChanged(): void {
    if (this.mode === "tsc-deadline") this.arm();
  }

  save(): State {
    return {
      initialCount: this.initialCount,
      divideRegister: this.divideRegister,
      mode: this.mode,
      masked: this.masked,
      expiry: this.expiry ?? null,
      deadlineTsc: this.deadlineTsc,
      armed: this.timer.deadline ?? null,
    };
  }

  restore(state: State): void {
    const saved = state as { [key: string]: State };
    this.initialCount = saved["initialCount"] as number;
    this.divideRegister = saved["divideRegister"] as number;
    this.mode = saved["mode"] as TimerMode;
    this.masked = saved["masked"] as boolean;
    this.expiry = (saved["expiry"] as number | null) ?? undefined;
    this.deadlineTsc = saved["deadlineTsc"] as bigint;
    const armed = saved["armed"] as number | null;
    if (armed === null) this.timer.disarm();
    else this.timer.arm(armed);
  }

  private arm(): void {
    const deadline = this.wakeTime();
    if (deadline === undefined || deadline > Number.MAX_SAFE_INTEGER) this.timer.disarm();
    else this.timer.arm(deadline);
  }

  private wakeTime(): number | undefined {
    switch (this.mode) {
      case "one-shot":
        return this.expiry;
      case "periodic":
        return this.masked ? undefined : this.expiry;
      case "tsc-deadline": {
        if (this.deadlineTsc === 0n) return undefined;
        const ticks = Number(this.deadlineTsc - this.tsc.read());
        return this.clock.now() + Math.max(0, Math.ceil(ticks / this.tsc.ticksPerNanosecond));
      }
      case "reserved":
        return undefined;
    }
  }

  private skipMissedPeriods(): void {
    const period = this.initialCount * timerDivisor(this.divideRegister);
    const late = this.expiry === undefined ? -1 : this.clock.now() - this.expiry;
    if (this.expiry === undefined || late < 0) return;
    this.expiry = period === 0 ? undefined : this.expiry + period * (Math.floor(late / period) + 1);
  }

  private expired(): void {
    if (this.mode === "tsc-deadline") {
      if (this.deadlineTsc === 0n) return;
      if (this.tsc.read() < this.deadlineTsc) return this.arm();
      this.deadlineTsc = 0n;
    } else if (this.expiry === undefined || this.clock.now() < this.expiry) {
      return this.arm();
    } else if (this.mode === "periodic") {
      this.skipMissedPeriods();
      this.arm();
    } else {
      this.expiry = undefined;
    }
    this.fire();
  }
}
