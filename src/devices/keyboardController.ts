import type { State } from "../common/state";
import { KEYBOARD_PORT } from "./board";
import type { Device, DeviceContext, IrqLine, RegisterView } from "./device";
import { byteHandler } from "./ports";
import { Ps2Keyboard } from "./ps2/keyboard";
import { Ps2Mouse } from "./ps2/mouse";
import { translate } from "./ps2/scanCodes";
import type { A20Gate } from "./reset";
import { RingQueue } from "./ringQueue";
import { StateReader } from "./stateReader";

const STATUS_FULL = 0x01;
const STATUS_SYSTEM = 0x04;
const STATUS_COMMAND = 0x08;
const STATUS_UNLOCKED = 0x10;
/** The byte in the output buffer is the mouse's. */
const STATUS_AUXILIARY = 0x20;

const COMMAND_BYTE_INTERRUPT = 0x01;
const COMMAND_BYTE_AUXILIARY_INTERRUPT = 0x02;
const COMMAND_BYTE_SYSTEM = 0x04;
const COMMAND_BYTE_KEYBOARD_OFF = 0x10;
const COMMAND_BYTE_AUXILIARY_OFF = 0x20;
const COMMAND_BYTE_TRANSLATE = 0x40;

/** First byte of what `receive` takes: set 1 codes of keys follow, or the mouse's motion to the right, downwards, and of its wheel (16 bits each) and its buttons. */
const INPUT_KEYS = 0;
const INPUT_MOUSE = 1;
const MOUSE_INPUT_BYTES = 8;

/** What `receive` takes for keys that go down or up: set 1 scan codes. */
export function keyboardInput(codes: Uint8Array): Uint8Array {
  return Uint8Array.of(INPUT_KEYS, ...codes);
}

/**
 * What `receive` takes for a mouse that moves by counts to the right and downwards, whose wheel turns towards the user (-32768 to 32767 each), and whose `buttons` are down (bit 0 left, 1 right, 2 middle,
 * 3 back, 4 forward).
 */
export function mouseInput(dx: number, dy: number, wheel: number, buttons: number): Uint8Array {
  const bytes = new Uint8Array(MOUSE_INPUT_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, INPUT_MOUSE);
  for (const [index, value] of [dx, dy, wheel].entries())
    view.setInt16(1 + 2 * index, Math.max(-0x8000, Math.min(0x7fff, Math.trunc(value))), true);
  view.setUint8(7, buttons & 0x1f);
  return bytes;
}

/** In the controller's own queue: the byte goes out as the mouse's. */
const FROM_AUXILIARY = 0x100;
const BREAK_PREFIX = 0xf0;

export interface KeyboardControllerOptions {
  /** IRQ 1. */
  readonly irq: IrqLine;
  /** IRQ 12. */
  readonly mouseIrq: IrqLine;
  readonly a20: Pick<A20Gate, "enabled" | "set">;
  /** The output port's reset line was pulsed. */
  readonly requestReset: () => void;
}

/**
 * The 8042 of a PC with a keyboard and a mouse: it tests itself, keeps its command byte and RAM, drives A20 and reset, translates the keyboard's scan codes of
 * set 2 to set 1, and tells the mouse's bytes apart. Answers are ready immediately; the input buffer is never seen full.
 */
export class KeyboardController implements Device {
  readonly name = "kbc";
  readonly keyboard = new Ps2Keyboard(() => this.fill());
  readonly mouse = new Ps2Mouse(() => this.fill());
  /** Internal RAM; byte 0 is the command byte. */
  private readonly ram = new Uint8Array(32);
  /** The controller's own answers, which come before what the devices send. */
  private readonly answers = new RingQueue(16);
  private output = 0;
  private status = 0;
  /** Command that waits for its data byte, 0 when none does. */
  private waiting = 0;
  /** The keyboard sent a break prefix, which translation turns into bit 7 of the next byte. */
  private breaking = false;
  private filling = false;
  private irqLevel = false;
  private mouseIrqLevel = false;

  constructor(
    context: DeviceContext,
    private readonly options: KeyboardControllerOptions,
  ) {
    // Two single ports: what lies between them belongs to others.
    context.mapPorts(
      "kbc.data",
      KEYBOARD_PORT,
      1,
      byteHandler(
        () => this.readData(),
        (_port, value) => this.writeData(value),
      ),
    );
    context.mapPorts(
      "kbc.command",
      KEYBOARD_PORT + 4,
      1,
      byteHandler(
        () => this.status,
        (_port, value) => this.command(value),
      ),
    );
    this.powerUp();
  }

