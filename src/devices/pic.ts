import type { State } from "../common/state";
import { PIC_ELCR_PORT, PIC_MASTER_PORT, PIC_SLAVE_PORT } from "./board";
import type { Device, DeviceContext, IrqLine, RegisterView } from "./device";
import { byteHandler } from "./ports";
import { StateReader } from "./stateReader";

/** The cascade: the slave's INT output is the master's input 2. */
const CASCADE = 2;

function listBits(value: number): string {
  const set = [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => value & (1 << bit));
  return set.length === 0 ? "none" : set.join(", ");
}

/** One 8259A. Names follow its data sheet (ICW: initialization command word, OCW: operation command word). */
class Chip {
  irr = 0;
  isr = 0;
  imr = 0;
  /** Levels of the eight IR inputs. */
  inputs = 0;
  /** Inputs that are level-triggered by the board's ELCR. */
  elcr = 0;
  base = 0;
  /** ICW1 LTIM: every input is level-triggered. */
  levelMode = false;
  single = false;
  needIcw4 = false;
  icw3: number;
  /** The initialization word expected next at the odd port, 0 when none is. */
  expect = 0;
  autoEoi = false;
  rotateOnAutoEoi = false;
  specialFullyNested = false;
  specialMask = false;
  readIsr = false;
  poll = false;
  /** The input of lowest priority; the next one up is the highest. */
  lowest = 7;

  constructor(
    readonly isMaster: boolean,
    private readonly elcrWritable: number,
  ) {
    this.icw3 = isMaster ? 1 << CASCADE : CASCADE;
  }

  reset(): void {
    this.irr = this.isr = this.imr = 0;
    this.elcr = 0;
    this.base = 0;
    this.levelMode = this.single = this.needIcw4 = false;
    this.icw3 = this.isMaster ? 1 << CASCADE : CASCADE;
    this.expect = 0;
    this.autoEoi = this.rotateOnAutoEoi = this.specialFullyNested = this.specialMask = false;
    this.readIsr = this.poll = false;
    this.lowest = 7;
  }

  private isLevel(bit: number): boolean {
    return this.levelMode || (this.elcr & bit) !== 0;
  }

  /**
   * An IR input changes. Both trigger modes require the input to stay high until the first INTA: a request whose line
   * drops earlier is withdrawn, and a CPU that acknowledges all the same gets the default IR7.
   */
  setInput(line: number, level: boolean): void {
    const bit = 1 << line;
    if (level) {
      if (this.isLevel(bit) || !(this.inputs & bit)) this.irr |= bit;
      this.inputs |= bit;
    } else {
      this.inputs &= ~bit;
      this.irr &= ~bit;
    }
  }

  /** Position of the best set bit in the rotating order, 0 best; 8 for none. */
  private rank(bits: number): number {
    for (let rank = 0; rank < 8; rank++) if (bits & (1 << ((this.lowest + 1 + rank) & 7))) return rank;
    return 8;
  }

  /** The input whose request is to be passed on, or -1. */
  pending(): number {
    const request = this.rank(this.irr & ~this.imr);
    if (request === 8) return -1;
    let inService = this.isr;
    if (this.specialMask) inService &= ~this.imr;
    // Special fully nested mode: the master lets further, higher requests of the slave in service through.
    if (this.specialFullyNested && this.isMaster) inService &= ~(1 << CASCADE);
    return request < this.rank(inService) ? (this.lowest + 1 + request) & 7 : -1;
  }

  /** What the INTA sequence does to the input that won. */
  acknowledge(line: number): void {
    const bit = 1 << line;
    if (this.autoEoi) {
      if (this.rotateOnAutoEoi) this.lowest = line;
    } else {
      this.isr |= bit;
    }
    if (!this.isLevel(bit)) this.irr &= ~bit;
  }

  readEven(): number {
    if (this.poll) return this.readPoll();
    return this.readIsr ? this.isr : this.irr;
  }

  readOdd(): number {
    return this.poll ? this.readPoll() : this.imr;
  }

  /** The poll word: bit 7 an interrupt, bits 2:0 its level. Reading it is the acknowledge. */
  private readPoll(): number {
    this.poll = false;
    const line = this.pending();
    if (line < 0) return 0;
    this.acknowledge(line);
    return 0x80 | line;
  }

  writeEven(value: number): void {
    if (value & 0x10) this.writeIcw1(value);
    else if (value & 0x08) this.writeOcw3(value);
    else this.writeOcw2(value);
  }

  private writeIcw1(value: number): void {
    this.levelMode = (value & 0x08) !== 0;
    this.single = (value & 0x02) !== 0;
    this.needIcw4 = (value & 0x01) !== 0;
    // The edge sense circuit is reset: an input that is already high must drop before it can request.
    this.irr = 0;
    for (let line = 0; line < 8; line++) if (this.isLevel(1 << line)) this.irr |= this.inputs & (1 << line);
    this.isr = 0;
    this.imr = 0;
    this.lowest = 7;
    this.specialMask = false;
    this.readIsr = false;
    this.poll = false;
    this.autoEoi = this.rotateOnAutoEoi = this.specialFullyNested = false;
    this.expect = 2;
  }

