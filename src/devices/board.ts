/**
 * The board as wired: addresses and interrupt numbers that devices, firmware tables and tests must agree on.
 * GSI n is pin n of the I/O APIC; ISA IRQ n is pin n of the 8259 pair and GSI n, save IRQ 0, which is GSI 2.
 */

/** Interrupt controllers. */
export const LAPIC_BASE = 0xfee00000;
export const IOAPIC_BASE = 0xfec00000;
/** APIC id of the I/O APIC in the MADT; pins 0 to 23 are GSI 0 to 23. */
export const IOAPIC_ID = 0;
export const IOAPIC_PINS = 24;
export const IOAPIC_GSI_BASE = 0;
export const PIC_MASTER_PORT = 0x20;
export const PIC_SLAVE_PORT = 0xa0;
export const PIC_ELCR_PORT = 0x4d0;

/** ISA interrupts. */
export const PIT_IRQ = 0;
/** The MADT's interrupt source override: ISA IRQ 0 arrives at this pin of the I/O APIC. */
export const PIT_GSI = 2;
export const KEYBOARD_IRQ = 1;
export const MOUSE_IRQ = 12;
export const UART1_IRQ = 4;
export const UART2_IRQ = 3;
export const RTC_IRQ = 8;
/** ACPI's system control interrupt: level, active high, on this ISA IRQ and GSI. */
export const SCI_IRQ = 9;
/** PCI INTA# to INTD# of the bus arrive at the I/O APIC on these GSIs, level; PIRQ registers of the ISA bridge route them to the 8259s as well. */
export const PCI_INTX_GSI: readonly [number, number, number, number] = [16, 17, 18, 19];
/** ISA IRQs that firmware programs into the PIRQ registers for INTA# to INTD#. */
export const PCI_INTX_ISA_IRQ: readonly [number, number, number, number] = [10, 11, 10, 11];

/** Timers and clocks. */
export const PIT_PORT = 0x40;
export const SYSTEM_CONTROL_B_PORT = 0x61;
export const RTC_PORT = 0x70;
/** CMOS offset of the century byte, for the FADT. */
export const RTC_CENTURY = 0x32;
export const HPET_BASE = 0xfed00000;
/** I/O APIC pins that HPET timers may be routed to, without legacy replacement: 20 to 23. */
export const HPET_GSI_MASK = 0x00f00000;

/** ACPI fixed hardware (FADT): the block that firmware places by the power management function's base register. */
export const PM_BASE = 0x600;
export const PM1A_EVENT_PORT = PM_BASE;
export const PM1A_EVENT_LENGTH = 4;
export const PM1A_CONTROL_PORT = PM_BASE + 4;
export const PM1A_CONTROL_LENGTH = 2;
export const PM_TIMER_PORT = PM_BASE + 8;
export const PM_TIMER_LENGTH = 4;
/** The PM timer counts 32 bits: FADT flag TMR_VAL_EXT is set. */
export const PM_TIMER_BITS: 24 | 32 = 32;
export const GPE0_PORT = 0x620;
/** Two bytes of status, then two of enable. */
export const GPE0_LENGTH = 4;
export const SMI_COMMAND_PORT = 0xb2;
export const ACPI_ENABLE_VALUE = 0xf1;
export const ACPI_DISABLE_VALUE = 0xf0;
/** SLP_TYPa of \_S5: writing 0x2000 (SLP_EN, type 0) to PM1a control powers off, as many small kernels expect at port 0x604. */
export const S5_SLEEP_TYPE = 0;
/** SLP_TYPa of \_S3. */
export const S3_SLEEP_TYPE = 1;

/** Reset. */
export const RESET_PORT = 0xcf9;
export const RESET_VALUE = 0x06;
export const KEYBOARD_PORT = 0x60;
export const SYSTEM_CONTROL_A_PORT = 0x92;

/** Serial ports. */
export const UART1_PORT = 0x3f8;
export const UART2_PORT = 0x2f8;

/** IDE: command blocks of the two channels; the control port is 0x206 above. */
export const IDE_PRIMARY_PORT = 0x1f0;
export const IDE_SECONDARY_PORT = 0x170;
export const IDE_PRIMARY_IRQ = 14;
export const IDE_SECONDARY_IRQ = 15;
/** PCI slot of the AHCI controller, where there is one. */
export const AHCI_SLOT = 5;

/** PCI: configuration mechanism 1, one bus. */
export const PCI_ADDRESS_PORT = 0xcf8;
export const PCI_DATA_PORT = 0xcfc;
/** Start of the hole below 4 GiB: RAM ends here at the latest and continues at 4 GiB. */
export const PCI_HOLE_BASE = 0xc0000000;
/** Where memory BARs may be placed: from the hole's start up to the I/O APIC. */
export const PCI_MMIO_BASE = PCI_HOLE_BASE;
export const PCI_MMIO_LIMIT = 0xfebfffff;
/** Where I/O BARs may be placed. */
export const PCI_IO_BASE = 0xc000;
export const PCI_IO_LIMIT = 0xffff;

/** Debugging and test aids. */
export const DEBUG_EXIT_PORT = 0xf4;
export const DEBUG_CONSOLE_PORT = 0xe9;
export const FIRMWARE_DEBUG_PORT = 0x402;
export const FW_CFG_PORT = 0x510;
export const FW_CFG_DMA_PORT = 0x514;
export const TESTDEV_PORT = 0xe0;
export const TESTDEV_IRQ_PORT = 0x2000;
export const TESTDEV_MMIO_BASE = 0xff000000;
export const TESTDEV_MMIO_SIZE = 0x10000;

/** Colour text screen: plain RAM, 80 by 25 cells of character and attribute. */
export const VGA_TEXT_BASE = 0xb8000;
/** Conventional memory ends here; up to 1 MiB is reserved for video and firmware. */
export const CONVENTIONAL_MEMORY_END = 0xa0000;
