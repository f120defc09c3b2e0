import type { State } from "../common/state";
import type { DeviceContext, RegisterView } from "./device";
import { PciDevice } from "./pciDevice";
import { StateReader } from "./stateReader";

/**
 * A PCI function for trying MSIs: vendor 0x1234, device 0xa51c. BAR 0, 4 KiB of memory: writing any dword at offset 0 raises the
 * MSI; offset 4 reads how many were sent. Bus mastering and the MSI capability (at 0x50, one vector, 64-bit) must be enabled.
 */
export class MsiTestDevice extends PciDevice {
  private sent = 0;

  constructor(context: DeviceContext, name = "msi-test") {
    super(context, name, { vendor: 0x1234, device: 0xa51c, classCode: 0xff0000, revision: 1, subsystemVendor: 0x1234, subsystem: 0xa51c });
    this.addMemoryBar(0, 0x1000, {
      read: (offset) => (offset === 4 ? BigInt(this.sent) : 0n),
      write: (offset) => {
        if (offset === 0 && this.raiseMsi()) this.sent = (this.sent + 1) >>> 0;
      },
    });
    this.addMsi(0x50, 1, false);
  }

  override reset(): void {
    super.reset();
    this.sent = 0;
  }

  protected override saveMore(): State {
    return { sent: this.sent };
  }

  protected override restoreMore(state: State): void {
    this.sent = new StateReader(state, this.name).number("sent");
  }

  override registers(): readonly RegisterView[] {
    return [...super.registers(), { name: "messages sent", value: BigInt(this.sent), bits: 32 }];
  }
}
