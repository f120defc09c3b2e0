import type { State } from "../common/state";
import {
  ACPI_DISABLE_VALUE,
  ACPI_ENABLE_VALUE,
  GPE0_PORT,
  PM_BASE,
  PM_TIMER_BITS,
  S3_SLEEP_TYPE,
  S5_SLEEP_TYPE,
  SMI_COMMAND_PORT,
} from "./board";
import type { Device, DeviceContext, IrqLine, PortRegion, RegisterView, Timer } from "./device";
import { Oscillator } from "./oscillator";
import { byteHandler } from "./ports";
import { StateReader } from "./stateReader";

/** ACPI's timer clock. */
export const PM_TIMER_HZ = 3_579_545;

export const PM1_TMR = 0x0001;
export const PM1_GBL = 0x0020;
export const PM1_PWRBTN = 0x0100;
export const PM1_SLPBTN = 0x0200;
export const PM1_RTC = 0x0400;
export const PM1_WAK = 0x8000;
const STATUS_BITS = PM1_TMR | 0x0010 | PM1_GBL | PM1_PWRBTN | PM1_SLPBTN | PM1_RTC | PM1_WAK;
const ENABLE_BITS = PM1_TMR | PM1_GBL | PM1_PWRBTN | PM1_SLPBTN | PM1_RTC;

export const PM1_SCI_EN = 0x0001;
const SLP_TYP = 0x1c00;
const SLP_EN = 0x2000;
/** Bits of PM1 control that keep what is written: BM_RLD and SLP_TYP. GBL_RLS and SLP_EN read as zero, SCI_EN belongs to the firmware. */
const CONTROL_KEPT = 0x0002 | SLP_TYP;

/** From the event that ends S3 to the first instruction. */
const WAKE_NANOSECONDS = 1e6;

export interface AcpiPmOutputs {
  /** The system control interrupt, level. */
  readonly sci: IrqLine;
  /** The guest entered S5. */
  readonly powerOff: () => void;
  /** The guest entered S3: all but memory, the clock and this device loses power. */
  readonly sleep?: () => void;
  /** An enabled event ends S3. */
  readonly wake?: () => void;
  /** A system-management interrupt: the guest wrote the APM command port, and firmware asked for it. */
  readonly smi?: () => void;
}

/** Offsets from the power management block's base (PIIX4 data sheet, "Power Management I/O Registers"). */
const PM1_EVENT = 0x00;
const PM1_CONTROL = 0x04;
const PM_TIMER = 0x08;
const GLOBAL_CONTROL = 0x28;
const GLOBAL_SMI_ENABLE = 0x01;
/** Bytes of the block. */
const PM_BLOCK_LENGTH = 0x40;

/**
 * ACPI's fixed hardware (ACPI specification, chapter 4): PM1a event and control blocks, PM timer, GPE0 block, and the SMI
 * command port, where the commands that enable and disable ACPI are carried out by the device itself, whether or not firmware asks for an SMI as well.
 */
export class AcpiPm implements Device {
  readonly name = "acpi";
  private readonly crystal = new Oscillator(PM_TIMER_HZ);
  private readonly timer: Timer;
  private readonly wakeTimer: Timer;
  /** In S3. */
  private asleep = false;
  private status = 0;
  private enable = 0;
  private control = 0;
  private gpeStatus = 0;
  private gpeEnable = 0;
  private apmCommand = 0;
  private apmData = 0;
  private sciLevel = false;
  /** Pulse up to which TMR_STS is up to date. */
  private seenTick = 0;
  private globalControl = 0;
  /** Where the power management block is decoded; follows {@link decode}. */
  private base = PM_BASE;
  private readonly regions: { readonly region: PortRegion; readonly offset: number }[] = [];
  /** The power management function lets the APM command port raise SMIs, if global control allows. Owned and saved by that function. */
  smiOnCommand = false;

