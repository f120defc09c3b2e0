/** Cases of VEX-coded vector instructions, the same on every run: the recorder executes them natively, the test on the emulator. */
import { vexCrypto38Rows, vexCrypto3ARows } from "../../../src/cpu/decode/cryptoRows";
import { type OpcodeRow, PREFIX_66, PREFIX_F2, PREFIX_F3 } from "../../../src/cpu/decode/rows";
import { vexSimd0FRows, vexSimd38Rows, vexSimd3ARows } from "../../../src/cpu/decode/vexRows";
import { control, fill, laneOf, Random } from "./cases";

/** Bytes of vexNative.c's `struct state`. */
export const VEX_STATE_BYTES = 320;
/** Bytes of memory; RSI is its address, the operand is at OPERAND (RDI, too) or, misaligned, some bytes on. */
export const MEMORY_BYTES = 128;
const OPERAND = 64;
/** Of a case at the edge, memory from here on cannot be accessed. */
export const EDGE = 80;
/** Registers YMM0 to YMM4 take part. */
export const REGISTERS = 5;

/** Offsets in `struct state`; `length` has bit 7 set for a case at the edge. */
export const VEX_AT = {
  memory: 0,
  ymm: 128,
  rax: 288,
  rcx: 296,
  rdx: 304,
  mxcsr: 312,
  flags: 316,
  trap: 318,
  length: 319,
} as const;

export interface VexCase {
  readonly name: string;
  readonly code: readonly number[];
  readonly state: Uint8Array;
}

/** Approximations differ between processors. */
const left = new Set(["vrcpps", "vrcpss", "vrsqrtps", "vrsqrtss"]);
const half = [
  0, 0x8000, 1, 0x8001, 0x3ff, 0x400, 0x3c00, 0xbc00, 0x7bff, 0xfbff, 0x7c00, 0xfc00, 0x7e00, 0xfe00, 0x7c01, 0xfd23, 0x7dff, 0x200,
];

function laneOfVex(name: string): 8 | 16 | 32 | 64 {
  if (name === "vcvtph2ps") return 16;
  if (name === "vcvtps2ph") return 32;
  if (name.startsWith("vf")) return /d$/.test(name) ? 64 : 32;
  return laneOf(name.slice(1));
}

function fillVector(view: DataView, at: number, bytes: number, lane: 8 | 16 | 32 | 64, random: Random): void {
  for (let i = 0; i < bytes; i += 16) {
    if (lane !== 16) fill(view, at + i, lane, random);
    else
      for (let j = 0; j < 16; j += 2)
        view.setUint16(at + i + j, random.below(2) === 0 ? half[random.below(half.length)] : random.next(), true);
  }
}

interface Form {
  readonly row: OpcodeRow;
  readonly map: number;
  readonly memory: boolean;
  readonly long: boolean;
  /** VEX.W, or -1 for either. */
  readonly w: number;
}

/** Rows of each opcode map. */
const tables: readonly (readonly [map: number, rows: readonly OpcodeRow[]])[] = [
  [1, vexSimd0FRows()],
  [2, vexSimd38Rows()],
  [3, vexSimd3ARows()],
  [2, vexCrypto38Rows()],
  [3, vexCrypto3ARows()],
];

function* forms(): Generator<Form> {
  for (const [map, rows] of tables) {
    for (const row of rows) {
      if (left.has(row.mnemonic)) continue;
      const general = row.operands.some(({ letter, width }) => (letter === "E" || letter === "G") && width === "y");
      const fixed = /^v(movd|pextrd|pinsrd)$/.test(row.mnemonic) ? 0 : row.w;
      const widths = fixed >= 0 ? [fixed] : general ? [0, 1] : [-1];
      for (const memory of row.modrm ? [...(row.mod === 0 ? [] : [false]), ...(row.mod === 1 ? [] : [true])] : [false])
        for (const long of row.l < 0 ? [false, true] : [row.l === 1]) for (const w of widths) yield { row, map, memory, long, w };
    }
  }
}

function distinct(random: Random, count: number): number[] {
  const all = Array.from({ length: REGISTERS }, (_, i) => i);
  return Array.from({ length: count }, () => all.splice(random.below(all.length), 1)[0]);
}

