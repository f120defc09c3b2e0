import { UserError } from "../../common/errors";
import type { State } from "../../common/state";
import type { Disk } from "../block/disk";
import { SECTOR } from "../block/image";
import { StateReader } from "../stateReader";
import {
  AtaDisk,
  type AtaOperation,
  ERROR_ABORT,
  STATUS_BUSY,
  STATUS_ERROR,
  STATUS_READY,
  STATUS_REQUEST,
  STATUS_SEEK,
  type TaskFile,
} from "./ataDisk";
import { CdDrive, PACKET_BYTES } from "./cdDrive";

const READY = STATUS_READY | STATUS_SEEK;

/** Interrupt reason of packet commands, in the count register. */
const REASON_COMMAND = 0x01;
const REASON_TO_HOST = 0x02;
const REASON_DONE = REASON_COMMAND | REASON_TO_HOST;
const FEATURE_DMA = 0x01;
const COMMAND_PACKET = 0xa0;

/** What goes on in a drive. */
type Phase =
  | "idle"
  /** Data for the host in the buffer. */
  | "data-in"
  /** Room for the host's data in the buffer. */
  | "data-out"
  /** Room for a packet in the buffer. */
  | "packet"
  /** Waiting for the disk before the first data, the next write, or the end. */
  | "wait-read"
  | "wait-write"
  | "wait-data"
  | "wait-packet"
  | "wait-done"
  | "wait-flush"
  | "dma";
const PHASES: readonly Phase[] = [
  "idle",
  "data-in",
  "data-out",
  "packet",
  "wait-read",
  "wait-write",
  "wait-data",
  "wait-packet",
  "wait-done",
  "wait-flush",
  "dma",
];

/** What a drive asks of its channel. */
export type Wish = "none" | "interrupt" | "latency" | "dma";

/**
 * A drive on a parallel ATA channel: its registers, its buffer and the protocol of each command (ATA8-APT, clause 9). The channel keeps time, moves DMA and
 * drives the interrupt.
 */
export class IdeDrive {
  readonly ata: AtaDisk | undefined;
  readonly cd: CdDrive | undefined;
  status = READY;
  private error = 0;
  /** Features, count, LBA low, mid, high, as last written, and as written before that. */
  private readonly current = new Uint8Array(5);
  private readonly previous = new Uint8Array(5);
  private device = 0;
  private phase: Phase = "idle";
  private wish: Wish = "none";
  private buffer: Uint8Array = new Uint8Array(0);
  private at = 0;
  /** Bytes of the disk that the command still has to move, from `next` on; the buffer's content is not among them once it is loaded. */
  private next = 0;
  private left = 0;
  /** Most bytes a buffer load holds. */
  private block = SECTOR;
  private toMemory = false;
  /** DMA of bytes that the drive made, rather than the disk's. */
  private reply: Uint8Array = new Uint8Array(0);
  /** The command is a PACKET whose packet has been carried out. */
  private inPacket = false;

  constructor(
    readonly disk: Disk,
    readonly cdrom: boolean,
  ) {
    if (cdrom) this.cd = new CdDrive(disk, false);
    else this.ata = new AtaDisk(disk, false);
  }

  // Registers.

  register(register: number, high: boolean): number {
    if (register === 1) return this.error;
    if (register === 6) return this.device | 0xa0;
    return (high ? this.previous : this.current)[register - 1];
  }

  setRegister(register: number, value: number): void {
    if (register === 6) {
      this.device = value;
      return;
    }
    this.previous[register - 1] = this.current[register - 1];
    this.current[register - 1] = value;
  }

  private task(command: number): TaskFile {
    const [features, count, low, mid, high] = this.current;
    const lba = low + mid * 0x100 + high * 0x10000;
    if (!AtaDisk.isWide(command)) return { command, features, count, lba, device: this.device };
    const [, upperCount, low2, mid2, high2] = this.previous;
    return {
      command,
      features,
      count: count | (upperCount << 8),
      lba: lba + (low2 + mid2 * 0x100 + high2 * 0x10000) * 0x1000000,
      device: this.device,
    };
  }

