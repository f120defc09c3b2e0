import type { ImageFile } from "../../../src/devices/block/image";

/** A host file in memory. */
export class MemoryFile implements ImageFile {
  readonly name: string;
  readonly writes: { offset: number; length: number }[] = [];
  flushes = 0;

  constructor(
    readonly bytes: Uint8Array,
    readonly writable = false,
    name = "test.img",
  ) {
    this.name = name;
  }

  get size(): number {
    return this.bytes.length;
  }

  read(offset: number, target: Uint8Array): void {
    if (offset < 0 || offset + target.length > this.bytes.length) throw new Error(`read of ${target.length} bytes at ${offset}`);
    target.set(this.bytes.subarray(offset, offset + target.length));
  }

  write(offset: number, bytes: Uint8Array): void {
    if (!this.writable || offset < 0 || offset + bytes.length > this.bytes.length) throw new Error(`write at ${offset}`);
    this.bytes.set(bytes, offset);
    this.writes.push({ offset, length: bytes.length });
  }

  flush(): void {
    this.flushes++;
  }
}

/** A disk whose sectors differ: each 32-bit word holds its own offset, hashed. */
export function patterned(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = Math.imul((i >> 2) + 1, 0x9e3779b1) >>> (8 * (i & 3));
  return bytes;
}

/** How a cluster of {@link makeQcow2} is stored. */
export type ClusterKind = "data" | "hole" | "zero" | "compressed";

/** A qcow2 image, version 3, 4 KiB clusters, whose cluster n has kind `kinds[n]` and, where it holds data, the content of `disk`. */
export function makeQcow2(
  disk: Uint8Array,
  kinds: readonly ClusterKind[],
  deflate: (bytes: Uint8Array) => Uint8Array,
  version = 3,
): Uint8Array {
  const bits = 12;
  const size = 1 << bits;
  const chunks: Uint8Array[] = [];
  const l1Offset = size;
  const l2Offset = 2 * size;
  let next = 3 * size;
  const l2 = new DataView(new ArrayBuffer(size));
  kinds.forEach((kind, cluster) => {
    const data = disk.slice(cluster * size, (cluster + 1) * size);
    if (kind === "data") {
      l2.setBigUint64(cluster * 8, BigInt(next) | (1n << 63n));
      chunks.push(data);
      next += size;
    } else if (kind === "zero") {
      l2.setBigUint64(cluster * 8, 1n);
    } else if (kind === "compressed") {
      const packed = deflate(data);
      // Not on a sector boundary, to have the offset's low bits used.
      const start = next + 100;
      const sectors = Math.floor((start + packed.length - 1) / 512) - Math.floor(start / 512);
      l2.setBigUint64(cluster * 8, BigInt(start) | (BigInt(sectors) << BigInt(62 - (bits - 8))) | (1n << 62n));
      const room = new Uint8Array(Math.ceil((100 + packed.length) / size) * size);
      room.set(packed, 100);
      chunks.push(room);
      next += room.length;
    }
  });
  const image = new Uint8Array(next);
  const header = new DataView(image.buffer);
  header.setUint32(0, 0x514649fb);
  header.setUint32(4, version);
  header.setUint32(20, bits);
  header.setBigUint64(24, BigInt(disk.length));
  header.setUint32(36, 1);
  header.setBigUint64(40, BigInt(l1Offset));
  header.setUint32(96, 4);
  header.setUint32(100, 104);
  header.setBigUint64(l1Offset, BigInt(l2Offset) | (1n << 63n));
  image.set(new Uint8Array(l2.buffer), l2Offset);
  let at = 3 * size;
  for (const chunk of chunks) {
    image.set(chunk, at);
    at += chunk.length;
  }
  return image;
}
