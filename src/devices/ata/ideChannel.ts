import type { State } from "../../common/state";
import { DISK_LATENCY, type Disk } from "../block/disk";
import type { DeviceContext, IrqLine, RegisterView, Timer } from "../device";
import { StateReader } from "../stateReader";
import { STATUS_BUSY, STATUS_ERROR, STATUS_READY, STATUS_REQUEST } from "./ataDisk";
import { IdeDrive } from "./ideDrive";
import { walkPrd } from "./prd";

const CONTROL_NO_INTERRUPT = 0x02;
const CONTROL_RESET = 0x04;
const CONTROL_HIGH_ORDER = 0x80;
const DEVICE_SLAVE = 0x10;

/** Bus-master command and status bits. */
const MASTER_START = 0x01;
const MASTER_TO_MEMORY = 0x08;
const MASTER_ACTIVE = 0x01;
const MASTER_ERROR = 0x02;
const MASTER_INTERRUPT = 0x04;

/** What sits on a channel: a disk or a CD. */
export interface IdeSlot {
  readonly disk: Disk;
  readonly cdrom: boolean;
}

/**
 * One ATA channel with up to two drives, its registers, and its half of the bus-master registers (ATA8-APT; PCI IDE Controller Specification 1.0). Each
 * command takes {@link DISK_LATENCY} before its data or its end, whatever its length.
 */
export class IdeChannel {
  readonly drives: readonly (IdeDrive | undefined)[];
  private readonly timer: Timer;
  private control = 0;
  private selected = 0;
  private interrupt = false;
  private irqLevel = false;
  private masterCommand = 0;
  private masterStatus = 0;
  private table = 0;

  constructor(
    private readonly context: DeviceContext,
    readonly name: string,
    slots: readonly (IdeSlot | undefined)[],
    private readonly irq: IrqLine,
    private readonly isMaster: () => boolean,
  ) {
    this.drives = [0, 1].map((unit) => {
      const slot = slots[unit];
      return slot === undefined ? undefined : new IdeDrive(slot.disk, slot.cdrom);
    });
    this.timer = context.clock.createTimer(name, () => this.due());
  }

  private get drive(): IdeDrive | undefined {
    return this.drives[this.selected];
  }

  private get empty(): boolean {
    return this.drives[0] === undefined && this.drives[1] === undefined;
  }

  private updateIrq(): void {
    const level = this.interrupt && !(this.control & CONTROL_NO_INTERRUPT) && this.drive !== undefined;
    if (level === this.irqLevel) return;
    this.irqLevel = level;
    if (level) this.masterStatus |= MASTER_INTERRUPT;
    this.irq(level);
  }

  private raise(): void {
    this.interrupt = true;
    this.updateIrq();
  }

  // Command block: registers 0 to 7.

  /** Reads command block register `register`, 1 to 7. */
  read(register: number): number {
    if (this.empty) return 0;
    if (register === 7) {
      this.interrupt = false;
      this.updateIrq();
      return this.drive?.status ?? 0;
    }
    const high = (this.control & CONTROL_HIGH_ORDER) !== 0;
    // Registers of an absent second drive are answered by the first.
    const drive = this.drive ?? this.drives[0] ?? this.drives[1];
    return drive?.register(register, high) ?? 0;
  }

  /** Writes command block register `register`, 1 to 7. */
  write(register: number, value: number): void {
    this.control &= ~CONTROL_HIGH_ORDER;
    if (register === 7) {
      this.command(value);
      return;
    }
    if (this.drives.some((drive) => drive !== undefined && drive.status & STATUS_BUSY)) return;
    if (register === 6) {
      this.selected = value & DEVICE_SLAVE ? 1 : 0;
      this.updateIrq();
    }
    for (const drive of this.drives) drive?.setRegister(register, value);
  }

  /** Reads `size` bytes of the data register. */
  readData(size: 2 | 4): number {
    const { drive } = this;
    if (drive === undefined) return size === 2 ? 0xffff : 0xffffffff;
    const value = drive.readData(size);
    this.settle(drive);
    return value;
  }

  writeData(size: 2 | 4, value: number): void {
    const { drive } = this;
    if (drive === undefined) return;
    drive.writeData(size, value);
    this.settle(drive);
  }

  /** Data register reads and writes that do nothing but move bytes: see `PortHandler`. */
  readBlock(size: 2 | 4, target: Uint8Array): number {
    return this.drive?.readBlock(size, target) ?? 0;
  }

  writeBlock(size: 2 | 4, source: Uint8Array): number {
    return this.drive?.writeBlock(size, source) ?? 0;
  }

  /** Alternate status: reading it leaves the interrupt alone. */
  get alternateStatus(): number {
    return this.drive?.status ?? 0;
  }

  writeControl(value: number): void {
    const before = this.control;
    this.control = value & (CONTROL_NO_INTERRUPT | CONTROL_RESET | CONTROL_HIGH_ORDER);
    if (this.control & CONTROL_RESET) {
      this.timer.disarm();
      this.interrupt = false;
      for (const drive of this.drives) drive?.hold();
    } else if (before & CONTROL_RESET) {
      this.selected = 0;
      for (const drive of this.drives) drive?.softReset();
    }
    this.updateIrq();
  }

  private command(value: number): void {
    const { drive } = this;
    if (drive === undefined || this.control & CONTROL_RESET) return;
    // DEVICE RESET is the one command a busy packet device takes.
    const deviceReset = value === 0x08 && drive.cdrom;
    if (drive.status & (STATUS_BUSY | STATUS_REQUEST) && !deviceReset) return;
    this.interrupt = false;
    this.updateIrq();
    this.timer.disarm();
    drive.start(value);
    this.settle(drive);
  }

