import type { State } from "../common/state";
import type { Device, DeviceContext, IrqLine, RegisterView, Timer } from "./device";
import { byteHandler } from "./ports";
import { StateReader } from "./stateReader";
import { RingQueue } from "./ringQueue";

/** The UART's crystal divided by 16: bits a second at divisor 1. */
const BASE_BAUD = 115_200;
/** A character's time on the fast line, in nanoseconds. */
const FAST_CHARACTER = 1000;
/** Bytes waiting on the line for the guest; more are refused. */
const INPUT_CAPACITY = 0x10000;

const LSR_DATA_READY = 0x01;
const LSR_OVERRUN = 0x02;
const LSR_ERRORS = 0x1e;
const LSR_BREAK = 0x10;
const LSR_THR_EMPTY = 0x20;
const LSR_TRANSMITTER_EMPTY = 0x40;
const LSR_FIFO_ERROR = 0x80;

const IER_DATA = 0x01;
const IER_THR = 0x02;
const IER_LINE = 0x04;
const IER_MODEM = 0x08;

const MCR_LOOP = 0x10;
const MCR_OUT2 = 0x08;

const MSR_RI = 0x40;
/** CTS, DSR and DCD: a terminal is attached and ready. */
const MSR_ATTACHED = 0xb0;

/** Choices of the line's speed: see {@link Uart}. */
export type UartTiming = "fast" | "exact";

export interface UartOptions {
  readonly name: string;
  readonly port: number;
  readonly irq: IrqLine;
  /** A byte left the transmitter. */
  readonly output: (byte: number) => void;
  readonly timing?: UartTiming;
  /** True: MCR's OUT2 gates the interrupt, as the PC's wiring does. Default false, as teaching kernels that never set it expect. */
  readonly out2GatesIrq?: boolean;
}

/**
 * A 16550A (National Semiconductor PC16550D data sheet): FIFOs, interrupt identification and priorities, loopback, line and
 * modem status, character timeout.
 *
 * Timing. "fast" (default): a transmitted byte leaves at once, so that polling drivers cost nothing, while received characters
 * arrive 1 microsecond apart, so that each makes its own edge. "exact": both directions take the time that divisor and line
 * format give. Characters never overrun the receiver: the line waits, as with flow control, while FIFO or buffer are full.
 */
export class Uart implements Device {
  readonly name: string;
  private readonly irq: IrqLine;
  private readonly output: (byte: number) => void;
  private readonly exact: boolean;
  private readonly gated: boolean;
  private readonly context: DeviceContext;

  private ier = 0;
  private lcr = 0;
  private mcr = 0;
  private lsr = LSR_THR_EMPTY | LSR_TRANSMITTER_EMPTY;
  /** Delta bits of MSR; the upper half is wired. */
  private msrDelta = 0;
  private scratch = 0;
  private divisor = 12;
  private fcr = 0;
  private thrInterrupt = false;
  private timeoutInterrupt = false;
  private line = false;

  /** Received: character, and the error bits of LSR that belong to it in bits 15:8. */
  private readonly receiveFifo = new RingQueue(16);
  private readonly transmitFifo = new RingQueue(16);
  /** The byte in the shift register, -1 when it is empty. */
  private shifting = -1;
  private readonly inputQueue = new RingQueue(INPUT_CAPACITY);

  private readonly transmitTimer: Timer;
  private readonly receiveTimer: Timer;
  private readonly timeoutTimer: Timer;

  constructor(context: DeviceContext, options: UartOptions) {
    this.context = context;
    this.name = options.name;
    this.irq = options.irq;
    this.output = options.output;
    this.exact = options.timing === "exact";
    this.gated = options.out2GatesIrq ?? false;
    this.transmitTimer = context.clock.createTimer(`${this.name}.transmit`, () => this.transmitted());
    this.receiveTimer = context.clock.createTimer(`${this.name}.receive`, () => this.nextCharacter());
    this.timeoutTimer = context.clock.createTimer(`${this.name}.timeout`, () => this.characterTimeout());
    context.mapPorts(
      this.name,
      options.port,
      8,
      byteHandler(
        (port) => this.read(port & 7),
        (port, value) => this.write(port & 7, value),
      ),
    );
  }

