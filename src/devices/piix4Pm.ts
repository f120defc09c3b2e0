import type { AcpiPm } from "./acpiPm";
import { PM_BASE } from "./board";
import type { DeviceContext } from "./device";
import { PciDevice } from "./pciDevice";

const PM_BASE_REGISTER = 0x40;
const DEVICE_ACTIVITY_B = 0x58;
/** APMC_EN in the last byte of DEVACTB: a write to the APM command port makes an SMI. */
const APMC_ENABLE = 0x02;
const PM_MISC = 0x80;
const PM_IO_ENABLE = 0x01;

/**
 * Power management function of the PIIX4, 00:01.3 (data sheet 290562): says where the registers of {@link AcpiPm} are in I/O space and whether they are
 * decoded, and lets the APM command port raise SMIs.
 */
export class Piix4Pm extends PciDevice {
  constructor(
    context: DeviceContext,
    private readonly acpi: AcpiPm,
  ) {
    super(context, "pci.pm", {
      vendor: 0x8086,
      device: 0x7113,
      classCode: 0x068000,
      revision: 3,
      subsystemVendor: 0x1af4,
      subsystem: 0x1100,
    });
    // Its interrupt is the SCI, which is an ISA interrupt whatever the pin register says.
    this.setInterruptPin(1);
    this.config[PM_BASE_REGISTER] = 0x01;
    this.writable[PM_BASE_REGISTER] = 0xc0;
    this.writable[PM_BASE_REGISTER + 1] = 0xff;
    // Device activity and resource registers, which a firmware may fill in; of them only APMC_EN does anything.
    this.writable.fill(0xff, DEVICE_ACTIVITY_B, DEVICE_ACTIVITY_B + 4);
    this.writable[PM_MISC] = PM_IO_ENABLE;
    this.config[0x90] = 0x01;
    this.writable[0x90] = 0xf0;
    this.writable[0x91] = 0xff;
    this.writable[0xd2] = 0x0f;
  }

  protected override configWritten(offset: number, size: number): void {
    if (offset <= PM_MISC && offset + size > PM_BASE_REGISTER) this.update();
  }

  private update(): void {
    const base = this.get16(PM_BASE_REGISTER) & 0xffc0;
    this.acpi.decode((this.config[PM_MISC] & PM_IO_ENABLE) !== 0 && base !== 0 ? base : undefined);
    this.acpi.smiOnCommand = (this.config[DEVICE_ACTIVITY_B + 3] & APMC_ENABLE) !== 0;
  }

  /** What firmware does: puts the registers where the FADT says. */
  enable(): void {
    this.writeConfig(PM_BASE_REGISTER, 4, PM_BASE | 1);
    this.writeConfig(PM_MISC, 1, PM_IO_ENABLE);
  }

  override reset(): void {
    super.reset();
    this.update();
  }

  protected override restoreMore(): void {
    this.update();
  }
}
