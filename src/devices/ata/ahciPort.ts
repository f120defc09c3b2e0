import type { State } from "../../common/state";
import { UserError } from "../../common/errors";
import { DISK_LATENCY, type Disk } from "../block/disk";
import { SECTOR } from "../block/image";
import type { DeviceContext, RegisterView, Timer } from "../device";
import { StateReader } from "../stateReader";
import { AtaDisk, ERROR_ABORT, ERROR_ID_NOT_FOUND, STATUS_BUSY, STATUS_ERROR, STATUS_READY, STATUS_REQUEST, STATUS_SEEK } from "./ataDisk";
import { CdDrive } from "./cdDrive";

/** Port registers, by offset (AHCI 1.3.1, 3.3). */
const CLB = 0x00;
const CLBU = 0x04;
const FB = 0x08;
const FBU = 0x0c;
const IS = 0x10;
const IE = 0x14;
const CMD = 0x18;
const TFD = 0x20;
const SIG = 0x24;
const SSTS = 0x28;
const SCTL = 0x2c;
const SERR = 0x30;
const SACT = 0x34;
const CI = 0x38;
const SAVED = [CLB, CLBU, FB, FBU, IS, IE, CMD, TFD, SIG, SSTS, SCTL, SERR, SACT, CI];

const CMD_START = 0x0001;
const CMD_SPIN_UP = 0x0002;
const CMD_POWER_ON = 0x0004;
const CMD_OVERRIDE = 0x0008;
const CMD_FIS_RECEIVE = 0x0010;
const CMD_FIS_RUNNING = 0x4000;
const CMD_RUNNING = 0x8000;
const CMD_WRITABLE = CMD_START | CMD_FIS_RECEIVE | 0x0700_0000;

const IS_D2H = 0x0000_0001;
const IS_PIO_SETUP = 0x0000_0002;
const IS_SET_DEVICE_BITS = 0x0000_0008;
const IS_CONNECT = 0x0000_0040;
const IS_TASK_FILE_ERROR = 0x4000_0000;
const IE_WRITABLE = 0x7dc0_007f;

const SIGNATURE_DISK = 0x0000_0101;
const SIGNATURE_PACKET = 0xeb14_0101;
const READY = STATUS_READY | STATUS_SEEK;

/** Types of frame information structures, and where they are received. */
const FIS_HOST_TO_DEVICE = 0x27;
const FIS_D2H = 0x34;
const FIS_PIO_SETUP = 0x5f;
const FIS_SET_DEVICE_BITS = 0xa1;
const RECEIVED_PIO_SETUP = 0x20;
const RECEIVED_D2H = 0x40;
const RECEIVED_SET_DEVICE_BITS = 0x58;

const HEADER_ATAPI = 0x20;
const HEADER_WRITE = 0x40;
const MAXIMUM_REGIONS = 0x1_0000;
const ADDRESS_LIMIT = 2 ** 52;
const SLOTS = 32;

/** What the controller gives a port. */
export interface AhciPortHost {
  /** The function may use the bus. */
  readonly isMaster: () => boolean;
  /** The port's interrupt status or enable changed. */
  readonly interrupt: () => void;
}

/** A command being carried out: its data's place and what has been moved. */
interface Command {
  readonly slot: number;
  readonly header: number;
  readonly flags: number;
  readonly regions: number;
  readonly table: number;
  readonly fis: Uint8Array;
}

/** How a command ended. */
interface Outcome {
  readonly error: number;
  readonly moved: number;
  /** Data went as by PIO. */
  readonly pio: boolean;
  readonly queued: boolean;
}

/**
 * One port of an AHCI controller with a disk, a CD, or nothing (AHCI 1.3.1; Serial ATA 3.0, FIS types). Commands complete in the order of issue, each
 * {@link DISK_LATENCY} after it was issued.
 */
export class AhciPort {
  private readonly registers32 = new Map<number, number>();
  private readonly ata: AtaDisk | undefined;
  private readonly cd: CdDrive | undefined;
  private readonly timer: Timer;
  /** Issued slots with the time of their completion. */
  private queue: (readonly [slot: number, deadline: number])[] = [];
  /** The last slot taken off the command list, for CMD.CCS. */
  private currentSlot = 0;

