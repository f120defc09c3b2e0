import { assert } from "../common/errors";
import { LastWrites } from "../common/lastWrites";
import type { State } from "../common/state";
import type { Device, DeviceContext, IrqLine, RegisterView } from "../devices/device";
import type { EoiListener, InterruptBus } from "./bus";
import { LvtBit, decodeRedirection } from "./fields";
import type { InterruptMessage } from "./message";
import { hex, redirectionFields, redirectionText } from "./registerViews";

const pinCount = 24;
/** Bits of the low half of an entry that software may write; delivery status and remote IRR are read-only. */
const writableLow = 0x1afff;
const readOnlyLow = LvtBit.status | LvtBit.remoteIrr;

/** The pin whose redirection entry has this name. */
function pinOf(name: string): number | undefined {
  const pin = Number(/^IOREDTBL(\d{1,3})$/.exec(name)?.[1] ?? pinCount);
  return pin < pinCount ? pin : undefined;
}

/** How a pin is wired: which electrical level its asserted lines give. "any" follows the polarity that software programs. */
export type PinPolarity = "any" | "high" | "low";

export interface IoApicOptions {
  /** Name in the board; "ioapic0" if left out. */
  readonly name?: string;
  /** Physical address; 0xfec00000 if left out. */
  readonly base?: number;
  /** APIC id after reset; 0 if left out. */
  readonly id?: number;
  /** 0x20, if left out, has an EOI register; 0x11 has none. */
  readonly version?: 0x11 | 0x20;
  /** By pin; "any" where left out. */
  readonly polarity?: readonly PinPolarity[];
}

/** A pin as a tree view shows it. */
export interface IoApicPinView {
  readonly pin: number;
  /** The 64-bit redirection entry. */
  readonly raw: bigint;
  readonly text: string;
  readonly masked: boolean;
  readonly remoteIrr: boolean;
  /** True while any of its lines is asserted. */
  readonly asserted: boolean;
  /** Names of the lines that assert it. */
  readonly by: readonly string[];
}

interface Input {
  readonly name: string;
  level: boolean;
}

/**
 * An I/O APIC with 24 pins (82093AA data sheet; version 0x20 as in later chipsets, with an EOI register). Edges on a masked pin are
 * lost, and recorded as dropped unless the pin was never set up (masked, fixed, vector 0). A level-triggered interrupt that no local
 * APIC takes stays "send pending" and is tried again when one can take it.
 */
export class IoApic implements Device, EoiListener {
  readonly name: string;
  readonly base: number;
  private readonly bus: InterruptBus;
  /** Who wrote each pin's redirection entry last. */
  readonly writes: LastWrites;
  private readonly version: 0x11 | 0x20;
  private readonly resetId: number;
  private readonly polarity: readonly PinPolarity[];
  private readonly inputs: Input[][] = Array.from({ length: pinCount }, () => []);
  private readonly low = new Uint32Array(pinCount);
  private readonly high = new Uint32Array(pinCount);
  private id = 0;
  private select = 0;
  /** Per pin: its electrical activity as last sampled, to see edges. */
  private readonly active: boolean[] = Array.from({ length: pinCount }, () => false);

  constructor(context: Pick<DeviceContext, "mapMmio">, bus: InterruptBus, options: IoApicOptions = {}) {
    this.bus = bus;
    this.writes = new LastWrites(pinCount, bus.ledger.stamps);
    this.name = options.name ?? "ioapic0";
    this.base = options.base ?? 0xfec00000;
    this.version = options.version ?? 0x20;
    this.resetId = options.id ?? 0;
    this.polarity = options.polarity ?? [];
    context.mapMmio(this.name, this.base, 0x1000, {
      read: (offset, size) => this.readMmio(offset, size),
      write: (offset, size, value) => this.writeMmio(offset, size, value),
    });
    bus.attachIoApic(this);
    this.reset();
  }

  /** A new line to `pin`; the lines of a pin are OR-ed. Lines are made in the same order in every run, as their levels are saved. */
  line(pin: number, name = `line ${pin}`): IrqLine {
    assert(Number.isInteger(pin) && pin >= 0 && pin < pinCount, `an I/O APIC has pins 0 to ${pinCount - 1}, not ${pin}`);
    const input: Input = { name, level: false };
    this.inputs[pin].push(input);
    return (level) => {
      if (input.level === level) return;
      input.level = level;
      this.sample(pin);
    };
  }

  /** Power-on: all pins masked. The lines keep their levels. */
  reset(): void {
    this.id = this.resetId & 15;
    this.select = 0;
    this.writes.clear();
    this.low.fill(LvtBit.mask);
    this.high.fill(0);
    for (let pin = 0; pin < pinCount; pin++) this.active[pin] = this.isActive(pin);
  }

