/** Cases of SSE and MMX instructions, the same on every run: the recorder executes them natively, the test on the emulator. */
import { type OpcodeRow, PREFIX_66, PREFIX_F2, PREFIX_F3, PREFIX_NONE } from "../../../src/cpu/decode/rows";
import { crypto38Rows, crypto3ARows } from "../../../src/cpu/decode/cryptoRows";
import { simd0FRows, simd38Rows, simd3ARows } from "../../../src/cpu/decode/simdRows";

/** Bytes of native.c's `struct state` but its padding. */
export const STATE_BYTES = 88;

export interface SimdCase {
  readonly name: string;
  readonly code: readonly number[];
  readonly instructions: number;
  /** As native.c's `struct state`. */
  readonly state: Uint8Array;
}

/** Offsets in `struct state`. */
export const AT = {
  xmm1: 0,
  xmm2: 16,
  memory: 32,
  rcx: 48,
  rdx: 56,
  mm1: 64,
  mm2: 72,
  mxcsr: 80,
  flags: 84,
  trap: 86,
  length: 87,
} as const;

/** Approximations differ between processors; EMMS shows in the x87 tags only. */
const left = new Set(["rcpps", "rcpss", "rsqrtps", "rsqrtss", "emms"]);
const single = [
  0, 0x80000000, 1, 0x80000001, 0x7fffff, 0x800000, 0x80800000, 0x3f800000, 0xbf800000, 0x3f800001, 0x7f7fffff, 0xff7fffff, 0x7f800000,
  0xff800000, 0x7fc00000, 0xffc00000, 0x7f800001, 0xffa12345, 0x7fe54321, 0x4f000000, 0xcf000000, 0x4effffff, 0x5f000000, 0xdf000000,
  0x3f000000, 0xbf000000, 0x3fc00000, 0x40200000, 0x1f800000, 0x20000000, 0x5f800000, 0x00400000, 0x80ffffff, 0x34000000, 0x4b800001,
];
const double = [
  0n,
  1n << 63n,
  1n,
  (1n << 63n) | 1n,
  0xfffffffffffffn,
  1n << 52n,
  0x3ff0000000000000n,
  0xbff0000000000000n,
  0x3ff0000000000001n,
  0x7fefffffffffffffn,
  0xffefffffffffffffn,
  0x7ff0000000000000n,
  0xfff0000000000000n,
  0x7ff8000000000000n,
  0xfff8000000000000n,
  0x7ff0000000000001n,
  0xfff4123456789abcn,
  0x7ffc123456789abcn,
  0x41dfffffffc00000n,
  0x41e0000000000000n,
  0xc1e0000000000000n,
  0xc1e0000000200000n,
  0x43e0000000000000n,
  0xc3e0000000000000n,
  0x3fe0000000000000n,
  0x3ff8000000000000n,
  0x4004000000000000n,
  0x380fffffe0000000n,
  0x3810000000000000n,
  0x36a0000000000000n,
  0x3690000000000001n,
  0x47efffffe0000000n,
  0x47effffff0000000n,
  0xc7f0000000000000n,
  0x1ff0000000000000n,
  0x2000000000000000n,
  0x5fe0000000000000n,
  0x3ca0000000000000n,
];

export class Random {
  constructor(private seed: number) {}
  next(): number {
    this.seed ^= this.seed << 13;
    this.seed ^= this.seed >>> 17;
    this.seed ^= this.seed << 5;
    return this.seed >>> 0;
  }
  below(limit: number): number {
    return (this.next() >>> 4) % limit;
  }
  u64(): bigint {
    return (BigInt(this.next()) << 32n) | BigInt(this.next());
  }
}

function floatLane32(random: Random): number {
  const kind = random.below(8);
  if (kind < 3) return single[random.below(single.length)];
  if (kind < 6) return ((random.next() & 0x807fffff) | ((110 + random.below(40)) << 23)) >>> 0;
  if (kind === 6) return ((random.next() & 0x80000fff) | ((127 + random.below(30)) << 23)) >>> 0;
  return random.next();
}
function floatLane64(random: Random): bigint {
  const kind = random.below(8);
  if (kind < 3) return double[random.below(double.length)];
  const bits = random.u64();
  if (kind < 6) return (bits & 0x800fffffffffffffn) | (BigInt(990 + random.below(70)) << 52n);
  if (kind === 6) return (bits & 0x800fffff00000000n) | (BigInt(1023 + random.below(66)) << 52n);
  return bits;
}

export function fill(view: DataView, at: number, lane: 8 | 32 | 64, random: Random): void {
  if (lane === 8) {
    for (let i = 0; i < 4; i++) view.setUint32(at + 4 * i, random.next(), true);
    // Extremes and small numbers, for saturation and shift counts.
    if (random.below(3) === 0)
      for (let i = 0; i < 16; i++) if (random.below(2) === 0) view.setUint8(at + i, [0, 0x7f, 0x80, 0xff, 1][random.below(5)]);
    if (random.below(4) === 0) view.setBigUint64(at, BigInt(random.below(70)), true);
  } else if (lane === 32) for (let i = 0; i < 4; i++) view.setUint32(at + 4 * i, floatLane32(random), true);
  else for (let i = 0; i < 2; i++) view.setBigUint64(at + 8 * i, floatLane64(random), true);
}

