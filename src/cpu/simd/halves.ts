/**
 * How operations work on 256 bits: on each half by itself, with the second operand's own half and the same immediate, but for these (SDM vol. 2, the VEX.256 forms).
 */
export interface UpperHalf {
  /** The upper half takes its second operand from this byte of the lower 128 bits. */
  readonly source?: number;
  /** The immediate has bits of their own for the upper half: how many bits on. */
  readonly immediateBits?: number;
  /** Each half gives this many bytes; the halves' results are neighbours. */
  readonly gives?: 8;
  /** The result is a mask with this many bits for each half. */
  readonly maskBits?: number;
}

const table: Readonly<Record<string, UpperHalf>> = {
  ...Object.fromEntries(["psrlw", "psrld", "psrlq", "psraw", "psrad", "psllw", "pslld", "psllq"].map((name) => [name, { source: 0 }])),
  // Counts in bytes are immediates.
  psrldq: { source: 0 },
  pslldq: { source: 0 },
  broadcastb: { source: 0 },
  broadcastw: { source: 0 },
  broadcastd: { source: 0 },
  pmovsxbw: { source: 8 },
  pmovsxwd: { source: 8 },
  pmovsxdq: { source: 8 },
  pmovzxbw: { source: 8 },
  pmovzxwd: { source: 8 },
  pmovzxdq: { source: 8 },
  pmovsxbd: { source: 4 },
  pmovsxwq: { source: 4 },
  pmovzxbd: { source: 4 },
  pmovzxwq: { source: 4 },
  pmovsxbq: { source: 2 },
  pmovzxbq: { source: 2 },
  cvtps2pd: { source: 8 },
  cvtdq2pd: { source: 8 },
  cvtph2ps: { source: 8 },
  cvtpd2ps: { gives: 8 },
  cvtpd2dq: { gives: 8 },
  cvttpd2dq: { gives: 8 },
  cvtps2ph: { gives: 8 },
  blendps: { immediateBits: 4 },
  blendpd: { immediateBits: 2 },
  shufpd: { immediateBits: 2 },
  permilpd: { immediateBits: 2 },
  mpsadbw: { immediateBits: 3 },
  pmovmskb: { maskBits: 16 },
  movmskps: { maskBits: 4 },
  movmskpd: { maskBits: 2 },
};
const alike: UpperHalf = {};

export const upperHalfOf = (name: string): UpperHalf => table[name] ?? alike;