function makeCase({ row, map, memory, long, w }: Form, random: Random): VexCase {
  const prefix = row.prefixes === PREFIX_66 ? 1 : row.prefixes === PREFIX_F3 ? 2 : row.prefixes === PREFIX_F2 ? 3 : 0;
  const wide = w < 0 ? random.below(2) : w;
  const isGeneral = (index: number): boolean => ["E", "G"].includes(row.operands[index]?.letter);
  const [reg, vvvv, rm] = row.vsib ? distinct(random, 3) : [0, 0, 0].map(() => random.below(REGISTERS));
  // General registers are RAX, RCX and RDX.
  const general = row.operands.findIndex((_, index) => isGeneral(index));
  const generalNumber = random.below(3);
  const regField = row.reg >= 0 ? row.reg : general >= 0 && row.operands[general].letter === "G" ? generalNumber : reg;
  const rmField = general >= 0 && row.operands[general].letter === "E" ? generalNumber : rm;
  const third = ((~(row.usesVvvv ? vvvv : 0) & 15) << 3) | (long ? 4 : 0) | prefix;
  const short = map === 1 && wide === 0 && random.below(2) === 0;
  const code = short ? [0xc5, 0x80 | third] : [0xc4, 0xe0 | map, (wide << 7) | third];
  code.push(row.opcode);
  if (row.modrm) {
    const displacement = random.below(8) === 0 ? OPERAND + random.below(16) : OPERAND;
    if (!memory) code.push(0xc0 | (regField << 3) | rmField);
    else if (row.vsib) code.push(0x44 | (regField << 3), (random.below(3) << 6) | (rm << 3) | 6, displacement);
    else code.push(0x46 | (regField << 3), displacement);
  }
  const last = row.operands.length > 0 ? row.operands[row.operands.length - 1].letter : "";
  if (last === "I") code.push(random.next() & 0xff);
  if (last === "L") code.push((random.below(REGISTERS) << 4) | random.below(16));

  const state = new Uint8Array(VEX_STATE_BYTES);
  const view = new DataView(state.buffer);
  const lane = laneOfVex(row.mnemonic);
  fillVector(view, VEX_AT.memory, MEMORY_BYTES, lane, random);
  fillVector(view, VEX_AT.ymm, REGISTERS * 32, lane, random);
  const edge = (memory || row.mnemonic === "vmaskmovdqu") && random.below(4) === 0;
  if (row.vsib) {
    fillIndexes(view, rm, (row.opcode & 1) === 1, random);
    // Processors differ in what a fault leaves of mask elements without a sign.
    if (edge) clearUnsigned(view, vvvv, wide === 1 ? 8 : 4);
  }
  view.setBigUint64(VEX_AT.rax, random.below(2) === 0 ? BigInt(random.below(20)) : random.u64(), true);
  view.setBigUint64(VEX_AT.rcx, random.u64(), true);
  view.setBigUint64(VEX_AT.rdx, random.below(3) === 0 ? BigInt(random.next() >> 8) & 0xffffffffffffffffn : random.u64(), true);
  view.setUint32(VEX_AT.mxcsr, control(random), true);
  if (row.mnemonic === "vldmxcsr" && random.below(2) === 0) {
    for (let i = 0; i < MEMORY_BYTES; i += 4) view.setUint32(i, random.next() & 0xffff, true);
  }
  view.setUint8(VEX_AT.length, code.length | (edge ? 0x80 : 0));
  return { name: row.mnemonic, code, state };
}

/** Indexes of a gather, small enough for memory: eight of 32 bits, or four of 64. */
function fillIndexes(view: DataView, register: number, long: boolean, random: Random): void {
  const at = VEX_AT.ymm + register * 32;
  // Others than small ones of 64 bits would lead to where a process may or may not have memory.
  const wide = random.below(2) === 0 || long;
  for (let i = 0; i < 8; i++) {
    const index = random.below(16) - 8;
    view.setInt32(at + i * 4, wide && (i & 1) === 1 ? view.getInt32(at + i * 4 - 4, true) >> 31 : index, true);
  }
}

function clearUnsigned(view: DataView, register: number, bytes: 4 | 8): void {
  const at = VEX_AT.ymm + register * 32;
  for (let i = 0; i < 32; i += bytes) {
    if (view.getInt8(at + i + bytes - 1) >= 0) for (let j = 0; j < bytes; j++) view.setUint8(at + i + j, 0);
  }
}

/** All cases: `perForm` of each form (register or memory operand, VEX.L, VEX.W where it matters). */
export function* vexCases(perForm = 32, firstSeed = 0x1f123bb5, names = /./): Generator<VexCase> {
  const random = new Random(firstSeed);
  for (const form of forms()) if (names.test(form.row.mnemonic)) for (let i = 0; i < perForm; i++) yield makeCase(form, random);
}
