import type { State } from "../common/state";
import { KEYBOARD_PORT } from "./board";
import type { Device, DeviceContext, IrqLine, RegisterView } from "./device";
import { byteHandler } from "./ports";
import type { A20Gate } from "./reset";
import { StateReader } from "./stateReader";

const STATUS_FULL = 0x01;
const STATUS_SYSTEM = 0x04;
const STATUS_COMMAND = 0x08;
const STATUS_UNLOCKED = 0x10;
const STATUS_TIMEOUT = 0x40;

const COMMAND_BYTE_INTERRUPT = 0x01;
const COMMAND_BYTE_SYSTEM = 0x04;

/** What the keyboard sends when it did not understand; the controller puts it in its place when nothing answers at all. */
const RESEND = 0xfe;

export interface KeyboardControllerOptions {
  /** IRQ 1. */
  readonly irq: IrqLine;
  readonly a20: Pick<A20Gate, "enabled" | "set">;
  /** The output port's reset line was pulsed. */
  readonly requestReset: () => void;
}

/**
 * The 8042 of a PC with nothing plugged in: it tests itself, keeps its command byte and RAM, drives A20 and reset, and answers
 * for the absent keyboard as the controller does after its timeout: RESEND with the timeout bit, so that probing guests give up
 * at once. There is no auxiliary (mouse) port. Answers are ready immediately; the input buffer is never seen full.
 */
export class KeyboardController implements Device {
  readonly name = "kbc";
  /** Internal RAM; byte 0 is the command byte. */
  private readonly ram = new Uint8Array(32);
  private output = 0;
  private status = 0;
  /** Command that waits for its data byte, 0 when none does. */
  private waiting = 0;
  private irqLevel = false;

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

  private powerUp(): void {
    this.ram.fill(0);
    this.output = 0;
    this.status = STATUS_UNLOCKED;
    this.waiting = 0;
  }

  private answer(value: number, flags = 0): void {
    this.output = value;
    this.status = (this.status & ~STATUS_TIMEOUT) | STATUS_FULL | flags;
    this.update();
  }

  private update(): void {
    const level = (this.status & STATUS_FULL) !== 0 && (this.ram[0] & COMMAND_BYTE_INTERRUPT) !== 0;
    if (level === this.irqLevel) return;
    this.irqLevel = level;
    this.options.irq(level);
  }

  private readData(): number {
    this.status &= ~STATUS_FULL;
    this.update();
    return this.output;
  }

  /** The output port: bit 0 reset (low resets), bit 1 A20, bit 4 output buffer full. */
  private outputPort(): number {
    return 0xcd | (this.options.a20.enabled ? 0x02 : 0) | (this.irqLevel ? 0x10 : 0);
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
      this.update();
      return;
    }
    switch (command) {
      case 0xd1:
        this.writeOutputPort(value);
        break;
      case 0xd2: // Write the keyboard's output buffer: comes back as if typed.
        this.answer(value);
        break;
      case 0xd3: // Auxiliary loop: without that port the byte comes back as the keyboard's.
        this.answer(value);
        break;
      default: // For the keyboard (or, after 0xD4, the mouse): nothing is there to take it.
        this.answer(RESEND, STATUS_TIMEOUT);
        break;
    }
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
      case 0xa9: // Auxiliary interface test: its clock line is stuck low, as no port is there.
        this.answer(0x01);
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
        this.ram[0] |= 0x10;
        break;
      case 0xae:
        this.ram[0] &= ~0x10;
        break;
      case 0xa7:
        this.ram[0] |= 0x20;
        break;
      case 0xa8: // Enabling the absent auxiliary port changes nothing.
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
    return { ram: this.ram.slice(), output: this.output, status: this.status, waiting: this.waiting, irq: this.irqLevel };
  }

  restore(state: State): void {
    const reader = new StateReader(state, this.name);
    this.ram.set(reader.bytes("ram", 32));
    this.output = reader.number("output");
    this.status = reader.number("status");
    this.waiting = reader.number("waiting");
    this.irqLevel = reader.boolean("irq");
  }

  registers(): readonly RegisterView[] {
    return [
      { name: "status", value: BigInt(this.status), bits: 8 },
      { name: "command byte", value: BigInt(this.ram[0]), bits: 8 },
      { name: "output buffer", value: BigInt(this.output), bits: 8 },
      { name: "output port", value: BigInt(this.outputPort()), bits: 8 },
    ];
  }
}