  constructor(
    private readonly context: DeviceContext,
    readonly name: string,
    readonly disk: Disk | undefined,
    cdrom: boolean,
    private readonly host: AhciPortHost,
  ) {
    if (disk !== undefined) {
      if (cdrom) this.cd = new CdDrive(disk, true);
      else this.ata = new AtaDisk(disk, true);
    }
    this.timer = context.clock.createTimer(name, () => this.due());
    this.reset();
  }

  private get(register: number): number {
    return this.registers32.get(register) ?? 0;
  }

  private set(register: number, value: number): void {
    this.registers32.set(register, value >>> 0);
  }

  /** True while an enabled interrupt is pending. */
  get pending(): boolean {
    return (this.get(IS) & this.get(IE)) !== 0;
  }

  read(register: number): number {
    if (register !== CMD) return this.get(register);
    return ((this.get(CMD) & ~0x1f00) | (this.currentSlot << 8)) >>> 0;
  }

  write(register: number, value: number): void {
    switch (register) {
      case CLB:
        this.set(CLB, value & ~0x3ff);
        break;
      case FB:
        this.set(FB, value & ~0xff);
        break;
      case CLBU:
      case FBU:
        this.set(register, value);
        break;
      case IS:
        this.set(IS, this.get(IS) & ~value);
        this.host.interrupt();
        break;
      case IE:
        this.set(IE, value & IE_WRITABLE);
        this.host.interrupt();
        break;
      case CMD:
        this.writeCommand(value);
        break;
      case SCTL: {
        const before = this.get(SCTL) & 15;
        this.set(SCTL, value & 0xfff);
        // DET 1 resets the link; the device is found when it goes back to 0.
        if ((value & 15) === 1) this.disconnect();
        else if (before === 1 && (value & 15) === 0) this.connect();
        break;
      }
      case SERR:
        this.set(SERR, this.get(SERR) & ~value);
        break;
      case SACT:
        if (this.get(CMD) & CMD_START) this.set(SACT, this.get(SACT) | value);
        break;
      case CI:
        if (this.get(CMD) & CMD_START) this.issue(value & ~this.get(CI));
        break;
      default:
        break;
    }
  }

  private writeCommand(value: number): void {
    const before = this.get(CMD);
    let next = CMD_SPIN_UP | CMD_POWER_ON | (value & CMD_WRITABLE);
    if (next & CMD_START) next |= CMD_RUNNING;
    if (next & CMD_FIS_RECEIVE) next |= CMD_FIS_RUNNING;
    this.set(CMD, next);
    if (value & CMD_OVERRIDE) this.set(TFD, this.get(TFD) & ~(STATUS_BUSY | STATUS_REQUEST));
    if (before & CMD_START && !(next & CMD_START)) {
      this.queue = [];
      this.timer.disarm();
      this.set(CI, 0);
      this.set(SACT, 0);
      this.currentSlot = 0;
    }
    // The device's first register FIS was waiting for room.
    if (next & CMD_FIS_RECEIVE && !(before & CMD_FIS_RECEIVE) && this.disk !== undefined)
      this.receive(RECEIVED_D2H, this.registerFis(false));
  }

  private disconnect(): void {
    this.queue = [];
    this.timer.disarm();
    this.set(CI, 0);
    this.set(SACT, 0);
    this.set(SSTS, 0);
    this.set(TFD, 0x7f);
  }

  private connect(): void {
    if (this.disk === undefined) return;
    this.ata?.reset();
    this.cd?.reset();
    // Device present, 3 Gbit/s, interface active.
    this.set(SSTS, 0x123);
    this.set(SERR, this.get(SERR) | 0x0400_0000);
    this.set(SIG, this.cd === undefined ? SIGNATURE_DISK : SIGNATURE_PACKET);
    this.set(TFD, 0x0100 | (this.cd === undefined ? READY : 0));
    this.raise(IS_CONNECT);
  }

  private raise(bits: number): void {
    this.set(IS, this.get(IS) | bits);
    this.host.interrupt();
  }

