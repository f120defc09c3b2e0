/**
 * The intermediate ops. One record is 16 bytes (layout.ts): opcode, three slot operands d, a, b (byte offsets of 64-bit slots in the CPU's state) and a
 * 64-bit immediate. Conventions:
 * - rhs = slot[b] + imm (wrapping): the front end names SLOT_ZERO as b for an immediate, or imm 0 for a register.
 * - `8 | 16 | 32 | 64` in a name is the width; operands are truncated to it, results are zero-extended to 64 bits.
 * - ops ending in `f` set the six status flags as x86 does (CC_RES, CC_AUX); every other op leaves them alone. "Undefined" flags of the manual have the value
 *   that AMD and Intel processors agree on where they do, else are cleared; each is documented where it is set.
 * - a fault leaves d and the flags untouched.
 */

import { vectorOps } from "./vector/names";

const widths = ["8", "16", "32", "64"] as const;
type Width = (typeof widths)[number];

/** Condition pairs of x86 (cc >> 1); an op's `b` & 1 inverts. */
export const conditions = ["o", "c", "z", "be", "s", "p", "l", "le"] as const;
export type Condition = (typeof conditions)[number];

const aluFlagOps = [
  "addf",
  "adcf",
  "subf",
  "sbbf",
  "andf",
  "orf",
  "xorf",
  "shlf",
  "shrf",
  "sarf",
  "rolf",
  "rorf",
  "rclf",
  "rcrf",
  "imulf",
] as const;
const unaryFlagOps = ["incf", "decf", "negf"] as const;

function sized<T extends string>(names: readonly T[]): `${T}${Width}`[] {
  return names.flatMap((name) => widths.map((width) => `${name}${width}` as const));
}
function conditional<T extends string>(name: T): `${T}_${Condition}`[] {
  return conditions.map((condition) => `${name}_${condition}` as const);
}