  /** Guest read of the register page. A register is 32 bits wide; parts of it can be read. */
  readMmio(offset: number, size: 1 | 2 | 4 | 8): bigint {
    const shift = BigInt((offset & 3) * 8);
    const at = offset & 0xffc;
    const value = at === 0x00 ? this.select : at === 0x10 ? this.readRegister(this.select) : 0;
    return BigInt.asUintN(size * 8, BigInt(value >>> 0) >> shift);
  }

  /** Guest write of the register page: IOREGSEL (any width), IOWIN and EOI (32 bits). Others are ignored. */
  writeMmio(offset: number, size: 1 | 2 | 4 | 8, value: bigint): void {
    const word = Number(BigInt.asUintN(32, value));
    if (offset === 0x00) this.select = word & 0xff;
    else if (size !== 4) return;
    else if (offset === 0x10) this.writeRegister(this.select, word);
    else if (offset === 0x40 && this.version === 0x20) this.eoi(word & 0xff);
  }

  /** A register by index, without side effects. Reserved ones read as zero. */
  readRegister(index: number): number {
    if (index >= 0x10 && index < 0x10 + 2 * pinCount) {
      const pin = (index - 0x10) >> 1;
      return index & 1 ? this.high[pin] : this.low[pin];
    }
    if (index === 0 || index === 2) return this.id << 24;
    return index === 1 ? ((pinCount - 1) << 16) | this.version : 0;
  }

  /** Guest write of a register by index. */
  writeRegister(index: number, value: number): void {
    if (index === 0) {
      this.id = (value >>> 24) & 15;
      return;
    }
    if (index < 0x10 || index >= 0x10 + 2 * pinCount) return;
    const pin = (index - 0x10) >> 1;
    this.writes.note(pin);
    if (index & 1) {
      this.high[pin] = value & 0xff000000;
    } else {
      this.low[pin] = (value & writableLow) | (this.low[pin] & readOnlyLow);
      // Only a level-triggered entry has these; software relies on going through edge mode to clear remote IRR.
      if (!this.isLevel(pin)) this.low[pin] &= ~readOnlyLow;
      else if (this.low[pin] & LvtBit.mask) this.low[pin] &= ~LvtBit.status;
      // A change of polarity is no edge on the pin.
      this.active[pin] = this.isActive(pin);
    }
    this.serve(pin);
  }

  /** EOI of a level-triggered vector: clears remote IRR of its pins, which send again if they are still asserted. */
  eoi(vector: number): void {
    for (let pin = 0; pin < pinCount; pin++) {
      if ((this.low[pin] & 0xff) !== vector || !this.isLevel(pin) || (this.low[pin] & LvtBit.remoteIrr) === 0) continue;
      this.low[pin] &= ~LvtBit.remoteIrr;
      this.serve(pin);
    }
  }

  retry(): void {
    for (let pin = 0; pin < pinCount; pin++) if (this.low[pin] & LvtBit.status) this.serve(pin);
  }

  /** The 24 pins, for tree views. */
  pins(): readonly IoApicPinView[] {
    return Array.from({ length: pinCount }, (_, pin) => {
      const entry = decodeRedirection(this.low[pin], this.high[pin]);
      return {
        pin,
        raw: this.entry(pin),
        text: redirectionText(entry),
        masked: entry.masked,
        remoteIrr: entry.remoteIrr,
        asserted: this.inputs[pin].some((input) => input.level),
        by: this.inputs[pin].filter((input) => input.level).map((input) => input.name),
      };
    });
  }

  registers(): readonly RegisterView[] {
    const version = this.readRegister(1);
    return [
      { name: "IOREGSEL", value: BigInt(this.select), bits: 32 },
      {
        name: "IOAPICID",
        value: BigInt(this.readRegister(0)),
        bits: 32,
        fields: [{ name: "ID", bits: "27:24", value: BigInt(this.id), text: String(this.id) }],
      },
      {
        name: "IOAPICVER",
        value: BigInt(version),
        bits: 32,
        fields: [
          { name: "Version", bits: "7:0", value: BigInt(version & 0xff), text: hex(version & 0xff) },
          { name: "Max Redirection Entry", bits: "23:16", value: BigInt(version >>> 16), text: `${pinCount} entries` },
        ],
      },
      ...this.pins().map(({ pin, raw, text }) => ({ name: `IOREDTBL${pin}`, value: raw, bits: 64, fields: redirectionFields(raw), text })),
    ];
  }

