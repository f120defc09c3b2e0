import { UserError } from "../../common/errors";
import { type BlockSource, type ImageFile, type Inflate, SECTOR } from "./image";

export const QCOW2_MAGIC = 0x514649fb;

/** Incompatible features (qcow2 specification, "Header"). */
const FEATURE_DIRTY = 1n << 0n;
const FEATURE_CORRUPT = 1n << 1n;
const FEATURE_EXTERNAL_DATA = 1n << 2n;
const FEATURE_COMPRESSION_TYPE = 1n << 3n;
const FEATURE_EXTENDED_L2 = 1n << 4n;

const ENTRY_OFFSET = 0x00ff_ffff_ffff_fe00n;
const L2_COMPRESSED = 1n << 62n;
const L2_ZERO = 1n;

/** The L1 table is held in memory: 32 MiB map 2 PiB at the usual cluster size. */
const MAXIMUM_L1_BYTES = 32 << 20;
/** L2 tables and inflated clusters kept; each is at most 2 MiB. */
const KEPT_TABLES = 32;
const KEPT_CLUSTERS = 8;

/** A few values by key, the longest unused one dropped. What is in it never shows but in speed. */
class Recent<T> {
  private readonly entries = new Map<number, T>();

  constructor(private readonly limit: number) {}

  get(key: number, make: () => T): T {
    const found = this.entries.get(key);
    const value = found ?? make();
    this.entries.delete(key);
    this.entries.set(key, value);
    if (this.entries.size > this.limit) {
      const [oldest] = this.entries.keys();
      this.entries.delete(oldest);
    }
    return value;
  }
}

/**
 * A qcow2 image, versions 2 and 3, for reading (QEMU's docs/interop/qcow2.txt): L1 and L2 tables, plain, zero and deflate-compressed clusters.
 * Internal snapshots are ignored: the active state is read. Backing files, encryption, external data files, zstd and extended L2 entries are refused.
 * Offsets of the tables come from the file and are checked before use.
 */
export class Qcow2Image implements BlockSource {
  readonly format = "qcow2";
  readonly size: number;
  readonly write = undefined;
  private readonly clusterBits: number;
  private readonly clusterSize: number;
  /** Entries of an L2 table. */
  private readonly l2Entries: number;
  private readonly l1: DataView;
  private readonly zeroFlag: boolean;
  private readonly tables = new Recent<DataView>(KEPT_TABLES);
  private readonly inflated = new Recent<Uint8Array>(KEPT_CLUSTERS);

  /** @throws UserError for an image that is damaged or uses what is not supported. */
  constructor(
    private readonly file: ImageFile,
    private readonly inflate?: Inflate,
  ) {
    if (file.size < 72) throw this.bad("its header is cut off");
    const header = this.view(0, Math.min(file.size, 112));
    if (header.getUint32(0) !== QCOW2_MAGIC) throw this.bad("it has no qcow2 header");
    const version = header.getUint32(4);
    if (version !== 2 && version !== 3) throw this.refuse(`is qcow2 version ${version}; versions 2 and 3 can be read`);
    if (header.getBigUint64(8) !== 0n) {
      throw this.refuse("has a backing file, which is not supported; flatten it with `qemu-img convert -O qcow2`");
    }
    this.clusterBits = header.getUint32(20);
    if (this.clusterBits < 9 || this.clusterBits > 21) throw this.bad(`its cluster size of 2^${this.clusterBits} bytes is not valid`);
    this.clusterSize = 2 ** this.clusterBits;
    this.l2Entries = this.clusterSize / 8;
    const size = header.getBigUint64(24);
    if (size > BigInt(Number.MAX_SAFE_INTEGER)) throw this.bad(`its disk size of ${size} bytes is too big`);
    this.size = Math.floor(Number(size) / SECTOR) * SECTOR;
    if (header.getUint32(32) !== 0) throw this.refuse("is encrypted, which is not supported");
    if (version === 3) {
      if (file.size < 104 || header.byteLength < 104) throw this.bad("its header is cut off");
      this.checkFeatures(header.getBigUint64(72));
      if (header.getUint32(100) < 104) throw this.bad("its header length is not valid");
    }
    this.zeroFlag = version === 3;
    const entries = header.getUint32(36);
    const needed = Math.ceil(Math.ceil(this.size / this.clusterSize) / this.l2Entries);
    if (entries * 8 > MAXIMUM_L1_BYTES) throw this.bad(`its L1 table of ${entries} entries is too big`);
    if (entries < needed) throw this.bad(`its L1 table has ${entries} entries, its disk size needs ${needed}`);
    const offset = Number(header.getBigUint64(40));
    if (offset % this.clusterSize !== 0 || offset + needed * 8 > file.size) throw this.bad("its L1 table lies outside the file");
    this.l1 = this.view(offset, needed * 8);
  }

