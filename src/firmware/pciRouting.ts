import { PCI_INTX_GSI, PCI_INTX_ISA_IRQ } from "../devices/board";
import { intxWire } from "../devices/pci";

/** The GSI at which interrupt pin `pin` (0 is INTA#) of the device in `slot` arrives at the I/O APIC. */
export const intxGsi = (slot: number, pin: number): number => PCI_INTX_GSI[intxWire(slot, pin)];

/** The ISA interrupt at which it arrives at the 8259s. */
export const intxIsaIrq = (slot: number, pin: number): number => PCI_INTX_ISA_IRQ[intxWire(slot, pin)];

/** Slots of the one PCI bus. */
export const PCI_SLOTS = 32;
