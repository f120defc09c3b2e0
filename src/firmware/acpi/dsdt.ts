import * as board from "../../devices/board";
import { PCI_SLOTS, intxGsi, intxIsaIrq } from "../pciRouting";
import {
  arg,
  buffer,
  device,
  eisaId,
  ifNonZero,
  integer,
  join,
  method,
  name,
  nameString,
  pack,
  returns,
  scope,
  store,
  text,
  type Aml,
} from "./aml";
import { busRange, fixedMemory, ioPorts, ioRange, isaIrq, memoryRange, resourceTemplate } from "./resources";

/** _PRT (ACPI 6, 6.2.13): for each slot and pin the interrupt it is wired to, without link devices. */
function routes(interrupt: (slot: number, pin: number) => number): Aml[] {
  const entries: Aml[] = [];
  for (let slot = 0; slot < PCI_SLOTS; slot++) {
    for (let pin = 0; pin < 4; pin++) {
      // 32 slots of 4 pins are 128 entries, within a package's 255.
      entries.push(pack(integer(((slot << 16) | 0xffff) >>> 0), integer(pin), integer(0), integer(interrupt(slot, pin))));
    }
  }
  return entries;
}

const serialPort = (path: string, unit: number, port: number, irq: number): Aml =>
  device(
    path,
    name("_HID", eisaId("PNP0501")),
    name("_UID", integer(unit)),
    name("_CRS", buffer(resourceTemplate(ioPorts(port, 8), isaIrq(irq)))),
  );

const processor = (uid: number): Aml =>
  device(`C${uid.toString(16).toUpperCase().padStart(3, "0")}`, name("_HID", text("ACPI0007")), name("_UID", integer(uid)));

/**
 * The definition block's terms: soft-off, the PCI root bridge with its windows and interrupt routing for either interrupt controller, fixed
 * devices of the board, and a device for each processor, whose _UID is its index in the MADT.
 */
export function dsdtTerms(cpus: number, sleep: boolean): Aml {
  const root = device(
    "PCI0",
    name("_HID", eisaId("PNP0A03")),
    name("_UID", integer(0)),
    name("_BBN", integer(0)),
    name(
      "_CRS",
      buffer(
        resourceTemplate(
          busRange(0, 0xff),
          ioPorts(board.PCI_ADDRESS_PORT, 8),
          ioRange(0, board.PCI_ADDRESS_PORT - 1),
          ioRange(board.PCI_ADDRESS_PORT + 8, 0xffff),
          memoryRange(board.CONVENTIONAL_MEMORY_END, 0xbffff),
          memoryRange(board.PCI_MMIO_BASE, board.PCI_MMIO_LIMIT),
        ),
      ),
    ),
    name("PRTP", pack(...routes(intxIsaIrq))),
    name("PRTA", pack(...routes(intxGsi))),
    method("_PRT", 0, ifNonZero(nameString("PICM"), returns(nameString("PRTA"))), returns(nameString("PRTP"))),
  );
  const motherboard = device(
    "MBRD",
    name("_HID", eisaId("PNP0C02")),
    name("_UID", integer(0)),
    name("_CRS", buffer(resourceTemplate(ioPorts(board.PM1A_EVENT_PORT, 0x10), ioPorts(board.GPE0_PORT, board.GPE0_LENGTH)))),
  );
  const clock = device(
    "RTC0",
    name("_HID", eisaId("PNP0B00")),
    name("_CRS", buffer(resourceTemplate(ioPorts(board.RTC_PORT, 2), isaIrq(board.RTC_IRQ)))),
  );
  const keyboard = device(
    "KBD0",
    name("_HID", eisaId("PNP0303")),
    name(
      "_CRS",
      buffer(resourceTemplate(ioPorts(board.KEYBOARD_PORT, 1), ioPorts(board.KEYBOARD_PORT + 4, 1), isaIrq(board.KEYBOARD_IRQ))),
    ),
  );
  const mouse = device("MOU0", name("_HID", eisaId("PNP0F13")), name("_CRS", buffer(resourceTemplate(isaIrq(board.MOUSE_IRQ)))));
  const hpet = device("HPET", name("_HID", eisaId("PNP0103")), name("_CRS", buffer(resourceTemplate(fixedMemory(board.HPET_BASE, 0x400)))));
  const processors = Array.from({ length: cpus }, (_, index) => processor(index));
  return join(
    // 0 while the 8259s are in use, 1 with the I/O APIC: what the operating system says by calling _PIC.
    name("PICM", integer(0)),
    method("_PIC", 1, store(arg(0), nameString("PICM"))),
    ...(sleep ? [name("_S3", pack(integer(board.S3_SLEEP_TYPE), integer(board.S3_SLEEP_TYPE), integer(0), integer(0)))] : []),
    name("_S5", pack(integer(board.S5_SLEEP_TYPE), integer(board.S5_SLEEP_TYPE), integer(0), integer(0))),
    scope(
      "_SB",
      root,
      motherboard,
      clock,
      hpet,
      keyboard,
      mouse,
      serialPort("COM1", 1, board.UART1_PORT, board.UART1_IRQ),
      serialPort("COM2", 2, board.UART2_PORT, board.UART2_IRQ),
      ...processors,
    ),
  );
}
