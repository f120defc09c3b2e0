import type { State } from "../../common/state";
import type { Disk } from "../block/disk";
import { StateReader } from "../stateReader";
import { DEFAULT_HEADS, DEFAULT_SECTORS, identifyDisk, MAX_MULTIPLE } from "./identify";

/** Bits of the status register. */
export const STATUS_ERROR = 0x01;
export const STATUS_REQUEST = 0x08;
export const STATUS_SEEK = 0x10;
export const STATUS_FAULT = 0x20;
export const STATUS_READY = 0x40;
export const STATUS_BUSY = 0x80;

/** Bits of the error register. */
export const ERROR_ABORT = 0x04;
export const ERROR_ID_NOT_FOUND = 0x10;

/** A command as its registers give it: the shadow ("high order byte") registers put in front for commands of 48 bits. */
export interface TaskFile {
  readonly command: number;
  readonly features: number;
  /** 16 bits. */
  readonly count: number;
  /** 48 bits. */
  readonly lba: number;
  readonly device: number;
}

/** How data moves: by the data register, or by DMA. */
export type Protocol = "pio" | "dma";

/** What a command asks for. Sector ranges lie inside the disk. */
export type AtaOperation =
  | {
      readonly kind: "read" | "write";
      readonly protocol: Protocol;
      readonly lba: number;
      readonly sectors: number;
      readonly multiple: boolean;
    }
  /** Data that the device has at once. */
  | { readonly kind: "data"; readonly data: Uint8Array }
  | { readonly kind: "flush" }
  /** Done, after a disk's time. */
  | { readonly kind: "done" }
  | { readonly kind: "packet" }
  /** CHECK POWER MODE and others leave a value in the count register. */
  | { readonly kind: "count"; readonly value: number }
  /** The command ends with the signature of a packet device in its registers. */
  | { readonly kind: "error"; readonly error: number };

const ABORT: AtaOperation = { kind: "error", error: ERROR_ABORT };
const NOT_FOUND: AtaOperation = { kind: "error", error: ERROR_ID_NOT_FOUND };
const DONE: AtaOperation = { kind: "done" };

const DEVICE_LBA = 0x40;

/** A row of the command table: whether it reads, its protocol, whether addresses have 48 bits, whether several sectors move at a time. */
const TRANSFERS: ReadonlyMap<number, readonly [kind: "read" | "write" | "verify", protocol: Protocol, wide: boolean, multiple: boolean]> =
  new Map([
    [0x20, ["read", "pio", false, false]],
    [0x21, ["read", "pio", false, false]],
    [0x24, ["read", "pio", true, false]],
    [0x25, ["read", "dma", true, false]],
    [0x29, ["read", "pio", true, true]],
    [0x30, ["write", "pio", false, false]],
    [0x31, ["write", "pio", false, false]],
    [0x34, ["write", "pio", true, false]],
    [0x35, ["write", "dma", true, false]],
    [0x39, ["write", "pio", true, true]],
    [0x3d, ["write", "dma", true, false]],
    [0x40, ["verify", "pio", false, false]],
    [0x41, ["verify", "pio", false, false]],
    [0x42, ["verify", "pio", true, false]],
    [0xc4, ["read", "pio", false, true]],
    [0xc5, ["write", "pio", false, true]],
    [0xc8, ["read", "dma", false, false]],
    [0xc9, ["read", "dma", false, false]],
    [0xca, ["write", "dma", false, false]],
    [0xcb, ["write", "dma", false, false]],
    [0xce, ["write", "pio", true, true]],
  ]);

/**
 * A disk as an ATA device (ATA8-ACS): what commands mean, whatever the controller they come through. Keeps the settings that commands make; the controller
 * moves the data.
 */
export class AtaDisk {
  private multiple = MAX_MULTIPLE;
  private transferMode = 0x45;
  private writeCache = true;
  private heads = DEFAULT_HEADS;
  private sectorsPerTrack = DEFAULT_SECTORS;

  constructor(
    readonly disk: Disk,
    private readonly sata: boolean,
  ) {}

  /** Sectors that a READ or WRITE MULTIPLE moves at a time. */
  get multipleSectors(): number {
    return this.multiple;
  }

  /** True for commands whose addresses have 48 bits, and so use the shadow registers. */
  static isWide(command: number): boolean {
    return (
      TRANSFERS.get(command)?.[2] === true ||
      command === 0x27 ||
      command === 0x37 ||
      command === 0xea ||
      command === 0x60 ||
      command === 0x61
    );
  }

