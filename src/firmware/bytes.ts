/** Little-endian bytes: a bounded reader of files from outside, and a growing writer of structures for the guest. */

/** Reads a file that nobody vouches for. Reads past the end give zeros: callers ask {@link has} first where it matters. */
export class ImageReader {
  private readonly view: DataView;

  constructor(readonly bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get length(): number {
    return this.bytes.length;
  }

  /** Whether `length` bytes at `offset` are all inside the file. */
  has(offset: number, length: number): boolean {
    return offset >= 0 && length >= 0 && offset + length <= this.bytes.length;
  }

  u8(offset: number): number {
    return this.has(offset, 1) ? this.view.getUint8(offset) : 0;
  }

  u16(offset: number): number {
    return this.has(offset, 2) ? this.view.getUint16(offset, true) : 0;
  }

  u32(offset: number): number {
    return this.has(offset, 4) ? this.view.getUint32(offset, true) : 0;
  }

  u64(offset: number): bigint {
    return this.has(offset, 8) ? this.view.getBigUint64(offset, true) : 0n;
  }

  /** The bytes from `offset` on, at most `length`, not copied. */
  slice(offset: number, length: number): Uint8Array {
    return this.bytes.subarray(offset, offset + length);
  }
}

/** Builds a structure from front to back; fields already written can be patched. */
export class ByteWriter {
  private buffer = new Uint8Array(256);
  private view = new DataView(this.buffer.buffer);
  private used = 0;

  get length(): number {
    return this.used;
  }

  private grow(count: number): number {
    const at = this.used;
    this.used += count;
    if (this.used > this.buffer.length) {
      const larger = new Uint8Array(Math.max(this.used, this.buffer.length * 2));
      larger.set(this.buffer);
      this.buffer = larger;
      this.view = new DataView(larger.buffer);
    }
    return at;
  }

  u8(...values: number[]): this {
    for (const value of values) {
      const at = this.grow(1);
      this.view.setUint8(at, value);
    }
    return this;
  }

  u16(...values: number[]): this {
    for (const value of values) {
      const at = this.grow(2);
      this.view.setUint16(at, value, true);
    }
    return this;
  }

  u32(...values: number[]): this {
    for (const value of values) {
      const at = this.grow(4);
      this.view.setUint32(at, value, true);
    }
    return this;
  }

  /** Numbers must be integers below 2^53. */
  u64(...values: (number | bigint)[]): this {
    for (const value of values) {
      const at = this.grow(8);
      this.view.setBigUint64(at, BigInt(value), true);
    }
    return this;
  }

  bytes(data: ArrayLike<number>): this {
    const at = this.grow(data.length);
    this.buffer.set(data, at);
    return this;
  }

  /** ASCII, cut or padded with `pad` to `length`. */
  text(value: string, length = value.length, pad = 0): this {
    for (let i = 0; i < length; i++) this.u8(i < value.length ? value.charCodeAt(i) & 0x7f : pad);
    return this;
  }

  zeros(count: number): this {
    this.grow(count);
    return this;
  }

  align(alignment: number): this {
    return this.zeros(alignUp(this.used, alignment) - this.used);
  }

  patch8(offset: number, value: number): this {
    this.view.setUint8(offset, value);
    return this;
  }

  patch16(offset: number, value: number): this {
    this.view.setUint16(offset, value, true);
    return this;
  }

  patch32(offset: number, value: number): this {
    this.view.setUint32(offset, value, true);
    return this;
  }

  patch64(offset: number, value: number | bigint): this {
    this.view.setBigUint64(offset, BigInt(value), true);
    return this;
  }

  /** A copy of all that was written. */
  finish(): Uint8Array {
    return this.buffer.slice(0, this.used);
  }
}

export const alignUp = (value: number, alignment: number): number => Math.ceil(value / alignment) * alignment;
export const alignDown = (value: number, alignment: number): number => Math.floor(value / alignment) * alignment;

/** The byte that makes the sum of `bytes` (whose checksum byte is 0) a multiple of 256. */
export function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (const byte of bytes) sum += byte;
  return -sum & 0xff;
}

/** `text` in UTF-8 with a terminating NUL. */
export function cString(text: string): Uint8Array {
  const body = new TextEncoder().encode(text);
  const bytes = new Uint8Array(body.length + 1);
  bytes.set(body);
  return bytes;
}