  /** Bits of a register that {@link poke} sets; undefined for names that cannot be set. */
  pokeMask(name: string): bigint | undefined {
    if (name === "IOREGSEL") return 0xffn;
    if (name === "IOAPICID") return 0xfn << 24n;
    return pinOf(name) === undefined ? undefined : (0xffn << 56n) | BigInt(writableLow | readOnlyLow);
  }

  /** Sets a register as a debugger does, raw and without sending anything; other bits than {@link pokeMask} are left out. False for names that cannot be set. */
  poke(name: string, value: bigint): boolean {
    const mask = this.pokeMask(name);
    if (mask === undefined) return false;
    const kept = value & mask;
    const pin = pinOf(name);
    if (pin !== undefined) {
      this.low[pin] = Number(kept & 0xffff_ffffn);
      this.high[pin] = Number(kept >> 32n);
      this.active[pin] = this.isActive(pin);
    } else if (name === "IOREGSEL") this.select = Number(kept);
    else this.id = Number(kept >> 24n);
    return true;
  }

  save(): State {
    return {
      id: this.id,
      select: this.select,
      low: Array.from(this.low),
      high: Array.from(this.high),
      active: [...this.active],
      inputs: this.inputs.map((list) => list.map((input) => input.level)),
      writes: this.writes.save(),
    };
  }

  restore(state: State): void {
    const saved = state as { [key: string]: State };
    this.id = saved["id"] as number;
    this.writes.restore(saved["writes"]);
    this.select = saved["select"] as number;
    this.low.set(saved["low"] as number[]);
    this.high.set(saved["high"] as number[]);
    for (const [pin, active] of (saved["active"] as boolean[]).entries()) this.active[pin] = active;
    for (const [pin, levels] of (saved["inputs"] as boolean[][]).entries())
      for (const [index, input] of this.inputs[pin].entries()) input.level = levels[index] ?? false;
  }

  private entry(pin: number): bigint {
    return (BigInt(this.high[pin]) << 32n) | BigInt(this.low[pin]);
  }

  /** Level-triggered: only fixed and lowest priority can be; the others are always edges. */
  private isLevel(pin: number): boolean {
    return (this.low[pin] & LvtBit.level) !== 0 && (this.low[pin] & 0x600) === 0;
  }

  /** Whether the pin is at its active level, as the entry's polarity bit has it. */
  private isActive(pin: number): boolean {
    const asserted = this.inputs[pin].some((input) => input.level);
    const wired = this.polarity[pin] ?? "any";
    const activeLow = (this.low[pin] & LvtBit.polarity) !== 0;
    return wired === "any" || (wired === "low") === activeLow ? asserted : !asserted;
  }

  /** A line of the pin changed. */
  private sample(pin: number): void {
    const was = this.active[pin];
    const active = this.isActive(pin);
    if (was === active) return;
    this.active[pin] = active;
    if (!active) this.low[pin] &= ~LvtBit.status;
    else if (this.isLevel(pin)) this.serve(pin);
    else this.send(pin);
  }

  /** Sends for a level-triggered pin that is active, not masked and not being served. */
  private serve(pin: number): void {
    if (!this.isLevel(pin) || !this.active[pin] || this.low[pin] & (LvtBit.mask | LvtBit.remoteIrr)) return;
    // Set first: an EOI may come back within the delivery.
    this.low[pin] |= LvtBit.remoteIrr;
    this.low[pin] &= ~LvtBit.status;
    if (this.send(pin)) return;
    this.low[pin] &= ~LvtBit.remoteIrr;
    this.low[pin] |= LvtBit.status;
  }

  private send(pin: number): boolean {
    const entry = decodeRedirection(this.low[pin], this.high[pin]);
    if (entry.masked && entry.vector === 0 && entry.mode === "fixed") return false;
    const vectored = entry.mode === "fixed" || entry.mode === "lowpri";
    const message: InterruptMessage = {
      source: "ioapic",
      mode: entry.mode === "reserved" ? "fixed" : entry.mode,
      vector: vectored ? entry.vector : 0,
      trigger: this.isLevel(pin) ? "level" : "edge",
      shorthand: "none",
      destinationMode: entry.destinationMode,
      destination: entry.destination,
      wide: false,
      src: -1,
      senderCpu: -1,
    };
    if (entry.masked) this.bus.reject(message, `I/O APIC pin ${pin} masked`);
    else if (entry.mode === "reserved") this.bus.reject(message, `delivery mode is reserved in the redirection entry of pin ${pin}`);
    else return this.bus.deliver(message) > 0;
    return false;
  }
}