  /** What `task` asks for. Settings take effect at once. */
  decode(task: TaskFile): AtaOperation {
    const row = TRANSFERS.get(task.command);
    if (row !== undefined) {
      const [kind, protocol, wide, multiple] = row;
      if (multiple && this.multiple === 0) return ABORT;
      const lba = this.address(task, wide);
      const sectors = task.count === 0 ? (wide ? 0x10000 : 0x100) : task.count;
      if (lba === undefined || lba + sectors > this.disk.sectors) return NOT_FOUND;
      if (kind === "verify") return DONE;
      if (kind === "write" && this.disk.readonly) return ABORT;
      return { kind, protocol, lba, sectors, multiple };
    }
    switch (task.command) {
      case 0x00: // NOP always aborts.
        return ABORT;
      case 0xec:
        return { kind: "data", data: this.identify() };
      case 0xe7:
      case 0xea:
        return { kind: "flush" };
      case 0xc6:
        if (task.count > MAX_MULTIPLE || (task.count & (task.count - 1)) !== 0) return ABORT;
        this.multiple = task.count;
        return DONE;
      case 0x91: // INITIALIZE DEVICE PARAMETERS: the geometry of CHS addresses.
        if ((task.count & 0xff) === 0) return ABORT;
        this.heads = (task.device & 15) + 1;
        this.sectorsPerTrack = task.count & 0xff;
        return DONE;
      case 0xef:
        return this.setFeatures(task);
      case 0xe5: // CHECK POWER MODE: active.
        return { kind: "count", value: 0xff };
      case 0x10: // RECALIBRATE, SEEK, standby and idle in their forms.
      case 0x70:
      case 0xe0:
      case 0xe1:
      case 0xe2:
      case 0xe3:
      case 0x94:
      case 0x95:
      case 0x96:
      case 0x97:
        return DONE;
      default:
        return ABORT;
    }
  }

  /** The first sector; undefined where there is no such CHS address. */
  private address(task: TaskFile, wide: boolean): number | undefined {
    if (wide) return task.lba;
    const low = (task.lba % 0x1000000) + (task.device & 15) * 0x1000000;
    if (task.device & DEVICE_LBA) return low;
    const sector = low & 0xff;
    const cylinder = (low >> 8) & 0xffff;
    const head = task.device & 15;
    if (sector === 0 || sector > this.sectorsPerTrack || head >= this.heads) return undefined;
    return (cylinder * this.heads + head) * this.sectorsPerTrack + sector - 1;
  }

  private setFeatures(task: TaskFile): AtaOperation {
    switch (task.features & 0xff) {
      case 0x02:
        this.writeCache = true;
        return DONE;
      case 0x82:
        this.writeCache = false;
        return DONE;
      case 0x03: {
        const mode = task.count & 0xff;
        const pio = mode < 0x02 || (mode >= 0x08 && mode <= 0x0c);
        if (!pio && !(mode >= 0x20 && mode <= 0x22) && !(mode >= 0x40 && mode <= 0x45)) return ABORT;
        if (!pio) this.transferMode = mode;
        return DONE;
      }
      case 0x55: // Read look-ahead off and on, power-on defaults kept or not: nothing here depends on them.
      case 0xaa:
      case 0x66:
      case 0xcc:
        return DONE;
      default:
        return ABORT;
    }
  }

  private identify(): Uint8Array {
    return identifyDisk(this.disk.sectors, {
      multiple: this.multiple,
      transferMode: this.transferMode,
      writeCache: this.writeCache,
      heads: this.heads,
      sectorsPerTrack: this.sectorsPerTrack,
      serial: `APIC-${this.disk.name.toUpperCase()}`,
      sata: this.sata,
    });
  }

  /** Power-on or reset. */
  reset(): void {
    this.multiple = MAX_MULTIPLE;
    this.transferMode = 0x45;
    this.writeCache = true;
    this.heads = DEFAULT_HEADS;
    this.sectorsPerTrack = DEFAULT_SECTORS;
  }

  save(): State {
    return {
      multiple: this.multiple,
      transferMode: this.transferMode,
      writeCache: this.writeCache,
      heads: this.heads,
      sectorsPerTrack: this.sectorsPerTrack,
    };
  }

  restore(state: State): void {
    const reader = new StateReader(state, `${this.disk.name}.ata`);
    this.multiple = Math.min(MAX_MULTIPLE, Math.max(0, Math.trunc(reader.number("multiple"))));
    this.transferMode = reader.number("transferMode");
    this.writeCache = reader.boolean("writeCache");
    this.heads = reader.number("heads");
    this.sectorsPerTrack = reader.number("sectorsPerTrack");
  }
}
