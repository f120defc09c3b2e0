/** The six status flags (SDM vol. 1, "EFLAGS Register"). */
export interface Flags {
  readonly cf: boolean;
  readonly pf: boolean;
  readonly af: boolean;
  readonly zf: boolean;
  readonly sf: boolean;
  readonly of: boolean;
}

/** Status flags in the lazy form of SLOT_CC_RES and SLOT_CC_AUX (layout.ts). */
export function unpackFlags(result: bigint, auxiliary: bigint): Flags {
  const bit = (value: bigint, position: bigint): boolean => ((value >> position) & 1n) !== 0n;
  const cf = bit(auxiliary, 63n);
  let low = Number((result ^ (auxiliary >> 8n)) & 0xffn);
  low ^= low >> 4;
  low ^= low >> 2;
  low ^= low >> 1;
  return {
    cf,
    pf: (low & 1) === 0,
    af: bit(auxiliary, 3n),
    zf: result === 0n,
    sf: bit(result, 63n) !== bit(auxiliary, 16n),
    of: cf !== bit(auxiliary, 62n),
  };
}

/** A lazy form of the six flags: CC_RES 0 or 1, the rest in CC_AUX. */
export function packFlags(flags: Flags): { result: bigint; auxiliary: bigint } {
  const bit = (flag: boolean, position: bigint): bigint => (flag ? 1n << position : 0n);
  return {
    result: flags.zf ? 0n : 1n,
    auxiliary:
      bit(flags.cf, 63n) | bit(flags.cf !== flags.of, 62n) | bit(flags.af, 3n) | bit(flags.sf, 16n) | bit(flags.pf !== flags.zf, 8n),
  };
}