  constructor(
    private readonly context: DeviceContext,
    private readonly outputs: AcpiPmOutputs,
  ) {
    this.timer = context.clock.createTimer(this.name, () => this.update());
    this.wakeTimer = context.clock.createTimer(`${this.name}.wake`, () => outputs.wake?.());
    const block = (
      name: string,
      first: number,
      count: number,
      read: (offset: number) => number,
      write: (offset: number, value: number) => void,
    ): void => {
      // The block at the base register moves with it, the others stay.
      const movable = first < PM_BLOCK_LENGTH;
      const start = (): number => (movable ? this.base + first : first);
      const region = context.mapPorts(
        name,
        start(),
        count,
        byteHandler(
          (port) => read(port - start()),
          (port, value) => {
            write(port - start(), value);
            this.update();
          },
        ),
      );
      if (movable) this.regions.push({ region, offset: first });
    };
    block(
      "acpi.pm1aEvent",
      PM1_EVENT,
      4,
      (offset) => {
        this.followTimer();
        return ((offset & 2 ? this.enable : this.status) >> ((offset & 1) * 8)) & 0xff;
      },
      (offset, value) => {
        this.followTimer();
        const shift = (offset & 1) * 8;
        if (offset & 2) this.enable = ((this.enable & ~(0xff << shift)) | (value << shift)) & ENABLE_BITS;
        else this.status &= ~(value << shift);
      },
    );
    const control = context.mapPorts("acpi.pm1aControl", this.base + PM1_CONTROL, 2, {
      read: (port, size) => (this.control >> ((port & 1) * 8)) & (size === 1 ? 0xff : 0xffff),
      write: (port, size, value) => this.writeControl(port & 1, size, value),
    });
    const timer = context.mapPorts("acpi.timer", this.base + PM_TIMER, 4, {
      read: (port, size) => {
        const value = this.timerValue() >>> ((port & 3) * 8);
        return size === 4 ? value : value & (size === 2 ? 0xffff : 0xff);
      },
      write: () => undefined,
    });
    this.regions.push({ region: control, offset: PM1_CONTROL }, { region: timer, offset: PM_TIMER });
    block(
      "acpi.globalControl",
      GLOBAL_CONTROL,
      4,
      (offset) => (this.globalControl >>> (offset * 8)) & 0xff,
      (offset, value) => {
        this.globalControl = ((this.globalControl & ~(0xff << (offset * 8))) | (value << (offset * 8))) >>> 0;
      },
    );
    block(
      "acpi.gpe0",
      GPE0_PORT,
      4,
      (offset) => ((offset & 2 ? this.gpeEnable : this.gpeStatus) >> ((offset & 1) * 8)) & 0xff,
      (offset, value) => {
        const shift = (offset & 1) * 8;
        if (offset & 2) this.gpeEnable = (this.gpeEnable & ~(0xff << shift)) | (value << shift);
        else this.gpeStatus &= ~(value << shift);
      },
    );
    block(
      "acpi.smiCommand",
      SMI_COMMAND_PORT,
      2,
      (offset) => (offset === 0 ? this.apmCommand : this.apmData),
      (offset, value) => {
        if (offset === 1) this.apmData = value;
        else this.command(value);
      },
    );
  }

  /** Decodes the power management block at `base`, a multiple of 64, or nowhere. */
  decode(base: number | undefined): void {
    if (base !== undefined) this.base = base;
    for (const { region, offset } of this.regions) {
      region.move(this.base + offset);
      region.setEnabled(base !== undefined);
    }
  }

  private command(value: number): void {
    this.apmCommand = value;
    if (this.smiOnCommand && this.globalControl & GLOBAL_SMI_ENABLE) this.outputs.smi?.();
    if (value === ACPI_ENABLE_VALUE) this.control |= PM1_SCI_EN;
    else if (value === ACPI_DISABLE_VALUE) this.control &= ~PM1_SCI_EN;
  }

  private writeControl(offset: number, size: 1 | 2 | 4, value: number): void {
    const shift = offset * 8;
    const mask = ((size === 1 ? 0xff : 0xffff) << shift) & 0xffff;
    const bits = (value << shift) & mask;
    this.control = (this.control & ~(mask & CONTROL_KEPT)) | (bits & CONTROL_KEPT);
    this.update();
    if (!(bits & SLP_EN)) return;
    const type = (this.control & SLP_TYP) >> 10;
    if (type === S5_SLEEP_TYPE) this.outputs.powerOff();
    else if (type === S3_SLEEP_TYPE && this.outputs.sleep !== undefined) {
      this.asleep = true;
      this.outputs.sleep();
      this.update();
    }
  }

  private tick(): number {
    return this.crystal.ticksAt(this.context.clock.now());
  }

  private timerValue(): number {
    const tick = this.tick();
    return PM_TIMER_BITS === 32 ? tick % 0x1_0000_0000 : tick % 0x100_0000;
  }

  /** TMR_STS is set whenever the timer's highest bit changes. */
  private followTimer(): void {
    const half = 2 ** (PM_TIMER_BITS - 1);
    const tick = this.tick();
    if (Math.floor(tick / half) !== Math.floor(this.seenTick / half)) this.status |= PM1_TMR;
    this.seenTick = tick;
  }

