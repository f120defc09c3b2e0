/** Replays recorded vectors on any target, and says in words where the target differs from the recorded CPU. */
import { type VectorCase, type VectorForm, type VectorFile } from "./format.js";

/** What a target must be able to do: hold one CPU in a state, run one instruction, show the state. */
export interface VectorTarget {
  /**
   * Puts the CPU into the state before a case: mode, segment bases (SEGMENT_BASES), registers, flags (IF set, IOPL 0),
   * code bytes at CS base + rip, and the bytes of the memory windows.
   */
  load(item: VectorCase): void;
  /** Runs the one instruction to its end (a REP instruction: all iterations), or until it raises an exception. */
  step(): void;
  /** General register 0..15 in the order of the encoding; outside 64-bit mode only the low 32 bits count. */
  readRegister(index: number): bigint;
  readFlags(): bigint;
  /** Offset from the base of CS. */
  readRip(): bigint;
  /** Bytes at a linear address. */
  readMemory(address: number, length: number): Uint8Array;
  /** The exception that the step raised (before any handler ran), or null. */
  readTrap(): { readonly vector: number; readonly error: number } | null;
}

/** A state after an instruction, as a target or the native runner saw it. */
export interface Observed {
  readonly regs: BigUint64Array;
  readonly rflags: bigint;
  readonly rip: bigint;
  /** Bytes of the case's windows, in their order. */
  readonly memory: readonly Uint8Array[];
  readonly trap: { readonly vector: number; readonly error: number } | null;
}

/** CF PF AF ZF SF TF IF DF OF IOPL NT RF VM AC VIF VIP ID without RF, which belongs to fault delivery. */
const COMPARED_FLAGS = 0x3e7fd5n;
const NAMES_64 = ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"];
const NAMES_32 = ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"];
const FLAG_NAMES: Readonly<Record<number, string>> = {
  0: "CF", 2: "PF", 4: "AF", 6: "ZF", 7: "SF", 8: "TF", 9: "IF", 10: "DF", 11: "OF", 12: "IOPL", 13: "IOPL", 14: "NT", 17: "VM", 18: "AC", 21: "ID",
};
const ERROR_CODE_VECTORS: ReadonlySet<number> = new Set([8, 10, 11, 12, 13, 14, 17]);

function flagText(flags: bigint): string {
  const names = Object.entries(FLAG_NAMES).filter(([bit]) => (flags >> BigInt(bit)) & 1n);
  return names.map(([, name]) => name).join("+") || "none";
}

function hexBytes(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

/** Where `actual` differs from what was recorded, undefined flags and registers aside; empty if nowhere. */
export function outcomeDifferences(item: VectorCase, actual: Observed): string[] {
  const differences: string[] = [];
  const { after, trap } = item;
  const names = item.mode === 64 ? NAMES_64 : NAMES_32;
  const mask = item.mode === 64 ? 0xffffffffffffffffn : 0xffffffffn;
  const trapText = (value: VectorCase["trap"]): string => (value === null ? "no exception" : `exception ${value.vector}`);
  if (trapText(trap) !== trapText(actual.trap)) {
    differences.push(`${trapText(actual.trap)} instead of ${trapText(trap)}`);
  } else if (trap !== null && ERROR_CODE_VECTORS.has(trap.vector) && trap.error !== actual.trap?.error) {
    differences.push(`error code ${actual.trap?.error.toString(16)} instead of ${trap.error.toString(16)}`);
  }
  names.forEach((name, index) => {
    if ((item.undefinedRegisters >> index) & 1) return;
    const value = actual.regs[index] & mask;
    if (value !== after.regs[index]) differences.push(`${name} ${value.toString(16)} instead of ${after.regs[index].toString(16)}`);
  });
  if ((actual.rip & mask) !== after.rip) differences.push(`rip ${actual.rip.toString(16)} instead of ${after.rip.toString(16)}`);
  const wrongFlags = (actual.rflags ^ after.rflags) & COMPARED_FLAGS & ~BigInt(item.undefinedFlags);
  if (wrongFlags !== 0n) {
    differences.push(`flags ${flagText(wrongFlags)} wrong (set ${flagText(actual.rflags)} instead of ${flagText(after.rflags)})`);
  }
  after.memory.forEach(({ address, bytes }, number) => {
    const found = actual.memory[number];
    const at = bytes.findIndex((byte, offset) => byte !== found[offset]);
    if (at < 0) return;
    const text = `${hexBytes(found.subarray(at, at + 16))} instead of ${hexBytes(bytes.subarray(at, at + 16))}`;
    differences.push(`memory at 0x${(address + at).toString(16)}: ${text}`);
  });
  return differences;
}

/** One line that identifies a case and shows what went in. */
export function describeCase(item: VectorCase): string {
  const { before } = item;
  const names = item.mode === 64 ? NAMES_64 : NAMES_32;
  const registers = names.map((name, index) => `${name}=${before.regs[index].toString(16)}`).join(" ");
  return `${item.mode}-bit ${item.form.id} #${item.index} [${hexBytes(item.code)}] at ${before.rip.toString(16)} ${registers} flags ${flagText(before.rflags)}`;
}

/** A case that a target got wrong. */
export interface VectorFailure {
  readonly item: VectorCase;
  readonly differences: readonly string[];
}

/** The result of replaying one file. */
export interface ReplayReport {
  readonly cases: number;
  readonly failed: number;
  /** Failed cases a form, by "mode id". */
  readonly failedForms: ReadonlyMap<string, number>;
  /** The first few failures of each form. */
  readonly failures: readonly VectorFailure[];
}

export interface ReplayOptions {
  /** Which forms to replay; all by default. */
  readonly select?: (form: VectorForm) => boolean;
  /** Failures to keep of each form, 2 by default. */
  readonly keep?: number;
}

/** Runs the cases of a file on a target. */
export function replay(file: VectorFile, target: VectorTarget, options: ReplayOptions = {}): ReplayReport {
  const keep = options.keep ?? 2;
  const failedForms = new Map<string, number>();
  const failures: VectorFailure[] = [];
  let cases = 0;
  let failed = 0;
  for (const item of file.cases(options.select)) {
    cases++;
    target.load(item);
    target.step();
    const differences = outcomeDifferences(item, observe(item, target));
    if (differences.length === 0) continue;
    failed++;
    const key = `${item.mode} ${item.form.id}`;
    const count = (failedForms.get(key) ?? 0) + 1;
    failedForms.set(key, count);
    if (count <= keep) failures.push({ item, differences });
  }
  return { cases, failed, failedForms, failures };
}

function observe(item: VectorCase, target: VectorTarget): Observed {
  const regs = new BigUint64Array(16);
  for (let i = 0; i < (item.mode === 64 ? 16 : 8); i++) regs[i] = target.readRegister(i);
  return {
    regs,
    rflags: target.readFlags(),
    rip: target.readRip(),
    memory: item.before.memory.map(({ address, bytes }) => target.readMemory(address, bytes.length)),
    trap: target.readTrap(),
  };
}
