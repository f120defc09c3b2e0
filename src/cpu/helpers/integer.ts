/**
 * Helpers of integer instructions that ops do not express: decimal arithmetic, CRC32, bit deposit and extraction. They touch nothing but slots.
 * `slots` are the CPU's 64-bit slots (index = offset / 8, tcg/layout.ts); a, b, lo, hi are those of the `helper` op; the result is a helper's status.
 */
import { SLOT_CC_AUX, SLOT_CC_RES, SLOT_GPR } from "../../tcg/layout";
import { type Flags, packFlags, unpackFlags } from "../../tcg/flags";
import { STATUS_OK } from "../../tcg/ops";

export type IntegerHelper = (slots: BigUint64Array, a: number, b: number, lo: number, hi: number) => number;

const RAX = SLOT_GPR / 8;
const RES = SLOT_CC_RES / 8;
const AUX = SLOT_CC_AUX / 8;

function parity(byte: number): boolean {
  let bits = byte & 0xff;
  bits ^= bits >> 4;
  bits ^= bits >> 2;
  bits ^= bits >> 1;
  return (bits & 1) === 0;
}

function readFlags(slots: BigUint64Array): Flags {
  return unpackFlags(slots[RES], slots[AUX]);
}

/** SF, ZF and PF of a byte; CF and AF as given; OF, undefined after these instructions, cleared. */
function writeFlags(slots: BigUint64Array, byte: number, cf: boolean, af: boolean): void {
  const packed = packFlags({ cf, af, of: false, zf: (byte & 0xff) === 0, sf: (byte & 0x80) !== 0, pf: parity(byte) });
  slots[RES] = packed.result;
  slots[AUX] = packed.auxiliary;
}

const readAx = (slots: BigUint64Array): number => Number(slots[RAX] & 0xffffn);

function writeAx(slots: BigUint64Array, value: number): void {
  slots[RAX] = (slots[RAX] & ~0xffffn) | BigInt(value & 0xffff);
}

/** DAA and DAS (SDM volume 2). */
function decimalAdjust(subtract: boolean): IntegerHelper {
  return (slots) => {
    const ax = readAx(slots);
    const { cf, af } = readFlags(slots);
    const al = ax & 0xff;
    const low = (al & 15) > 9 || af;
    const high = al > 0x99 || cf;
    const amount = (low ? 6 : 0) + (high ? 0x60 : 0);
    const result = (subtract ? al - amount : al + amount) & 0xff;
    // DAS also reports the borrow of its first step.
    const borrow = subtract && low && al < 6;
    writeAx(slots, (ax & 0xff00) | result);
    writeFlags(slots, result, high || borrow, low);
    return STATUS_OK;
  };
}

export const daa = decimalAdjust(false);
export const das = decimalAdjust(true);

/** AAA and AAS: AX as a whole takes the correction (from the 80286 on). */
function asciiAdjust(sign: 1 | -1): IntegerHelper {
  return (slots) => {
    const ax = readAx(slots);
    const adjust = (ax & 15) > 9 || readFlags(slots).af;
    const corrected = (adjust ? ax + sign * 0x106 : ax) & 0xff0f;
    writeAx(slots, corrected);
    writeFlags(slots, corrected & 0xff, adjust, adjust);
    return STATUS_OK;
  };
}

export const aaa = asciiAdjust(1);
export const aas = asciiAdjust(-1);

/** AAM: the base `lo` is not 0 (the front end raises #DE). */
export const aam: IntegerHelper = (slots, _a, _b, lo) => {
  const al = readAx(slots) & 0xff;
  const quotient = Math.floor(al / lo);
  const remainder = al % lo;
  writeAx(slots, (quotient << 8) | remainder);
  writeFlags(slots, remainder, false, false);
  return STATUS_OK;
};

export const aad: IntegerHelper = (slots, _a, _b, lo) => {
  const ax = readAx(slots);
  const result = ((ax & 0xff) + (ax >> 8) * lo) & 0xff;
  writeAx(slots, result);
  writeFlags(slots, result, false, false);
  return STATUS_OK;
};

/** Castagnoli polynomial, reflected. */
const CRC32C = 0x82f63b78;

export const crc32: IntegerHelper = (slots, a, b, lo) => {
  let crc = Number(slots[a / 8] & 0xffff_ffffn);
  let value = slots[b / 8];
  for (let index = 0; index < lo; index++) {
    crc ^= Number(value & 0xffn);
    value >>= 8n;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ CRC32C : crc >>> 1;
  }
  slots[a / 8] = BigInt(crc >>> 0);
  return STATUS_OK;
};

export const pdep: IntegerHelper = (slots, a, b) => {
  let source = slots[a / 8];
  let result = 0n;
  for (let mask = slots[b / 8]; mask !== 0n; mask &= mask - 1n) {
    if (source & 1n) result |= mask & -mask;
    source >>= 1n;
  }
  slots[a / 8] = result;
  return STATUS_OK;
};

export const pext: IntegerHelper = (slots, a, b) => {
  const source = slots[a / 8];
  let result = 0n;
  let position = 0n;
  for (let mask = slots[b / 8]; mask !== 0n; mask &= mask - 1n) {
    if (source & mask & -mask) result |= 1n << position;
    position++;
  }
  slots[a / 8] = result;
  return STATUS_OK;
};

/** By name, as helperIds.ts has them. */
export const integerHelpers = { daa, das, aaa, aas, aam, aad, crc32, pdep, pext } as const;