/** All ops, in order of their opcode numbers. */
export const opNames = [
  // Control. Each block ends in one of goto, gotoFar, jump, exit.
  /** Leaves generated code with EXIT_BREAK: patched over the first op of an instruction to stop before it. */
  "brk",
  /** Leaves with EXIT_LEAVE; SLOT_RIP has been set. */
  "exit",
  /** RIP = imm, a target in the same page: through the chain, else EXIT_CHAIN to have it filled. */
  "goto",
  /** RIP = imm in another page: through the jump cache. */
  "gotoFar",
  /** RIP = slot[a] (already masked and checked): through the jump cache. */
  "jump",
  /** Through the jump cache at SLOT_RIP as it is. */
  "lookup",
  /** As `lookup`, but leaves with EXIT_LEAVE when WORD_REQUEST is set: after instructions that may unmask an interrupt. */
  "lookupUnlessRequest",
  /** Skips imm bytes of ops forward when condition (b & 1 inverts) holds; falls through else. */
  ...conditional("br"),
  /** Skips imm bytes forward. */
  "br",
  /** Skips imm bytes forward when slot[a] is (not) zero. */
  "brz",
  "brnz",
  /** Calls helper d with (a, b, imm); status 0 goes on, 1 faults, 2 leaves (only as the last op but one of a block). */
  "helper",
  /**
   * The helper `x87`, whose fields it has, with what the instruction does in the upper half of imm (x87/operation.ts): an engine may execute it itself where it needs neither
   * general registers nor flags, cannot fault and raises nothing but a masked precision exception.
   */
  "x87",
  /**
   * The helper that its fields name, with FAST_CALL or another FAST_ as the upper half of imm: SYSCALL, SYSRET, INT n or IRETQ of 64-bit code, CLI, RDTSC, RDTSCP or PAUSE, which an engine may carry out
   * itself where nothing about them is out of the ordinary (interpreter/fastCalls.ts, transfers.ts, time.ts). The block's last op but one.
   */
  "fastCall",
  /**
   * Before the helper `string` for a REP MOVS, STOS, CMPS or SCAS on flat segments, with its operation as imm: an engine may do any number of iterations that neither fault
   * nor end the loop on a comparison, each paid from the budget; when RCX is zero then, it takes one payment back if it did any and passes over the helper. Or nothing.
   */
  "bulk",
  /** Faults with #GP(0) unless slot[a] is canonical: its top imm + 1 bits are equal. imm: 16 for 48-bit linear addresses, 7 for 57-bit ones. */
  "canon",
  /** WORD_SHADOW = budget: an interrupt shadow covers the next instruction. The block must end here. */
  "shadow",

  // Data movement.
  "movi", // d = imm
  "mov", // d = a
  "lea", // d = a + (b << scale) + disp
  "lea32", // the same, truncated to 32 bits
  "lea16", // the same, truncated to 16 bits
  "zx8", // d = a & 0xff
  "zx8h", // d = (a >> 8) & 0xff
  "zx16",
  "zx32",
  "sx8", // sign-extended to 64 bits
  "sx8h",
  "sx16",
  "sx32",
  "dep8", // d = (d & ~0xff) | (a & 0xff)
  "dep8h", // d = (d & ~0xff00) | ((a & 0xff) << 8)
  "dep16",
  "bswap32",
  "bswap64",
  ...conditional("get"), // d = condition (b & 1 inverts) ? 1 : 0
  ...conditional("movc"), // d = condition (b & 1 inverts) ? a : d

  // 64-bit arithmetic without flags; rhs = slot[b] + imm.
  "add",
  "sub",
  "and",
  "or",
  "xor",
  "shl", // by rhs & 63
  "shr",
  "sar",
  "mul",
  "ctz", // d = trailing zeros of a (64 for zero)
  "clz",
  "popcnt",
  "eq", // d = a == rhs ? 1 : 0
  "ltu", // d = a < rhs, unsigned

  // Flags.
  "getFlags", // d = the six status flags at their EFLAGS positions
  "setFlags", // the six status flags = those of a
  "getCf", // d = CF
  "setCf", // CF = a & 1, the other flags kept
  "setZf", // ZF = a & 1, the other flags kept

  // Arithmetic with flags; d = a op rhs. Shifts and rotates mask the count as x86 does and keep the flags (and d = a zero-extended) when it is 0.
  ...sized(aluFlagOps), // imulf: signed product truncated to the width; CF = OF = it did not fit. imulf8 is not emitted.
  ...sized(unaryFlagOps),
  /** Double shifts: d = d shifted, filled from a, by rhs. */
  "shldf16",
  "shldf32",
  "shldf64",
  "shrdf16",
  "shrdf32",
  "shrdf64",
  /** Full products: low half in d, high half in b, of d and a; each half zero-extended. Flags as MUL / IMUL. */
  ...sized(["mulHiLof", "imulHiLof"] as const),
  /** Divide b:d (high:low, each of the width) by a: quotient in d, remainder in b; #DE fault. Flags kept. */
  ...sized(["div", "idiv"] as const),

  // Guest memory at linear address a + (b << scale) + disp; `_32` truncates the address to 32 bits.
  ...sized(["ld", "ldw", "st"] as const), // ldw: load that also checks the right to write; st: value in d
  ...sized(["ld", "ldw", "st"] as const).map((name) => `${name}_32` as const),
  /**
   * Segmentation outside flat mode: d = linear address (32 bits) of offset slot[a] in segment (imm & 7), for an access of (imm >> 8 & 0xff) bytes,
   * a write if imm & 8. Checks limit and type; #GP(0), or #SS(0) for SS.
   */
  "segment",
  /** Alignment check for CPL 3 with AM and AC: #AC(0) when slot[a] + (slot[b] << scale) + disp is not a multiple of imm byte 14 (2, 4, 8 or 16). */
  "aligned",

  // Vector operations in line: the helper \`simd\` where operands are not ordinary (vector/names.ts).
  ...vectorOps,
] as const;

export type OpName = (typeof opNames)[number];

/**
 * Of `fastCall`: INT n, whose vector is the lower half of imm, SYSCALL, SYSRET, IRETQ, CLI; for SYSCALL and CLI, which may clear IF, the lower half is the instruction's length. RDTSC, and RDTSCP
 * with 1 as the lower half; PAUSE.
 */
export const FAST_INTERRUPT = 0;
export const FAST_CALL = 1;
export const FAST_RETURN = 2;
export const FAST_INTERRUPT_RETURN = 3;
export const FAST_CLEAR_INTERRUPTS = 4;
export const FAST_TSC = 5;
export const FAST_PAUSE = 6;

/** Opcode number by name. */
export const Op: { readonly [name in OpName]: number } = Object.fromEntries(opNames.map((name, index) => [name, index])) as {
  [name in OpName]: number;
};

/** Why generated code returned. */
export const EXIT_BUDGET = 0; // the budget does not cover the next block; SLOT_RIP is its start
export const EXIT_LOOKUP = 1; // no jump-cache entry for SLOT_RIP
export const EXIT_CHAIN = 2; // the goto at WORD_OP has no chain; SLOT_RIP is its target
export const EXIT_FAULT = 3; // a helper or the MMU left an exception in the CPU; WORD_OP tells the instruction
export const EXIT_LEAVE = 4; // the instruction completed and SLOT_RIP is set; look at the CPU's state
export const EXIT_BREAK = 5; // reached a patched instruction; WORD_OP is its first op, nothing of it has executed
export const EXIT_HOT = 6; // as EXIT_BUDGET, for a block that has become hot

/** Status of helpers. */
export const STATUS_OK = 0;
export const STATUS_FAULT = 1;
export const STATUS_LEAVE = 2;
