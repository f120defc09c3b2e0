import type { State } from "../common/state";
import { HPET_BASE, HPET_GSI_MASK, PIT_IRQ, RTC_IRQ } from "./board";
import type { Device, DeviceContext, IrqLine, MessageView, RegisterView } from "./device";
import { CONF_32_BIT, CONF_ENABLE, CONF_FSB, CONF_LEVEL, CONF_PERIODIC, HpetTimer } from "./hpetTimer";
import { StateReader } from "./stateReader";

export const HPET_BYTES = 0x400;
/** Nanoseconds between two counts of the main counter: 100 MHz. */
export const HPET_PERIOD = 10;
export const HPET_TIMERS = 3;

/** Revision 1, three timers, 64-bit counter, legacy replacement, vendor 0x8086. */
export const HPET_BLOCK_ID = 0x8086a201;
const FEMTOSECONDS = HPET_PERIOD * 1_000_000;

const GENERAL_ENABLE = 1n;
const GENERAL_LEGACY = 2n;
const MASK64 = (1n << 64n) - 1n;
/** Virtual time is a safe integer of nanoseconds: what lies behind never comes. */
const LAST_TICK = BigInt(Math.floor(Number.MAX_SAFE_INTEGER / HPET_PERIOD));

export interface HpetOptions {
  /** A source of interrupt line n: `IrqFabric.source`. */
  readonly source: (line: number) => IrqLine;
}

/**
 * The high precision event timers (IA-PC HPET specification 1.0a): a 64-bit counter of 100 MHz and three timers, each periodic if wanted, 64 or 32 bits
 * wide, edge or level, to an I/O APIC pin or as a message (FSB). Legacy replacement takes IRQ 0 from the 8254 and IRQ 8 from the clock, whose lines
 * pass through here. Everything is computed from virtual time.
 */
export class Hpet implements Device {
  readonly name = "hpet";
  private configuration = 0n;
  /** Bit n: the level-triggered interrupt of timer n is active. */
  private status = 0;
  /** The counter's value at count `baseTick` of virtual time while it runs, its value while it is halted. */
  private base = 0n;
  private baseTick = 0;
  private readonly timers: readonly HpetTimer[];
  /** Lines by interrupt number that timers may drive, and the levels they have. */
  private readonly lines = new Map<number, { readonly line: IrqLine; level: boolean }>();
  /** Levels of the 8254's and the clock's outputs, which legacy replacement holds back. */
  private readonly legacy: readonly [LegacyLine, LegacyLine];

  constructor(
    private readonly context: DeviceContext,
    options: HpetOptions,
  ) {
    for (const line of [PIT_IRQ, RTC_IRQ]) this.lines.set(line, { line: options.source(line), level: false });
    for (let line = 0; line < 24; line++)
      if (HPET_GSI_MASK & (1 << line)) this.lines.set(line, { line: options.source(line), level: false });
    this.legacy = [new LegacyLine(options.source(PIT_IRQ)), new LegacyLine(options.source(RTC_IRQ))];
    this.timers = Array.from({ length: HPET_TIMERS }, (_, index) => {
      const timer: HpetTimer = new HpetTimer(context.clock.createTimer(`hpet.${index}`, () => this.due(timer)));
      return timer;
    });
    context.mapMmio(this.name, HPET_BASE, HPET_BYTES, {
      polled: true,
      read: (offset, size) => this.read(offset, size),
      write: (offset, size, value) => this.write(offset, size, value),
    });
  }

  /** The line of the 8254's counter 0, and the clock's: they reach IRQ 0 and IRQ 8 unless legacy replacement is on. */
  readonly pitLine: IrqLine = (level) => this.legacy[0].set(level);
  readonly rtcLine: IrqLine = (level) => this.legacy[1].set(level);

  private get running(): boolean {
    return (this.configuration & GENERAL_ENABLE) !== 0n;
  }

  private get replacing(): boolean {
    return (this.configuration & GENERAL_LEGACY) !== 0n;
  }

  private tick(): number {
    return Math.floor(this.context.clock.now() / HPET_PERIOD);
  }

  private counter(): bigint {
    return this.running ? (this.base + BigInt(this.tick() - this.baseTick)) & MASK64 : this.base;
  }

  private setCounter(value: bigint): void {
    this.base = value & MASK64;
    this.baseTick = this.tick();
  }

