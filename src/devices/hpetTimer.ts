import type { State } from "../common/state";
import { HPET_GSI_MASK } from "./board";
import type { Timer } from "./device";
import type { StateReader } from "./stateReader";

export const CONF_LEVEL = 1n << 1n;
export const CONF_ENABLE = 1n << 2n;
export const CONF_PERIODIC = 1n << 3n;
const CONF_PERIODIC_CAPABLE = 1n << 4n;
const CONF_64_BIT_CAPABLE = 1n << 5n;
const CONF_SET_VALUE = 1n << 6n;
export const CONF_32_BIT = 1n << 8n;
const CONF_ROUTE = 0x1fn << 9n;
export const CONF_FSB = 1n << 14n;
const CONF_FSB_CAPABLE = 1n << 15n;
const WRITABLE = CONF_LEVEL | CONF_ENABLE | CONF_PERIODIC | CONF_SET_VALUE | CONF_32_BIT | CONF_ROUTE | CONF_FSB;
const READ_ONLY = CONF_PERIODIC_CAPABLE | CONF_64_BIT_CAPABLE | CONF_FSB_CAPABLE | (BigInt(HPET_GSI_MASK) << 32n);

const MASK32 = 0xffffffffn;
const MASK64 = (1n << 64n) - 1n;

/** One timer of the HPET (IA-PC HPET specification 1.0a, 2.3.8 and 2.3.9): configuration, comparator and what a periodic one adds to it. */
export class HpetTimer {
  private configuration = 0n;
  private compare = MASK64;
  private period = 0n;
  message = 0n;
  /** The edge of an interrupt was given and the line is still high. */
  edge = false;

  /** @param clock the timer of the virtual clock that wakes for the next match */
  constructor(readonly clock: Timer) {}

  has(bit: bigint): boolean {
    return (this.configuration & bit) !== 0n;
  }

  get enabled(): boolean {
    return this.has(CONF_ENABLE);
  }

  get level(): boolean {
    return this.has(CONF_LEVEL);
  }

  get route(): number {
    return Number((this.configuration & CONF_ROUTE) >> 9n);
  }

  get configurationRegister(): bigint {
    return this.configuration | READ_ONLY;
  }

  get comparator(): bigint {
    return this.compare;
  }

  private get width(): bigint {
    return this.has(CONF_32_BIT) ? MASK32 : MASK64;
  }

  writeConfiguration(value: bigint, mask: bigint): void {
    let next = ((this.configuration & ~mask) | (value & mask)) & WRITABLE;
    // A route that the timer cannot take is not kept (2.3.8, Tn_INT_ROUTE_CNF).
    const route = Number((next & CONF_ROUTE) >> 9n);
    if (route !== 0 && !(HPET_GSI_MASK & (1 << route))) next = (next & ~CONF_ROUTE) | (this.configuration & CONF_ROUTE);
    this.configuration = next;
    if (this.has(CONF_32_BIT)) {
      this.compare &= MASK32;
      this.period &= MASK32;
    }
  }

  /** In periodic mode a write sets the period, and with "set value" the next match as well; the bit clears itself. */
  writeComparator(value: bigint, mask: bigint): void {
    const merge = (old: bigint): bigint => ((old & ~mask) | (value & mask)) & this.width;
    if (!this.has(CONF_PERIODIC) || this.has(CONF_SET_VALUE)) this.compare = merge(this.compare);
    if (this.has(CONF_PERIODIC)) this.period = merge(this.period);
    this.configuration &= ~CONF_SET_VALUE;
  }

  /** Counts until the counter next equals the comparator: at least 1. */
  distance(counter: bigint): bigint {
    const left = (this.compare - counter) & this.width;
    return left === 0n ? this.width + 1n : left;
  }

  /** The counter has come to the comparator, now or a little ago: a periodic one moves on, past what was missed. */
  reached(counter: bigint): void {
    if (!this.has(CONF_PERIODIC) || this.period === 0n) return;
    const late = (counter - this.compare) & this.width;
    this.compare = (this.compare + this.period * (late / this.period + 1n)) & this.width;
  }

  reset(): void {
    this.configuration = 0n;
    this.compare = MASK64;
    this.period = 0n;
    this.message = 0n;
    this.edge = false;
    this.clock.disarm();
  }

  save(): State {
    return {
      configuration: this.configuration,
      compare: this.compare,
      period: this.period,
      message: this.message,
      edge: this.edge,
      deadline: this.clock.deadline ?? null,
    };
  }

  restore(reader: StateReader): void {
    this.configuration = reader.bigint("configuration");
    this.compare = reader.bigint("compare");
    this.period = reader.bigint("period");
    this.message = reader.bigint("message");
    this.edge = reader.boolean("edge");
    reader.timer("deadline", this.clock);
  }
}
