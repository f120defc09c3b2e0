/** Random blocks: instructions of the opcode tables in random encodings, and a random state to run them from. */
import { crypto38Rows, crypto3ARows, vexCrypto38Rows, vexCrypto3ARows } from "../../src/cpu/decode/cryptoRows";
import { DECODE_OK, Decoder } from "../../src/cpu/decode/decoder";
import type { Mnemonic } from "../../src/cpu/decode/mnemonics";
import { oneByteRows } from "../../src/cpu/decode/oneByte";
import { type OpcodeRow, PREFIX_66, PREFIX_F2, PREFIX_F3, PREFIX_NONE, Size64 } from "../../src/cpu/decode/rows";
import { simd0FRows, simd38Rows, simd3ARows } from "../../src/cpu/decode/simdRows";
import { map38Rows, vex38Rows, vex3ARows } from "../../src/cpu/decode/threeByte";
import { twoByteRows } from "../../src/cpu/decode/twoByte";
import { vexSimd0FRows, vexSimd38Rows, vexSimd3ARows } from "../../src/cpu/decode/vexRows";
import { type FeatureName, featureNames, featureSet } from "../../src/cpu/features";
import { MODE_32, MODE_64, MODE_FLAT, MODE_LONG, MODE_PROTECTED } from "../../src/cpu/mode";
import { Random } from "../vectors/expand";
import {
  AT,
  type Bits,
  type Block,
  CODE,
  codeOf,
  type Instruction,
  MAX_CODE,
  STATE_BYTES,
  WINDOW,
  WINDOW_BYTES,
  WINDOW_CENTER,
} from "./block";

/**
 * Left out: what depends on more than the state (time, CPUID, segments and descriptor tables, ports), needs privilege, leaves the block's code, or has units that a state
 * does not hold (x87, MMX, XSAVE). Approximations differ between processors. ENTER's and CMPXCHG's corners differ between makers.
 */
const left: ReadonlySet<Mnemonic> = new Set<Mnemonic>([
  ...([
    "arpl",
    "lar",
    "lsl",
    "verr",
    "verw",
    "lds",
    "les",
    "lfs",
    "lgs",
    "lss",
    "movSeg",
    "popSeg",
    "pushSeg",
    "rdfsbase",
    "rdgsbase",
    "wrfsbase",
  ] as const),
  ...([
    "wrgsbase",
    "sgdt",
    "sidt",
    "sldt",
    "str",
    "smsw",
    "lgdt",
    "lidt",
    "lldt",
    "ltr",
    "lmsw",
    "movCr",
    "movDr",
    "clts",
    "invd",
    "wbinvd",
  ] as const),
  ...([
    "invlpg",
    "invpcid",
    "hlt",
    "monitor",
    "mwait",
    "rdmsr",
    "wrmsr",
    "rdtsc",
    "rdtscp",
    "rdpmc",
    "rdpid",
    "rdrand",
    "rdseed",
    "cpuid",
  ] as const),
  ...([
    "xgetbv",
    "xsetbv",
    "swapgs",
    "syscall",
    "sysret",
    "sysenter",
    "sysexit",
    "rsm",
    "in",
    "out",
    "ins",
    "outs",
    "cli",
    "sti",
    "clac",
  ] as const),
  ...([
    "stac",
    "int",
    "int1",
    "int3",
    "into",
    "iret",
    "call",
    "callFar",
    "jmpFar",
    "ret",
    "retFar",
    "popf",
    "enter",
    "ud",
    "simd",
    "x87",
  ] as const),
  ...(["wait", "fxsave", "fxrstor", "emms", "ldmxcsr", "vldmxcsr", "rcpps", "rcpss", "rsqrtps", "rsqrtss", "vrcpps", "vrcpss"] as const),
  ...(["vrsqrtps", "vrsqrtss", "pause", "xsave", "xsavec", "xsaveopt", "xsaves", "xrstor", "xrstors"] as const),
  // Where the host is a virtual machine its hypervisor may answer them, in user mode too.
  ...(["vmcall", "vmmcall"] as const),
]);
/** Leaves status flags undefined. */
const undefinedFlags =
  /^(mul|imul|div|idiv|shl|shr|sar|rol|ror|rcl|rcr|shld|shrd|bs[fr]|bt[crs]?|aa[adms]|da[as]|bextr|bzhi|bls.*|andn|[lt]zcnt)$/;
