/**
 * Accesses to memory whose addresses differ by constants: pushes, pops and locals of a stack frame, fields of a structure, an operand that is read and written. One look at the TLB serves all of
 * them where they lie in one page: the address of the first byte of their range in the engine's memory stays in a local.
 */
import { SLOT_TEMP, SLOT_ZERO, TEMP_COUNT } from "../layout";
import { opNames } from "../ops";
import { IS_HELPER, IS_VECTOR, operandUse, WRITES_B, WRITES_D } from "./operands";
import type { RegionOps } from "./pieces";

/** Bytes that a range spans at most: longer ones lie across two pages too often. */
const MAX_SPAN = 512;
/** Ranges with a local of their own at a time. */
const MAX_RANGES = 4;
/** Slots that are followed: general registers, then temporaries. */
const FOLLOWED = 16 + TEMP_COUNT;
/** Base of addresses without registers. */
const ABSOLUTE = 0;

interface Access {
  readonly bytes: number;
  readonly writes: boolean;
  /** Addresses are truncated to 32 bits. */
  readonly wrap32: boolean;
}
const accessOf: readonly (Access | undefined)[] = opNames.map((name) => {
  const match = /^(ldw?|st)(\d+)(_32)?$/.exec(name);
  return match === null ? undefined : { bytes: Number(match[2]) / 8, writes: match[1] !== "ld", wrap32: match[3] !== undefined };
});
/** How much an op adds to a: `sign` times its immediate. In which arithmetic, 32 or 64 bits. */
const additionOf: readonly ({ readonly bits: 32 | 64; readonly sign: number; readonly one: boolean } | undefined)[] = opNames.map(
  (name) => {
    const match = /^(?:(add|sub)|(add|sub|inc|dec)f(32|64))$/.exec(name);
    if (match === null) return undefined;
    const [, plain, flagged, width] = match;
    const operation = (plain as string | undefined) ?? flagged;
    const sign = operation === "sub" || operation === "dec" ? -1 : 1;
    return { bits: (width as string | undefined) === "32" ? 32 : 64, sign, one: operation === "inc" || operation === "dec" };
  },
);
const isMove: readonly boolean[] = opNames.map((name) => name === "mov");
const leaBits: readonly number[] = opNames.map((name) => (name === "lea" ? 64 : name === "lea32" ? 32 : 0));

function indexOf(slot: number): number {
  if (slot < 128) return slot >> 3;
  return slot >= SLOT_TEMP && slot < SLOT_TEMP + TEMP_COUNT * 8 ? 16 + ((slot - SLOT_TEMP) >> 3) : -1;
}

/** Bytes from a base on that have been looked at together. */
export interface Range {
  readonly base: number;
  /** Offsets of the first byte and behind the last. */
  readonly from: number;
  readonly to: number;
  readonly reads: boolean;
  readonly writes: boolean;
  /** i32 local: where the first byte is in the engine's memory; 0 when the range is not plain memory of one page. */
  readonly local: number;
}

/** An access by way of a range. */
export interface SharedAccess {
  readonly range: Range;
  /** The range has to be looked at here; its first byte is so far from the access's. */
  readonly isFirst: boolean;
  /** Bytes from the range's first byte to the access's. */
  readonly distance: number;
}

/** What is known at a place: the base of each register and how far it is from it, and the ranges looked at. */
export interface AccessState {
  readonly bases: readonly number[];
  readonly offsets: readonly number[];
  readonly ranges: readonly Range[];
}

export class SharedAccesses {
  private bases: number[] = new Array<number>(FOLLOWED).fill(0);
  private offsets: number[] = new Array<number>(FOLLOWED).fill(0);
  private ranges: Range[] = [];
  private nextBase = 1;
  /** Bases of addresses with two registers. */
  private readonly pairs = new Map<string, number>();
  private readonly locals: number[] = [];
  private turn = 0;
  /** Arithmetic that addresses are followed in. */
  private readonly bits: 32 | 64;
  /** Of the piece under construction, by op: base and offset of its access; -1 where it has none. */
  private accessBases = new Int32Array(0);
  private accessOffsets = new Int32Array(0);
  private first = 0;

  constructor(
    private readonly ops: RegionOps,
    private readonly newLocal: () => number,
  ) {
    let narrow = 0;
    let wide = 0;
    for (let i = 0; i < ops.count; i++) {
      const access = accessOf[ops.opcode[i]];
      if (access?.wrap32 === true) narrow++;
      else if (access !== undefined) wide++;
    }
    this.bits = narrow > 0 && wide === 0 ? 32 : 64;
  }

  snapshot(): AccessState {
    return { bases: [...this.bases], offsets: [...this.offsets], ranges: this.ranges };
  }

  restore({ bases, offsets, ranges }: AccessState): void {
    this.bases = [...bases];
    this.offsets = [...offsets];
    this.ranges = [...ranges];
  }

  /** Nothing that was known holds any more. */
  forget(): void {
    this.ranges = [];
    for (let index = 0; index < FOLLOWED; index++) this.renew(index);
  }

  /** A helper was called: what is mapped where may have changed. */
  forgetRanges(): void {
    this.ranges = [];
  }

  /** Follows the ops of a piece from what is known at its start; what is known is that at its end then, but for ranges. */
  begin(first: number, end: number): void {
    this.first = first;
    this.accessBases = new Int32Array(end - first).fill(-1);
    this.accessOffsets = new Int32Array(end - first);
    for (let i = first; i < end; i++) {
      this.place(i);
      this.follow(i);
    }
  }

