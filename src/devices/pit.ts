import type { State } from "../common/state";
import { PIT_PORT, SYSTEM_CONTROL_B_PORT } from "./board";
import type { Device, DeviceContext, IrqLine, RegisterView, Timer } from "./device";
import { Oscillator } from "./oscillator";
import { PitCounter } from "./pitCounter";
import { byteHandler } from "./ports";
import { StateReader } from "./stateReader";

/** The PC's timer crystal. */
export const PIT_HZ = 1_193_182;
/** Port 0x61 bit 4 flips with every refresh cycle: 15.085 microseconds. */
const REFRESH_PERIOD = 15_085;

/**
 * The 8254 of a PC: counter 0 drives IRQ 0 with exact edges, counter 1 is free (refresh), counter 2 has its gate and its
 * output in port 0x61. Counters are computed from virtual time; the only timer is the one for counter 0's next edge.
 */
export class Pit implements Device {
  readonly name = "pit";
  private readonly crystal = new Oscillator(PIT_HZ);
  private readonly counters: readonly [PitCounter, PitCounter, PitCounter] = [
    new PitCounter(true),
    new PitCounter(true),
    new PitCounter(false),
  ];
  private readonly timer: Timer;
  private irqLevel = false;
  /** Port 0x61 bits 3:0: gate 2, speaker, and two check enables that do nothing. */
  private controlB = 0;

  constructor(
    private readonly context: DeviceContext,
    private readonly irq: IrqLine,
  ) {
    this.timer = context.clock.createTimer(this.name, () => this.follow());
    context.mapPorts(
      this.name,
      PIT_PORT,
      4,
      byteHandler(
        (port) => ((port & 3) === 3 ? 0xff : this.counters[port & 3].read(this.now())),
        (port, value) => {
          if ((port & 3) === 3) this.control(value);
          else this.counters[port & 3].write(value, this.now());
          this.follow();
        },
      ),
    );
    context.mapPorts(
      "pit.controlB",
      SYSTEM_CONTROL_B_PORT,
      1,
      byteHandler(
        () => this.readControlB(),
        (_port, value) => {
          this.controlB = value & 0x0f;
          this.counters[2].setGate((value & 1) !== 0, this.now());
        },
      ),
    );
  }

  private now(): number {
    return this.crystal.ticksAt(this.context.clock.now());
  }

  private readControlB(): number {
    this.counters[2].advance(this.now());
    const refresh = Math.floor(this.context.clock.now() / REFRESH_PERIOD) & 1;
    return this.controlB | (refresh << 4) | (this.counters[2].out ? 0x20 : 0);
  }

  private control(value: number): void {
    const tick = this.now();
    const select = value >> 6;
    if (select === 3) {
      // Read-back: bits 5 and 4 low select count and status, bits 3:1 the counters.
      for (let index = 0; index < 3; index++) {
        if (!(value & (2 << index))) continue;
        if (!(value & 0x20)) this.counters[index].latchCount(tick);
        if (!(value & 0x10)) this.counters[index].latchStatus(tick);
      }
    } else if ((value & 0x30) === 0) {
      this.counters[select].latchCount(tick);
    } else {
      this.counters[select].control(value, tick);
    }
  }

  /** Lets IRQ 0 follow counter 0's OUT and waits for its next change. */
  private follow(): void {
    const counter = this.counters[0];
    counter.advance(this.now());
    const level = counter.out;
    const next = counter.nextChange();
    if (next === Infinity) this.timer.disarm();
    else this.timer.arm(this.crystal.timeOf(next));
    if (level !== this.irqLevel) {
      this.irqLevel = level;
      this.irq(level);
    }
  }

  /** The 8254 has no reset pin; a system reset leaves the state it powers up with: no counter counts until programmed. */
  reset(): void {
    for (const counter of this.counters) {
      counter.reset();
      counter.advance(this.now());
    }
    this.controlB = 0;
    this.follow();
  }

  /** Counters are brought up to now first: the state does not depend on when somebody last looked. */
  save(): State {
    const tick = this.now();
    for (const counter of this.counters) counter.advance(tick);
    return {
      counters: this.counters.map((counter) => counter.save()),
      irq: this.irqLevel,
      controlB: this.controlB,
      deadline: this.timer.deadline ?? null,
    };
  }

  restore(state: State): void {
    const reader = new StateReader(state, this.name);
    const saved = reader.list("counters");
    this.counters.forEach((counter, index) => counter.restore(new StateReader(saved[index] ?? null, `${this.name}.counter${index}`)));
    this.irqLevel = reader.boolean("irq");
    this.controlB = reader.number("controlB");
    reader.timer("deadline", this.timer);
  }

  /** Counter values as of now; bringing a counter up to date changes nothing a guest can see. */
  registers(): readonly RegisterView[] {
    const tick = this.now();
    return [
      ...this.counters.map((counter, index) => {
        counter.advance(tick);
        return counter.view(`counter ${index}`);
      }),
      { name: "port 0x61", value: BigInt(this.readControlB()), bits: 8 },
    ];
  }
}
