import { assert, UserError } from "../../common/errors";
import type { State } from "../../common/state";
import type { Device, RegisterView } from "../device";
import { StateReader } from "../stateReader";
import { type BlockSource, SECTOR, type WriteMode } from "./image";

/** Bytes of an overlay cluster: what a write of one byte copies. */
export const OVERLAY_CLUSTER = 4096;
/** Virtual time from a disk command to its completion, in nanoseconds: fixed, so that runs do not depend on the host's disk. */
export const DISK_LATENCY = 50_000;

/** A changed cluster. Its bytes are shared with a saved state, and so copied before the next change, when `epoch` is not the disk's. */
interface Cluster {
  bytes: Uint8Array;
  epoch: number;
}

/**
 * A disk as the guest left it: the image below, and in memory every cluster that the guest changed. Belongs to the machine's state: it is saved, restored and
 * hashed by changed cluster, and a save copies nothing. Controllers read and write it by bytes; a guest's system reset leaves it alone.
 *
 * With "write-through", changes go to the image as well, and restoring an earlier state puts the image back to that state.
 */
export class Disk implements Device {
  private readonly changed = new Map<number, Cluster>();
  /** Clusters as they were in the image before it was written; kept so that the image can be put back. */
  private readonly originals = new Map<number, Uint8Array>();
  private epoch = 0;

  /**
   * @param name of the device: "disk0", "cdrom"
   * @param subject launch attribute or option that messages name
   * @throws UserError when the image cannot be used in this mode.
   */
  constructor(
    readonly name: string,
    readonly fileName: string,
    private readonly source: BlockSource,
    readonly mode: WriteMode = "overlay",
    subject = "disks",
  ) {
    assert(source.size % SECTOR === 0, `${name} has ${source.size} bytes`);
    if (source.size === 0) throw new UserError(`The disk image ${fileName} is empty.`, subject);
    if (mode === "write-through" && source.write === undefined) {
      throw new UserError(
        source.format === "raw"
          ? `The disk image ${fileName} may not be written: use it without write-through.`
          : `The disk image ${fileName} is ${source.format}, which is never written: use it without write-through.`,
        subject,
      );
    }
  }

  /** Bytes, a multiple of 512. */
  get size(): number {
    return this.source.size;
  }

  /** Sectors of 512 bytes. */
  get sectors(): number {
    return this.source.size / SECTOR;
  }

  get readonly(): boolean {
    return this.mode === "readonly";
  }

  /** Bytes that the guest's changes take. */
  get overlayBytes(): number {
    return this.changed.size * OVERLAY_CLUSTER;
  }

  /** Fills `target` from byte `offset` on; the caller checks that the range lies inside the disk. @throws UserError when the image fails. */
  read(offset: number, target: Uint8Array): void {
    assert(offset >= 0 && offset + target.length <= this.size, `${this.name}: read of ${target.length} bytes at ${offset}`);
    for (let done = 0; done < target.length;) {
      const at = offset + done;
      const cluster = Math.floor(at / OVERLAY_CLUSTER);
      const kept = this.changed.get(cluster)?.bytes ?? this.originals.get(cluster);
      if (kept !== undefined) {
        const inside = at % OVERLAY_CLUSTER;
        const chunk = Math.min(target.length - done, OVERLAY_CLUSTER - inside);
        target.set(kept.subarray(inside, inside + chunk), done);
        done += chunk;
        continue;
      }
      // As many clusters as are unchanged in a row.
      let end = (cluster + 1) * OVERLAY_CLUSTER;
      while (end < offset + target.length && !this.isKept(end / OVERLAY_CLUSTER)) end += OVERLAY_CLUSTER;
      const chunk = Math.min(offset + target.length, end) - at;
      this.source.read(at, target.subarray(done, done + chunk));
      done += chunk;
    }
  }

  private isKept(cluster: number): boolean {
    return this.changed.has(cluster) || this.originals.has(cluster);
  }