/** Registers that hold addresses, and the one that holds a small number; destinations are mostly others. */
const pointers: Readonly<Record<Bits, readonly number[]>> = { 32: [3, 5, 6, 7], 64: [3, 5, 6, 7, 12, 13] };
const SMALL = 2;
const free: Readonly<Record<Bits, readonly number[]>> = { 32: [0, 0, 1, 2], 64: [0, 0, 1, 2, 8, 9, 10, 11, 14, 15] };
/** Vector register whose elements are small: the index of gathers. */
const INDEXES = 4;
const VECTORS = 6;

interface Form {
  readonly row: OpcodeRow;
  /** Bytes before the opcode; for VEX the map. */
  readonly escape: readonly number[];
  readonly vex: number;
}

const legacy: readonly (readonly [readonly OpcodeRow[], readonly number[], number])[] = [
  [oneByteRows(), [], 0],
  [twoByteRows(), [0x0f], 0],
  [simd0FRows(), [0x0f], 0],
  [map38Rows(), [0x0f, 0x38], 0],
  [[...simd38Rows(), ...crypto38Rows()], [0x0f, 0x38], 0],
  [[...simd3ARows(), ...crypto3ARows()], [0x0f, 0x3a], 0],
  [vexSimd0FRows(), [], 1],
  [[...vex38Rows()], [], 2],
  [[...vexSimd38Rows(), ...vexCrypto38Rows()], [], 2],
  [[...vex3ARows()], [], 3],
  [[...vexSimd3ARows(), ...vexCrypto3ARows()], [], 3],
];
/** Shares of the tables: plain integer code makes up half. */
const shares = [8, 4, 4, 2, 1, 1, 2, 2, 2, 1, 1];
const code = { byte: (offset: number): number => bytes[offset] ?? 0x90 };
let bytes: readonly number[] = [];
const decoder = new Decoder(featureSet(featureNames));

const little = (value: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => (i < 4 ? (value >> (8 * i)) & 0xff : value < 0 ? 0xff : 0));

/** What blocks are for. */
export interface GeneratorOptions {
  /** Features of the CPU that they run on. */
  readonly features: ReadonlySet<FeatureName>;
  /** Share of blocks of 32-bit code, in quarters. */
  readonly narrow: 0 | 1 | 4;
  /** Leaves instructions out. */
  readonly omit?: (row: OpcodeRow, bytes: readonly number[]) => boolean;
}

/** Makes random blocks. */
export class Generator {
  private readonly tables: readonly (readonly Form[])[];
  private readonly weighted: readonly number[];
  private random = new Random(0, 0);
  private bits: Bits = 64;

  constructor(private readonly options: GeneratorOptions) {
    const { features } = options;
    const usable = (row: OpcodeRow): boolean =>
      !left.has(row.mnemonic) &&
      row.features.every((name) => features.has(name)) &&
      !row.operands.some(({ letter }) => letter === "P" || letter === "Q" || letter === "A");
    this.tables = legacy.map(([rows, escape, vex]) => rows.filter(usable).map((row) => ({ row, escape, vex })));
    this.weighted = shares.flatMap((share, table) => (this.tables[table].length === 0 ? [] : Array.from({ length: share }, () => table)));
  }

  /** Block `number` of a seed, of at most `most` instructions. */
  block(seed: number, number: number, most = 12): Block {
    this.random = new Random(seed, number);
    const { random } = this;
    const { narrow } = this.options;
    this.bits = narrow > 0 && random.chance(narrow, 4) ? 32 : 64;
    const instructions: Instruction[] = [];
    const count = 1 + random.below(most);
    const state = this.state();
    while (instructions.length < count) {
      const next = this.instruction();
      if (next === undefined) continue;
      instructions.push(next);
      if (codeOf({ bits: this.bits, instructions, state }).length > MAX_CODE - 24) break;
    }
    return { bits: this.bits, instructions, state };
  }