  // Registers

  /** The 64-bit register at `offset`, a multiple of 8. */
  private register(offset: number): bigint {
    const timer = offset >= 0x100 ? this.timers.at((offset - 0x100) >> 5) : undefined;
    if (timer !== undefined) {
      const field = offset & 0x18;
      if (field === 0x00) return timer.configurationRegister;
      return field === 0x08 ? timer.comparator : field === 0x10 ? timer.message : 0n;
    }
    switch (offset) {
      case 0x00:
        return (BigInt(FEMTOSECONDS) << 32n) | BigInt(HPET_BLOCK_ID);
      case 0x10:
        return this.configuration;
      case 0x20:
        return BigInt(this.status);
      case 0xf0:
        return this.counter();
      default:
        return 0n;
    }
  }

  private read(offset: number, size: 1 | 2 | 4 | 8): bigint {
    const shift = BigInt((offset & 7) * 8);
    return BigInt.asUintN(size * 8, this.register(offset & ~7) >> shift);
  }

  /** Registers take aligned 32-bit and 64-bit writes; others are ignored. */
  private write(offset: number, size: 1 | 2 | 4 | 8, value: bigint): void {
    if (size < 4 || offset % size !== 0) return;
    const at = offset & ~7;
    const shift = BigInt((offset & 7) * 8);
    const mask = ((1n << BigInt(size * 8)) - 1n) << shift;
    const written = value << shift;
    const index = (at - 0x100) >> 5;
    if (at >= 0x100) {
      const timer = this.timers.at(index);
      if (timer === undefined || index < 0) return;
      this.writeTimer(index, timer, at & 0x18, written, mask);
      return;
    }
    switch (at) {
      case 0x10:
        this.writeConfiguration((this.configuration & ~mask) | (written & mask));
        break;
      case 0x20:
        this.status &= ~Number(written & 7n);
        this.drive();
        break;
      case 0xf0:
        this.setCounter((this.counter() & ~mask) | (written & mask));
        this.armAll();
        break;
      default:
        break;
    }
  }

  private writeConfiguration(value: bigint): void {
    const count = this.counter();
    this.configuration = value & (GENERAL_ENABLE | GENERAL_LEGACY);
    this.setCounter(count);
    for (const line of this.legacy) line.hold(this.replacing);
    // Where interrupts go has changed: edges leave their lines as they find them, in the new place.
    for (const timer of this.timers) timer.edge = false;
    this.drive();
    this.armAll();
  }

  private writeTimer(index: number, timer: HpetTimer, field: number, written: bigint, mask: bigint): void {
    if (field === 0x00) {
      timer.writeConfiguration(written, mask);
      if (!timer.level) this.status &= ~(1 << index);
      if (!timer.enabled || timer.level) timer.edge = false;
      this.drive();
    } else if (field === 0x08) timer.writeComparator(written, mask);
    else if (field === 0x10) timer.message = (timer.message & ~mask) | (written & mask);
    this.arm(timer);
  }

  // Interrupts

  private armAll(): void {
    for (const timer of this.timers) this.arm(timer);
  }

  /** Arms for the next time at which the counter equals the comparator; a timer whose interrupt is off has none to give. */
  private arm(timer: HpetTimer): void {
    if (!this.running || !timer.enabled) return timer.clock.disarm();
    const tick = BigInt(this.tick()) + timer.distance(this.counter());
    if (tick > LAST_TICK) timer.clock.disarm();
    else timer.clock.arm(Number(tick) * HPET_PERIOD);
  }

  private due(timer: HpetTimer): void {
    timer.reached(this.counter());
    if (timer.level) this.status |= 1 << this.timers.indexOf(timer);
    this.interrupt(timer);
    this.arm(timer);
  }

  private interrupt(timer: HpetTimer): void {
    if (timer.has(CONF_FSB)) {
      this.context.memory.write32(Number(timer.message >> 32n), Number(timer.message & 0xffffffffn));
      return;
    }
    if (!timer.level) {
      // Low, then high: an edge, and the line stays high for an 8259, which wants to see it until it is acknowledged.
      timer.edge = false;
      this.drive();
      timer.edge = true;
    }
    this.drive();
  }

  /** The interrupt that timer `index` drives now. */
  private route(index: number, timer: HpetTimer): number {
    if (this.replacing && index < 2) return index === 0 ? PIT_IRQ : RTC_IRQ;
    return timer.route;
  }