  /** Writes `bytes` at byte `offset`. The caller checks the range and that the disk is not read-only. @throws UserError when the image fails. */
  write(offset: number, bytes: Uint8Array): void {
    assert(
      !this.readonly && offset >= 0 && offset + bytes.length <= this.size,
      `${this.name}: write of ${bytes.length} bytes at ${offset}`,
    );
    for (let done = 0; done < bytes.length;) {
      const at = offset + done;
      const inside = at % OVERLAY_CLUSTER;
      const chunk = Math.min(bytes.length - done, OVERLAY_CLUSTER - inside);
      this.writable(Math.floor(at / OVERLAY_CLUSTER)).set(bytes.subarray(done, done + chunk), inside);
      done += chunk;
    }
    if (this.mode === "write-through") this.source.write?.(offset, bytes);
  }

  /** The bytes of a cluster that is going to be changed. */
  private writable(index: number): Uint8Array {
    const cluster = this.changed.get(index);
    if (cluster === undefined) {
      const bytes = this.pristine(index);
      if (this.mode === "write-through" && !this.originals.has(index)) this.originals.set(index, bytes.slice());
      this.changed.set(index, { bytes, epoch: this.epoch });
      return bytes;
    }
    if (cluster.epoch !== this.epoch) {
      cluster.bytes = cluster.bytes.slice();
      cluster.epoch = this.epoch;
    }
    return cluster.bytes;
  }

  /** A cluster as it was before the guest changed anything. The last one of a disk may be cut short by its end. */
  private pristine(index: number): Uint8Array {
    const bytes = new Uint8Array(OVERLAY_CLUSTER);
    const original = this.originals.get(index);
    const start = index * OVERLAY_CLUSTER;
    if (original !== undefined) bytes.set(original);
    else this.source.read(start, bytes.subarray(0, Math.min(OVERLAY_CLUSTER, this.size - start)));
    return bytes;
  }

  /** The guest's cache flush: what went to the image is made durable. */
  flush(): void {
    if (this.mode === "write-through") this.source.flush();
  }

  reset(): void {}

  save(): State {
    // What is handed out is never changed again.
    this.epoch++;
    const order = [...this.changed.keys()].sort((a, b) => a - b);
    return { size: this.size, clusters: order, bytes: order.map((index) => this.changed.get(index)?.bytes ?? null) };
  }

  restore(state: State): void {
    const reader = new StateReader(state, this.name);
    if (reader.number("size") !== this.size) {
      throw new UserError(`The saved state is of a disk of ${reader.number("size")} bytes; ${this.fileName} has ${this.size}.`, "state");
    }
    const clusters = reader.numbers("clusters");
    const bytes = reader.list("bytes");
    const next = new Map<number, Uint8Array>();
    clusters.forEach((index, position) => {
      const data = bytes[position];
      const valid = Number.isInteger(index) && index >= 0 && index * OVERLAY_CLUSTER < this.size;
      if (!valid || !(data instanceof Uint8Array) || data.length !== OVERLAY_CLUSTER) {
        throw new UserError(`The saved state of ${this.name} is damaged: cluster ${index}.`, "state");
      }
      next.set(index, data);
    });
    if (this.mode === "write-through") this.putBack(next);
    this.changed.clear();
    this.epoch++;
    for (const [index, data] of next) this.changed.set(index, { bytes: data, epoch: this.epoch - 1 });
  }

  /** Writes to the image what differs between now and the state `next`. */
  private putBack(next: ReadonlyMap<number, Uint8Array>): void {
    for (const index of new Set([...this.changed.keys(), ...next.keys()])) {
      const before = this.changed.get(index)?.bytes;
      if (before !== undefined && before === next.get(index)) continue;
      if (before === undefined && !this.originals.has(index)) this.originals.set(index, this.pristine(index));
      const start = index * OVERLAY_CLUSTER;
      const data = next.get(index) ?? this.pristine(index);
      this.source.write?.(start, data.subarray(0, Math.min(OVERLAY_CLUSTER, this.size - start)));
    }
  }

  registers(): readonly RegisterView[] {
    return [
      { name: "sectors", value: BigInt(this.sectors), bits: 64, text: `${this.fileName} (${this.source.format}, ${this.mode})` },
      { name: "changed clusters", value: BigInt(this.changed.size), bits: 32, text: `${this.overlayBytes} bytes` },
    ];
  }
}
