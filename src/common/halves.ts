/** The 64-bit value, unsigned, of two halves of 32 bits, signed or not: hot paths keep addresses in halves, as big integers would be allocated. */
export const joinHalves = (high: number, low: number): bigint => (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