  private update(): void {
    this.followTimer();
    if (this.enable & PM1_TMR && !(this.status & PM1_TMR)) {
      const half = 2 ** (PM_TIMER_BITS - 1);
      this.timer.arm(this.crystal.timeOf((Math.floor(this.seenTick / half) + 1) * half));
    } else {
      this.timer.disarm();
    }
    const requested = (this.status & this.enable) !== 0 || (this.gpeStatus & this.gpeEnable) !== 0;
    if (this.asleep && requested && this.wakeTimer.deadline === undefined) this.wakeTimer.arm(this.context.clock.now() + WAKE_NANOSECONDS);
    const level = requested && (this.control & PM1_SCI_EN) !== 0;
    if (level === this.sciLevel) return;
    this.sciLevel = level;
    this.outputs.sci(level);
  }

  /** The clock's alarm, if the guest enabled it. */
  rtcAlarm(): void {
    this.status |= PM1_RTC;
    this.update();
  }

  /** Power is back: WAK_STS and what woke the board are told, in ACPI mode as before; the guest enables its events anew (ACPI specification, "PM1 Status Registers"). */
  wakeUp(): void {
    const { status, gpeStatus, control } = this;
    this.reset();
    this.status = status | PM1_WAK;
    this.gpeStatus = gpeStatus;
    this.control = control & PM1_SCI_EN;
    this.update();
  }

  /** Presses and releases the power button: asks the guest to shut down. */
  pressPowerButton(): void {
    this.status |= PM1_PWRBTN;
    this.update();
  }

  /** Sets status bit `index` (0 to 15) of GPE0: an event of the board. */
  raiseGpe(index: number): void {
    this.gpeStatus |= 1 << (index & 15);
    this.update();
  }

  reset(): void {
    this.status = this.enable = this.control = 0;
    this.gpeStatus = this.gpeEnable = 0;
    this.apmCommand = this.apmData = 0;
    this.asleep = false;
    this.wakeTimer.disarm();
    this.globalControl = 0;
    this.seenTick = this.tick();
    this.update();
  }

  save(): State {
    this.followTimer();
    return {
      status: this.status,
      enable: this.enable,
      control: this.control,
      gpeStatus: this.gpeStatus,
      gpeEnable: this.gpeEnable,
      apmCommand: this.apmCommand,
      apmData: this.apmData,
      globalControl: this.globalControl,
      sci: this.sciLevel,
      seenTick: this.seenTick,
      deadline: this.timer.deadline ?? null,
      asleep: this.asleep,
      wake: this.wakeTimer.deadline ?? null,
    };
  }

  restore(state: State): void {
    const reader = new StateReader(state, this.name);
    this.status = reader.number("status");
    this.enable = reader.number("enable");
    this.control = reader.number("control");
    this.gpeStatus = reader.number("gpeStatus");
    this.gpeEnable = reader.number("gpeEnable");
    this.apmCommand = reader.number("apmCommand");
    this.apmData = reader.number("apmData");
    this.globalControl = reader.number("globalControl");
    this.sciLevel = reader.boolean("sci");
    this.seenTick = reader.number("seenTick");
    reader.timer("deadline", this.timer);
    this.asleep = reader.boolean("asleep");
    reader.timer("wake", this.wakeTimer);
  }

  registers(): readonly RegisterView[] {
    const names = (value: number): string => {
      const all: readonly (readonly [number, string])[] = [
        [PM1_TMR, "timer"],
        [PM1_GBL, "global lock"],
        [PM1_PWRBTN, "power button"],
        [PM1_SLPBTN, "sleep button"],
        [PM1_RTC, "RTC"],
        [PM1_WAK, "wake"],
      ];
      const set = all.filter(([bit]) => value & bit).map(([, name]) => name);
      return set.length === 0 ? "none" : set.join(", ");
    };
    return [
      { name: "PM1_STS", value: BigInt(this.status & STATUS_BITS), bits: 16, text: names(this.status) },
      { name: "PM1_EN", value: BigInt(this.enable), bits: 16, text: names(this.enable) },
      { name: "PM1_CNT", value: BigInt(this.control), bits: 16, text: this.control & PM1_SCI_EN ? "ACPI mode" : "legacy mode" },
      { name: "PM_TMR", value: BigInt(this.timerValue()), bits: PM_TIMER_BITS },
      { name: "GPE0_STS", value: BigInt(this.gpeStatus), bits: 16 },
      { name: "GPE0_EN", value: BigInt(this.gpeEnable), bits: 16 },
    ];
  }
}