  private issue(slots: number): void {
    this.set(CI, this.get(CI) | slots);
    const deadline = this.context.clock.now() + DISK_LATENCY;
    for (let slot = 0; slot < SLOTS; slot++) if (slots & (1 << slot)) this.queue.push([slot, deadline]);
    if (this.disk !== undefined && slots !== 0) this.set(TFD, this.get(TFD) | (this.get(SACT) === 0 ? STATUS_BUSY : 0));
    this.arm();
  }

  private arm(): void {
    if (this.queue.length > 0 && this.disk !== undefined) this.timer.arm(this.queue[0][1]);
    else this.timer.disarm();
  }

  private due(): void {
    const next = this.queue.shift();
    if (next === undefined) return;
    if (!this.host.isMaster()) {
      // Without the bus the command cannot be fetched; it waits.
      this.queue.unshift([next[0], this.context.clock.now() + DISK_LATENCY]);
    } else {
      const command = this.fetch(next[0]);
      this.currentSlot = next[0];
      this.end(command, this.run(command));
    }
    this.arm();
  }

  private address(low: number, high: number): number {
    return (this.get(high) * 2 ** 32 + this.get(low)) % ADDRESS_LIMIT;
  }

  /** Reads guest memory as a command list and its tables give it. */
  private bytesAt(address: number, length: number): DataView {
    const bytes = this.context.memory.read(Math.min(address, ADDRESS_LIMIT - length), length);
    return new DataView(bytes.buffer, bytes.byteOffset, length);
  }

  private fetch(slot: number): Command {
    const header = this.address(CLB, CLBU) + slot * 32;
    const view = this.bytesAt(header, 32);
    const table = (view.getUint32(12, true) * 2 ** 32 + ((view.getUint32(8, true) & ~0x7f) >>> 0)) % ADDRESS_LIMIT;
    const fis = this.bytesAt(table, 0x50);
    return {
      slot,
      header,
      flags: view.getUint32(0, true) & 0xffff,
      regions: view.getUint16(2, true),
      table,
      fis: new Uint8Array(fis.buffer, fis.byteOffset, 0x50),
    };
  }

  /** Calls `move` for each piece of guest memory of the command's region table, up to `length` bytes; returns bytes moved. */
  private walk(command: Command, length: number, move: (address: number, done: number, count: number) => void): number {
    let done = 0;
    for (let index = 0; index < Math.min(command.regions, MAXIMUM_REGIONS) && done < length; index++) {
      const entry = this.bytesAt(command.table + 0x80 + index * 16, 16);
      const address = (entry.getUint32(4, true) * 2 ** 32 + ((entry.getUint32(0, true) & ~1) >>> 0)) % ADDRESS_LIMIT;
      const count = Math.min((entry.getUint32(12, true) & 0x3fffff) + 1, length - done, ADDRESS_LIMIT - address);
      if (count > 0) move(address, done, count);
      done += count;
    }
    return done;
  }

  private run(command: Command): Outcome {
    const { fis } = command;
    const failed = (error: number, queued = false): Outcome => ({ error, moved: 0, pio: false, queued });
    if (fis[0] !== FIS_HOST_TO_DEVICE) return failed(ERROR_ABORT);
    if (!(fis[1] & 0x80)) {
      // A control FIS: software reset while its bit is set; the signature comes when it is cleared.
      if (!(fis[15] & 0x04)) {
        this.ata?.reset();
        this.cd?.reset();
        this.set(SIG, this.cd === undefined ? SIGNATURE_DISK : SIGNATURE_PACKET);
      }
      return failed(0);
    }
    return this.cd !== undefined
      ? this.runCd(this.cd, command)
      : this.ata !== undefined
        ? this.runDisk(this.ata, command)
        : failed(ERROR_ABORT);
  }

