import type { State } from "../../common/state";
import { RingQueue } from "../ringQueue";
import type { StateReader } from "../stateReader";
import { toSet2 } from "./scanCodes";

const ACKNOWLEDGE = 0xfa;
const RESEND = 0xfe;
const SELF_TEST_PASSED = 0xaa;
/** Bytes that wait to be read; keys that do not fit are lost, as a person types ahead of the guest. */
const CAPACITY = 256;

/**
 * A PC keyboard with 101 keys: scan code sets 1 and 2 (set 3, which no system uses by default, is refused with RESEND), LEDs, identity AB 83. Keys do not repeat by
 * themselves: typematic rates are taken and mean nothing.
 */
export class Ps2Keyboard {
  private readonly queue = new RingQueue(CAPACITY);
  private scanning = true;
  private set: 1 | 2 = 2;
  private leds = 0;
  /** Command that waits for its argument, 0 for none. */
  private command = 0;
  private last = 0;

  /** @param ready called when there is a byte to take */
  constructor(private readonly ready: () => void) {}

  /** Bit 0 Scroll Lock, bit 1 Num Lock, bit 2 Caps Lock. */
  get indicators(): number {
    return this.leds;
  }

  get scanCodeSet(): number {
    return this.set;
  }

  get waiting(): boolean {
    return this.queue.length > 0;
  }

  /** The next byte for the controller. */
  next(): number {
    this.last = this.queue.shift() ?? this.last;
    return this.last;
  }

  /** Keys in set 1: make codes, break codes with bit 7, prefixes 0xe0 and 0xe1. Returns false, and takes none, if they do not fit or scanning is off. */
  type(codes: Uint8Array): boolean {
    if (!this.scanning || this.queue.length + 2 * codes.length > CAPACITY) return false;
    for (const code of codes) for (const byte of this.set === 1 ? [code] : toSet2(code)) this.queue.push(byte);
    this.ready();
    return true;
  }

  private send(...bytes: number[]): void {
    for (const byte of bytes) this.queue.push(byte);
    this.ready();
  }

  private defaults(scanning: boolean): void {
    this.queue.clear();
    this.scanning = scanning;
    this.set = 2;
  }

  /** A byte from the system: a command, or the argument of the last one. */
  receive(value: number): void {
    const { command } = this;
    this.command = 0;
    if (command !== 0 && value < 0x80) return this.argument(command, value);
    switch (value) {
      case 0xed: // LEDs
      case 0xf0: // scan code set
      case 0xf3: // typematic rate
        this.command = value;
        this.send(ACKNOWLEDGE);
        break;
      case 0xee:
        this.send(0xee);
        break;
      case 0xf2:
        this.send(ACKNOWLEDGE, 0xab, 0x83);
        break;
      case 0xf4:
        this.queue.clear();
        this.scanning = true;
        this.send(ACKNOWLEDGE);
        break;
      case 0xf5:
        this.defaults(false);
        this.send(ACKNOWLEDGE);
        break;
      case 0xf6:
        this.defaults(true);
        this.send(ACKNOWLEDGE);
        break;
      case 0xf7: // Key types of set 3: taken, without effect on the others.
      case 0xf8:
      case 0xf9:
      case 0xfa:
        this.send(ACKNOWLEDGE);
        break;
      case 0xfe:
        this.send(this.last);
        break;
      case 0xff:
        this.defaults(true);
        this.leds = 0;
        this.send(ACKNOWLEDGE, SELF_TEST_PASSED);
        break;
      default:
        this.send(RESEND);
        break;
    }
  }

  private argument(command: number, value: number): void {
    if (command === 0xed) this.leds = value & 7;
    else if (command === 0xf0) {
      if (value === 0) return this.send(ACKNOWLEDGE, this.set);
      if (value > 2) return this.send(RESEND);
      this.set = value === 1 ? 1 : 2;
    }
    this.send(ACKNOWLEDGE);
  }

  reset(): void {
    this.defaults(true);
    this.leds = 0;
    this.command = 0;
    this.last = 0;
  }

  save(): State {
    return {
      queue: this.queue.toArray(),
      scanning: this.scanning,
      set: this.set,
      leds: this.leds,
      command: this.command,
      last: this.last,
    };
  }

  restore(reader: StateReader): void {
    this.queue.load(reader.numbers("queue"));
    this.scanning = reader.boolean("scanning");
    this.set = reader.number("set") === 1 ? 1 : 2;
    this.leds = reader.number("leds");
    this.command = reader.number("command");
    this.last = reader.number("last");
  }
}
