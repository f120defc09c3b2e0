// Files with as much debug information as a kernel has, made on the spot: units of DWARF 4 and 5 by turns, each with a function of three lines and much else.
import { closeSync, openSync, writeSync } from "node:fs";
import { deflateSync } from "node:zlib";

export interface LargeFile {
  readonly units: number;
  /** Bytes of filling in each unit. */
  readonly filling: number;
  /** Whether .debug_info is compressed by zlib. */
  readonly compressed?: boolean;
}

/** Where the code of unit `n` begins; each has 16 bytes. */
export const largeBase = 0xffffffff81000000n;
export const unitAddress = (n: number): bigint => largeBase + BigInt(n * 16);
export const unitName = (n: number): string => `unit${String(n).padStart(5, "0")}`;

class Bytes {
  private readonly parts: number[] = [];
  u8(...values: number[]): this {
    this.parts.push(...values);
    return this;
  }
  u16(value: number): this {
    return this.u8(value & 255, value >> 8);
  }
  u32(value: number): this {
    return this.u16(value & 0xffff).u16(value >>> 16);
  }
  u64(value: bigint): this {
    return this.u32(Number(value & 0xffffffffn)).u32(Number(value >> 32n));
  }
  text(value: string): this {
    return this.u8(...Buffer.from(value, "latin1"), 0);
  }
  raw(bytes: Uint8Array): this {
    for (const byte of bytes) this.parts.push(byte);
    return this;
  }
  get length(): number {
    return this.parts.length;
  }
  done(): Buffer {
    return Buffer.from(this.parts);
  }
}

const abbreviations = new Bytes()
  // A variable that is only declared: name, line.
  .u8(3, 0x34, 0, 0x03, 0x08, 0x3b, 0x06, 0, 0)
  // A function: name, low_pc, high_pc.
  .u8(2, 0x2e, 0, 0x03, 0x08, 0x11, 0x01, 0x12, 0x06, 0, 0)
  // The unit, last as with GCC: name, directory, line table, low_pc, high_pc, language.
  .u8(1, 0x11, 1, 0x03, 0x08, 0x1b, 0x08, 0x10, 0x17, 0x11, 0x01, 0x12, 0x06, 0x13, 0x05, 0, 0)
  .u8(0)
  .done();

function filling(size: number): Buffer {
  const entry = new Bytes().u8(3).text("a_variable_that_is_declared").u32(7).done();
  return Buffer.concat(Array.from({ length: Math.max(1, Math.floor(size / entry.length)) }, () => entry));
}

function unit(n: number, lineOffset: number, filler: Buffer): Buffer {
  const version = n % 2 === 0 ? 5 : 4;
  const head = new Bytes().u16(version);
  if (version === 5) head.u8(1, 8).u32(0);
  else head.u32(0).u8(8);
  head
    .u8(1)
    .text(`${unitName(n)}.c`)
    .text("/src")
    .u32(lineOffset)
    .u64(unitAddress(n))
    .u32(16)
    .u16(0x0c);
  head
    .u8(2)
    .text(`function_${unitName(n)}`)
    .u64(unitAddress(n))
    .u32(16);
  const body = Buffer.concat([head.done(), filler, Buffer.from([0])]);
  return Buffer.concat([new Bytes().u32(body.length).done(), body]);
}

function lineTable(n: number): Buffer {
  const version = n % 2 === 0 ? 5 : 4;
  const tables = new Bytes().u8(1, 1, 1, 0xfb, 14, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1);
  if (version === 5) {
    tables.u8(1, 1, 8, 1).text("/src");
    tables
      .u8(2, 1, 8, 2, 0x0f, 2)
      .text(`${unitName(n)}.c`)
      .u8(0)
      .text(`${unitName(n)}.c`)
      .u8(0);
  } else
    tables
      .u8(0)
      .text(`${unitName(n)}.c`)
      .u8(0, 0, 0)
      .u8(0);
  // Lines 1 to 3, four bytes of code each and the rest to the last.
  const program = new Bytes().u8(0, 9, 2).u64(unitAddress(n)).u8(1, 2, 4, 3, 1, 1, 2, 4, 3, 1, 1, 2, 8, 0, 1, 1);
  const rest = Buffer.concat([new Bytes().u32(tables.length).done(), tables.done(), program.done()]);
  const head = new Bytes().u16(version);
  if (version === 5) head.u8(8, 0);
  const body = Buffer.concat([head.done(), rest]);
  return Buffer.concat([new Bytes().u32(body.length).done(), body]);
}

/** Writes the file and returns its size. */
export function writeLargeFile(path: string, { units, filling: size, compressed = false }: LargeFile): number {
  const filler = filling(size);
  const lines = Array.from({ length: units }, (_, n) => lineTable(n));
  const lineOffsets = lines.map(() => 0);
  for (let n = 1; n < units; n++) lineOffsets[n] = lineOffsets[n - 1] + lines[n - 1].length;
  const file = openSync(path, "w");
  let at = 0;
  const put = (bytes: Uint8Array): number => {
    const from = at;
    for (let done = 0; done < bytes.length;) done += writeSync(file, bytes, done, bytes.length - done);
    at += bytes.length;
    return from;
  };
  put(Buffer.alloc(64));
  const text = put(Buffer.alloc(units * 16, 0x90));
  const info = at;
  let infoSize: number;
  if (compressed) {
    const whole = Buffer.concat(Array.from({ length: units }, (_, n) => unit(n, lineOffsets[n], filler)));
    put(new Bytes().u32(1).u32(0).u64(BigInt(whole.length)).u64(1n).done());
    put(deflateSync(whole, { level: 1 }));
    infoSize = at - info;
  } else {
    for (let n = 0; n < units; n++) put(unit(n, lineOffsets[n], filler));
    infoSize = at - info;
  }
  const abbrev = put(abbreviations);
  const line = put(Buffer.concat(lines));
  const names = ["", ".text", ".debug_info", ".debug_abbrev", ".debug_line", ".shstrtab"];
  const strings = put(Buffer.from(`${names.join("\0")}\0`, "latin1"));
  const nameOffset = (name: string): number => names.slice(0, names.indexOf(name)).reduce((sum, text) => sum + text.length + 1, 0);
  const header = (name: string, type: number, flags: number, address: bigint, offset: number, bytes: number): Buffer =>
    new Bytes()
      .u32(nameOffset(name))
      .u32(type)
      .u64(BigInt(flags))
      .u64(address)
      .u64(BigInt(offset))
      .u64(BigInt(bytes))
      .u32(0)
      .u32(0)
      .u64(1n)
      .u64(0n)
      .done();
  const sections = put(
    Buffer.concat([
      Buffer.alloc(64),
      header(".text", 1, 6, largeBase, text, units * 16),
      header(".debug_info", 1, compressed ? 0x800 : 0, 0n, info, infoSize),
      header(".debug_abbrev", 1, 0, 0n, abbrev, abbreviations.length),
      header(".debug_line", 1, 0, 0n, line, strings - line),
      header(".shstrtab", 3, 0, 0n, strings, names.join("\0").length + 1),
    ]),
  );
  const elf = new Bytes().u8(0x7f, 0x45, 0x4c, 0x46, 2, 1, 1).raw(new Uint8Array(9)).u16(2).u16(62).u32(1);
  elf.u64(largeBase).u64(0n).u64(BigInt(sections)).u32(0).u16(64).u16(0).u16(0).u16(64).u16(names.length).u16(5);
  writeSync(file, elf.done(), 0, 64, 0);
  closeSync(file);
  return at;
}