  private value(): bigint {
    const { random } = this;
    const kind = random.below(6);
    if (kind === 0) return BigInt(random.below(300));
    if (kind === 1) return BigInt.asUintN(64, (1n << BigInt(random.below(65))) - BigInt(random.below(3)));
    if (kind === 2) return BigInt(random.next());
    if (kind === 3) return BigInt.asUintN(64, BigInt(random.next() | 0));
    return (BigInt(random.next()) << 32n) | BigInt(random.next());
  }

  private state(): Uint8Array {
    const { random, bits } = this;
    const state = new Uint8Array(STATE_BYTES);
    const view = new DataView(state.buffer);
    view.setBigUint64(AT.rip, BigInt(CODE), true);
    const flags = [1, 4, 0x10, 0x40, 0x80, 0x800].reduce((sum, flag) => sum | (random.chance(1, 2) ? flag : 0), 0);
    view.setBigUint64(AT.rflags, BigInt(0x202 | flags | (random.chance(1, 4) ? 0x400 : 0)), true);
    for (let i = 0; i < (bits === 64 ? 16 : 8); i++) {
      let value = BigInt.asUintN(bits, this.value());
      if (i === 4) value = BigInt(WINDOW_CENTER + random.below(24) * 8 - 96);
      else if (pointers[bits].includes(i))
        value = BigInt(WINDOW_CENTER + (random.chance(3, 4) ? random.below(6) * 32 - 96 : random.below(300) - 150));
      else if (i === SMALL) value = BigInt(random.below(16));
      view.setBigUint64(AT.regs + i * 8, value, true);
    }
    const kind = random.below(8);
    view.setUint32(
      AT.mxcsr,
      kind < 5 ? 0x1f80 : kind === 5 ? 0x1f80 | (random.below(4) << 13) | (random.below(2) << 15) : 0x1f80 & ~(1 << (7 + random.below(6))),
      true,
    );
    for (let i = 0; i < (bits === 64 ? 16 : 8); i++) this.fill(view, AT.ymm + i * 32, 32);
    for (let at = 0; at < 32; at += 4) view.setInt32(AT.ymm + INDEXES * 32 + at, random.below(40) - 20, true);
    this.fill(view, AT.window, WINDOW_BYTES);
    return state;
  }

  /** Bytes that mean something as integers and as floating-point numbers. */
  private fill(view: DataView, at: number, count: number): void {
    const { random } = this;
    const kind = random.below(3);
    for (let offset = 0; offset < count; offset += 8) {
      if (kind === 0) view.setBigUint64(at + offset, this.value(), true);
      else if (kind === 1) view.setFloat64(at + offset, this.real(), true);
      else for (const half of [0, 4]) view.setFloat32(at + offset + half, this.real(), true);
    }
  }

  private real(): number {
    const { random } = this;
    const special = [0, -0, 1, -1, 0.5, Infinity, -Infinity, NaN, 1e-310, -1e-42, 3e38, 1e300, 2147483647.5, -2147483648, 4.5, 9.2e18];
    return random.chance(1, 3) ? random.pick(special) : (random.next() - 0x8000_0000) * 2 ** (random.below(60) - 50);
  }

  private register(wide: boolean, destination: boolean): number {
    const { random, bits } = this;
    if (destination && random.chance(7, 8)) return random.pick(free[bits].filter((register) => wide || register < 8));
    return random.below(wide ? 16 : 8);
  }

