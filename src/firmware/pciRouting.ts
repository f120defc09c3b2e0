import { PCI_INTX_GSI, PCI_INTX_ISA_IRQ } from "../devices/board";

/**
 * Which of the bus' four interrupt lines (0 is INTA#) interrupt pin `pin` (0 is INTA#) of the device in `slot` is wired to: each slot's pins
 * are rotated by one more, as the PCI-to-PCI bridge specification does it, so that single-pin devices share less.
 */
export const intxLine = (slot: number, pin: number): number => (slot + pin) & 3;

/** The GSI at which that pin arrives at the I/O APIC. */
export const intxGsi = (slot: number, pin: number): number => PCI_INTX_GSI[intxLine(slot, pin)];

/** The ISA interrupt at which it arrives at the 8259s. */
export const intxIsaIrq = (slot: number, pin: number): number => PCI_INTX_ISA_IRQ[intxLine(slot, pin)];

/** Slots of the one PCI bus. */
export const PCI_SLOTS = 32;
