/** Single bits, bit fields, counts of bits. */
import { SLOT_ZERO } from "../../tcg/layout";
import type { Width } from "../decode/decoder";
import type { Emission } from "./emission";

type BitOperation = "test" | "set" | "reset" | "complement";

/** value with bit changed, into `d`. `mask` holds the bit alone. */
function change(e: Emission, operation: BitOperation, d: number, value: number, mask: number): void {
  switch (operation) {
    case "set":
      e.emit("or", d, value, mask);
      return;
    case "complement":
      e.emit("xor", d, value, mask);
      return;
    case "reset": {
      const inverted = e.temp();
      e.emit("xor", inverted, mask, SLOT_ZERO, -1);
      e.emit("and", d, value, inverted);
      return;
    }
    case "test":
      return;
  }
}

/** BT, BTS, BTR, BTC: CF is the bit's old value, the other flags are kept. A register index reaches beyond a memory operand. */
export function bit(operation: BitOperation) {
  return (e: Emission): void => {
    const width = e.width(0);
    const constant = e.insn.row.operands[1].letter === "I";
    const memory = e.isMemory(0);
    const update = operation !== "test";
    const position = e.temp();
    const old = memory ? e.temp() : e.read(0);
    if (constant) e.emit("movi", position, SLOT_ZERO, SLOT_ZERO, e.insn.immediate & (width - 1));
    else e.emit("and", position, e.read(1), SLOT_ZERO, width - 1);
    if (memory) {
      if (constant) e.addressMemory(width / 8, update);
      else e.addressMemoryAt(bitStringDistance(e, width), width / 8, update);
      e.load(update ? "ldw" : "ld", old, width);
    }
    const carry = e.temp();
    e.emit("shr", carry, old, position);
    if (update) {
      const mask = e.temp();
      const result = e.temp();
      e.emit("movi", mask, SLOT_ZERO, SLOT_ZERO, 1);
      e.emit("shl", mask, mask, position);
      change(e, operation, result, old, mask);
      e.write(0, result, false);
    }
    e.emit("setCf", SLOT_ZERO, carry);
  };
}

/** Distance in bytes of the bit string's element that the index register names: the signed index, in elements, times their size. */
function bitStringDistance(e: Emission, width: Width): number {
  const slot = e.temp();
  const index = e.read(1);
  if (width === 64) e.emit("mov", slot, index);
  else e.emit(width === 16 ? "sx16" : "sx32", slot, index);
  e.emit("sar", slot, slot, SLOT_ZERO, 3);
  e.emit("and", slot, slot, SLOT_ZERO, -(width / 8));
  return slot;
}

/** Slot with the value of operand `index`, zeros above it. */
function zeroExtended(e: Emission, index: number): number {
  const value = e.read(index);
  const width = e.width(index);
  if (width === 64 || e.isMemory(index)) return value;
  const slot = e.temp();
  e.emit(width === 32 ? "zx32" : "zx16", slot, value);
  return slot;
}

/** BSF and BSR: for 0 the destination stays as it is. ZF tells; the other flags, undefined, are those of the source. */
export function bitScan(direction: "forward" | "reverse") {
  return (e: Emission): void => {
    const width = e.width(0);
    const index = e.registerNumber(0);
    const source = zeroExtended(e, 1);
    const result = e.temp();
    e.emit(`orf${width}`, e.sink, source, SLOT_ZERO);
    const empty = e.builder.branch("brz", source);
    if (direction === "forward") e.emit("ctz", result, source);
    else {
      e.emit("clz", result, source);
      e.emit("xor", result, result, SLOT_ZERO, 63);
    }
    e.setRegister(index, width, result);
    e.builder.bind(empty);
  };
}

/** TZCNT and LZCNT: the operand size for 0, with CF; ZF for a result of 0. */
export function bitCount(direction: "trailing" | "leading") {
  return (e: Emission): void => {
    const width = e.width(0);
    const index = e.registerNumber(0);
    const source = zeroExtended(e, 1);
    const result = e.temp();
    const empty = e.temp();
    e.emit("eq", empty, source, SLOT_ZERO);
    if (direction === "trailing") {
      const guarded = e.temp();
      if (width === 64) e.emit("mov", guarded, source);
      else e.emit("or", guarded, source, SLOT_ZERO, width === 32 ? 0x1_0000_0000 : 0x1_0000);
      e.emit("ctz", result, guarded);
    } else {
      e.emit("clz", result, source);
      if (width !== 64) e.emit("sub", result, result, SLOT_ZERO, 64 - width);
    }
    e.emit(`orf${width}`, e.sink, result, SLOT_ZERO);
    e.emit("setCf", SLOT_ZERO, empty);
    e.setRegister(index, width, result);
  };
}

/** POPCNT: ZF for 0, all other flags cleared. */
export function populationCount(e: Emission): void {
  const width = e.width(0);
  const index = e.registerNumber(0);
  const source = zeroExtended(e, 1);
  const result = e.temp();
  const flags = e.temp();
  e.emit("popcnt", result, source);
  e.emit("eq", flags, source, SLOT_ZERO);
  e.emit("shl", flags, flags, SLOT_ZERO, 6);
  e.emit("setFlags", SLOT_ZERO, flags);
  e.setRegister(index, width, result);
}

/** BSWAP. Of a 16-bit register, where the manual leaves the result undefined, processors make 0. */
export function byteSwap(e: Emission): void {
  const width = e.width(0);
  const index = e.registerNumber(0);
  const slot = e.register(index, width);
  if (width === 64) e.emit("bswap64", slot, slot);
  else if (width === 32) e.emit("bswap32", slot, slot);
  else e.emit("dep16", slot, SLOT_ZERO);
}