  /** One instruction, or undefined if what came out means something else than its row. */
  private instruction(): Instruction | undefined {
    const { random, bits } = this;
    const form = random.pick(this.tables[random.pick(this.weighted)]);
    const { row } = form;
    const { mnemonic, operands } = row;
    if (bits === 64 ? !row.valid64 : !row.valid32) return undefined;
    const branch = operands[0]?.letter === "J";
    if (mnemonic === "jmp" && !branch) return undefined;
    if (branch && operands[0].width !== "b") return undefined;
    const prefixes: number[] = [];
    const classes = [PREFIX_NONE, PREFIX_66, PREFIX_F3, PREFIX_F2].filter((one) => (row.prefixes & one) !== 0);
    const string = operands.some(({ letter }) => letter === "X" || letter === "Y");
    let chosen = random.pick(classes);
    if (form.vex === 0 && classes.length === 4) {
      const repeats = string && random.chance(1, 2) ? random.pick([PREFIX_F3, PREFIX_F2]) : PREFIX_NONE;
      chosen = branch ? PREFIX_NONE : random.chance(1, 5) ? PREFIX_66 : repeats;
    }
    if (bits === 64 && random.chance(1, 16) && !string && !operands.some(({ letter }) => letter === "O")) prefixes.push(0x67);
    if (random.chance(1, 16) && !branch) prefixes.push(random.pick([0x2e, 0x3e, 0x26, 0x36]));
    if (form.vex === 0) {
      if (chosen === PREFIX_66) prefixes.push(0x66);
      if (chosen === PREFIX_F3) prefixes.push(0xf3);
      if (chosen === PREFIX_F2) prefixes.push(0xf2);
    }
    const wide = bits === 64 && (form.vex !== 0 || random.chance(1, 2));
    const w = row.w >= 0 ? row.w === 1 : wide && random.chance(1, 2);
    if (w && bits === 32 && form.vex === 0) return undefined;
    const vector = (index: number): boolean => ["V", "W", "H", "L"].includes(operands[index]?.letter ?? "");
    const letterAt = (letters: string): number => operands.findIndex(({ letter }) => letters.includes(letter));
    const [regOperand, rmOperand] = [letterAt("GVSCD"), letterAt("ERMW")];
    const reg = row.reg >= 0 ? row.reg : vector(regOperand) ? random.below(VECTORS) : this.register(wide, regOperand === 0);
    const body: number[] = [];
    let rex = w ? 8 : 0;
    let fixup: Instruction["fixup"];
    const opcode = row.opcode + (row.span === 8 ? this.register(false, true) : 0);
    let relative = -1;
    if (row.modrm) {
      const memory = rmOperand >= 0 || row.mod >= 0 ? (row.mod >= 0 ? row.mod === 0 : random.chance(1, 2)) : false;
      if (reg >= 8) rex |= 4;
      if (!memory) {
        const rm = row.rm >= 0 ? row.rm : vector(rmOperand) ? random.below(VECTORS) : this.register(wide, rmOperand === 0);
        if (rm >= 8) rex |= 1;
        body.push(0xc0 | ((reg & 7) << 3) | (rm & 7));
      } else {
        if (random.chance(1, 5) && row.lockable) prefixes.unshift(0xf0);
        const address = this.address(reg & 7, wide, row.vsib);
        rex |= address.rex;
        if (address.relative) relative = body.length + 1;
        body.push(...address.bytes);
      }
    }
    const size = w ? 8 : chosen === PREFIX_66 && form.vex === 0 ? 2 : row.size64 !== Size64.normal && bits === 64 ? 8 : 4;
    for (const { letter, width } of operands) {
      if (letter === "J") {
        body.push(0);
        fixup = { kind: "jump", skip: random.below(4) };
      } else if (letter === "O") body.push(...little(WINDOW + 8 + random.below(WINDOW_BYTES - 24), bits / 8));
      else if (letter === "L") body.push((random.below(VECTORS) << 4) | random.below(16));
      else if (letter === "I") {
        const count = width === "b" || width === "bs" ? 1 : width === "w" ? 2 : width === "z" ? Math.min(size, 4) : size;
        const number = Number(BigInt.asIntN(32, this.value()));
        body.push(...little(/^sh[lr]d$/.test(mnemonic) ? number & 15 : number, count));
      }
    }
    const head = form.vex === 0 ? this.legacyHead(rex, wide, form.escape) : this.vexHead(form, rex, w, row);
    if (head === undefined) return undefined;
    const all = [...prefixes, ...head, opcode, ...body];
    if (relative >= 0) fixup = { kind: "relative", at: all.length - body.length + relative, target: WINDOW + 64 + random.below(12) * 32 };
    return this.accept(all, row, fixup);
  }