  /** Input from outside, for the keyboard ({@link keyboardInput}) or the mouse ({@link mouseInput}); anything else is ignored. All of it is taken: keys that do not fit are lost. */
  receive(bytes: Uint8Array): number {
    if (bytes[0] === INPUT_KEYS) this.keyboard.type(bytes.subarray(1));
    else if (bytes[0] === INPUT_MOUSE && bytes.length === MOUSE_INPUT_BYTES) {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      this.mouse.move(view.getInt16(1, true), view.getInt16(3, true), view.getInt16(5, true), view.getUint8(7));
    }
    return bytes.length;
  }

  private powerUp(): void {
    this.ram.fill(0);
    this.answers.clear();
    this.output = 0;
    this.status = STATUS_UNLOCKED;
    this.waiting = 0;
    this.breaking = false;
    this.keyboard.reset();
    this.mouse.reset();
  }

  private answer(value: number, flags = 0): void {
    this.answers.push(value | flags);
    this.fill();
  }

  /** Puts the next byte that waits into the output buffer, if that is empty. */
  private fill(): void {
    // Taking the mouse's byte may make it ready with more.
    if (this.filling) return;
    this.filling = true;
    while (!(this.status & STATUS_FULL)) {
      const own = this.answers.shift();
      if (own !== undefined) this.put(own & 0xff, (own & FROM_AUXILIARY) !== 0);
      else if (this.keyboard.waiting && !(this.ram[0] & COMMAND_BYTE_KEYBOARD_OFF)) this.fromKeyboard(this.keyboard.next());
      else if (this.mouse.waiting && !(this.ram[0] & COMMAND_BYTE_AUXILIARY_OFF)) this.put(this.mouse.next(), true);
      else break;
    }
    this.filling = false;
    this.update();
  }

  private fromKeyboard(byte: number): void {
    if (!(this.ram[0] & COMMAND_BYTE_TRANSLATE)) return this.put(byte, false);
    if (byte === BREAK_PREFIX) {
      this.breaking = true;
      return;
    }
    this.put(translate(byte) | (this.breaking ? 0x80 : 0), false);
    this.breaking = false;
  }

  private put(byte: number, auxiliary: boolean): void {
    this.output = byte;
    this.status = (this.status & ~STATUS_AUXILIARY) | STATUS_FULL | (auxiliary ? STATUS_AUXILIARY : 0);
  }

  private update(): void {
    const full = (this.status & STATUS_FULL) !== 0;
    const auxiliary = (this.status & STATUS_AUXILIARY) !== 0;
    const level = full && !auxiliary && (this.ram[0] & COMMAND_BYTE_INTERRUPT) !== 0;
    const mouseLevel = full && auxiliary && (this.ram[0] & COMMAND_BYTE_AUXILIARY_INTERRUPT) !== 0;
    if (level !== this.irqLevel) {
      this.irqLevel = level;
      this.options.irq(level);
    }
    if (mouseLevel !== this.mouseIrqLevel) {
      this.mouseIrqLevel = mouseLevel;
      this.options.mouseIrq(mouseLevel);
    }
  }

  private readData(): number {
    const value = this.output;
    this.status &= ~STATUS_FULL;
    // The line drops before the next byte raises it: each byte has its edge.
    this.update();
    this.fill();
    return value;
  }

  /** The output port: bit 0 reset (low resets), bit 1 A20, bit 4 output buffer full. */
  private outputPort(): number {
    return 0xcd | (this.options.a20.enabled ? 0x02 : 0) | (this.irqLevel ? 0x10 : 0) | (this.mouseIrqLevel ? 0x20 : 0);
  }

  private writeOutputPort(value: number): void {
    this.options.a20.set((value & 0x02) !== 0);
    if (!(value & 0x01)) this.options.requestReset();
  }

  private writeData(value: number): void {
    this.status &= ~STATUS_COMMAND;
    const command = this.waiting;
    this.waiting = 0;
    if (command >= 0x60 && command <= 0x7f) {
      this.ram[command & 0x1f] = value;
      if (command === 0x60) this.status = (this.status & ~STATUS_SYSTEM) | (value & COMMAND_BYTE_SYSTEM);
      this.fill();
      return;
    }
    switch (command) {
      case 0xd1:
        this.writeOutputPort(value);
        break;
      case 0xd2: // Write the keyboard's output buffer: comes back as if typed.
        this.answer(value);
        break;
      case 0xd3: // The same on the mouse's side.
        this.answer(value, FROM_AUXILIARY);
        break;
      case 0xd4:
        this.ram[0] &= ~COMMAND_BYTE_AUXILIARY_OFF;
        this.mouse.receive(value);
        break;
      default: // For the keyboard, whose interface sending turns on.
        this.ram[0] &= ~COMMAND_BYTE_KEYBOARD_OFF;
        this.keyboard.receive(value);
        break;
    }
    this.fill();
  }

