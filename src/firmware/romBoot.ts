/** What a firmware image in ROM needs from its board: files of the firmware configuration device, as SeaBIOS reads them. */
import { UserError } from "../common/errors";
import { PIT_GSI, UART1_PORT } from "../devices/board";
import type { FwCfg } from "../devices/fwCfg";
import { tableFiles } from "./acpi/loader";
import { ByteWriter } from "./bytes";
import type { PciPin } from "./mpTables";
import { MemoryType } from "./types";

const ROM_PAGE = 0x1000;
const SMALLEST_ROM = 0x10000;
const LARGEST_ROM = 0x1000000;

/** Item that says IRQ 0 arrives at another pin of the I/O APIC: for the firmware's MP table. */
const FW_CFG_IRQ0_OVERRIDE = 0x8002;

/** Item that has the firmware offer its boot menu: for some seconds Esc brings it up. */
const FW_CFG_BOOT_MENU = 0x0e;

/** The display adapter's option ROM, which it does not carry itself: SeaBIOS looks for it by vendor and device. */
const DISPLAY_ROM = "pci1234,1111.rom";

/** @throws UserError for an image that cannot be a PC's firmware. */
export function checkFirmware(image: Uint8Array, name: string): void {
  const problem = (what: string): UserError => new UserError(`${name} is not a PC firmware image: ${what}.`, "firmware");
  if (image.length < SMALLEST_ROM || image.length > LARGEST_ROM) {
    throw problem(`it has ${image.length} bytes, and ${SMALLEST_ROM >> 10} KiB to ${LARGEST_ROM >> 20} MiB are possible`);
  }
  if (image.length % ROM_PAGE !== 0) throw problem(`its ${image.length} bytes are not a multiple of ${ROM_PAGE}`);
  const vector = image.subarray(image.length - 16);
  if (vector.every((byte) => byte === 0) || vector.every((byte) => byte === 0xff)) throw problem("there is no code at its reset vector");
}

export interface FirmwareFileOptions {
  readonly memoryBelow4G: number;
  readonly memoryAbove4G: number;
  readonly apicIds: readonly number[];
  /** Interrupt pins of the PCI devices. */
  readonly pciPins: readonly PciPin[];
  /** The board has a display adapter. */
  readonly display?: boolean;
  /** VGA BIOSes for a board without it, and for the adapter. */
  readonly vgaBios?: Uint8Array;
  readonly displayBios?: Uint8Array;
  readonly serialConsole?: boolean;
}

/** Fills `fwCfg` with the memory map, the ACPI tables with the script that links them, the VGA BIOS, and settings. */
export function provideFirmwareFiles(fwCfg: FwCfg, options: FirmwareFileOptions): void {
  const { memoryBelow4G, memoryAbove4G, vgaBios, displayBios } = options;
  const ram = new ByteWriter().u64(0, memoryBelow4G).u32(MemoryType.usable);
  if (memoryAbove4G > 0) ram.u64(0x1_0000_0000, memoryAbove4G).u32(MemoryType.usable);
  fwCfg.addFile("etc/e820", ram.finish());
  fwCfg.addNumber(FW_CFG_IRQ0_OVERRIDE, PIT_GSI === 2 ? 1 : 0, 4);
  fwCfg.addNumber(FW_CFG_BOOT_MENU, 1, 2);
  for (const { name, bytes } of tableFiles(options.apicIds, options.pciPins)) fwCfg.addFile(name, bytes);
  if (options.display === true) {
    if (displayBios !== undefined) fwCfg.addFile(DISPLAY_ROM, displayBios);
  } else if (vgaBios !== undefined) fwCfg.addFile("vgaroms/vgabios.bin", vgaBios);
  if (options.serialConsole === true) fwCfg.addFile("etc/sercon-port", new ByteWriter().u64(UART1_PORT).finish());
}