  private signature(): void {
    this.current.set(this.cdrom ? [0, 1, 1, 0x14, 0xeb] : [0, 1, 1, 0, 0]);
    this.previous.fill(0);
    this.device = 0;
  }

  // Commands.

  takeWish(): Wish {
    const { wish } = this;
    this.wish = "none";
    return wish;
  }

  /** The drive waits for its channel's timer. */
  get pending(): boolean {
    return this.phase.startsWith("wait") || this.phase === "dma";
  }

  private enter(phase: Phase, status: number, wish: Wish): void {
    this.phase = phase;
    this.status = status;
    this.wish = wish;
  }

  private wait(phase: Phase): void {
    this.enter(phase, STATUS_BUSY, "latency");
  }

  private succeed(): void {
    this.buffer = new Uint8Array(0);
    this.at = this.left = 0;
    this.enter("idle", READY, "interrupt");
  }

  private fail(error: number): void {
    this.buffer = new Uint8Array(0);
    this.reply = new Uint8Array(0);
    this.at = this.left = 0;
    this.error = error;
    this.enter("idle", READY | STATUS_ERROR, "interrupt");
  }

  /** The host wrote the command register. */
  start(command: number): void {
    this.error = 0;
    this.inPacket = false;
    if (this.cd !== undefined) this.startPacketDevice(this.cd, command);
    else if (command === 0x90) this.diagnose();
    else if (this.ata !== undefined) this.startOperation(this.ata.decode(this.task(command)), this.ata);
  }

  private diagnose(): void {
    this.signature();
    this.error = 1;
    this.enter("idle", this.cdrom ? 0 : READY, "interrupt");
  }

  private startOperation(operation: AtaOperation, ata: AtaDisk): void {
    switch (operation.kind) {
      case "error":
        this.fail(operation.error);
        break;
      case "done":
        this.wait("wait-done");
        break;
      case "flush":
        this.wait("wait-flush");
        break;
      case "count":
        this.current[1] = operation.value;
        this.succeed();
        break;
      case "data":
        this.buffer = operation.data;
        this.left = 0;
        this.wait("wait-data");
        break;
      case "packet":
        this.fail(ERROR_ABORT);
        break;
      case "read":
      case "write":
        this.next = operation.lba * SECTOR;
        this.left = operation.sectors * SECTOR;
        this.block = SECTOR * (operation.multiple ? ata.multipleSectors : 1);
        this.toMemory = operation.kind === "read";
        if (operation.protocol === "dma") this.enter("dma", READY | STATUS_REQUEST, "dma");
        else if (this.toMemory) this.wait("wait-read");
        else this.awaitData("none");
        break;
    }
  }

  private startPacketDevice(cd: CdDrive, command: number): void {
    switch (command) {
      case COMMAND_PACKET:
        this.buffer = new Uint8Array(PACKET_BYTES);
        this.at = 0;
        this.current[1] = REASON_COMMAND;
        this.enter("packet", READY | STATUS_REQUEST, "none");
        break;
      case 0xa1:
        this.buffer = cd.identify();
        this.left = 0;
        this.wait("wait-data");
        break;
      case 0x08: // DEVICE RESET
        this.abandon();
        this.signature();
        this.error = 1;
        this.enter("idle", 0, "none");
        break;
      case 0x90:
        this.diagnose();
        break;
      case 0xec: // IDENTIFY DEVICE and READ SECTORS tell the host what it has in front of it.
      case 0x20:
        this.signature();
        this.fail(ERROR_ABORT);
        break;
      case 0xef:
        if (cd.setFeatures(this.current[0], this.current[1])) this.wait("wait-done");
        else this.fail(ERROR_ABORT);
        break;
      case 0xe0:
      case 0xe1:
      case 0xe2:
      case 0xe3:
        this.wait("wait-done");
        break;
      case 0xe5:
        this.current[1] = 0xff;
        this.succeed();
        break;
      default:
        this.fail(ERROR_ABORT);
        break;
    }
  }