  /**
   * Bytes arrive on the line, from the host or a test. They wait in a queue of 64 Ki.
   * @returns how many were taken; the rest did not fit.
   */
  receive(bytes: Uint8Array): number {
    let taken = 0;
    while (taken < bytes.length && this.inputQueue.push(bytes[taken])) taken++;
    this.startReceiving();
    return taken;
  }

  get awaitsInput(): boolean {
    return (this.ier & IER_DATA) !== 0;
  }

  /** Bytes that can be taken by `receive` now. */
  get inputSpace(): number {
    return INPUT_CAPACITY - this.inputQueue.length;
  }

  private get fifoEnabled(): boolean {
    return (this.fcr & 1) !== 0;
  }

  /** Nanoseconds a character takes on the line: start bit, data bits, parity, stop bits. */
  private characterTime(): number {
    if (!this.exact) return FAST_CHARACTER;
    const halfBits = 2 * (1 + 5 + (this.lcr & 3) + (this.lcr & 8 ? 1 : 0)) + (this.lcr & 4 ? ((this.lcr & 3) === 0 ? 3 : 4) : 2);
    return Math.ceil((halfBits * 1_000_000_000 * (this.divisor === 0 ? 0x10000 : this.divisor)) / (2 * BASE_BAUD));
  }

  private receiverHasRoom(): boolean {
    return this.fifoEnabled ? this.receiveFifo.length < 16 : this.receiveFifo.length === 0;
  }

  private startReceiving(): void {
    if (this.inputQueue.length === 0 || this.receiveTimer.deadline !== undefined) return;
    if (this.mcr & MCR_LOOP || !this.receiverHasRoom()) return;
    this.receiveTimer.arm(this.context.clock.now() + this.characterTime());
  }

  private nextCharacter(): void {
    if (this.mcr & MCR_LOOP || !this.receiverHasRoom()) return;
    const byte = this.inputQueue.shift();
    if (byte !== undefined) this.characterReceived(byte & this.dataMask(), 0);
    this.startReceiving();
  }

  private dataMask(): number {
    return (0x20 << (this.lcr & 3)) - 1;
  }

  /** A character, with the error bits that come with it, reaches the receiver. */
  private characterReceived(byte: number, errors: number): void {
    const limit = this.fifoEnabled ? 16 : 1;
    if (this.receiveFifo.length >= limit) {
      this.lsr |= LSR_OVERRUN;
      // Without FIFO the new character destroys the old; a full FIFO keeps its own and loses the new one.
      if (!this.fifoEnabled) this.receiveFifo.replaceLast(byte | (errors << 8));
    } else {
      this.receiveFifo.push(byte | (errors << 8));
      if (this.fifoEnabled && errors !== 0) this.lsr |= LSR_FIFO_ERROR;
    }
    this.timeoutInterrupt = false;
    this.receiverChanged();
  }

  /** The top of the receiver or its fill changed: LSR's view of it, timeout, interrupts. */
  private receiverChanged(): void {
    const top = this.receiveFifo.peek();
    if (top === undefined) {
      this.lsr &= ~LSR_DATA_READY;
      this.timeoutTimer.disarm();
    } else {
      this.lsr |= LSR_DATA_READY;
      if (top >> 8) {
        // A character's errors show in LSR once, when it reaches the top of the FIFO.
        this.lsr |= top >> 8;
        this.receiveFifo.replaceFirst(top & 0xff);
      }
      if (this.fifoEnabled) this.timeoutTimer.arm(this.context.clock.now() + 4 * this.characterTime());
      else this.timeoutTimer.disarm();
    }
    this.updateInterrupt();
  }