  /** Whether the bytes decode to the row, and are none of the cases in which makers differ. */
  private accept(all: readonly number[], row: OpcodeRow, fixup: Instruction["fixup"]): Instruction | undefined {
    bytes = all;
    const mode = this.bits === 64 ? MODE_64 | MODE_LONG | MODE_FLAT | MODE_PROTECTED : MODE_32 | MODE_FLAT | MODE_PROTECTED;
    if (decoder.decode(code, 0, mode, 100) !== DECODE_OK || decoder.length !== all.length || decoder.row.mnemonic !== row.mnemonic)
      return undefined;
    if (this.options.omit?.(row, all) === true) return undefined;
    const { mnemonic } = row;
    // A failing 32-bit CMPXCHG and a repeated string instruction without iterations differ in the upper half; double shifts of 16 bits by more than 16.
    if (mnemonic === "cmpxchg" && !decoder.memory && decoder.operandSize === 32 && this.bits === 64) return undefined;
    if (/^sh[lr]d$/.test(mnemonic) && decoder.operandSize === 16 && row.operands[2].letter === "CL") return undefined;
    // PREFETCHW of a register is a NOP for one, #UD for the other; one checks the alignment of SHA's operands.
    if ((mnemonic === "nop" && row.opcode === 0x0d) || (mnemonic.startsWith("sha") && decoder.memory)) return undefined;
    if (mnemonic === "bswap" && decoder.operandSize === 16) return undefined;
    return { text: mnemonic, bytes: all, ...(fixup === undefined ? {} : { fixup }), volatileFlags: undefinedFlags.test(mnemonic) };
  }

  private legacyHead(rex: number, wide: boolean, escape: readonly number[]): readonly number[] | undefined {
    if (rex !== 0 && this.bits === 32) return undefined;
    return [...(wide || rex !== 0 ? [0x40 | rex] : []), ...escape];
  }

  private vexHead(form: Form, rex: number, w: boolean, row: OpcodeRow): readonly number[] | undefined {
    if (rex >= 8 !== w || (this.bits === 32 && (rex & 7) !== 0)) return undefined;
    const prefix = row.prefixes === PREFIX_66 ? 1 : row.prefixes === PREFIX_F3 ? 2 : row.prefixes === PREFIX_F2 ? 3 : 0;
    const { random } = this;
    const long = row.l >= 0 ? row.l === 1 : random.chance(1, 2);
    const general = row.operands.findIndex(({ letter }) => letter === "B");
    const vvvv = !row.usesVvvv ? 0 : general >= 0 ? this.register(this.bits === 64, general === 0) : random.below(VECTORS);
    const third = ((~vvvv & 15) << 3) | (long ? 4 : 0) | prefix;
    if (form.vex === 1 && (rex & 0xb) === 0 && random.chance(1, 2)) return [0xc5, ((rex & 4) !== 0 ? 0 : 0x80) | third];
    return [0xc4, ((~rex & 7) << 5) | form.vex, (w ? 0x80 : 0) | third];
  }

  /** ModRM, SIB and displacement of a memory operand, mostly in the window. */
  private address(reg: number, wide: boolean, vsib: boolean): { bytes: number[]; rex: number; relative?: true } {
    const { random, bits } = this;
    const base = random.pick([...pointers[bits], 4].filter((register) => wide || register < 8));
    const displacement = random.chance(3, 4) ? (random.below(6) - 3) * 16 : random.below(256) - 128;
    const kind = vsib ? 1 : random.below(8);
    const rex = base >= 8 ? 1 : 0;
    if (kind === 7) {
      // Absolute, or relative to RIP in 64-bit code.
      const target = WINDOW + 64 + random.below(12) * 32;
      if (bits === 64 && random.chance(1, 2)) return { bytes: [(reg << 3) | 5, 0, 0, 0, 0], rex: 0, relative: true };
      return { bytes: bits === 64 ? [(reg << 3) | 4, 0x25, ...little(target, 4)] : [(reg << 3) | 5, ...little(target, 4)], rex: 0 };
    }
    const long = kind === 6;
    const mod = long ? 2 : 1;
    const tail = little(displacement, long ? 4 : 1);
    if (kind < 2 || (base & 7) === 4) {
      const index = vsib ? INDEXES : kind < 2 ? SMALL : 4;
      return { bytes: [(mod << 6) | (reg << 3) | 4, (random.below(vsib ? 2 : 4) << 6) | (index << 3) | (base & 7), ...tail], rex };
    }
    return { bytes: [(mod << 6) | (reg << 3) | (base & 7), ...tail], rex };
  }
}
