/** A part of a {@link ByteSource} in memory. `start` is the offset of its first byte. */
export interface ByteWindow {
  readonly start: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

/** Bytes that need not be in memory: a file, or a section of one. Content does not change. */
export interface ByteSource {
  readonly size: number;
  /** A window that has at least the bytes [offset, offset + length), as far as they lie in the source. */
  window(offset: number, length: number): ByteWindow;
}

/** A file of the host that is read in parts. */
export interface RandomAccessFile {
  readonly size: number;
  /** Fills `target` from `offset` on. Throws a UserError when it cannot. */
  read(offset: number, target: Uint8Array): void;
}

function windowOf(start: number, bytes: Uint8Array): ByteWindow {
  return { start, bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength) };
}

/** Bytes that are in memory already. */
export class MemorySource implements ByteSource {
  private readonly whole: ByteWindow;

  constructor(bytes: Uint8Array) {
    this.whole = windowOf(0, bytes);
  }

  get size(): number {
    return this.whole.bytes.length;
  }

  window(): ByteWindow {
    return this.whole;
  }
}

const chunkBytes = 1 << 14;
/** Who reads past the end of a chunk is likely to read on: so much at once. */
const runBytes = 1 << 16;
/** Chunks of one file that stay in memory: 64 MiB. */
const maximumChunks = 4096;

/** A file, of which the chunks used last are kept. */
export class FileSource implements ByteSource {
  private readonly chunks = new Map<number, ByteWindow>();
  private last: ByteWindow | undefined;

  constructor(private readonly file: RandomAccessFile) {}

  get size(): number {
    return this.file.size;
  }

  window(offset: number, length: number): ByteWindow {
    const { last } = this;
    if (last !== undefined && offset >= last.start && offset + length <= last.start + last.bytes.length) return last;
    const first = Math.floor(offset / chunkBytes);
    const window =
      Math.floor((offset + Math.max(length, 1) - 1) / chunkBytes) === first
        ? this.chunk(first)
        : this.read(offset, Math.max(length, runBytes));
    this.last = window;
    return window;
  }

  private chunk(index: number): ByteWindow {
    let chunk = this.chunks.get(index);
    if (chunk === undefined) chunk = this.read(index * chunkBytes, chunkBytes);
    else this.chunks.delete(index);
    this.chunks.set(index, chunk);
    if (this.chunks.size > maximumChunks)
      for (const oldest of this.chunks.keys()) {
        this.chunks.delete(oldest);
        break;
      }
    return chunk;
  }

  /** What lies across chunks is read for itself, with what follows. */
  private read(offset: number, length: number): ByteWindow {
    const bytes = new Uint8Array(Math.max(0, Math.min(length, this.size - offset)));
    if (bytes.length > 0) this.file.read(offset, bytes);
    return windowOf(offset, bytes);
  }
}

/** A range of another source. */
export class PartSource implements ByteSource {
  private last: { readonly from: ByteWindow; readonly window: ByteWindow } | undefined;

  /** [offset, offset + size) must lie in `whole`. */
  constructor(
    private readonly whole: ByteSource,
    private readonly offset: number,
    readonly size: number,
  ) {}

  window(offset: number, length: number): ByteWindow {
    const from = this.whole.window(this.offset + offset, Math.min(length, this.size - offset));
    if (this.last?.from === from) return this.last.window;
    // Bytes of a window before and behind the part are cut off.
    const low = Math.max(from.start, this.offset);
    const high = Math.max(low, Math.min(from.start + from.bytes.length, this.offset + this.size));
    const window = windowOf(low - this.offset, from.bytes.subarray(low - from.start, high - from.start));
    this.last = { from, window };
    return window;
  }
}

/** The bytes [offset, offset + length) themselves, as far as they lie in the source: a view where they are in memory already. */
export function bytesOf(source: ByteSource, offset = 0, length = source.size - offset): Uint8Array {
  const wanted = Math.max(0, Math.min(length, source.size - offset));
  const { start, bytes } = source.window(offset, wanted);
  return bytes.subarray(offset - start, offset - start + wanted);
}

export function toSource(bytes: Uint8Array | ByteSource): ByteSource {
  return bytes instanceof Uint8Array ? new MemorySource(bytes) : bytes;
}