  /** Lets each line follow the timers that are routed to it. */
  private drive(): void {
    for (const [number, wire] of this.lines) {
      let level = false;
      for (const [index, timer] of this.timers.entries()) {
        if (!timer.enabled || timer.has(CONF_FSB) || this.route(index, timer) !== number) continue;
        if (!this.replacing && (number === PIT_IRQ || number === RTC_IRQ)) continue;
        if (timer.level ? this.status & (1 << index) : timer.edge) level = true;
      }
      if (wire.level === level) continue;
      wire.level = level;
      wire.line(level);
    }
  }

  reset(): void {
    this.configuration = 0n;
    this.status = 0;
    this.setCounter(0n);
    for (const timer of this.timers) timer.reset();
    for (const line of this.legacy) line.hold(false);
    this.drive();
  }

  /** The counter is brought up to now, so that the state does not depend on when somebody last looked. */
  save(): State {
    this.setCounter(this.counter());
    return {
      configuration: this.configuration,
      status: this.status,
      base: this.base,
      baseTick: this.baseTick,
      timers: this.timers.map((timer) => timer.save()),
      lines: [...this.lines.values()].map((wire) => (wire.level ? 1 : 0)),
      legacy: this.legacy.map((line) => line.save()),
    };
  }

  restore(state: State): void {
    const reader = new StateReader(state, this.name);
    this.configuration = reader.bigint("configuration");
    this.status = reader.number("status");
    this.base = reader.bigint("base");
    this.baseTick = reader.number("baseTick");
    const timers = reader.list("timers");
    this.timers.forEach((timer, index) => timer.restore(new StateReader(timers[index] ?? null, `${this.name}.${index}`)));
    const levels = reader.numbers("lines");
    [...this.lines.values()].forEach((wire, index) => (wire.level = levels[index] === 1));
    const legacy = reader.numbers("legacy");
    this.legacy.forEach((line, index) => line.restore(legacy[index] ?? 0, this.replacing));
  }

  registers(): readonly RegisterView[] {
    return [
      { name: "capabilities", value: this.register(0), bits: 64 },
      {
        name: "configuration",
        value: this.configuration,
        bits: 64,
        text: `${this.running ? "running" : "halted"}${this.replacing ? ", replaces IRQ 0 and 8" : ""}`,
      },
      { name: "interrupt status", value: BigInt(this.status), bits: 32 },
      { name: "counter", value: this.counter(), bits: 64 },
      ...this.timers.flatMap((timer, index) => [
        { name: `timer ${index} configuration`, value: timer.configurationRegister, bits: 64, text: this.describe(index, timer) },
        { name: `timer ${index} comparator`, value: timer.comparator, bits: 64 },
        { name: `timer ${index} message`, value: timer.message, bits: 64 },
      ]),
    ];
  }

  messages(): readonly MessageView[] {
    return this.timers.flatMap((timer, index) =>
      timer.has(CONF_FSB)
        ? [
            {
              name: `timer ${index}`,
              address: Number(timer.message >> 32n),
              data: Number(timer.message & 0xffffffffn),
              masked: !timer.has(CONF_ENABLE),
              pending: false,
            },
          ]
        : [],
    );
  }

  private describe(index: number, timer: HpetTimer): string {
    const where = timer.has(CONF_FSB) ? "message" : `interrupt ${this.route(index, timer)}`;
    return [
      timer.has(CONF_ENABLE) ? "enabled" : "disabled",
      timer.has(CONF_PERIODIC) ? "periodic" : "one-shot",
      timer.has(CONF_32_BIT) ? "32 bits" : "64 bits",
      timer.has(CONF_LEVEL) ? "level" : "edge",
      where,
    ].join(", ");
  }
}

/** An interrupt line of another timer on its way through here: held low while it is replaced. */
class LegacyLine {
  private level = false;
  private held = false;

  constructor(private readonly line: IrqLine) {}

  set(level: boolean): void {
    this.level = level;
    this.line(level && !this.held);
  }

  hold(held: boolean): void {
    this.held = held;
    this.line(this.level && !held);
  }

  save(): number {
    return this.level ? 1 : 0;
  }

  restore(level: number, held: boolean): void {
    this.level = level === 1;
    this.held = held;
  }
}