  /** The channel's timer fired for a command that does not use DMA. */
  finishLatency(): void {
    switch (this.phase) {
      case "wait-done":
        this.succeed();
        break;
      case "wait-flush":
        this.disk.flush();
        this.succeed();
        break;
      case "wait-data":
        this.at = 0;
        this.enter("data-in", READY | STATUS_REQUEST, "interrupt");
        break;
      case "wait-read":
        this.load();
        break;
      case "wait-write":
        this.store();
        break;
      case "wait-packet":
        this.executePacket();
        break;
      default:
        break;
    }
  }

  /** Fills the buffer with the next of the disk's bytes. */
  private load(): void {
    const count = Math.min(this.block, this.left);
    this.buffer = new Uint8Array(count);
    this.disk.read(this.next, this.buffer);
    this.next += count;
    this.left -= count;
    this.offer();
  }

  /** Offers the buffer to the host. */
  private offer(): void {
    this.at = 0;
    if (this.inPacket) {
      this.current[1] = REASON_TO_HOST;
      this.current[3] = this.buffer.length & 0xff;
      this.current[4] = this.buffer.length >> 8;
    }
    this.enter("data-in", READY | STATUS_REQUEST, "interrupt");
  }

  private awaitData(wish: Wish): void {
    this.buffer = new Uint8Array(Math.min(this.block, this.left));
    this.at = 0;
    this.enter("data-out", READY | STATUS_REQUEST, wish);
  }

  private store(): void {
    this.disk.write(this.next, this.buffer);
    this.next += this.buffer.length;
    this.left -= this.buffer.length;
    if (this.left > 0) this.awaitData("interrupt");
    else this.succeed();
  }

  // The data register.

  readData(size: 2 | 4): number {
    if (this.phase !== "data-in") return 0;
    let value = 0;
    for (let byte = 0; byte < size; byte++) value |= (this.buffer[this.at + byte] ?? 0) << (byte * 8);
    this.at += size;
    if (this.at >= this.buffer.length) this.emptied();
    return value >>> 0;
  }

  /** As many whole elements as fit `target` and leave something in the buffer; returns bytes. */
  readBlock(size: 2 | 4, target: Uint8Array): number {
    const count = this.phase === "data-in" ? this.blockRoom(size, target.length) : 0;
    if (count > 0) target.set(this.buffer.subarray(this.at, this.at + count));
    this.at += count;
    return count;
  }

  /** As many whole elements of `source` as leave room in the buffer; returns bytes. */
  writeBlock(size: 2 | 4, source: Uint8Array): number {
    const count = this.phase === "data-out" ? this.blockRoom(size, source.length) : 0;
    if (count > 0) this.buffer.set(source.subarray(0, count), this.at);
    this.at += count;
    return count;
  }

  private blockRoom(size: number, length: number): number {
    const room = Math.min(length, this.buffer.length - this.at - 1);
    return Math.max(0, room - (room % size));
  }

  private emptied(): void {
    if (this.inPacket) this.packetData();
    else if (this.left > 0) this.load();
    else {
      this.buffer = new Uint8Array(0);
      this.at = 0;
      this.enter("idle", READY, "none");
    }
  }

  writeData(size: 2 | 4, value: number): void {
    if (this.phase !== "data-out" && this.phase !== "packet") return;
    for (let byte = 0; byte < size && this.at < this.buffer.length; byte++) this.buffer[this.at++] = (value >>> (byte * 8)) & 0xff;
    if (this.at < this.buffer.length) return;
    this.wait(this.phase === "packet" ? "wait-packet" : "wait-write");
  }

  // Packet commands.

  private executePacket(): void {
    const { cd } = this;
    if (cd === undefined) return;
    const result = cd.execute(this.buffer);
    this.reply = new Uint8Array(0);
    this.left = 0;
    this.inPacket = true;
    switch (result.kind) {
      case "check":
        this.current[1] = REASON_DONE;
        this.fail(result.error);
        return;
      case "done":
        this.endPacket();
        return;
      case "data":
        this.reply = result.data;
        this.next = 0;
        this.left = result.data.length;
        break;
      case "read":
        this.next = result.offset;
        this.left = result.length;
        break;
    }
    if (this.left === 0) this.endPacket();
    else if (this.current[0] & FEATURE_DMA) {
      this.toMemory = true;
      this.current[1] = REASON_TO_HOST;
      this.enter("dma", READY | STATUS_REQUEST, "dma");
    } else {
      // The host's limit of a piece of data: an even number of bytes.
      const limit = this.current[3] | (this.current[4] << 8);
      this.block = limit < 2 ? 0xfffe : limit & 0xfffe;
      this.packetData();
    }
  }