  private renew(index: number): void {
    if (index < 0) return;
    this.bases[index] = this.nextBase++;
    this.offsets[index] = 0;
  }

  /** Base of the address of op `i`. */
  private place(i: number): void {
    const { ops } = this;
    const access = accessOf[ops.opcode[i]];
    if (access === undefined || access.wrap32 !== (this.bits === 32)) return;
    const a = ops.a[i] === SLOT_ZERO ? -1 : indexOf(ops.a[i]);
    const b = ops.b[i] === SLOT_ZERO ? -1 : indexOf(ops.b[i]);
    if ((a < 0 && ops.a[i] !== SLOT_ZERO) || (b < 0 && ops.b[i] !== SLOT_ZERO)) return;
    const scale = ops.hi[i] & 3;
    const offset = ops.lo[i] + (a < 0 ? 0 : this.offsets[a]) + (b < 0 ? 0 : this.offsets[b] * (1 << scale));
    if (Math.abs(offset) > 0x4000_0000) return;
    const baseA = a < 0 ? ABSOLUTE : this.bases[a];
    this.accessBases[i - this.first] = b < 0 ? baseA : this.pair(baseA, this.bases[b], scale);
    this.accessOffsets[i - this.first] = offset;
  }

  private pair(a: number, b: number, scale: number): number {
    const key = `${a} ${b} ${scale}`;
    let base = this.pairs.get(key);
    if (base === undefined) this.pairs.set(key, (base = this.nextBase++));
    return base;
  }

  /** What op `i` makes of bases. */
  private follow(i: number): void {
    const { ops } = this;
    const opcode = ops.opcode[i];
    const use = operandUse[opcode];
    if ((use & IS_HELPER) !== 0) {
      for (let index = 0; index < FOLLOWED; index++) this.renew(index);
      return;
    }
    const d = (use & WRITES_D) !== 0 ? indexOf(ops.d[i]) : -1;
    const a = indexOf(ops.a[i]);
    if (d >= 0 && a >= 0) {
      const moved = this.moved(i);
      if (moved !== undefined && Math.abs(this.offsets[a] + moved) < 0x4000_0000) {
        const base = this.bases[a];
        const offset = this.offsets[a] + moved;
        this.bases[d] = base;
        this.offsets[d] = offset;
        return;
      }
    }
    this.renew(d);
    if ((use & WRITES_B) !== 0) this.renew(indexOf(ops.b[i]));
    if ((use & IS_VECTOR) !== 0) {
      this.renew(indexOf(ops.a[i]));
      this.renew(indexOf(ops.a[i] + 8));
    }
  }

  /** How far op `i` puts its result from a; undefined where it does anything else. */
  private moved(i: number): number | undefined {
    const { ops, bits } = this;
    const opcode = ops.opcode[i];
    if (isMove[opcode]) return 0;
    if (leaBits[opcode] === bits) return ops.b[i] === SLOT_ZERO ? ops.lo[i] : undefined;
    const addition = additionOf[opcode];
    if (addition?.bits !== bits) return undefined;
    if (addition.one) return addition.sign;
    if (ops.b[i] !== SLOT_ZERO || (bits === 64 && ops.hi[i] !== ops.lo[i] >> 31)) return undefined;
    return addition.sign * ops.lo[i];
  }

  /** The access of op `i` of the piece by way of a range, if it shares one. */
  at(i: number): SharedAccess | undefined {
    const access = accessOf[this.ops.opcode[i]];
    const base = this.accessBases[i - this.first];
    if (access === undefined || base < 0) return undefined;
    const offset = this.accessOffsets[i - this.first];
    const known = this.ranges.find((range) => range.base === base);
    if (known !== undefined && offset >= known.from && offset + access.bytes <= known.to && (access.writes ? known.writes : known.reads))
      return { range: known, isFirst: false, distance: offset - known.from };
    const range = this.look(i, base, offset, access);
    if (range === undefined) return undefined;
    this.ranges = [...this.ranges.filter((other) => other.base !== base && other.local !== range.local), range];
    return { range, isFirst: true, distance: offset - range.from };
  }

  /** The range of the accesses from op `i` on that have its base, if there are several. */
  private look(i: number, base: number, offset: number, access: Access): Range | undefined {
    const { ops, first } = this;
    let from = offset;
    let to = offset + access.bytes;
    let reads = !access.writes;
    let writes = access.writes;
    let count = 1;
    for (let j = i + 1; j < first + this.accessBases.length; j++) {
      if ((operandUse[ops.opcode[j]] & IS_HELPER) !== 0) break;
      const other = accessOf[ops.opcode[j]];
      if (other === undefined || this.accessBases[j - first] !== base) continue;
      const at = this.accessOffsets[j - first];
      const begin = Math.min(from, at);
      const end = Math.max(to, at + other.bytes);
      if (end - begin > MAX_SPAN) continue;
      from = begin;
      to = end;
      if (other.writes) writes = true;
      else reads = true;
      count++;
    }
    if (count < 2) return undefined;
    return { base, from, to, reads, writes, local: this.takeLocal(base) };
  }

  private takeLocal(base: number): number {
    const same = this.ranges.find((range) => range.base === base);
    if (same !== undefined) return same.local;
    const taken = this.ranges.map(({ local }) => local);
    const free = this.locals.find((local) => !taken.includes(local));
    if (free !== undefined) return free;
    if (this.locals.length >= MAX_RANGES) return this.locals[this.turn++ % MAX_RANGES];
    const local = this.newLocal();
    this.locals.push(local);
    return local;
  }
}
