import { longestInstruction, type DecodedInstruction, type Disassembler } from "../instructions";
import { hex64 } from "../numbers";
import type { SymbolStore } from "../symbols/table";
import type { DebugCpu } from "../target";

/** One line of a disassembly. */
export interface DisassembledLine {
  readonly address: bigint;
  /** Empty where memory cannot be read. */
  readonly bytes: Uint8Array;
  readonly text: string;
  /** Set on the first instruction of a function. */
  readonly symbol: string | undefined;
  readonly file: string | undefined;
  readonly line: number | undefined;
  readonly valid: boolean;
}

/** Disassembles as one CPU sees memory. */
export class DisassemblyReader {
  constructor(
    private readonly cpu: DebugCpu,
    private readonly disassembler: Disassembler,
    private readonly symbols: SymbolStore,
  ) {}

  /** `count` lines, the first `offset` instructions after (or before) `address`. Unreadable places give lines of one byte. */
  read(address: bigint, offset: number, count: number): DisassembledLine[] {
    if (offset >= 0) return this.forward(address, offset + count).slice(offset);
    const before = this.backward(address, -offset);
    const missing = -offset - before.length;
    const lines = Array.from({ length: missing }, (_, i) =>
      this.unreadable(BigInt.asUintN(64, (before[0]?.address ?? address) - BigInt(missing - i))),
    );
    lines.push(...before);
    if (lines.length < count) lines.push(...this.forward(address, count - lines.length));
    return lines.slice(0, count);
  }

  private unreadable(address: bigint): DisassembledLine {
    return { address, bytes: new Uint8Array(0), text: "??", symbol: undefined, file: undefined, line: undefined, valid: false };
  }

  private decode(bytes: Uint8Array, address: bigint): DecodedInstruction {
    return this.disassembler.decode(bytes, this.cpu.codeBits(), address);
  }

  private forward(start: bigint, count: number): DisassembledLine[] {
    const lines: DisassembledLine[] = [];
    let address = start;
    let chunk = new Uint8Array(0);
    let chunkStart = address;
    while (lines.length < count) {
      let at = Number(BigInt.asIntN(64, address - chunkStart));
      if (at + longestInstruction > chunk.length) {
        chunk = new Uint8Array(this.cpu.readMemory(address, Math.min(4096, (count - lines.length) * 8 + 16)) ?? []);
        chunkStart = address;
        at = 0;
      }
      const line = at < chunk.length ? this.line(chunk.subarray(at), address) : this.unreadable(address);
      lines.push(line);
      address = BigInt.asUintN(64, address + BigInt(Math.max(1, line.bytes.length)));
    }
    return lines;
  }

  private line(bytes: Uint8Array, address: bigint): DisassembledLine {
    const instruction = this.decode(bytes, address);
    const length = instruction.valid ? Math.min(instruction.length, bytes.length) : 1;
    const place = this.symbols.lookup(address);
    const hint = instruction.target ?? instruction.memory;
    const symbol = hint === undefined ? undefined : this.symbols.describe(hint);
    return {
      address,
      bytes: bytes.slice(0, length),
      text: symbol === undefined ? instruction.text : `${instruction.text} <${symbol}>`,
      symbol: place?.offset === 0n ? place.symbol : undefined,
      file: place?.file,
      line: place?.line,
      valid: instruction.valid,
    };
  }

  /**
   * Up to `count` instructions that end where `address` begins. x86 cannot be decoded backwards: decoding starts at the function's
   * first instruction, or at the farthest byte from which it comes out even.
   */
  private backward(address: bigint, count: number): DisassembledLine[] {
    const farthest = BigInt(count * longestInstruction);
    const place = this.symbols.lookup(address);
    if (place?.symbol !== undefined && place.offset > 0n && place.offset <= 65_536n) {
      const lines = this.between(address - place.offset, address);
      if (lines !== undefined && (lines.length >= count || place.offset > farthest)) return lines.slice(-count);
      if (lines !== undefined) {
        const rest = this.backwardFrom(BigInt.asUintN(64, address - place.offset), count - lines.length);
        return [...rest, ...lines];
      }
    }
    return this.backwardFrom(address, count);
  }

  private backwardFrom(address: bigint, count: number): DisassembledLine[] {
    const reach = Math.min(count * 8 + 32, 16_384);
    for (let back = Math.min(reach, Number(address)); back > 0; back--) {
      const start = address - BigInt(back);
      if (this.cpu.readMemory(start, 1) === undefined) {
        // Nothing before the next page boundary.
        const toBoundary = 4096 - Number(start & 0xfffn);
        if (toBoundary >= back) return [];
        back -= toBoundary - 1;
        continue;
      }
      const lines = this.between(start, address);
      if (lines !== undefined && lines.length >= count) return lines.slice(-count);
      // Close to the address, whatever comes out even is all there is.
      if (lines !== undefined && back <= longestInstruction) return lines;
    }
    return [];
  }

  /** The instructions from `start` to `end`; undefined when they do not come out even or are not valid. */
  private between(start: bigint, end: bigint): DisassembledLine[] | undefined {
    const size = Number(end - start);
    const bytes = this.cpu.readMemory(start, size);
    if (bytes === undefined || bytes.length < size) return undefined;
    const found: { at: number; length: number }[] = [];
    let at = 0;
    while (at < size) {
      const instruction = this.decode(bytes.subarray(at), BigInt.asUintN(64, start + BigInt(at)));
      if (!instruction.valid) return undefined;
      found.push({ at, length: instruction.length });
      at += instruction.length;
    }
    if (at !== size) return undefined;
    return found.map((item) =>
      this.line(bytes.subarray(item.at, item.at + longestInstruction), BigInt.asUintN(64, start + BigInt(item.at))),
    );
  }
}

/** Bytes as a disassembly shows them: "48 89 e5". */
export function byteText(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

/** An address as disassembly requests name it. */
export function addressText(address: bigint): string {
  return hex64(address);
}
