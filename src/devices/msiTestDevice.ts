import type { State } from "../common/state";
import type { DeviceContext, RegisterView } from "./device";
import { PciDevice } from "./pciDevice";
import { StateReader } from "./stateReader";

/**
 * A PCI function for trying interrupts: vendor 0x1234, device 0xa51c. BAR 0, 4 KiB of memory: writing any dword at offset 0 raises the
 * MSI (capability at 0x50, one vector, 64-bit); offset 4 reads how many messages were sent, MSI and MSI-X; offset 8 drives INTA# with bit 0; writing
 * v at offset 12 raises MSI-X vector v (capability at 0x70, four vectors, table and pending bits in the 64-bit BAR 2). Bus mastering must be on for messages.
 */
export class MsiTestDevice extends PciDevice {
  private sent = 0;
  private level = false;

  constructor(context: DeviceContext, name = "msi-test") {
    super(context, name, { vendor: 0x1234, device: 0xa51c, classCode: 0xff0000, revision: 1, subsystemVendor: 0x1234, subsystem: 0xa51c });
    this.addMemoryBar(0, 0x1000, {
      read: (offset) => (offset === 4 ? BigInt(this.sent) : offset === 8 && this.level ? 1n : 0n),
      write: (offset, _size, value) => this.command(offset, Number(value & 0xffffffffn)),
    });
    this.addMsi(0x50, 1, false);
    this.addMsix(0x70, 4, 2, true);
    this.setInterruptPin(1);
  }

  private command(offset: number, value: number): void {
    if (offset === 0 && this.raiseMsi()) this.sent = (this.sent + 1) >>> 0;
    else if (offset === 8) this.setIntx((this.level = (value & 1) !== 0));
    else if (offset === 12 && this.raiseMsix(value)) this.sent = (this.sent + 1) >>> 0;
  }

  override reset(): void {
    super.reset();
    this.sent = 0;
    this.level = false;
  }

  protected override saveMore(): State {
    return { sent: this.sent, level: this.level };
  }

  protected override restoreMore(state: State): void {
    const reader = new StateReader(state, this.name);
    this.sent = reader.number("sent");
    this.level = reader.boolean("level");
  }

  override registers(): readonly RegisterView[] {
    return [...super.registers(), { name: "messages sent", value: BigInt(this.sent), bits: 32 }];
  }
}
