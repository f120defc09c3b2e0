import { RTC_PORT, UART1_PORT, UART2_PORT } from "./board";

/** What receives the writes: the board's `PortSpace`. */
export interface PortWriter {
  write(port: number, size: 1 | 2 | 4, value: number): void;
}

/** Writes of the firmware's start-up, as port and byte. */
const START_UP: readonly (readonly [number, number])[] = [
  // 8259 pair: edge, cascade, 8086 mode, vectors 0x08 and 0x70, everything masked.
  [0x20, 0x11],
  [0x21, 0x08],
  [0x21, 0x04],
  [0x21, 0x01],
  [0xa0, 0x11],
  [0xa1, 0x70],
  [0xa1, 0x02],
  [0xa1, 0x01],
  [0x21, 0xff],
  [0xa1, 0xff],
  // PCI interrupts 10 and 11 and the SCI are level-triggered.
  [0x4d0, 0x00],
  [0x4d1, 0x0e],
  // 8254: counter 0 at 18.2 Hz, counter 1 for refresh, counter 2 for the speaker, silent.
  [0x43, 0x36],
  [0x40, 0x00],
  [0x40, 0x00],
  [0x43, 0x54],
  [0x41, 0x12],
  [0x43, 0xb6],
  [0x42, 0x54],
  [0x42, 0x02],
  [0x61, 0x00],
  // A20 on.
  [0x92, 0x02],
  // 8042: keyboard on, with interrupts and translation; mouse off.
  [0x64, 0x60],
  [0x60, 0x65],
  // Serial ports: 8 data bits, no parity, one stop bit, 9600 baud as after reset.
  [UART1_PORT + 3, 0x03],
  [UART2_PORT + 3, 0x03],
  // The clock's address register at rest, NMI allowed.
  [RTC_PORT, 0x0d],
];

/** The first 8259's mask as a BIOS has it while it waits: the timer and the second 8259 get through. */
const BIOS_MASK = 0xfa;

/**
 * Lets the timer's ticks through to the vectors of real mode, as under a BIOS: Multiboot's loaders leave the 8259s as the BIOS had them (Multiboot Specification,
 * "Machine state").
 */
export function startTimerTicks(ports: PortWriter): void {
  ports.write(0x21, 1, BIOS_MASK);
}

/**
 * Leaves the board's chips as a PC firmware hands them to a boot loader or kernel, for boots without one: the 8259s initialized
 * and fully masked, the timer at 18.2 Hz, A20 on, serial ports at 9600 8N1. PCI is `PciBus.assignResources`.
 */
export function initializeAsFirmware(ports: PortWriter): void {
  for (const [port, value] of START_UP) ports.write(port, 1, value);
}
