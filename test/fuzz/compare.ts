/** Where two states after a block differ, and how a failing block is made small. */
import { AT, type Block, STATE_BYTES, WINDOW, WINDOW_BYTES } from "./block";

const STATUS = 0xcd5n;
const registers = ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"];
const ERROR_CODES = new Set([12, 13, 14, 17]);
/** The kernel reports pages of its half as present. */
const KERNEL_HALF = 1n << 63n;

/** Differences in words: what the emulator has, and what the host. `faultsAsReads`: the other side reads first what it changes, and then has lost its flags. */
export function differences(block: Block, actual: Uint8Array, expected: Uint8Array, faultsAsReads = false): string[] {
  const [ours, theirs] = [actual, expected].map((bytes) => new DataView(bytes.buffer, bytes.byteOffset, STATE_BYTES));
  const found: string[] = [];
  const compare = (name: string, mine: bigint, other: bigint): void => {
    if (mine !== other) found.push(`${name} ${mine.toString(16)} instead of ${other.toString(16)}`);
  };
  const byte = (name: string, at: number): void => compare(name, BigInt(ours.getUint8(at)), BigInt(theirs.getUint8(at)));
  byte("exception", AT.trap);
  const trap = theirs.getUint8(AT.trap);
  const high = trap === 14 && theirs.getBigUint64(AT.cr2, true) >= KERNEL_HALF;
  if (ERROR_CODES.has(trap)) {
    const mask = (high ? ~1 : ~0) & (faultsAsReads ? ~2 : ~0);
    compare("error code", BigInt((ours.getUint32(AT.error, true) & mask) >>> 0), BigInt((theirs.getUint32(AT.error, true) & mask) >>> 0));
  }
  compare("cr2", ours.getBigUint64(AT.cr2, true), theirs.getBigUint64(AT.cr2, true));
  compare("rip", ours.getBigUint64(AT.rip, true), theirs.getBigUint64(AT.rip, true));
  // A division that faults leaves its flags undefined.
  if (trap !== 0 && !(faultsAsReads && trap === 14))
    compare("flags", ours.getBigUint64(AT.rflags, true) & STATUS, theirs.getBigUint64(AT.rflags, true) & STATUS);
  for (let i = 0; i < (block.bits === 64 ? 16 : 8); i++) {
    const at = AT.regs + i * 8;
    const mask = block.bits === 64 ? ~0n : 0xffff_ffffn;
    compare(registers[i], ours.getBigUint64(at, true) & mask, theirs.getBigUint64(at, true) & mask);
  }
  compare("mxcsr", BigInt(ours.getUint32(AT.mxcsr, true)), BigInt(theirs.getUint32(AT.mxcsr, true)));
  for (let i = 0; i < (block.bits === 64 ? 16 : 8); i++)
    for (let part = 24; part >= 0; part -= 8) {
      const at = AT.ymm + i * 32 + part;
      compare(`ymm${i}[${part}]`, ours.getBigUint64(at, true), theirs.getBigUint64(at, true));
    }
  for (let at = 0; at < WINDOW_BYTES; at++) byte(`byte at ${(WINDOW + at).toString(16)}`, AT.window + at);
  compare("hash of the data", BigInt(ours.getUint32(AT.hash, true)), BigInt(theirs.getUint32(AT.hash, true)));
  return found;
}

/** Smaller variants of a block: one instruction fewer, one register or vector cleared. */
export function smaller(block: Block): Block[] {
  const variants: Block[] = [];
  const { instructions } = block;
  for (let i = instructions.length - 1; i >= 0 && instructions.length > 1; i--)
    variants.push({ ...block, instructions: instructions.filter((_, index) => index !== i) });
  const cleared = (at: number, length: number): void => {
    if (block.state.subarray(at, at + length).every((value) => value === 0)) return;
    const state = Uint8Array.from(block.state);
    state.fill(0, at, at + length);
    variants.push({ ...block, state });
  };
  for (let i = 0; i < 16; i++) if (i !== 4) cleared(AT.regs + i * 8, 8);
  for (let i = 0; i < 16; i++) cleared(AT.ymm + i * 32, 32);
  for (let at = 0; at < WINDOW_BYTES; at += 64) cleared(AT.window + at, 64);
  return variants;
}
