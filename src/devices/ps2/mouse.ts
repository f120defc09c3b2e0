import type { State } from "../../common/state";
import { RingQueue } from "../ringQueue";
import type { StateReader } from "../stateReader";

const ACKNOWLEDGE = 0xfa;
const RESEND = 0xfe;
const CAPACITY = 64;
/** Motion that waits to be reported, at most, in each direction. */
const MOTION_LIMIT = 0x7fff;

/** Identities: a plain mouse, one with a wheel (IntelliMouse), one with five buttons. */
const PLAIN = 0;
const WHEEL = 3;
const FIVE_BUTTONS = 4;
/** Sample rates in a row that make the mouse another one. */
const TO_WHEEL = [200, 100, 80] as const;
const TO_FIVE_BUTTONS = [200, 200, 80] as const;

const clamp = (value: number, limit: number): number => Math.max(-limit, Math.min(limit, value));

/** A PS/2 mouse with the IntelliMouse extensions: a wheel, and two more buttons, for drivers that knock for them with sample rates 200, 100, 80 and 200, 200, 80. */
export class Ps2Mouse {
  private readonly queue = new RingQueue(CAPACITY);
  private identity = PLAIN;
  private reporting = false;
  private remote = false;
  private wrap = false;
  private doubled = false;
  private resolution = 2;
  private rate = 100;
  private readonly rates = [0, 0, 0];
  private command = 0;
  private last = 0;
  private dx = 0;
  private dy = 0;
  private dz = 0;
  private buttons = 0;
  private reported = 0;

  /** @param ready called when there is a byte to take */
  constructor(private readonly ready: () => void) {}

  get id(): number {
    return this.identity;
  }

  get enabled(): boolean {
    return this.reporting;
  }

  get waiting(): boolean {
    return this.queue.length > 0;
  }

  next(): number {
    this.last = this.queue.shift() ?? this.last;
    this.report();
    return this.last;
  }

  /**
   * The mouse moved, or a button changed.
   * @param dx to the right, in counts
   * @param dy downwards
   * @param wheel towards the user
   * @param buttons bit 0 left, 1 right, 2 middle, 3 back, 4 forward
   */
  move(dx: number, dy: number, wheel: number, buttons: number): void {
    this.dx = clamp(this.dx + Math.trunc(dx), MOTION_LIMIT);
    // The mouse counts upwards.
    this.dy = clamp(this.dy - Math.trunc(dy), MOTION_LIMIT);
    this.dz = clamp(this.dz + Math.trunc(wheel), MOTION_LIMIT);
    this.buttons = buttons & 0x1f;
    this.report();
  }

  /** Sends what has not been reported, as far as there is room. */
  private report(): void {
    if (!this.reporting || this.remote) return;
    const seen = this.identity === PLAIN ? 0x07 : 0x1f;
    while ((this.dx | this.dy | (this.identity === PLAIN ? 0 : this.dz)) !== 0 || (this.buttons ^ this.reported) & seen) {
      if (this.queue.length + 4 > CAPACITY) return;
      this.packet();
    }
  }

  private packet(): void {
    const dx = clamp(this.dx, 255);
    const dy = clamp(this.dy, 255);
    this.dx -= dx;
    this.dy -= dy;
    this.reported = this.buttons;
    const bytes = [0x08 | (this.buttons & 7) | (dx < 0 ? 0x10 : 0) | (dy < 0 ? 0x20 : 0), dx & 0xff, dy & 0xff];
    if (this.identity === PLAIN) this.dz = 0;
    else {
      const dz = clamp(this.dz, 7);
      this.dz -= dz;
      bytes.push(this.identity === WHEEL ? dz & 0xff : (dz & 0x0f) | ((this.buttons & 0x18) << 1));
    }
    this.send(...bytes);
  }

  private send(...bytes: number[]): void {
    for (const byte of bytes) this.queue.push(byte);
    this.ready();
  }

  private defaults(): void {
    this.queue.clear();
    this.reporting = this.remote = this.wrap = this.doubled = false;
    this.resolution = 2;
    this.rate = 100;
    this.dx = this.dy = this.dz = 0;
  }

