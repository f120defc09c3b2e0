import type { State } from "../../common/state";
import { type Disk, DISK_LATENCY } from "../block/disk";
import { SECTOR } from "../block/image";
import type { DeviceContext, RegisterView, Timer } from "../device";
import type { StateReader } from "../stateReader";
import { VirtioDevice } from "./virtioDevice";
import { type Chain, QUEUE_SIZE, type Virtqueue } from "./virtqueue";

const FEATURE_SEGMENTS = 1n << 2n;
const FEATURE_READ_ONLY = 1n << 5n;
const FEATURE_BLOCK_SIZE = 1n << 6n;
const FEATURE_FLUSH = 1n << 9n;

const REQUEST_READ = 0;
const REQUEST_WRITE = 1;
const REQUEST_FLUSH = 4;
const REQUEST_GET_ID = 8;
const HEADER_BYTES = 16;
const ID_BYTES = 20;

const STATUS_OK = 0;
const STATUS_IO_ERROR = 1;
const STATUS_UNSUPPORTED = 2;

/** Bytes that one deadline moves before it lets the guest run; the next requests follow at the next boundary. */
const BURST = 4 << 20;

/** A virtio block device (virtio 1.2, 5.2) over a disk. Requests complete {@link DISK_LATENCY} after the driver's notification, in their order. */
export class VirtioBlock extends VirtioDevice {
  private readonly timer: Timer;
  /** Chains taken and not completed, oldest first, each with the time at which it completes. At most the queue's size. */
  private pending: { readonly head: number; readonly due: number }[] = [];
  private completed = 0;

  constructor(
    context: DeviceContext,
    name: string,
    private readonly disk: Disk,
  ) {
    super(context, name, {
      type: 2,
      classCode: 0x010000,
      queues: 1,
      features: FEATURE_SEGMENTS | FEATURE_BLOCK_SIZE | FEATURE_FLUSH | (disk.readonly ? FEATURE_READ_ONLY : 0n),
      configuration: 24,
    });
    const view = new DataView(this.deviceConfiguration.buffer);
    view.setBigUint64(0, BigInt(disk.sectors), true);
    // Header and status take two of a chain's descriptors.
    view.setUint32(12, QUEUE_SIZE - 2, true);
    view.setUint32(20, SECTOR, true);
    this.initial = this.deviceConfiguration.slice();
    this.timer = context.clock.createTimer(name, () => this.complete());
  }

  private readonly initial: Uint8Array;

  /** Nothing in the configuration can be written. */
  protected override configurationWritten(): void {
    this.deviceConfiguration.set(this.initial);
  }

  protected override notified(): void {
    const queue = this.queues[0];
    const due = this.context.clock.now() + DISK_LATENCY;
    while (this.pending.length < queue.size) {
      const head = queue.take();
      if (head === undefined) break;
      this.pending.push({ head, due });
    }
    this.arm();
  }

  private arm(): void {
    if (this.pending.length === 0) this.timer.disarm();
    else this.timer.arm(this.pending[0].due);
  }

  private complete(): void {
    if (!this.live) return;
    this.guarded(() => {
      const queue = this.queues[0];
      const now = this.context.clock.now();
      let moved = 0;
      while (this.pending.length > 0 && this.pending[0].due <= now && moved < BURST) {
        const { head } = this.pending[0];
        this.pending.shift();
        const chain = queue.chain(head);
        queue.give(head, this.carryOut(queue, chain));
        this.completed++;
        moved += chain.readableBytes + chain.writableBytes;
      }
      this.tell(queue);
      // The driver may have made more available than could be pending at once.
      this.notified();
    });
  }

  /** Does what the chain asks for; returns the bytes written to it. */
  private carryOut(queue: Virtqueue, chain: Chain): number {
    const header = new DataView(queue.gather(chain, 0, HEADER_BYTES).buffer);
    // Without a place for the status there is no way to answer.
    if (header.byteLength < HEADER_BYTES || chain.writableBytes < 1) return 0;
    const room = chain.writableBytes - 1;
    const { status, written } = this.request(queue, chain, header, room);
    queue.scatter(chain, room, Uint8Array.of(status));
    return status === STATUS_OK ? written + 1 : chain.writableBytes;
  }

  private request(queue: Virtqueue, chain: Chain, header: DataView, room: number): { status: number; written: number } {
    const sector = header.getBigUint64(8, true);
    const fits = (bytes: number): boolean =>
      bytes % SECTOR === 0 && sector <= BigInt(this.disk.sectors) && Number(sector) * SECTOR + bytes <= this.disk.size;
    switch (header.getUint32(0, true)) {
      case REQUEST_READ: {
        if (!fits(room)) return { status: STATUS_IO_ERROR, written: 0 };
        const bytes = new Uint8Array(room);
        this.disk.read(Number(sector) * SECTOR, bytes);
        return { status: STATUS_OK, written: queue.scatter(chain, 0, bytes) };
      }
      case REQUEST_WRITE: {
        const length = chain.readableBytes - HEADER_BYTES;
        if (this.disk.readonly || !fits(length)) return { status: STATUS_IO_ERROR, written: 0 };
        this.disk.write(Number(sector) * SECTOR, queue.gather(chain, HEADER_BYTES, length));
        return { status: STATUS_OK, written: 0 };
      }
      case REQUEST_FLUSH:
        this.disk.flush();
        return { status: STATUS_OK, written: 0 };
      case REQUEST_GET_ID: {
        const id = new Uint8Array(ID_BYTES);
        id.set(new TextEncoder().encode(this.disk.name).subarray(0, ID_BYTES));
        return { status: STATUS_OK, written: queue.scatter(chain, 0, id.subarray(0, room)) };
      }
      default:
        return { status: STATUS_UNSUPPORTED, written: 0 };
    }
  }

  protected override deviceReset(): void {
    this.pending = [];
    this.timer.disarm();
  }

  protected override saveDevice(): State {
    return {
      pending: this.pending.flatMap(({ head, due }) => [head, due]),
      completed: this.completed,
      deadline: this.timer.deadline ?? null,
    };
  }

  protected override restoreDevice(reader: StateReader): void {
    const flat = reader.numbers("pending");
    this.pending = Array.from({ length: flat.length / 2 }, (_, index) => ({ head: flat[2 * index], due: flat[2 * index + 1] }));
    this.completed = reader.number("completed");
    reader.timer("deadline", this.timer);
  }

  override registers(): readonly RegisterView[] {
    return [
      ...super.registers(),
      { name: "requests pending", value: BigInt(this.pending.length), bits: 16 },
      { name: "requests completed", value: BigInt(this.completed), bits: 64 },
    ];
  }
}
