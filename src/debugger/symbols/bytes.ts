import { UserError } from "../../machine/errors";
import { toSource, type ByteSource } from "./source";

const utf8 = new TextDecoder();

/**
 * A bounds-checked little-endian cursor over untrusted bytes of a symbol file. Every overrun is a {@link UserError} that names the file
 * and the part that is damaged, so no caller needs checks of its own. Offsets are plain numbers (file sizes), addresses bigint.
 */
export class ByteReader {
  private readonly source: ByteSource;
  /** What of the source is at hand: its bytes, a view of them, and the offset of the first. */
  private bytes: Uint8Array;
  private view: DataView;
  private start: number;
  readonly end: number;

  /** Reads `source` from `pos` up to `end` (both offsets into it); `file` and `what` name it in errors. */
  constructor(
    source: Uint8Array | ByteSource,
    readonly file: string,
    readonly what: string,
    public pos = 0,
    end = Infinity,
  ) {
    this.source = toSource(source);
    this.end = Math.min(end, this.source.size);
    if (!(pos >= 0 && pos <= this.end)) this.damaged(`offset ${hex(pos)} lies outside it`);
    ({ bytes: this.bytes, view: this.view, start: this.start } = this.source.window(pos, Math.min(1, this.end - pos)));
  }

  /** The error for malformed content here: `why` completes "FILE is damaged: WHAT ...". */
  damaged(why: string): never {
    throw new UserError(`${this.file} is damaged: ${this.what}: ${why}.`, this.file);
  }

  /** A second cursor over the same bytes, from `pos` to `end`. */
  at(pos: number, end = this.end): ByteReader {
    return new ByteReader(this.source, this.file, this.what, pos, Math.min(end, this.end));
  }

  get atEnd(): boolean {
    return this.pos >= this.end;
  }

  /** Takes `size` bytes and returns where they begin in {@link bytes}. */
  private take(size: number): number {
    const at = this.pos;
    if (!(size >= 0 && size <= this.end - at)) this.damaged(`it ends at ${hex(this.end)}, before the ${size} bytes expected at ${hex(at)}`);
    this.pos = at + size;
    const index = at - this.start;
    return index >= 0 && index + size <= this.bytes.length ? index : this.load(at, size);
  }

  private load(at: number, size: number): number {
    ({ bytes: this.bytes, view: this.view, start: this.start } = this.source.window(at, size));
    return at - this.start;
  }

  skip(size: number): void {
    const at = this.pos;
    if (!(size >= 0 && size <= this.end - at)) this.damaged(`it ends at ${hex(this.end)}, before the ${size} bytes expected at ${hex(at)}`);
    this.pos = at + size;
  }

  u8(): number {
    const index = this.take(1);
    return this.bytes[index];
  }

  s8(): number {
    const index = this.take(1);
    return this.view.getInt8(index);
  }

  u16(): number {
    const index = this.take(2);
    return this.view.getUint16(index, true);
  }

  u24(): number {
    const index = this.take(3);
    return this.view.getUint16(index, true) | (this.bytes[index + 2] << 16);
  }

  u32(): number {
    const index = this.take(4);
    return this.view.getUint32(index, true);
  }

  u64(): bigint {
    const index = this.take(8);
    return this.view.getBigUint64(index, true);
  }

  /** An unsigned integer of 1, 2, 4 or 8 bytes. */
  unsigned(size: number): bigint {
    switch (size) {
      case 1:
        return BigInt(this.u8());
      case 2:
        return BigInt(this.u16());
      case 4:
        return BigInt(this.u32());
      case 8:
        return this.u64();
      default:
        return this.damaged(`an integer of ${size} bytes at ${hex(this.pos)}`);
    }
  }

  /** A file or section offset of 4 or 8 bytes, as a number. */
  offset(size: number): number {
    return size === 8 ? this.number(this.u64()) : this.u32();
  }

  private number(value: bigint): number {
    if (value > 0x1f_ffff_ffff_ffffn) this.damaged(`the offset 0x${value.toString(16)} before ${hex(this.pos)} is out of range`);
    return Number(value);
  }

  /** An unsigned LEB128 that must be a sane count, index or offset. */
  uleb(): number {
    let result = 0;
    let scale = 1;
    for (let i = 0; i < 10; i++) {
      const byte = this.u8();
      result += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (result > Number.MAX_SAFE_INTEGER) break;
        return result;
      }
      scale *= 128;
    }
    return this.damaged(`a LEB128 number before ${hex(this.pos)} is out of range`);
  }

  /** An unsigned LEB128, wrapped to 64 bits. */
  ulebBig(): bigint {
    let result = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.u8();
      if (shift < 70n) result |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, result);
    }
  }

  /** A signed LEB128, wrapped to 64 bits. */
  slebBig(): bigint {
    let result = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.u8();
      if (shift < 70n) result |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) {
        if (byte & 0x40 && shift < 63n) result |= -1n << (shift + 7n);
        return BigInt.asIntN(64, result);
      }
    }
  }

  /** A signed LEB128 that must be a sane number. */
  sleb(): number {
    const value = this.slebBig();
    if (value > 0x1f_ffff_ffff_ffffn || value < -0x1f_ffff_ffff_ffffn)
      this.damaged(`a LEB128 number before ${hex(this.pos)} is out of range`);
    return Number(value);
  }

  skipLeb(): void {
    while (this.u8() >= 0x80);
  }

  /** The next `size` bytes, as a view (not a copy). */
  block(size: number): Uint8Array {
    const index = this.take(size);
    return this.bytes.subarray(index, index + size);
  }

  /** A NUL-terminated UTF-8 string. */
  cstring(): string {
    const at = this.pos;
    const length = this.findNul();
    const index = at - this.start;
    return decodeText(this.bytes, index, index + length);
  }

  skipCstring(): void {
    this.findNul();
  }

  /** Moves behind the next NUL and returns the length of the text before it, which is at hand then. */
  private findNul(): number {
    const at = this.pos;
    for (;;) {
      let index = at - this.start;
      if (index < 0 || index >= this.bytes.length) index = this.load(at, Math.min(1, this.end - at));
      const nul = this.bytes.indexOf(0, index);
      if (nul >= 0 && this.start + nul < this.end) {
        this.pos = this.start + nul + 1;
        return nul - index;
      }
      const have = this.bytes.length - index;
      if (nul >= 0 || this.start + this.bytes.length >= this.end || have > maximumString)
        this.damaged(`the string at ${hex(at)} has no end`);
      this.load(at, Math.min(have * 2 + 256, this.end - at));
    }
  }
}

/** Longer texts than this are damage. */
const maximumString = 1 << 20;

/** UTF-8 text of `bytes[start, end)`; short ASCII names take a quicker way than TextDecoder. */
function decodeText(bytes: Uint8Array, start: number, end: number): string {
  if (end - start > 48) return utf8.decode(bytes.subarray(start, end));
  let text = "";
  for (let i = start; i < end; i++) {
    if (bytes[i] >= 0x80) return utf8.decode(bytes.subarray(start, end));
    text += String.fromCharCode(bytes[i]);
  }
  return text;
}

/** `0x`-prefixed hexadecimal of an offset, size or address. */
export function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}