  /** A byte from the system: a command, or the argument of the last one. */
  receive(value: number): void {
    if (this.wrap && value !== 0xec && value !== 0xff) return this.send(value);
    const { command } = this;
    this.command = 0;
    if (command !== 0) return this.argument(command, value);
    switch (value) {
      case 0xe6:
      case 0xe7:
        this.doubled = value === 0xe7;
        this.send(ACKNOWLEDGE);
        break;
      case 0xe8: // resolution
      case 0xf3: // sample rate
        this.command = value;
        this.send(ACKNOWLEDGE);
        break;
      case 0xe9:
        this.send(ACKNOWLEDGE, this.statusByte(), this.resolution, this.rate);
        break;
      case 0xea:
      case 0xf0:
        this.remote = value === 0xf0;
        this.send(ACKNOWLEDGE);
        break;
      case 0xeb:
        this.send(ACKNOWLEDGE);
        this.packet();
        break;
      case 0xec:
      case 0xee:
        this.wrap = value === 0xee;
        this.send(ACKNOWLEDGE);
        break;
      case 0xf2:
        this.send(ACKNOWLEDGE, this.identity);
        break;
      case 0xf4:
        this.reporting = true;
        this.dx = this.dy = this.dz = 0;
        this.reported = this.buttons;
        this.send(ACKNOWLEDGE);
        break;
      case 0xf5:
        this.reporting = false;
        this.queue.clear();
        this.send(ACKNOWLEDGE);
        break;
      case 0xf6:
        this.defaults();
        this.send(ACKNOWLEDGE);
        break;
      case 0xfe:
        this.send(this.last);
        break;
      case 0xff:
        this.defaults();
        this.identity = PLAIN;
        this.rates.fill(0);
        this.send(ACKNOWLEDGE, 0xaa, 0x00);
        break;
      default:
        this.send(RESEND);
        break;
    }
  }

  private argument(command: number, value: number): void {
    if (command === 0xe8) this.resolution = value & 3;
    else {
      this.rate = value;
      this.rates.shift();
      this.rates.push(value);
      const knocks = (pattern: readonly number[]): boolean => pattern.every((rate, index) => rate === this.rates[index]);
      if (knocks(TO_WHEEL) && this.identity === PLAIN) this.identity = WHEEL;
      else if (knocks(TO_FIVE_BUTTONS) && this.identity === WHEEL) this.identity = FIVE_BUTTONS;
    }
    this.send(ACKNOWLEDGE);
  }

  /** Status request: remote, enabled, scaling, buttons (middle in bit 1, as the protocol has it). */
  private statusByte(): number {
    const buttons = ((this.buttons & 1) << 2) | ((this.buttons & 4) >> 1) | ((this.buttons & 2) >> 1);
    return (this.remote ? 0x40 : 0) | (this.reporting ? 0x20 : 0) | (this.doubled ? 0x10 : 0) | buttons;
  }

  reset(): void {
    this.defaults();
    this.identity = PLAIN;
    this.rates.fill(0);
    this.command = this.last = this.buttons = this.reported = 0;
  }

  save(): State {
    return {
      queue: this.queue.toArray(),
      flags: [this.reporting, this.remote, this.wrap, this.doubled],
      values: [this.identity, this.resolution, this.rate, this.command, this.last, this.buttons, this.reported],
      rates: this.rates.slice(),
      motion: [this.dx, this.dy, this.dz],
    };
  }

  restore(reader: StateReader): void {
    this.queue.load(reader.numbers("queue"));
    [this.reporting, this.remote, this.wrap, this.doubled] = reader.list("flags").map((flag) => flag === true);
    [this.identity, this.resolution, this.rate, this.command, this.last, this.buttons, this.reported] = reader.numbers("values");
    reader.numbers("rates").forEach((rate, index) => (this.rates[index] = rate));
    [this.dx, this.dy, this.dz] = reader.numbers("motion");
  }
}