  private runDisk(ata: AtaDisk, command: Command): Outcome {
    const { fis } = command;
    const { disk } = ata;
    const low = fis[4] + fis[5] * 0x100 + fis[6] * 0x10000;
    const high = fis[8] + fis[9] * 0x100 + fis[10] * 0x10000;
    const code = fis[2];
    // FPDMA QUEUED: the count is in the features registers.
    const queued = code === 0x60 || code === 0x61;
    const wide = AtaDisk.isWide(code);
    const lba = low + (wide ? high * 0x1000000 : 0);
    const count = queued ? fis[3] | (fis[11] << 8) : fis[12] | (wide ? fis[13] << 8 : 0);
    const operation = ata.decode({
      command: queued ? (code === 0x60 ? 0x25 : 0x35) : code,
      features: fis[3],
      count,
      lba,
      device: fis[7],
    });
    const outcome = (error: number, moved = 0, pio = false): Outcome => ({ error, moved, pio, queued });
    switch (operation.kind) {
      case "error":
        return outcome(operation.error);
      case "done":
        return outcome(0);
      case "flush":
        disk.flush();
        return outcome(0);
      case "count":
        fis[12] = operation.value;
        return outcome(0);
      case "packet":
        return outcome(ERROR_ABORT);
      case "data":
        return outcome(0, this.give(command, operation.data), true);
      case "read": {
        const start = operation.lba * SECTOR;
        const length = operation.sectors * SECTOR;
        return outcome(0, this.giveDisk(command, disk, start, length), operation.protocol === "pio");
      }
      case "write": {
        const start = operation.lba * SECTOR;
        const length = operation.sectors * SECTOR;
        const { memory } = this.context;
        const moved = this.walk(command, length, (address, done, bytes) => disk.write(start + done, memory.read(address, bytes)));
        return outcome(moved < length ? ERROR_ID_NOT_FOUND : 0, moved, operation.protocol === "pio");
      }
    }
  }

  private give(command: Command, data: Uint8Array): number {
    return this.walk(command, data.length, (address, done, count) => this.context.memory.write(address, data.subarray(done, done + count)));
  }

  private giveDisk(command: Command, disk: Disk, start: number, length: number): number {
    return this.walk(command, length, (address, done, count) => {
      const bytes = new Uint8Array(count);
      disk.read(start + done, bytes);
      this.context.memory.write(address, bytes);
    });
  }

  private runCd(cd: CdDrive, command: Command): Outcome {
    const { fis } = command;
    const outcome = (error: number, moved = 0, pio = false): Outcome => ({ error, moved, pio, queued: false });
    switch (fis[2]) {
      case 0xa0: {
        if (!(command.flags & HEADER_ATAPI)) return outcome(ERROR_ABORT);
        const result = cd.execute(fis.slice(0x40, 0x4c));
        const pio = (fis[3] & 1) === 0;
        if (result.kind === "check") return outcome(result.error);
        if (result.kind === "done") return outcome(0);
        if (result.kind === "data") return outcome(0, this.give(command, result.data), pio);
        return outcome(0, this.giveDisk(command, cd.disc, result.offset, result.length), pio);
      }
      case 0xa1:
        return outcome(0, this.give(command, cd.identify()), true);
      case 0xef:
        return outcome(cd.setFeatures(fis[3], fis[12]) ? 0 : ERROR_ABORT);
      case 0x08:
      case 0xe0:
      case 0xe1:
      case 0xe7:
        return outcome(0);
      default:
        return outcome(ERROR_ABORT);
    }
  }

  /** Tells the guest how `command` ended: byte count, task file, FIS, interrupt. */
  private end(command: Command, outcome: Outcome): void {
    const { memory } = this.context;
    const count = new Uint8Array(4);
    new DataView(count.buffer).setUint32(0, outcome.moved, true);
    memory.write(Math.min(command.header + 4, ADDRESS_LIMIT - 4), count);
    const bit = 1 << command.slot;
    const status = READY | (outcome.error !== 0 ? STATUS_ERROR : 0);
    this.set(TFD, (outcome.error << 8) | status);
    let raised = 0;
    if (outcome.error !== 0) {
      // The command list stops: what else was issued stays until software stops and starts the port.
      this.queue = [];
      raised |= IS_TASK_FILE_ERROR;
    } else {
      this.set(CI, this.get(CI) & ~bit);
    }
    if (outcome.queued) {
      this.set(CI, this.get(CI) & ~bit);
      if (outcome.error === 0) this.set(SACT, this.get(SACT) & ~bit);
      const fis = new Uint8Array(8);
      fis.set([FIS_SET_DEVICE_BITS, 0x40, status & 0x77, outcome.error]);
      if (outcome.error === 0) new DataView(fis.buffer).setUint32(4, bit >>> 0, true);
      this.receive(RECEIVED_SET_DEVICE_BITS, fis);
      raised |= IS_SET_DEVICE_BITS;
    } else if (outcome.pio && outcome.error === 0) {
      const fis = this.registerFis(true, command.fis);
      fis[0] = FIS_PIO_SETUP;
      fis[1] = 0x40 | (command.flags & HEADER_WRITE ? 0 : 0x20);
      fis[15] = status;
      fis[16] = outcome.moved & 0xff;
      fis[17] = (outcome.moved >> 8) & 0xff;
      this.receive(RECEIVED_PIO_SETUP, fis);
      raised |= IS_PIO_SETUP;
      if (this.cd !== undefined) raised |= this.receiveRegisters(command);
    } else {
      raised |= this.receiveRegisters(command);
    }
    this.raise(raised);
  }