  private writeOcw2(value: number): void {
    const level = value & 7;
    switch (value >> 5) {
      case 0: // Rotate in automatic EOI mode: clear.
        this.rotateOnAutoEoi = false;
        break;
      case 1: // Non-specific EOI.
        this.endHighest(false);
        break;
      case 2: // No operation.
        break;
      case 3: // Specific EOI.
        this.isr &= ~(1 << level);
        break;
      case 4: // Rotate in automatic EOI mode: set.
        this.rotateOnAutoEoi = true;
        break;
      case 5: // Rotate on non-specific EOI.
        this.endHighest(true);
        break;
      case 6: // Set priority.
        this.lowest = level;
        break;
      default: // Rotate on specific EOI.
        this.isr &= ~(1 << level);
        this.lowest = level;
        break;
    }
  }

  /** Non-specific EOI: the in-service level of highest priority. In special mask mode, masked levels are not cleared by it. */
  private endHighest(rotate: boolean): void {
    const rank = this.rank(this.specialMask ? this.isr & ~this.imr : this.isr);
    if (rank === 8) return;
    const line = (this.lowest + 1 + rank) & 7;
    this.isr &= ~(1 << line);
    if (rotate) this.lowest = line;
  }

  private writeOcw3(value: number): void {
    if (value & 0x40) this.specialMask = (value & 0x20) !== 0;
    this.poll = (value & 0x04) !== 0;
    // With the poll bit set the register selection of the same word is not looked at.
    if (!this.poll && value & 0x02) this.readIsr = (value & 0x01) !== 0;
  }

  writeOdd(value: number): void {
    switch (this.expect) {
      case 2:
        this.base = value & 0xf8;
        this.expect = this.single ? (this.needIcw4 ? 4 : 0) : 3;
        break;
      case 3:
        this.icw3 = value;
        this.expect = this.needIcw4 ? 4 : 0;
        break;
      case 4:
        this.specialFullyNested = (value & 0x10) !== 0;
        this.autoEoi = (value & 0x02) !== 0;
        this.expect = 0;
        break;
      default:
        this.imr = value;
        break;
    }
  }

  writeElcr(value: number): void {
    this.elcr = value & this.elcrWritable;
    // An input that became level-triggered requests by its level.
    this.irr |= this.inputs & this.elcr;
  }

  save(): State {
    return {
      bytes: [this.irr, this.isr, this.imr, this.inputs, this.elcr, this.base, this.icw3, this.expect, this.lowest],
      flags: this.flags().map((flag) => (flag ? 1 : 0)),
    };
  }

  private flags(): boolean[] {
    return [
      this.levelMode,
      this.single,
      this.needIcw4,
      this.autoEoi,
      this.rotateOnAutoEoi,
      this.specialFullyNested,
      this.specialMask,
      this.readIsr,
      this.poll,
    ];
  }

  restore(reader: StateReader): void {
    [this.irr, this.isr, this.imr, this.inputs, this.elcr, this.base, this.icw3, this.expect, this.lowest] = reader.numbers("bytes");
    [
      this.levelMode,
      this.single,
      this.needIcw4,
      this.autoEoi,
      this.rotateOnAutoEoi,
      this.specialFullyNested,
      this.specialMask,
      this.readIsr,
      this.poll,
    ] = reader.numbers("flags").map((flag) => flag !== 0);
  }

  registers(prefix: string): RegisterView[] {
    const byte = (name: string, value: number, text: string): RegisterView => ({
      name: `${prefix} ${name}`,
      value: BigInt(value),
      bits: 8,
      text,
    });
    const modes = [
      this.levelMode ? "level" : "edge",
      this.autoEoi ? "automatic EOI" : "normal EOI",
      ...(this.rotateOnAutoEoi ? ["rotating"] : []),
      ...(this.specialMask ? ["special mask"] : []),
      ...(this.specialFullyNested ? ["special fully nested"] : []),
      ...(this.expect === 0 ? [] : [`waiting for ICW${this.expect}`]),
    ];
    return [
      byte("IRR", this.irr, `requested: ${listBits(this.irr)}`),
      byte("ISR", this.isr, `in service: ${listBits(this.isr)}`),
      byte("IMR", this.imr, `masked: ${listBits(this.imr)}`),
      byte("inputs", this.inputs, `high: ${listBits(this.inputs)}`),
      byte("ELCR", this.elcr, `level-triggered: ${listBits(this.elcr)}`),
      byte("base", this.base, `vectors ${this.base} to ${this.base + 7}; ${modes.join(", ")}; lowest priority ${this.lowest}`),
    ];
  }
}

/** What the pair drives. */
export interface PicOutputs {
  /** INTR: to LINT0 of the local APICs, or the CPU where its APIC is off. */
  readonly intr: IrqLine;
  /** An EOI was written to a chip that has nothing in service. */
  readonly idleEoi?: () => void;
}