  /** Reading LSR ends its error bits; the FIFO error bit stays while further characters with errors wait. */
  private readLineStatus(): number {
    const value = this.lsr;
    this.lsr &= ~(LSR_ERRORS | LSR_FIFO_ERROR);
    for (let index = 0; this.fifoEnabled && index < this.receiveFifo.length; index++) {
      if ((this.receiveFifo.peek(index) ?? 0) >> 8) this.lsr |= LSR_FIFO_ERROR;
    }
    this.updateInterrupt();
    return value;
  }

  /** Four character times passed with characters waiting and none read or received. */
  private characterTimeout(): void {
    if (this.receiveFifo.length === 0 || !this.fifoEnabled) return;
    this.timeoutInterrupt = true;
    this.updateInterrupt();
  }

  private triggerLevel(): number {
    return this.fifoEnabled ? [1, 4, 8, 14][this.fcr >> 6] : 1;
  }

  /** IIR's identification, by priority: bits 3:0. */
  private identification(): number {
    if (this.ier & IER_LINE && this.lsr & LSR_ERRORS) return 0x06;
    if (this.ier & IER_DATA) {
      if (this.receiveFifo.length >= this.triggerLevel()) return 0x04;
      if (this.timeoutInterrupt) return 0x0c;
    }
    if (this.ier & IER_THR && this.thrInterrupt) return 0x02;
    if (this.ier & IER_MODEM && this.msrDelta !== 0) return 0x00;
    return 0x01;
  }

  private updateInterrupt(): void {
    const level = this.identification() !== 0x01 && (!this.gated || (this.mcr & (MCR_OUT2 | MCR_LOOP)) === MCR_OUT2);
    if (level === this.line) return;
    this.line = level;
    this.irq(level);
  }

  private transmit(byte: number): void {
    const masked = byte & this.dataMask();
    this.lsr &= ~(LSR_THR_EMPTY | LSR_TRANSMITTER_EMPTY);
    this.thrInterrupt = false;
    // The line drops and may rise again within the write: each byte makes its own transmitter-empty edge.
    this.updateInterrupt();
    if (!this.exact) {
      this.deliver(masked);
      this.transmitterEmpty();
      return;
    }
    if (this.transmitFifo.length >= (this.fifoEnabled ? 16 : 1)) this.transmitFifo.replaceLast(masked);
    else this.transmitFifo.push(masked);
    if (this.shifting < 0) this.shiftNext();
    this.updateInterrupt();
  }

  private shiftNext(): void {
    const byte = this.transmitFifo.shift();
    if (byte === undefined) return;
    this.shifting = byte;
    this.transmitTimer.arm(this.context.clock.now() + this.characterTime());
    if (this.transmitFifo.length === 0) {
      this.lsr |= LSR_THR_EMPTY;
      this.thrInterrupt = true;
    }
  }

  /** The shift register sent its last stop bit. */
  private transmitted(): void {
    const byte = this.shifting;
    this.shifting = -1;
    if (byte >= 0) this.deliver(byte);
    if (this.transmitFifo.length > 0) this.shiftNext();
    else this.transmitterEmpty();
    this.updateInterrupt();
  }

  private transmitterEmpty(): void {
    if (!(this.lsr & LSR_THR_EMPTY)) this.thrInterrupt = true;
    this.lsr |= LSR_THR_EMPTY | LSR_TRANSMITTER_EMPTY;
    this.updateInterrupt();
  }

  private deliver(byte: number): void {
    if (this.mcr & MCR_LOOP) this.characterReceived(byte, 0);
    else if (!(this.lcr & 0x40)) this.output(byte);
  }

