import { UserError } from "../../machine/errors";

const utf8 = new TextDecoder();

/**
 * A bounds-checked little-endian cursor over untrusted bytes of a symbol file. Every overrun is a {@link UserError} that names the file
 * and the part that is damaged, so no caller needs checks of its own. Offsets are plain numbers (file sizes), addresses bigint.
 */
export class ByteReader {
  private readonly view: DataView;
  readonly end: number;

  /** Reads `bytes` from `pos` up to `end` (both offsets into `bytes`); `file` and `what` name it in errors. */
  constructor(
    readonly bytes: Uint8Array,
    readonly file: string,
    readonly what: string,
    public pos = 0,
    end = bytes.length,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.end = Math.min(end, bytes.length);
    if (!(pos >= 0 && pos <= this.end)) this.damaged(`offset ${hex(pos)} lies outside it`);
  }

  /** The error for malformed content here: `why` completes "FILE is damaged: WHAT ...". */
  damaged(why: string): never {
    throw new UserError(`${this.file} is damaged: ${this.what}: ${why}.`, this.file);
  }

  /** A second cursor over the same bytes, from `pos` to `end`. */
  at(pos: number, end = this.end): ByteReader {
    return new ByteReader(this.bytes, this.file, this.what, pos, Math.min(end, this.end));
  }

  get atEnd(): boolean {
    return this.pos >= this.end;
  }

  private take(size: number): number {
    const at = this.pos;
    if (!(size >= 0 && size <= this.end - at)) this.damaged(`it ends at ${hex(this.end)}, before the ${size} bytes expected at ${hex(at)}`);
    this.pos = at + size;
    return at;
  }

  skip(size: number): void {
    this.take(size);
  }

  u8(): number {
    return this.bytes[this.take(1)];
  }

  s8(): number {
    return this.view.getInt8(this.take(1));
  }

  u16(): number {
    return this.view.getUint16(this.take(2), true);
  }

  u24(): number {
    const at = this.take(3);
    return this.view.getUint16(at, true) | (this.bytes[at + 2] << 16);
  }

  u32(): number {
    return this.view.getUint32(this.take(4), true);
  }

  u64(): bigint {
    return this.view.getBigUint64(this.take(8), true);
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
    const at = this.take(size);
    return this.bytes.subarray(at, at + size);
  }

  /** A NUL-terminated UTF-8 string. */
  cstring(): string {
    const at = this.pos;
    const nul = this.bytes.indexOf(0, at);
    if (nul < 0 || nul >= this.end) this.damaged(`the string at ${hex(at)} has no end`);
    this.pos = nul + 1;
    return decodeText(this.bytes, at, nul);
  }

  skipCstring(): void {
    const nul = this.bytes.indexOf(0, this.pos);
    if (nul < 0 || nul >= this.end) this.damaged(`the string at ${hex(this.pos)} has no end`);
    this.pos = nul + 1;
  }
}

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