/**
 * The two 8259A of a PC with the edge/level control registers at 0x4d0 (8259A data sheet; ELCR as in PCI-to-ISA bridges).
 * The board drives the inputs by `setIrq`; the CPU that takes INTR calls `acknowledge` for the vector.
 */
export class Pic implements Device {
  readonly name = "pic";
  // IRQ 0, 1, 2 and 8, 13 cannot be level-triggered on a PC.
  private readonly master = new Chip(true, 0xf8);
  private readonly slave = new Chip(false, 0xde);
  private intrLevel = false;

  constructor(
    context: DeviceContext,
    private readonly outputs: PicOutputs,
  ) {
    const claim = (name: string, first: number, chip: Chip): void => {
      context.mapPorts(
        name,
        first,
        2,
        byteHandler(
          (port) => {
            const value = port & 1 ? chip.readOdd() : chip.readEven();
            this.update();
            return value;
          },
          (port, value) => {
            // OCW2 with an EOI command: neither ICW1 (bit 4) nor OCW3 (bit 3).
            if ((port & 1) === 0 && (value & 0x38) === 0x20 && chip.isr === 0) this.outputs.idleEoi?.();
            if (port & 1) chip.writeOdd(value);
            else chip.writeEven(value);
            this.update();
          },
        ),
      );
    };
    claim("pic.master", PIC_MASTER_PORT, this.master);
    claim("pic.slave", PIC_SLAVE_PORT, this.slave);
    context.mapPorts(
      "pic.elcr",
      PIC_ELCR_PORT,
      2,
      byteHandler(
        (port) => (port & 1 ? this.slave : this.master).elcr,
        (port, value) => {
          (port & 1 ? this.slave : this.master).writeElcr(value);
          this.update();
        },
      ),
    );
  }

  /** Passes the slave's INT to the master and the master's INT to INTR. */
  private update(): void {
    this.master.setInput(CASCADE, this.slave.pending() >= 0);
    const level = this.master.pending() >= 0;
    if (level === this.intrLevel) return;
    this.intrLevel = level;
    this.outputs.intr(level);
  }

  /** Level of ISA IRQ `irq` (0 to 15). IRQ 2 is the cascade and has no pin of its own. */
  setIrq(irq: number, level: boolean): void {
    if (irq === CASCADE) return;
    if (irq < 8) this.master.setInput(irq, level);
    else this.slave.setInput(irq - 8, level);
    this.update();
  }

  /** Level of INTR. */
  get intr(): boolean {
    return this.intrLevel;
  }

  /**
   * The INTA cycle: returns the vector and moves the request into service. Without a request, the spurious vector of IR7
   * (IRQ 7, or IRQ 15 with only the cascade marked in service) and nothing of that level in service.
   */
  acknowledge(): number {
    const line = this.master.pending();
    if (line < 0) return this.master.base + 7;
    this.master.acknowledge(line);
    let vector = this.master.base + line;
    if (line === CASCADE && !this.master.single && this.master.icw3 & (1 << CASCADE)) vector = this.acknowledgeSlave();
    this.update();
    return vector;
  }

  private acknowledgeSlave(): number {
    // A slave whose identity does not match the cascade lines leaves the bus floating.
    if ((this.slave.icw3 & 7) !== CASCADE) return 0xff;
    const line = this.slave.pending();
    if (line < 0) return this.slave.base + 7;
    this.slave.acknowledge(line);
    // INT drops with the acknowledge: what the slave asks for next is a new edge for the master.
    this.master.setInput(CASCADE, false);
    return this.slave.base + line;
  }

  /** The vector `acknowledge` would return now, without side effects; undefined when INTR is low. */
  pendingVector(): number | undefined {
    const line = this.master.pending();
    if (line < 0) return undefined;
    if (line !== CASCADE) return this.master.base + line;
    const slaveLine = this.slave.pending();
    return this.slave.base + (slaveLine < 0 ? 7 : slaveLine);
  }

  /** The IRQ that wins now, for explanations; undefined when none is pending. */
  pendingIrq(): number | undefined {
    const line = this.master.pending();
    if (line < 0) return undefined;
    return line === CASCADE ? 8 + this.slave.pending() : line;
  }

  /** System reset. Inputs keep their levels: they are other devices' wires. */
  reset(): void {
    this.master.reset();
    this.slave.reset();
    this.master.setInput(CASCADE, false);
    this.update();
  }

  save(): State {
    return { master: this.master.save(), slave: this.slave.save(), intr: this.intrLevel };
  }

  restore(state: State): void {
    const reader = new StateReader(state, this.name);
    this.master.restore(reader.child("master"));
    this.slave.restore(reader.child("slave"));
    this.intrLevel = reader.boolean("intr");
  }

  registers(): readonly RegisterView[] {
    return [...this.master.registers("master"), ...this.slave.registers("slave")];
  }
}