/** MXCSR of a case: mostly as systems set it, else any rounding, masks and modes. */
export function control(random: Random): number {
  const kind = random.below(8);
  if (kind < 2) return 0x1fa0;
  if (kind === 2) return 0x1f80;
  const rounding = random.below(4) << 13;
  const modes = kind < 5 ? 0 : (random.below(2) << 6) | (random.below(2) << 15);
  const masks = kind < 6 ? 0x1f80 : (random.next() & 0x3f) << 7;
  return rounding | modes | masks | (random.below(4) === 0 ? random.next() & 0x3f : 0);
}

export function laneOf(name: string): 8 | 32 | 64 {
  if (name.startsWith("p") || /^(aes|sha)/.test(name)) return 8;
  if (/^blendp|^dpp|^round/.test(name)) return name.includes("d", 4) && /d$/.test(name) ? 64 : 32;
  if (/^cvtt?(sd|pd)2|pd$|sd$/.test(name) && !/^cvt(ss|ps|si|dq|pi)2/.test(name)) return 64;
  if (/^cvt(si|dq|pi)2/.test(name)) return 8;
  return /ps|ss/.test(name) ? 32 : 8;
}

function encode(row: OpcodeRow, map: readonly number[], memory: boolean, wide: boolean, immediate: number): number[] {
  const prefix = row.prefixes === PREFIX_66 ? [0x66] : row.prefixes === PREFIX_F3 ? [0xf3] : row.prefixes === PREFIX_F2 ? [0xf2] : [];
  if (prefix.length === 0 && row.prefixes !== PREFIX_NONE) throw new Error(`which prefix has ${row.mnemonic}?`);
  const reg = row.reg >= 0 ? row.reg : 1;
  const modrm = (memory ? 0 : 0xc2) | (reg << 3);
  const last = row.operands[row.operands.length - 1].letter === "I" ? [immediate] : [];
  return [...prefix, ...(wide ? [0x48] : []), 0x0f, ...map, row.opcode, modrm, ...last];
}

/** Adds instructions for operands that are implied: a length in EAX before, XMM0 loaded from memory before or copied to XMM1 behind. */
function surround(name: string, code: number[], memory: boolean, random: Random): number {
  let count = 1;
  if (name.startsWith("pcmpestr") && !memory) {
    code.unshift(0xb8, random.below(20), 0, 0, 0);
    count++;
  }
  if (name.includes("blendv") || name === "sha256rnds2") {
    code.unshift(0x66, 0x0f, 0x6f, 0x00);
    count++;
  }
  if (/^pcmp.strm$/.test(name)) {
    code.push(0x66, 0x0f, 0x6f, 0xc8);
    count++;
  }
  return count;
}

/** All cases; `perForm` of each form (register or memory operand, REX.W or not). */
export function* simdCases(perForm = 48, firstSeed = 0x2545f491): Generator<SimdCase> {
  const random = new Random(firstSeed);
  const maps: readonly (readonly [readonly OpcodeRow[], readonly number[]])[] = [
    [simd0FRows(), []],
    [simd38Rows(), [0x38]],
    [simd3ARows(), [0x3a]],
    [crypto38Rows(), [0x38]],
    [crypto3ARows(), [0x3a]],
  ];
  for (const [rows, map] of maps) {
    for (const row of rows) {
      if (left.has(row.mnemonic)) continue;
      const forms = [row.mod !== 0 ? [false] : [], row.mod !== 1 ? [true] : []].flat();
      const general = row.operands.some(({ letter, width }) => (letter === "E" || letter === "G") && width === "y");
      for (const memory of forms) {
        for (const wide of row.w === 1
          ? [true]
          : general && row.w < 0 && !/^(movd|pextrd|pinsrd)$/.test(row.mnemonic)
            ? [false, true]
            : [false]) {
          for (let i = 0; i < perForm; i++) {
            const code = encode(row, map, memory, wide, random.next() & 0xff);
            const instructions = surround(row.mnemonic, code, memory, random);
            const state = new Uint8Array(STATE_BYTES);
            const view = new DataView(state.buffer);
            const lane = laneOf(row.mnemonic);
            for (const at of [AT.xmm1, AT.xmm2, AT.memory, AT.mm1]) fill(view, at, lane, random);
            view.setBigUint64(AT.rcx, random.u64(), true);
            view.setBigUint64(AT.rdx, random.below(3) === 0 ? BigInt(random.next() >> 8) & 0xffffffffffffffffn : random.u64(), true);
            view.setUint32(AT.mxcsr, control(random), true);
            if (row.mnemonic === "ldmxcsr" && random.below(2) === 0) view.setUint32(AT.memory, random.next() & 0xffff, true);
            view.setUint8(AT.length, code.length);
            yield { name: row.mnemonic, code, instructions, state };
          }
        }
      }
    }
  }
}