  /** The modem lines as MSR's upper half shows them. */
  private modemLines(): number {
    if (!(this.mcr & MCR_LOOP)) return MSR_ATTACHED;
    // Loopback: RTS to CTS, DTR to DSR, OUT1 to RI, OUT2 to DCD.
    return ((this.mcr & 2) << 3) | ((this.mcr & 1) << 5) | ((this.mcr & 4) << 4) | ((this.mcr & 8) << 4);
  }

  private writeModemControl(value: number): void {
    const before = this.modemLines();
    const wasLoop = (this.mcr & MCR_LOOP) !== 0;
    this.mcr = value & 0x1f;
    const after = this.modemLines();
    const changed = before ^ after;
    // Deltas of CTS, DSR and DCD; RI only counts when it ends.
    this.msrDelta |= (changed & 0x30) >> 4;
    if (changed & 0x80) this.msrDelta |= 0x08;
    if (before & ~after & MSR_RI) this.msrDelta |= 0x04;
    if (wasLoop && !(this.mcr & MCR_LOOP)) this.startReceiving();
    this.updateInterrupt();
  }

  private writeFifoControl(value: number): void {
    const toggled = (value ^ this.fcr) & 1;
    // The other bits are only programmed while bit 0 is written as one.
    this.fcr = value & 1 ? value & 0xc9 : 0;
    if (toggled || (value & 1 && value & 2)) {
      this.receiveFifo.clear();
      this.timeoutInterrupt = false;
      this.lsr &= ~LSR_FIFO_ERROR;
      this.receiverChanged();
      this.startReceiving();
    }
    if (toggled || (value & 1 && value & 4)) {
      this.transmitFifo.clear();
      if (this.shifting < 0) this.lsr |= LSR_TRANSMITTER_EMPTY;
      if (!(this.lsr & LSR_THR_EMPTY)) {
        this.lsr |= LSR_THR_EMPTY;
        this.thrInterrupt = true;
      }
      this.updateInterrupt();
    }
  }

  private read(register: number): number {
    switch (register) {
      case 0:
        return this.lcr & 0x80 ? this.divisor & 0xff : this.readData();
      case 1:
        return this.lcr & 0x80 ? this.divisor >> 8 : this.ier;
      case 2: {
        const id = this.identification();
        if (id === 0x02) {
          this.thrInterrupt = false;
          this.updateInterrupt();
        }
        return id | (this.fifoEnabled ? 0xc0 : 0);
      }
      case 3:
        return this.lcr;
      case 4:
        return this.mcr;
      case 5:
        return this.readLineStatus();
      case 6: {
        const value = this.modemLines() | this.msrDelta;
        this.msrDelta = 0;
        this.updateInterrupt();
        return value;
      }
      default:
        return this.scratch;
    }
  }

  private readData(): number {
    const item = this.receiveFifo.shift();
    if (item === undefined) return 0;
    this.timeoutInterrupt = false;
    this.receiverChanged();
    this.startReceiving();
    return item & 0xff;
  }

  private write(register: number, value: number): void {
    switch (register) {
      case 0:
        if (this.lcr & 0x80) this.divisor = (this.divisor & 0xff00) | value;
        else this.transmit(value);
        break;
      case 1:
        if (this.lcr & 0x80) {
          this.divisor = (this.divisor & 0xff) | (value << 8);
          break;
        }
        // Enabling the transmitter interrupt with an empty THR requests at once.
        if (value & ~this.ier & IER_THR && this.lsr & LSR_THR_EMPTY) this.thrInterrupt = true;
        this.ier = value & 0x0f;
        this.updateInterrupt();
        break;
      case 2:
        this.writeFifoControl(value);
        break;
      case 3: {
        const breakStarts = (value & ~this.lcr & 0x40) !== 0;
        this.lcr = value;
        // A break sent in loopback is received: a zero character with the break error.
        if (breakStarts && this.mcr & MCR_LOOP) this.characterReceived(0, LSR_BREAK);
        break;
      }
      case 4:
        this.writeModemControl(value);
        break;
      case 5: // LSR is for reading; writing it is for factory tests.
      case 6: // As is MSR.
        break;
      default:
        this.scratch = value;
        break;
    }
  }