  private command(value: number): void {
    this.status |= STATUS_COMMAND;
    this.waiting = 0;
    if (value >= 0x20 && value <= 0x3f) {
      this.answer(this.ram[value & 0x1f]);
      return;
    }
    if (value >= 0xf0) {
      // Pulses the output port's lines whose bits are zero; only the reset line is wired.
      if (!(value & 0x01)) this.options.requestReset();
      return;
    }
    switch (value) {
      case 0xa9: // Auxiliary interface test: no error.
        this.answer(0x00);
        break;
      case 0xaa: // Self test. It leaves the interface disabled and the system flag set.
        this.ram[0] = (this.ram[0] & 0x40) | 0x30 | COMMAND_BYTE_SYSTEM;
        this.status |= STATUS_SYSTEM;
        this.answer(0x55);
        break;
      case 0xab: // Keyboard interface test: no error.
        this.answer(0x00);
        break;
      case 0xad:
        this.ram[0] |= COMMAND_BYTE_KEYBOARD_OFF;
        break;
      case 0xae:
        this.ram[0] &= ~COMMAND_BYTE_KEYBOARD_OFF;
        this.fill();
        break;
      case 0xa7:
        this.ram[0] |= COMMAND_BYTE_AUXILIARY_OFF;
        break;
      case 0xa8:
        this.ram[0] &= ~COMMAND_BYTE_AUXILIARY_OFF;
        this.fill();
        break;
      case 0xc0: // Input port: not locked, display colour.
        this.answer(0x80);
        break;
      case 0xd0:
        this.answer(this.outputPort());
        break;
      case 0xdd:
        this.options.a20.set(false);
        break;
      case 0xdf:
        this.options.a20.set(true);
        break;
      case 0xe0: // Test inputs: clock and data high.
        this.answer(0x03);
        break;
      default:
        if ((value >= 0x60 && value <= 0x7f) || (value >= 0xd1 && value <= 0xd4)) this.waiting = value;
        break;
    }
  }

  reset(): void {
    this.powerUp();
    this.update();
  }

  save(): State {
    return {
      ram: this.ram.slice(),
      answers: this.answers.toArray(),
      output: this.output,
      status: this.status,
      waiting: this.waiting,
      breaking: this.breaking,
      irq: this.irqLevel,
      mouseIrq: this.mouseIrqLevel,
      keyboard: this.keyboard.save(),
      mouse: this.mouse.save(),
    };
  }

  restore(state: State): void {
    const reader = new StateReader(state, this.name);
    this.ram.set(reader.bytes("ram", 32));
    this.answers.load(reader.numbers("answers"));
    this.output = reader.number("output");
    this.status = reader.number("status");
    this.waiting = reader.number("waiting");
    this.breaking = reader.boolean("breaking");
    this.irqLevel = reader.boolean("irq");
    this.mouseIrqLevel = reader.boolean("mouseIrq");
    this.keyboard.restore(reader.child("keyboard"));
    this.mouse.restore(reader.child("mouse"));
  }

  registers(): readonly RegisterView[] {
    const leds = ["Scroll Lock", "Num Lock", "Caps Lock"].filter((_name, bit) => this.keyboard.indicators & (1 << bit));
    return [
      { name: "status", value: BigInt(this.status), bits: 8 },
      { name: "command byte", value: BigInt(this.ram[0]), bits: 8 },
      { name: "output buffer", value: BigInt(this.output), bits: 8 },
      { name: "output port", value: BigInt(this.outputPort()), bits: 8 },
      {
        name: "keyboard LEDs",
        value: BigInt(this.keyboard.indicators),
        bits: 3,
        text: `${leds.length === 0 ? "none" : leds.join(", ")}; scan code set ${this.keyboard.scanCodeSet}`,
      },
      { name: "mouse identity", value: BigInt(this.mouse.id), bits: 8, text: this.mouse.enabled ? "reporting" : "silent" },
    ];
  }
}