/** MOVBE: a move that reverses the bytes. */
export function moveBigEndian(e: Emission): void {
  const width = e.width(0);
  const value = e.read(1);
  const result = e.temp();
  if (width === 16) {
    const high = e.temp();
    e.emit("zx8h", result, value);
    e.emit("shl", high, value, SLOT_ZERO, 8);
    e.emit("or", result, result, high);
  } else e.emit(width === 32 ? "bswap32" : "bswap64", result, value);
  e.write(0, result);
}

export function andNot(e: Emission): void {
  const width = e.width(0);
  const index = e.registerNumber(0);
  const inverted = e.temp();
  e.emit("xor", inverted, e.read(1), SLOT_ZERO, -1);
  const target = e.target(index, width);
  e.emit(`andf${width}`, target, inverted, e.read(2));
}

/** BLSR, BLSMSK, BLSI: lowest set bit cleared, mask up to it, it alone. CF: the source is 0, for BLSI that it is not. */
export function lowestBit(operation: "clear" | "mask" | "isolate") {
  return (e: Emission): void => {
    const width = e.width(0);
    const source = zeroExtended(e, 1);
    const other = e.temp();
    const carry = e.temp();
    const result = e.temp();
    e.emit("eq", carry, source, SLOT_ZERO);
    if (operation === "isolate") {
      e.emit("sub", other, SLOT_ZERO, source);
      e.emit("xor", carry, carry, SLOT_ZERO, 1);
    } else e.emit("sub", other, source, SLOT_ZERO, 1);
    e.emit(`${operation === "mask" ? "xorf" : "andf"}${width}`, result, source, other);
    e.emit("setCf", SLOT_ZERO, carry);
    e.setRegister(e.registerNumber(0), width, result);
  };
}

/** mask = the low `count` bits; all when `count` is 64 or more. */
function lowMask(e: Emission, mask: number, count: number): void {
  const narrow = e.temp();
  e.emit("ltu", narrow, count, SLOT_ZERO, 64);
  e.emit("movi", mask, SLOT_ZERO, SLOT_ZERO, 1);
  e.emit("shl", mask, mask, count);
  e.emit("sub", mask, mask, SLOT_ZERO, 1);
  // 0 for a narrow mask, all ones for a wide one.
  e.emit("sub", narrow, narrow, SLOT_ZERO, 1);
  e.emit("or", mask, mask, narrow);
}

/** BZHI: bits from the index on cleared; CF when there are none. */
export function zeroHighBits(e: Emission): void {
  const width = e.width(0);
  const source = zeroExtended(e, 1);
  const count = e.temp();
  const mask = e.temp();
  const carry = e.temp();
  const result = e.temp();
  e.emit("zx8", count, e.read(2));
  lowMask(e, mask, count);
  e.emit("and", result, source, mask);
  e.emit("ltu", carry, count, SLOT_ZERO, width);
  e.emit("xor", carry, carry, SLOT_ZERO, 1);
  e.emit(`orf${width}`, result, result, SLOT_ZERO);
  e.emit("setCf", SLOT_ZERO, carry);
  e.setRegister(e.registerNumber(0), width, result);
}

/** BEXTR: bits [start, start + length). */
export function extractBits(e: Emission): void {
  const width = e.width(0);
  const source = zeroExtended(e, 1);
  const control = e.read(2);
  const start = e.temp();
  const count = e.temp();
  const within = e.temp();
  const result = e.temp();
  const mask = e.temp();
  e.emit("zx8", start, control);
  e.emit("zx8h", count, control);
  e.emit("ltu", within, start, SLOT_ZERO, 64);
  e.emit("shr", result, source, start);
  // A start beyond the operand yields 0.
  e.emit("sub", within, SLOT_ZERO, within);
  e.emit("and", result, result, within);
  lowMask(e, mask, count);
  e.emit(`andf${width}`, result, result, mask);
  e.setRegister(e.registerNumber(0), width, result);
}

/** MULX: unsigned product of rDX into two registers, flags kept. */
export function multiplyWithoutFlags(e: Emission): void {
  const width = e.width(0);
  const high = e.registerNumber(0);
  const low = e.registerNumber(1);
  const factor = e.read(2);
  const product = e.temp();
  const upper = e.temp();
  const flags = e.temp();
  e.emit("getFlags", flags);
  e.emit("mov", product, e.register(2, width));
  e.emit(width === 64 ? "mulHiLof64" : "mulHiLof32", product, factor, upper);
  e.emit("setFlags", SLOT_ZERO, flags);
  e.setRegister(low, width, product);
  e.setRegister(high, width, upper);
}

/** PDEP and PEXT. */
export function bitShuffle(name: "pdep" | "pext") {
  return (e: Emission): void => {
    const width = e.width(0);
    const value = e.temp();
    const mask = e.temp();
    const extend = width === 64 ? "mov" : "zx32";
    e.emit(extend, value, e.read(1));
    e.emit(extend, mask, e.read(2));
    e.helper(name, value, mask);
    e.setRegister(e.registerNumber(0), width, value);
  };
}

/** CRC32: the accumulator has 32 bits, whatever REX.W says. */
export function crc32(e: Emission): void {
  const index = e.registerNumber(0);
  const value = e.read(1);
  const accumulator = e.temp();
  e.emit("zx32", accumulator, e.register(index, 32));
  e.helper("crc32", accumulator, value, e.width(1) / 8);
  e.setRegister(index, 32, accumulator, false);
}
