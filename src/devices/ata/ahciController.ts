import type { State } from "../../common/state";
import type { DeviceContext, RegisterView } from "../device";
import { PciDevice } from "../pciDevice";
import { StateReader } from "../stateReader";
import { AhciPort } from "./ahciPort";
import type { IdeSlot } from "./ideChannel";

export const AHCI_PORTS = 6;
const PORTS_OFFSET = 0x100;
const PORT_BYTES = 0x80;
const ABAR_BYTES = 0x1000;

/** Generic host control registers (AHCI 1.3.1, 3.1). */
const CAP = 0x00;
const GHC = 0x04;
const IS = 0x08;
const PI = 0x0c;
const VS = 0x10;
const GHC_RESET = 0x0000_0001;
const GHC_INTERRUPT = 0x0000_0002;
/** AHCI mode, the only one there is. */
const GHC_AHCI = 0x8000_0000;
/** Six ports, 32 slots, AHCI only, 3 Gbit/s, native command queuing, 64-bit addresses. */
const CAPABILITIES = (AHCI_PORTS - 1) | (31 << 8) | (1 << 18) | (2 << 20) | (1 << 30) | 0x8000_0000;

/** An AHCI controller of the ICH9 (AHCI 1.3.1): registers behind BAR 5, interrupts by INTx or one MSI. */
export class AhciController extends PciDevice {
  readonly ports: readonly AhciPort[];
  private control = GHC_AHCI;
  private status = 0;
  private level = false;
  private made = false;

  /** @param slots what is on the ports, at most {@link AHCI_PORTS} */
  constructor(context: DeviceContext, slots: readonly (IdeSlot | undefined)[]) {
    super(context, "ahci", {
      vendor: 0x8086,
      device: 0x2922,
      classCode: 0x010601,
      revision: 2,
      subsystemVendor: 0x1af4,
      subsystem: 0x1100,
    });
    this.setInterruptPin(1);
    this.addMemoryBar(5, ABAR_BYTES, {
      read: (offset, size) => {
        const word = BigInt(this.readRegister(offset & ~3)) >> BigInt((offset & 3) * 8);
        return size === 8 ? word | (BigInt(this.readRegister((offset & ~3) + 4)) << 32n) : word;
      },
      // Registers take dwords; narrower writes are not defined (AHCI 1.3.1, 3) and are dropped.
      write: (offset, size, value) => {
        if (size < 4 || offset & 3) return;
        this.writeRegister(offset, Number(value & 0xffff_ffffn));
        if (size === 8) this.writeRegister(offset + 4, Number(value >> 32n));
      },
    });
    this.addMsi(0x80, 1, false);
    this.ports = Array.from({ length: AHCI_PORTS }, (_, index) => {
      const slot = slots[index];
      return new AhciPort(context, `ahci${index}`, slot?.disk, slot?.cdrom ?? false, {
        isMaster: () => this.busMaster,
        interrupt: () => this.update(),
      });
    });
    this.made = true;
  }

  private readRegister(offset: number): number {
    if (offset >= PORTS_OFFSET) {
      const port = this.ports[Math.floor((offset - PORTS_OFFSET) / PORT_BYTES)];
      return port?.read(offset % PORT_BYTES) ?? 0;
    }
    switch (offset) {
      case CAP:
        return CAPABILITIES >>> 0;
      case GHC:
        return this.control >>> 0;
      case IS:
        return this.status >>> 0;
      case PI:
        return (1 << AHCI_PORTS) - 1;
      case VS:
        return 0x0001_0300;
      default:
        return 0;
    }
  }

  private writeRegister(offset: number, value: number): void {
    if (offset >= PORTS_OFFSET) {
      this.ports[Math.floor((offset - PORTS_OFFSET) / PORT_BYTES)]?.write(offset % PORT_BYTES, value >>> 0);
    } else if (offset === GHC) {
      if (value & GHC_RESET) this.resetHost();
      else this.control = GHC_AHCI | (value & GHC_INTERRUPT);
      this.update();
    } else if (offset === IS) {
      this.status &= ~value;
      this.update();
    }
  }

  /** Follows the ports: a port with a pending interrupt sets its bit, which stays until software clears it. */
  private update(): void {
    // While the ports are being made there is nothing to follow.
    if (!this.made) return;
    const before = this.status;
    this.ports.forEach((port, index) => {
      if (port.pending) this.status |= 1 << index;
    });
    const level = this.status !== 0 && (this.control & GHC_INTERRUPT) !== 0;
    if (this.msiEnabled) {
      if (level && (!this.level || (this.status & ~before) !== 0)) this.raiseMsi();
      this.setIntx(false);
    } else {
      this.setIntx(level);
    }
    this.level = level;
  }

  private resetHost(): void {
    this.control = GHC_AHCI;
    this.status = 0;
    this.level = false;
    for (const port of this.ports) port.reset();
  }

  override reset(): void {
    super.reset();
    this.resetHost();
  }

  protected override saveMore(): State {
    return { control: this.control, status: this.status, level: this.level, ports: this.ports.map((port) => port.save()) };
  }

  protected override restoreMore(state: State): void {
    const reader = new StateReader(state, this.name);
    this.control = reader.number("control");
    this.status = reader.number("status");
    this.level = reader.boolean("level");
    const ports = reader.list("ports");
    this.ports.forEach((port, index) => port.restore(ports[index] ?? null));
  }

  override registers(): readonly RegisterView[] {
    return [
      ...super.registers(),
      { name: "GHC", value: BigInt(this.control >>> 0), bits: 32 },
      { name: "IS", value: BigInt(this.status >>> 0), bits: 32 },
      ...this.ports.filter((port) => port.disk !== undefined).flatMap((port) => port.registers()),
    ];
  }
}
