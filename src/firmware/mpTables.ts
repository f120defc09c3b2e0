/** The MultiProcessor specification's tables (version 1.4, chapter 4), for guests that know no ACPI. */
import * as board from "../devices/board";
import { ByteWriter, checksum } from "./bytes";
import { PCI_SLOTS, intxGsi } from "./pciRouting";

const PCI_BUS = 0;
const ISA_BUS = 1;
/** What the processor entries say of each processor: CPUID leaf 1's EAX and EDX; informative only. */
const SIGNATURE = 0x600;
const FEATURE_FPU = 1 << 0;
const FEATURE_APIC = 1 << 9;

/** Interrupt flags (4.3.4): polarity in bits 0-1, trigger mode in bits 2-3; 0 conforms to the bus. */
const CONFORMS = 0;
const LEVEL_ACTIVE_HIGH = 0xd;
const LEVEL_ACTIVE_LOW = 0xf;

type InterruptType = 0 | 1 | 3;
const INT: InterruptType = 0;
const NMI: InterruptType = 1;
const EXTINT: InterruptType = 3;

/** An interrupt pin (0 is INTA#) of a PCI device. */
export interface PciPin {
  readonly slot: number;
  readonly pin: number;
}

const allPins: readonly PciPin[] = Array.from({ length: 4 * PCI_SLOTS }, (_, index) => ({ slot: index >> 2, pin: index & 3 }));

/** The configuration table: processors whose id fits the 8-bit field, buses, the I/O APIC and the interrupt assignments, those of `pins` on the PCI bus. */
export function mpConfiguration(apicIds: readonly number[], pins: readonly PciPin[] = allPins): Uint8Array {
  const writer = new ByteWriter();
  let entries = 0;
  const add = (): ByteWriter => {
    entries++;
    return writer;
  };
  writer.text("PCMP", 4).u16(0).u8(4, 0).text("APICSCOP", 8).text("APICScope", 12, 0x20);
  writer.u32(0).u16(0, 0).u32(board.LAPIC_BASE).u16(0).u8(0, 0);
  apicIds.forEach((id, index) => {
    if (id > 254) return;
    const bootstrap = index === 0 ? 2 : 0;
    add()
      .u8(0, id, 0x14, 1 | bootstrap)
      .u32(SIGNATURE, FEATURE_FPU | FEATURE_APIC, 0, 0);
  });
  add().u8(1, PCI_BUS).text("PCI", 6, 0x20);
  add().u8(1, ISA_BUS).text("ISA", 6, 0x20);
  add().u8(2, board.IOAPIC_ID, 0x20, 1).u32(board.IOAPIC_BASE);

  const ioInterrupt = (type: InterruptType, flags: number, bus: number, source: number, pin: number): void => {
    add().u8(3, type).u16(flags).u8(bus, source, board.IOAPIC_ID, pin);
  };
  ioInterrupt(INT, CONFORMS, ISA_BUS, board.PIT_IRQ, board.PIT_GSI);
  for (let irq = 1; irq < 16; irq++) {
    // IRQ 2 is the cascade of the 8259s: its pin carries the timer.
    if (irq === board.PIT_GSI) continue;
    ioInterrupt(INT, irq === board.SCI_IRQ ? LEVEL_ACTIVE_HIGH : CONFORMS, ISA_BUS, irq, irq);
  }
  for (const { slot, pin } of pins) ioInterrupt(INT, LEVEL_ACTIVE_LOW, PCI_BUS, (slot << 2) | pin, intxGsi(slot, pin));
  const localInterrupt = (type: InterruptType, lint: number): void => {
    add().u8(4, type).u16(CONFORMS).u8(ISA_BUS, 0, 0xff, lint);
  };
  localInterrupt(EXTINT, 0);
  localInterrupt(NMI, 1);

  writer.patch16(4, writer.length).patch16(34, entries);
  return writer.patch8(7, checksum(writer.finish())).finish();
}

/** Fields of the floating pointer structure: the configuration table's address, and the checksum. */
export const MP_CONFIGURATION = 4;
export const MP_CHECKSUM = 10;

/** The floating pointer structure: the table at `configuration`, virtual wire mode, no IMCR. */
export function mpFloatingPointer(configuration: number): Uint8Array {
  const writer = new ByteWriter().text("_MP_", 4).u32(configuration).u8(1, 4, 0, 0, 0, 0, 0, 0);
  return writer.patch8(MP_CHECKSUM, checksum(writer.finish())).finish();
}