  /** Acts on what the drive wants after it was given a command or data. */
  private settle(drive: IdeDrive): void {
    const want = drive.takeWish();
    if (want === "interrupt") this.raise();
    else if (want === "latency") this.timer.arm(this.context.clock.now() + DISK_LATENCY);
    else if (want === "dma") this.startDma();
  }

  private startDma(): void {
    const { drive } = this;
    if (drive === undefined || !drive.wantsDma || this.timer.deadline !== undefined) return;
    if (this.masterCommand & MASTER_START) this.timer.arm(this.context.clock.now() + DISK_LATENCY);
  }

  private due(): void {
    const drive = this.drives.find((candidate) => candidate !== undefined && candidate.pending);
    if (drive === undefined) return;
    if (drive.wantsDma) {
      if (this.masterCommand & MASTER_START) this.transfer(drive);
      return;
    }
    drive.finishLatency();
    this.settle(drive);
  }

  /** Moves a command's data by the region table. */
  private transfer(drive: IdeDrive): void {
    const toMemory = (this.masterCommand & MASTER_TO_MEMORY) !== 0;
    if (toMemory !== drive.dmaToMemory || !this.isMaster()) {
      // The host and the device disagree about the direction, or the function may not use the bus: nothing moves.
      this.masterStatus = (this.masterStatus & ~MASTER_ACTIVE) | MASTER_ERROR;
      drive.abortDma();
      this.raise();
      return;
    }
    const { memory } = this.context;
    const { moved, ended } = walkPrd(memory, this.table, drive.dmaLeft, (address, _done, count) => {
      if (toMemory) memory.write(address, drive.dmaRead(count));
      else drive.dmaWrite(memory.read(address, count));
    });
    if (ended || moved === 0) this.masterStatus &= ~MASTER_ACTIVE;
    if (drive.dmaLeft > 0) {
      // The table was too short: the controller stops, and the device waits for what does not come.
      this.masterStatus &= ~MASTER_ACTIVE;
      this.masterCommand &= ~MASTER_START;
      return;
    }
    drive.finishDma();
    this.raise();
  }

  // Bus-master registers: 0 command, 2 status, 4 to 7 table.

  readMaster(offset: number): number {
    if (offset === 0) return this.masterCommand;
    if (offset === 2) return this.masterStatus;
    return offset >= 4 ? (this.table >>> ((offset - 4) * 8)) & 0xff : 0;
  }

  writeMaster(offset: number, value: number): void {
    if (offset === 0) {
      const starts = (value & ~this.masterCommand & MASTER_START) !== 0;
      const stops = (this.masterCommand & ~value & MASTER_START) !== 0;
      this.masterCommand = value & (MASTER_START | MASTER_TO_MEMORY);
      if (starts) {
        this.masterStatus |= MASTER_ACTIVE;
        this.startDma();
      } else if (stops) {
        this.masterStatus &= ~MASTER_ACTIVE;
        if (this.drive?.wantsDma === true) this.timer.disarm();
      }
    } else if (offset === 2) {
      this.masterStatus = (this.masterStatus & ~0x60 & ~(value & (MASTER_ERROR | MASTER_INTERRUPT))) | (value & 0x60);
    } else if (offset >= 4) {
      const shift = (offset - 4) * 8;
      this.table = ((this.table & ~(0xff << shift)) | ((offset === 4 ? value & 0xfc : value) << shift)) >>> 0;
    }
  }

  reset(): void {
    this.timer.disarm();
    this.control = this.selected = 0;
    this.interrupt = false;
    this.masterCommand = this.masterStatus = this.table = 0;
    for (const drive of this.drives) drive?.hardReset();
    this.updateIrq();
  }

  save(): State {
    return {
      drives: this.drives.map((drive) => drive?.save() ?? null),
      control: this.control,
      selected: this.selected,
      interrupt: this.interrupt,
      irq: this.irqLevel,
      masterCommand: this.masterCommand,
      masterStatus: this.masterStatus,
      table: this.table,
      deadline: this.timer.deadline ?? null,
    };
  }

  restore(state: State): void {
    const reader = new StateReader(state, this.name);
    const drives = reader.list("drives");
    this.drives.forEach((drive, unit) => drive?.restore(drives[unit] ?? null));
    this.control = reader.number("control");
    this.selected = reader.number("selected") & 1;
    this.interrupt = reader.boolean("interrupt");
    this.irqLevel = reader.boolean("irq");
    this.masterCommand = reader.number("masterCommand");
    this.masterStatus = reader.number("masterStatus");
    this.table = reader.number("table");
    reader.timer("deadline", this.timer);
  }

  registers(): readonly RegisterView[] {
    const { drive } = this;
    const views: RegisterView[] = [
      { name: `${this.name} drive`, value: BigInt(this.selected), bits: 8, text: drive?.disk.fileName ?? "absent" },
      { name: `${this.name} bus master status`, value: BigInt(this.masterStatus), bits: 8 },
    ];
    if (drive !== undefined) {
      const { status } = drive;
      const names = [
        [STATUS_BUSY, "busy"],
        [STATUS_READY, "ready"],
        [STATUS_REQUEST, "data request"],
        [STATUS_ERROR, "error"],
      ] as const;
      const text = names.filter(([bit]) => status & bit).map(([, name]) => name);
      views.push({ name: `${this.name} status`, value: BigInt(status), bits: 8, text: text.join(", ") });
    }
    return views;
  }
}
