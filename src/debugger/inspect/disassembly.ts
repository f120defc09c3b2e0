import { CS } from "../../cpu/segmentRegisters";
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

  /** Decodes with the instruction pointer that the CPU would have, which is relative to CS: branches of 16-bit code wrap within it. */
  private decode(bytes: Uint8Array, address: bigint): DecodedInstruction {
    const bits = this.cpu.codeBits();
    const base = bits === 64 ? 0n : this.cpu.state.segBase(CS);
    const decoded = this.disassembler.decode(bytes, bits, bits === 64 ? address : BigInt.asUintN(32, address - base));
    return base === 0n || decoded.target === undefined ? decoded : { ...decoded, target: BigInt.asUintN(32, decoded.target + base) };
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
   * Up to `count` instructions that end where `address` begins. x86 cannot be decoded backwards: decoding starts some way before, at a
   * function's first instruction if one is known there, else at the farthest byte from which it comes out even. Code soon falls into
   * step whatever byte decoding begins at; bytes that are no instruction stand for themselves.
   */
  private backward(address: bigint, count: number): DisassembledLine[] {
    const low = this.startBefore(address, Math.min(count * 8 + 32, maximumReach));
    const size = Number(address - low);
    const bytes = size === 0 ? undefined : this.cpu.readMemory(low, size + longestInstruction);
    if (bytes === undefined || bytes.length < size) return [];
    const lengths = new Int16Array(size);
    const lengthAt = (at: number): number => {
      if (lengths[at] === 0) {
        const { valid, length } = this.decode(bytes.subarray(at, at + longestInstruction), BigInt.asUintN(64, low + BigInt(at)));
        lengths[at] = valid ? length : 1;
      }
      return lengths[at];
    };
    const starts = chainFrom(0, size, lengthAt) ?? chainFrom(farthestEven(size, lengthAt), size, lengthAt) ?? [];
    return starts.slice(-count).map((at) => this.line(bytes.subarray(at, at + longestInstruction), BigInt.asUintN(64, low + BigInt(at))));
  }

  /** Where to begin decoding: at most `reach` bytes before `address`, or at the start of the function there; readable throughout. */
  private startBefore(address: bigint, reach: number): bigint {
    let low = address;
    const wanted = address > BigInt(reach) ? address - BigInt(reach) : 0n;
    while (low > wanted) {
      const page = (low - 1n) & ~0xfffn;
      if (this.cpu.readMemory(page, 1) === undefined) return low;
      low = page > wanted ? page : wanted;
    }
    const place = this.symbols.lookup(low);
    if (place?.symbol === undefined || place.offset === 0n || place.offset > 4096n) return low;
    const start = low - place.offset;
    const readable = this.cpu.readMemory(start, Number(place.offset));
    return readable !== undefined && readable.length === Number(place.offset) ? start : low;
  }
}

const maximumReach = 65_536;

/** Offsets of the instructions from `start` to `size`; undefined when they do not come out even. */
function chainFrom(start: number, size: number, lengthAt: (at: number) => number): number[] | undefined {
  const starts: number[] = [];
  let at = start;
  for (; at < size; at += lengthAt(at)) starts.push(at);
  return at === size ? starts : undefined;
}

/** The first offset from which instructions come out even at `size`; `size` itself when there is none. */
function farthestEven(size: number, lengthAt: (at: number) => number): number {
  const even = new Uint8Array(size + 1);
  even[size] = 1;
  for (let at = size - 1; at >= 0; at--) {
    const next = at + lengthAt(at);
    even[at] = next <= size ? even[next] : 0;
  }
  return even.indexOf(1);
}

/** Bytes as a disassembly shows them: "48 89 e5". */
export function byteText(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

/** An address as disassembly requests name it. */
export function addressText(address: bigint): string {
  return hex64(address);
}