  private bad(problem: string): UserError {
    return new UserError(`The disk image ${this.file.name} is damaged: ${problem}.`, "disks");
  }

  private refuse(what: string): UserError {
    return new UserError(`The disk image ${this.file.name} ${what}.`, "disks");
  }

  private checkFeatures(features: bigint): void {
    if (features & FEATURE_CORRUPT) throw this.bad("it is marked as corrupt; `qemu-img check -r all` may repair it");
    if (features & FEATURE_EXTERNAL_DATA) throw this.refuse("keeps its data in another file, which is not supported");
    if (features & FEATURE_COMPRESSION_TYPE) throw this.refuse("is compressed with zstd; only zlib can be read");
    if (features & FEATURE_EXTENDED_L2) throw this.refuse("has extended L2 entries, which are not supported");
    // Dirty means that reference counts may be wrong, which reading does not need.
    const unknown = features & ~FEATURE_DIRTY;
    if (unknown !== 0n) throw this.refuse(`uses unknown features (0x${unknown.toString(16)})`);
  }

  private view(offset: number, length: number): DataView {
    const bytes = new Uint8Array(length);
    this.file.read(offset, bytes);
    return new DataView(bytes.buffer);
  }

  /** The L2 entry of the cluster with index `cluster`; 0 if its table is not allocated. */
  private entry(cluster: number): bigint {
    const index = Math.floor(cluster / this.l2Entries);
    const offset = Number(this.l1.getBigUint64(index * 8) & ENTRY_OFFSET);
    if (offset === 0) return 0n;
    const table = this.tables.get(offset, () => {
      if (offset % this.clusterSize !== 0 || offset + this.clusterSize > this.file.size) {
        throw this.bad(`the L2 table of L1 entry ${index} lies outside the file`);
      }
      return this.view(offset, this.clusterSize);
    });
    return table.getBigUint64((cluster % this.l2Entries) * 8);
  }

  read(offset: number, target: Uint8Array): void {
    for (let done = 0; done < target.length;) {
      const at = offset + done;
      const inside = at % this.clusterSize;
      const chunk = Math.min(target.length - done, this.clusterSize - inside);
      this.readCluster(Math.floor(at / this.clusterSize), inside, target.subarray(done, done + chunk));
      done += chunk;
    }
  }

  private readCluster(cluster: number, inside: number, target: Uint8Array): void {
    const entry = this.entry(cluster);
    if (entry & L2_COMPRESSED) {
      const data = this.compressed(entry, cluster);
      target.set(data.subarray(inside, inside + target.length));
      return;
    }
    const offset = Number(entry & ENTRY_OFFSET);
    if (offset === 0 || (this.zeroFlag && entry & L2_ZERO)) {
      target.fill(0);
      return;
    }
    if (offset % this.clusterSize !== 0 || offset >= this.file.size) throw this.bad(`data cluster ${cluster} lies outside the file`);
    // The last cluster of a file may be cut short: the rest is zeros.
    const present = Math.max(0, Math.min(target.length, this.file.size - offset - inside));
    if (present > 0) this.file.read(offset + inside, target.subarray(0, present));
    target.fill(0, present);
  }

  /** "Compressed Clusters Descriptor": the lower bits are a byte offset, those above count further 512-byte sectors. */
  private compressed(entry: bigint, cluster: number): Uint8Array {
    const offsetBits = BigInt(62 - (this.clusterBits - 8));
    const offset = Number(entry & ((1n << offsetBits) - 1n));
    return this.inflated.get(cluster, () => {
      const sectors = Number((entry & ~(1n << 63n) & ~L2_COMPRESSED) >> offsetBits) + 1;
      const end = Math.min(this.file.size, offset - (offset % SECTOR) + sectors * SECTOR);
      if (this.inflate === undefined) throw this.refuse("has compressed clusters, which cannot be read here");
      if (offset >= end) throw this.bad(`compressed cluster ${cluster} lies outside the file`);
      const packed = new Uint8Array(end - offset);
      this.file.read(offset, packed);
      let data: Uint8Array;
      try {
        data = this.inflate(packed, this.clusterSize);
      } catch {
        throw this.bad(`compressed cluster ${cluster} cannot be decompressed`);
      }
      if (data.length < this.clusterSize) throw this.bad(`compressed cluster ${cluster} is too short`);
      return data;
    });
  }

  flush(): void {}
}
