// 64-bit values by halves of 32 bits: hot paths keep addresses so, as big integers would be allocated. Halves change places with big integers through memory, which takes a tenth of what arithmetic on them does.

const whole = new BigUint64Array(1);
const halves = new Int32Array(whole.buffer);

/** The 64-bit value, unsigned, of two halves of 32 bits, signed or not. */
export function joinHalves(high: number, low: number): bigint {
  halves[0] = low;
  halves[1] = high;
  return whole[0];
}

/** Bits 0 to 31 of a value, signed. */
export function lowHalf(value: bigint): number {
  whole[0] = value;
  return halves[0];
}

/** Bits 32 to 63, signed. */
export function highHalf(value: bigint): number {
  whole[0] = value;
  return halves[1];
}
