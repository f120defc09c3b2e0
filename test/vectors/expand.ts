/**
 * The inputs of an instruction vector, made from a seed: a recorded file holds only what differs from them, which is
 * what keeps thousands of cases a form small. Recorder and reader must agree on every bit here: changing anything in
 * this file means recording all data again.
 */

/** Indices into a state vector: 0..15 are RAX RCX RDX RBX RSP RBP RSI RDI R8..R15, in the order of the encoding. */
export const RFLAGS = 16;
/** Index of the instruction pointer (an offset from the base of CS) in a state vector. */
export const RIP = 17;
/** Entries of a state vector: 16 registers, RFLAGS, RIP. */
export const STATE_SIZE = 18;

/** The arithmetic flags, and the three others that cases use. */
export const Flag = { CF: 0x1, PF: 0x4, AF: 0x10, ZF: 0x40, SF: 0x80, IF: 0x200, DF: 0x400, OF: 0x800 } as const;

/** Width of the code segment a case runs in. */
export type Mode = 16 | 32 | 64;

/** A small deterministic generator of 32-bit numbers (a Weyl sequence through a mixing function). */
export class Random {
  private state: number;

  constructor(seed: number, stream: number) {
    this.state = scramble((seed ^ scramble(stream + 0x51ed270b)) | 0);
  }

  /** The next number, 0..2^32-1. */
  next(): number {
    this.state = (this.state + 0x9e3779b9) | 0;
    return scramble(this.state) >>> 0;
  }

  /** A number from 0 to `limit` - 1. */
  below(limit: number): number {
    return Math.floor((this.next() / 0x1_0000_0000) * limit);
  }

  /** True in `of` out of `outOf` draws. */
  chance(of: number, outOf: number): boolean {
    return this.below(outOf) < of;
  }

  /** One of the given values. */
  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)];
  }
}

function scramble(value: number): number {
  let z = value;
  z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
  return z ^ (z >>> 15);
}

/** The seed of one form: independent of the other forms of a file and of their order. */
export function formSeed(fileSeed: number, mode: Mode, id: string): number {
  let hash = (0x811c9dc5 ^ fileSeed) | 0;
  const text = `${mode} ${id}`;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return scramble(hash);
}

/** Low and high halves of values at which carries, signs and widths change. */
const BOUNDARIES: readonly (readonly [number, number])[] = [
  [0, 0],
  [1, 0],
  [0xffffffff, 0xffffffff],
  [0x7f, 0],
  [0x80, 0],
  [0xff, 0],
  [0x7fff, 0],
  [0x8000, 0],
  [0xffff, 0],
  [0x7fffffff, 0],
  [0x80000000, 0],
  [0xffffffff, 0],
  [0xffffffff, 0x7fffffff],
  [0, 0x80000000],
  [0xffffff80, 0xffffffff],
  [0xffff8000, 0xffffffff],
  [0x80000000, 0xffffffff],
  [0xfffffffe, 0xffffffff],
  [0x0f, 0],
  [0x10, 0],
];

/**
 * Writes one 64-bit value as two 32-bit halves: random, a boundary value, a power of two give or take one, a small
 * number, a sign-extended narrow one, or a random one whose low 8, 16 or 32 bits are a boundary value.
 */
export function mix(random: Random, out: Uint32Array, at: number): void {
  const draw = random.next();
  let low = random.next();
  let high = 0;
  switch (draw & 7) {
    case 0: {
      const pair = BOUNDARIES[low % BOUNDARIES.length];
      low = pair[0];
      high = pair[1];
      break;
    }
    case 1: {
      const bit = low & 63;
      const adjust = ((low >>> 6) % 3) - 1;
      const value = (1n << BigInt(bit)) + BigInt(adjust);
      low = Number(value & 0xffffffffn);
      high = Number((value >> 32n) & 0xffffffffn);
      break;
    }
    case 2:
      low &= 0xff;
      break;
    case 3: {
      const shift = (draw & 0x300) === 0 ? 0 : (draw & 0x300) === 0x100 ? 16 : 24;
      low = (low << shift) >> shift;
      high = low >> 31;
      break;
    }
    case 4: {
      const boundary = BOUNDARIES[low % BOUNDARIES.length][0];
      const width = (draw >>> 8) % 3;
      const mask = width === 0 ? 0xff : width === 1 ? 0xffff : 0xffffffff;
      low = (random.next() & ~mask) | (boundary & mask);
      high = random.next();
      break;
    }
    default:
      high = random.next();
  }
  out[at] = low;
  out[at + 1] = high;
}

/** Where code runs unless a case says otherwise: offset from the base of CS. */
export function defaultRip(mode: Mode): bigint {
  return mode === 16 ? 0x1000n : 0x21000n;
}

/**
 * Fills a state vector for one case: mixed registers (eight, cut to 32 bits, outside 64-bit mode), random arithmetic
 * flags with IF set and DF clear, and the default instruction pointer.
 */
export function expandState(seed: number, index: number, mode: Mode, out: BigUint64Array): void {
  const random = new Random(seed, index);
  const halves = new Uint32Array(out.buffer, out.byteOffset, STATE_SIZE * 2);
  halves.fill(0);
  const registers = mode === 64 ? 16 : 8;
  for (let i = 0; i < registers; i++) {
    mix(random, halves, i * 2);
    if (mode !== 64) halves[i * 2 + 1] = 0;
  }
  halves[RFLAGS * 2] = (random.next() & (Flag.CF | Flag.PF | Flag.AF | Flag.ZF | Flag.SF | Flag.OF)) | Flag.IF | 2;
  out[RIP] = defaultRip(mode);
}

/** Fills the bytes of a case's memory window `window` with mixed 64-bit values. */
export function expandMemory(seed: number, index: number, window: number, bytes: Uint8Array): void {
  const random = new Random(seed ^ 0x6d656d, index * 8 + window);
  const words = Math.ceil(bytes.length / 8);
  const halves = new Uint32Array(words * 2);
  for (let i = 0; i < words; i++) mix(random, halves, i * 2);
  bytes.set(new Uint8Array(halves.buffer, 0, bytes.length));
}
