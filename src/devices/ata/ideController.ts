import type { State } from "../../common/state";
import { IDE_PRIMARY_PORT, IDE_SECONDARY_PORT } from "../board";
import type { DeviceContext, IrqLine, PortHandler, PortRegion, RegisterView } from "../device";
import { PCI_COMMAND, PciDevice } from "../pciDevice";
import { byteHandler } from "../ports";
import { StateReader } from "../stateReader";
import { IdeChannel, type IdeSlot } from "./ideChannel";

/** IDETIM: timing of each channel. Bit 15 has its ports decoded. */
const IDE_TIMING = 0x40;
const TIMING_DECODE = 0x80;
/** The control port from the command block. */
const CONTROL_OFFSET = 0x206;

/**
 * IDE function of the PIIX3, 00:01.1 (data sheet 290550): two channels at the fixed legacy ports with ISA interrupts 14 and 15, and bus-master registers
 * behind BAR 4.
 */
export class IdeController extends PciDevice {
  readonly channels: readonly [IdeChannel, IdeChannel];
  private readonly regions: readonly (readonly PortRegion[])[];

  /** @param slots primary master, primary slave, secondary master, secondary slave */
  constructor(context: DeviceContext, slots: readonly (IdeSlot | undefined)[], irqs: readonly [IrqLine, IrqLine]) {
    super(context, "ide", { vendor: 0x8086, device: 0x7010, classCode: 0x010180, subsystemVendor: 0x1af4, subsystem: 0x1100 });
    this.channels = [
      new IdeChannel(context, "ide0", slots.slice(0, 2), irqs[0], () => this.busMaster),
      new IdeChannel(context, "ide1", slots.slice(2, 4), irqs[1], () => this.busMaster),
    ];
    this.writable.fill(0xff, IDE_TIMING, IDE_TIMING + 5);
    this.writable.fill(0xff, 0x48, 0x4c);
    this.addIoBar(
      4,
      16,
      byteHandler(
        (port) => this.channels[(port >> 3) & 1].readMaster(port & 7),
        (port, value) => this.channels[(port >> 3) & 1].writeMaster(port & 7, value),
      ),
    );
    this.regions = ([IDE_PRIMARY_PORT, IDE_SECONDARY_PORT] as const).map((port, index) => {
      const channel = this.channels[index];
      return [
        context.mapPorts(`${channel.name}.command`, port, 8, commandBlock(channel)),
        context.mapPorts(
          `${channel.name}.control`,
          port + CONTROL_OFFSET,
          1,
          byteHandler(
            () => channel.alternateStatus,
            (_port, value) => channel.writeControl(value),
          ),
        ),
      ];
    });
    this.updateDecoding();
  }

  private updateDecoding(): void {
    const io = (this.config[PCI_COMMAND] & 1) !== 0;
    this.regions.forEach((regions, index) => {
      const decoded = io && (this.config[IDE_TIMING + 1 + index * 2] & TIMING_DECODE) !== 0;
      for (const region of regions) region.setEnabled(decoded);
    });
  }

  protected override configWritten(offset: number, size: number): void {
    if (offset < PCI_COMMAND + 2 || (offset < IDE_TIMING + 4 && offset + size > IDE_TIMING)) this.updateDecoding();
  }

  /** What firmware does: has both channels decoded. */
  enable(): void {
    this.writeConfig(IDE_TIMING, 4, 0x80008000);
    this.writeConfig(PCI_COMMAND, 2, 0x0005);
  }

  override reset(): void {
    super.reset();
    for (const channel of this.channels) channel.reset();
    this.updateDecoding();
  }

  protected override saveMore(): State {
    return { channels: this.channels.map((channel) => channel.save()) };
  }

  protected override restoreMore(state: State): void {
    const channels = new StateReader(state, this.name).list("channels");
    this.channels.forEach((channel, index) => channel.restore(channels[index] ?? null));
    this.updateDecoding();
  }

  override registers(): readonly RegisterView[] {
    return [...super.registers(), ...this.channels.flatMap((channel) => channel.registers())];
  }
}

/** Ports of a command block: the data register takes words and dwords, the others are bytes. */
function commandBlock(channel: IdeChannel): PortHandler {
  const bytes = byteHandler(
    (port) => ((port & 7) === 0 ? channel.readData(2) & 0xff : channel.read(port & 7)),
    (port, value) => {
      if ((port & 7) !== 0) channel.write(port & 7, value);
    },
  );
  return {
    read: (port, size) => ((port & 7) === 0 && size !== 1 ? channel.readData(size) : bytes.read(port, size)),
    readBlock: (port, size, target) => ((port & 7) === 0 ? channel.readBlock(size, target) : 0),
    writeBlock: (port, size, source) => ((port & 7) === 0 ? channel.writeBlock(size, source) : 0),
    write: (port, size, value) => {
      if ((port & 7) === 0 && size !== 1) channel.writeData(size, value);
      else bytes.write(port, size, value);
    },
  };
}