  /** Master reset. Bytes waiting on the line stay there. */
  reset(): void {
    this.ier = this.lcr = this.mcr = this.fcr = this.scratch = 0;
    this.lsr = LSR_THR_EMPTY | LSR_TRANSMITTER_EMPTY;
    this.msrDelta = 0;
    this.divisor = 12;
    this.thrInterrupt = this.timeoutInterrupt = false;
    this.receiveFifo.clear();
    this.transmitFifo.clear();
    this.shifting = -1;
    this.transmitTimer.disarm();
    this.receiveTimer.disarm();
    this.timeoutTimer.disarm();
    this.updateInterrupt();
    this.startReceiving();
  }

  save(): State {
    return {
      ier: this.ier,
      lcr: this.lcr,
      mcr: this.mcr,
      lsr: this.lsr,
      msrDelta: this.msrDelta,
      scratch: this.scratch,
      divisor: this.divisor,
      fcr: this.fcr,
      thrInterrupt: this.thrInterrupt,
      timeoutInterrupt: this.timeoutInterrupt,
      line: this.line,
      shifting: this.shifting,
      receiveFifo: this.receiveFifo.toArray(),
      transmitFifo: this.transmitFifo.toArray(),
      input: Uint8Array.from(this.inputQueue.toArray()),
      transmitAt: this.transmitTimer.deadline ?? null,
      receiveAt: this.receiveTimer.deadline ?? null,
      timeoutAt: this.timeoutTimer.deadline ?? null,
    };
  }

  restore(state: State): void {
    const reader = new StateReader(state, this.name);
    this.ier = reader.number("ier");
    this.lcr = reader.number("lcr");
    this.mcr = reader.number("mcr");
    this.lsr = reader.number("lsr");
    this.msrDelta = reader.number("msrDelta");
    this.scratch = reader.number("scratch");
    this.divisor = reader.number("divisor");
    this.fcr = reader.number("fcr");
    this.thrInterrupt = reader.boolean("thrInterrupt");
    this.timeoutInterrupt = reader.boolean("timeoutInterrupt");
    this.line = reader.boolean("line");
    this.shifting = reader.number("shifting");
    this.receiveFifo.load(reader.numbers("receiveFifo"));
    this.transmitFifo.load(reader.numbers("transmitFifo"));
    this.inputQueue.load([...reader.bytes("input")]);
    reader.timer("transmitAt", this.transmitTimer);
    reader.timer("receiveAt", this.receiveTimer);
    reader.timer("timeoutAt", this.timeoutTimer);
  }

  registers(): readonly RegisterView[] {
    const byte = (name: string, value: number, text?: string): RegisterView => ({
      name,
      value: BigInt(value),
      bits: 8,
      ...(text === undefined ? {} : { text }),
    });
    const id = this.identification();
    const pending: Record<number, string> = {
      0x00: "modem status",
      0x01: "none pending",
      0x02: "transmitter empty",
      0x04: "received data",
      0x06: "line status",
      0x0c: "character timeout",
    };
    return [
      byte("IER", this.ier),
      byte("IIR", id | (this.fifoEnabled ? 0xc0 : 0), pending[id]),
      byte("LCR", this.lcr),
      byte("MCR", this.mcr, this.mcr & MCR_LOOP ? "loopback" : undefined),
      byte("LSR", this.lsr),
      byte("MSR", this.modemLines() | this.msrDelta),
      byte("SCR", this.scratch),
      { name: "divisor", value: BigInt(this.divisor), bits: 16, text: `${Math.floor(BASE_BAUD / (this.divisor || 0x10000))} baud` },
      { name: "received", value: BigInt(this.receiveFifo.length), bits: 8, text: `${this.inputQueue.length} more on the line` },
    ];
  }
}