  private receiveRegisters(command: Command): number {
    this.receive(RECEIVED_D2H, this.registerFis(true, command.fis));
    return IS_D2H;
  }

  /** A register FIS of the task file; the address and count registers as the command had them, or the signature. */
  private registerFis(interrupt: boolean, from?: Uint8Array): Uint8Array {
    const fis = new Uint8Array(20);
    const tfd = this.get(TFD);
    fis.set([FIS_D2H, interrupt ? 0x40 : 0, tfd & 0xff, (tfd >> 8) & 0xff]);
    if (from !== undefined) {
      fis.set(from.subarray(4, 11), 4);
      fis.set(from.subarray(12, 14), 12);
      if (this.cd !== undefined) fis[12] = 3;
    } else {
      const signature = this.get(SIG);
      fis.set([(signature >> 8) & 0xff, (signature >> 16) & 0xff, signature >>> 24], 4);
      fis[12] = signature & 0xff;
    }
    return fis;
  }

  /** Puts a FIS where the guest receives it. */
  private receive(offset: number, fis: Uint8Array): void {
    if (!(this.get(CMD) & CMD_FIS_RECEIVE) || !this.host.isMaster()) return;
    this.context.memory.write(Math.min(this.address(FB, FBU) + offset, ADDRESS_LIMIT - fis.length), fis);
  }

  reset(): void {
    this.queue = [];
    this.timer.disarm();
    this.registers32.clear();
    this.currentSlot = 0;
    this.ata?.reset();
    this.cd?.reset();
    this.set(CMD, CMD_SPIN_UP | CMD_POWER_ON);
    this.set(SIG, 0xffffffff);
    this.set(TFD, 0x7f);
    if (this.disk !== undefined) {
      this.connect();
      this.set(IS, 0);
    }
  }

  save(): State {
    return {
      registers: SAVED.map((register) => this.get(register)),
      queue: this.queue.map(([slot, deadline]) => [slot, deadline]),
      currentSlot: this.currentSlot,
      device: (this.ata ?? this.cd)?.save() ?? null,
    };
  }

  restore(state: State): void {
    const reader = new StateReader(state, this.name);
    const values = reader.numbers("registers");
    SAVED.forEach((register, index) => this.set(register, values[index] ?? 0));
    this.queue = reader.list("queue").map((entry) => {
      const [slot, deadline] = Array.isArray(entry) ? (entry as unknown[]) : [];
      if (typeof slot !== "number" || typeof deadline !== "number" || !Number.isSafeInteger(deadline) || slot < 0 || slot >= SLOTS) {
        throw new UserError(`The saved state of ${this.name} is damaged: its queue.`, "state");
      }
      return [Math.trunc(slot), deadline] as const;
    });
    this.currentSlot = reader.number("currentSlot") & 31;
    (this.ata ?? this.cd)?.restore(reader.raw("device"));
    this.arm();
  }

  registers(): readonly RegisterView[] {
    const view = (name: string, register: number): RegisterView => ({
      name: `${this.name} ${name}`,
      value: BigInt(this.read(register)),
      bits: 32,
    });
    return [view("IS", IS), view("IE", IE), view("CMD", CMD), view("TFD", TFD), view("SSTS", SSTS), view("SACT", SACT), view("CI", CI)];
  }
}