  private endPacket(): void {
    this.current[1] = REASON_DONE;
    this.succeed();
  }

  /** Offers the next piece of a packet command's data, or ends it. */
  private packetData(): void {
    if (this.left === 0) {
      this.endPacket();
      return;
    }
    this.buffer = this.take(Math.min(this.left, this.block));
    this.offer();
  }

  /** The next `count` bytes of what the command gives. */
  private take(count: number): Uint8Array {
    const bytes = new Uint8Array(count);
    if (this.reply.length > 0) bytes.set(this.reply.subarray(this.next, this.next + count));
    else this.disk.read(this.next, bytes);
    this.next += count;
    this.left -= count;
    return bytes;
  }

  // DMA.

  get wantsDma(): boolean {
    return this.phase === "dma";
  }

  get dmaToMemory(): boolean {
    return this.toMemory;
  }

  /** Bytes that the command still has to move. */
  get dmaLeft(): number {
    return this.left;
  }

  dmaRead(count: number): Uint8Array {
    return this.take(count);
  }

  dmaWrite(bytes: Uint8Array): void {
    this.disk.write(this.next, bytes);
    this.next += bytes.length;
    this.left -= bytes.length;
  }

  /** All data has moved. The channel raises the interrupt. */
  finishDma(): void {
    if (this.cdrom) this.current[1] = REASON_DONE;
    this.succeed();
    this.wish = "none";
  }

  abortDma(): void {
    this.fail(ERROR_ABORT);
    this.wish = "none";
  }

  // Reset.

  private abandon(): void {
    this.buffer = new Uint8Array(0);
    this.reply = new Uint8Array(0);
    this.at = this.left = 0;
    this.phase = "idle";
    this.wish = "none";
  }

  /** The reset bit is set: busy until it is cleared. */
  hold(): void {
    this.abandon();
    this.status = STATUS_BUSY;
  }

  /** The reset bit was cleared. */
  softReset(): void {
    this.abandon();
    this.signature();
    this.error = 1;
    this.status = this.cdrom ? 0 : READY;
  }

  hardReset(): void {
    this.ata?.reset();
    this.cd?.reset();
    this.softReset();
  }

  save(): State {
    return {
      device: (this.ata ?? this.cd)?.save() ?? null,
      status: this.status,
      error: this.error,
      current: this.current.slice(),
      previous: this.previous.slice(),
      select: this.device,
      phase: PHASES.indexOf(this.phase),
      buffer: this.buffer.slice(),
      at: this.at,
      next: this.next,
      left: this.left,
      block: this.block,
      toMemory: this.toMemory,
      reply: this.reply.slice(),
      inPacket: this.inPacket,
    };
  }

  restore(state: State): void {
    const reader = new StateReader(state, `${this.disk.name}.drive`);
    (this.ata ?? this.cd)?.restore(reader.raw("device"));
    this.status = reader.number("status");
    this.error = reader.number("error");
    this.current.set(reader.bytes("current", 5));
    this.previous.set(reader.bytes("previous", 5));
    this.device = reader.number("select");
    this.phase = PHASES[reader.number("phase")] ?? "idle";
    this.buffer = reader.bytes("buffer");
    this.at = reader.number("at");
    this.next = reader.number("next");
    this.left = reader.number("left");
    this.block = reader.number("block");
    this.toMemory = reader.boolean("toMemory");
    this.reply = reader.bytes("reply");
    this.inPacket = reader.boolean("inPacket");
    const end = this.next + this.left;
    const limit = this.reply.length > 0 ? this.reply.length : this.disk.size;
    if (!Number.isInteger(end) || this.next < 0 || this.left < 0 || end > limit || this.at > this.buffer.length + 4) {
      throw new UserError(`The saved state of the drive of ${this.disk.name} is damaged: its transfer lies outside the disk.`, "state");
    }
    this.wish = "none";
  }
}
