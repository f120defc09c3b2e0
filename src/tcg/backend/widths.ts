/** How many bits of a value can be other than zero: what need not be truncated again. */
import { SLOT_TEMP, SLOT_ZERO, TEMP_COUNT } from "../layout";
import { opNames } from "../ops";
import { IS_HELPER, IS_VECTOR, operandUse, WRITES_B, WRITES_D } from "./operands";
import type { Piece, RegionOps } from "./pieces";

/** Slots that are followed: 16 general registers, then the temporaries. */
export const TRACKED = 16 + TEMP_COUNT;

function indexOf(slot: number): number {
  if (slot < 128) return slot >> 3;
  return slot >= SLOT_TEMP && slot < SLOT_TEMP + TEMP_COUNT * 8 ? 16 + ((slot - SLOT_TEMP) >> 3) : -1;
}

/** Results of a width that the op's name tells: 0 for others. */
const widthOfResult: readonly number[] = opNames.map((name) => {
  if (/^(get_|getCf|eq$|ltu$|ctz|clz|popcnt)/.test(name)) return 8;
  const memory = /^ldw?(8|16|32)(_32)?$/.exec(name) ?? /^(?:lea|zx|bswap)(8|16|32)h?$/.exec(name);
  const sized =
    memory ??
    /^(?:addf|adcf|subf|sbbf|andf|orf|xorf|shlf|shrf|sarf|rolf|rorf|rclf|rcrf|imulf|incf|decf|negf|shldf|shrdf|mulHiLof|imulHiLof|div|idiv)(8|16|32)$/.exec(
      name,
    );
  return sized === null ? 0 : Number(sized[1]);
});
type Kind = "mov" | "movc" | "deposit" | "and" | "or" | "movi" | "segment" | "other";
const kinds: readonly Kind[] = opNames.map((name): Kind => {
  if (name === "mov" || name === "movi" || name === "segment") return name;
  if (name.startsWith("movc_")) return "movc";
  if (/^dep(8|8h|16)$/.test(name)) return "deposit";
  if (/^and(f64)?$/.test(name)) return "and";
  if (/^x?or(f64)?$/.test(name)) return "or";
  return "other";
});

function constantBits(lo: number, hi: number): number {
  if (hi !== 0 || lo < 0) return hi === 0 ? 32 : 64;
  return lo < 0x100 ? 8 : lo < 0x1_0000 ? 16 : 32;
}

/** Bits of the value in a slot, at most. */
export function slotBits(bits: Uint8Array, slot: number): number {
  if (slot === SLOT_ZERO) return 8;
  const index = indexOf(slot);
  return index < 0 ? 64 : bits[index];
}

function rhsBits(ops: RegionOps, i: number, bits: Uint8Array): number {
  if (ops.b[i] === SLOT_ZERO) return constantBits(ops.lo[i], ops.hi[i]);
  return ops.lo[i] === 0 && ops.hi[i] === 0 ? slotBits(bits, ops.b[i]) : 64;
}

function definedBits(ops: RegionOps, i: number, bits: Uint8Array): number {
  const width = widthOfResult[ops.opcode[i]];
  if (width !== 0) return width;
  switch (kinds[ops.opcode[i]]) {
    case "movi":
      return constantBits(ops.lo[i], ops.hi[i]);
    case "mov":
      return slotBits(bits, ops.a[i]);
    case "movc":
      return Math.max(slotBits(bits, ops.a[i]), slotBits(bits, ops.d[i]));
    case "deposit":
      return Math.max(16, slotBits(bits, ops.d[i]));
    case "and":
      return Math.min(slotBits(bits, ops.a[i]), rhsBits(ops, i, bits));
    case "or":
      return Math.max(slotBits(bits, ops.a[i]), rhsBits(ops, i, bits));
    case "segment":
      return 32;
    case "other":
      return 64;
  }
}

/** What is known after op `i`, from what is known before it. */
export function resultBits(ops: RegionOps, i: number, before: Uint8Array, after: Uint8Array): void {
  const use = operandUse[ops.opcode[i]];
  if ((use & IS_HELPER) !== 0) {
    after.fill(64);
    return;
  }
  after.set(before);
  if ((use & IS_VECTOR) !== 0) {
    for (const slot of [ops.a[i], ops.a[i] + 8]) if (indexOf(slot) >= 0) after[indexOf(slot)] = 64;
    return;
  }
  const defined = (use & (WRITES_D | WRITES_B)) === 0 ? 64 : definedBits(ops, i, before);
  if ((use & WRITES_D) !== 0 && indexOf(ops.d[i]) >= 0) after[indexOf(ops.d[i])] = defined;
  if ((use & WRITES_B) !== 0 && indexOf(ops.b[i]) >= 0) after[indexOf(ops.b[i])] = defined;
}

/** At the start of a piece. */
export function startBits(bits: Uint8Array, narrow: number): void {
  bits.fill(64);
  for (let r = 0; r < 16; r++) if ((narrow & (1 << r)) !== 0) bits[r] = 32;
}

/** Registers that are zero-extended 32-bit values at the start of each piece, whichever way control comes. */
export function solveWidths(pieces: readonly Piece[], ops: RegionOps, entries: readonly number[]): Uint16Array {
  const narrowIn = new Uint16Array(pieces.length).fill(0xffff);
  for (const entry of entries) narrowIn[entry] = 0;
  let before = new Uint8Array(TRACKED);
  let after = new Uint8Array(TRACKED);
  const queued = new Uint8Array(pieces.length);
  const work = [...entries];
  for (const entry of entries) queued[entry] = 1;
  const seen = new Uint8Array(pieces.length);
  for (let at = work.pop(); at !== undefined; at = work.pop()) {
    queued[at] = 0;
    seen[at] = 1;
    const piece = pieces[at];
    startBits(before, narrowIn[at]);
    for (let i = piece.first; i < piece.end; i++) {
      resultBits(ops, i, before, after);
      [before, after] = [after, before];
    }
    let narrow = 0;
    for (let r = 0; r < 16; r++) if (before[r] <= 32) narrow |= 1 << r;
    for (const to of piece.next) {
      const joined = narrowIn[to] & narrow;
      if (seen[to] !== 0 && joined === narrowIn[to]) continue;
      narrowIn[to] = joined;
      if (queued[to] !== 0) continue;
      queued[to] = 1;
      work.push(to);
    }
  }
  return narrowIn;
}
